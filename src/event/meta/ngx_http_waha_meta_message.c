
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_meta_content.h>
#include <ngx_http_waha_meta_message.h>
#include <ngx_http_waha_meta_metadata.h>
#include <ngx_http_waha_meta_status.h>
#include <ngx_http_waha_meta_user.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_META_GROUP_MAX  255


typedef struct {
    const char                     *type;
    ngx_http_waha_meta_reader_pt    read;
} ngx_http_waha_meta_message_change_t;


static ngx_int_t ngx_http_waha_meta_message_read_ids(
    ngx_http_waha_meta_reader_t *reader, ngx_http_waha_kind_e kind);
static ngx_int_t ngx_http_waha_meta_message_read_chat(
    ngx_http_waha_meta_reader_t *reader,
    const ngx_http_waha_meta_person_t *members);
static ngx_int_t ngx_http_waha_meta_message_read_thread(
    ngx_http_waha_meta_reader_t *reader);
static ngx_uint_t ngx_http_waha_meta_message_is_ours(
    ngx_http_waha_meta_reader_t *reader);
static ngx_int_t ngx_http_waha_meta_message_read_content(
    ngx_http_waha_meta_reader_t *reader);
static ngx_int_t ngx_http_waha_meta_message_read_words(
    ngx_http_waha_meta_reader_t *reader);
static ngx_uint_t ngx_http_waha_meta_message_is_empty(
    ngx_http_waha_meta_content_t *content);
static ngx_int_t ngx_http_waha_meta_message_read_reaction(
    ngx_http_waha_meta_reader_t *reader);
static ngx_int_t ngx_http_waha_meta_message_read_edit(
    ngx_http_waha_meta_reader_t *reader);
static ngx_int_t ngx_http_waha_meta_message_read_revoke(
    ngx_http_waha_meta_reader_t *reader);
static ngx_int_t ngx_http_waha_meta_message_read_target(
    ngx_http_waha_meta_reader_t *reader, const cJSON *object,
    const char *name, const char *member);


static const ngx_http_waha_meta_person_t  ngx_http_waha_meta_message_from = {
    "from", "from_user_id", "from_parent_user_id"
};


static const ngx_http_waha_meta_person_t  ngx_http_waha_meta_message_to = {
    "to", "to_user_id", "to_parent_user_id"
};


/* messages that are no words of a person */

static const ngx_http_waha_meta_message_change_t
    ngx_http_waha_meta_message_changes[] =
{
    { "reaction", ngx_http_waha_meta_message_read_reaction },
    { "edit", ngx_http_waha_meta_message_read_edit },
    { "revoke", ngx_http_waha_meta_message_read_revoke },
    { "system", ngx_http_waha_meta_user_read_system },
    { NULL, NULL }
};


ngx_int_t
ngx_http_waha_meta_message_read(ngx_http_waha_meta_reader_t *reader)
{
    ngx_int_t  rc;

    rc = ngx_http_waha_meta_message_read_ids(reader, NGX_HTTP_WAHA_MESSAGE);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_waha_meta_message_read_chat(reader,
                                              &ngx_http_waha_meta_message_from);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_waha_meta_message_read_content(reader);
}


ngx_int_t
ngx_http_waha_meta_message_read_echo(ngx_http_waha_meta_reader_t *reader)
{
    ngx_int_t  rc;

    reader->event->outbound = 1;

    rc = ngx_http_waha_meta_message_read_ids(reader, NGX_HTTP_WAHA_MESSAGE);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_waha_meta_message_read_chat(reader,
                                              &ngx_http_waha_meta_message_to);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_waha_meta_message_read_content(reader);
}


ngx_int_t
ngx_http_waha_meta_message_read_history(ngx_http_waha_meta_reader_t *reader)
{
    cJSON      *context;
    ngx_int_t   rc;
    ngx_str_t   status;

    reader->event->outbound = ngx_http_waha_meta_message_is_ours(reader)
                              ? 1 : 0;

    rc = ngx_http_waha_meta_message_read_ids(reader, NGX_HTTP_WAHA_MESSAGE);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_waha_meta_message_read_thread(reader);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_waha_meta_message_read_content(reader);

    if (rc == NGX_OK
        && reader->event->kind == NGX_HTTP_WAHA_MESSAGE
        && reader->event->outbound)
    {
        context = ngx_http_waha_json_get(reader->item, "history_context");
        status = ngx_http_waha_json_get_string(context, "status");

        (void) ngx_http_waha_meta_status_parse(&status,
                                               &reader->event->status);
    }

    return rc;
}


