
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_pg_connection.h>


/* milliseconds */

#define NGX_HTTP_WAHA_PG_BACKOFF_MIN    50
#define NGX_HTTP_WAHA_PG_BACKOFF_MAX    2000
#define NGX_HTTP_WAHA_PG_STABLE         1000
#define NGX_HTTP_WAHA_PG_DRAIN          600000

/* doublings from the least to the most */

#define NGX_HTTP_WAHA_PG_BACKOFF_STEPS  6


static ngx_int_t ngx_http_waha_pg_pool_init(ngx_http_waha_pg_pool_t *pool);
static void ngx_http_waha_pg_pool_retry_handler(ngx_event_t *ev);
static ngx_uint_t ngx_http_waha_pg_pool_missing(ngx_http_waha_pg_pool_t *pool);
static void ngx_http_waha_pg_pool_connect(ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_pool_back_off(ngx_http_waha_pg_pool_t *pool,
    ngx_uint_t setup);
static void ngx_http_waha_pg_pool_choose_host(ngx_http_waha_pg_connection_t *c);
static ngx_uint_t ngx_http_waha_pg_pool_is_unneeded(
    ngx_http_waha_pg_pool_t *pool);
static void ngx_http_waha_pg_pool_drain(ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_pool_give_up(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t status);
static ngx_uint_t ngx_http_waha_pg_pool_serving(ngx_http_waha_pg_pool_t *pool);
static ngx_uint_t ngx_http_waha_pg_pool_connecting(
    ngx_http_waha_pg_pool_t *pool);
static ngx_uint_t ngx_http_waha_pg_pool_host_index(
    ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_pool_log_reason(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t level);


ngx_http_waha_pg_pool_t *
ngx_http_waha_pg_create(ngx_cycle_t *cycle, ngx_http_waha_pg_conf_t *conf)
{
    ngx_pool_t               *mem;
    ngx_http_waha_pg_pool_t  *pool;

    mem = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, cycle->log);
    if (mem == NULL) {
        return NULL;
    }

    pool = ngx_pcalloc(mem, sizeof(ngx_http_waha_pg_pool_t));
    if (pool == NULL) {
        ngx_destroy_pool(mem);
        return NULL;
    }

    pool->pool = mem;
    pool->log = cycle->log;
    pool->conf = conf;

    if (ngx_http_waha_pg_pool_init(pool) != NGX_OK) {
        ngx_destroy_pool(mem);
        return NULL;
    }

    ngx_http_waha_pg_pool_fill(pool);

    return pool;
}


static ngx_int_t
ngx_http_waha_pg_pool_init(ngx_http_waha_pg_pool_t *pool)
{
    ngx_uint_t  i, n;

    n = 2 * pool->conf->connections;

    pool->connections = ngx_pcalloc(pool->pool,
                                 n * sizeof(ngx_http_waha_pg_connection_t));
    if (pool->connections == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        pool->connections[i].pool = pool;
    }

    pool->nconnections = n;
    pool->count[NGX_HTTP_WAHA_PG_CLOSED] = n;

    pool->reasons = ngx_pcalloc(pool->pool, pool->conf->hosts.nelts
                                        * sizeof(ngx_http_waha_pg_reason_t));
    if (pool->reasons == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_init(&pool->idle);
    ngx_queue_init(&pool->waiting);
    ngx_queue_init(&pool->ended);

    pool->retry.handler = ngx_http_waha_pg_pool_retry_handler;
    pool->retry.data = pool;
    pool->retry.log = pool->log;
    pool->retry.cancelable = 1;

    pool->dispatch.handler = ngx_http_waha_pg_job_dispatch_handler;
    pool->dispatch.data = pool;
    pool->dispatch.log = pool->log;

    return NGX_OK;
}


void
ngx_http_waha_pg_destroy(ngx_http_waha_pg_pool_t *pool)
{
    ngx_uint_t                      i;
    ngx_http_waha_pg_connection_t  *c;

    ngx_http_waha_pg_job_forget_all(pool);

    for (i = 0; i < pool->nconnections; i++) {
        c = &pool->connections[i];

        if (c->state != NGX_HTTP_WAHA_PG_CLOSED) {
            ngx_http_waha_pg_connection_close(c);
        }
    }

    if (pool->retry.timer_set) {
        ngx_del_timer(&pool->retry);
    }

    if (pool->dispatch.posted) {
        ngx_delete_posted_event(&pool->dispatch);
    }

    ngx_destroy_pool(pool->pool);
}


static void
ngx_http_waha_pg_pool_retry_handler(ngx_event_t *ev)
{
    ngx_http_waha_pg_pool_fill(ev->data);
}


void
ngx_http_waha_pg_pool_fill(ngx_http_waha_pg_pool_t *pool)
{
    ngx_uint_t                      i, n;
    ngx_http_waha_pg_connection_t  *c;

    n = ngx_http_waha_pg_pool_missing(pool);

    for (i = 0; i < pool->nconnections && n > 0; i++) {
        c = &pool->connections[i];

        if (c->state != NGX_HTTP_WAHA_PG_CLOSED) {
            continue;
        }

        c->first = pool->host;
        c->tried = 0;
        c->setup = 0;

        ngx_http_waha_pg_pool_connect(c);

        if (pool->retry.timer_set) {
            return;
        }

        n--;
    }
}


/* how many connections are to be opened now */

static ngx_uint_t
ngx_http_waha_pg_pool_missing(ngx_http_waha_pg_pool_t *pool)
{
    ngx_uint_t  good, total, connecting;

    if (pool->retry.timer_set) {
        return 0;
    }

    total = pool->conf->connections;

    if (ngx_exiting) {
        total = ngx_queue_empty(&pool->waiting) ? 0 : 1;
    }

    good = ngx_http_waha_pg_pool_serving(pool);
    connecting = ngx_http_waha_pg_pool_connecting(pool);

    if (good + connecting >= total) {
        return 0;
    }

    /* one tries the way before the others follow */

    if (good == 0 || pool->failures) {
        return connecting ? 0 : 1;
    }

    return total - good - connecting;
}


static void
ngx_http_waha_pg_pool_connect(ngx_http_waha_pg_connection_t *c)
{
    ngx_uint_t                n;
    ngx_http_waha_pg_host_t  *hosts;
    ngx_http_waha_pg_pool_t  *pool;

    pool = c->pool;
    n = pool->conf->hosts.nelts;
    hosts = pool->conf->hosts.elts;

    while (c->tried < n) {
        c->host = &hosts[(c->first + c->tried) % n];

        if (ngx_http_waha_pg_connection_open(c) == NGX_OK) {
            return;
        }

        ngx_http_waha_pg_pool_log_reason(c, NGX_LOG_ERR);
        ngx_http_waha_pg_connection_close(c);

        c->tried++;
    }

    ngx_http_waha_pg_pool_back_off(pool, c->setup);
}


static void
ngx_http_waha_pg_pool_back_off(ngx_http_waha_pg_pool_t *pool, ngx_uint_t setup)
{
    ngx_msec_t  delay;

    delay = NGX_HTTP_WAHA_PG_BACKOFF_MAX;

    if (!setup && pool->failures < NGX_HTTP_WAHA_PG_BACKOFF_STEPS) {
        delay = NGX_HTTP_WAHA_PG_BACKOFF_MIN << pool->failures;
    }

    pool->failures++;
    pool->refused = (setup && ngx_http_waha_pg_pool_serving(pool) == 0);

    if (pool->refused) {
        ngx_http_waha_pg_job_refuse_all(pool);
    }

    /* workers, and machines, are not to come all at once */

    delay = delay / 2 + ngx_random() % (delay / 2);

    ngx_add_timer(&pool->retry, delay);
}


void
ngx_http_waha_pg_pool_ready(ngx_http_waha_pg_connection_t *c)
{
    ngx_http_waha_pg_pool_t  *pool;

    pool = c->pool;

    pool->failures = 0;
    pool->refused = 0;
    pool->reasons[ngx_http_waha_pg_pool_host_index(c)].len = 0;

    c->since = ngx_current_msec;

    if (pool->conf->notified) {
        pool->conf->notified(pool->conf->data);
    }

    if (!pool->serving) {
        pool->serving = 1;
        ngx_log_error(NGX_LOG_NOTICE, pool->log, 0,
                      "waha: database %s: connected", c->host->name);
    }

    if (c->job) {
        /* its statement had to be prepared again */
        ngx_http_waha_pg_connection_set_state(c, NGX_HTTP_WAHA_PG_RUNNING);
        ngx_http_waha_pg_job_send(c);

    } else {
        ngx_http_waha_pg_pool_choose_host(c);
        ngx_http_waha_pg_pool_rest(c);
    }

    ngx_http_waha_pg_pool_fill(pool);
}


/* all connections go to one server: another is not to stay behind */

static void
ngx_http_waha_pg_pool_choose_host(ngx_http_waha_pg_connection_t *c)
{
    ngx_uint_t                      i, host;
    ngx_http_waha_pg_pool_t        *pool;
    ngx_http_waha_pg_connection_t  *other;

    pool = c->pool;
    host = ngx_http_waha_pg_pool_host_index(c);

    if (pool->host == host) {
        return;
    }

    pool->host = host;

    for (i = 0; i < pool->nconnections; i++) {
        other = &pool->connections[i];

        if (other->host == c->host) {
            continue;
        }

        if (other->state == NGX_HTTP_WAHA_PG_IDLE
            || other->state == NGX_HTTP_WAHA_PG_DRAINING)
        {
            ngx_http_waha_pg_connection_close(other);
        }
    }
}


void
ngx_http_waha_pg_pool_rest(ngx_http_waha_pg_connection_t *c)
{
    ngx_uint_t                others;
    ngx_http_waha_pg_pool_t  *pool;

    pool = c->pool;

    if (c->timer.timer_set) {
        ngx_del_timer(&c->timer);
    }

    others = ngx_http_waha_pg_pool_serving(pool)
             - (c->state == NGX_HTTP_WAHA_PG_RUNNING);

    if (others >= pool->conf->connections
        || ngx_http_waha_pg_pool_host_index(c) != pool->host
        || ngx_http_waha_pg_pool_is_unneeded(pool))
    {
        ngx_http_waha_pg_connection_close(c);
        ngx_http_waha_pg_pool_fill(pool);
        return;
    }

    ngx_http_waha_pg_connection_set_state(c, NGX_HTTP_WAHA_PG_IDLE);

    if (!ngx_queue_empty(&pool->waiting)) {
        ngx_post_event(&pool->dispatch, &ngx_posted_events);
    }
}


void
ngx_http_waha_pg_pool_trim(ngx_http_waha_pg_pool_t *pool)
{
    ngx_queue_t  *q;

    if (!ngx_http_waha_pg_pool_is_unneeded(pool)) {
        return;
    }

    while (!ngx_queue_empty(&pool->idle)) {
        q = ngx_queue_head(&pool->idle);
        ngx_http_waha_pg_connection_close(ngx_queue_data(q,
                                      ngx_http_waha_pg_connection_t, queue));
    }
}


/* nginx quits, and no job waits nor has ended, which may submit another */

static ngx_uint_t
ngx_http_waha_pg_pool_is_unneeded(ngx_http_waha_pg_pool_t *pool)
{
    return ngx_exiting
           && ngx_queue_empty(&pool->waiting)
           && ngx_queue_empty(&pool->ended);
}


void
ngx_http_waha_pg_pool_failed(ngx_http_waha_pg_connection_t *c, ngx_uint_t class)
{
    ngx_http_waha_pg_pool_log_reason(c, class == NGX_HTTP_WAHA_PG_SETUP ?
                                     NGX_LOG_CRIT : NGX_LOG_ERR);

    ngx_http_waha_pg_pool_give_up(c, class);

    if (c->again) {
        ngx_http_waha_pg_pool_lost(c);
        return;
    }

    if (class == NGX_HTTP_WAHA_PG_SETUP) {
        c->setup = 1;
    }

    ngx_http_waha_pg_connection_close(c);

    if (ngx_exiting && ngx_queue_empty(&c->pool->waiting)) {
        return;
    }

    c->tried++;

    ngx_http_waha_pg_pool_connect(c);
}


void
ngx_http_waha_pg_pool_lost(ngx_http_waha_pg_connection_t *c)
{
    ngx_msec_t                age;
    ngx_http_waha_pg_pool_t  *pool;

    pool = c->pool;

    ngx_http_waha_pg_pool_log_reason(c, NGX_LOG_ERR);
    ngx_http_waha_pg_pool_give_up(c, NGX_HTTP_WAHA_PG_DOWN);
    ngx_http_waha_pg_connection_close(c);

    if (ngx_http_waha_pg_pool_serving(pool) == 0) {
        pool->serving = 0;
    }

    age = ngx_current_msec - c->since;

    if (age < NGX_HTTP_WAHA_PG_STABLE && !pool->retry.timer_set) {
        /* not to connect and be thrown out in a loop */
        ngx_http_waha_pg_pool_back_off(pool, 0);
    }

    ngx_http_waha_pg_pool_fill(pool);
}


void
ngx_http_waha_pg_pool_timeout(ngx_http_waha_pg_connection_t *c)
{
    switch (c->state) {

    case NGX_HTTP_WAHA_PG_RUNNING:
        ngx_http_waha_pg_pool_drain(c);
        break;

    case NGX_HTTP_WAHA_PG_DRAINING:
        ngx_http_waha_pg_error_set(&c->reason, "a statement was given up");
        ngx_http_waha_pg_pool_lost(c);
        break;

    default:
        ngx_http_waha_pg_error_set(&c->reason, c->again ?
                                   "no answer to a prepare in time"
                                   : "no answer to the connect in time");
        ngx_http_waha_pg_pool_failed(c, NGX_HTTP_WAHA_PG_DOWN);
    }
}


/*
 * the statement may be committing, or wait for a standby: it is left to
 * end, and counts as long, lest retries fill the server with its like
 */

static void
ngx_http_waha_pg_pool_drain(ngx_http_waha_pg_connection_t *c)
{
    ngx_http_waha_pg_pool_t  *pool;

    pool = c->pool;

    ngx_http_waha_pg_error_set(&c->reason, "no answer to a statement in time");
    ngx_http_waha_pg_pool_log_reason(c, NGX_LOG_ERR);

    ngx_http_waha_pg_pool_give_up(c, NGX_HTTP_WAHA_PG_DOWN);

    ngx_http_waha_pg_connection_set_state(c, NGX_HTTP_WAHA_PG_DRAINING);
    ngx_http_waha_pg_connection_set_timer(c, NGX_HTTP_WAHA_PG_DRAIN, 1);

    if (ngx_http_waha_pg_pool_serving(pool) == 0) {
        pool->serving = 0;
    }

    ngx_http_waha_pg_pool_fill(pool);
}


/* nginx quits: idle connections go at once, others at the very end */

void
ngx_http_waha_pg_pool_closing(ngx_http_waha_pg_connection_t *c)
{
    ngx_http_waha_pg_pool_give_up(c, NGX_HTTP_WAHA_PG_DOWN);
    ngx_http_waha_pg_connection_close(c);
}


static void
ngx_http_waha_pg_pool_give_up(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t status)
{
    PGresult                *res;
    ngx_http_waha_pg_job_t  *job;

    job = c->job;

    if (job == NULL) {
        return;
    }

    res = c->result;

    c->job = NULL;
    c->result = NULL;

    ngx_http_waha_pg_job_end(job, status, res);
}


/* connections that serve */

static ngx_uint_t
ngx_http_waha_pg_pool_serving(ngx_http_waha_pg_pool_t *pool)
{
    return pool->count[NGX_HTTP_WAHA_PG_IDLE]
           + pool->count[NGX_HTTP_WAHA_PG_RUNNING];
}


static ngx_uint_t
ngx_http_waha_pg_pool_connecting(ngx_http_waha_pg_pool_t *pool)
{
    return pool->count[NGX_HTTP_WAHA_PG_CONNECTING]
           + pool->count[NGX_HTTP_WAHA_PG_CHECKING]
           + pool->count[NGX_HTTP_WAHA_PG_PREPARING];
}


static ngx_uint_t
ngx_http_waha_pg_pool_host_index(ngx_http_waha_pg_connection_t *c)
{
    ngx_http_waha_pg_host_t  *hosts;

    hosts = c->pool->conf->hosts.elts;

    return c->host - hosts;
}


/* the same again and again is said once, until the host serves */

static void
ngx_http_waha_pg_pool_log_reason(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t level)
{
    ngx_http_waha_pg_reason_t  *last;

    last = &c->pool->reasons[ngx_http_waha_pg_pool_host_index(c)];

    if (c->reason.len == last->len
        && ngx_memcmp(c->reason.data, last->data, last->len) == 0)
    {
        return;
    }

    *last = c->reason;

    ngx_log_error(level, c->pool->log, 0, "waha: database %s: %*s",
                  c->host->name, c->reason.len, c->reason.data);
}
