
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * ngx_http_waha_envelope_parse(): whatever is posted, the record may go to
 * PostgreSQL as it is; the same bytes give the same record; without memory
 * there is no record.
 */


#include "fuzz.h"
#include "ngx_http_waha_envelope.h"
#include "ngx_http_waha_json.h"


#define FUZZ_METADATA_MAX  (256 * 1024)


static void
fuzz_text(ngx_str_t *text)
{
    fuzz_check(text->data != NULL || text->len == 0);
    fuzz_check(fuzz_utf8(text));
}


static void
fuzz_name(ngx_str_t *text, ngx_uint_t needed)
{
    size_t  i;

    fuzz_check(text->len || (text->data == NULL && !needed));
    fuzz_check(text->len <= 255);

    for (i = 0; i < text->len; i++) {
        fuzz_check(text->data[i] > ' ' && text->data[i] < 0x7f);
    }
}


static void
fuzz_digits(ngx_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {
        fuzz_check(isdigit(text->data[i]));
    }
}


static void
fuzz_metadata(ngx_pool_t *pool, ngx_str_t *metadata)
{
    cJSON       *json;
    ngx_str_t    text;
    ngx_uint_t   replaced;

    fuzz_text(metadata);
    fuzz_check(metadata->len <= FUZZ_METADATA_MAX);

    text = *metadata;

    fuzz_check(ngx_http_waha_json_clean(pool, &text, &replaced) == NGX_OK);
    fuzz_check(!replaced);
    fuzz_check(ngx_http_waha_json_parse(pool, &text, &json) == NGX_OK);
    fuzz_check(cJSON_IsObject(json));
    fuzz_check(ngx_http_waha_json_get_string(json, "whatsapp_message_id").len);
}


static void
fuzz_event(ngx_pool_t *pool, ngx_http_waha_event_t *event)
{
    fuzz_check(event->kind <= NGX_HTTP_WAHA_OTHER);
    fuzz_check(event->chat <= NGX_HTTP_WAHA_BOT);

    fuzz_name(&event->event, 1);
    fuzz_name(&event->session, 1);
    fuzz_check(event->session.len <= 64);

    fuzz_name(&event->organization_slug, 0);
    fuzz_name(&event->organization_id, 0);
    fuzz_name(&event->tenant, 0);

    fuzz_digits(&event->phone);
    fuzz_digits(&event->lid);
    fuzz_text(&event->name);
    fuzz_text(&event->text);
    fuzz_check(event->name.len <= 255);

    fuzz_check(event->missing.data == NULL);
    fuzz_name(&event->chat_id, 0);
    fuzz_check(!event->empty || event->kind == NGX_HTTP_WAHA_MESSAGE);

    if (event->kind == NGX_HTTP_WAHA_OTHER) {
        fuzz_check(event->message_id.data == NULL && event->text.data == NULL
                   && event->metadata.data == NULL && event->sent_at == 0);
        fuzz_name(&event->reason, 1);
        return;
    }

    fuzz_check(event->reason.data == NULL);

    fuzz_check(event->sent_at > 0 && event->sent_at <= 4102444800000);
    fuzz_check(!event->sanitised || event->metadata.data);

    if (event->kind == NGX_HTTP_WAHA_SESSION) {
        fuzz_name(&event->status, 1);
        return;
    }

    fuzz_name(&event->message_id, 1);
    fuzz_check(!event->outbound || event->name.data == NULL);

    switch (event->kind) {

    case NGX_HTTP_WAHA_MESSAGE:
        fuzz_check(event->type.len);
        fuzz_metadata(pool, &event->metadata);
        break;

    case NGX_HTTP_WAHA_CALL:
        fuzz_check(event->type.len && event->status.len);
        fuzz_metadata(pool, &event->metadata);
        break;

    case NGX_HTTP_WAHA_STATUS:
        fuzz_check(event->status.len);
        fuzz_name(&event->target_id, 1);
        break;

    case NGX_HTTP_WAHA_VOTE:
        fuzz_text(&event->metadata);
        fuzz_check(event->metadata.len);
        fuzz_name(&event->target_id, 1);
        break;

    default:
        fuzz_check(event->text.data || event->kind == NGX_HTTP_WAHA_REVOKE
                   || event->kind == NGX_HTTP_WAHA_EDIT);
        fuzz_name(&event->target_id, 1);
    }
}


static ngx_uint_t
fuzz_same(ngx_str_t *one, ngx_str_t *two)
{
    return one->len == two->len
           && (one->data == NULL) == (two->data == NULL)
           && (one->len == 0 || memcmp(one->data, two->data, one->len) == 0);
}


static ngx_int_t
fuzz_parse(ngx_pool_t *pool, ngx_str_t *body, ngx_http_waha_event_t *event)
{
    ngx_int_t    rc;
    ngx_array_t  events;

    ngx_memzero(event, sizeof(ngx_http_waha_event_t));

    events.elts = event;
    events.nelts = 0;
    events.size = sizeof(ngx_http_waha_event_t);
    events.nalloc = 1;
    events.pool = pool;

    rc = ngx_http_waha_envelope_parse(pool, body, &events);

    fuzz_check(rc != NGX_OK || events.nelts == 1);

    return rc;
}


/* the record again, without memory from some point on */

static void
fuzz_memory(ngx_str_t *body, ngx_int_t wanted, ngx_http_waha_event_t *event,
    ngx_uint_t fail)
{
    ngx_int_t               rc;
    ngx_pool_t             *pool;
    ngx_http_waha_event_t   again;

    pool = ngx_create_pool(4096, NULL);

    ngx_shim_fail = fail;

    rc = fuzz_parse(pool, body, &again);

    ngx_shim_fail = 0;

    fuzz_check(rc == wanted || rc == NGX_ERROR);

    if (rc == NGX_OK) {
        fuzz_check(again.kind == event->kind && again.chat == event->chat);
        fuzz_check(again.outbound == event->outbound);
        fuzz_check(again.sent_at == event->sent_at);
        fuzz_check(fuzz_same(&again.message_id, &event->message_id));
        fuzz_check(fuzz_same(&again.phone, &event->phone));
        fuzz_check(fuzz_same(&again.lid, &event->lid));
        fuzz_check(fuzz_same(&again.text, &event->text));
        fuzz_check(fuzz_same(&again.metadata, &event->metadata));
        fuzz_check(fuzz_same(&again.organization_id,
                             &event->organization_id));
        fuzz_check(fuzz_same(&again.tenant, &event->tenant));
    }

    ngx_destroy_pool(pool);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t               rc;
    ngx_str_t               body;
    ngx_pool_t             *pool;
    ngx_http_waha_event_t   event;

    body.data = (u_char *) data;
    body.len = size;

    ngx_shim_allocated = 0;

    pool = ngx_create_pool(4096, NULL);

    rc = fuzz_parse(pool, &body, &event);

    fuzz_check(ngx_shim_allocated
               <= 80 * ngx_min(size + 1, NGX_HTTP_WAHA_JSON_NODES)
                  + 8 * size + 4096);

    fuzz_check(rc == NGX_OK || rc == NGX_DECLINED || rc == NGX_ABORT);

    if (rc == NGX_ABORT && event.missing.len) {
        fuzz_name(&event.session, 1);
    }

    if (rc == NGX_OK) {
        fuzz_event(pool, &event);
        fuzz_memory(&body, rc, &event, data[size / 2]);
    }

    ngx_destroy_pool(pool);

    return 0;
}
