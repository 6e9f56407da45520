
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_auth_cache.h>


/* entries, and milliseconds for which an entry is valid at most */

#define NGX_HTTP_WAHA_AUTH_CACHE_SIZE  4096
#define NGX_HTTP_WAHA_AUTH_CACHE_TIME  10000

/* milliseconds between two drops of all entries */

#define NGX_HTTP_WAHA_AUTH_CACHE_DROP  100

/* hashes of names, a power of two; and names of an entry */

#define NGX_HTTP_WAHA_AUTH_CACHE_HASH  8192
#define NGX_HTTP_WAHA_AUTH_CACHE_NAMES 3


/* followed by the slug and the id of the organization */

typedef struct {
    ngx_rbtree_node_t              node;
    ngx_queue_t                    queue;
    u_char                         key[NGX_HTTP_WAHA_AUTH_CACHE_KEY];
    ngx_msec_t                     until;

    /* when it was asked for, and hashes of what would change it */
    ngx_uint_t                     generation;
    ngx_uint_t                     names[NGX_HTTP_WAHA_AUTH_CACHE_NAMES];

    ngx_http_waha_auth_record_t    record;
} ngx_http_waha_auth_entry_t;


struct ngx_http_waha_auth_cache_s {
    ngx_log_t                     *log;
    ngx_uint_t                     generation;

    /* of the last drop, of everything and by the hash of a name */
    ngx_uint_t                     dropped;
    ngx_uint_t                     notified[NGX_HTTP_WAHA_AUTH_CACHE_HASH];

    ngx_event_t                    timer;
    ngx_msec_t                     dropped_at;

    ngx_rbtree_t                   rbtree;
    ngx_rbtree_node_t              sentinel;

    /* by the time of the last use, the latest first */
    ngx_queue_t                    queue;
    ngx_uint_t                     count;
};


static ngx_http_waha_auth_entry_t *ngx_http_waha_auth_cache_find(
    ngx_http_waha_auth_cache_t *cache, u_char *key);
static void ngx_http_waha_auth_cache_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_rbtree_key_t ngx_http_waha_auth_cache_hash(u_char *key);
static ngx_uint_t ngx_http_waha_auth_cache_is_expired(
    ngx_http_waha_auth_cache_t *cache, ngx_http_waha_auth_entry_t *entry);
static ngx_uint_t ngx_http_waha_auth_cache_hash_name(u_char *name,
    size_t len);
static void ngx_http_waha_auth_cache_timer_handler(ngx_event_t *ev);
static void ngx_http_waha_auth_cache_remove(
    ngx_http_waha_auth_cache_t *cache, ngx_http_waha_auth_entry_t *entry);
static ngx_int_t ngx_http_waha_auth_cache_copy(ngx_pool_t *pool,
    ngx_str_t *dst, ngx_str_t *src);


ngx_http_waha_auth_cache_t *
ngx_http_waha_auth_cache_create(ngx_cycle_t *cycle)
{
    ngx_http_waha_auth_cache_t  *cache;

    cache = ngx_pcalloc(cycle->pool, sizeof(ngx_http_waha_auth_cache_t));
    if (cache == NULL) {
        return NULL;
    }

    cache->log = cycle->log;

    ngx_rbtree_init(&cache->rbtree, &cache->sentinel,
                    ngx_http_waha_auth_cache_insert);
    ngx_queue_init(&cache->queue);

    cache->timer.handler = ngx_http_waha_auth_cache_timer_handler;
    cache->timer.data = cache;
    cache->timer.log = cycle->log;
    cache->timer.cancelable = 1;

    cache->dropped_at = ngx_current_msec - NGX_HTTP_WAHA_AUTH_CACHE_DROP;

    return cache;
}


