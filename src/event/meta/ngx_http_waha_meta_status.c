
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_meta_metadata.h>
#include <ngx_http_waha_meta_status.h>
#include <ngx_http_waha_string.h>


typedef struct {
    ngx_str_t                   word;
    ngx_str_t                   status;
} ngx_http_waha_meta_status_word_t;


static ngx_int_t ngx_http_waha_meta_status_find(
    const ngx_http_waha_meta_status_word_t *known, const ngx_str_t *word,
    ngx_str_t *status);
static ngx_int_t ngx_http_waha_meta_status_read_recipient(
    ngx_http_waha_meta_reader_t *reader);
static ngx_int_t ngx_http_waha_meta_status_read_caller(
    ngx_http_waha_meta_reader_t *reader);
static ngx_int_t ngx_http_waha_meta_status_finish_call(
    ngx_http_waha_meta_reader_t *reader, ngx_int_t person);


static const ngx_http_waha_meta_status_word_t
    ngx_http_waha_meta_status_words[] =
{
    { ngx_string("pending"), ngx_string("pending") },
    { ngx_string("sent"), ngx_string("sent") },
    { ngx_string("delivered"), ngx_string("delivered") },
    { ngx_string("read"), ngx_string("read") },
    { ngx_string("played"), ngx_string("played") },
    { ngx_string("failed"), ngx_string("failed") },

    /* of the history */
    { ngx_string("error"), ngx_string("failed") },

    { ngx_null_string, ngx_null_string }
};


/* "event" of a call, or what has become of it */

static const ngx_http_waha_meta_status_word_t
    ngx_http_waha_meta_status_calls[] =
{
    { ngx_string("connect"), ngx_string("received") },
    { ngx_string("ringing"), ngx_string("received") },
    { ngx_string("accepted"), ngx_string("accepted") },
    { ngx_string("rejected"), ngx_string("rejected") },
    { ngx_string("completed"), ngx_string("completed") },
    { ngx_string("failed"), ngx_string("failed") },
    { ngx_string("terminate"), ngx_string("completed") },
    { ngx_null_string, ngx_null_string }
};


static const ngx_http_waha_meta_person_t  ngx_http_waha_meta_status_to = {
    "recipient_id", "recipient_user_id", "recipient_parent_user_id"
};


static const ngx_http_waha_meta_person_t
    ngx_http_waha_meta_status_participant =
{
    "recipient_participant_id", "recipient_participant_user_id",
    "recipient_participant_parent_user_id"
};


static const ngx_http_waha_meta_person_t  ngx_http_waha_meta_status_caller = {
    "from", "from_user_id", "from_parent_user_id"
};


static const ngx_http_waha_meta_person_t  ngx_http_waha_meta_status_callee = {
    "to", "to_user_id", "to_parent_user_id"
};


