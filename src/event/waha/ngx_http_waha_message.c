
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_message.h>
#include <ngx_http_waha_metadata.h>


/* proto messages in proto messages: view once, ephemeral, with caption */

#define NGX_HTTP_WAHA_WRAPPERS_MAX   5

/* a shorter text that looks like base64 may be a word */

#define NGX_HTTP_WAHA_THUMBNAIL_MIN  100


typedef struct {
    ngx_str_t                   name;
    ngx_str_t                   type;
} ngx_http_waha_message_type_t;


static void ngx_http_waha_message_set_type(ngx_http_waha_reader_t *reader);
static ngx_str_t *ngx_http_waha_message_find_content(
    ngx_http_waha_reader_t *reader, cJSON *proto);
static ngx_str_t *ngx_http_waha_message_find_type(
    ngx_http_waha_message_type_t *types, const char *name);
static void ngx_http_waha_message_guess_type(
    ngx_http_waha_reader_t *reader);
static void ngx_http_waha_message_set_text(ngx_http_waha_reader_t *reader);
static ngx_uint_t ngx_http_waha_message_is_thumbnail(ngx_str_t *text);


/* WEBJS: "_data.type" */

static ngx_http_waha_message_type_t  ngx_http_waha_message_webjs_types[] = {
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


/* NOWEB, GOWS: the member of the proto message that holds the content */

static ngx_http_waha_message_type_t  ngx_http_waha_message_proto_types[] = {
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


ngx_int_t
ngx_http_waha_message_read(ngx_http_waha_reader_t *reader)
{
    ngx_int_t               rc;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    rc = ngx_http_waha_reader_read_identity(reader, reader->payload);

    if (rc != NGX_OK) {
        return rc;
    }

    event->sent_at = ngx_http_waha_reader_message_time(reader, reader->payload);

    ngx_http_waha_message_set_type(reader);
    ngx_http_waha_message_set_text(reader);

    return ngx_http_waha_metadata_write_message(reader);
}


static void
ngx_http_waha_message_set_type(ngx_http_waha_reader_t *reader)
{
    cJSON      *data;
    ngx_str_t  *type, name;

    data = ngx_http_waha_json_get(reader->message, "_data");
    name = ngx_http_waha_json_get_string(data, "type");

    type = NULL;

    if (name.data) {
        type = ngx_http_waha_message_find_type(
                   ngx_http_waha_message_webjs_types, (char *) name.data);
    }

    if (type == NULL) {
        type = ngx_http_waha_message_find_content(reader,
                                           ngx_http_waha_reader_proto(data));
    }

    if (type == NULL) {
        ngx_http_waha_message_guess_type(reader);
        return;
    }

    reader->event->type = *type;
}


/* sets reader->content and returns its type; NULL: there is none we know */

static ngx_str_t *
ngx_http_waha_message_find_content(ngx_http_waha_reader_t *reader,
    cJSON *proto)
{
    cJSON       *item, *inner;
    ngx_str_t   *type;
    ngx_uint_t   i;

    for (i = 0; i < NGX_HTTP_WAHA_WRAPPERS_MAX; i++) {

        if (!cJSON_IsObject(proto)) {
            return NULL;
        }

        inner = NULL;

        for (item = proto->child; item; item = item->next) {

            if (cJSON_IsNull(item)) {
                continue;
            }

            type = ngx_http_waha_message_find_type(
                       ngx_http_waha_message_proto_types, item->string);

            if (type) {
                reader->content = item;
                return type;
            }

            if (inner == NULL) {
                inner = ngx_http_waha_json_get(item, "message");
            }
        }

        proto = inner;
    }

    return NULL;
}


static ngx_str_t *
ngx_http_waha_message_find_type(ngx_http_waha_message_type_t *types,
    const char *name)
{
    for ( /* void */ ; types->name.len; types++) {

        if (ngx_strcmp(types->name.data, name) == 0) {
            return &types->type;
        }
    }

    return NULL;
}


/* by the members that WAHA sends for every engine */

static void
ngx_http_waha_message_guess_type(ngx_http_waha_reader_t *reader)
{
    cJSON      *media, *cards;
    ngx_str_t   mimetype, *type;

    type = &reader->event->type;

    media = ngx_http_waha_json_get(reader->message, "media");
    mimetype = ngx_http_waha_json_get_string(media, "mimetype");

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

    if (ngx_http_waha_json_get_string(reader->message, "body").len) {
        ngx_str_set(type, "text");
        return;
    }

    ngx_str_set(type, "unknown");
}


/* WEBJS sends a thumbnail as body of a picture or location without caption */

static void
ngx_http_waha_message_set_text(ngx_http_waha_reader_t *reader)
{
    cJSON                  *data;
    ngx_str_t               body, caption, raw;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    body = ngx_http_waha_json_get_string(reader->message, "body");

    if (body.len == 0) {
        return;
    }

    if (ngx_strcmp(event->type.data, "text") == 0) {
        event->text = body;
        return;
    }

    data = ngx_http_waha_json_get(reader->message, "_data");
    caption = ngx_http_waha_json_get_string(data, "caption");

    if (caption.len) {
        event->text = caption;
        return;
    }

    if (ngx_http_waha_message_is_thumbnail(&body)) {
        return;
    }

    raw = ngx_http_waha_json_get_string(data, "body");

    if (ngx_strcmp(event->type.data, "location") == 0
        && raw.data && ngx_strcmp(raw.data, body.data) == 0)
    {
        return;
    }

    event->text = body;
}


/* base64 that begins as JPEG, PNG, WebP and GIF do */

static ngx_uint_t
ngx_http_waha_message_is_thumbnail(ngx_str_t *text)
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
