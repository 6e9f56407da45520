
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_auth_limit.h>


/* bytes of shared memory, highest number in a rate */

#define NGX_HTTP_WAHA_AUTH_LIMIT_ZONE  1048576
#define NGX_HTTP_WAHA_AUTH_LIMIT_MAX   10000

/* as in limit_req, an attempt is 1000; the default rate is 10r/m */

#define NGX_HTTP_WAHA_AUTH_ATTEMPT     1000
#define NGX_HTTP_WAHA_AUTH_BURST       (10 * NGX_HTTP_WAHA_AUTH_ATTEMPT)
#define NGX_HTTP_WAHA_AUTH_RATE        (10 * NGX_HTTP_WAHA_AUTH_ATTEMPT / 60)


typedef struct {
    ngx_rbtree_node_t             node;
    ngx_queue_t                   queue;
    uint64_t                      address;
    ngx_msec_t                    last;
    ngx_uint_t                    excess;
} ngx_http_waha_auth_bucket_t;


/* in shared memory */

typedef struct {
    ngx_rbtree_t                  rbtree;
    ngx_rbtree_node_t             sentinel;

    /* by the time of the last attempt, the latest first */
    ngx_queue_t                   queue;
} ngx_http_waha_auth_buckets_t;


static ngx_int_t ngx_http_waha_auth_limit_init_zone(ngx_shm_zone_t *zone,
    void *data);
static ngx_http_waha_auth_limit_t *ngx_http_waha_auth_limit_get(
    ngx_http_request_t *r, uint64_t *address);
static ngx_int_t ngx_http_waha_auth_limit_read_address(struct sockaddr *sa,
    uint64_t *address);
static ngx_uint_t ngx_http_waha_auth_limit_excess(
    ngx_http_waha_auth_limit_t *limit, ngx_http_waha_auth_bucket_t *bucket);
static void ngx_http_waha_auth_limit_count_locked(
    ngx_http_waha_auth_limit_t *limit, uint64_t address);
static ngx_http_waha_auth_bucket_t *ngx_http_waha_auth_limit_find(
    ngx_http_waha_auth_buckets_t *buckets, uint64_t address);
static void ngx_http_waha_auth_limit_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_http_waha_auth_bucket_t *ngx_http_waha_auth_limit_add(
    ngx_http_waha_auth_limit_t *limit, uint64_t address);
static ngx_uint_t ngx_http_waha_auth_limit_expire(
    ngx_http_waha_auth_limit_t *limit, ngx_uint_t force);
static ngx_uint_t ngx_http_waha_auth_limit_is_counted(ngx_http_request_t *r);
static void ngx_http_waha_auth_limit_cleanup(void *data);


void
ngx_http_waha_auth_limit_create_conf(ngx_http_waha_auth_limit_t *limit)
{
    limit->rate = NGX_CONF_UNSET_UINT;
}


char *
ngx_http_waha_auth_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_main_conf_t *wmcf = conf;

    ngx_int_t                    n, scale;
    ngx_str_t                   *value, number;
    ngx_http_waha_auth_limit_t  *limit;

    limit = wmcf->auth_limit;

    if (limit->rate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        limit->rate = 0;
        return NGX_CONF_OK;
    }

    number = value[1];
    scale = 0;

    if (number.len > 3) {
        number.len -= 3;

        if (ngx_strcmp(number.data + number.len, "r/m") == 0) {
            scale = 60;

        } else if (ngx_strcmp(number.data + number.len, "r/s") == 0) {
            scale = 1;
        }
    }

    n = ngx_atoi(number.data, number.len);

    if (scale == 0 || n < 1 || n > NGX_HTTP_WAHA_AUTH_LIMIT_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid rate \"%V\", it can only be \"off\" or "
                           "as \"10r/m\" or \"1r/s\", up to %d", &value[1],
                           NGX_HTTP_WAHA_AUTH_LIMIT_MAX);
        return NGX_CONF_ERROR;
    }

    limit->rate = n * NGX_HTTP_WAHA_AUTH_ATTEMPT / scale;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_waha_auth_limit_add_zone(ngx_conf_t *cf,
    ngx_http_waha_auth_limit_t *limit)
{
    static ngx_str_t  name = ngx_string("waha_auth");

    ngx_conf_init_uint_value(limit->rate, NGX_HTTP_WAHA_AUTH_RATE);

    if (limit->rate == 0) {
        return NGX_OK;
    }

    limit->zone = ngx_shared_memory_add(cf, &name,
                                        NGX_HTTP_WAHA_AUTH_LIMIT_ZONE,
                                        &ngx_http_waha_module);
    if (limit->zone == NULL) {
        return NGX_ERROR;
    }

    limit->zone->init = ngx_http_waha_auth_limit_init_zone;

    return NGX_OK;
}


