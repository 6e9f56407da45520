
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_bounded.h>
#include <ngx_http_waha_meta_metadata.h>
#include <ngx_http_waha_string.h>


/* bounds, in bytes, of what is copied */

#define NGX_HTTP_WAHA_META_VCARD     8192
#define NGX_HTTP_WAHA_META_CARD      4096
#define NGX_HTTP_WAHA_META_ORDER     8192
#define NGX_HTTP_WAHA_META_CONTENT   8192
#define NGX_HTTP_WAHA_META_PARAMS    16384
#define NGX_HTTP_WAHA_META_ERRORS    4096
#define NGX_HTTP_WAHA_META_PRICE     1024
#define NGX_HTTP_WAHA_META_NEWS      16384

#define NGX_HTTP_WAHA_META_CARDS     20
#define NGX_HTTP_WAHA_META_MEMBERS   20

/* bytes of JSON that most events need */
#define NGX_HTTP_WAHA_META_SIZE      256


static void ngx_http_waha_meta_metadata_start(ngx_http_waha_bounded_t *out,
    ngx_http_waha_meta_reader_t *reader);
static ngx_int_t ngx_http_waha_meta_metadata_end(ngx_http_waha_bounded_t *out,
    ngx_http_waha_meta_reader_t *reader);
static ngx_int_t ngx_http_waha_meta_metadata_keep(
    ngx_http_waha_meta_reader_t *reader, ngx_http_waha_bounded_t *out,
    ngx_str_t *text);
static void ngx_http_waha_meta_metadata_put_participant(
    ngx_http_waha_bounded_t *out, ngx_http_waha_meta_reader_t *reader);
static void ngx_http_waha_meta_metadata_put_content(
    ngx_http_waha_bounded_t *out, ngx_http_waha_meta_content_t *content);
static void ngx_http_waha_meta_metadata_put_media(
    ngx_http_waha_bounded_t *out, const cJSON *media);
static void ngx_http_waha_meta_metadata_put_location(
    ngx_http_waha_bounded_t *out, const cJSON *location);
static void ngx_http_waha_meta_metadata_put_cards(
    ngx_http_waha_bounded_t *out, const cJSON *cards);
static void ngx_http_waha_meta_metadata_put_card(
    ngx_http_waha_bounded_t *out, const cJSON *card);
static void ngx_http_waha_meta_metadata_put_vcards(
    ngx_http_waha_bounded_t *out, const cJSON *cards);
static void ngx_http_waha_meta_metadata_put_selection(
    ngx_http_waha_bounded_t *out, ngx_http_waha_meta_content_t *content);
static void ngx_http_waha_meta_metadata_put_unknown(
    ngx_http_waha_bounded_t *out, ngx_http_waha_meta_reader_t *reader,
    ngx_http_waha_meta_content_t *content);
static void ngx_http_waha_meta_metadata_put_context(
    ngx_http_waha_bounded_t *out, const cJSON *context);


static const ngx_http_waha_bounded_member_t
    ngx_http_waha_meta_metadata_media[] =
{
    { "id", "id" },
    { "mimetype", "mime_type" },
    { "filename", "filename" },
    { "sha256", "sha256" },
    { NULL, NULL }
};


static const ngx_http_waha_bounded_member_t
    ngx_http_waha_meta_metadata_place[] =
{
    { "name", "name" },
    { "address", "address" },
    { "url", "url" },
    { NULL, NULL }
};


/* the advertisement that a person came from */

static const ngx_http_waha_bounded_member_t
    ngx_http_waha_meta_metadata_referral[] =
{
    { "source", "source_type" },
    { "id", "source_id" },
    { "url", "source_url" },
    { "title", "headline" },
    { "body", "body" },
    { "media_type", "media_type" },
    { "image_url", "image_url" },
    { "video_url", "video_url" },
    { "thumbnail_url", "thumbnail_url" },
    { "ctwa_clid", "ctwa_clid" },
    { NULL, NULL }
};


static const ngx_http_waha_bounded_member_t
    ngx_http_waha_meta_metadata_product[] =
{
    { "catalog_id", "catalog_id" },
    { "id", "product_retailer_id" },
    { NULL, NULL }
};


/* what was tapped, as the sender of the buttons or the list knows it */

static const ngx_http_waha_bounded_member_t
    ngx_http_waha_meta_metadata_selection[] =
{
    { "id", "id" },
    { "description", "description" },
    { "name", "name" },
    { NULL, NULL }
};


