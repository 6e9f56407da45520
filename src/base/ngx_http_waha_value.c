
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


#define NGX_HTTP_WAHA_VALUE_SLUG     255
#define NGX_HTTP_WAHA_VALUE_SESSION  64


static ngx_int_t ngx_http_waha_value_decode(ngx_pool_t *pool, u_char *p,
    u_char *last, ngx_str_t *value);


ngx_int_t
ngx_http_waha_value_parse_query(ngx_pool_t *pool, ngx_str_t *args,
    ngx_array_t **list)
{
    u_char        *p, *last, *end, *equal;
    ngx_keyval_t  *arg;

    *list = ngx_array_create(pool, 4, sizeof(ngx_keyval_t));
    if (*list == NULL) {
        return NGX_ERROR;
    }

    end = args->data + args->len;

    for (p = args->data; p < end; p = last + 1) {

        last = ngx_strlchr(p, end, '&');
        if (last == NULL) {
            last = end;
        }

        arg = ngx_array_push(*list);
        if (arg == NULL) {
            return NGX_ERROR;
        }

        ngx_str_null(&arg->value);

        equal = ngx_strlchr(p, last, '=');

        if (ngx_http_waha_value_decode(pool, p, equal ? equal : last,
                                       &arg->key)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (equal
            && ngx_http_waha_value_decode(pool, equal + 1, last, &arg->value)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* HTML forms and URLSearchParams write a space as "+" */

static ngx_int_t
ngx_http_waha_value_decode(ngx_pool_t *pool, u_char *p, u_char *last,
    ngx_str_t *value)
{
    u_char     *dst;
    ngx_int_t   n;

    dst = ngx_pnalloc(pool, last - p + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    value->data = dst;

    for ( /* void */ ; p < last; p++) {

        if (*p == '%' && last - p > 2) {

            n = ngx_hextoi(p + 1, 2);

            if (n != NGX_ERROR) {
                *dst++ = (u_char) n;
                p += 2;
                continue;
            }
        }

        *dst++ = (*p == '+') ? ' ' : *p;
    }

    value->len = dst - value->data;

    return NGX_OK;
}


ngx_uint_t
ngx_http_waha_value_is_text(ngx_str_t *value, size_t *characters)
{
    u_char    *p, *last;
    uint32_t   n;

    p = value->data;
    last = p + value->len;

    for (*characters = 0; p < last; (*characters)++) {

        /* ngx_utf8_decode() accepts first bytes that UTF-8 does not have */

        if (*p > 0xf4) {
            return 0;
        }

        n = (*p < 0x80) ? *p++ : ngx_utf8_decode(&p, last - p);

        if (n < 0x20 || (n >= 0x7f && n < 0xa0)
            || (n >= 0xd800 && n <= 0xdfff) || n > 0x10ffff)
        {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_http_waha_value_is_slug(ngx_str_t *value)
{
    size_t  characters;

    return value->len > 0
           && value->len <= NGX_HTTP_WAHA_VALUE_SLUG
           && ngx_http_waha_value_is_text(value, &characters);
}


ngx_uint_t
ngx_http_waha_value_is_session(ngx_str_t *value)
{
    u_char  ch;
    size_t  i;

    if (value->len == 0 || value->len > NGX_HTTP_WAHA_VALUE_SESSION) {
        return 0;
    }

    for (i = 0; i < value->len; i++) {
        ch = value->data[i];

        if ((ch < '0' || ch > '9')
            && (ch < 'A' || ch > 'Z')
            && (ch < 'a' || ch > 'z')
            && ch != '_' && ch != '-' && ch != '.')
        {
            return 0;
        }
    }

    /* "." and ".." are directories in the path of a URL */

    return value->data[0] != '.';
}


ngx_uint_t
ngx_http_waha_value_is_digits(ngx_str_t *value, size_t min, size_t max)
{
    size_t  i;

    if (value->len < min || value->len > max || value->data[0] == '0') {
        return 0;
    }

    for (i = 0; i < value->len; i++) {

        if (value->data[i] < '0' || value->data[i] > '9') {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_http_waha_value_is_id(ngx_str_t *value)
{
    static ngx_str_t  max = ngx_string("9223372036854775807");

    return ngx_http_waha_value_is_digits(value, 1, max.len)
           && (value->len < max.len
               || ngx_memcmp(value->data, max.data, max.len) <= 0);
}


ngx_uint_t
ngx_http_waha_value_is_number(ngx_str_t *value, ngx_int_t min, ngx_int_t max)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    return n != NGX_ERROR && n >= min && n <= max;
}


ngx_int_t
ngx_http_waha_value_parse_phone(ngx_pool_t *pool, ngx_str_t *value)
{
    u_char     *p;
    size_t      i;
    ngx_str_t   digits;

    p = ngx_pnalloc(pool, value->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    digits.data = p;

    for (i = 0; i < value->len; i++) {

        if (value->data[i] >= '0' && value->data[i] <= '9') {
            *p++ = value->data[i];
            continue;
        }

        if (ngx_strchr("+-.()/ ", value->data[i]) == NULL) {
            return NGX_DECLINED;
        }
    }

    digits.len = p - digits.data;

    if (digits.len > 2 && ngx_strncmp(digits.data, "00", 2) == 0) {
        digits.data += 2;
        digits.len -= 2;
    }

    if (digits.len < 7 || digits.len > 15) {
        return NGX_DECLINED;
    }

    *value = digits;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_value_parse_flag(ngx_str_t *value)
{
    if (ngx_http_waha_string_is(value, "true")
        || ngx_http_waha_string_is(value, "1"))
    {
        ngx_str_set(value, "t");
        return NGX_OK;
    }

    if (ngx_http_waha_string_is(value, "false")
        || ngx_http_waha_string_is(value, "0"))
    {
        ngx_str_set(value, "f");
        return NGX_OK;
    }

    return NGX_DECLINED;
}
