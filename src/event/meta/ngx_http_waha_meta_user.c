
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_meta_metadata.h>
#include <ngx_http_waha_meta_user.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


static void ngx_http_waha_meta_user_set_previous(ngx_str_t *previous,
    const ngx_str_t *old, const ngx_str_t *now);
static ngx_uint_t ngx_http_waha_meta_user_is_new(
    ngx_http_waha_event_t *event);
static ngx_int_t ngx_http_waha_meta_user_read_card(
    ngx_http_waha_meta_reader_t *reader, const cJSON *contact);


static const ngx_http_waha_meta_person_t  ngx_http_waha_meta_user_members = {
    "wa_id", "user_id", "parent_user_id"
};


static const ngx_http_waha_meta_person_t  ngx_http_waha_meta_user_card = {
    "phone_number", "user_id", "parent_user_id"
};


/*
 * "user_changed_number", "user_changed_user_id", and "customer_changed_number"
 * of older versions; the sender is who the person was
 */

ngx_int_t
ngx_http_waha_meta_user_read_system(ngx_http_waha_meta_reader_t *reader)
{
    cJSON                  *system;
    ngx_str_t               type, phone, bsuid, parent, old_phone, old_bsuid;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    system = ngx_http_waha_json_get(reader->item, "system");
    type = ngx_http_waha_json_get_string(system, "type");

    if (!ngx_http_waha_string_is(&type, "user_changed_number")
        && !ngx_http_waha_string_is(&type, "user_changed_user_id")
        && !ngx_http_waha_string_is(&type, "customer_changed_number"))
    {
        return ngx_http_waha_meta_reader_ignore(reader, "notice");
    }

    event->kind = NGX_HTTP_WAHA_USER;
    event->chat = NGX_HTTP_WAHA_PERSON;
    ngx_str_null(&event->chat_id);

    old_phone = ngx_http_waha_meta_reader_phone(system, "customer");

    if (old_phone.data == NULL) {
        old_phone = event->phone;
    }

    old_bsuid = ngx_http_waha_meta_reader_bsuid(system, "previous_user_id");

    if (old_bsuid.data == NULL) {
        old_bsuid = event->bsuid;
    }

    phone = ngx_http_waha_meta_reader_phone(system, "wa_id");

    if (phone.data == NULL) {
        phone = ngx_http_waha_meta_reader_phone(system, "new_wa_id");
    }

    bsuid = ngx_http_waha_meta_reader_bsuid(system, "user_id");
    parent = ngx_http_waha_meta_reader_bsuid(system, "parent_user_id");

    event->phone = phone.data ? phone : old_phone;
    event->bsuid = bsuid.data ? bsuid : old_bsuid;
    event->parent_bsuid = parent.data ? parent : event->parent_bsuid;

    ngx_http_waha_meta_user_set_previous(&event->previous_phone, &old_phone,
                                         &event->phone);
    ngx_http_waha_meta_user_set_previous(&event->previous_bsuid, &old_bsuid,
                                         &event->bsuid);

    if (!ngx_http_waha_meta_user_is_new(event)) {
        return ngx_http_waha_meta_reader_ignore(reader, "notice");
    }

    return NGX_OK;
}


static void
ngx_http_waha_meta_user_set_previous(ngx_str_t *previous, const ngx_str_t *old,
    const ngx_str_t *now)
{
    if (!ngx_http_waha_string_is_equal(old, now)) {
        *previous = *old;
    }
}


static ngx_uint_t
ngx_http_waha_meta_user_is_new(ngx_http_waha_event_t *event)
{
    return event->previous_phone.len || event->previous_bsuid.len;
}


