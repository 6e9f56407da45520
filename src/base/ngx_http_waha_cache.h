
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CACHE_H_INCLUDED_
#define _NGX_HTTP_WAHA_CACHE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* bytes of a key, a SHA-256; and names of an entry */

#define NGX_HTTP_WAHA_CACHE_KEY    32
#define NGX_HTTP_WAHA_CACHE_NAMES  3


/*
 * What a worker remembers of the database, bounded in number; notifications
 * outdate it.
 */

typedef struct ngx_http_waha_cache_s  ngx_http_waha_cache_t;


/* the first member of what is remembered; private, but for until */

typedef struct {
    ngx_rbtree_node_t    node;
    ngx_queue_t          queue;
    u_char               key[NGX_HTTP_WAHA_CACHE_KEY];

    /* the ngx_current_msec up to which it is current */
    ngx_msec_t           until;

    /* when it was asked for, and hashes of what would change it */
    ngx_uint_t           generation;
    ngx_uint_t           names[NGX_HTTP_WAHA_CACHE_NAMES];
} ngx_http_waha_cache_entry_t;


typedef void (*ngx_http_waha_cache_free_pt)(ngx_http_waha_cache_entry_t *e);


/*
 * Creates a cache of up to max entries, in cycle->pool; free_entry() is called
 * for each that leaves it.  With keep, a drop of all entries leaves them in
 * the cache as no longer current.  NULL: no memory.
 */
ngx_http_waha_cache_t *ngx_http_waha_cache_create(ngx_cycle_t *cycle,
    ngx_uint_t max, ngx_uint_t keep, ngx_http_waha_cache_free_pt free_entry);

/* The entry with a key, current or not; NULL: there is none. */
ngx_http_waha_cache_entry_t *ngx_http_waha_cache_find(
    ngx_http_waha_cache_t *cache, u_char *key);

/* Whether an entry may be used without asking the database. */
ngx_uint_t ngx_http_waha_cache_is_current(ngx_http_waha_cache_t *cache,
    ngx_http_waha_cache_entry_t *entry);

/* Whether a notification has named it since it was asked for. */
ngx_uint_t ngx_http_waha_cache_is_changed(ngx_http_waha_cache_t *cache,
    ngx_http_waha_cache_entry_t *entry);

/* A number that grows with each notification, to be read before a query. */
ngx_uint_t ngx_http_waha_cache_generation(ngx_http_waha_cache_t *cache);

/*
 * Adds an entry, for ten seconds, in place of the one with the same key or of
 * the one that was not used for the longest time.  names are what notifications
 * may call it.  NGX_DECLINED: all were dropped since generation was read, the
 * entry stays with the caller.
 */
ngx_int_t ngx_http_waha_cache_put(ngx_http_waha_cache_t *cache,
    ngx_http_waha_cache_entry_t *entry, u_char *key, ngx_uint_t generation,
    ngx_str_t **names);

/* Removes an entry, which is freed. */
void ngx_http_waha_cache_remove(ngx_http_waha_cache_t *cache,
    ngx_http_waha_cache_entry_t *entry);

/*
 * Drops the entries, and those of running queries, that a notification names.
 * Without a name, NULL or empty, all are dropped, soon, however often this is
 * called.
 */
void ngx_http_waha_cache_notified(ngx_http_waha_cache_t *cache,
    const char *name);

/* Drops all entries and those of running queries. */
void ngx_http_waha_cache_drop(ngx_http_waha_cache_t *cache);

/* The same before the worker ends: none is kept. */
void ngx_http_waha_cache_clear(ngx_http_waha_cache_t *cache);


#endif /* _NGX_HTTP_WAHA_CACHE_H_INCLUDED_ */
