
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_envelope_reader.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_NAME_MAX       255

/* messages in messages: view once, disappearing, with caption */
#define NGX_HTTP_WAHA_WRAPPERS_MAX   5

/* below this a base64 text may be somebody's words */
#define NGX_HTTP_WAHA_THUMBNAIL_MIN  100


/* whose other identity a field of "_data" gives */

#define NGX_HTTP_WAHA_ALT_SENDER     1
#define NGX_HTTP_WAHA_ALT_RECIPIENT  2
#define NGX_HTTP_WAHA_ALT_MEMBER     4


typedef struct {
    const char                 *parent;
    const char                 *name;
    ngx_uint_t                  whose;
} ngx_http_waha_alt_t;


typedef struct {
    ngx_str_t                   name;
    ngx_str_t                   type;
} ngx_http_waha_type_t;


typedef struct {
    uint32_t                    first;
    uint32_t                    last;
} ngx_http_waha_range_t;


static void ngx_http_waha_envelope_alternatives(
    ngx_http_waha_reader_t *reader, ngx_uint_t whose);
static void ngx_http_waha_envelope_sender_name(
    ngx_http_waha_reader_t *reader);
static ngx_uint_t ngx_http_waha_envelope_blank(ngx_str_t *name);
static void ngx_http_waha_envelope_type(ngx_http_waha_reader_t *reader);
static ngx_uint_t ngx_http_waha_envelope_type_raw(
    ngx_http_waha_reader_t *reader, cJSON *data);
static ngx_uint_t ngx_http_waha_envelope_type_proto(
    ngx_http_waha_reader_t *reader, cJSON *proto);
static ngx_str_t *ngx_http_waha_envelope_type_find(
    ngx_http_waha_type_t *types, const char *name);
static void ngx_http_waha_envelope_type_guess(
    ngx_http_waha_reader_t *reader);
static void ngx_http_waha_envelope_text(ngx_http_waha_reader_t *reader);
static ngx_uint_t ngx_http_waha_envelope_thumbnail(ngx_str_t *text);


static ngx_http_waha_alt_t  ngx_http_waha_envelope_alts[] = {

    /* NOWEB */

    { "key", "remoteJidAlt",
      NGX_HTTP_WAHA_ALT_SENDER|NGX_HTTP_WAHA_ALT_RECIPIENT },

    { "key", "senderPn", NGX_HTTP_WAHA_ALT_SENDER },
    { "key", "senderLid", NGX_HTTP_WAHA_ALT_SENDER },
    { "key", "participantAlt", NGX_HTTP_WAHA_ALT_MEMBER },
    { "key", "participantPn", NGX_HTTP_WAHA_ALT_MEMBER },
    { "key", "participantLid", NGX_HTTP_WAHA_ALT_MEMBER },

    /* GOWS */

    { "Info", "SenderAlt",
      NGX_HTTP_WAHA_ALT_SENDER|NGX_HTTP_WAHA_ALT_MEMBER },

    { "Info", "RecipientAlt", NGX_HTTP_WAHA_ALT_RECIPIENT },

    { NULL, NULL, 0 }
};


/* WEBJS: "_data.type" */

static ngx_http_waha_type_t  ngx_http_waha_envelope_raw_types[] = {
    { ngx_string("chat"), ngx_string("text") },
    { ngx_string("image"), ngx_string("image") },
    { ngx_string("video"), ngx_string("video") },
    { ngx_string("ptv"), ngx_string("video") },
    { ngx_string("gif"), ngx_string("video") },
    { ngx_string("ptt"), ngx_string("audio") },
    { ngx_string("audio"), ngx_string("audio") },
    { ngx_string("document"), ngx_string("document") },
    { ngx_string("sticker"), ngx_string("sticker") },
    { ngx_string("location"), ngx_string("location") },
    { ngx_string("vcard"), ngx_string("contacts") },
    { ngx_string("multi_vcard"), ngx_string("contacts") },
    { ngx_string("poll_creation"), ngx_string("poll") },
    { ngx_string("order"), ngx_string("order") },
    { ngx_null_string, ngx_null_string }
};


/* NOWEB, GOWS: the member of "_data.message" */

