
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_change.h>
#include <ngx_http_waha_string.h>


typedef struct {
    ngx_str_t                   name;
    ngx_str_t                   status;
} ngx_http_waha_change_ack_t;


static ngx_int_t ngx_http_waha_change_parse_ack(const cJSON *payload,
    ngx_str_t *status);
static int64_t ngx_http_waha_change_edit_time(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_change_parse_target(ngx_str_t *id,
    ngx_str_t *target);


/* in the order of WAHA's "ack", which counts from -1 */

static ngx_http_waha_change_ack_t  ngx_http_waha_change_acks[] = {
    { ngx_string("ERROR"), ngx_string("failed") },
    { ngx_string("PENDING"), ngx_string("pending") },
    { ngx_string("SERVER"), ngx_string("sent") },
    { ngx_string("DEVICE"), ngx_string("delivered") },
    { ngx_string("READ"), ngx_string("read") },
    { ngx_string("PLAYED"), ngx_string("played") },
    { ngx_null_string, ngx_null_string }
};


ngx_int_t
ngx_http_waha_change_read_status(ngx_http_waha_reader_t *reader)
{
    ngx_int_t               rc;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    rc = ngx_http_waha_reader_read_identity(reader, reader->payload);

    if (rc != NGX_OK) {
        return rc;
    }

    event->target_id = event->message_id;

    /* the payload has the time of the message in WEBJS, and none elsewhere */
    event->sent_at = ngx_http_waha_reader_event_time(reader);

    return ngx_http_waha_change_parse_ack(reader->payload, &event->status);
}


static ngx_int_t
ngx_http_waha_change_parse_ack(const cJSON *payload, ngx_str_t *status)
{
    cJSON                       *ack;
    ngx_str_t                    name;
    ngx_uint_t                   i;
    ngx_http_waha_change_ack_t  *known;

    known = ngx_http_waha_change_acks;

    ack = ngx_http_waha_json_get(payload, "ack");
    name = ngx_http_waha_json_get_string(payload, "ackName");

    for (i = 0; known[i].name.len; i++) {

        if (cJSON_IsNumber(ack)) {

            if (ack->valuedouble != (double) i - 1) {
                continue;
            }

        } else if (!ngx_http_waha_string_is_equal(&name, &known[i].name)) {
            continue;
        }

        *status = known[i].status;

        return NGX_OK;
    }

    return NGX_DONE;
}


ngx_int_t
ngx_http_waha_change_read_reaction(ngx_http_waha_reader_t *reader)
{
    cJSON                  *reaction;
    ngx_int_t               rc;
    ngx_str_t               id;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    rc = ngx_http_waha_reader_read_identity(reader, reader->payload);

    if (rc != NGX_OK) {
        return rc;
    }

    reaction = ngx_http_waha_json_get(reader->payload, "reaction");

    id = ngx_http_waha_json_get_string(reaction, "messageId");
    event->text = ngx_http_waha_json_get_string(reaction, "text");

    if (event->text.data == NULL) {
        ngx_str_set(&event->text, "");
    }

    event->sent_at = ngx_http_waha_reader_message_time(reader, reader->payload);

    return ngx_http_waha_change_parse_target(&id, &event->target_id);
}


ngx_int_t
ngx_http_waha_change_read_edit(ngx_http_waha_reader_t *reader)
{
    ngx_int_t               rc;
    ngx_str_t               id;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    rc = ngx_http_waha_reader_read_identity(reader, reader->payload);

    if (rc != NGX_OK) {
        return rc;
    }

    event->text = ngx_http_waha_json_get_string(reader->payload, "body");

    if (event->text.data == NULL) {
        return NGX_DONE;
    }

    event->sent_at = ngx_http_waha_change_edit_time(reader);

    id = ngx_http_waha_json_get_string(reader->payload, "editedMessageId");

    if (id.len == 0) {
        /* WEBJS: the edit has the id of the message */
        event->target_id = event->message_id;
        return NGX_OK;
    }

    return ngx_http_waha_change_parse_target(&id, &event->target_id);
}


/* milliseconds where there are any, to order two edits of one second */

static int64_t
ngx_http_waha_change_edit_time(ngx_http_waha_reader_t *reader)
{
    cJSON       *data, *proto, *times[3];
    int64_t      ms;
    ngx_uint_t   i;

    data = ngx_http_waha_json_get(reader->payload, "_data");
    proto = ngx_http_waha_json_get(ngx_http_waha_reader_proto(data),
                                   "protocolMessage");

    /* NOWEB, GOWS, WEBJS */

    times[0] = ngx_http_waha_json_get(proto, "timestampMs");
    times[1] = ngx_http_waha_json_get(proto, "timestampMS");
    times[2] = ngx_http_waha_json_get(data, "latestEditSenderTimestampMs");

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        ms = ngx_http_waha_reader_time(times[i], 1);

        if (ms) {
            return ms;
        }
    }

    /* WEBJS alone has "_data.type"; its timestamp is that of the message */

    if (ngx_http_waha_json_get_string(data, "type").data) {
        return ngx_http_waha_reader_event_time(reader);
    }

    return ngx_http_waha_reader_message_time(reader, reader->payload);
}


ngx_int_t
ngx_http_waha_change_read_revoke(ngx_http_waha_reader_t *reader)
{
    cJSON                  *after, *before, *message;
    ngx_int_t               rc;
    ngx_str_t               id;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    after = ngx_http_waha_json_get(reader->payload, "after");
    before = ngx_http_waha_json_get(reader->payload, "before");
    id = ngx_http_waha_json_get_string(reader->payload, "revokedMessageId");

    message = after ? after : before;

    if (message == NULL && id.len == 0) {
        return NGX_DONE;
    }

    if (message) {
        rc = ngx_http_waha_reader_read_identity(reader, message);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (id.len == 0) {
        id = ngx_http_waha_json_get_string(before ? before : after, "id");
    }

    if (ngx_http_waha_change_parse_target(&id, &event->target_id) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (event->message_id.data == NULL) {
        event->message_id = event->target_id;
    }

    /* WEBJS: the revoke has the id and the time of the message */

    if (ngx_http_waha_string_is_equal(&event->message_id, &event->target_id)) {
        event->sent_at = ngx_http_waha_reader_event_time(reader);

    } else {
        event->sent_at = ngx_http_waha_reader_message_time(reader, message);
    }

    return NGX_OK;
}


/* takes the bare WhatsApp id, or WAHA's longer one that contains it */

static ngx_int_t
ngx_http_waha_change_parse_target(ngx_str_t *id, ngx_str_t *target)
{
    ngx_http_waha_message_id_t  parts;

    if (!ngx_http_waha_reader_is_id(id)) {
        return NGX_DECLINED;
    }

    (void) ngx_http_waha_identity_parse_message_id(id, &parts);

    *target = parts.id;

    return NGX_OK;
}
