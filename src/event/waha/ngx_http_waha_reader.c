
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_reader.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_ID_MAX         255
#define NGX_HTTP_WAHA_NAME_MAX       255

/* 2100-01-01, in milliseconds */

#define NGX_HTTP_WAHA_TIME_MAX       4102444800000.0

/* who has the JID in a member of "_data" */

#define NGX_HTTP_WAHA_ALT_SENDER       1
#define NGX_HTTP_WAHA_ALT_RECIPIENT    2
#define NGX_HTTP_WAHA_ALT_PARTICIPANT  4


typedef struct {
    const char                 *parent;
    const char                 *name;
    ngx_uint_t                  whose;
} ngx_http_waha_reader_alt_t;


typedef struct {
    uint32_t                    first;
    uint32_t                    last;
} ngx_http_waha_reader_range_t;


static void ngx_http_waha_reader_add_alternatives(
    ngx_http_waha_reader_t *reader, ngx_uint_t whose);
static void ngx_http_waha_reader_find_name(ngx_http_waha_reader_t *reader);
static ngx_uint_t ngx_http_waha_reader_is_blank(ngx_str_t *name);


/* a person's phone number where the chat has the LID, or the reverse */

static ngx_http_waha_reader_alt_t  ngx_http_waha_reader_alternatives[] = {

    /* NOWEB */

    { "key", "remoteJidAlt",
      NGX_HTTP_WAHA_ALT_SENDER|NGX_HTTP_WAHA_ALT_RECIPIENT },

    { "key", "senderPn", NGX_HTTP_WAHA_ALT_SENDER },
    { "key", "senderLid", NGX_HTTP_WAHA_ALT_SENDER },
    { "key", "participantAlt", NGX_HTTP_WAHA_ALT_PARTICIPANT },
    { "key", "participantPn", NGX_HTTP_WAHA_ALT_PARTICIPANT },
    { "key", "participantLid", NGX_HTTP_WAHA_ALT_PARTICIPANT },

    /* GOWS */

    { "Info", "SenderAlt",
      NGX_HTTP_WAHA_ALT_SENDER|NGX_HTTP_WAHA_ALT_PARTICIPANT },

    { "Info", "RecipientAlt", NGX_HTTP_WAHA_ALT_RECIPIENT },

    { NULL, NULL, 0 }
};


/* code points that show nothing: the names of some people have no others */

static ngx_http_waha_reader_range_t  ngx_http_waha_reader_blanks[] = {
    { 0x0000, 0x0020 },
    { 0x007f, 0x00a0 },
    { 0x00ad, 0x00ad },
    { 0x034f, 0x034f },
    { 0x061c, 0x061c },
    { 0x115f, 0x1160 },
    { 0x1680, 0x1680 },
    { 0x17b4, 0x17b5 },
    { 0x180b, 0x180f },
    { 0x2000, 0x200f },
    { 0x2028, 0x202f },
    { 0x205f, 0x206f },
    { 0x2800, 0x2800 },
    { 0x3000, 0x3000 },
    { 0x3164, 0x3164 },
    { 0xfe00, 0xfe0f },
    { 0xfeff, 0xfeff },
    { 0xffa0, 0xffa0 },
    { 0xe0000, 0xe0fff },
    { 0, 0 }
};


ngx_uint_t
ngx_http_waha_reader_is_id(ngx_str_t *id)
{
    return id->len <= NGX_HTTP_WAHA_ID_MAX
           && ngx_http_waha_string_is_printable(id);
}


int64_t
ngx_http_waha_reader_time(const cJSON *value, ngx_uint_t scale)
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

    /* written so that NaN is refused, too */

    if (!(ms >= 1 && ms <= NGX_HTTP_WAHA_TIME_MAX)) {
        return 0;
    }

    return (int64_t) (ms + 0.5);
}


int64_t
ngx_http_waha_reader_event_time(ngx_http_waha_reader_t *reader)
{
    int64_t  ms;

    ms = ngx_http_waha_reader_time(
             ngx_http_waha_json_get(reader->envelope, "timestamp"), 1);

    if (ms) {
        return ms;
    }

    reader->time_missing = 1;

    return (int64_t) ngx_time() * 1000;
}


int64_t
ngx_http_waha_reader_message_time(ngx_http_waha_reader_t *reader,
    const cJSON *message)
{
    int64_t  ms;

    ms = ngx_http_waha_reader_time(
             ngx_http_waha_json_get(message, "timestamp"), 1000);

    return ms ? ms : ngx_http_waha_reader_event_time(reader);
}


