
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


/* a delivery that is being read; only for the files of this folder */

typedef struct {
    ngx_pool_t                  *pool;
    ngx_str_t                   *text;          /* of the envelope */
    cJSON                       *envelope;
    cJSON                       *payload;
    ngx_http_waha_event_t       *event;

    /* the WAMessage of the payload, its id, and the JIDs of both */
    cJSON                       *message;
    ngx_str_t                    id;
    ngx_str_t                    chat;
    ngx_str_t                    participant;

    /* NOWEB, GOWS: the member of the proto message with the content, or NULL */
    cJSON                       *content;

    /* WAHA sent no time, and event_time() took the current one */
    unsigned                     time_missing:1;
} ngx_http_waha_reader_t;


/*
 * Reads a payload into reader->event.  NGX_DECLINED: WAHA does not send such a
 * payload.  NGX_DONE: the event is to be ignored, whatever was read of it.
 * NGX_ERROR: no memory.
 */
typedef ngx_int_t (*ngx_http_waha_reader_pt)(ngx_http_waha_reader_t *reader);


/* Whether a text is 1 to 255 printable ASCII characters without spaces. */
ngx_uint_t ngx_http_waha_reader_is_id(ngx_str_t *id);

/*
 * Milliseconds since 1970; value is a number or string in seconds (scale 1000)
 * or milliseconds (scale 1).  0: not a time between 1970 and 2100.
 */
int64_t ngx_http_waha_reader_time(const cJSON *value, ngx_uint_t scale);

/* The time of WAHA's event, else the current one; both in milliseconds. */
int64_t ngx_http_waha_reader_event_time(ngx_http_waha_reader_t *reader);

/* The time of a message or call, else event_time(). */
int64_t ngx_http_waha_reader_message_time(ngx_http_waha_reader_t *reader,
    const cJSON *message);

/*
 * Reads ids, direction, chat, person and name of a WAMessage, which becomes
 * reader->message.
 */
ngx_int_t ngx_http_waha_reader_read_identity(ngx_http_waha_reader_t *reader,
    cJSON *message);

/*
 * Reads the other person of reader->chat: in a direct chat the one of its JID,
 * elsewhere the participant who wrote.
 */
ngx_int_t ngx_http_waha_reader_read_person(ngx_http_waha_reader_t *reader);

/* A display name of at most 255 bytes; data is NULL if it shows nothing. */
ngx_str_t ngx_http_waha_reader_display_name(ngx_str_t *name);

/* The proto message in "_data" of NOWEB or GOWS; NULL: there is none. */
cJSON *ngx_http_waha_reader_proto(const cJSON *data);


#endif /* _NGX_HTTP_WAHA_READER_H_INCLUDED_ */
