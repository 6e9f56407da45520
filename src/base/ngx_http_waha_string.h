
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_STRING_H_INCLUDED_
#define _NGX_HTTP_WAHA_STRING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Whether two strings have the same bytes; a missing one is an empty one. */
static ngx_inline ngx_uint_t
ngx_http_waha_string_is_equal(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}


/* Whether a string is that word. */
static ngx_inline ngx_uint_t
ngx_http_waha_string_is(const ngx_str_t *text, const char *word)
{
    return text->len == ngx_strlen(word)
           && ngx_strncmp(text->data, word, text->len) == 0;
}


/* Whether a text is printable ASCII without spaces, and not empty. */
ngx_uint_t ngx_http_waha_string_is_printable(const ngx_str_t *text);

/* Shortens UTF-8 to at most max bytes of whole characters. */
ngx_str_t ngx_http_waha_string_cut(const ngx_str_t *text, size_t max);

/*
 * Decodes base64url, RFC 4648, in its only form: no padding, no other
 * characters, and unused bits are zero.  dst->data has room for src->len * 3
 * / 4 bytes; NGX_DECLINED: it has another form.
 */
ngx_int_t ngx_http_waha_string_decode_base64url(ngx_str_t *dst,
    const ngx_str_t *src);


#endif /* _NGX_HTTP_WAHA_STRING_H_INCLUDED_ */