ngx_int_t
ngx_http_waha_meta_user_read_update(ngx_http_waha_meta_reader_t *reader)
{
    cJSON                  *ids, *parents;
    ngx_str_t               bsuid, parent, previous;
    ngx_http_waha_event_t  *event;

    event = reader->event;
    event->kind = NGX_HTTP_WAHA_USER;

    if (ngx_http_waha_meta_reader_read_person(reader, reader->item,
                                              &ngx_http_waha_meta_user_members)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    ids = ngx_http_waha_json_get(reader->item, "user_id");
    parents = ngx_http_waha_json_get(reader->item, "parent_user_id");

    bsuid = ngx_http_waha_meta_reader_bsuid(ids, "current");
    previous = ngx_http_waha_meta_reader_bsuid(ids, "previous");

    if (bsuid.data == NULL) {
        return ngx_http_waha_meta_reader_miss(reader, "user_id.current");
    }

    parent = ngx_http_waha_meta_reader_bsuid(parents, "current");

    event->bsuid = bsuid;
    event->parent_bsuid = parent.data ? parent : event->parent_bsuid;

    ngx_http_waha_meta_user_set_previous(&event->previous_bsuid, &previous,
                                         &event->bsuid);

    /* one of them finds the contact that gets the new user id */

    if (event->phone.data == NULL && event->previous_bsuid.data == NULL) {
        return ngx_http_waha_meta_reader_miss(reader, "user_id.previous");
    }

    event->sent_at = ngx_http_waha_meta_reader_time(reader, reader->item);

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_meta_user_read_sync(ngx_http_waha_meta_reader_t *reader)
{
    cJSON                  *contact;
    ngx_int_t               rc;
    ngx_str_t               type, action, name, username;
    ngx_http_waha_event_t  *event;

    event = reader->event;
    event->kind = NGX_HTTP_WAHA_USER;

    type = ngx_http_waha_json_get_string(reader->item, "type");
    action = ngx_http_waha_json_get_string(reader->item, "action");

    /* a person who leaves the address book keeps the name here */

    if (!ngx_http_waha_string_is(&type, "contact")
        || ngx_http_waha_string_is(&action, "remove"))
    {
        return ngx_http_waha_meta_reader_ignore(reader, "notice");
    }

    contact = ngx_http_waha_json_get(reader->item, "contact");

    rc = ngx_http_waha_meta_user_read_card(reader, contact);

    if (rc == NGX_ERROR) {
        return rc;
    }

    if (rc != NGX_OK) {
        return ngx_http_waha_meta_reader_miss(reader, "contact.phone_number");
    }

    if (ngx_http_waha_meta_reader_is_self(reader)) {
        return ngx_http_waha_meta_reader_ignore(reader, "self");
    }

    name = ngx_http_waha_json_get_string(contact, "full_name");
    event->name = ngx_http_waha_field_display_name(&name);

    if (event->name.data == NULL) {
        name = ngx_http_waha_json_get_string(contact, "first_name");
        event->name = ngx_http_waha_field_display_name(&name);
    }

    username = ngx_http_waha_meta_reader_username(contact);

    if (username.data) {
        event->username = username;
    }

    event->sent_at = ngx_http_waha_meta_reader_time(reader,
                            ngx_http_waha_json_get(reader->item, "metadata"));

    return NGX_OK;
}


/* people write numbers as they like */

static ngx_int_t
ngx_http_waha_meta_user_read_card(ngx_http_waha_meta_reader_t *reader,
    const cJSON *contact)
{
    ngx_int_t   rc;
    ngx_str_t   number, *phone;

    rc = ngx_http_waha_meta_reader_read_person(reader, contact,
                                               &ngx_http_waha_meta_user_card);
    if (rc == NGX_ERROR) {
        return rc;
    }

    phone = &reader->event->phone;
    number = ngx_http_waha_json_get_string(contact, "phone_number");

    if (phone->data == NULL && number.len) {

        rc = ngx_http_waha_value_parse_phone(reader->tree, &number);

        if (rc == NGX_ERROR) {
            return rc;
        }

        if (rc == NGX_OK && number.data[0] != '0') {
            *phone = number;
        }
    }

    return (phone->data || reader->event->bsuid.data) ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_waha_meta_user_read_preference(ngx_http_waha_meta_reader_t *reader)
{
    ngx_int_t               rc;
    ngx_http_waha_event_t  *event;

    event = reader->event;
    event->kind = NGX_HTTP_WAHA_USER;

    rc = ngx_http_waha_meta_reader_read_person(reader, reader->item,
                                              &ngx_http_waha_meta_user_members);
    if (rc == NGX_ERROR) {
        return rc;
    }

    if (rc != NGX_OK) {
        return ngx_http_waha_meta_reader_miss(reader, "wa_id");
    }

    event->sent_at = ngx_http_waha_meta_reader_time(reader, reader->item);

    return ngx_http_waha_meta_metadata_write_preference(reader);
}