ngx_int_t
ngx_http_waha_auth_cache_get(ngx_http_waha_auth_cache_t *cache, u_char *key,
    ngx_pool_t *pool, ngx_http_waha_auth_record_t *record)
{
    ngx_http_waha_auth_entry_t    *entry;
    ngx_http_waha_organization_t  *organization, *cached;

    entry = ngx_http_waha_auth_cache_find(cache, key);

    if (entry == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_http_waha_auth_cache_is_expired(cache, entry)) {
        ngx_http_waha_auth_cache_remove(cache, entry);
        return NGX_DECLINED;
    }

    ngx_queue_remove(&entry->queue);
    ngx_queue_insert_head(&cache->queue, &entry->queue);

    *record = entry->record;

    cached = &entry->record.principal.organization;
    organization = &record->principal.organization;

    if (ngx_http_waha_auth_cache_copy(pool, &organization->slug,
                                      &cached->slug)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_waha_auth_cache_copy(pool, &organization->id,
                                         &cached->id);
}


ngx_uint_t
ngx_http_waha_auth_cache_generation(ngx_http_waha_auth_cache_t *cache)
{
    return cache->generation;
}


void
ngx_http_waha_auth_cache_put(ngx_http_waha_auth_cache_t *cache, u_char *key,
    ngx_uint_t generation, ngx_str_t *name,
    ngx_http_waha_auth_record_t *record)
{
    u_char                        *p;
    ngx_queue_t                   *q;
    ngx_http_waha_auth_entry_t    *entry;
    ngx_http_waha_organization_t  *organization;

    if (generation < cache->dropped) {
        return;
    }

    entry = ngx_http_waha_auth_cache_find(cache, key);

    if (entry) {
        ngx_http_waha_auth_cache_remove(cache, entry);
    }

    if (cache->count == NGX_HTTP_WAHA_AUTH_CACHE_SIZE) {
        q = ngx_queue_last(&cache->queue);
        ngx_http_waha_auth_cache_remove(cache,
                        ngx_queue_data(q, ngx_http_waha_auth_entry_t, queue));
    }

    organization = &record->principal.organization;

    entry = ngx_alloc(sizeof(ngx_http_waha_auth_entry_t)
                      + organization->slug.len + organization->id.len,
                      cache->log);
    if (entry == NULL) {
        return;
    }

    ngx_memcpy(entry->key, key, NGX_HTTP_WAHA_AUTH_CACHE_KEY);

    entry->until = ngx_current_msec + NGX_HTTP_WAHA_AUTH_CACHE_TIME;
    entry->generation = generation;
    entry->record = *record;

    entry->names[0] = ngx_http_waha_auth_cache_hash_name(name->data,
                                                         name->len);
    entry->names[1] = ngx_http_waha_auth_cache_hash_name(
                                                    organization->slug.data,
                                                    organization->slug.len);
    entry->names[2] = ngx_http_waha_auth_cache_hash_name(
                                                    organization->id.data,
                                                    organization->id.len);

    p = (u_char *) entry + sizeof(ngx_http_waha_auth_entry_t);

    entry->record.principal.organization.slug.data = p;
    p = ngx_cpymem(p, organization->slug.data, organization->slug.len);

    entry->record.principal.organization.id.data = p;
    ngx_memcpy(p, organization->id.data, organization->id.len);

    entry->node.key = ngx_http_waha_auth_cache_hash(key);

    ngx_rbtree_insert(&cache->rbtree, &entry->node);
    ngx_queue_insert_head(&cache->queue, &entry->queue);

    cache->count++;
}


/*
 * anybody who may connect may notify: naming something costs the same however
 * many entries there are, and two names with one hash cost a look-up
 */

void
ngx_http_waha_auth_cache_notified(void *data, const char *name)
{
    ngx_http_waha_auth_cache_t *cache = data;

    ngx_uint_t      hash;
    ngx_msec_int_t  ms;

    if (name && *name) {
        hash = ngx_http_waha_auth_cache_hash_name((u_char *) name,
                                                  ngx_strlen(name));

        cache->notified[hash] = ++cache->generation;
        return;
    }

    if (cache->timer.timer_set) {
        return;
    }

    ms = (ngx_msec_int_t) (ngx_current_msec - cache->dropped_at);

    if (ms < NGX_HTTP_WAHA_AUTH_CACHE_DROP) {
        ngx_add_timer(&cache->timer, NGX_HTTP_WAHA_AUTH_CACHE_DROP - ms);
        return;
    }

    ngx_http_waha_auth_cache_drop(cache);
}


static ngx_uint_t
ngx_http_waha_auth_cache_hash_name(u_char *name, size_t len)
{
    return ngx_crc32_short(name, len) & (NGX_HTTP_WAHA_AUTH_CACHE_HASH - 1);
}


static void
ngx_http_waha_auth_cache_timer_handler(ngx_event_t *ev)
{
    ngx_http_waha_auth_cache_drop(ev->data);
}


void
ngx_http_waha_auth_cache_drop(ngx_http_waha_auth_cache_t *cache)
{
    ngx_queue_t  *q;

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, cache->log, 0,
                   "waha auth cache drop:%ui", cache->count);

    cache->dropped = ++cache->generation;
    cache->dropped_at = ngx_current_msec;

    if (cache->timer.timer_set) {
        ngx_del_timer(&cache->timer);
    }

    while (!ngx_queue_empty(&cache->queue)) {
        q = ngx_queue_head(&cache->queue);
        ngx_http_waha_auth_cache_remove(cache,
                        ngx_queue_data(q, ngx_http_waha_auth_entry_t, queue));
    }
}