static ngx_http_waha_type_t  ngx_http_waha_envelope_proto_types[] = {
    { ngx_string("conversation"), ngx_string("text") },
    { ngx_string("extendedTextMessage"), ngx_string("text") },
    { ngx_string("imageMessage"), ngx_string("image") },
    { ngx_string("videoMessage"), ngx_string("video") },
    { ngx_string("ptvMessage"), ngx_string("video") },
    { ngx_string("audioMessage"), ngx_string("audio") },
    { ngx_string("documentMessage"), ngx_string("document") },
    { ngx_string("stickerMessage"), ngx_string("sticker") },
    { ngx_string("locationMessage"), ngx_string("location") },
    { ngx_string("liveLocationMessage"), ngx_string("location") },
    { ngx_string("contactMessage"), ngx_string("contacts") },
    { ngx_string("contactsArrayMessage"), ngx_string("contacts") },
    { ngx_string("pollCreationMessage"), ngx_string("poll") },
    { ngx_string("pollCreationMessageV2"), ngx_string("poll") },
    { ngx_string("pollCreationMessageV3"), ngx_string("poll") },
    { ngx_string("pollCreationMessageV5"), ngx_string("poll") },
    { ngx_string("orderMessage"), ngx_string("order") },
    { ngx_null_string, ngx_null_string }
};


/* spaces, and what people use to have a name that cannot be seen */

