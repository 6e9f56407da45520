
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * What else pure functions need of nginx: strings and arrays.
 */


#include <ngx_config.h>
#include <ngx_core.h>


ngx_int_t
ngx_strncasecmp(u_char *s1, u_char *s2, size_t n)
{
    return strncasecmp((char *) s1, (char *) s2, n);
}


ngx_int_t
ngx_atoi(u_char *line, size_t n)
{
    return ngx_atoof(line, n);
}


ngx_array_t *
ngx_array_create(ngx_pool_t *pool, ngx_uint_t n, size_t size)
{
    ngx_array_t  *array;

    array = ngx_palloc(pool, sizeof(ngx_array_t));

    if (array == NULL || ngx_array_init(array, pool, n, size) != NGX_OK) {
        return NULL;
    }

    return array;
}


void *
ngx_array_push(ngx_array_t *array)
{
    void  *elts;

    if (array->nelts == array->nalloc) {

        elts = ngx_palloc(array->pool, 2 * array->nalloc * array->size);
        if (elts == NULL) {
            return NULL;
        }

        ngx_memcpy(elts, array->elts, array->nelts * array->size);

        array->elts = elts;
        array->nalloc *= 2;
    }

    return (u_char *) array->elts + array->nelts++ * array->size;
}


void
ngx_encode_base64url(ngx_str_t *dst, ngx_str_t *src)
{
    size_t    i, n;
    u_char   *p;
    uint32_t  bits;

    static const char  letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz0123456789-_";

    p = dst->data;
    bits = 0;
    n = 0;

    for (i = 0; i < src->len; i++) {
        bits = bits << 8 | src->data[i];

        for (n += 8; n >= 6; n -= 6) {
            *p++ = letters[bits >> (n - 6) & 63];
        }
    }

    if (n) {
        *p++ = letters[bits << (6 - n) & 63];
    }

    dst->len = p - dst->data;
}
