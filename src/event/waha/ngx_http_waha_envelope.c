
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_change.h>
#include <ngx_http_waha_envelope.h>
#include <ngx_http_waha_message.h>
#include <ngx_http_waha_metadata.h>
#include <ngx_http_waha_person.h>
#include <ngx_http_waha_reader.h>
#include <ngx_http_waha_session_info.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


typedef struct {
    ngx_str_t                   name;
    ngx_http_waha_kind_e        kind;
    ngx_http_waha_reader_pt     read;
} ngx_http_waha_envelope_event_t;


static ngx_int_t ngx_http_waha_envelope_read_organization(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_envelope_read_label(
    ngx_http_waha_reader_t *reader, const cJSON *metadata, const char *name,
    ngx_str_t *label);
static ngx_int_t ngx_http_waha_envelope_read_event(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_envelope_read_session(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_envelope_read_restrictions(
    ngx_http_waha_reader_t *reader, const cJSON *me);
static ngx_int_t ngx_http_waha_envelope_read_call(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_envelope_find_caller(
    ngx_http_waha_reader_t *reader);


static ngx_http_waha_envelope_event_t  ngx_http_waha_envelope_events[] = {

    { ngx_string("message"),
      NGX_HTTP_WAHA_MESSAGE, ngx_http_waha_message_read },

    { ngx_string("message.any"),
      NGX_HTTP_WAHA_MESSAGE, ngx_http_waha_message_read },

    { ngx_string("message.ack"),
      NGX_HTTP_WAHA_STATUS, ngx_http_waha_change_read_status },

    { ngx_string("message.ack.group"),
      NGX_HTTP_WAHA_STATUS, ngx_http_waha_change_read_status },

    { ngx_string("message.reaction"),
      NGX_HTTP_WAHA_REACTION, ngx_http_waha_change_read_reaction },

    { ngx_string("message.edited"),
      NGX_HTTP_WAHA_EDIT, ngx_http_waha_change_read_edit },

    { ngx_string("message.revoked"),
      NGX_HTTP_WAHA_REVOKE, ngx_http_waha_change_read_revoke },

    { ngx_string("poll.vote"),
      NGX_HTTP_WAHA_VOTE, ngx_http_waha_change_read_vote },

    { ngx_string("session.status"),
      NGX_HTTP_WAHA_SESSION, ngx_http_waha_envelope_read_session },

    { ngx_string("call.received"),
      NGX_HTTP_WAHA_CALL, ngx_http_waha_envelope_read_call },

    { ngx_string("call.accepted"),
      NGX_HTTP_WAHA_CALL, ngx_http_waha_envelope_read_call },

    { ngx_string("call.rejected"),
      NGX_HTTP_WAHA_CALL, ngx_http_waha_envelope_read_call },

    { ngx_null_string, NGX_HTTP_WAHA_OTHER, NULL }
};


ngx_int_t
ngx_http_waha_envelope_parse(ngx_pool_t *pool, ngx_str_t *body,
    ngx_array_t *events)
{
    cJSON                   *json;
    ngx_int_t                rc;
    ngx_str_t                text;
    ngx_uint_t               replaced;
    ngx_http_waha_event_t   *event;
    ngx_http_waha_reader_t   reader;

    text = *body;

    rc = ngx_http_waha_json_clean(pool, &text, &replaced);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_ABORT : rc;
    }

    rc = ngx_http_waha_json_parse(pool, &text, &json);

    if (rc != NGX_OK) {
        return rc;
    }

    event = ngx_array_push(events);
    if (event == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(event, sizeof(ngx_http_waha_event_t));

    event->sanitised = replaced ? 1 : 0;
    event->event = ngx_http_waha_json_get_string(json, "event");
    event->session = ngx_http_waha_json_get_string(json, "session");
    event->delivered_at = ngx_http_waha_field_time(
                             ngx_http_waha_json_get(json, "timestamp"));

    ngx_memzero(&reader, sizeof(ngx_http_waha_reader_t));

    reader.pool = pool;
    reader.text = &text;
    reader.envelope = json;
    reader.event = event;

    if (!ngx_http_waha_reader_is_id(&event->event)) {
        return ngx_http_waha_reader_miss(&reader, "event");
    }

    if (!ngx_http_waha_value_is_session(&event->session)) {
        return ngx_http_waha_reader_miss(&reader, "session");
    }

    if (ngx_http_waha_envelope_read_organization(&reader) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_waha_person_read_me(&reader);

    rc = ngx_http_waha_envelope_read_event(&reader);

    if (reader.failed) {
        return NGX_ERROR;
    }

    /* the session is known, so that the delivery can be kept */

    return (rc == NGX_DECLINED) ? NGX_ABORT : rc;
}


static ngx_int_t
ngx_http_waha_envelope_read_organization(ngx_http_waha_reader_t *reader)
{
    cJSON                  *metadata;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    metadata = ngx_http_waha_json_get(reader->envelope, "metadata");

    if (ngx_http_waha_envelope_read_label(reader, metadata, "organization_slug",
                                          &event->organization_slug)
            != NGX_OK
        || ngx_http_waha_envelope_read_label(reader, metadata,
                                             "organization_id",
                                             &event->organization_id)
            != NGX_OK
        || ngx_http_waha_envelope_read_label(reader, metadata, "tenant.id",
                                             &event->tenant)
            != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (event->tenant.data) {
        return NGX_OK;
    }

    return ngx_http_waha_envelope_read_label(reader, metadata, "tenant_id",
                                             &event->tenant);
}


/* a string, or an integer as text; data is NULL for anything else */

static ngx_int_t
ngx_http_waha_envelope_read_label(ngx_http_waha_reader_t *reader,
    const cJSON *metadata, const char *name, ngx_str_t *label)
{
    cJSON      *item;
    ngx_int_t   rc;

    *label = ngx_http_waha_json_get_string(metadata, name);

    if (ngx_http_waha_reader_is_id(label)) {
        return NGX_OK;
    }

    item = ngx_http_waha_json_get(metadata, name);

    rc = ngx_http_waha_json_integer(reader->pool, reader->text,
                                    reader->envelope, item, label);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK
        || label->data[0] == '-'
        || !ngx_http_waha_reader_is_id(label))
    {
        ngx_str_null(label);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_envelope_read_event(ngx_http_waha_reader_t *reader)
{
    ngx_int_t                        rc;
    ngx_http_waha_event_t           *event, unread;
    ngx_http_waha_envelope_event_t  *known;

    event = reader->event;
    event->kind = NGX_HTTP_WAHA_OTHER;

    for (known = ngx_http_waha_envelope_events; known->read; known++) {

        if (ngx_http_waha_string_is_equal(&event->event, &known->name)) {
            break;
        }
    }

    ngx_str_set(&event->reason, "event");

    if (known->read == NULL) {
        return NGX_OK;
    }

    reader->payload = ngx_http_waha_json_get(reader->envelope, "payload");

    if (!cJSON_IsObject(reader->payload)) {
        return ngx_http_waha_reader_miss(reader, "payload");
    }

    unread = *event;
    event->kind = known->kind;

    rc = known->read(reader);

    if (rc == NGX_DONE) {
        unread.reason = event->reason;
        *event = unread;
        return NGX_OK;
    }

    ngx_str_null(&event->reason);

    /* the metadata of messages and calls has that member already */

    if (event->sanitised && event->metadata.data == NULL) {
        ngx_str_set(&event->metadata, "{\"sanitised\":true}");
    }

    return rc;
}


static ngx_int_t
ngx_http_waha_envelope_read_session(ngx_http_waha_reader_t *reader)
{
    cJSON                  *me, *statuses;
    ngx_str_t               name;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    event->status = ngx_http_waha_json_get_string(reader->payload, "status");

    if (!ngx_http_waha_reader_is_id(&event->status)) {
        return ngx_http_waha_reader_miss(reader, "payload.status");
    }

    /* the last one of them; cJSON keeps it as "prev" of the first */

    statuses = ngx_http_waha_json_get(reader->payload, "statuses");

    if (cJSON_IsArray(statuses) && statuses->child) {
        event->sent_at = ngx_http_waha_field_time(
                             ngx_http_waha_json_get(statuses->child->prev,
                                                    "timestamp"));
    }

    if (event->sent_at == 0) {
        event->sent_at = ngx_http_waha_reader_event_time(reader);
    }

    me = ngx_http_waha_json_get(reader->envelope, "me");

    event->phone = ngx_http_waha_session_info_phone(me);

    name = ngx_http_waha_json_get_string(me, "pushName");
    event->name = ngx_http_waha_field_display_name(&name);

    return ngx_http_waha_envelope_read_restrictions(reader, me);
}


/* they change without a new status, so they have a time of their own */

static ngx_int_t
ngx_http_waha_envelope_read_restrictions(ngx_http_waha_reader_t *reader,
    const cJSON *me)
{
    ngx_str_t                 restrictions;
    ngx_http_waha_json_out_t  out;

    if (ngx_http_waha_session_info_write_restrictions(reader->pool,
                               ngx_http_waha_json_get(reader->payload, "data"),
                               me, &restrictions)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (restrictions.data == NULL) {
        return NGX_OK;
    }

    ngx_http_waha_json_start(&out, reader->pool, 64 + restrictions.len);

    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_raw(&out, "restrictions", &restrictions);
    ngx_http_waha_json_put_number(&out, "told_at",
                           (double) ngx_http_waha_reader_event_time(reader));
    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_json_end(&out, &reader->event->metadata);
}


static ngx_int_t
ngx_http_waha_envelope_read_call(ngx_http_waha_reader_t *reader)
{
    ngx_int_t               rc;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    reader->message = reader->payload;
    reader->data = ngx_http_waha_json_get(reader->payload, "_data");
    reader->id = ngx_http_waha_json_get_string(reader->payload, "id");

    if (!ngx_http_waha_reader_is_id(&reader->id)) {
        return ngx_http_waha_reader_miss(reader, "payload.id");
    }

    if (ngx_http_waha_envelope_find_caller(reader) != NGX_OK) {
        return ngx_http_waha_reader_miss(reader, "payload.from");
    }

    event->message_id = reader->id;

    /* "received" of "call.received" */
    event->status.data = event->event.data + sizeof("call.") - 1;
    event->status.len = event->event.len - (sizeof("call.") - 1);

    rc = ngx_http_waha_person_read(reader);

    if (rc != NGX_OK) {
        return rc;
    }

    if (cJSON_IsTrue(ngx_http_waha_json_get(reader->payload, "isGroup"))) {
        event->chat = NGX_HTTP_WAHA_GROUP;
        event->chat_id = ngx_http_waha_reader_get_jid(reader, reader->data,
                                                      "groupJid");

        if (event->chat_id.len == 0) {
            event->chat_id = ngx_http_waha_reader_get_jid(reader, reader->data,
                                                          "GroupJID");
        }
    }

    if (cJSON_IsTrue(ngx_http_waha_json_get(reader->payload, "isVideo"))) {
        ngx_str_set(&event->type, "video");

    } else {
        ngx_str_set(&event->type, "audio");
    }

    event->sent_at = ngx_http_waha_reader_message_time(reader, reader->payload);

    return ngx_http_waha_metadata_write_call(reader);
}


/* our own device may have accepted or rejected it */

static ngx_int_t
ngx_http_waha_envelope_find_caller(ngx_http_waha_reader_t *reader)
{
    ngx_str_t   places[3];
    ngx_uint_t  i;

    places[0] = ngx_http_waha_reader_get_jid(reader, reader->payload, "from");
    places[1] = ngx_http_waha_reader_get_jid(reader, reader->data,
                                             "CallCreator");
    places[2] = ngx_http_waha_reader_get_jid(reader, reader->data, "chatId");

    reader->chat = places[0];

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {

        if (places[i].len
            && !ngx_http_waha_person_is_me(reader, &places[i]))
        {
            reader->chat = places[i];
            break;
        }
    }

    return reader->chat.len ? NGX_OK : NGX_DECLINED;
}
