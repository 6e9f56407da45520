
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <openssl/evp.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_auth_limit.h>


/* bytes of shared memory, highest number in a rate */

#define NGX_HTTP_WAHA_AUTH_LIMIT_ZONE  2097152
#define NGX_HTTP_WAHA_AUTH_LIMIT_MAX   10000

/* credentials that are remembered, and bytes of their digests */

#define NGX_HTTP_WAHA_AUTH_KNOWN_MAX   4096
#define NGX_HTTP_WAHA_AUTH_KNOWN_LEN   32

/*
 * milliseconds: between two log lines about an address, and after which a
 * look-up that a killed worker left undecided no longer counts as running
 */

#define NGX_HTTP_WAHA_AUTH_LOG_TIME    60000
#define NGX_HTTP_WAHA_AUTH_RUN_TIME    10000

/* as in limit_req, an attempt is 1000; the default rate is 10r/m */

#define NGX_HTTP_WAHA_AUTH_ATTEMPT     1000
#define NGX_HTTP_WAHA_AUTH_BURST       (10 * NGX_HTTP_WAHA_AUTH_ATTEMPT)
#define NGX_HTTP_WAHA_AUTH_RATE        (10 * NGX_HTTP_WAHA_AUTH_ATTEMPT / 60)


typedef struct {
    ngx_rbtree_node_t             node;
    ngx_queue_t                   queue;
    uint64_t                      address;
    ngx_msec_t                    last;
    ngx_msec_t                    logged;
    ngx_uint_t                    excess;

    /* look-ups that are charged and not decided */
    ngx_uint_t                    running;

    unsigned                      has_logged:1;
} ngx_http_waha_auth_bucket_t;


/* credentials that were right, by their digest */

typedef struct {
    ngx_str_node_t                sn;
    ngx_queue_t                   queue;
    u_char                        digest[NGX_HTTP_WAHA_AUTH_KNOWN_LEN];
} ngx_http_waha_auth_known_t;


/* in shared memory */

typedef struct {
    ngx_rbtree_t                  rbtree;
    ngx_rbtree_node_t             sentinel;

    /* by the time of the last attempt, the latest first */
    ngx_queue_t                   queue;

    ngx_rbtree_t                  known;
    ngx_rbtree_node_t             known_sentinel;

    /* by the time of the last look-up, the latest first */
    ngx_queue_t                   known_queue;
    ngx_uint_t                    nknown;
} ngx_http_waha_auth_buckets_t;


/* of a request, in its pool: an internal redirect clears its context */

typedef struct {
    ngx_http_waha_auth_limit_t   *limit;
    uint64_t                      address;

    unsigned                      charged:1;
    unsigned                      running:1;
} ngx_http_waha_auth_charge_t;


static ngx_int_t ngx_http_waha_auth_limit_init_zone(ngx_shm_zone_t *zone,
    void *data);
static ngx_http_waha_auth_limit_t *ngx_http_waha_auth_limit_get(
    ngx_http_request_t *r, uint64_t *address);
static ngx_int_t ngx_http_waha_auth_limit_read_address(struct sockaddr *sa,
    uint64_t *address);
static ngx_int_t ngx_http_waha_auth_limit_charge_address(
    ngx_http_request_t *r, ngx_http_waha_auth_limit_t *limit,
    uint64_t address);
static ngx_int_t ngx_http_waha_auth_limit_add_scope(uint64_t *address,
    const ngx_str_t *scope);
static ngx_http_waha_auth_charge_t *ngx_http_waha_auth_limit_get_charge(
    ngx_http_request_t *r, ngx_http_waha_auth_limit_t *limit,
    uint64_t address);
static ngx_int_t ngx_http_waha_auth_limit_charge_locked(
    ngx_http_waha_auth_charge_t *charge, ngx_uint_t running);
static ngx_int_t ngx_http_waha_auth_limit_decline_locked(
    ngx_http_waha_auth_bucket_t *bucket, ngx_uint_t running);
