
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_META_READER_H_INCLUDED_
#define _NGX_HTTP_WAHA_META_READER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_event.h>
#include <ngx_http_waha_field.h>
#include <ngx_http_waha_json.h>


/*
 * Where the parts that the events of a change share stand in the text of the
 * notification; 0: there is none.
 */

typedef struct {
    ngx_str_t                        text;
    int                              entry;
    int                              id;
    int                              time;
    int                              change;
    int                              field;
    int                              metadata;
} ngx_http_waha_meta_change_t;


/* where an event came from: event->origin of the provider */

typedef struct {
    ngx_http_waha_meta_change_t     *change;

    /* the list in the value that has the item; NULL: the change is the event */
    const char                      *list;

    int                              item;
    int                              contact;

    /* of the history: the item is in a chunk, perhaps in a thread of it */
    int                              thread_id;
    int                              thread_context;
    unsigned                         in_chunk:1;
    unsigned                         in_thread:1;
} ngx_http_waha_meta_origin_t;


/* an id of a person, and the first contact that has it */

typedef struct {
    ngx_str_t                        id;
    cJSON                           *contact;
    ngx_uint_t                       place;
} ngx_http_waha_meta_contact_t;


/* a notification that is being read; only for the files of this folder */

typedef struct {
    ngx_pool_t                      *pool;      /* of the events */
    ngx_pool_t                      *tree;      /* gone once they are read */
    ngx_array_t                     *events;

    /* of the change */
    ngx_http_waha_meta_change_t     *change;
    ngx_str_t                        field;
    ngx_str_t                        session;
    ngx_str_t                        account;
    ngx_str_t                        number;    /* our own, in digits */
    int64_t                          time;      /* of the entry; 0: none */

    cJSON                           *contacts;
    ngx_http_waha_meta_contact_t    *people;    /* by id; NULL: not sorted */
    ngx_uint_t                       npeople;

    /* of the item */
    const char                      *list;
    cJSON                           *item;
    cJSON                           *contact;   /* the person's */
    cJSON                           *thread;
    ngx_http_waha_event_t           *event;

    /* how many events there are; the first pass only counts them */
    ngx_uint_t                       nevents;
    unsigned                         counting:1;

    unsigned                         replaced:1;
    unsigned                         time_guessed:1;
    unsigned                         in_chunk:1;
} ngx_http_waha_meta_reader_t;


/*
 * Reads reader->item, an object, into reader->event.  NGX_DECLINED:
 * event->missing names the member for want of which it cannot be read.
 * NGX_DONE: the event is to be ignored for event->reason, whatever was read
 * of it.  NGX_ERROR: no memory.
 */
typedef ngx_int_t (*ngx_http_waha_meta_reader_pt)(
    ngx_http_waha_meta_reader_t *reader);


/* members that say who somebody is */

typedef struct {
    const char                      *phone;
    const char                      *bsuid;
    const char                      *parent_bsuid;
} ngx_http_waha_meta_person_t;


/*
 * Whether a text can be the id of a message: 1 to 512 printable characters of
 * ASCII.  Meta calls it opaque.
 */
ngx_uint_t ngx_http_waha_meta_reader_is_id(ngx_str_t *id);

/* Whether a text is the id of a node of the Graph API, in digits. */
ngx_uint_t ngx_http_waha_meta_reader_is_node(ngx_str_t *id);

/* The digits of a wa_id; data is NULL if it is none. */
ngx_str_t ngx_http_waha_meta_reader_phone(const cJSON *object,
    const char *name);

/*
 * A user id: the country, "ENT." for a parent's, and up to 128 letters and
 * digits; data is NULL if it is none.
 */
ngx_str_t ngx_http_waha_meta_reader_bsuid(const cJSON *object,
    const char *name);

/* A user name of at most 255 bytes; data is NULL if it shows nothing. */
ngx_str_t ngx_http_waha_meta_reader_username(const cJSON *object);

/* Sets the reason and returns NGX_DONE. */
ngx_int_t ngx_http_waha_meta_reader_ignore(
    ngx_http_waha_meta_reader_t *reader, const char *reason);

/*
 * Sets the member of the item that is missing or not valid, "messages.id", and
 * returns NGX_DECLINED.
 */
ngx_int_t ngx_http_waha_meta_reader_miss(ngx_http_waha_meta_reader_t *reader,
    const char *member);

/*
 * The time of an object, else that of the entry, else the current one and
 * time_guessed; in milliseconds.
 */
int64_t ngx_http_waha_meta_reader_time(ngx_http_waha_meta_reader_t *reader,
    const cJSON *object);

/*
 * Reads the person of an object into the event, with what the contact of the
 * notification that has the same id knows more; a name only if the event is
 * not outbound.  NGX_DECLINED: it has no identity.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_meta_reader_read_person(
    ngx_http_waha_meta_reader_t *reader, const cJSON *object,
    const ngx_http_waha_meta_person_t *members);

/* Whether the person of the event is ourselves. */
ngx_uint_t ngx_http_waha_meta_reader_is_self(
    ngx_http_waha_meta_reader_t *reader);


#endif /* _NGX_HTTP_WAHA_META_READER_H_INCLUDED_ */