ngx_int_t
ngx_http_waha_meta_status_read(ngx_http_waha_meta_reader_t *reader)
{
    ngx_str_t               word;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    event->kind = NGX_HTTP_WAHA_STATUS;
    event->outbound = 1;

    event->message_id = ngx_http_waha_json_get_string(reader->item, "id");
    event->target_id = event->message_id;

    if (!ngx_http_waha_meta_reader_is_id(&event->message_id)) {
        return ngx_http_waha_meta_reader_miss(reader, "id");
    }

    event->sent_at = ngx_http_waha_meta_reader_time(reader, reader->item);

    word = ngx_http_waha_json_get_string(reader->item, "status");

    if (ngx_http_waha_string_is(&word, "deleted")) {

        /* by the person who had written it */

        event->kind = NGX_HTTP_WAHA_REVOKE;
        event->outbound = 0;

        return ngx_http_waha_meta_status_read_recipient(reader);
    }

    if (word.len == 0) {
        return ngx_http_waha_meta_reader_miss(reader, "status");
    }

    if (ngx_http_waha_meta_status_parse(&word, &event->status) != NGX_OK) {
        return ngx_http_waha_meta_reader_ignore(reader, "event");
    }

    if (ngx_http_waha_meta_status_read_recipient(reader) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_waha_meta_metadata_write_status(reader);
}


ngx_int_t
ngx_http_waha_meta_status_parse(const ngx_str_t *word, ngx_str_t *status)
{
    return ngx_http_waha_meta_status_find(ngx_http_waha_meta_status_words,
                                          word, status);
}


static ngx_int_t
ngx_http_waha_meta_status_find(const ngx_http_waha_meta_status_word_t *known,
    const ngx_str_t *word, ngx_str_t *status)
{
    for ( /* void */ ; known->word.len; known++) {

        if (known->word.len == word->len
            && ngx_strncasecmp(known->word.data, word->data, word->len) == 0)
        {
            *status = known->status;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* Meta leaves out who it was where we have sent to the other of two ids */

static ngx_int_t
ngx_http_waha_meta_status_read_recipient(ngx_http_waha_meta_reader_t *reader)
{
    ngx_str_t                           type;
    ngx_http_waha_event_t              *event;
    const ngx_http_waha_meta_person_t  *members;

    event = reader->event;
    members = &ngx_http_waha_meta_status_to;

    type = ngx_http_waha_json_get_string(reader->item, "recipient_type");

    if (ngx_http_waha_string_is(&type, "group")) {
        event->chat = NGX_HTTP_WAHA_GROUP;
        event->chat_id = ngx_http_waha_json_get_string(reader->item,
                                                       "recipient_id");

        if (event->chat_id.len > 255
            || !ngx_http_waha_string_is_printable(&event->chat_id))
        {
            ngx_str_null(&event->chat_id);
        }

        members = &ngx_http_waha_meta_status_participant;
    }

    return (ngx_http_waha_meta_reader_read_person(reader, reader->item,
                                                  members)
            == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_http_waha_meta_status_read_call(ngx_http_waha_meta_reader_t *reader)
{
    cJSON                  *item;
    ngx_str_t               word;
    ngx_http_waha_event_t  *event;

    event = reader->event;
    event->kind = NGX_HTTP_WAHA_CALL;

    /* a list of one in older versions */

    item = ngx_http_waha_json_get(reader->item, "status");

    if (cJSON_IsArray(item)) {
        item = item->child;
    }

    ngx_str_null(&word);

    if (cJSON_IsString(item)) {
        word.data = (u_char *) item->valuestring;
        word.len = ngx_strlen(word.data);
    }

    if (ngx_http_waha_meta_status_find(ngx_http_waha_meta_status_calls, &word,
                                       &event->status)
        != NGX_OK)
    {
        word = ngx_http_waha_json_get_string(reader->item, "event");

        (void) ngx_http_waha_meta_status_find(ngx_http_waha_meta_status_calls,
                                              &word, &event->status);
    }

    return ngx_http_waha_meta_status_finish_call(reader,
                               ngx_http_waha_meta_status_read_caller(reader));
}


static ngx_int_t
ngx_http_waha_meta_status_read_caller(ngx_http_waha_meta_reader_t *reader)
{
    ngx_str_t  direction, from;

    direction = ngx_http_waha_json_get_string(reader->item, "direction");
    from = ngx_http_waha_json_get_string(reader->item, "from");

    if (ngx_http_waha_string_is(&direction, "BUSINESS_INITIATED")
        || (direction.len == 0 && reader->number.len
            && ngx_http_waha_string_is_equal(&from, &reader->number)))
    {
        reader->event->outbound = 1;

        return ngx_http_waha_meta_reader_read_person(reader, reader->item,
                                          &ngx_http_waha_meta_status_callee);
    }

    return ngx_http_waha_meta_reader_read_person(reader, reader->item,
                                          &ngx_http_waha_meta_status_caller);
}


ngx_int_t
ngx_http_waha_meta_status_read_call_status(
    ngx_http_waha_meta_reader_t *reader)
{
    ngx_str_t               word;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    event->kind = NGX_HTTP_WAHA_CALL;
    event->outbound = 1;

    word = ngx_http_waha_json_get_string(reader->item, "status");

    (void) ngx_http_waha_meta_status_find(ngx_http_waha_meta_status_calls,
                                          &word, &event->status);

    return ngx_http_waha_meta_status_finish_call(reader,
               ngx_http_waha_meta_reader_read_person(reader, reader->item,
                                              &ngx_http_waha_meta_status_to));
}


/* person: what became of reading the person */

static ngx_int_t
ngx_http_waha_meta_status_finish_call(ngx_http_waha_meta_reader_t *reader,
    ngx_int_t person)
{
    ngx_http_waha_event_t  *event;

    event = reader->event;

    if (person == NGX_ERROR) {
        return NGX_ERROR;
    }

    event->message_id = ngx_http_waha_json_get_string(reader->item, "id");

    if (!ngx_http_waha_meta_reader_is_id(&event->message_id)) {
        return ngx_http_waha_meta_reader_miss(reader, "id");
    }

    if (event->status.data == NULL) {
        return ngx_http_waha_meta_reader_ignore(reader, "event");
    }

    if (person != NGX_OK) {
        return ngx_http_waha_meta_reader_miss(reader, "from");
    }

    if (ngx_http_waha_meta_reader_is_self(reader)) {
        return ngx_http_waha_meta_reader_ignore(reader, "self");
    }

    ngx_str_set(&event->type, "audio");

    event->sent_at = ngx_http_waha_meta_reader_time(reader, reader->item);

    return ngx_http_waha_meta_metadata_write_call(reader);
}