static const ngx_http_waha_bounded_member_t
    ngx_http_waha_meta_metadata_button[] =
{
    { "id", "payload" },
    { NULL, NULL }
};


ngx_int_t
ngx_http_waha_meta_metadata_write_message(ngx_http_waha_meta_reader_t *reader,
    ngx_http_waha_meta_content_t *content)
{
    cJSON                    *item;
    ngx_str_t                 status;
    ngx_http_waha_bounded_t   out;

    item = reader->item;

    ngx_http_waha_meta_metadata_start(&out, reader);

    if (reader->event->chat == NGX_HTTP_WAHA_GROUP) {
        ngx_http_waha_meta_metadata_put_participant(&out, reader);
    }

    ngx_http_waha_meta_metadata_put_content(&out, content);

    if (content->entry == NULL) {
        ngx_http_waha_meta_metadata_put_unknown(&out, reader, content);
    }

    ngx_http_waha_meta_metadata_put_context(&out,
                                    ngx_http_waha_json_get(item, "context"));

    ngx_http_waha_bounded_copy_members(&out, "referral",
                                    ngx_http_waha_json_get(item, "referral"),
                                    ngx_http_waha_meta_metadata_referral);

    ngx_http_waha_bounded_put_item(&out, "errors",
                                   ngx_http_waha_json_get(item, "errors"),
                                   NGX_HTTP_WAHA_META_ERRORS);

    if (ngx_http_waha_string_is(&reader->field, "history")) {
        status = ngx_http_waha_json_get_string(
                     ngx_http_waha_json_get(item, "history_context"),
                     "status");

        ngx_http_waha_json_put_bool(&out.json, "history", 1);
        ngx_http_waha_bounded_put(&out, "history_status", &status,
                                  NGX_HTTP_WAHA_BOUNDED_STRING);
    }

    return ngx_http_waha_meta_metadata_end(&out, reader);
}


ngx_int_t
ngx_http_waha_meta_metadata_write_call(ngx_http_waha_meta_reader_t *reader)
{
    cJSON                    *duration;
    ngx_http_waha_bounded_t   out;

    ngx_http_waha_meta_metadata_start(&out, reader);

    duration = ngx_http_waha_json_get(reader->item, "duration");

    if (cJSON_IsNumber(duration)
        && duration->valuedouble >= 0 && duration->valuedouble < 1e9)
    {
        ngx_http_waha_json_put_number(&out.json, "duration",
                                      duration->valuedouble);
    }

    return ngx_http_waha_meta_metadata_end(&out, reader);
}


ngx_int_t
ngx_http_waha_meta_metadata_write_status(ngx_http_waha_meta_reader_t *reader)
{
    cJSON                    *errors, *pricing, *conversation;
    ngx_str_t                 callback;
    ngx_http_waha_bounded_t   out;

    errors = ngx_http_waha_json_get(reader->item, "errors");
    pricing = ngx_http_waha_json_get(reader->item, "pricing");
    conversation = ngx_http_waha_json_get(reader->item, "conversation");
    callback = ngx_http_waha_json_get_string(reader->item,
                                             "biz_opaque_callback_data");

    if (!errors && !pricing && !conversation && callback.data == NULL) {
        return NGX_OK;
    }

    out.truncated = 0;

    ngx_http_waha_json_start(&out.json, reader->tree, NGX_HTTP_WAHA_META_SIZE);
    ngx_http_waha_json_open(&out.json, NULL, '{');

    ngx_http_waha_bounded_put_item(&out, "errors", errors,
                                   NGX_HTTP_WAHA_META_ERRORS);
    ngx_http_waha_bounded_put_item(&out, "pricing", pricing,
                                   NGX_HTTP_WAHA_META_PRICE);
    ngx_http_waha_bounded_put_item(&out, "conversation", conversation,
                                   NGX_HTTP_WAHA_META_PRICE);
    ngx_http_waha_bounded_put(&out, "callback", &callback,
                              NGX_HTTP_WAHA_BOUNDED_STRING);

    if (out.truncated) {
        ngx_http_waha_json_put_bool(&out.json, "truncated", 1);
    }

    ngx_http_waha_json_close(&out.json, '}');

    return ngx_http_waha_meta_metadata_keep(reader, &out,
                                            &reader->event->details);
}


