
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_challenge.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


static ngx_int_t ngx_http_waha_challenge_get(ngx_array_t *args,
    const char *name, ngx_str_t *value);
static ngx_uint_t ngx_http_waha_challenge_is_harmless(ngx_str_t *challenge);


ngx_int_t
ngx_http_waha_challenge_parse(ngx_pool_t *pool, ngx_str_t *args,
    ngx_str_t *token, ngx_str_t *challenge)
{
    ngx_str_t     mode;
    ngx_array_t  *list;

    if (ngx_http_waha_value_parse_query(pool, args, &list) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_waha_challenge_get(list, "hub.mode", &mode) != NGX_OK
        || ngx_http_waha_challenge_get(list, "hub.verify_token", token)
           != NGX_OK
        || ngx_http_waha_challenge_get(list, "hub.challenge", challenge)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (!ngx_http_waha_string_is(&mode, "subscribe")
        || !ngx_http_waha_challenge_is_harmless(challenge))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* NGX_DECLINED: it is not there, is empty, or is there twice */

static ngx_int_t
ngx_http_waha_challenge_get(ngx_array_t *args, const char *name,
    ngx_str_t *value)
{
    ngx_uint_t     i;
    ngx_keyval_t  *arg;

    ngx_str_null(value);

    arg = args->elts;

    for (i = 0; i < args->nelts; i++) {

        if (!ngx_http_waha_string_is(&arg[i].key, name)) {
            continue;
        }

        if (value->data || arg[i].value.len == 0) {
            return NGX_DECLINED;
        }

        *value = arg[i].value;
    }

    return value->data ? NGX_OK : NGX_DECLINED;
}


/* who knows the verify token must not get a page of this host with it */

static ngx_uint_t
ngx_http_waha_challenge_is_harmless(ngx_str_t *challenge)
{
    size_t  i;

    if (challenge->len > NGX_HTTP_WAHA_CHALLENGE_MAX) {
        return 0;
    }

    for (i = 0; i < challenge->len; i++) {

        if (challenge->data[i] < ' '
            || challenge->data[i] == 0x7f
            || challenge->data[i] == '<')
        {
            return 0;
        }
    }

    return 1;
}
