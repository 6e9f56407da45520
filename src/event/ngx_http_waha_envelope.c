
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_envelope.h>
#include <ngx_http_waha_envelope_reader.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


/* 2100-01-01, in milliseconds */
#define NGX_HTTP_WAHA_TIME_MAX  4102444800000.0


typedef struct {
    ngx_str_t                   name;
    ngx_http_waha_kind_e        kind;
    ngx_http_waha_reader_pt     read;
} ngx_http_waha_envelope_event_t;


typedef struct {
    ngx_str_t                   name;
    ngx_str_t                   status;
} ngx_http_waha_envelope_ack_t;


static ngx_int_t ngx_http_waha_envelope_read(ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_envelope_organization(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_envelope_label(ngx_pool_t *pool,
    const cJSON *metadata, const char *name, ngx_str_t *label);
static ngx_int_t ngx_http_waha_envelope_target(ngx_str_t *id,
    ngx_str_t *target);
static ngx_int_t ngx_http_waha_envelope_status(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_envelope_ack(const cJSON *payload,
    ngx_str_t *status);
static ngx_int_t ngx_http_waha_envelope_reaction(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_envelope_edit(ngx_http_waha_reader_t *reader);
static int64_t ngx_http_waha_envelope_edited_at(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_envelope_revoke(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_envelope_session(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_envelope_call(ngx_http_waha_reader_t *reader);


static ngx_http_waha_envelope_event_t  ngx_http_waha_envelope_events[] = {

    { ngx_string("message"),
      NGX_HTTP_WAHA_MESSAGE, ngx_http_waha_envelope_message },

    { ngx_string("message.any"),
      NGX_HTTP_WAHA_MESSAGE, ngx_http_waha_envelope_message },

    { ngx_string("message.ack"),
      NGX_HTTP_WAHA_STATUS, ngx_http_waha_envelope_status },

    { ngx_string("message.ack.group"),
      NGX_HTTP_WAHA_STATUS, ngx_http_waha_envelope_status },

    { ngx_string("message.reaction"),
      NGX_HTTP_WAHA_REACTION, ngx_http_waha_envelope_reaction },

    { ngx_string("message.edited"),
      NGX_HTTP_WAHA_EDIT, ngx_http_waha_envelope_edit },

    { ngx_string("message.revoked"),
      NGX_HTTP_WAHA_REVOKE, ngx_http_waha_envelope_revoke },

    { ngx_string("session.status"),
      NGX_HTTP_WAHA_SESSION, ngx_http_waha_envelope_session },

    { ngx_string("call.received"),
      NGX_HTTP_WAHA_CALL, ngx_http_waha_envelope_call },

    { ngx_string("call.accepted"),
      NGX_HTTP_WAHA_CALL, ngx_http_waha_envelope_call },

    { ngx_string("call.rejected"),
      NGX_HTTP_WAHA_CALL, ngx_http_waha_envelope_call },

    { ngx_null_string, NGX_HTTP_WAHA_OTHER, NULL }
};


/* "ack" counts from -1 */

static ngx_http_waha_envelope_ack_t  ngx_http_waha_envelope_acks[] = {
    { ngx_string("ERROR"), ngx_string("failed") },
    { ngx_string("PENDING"), ngx_string("pending") },
    { ngx_string("SERVER"), ngx_string("sent") },
    { ngx_string("DEVICE"), ngx_string("delivered") },
    { ngx_string("READ"), ngx_string("read") },
    { ngx_string("PLAYED"), ngx_string("played") },
    { ngx_null_string, ngx_null_string }
};


ngx_int_t
ngx_http_waha_envelope_parse(ngx_pool_t *pool, ngx_str_t *body,
    ngx_http_waha_event_t *event)
{
    cJSON                   *json;
    ngx_int_t                rc;
    ngx_str_t                text;
    ngx_uint_t               replaced;
    ngx_http_waha_reader_t   reader;

    ngx_memzero(event, sizeof(ngx_http_waha_event_t));

    text = *body;

    rc = ngx_http_waha_json_clean(pool, &text, &replaced);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_ABORT : rc;
    }

    rc = ngx_http_waha_json_parse(pool, &text, &json);

    if (rc != NGX_OK) {
        return rc;
    }

    event->sanitised = replaced ? 1 : 0;
    event->event = ngx_http_waha_json_string(json, "event");
    event->session = ngx_http_waha_json_string(json, "session");

    if (ngx_http_waha_envelope_id(&event->event) != NGX_OK
        || !ngx_http_waha_value_is_session(&event->session))
    {
        return NGX_DECLINED;
    }

    ngx_memzero(&reader, sizeof(ngx_http_waha_reader_t));

    reader.pool = pool;
    reader.envelope = json;
    reader.event = event;

    if (ngx_http_waha_envelope_organization(&reader) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_waha_envelope_read(&reader);
}


static ngx_int_t
ngx_http_waha_envelope_read(ngx_http_waha_reader_t *reader)
{
    ngx_int_t                        rc;
    ngx_http_waha_event_t           *event, plain;
    ngx_http_waha_envelope_event_t  *known;

    event = reader->event;
    event->kind = NGX_HTTP_WAHA_OTHER;

    for (known = ngx_http_waha_envelope_events; known->read; known++) {

        if (ngx_http_waha_string_is_equal(&event->event, &known->name)) {
            break;
        }
    }

    if (known->read == NULL) {
        return NGX_OK;
    }

    reader->payload = ngx_http_waha_json_get(reader->envelope, "payload");

    if (!cJSON_IsObject(reader->payload)) {
        return NGX_DECLINED;
    }

    plain = *event;
    event->kind = known->kind;

    rc = known->read(reader);

    if (rc == NGX_DONE) {
        *event = plain;
        return NGX_OK;
    }

    /* messages and calls say it among other things */

    if (event->sanitised && event->metadata.data == NULL) {
        ngx_str_set(&event->metadata, "{\"sanitised\":true}");
    }

    return rc;
}


static ngx_int_t
ngx_http_waha_envelope_organization(ngx_http_waha_reader_t *reader)
{
    cJSON                  *metadata;
    ngx_pool_t             *pool;
    ngx_http_waha_event_t  *event;

    pool = reader->pool;
    event = reader->event;

    metadata = ngx_http_waha_json_get(reader->envelope, "metadata");

    if (ngx_http_waha_envelope_label(pool, metadata, "organization_slug",
                                     &event->organization_slug)
            != NGX_OK
        || ngx_http_waha_envelope_label(pool, metadata, "organization_id",
                                        &event->organization_id)
            != NGX_OK
        || ngx_http_waha_envelope_label(pool, metadata, "tenant.id",
                                        &event->tenant)
            != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (event->tenant.data) {
        return NGX_OK;
    }

    return ngx_http_waha_envelope_label(pool, metadata, "tenant_id",
                                        &event->tenant);
}


/* a string or number that can name an organization; else it names none */

static ngx_int_t
ngx_http_waha_envelope_label(ngx_pool_t *pool, const cJSON *metadata,
    const char *name, ngx_str_t *label)
{
    cJSON  *item;

    *label = ngx_http_waha_json_string(metadata, name);

    if (ngx_http_waha_envelope_id(label) == NGX_OK) {
        return NGX_OK;
    }

    ngx_str_null(label);

    item = ngx_http_waha_json_get(metadata, name);

    /* doubles are exact up to here */

    if (!cJSON_IsNumber(item)
        || !(item->valuedouble >= 0 && item->valuedouble < 1e15)
        || item->valuedouble != (double) (int64_t) item->valuedouble)
    {
        return NGX_OK;
    }

    label->data = ngx_pnalloc(pool, NGX_INT64_LEN + 1);
    if (label->data == NULL) {
        return NGX_ERROR;
    }

    label->len = snprintf((char *) label->data, NGX_INT64_LEN + 1, "%.0f",
                          item->valuedouble);

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_envelope_id(ngx_str_t *id)
{
    if (id->len > NGX_HTTP_WAHA_ID_MAX) {
        return NGX_DECLINED;
    }

    return ngx_http_waha_printable(id);
}


int64_t
ngx_http_waha_envelope_time(const cJSON *value, ngx_uint_t scale)
{
    char    *end;
    double   ms;

    if (cJSON_IsNumber(value)) {
        ms = value->valuedouble;

    } else if (cJSON_IsString(value)
               && value->valuestring[0] >= '0' && value->valuestring[0] <= '9')
    {
        ms = strtod(value->valuestring, &end);

        if (*end != '\0') {
            return 0;
        }

    } else {
        return 0;
    }

    ms *= scale;

    /* NaN is not in this range either */

    if (!(ms >= 1 && ms <= NGX_HTTP_WAHA_TIME_MAX)) {
        return 0;
    }

    return (int64_t) (ms + 0.5);
}


int64_t
ngx_http_waha_envelope_created(ngx_http_waha_reader_t *reader)
{
    int64_t  ms;

    ms = ngx_http_waha_envelope_time(
             ngx_http_waha_json_get(reader->envelope, "timestamp"), 1);

    if (ms) {
        return ms;
    }

    reader->time_missing = 1;

    return (int64_t) ngx_time() * 1000;
}


int64_t
ngx_http_waha_envelope_sent_at(ngx_http_waha_reader_t *reader,
    const cJSON *message)
{
    int64_t  ms;

    ms = ngx_http_waha_envelope_time(
             ngx_http_waha_json_get(message, "timestamp"), 1000);

    return ms ? ms : ngx_http_waha_envelope_created(reader);
}


/* a bare id or one of WAHA's long form */

static ngx_int_t
ngx_http_waha_envelope_target(ngx_str_t *id, ngx_str_t *target)
{
    ngx_http_waha_message_id_t  parts;

    if (ngx_http_waha_envelope_id(id) != NGX_OK) {
        return NGX_DECLINED;
    }

    (void) ngx_http_waha_message_id_parse(id, &parts);

    *target = parts.id;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_envelope_status(ngx_http_waha_reader_t *reader)
{
    ngx_int_t               rc;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    rc = ngx_http_waha_envelope_head(reader, reader->payload);

    if (rc != NGX_OK) {
        return rc;
    }

    event->target_id = event->message_id;

    /* WEBJS gives the time of the message here, others none */
    event->sent_at = ngx_http_waha_envelope_created(reader);

    return ngx_http_waha_envelope_ack(reader->payload, &event->status);
}


static ngx_int_t
ngx_http_waha_envelope_ack(const cJSON *payload, ngx_str_t *status)
{
    cJSON                         *ack;
    ngx_str_t                      name;
    ngx_uint_t                     i;
    ngx_http_waha_envelope_ack_t  *known;

    known = ngx_http_waha_envelope_acks;

    ack = ngx_http_waha_json_get(payload, "ack");
    name = ngx_http_waha_json_string(payload, "ackName");

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


static ngx_int_t
ngx_http_waha_envelope_reaction(ngx_http_waha_reader_t *reader)
{
    cJSON                  *reaction;
    ngx_int_t               rc;
    ngx_str_t               id;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    rc = ngx_http_waha_envelope_head(reader, reader->payload);

    if (rc != NGX_OK) {
        return rc;
    }

    reaction = ngx_http_waha_json_get(reader->payload, "reaction");

    id = ngx_http_waha_json_string(reaction, "messageId");
    event->text = ngx_http_waha_json_string(reaction, "text");

    if (event->text.data == NULL) {
        /* taken back */
        ngx_str_set(&event->text, "");
    }

    event->sent_at = ngx_http_waha_envelope_sent_at(reader, reader->payload);

    return ngx_http_waha_envelope_target(&id, &event->target_id);
}


static ngx_int_t
ngx_http_waha_envelope_edit(ngx_http_waha_reader_t *reader)
{
    ngx_int_t               rc;
    ngx_str_t               id;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    rc = ngx_http_waha_envelope_head(reader, reader->payload);

    if (rc != NGX_OK) {
        return rc;
    }

    event->text = ngx_http_waha_json_string(reader->payload, "body");

    if (event->text.data == NULL) {
        return NGX_DONE;
    }

    event->sent_at = ngx_http_waha_envelope_edited_at(reader);

    id = ngx_http_waha_json_string(reader->payload, "editedMessageId");

    if (id.len == 0) {
        /* WEBJS: the edit has the id of the message */
        event->target_id = event->message_id;
        return NGX_OK;
    }

    return ngx_http_waha_envelope_target(&id, &event->target_id);
}


/* two edits in one second are common: milliseconds are looked for first */

static int64_t
ngx_http_waha_envelope_edited_at(ngx_http_waha_reader_t *reader)
{
    cJSON    *data, *proto;
    int64_t   ms;

    data = ngx_http_waha_json_get(reader->payload, "_data");
    proto = ngx_http_waha_json_get(ngx_http_waha_envelope_proto(data),
                                   "protocolMessage");

    ms = ngx_http_waha_envelope_time(
             ngx_http_waha_json_get(proto, "timestampMs"), 1);

    if (ms == 0) {
        ms = ngx_http_waha_envelope_time(
                 ngx_http_waha_json_get(proto, "timestampMS"), 1);
    }

    if (ms == 0) {
        ms = ngx_http_waha_envelope_time(
                 ngx_http_waha_json_get(data, "latestEditSenderTimestampMs"),
                 1);
    }

    if (ms) {
        return ms;
    }

    /* WEBJS's timestamp is that of the message */

    if (ngx_http_waha_json_string(data, "type").data) {
        return ngx_http_waha_envelope_created(reader);
    }

    return ngx_http_waha_envelope_sent_at(reader, reader->payload);
}


static ngx_int_t
ngx_http_waha_envelope_revoke(ngx_http_waha_reader_t *reader)
{
    cJSON                  *after, *before, *message;
    ngx_int_t               rc;
    ngx_str_t               id;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    after = ngx_http_waha_json_get(reader->payload, "after");
    before = ngx_http_waha_json_get(reader->payload, "before");
    id = ngx_http_waha_json_string(reader->payload, "revokedMessageId");

    message = after ? after : before;

    if (message == NULL && id.len == 0) {
        return NGX_DONE;
    }

    if (message) {
        rc = ngx_http_waha_envelope_head(reader, message);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (id.len == 0) {
        id = ngx_http_waha_json_string(before ? before : after, "id");
    }

    if (ngx_http_waha_envelope_target(&id, &event->target_id) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (event->message_id.data == NULL) {
        event->message_id = event->target_id;
    }

    /* WEBJS's messages have the time of the message that is gone */

    if (ngx_http_waha_string_is_equal(&event->message_id, &event->target_id)) {
        event->sent_at = ngx_http_waha_envelope_created(reader);

    } else {
        event->sent_at = ngx_http_waha_envelope_sent_at(reader, message);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_envelope_session(ngx_http_waha_reader_t *reader)
{
    cJSON                  *me, *last;
    ngx_str_t               jid;
    ngx_http_waha_jid_t     own;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    event->status = ngx_http_waha_json_string(reader->payload, "status");

    if (ngx_http_waha_envelope_id(&event->status) != NGX_OK) {
        return NGX_DECLINED;
    }

    last = ngx_http_waha_json_get(reader->payload, "statuses");

    /* cJSON keeps the last element as "prev" of the first */

    if (cJSON_IsArray(last) && last->child) {
        event->sent_at = ngx_http_waha_envelope_time(
                             ngx_http_waha_json_get(last->child->prev,
                                                    "timestamp"),
                             1);
    }

    if (event->sent_at == 0) {
        event->sent_at = ngx_http_waha_envelope_created(reader);
    }

    me = ngx_http_waha_json_get(reader->envelope, "me");

    jid = ngx_http_waha_json_string(me, "id");

    if (ngx_http_waha_jid_parse(&jid, &own) == NGX_OK) {
        event->phone = own.phone;
    }

    jid = ngx_http_waha_json_string(me, "pushName");
    event->name = ngx_http_waha_envelope_name(&jid);

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_envelope_call(ngx_http_waha_reader_t *reader)
{
    ngx_int_t               rc;
    ngx_str_t               none;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    reader->id = ngx_http_waha_json_string(reader->payload, "id");
    reader->chat = ngx_http_waha_json_string(reader->payload, "from");

    if (ngx_http_waha_envelope_id(&reader->id) != NGX_OK
        || ngx_http_waha_envelope_id(&reader->chat) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    event->message_id = reader->id;

    /* "call.received" */
    event->status.data = event->event.data + sizeof("call.") - 1;
    event->status.len = event->event.len - (sizeof("call.") - 1);

    ngx_str_null(&none);

    rc = ngx_http_waha_envelope_person(reader, &reader->chat, &none);

    if (rc != NGX_OK) {
        return rc;
    }

    if (cJSON_IsTrue(ngx_http_waha_json_get(reader->payload, "isGroup"))) {
        event->chat = NGX_HTTP_WAHA_GROUP;
    }

    if (cJSON_IsTrue(ngx_http_waha_json_get(reader->payload, "isVideo"))) {
        ngx_str_set(&event->type, "video");

    } else {
        ngx_str_set(&event->type, "audio");
    }

    event->sent_at = ngx_http_waha_envelope_sent_at(reader, reader->payload);

    return ngx_http_waha_envelope_call_metadata(reader);
}
