
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_number_connect.h>
#include <ngx_http_waha_number_view.h>


static void ngx_http_waha_number_view_data(ngx_http_waha_json_out_t *out,
    ngx_http_waha_number_t *number);
static void ngx_http_waha_number_view_status(ngx_http_waha_json_out_t *out,
    ngx_http_waha_number_t *number);
static void ngx_http_waha_number_view_id(ngx_http_waha_json_out_t *out,
    ngx_http_waha_number_t *number);
static void ngx_http_waha_number_view_member(ngx_http_waha_json_out_t *out,
    ngx_http_waha_number_t *number, const char *name);


ngx_int_t
ngx_http_waha_number_view(ngx_pool_t *pool, ngx_http_waha_number_view_e form,
    ngx_http_waha_number_t *number, ngx_str_t *json)
{
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, pool, 1024);

    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_bool(&out, "success", 1);

    switch (form) {

    case NGX_HTTP_WAHA_NUMBER_VIEW_CONNECT:
        ngx_http_waha_json_put_text(&out, "message", "WhatsApp is connected");
        ngx_http_waha_number_view_id(&out, number);

        if (number->join->made) {
            ngx_http_waha_json_put(&out, "verifyToken",
                                   &number->join->verify_token);
        }

        break;

    case NGX_HTTP_WAHA_NUMBER_VIEW_DISCONNECT:
        ngx_http_waha_json_put_text(&out, "message",
                                    "WhatsApp is disconnected");
        break;

    case NGX_HTTP_WAHA_NUMBER_VIEW_STATUS:
        ngx_http_waha_number_view_status(&out, number);
        break;

    default: /* NGX_HTTP_WAHA_NUMBER_VIEW_DATA */
        break;
    }

    ngx_http_waha_number_view_data(&out, number);

    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_json_end(&out, json);
}


static void
ngx_http_waha_number_view_data(ngx_http_waha_json_out_t *out,
    ngx_http_waha_number_t *number)
{
    const cJSON  *item;

    if (number->row == NULL || number->session == NULL) {
        ngx_http_waha_json_put_null(out, "data");
        return;
    }

    ngx_http_waha_json_open(out, "data", '{');

    for (item = number->session->child; item; item = item->next) {
        ngx_http_waha_json_put_member(out, item);
    }

    ngx_http_waha_json_put(out, "account", &number->account);

    if (number->connected) {
        ngx_http_waha_json_put(out, "webhook_url", &number->url);
    }

    if (number->join && number->join->made) {
        ngx_http_waha_json_put(out, "verify_token",
                               &number->join->verify_token);
    }

    ngx_http_waha_json_put(out, "reason", &number->reason);

    if (number->stale) {
        ngx_http_waha_json_put_bool(out, "stale", 1);
    }

    if (number->subscribed) {
        ngx_http_waha_json_put_bool(out, "unsubscribed", 0);
    }

    item = ngx_http_waha_json_get(number->row, "state");

    if (item && item->child) {
        ngx_http_waha_json_put_item(out, "news", item);
    }

    ngx_http_waha_json_close(out, '}');
}


static void
ngx_http_waha_number_view_status(ngx_http_waha_json_out_t *out,
    ngx_http_waha_number_t *number)
{
    ngx_uint_t  works;

    works = number->row && number->connected && number->reason.data == NULL;

    ngx_http_waha_json_put_bool(out, "connected", works);

    ngx_http_waha_number_view_id(out, number);
    ngx_http_waha_number_view_member(out, number, "status");
    ngx_http_waha_number_view_member(out, number, "phone");
    ngx_http_waha_number_view_member(out, number, "name");
    ngx_http_waha_number_view_member(out, number, "quality");
    ngx_http_waha_number_view_member(out, number, "limit");

    if (number->reason.data) {
        ngx_http_waha_json_put(out, "reason", &number->reason);

    } else {
        ngx_http_waha_json_put_null(out, "reason");
    }
}


/* what the guide's clients read in any case */

static void
ngx_http_waha_number_view_id(ngx_http_waha_json_out_t *out,
    ngx_http_waha_number_t *number)
{
    if (number->row == NULL || !number->connected) {
        ngx_http_waha_json_put_null(out, "webhookUrl");
        ngx_http_waha_json_put_null(out, "phoneNumberId");
        return;
    }

    ngx_http_waha_json_put(out, "webhookUrl", &number->url);
    ngx_http_waha_json_put(out, "phoneNumberId", &number->id);
}


static void
ngx_http_waha_number_view_member(ngx_http_waha_json_out_t *out,
    ngx_http_waha_number_t *number, const char *name)
{
    ngx_http_waha_json_put_item(out, name,
                                number->row
                                ? ngx_http_waha_json_get(number->session, name)
                                : NULL);
}