static ngx_http_waha_range_t  ngx_http_waha_envelope_blanks[] = {
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


ngx_int_t
ngx_http_waha_envelope_message(ngx_http_waha_reader_t *reader)
{
    ngx_int_t               rc;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    rc = ngx_http_waha_envelope_head(reader, reader->payload);

    if (rc != NGX_OK) {
        return rc;
    }

    event->sent_at = ngx_http_waha_envelope_sent_at(reader, reader->payload);

    ngx_http_waha_envelope_type(reader);
    ngx_http_waha_envelope_text(reader);

    return ngx_http_waha_envelope_message_metadata(reader);
}


ngx_int_t
ngx_http_waha_envelope_head(ngx_http_waha_reader_t *reader, cJSON *message)
{
    cJSON                       *mine;
    ngx_int_t                    rc;
    ngx_http_waha_event_t       *event;
    ngx_http_waha_message_id_t   id;

    event = reader->event;

    reader->message = message;
    reader->id = ngx_http_waha_json_string(message, "id");

    if (ngx_http_waha_envelope_id(&reader->id) != NGX_OK
        || ngx_http_waha_message_id_parse(&reader->id, &id) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    mine = ngx_http_waha_json_get(message, "fromMe");

    event->message_id = id.id;
    event->outbound = cJSON_IsBool(mine) ? cJSON_IsTrue(mine) : id.outbound;

    reader->chat = id.chat;
    reader->participant = id.participant;

    if (id.participant.len == 0) {
        reader->participant = ngx_http_waha_json_string(message,
                                                        "participant");

        if (ngx_http_waha_envelope_id(&reader->participant) != NGX_OK) {
            ngx_str_null(&reader->participant);
        }
    }

    rc = ngx_http_waha_envelope_person(reader, &reader->chat,
                                       &reader->participant);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_waha_envelope_sender_name(reader);

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_envelope_person(ngx_http_waha_reader_t *reader,
    ngx_str_t *chat, ngx_str_t *participant)
{
    ngx_uint_t              whose;
    ngx_http_waha_jid_t     jid;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    if (ngx_http_waha_jid_parse(chat, &jid) != NGX_OK) {
        return NGX_DONE;
    }

    event->chat = jid.chat;

    whose = event->outbound ? NGX_HTTP_WAHA_ALT_RECIPIENT
                            : NGX_HTTP_WAHA_ALT_SENDER;

    if (jid.chat != NGX_HTTP_WAHA_PERSON) {

        /* what we say there is said to nobody in particular */

        if (event->outbound
            || ngx_http_waha_jid_parse(participant, &jid) != NGX_OK
            || jid.chat != NGX_HTTP_WAHA_PERSON)
        {
            return NGX_OK;
        }

        whose = NGX_HTTP_WAHA_ALT_MEMBER;
    }

    event->phone = jid.phone;
    event->lid = jid.lid;

    ngx_http_waha_envelope_alternatives(reader, whose);

    return NGX_OK;
}


/* the phone behind a hidden id, or the hidden id beside a phone */

static void
ngx_http_waha_envelope_alternatives(ngx_http_waha_reader_t *reader,
    ngx_uint_t whose)
{
    cJSON                  *data;
    ngx_str_t               value;
    ngx_http_waha_jid_t     jid;
    ngx_http_waha_alt_t    *alt;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    data = ngx_http_waha_json_get(reader->message, "_data");

    for (alt = ngx_http_waha_envelope_alts; alt->name; alt++) {

        if (!(alt->whose & whose)) {
            continue;
        }

        value = ngx_http_waha_json_string(
                    ngx_http_waha_json_get(data, alt->parent), alt->name);

        if (ngx_http_waha_jid_parse(&value, &jid) != NGX_OK) {
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
ngx_http_waha_envelope_sender_name(ngx_http_waha_reader_t *reader)
{
    cJSON                  *data, *info;
    ngx_str_t               names[6];
    ngx_uint_t              i;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    /* it would be our own, or that of a room */

    if (event->outbound
        || (event->phone.data == NULL && event->lid.data == NULL))
    {
        return;
    }

    data = ngx_http_waha_json_get(reader->message, "_data");
    info = ngx_http_waha_json_get(data, "Info");

    names[0] = ngx_http_waha_json_string(data, "notifyName");
    names[1] = ngx_http_waha_json_string(data, "pushName");
    names[2] = ngx_http_waha_json_string(data, "verifiedBizName");
    names[3] = ngx_http_waha_json_string(info, "PushName");
    names[4] = ngx_http_waha_json_string(info, "VerifiedName");
    names[5] = ngx_http_waha_json_string(
                   ngx_http_waha_json_get(
                       ngx_http_waha_json_get(info, "VerifiedName"),
                       "Details"),
                   "verifiedName");

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        event->name = ngx_http_waha_envelope_name(&names[i]);

        if (event->name.data) {
            return;
        }
    }
}


ngx_str_t
ngx_http_waha_envelope_name(ngx_str_t *name)
{
    ngx_str_t  none;

    if (ngx_http_waha_envelope_blank(name)) {
        ngx_str_null(&none);
        return none;
    }

    return ngx_http_waha_string_cut(name, NGX_HTTP_WAHA_NAME_MAX);
}


static ngx_uint_t
ngx_http_waha_envelope_blank(ngx_str_t *name)
{
    u_char                 *p, *last;
    uint32_t                c;
    ngx_http_waha_range_t  *blank;

    if (name->len == 0) {
        return 1;
    }

    p = name->data;
    last = p + name->len;

    while (p < last) {

        c = (*p < 0x80) ? *p++ : ngx_utf8_decode(&p, last - p);

        for (blank = ngx_http_waha_envelope_blanks; blank->last; blank++) {

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
ngx_http_waha_envelope_proto(const cJSON *data)
{
    cJSON  *proto;

    proto = ngx_http_waha_json_get(data, "message");

    return proto ? proto : ngx_http_waha_json_get(data, "Message");
}


static void
ngx_http_waha_envelope_type(ngx_http_waha_reader_t *reader)
{
    cJSON  *data;

    data = ngx_http_waha_json_get(reader->message, "_data");

    if (ngx_http_waha_envelope_type_raw(reader, data)) {
        return;
    }

    if (ngx_http_waha_envelope_type_proto(reader,
                                       ngx_http_waha_envelope_proto(data)))
    {
        return;
    }

    ngx_http_waha_envelope_type_guess(reader);
}


static ngx_uint_t
ngx_http_waha_envelope_type_raw(ngx_http_waha_reader_t *reader, cJSON *data)
{
    ngx_str_t  *type, name;

    name = ngx_http_waha_json_string(data, "type");

    if (name.data == NULL) {
        return 0;
    }

    type = ngx_http_waha_envelope_type_find(ngx_http_waha_envelope_raw_types,
                                            (char *) name.data);
    if (type == NULL) {
        return 0;
    }

    reader->event->type = *type;

    return 1;
}


static ngx_uint_t
ngx_http_waha_envelope_type_proto(ngx_http_waha_reader_t *reader,
    cJSON *proto)
{
    cJSON       *item, *inner;
    ngx_str_t   *type;
    ngx_uint_t   i;

    for (i = 0; i < NGX_HTTP_WAHA_WRAPPERS_MAX; i++) {

        if (!cJSON_IsObject(proto)) {
            return 0;
        }

        inner = NULL;

        for (item = proto->child; item; item = item->next) {

            if (cJSON_IsNull(item)) {
                continue;
            }

            type = ngx_http_waha_envelope_type_find(
                       ngx_http_waha_envelope_proto_types, item->string);

            if (type) {
                reader->event->type = *type;
                reader->content = item;
                return 1;
            }

            if (inner == NULL) {
                inner = ngx_http_waha_json_get(item, "message");
            }
        }

        proto = inner;
    }

    return 0;
}


static ngx_str_t *
ngx_http_waha_envelope_type_find(ngx_http_waha_type_t *types,
    const char *name)
{
    for ( /* void */ ; types->name.len; types++) {

        if (ngx_strcmp(types->name.data, name) == 0) {
            return &types->type;
        }
    }

    return NULL;
}


static void
ngx_http_waha_envelope_type_guess(ngx_http_waha_reader_t *reader)
{
    cJSON      *media, *cards;
    ngx_str_t   mimetype, *type;

    type = &reader->event->type;

    media = ngx_http_waha_json_get(reader->message, "media");
    mimetype = ngx_http_waha_json_string(media, "mimetype");

    if (mimetype.data) {

        if (ngx_strncmp(mimetype.data, "image/", 6) == 0) {
            ngx_str_set(type, "image");

        } else if (ngx_strncmp(mimetype.data, "video/", 6) == 0) {
            ngx_str_set(type, "video");

        } else if (ngx_strncmp(mimetype.data, "audio/", 6) == 0) {
            ngx_str_set(type, "audio");

        } else {
            ngx_str_set(type, "document");
        }

        return;
    }

    if (ngx_http_waha_json_get(reader->message, "location")) {
        ngx_str_set(type, "location");
        return;
    }

    cards = ngx_http_waha_json_get(reader->message, "vCards");

    if (cJSON_IsArray(cards) && cards->child) {
        ngx_str_set(type, "contacts");
        return;
    }

    if (ngx_http_waha_json_string(reader->message, "body").len) {
        ngx_str_set(type, "text");
        return;
    }

    ngx_str_set(type, "unknown");
}


/* WEBJS puts a thumbnail where the text belongs when there are no words */

static void
ngx_http_waha_envelope_text(ngx_http_waha_reader_t *reader)
{
    cJSON                  *data;
    ngx_str_t               body, caption, raw;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    body = ngx_http_waha_json_string(reader->message, "body");

    if (body.len == 0) {
        return;
    }

    if (ngx_strcmp(event->type.data, "text") == 0) {
        event->text = body;
        return;
    }

    data = ngx_http_waha_json_get(reader->message, "_data");
    caption = ngx_http_waha_json_string(data, "caption");

    if (caption.len) {
        event->text = caption;
        return;
    }

    if (ngx_http_waha_envelope_thumbnail(&body)) {
        return;
    }

    raw = ngx_http_waha_json_string(data, "body");

    if (ngx_strcmp(event->type.data, "location") == 0
        && raw.data && ngx_strcmp(raw.data, body.data) == 0)
    {
        return;
    }

    event->text = body;
}


/* base64 that begins like a JPEG, PNG, WebP or GIF */

static ngx_uint_t
ngx_http_waha_envelope_thumbnail(ngx_str_t *text)
{
    u_char  c;
    size_t  i;

    if (text->len < NGX_HTTP_WAHA_THUMBNAIL_MIN
        || (ngx_strncmp(text->data, "/9j/", 4) != 0
            && ngx_strncmp(text->data, "iVBORw0KGgo", 11) != 0
            && ngx_strncmp(text->data, "UklGR", 5) != 0
            && ngx_strncmp(text->data, "R0lGOD", 6) != 0))
    {
        return 0;
    }

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
            || (c >= 'a' && c <= 'z') || c == '+' || c == '/' || c == '='
            || c == '\r' || c == '\n')
        {
            continue;
        }

        return 0;
    }

    return 1;
}
