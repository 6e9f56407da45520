
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * A provider that exists for t/webhook_provider.t only: its deliveries have
 * any number of events.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_event.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_pair.h>


ngx_int_t
ngx_http_waha_pair_parse(ngx_pool_t *pool, ngx_str_t *body,
    ngx_array_t *events)
{
    cJSON                  *json, *messages, *item;
    ngx_int_t               rc;
    ngx_str_t               text;
    ngx_uint_t              replaced;
    ngx_http_waha_event_t  *event;

    text = *body;

    rc = ngx_http_waha_json_clean(pool, &text, &replaced);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_ABORT : rc;
    }

    rc = ngx_http_waha_json_parse(pool, &text, &json);

    if (rc != NGX_OK) {
        return rc;
    }

    messages = ngx_http_waha_json_get(json, "messages");

    if (!cJSON_IsArray(messages) || messages->child == NULL) {
        return NGX_DECLINED;
    }

    for (item = messages->child; item; item = item->next) {

        event = ngx_array_push(events);
        if (event == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(event, sizeof(ngx_http_waha_event_t));

        event->kind = NGX_HTTP_WAHA_MESSAGE;
        event->chat = NGX_HTTP_WAHA_PERSON;
        ngx_str_set(&event->event, "messages");
        ngx_str_set(&event->type, "text");
        event->session = ngx_http_waha_json_get_string(item, "session");
        event->message_id = ngx_http_waha_json_get_string(item, "id");
        event->phone = ngx_http_waha_json_get_string(item, "phone");
        event->text = ngx_http_waha_json_get_string(item, "text");
        event->sent_at = (int64_t) ngx_time() * 1000;
    }

    return NGX_OK;
}
