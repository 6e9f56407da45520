
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_string.h>


ngx_uint_t
ngx_http_waha_string_is_printable(const ngx_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {

        if (text->data[i] <= ' ' || text->data[i] >= 0x7f) {
            return 0;
        }
    }

    return text->len > 0;
}


ngx_str_t
ngx_http_waha_string_cut(const ngx_str_t *text, size_t max)
{
    ngx_str_t  part;

    part = *text;

    if (part.len <= max) {
        return part;
    }

    part.len = max;

    while (part.len && (part.data[part.len] & 0xc0) == 0x80) {
        part.len--;
    }

    return part;
}


/* nginx's decoder takes padding, and any unused bits */

ngx_int_t
ngx_http_waha_string_decode_base64url(ngx_str_t *dst, const ngx_str_t *src)
{
    u_char      c, *p;
    size_t      i;
    uint32_t    bits;
    ngx_uint_t  n;

    if (src->len % 4 == 1) {
        return NGX_DECLINED;
    }

    p = dst->data;

    bits = 0;
    n = 0;

    for (i = 0; i < src->len; i++) {
        c = src->data[i];

        if (c >= 'A' && c <= 'Z') {
            c -= 'A';

        } else if (c >= 'a' && c <= 'z') {
            c -= 'a' - 26;

        } else if (c >= '0' && c <= '9') {
            c += 52 - '0';

        } else if (c == '-') {
            c = 62;

        } else if (c == '_') {
            c = 63;

        } else {
            return NGX_DECLINED;
        }

        bits = (bits << 6 | c) & 0xffff;
        n += 6;

        if (n >= 8) {
            n -= 8;
            *p++ = (u_char) (bits >> n);
        }
    }

    if (bits & ((1 << n) - 1)) {
        return NGX_DECLINED;
    }

    dst->len = p - dst->data;

    return NGX_OK;
}