ngx_int_t
ngx_http_waha_reader_read_identity(ngx_http_waha_reader_t *reader,
    cJSON *message)
{
    cJSON                       *from_me;
    ngx_int_t                    rc;
    ngx_http_waha_event_t       *event;
    ngx_http_waha_message_id_t   id;

    event = reader->event;

    reader->message = message;
    reader->id = ngx_http_waha_json_get_string(message, "id");

    if (!ngx_http_waha_reader_is_id(&reader->id)
        || ngx_http_waha_identity_parse_message_id(&reader->id, &id) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    from_me = ngx_http_waha_json_get(message, "fromMe");

    event->message_id = id.id;
    event->outbound = cJSON_IsBool(from_me) ? cJSON_IsTrue(from_me)
                                            : id.outbound;

    reader->chat = id.chat;
    reader->participant = id.participant;

    if (id.participant.len == 0) {
        reader->participant = ngx_http_waha_json_get_string(message,
                                                            "participant");

        if (!ngx_http_waha_reader_is_id(&reader->participant)) {
            ngx_str_null(&reader->participant);
        }
    }

    rc = ngx_http_waha_reader_read_person(reader);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_waha_reader_find_name(reader);

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_reader_read_person(ngx_http_waha_reader_t *reader)
{
    ngx_uint_t              whose;
    ngx_http_waha_jid_t     jid;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    if (ngx_http_waha_identity_parse_jid(&reader->chat, &jid) != NGX_OK) {
        return NGX_DONE;
    }

    event->chat = jid.chat;

    whose = event->outbound ? NGX_HTTP_WAHA_ALT_RECIPIENT
                            : NGX_HTTP_WAHA_ALT_SENDER;

    if (jid.chat != NGX_HTTP_WAHA_PERSON) {

        /* our own message there is addressed to no single person */

        if (event->outbound
            || ngx_http_waha_identity_parse_jid(&reader->participant, &jid)
               != NGX_OK
            || jid.chat != NGX_HTTP_WAHA_PERSON)
        {
            return NGX_OK;
        }

        whose = NGX_HTTP_WAHA_ALT_PARTICIPANT;
    }

    event->phone = jid.phone;
    event->lid = jid.lid;

    ngx_http_waha_reader_add_alternatives(reader, whose);

    return NGX_OK;
}


static void
ngx_http_waha_reader_add_alternatives(ngx_http_waha_reader_t *reader,
    ngx_uint_t whose)
{
    cJSON                       *data;
    ngx_str_t                    value;
    ngx_http_waha_jid_t          jid;
    ngx_http_waha_event_t       *event;
    ngx_http_waha_reader_alt_t  *alt;

    event = reader->event;

    data = ngx_http_waha_json_get(reader->message, "_data");

    for (alt = ngx_http_waha_reader_alternatives; alt->name; alt++) {

        if (!(alt->whose & whose)) {
            continue;
        }

        value = ngx_http_waha_json_get_string(
                    ngx_http_waha_json_get(data, alt->parent), alt->name);

        if (ngx_http_waha_identity_parse_jid(&value, &jid) != NGX_OK) {
            continue;
        }

        if (event->phone.data == NULL) {
            event->phone = jid.phone;
        }

        if (event->lid.data == NULL) {
            event->lid = jid.lid;
        }
    }
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

    data = ngx_http_waha_json_get(reader->message, "_data");
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
        event->name = ngx_http_waha_reader_display_name(&names[i]);

        if (event->name.data) {
            return;
        }
    }
}


ngx_str_t
ngx_http_waha_reader_display_name(ngx_str_t *name)
{
    ngx_str_t  none;

    if (ngx_http_waha_reader_is_blank(name)) {
        ngx_str_null(&none);
        return none;
    }

    return ngx_http_waha_string_cut(name, NGX_HTTP_WAHA_NAME_MAX);
}


static ngx_uint_t
ngx_http_waha_reader_is_blank(ngx_str_t *name)
{
    u_char                        *p, *last;
    uint32_t                       c;
    ngx_http_waha_reader_range_t  *blank;

    if (name->len == 0) {
        return 1;
    }

    p = name->data;
    last = p + name->len;

    while (p < last) {

        c = (*p < 0x80) ? *p++ : ngx_utf8_decode(&p, last - p);

        for (blank = ngx_http_waha_reader_blanks; blank->last; blank++) {

            if (c >= blank->first && c <= blank->last) {
                break;
            }
        }

        if (blank->last == 0) {
            return 0;
        }
    }

    return 1;
}


cJSON *
ngx_http_waha_reader_proto(const cJSON *data)
{
    cJSON  *proto;

    proto = ngx_http_waha_json_get(data, "message");

    return proto ? proto : ngx_http_waha_json_get(data, "Message");
}