ngx_int_t
ngx_http_waha_meta_metadata_write_preference(
    ngx_http_waha_meta_reader_t *reader)
{
    ngx_http_waha_bounded_t  out;

    out.truncated = 0;

    ngx_http_waha_json_start(&out.json, reader->tree, NGX_HTTP_WAHA_META_SIZE);
    ngx_http_waha_json_open(&out.json, NULL, '{');

    ngx_http_waha_bounded_copy_string(&out, reader->item, "category");
    ngx_http_waha_bounded_copy_string(&out, reader->item, "value");
    ngx_http_waha_bounded_copy_string(&out, reader->item, "detail");

    ngx_http_waha_json_close(&out.json, '}');

    return ngx_http_waha_meta_metadata_keep(reader, &out,
                                            &reader->event->details);
}


ngx_int_t
ngx_http_waha_meta_metadata_write_news(ngx_http_waha_meta_reader_t *reader,
    const cJSON *value)
{
    cJSON                    *member;
    ngx_uint_t                n;
    ngx_http_waha_bounded_t   out;

    out.truncated = 0;

    ngx_http_waha_json_start(&out.json, reader->tree, NGX_HTTP_WAHA_META_SIZE);

    ngx_http_waha_bounded_put_item(&out, NULL, value, NGX_HTTP_WAHA_META_NEWS);

    if (out.truncated) {

        /* what is short tells most: the event, the reason, the template */

        ngx_http_waha_json_open(&out.json, NULL, '{');

        member = value->child;

        for (n = 0; member && n < NGX_HTTP_WAHA_META_MEMBERS; n++) {

            if (cJSON_IsString(member)
                && ngx_strlen(member->string) <= NGX_HTTP_WAHA_META_SIZE
                && ngx_strlen(member->valuestring) <= NGX_HTTP_WAHA_META_SIZE)
            {
                ngx_http_waha_json_put_member(&out.json, member);
            }

            member = member->next;
        }

        ngx_http_waha_json_put_bool(&out.json, "truncated", 1);
        ngx_http_waha_json_close(&out.json, '}');
    }

    return ngx_http_waha_meta_metadata_keep(reader, &out,
                                            &reader->event->details);
}


static void
ngx_http_waha_meta_metadata_start(ngx_http_waha_bounded_t *out,
    ngx_http_waha_meta_reader_t *reader)
{
    out->truncated = 0;

    ngx_http_waha_json_start(&out->json, reader->tree, NGX_HTTP_WAHA_META_SIZE);
    ngx_http_waha_json_open(&out->json, NULL, '{');

    ngx_http_waha_json_put(&out->json, "whatsapp_message_id",
                           &reader->event->message_id);
    ngx_http_waha_json_put(&out->json, "session", &reader->event->session);

    if (!reader->time_guessed) {
        ngx_http_waha_json_put_number(&out->json, "timestamp",
                                      (double) reader->event->sent_at / 1000);
    }
}


static ngx_int_t
ngx_http_waha_meta_metadata_end(ngx_http_waha_bounded_t *out,
    ngx_http_waha_meta_reader_t *reader)
{
    if (reader->event->sanitised) {
        ngx_http_waha_json_put_bool(&out->json, "sanitised", 1);
    }

    if (out->truncated) {
        ngx_http_waha_json_put_bool(&out->json, "truncated", 1);
    }

    if (reader->time_guessed) {
        ngx_http_waha_json_put_bool(&out->json, "time_guessed", 1);
    }

    ngx_http_waha_json_close(&out->json, '}');

    return ngx_http_waha_meta_metadata_keep(reader, out,
                                            &reader->event->metadata);
}


/* what was written grew in a pool that is gone soon */

static ngx_int_t
ngx_http_waha_meta_metadata_keep(ngx_http_waha_meta_reader_t *reader,
    ngx_http_waha_bounded_t *out, ngx_str_t *text)
{
    ngx_str_t  json;

    if (ngx_http_waha_json_end(&out->json, &json) != NGX_OK) {
        return NGX_ERROR;
    }

    text->data = ngx_pnalloc(reader->pool, json.len);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(text->data, json.data, json.len);
    text->len = json.len;

    return NGX_OK;
}


static void
ngx_http_waha_meta_metadata_put_participant(ngx_http_waha_bounded_t *out,
    ngx_http_waha_meta_reader_t *reader)
{
    ngx_http_waha_event_t  *event;

    event = reader->event;

    ngx_http_waha_json_put(&out->json, "participant",
                           event->phone.data ? &event->phone : &event->bsuid);
}


