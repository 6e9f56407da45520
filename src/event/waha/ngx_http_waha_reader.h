
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_READER_H_INCLUDED_
#define _NGX_HTTP_WAHA_READER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_content.h>
#include <ngx_http_waha_event.h>
#include <ngx_http_waha_field.h>
#include <ngx_http_waha_identity.h>
#include <ngx_http_waha_json.h>


/* a delivery that is being read; only for the files of this folder */

typedef struct {
    ngx_pool_t                     *pool;
    ngx_str_t                      *text;       /* of the envelope */
    cJSON                          *envelope;
    cJSON                          *payload;
    ngx_http_waha_event_t          *event;

    /* user parts of our own JIDs */
    ngx_str_t                       me[3];
    ngx_uint_t                      nme;

    /* the WAMessage of the payload, its "_data", id, and the JIDs of both */
    cJSON                          *message;
    cJSON                          *data;
    ngx_str_t                       id;
    ngx_str_t                       chat;
    ngx_str_t                       participant;

    ngx_http_waha_content_found_t   found;

    /* one of our own JIDs is a LID */
    unsigned                        lid_known:1;

    /* no readable time of the message itself, so another one was taken */
    unsigned                        time_guessed:1;

    /* an allocation failed */
    unsigned                        failed:1;
} ngx_http_waha_reader_t;


/*
 * Reads a payload into reader->event.  NGX_DECLINED: event->missing names the
 * member for want of which it cannot be read.  NGX_DONE: the event is to be
 * ignored for event->reason, whatever was read of it.  NGX_ERROR: no memory.
 */
typedef ngx_int_t (*ngx_http_waha_reader_pt)(ngx_http_waha_reader_t *reader);


/* Whether a text is 1 to 255 printable ASCII characters without spaces. */
ngx_uint_t ngx_http_waha_reader_is_id(ngx_str_t *id);

/* Sets the reason and returns NGX_DONE. */
ngx_int_t ngx_http_waha_reader_ignore(ngx_http_waha_reader_t *reader,
    const char *reason);

/* Sets the member that is missing or not valid and returns NGX_DECLINED. */
ngx_int_t ngx_http_waha_reader_miss(ngx_http_waha_reader_t *reader,
    const char *member);

/* The time of WAHA's event, else the current one; both in milliseconds. */
int64_t ngx_http_waha_reader_event_time(ngx_http_waha_reader_t *reader);

/* The time of a message or call, else event_time() and time_guessed. */
int64_t ngx_http_waha_reader_message_time(ngx_http_waha_reader_t *reader,
    const cJSON *message);

/*
 * A JID, which WEBJS may send as an object; data is NULL if there is none of
 * at most 255 printable characters.
 */
ngx_str_t ngx_http_waha_reader_get_jid(ngx_http_waha_reader_t *reader,
    const cJSON *object, const char *name);

/*
 * The bare id of a message whose id or key is given; NGX_DECLINED: none.
 */
ngx_int_t ngx_http_waha_reader_parse_target(const cJSON *id,
    ngx_str_t *target);

/*
 * Reads ids, direction, chat, person and name of a WAMessage, which becomes
 * reader->message; name: of the member, for event->missing.
 */
ngx_int_t ngx_http_waha_reader_read_identity(ngx_http_waha_reader_t *reader,
    cJSON *message, const char *name);


#endif /* _NGX_HTTP_WAHA_READER_H_INCLUDED_ */
