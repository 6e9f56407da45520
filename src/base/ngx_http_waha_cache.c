
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http_waha_cache.h>


/* milliseconds for which an entry is current at most */

#define NGX_HTTP_WAHA_CACHE_TIME  10000

/* milliseconds between two drops of all entries */

#define NGX_HTTP_WAHA_CACHE_DROP  100

/* hashes of names, a power of two */

#define NGX_HTTP_WAHA_CACHE_HASH  8192


struct ngx_http_waha_cache_s {
    ngx_log_t                    *log;
    ngx_uint_t                    generation;
    ngx_http_waha_cache_free_pt   free_entry;

    /* of the last drop, of everything and by the hash of a name */
    ngx_uint_t                    dropped;
    ngx_uint_t                    notified[NGX_HTTP_WAHA_CACHE_HASH];

    ngx_event_t                   timer;
    ngx_msec_t                    dropped_at;

    ngx_rbtree_t                  rbtree;
    ngx_rbtree_node_t             sentinel;

    /* by the time of the last use, the latest first */
    ngx_queue_t                   queue;
    ngx_uint_t                    count;
    ngx_uint_t                    max;

    unsigned                      keep:1;
};


static void ngx_http_waha_cache_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_rbtree_key_t ngx_http_waha_cache_hash(u_char *key);
static ngx_uint_t ngx_http_waha_cache_hash_name(u_char *name, size_t len);
static void ngx_http_waha_cache_timer_handler(ngx_event_t *ev);


ngx_http_waha_cache_t *
ngx_http_waha_cache_create(ngx_cycle_t *cycle, ngx_uint_t max,
    ngx_uint_t keep, ngx_http_waha_cache_free_pt free_entry)
{
    ngx_http_waha_cache_t  *cache;

    cache = ngx_pcalloc(cycle->pool, sizeof(ngx_http_waha_cache_t));
    if (cache == NULL) {
        return NULL;
    }

    cache->log = cycle->log;
    cache->free_entry = free_entry;
    cache->max = max;
    cache->keep = keep;

    ngx_rbtree_init(&cache->rbtree, &cache->sentinel,
                    ngx_http_waha_cache_insert);
    ngx_queue_init(&cache->queue);

    cache->timer.handler = ngx_http_waha_cache_timer_handler;
    cache->timer.data = cache;
    cache->timer.log = cycle->log;
    cache->timer.cancelable = 1;

    cache->dropped_at = ngx_current_msec - NGX_HTTP_WAHA_CACHE_DROP;

    return cache;
}


