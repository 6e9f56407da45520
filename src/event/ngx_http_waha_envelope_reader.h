
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_ENVELOPE_READER_H_INCLUDED_
#define _NGX_HTTP_WAHA_ENVELOPE_READER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_event.h>
#include <ngx_http_waha_identity.h>
#include <ngx_http_waha_json.h>


#define NGX_HTTP_WAHA_ID_MAX  255


/* one envelope while it is read; shared by the files "envelope*" only */

typedef struct {
    ngx_pool_t                  *pool;
    cJSON                       *envelope;
    cJSON                       *payload;
    ngx_http_waha_event_t       *event;

    /* the WhatsApp message in question, and what its id says */
    cJSON                       *message;
    ngx_str_t                    id;
    ngx_str_t                    chat;
    ngx_str_t                    participant;

    /* the proto message of NOWEB and GOWS: "imageMessage" */
    cJSON                       *content;

    unsigned                     time_missing:1;
} ngx_http_waha_reader_t;


/*
 * What the readers of payloads return.  NGX_DECLINED: not what WAHA would
 * send.  NGX_DONE: of no concern here.
 */
typedef ngx_int_t (*ngx_http_waha_reader_pt)(ngx_http_waha_reader_t *reader);


/* An identifier that may go into a key: printable ASCII, not too long. */
ngx_int_t ngx_http_waha_envelope_id(ngx_str_t *id);

/*
 * Milliseconds of a time in seconds (scale 1000) or milliseconds (1); 0 when
 * it is none between 1970 and 2100.
 */
int64_t ngx_http_waha_envelope_time(const cJSON *value, ngx_uint_t scale);

/* The time of the event itself: as WAHA says, else the present. */
int64_t ngx_http_waha_envelope_created(ngx_http_waha_reader_t *reader);

/* The time that a message or call gives for itself, else that of the event. */
int64_t ngx_http_waha_envelope_sent_at(ngx_http_waha_reader_t *reader,
    const cJSON *message);

/* The reader of "message" and "message.any". */
ngx_int_t ngx_http_waha_envelope_message(ngx_http_waha_reader_t *reader);

/* Reads ids, direction, chat, person and name of a WhatsApp message. */
ngx_int_t ngx_http_waha_envelope_head(ngx_http_waha_reader_t *reader,
    cJSON *message);

/* Finds the other person behind a chat id. */
ngx_int_t ngx_http_waha_envelope_person(ngx_http_waha_reader_t *reader,
    ngx_str_t *chat, ngx_str_t *participant);

/* A display name, shortened; missing when there is nothing to see. */
ngx_str_t ngx_http_waha_envelope_name(ngx_str_t *name);

/* The proto message in a "_data" of NOWEB or GOWS, or NULL. */
cJSON *ngx_http_waha_envelope_proto(const cJSON *data);

/* Write event->metadata of a message and of a call. */
ngx_int_t ngx_http_waha_envelope_message_metadata(
    ngx_http_waha_reader_t *reader);
ngx_int_t ngx_http_waha_envelope_call_metadata(
    ngx_http_waha_reader_t *reader);


#endif /* _NGX_HTTP_WAHA_ENVELOPE_READER_H_INCLUDED_ */
