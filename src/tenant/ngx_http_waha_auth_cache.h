
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_AUTH_CACHE_H_INCLUDED_
#define _NGX_HTTP_WAHA_AUTH_CACHE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_auth.h>


/* SHA-256 of what was asked */

#define NGX_HTTP_WAHA_AUTH_CACHE_KEY  32


typedef struct ngx_http_waha_auth_cache_s  ngx_http_waha_auth_cache_t;


/* what the database has said of a key or of the name of an organization */

typedef struct {
    ngx_http_waha_principal_t   principal;
    time_t                      expires;        /* 0: never */
    unsigned                    known:1;
} ngx_http_waha_auth_record_t;


/* Makes the cache of a worker.  NULL: no memory. */
ngx_http_waha_auth_cache_t *ngx_http_waha_auth_cache_create(
    ngx_cycle_t *cycle);

/*
 * What is known of key, with strings of pool.  NGX_DECLINED: nothing, the
 * database has to be asked.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_auth_cache_get(ngx_http_waha_auth_cache_t *cache,
    u_char *key, ngx_pool_t *pool, ngx_http_waha_auth_record_t *record);

/* The generation that an answer to a question of now will belong to. */
ngx_uint_t ngx_http_waha_auth_cache_generation(
    ngx_http_waha_auth_cache_t *cache);

/* Keeps a copy of record, unless all was dropped since the question. */
void ngx_http_waha_auth_cache_put(ngx_http_waha_auth_cache_t *cache,
    u_char *key, ngx_uint_t generation, ngx_http_waha_auth_record_t *record);

/* Drops all, and what is being asked; data is the cache. */
void ngx_http_waha_auth_cache_drop(void *data);


#endif /* _NGX_HTTP_WAHA_AUTH_CACHE_H_INCLUDED_ */