static void
ngx_http_waha_meta_metadata_put_content(ngx_http_waha_bounded_t *out,
    ngx_http_waha_meta_content_t *content)
{
    if (content->entry && content->entry->media) {
        ngx_http_waha_meta_metadata_put_media(out, content->object);
    }

    if (ngx_http_waha_string_is(&content->type, "location")) {
        ngx_http_waha_meta_metadata_put_location(out, content->object);
    }

    if (ngx_http_waha_string_is(&content->type, "contacts")) {
        ngx_http_waha_meta_metadata_put_cards(out, content->object);
        ngx_http_waha_meta_metadata_put_vcards(out, content->object);
    }

    if (ngx_http_waha_string_is(&content->type, "order")) {
        ngx_http_waha_bounded_put_item(out, "order", content->object,
                                       NGX_HTTP_WAHA_META_ORDER);
    }

    if (ngx_http_waha_string_is(&content->type, "template")
        || (ngx_http_waha_string_is(&content->type, "interactive")
            && content->reply == NULL))
    {
        ngx_http_waha_bounded_put_item(out, "content", content->object,
                                       NGX_HTTP_WAHA_META_CONTENT);
    }

    ngx_http_waha_meta_metadata_put_selection(out, content);
}


/*
 * without the URL, which is good for some minutes only: the id tells where
 * the file is
 */

static void
ngx_http_waha_meta_metadata_put_media(ngx_http_waha_bounded_t *out,
    const cJSON *media)
{
    ngx_http_waha_json_put_bool(&out->json, "has_media", 1);

    ngx_http_waha_json_open(&out->json, "media", '{');

    ngx_http_waha_bounded_copy_members(out, NULL, media,
                                       ngx_http_waha_meta_metadata_media);

    ngx_http_waha_bounded_put_bool(out, "voice",
                                   ngx_http_waha_json_get(media, "voice"));
    ngx_http_waha_bounded_put_bool(out, "animated",
                                   ngx_http_waha_json_get(media, "animated"));

    ngx_http_waha_json_close(&out->json, '}');
}


static void
ngx_http_waha_meta_metadata_put_location(ngx_http_waha_bounded_t *out,
    const cJSON *location)
{
    ngx_http_waha_json_open(&out->json, "location", '{');

    ngx_http_waha_bounded_put_degrees(out, "latitude",
                            ngx_http_waha_json_get(location, "latitude"));
    ngx_http_waha_bounded_put_degrees(out, "longitude",
                            ngx_http_waha_json_get(location, "longitude"));

    ngx_http_waha_bounded_copy_members(out, NULL, location,
                                       ngx_http_waha_meta_metadata_place);

    ngx_http_waha_json_close(&out->json, '}');
}


static void
ngx_http_waha_meta_metadata_put_cards(ngx_http_waha_bounded_t *out,
    const cJSON *cards)
{
    cJSON       *card;
    ngx_uint_t   n;

    if (!cJSON_IsArray(cards)) {
        return;
    }

    ngx_http_waha_json_open(&out->json, "contacts", '[');

    n = 0;

    for (card = cards->child; card; card = card->next) {

        if (n++ == NGX_HTTP_WAHA_META_CARDS) {
            out->truncated = 1;
            break;
        }

        ngx_http_waha_meta_metadata_put_card(out, card);
    }

    ngx_http_waha_json_close(&out->json, ']');
}


static void
ngx_http_waha_meta_metadata_put_card(ngx_http_waha_bounded_t *out,
    const cJSON *card)
{
    ngx_uint_t  i;

    static const char  *members[] = {
        "name", "phones", "emails", "urls", "addresses", "org", "birthday",
        "origin", NULL
    };

    ngx_http_waha_json_open(&out->json, NULL, '{');

    for (i = 0; members[i]; i++) {
        ngx_http_waha_bounded_put_item(out, members[i],
                                       ngx_http_waha_json_get(card, members[i]),
                                       NGX_HTTP_WAHA_META_CARD);
    }

    ngx_http_waha_json_close(&out->json, '}');
}


