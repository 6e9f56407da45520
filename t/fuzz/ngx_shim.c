
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * What pure functions need of nginx, without nginx: each allocation of a
 * pool is one of malloc(), so that sanitizers see its bounds.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_shim.h"


typedef struct ngx_shim_block_s  ngx_shim_block_t;

struct ngx_shim_block_s {
    ngx_shim_block_t      *next;
    size_t                 size;
    uint64_t               data[];
};


static ngx_time_t          ngx_shim_time = { 1800000000, 0, 0 };
volatile ngx_time_t       *ngx_cached_time = &ngx_shim_time;

ngx_uint_t                 ngx_shim_fail;
size_t                     ngx_shim_allocated;


ngx_pool_t *
ngx_create_pool(size_t size, ngx_log_t *log)
{
    ngx_pool_t  *pool;

    /* the blocks hang at "large" */

    pool = calloc(1, sizeof(ngx_pool_t));
    if (pool == NULL) {
        abort();
    }

    pool->log = log;

    return pool;
}


void
ngx_destroy_pool(ngx_pool_t *pool)
{
    ngx_shim_block_t    *block, *next;
    ngx_pool_cleanup_t  *cln;

    for (cln = pool->cleanup; cln; cln = cln->next) {
        if (cln->handler) {
            cln->handler(cln->data);
        }
    }

    for (block = (ngx_shim_block_t *) pool->large; block; block = next) {
        next = block->next;
        free(block);
    }

    free(pool);
}


size_t
ngx_shim_kept(ngx_pool_t *pool)
{
    size_t             size;
    ngx_shim_block_t  *block;

    block = (ngx_shim_block_t *) pool->large;

    for (size = 0; block; block = block->next) {
        size += block->size;
    }

    return size;
}


void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    ngx_shim_block_t  *block;

    if (ngx_shim_fail && --ngx_shim_fail == 0) {
        ngx_shim_fail = 1;
        return NULL;
    }

    block = malloc(sizeof(ngx_shim_block_t) + size);
    if (block == NULL) {
        abort();
    }

    block->size = size;
    block->next = (ngx_shim_block_t *) pool->large;
    pool->large = (ngx_pool_large_t *) block;

    ngx_shim_allocated += size;

    return block->data;
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    return ngx_palloc(pool, size);
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_palloc(pool, size);

    return p ? memset(p, 0, size) : NULL;
}


ngx_pool_cleanup_t *
ngx_pool_cleanup_add(ngx_pool_t *pool, size_t size)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_palloc(pool, sizeof(ngx_pool_cleanup_t));
    if (cln == NULL) {
        return NULL;
    }

    cln->data = size ? ngx_palloc(pool, size) : NULL;

    if (size && cln->data == NULL) {
        return NULL;
    }

    cln->handler = NULL;
    cln->next = pool->cleanup;
    pool->cleanup = cln;

    return cln;
}


ngx_int_t
ngx_strcasecmp(u_char *s1, u_char *s2)
{
    return strcasecmp((char *) s1, (char *) s2);
}


off_t
ngx_atoof(u_char *line, size_t n)
{
    off_t  value;

    value = 0;

    if (n == 0) {
        return NGX_ERROR;
    }

    for ( /* void */ ; n; n--, line++) {

        if (*line < '0' || *line > '9'
            || value > (NGX_MAX_OFF_T_VALUE - (*line - '0')) / 10)
        {
            return NGX_ERROR;
        }

        value = value * 10 + (*line - '0');
    }

    return value;
}


ngx_int_t
ngx_hextoi(u_char *line, size_t n)
{
    ngx_int_t  value;

    value = 0;

    if (n == 0) {
        return NGX_ERROR;
    }

    for ( /* void */ ; n; n--, line++) {

        if (!isxdigit(*line) || value > NGX_MAX_INT_T_VALUE / 16) {
            return NGX_ERROR;
        }

        value = value * 16 + (isdigit(*line) ? *line - '0'
                                             : (*line | 0x20) - 'a' + 10);
    }

    return value;
}


/* of valid UTF-8 beyond ASCII only */

uint32_t
ngx_utf8_decode(u_char **p, size_t n)
{
    size_t    len;
    uint32_t  code;

    len = (**p >= 0xf0) ? 4 : (**p >= 0xe0) ? 3 : 2;

    if (**p < 0xc2 || **p > 0xf4 || n < len) {
        abort();
    }

    code = **p & (0xff >> (len + 1));

    while (--len) {
        (*p)++;

        if ((**p & 0xc0) != 0x80) {
            abort();
        }

        code = code << 6 | (**p & 0x3f);
    }

    (*p)++;

    return code;
}


uintptr_t
ngx_escape_json(u_char *dst, u_char *src, size_t size)
{
    char      *found;
    u_char    *p, text[8];
    size_t     len;
    uintptr_t  more;

    static char  special[] = "\"\\\n\r\t\b\f", letters[] = "\"\\nrtbf";

    more = 0;

    for (p = src; p < src + size; p++) {

        found = *p ? strchr(special, *p) : NULL;

        len = found ? sprintf((char *) text, "\\%c", letters[found - special])
              : *p < 0x20 ? sprintf((char *) text, "\\u%04X", *p)
              : sprintf((char *) text, "%c", *p);

        if (dst) {
            dst = ngx_cpymem(dst, text, len);
        }

        more += len - 1;
    }

    return dst ? (uintptr_t) dst : more;
}


/* as of a component: all but letters, digits and "-._~" */

uintptr_t
ngx_escape_uri(u_char *dst, u_char *src, size_t size, ngx_uint_t type)
{
    u_char  *p;

    for (p = src; p < src + size; p++) {

        if (*p < 0x80 && (isalnum(*p) || strchr("-._~", *p))) {
            *dst++ = *p;
            continue;
        }

        dst += sprintf((char *) dst, "%%%02X", *p);
    }

    return (uintptr_t) dst;
}