static ngx_int_t ngx_http_waha_auth_limit_log(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_uint_t ngx_http_waha_auth_limit_excess(
    ngx_http_waha_auth_limit_t *limit, ngx_http_waha_auth_bucket_t *bucket);
static ngx_http_waha_auth_bucket_t *ngx_http_waha_auth_limit_find(
    ngx_http_waha_auth_buckets_t *buckets, uint64_t address);
static void ngx_http_waha_auth_limit_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_http_waha_auth_bucket_t *ngx_http_waha_auth_limit_add(
    ngx_http_waha_auth_limit_t *limit, uint64_t address);
static ngx_uint_t ngx_http_waha_auth_limit_expire(
    ngx_http_waha_auth_limit_t *limit, ngx_uint_t force);
static void ngx_http_waha_auth_limit_end_locked(
    ngx_http_waha_auth_charge_t *charge, ngx_uint_t give_back);
static ngx_http_waha_auth_known_t *ngx_http_waha_auth_limit_find_known(
    ngx_http_waha_auth_buckets_t *buckets, u_char *digest);
static void ngx_http_waha_auth_limit_remember(
    ngx_http_waha_auth_limit_t *limit, u_char *digest);
static void ngx_http_waha_auth_limit_forget(
    ngx_http_waha_auth_limit_t *limit, u_char *digest);
static void ngx_http_waha_auth_limit_remove_known(
    ngx_http_waha_auth_limit_t *limit, ngx_http_waha_auth_known_t *known);
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

    ngx_rbtree_init(&buckets->known, &buckets->known_sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_queue_init(&buckets->known_queue);
    buckets->nknown = 0;

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


ngx_int_t
ngx_http_waha_auth_limit_charge(ngx_http_request_t *r)
{
    uint64_t                     address;
    ngx_http_waha_auth_limit_t  *limit;

    limit = ngx_http_waha_auth_limit_get(r, &address);

    return limit ? ngx_http_waha_auth_limit_charge_address(r, limit, address)
                 : NGX_OK;
}


static ngx_int_t
ngx_http_waha_auth_limit_charge_address(ngx_http_request_t *r,
    ngx_http_waha_auth_limit_t *limit, uint64_t address)
{
    ngx_int_t                     rc;
    ngx_slab_pool_t              *shpool;
    ngx_http_waha_auth_charge_t  *charge;

    charge = ngx_http_waha_auth_limit_get_charge(r, limit, address);
    if (charge == NULL) {
        return NGX_ERROR;
    }

    shpool = (ngx_slab_pool_t *) limit->zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    rc = ngx_http_waha_auth_limit_charge_locked(charge, 0);

    ngx_shmtx_unlock(&shpool->mutex);

    return ngx_http_waha_auth_limit_log(r, rc);
}


void
ngx_http_waha_auth_limit_charge_scope(ngx_http_request_t *r,
    const ngx_str_t *scope)
{
    uint64_t                     address;
    ngx_http_waha_auth_limit_t  *limit;

    limit = ngx_http_waha_auth_limit_get(r, &address);

    if (limit
        && ngx_http_waha_auth_limit_add_scope(&address, scope) == NGX_OK)
    {
        (void) ngx_http_waha_auth_limit_charge_address(r, limit, address);
    }
}


ngx_uint_t
ngx_http_waha_auth_limit_is_spent(ngx_http_request_t *r,
    const ngx_str_t *scope)
{
    uint64_t                      address;
    ngx_uint_t                    spent;
    ngx_slab_pool_t              *shpool;
    ngx_http_waha_auth_limit_t   *limit;
    ngx_http_waha_auth_bucket_t  *bucket;

    limit = ngx_http_waha_auth_limit_get(r, &address);

    if (limit == NULL
        || ngx_http_waha_auth_limit_add_scope(&address, scope) != NGX_OK)
    {
        return 0;
    }

    shpool = (ngx_slab_pool_t *) limit->zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    bucket = ngx_http_waha_auth_limit_find(limit->zone->data, address);

    spent = bucket
            && ngx_http_waha_auth_limit_excess(limit, bucket)
               + NGX_HTTP_WAHA_AUTH_ATTEMPT > NGX_HTTP_WAHA_AUTH_BURST;

    ngx_shmtx_unlock(&shpool->mutex);

    return spent;
}


/* by a SHA-256: a client cannot find a scope that shares another's limit */

static ngx_int_t
ngx_http_waha_auth_limit_add_scope(uint64_t *address, const ngx_str_t *scope)
{
    u_char       hash[EVP_MAX_MD_SIZE];
    ngx_int_t    rc;
    EVP_MD_CTX  *md;

    md = EVP_MD_CTX_new();
    if (md == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1
        && EVP_DigestUpdate(md, address, sizeof(uint64_t)) == 1
        && EVP_DigestUpdate(md, scope->data, scope->len) == 1
        && EVP_DigestFinal_ex(md, hash, NULL) == 1)
    {
        ngx_memcpy(address, hash, sizeof(uint64_t));
        rc = NGX_OK;
    }

    EVP_MD_CTX_free(md);

    return rc;
}


ngx_int_t
ngx_http_waha_auth_limit_admit(ngx_http_request_t *r, u_char *digest)
{
    uint64_t                      address;
    ngx_int_t                     rc;
    ngx_slab_pool_t              *shpool;
    ngx_http_waha_auth_limit_t   *limit;
    ngx_http_waha_auth_charge_t  *charge;

    limit = ngx_http_waha_auth_limit_get(r, &address);

    if (limit == NULL) {
        return NGX_OK;
    }

    charge = ngx_http_waha_auth_limit_get_charge(r, limit, address);
    if (charge == NULL) {
        return NGX_ERROR;
    }

    shpool = (ngx_slab_pool_t *) limit->zone->shm.addr;
    rc = NGX_OK;

    ngx_shmtx_lock(&shpool->mutex);

    if (ngx_http_waha_auth_limit_find_known(limit->zone->data, digest)
        == NULL)
    {
        rc = ngx_http_waha_auth_limit_charge_locked(charge, 1);
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return ngx_http_waha_auth_limit_log(r, rc);
}


void
ngx_http_waha_auth_limit_settle(ngx_http_request_t *r, u_char *digest,
    ngx_http_waha_auth_outcome_e outcome)
{
    uint64_t                      address;
    ngx_slab_pool_t              *shpool;
    ngx_http_waha_auth_limit_t   *limit;
    ngx_http_waha_auth_charge_t  *charge;

    limit = ngx_http_waha_auth_limit_get(r, &address);

    if (limit == NULL) {
        return;
    }

    charge = ngx_http_waha_auth_limit_get_charge(r, limit, address);
    if (charge == NULL) {
        return;
    }

    shpool = (ngx_slab_pool_t *) limit->zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    ngx_http_waha_auth_limit_end_locked(charge,
                                     outcome != NGX_HTTP_WAHA_AUTH_WRONG);

    switch (outcome) {

    case NGX_HTTP_WAHA_AUTH_RIGHT:
        ngx_http_waha_auth_limit_remember(limit, digest);
        break;

    case NGX_HTTP_WAHA_AUTH_WRONG:
        ngx_http_waha_auth_limit_forget(limit, digest);
        break;

    default: /* NGX_HTTP_WAHA_AUTH_UNDECIDED */
        break;
    }

    ngx_shmtx_unlock(&shpool->mutex);
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


static ngx_http_waha_auth_charge_t *
ngx_http_waha_auth_limit_get_charge(ngx_http_request_t *r,
    ngx_http_waha_auth_limit_t *limit, uint64_t address)
{
    ngx_pool_cleanup_t           *cln;
    ngx_http_waha_auth_charge_t  *charge;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_waha_auth_limit_cleanup) {
            return cln->data;
        }
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_waha_auth_charge_t));
    if (cln == NULL) {
        return NULL;
    }

    charge = cln->data;

    ngx_memzero(charge, sizeof(ngx_http_waha_auth_charge_t));

    charge->limit = limit;
    charge->address = address;

    cln->handler = ngx_http_waha_auth_limit_cleanup;

    return charge;
}


/*
 * NGX_AGAIN: the limit is exceeded if the look-ups that are running for this
 * address all fail; NGX_DECLINED: it is; NGX_ABORT: it is, and that has to be
 * logged
 */

static ngx_int_t
ngx_http_waha_auth_limit_charge_locked(ngx_http_waha_auth_charge_t *charge,
    ngx_uint_t running)
{
    ngx_uint_t                     excess;
    ngx_http_waha_auth_limit_t    *limit;
    ngx_http_waha_auth_bucket_t   *bucket;
    ngx_http_waha_auth_buckets_t  *buckets;

    limit = charge->limit;
    buckets = limit->zone->data;

    bucket = ngx_http_waha_auth_limit_find(buckets, charge->address);

    if (bucket == NULL) {
        bucket = ngx_http_waha_auth_limit_add(limit, charge->address);

        if (bucket == NULL) {
            return NGX_OK;
        }
    }

    if (!charge->charged) {
        excess = ngx_http_waha_auth_limit_excess(limit, bucket)
                 + NGX_HTTP_WAHA_AUTH_ATTEMPT;

        if (excess > NGX_HTTP_WAHA_AUTH_BURST) {
            return ngx_http_waha_auth_limit_decline_locked(bucket, running);
        }

        bucket->excess = excess;
        bucket->last = ngx_current_msec;
        charge->charged = 1;
    }

    if (running && !charge->running) {
        bucket->running++;
        charge->running = 1;
    }

    ngx_queue_remove(&bucket->queue);
    ngx_queue_insert_head(&buckets->queue, &bucket->queue);

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_auth_limit_decline_locked(ngx_http_waha_auth_bucket_t *bucket,
    ngx_uint_t running)
{
    if (running && bucket->running
        && (ngx_msec_int_t) (ngx_current_msec - bucket->last)
           < NGX_HTTP_WAHA_AUTH_RUN_TIME)
    {
        return NGX_AGAIN;
    }

    if (bucket->has_logged
        && (ngx_msec_int_t) (ngx_current_msec - bucket->logged)
           < NGX_HTTP_WAHA_AUTH_LOG_TIME)
    {
        return NGX_DECLINED;
    }

    bucket->logged = ngx_current_msec;
    bucket->has_logged = 1;

    return NGX_ABORT;
}


/* without the lock of the zone: writing may take its time */

static ngx_int_t
ngx_http_waha_auth_limit_log(ngx_http_request_t *r, ngx_int_t rc)
{
    if (rc != NGX_ABORT) {
        return rc;
    }

    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                  "waha: too many wrong credentials from this address");

    return NGX_DECLINED;
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
    ngx_queue_insert_head(&buckets->queue, &bucket->queue);

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


/* a look-up ends; the limit of an address may have been forgotten since */

static void
ngx_http_waha_auth_limit_end_locked(ngx_http_waha_auth_charge_t *charge,
    ngx_uint_t give_back)
{
    ngx_http_waha_auth_bucket_t  *bucket;

    if (!charge->running) {
        return;
    }

    charge->running = 0;

    bucket = ngx_http_waha_auth_limit_find(charge->limit->zone->data,
                                           charge->address);

    if (bucket && bucket->running) {
        bucket->running--;
    }

    if (!give_back) {
        return;
    }

    charge->charged = 0;

    if (bucket) {
        bucket->excess -= ngx_min(bucket->excess, NGX_HTTP_WAHA_AUTH_ATTEMPT);
    }
}


static ngx_http_waha_auth_known_t *
ngx_http_waha_auth_limit_find_known(ngx_http_waha_auth_buckets_t *buckets,
    u_char *digest)
{
    uint32_t    hash;
    ngx_str_t   name;

    name.data = digest;
    name.len = NGX_HTTP_WAHA_AUTH_KNOWN_LEN;

    ngx_memcpy(&hash, digest, sizeof(uint32_t));

    return (ngx_http_waha_auth_known_t *)
               ngx_str_rbtree_lookup(&buckets->known, &name, hash);
}


static void
ngx_http_waha_auth_limit_remember(ngx_http_waha_auth_limit_t *limit,
    u_char *digest)
{
    uint32_t                       hash;
    ngx_queue_t                   *q;
    ngx_slab_pool_t               *shpool;
    ngx_http_waha_auth_known_t    *known;
    ngx_http_waha_auth_buckets_t  *buckets;

    buckets = limit->zone->data;
    shpool = (ngx_slab_pool_t *) limit->zone->shm.addr;

    known = ngx_http_waha_auth_limit_find_known(buckets, digest);

    if (known) {
        ngx_queue_remove(&known->queue);
        ngx_queue_insert_head(&buckets->known_queue, &known->queue);
        return;
    }

    if (buckets->nknown == NGX_HTTP_WAHA_AUTH_KNOWN_MAX) {
        q = ngx_queue_last(&buckets->known_queue);
        ngx_http_waha_auth_limit_remove_known(limit,
                        ngx_queue_data(q, ngx_http_waha_auth_known_t, queue));
    }

    do {
        known = ngx_slab_calloc_locked(shpool,
                                       sizeof(ngx_http_waha_auth_known_t));

    } while (known == NULL && ngx_http_waha_auth_limit_expire(limit, 1));

    if (known == NULL) {
        return;
    }

    ngx_memcpy(known->digest, digest, NGX_HTTP_WAHA_AUTH_KNOWN_LEN);
    ngx_memcpy(&hash, digest, sizeof(uint32_t));

    known->sn.node.key = hash;
    known->sn.str.data = known->digest;
    known->sn.str.len = NGX_HTTP_WAHA_AUTH_KNOWN_LEN;

    ngx_rbtree_insert(&buckets->known, &known->sn.node);
    ngx_queue_insert_head(&buckets->known_queue, &known->queue);

    buckets->nknown++;
}


static void
ngx_http_waha_auth_limit_forget(ngx_http_waha_auth_limit_t *limit,
    u_char *digest)
{
    ngx_http_waha_auth_known_t  *known;

    known = ngx_http_waha_auth_limit_find_known(limit->zone->data, digest);

    if (known) {
        ngx_http_waha_auth_limit_remove_known(limit, known);
    }
}


static void
ngx_http_waha_auth_limit_remove_known(ngx_http_waha_auth_limit_t *limit,
    ngx_http_waha_auth_known_t *known)
{
    ngx_http_waha_auth_buckets_t  *buckets;

    buckets = limit->zone->data;

    ngx_queue_remove(&known->queue);
    ngx_rbtree_delete(&buckets->known, &known->sn.node);

    buckets->nknown--;

    ngx_slab_free_locked((ngx_slab_pool_t *) limit->zone->shm.addr, known);
}


/* a client that does not wait for the outcome is not given back its charge */

static void
ngx_http_waha_auth_limit_cleanup(void *data)
{
    ngx_http_waha_auth_charge_t  *charge = data;

    ngx_slab_pool_t  *shpool;

    if (!charge->running) {
        return;
    }

    shpool = (ngx_slab_pool_t *) charge->limit->zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    ngx_http_waha_auth_limit_end_locked(charge, 0);

    ngx_shmtx_unlock(&shpool->mutex);
}
