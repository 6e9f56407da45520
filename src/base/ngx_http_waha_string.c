
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
