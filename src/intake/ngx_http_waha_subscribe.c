
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_auth_limit.h>
#include <ngx_http_waha_intake_conf.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_subscribe.h>


static ngx_int_t ngx_http_waha_subscribe_on_connection(void *data);
static ngx_int_t ngx_http_waha_subscribe_check(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_uint_t ngx_http_waha_subscribe_is_token(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_str_t *token);
static ngx_int_t ngx_http_waha_subscribe_refuse(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, const char *reason);
static ngx_int_t ngx_http_waha_subscribe_answer(ngx_http_request_t *r,
    ngx_str_t *challenge);


ngx_int_t
ngx_http_waha_subscribe(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery)
{
    ngx_int_t                  rc;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    delivery->provider = ngx_http_waha_provider_find_asker(r);

    if (delivery->provider == NULL
        || (delivery->connection.len == 0
            && wlcf->intake->verify_token == NULL))
    {
        return NGX_DECLINED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_waha_auth_limit_is_spent(r, &delivery->connection)) {
        return ngx_http_waha_delivery_refuse(r,
                                   NGX_HTTP_WAHA_ERR_TOO_MANY_ATTEMPTS, NULL);
    }

    if (delivery->connection.len == 0) {
        return ngx_http_waha_subscribe_check(r, delivery);
    }

    rc = ngx_http_waha_delivery_find_connection(r, delivery,
                                       ngx_http_waha_subscribe_on_connection);

    switch (rc) {

    case NGX_OK:
        return ngx_http_waha_subscribe_check(r, delivery);

    case NGX_AGAIN:
        r->main->count++;
        ngx_http_waha_request_watch(r);

        return NGX_DONE;

    default:
        return ngx_http_waha_delivery_no_memory(r);
    }
}


static ngx_int_t
ngx_http_waha_subscribe_on_connection(void *data)
{
    ngx_http_request_t *r = data;

    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    return ngx_http_waha_subscribe_check(r, ctx->delivery);
}


static ngx_int_t
ngx_http_waha_subscribe_check(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery)
{
    ngx_int_t  rc;
    ngx_str_t  token, challenge;

    if (delivery->lookup
        && delivery->lookup->error != NGX_HTTP_WAHA_ERR_NONE)
    {
        return ngx_http_waha_delivery_refuse(r, delivery->lookup->error, NULL);
    }

    rc = delivery->provider->challenge(r->pool, &r->args, &token, &challenge);

    if (rc == NGX_ERROR) {
        return ngx_http_waha_delivery_no_memory(r);
    }

    if (rc != NGX_OK) {
        return ngx_http_waha_subscribe_refuse(r, delivery,
                                   "its query is not one that Meta sends");
    }

    if (!ngx_http_waha_subscribe_is_token(r, delivery, &token)) {
        return ngx_http_waha_subscribe_refuse(r, delivery, NULL);
    }

    return ngx_http_waha_subscribe_answer(r, &challenge);
}


static ngx_uint_t
ngx_http_waha_subscribe_is_token(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_str_t *token)
{
    ngx_http_waha_loc_conf_t  *wlcf;

    if (delivery->lookup) {
        return ngx_http_waha_connection_is_token(delivery->lookup->connection,
                                                 token);
    }

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    return ngx_http_waha_connection_is_hash(wlcf->intake->verify_token, token);
}


static ngx_int_t
ngx_http_waha_subscribe_refuse(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, const char *reason)
{
    ngx_http_waha_auth_limit_charge_scope(r, &delivery->connection);

    return ngx_http_waha_delivery_refuse(r,
                              NGX_HTTP_WAHA_ERR_UNKNOWN_CONNECTION, reason);
}


static ngx_int_t
ngx_http_waha_subscribe_answer(ngx_http_request_t *r, ngx_str_t *challenge)
{
    ngx_http_waha_ctx_t  *ctx;

    static ngx_str_t  type = ngx_string("text/plain");

    if (ngx_http_waha_answer_header(r, "X-Content-Type-Options", "nosniff")
        == NULL)
    {
        return ngx_http_waha_delivery_no_memory(r);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);
    ngx_str_set(&ctx->action, "verified");

    return ngx_http_waha_answer_bytes(r, NGX_HTTP_OK, &type, challenge);
}
