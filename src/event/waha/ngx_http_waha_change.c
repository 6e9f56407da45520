
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_change.h>
#include <ngx_http_waha_metadata.h>
#include <ngx_http_waha_person.h>
#include <ngx_http_waha_string.h>


/* of enums in proto messages, which GOWS sends as numbers */

typedef struct {
    const char                 *name;
    double                      number;
} ngx_http_waha_change_enum_t;


typedef struct {
    ngx_str_t                   name;
    ngx_str_t                   status;
} ngx_http_waha_change_ack_t;


static void ngx_http_waha_change_set_edit_text(
    ngx_http_waha_reader_t *reader);
static ngx_uint_t ngx_http_waha_change_is_secret(
    ngx_http_waha_reader_t *reader);
static int64_t ngx_http_waha_change_edit_time(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_change_find_revoked(
    ngx_http_waha_reader_t *reader, const cJSON *before);
static void ngx_http_waha_change_find_revoker(ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_change_read_voter(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_change_read_protocol(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_change_read_secret(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_change_read_revoked(
    ngx_http_waha_reader_t *reader);
static ngx_uint_t ngx_http_waha_change_is_one_of(const cJSON *value,
    ngx_http_waha_change_enum_t *names);
static ngx_int_t ngx_http_waha_change_parse_key(
    ngx_http_waha_reader_t *reader, const char *path);


static ngx_http_waha_change_enum_t  ngx_http_waha_change_revokes[] = {
    { "REVOKE", 0 },
    { "revoke", -1 },
    { "sender_revoke", -1 },
    { "admin_revoke", -1 },
    { NULL, 0 }
};


static ngx_http_waha_change_enum_t  ngx_http_waha_change_edits[] = {
    { "MESSAGE_EDIT", 14 },
    { "message_edit", -1 },
    { NULL, 0 }
};


static ngx_http_waha_change_enum_t  ngx_http_waha_change_secrets[] = {
    { "EVENT_EDIT", 1 },
    { "MESSAGE_EDIT", 2 },
    { "POLL_EDIT", 4 },
    { NULL, 0 }
};


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

    rc = ngx_http_waha_reader_read_identity(reader, reader->payload,
                                            "payload.id");

    if (rc != NGX_OK) {
        return rc;
    }

    event->target_id = event->message_id;

    /* the payload has the time of the message in WEBJS, and none elsewhere */
    event->sent_at = ngx_http_waha_reader_event_time(reader);

    return ngx_http_waha_change_parse_ack(reader->payload, &event->status);
}


ngx_int_t
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
    ngx_http_waha_event_t  *event;

    event = reader->event;

    rc = ngx_http_waha_reader_read_identity(reader, reader->payload,
                                            "payload.id");

    if (rc != NGX_OK) {
        return rc;
    }

    reaction = ngx_http_waha_json_get(reader->payload, "reaction");

    event->text = ngx_http_waha_json_get_string(reaction, "text");

    if (event->text.data == NULL) {
        ngx_str_set(&event->text, "");
    }

    event->sent_at = ngx_http_waha_reader_message_time(reader, reader->payload);

    if (ngx_http_waha_reader_parse_target(
                              ngx_http_waha_json_get(reaction, "messageId"),
                              &event->target_id)
        != NGX_OK)
    {
        return ngx_http_waha_reader_miss(reader, "payload.reaction.messageId");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_change_read_edit(ngx_http_waha_reader_t *reader)
{
    cJSON                  *id;
    ngx_int_t               rc;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    rc = ngx_http_waha_reader_read_identity(reader, reader->payload,
                                            "payload.id");

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_waha_content_find(reader->data, &reader->found);

    ngx_http_waha_change_set_edit_text(reader);

    event->sent_at = ngx_http_waha_change_edit_time(reader);

    id = ngx_http_waha_json_get(reader->payload, "editedMessageId");

    if (id == NULL) {

        if (ngx_http_waha_change_parse_key(reader, "targetMessageKey")
            != NGX_OK)
        {
            (void) ngx_http_waha_change_parse_key(reader, "key");
        }

        if (event->target_id.data == NULL) {
            /* WEBJS: the edit has the id of the message */
            event->target_id = event->message_id;
        }

        return NGX_OK;
    }

    if (ngx_http_waha_reader_parse_target(id, &event->target_id) != NGX_OK) {
        return ngx_http_waha_reader_miss(reader, "payload.editedMessageId");
    }

    return NGX_OK;
}


/* data is NULL for a text that is there but cannot be read */

static void
ngx_http_waha_change_set_edit_text(ngx_http_waha_reader_t *reader)
{
    cJSON                          *edited;
    ngx_str_t                       text;
    ngx_http_waha_content_found_t   found;

    text = ngx_http_waha_json_get_string(reader->message, "body");

    if (text.len) {
        reader->event->text = text;
        return;
    }

    if (ngx_http_waha_change_is_secret(reader)) {
        ngx_str_null(&reader->event->text);
        return;
    }

    edited = ngx_http_waha_content_get(reader->found.item, "editedMessage");

    ngx_http_waha_content_find_proto(edited, &found);

    reader->event->text = ngx_http_waha_content_text(&found);

    /* the caption of a picture is removed; a text cannot be */

    if (reader->event->text.data == NULL
        && (text.data
            || (found.entry
                && found.entry->is == NGX_HTTP_WAHA_CONTENT_SAYS
                && ngx_strcmp(found.entry->type.data, "text") != 0)))
    {
        ngx_str_set(&reader->event->text, "");
    }
}


static ngx_uint_t
ngx_http_waha_change_is_secret(ngx_http_waha_reader_t *reader)
{
    return reader->found.entry
           && reader->found.entry->is == NGX_HTTP_WAHA_CONTENT_SECRET;
}


/* milliseconds where there are any, to order two edits of one second */

static int64_t
ngx_http_waha_change_edit_time(ngx_http_waha_reader_t *reader)
{
    int64_t  ms;

    /* NOWEB, GOWS, then WEBJS */

    ms = ngx_http_waha_field_time(
             ngx_http_waha_content_get(reader->found.item, "timestampMs"));

    if (ms == 0) {
        ms = ngx_http_waha_field_time(
                 ngx_http_waha_json_get(reader->data,
                                        "latestEditSenderTimestampMs"));
    }

    if (ms) {
        return ms;
    }

    /* its timestamp is that of the message */

    if (reader->found.is_web) {
        return ngx_http_waha_reader_event_time(reader);
    }

    return ngx_http_waha_reader_message_time(reader, reader->message);
}


ngx_int_t
ngx_http_waha_change_read_revoke(ngx_http_waha_reader_t *reader)
{
    cJSON                  *after, *before, *message;
    ngx_int_t               rc;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    after = ngx_http_waha_json_get(reader->payload, "after");
    before = ngx_http_waha_json_get(reader->payload, "before");

    message = after ? after : before;

    rc = ngx_http_waha_reader_read_identity(reader,
                                            message ? message
                                                    : reader->payload,
                                            "payload.after.id");

    if (rc == NGX_DONE || rc == NGX_ERROR || (rc != NGX_OK && message)) {
        return rc;
    }

    ngx_str_null(&event->missing);

    ngx_http_waha_content_find(reader->data, &reader->found);

    rc = ngx_http_waha_change_find_revoked(reader, before ? before : after);

    if (rc != NGX_OK) {
        return rc;
    }

    if (event->message_id.data == NULL) {
        event->message_id = event->target_id;
    }

    ngx_http_waha_change_find_revoker(reader);

    /* WEBJS: the revoke has the time of the message */

    if (reader->found.is_web
        || ngx_http_waha_string_is_equal(&event->message_id,
                                         &event->target_id))
    {
        event->sent_at = ngx_http_waha_reader_event_time(reader);

    } else {
        event->sent_at = ngx_http_waha_reader_message_time(reader,
                                                           reader->message);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_change_find_revoked(ngx_http_waha_reader_t *reader,
    const cJSON *before)
{
    cJSON  *id;

    id = ngx_http_waha_json_get(reader->payload, "revokedMessageId");

    if (id) {

        if (ngx_http_waha_reader_parse_target(id, &reader->event->target_id)
            != NGX_OK)
        {
            return ngx_http_waha_reader_miss(reader,
                                             "payload.revokedMessageId");
        }

        return NGX_OK;
    }

    /* WEBJS gives the message of a revoke a new id; NOWEB, GOWS */

    if (ngx_http_waha_change_parse_key(reader, "protocolMessageKey") == NGX_OK
        || ngx_http_waha_change_parse_key(reader, "key") == NGX_OK)
    {
        return NGX_OK;
    }

    id = ngx_http_waha_json_get(before, "id");

    if (ngx_http_waha_reader_parse_target(id, &reader->event->target_id)
        == NGX_OK)
    {
        return NGX_OK;
    }

    if (before) {
        reader->event->target_id = reader->event->message_id;
        return NGX_OK;
    }

    return ngx_http_waha_reader_miss(reader, "payload.revokedMessageId");
}


/* WEBJS: an administrator's revoke has the author of the message */

static void
ngx_http_waha_change_find_revoker(ngx_http_waha_reader_t *reader)
{
    ngx_str_t               jid;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    jid = ngx_http_waha_reader_get_jid(reader, reader->data, "revokeSender");

    if (event->chat == NGX_HTTP_WAHA_PERSON || jid.len == 0) {
        return;
    }

    ngx_str_null(&event->phone);
    ngx_str_null(&event->lid);
    ngx_str_null(&event->name);

    event->outbound = 0;
    reader->participant = jid;

    (void) ngx_http_waha_person_read(reader);
}


ngx_int_t
ngx_http_waha_change_read_vote(ngx_http_waha_reader_t *reader)
{
    cJSON                  *vote, *poll;
    ngx_int_t               rc;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    vote = ngx_http_waha_json_get(reader->payload, "vote");
    poll = ngx_http_waha_json_get(reader->payload, "poll");

    if (ngx_http_waha_reader_parse_target(ngx_http_waha_json_get(poll, "id"),
                                          &event->target_id)
        != NGX_OK)
    {
        return ngx_http_waha_reader_miss(reader, "payload.poll.id");
    }

    if (!cJSON_IsArray(ngx_http_waha_json_get(vote, "selectedOptions"))) {
        return ngx_http_waha_reader_miss(reader,
                                         "payload.vote.selectedOptions");
    }

    rc = ngx_http_waha_reader_read_identity(reader, vote, "payload.vote.id");

    if (rc == NGX_DECLINED) {
        rc = ngx_http_waha_change_read_voter(reader);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    event->sent_at = ngx_http_waha_reader_message_time(reader, vote);

    return ngx_http_waha_metadata_write_vote(reader);
}


/* a vote without an id names its chat and author in members of their own */

static ngx_int_t
ngx_http_waha_change_read_voter(ngx_http_waha_reader_t *reader)
{
    ngx_http_waha_event_t  *event;

    event = reader->event;

    event->outbound = cJSON_IsTrue(
                          ngx_http_waha_json_get(reader->message, "fromMe"));

    reader->chat = ngx_http_waha_reader_get_jid(reader, reader->message,
                                              event->outbound ? "to" : "from");
    reader->participant = ngx_http_waha_reader_get_jid(reader,
                                              reader->message, "participant");

    if (reader->chat.len == 0) {
        return NGX_DECLINED;
    }

    ngx_str_null(&event->missing);

    event->message_id = event->target_id;

    return ngx_http_waha_person_read(reader);
}


ngx_int_t
ngx_http_waha_change_read_content(ngx_http_waha_reader_t *reader)
{
    ngx_http_waha_event_t  *event;

    event = reader->event;

    event->sent_at = ngx_http_waha_reader_message_time(reader, reader->message);

    switch (reader->found.entry->is) {

    case NGX_HTTP_WAHA_CONTENT_PROTOCOL:
        return ngx_http_waha_change_read_protocol(reader);

    case NGX_HTTP_WAHA_CONTENT_SECRET:
        return ngx_http_waha_change_read_secret(reader);

    case NGX_HTTP_WAHA_CONTENT_REVOKES:
        return ngx_http_waha_change_read_revoked(reader);

    default: /* NGX_HTTP_WAHA_CONTENT_REACTS */
        break;
    }

    if (ngx_http_waha_change_parse_key(reader, "key") != NGX_OK) {
        return ngx_http_waha_reader_ignore(reader, "notice");
    }

    event->kind = NGX_HTTP_WAHA_REACTION;
    event->text = ngx_http_waha_content_get_string(reader->found.item, "text");

    if (event->text.data == NULL) {
        ngx_str_set(&event->text, "");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_change_read_protocol(ngx_http_waha_reader_t *reader)
{
    cJSON  *type;

    type = ngx_http_waha_json_get(reader->found.item,
                                  reader->found.is_web ? "subtype" : "type");

    if (ngx_http_waha_change_is_one_of(type, ngx_http_waha_change_revokes)) {
        return ngx_http_waha_change_read_revoked(reader);
    }

    if (!ngx_http_waha_change_is_one_of(type, ngx_http_waha_change_edits)
        || (ngx_http_waha_change_parse_key(reader, "key") != NGX_OK
            && ngx_http_waha_change_parse_key(reader, "protocolMessageKey")
               != NGX_OK))
    {
        return ngx_http_waha_reader_ignore(reader, "notice");
    }

    reader->event->kind = NGX_HTTP_WAHA_EDIT;
    reader->event->sent_at = ngx_http_waha_change_edit_time(reader);

    ngx_http_waha_change_set_edit_text(reader);

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_change_read_secret(ngx_http_waha_reader_t *reader)
{
    cJSON  *type;

    type = ngx_http_waha_content_get(reader->found.item, "secretEncType");

    if ((!reader->found.is_web
         && !ngx_http_waha_change_is_one_of(type,
                                            ngx_http_waha_change_secrets))
        || (ngx_http_waha_change_parse_key(reader, "targetMessageKey")
                != NGX_OK
            && ngx_http_waha_change_parse_key(reader, "protocolMessageKey")
                != NGX_OK))
    {
        return ngx_http_waha_reader_ignore(reader, "notice");
    }

    reader->event->kind = NGX_HTTP_WAHA_EDIT;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_change_read_revoked(ngx_http_waha_reader_t *reader)
{
    ngx_http_waha_event_t  *event;

    event = reader->event;

    if (ngx_http_waha_change_parse_key(reader, "protocolMessageKey") != NGX_OK
        && ngx_http_waha_change_parse_key(reader, "key") != NGX_OK)
    {
        if (!reader->found.is_web) {
            return ngx_http_waha_reader_ignore(reader, "notice");
        }

        event->target_id = event->message_id;
    }

    event->kind = NGX_HTTP_WAHA_REVOKE;

    if (reader->found.is_web) {
        event->sent_at = ngx_http_waha_reader_event_time(reader);
        ngx_http_waha_change_find_revoker(reader);
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_waha_change_is_one_of(const cJSON *value,
    ngx_http_waha_change_enum_t *names)
{
    for ( /* void */ ; names->name; names++) {

        if (cJSON_IsNumber(value)
            ? value->valuedouble == names->number
            : (cJSON_IsString(value)
               && ngx_strcmp(value->valuestring, names->name) == 0))
        {
            return 1;
        }
    }

    return 0;
}


/* the message that a key in what was found names */

static ngx_int_t
ngx_http_waha_change_parse_key(ngx_http_waha_reader_t *reader,
    const char *path)
{
    cJSON  *key;

    key = ngx_http_waha_content_get(reader->found.item, path);

    return ngx_http_waha_reader_parse_target(key, &reader->event->target_id);
}
