
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_bearer.h>
#include <ngx_http_waha_value.h>


/* bytes of a token, of the id and of the secret of an API key */

#define NGX_HTTP_WAHA_BEARER_TOKEN       8192

#define NGX_HTTP_WAHA_BEARER_KEY_PREFIX  "wak_"
#define NGX_HTTP_WAHA_BEARER_KEY_ID      8
#define NGX_HTTP_WAHA_BEARER_KEY_SECRET  43


/* a query string gets into logs, browser histories and "Referer" headers */

ngx_int_t
ngx_http_waha_bearer_find_in_query(ngx_pool_t *pool, ngx_str_t *args)
{
    ngx_uint_t     i, n;
    ngx_array_t   *list;
    ngx_keyval_t  *arg;

    static ngx_str_t  names[] = {
        ngx_string("access_token"), ngx_string("token"),
        ngx_string("api_key"), ngx_string("apikey"),
        ngx_string("x-api-key"), ngx_string("jwt"), ngx_null_string
    };

    if (args->len == 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_waha_value_parse_query(pool, args, &list) != NGX_OK) {
        return NGX_ERROR;
    }

    arg = list->elts;

    for (n = 0; n < list->nelts; n++) {

        for (i = 0; names[i].len; i++) {

            if (arg[n].key.len == names[i].len
                && ngx_strncasecmp(arg[n].key.data, names[i].data,
                                   names[i].len)
                   == 0)
            {
                return NGX_OK;
            }
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_waha_bearer_parse_header(ngx_str_t *value, ngx_str_t *token)
{
    u_char  *p, *last;

    static ngx_str_t  scheme = ngx_string("bearer");

    if (value->len < scheme.len
        || ngx_strncasecmp(value->data, scheme.data, scheme.len) != 0
        || (value->len > scheme.len && value->data[scheme.len] != ' '))
    {
        return NGX_DECLINED;
    }

    p = value->data + scheme.len;
    last = value->data + value->len;

    while (p < last && *p == ' ') {
        p++;
    }

    token->data = p;
    token->len = last - p;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_bearer_check_token(ngx_str_t *token, const char **reason)
{
    size_t   len;
    u_char  *p, *last;

    static u_char  marks[] = "-._~+/";

    if (token->len > NGX_HTTP_WAHA_BEARER_TOKEN) {
        *reason = "the token is too long";
        return NGX_DECLINED;
    }

    p = token->data;
    last = token->data + token->len;

    while (p < last
           && ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
               || (*p >= '0' && *p <= '9')
               || ngx_strlchr(marks, marks + sizeof(marks) - 1, *p)))
    {
        p++;
    }

    len = p - token->data;

    while (p < last && *p == '=') {
        p++;
    }

    if (len == 0 || p < last) {
        *reason = "the token is malformed";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_waha_bearer_has_key_prefix(ngx_str_t *token)
{
    return token->len >= sizeof(NGX_HTTP_WAHA_BEARER_KEY_PREFIX) - 1
           && ngx_strncmp(token->data, NGX_HTTP_WAHA_BEARER_KEY_PREFIX,
                          sizeof(NGX_HTTP_WAHA_BEARER_KEY_PREFIX) - 1)
              == 0;
}


ngx_int_t
ngx_http_waha_bearer_parse_key(ngx_str_t *token,
    ngx_http_waha_bearer_key_t *key)
{
    u_char  *p, *id, *secret, *last;

    if (!ngx_http_waha_bearer_has_key_prefix(token)
        || token->len != sizeof(NGX_HTTP_WAHA_BEARER_KEY_PREFIX) - 1
                         + NGX_HTTP_WAHA_BEARER_KEY_ID + 1
                         + NGX_HTTP_WAHA_BEARER_KEY_SECRET)
    {
        return NGX_DECLINED;
    }

    id = token->data + sizeof(NGX_HTTP_WAHA_BEARER_KEY_PREFIX) - 1;
    secret = id + NGX_HTTP_WAHA_BEARER_KEY_ID + 1;
    last = token->data + token->len;

    for (p = id; p < secret - 1; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9'))) {
            return NGX_DECLINED;
        }
    }

    if (*p != '_') {
        return NGX_DECLINED;
    }

    for (p = secret; p < last; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
              || (*p >= '0' && *p <= '9') || *p == '-' || *p == '_'))
        {
            return NGX_DECLINED;
        }
    }

    key->id.data = id;
    key->id.len = NGX_HTTP_WAHA_BEARER_KEY_ID;

    key->secret.data = secret;
    key->secret.len = NGX_HTTP_WAHA_BEARER_KEY_SECRET;

    return NGX_OK;
}
