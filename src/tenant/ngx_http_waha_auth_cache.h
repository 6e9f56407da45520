
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_AUTH_CACHE_H_INCLUDED_
#define _NGX_HTTP_WAHA_AUTH_CACHE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_auth.h>
#include <ngx_http_waha_cache.h>


/* the database's answer for an API key or the name of an organization */

typedef struct {
    ngx_http_waha_principal_t   principal;
    time_t                      expires;        /* of an API key; 0: never */
    unsigned                    found:1;        /* 0: no such key or name */
} ngx_http_waha_auth_record_t;


/* Creates the cache of a worker, in cycle->pool.  NULL: no memory. */
ngx_http_waha_cache_t *ngx_http_waha_auth_cache_create(ngx_cycle_t *cycle);

/*
 * Copies the record with a key, its strings into pool.  NGX_DECLINED: the
 * cache has no valid one; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_auth_cache_get(ngx_http_waha_cache_t *cache,
    u_char *key, ngx_pool_t *pool, ngx_http_waha_auth_record_t *record);

/*
 * Stores a copy of record, unless it was notified of since generation was
 * read: the record may be outdated.  name is what was asked for: the id of an
 * API key, or an organization.  Without memory it is not stored.
 */
void ngx_http_waha_auth_cache_put(ngx_http_waha_cache_t *cache,
    u_char *key, ngx_uint_t generation, ngx_str_t *name,
    ngx_http_waha_auth_record_t *record);

/*
 * notified() of ngx_http_waha_pg_conf_t: a name is the id of a key, the slug
 * or the id of an organization; data is the cache.
 */
void ngx_http_waha_auth_cache_notified(void *data, const char *name);



#endif /* _NGX_HTTP_WAHA_AUTH_CACHE_H_INCLUDED_ */
