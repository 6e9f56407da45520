
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_change.h>
#include <ngx_http_waha_message.h>
#include <ngx_http_waha_metadata.h>
#include <ngx_http_waha_string.h>


/* a shorter text that looks like base64 may be a word */

#define NGX_HTTP_WAHA_THUMBNAIL_MIN  100


static ngx_int_t ngx_http_waha_message_read_words(
    ngx_http_waha_reader_t *reader);
static void ngx_http_waha_message_set_type(ngx_http_waha_reader_t *reader);
static void ngx_http_waha_message_guess_type(
    ngx_http_waha_reader_t *reader);
static void ngx_http_waha_message_set_text(ngx_http_waha_reader_t *reader);
static ngx_uint_t ngx_http_waha_message_is_words(
    ngx_http_waha_reader_t *reader, ngx_str_t *body);
static ngx_uint_t ngx_http_waha_message_is_empty(
    ngx_http_waha_reader_t *reader);
static ngx_uint_t ngx_http_waha_message_is_thumbnail(ngx_str_t *text);


ngx_int_t
ngx_http_waha_message_read(ngx_http_waha_reader_t *reader)
{
    ngx_int_t                       rc;
    ngx_http_waha_content_found_t  *found;

    rc = ngx_http_waha_reader_read_identity(reader, reader->payload,
                                            "payload.id");

    if (rc != NGX_OK) {
        return rc;
    }

    found = &reader->found;

    ngx_http_waha_content_find(reader->data, found);

    if (found->entry == NULL) {
        return ngx_http_waha_message_read_words(reader);
    }

    switch (found->entry->is) {

    case NGX_HTTP_WAHA_CONTENT_PROTOCOL:
    case NGX_HTTP_WAHA_CONTENT_SECRET:
    case NGX_HTTP_WAHA_CONTENT_REACTS:
    case NGX_HTTP_WAHA_CONTENT_REVOKES:
        return ngx_http_waha_change_read_content(reader);

    case NGX_HTTP_WAHA_CONTENT_CALLS:
        return ngx_http_waha_reader_ignore(reader, "call");

    case NGX_HTTP_WAHA_CONTENT_WAITS:
        return ngx_http_waha_reader_ignore(reader, "ciphertext");

    case NGX_HTTP_WAHA_CONTENT_NOTHING:
        return ngx_http_waha_reader_ignore(reader, "notice");

    default: /* NGX_HTTP_WAHA_CONTENT_SAYS */
        return ngx_http_waha_message_read_words(reader);
    }
}


static ngx_int_t
ngx_http_waha_message_read_words(ngx_http_waha_reader_t *reader)
{
    ngx_http_waha_event_t  *event;

    event = reader->event;

    event->sent_at = ngx_http_waha_reader_message_time(reader, reader->payload);

    ngx_http_waha_message_set_type(reader);
    ngx_http_waha_message_set_text(reader);

    event->empty = ngx_http_waha_message_is_empty(reader) ? 1 : 0;

    if (event->outbound) {
        (void) ngx_http_waha_change_parse_ack(reader->payload, &event->status);
    }

    return ngx_http_waha_metadata_write_message(reader);
}


static void
ngx_http_waha_message_set_type(ngx_http_waha_reader_t *reader)
{
    const ngx_http_waha_content_t  *entry;

    entry = reader->found.entry;

    if (entry && !ngx_http_waha_string_is(&entry->type, "unknown")) {
        reader->event->type = entry->type;
        return;
    }

    ngx_http_waha_message_guess_type(reader);
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


/* what WAHA has made of the message first, if it is a text */

static void
ngx_http_waha_message_set_text(ngx_http_waha_reader_t *reader)
{
    ngx_str_t               body, text;
    ngx_uint_t              is_words;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    body = ngx_http_waha_json_get_string(reader->message, "body");
    text = ngx_http_waha_content_text(&reader->found);

    if (ngx_http_waha_string_is(&event->type, "text")) {
        is_words = body.len ? 1 : 0;

    } else {
        is_words = text.len ? 0 : ngx_http_waha_message_is_words(reader, &body);
    }

    if (is_words) {
        event->text = body;

    } else if (text.len) {
        event->text = text;
    }
}


/*
 * WEBJS sends a thumbnail as body of a picture, location or invitation, and
 * the card as body of a contact
 */

static ngx_uint_t
ngx_http_waha_message_is_words(ngx_http_waha_reader_t *reader,
    ngx_str_t *body)
{
    ngx_str_t  raw, *type;

    if (body->len == 0 || ngx_http_waha_message_is_thumbnail(body)) {
        return 0;
    }

    type = &reader->event->type;

    if (ngx_http_waha_string_is(type, "location")) {
        raw = ngx_http_waha_json_get_string(reader->data, "body");

        return !ngx_http_waha_string_is_equal(&raw, body);
    }

    return !ngx_http_waha_string_is(type, "contacts")
           || ngx_strncmp(body->data, "BEGIN:VCARD", 11) != 0;
}


/* a message whose content is withheld is one all the same */

static ngx_uint_t
ngx_http_waha_message_is_empty(ngx_http_waha_reader_t *reader)
{
    ngx_http_waha_event_t  *event;

    event = reader->event;

    if (event->text.len || reader->found.view_once
        || ngx_http_waha_json_get(reader->message, "media")
        || cJSON_IsTrue(ngx_http_waha_json_get(reader->message, "hasMedia")))
    {
        return 0;
    }

    return ngx_http_waha_string_is(&event->type, "unknown")
           || ngx_http_waha_string_is(&event->type, "text");
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
