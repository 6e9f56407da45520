
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * ngx_http_waha_notification_parse(): whatever is posted, each event may go to
 * PostgreSQL as it is; an event alone is read as the same one; without memory
 * there are no events.
 */


#include "fuzz.h"
#include "ngx_http_waha_json.h"
#include "ngx_http_waha_notification.h"


#define FUZZ_METADATA_MAX  (512 * 1024)


static const size_t  fuzz_strings[] = {
    offsetof(ngx_http_waha_event_t, event),
    offsetof(ngx_http_waha_event_t, session),
    offsetof(ngx_http_waha_event_t, account),
    offsetof(ngx_http_waha_event_t, message_id),
    offsetof(ngx_http_waha_event_t, target_id),
    offsetof(ngx_http_waha_event_t, chat_id),
    offsetof(ngx_http_waha_event_t, phone),
    offsetof(ngx_http_waha_event_t, bsuid),
    offsetof(ngx_http_waha_event_t, parent_bsuid),
    offsetof(ngx_http_waha_event_t, username),
    offsetof(ngx_http_waha_event_t, name),
    offsetof(ngx_http_waha_event_t, previous_phone),
    offsetof(ngx_http_waha_event_t, previous_bsuid),
    offsetof(ngx_http_waha_event_t, type),
    offsetof(ngx_http_waha_event_t, text),
    offsetof(ngx_http_waha_event_t, status),
    offsetof(ngx_http_waha_event_t, metadata),
    offsetof(ngx_http_waha_event_t, details),
    offsetof(ngx_http_waha_event_t, reason),
    offsetof(ngx_http_waha_event_t, missing)
};


static ngx_str_t *
fuzz_string(ngx_http_waha_event_t *event, size_t i)
{
    return (ngx_str_t *) ((u_char *) event + fuzz_strings[i]);
}


static void
fuzz_name(ngx_str_t *text, size_t max, ngx_uint_t needed)
{
    size_t  i;

    fuzz_check(text->len || (text->data == NULL && !needed));
    fuzz_check(text->len <= max);

    for (i = 0; i < text->len; i++) {
        fuzz_check(text->data[i] > ' ' && text->data[i] < 0x7f);
    }
}


static void
fuzz_digits(ngx_str_t *text, size_t max)
{
    size_t  i;

    fuzz_check(text->len <= max);

    for (i = 0; i < text->len; i++) {
        fuzz_check(isdigit(text->data[i]));
    }
}


static void
fuzz_bsuid(ngx_str_t *text)
{
    size_t  i;

    if (text->data == NULL) {
        return;
    }

    fuzz_check(text->len >= 4 && text->len <= 3 + 4 + 128);
    fuzz_check(isupper(text->data[0]) && isupper(text->data[1]));

    for (i = 3; i < text->len; i++) {
        fuzz_check(isalnum(text->data[i])
                   || (i == 6 && memcmp(&text->data[3], "ENT.", 4) == 0));
    }
}


/* an object that PostgreSQL takes */

static void
fuzz_object(ngx_pool_t *pool, ngx_str_t *object)
{
    cJSON       *json;
    ngx_str_t    text;
    ngx_uint_t   replaced;

    if (object->data == NULL) {
        return;
    }

    fuzz_check(object->len <= FUZZ_METADATA_MAX);

    text = *object;

    fuzz_check(ngx_http_waha_json_clean(pool, &text, &replaced) == NGX_OK);
    fuzz_check(!replaced);
    fuzz_check(ngx_http_waha_json_parse(pool, &text, &json) == NGX_OK);
    fuzz_check(cJSON_IsObject(json));
}


static void
fuzz_kind(ngx_http_waha_event_t *event)
{
    fuzz_check(event->kind == NGX_HTTP_WAHA_ACCOUNT
               || event->kind == NGX_HTTP_WAHA_USER || event->message_id.len);

    switch (event->kind) {

    case NGX_HTTP_WAHA_MESSAGE:
        fuzz_check(event->type.len && event->metadata.len);
        break;

    case NGX_HTTP_WAHA_CALL:
        fuzz_check(event->type.len && event->status.len);
        fuzz_check(event->metadata.len);
        break;

    case NGX_HTTP_WAHA_STATUS:
        fuzz_check(event->status.len && event->target_id.len);
        fuzz_check(event->outbound);
        return;

    case NGX_HTTP_WAHA_REACTION:
        fuzz_check(event->text.data);
        fuzz_check(event->target_id.len);
        break;

    case NGX_HTTP_WAHA_EDIT:
        fuzz_check(event->target_id.len);
        break;

    case NGX_HTTP_WAHA_REVOKE:
        fuzz_check(event->target_id.len);
        return;

    case NGX_HTTP_WAHA_USER:
        fuzz_check(!event->outbound || event->message_id.len);
        break;

    case NGX_HTTP_WAHA_ACCOUNT:
        fuzz_check(event->details.len);
        fuzz_check(event->session.data == event->account.data);
        return;

    default:
        fuzz_check(0);
    }

    fuzz_check(event->phone.len || event->bsuid.len
               || (event->chat == NGX_HTTP_WAHA_GROUP && event->outbound));
}


