
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * What the secrets of src/base need of nginx, for a program without nginx.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "import_nginx.h"


typedef struct import_block_s  import_block_t;

struct import_block_s {
    import_block_t  *next;
    uint64_t         data[];
};


void
import_say(const char *fmt, ...)
{
    va_list  args;

    fputs("import-secrets: ", stderr);

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);

    fputc('\n', stderr);
}


void *
import_alloc(size_t size)
{
    void  *p;

    p = malloc(size);

    if (p == NULL) {
        import_say("no memory");
        exit(2);
    }

    return p;
}


ngx_pool_t *
ngx_create_pool(size_t size, ngx_log_t *log)
{
    ngx_pool_t  *pool;

    pool = import_alloc(sizeof(ngx_pool_t));

    ngx_memzero(pool, sizeof(ngx_pool_t));

    /* the blocks hang at "large" */

    pool->log = log;

    return pool;
}


void
ngx_destroy_pool(ngx_pool_t *pool)
{
    import_block_t      *block, *next;
    ngx_pool_cleanup_t  *cln;

    for (cln = pool->cleanup; cln; cln = cln->next) {
        if (cln->handler) {
            cln->handler(cln->data);
        }
    }

    for (block = (import_block_t *) pool->large; block; block = next) {
        next = block->next;
        free(block);
    }

    free(pool);
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    import_block_t  *block;

    block = import_alloc(sizeof(import_block_t) + size);

    block->next = (import_block_t *) pool->large;
    pool->large = (ngx_pool_large_t *) block;

    return block->data;
}


ngx_pool_cleanup_t *
ngx_pool_cleanup_add(ngx_pool_t *pool, size_t size)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pnalloc(pool, sizeof(ngx_pool_cleanup_t));

    cln->data = ngx_pnalloc(pool, size);
    cln->handler = NULL;
    cln->next = pool->cleanup;

    pool->cleanup = cln;

    return cln;
}


ngx_int_t
ngx_hextoi(u_char *line, size_t n)
{
    ngx_int_t  value;

    for (value = 0; n; n--, line++) {

        if (!isxdigit(*line)) {
            return NGX_ERROR;
        }

        value = value * 16 + (isdigit(*line) ? *line - '0'
                                             : (*line | 0x20) - 'a' + 10);
    }

    return value;
}


void
ngx_encode_base64url(ngx_str_t *dst, ngx_str_t *src)
{
    size_t    i, bits;
    u_char   *p;
    uint32_t  value;

    static const char  letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz0123456789-_";

    p = dst->data;
    value = 0;
    bits = 0;

    for (i = 0; i < src->len; i++) {
        value = value << 8 | src->data[i];

        for (bits += 8; bits >= 6; bits -= 6) {
            *p++ = letters[value >> (bits - 6) & 63];
        }
    }

    if (bits) {
        *p++ = letters[value << (6 - bits) & 63];
    }

    dst->len = p - dst->data;
}


/* nothing is opened with the key ring here, thus nothing is logged */

void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
}
