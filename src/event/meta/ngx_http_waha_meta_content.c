
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_meta_content.h>
#include <ngx_http_waha_string.h>


static const ngx_http_waha_meta_content_type_t *
    ngx_http_waha_meta_content_find_type(
    const ngx_http_waha_meta_content_type_t *entry, ngx_str_t *name);
static void ngx_http_waha_meta_content_find_reply(
    ngx_http_waha_meta_content_t *found);
static ngx_str_t ngx_http_waha_meta_content_text(const cJSON *object,
    const char *name);


#define ngx_http_waha_meta_is(name, type, text)                              \
    { ngx_string(name), ngx_string(type), text, 0, 0 }

#define ngx_http_waha_meta_is_media(name, type, text)                        \
    { ngx_string(name), ngx_string(type), text, 1, 0 }


/* "type" of a message */

static const ngx_http_waha_meta_content_type_t
    ngx_http_waha_meta_content_types[] =
{
    ngx_http_waha_meta_is("text", "text", "body"),
    ngx_http_waha_meta_is_media("image", "image", "caption"),
    ngx_http_waha_meta_is_media("video", "video", "caption"),
    ngx_http_waha_meta_is_media("audio", "audio", NULL),
    ngx_http_waha_meta_is_media("voice", "audio", NULL),
    ngx_http_waha_meta_is_media("document", "document", "caption"),
    ngx_http_waha_meta_is_media("sticker", "sticker", NULL),
    ngx_http_waha_meta_is("location", "location", NULL),
    ngx_http_waha_meta_is("contacts", "contacts", NULL),
    ngx_http_waha_meta_is("interactive", "interactive", NULL),
    ngx_http_waha_meta_is("button", "button_reply", "text"),
    ngx_http_waha_meta_is("order", "order", "text"),
    ngx_http_waha_meta_is("template", "template", NULL),

    /* somebody has opened the chat for the first time */

    { ngx_string("request_welcome"), ngx_string("request_welcome"), NULL,
      0, 1 },

    { ngx_null_string, ngx_null_string, NULL, 0, 0 }
};


/* "type" of an interactive one */

static const ngx_http_waha_meta_content_type_t
    ngx_http_waha_meta_content_replies[] =
{
    ngx_http_waha_meta_is("button_reply", "button_reply", "title"),
    ngx_http_waha_meta_is("list_reply", "list_reply", "title"),
    ngx_http_waha_meta_is("nfm_reply", "flow_reply", "body"),
    ngx_http_waha_meta_is("call_permission_reply", "interactive", NULL),

    { ngx_null_string, ngx_null_string, NULL, 0, 0 }
};


void
ngx_http_waha_meta_content_find(const cJSON *message,
    ngx_http_waha_meta_content_t *found)
{
    ngx_memzero(found, sizeof(ngx_http_waha_meta_content_t));

    found->name = ngx_http_waha_json_get_string(message, "type");

    if (found->name.len) {
        found->object = ngx_http_waha_json_get(message,
                                               (char *) found->name.data);
    }

    found->entry = ngx_http_waha_meta_content_find_type(
                       ngx_http_waha_meta_content_types, &found->name);

    if (found->entry == NULL) {
        ngx_str_set(&found->type, "unknown");
        return;
    }

    found->type = found->entry->type;

    if (found->entry->text) {
        found->text = ngx_http_waha_meta_content_text(found->object,
                                                      found->entry->text);
    }

    if (ngx_http_waha_string_is(&found->name, "interactive")) {
        ngx_http_waha_meta_content_find_reply(found);
    }
}


static const ngx_http_waha_meta_content_type_t *
ngx_http_waha_meta_content_find_type(
    const ngx_http_waha_meta_content_type_t *entry, ngx_str_t *name)
{
    for ( /* void */ ; entry->name.len; entry++) {

        if (ngx_http_waha_string_is_equal(&entry->name, name)) {
            return entry;
        }
    }

    return NULL;
}


/* what was tapped, or what a business offers to tap */

static void
ngx_http_waha_meta_content_find_reply(ngx_http_waha_meta_content_t *found)
{
    ngx_str_t                                 name;
    const ngx_http_waha_meta_content_type_t  *entry;

    /* it may come with errors instead */

    if (!cJSON_IsObject(found->object)) {
        found->entry = NULL;
        ngx_str_set(&found->type, "unknown");
        return;
    }

    name = ngx_http_waha_json_get_string(found->object, "type");

    entry = ngx_http_waha_meta_content_find_type(
                ngx_http_waha_meta_content_replies, &name);

    if (entry == NULL) {
        found->text = ngx_http_waha_meta_content_text(
                          ngx_http_waha_json_get(found->object, "body"),
                          "text");
        return;
    }

    found->entry = entry;
    found->type = entry->type;
    found->reply = ngx_http_waha_json_get(found->object,
                                          (char *) entry->name.data);

    if (entry->text) {
        found->text = ngx_http_waha_meta_content_text(found->reply,
                                                      entry->text);
    }
}


static ngx_str_t
ngx_http_waha_meta_content_text(const cJSON *object, const char *name)
{
    ngx_str_t  text;

    text = ngx_http_waha_json_get_string(object, name);

    if (text.len == 0) {
        ngx_str_null(&text);
    }

    return text;
}