static void
fuzz_event(ngx_pool_t *pool, ngx_http_waha_event_t *event)
{
    size_t  i;

    fuzz_check(event->chat == NGX_HTTP_WAHA_PERSON
               || event->chat == NGX_HTTP_WAHA_GROUP);

    for (i = 0; i < sizeof(fuzz_strings) / sizeof(size_t); i++) {
        fuzz_check(fuzz_string(event, i)->data
                   || fuzz_string(event, i)->len == 0);
        fuzz_check(fuzz_utf8(fuzz_string(event, i)));
    }

    fuzz_name(&event->event, 64, 0);
    fuzz_name(&event->account, 64, 0);
    fuzz_digits(&event->session, 32);
    fuzz_name(&event->message_id, 512, 0);
    fuzz_name(&event->target_id, 512, 0);
    fuzz_name(&event->chat_id, 255, 0);
    fuzz_digits(&event->phone, 15);
    fuzz_digits(&event->previous_phone, 15);
    fuzz_bsuid(&event->bsuid);
    fuzz_bsuid(&event->parent_bsuid);
    fuzz_bsuid(&event->previous_bsuid);
    fuzz_check(event->name.len <= 255 && event->username.len <= 255);
    fuzz_check(event->name.data == NULL || !event->outbound
               || event->kind == NGX_HTTP_WAHA_USER);
    fuzz_check(!event->empty || event->kind == NGX_HTTP_WAHA_MESSAGE);
    fuzz_check(event->lid.data == NULL && event->connection.data == NULL);

    fuzz_object(pool, &event->metadata);
    fuzz_object(pool, &event->details);

    if (event->missing.data || event->kind == NGX_HTTP_WAHA_OTHER) {
        fuzz_check((event->missing.data == NULL)
                   != (event->reason.data == NULL));
        fuzz_check(event->message_id.data == NULL && event->text.data == NULL
                   && event->metadata.data == NULL && event->sent_at == 0);
        fuzz_check(event->missing.len <= 64 && event->reason.len <= 64);
        return;
    }

    fuzz_check(event->reason.data == NULL && event->session.len);
    fuzz_check(event->sent_at > 0 && event->sent_at <= 4102444800000);
    fuzz_kind(event);
}


static void
fuzz_same(ngx_http_waha_event_t *one, ngx_http_waha_event_t *two)
{
    size_t      i;
    ngx_str_t  *a, *b;

    fuzz_check(one->kind == two->kind && one->chat == two->chat);
    fuzz_check(one->outbound == two->outbound && one->empty == two->empty);
    fuzz_check(one->sent_at == two->sent_at);

    for (i = 0; i < sizeof(fuzz_strings) / sizeof(size_t); i++) {
        a = fuzz_string(one, i);
        b = fuzz_string(two, i);

        fuzz_check(a->len == b->len && !a->data == !b->data);
        fuzz_check(a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
    }
}


static ngx_int_t
fuzz_parse(ngx_pool_t *pool, ngx_str_t *body, ngx_array_t *events)
{
    ngx_int_t  rc;

    events->nelts = 0;
    events->elts = NULL;

    rc = ngx_http_waha_notification_parse(pool, body, events);

    switch (rc) {

    case NGX_OK:
        fuzz_check(events->nelts >= 1);
        break;

    case NGX_DECLINED:
        fuzz_check(events->nelts <= 1);
        break;

    default:
        fuzz_check(events->nelts == 0);
    }

    return rc;
}


static void
fuzz_alone(ngx_pool_t *pool, ngx_http_waha_event_t *event)
{
    ngx_str_t    raw;
    ngx_array_t  again;

    fuzz_check(ngx_http_waha_notification_raw(pool, event, &raw) == NGX_OK);
    fuzz_check(fuzz_parse(pool, &raw, &again) == NGX_OK);
    fuzz_check(again.nelts == 1);

    fuzz_same(again.elts, event);
}


/* the events again, without memory from some point on */

static void
fuzz_memory(ngx_str_t *body, ngx_array_t *events, ngx_uint_t fail)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_pool_t             *pool;
    ngx_array_t             again;
    ngx_http_waha_event_t  *one, *two;

    pool = ngx_create_pool(4096, NULL);

    ngx_shim_fail = fail;

    rc = fuzz_parse(pool, body, &again);

    ngx_shim_fail = 0;

    fuzz_check(rc == NGX_OK || rc == NGX_ERROR);
    fuzz_check(rc == NGX_ERROR || again.nelts == events->nelts);

    one = events->elts;
    two = again.elts;

    for (i = 0; i < again.nelts; i++) {
        fuzz_same(&one[i], &two[i]);
    }

    ngx_destroy_pool(pool);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                  kept;
    ngx_int_t               rc;
    ngx_str_t               body, text;
    ngx_uint_t              i, replaced;
    ngx_pool_t             *pool;
    ngx_array_t             events;
    ngx_http_waha_event_t  *event;

    body.data = (u_char *) data;
    body.len = size;

    pool = ngx_create_pool(4096, NULL);

    rc = fuzz_parse(pool, &body, &events);

    kept = ngx_shim_kept(pool);

    fuzz_check(rc != NGX_ERROR);
    fuzz_check(kept <= 2048 * (events.nelts + 1) + 8 * size);

    event = events.elts;

    for (i = 0; i < events.nelts; i++) {
        fuzz_event(pool, &event[i]);
    }

    text = body;

    if (rc == NGX_OK) {
        fuzz_memory(&body, &events, data[size / 2]);
        fuzz_check(ngx_http_waha_json_clean(pool, &text, &replaced) == NGX_OK);

        for (i = 0; i < events.nelts && i < 16 && !replaced; i++) {
            fuzz_alone(pool, &event[i]);
        }
    }

    ngx_destroy_pool(pool);

    return 0;
}
