
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_person.h>
#include <ngx_http_waha_reader.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_ID_MAX  255


/* a message id in parts, as engines keep it in "_data" */

typedef struct {
    const char                 *parent;
    const char                 *chat;
    const char                 *id;
    const char                 *participant;
    const char                 *from_me;
} ngx_http_waha_reader_key_t;


static ngx_int_t ngx_http_waha_reader_read_id(ngx_http_waha_reader_t *reader,
    ngx_str_t *id);
static ngx_int_t ngx_http_waha_reader_read_key(
    ngx_http_waha_reader_t *reader, const cJSON *object,
    ngx_http_waha_reader_key_t *key);
static ngx_int_t ngx_http_waha_reader_read_parts(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_reader_find_ids(
    ngx_http_waha_reader_t *reader);
static void ngx_http_waha_reader_find_participant(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_reader_join_id(ngx_http_waha_reader_t *reader);
static void ngx_http_waha_reader_find_name(ngx_http_waha_reader_t *reader);


static ngx_http_waha_reader_key_t  ngx_http_waha_reader_keys[] = {
    { "id", "remote", "id", "participant", "fromMe" },
    { "key", "remoteJid", "id", "participant", "fromMe" },
    { "Info", "Chat", "ID", "Sender", "IsFromMe" },
    { NULL, NULL, NULL, NULL, NULL }
};


ngx_uint_t
ngx_http_waha_reader_is_id(ngx_str_t *id)
{
    return id->len <= NGX_HTTP_WAHA_ID_MAX
           && ngx_http_waha_string_is_printable(id);
}


ngx_int_t
ngx_http_waha_reader_ignore(ngx_http_waha_reader_t *reader,
    const char *reason)
{
    reader->event->reason.data = (u_char *) reason;
    reader->event->reason.len = ngx_strlen(reason);

    return NGX_DONE;
}


ngx_int_t
ngx_http_waha_reader_miss(ngx_http_waha_reader_t *reader, const char *member)
{
    reader->event->missing.data = (u_char *) member;
    reader->event->missing.len = ngx_strlen(member);

    return NGX_DECLINED;
}


int64_t
ngx_http_waha_reader_event_time(ngx_http_waha_reader_t *reader)
{
    int64_t  ms;

    ms = ngx_http_waha_field_time(
             ngx_http_waha_json_get(reader->envelope, "timestamp"));

    if (ms) {
        return ms;
    }

    reader->time_guessed = 1;

    return (int64_t) ngx_time() * 1000;
}


int64_t
ngx_http_waha_reader_message_time(ngx_http_waha_reader_t *reader,
    const cJSON *message)
{
    cJSON       *times[6];
    int64_t      ms;
    ngx_uint_t   i;

    times[0] = ngx_http_waha_json_get(message, "timestamp");

    /* NOWEB, GOWS, WEBJS; calls of NOWEB and GOWS */

    times[1] = ngx_http_waha_json_get(reader->data, "messageTimestamp");
    times[2] = ngx_http_waha_json_get(
                   ngx_http_waha_json_get(reader->data, "Info"), "Timestamp");
    times[3] = ngx_http_waha_json_get(reader->data, "t");
    times[4] = ngx_http_waha_json_get(reader->data, "date");
    times[5] = ngx_http_waha_json_get(reader->data, "Timestamp");

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        ms = ngx_http_waha_field_time(times[i]);

        if (ms) {
            return ms;
        }
    }

    reader->time_guessed = 1;

    return ngx_http_waha_reader_event_time(reader);
}


ngx_str_t
ngx_http_waha_reader_get_jid(ngx_http_waha_reader_t *reader,
    const cJSON *object, const char *name)
{
    cJSON      *item;
    u_char     *p;
    ngx_str_t   jid, user, server;

    item = ngx_http_waha_json_get(object, name);

    if (!cJSON_IsObject(item)) {
        jid = ngx_http_waha_json_get_string(object, name);
        goto done;
    }

    jid = ngx_http_waha_json_get_string(item, "_serialized");

    if (jid.len) {
        goto done;
    }

    user = ngx_http_waha_json_get_string(item, "user");
    server = ngx_http_waha_json_get_string(item, "server");

    if (!ngx_http_waha_reader_is_id(&user)
        || !ngx_http_waha_reader_is_id(&server))
    {
        ngx_str_null(&jid);
        return jid;
    }

    p = ngx_pnalloc(reader->pool, user.len + 1 + server.len);
    if (p == NULL) {
        reader->failed = 1;
        ngx_str_null(&jid);
        return jid;
    }

    jid.data = p;
    jid.len = user.len + 1 + server.len;

    p = ngx_cpymem(p, user.data, user.len);
    *p++ = '@';
    ngx_memcpy(p, server.data, server.len);

done:

    if (!ngx_http_waha_reader_is_id(&jid)) {
        ngx_str_null(&jid);
    }

    return jid;
}


ngx_int_t
ngx_http_waha_reader_parse_target(const cJSON *id, ngx_str_t *target)
{
    ngx_str_t                   text;
    ngx_http_waha_message_id_t  parts;

    text = cJSON_IsObject(id) ? ngx_http_waha_content_get_string(id, "id")
                              : ngx_http_waha_content_get_string(id, "");

    if (!ngx_http_waha_reader_is_id(&text)) {
        return NGX_DECLINED;
    }

    (void) ngx_http_waha_identity_parse_message_id(&text, &parts);

    *target = parts.id;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_reader_read_identity(ngx_http_waha_reader_t *reader,
    cJSON *message, const char *name)
{
    cJSON      *from_me;
    ngx_int_t   rc;

    reader->message = message;
    reader->data = ngx_http_waha_json_get(message, "_data");

    /* a poll vote, a revoke without message */

    if (reader->data == NULL) {
        reader->data = ngx_http_waha_json_get(reader->payload, "_data");
    }

    rc = ngx_http_waha_reader_find_ids(reader);

    if (rc != NGX_OK) {
        return (rc == NGX_ERROR) ? rc
                                 : ngx_http_waha_reader_miss(reader, name);
    }

    from_me = ngx_http_waha_json_get(message, "fromMe");

    if (cJSON_IsBool(from_me)) {
        reader->event->outbound = cJSON_IsTrue(from_me) ? 1 : 0;
    }

    ngx_http_waha_reader_find_participant(reader);

    rc = ngx_http_waha_person_read(reader);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_waha_reader_find_name(reader);

    return NGX_OK;
}


/* the id that WAHA gives, else what the engine says of it */

static ngx_int_t
ngx_http_waha_reader_find_ids(ngx_http_waha_reader_t *reader)
{
    cJSON                       *item;
    ngx_int_t                    rc;
    ngx_str_t                    id;
    ngx_http_waha_reader_key_t  *key;

    id = ngx_http_waha_json_get_string(reader->message, "id");

    if (ngx_http_waha_reader_read_id(reader, &id) == NGX_OK) {
        return NGX_OK;
    }

    item = ngx_http_waha_json_get(reader->message, "id");

    rc = ngx_http_waha_reader_read_key(reader, item,
                                       &ngx_http_waha_reader_keys[0]);

    for (key = ngx_http_waha_reader_keys;
         key->parent && rc == NGX_DECLINED;
         key++)
    {
        id = ngx_http_waha_json_get_string(reader->data, key->parent);

        if (ngx_http_waha_reader_read_id(reader, &id) == NGX_OK) {
            return NGX_OK;
        }

        item = ngx_http_waha_json_get(reader->data, key->parent);

        rc = ngx_http_waha_reader_read_key(reader, item, key);
    }

    return (rc == NGX_DECLINED) ? ngx_http_waha_reader_read_parts(reader) : rc;
}


static ngx_int_t
ngx_http_waha_reader_read_id(ngx_http_waha_reader_t *reader, ngx_str_t *id)
{
    ngx_http_waha_message_id_t  parts;

    if (!ngx_http_waha_reader_is_id(id)
        || ngx_http_waha_identity_parse_message_id(id, &parts) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    reader->id = *id;
    reader->chat = parts.chat;
    reader->participant = parts.participant;

    reader->event->message_id = parts.id;
    reader->event->outbound = parts.outbound;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_reader_read_key(ngx_http_waha_reader_t *reader,
    const cJSON *object, ngx_http_waha_reader_key_t *key)
{
    ngx_str_t  id, chat;

    id = ngx_http_waha_json_get_string(object, "_serialized");

    if (ngx_http_waha_reader_read_id(reader, &id) == NGX_OK) {
        return NGX_OK;
    }

    id = ngx_http_waha_json_get_string(object, key->id);
    chat = ngx_http_waha_reader_get_jid(reader, object, key->chat);

    if (chat.len == 0 || !ngx_http_waha_reader_is_id(&id)) {
        return NGX_DECLINED;
    }

    reader->chat = chat;
    reader->participant = ngx_http_waha_reader_get_jid(reader, object,
                                                       key->participant);
    reader->event->message_id = id;
    reader->event->outbound = cJSON_IsTrue(
                            ngx_http_waha_json_get(object, key->from_me));

    return ngx_http_waha_reader_join_id(reader);
}


/* a bare id, and the chat by sender and recipient */

static ngx_int_t
ngx_http_waha_reader_read_parts(ngx_http_waha_reader_t *reader)
{
    ngx_str_t  id, from, to;

    id = ngx_http_waha_json_get_string(reader->message, "id");
    from = ngx_http_waha_reader_get_jid(reader, reader->message, "from");
    to = ngx_http_waha_reader_get_jid(reader, reader->message, "to");

    if (!ngx_http_waha_reader_is_id(&id)
        || ngx_strncmp(id.data, "true_", 5) == 0
        || ngx_strncmp(id.data, "false_", 6) == 0)
    {
        return NGX_DECLINED;
    }

    reader->event->outbound = cJSON_IsTrue(
                            ngx_http_waha_json_get(reader->message, "fromMe"));

    /* some engines have the chat in "from", whoever wrote */

    reader->chat = (reader->event->outbound && to.len
                    && (ngx_http_waha_person_is_me(reader, &from)
                        || reader->nme == 0)) ? to : from;

    if (reader->chat.len == 0) {
        return NGX_DECLINED;
    }

    reader->event->message_id = id;
    ngx_str_null(&reader->participant);

    return ngx_http_waha_reader_join_id(reader);
}


static void
ngx_http_waha_reader_find_participant(ngx_http_waha_reader_t *reader)
{
    cJSON      *data, *info;
    ngx_str_t   places[5];
    ngx_uint_t  i;

    if (reader->participant.len) {
        return;
    }

    data = reader->data;
    info = ngx_http_waha_json_get(data, "Info");

    places[0] = ngx_http_waha_reader_get_jid(reader, reader->message,
                                             "participant");
    places[1] = ngx_http_waha_reader_get_jid(reader,
                                ngx_http_waha_json_get(data, "key"),
                                "participant");
    places[2] = ngx_http_waha_reader_get_jid(reader,
                                ngx_http_waha_json_get(data, "id"),
                                "participant");
    places[3] = ngx_http_waha_reader_get_jid(reader, data, "author");
    places[4] = ngx_http_waha_reader_get_jid(reader, info, "Sender");

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {

        if (places[i].len) {
            reader->participant = places[i];
            return;
        }
    }

    ngx_str_null(&reader->participant);
}


/* the id as WAHA would have written it, for its API */

static ngx_int_t
ngx_http_waha_reader_join_id(ngx_http_waha_reader_t *reader)
{
    u_char     *p;
    ngx_str_t  *id;

    id = &reader->event->message_id;

    reader->id.len = (reader->event->outbound ? 5 : 6) + reader->chat.len + 1
                     + id->len;

    p = ngx_pnalloc(reader->pool, reader->id.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    reader->id.data = p;

    p = reader->event->outbound ? ngx_cpymem(p, "true_", 5)
                                : ngx_cpymem(p, "false_", 6);
    p = ngx_cpymem(p, reader->chat.data, reader->chat.len);
    *p++ = '_';
    ngx_memcpy(p, id->data, id->len);

    return NGX_OK;
}


static void
ngx_http_waha_reader_find_name(ngx_http_waha_reader_t *reader)
{
    cJSON                  *data, *info;
    ngx_str_t               names[6];
    ngx_uint_t              i;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    /* the name would be our own, or there is no person who could have it */

    if (event->outbound
        || (event->phone.data == NULL && event->lid.data == NULL))
    {
        return;
    }

    data = reader->data;
    info = ngx_http_waha_json_get(data, "Info");

    /* WEBJS */
    names[0] = ngx_http_waha_json_get_string(data, "notifyName");

    /* NOWEB */
    names[1] = ngx_http_waha_json_get_string(data, "pushName");
    names[2] = ngx_http_waha_json_get_string(data, "verifiedBizName");

    /* GOWS; the verified name is a string or in a certificate */
    names[3] = ngx_http_waha_json_get_string(info, "PushName");
    names[4] = ngx_http_waha_json_get_string(info, "VerifiedName");
    names[5] = ngx_http_waha_json_get_string(
                   ngx_http_waha_json_get(
                       ngx_http_waha_json_get(info, "VerifiedName"),
                       "Details"),
                   "verifiedName");

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        event->name = ngx_http_waha_field_display_name(&names[i]);

        if (event->name.data) {
            return;
        }
    }
}