static void
ngx_http_waha_meta_metadata_put_vcards(ngx_http_waha_bounded_t *out,
    const cJSON *cards)
{
    cJSON       *card;
    ngx_str_t    vcard;
    ngx_uint_t   n;

    if (!cJSON_IsArray(cards)) {
        return;
    }

    n = 0;

    for (card = cards->child;
         card && n < NGX_HTTP_WAHA_META_CARDS;
         card = card->next)
    {
        vcard = ngx_http_waha_json_get_string(card, "vcard");

        if (vcard.len == 0) {
            continue;
        }

        if (n++ == 0) {
            ngx_http_waha_json_open(&out->json, "vcards", '[');
        }

        ngx_http_waha_bounded_put(out, NULL, &vcard, NGX_HTTP_WAHA_META_VCARD);
    }

    if (n) {
        ngx_http_waha_json_close(&out->json, ']');
    }
}


static void
ngx_http_waha_meta_metadata_put_selection(ngx_http_waha_bounded_t *out,
    ngx_http_waha_meta_content_t *content)
{
    cJSON      *params;
    ngx_str_t   text;

    if (ngx_http_waha_string_is(&content->name, "button")) {
        ngx_http_waha_bounded_copy_members(out, "selection", content->object,
                                           ngx_http_waha_meta_metadata_button);
        return;
    }

    if (!cJSON_IsObject(content->reply)) {
        return;
    }

    ngx_http_waha_json_open(&out->json, "selection", '{');

    if (ngx_http_waha_string_is(&content->type, "interactive")) {

        /* an answer to a question of WhatsApp's own */

        ngx_http_waha_json_put_text(&out->json, "name",
                                    (char *) content->entry->name.data);
        ngx_http_waha_bounded_put_item(out, "params", content->reply,
                                       NGX_HTTP_WAHA_META_CONTENT);

    } else {
        ngx_http_waha_bounded_copy_members(out, NULL, content->reply,
                                    ngx_http_waha_meta_metadata_selection);

        params = ngx_http_waha_json_get(content->reply, "response_json");

        if (cJSON_IsString(params)) {
            text = ngx_http_waha_json_get_string(content->reply,
                                                 "response_json");
            ngx_http_waha_bounded_put(out, "params", &text,
                                      NGX_HTTP_WAHA_META_PARAMS);

        } else {
            ngx_http_waha_bounded_put_item(out, "params", params,
                                           NGX_HTTP_WAHA_META_PARAMS);
        }
    }

    ngx_http_waha_json_close(&out->json, '}');
}


/* what WhatsApp calls it, and all of it: a release of tomorrow may read it */

static void
ngx_http_waha_meta_metadata_put_unknown(ngx_http_waha_bounded_t *out,
    ngx_http_waha_meta_reader_t *reader, ngx_http_waha_meta_content_t *content)
{
    ngx_str_t  type;

    type = ngx_http_waha_json_get_string(
               ngx_http_waha_json_get(reader->item, "unsupported"), "type");

    ngx_http_waha_bounded_put(out, "original_type",
                              type.len ? &type : &content->name,
                              NGX_HTTP_WAHA_BOUNDED_STRING);

    ngx_http_waha_bounded_put_item(out, "content", content->object,
                                   NGX_HTTP_WAHA_META_CONTENT);
}


static void
ngx_http_waha_meta_metadata_put_context(ngx_http_waha_bounded_t *out,
    const cJSON *context)
{
    ngx_str_t  id, from;

    id = ngx_http_waha_json_get_string(context, "id");

    if (ngx_http_waha_meta_reader_is_id(&id)) {
        ngx_http_waha_json_open(&out->json, "reply_to", '{');

        ngx_http_waha_json_put(&out->json, "id", &id);

        from = ngx_http_waha_json_get_string(context, "from");

        if (from.len == 0) {
            from = ngx_http_waha_json_get_string(context, "from_user_id");
        }

        ngx_http_waha_bounded_put(out, "participant", &from,
                                  NGX_HTTP_WAHA_BOUNDED_STRING);

        ngx_http_waha_json_close(&out->json, '}');
    }

    ngx_http_waha_bounded_put_bool(out, "forwarded",
                            ngx_http_waha_json_get(context, "forwarded"));
    ngx_http_waha_bounded_put_bool(out, "frequently_forwarded",
                            ngx_http_waha_json_get(context,
                                                   "frequently_forwarded"));

    ngx_http_waha_bounded_copy_members(out, "referred_product",
                            ngx_http_waha_json_get(context,
                                                   "referred_product"),
                            ngx_http_waha_meta_metadata_product);
}