ngx_http_waha_cache_entry_t *
ngx_http_waha_cache_find(ngx_http_waha_cache_t *cache, u_char *key)
{
    ngx_int_t                     rc;
    ngx_rbtree_key_t              hash;
    ngx_rbtree_node_t            *node, *sentinel;
    ngx_http_waha_cache_entry_t  *entry;

    hash = ngx_http_waha_cache_hash(key);

    node = cache->rbtree.root;
    sentinel = cache->rbtree.sentinel;

    while (node != sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        entry = ngx_rbtree_data(node, ngx_http_waha_cache_entry_t, node);

        rc = ngx_memcmp(key, entry->key, NGX_HTTP_WAHA_CACHE_KEY);

        if (rc == 0) {
            ngx_queue_remove(&entry->queue);
            ngx_queue_insert_head(&cache->queue, &entry->queue);

            return entry;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


static void
ngx_http_waha_cache_insert(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t            **p;
    ngx_http_waha_cache_entry_t   *entry, *other;

    for ( ;; ) {

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            entry = ngx_rbtree_data(node, ngx_http_waha_cache_entry_t, node);
            other = ngx_rbtree_data(temp, ngx_http_waha_cache_entry_t, node);

            p = (ngx_memcmp(entry->key, other->key, NGX_HTTP_WAHA_CACHE_KEY)
                 < 0) ? &temp->left : &temp->right;
        }

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


static ngx_rbtree_key_t
ngx_http_waha_cache_hash(u_char *key)
{
    ngx_rbtree_key_t  hash;

    ngx_memcpy(&hash, key, sizeof(ngx_rbtree_key_t));

    return hash;
}


ngx_uint_t
ngx_http_waha_cache_is_current(ngx_http_waha_cache_t *cache,
    ngx_http_waha_cache_entry_t *entry)
{
    return entry->generation >= cache->dropped
           && (ngx_msec_int_t) (entry->until - ngx_current_msec) > 0
           && !ngx_http_waha_cache_is_changed(cache, entry);
}


ngx_uint_t
ngx_http_waha_cache_is_changed(ngx_http_waha_cache_t *cache,
    ngx_http_waha_cache_entry_t *entry)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_WAHA_CACHE_NAMES; i++) {

        if (cache->notified[entry->names[i]] > entry->generation) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_waha_cache_generation(ngx_http_waha_cache_t *cache)
{
    return cache->generation;
}


ngx_int_t
ngx_http_waha_cache_put(ngx_http_waha_cache_t *cache,
    ngx_http_waha_cache_entry_t *entry, u_char *key, ngx_uint_t generation,
    ngx_str_t **names)
{
    ngx_uint_t                    i;
    ngx_queue_t                  *q;
    ngx_http_waha_cache_entry_t  *old;

    if (generation < cache->dropped) {
        return NGX_DECLINED;
    }

    old = ngx_http_waha_cache_find(cache, key);

    if (old) {
        ngx_http_waha_cache_remove(cache, old);
    }

    if (cache->count == cache->max) {
        q = ngx_queue_last(&cache->queue);
        ngx_http_waha_cache_remove(cache,
                       ngx_queue_data(q, ngx_http_waha_cache_entry_t, queue));
    }

    ngx_memcpy(entry->key, key, NGX_HTTP_WAHA_CACHE_KEY);

    entry->until = ngx_current_msec + NGX_HTTP_WAHA_CACHE_TIME;
    entry->generation = generation;

    for (i = 0; i < NGX_HTTP_WAHA_CACHE_NAMES; i++) {
        entry->names[i] = ngx_http_waha_cache_hash_name(names[i]->data,
                                                        names[i]->len);
    }

    entry->node.key = ngx_http_waha_cache_hash(key);

    ngx_rbtree_insert(&cache->rbtree, &entry->node);
    ngx_queue_insert_head(&cache->queue, &entry->queue);

    cache->count++;

    return NGX_OK;
}


void
ngx_http_waha_cache_remove(ngx_http_waha_cache_t *cache,
    ngx_http_waha_cache_entry_t *entry)
{
    ngx_rbtree_delete(&cache->rbtree, &entry->node);
    ngx_queue_remove(&entry->queue);

    cache->count--;

    cache->free_entry(entry);
}


/*
 * anybody who may connect may notify: naming something costs the same however
 * many entries there are, and two names with one hash cost a look-up
 */

void
ngx_http_waha_cache_notified(ngx_http_waha_cache_t *cache, const char *name)
{
    ngx_uint_t      hash;
    ngx_msec_int_t  ms;

    if (name && *name) {
        hash = ngx_http_waha_cache_hash_name((u_char *) name,
                                             ngx_strlen(name));

        cache->notified[hash] = ++cache->generation;
        return;
    }

    if (cache->timer.timer_set) {
        return;
    }

    ms = (ngx_msec_int_t) (ngx_current_msec - cache->dropped_at);

    if (ms < NGX_HTTP_WAHA_CACHE_DROP) {
        ngx_add_timer(&cache->timer, NGX_HTTP_WAHA_CACHE_DROP - ms);
        return;
    }

    ngx_http_waha_cache_drop(cache);
}


static ngx_uint_t
ngx_http_waha_cache_hash_name(u_char *name, size_t len)
{
    return ngx_crc32_short(name, len) & (NGX_HTTP_WAHA_CACHE_HASH - 1);
}


static void
ngx_http_waha_cache_timer_handler(ngx_event_t *ev)
{
    ngx_http_waha_cache_drop(ev->data);
}


void
ngx_http_waha_cache_drop(ngx_http_waha_cache_t *cache)
{
    ngx_log_debug1(NGX_LOG_DEBUG_CORE, cache->log, 0,
                   "waha cache drop:%ui", cache->count);

    cache->dropped = ++cache->generation;
    cache->dropped_at = ngx_current_msec;

    if (cache->timer.timer_set) {
        ngx_del_timer(&cache->timer);
    }

    if (!cache->keep) {
        ngx_http_waha_cache_clear(cache);
    }
}


void
ngx_http_waha_cache_clear(ngx_http_waha_cache_t *cache)
{
    ngx_queue_t  *q;

    if (cache->timer.timer_set) {
        ngx_del_timer(&cache->timer);
    }

    while (!ngx_queue_empty(&cache->queue)) {
        q = ngx_queue_head(&cache->queue);
        ngx_http_waha_cache_remove(cache,
                       ngx_queue_data(q, ngx_http_waha_cache_entry_t, queue));
    }
}