/* zone->data: the buckets, which are kept over a reload */

static ngx_int_t
ngx_http_waha_auth_limit_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t               *shpool;
    ngx_http_waha_auth_buckets_t  *buckets;

    static u_char  context[] = " in zone \"waha_auth\"";

    if (data) {
        zone->data = data;
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        zone->data = shpool->data;
        return NGX_OK;
    }

    buckets = ngx_slab_alloc(shpool, sizeof(ngx_http_waha_auth_buckets_t));
    if (buckets == NULL) {
        return NGX_ERROR;
    }

    ngx_rbtree_init(&buckets->rbtree, &buckets->sentinel,
                    ngx_http_waha_auth_limit_insert);
    ngx_queue_init(&buckets->queue);

    shpool->data = buckets;
    zone->data = buckets;

    shpool->log_ctx = ngx_slab_alloc(shpool, sizeof(context));
    if (shpool->log_ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(shpool->log_ctx, context, sizeof(context));

    /* a full zone is no error: the oldest bucket is removed */
    shpool->log_nomem = 0;

    return NGX_OK;
}


ngx_uint_t
ngx_http_waha_auth_limit_is_exceeded(ngx_http_request_t *r)
{
    uint64_t                      address;
    ngx_uint_t                    excess;
    ngx_slab_pool_t              *shpool;
    ngx_http_waha_auth_limit_t   *limit;
    ngx_http_waha_auth_bucket_t  *bucket;

    limit = ngx_http_waha_auth_limit_get(r, &address);

    if (limit == NULL || ngx_http_waha_auth_limit_is_counted(r)) {
        return 0;
    }

    shpool = (ngx_slab_pool_t *) limit->zone->shm.addr;
    excess = 0;

    ngx_shmtx_lock(&shpool->mutex);

    bucket = ngx_http_waha_auth_limit_find(limit->zone->data, address);

    if (bucket) {
        excess = ngx_http_waha_auth_limit_excess(limit, bucket);
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return excess + NGX_HTTP_WAHA_AUTH_ATTEMPT > NGX_HTTP_WAHA_AUTH_BURST;
}


void
ngx_http_waha_auth_limit_count(ngx_http_request_t *r)
{
    uint64_t                     address;
    ngx_slab_pool_t             *shpool;
    ngx_pool_cleanup_t          *cln;
    ngx_http_waha_auth_limit_t  *limit;

    limit = ngx_http_waha_auth_limit_get(r, &address);

    if (limit == NULL || ngx_http_waha_auth_limit_is_counted(r)) {
        return;
    }

    shpool = (ngx_slab_pool_t *) limit->zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    ngx_http_waha_auth_limit_count_locked(limit, address);

    ngx_shmtx_unlock(&shpool->mutex);

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln) {
        cln->handler = ngx_http_waha_auth_limit_cleanup;
    }
}


/* NULL: the client is not limited */

static ngx_http_waha_auth_limit_t *
ngx_http_waha_auth_limit_get(ngx_http_request_t *r, uint64_t *address)
{
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    if (wmcf->auth_limit->zone == NULL
        || ngx_http_waha_auth_limit_read_address(r->connection->sockaddr,
                                                 address)
           != NGX_OK)
    {
        return NULL;
    }

    return wmcf->auth_limit;
}


/*
 * all addresses of an IPv6 network of 64 bits count as one, because a client
 * usually has them all; no such network in use begins with 32 zero bits, as
 * IPv4 addresses do here; clients of a UNIX-domain socket have no address
 */

static ngx_int_t
ngx_http_waha_auth_limit_read_address(struct sockaddr *sa, uint64_t *address)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    u_char               *p;
    ngx_uint_t            i;
    struct sockaddr_in6  *sin6;
#endif

    switch (sa->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) sa;
        *address = ntohl(sin->sin_addr.s_addr);
        return NGX_OK;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;
        p = sin6->sin6_addr.s6_addr;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            *address = (uint64_t) p[12] << 24 | p[13] << 16 | p[14] << 8
                       | p[15];
            return NGX_OK;
        }

        *address = 0;

        for (i = 0; i < 8; i++) {
            *address = *address << 8 | p[i];
        }

        return NGX_OK;
#endif

    default:
        return NGX_DECLINED;
    }
}


static ngx_uint_t
ngx_http_waha_auth_limit_excess(ngx_http_waha_auth_limit_t *limit,
    ngx_http_waha_auth_bucket_t *bucket)
{
    ngx_uint_t      leaked;
    ngx_msec_int_t  ms;

    ms = (ngx_msec_int_t) (ngx_current_msec - bucket->last);

    /* the cached time of this worker may be behind that of another one */

    leaked = limit->rate * ngx_max(ms, 0) / 1000;

    return (leaked < bucket->excess) ? bucket->excess - leaked : 0;
}


