
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_READER_H_INCLUDED_
#define _NGX_HTTP_WAHA_READER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_event.h>
#include <ngx_http_waha_identity.h>
#include <ngx_http_waha_json.h>


/* one delivery while it is read; for the files of this folder only */

typedef struct {
    ngx_pool_t                  *pool;
    cJSON                       *envelope;
    cJSON                       *payload;
    ngx_http_waha_event_t       *event;

    /* the WhatsApp message in question, and the parts of its id */
    cJSON                       *message;
    ngx_str_t                    id;
    ngx_str_t                    chat;
    ngx_str_t                    participant;

    /* the member of the proto message that holds the content, or NULL */
    cJSON                       *content;

    unsigned                     time_missing:1;
} ngx_http_waha_reader_t;


/*
 * A function that reads a payload into reader->event.  NGX_DECLINED: WAHA
 * does not send such a payload; NGX_DONE: the event concerns nobody here;
 * NGX_ERROR: no memory.
 */
typedef ngx_int_t (*ngx_http_waha_reader_pt)(ngx_http_waha_reader_t *reader);


/* Whether a text may become part of a key: printable ASCII, not too long. */
ngx_uint_t ngx_http_waha_reader_is_id(ngx_str_t *id);

/*
 * Milliseconds since 1970 of a value in seconds (scale 1000) or milliseconds
 * (scale 1); 0 for what is not a time between 1970 and 2100.
 */
int64_t ngx_http_waha_reader_time(const cJSON *value, ngx_uint_t scale);

/* The time that WAHA gives the delivery, else the present. */
int64_t ngx_http_waha_reader_event_time(ngx_http_waha_reader_t *reader);

/* The time that a message or call gives for itself, else event_time(). */
int64_t ngx_http_waha_reader_message_time(ngx_http_waha_reader_t *reader,
    const cJSON *message);

/* Reads ids, direction, chat, person and name of a WhatsApp message. */
ngx_int_t ngx_http_waha_reader_head(ngx_http_waha_reader_t *reader,
    cJSON *message);

/* Reads the other person behind a chat id; in a group, the participant. */
ngx_int_t ngx_http_waha_reader_person(ngx_http_waha_reader_t *reader,
    ngx_str_t *chat, ngx_str_t *participant);

/* A display name, shortened; data is NULL when it cannot be seen. */
ngx_str_t ngx_http_waha_reader_display_name(ngx_str_t *name);

/* The proto message in a "_data" of NOWEB or GOWS; NULL: there is none. */
cJSON *ngx_http_waha_reader_proto(const cJSON *data);


#endif /* _NGX_HTTP_WAHA_READER_H_INCLUDED_ */
