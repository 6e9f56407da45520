
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_bounded.h>
#include <ngx_http_waha_metadata.h>
#include <ngx_http_waha_string.h>


/* bounds, in bytes, of what is copied; part of a URL would be of no use */

#define NGX_HTTP_WAHA_METADATA_VCARD   8192
#define NGX_HTTP_WAHA_METADATA_URL     2048

#define NGX_HTTP_WAHA_METADATA_VCARDS  20
#define NGX_HTTP_WAHA_METADATA_OPTIONS  20

/* bytes of JSON that most messages need */
#define NGX_HTTP_WAHA_METADATA_SIZE    512


/* a member of the metadata, and where engines have it */

typedef struct {
    const char                 *name;
    const char                 *paths[4];
} ngx_http_waha_metadata_path_t;


static void ngx_http_waha_metadata_start(ngx_http_waha_bounded_t *metadata,
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_metadata_end(
    ngx_http_waha_bounded_t *metadata, ngx_http_waha_reader_t *reader);
static void ngx_http_waha_metadata_put_media(
    ngx_http_waha_bounded_t *metadata, ngx_http_waha_reader_t *reader);
static double ngx_http_waha_metadata_media_size(
    ngx_http_waha_reader_t *reader);
static void ngx_http_waha_metadata_put_paths(
    ngx_http_waha_bounded_t *metadata, const char *name,
    const cJSON *object, ngx_http_waha_metadata_path_t *paths);
static cJSON *ngx_http_waha_metadata_find(const cJSON *object,
    ngx_http_waha_metadata_path_t *member);
static void ngx_http_waha_metadata_put_location(
    ngx_http_waha_bounded_t *metadata, ngx_http_waha_reader_t *reader);
static void ngx_http_waha_metadata_put_raw_location(
    ngx_http_waha_bounded_t *metadata, ngx_http_waha_reader_t *reader);
static void ngx_http_waha_metadata_put_vcards(
    ngx_http_waha_bounded_t *metadata, ngx_http_waha_reader_t *reader);
static void ngx_http_waha_metadata_put_list(
    ngx_http_waha_bounded_t *metadata, const char *name,
    const cJSON *list, ngx_http_waha_metadata_path_t *member, ngx_uint_t n,
    size_t max);
static void ngx_http_waha_metadata_put_reply(
    ngx_http_waha_bounded_t *metadata, ngx_http_waha_reader_t *reader);
static void ngx_http_waha_metadata_put_marks(
    ngx_http_waha_bounded_t *metadata, ngx_http_waha_reader_t *reader);
static void ngx_http_waha_metadata_put_poll(
    ngx_http_waha_bounded_t *metadata, ngx_http_waha_reader_t *reader);


/* the advertisement that a person came from */

static ngx_http_waha_metadata_path_t  ngx_http_waha_metadata_referral[] = {
    { "source", { "sourceType", "sourceApp", "conversionSource" } },
    { "id", { "sourceId" } },
    { "url", { "sourceUrl" } },
    { "title", { "title" } },
    { "ctwa_clid", { "ctwaClid" } },
    { NULL, { NULL } }
};


/* what was tapped, as the sender of the buttons or the list knows it */

static ngx_http_waha_metadata_path_t  ngx_http_waha_metadata_selection[] = {

    { "id",
      { "selectedButtonId", "selectedId", "singleSelectReply.selectedRowId",
        "listResponse.singleSelectReply.selectedRowId" } },

    { "name",
      { "nativeFlowResponseMessage.name",
        "interactiveResponseMessage.nativeFlowResponseMessage.name",
        "interactiveResponse.nativeFlowResponseMessage.name" } },

    { "params",
      { "nativeFlowResponseMessage.paramsJson",
        "interactiveResponseMessage.nativeFlowResponseMessage.paramsJson",
        "interactiveResponse.nativeFlowResponseMessage.paramsJson" } },

    { NULL, { NULL } }
};


/* NOWEB, GOWS, then WPP */

static ngx_http_waha_metadata_path_t  ngx_http_waha_metadata_latitude =
    { "latitude", { "degreesLatitude", "lat" } };
static ngx_http_waha_metadata_path_t  ngx_http_waha_metadata_longitude =
    { "longitude", { "degreesLongitude", "lng" } };
static ngx_http_waha_metadata_path_t  ngx_http_waha_metadata_place[] = {
    { "name", { "name", "loc" } },
    { "address", { "address" } },
    { NULL, { NULL } }
};


static ngx_http_waha_metadata_path_t  ngx_http_waha_metadata_itself =
    { NULL, { "" } };
static ngx_http_waha_metadata_path_t  ngx_http_waha_metadata_vcard =
    { NULL, { "vcard" } };
static ngx_http_waha_metadata_path_t  ngx_http_waha_metadata_option =
    { NULL, { "optionName", "name", "" } };


ngx_int_t
ngx_http_waha_metadata_write_message(ngx_http_waha_reader_t *reader)
{
    cJSON                    *message, *ack;
    ngx_http_waha_bounded_t   metadata;

    message = reader->message;

    ngx_http_waha_metadata_start(&metadata, reader);

    if (reader->event->chat != NGX_HTTP_WAHA_PERSON) {
        ngx_http_waha_json_put(&metadata.json, "participant",
                               &reader->participant);
    }

    ngx_http_waha_bounded_copy_string(&metadata, message, "source");

    ack = ngx_http_waha_json_get(message, "ack");

    if (cJSON_IsNumber(ack) && ack->valuedouble == ack->valueint) {
        ngx_http_waha_json_put_number(&metadata.json, "ack", ack->valuedouble);
    }

    ngx_http_waha_metadata_put_media(&metadata, reader);
    ngx_http_waha_metadata_put_location(&metadata, reader);
    ngx_http_waha_metadata_put_vcards(&metadata, reader);
    ngx_http_waha_metadata_put_poll(&metadata, reader);
    ngx_http_waha_metadata_put_reply(&metadata, reader);
    ngx_http_waha_metadata_put_marks(&metadata, reader);

    return ngx_http_waha_metadata_end(&metadata, reader);
}


ngx_int_t
ngx_http_waha_metadata_write_call(ngx_http_waha_reader_t *reader)
{
    ngx_http_waha_bounded_t  metadata;

    ngx_http_waha_metadata_start(&metadata, reader);

    return ngx_http_waha_metadata_end(&metadata, reader);
}


ngx_int_t
ngx_http_waha_metadata_write_vote(ngx_http_waha_reader_t *reader)
{
    ngx_http_waha_bounded_t  metadata;

    metadata.truncated = 0;

    ngx_http_waha_json_start(&metadata.json, reader->pool,
                             NGX_HTTP_WAHA_METADATA_SIZE);
    ngx_http_waha_json_open(&metadata.json, NULL, '{');

    ngx_http_waha_metadata_put_list(&metadata, "options",
                             ngx_http_waha_json_get(reader->message,
                                                    "selectedOptions"),
                             &ngx_http_waha_metadata_option,
                             NGX_HTTP_WAHA_METADATA_OPTIONS,
                             NGX_HTTP_WAHA_BOUNDED_STRING);

    return ngx_http_waha_metadata_end(&metadata, reader);
}


static void
ngx_http_waha_metadata_start(ngx_http_waha_bounded_t *metadata,
    ngx_http_waha_reader_t *reader)
{
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

    ngx_http_waha_bounded_copy_string(metadata, reader->envelope, "engine");

    if (!reader->time_guessed) {
        ngx_http_waha_json_put_number(json, "timestamp",
                                      (double) reader->event->sent_at / 1000);
    }
}


static ngx_int_t
ngx_http_waha_metadata_end(ngx_http_waha_bounded_t *metadata,
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

    if (reader->time_guessed) {
        ngx_http_waha_json_put_bool(json, "time_guessed", 1);
    }

    ngx_http_waha_json_close(json, '}');

    return ngx_http_waha_json_end(json, &reader->event->metadata);
}


static void
ngx_http_waha_metadata_put_media(ngx_http_waha_bounded_t *metadata,
    ngx_http_waha_reader_t *reader)
{
    cJSON      *media;
    double      size;
    ngx_str_t   url;

    ngx_http_waha_bounded_put_bool(metadata, "has_media",
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

    ngx_http_waha_bounded_copy_string(metadata, media, "mimetype");
    ngx_http_waha_bounded_copy_string(metadata, media, "filename");

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

    item = ngx_http_waha_json_get(reader->found.item, "fileLength");

    if (item == NULL) {
        item = ngx_http_waha_json_get(reader->data, "size");
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


/* the members that are there, in an object if there are any */

static void
ngx_http_waha_metadata_put_paths(ngx_http_waha_bounded_t *metadata,
    const char *name, const cJSON *object,
    ngx_http_waha_metadata_path_t *paths)
{
    ngx_str_t   value;
    ngx_uint_t  is_open;

    is_open = 0;

    for ( /* void */ ; paths->name; paths++) {

        value = ngx_http_waha_content_get_string(
                    ngx_http_waha_metadata_find(object, paths), "");

        if (value.len == 0) {
            continue;
        }

        if (name && !is_open) {
            ngx_http_waha_json_open(&metadata->json, name, '{');
            is_open = 1;
        }

        ngx_http_waha_bounded_put(metadata, paths->name, &value,
                                  NGX_HTTP_WAHA_BOUNDED_STRING);
    }

    if (is_open) {
        ngx_http_waha_json_close(&metadata->json, '}');
    }
}


static cJSON *
ngx_http_waha_metadata_find(const cJSON *object,
    ngx_http_waha_metadata_path_t *member)
{
    cJSON       *item;
    ngx_uint_t   i;

    for (i = 0; i < 4 && member->paths[i]; i++) {
        item = ngx_http_waha_content_get(object, member->paths[i]);

        if (item) {
            return item;
        }
    }

    return NULL;
}


static void
ngx_http_waha_metadata_put_location(ngx_http_waha_bounded_t *metadata,
    ngx_http_waha_reader_t *reader)
{
    cJSON  *location;

    location = ngx_http_waha_json_get(reader->message, "location");

    if (!cJSON_IsObject(location)) {
        ngx_http_waha_metadata_put_raw_location(metadata, reader);
        return;
    }

    ngx_http_waha_json_open(&metadata->json, "location", '{');

    ngx_http_waha_bounded_put_degrees(metadata, "latitude",
                            ngx_http_waha_json_get(location, "latitude"));
    ngx_http_waha_bounded_put_degrees(metadata, "longitude",
                            ngx_http_waha_json_get(location, "longitude"));

    ngx_http_waha_bounded_copy_string(metadata, location, "name");
    ngx_http_waha_bounded_copy_string(metadata, location, "address");

    ngx_http_waha_bounded_put_bool(metadata, "live",
                                   ngx_http_waha_json_get(location, "live"));

    ngx_http_waha_json_close(&metadata->json, '}');
}


/* WAHA does not look into wrappers, nor anywhere for WPP */

static void
ngx_http_waha_metadata_put_raw_location(ngx_http_waha_bounded_t *metadata,
    ngx_http_waha_reader_t *reader)
{
    cJSON  *item;

    item = reader->found.item;

    if (!ngx_http_waha_string_is(&reader->event->type, "location")
        || ngx_http_waha_metadata_find(item, &ngx_http_waha_metadata_latitude)
           == NULL)
    {
        return;
    }

    ngx_http_waha_json_open(&metadata->json, "location", '{');

    ngx_http_waha_bounded_put_degrees(metadata, "latitude",
                                ngx_http_waha_metadata_find(item,
                                          &ngx_http_waha_metadata_latitude));
    ngx_http_waha_bounded_put_degrees(metadata, "longitude",
                                ngx_http_waha_metadata_find(item,
                                          &ngx_http_waha_metadata_longitude));
    ngx_http_waha_metadata_put_paths(metadata, NULL, item,
                                     ngx_http_waha_metadata_place);

    ngx_http_waha_json_close(&metadata->json, '}');
}


static void
ngx_http_waha_metadata_put_vcards(ngx_http_waha_bounded_t *metadata,
    ngx_http_waha_reader_t *reader)
{
    cJSON                          *list;
    ngx_http_waha_metadata_path_t  *member;

    list = ngx_http_waha_json_get(reader->message, "vCards");
    member = &ngx_http_waha_metadata_itself;

    if ((!cJSON_IsArray(list) || list->child == NULL)
        && ngx_http_waha_string_is(&reader->event->type, "contacts"))
    {
        /* WAHA does not look into wrappers */

        list = ngx_http_waha_content_get(reader->found.item, "contacts");
        member = &ngx_http_waha_metadata_vcard;

        if (list == NULL) {
            list = ngx_http_waha_content_get(reader->found.item, "vcardList");
        }

        if (list == NULL) {
            list = ngx_http_waha_content_get(reader->found.item, "vcard");
            member = &ngx_http_waha_metadata_itself;
        }
    }

    if (cJSON_IsString(list) || (cJSON_IsArray(list) && list->child)) {
        ngx_http_waha_metadata_put_list(metadata, "vcards", list, member,
                                        NGX_HTTP_WAHA_METADATA_VCARDS,
                                        NGX_HTTP_WAHA_METADATA_VCARD);
    }
}


/* n strings at most, of max bytes, each a member of an element of a list */

static void
ngx_http_waha_metadata_put_list(ngx_http_waha_bounded_t *metadata,
    const char *name, const cJSON *list,
    ngx_http_waha_metadata_path_t *member, ngx_uint_t n, size_t max)
{
    ngx_str_t     value;
    const cJSON  *item;

    ngx_http_waha_json_open(&metadata->json, name, '[');

    for (item = cJSON_IsArray(list) ? list->child : list;
         item;
         item = cJSON_IsArray(list) ? item->next : NULL)
    {
        value = ngx_http_waha_content_get_string(
                    ngx_http_waha_metadata_find(item, member), "");

        if (value.data == NULL) {
            continue;
        }

        if (n-- == 0) {
            metadata->truncated = 1;
            break;
        }

        ngx_http_waha_bounded_put(metadata, NULL, &value, max);
    }

    ngx_http_waha_json_close(&metadata->json, ']');
}


/* the options, which votes name */

static void
ngx_http_waha_metadata_put_poll(ngx_http_waha_bounded_t *metadata,
    ngx_http_waha_reader_t *reader)
{
    cJSON  *options;

    if (!ngx_http_waha_string_is(&reader->event->type, "poll")) {
        return;
    }

    options = ngx_http_waha_content_get(reader->found.item,
                                        reader->found.is_web ? "pollOptions"
                                                             : "options");

    if (!cJSON_IsArray(options)) {
        return;
    }

    ngx_http_waha_json_open(&metadata->json, "poll", '{');
    ngx_http_waha_metadata_put_list(metadata, "options", options,
                                    &ngx_http_waha_metadata_option,
                                    NGX_HTTP_WAHA_METADATA_OPTIONS,
                                    NGX_HTTP_WAHA_BOUNDED_STRING);
    ngx_http_waha_json_close(&metadata->json, '}');
}


static void
ngx_http_waha_metadata_put_reply(ngx_http_waha_bounded_t *metadata,
    ngx_http_waha_reader_t *reader)
{
    cJSON                          *reply, *context;
    ngx_str_t                       text;
    ngx_http_waha_content_found_t   found;

    reply = ngx_http_waha_json_get(reader->message, "replyTo");
    context = ngx_http_waha_content_get(reader->found.item, "contextInfo");

    if (cJSON_IsObject(reply)) {
        ngx_http_waha_json_open(&metadata->json, "reply_to", '{');

        ngx_http_waha_bounded_copy_string(metadata, reply, "id");
        ngx_http_waha_bounded_copy_string(metadata, reply, "participant");
        ngx_http_waha_bounded_copy_string(metadata, reply, "body");

        ngx_http_waha_json_close(&metadata->json, '}');

        return;
    }

    text = ngx_http_waha_content_get_string(context, "stanzaId");

    if (text.len == 0) {
        return;
    }

    /* WAHA does not look into wrappers */

    ngx_http_waha_json_open(&metadata->json, "reply_to", '{');

    ngx_http_waha_bounded_put(metadata, "id", &text,
                              NGX_HTTP_WAHA_BOUNDED_STRING);
    ngx_http_waha_bounded_copy_string(metadata, context, "participant");

    ngx_http_waha_content_find_proto(ngx_http_waha_content_get(context,
                                                     "quotedMessage"),
                                     &found);

    text = ngx_http_waha_content_text(&found);

    ngx_http_waha_bounded_put(metadata, "body", &text,
                              NGX_HTTP_WAHA_BOUNDED_STRING);

    ngx_http_waha_json_close(&metadata->json, '}');
}


/* what is special about the message: seen once, after an advertisement, ... */

static void
ngx_http_waha_metadata_put_marks(ngx_http_waha_bounded_t *metadata,
    ngx_http_waha_reader_t *reader)
{
    cJSON      *item, *ad;
    ngx_str_t   chat;

    item = reader->found.item;

    if (reader->found.view_once) {
        ngx_http_waha_json_put_bool(&metadata->json, "view_once", 1);
    }

    ad = ngx_http_waha_content_get(item, reader->found.is_web ? "ctwaContext"
                                          : "contextInfo.externalAdReply");

    /* the preview of a link has no source */

    if (ngx_http_waha_content_get(ad, "sourceId")
        || ngx_http_waha_content_get(ad, "ctwaClid")
        || ngx_http_waha_content_get(ad, "sourceType"))
    {
        ngx_http_waha_metadata_put_paths(metadata, "referral", ad,
                                         ngx_http_waha_metadata_referral);
    }

    chat = ngx_http_waha_content_get_string(item,
                                reader->found.is_web ? "quotedRemoteJid"
                                                     : "contextInfo.remoteJid");

    if (ngx_http_waha_string_is(&chat, "status@broadcast")) {
        ngx_http_waha_json_put_bool(&metadata->json, "status_reply", 1);
    }

    ngx_http_waha_metadata_put_paths(metadata, "selection", item,
                                     ngx_http_waha_metadata_selection);
}
