
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_bearer.h>


#define NGX_HTTP_WAHA_BEARER_TOKEN       8192

#define NGX_HTTP_WAHA_BEARER_KEY_PREFIX  "wak_"
#define NGX_HTTP_WAHA_BEARER_KEY_ID      8
#define NGX_HTTP_WAHA_BEARER_KEY_SECRET  43


/* logs, histories and other servers would learn it */

ngx_uint_t
ngx_http_waha_bearer_in_query(ngx_str_t *args)
{
    u_char      *p, *last, *end, *eq;
    ngx_uint_t   i;

    static ngx_str_t  names[] = {
        ngx_string("access_token"), ngx_string("token"),
        ngx_string("api_key"), ngx_string("apikey"),
        ngx_string("x-api-key"), ngx_string("jwt"), ngx_null_string
    };

    if (args->len == 0) {
        return 0;
    }

    last = args->data + args->len;

    for (p = args->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');
        if (end == NULL) {
            end = last;
        }

        eq = ngx_strlchr(p, end, '=');
        if (eq == NULL) {
            eq = end;
        }

        for (i = 0; names[i].len; i++) {

            if ((size_t) (eq - p) == names[i].len
                && ngx_strncasecmp(p, names[i].data, names[i].len) == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


ngx_int_t
ngx_http_waha_bearer_token(ngx_str_t *value, ngx_str_t *token)
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


/* the token68 of RFC 9110 */

const char *
ngx_http_waha_bearer_malformed(ngx_str_t *token)
{
    u_char  *p, *last;

    if (token->len > NGX_HTTP_WAHA_BEARER_TOKEN) {
        return "the token is too long";
    }

    p = token->data;
    last = token->data + token->len;

    while (p < last
           && ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
               || (*p >= '0' && *p <= '9')
               || ngx_strlchr((u_char *) "-._~+/", (u_char *) "-._~+/" + 6,
                              *p)))
    {
        p++;
    }

    if (p == token->data) {
        return "the token is malformed";
    }

    while (p < last && *p == '=') {
        p++;
    }

    return (p < last) ? "the token is malformed" : NULL;
}


ngx_uint_t
ngx_http_waha_bearer_like_api_key(ngx_str_t *token)
{
    return token->len >= sizeof(NGX_HTTP_WAHA_BEARER_KEY_PREFIX) - 1
           && ngx_strncmp(token->data, NGX_HTTP_WAHA_BEARER_KEY_PREFIX,
                          sizeof(NGX_HTTP_WAHA_BEARER_KEY_PREFIX) - 1)
              == 0;
}


ngx_int_t
ngx_http_waha_bearer_api_key(ngx_str_t *token,
    ngx_http_waha_bearer_key_t *key)
{
    u_char  *p, *id, *secret, *last;

    if (!ngx_http_waha_bearer_like_api_key(token)
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
