
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_metadata.h>
#include <ngx_http_waha_string.h>


/* bounds, in bytes, of what is copied; part of a URL would be of no use */

#define NGX_HTTP_WAHA_METADATA_STRING  1024
#define NGX_HTTP_WAHA_METADATA_VCARD   8192
#define NGX_HTTP_WAHA_METADATA_URL     2048

#define NGX_HTTP_WAHA_METADATA_VCARDS  20

/* bytes of JSON that most messages need */
#define NGX_HTTP_WAHA_METADATA_SIZE    512


typedef struct {
    ngx_http_waha_json_out_t    json;
    unsigned                    truncated:1;
} ngx_http_waha_metadata_t;


static void ngx_http_waha_metadata_start(ngx_http_waha_metadata_t *metadata,
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_metadata_end(
    ngx_http_waha_metadata_t *metadata, ngx_http_waha_reader_t *reader);
static void ngx_http_waha_metadata_put(ngx_http_waha_metadata_t *metadata,
    const char *name, ngx_str_t *value, size_t max);
static void ngx_http_waha_metadata_copy_string(
    ngx_http_waha_metadata_t *metadata, const cJSON *object,
    const char *name);
static void ngx_http_waha_metadata_put_bool(
    ngx_http_waha_metadata_t *metadata, const char *name,
    const cJSON *value);
static void ngx_http_waha_metadata_put_media(
    ngx_http_waha_metadata_t *metadata, ngx_http_waha_reader_t *reader);
static double ngx_http_waha_metadata_media_size(
    ngx_http_waha_reader_t *reader);
static void ngx_http_waha_metadata_put_location(
    ngx_http_waha_metadata_t *metadata, const cJSON *location);
static void ngx_http_waha_metadata_put_degrees(
    ngx_http_waha_metadata_t *metadata, const char *name,
    const cJSON *location);
static void ngx_http_waha_metadata_put_vcards(
    ngx_http_waha_metadata_t *metadata, const cJSON *vcards);
static void ngx_http_waha_metadata_put_reply(
    ngx_http_waha_metadata_t *metadata, const cJSON *reply);


ngx_int_t
ngx_http_waha_metadata_write_message(ngx_http_waha_reader_t *reader)
{
    cJSON                     *message, *ack;
    ngx_http_waha_metadata_t   metadata;

    message = reader->message;

    ngx_http_waha_metadata_start(&metadata, reader);

    if (reader->event->chat != NGX_HTTP_WAHA_PERSON) {
        ngx_http_waha_json_put(&metadata.json, "participant",
                               &reader->participant);
    }

    ngx_http_waha_metadata_copy_string(&metadata, message, "source");

    ack = ngx_http_waha_json_get(message, "ack");

    if (cJSON_IsNumber(ack) && ack->valuedouble == ack->valueint) {
        ngx_http_waha_json_put_number(&metadata.json, "ack", ack->valuedouble);
    }

    ngx_http_waha_metadata_put_media(&metadata, reader);

    ngx_http_waha_metadata_put_location(&metadata,
                             ngx_http_waha_json_get(message, "location"));
    ngx_http_waha_metadata_put_vcards(&metadata,
                             ngx_http_waha_json_get(message, "vCards"));
    ngx_http_waha_metadata_put_reply(&metadata,
                             ngx_http_waha_json_get(message, "replyTo"));

    return ngx_http_waha_metadata_end(&metadata, reader);
}


ngx_int_t
ngx_http_waha_metadata_write_call(ngx_http_waha_reader_t *reader)
{
    ngx_http_waha_metadata_t  metadata;

    ngx_http_waha_metadata_start(&metadata, reader);

    return ngx_http_waha_metadata_end(&metadata, reader);
}


static void
ngx_http_waha_metadata_start(ngx_http_waha_metadata_t *metadata,
    ngx_http_waha_reader_t *reader)
{
    int64_t                    ms;
    ngx_http_waha_json_out_t  *json;

    metadata->truncated = 0;

    json = &metadata->json;

    ngx_http_waha_json_start(json, reader->pool, NGX_HTTP_WAHA_METADATA_SIZE);
    ngx_http_waha_json_open(json, NULL, '{');

    ngx_http_waha_json_put(json, "whatsapp_message_id",
                           &reader->event->message_id);
    ngx_http_waha_json_put(json, "whatsapp_id", &reader->id);
    ngx_http_waha_json_put(json, "whatsapp_chat_id", &reader->chat);
    ngx_http_waha_json_put(json, "session", &reader->event->session);

    ngx_http_waha_metadata_copy_string(metadata, reader->envelope, "engine");

    ms = ngx_http_waha_reader_time(
             ngx_http_waha_json_get(reader->payload, "timestamp"), 1000);

    if (ms) {
        ngx_http_waha_json_put_number(json, "timestamp", (double) ms / 1000);
    }
}


static ngx_int_t
ngx_http_waha_metadata_end(ngx_http_waha_metadata_t *metadata,
    ngx_http_waha_reader_t *reader)
{
    ngx_http_waha_json_out_t  *json;

    json = &metadata->json;

    if (reader->event->sanitised) {
        ngx_http_waha_json_put_bool(json, "sanitised", 1);
    }

    if (metadata->truncated) {
        ngx_http_waha_json_put_bool(json, "truncated", 1);
    }

    if (reader->time_missing) {
        ngx_http_waha_json_put_bool(json, "time_missing", 1);
    }

    ngx_http_waha_json_close(json, '}');

    return ngx_http_waha_json_end(json, &reader->event->metadata);
}


/* at most max bytes of a string; the record says if that was not all */

static void
ngx_http_waha_metadata_put(ngx_http_waha_metadata_t *metadata,
    const char *name, ngx_str_t *value, size_t max)
{
    ngx_str_t  part;

    part = ngx_http_waha_string_cut(value, max);

    if (part.len < value->len) {
        metadata->truncated = 1;
    }

    ngx_http_waha_json_put(&metadata->json, name, &part);
}


static void
ngx_http_waha_metadata_copy_string(ngx_http_waha_metadata_t *metadata,
    const cJSON *object, const char *name)
{
    ngx_str_t  value;

    value = ngx_http_waha_json_get_string(object, name);

    ngx_http_waha_metadata_put(metadata, name, &value,
                               NGX_HTTP_WAHA_METADATA_STRING);
}


static void
ngx_http_waha_metadata_put_bool(ngx_http_waha_metadata_t *metadata,
    const char *name, const cJSON *value)
{
    if (cJSON_IsBool(value)) {
        ngx_http_waha_json_put_bool(&metadata->json, name, cJSON_IsTrue(value));
    }
}


static void
ngx_http_waha_metadata_put_media(ngx_http_waha_metadata_t *metadata,
    ngx_http_waha_reader_t *reader)
{
    cJSON      *media;
    double      size;
    ngx_str_t   url;

    ngx_http_waha_metadata_put_bool(metadata, "has_media",
                        ngx_http_waha_json_get(reader->message, "hasMedia"));

    media = ngx_http_waha_json_get(reader->message, "media");

    if (!cJSON_IsObject(media)) {
        return;
    }

    url = ngx_http_waha_json_get_string(media, "url");

    if (url.len <= NGX_HTTP_WAHA_METADATA_URL) {
        ngx_http_waha_json_put(&metadata->json, "media_url", &url);

    } else {
        metadata->truncated = 1;
    }

    ngx_http_waha_json_open(&metadata->json, "media", '{');

    ngx_http_waha_metadata_copy_string(metadata, media, "mimetype");
    ngx_http_waha_metadata_copy_string(metadata, media, "filename");

    size = ngx_http_waha_metadata_media_size(reader);

    if (size >= 0) {
        ngx_http_waha_json_put_number(&metadata->json, "size", size);
    }

    if (ngx_http_waha_json_get(media, "error")) {
        ngx_http_waha_json_put_bool(&metadata->json, "error", 1);
    }

    ngx_http_waha_json_close(&metadata->json, '}');
}


/* bytes of the file, or -1; NOWEB sends 64-bit numbers as strings */

static double
ngx_http_waha_metadata_media_size(ngx_http_waha_reader_t *reader)
{
    cJSON   *item;
    double   size;

    item = ngx_http_waha_json_get(reader->content, "fileLength");

    if (item == NULL) {
        item = ngx_http_waha_json_get(
                   ngx_http_waha_json_get(reader->message, "_data"), "size");
    }

    size = -1;

    if (cJSON_IsNumber(item)) {
        size = item->valuedouble;

    } else if (cJSON_IsString(item)) {
        size = ngx_atoof((u_char *) item->valuestring,
                         ngx_strlen(item->valuestring));
    }

    return (size >= 0 && size < 1e15) ? size : -1;
}


static void
ngx_http_waha_metadata_put_location(ngx_http_waha_metadata_t *metadata,
    const cJSON *location)
{
    if (!cJSON_IsObject(location)) {
        return;
    }

    ngx_http_waha_json_open(&metadata->json, "location", '{');

    ngx_http_waha_metadata_put_degrees(metadata, "latitude", location);
    ngx_http_waha_metadata_put_degrees(metadata, "longitude", location);

    ngx_http_waha_metadata_copy_string(metadata, location, "name");
    ngx_http_waha_metadata_copy_string(metadata, location, "address");

    ngx_http_waha_metadata_put_bool(metadata, "live",
                                    ngx_http_waha_json_get(location, "live"));

    ngx_http_waha_json_close(&metadata->json, '}');
}


/* as a string, also where the payload has a number */

static void
ngx_http_waha_metadata_put_degrees(ngx_http_waha_metadata_t *metadata,
    const char *name, const cJSON *location)
{
    cJSON      *item;
    u_char      buf[NGX_INT64_LEN * 2];
    ngx_str_t   value;

    item = ngx_http_waha_json_get(location, name);
    value = ngx_http_waha_json_get_string(location, name);

    if (cJSON_IsNumber(item)
        && item->valuedouble >= -180 && item->valuedouble <= 180)
    {
        value.data = buf;
        value.len = snprintf((char *) buf, sizeof(buf), "%.15g",
                             item->valuedouble);
    }

    ngx_http_waha_metadata_put(metadata, name, &value,
                               NGX_HTTP_WAHA_METADATA_STRING);
}


static void
ngx_http_waha_metadata_put_vcards(ngx_http_waha_metadata_t *metadata,
    const cJSON *vcards)
{
    cJSON       *item;
    ngx_str_t    value;
    ngx_uint_t   n;

    if (!cJSON_IsArray(vcards) || vcards->child == NULL) {
        return;
    }

    ngx_http_waha_json_open(&metadata->json, "vcards", '[');

    n = 0;

    for (item = vcards->child; item; item = item->next) {

        if (!cJSON_IsString(item)) {
            continue;
        }

        if (n++ == NGX_HTTP_WAHA_METADATA_VCARDS) {
            metadata->truncated = 1;
            break;
        }

        value.data = (u_char *) item->valuestring;
        value.len = ngx_strlen(value.data);

        ngx_http_waha_metadata_put(metadata, NULL, &value,
                                   NGX_HTTP_WAHA_METADATA_VCARD);
    }

    ngx_http_waha_json_close(&metadata->json, ']');
}


static void
ngx_http_waha_metadata_put_reply(ngx_http_waha_metadata_t *metadata,
    const cJSON *reply)
{
    if (!cJSON_IsObject(reply)) {
        return;
    }

    ngx_http_waha_json_open(&metadata->json, "reply_to", '{');

    ngx_http_waha_metadata_copy_string(metadata, reply, "id");
    ngx_http_waha_metadata_copy_string(metadata, reply, "participant");
    ngx_http_waha_metadata_copy_string(metadata, reply, "body");

    ngx_http_waha_json_close(&metadata->json, '}');
}