static ngx_int_t
ngx_http_waha_meta_message_read_ids(ngx_http_waha_meta_reader_t *reader,
    ngx_http_waha_kind_e kind)
{
    ngx_http_waha_event_t  *event;

    event = reader->event;

    event->kind = kind;
    event->message_id = ngx_http_waha_json_get_string(reader->item, "id");

    if (!ngx_http_waha_meta_reader_is_id(&event->message_id)) {
        return ngx_http_waha_meta_reader_miss(reader, "id");
    }

    event->sent_at = ngx_http_waha_meta_reader_time(reader, reader->item);

    return NGX_OK;
}


/* our own message to a group is addressed to no single person */

static ngx_int_t
ngx_http_waha_meta_message_read_chat(ngx_http_waha_meta_reader_t *reader,
    const ngx_http_waha_meta_person_t *members)
{
    ngx_int_t               rc;
    ngx_str_t               group;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    group = ngx_http_waha_json_get_string(reader->item, "group_id");

    if (group.len) {
        event->chat = NGX_HTTP_WAHA_GROUP;

        if (group.len > NGX_HTTP_WAHA_META_GROUP_MAX
            || !ngx_http_waha_string_is_printable(&group))
        {
            return ngx_http_waha_meta_reader_miss(reader, "group_id");
        }

        event->chat_id = group;

        if (event->outbound) {
            return NGX_OK;
        }
    }

    rc = ngx_http_waha_meta_reader_read_person(reader, reader->item, members);

    if (rc == NGX_ERROR) {
        return rc;
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_waha_meta_reader_miss(reader, members->phone);
    }

    if (ngx_http_waha_meta_reader_is_self(reader)) {
        return ngx_http_waha_meta_reader_ignore(reader, "self");
    }

    return NGX_OK;
}


/* the id of a thread is the other person, whoever wrote the message */