static void
ngx_http_waha_auth_limit_count_locked(ngx_http_waha_auth_limit_t *limit,
    uint64_t address)
{
    ngx_uint_t                     excess;
    ngx_http_waha_auth_bucket_t   *bucket;
    ngx_http_waha_auth_buckets_t  *buckets;

    buckets = limit->zone->data;
    bucket = ngx_http_waha_auth_limit_find(buckets, address);

    if (bucket == NULL) {
        bucket = ngx_http_waha_auth_limit_add(limit, address);

        if (bucket == NULL) {
            return;
        }

    } else {
        ngx_queue_remove(&bucket->queue);
    }

    ngx_queue_insert_head(&buckets->queue, &bucket->queue);

    /* concurrent attempts may exceed the burst */

    excess = ngx_http_waha_auth_limit_excess(limit, bucket)
             + NGX_HTTP_WAHA_AUTH_ATTEMPT;

    bucket->excess = ngx_min(excess, NGX_HTTP_WAHA_AUTH_BURST);
    bucket->last = ngx_current_msec;
}


static ngx_http_waha_auth_bucket_t *
ngx_http_waha_auth_limit_find(ngx_http_waha_auth_buckets_t *buckets,
    uint64_t address)
{
    ngx_rbtree_node_t            *node, *sentinel;
    ngx_http_waha_auth_bucket_t  *bucket;

    node = buckets->rbtree.root;
    sentinel = buckets->rbtree.sentinel;

    while (node != sentinel) {
        bucket = ngx_rbtree_data(node, ngx_http_waha_auth_bucket_t, node);

        if (address == bucket->address) {
            return bucket;
        }

        node = (address < bucket->address) ? node->left : node->right;
    }

    return NULL;
}


static void
ngx_http_waha_auth_limit_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t            **p;
    ngx_http_waha_auth_bucket_t   *bucket, *other;

    bucket = ngx_rbtree_data(node, ngx_http_waha_auth_bucket_t, node);

    for ( ;; ) {
        other = ngx_rbtree_data(temp, ngx_http_waha_auth_bucket_t, node);

        p = (bucket->address < other->address) ? &temp->left : &temp->right;

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


static ngx_http_waha_auth_bucket_t *
ngx_http_waha_auth_limit_add(ngx_http_waha_auth_limit_t *limit,
    uint64_t address)
{
    ngx_slab_pool_t               *shpool;
    ngx_http_waha_auth_bucket_t   *bucket;
    ngx_http_waha_auth_buckets_t  *buckets;

    buckets = limit->zone->data;
    shpool = (ngx_slab_pool_t *) limit->zone->shm.addr;

    /* two for each new one, so that empty buckets become fewer */

    if (ngx_http_waha_auth_limit_expire(limit, 0)) {
        (void) ngx_http_waha_auth_limit_expire(limit, 0);
    }

    do {
        bucket = ngx_slab_calloc_locked(shpool,
                                        sizeof(ngx_http_waha_auth_bucket_t));

    } while (bucket == NULL && ngx_http_waha_auth_limit_expire(limit, 1));

    if (bucket == NULL) {
        return NULL;
    }

    bucket->address = address;

    ngx_rbtree_insert(&buckets->rbtree, &bucket->node);

    return bucket;
}


/* removes the oldest bucket if it is empty, or by force */

static ngx_uint_t
ngx_http_waha_auth_limit_expire(ngx_http_waha_auth_limit_t *limit,
    ngx_uint_t force)
{
    ngx_queue_t                   *q;
    ngx_http_waha_auth_bucket_t   *bucket;
    ngx_http_waha_auth_buckets_t  *buckets;

    buckets = limit->zone->data;

    if (ngx_queue_empty(&buckets->queue)) {
        return 0;
    }

    q = ngx_queue_last(&buckets->queue);
    bucket = ngx_queue_data(q, ngx_http_waha_auth_bucket_t, queue);

    if (!force && ngx_http_waha_auth_limit_excess(limit, bucket)) {
        return 0;
    }

    ngx_queue_remove(q);
    ngx_rbtree_delete(&buckets->rbtree, &bucket->node);

    ngx_slab_free_locked((ngx_slab_pool_t *) limit->zone->shm.addr, bucket);

    return 1;
}


/* a cleanup marks the request: an internal redirect clears its context */

static ngx_uint_t
ngx_http_waha_auth_limit_is_counted(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_waha_auth_limit_cleanup) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_waha_auth_limit_cleanup(void *data)
{
    /* void */
}