static ngx_http_waha_auth_entry_t *
ngx_http_waha_auth_cache_find(ngx_http_waha_auth_cache_t *cache, u_char *key)
{
    ngx_int_t                    rc;
    ngx_rbtree_key_t             hash;
    ngx_rbtree_node_t           *node, *sentinel;
    ngx_http_waha_auth_entry_t  *entry;

    hash = ngx_http_waha_auth_cache_hash(key);

    node = cache->rbtree.root;
    sentinel = cache->rbtree.sentinel;

    while (node != sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        entry = ngx_rbtree_data(node, ngx_http_waha_auth_entry_t, node);

        rc = ngx_memcmp(key, entry->key, NGX_HTTP_WAHA_AUTH_CACHE_KEY);

        if (rc == 0) {
            return entry;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


static void
ngx_http_waha_auth_cache_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t           **p;
    ngx_http_waha_auth_entry_t   *entry, *other;

    for ( ;; ) {

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            entry = ngx_rbtree_data(node, ngx_http_waha_auth_entry_t, node);
            other = ngx_rbtree_data(temp, ngx_http_waha_auth_entry_t, node);

            p = (ngx_memcmp(entry->key, other->key,
                            NGX_HTTP_WAHA_AUTH_CACHE_KEY)
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
ngx_http_waha_auth_cache_hash(u_char *key)
{
    ngx_rbtree_key_t  hash;

    ngx_memcpy(&hash, key, sizeof(ngx_rbtree_key_t));

    return hash;
}


static ngx_uint_t
ngx_http_waha_auth_cache_is_expired(ngx_http_waha_auth_cache_t *cache,
    ngx_http_waha_auth_entry_t *entry)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_WAHA_AUTH_CACHE_NAMES; i++) {

        if (cache->notified[entry->names[i]] > entry->generation) {
            return 1;
        }
    }

    if ((ngx_msec_int_t) (entry->until - ngx_current_msec) <= 0) {
        return 1;
    }

    return entry->record.expires && entry->record.expires <= ngx_time();
}


static void
ngx_http_waha_auth_cache_remove(ngx_http_waha_auth_cache_t *cache,
    ngx_http_waha_auth_entry_t *entry)
{
    ngx_rbtree_delete(&cache->rbtree, &entry->node);
    ngx_queue_remove(&entry->queue);

    cache->count--;

    ngx_free(entry);
}


static ngx_int_t
ngx_http_waha_auth_cache_copy(ngx_pool_t *pool, ngx_str_t *dst,
    ngx_str_t *src)
{
    dst->len = src->len;

    dst->data = ngx_pstrdup(pool, src);
    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}