static ngx_int_t
ngx_http_waha_meta_message_read_thread(ngx_http_waha_meta_reader_t *reader)
{
    cJSON                  *context;
    ngx_int_t               rc;
    ngx_str_t               id, username;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    rc = ngx_http_waha_meta_message_read_chat(reader,
                            event->outbound ? &ngx_http_waha_meta_message_to
                                            : &ngx_http_waha_meta_message_from);

    if ((rc != NGX_OK && rc != NGX_DECLINED)
        || event->chat != NGX_HTTP_WAHA_PERSON)
    {
        return rc;
    }

    id = ngx_http_waha_meta_reader_phone(reader->thread, "id");
    context = ngx_http_waha_json_get(reader->thread, "context");

    if (id.data == NULL) {
        id = ngx_http_waha_meta_reader_phone(context, "wa_id");
    }

    if (event->phone.data == NULL) {
        event->phone = id;
    }

    if (event->bsuid.data == NULL) {
        event->bsuid = ngx_http_waha_meta_reader_bsuid(context, "user_id");
    }

    if (event->bsuid.data == NULL) {
        event->bsuid = ngx_http_waha_meta_reader_bsuid(reader->thread, "id");
    }

    username = ngx_http_waha_meta_reader_username(context);

    if (event->username.data == NULL) {
        event->username = username;
    }

    if (event->phone.data == NULL && event->bsuid.data == NULL) {
        return NGX_DECLINED;
    }

    ngx_str_null(&event->missing);

    if (ngx_http_waha_meta_reader_is_self(reader)) {
        return ngx_http_waha_meta_reader_ignore(reader, "self");
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_waha_meta_message_is_ours(ngx_http_waha_meta_reader_t *reader)
{
    ngx_str_t  from;

    if (cJSON_IsTrue(ngx_http_waha_json_get(
                         ngx_http_waha_json_get(reader->item,
                                                "history_context"),
                         "from_me")))
    {
        return 1;
    }

    from = ngx_http_waha_json_get_string(reader->item, "from");

    return reader->number.len
           && ngx_http_waha_string_is_equal(&from, &reader->number);
}


static ngx_int_t
ngx_http_waha_meta_message_read_content(ngx_http_waha_meta_reader_t *reader)
{
    ngx_str_t                                   type;
    const ngx_http_waha_meta_message_change_t  *change;

    type = ngx_http_waha_json_get_string(reader->item, "type");

    for (change = ngx_http_waha_meta_message_changes; change->type; change++) {

        if (ngx_http_waha_string_is(&type, change->type)) {
            return change->read(reader);
        }
    }

    return ngx_http_waha_meta_message_read_words(reader);
}


static ngx_int_t
ngx_http_waha_meta_message_read_words(ngx_http_waha_meta_reader_t *reader)
{
    ngx_http_waha_event_t         *event;
    ngx_http_waha_meta_content_t   content;

    event = reader->event;

    ngx_http_waha_meta_content_find(reader->item, &content);

    event->type = content.type;
    event->text = content.text;
    event->empty = ngx_http_waha_meta_message_is_empty(&content) ? 1 : 0;

    return ngx_http_waha_meta_metadata_write_message(reader, &content);
}


/* what only the phone shows was said all the same */

static ngx_uint_t
ngx_http_waha_meta_message_is_empty(ngx_http_waha_meta_content_t *content)
{
    if (content->text.len) {
        return 0;
    }

    return ngx_http_waha_string_is(&content->type, "text")
           || (content->entry && content->entry->says_nothing);
}


static ngx_int_t
ngx_http_waha_meta_message_read_reaction(ngx_http_waha_meta_reader_t *reader)
{
    cJSON                  *reaction;
    ngx_http_waha_event_t  *event;

    event = reader->event;
    event->kind = NGX_HTTP_WAHA_REACTION;

    reaction = ngx_http_waha_json_get(reader->item, "reaction");

    event->text = ngx_http_waha_json_get_string(reaction, "emoji");

    if (event->text.data == NULL) {
        ngx_str_set(&event->text, "");
    }

    return ngx_http_waha_meta_message_read_target(reader, reaction,
                                                  "message_id",
                                                  "reaction.message_id");
}


/* data of the text is NULL if it is there but cannot be read */

static ngx_int_t
ngx_http_waha_meta_message_read_edit(ngx_http_waha_meta_reader_t *reader)
{
    cJSON                         *edit;
    ngx_http_waha_event_t         *event;
    ngx_http_waha_meta_content_t   content;

    event = reader->event;
    event->kind = NGX_HTTP_WAHA_EDIT;

    edit = ngx_http_waha_json_get(reader->item, "edit");

    ngx_http_waha_meta_content_find(ngx_http_waha_json_get(edit, "message"),
                                    &content);

    event->text = content.text;

    /* the caption of a picture is removed; a text cannot be */

    if (event->text.data == NULL && content.entry && content.entry->media) {
        ngx_str_set(&event->text, "");
    }

    return ngx_http_waha_meta_message_read_target(reader, edit,
                                                  "original_message_id",
                                                  "edit.original_message_id");
}


static ngx_int_t
ngx_http_waha_meta_message_read_revoke(ngx_http_waha_meta_reader_t *reader)
{
    reader->event->kind = NGX_HTTP_WAHA_REVOKE;

    return ngx_http_waha_meta_message_read_target(reader,
                                ngx_http_waha_json_get(reader->item, "revoke"),
                                "original_message_id",
                                "revoke.original_message_id");
}


static ngx_int_t
ngx_http_waha_meta_message_read_target(ngx_http_waha_meta_reader_t *reader,
    const cJSON *object, const char *name, const char *member)
{
    ngx_str_t  *target;

    target = &reader->event->target_id;

    *target = ngx_http_waha_json_get_string(object, name);

    if (!ngx_http_waha_meta_reader_is_id(target)) {
        return ngx_http_waha_meta_reader_miss(reader, member);
    }

    return NGX_OK;
}
