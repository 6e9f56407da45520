
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_pg_pool.h>
#include <ngx_http_waha_pg_login.h>
#include <ngx_http_waha_pg_job.h>


/* milliseconds */

#define NGX_HTTP_WAHA_PG_BACKOFF_MIN    50
#define NGX_HTTP_WAHA_PG_BACKOFF_MAX    2000
#define NGX_HTTP_WAHA_PG_STABLE         1000
#define NGX_HTTP_WAHA_PG_DRAIN          600000
#define NGX_HTTP_WAHA_PG_NUDGE          20

/* times that the shortest delay is doubled */

#define NGX_HTTP_WAHA_PG_BACKOFF_STEPS  6


#define ngx_http_waha_pg_pool_serving(pool)                                  \
    ((pool)->counts[NGX_HTTP_WAHA_PG_IDLE]                                   \
     + (pool)->counts[NGX_HTTP_WAHA_PG_RUNNING])

#define ngx_http_waha_pg_pool_connecting(pool)                               \
    ((pool)->counts[NGX_HTTP_WAHA_PG_CONNECTING]                             \
     + (pool)->counts[NGX_HTTP_WAHA_PG_CHECKING]                             \
     + (pool)->counts[NGX_HTTP_WAHA_PG_PREPARING])


static ngx_int_t ngx_http_waha_pg_pool_init(ngx_http_waha_pg_pool_t *pool);
static void ngx_http_waha_pg_pool_interrupt(
    ngx_http_waha_pg_connection_t *c);
static ngx_int_t ngx_http_waha_pg_pool_prepare_interrupt(
    ngx_http_waha_pg_job_t *job);
static void ngx_http_waha_pg_pool_on_interrupted(ngx_http_waha_pg_job_t *job);
static void ngx_http_waha_pg_pool_nudge_handler(ngx_event_t *ev);
static void ngx_http_waha_pg_pool_dispatch_handler(ngx_event_t *ev);
static void ngx_http_waha_pg_pool_dispatch(ngx_http_waha_pg_pool_t *pool);
static void ngx_http_waha_pg_pool_refuse_jobs(ngx_http_waha_pg_pool_t *pool);
static void ngx_http_waha_pg_pool_retry_handler(ngx_event_t *ev);
static void ngx_http_waha_pg_pool_fill(ngx_http_waha_pg_pool_t *pool);
static void ngx_http_waha_pg_pool_on_looked_up(void *data);
static void ngx_http_waha_pg_pool_forget(ngx_http_waha_pg_pool_t *pool);
static void ngx_http_waha_pg_pool_open(ngx_http_waha_pg_pool_t *pool);
static ngx_uint_t ngx_http_waha_pg_pool_missing(ngx_http_waha_pg_pool_t *pool);
static void ngx_http_waha_pg_pool_connect(ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_pool_back_off(ngx_http_waha_pg_pool_t *pool,
    ngx_uint_t setup);
static void ngx_http_waha_pg_pool_on_ready(ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_pool_set_address(
    ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_pool_release(ngx_http_waha_pg_connection_t *c);
static ngx_uint_t ngx_http_waha_pg_pool_is_finished(
    ngx_http_waha_pg_pool_t *pool);
static void ngx_http_waha_pg_pool_on_failed(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t class);
static void ngx_http_waha_pg_pool_on_refused(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t class);
static void ngx_http_waha_pg_pool_on_lost(ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_pool_timeout_handler(ngx_event_t *ev);
static void ngx_http_waha_pg_pool_drain(ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_pool_on_quit(ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_pool_close(ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_pool_log_reason(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t level);


static const ngx_http_waha_pg_handlers_t  ngx_http_waha_pg_pool_handlers = {
    ngx_http_waha_pg_login_check,          /* connected */
    ngx_http_waha_pg_pool_on_ready,        /* ready */
    ngx_http_waha_pg_pool_release,         /* done */
    ngx_http_waha_pg_pool_on_failed,       /* failed */
    ngx_http_waha_pg_pool_on_quit          /* quit */
};


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
        ngx_http_waha_pg_address_close(&pool->addresses);
        ngx_destroy_pool(mem);
        return NULL;
    }

    ngx_http_waha_pg_pool_fill(pool);

    return pool;
}


static ngx_int_t
ngx_http_waha_pg_pool_init(ngx_http_waha_pg_pool_t *pool)
{
    ngx_uint_t                      i, n;
    ngx_http_waha_pg_connection_t  *c;

    pool->addresses.conf = pool->conf;
    pool->addresses.log = pool->log;
    pool->addresses.handler = ngx_http_waha_pg_pool_on_looked_up;
    pool->addresses.data = pool;

    if (ngx_http_waha_pg_address_init(&pool->addresses, pool->pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = 2 * pool->conf->connections;

    c = ngx_pcalloc(pool->pool, n * sizeof(ngx_http_waha_pg_connection_t));
    if (c == NULL) {
        return NGX_ERROR;
    }

    pool->connections = c;
    pool->nconnections = n;
    pool->counts[NGX_HTTP_WAHA_PG_CLOSED] = n;

    for (i = 0; i < n; i++) {
        c[i].log = pool->log;
        c[i].conf = pool->conf;
        c[i].handlers = &ngx_http_waha_pg_pool_handlers;
        c[i].pool = pool;
        c[i].counts = pool->counts;

        c[i].timer.handler = ngx_http_waha_pg_pool_timeout_handler;
        c[i].timer.data = &c[i];
        c[i].timer.log = pool->log;

        c[i].nudge.handler = ngx_http_waha_pg_pool_nudge_handler;
        c[i].nudge.data = &c[i];
        c[i].nudge.log = pool->log;
        c[i].nudge.cancelable = 1;
    }

    ngx_queue_init(&pool->idle);
    ngx_queue_init(&pool->kept);
    ngx_queue_init(&pool->waiting);
    ngx_queue_init(&pool->ended);

    pool->retry.handler = ngx_http_waha_pg_pool_retry_handler;
    pool->retry.data = pool;
    pool->retry.log = pool->log;
    pool->retry.cancelable = 1;

    pool->dispatch.handler = ngx_http_waha_pg_pool_dispatch_handler;
    pool->dispatch.data = pool;
    pool->dispatch.log = pool->log;

    return NGX_OK;
}


void
ngx_http_waha_pg_destroy(ngx_http_waha_pg_pool_t *pool)
{
    ngx_uint_t                      i;
    ngx_queue_t                    *q;
    ngx_http_waha_pg_connection_t  *c;

    while (!ngx_queue_empty(&pool->waiting)) {
        q = ngx_queue_head(&pool->waiting);
        ngx_http_waha_pg_job_dequeue(ngx_queue_data(q, ngx_http_waha_pg_job_t,
                                                    queue));
    }

    while (!ngx_queue_empty(&pool->ended)) {
        q = ngx_queue_head(&pool->ended);
        ngx_http_waha_pg_cancel(ngx_queue_data(q, ngx_http_waha_pg_job_t,
                                               queue));
    }

    for (i = 0; i < pool->nconnections; i++) {
        c = &pool->connections[i];

        if (c->state != NGX_HTTP_WAHA_PG_CLOSED) {
            ngx_http_waha_pg_pool_close(c);
        }
    }

    if (pool->retry.timer_set) {
        ngx_del_timer(&pool->retry);
    }

    if (pool->dispatch.posted) {
        ngx_delete_posted_event(&pool->dispatch);
    }

    ngx_http_waha_pg_address_close(&pool->addresses);

    ngx_destroy_pool(pool->pool);
}


ngx_int_t
ngx_http_waha_pg_submit(ngx_http_waha_pg_pool_t *pool,
    ngx_http_waha_pg_job_t *job)
{
    if (pool->refused) {
        return NGX_ABORT;
    }

    if (ngx_queue_empty(&pool->idle)
        && pool->nwaiting >= pool->conf->queue)
    {
        return NGX_DECLINED;
    }

    ngx_http_waha_pg_job_enqueue(pool, job);

    ngx_http_waha_pg_pool_dispatch(pool);

    /* a worker that quits has closed its connections */
    ngx_http_waha_pg_pool_fill(pool);

    return NGX_OK;
}


/*
 * Another connection asks the server to end the statement, since libpq would
 * block.  Until it has its answer, the connection runs nothing else.
 */

void
ngx_http_waha_pg_interrupt(ngx_http_waha_pg_job_t *job)
{
    ngx_uint_t                      i;
    ngx_http_waha_pg_pool_t        *pool;
    ngx_http_waha_pg_connection_t  *c;

    pool = job->pool;

    for (i = 0; pool->connections[i].job != job; i++) {

        if (i == pool->nconnections - 1) {
            return;
        }
    }

    c = &pool->connections[i];

    c->unwanted = 1;

    ngx_http_waha_pg_pool_interrupt(c);
}


static void
ngx_http_waha_pg_pool_interrupt(ngx_http_waha_pg_connection_t *c)
{
    ngx_http_waha_pg_pool_t  *pool;

    pool = c->pool;

    if (c->state != NGX_HTTP_WAHA_PG_RUNNING
        || c->pooled
        || c->interrupted
        || c->address != pool->address)
    {
        return;
    }

    c->interrupted = 1;

    (void) ngx_sprintf(c->digits, "%d%Z", PQbackendPID(c->conn));
    c->pid = (const char *) c->digits;

    ngx_memzero(&c->interrupt, sizeof(ngx_http_waha_pg_job_t));

    c->interrupt.prepare = ngx_http_waha_pg_pool_prepare_interrupt;
    c->interrupt.statement = NGX_HTTP_WAHA_PG_INTERRUPT;
    c->interrupt.values = &c->pid;
    c->interrupt.deadline = ngx_current_msec + pool->conf->timeout;
    c->interrupt.handler = ngx_http_waha_pg_pool_on_interrupted;
    c->interrupt.data = c;
    c->interrupt.log = pool->log;

    ngx_http_waha_pg_job_enqueue(pool, &c->interrupt);

    /* before the others: it makes room for them */

    ngx_queue_remove(&c->interrupt.queue);
    ngx_queue_insert_head(&pool->waiting, &c->interrupt.queue);

    /* posted: this may be the end of a request */

    ngx_post_event(&pool->dispatch, &ngx_posted_events);
}


static ngx_int_t
ngx_http_waha_pg_pool_prepare_interrupt(ngx_http_waha_pg_job_t *job)
{
    return NGX_OK;
}


static void
ngx_http_waha_pg_pool_on_interrupted(ngx_http_waha_pg_job_t *job)
{
    ngx_http_waha_pg_pool_t        *pool;
    ngx_http_waha_pg_connection_t  *c;

    c = job->data;
    pool = c->pool;

    c->interrupted = 0;

    if (c->unwanted && c->state == NGX_HTTP_WAHA_PG_RUNNING) {
        /* the statement had not begun, or takes a while to end */
        ngx_add_timer(&c->nudge, NGX_HTTP_WAHA_PG_NUDGE);
        return;
    }

    if (!c->kept) {
        return;
    }

    c->kept = 0;

    ngx_queue_remove(&c->queue);
    ngx_queue_insert_head(&pool->idle, &c->queue);

    ngx_post_event(&pool->dispatch, &ngx_posted_events);
}


static void
ngx_http_waha_pg_pool_nudge_handler(ngx_event_t *ev)
{
    ngx_http_waha_pg_pool_interrupt(ev->data);
}


static void
ngx_http_waha_pg_pool_dispatch_handler(ngx_event_t *ev)
{
    ngx_http_waha_pg_pool_t *pool = ev->data;

    ngx_queue_t  *q;

    ngx_http_waha_pg_pool_dispatch(pool);

    if (!ngx_http_waha_pg_pool_is_finished(pool)) {
        return;
    }

    while (!ngx_queue_empty(&pool->idle)) {
        q = ngx_queue_head(&pool->idle);
        ngx_http_waha_pg_pool_close(ngx_queue_data(q,
                                       ngx_http_waha_pg_connection_t, queue));
    }
}


static void
ngx_http_waha_pg_pool_dispatch(ngx_http_waha_pg_pool_t *pool)
{
    ngx_queue_t                    *q;
    ngx_http_waha_pg_job_t         *job;
    ngx_http_waha_pg_connection_t  *c;

    while (!ngx_queue_empty(&pool->waiting)
           && !ngx_queue_empty(&pool->idle))
    {
        q = ngx_queue_head(&pool->idle);
        c = ngx_queue_data(q, ngx_http_waha_pg_connection_t, queue);

        if (ngx_http_waha_pg_connection_read_idle(c) != NGX_OK) {
            /* nothing was sent: the job keeps its place */
            ngx_http_waha_pg_pool_on_failed(c, NGX_HTTP_WAHA_PG_DOWN);
            continue;
        }

        q = ngx_queue_head(&pool->waiting);
        job = ngx_queue_data(q, ngx_http_waha_pg_job_t, queue);

        ngx_http_waha_pg_job_dequeue(job);

        if (ngx_http_waha_pg_job_prepare(job) != NGX_OK) {
            continue;
        }

        ngx_queue_remove(&c->queue);

        ngx_http_waha_pg_job_start(c, job);
    }
}


static void
ngx_http_waha_pg_pool_refuse_jobs(ngx_http_waha_pg_pool_t *pool)
{
    ngx_queue_t             *q;
    ngx_http_waha_pg_job_t  *job;

    while (!ngx_queue_empty(&pool->waiting)) {
        q = ngx_queue_head(&pool->waiting);
        job = ngx_queue_data(q, ngx_http_waha_pg_job_t, queue);

        ngx_http_waha_pg_job_dequeue(job);
        ngx_http_waha_pg_job_end(job, NGX_HTTP_WAHA_PG_SETUP, NULL);
    }
}


static void
ngx_http_waha_pg_pool_retry_handler(ngx_event_t *ev)
{
    ngx_http_waha_pg_pool_fill(ev->data);
}


/* opens the connections that are missing, unless it is too early to retry */

static void
ngx_http_waha_pg_pool_fill(ngx_http_waha_pg_pool_t *pool)
{
    if (pool->addresses.running
        || ngx_http_waha_pg_pool_missing(pool) == 0)
    {
        return;
    }

    if (ngx_http_waha_pg_pool_connecting(pool)) {
        /* addresses must not change while a connection tries them in turn */
        ngx_http_waha_pg_pool_open(pool);
        return;
    }

    if (ngx_http_waha_pg_address_look_up(&pool->addresses) == NGX_OK) {
        ngx_http_waha_pg_pool_on_looked_up(pool);
    }
}


static void
ngx_http_waha_pg_pool_on_looked_up(void *data)
{
    ngx_http_waha_pg_pool_t *pool = data;

    ngx_http_waha_pg_pool_forget(pool);
    ngx_http_waha_pg_pool_open(pool);
}


/* frees the former addresses that no connection goes to */

static void
ngx_http_waha_pg_pool_forget(ngx_http_waha_pg_pool_t *pool)
{
    ngx_uint_t                   i;
    ngx_queue_t                 *q, *next;
    ngx_http_waha_pg_address_t  *address;

    for (q = ngx_queue_head(&pool->addresses.former);
         q != ngx_queue_sentinel(&pool->addresses.former);
         q = next)
    {
        next = ngx_queue_next(q);
        address = ngx_queue_data(q, ngx_http_waha_pg_address_t, queue);

        if (address == pool->address) {
            continue;
        }

        for (i = 0; i < pool->nconnections; i++) {
            if (pool->connections[i].state != NGX_HTTP_WAHA_PG_CLOSED
                && pool->connections[i].address == address)
            {
                break;
            }
        }

        if (i == pool->nconnections) {
            ngx_http_waha_pg_address_free(address);
        }
    }
}


static void
ngx_http_waha_pg_pool_open(ngx_http_waha_pg_pool_t *pool)
{
    ngx_uint_t                      i, n;
    ngx_http_waha_pg_connection_t  *c;

    n = ngx_http_waha_pg_pool_missing(pool);

    for (i = 0; i < pool->nconnections && n > 0; i++) {
        c = &pool->connections[i];

        if (c->state != NGX_HTTP_WAHA_PG_CLOSED) {
            continue;
        }

        c->tried = 0;
        c->setup = 0;

        ngx_http_waha_pg_pool_connect(c);

        if (pool->retry.timer_set) {
            return;
        }

        n--;
    }
}


static ngx_uint_t
ngx_http_waha_pg_pool_missing(ngx_http_waha_pg_pool_t *pool)
{
    ngx_uint_t  total, serving, connecting;

    if (pool->retry.timer_set) {
        return 0;
    }

    total = pool->conf->connections;

    if (ngx_exiting) {
        total = ngx_queue_empty(&pool->waiting) ? 0 : 1;
    }

    serving = ngx_http_waha_pg_pool_serving(pool);
    connecting = ngx_http_waha_pg_pool_connecting(pool);

    if (serving + connecting >= total) {
        return 0;
    }

    /* after a failure one connection is tried before the others follow */

    if (serving == 0 || pool->failures) {
        return connecting ? 0 : 1;
    }

    return total - serving - connecting;
}


/* tries the addresses in turn, those that were tried already left out */

static void
ngx_http_waha_pg_pool_connect(ngx_http_waha_pg_connection_t *c)
{
    ngx_http_waha_pg_pool_t  *pool;

    pool = c->pool;

    while (c->tried < pool->addresses.n) {

        if (c->tried == 0 && pool->address && !pool->address->former) {
            c->address = pool->address;

        } else {
            c->address = ngx_http_waha_pg_address_next(&pool->addresses,
                                               c->tried ? c->address : NULL);
        }

        if (ngx_http_waha_pg_connection_open(c) == NGX_OK) {
            c->timer.cancelable = 1;
            ngx_add_timer(&c->timer, c->conf->connect_timeout);
            return;
        }

        ngx_http_waha_pg_pool_log_reason(c, NGX_LOG_ERR);
        ngx_http_waha_pg_pool_close(c);

        c->tried++;
    }

    ngx_http_waha_pg_pool_back_off(pool, c->setup);
}


static void
ngx_http_waha_pg_pool_back_off(ngx_http_waha_pg_pool_t *pool,
    ngx_uint_t setup)
{
    ngx_msec_t  delay;

    delay = NGX_HTTP_WAHA_PG_BACKOFF_MAX;

    if (!setup && pool->failures < NGX_HTTP_WAHA_PG_BACKOFF_STEPS) {
        delay = NGX_HTTP_WAHA_PG_BACKOFF_MIN << pool->failures;
    }

    pool->failures++;
    pool->refused = (setup && ngx_http_waha_pg_pool_serving(pool) == 0);

    if (pool->refused) {
        ngx_http_waha_pg_pool_refuse_jobs(pool);
    }

    /* random, lest all workers and machines connect at the same time */

    delay = delay / 2 + ngx_random() % (delay / 2);

    ngx_add_timer(&pool->retry, delay);
}


static void
ngx_http_waha_pg_pool_on_ready(ngx_http_waha_pg_connection_t *c)
{
    ngx_http_waha_pg_pool_t  *pool;

    pool = c->pool;

    pool->failures = 0;
    pool->refused = 0;
    c->address->reason.len = 0;

    c->since = ngx_current_msec;

    if (pool->conf->notified) {
        pool->conf->notified(pool->conf->data, NULL);
    }

    if (!pool->serving) {
        pool->serving = 1;
        ngx_log_error(NGX_LOG_NOTICE, pool->log, 0,
                      "waha: database %s: connected%s", c->address->name,
                      c->pooled ? " through a pooler" : "");
    }

    if (c->job) {
        /* its statement was prepared again */
        ngx_http_waha_pg_job_send(c);

    } else {
        ngx_http_waha_pg_pool_set_address(c);
        ngx_http_waha_pg_pool_release(c);
    }

    ngx_http_waha_pg_pool_fill(pool);
}


/* all connections go to one server: those to another one are closed */

static void
ngx_http_waha_pg_pool_set_address(ngx_http_waha_pg_connection_t *c)
{
    ngx_uint_t                      i;
    ngx_http_waha_pg_pool_t        *pool;
    ngx_http_waha_pg_connection_t  *other;

    pool = c->pool;

    if (pool->address == c->address) {
        return;
    }

    pool->address = c->address;

    for (i = 0; i < pool->nconnections; i++) {
        other = &pool->connections[i];

        if (other->address == c->address) {
            continue;
        }

        if (other->state == NGX_HTTP_WAHA_PG_IDLE
            || other->state == NGX_HTTP_WAHA_PG_DRAINING)
        {
            ngx_http_waha_pg_pool_close(other);
        }
    }
}


/* the connection is free: it becomes idle, or is closed if not needed */

static void
ngx_http_waha_pg_pool_release(ngx_http_waha_pg_connection_t *c)
{
    ngx_uint_t                others;
    ngx_http_waha_pg_pool_t  *pool;

    pool = c->pool;

    if (c->timer.timer_set) {
        ngx_del_timer(&c->timer);
    }

    if (c->nudge.timer_set) {
        ngx_del_timer(&c->nudge);
    }

    others = ngx_http_waha_pg_pool_serving(pool)
             - (c->state == NGX_HTTP_WAHA_PG_RUNNING);

    if (others >= pool->conf->connections
        || c->address != pool->address
        || ngx_http_waha_pg_pool_is_finished(pool))
    {
        ngx_http_waha_pg_pool_close(c);
        ngx_http_waha_pg_pool_fill(pool);
        return;
    }

    ngx_http_waha_pg_connection_set_state(c, NGX_HTTP_WAHA_PG_IDLE);

    if (c->interrupted && c->interrupt.event.timer_set) {
        /* it waits for a connection, and is not needed any more */

        ngx_http_waha_pg_job_dequeue(&c->interrupt);
        c->interrupted = 0;
    }

    if (c->interrupted) {
        c->kept = 1;
        ngx_queue_insert_head(&pool->kept, &c->queue);
        return;
    }

    /* the last used is the first to be used: its backend is warm */
    ngx_queue_insert_head(&pool->idle, &c->queue);

    if (!ngx_queue_empty(&pool->waiting)) {
        ngx_post_event(&pool->dispatch, &ngx_posted_events);
    }
}


/*
 * nginx quits and no job waits; one that has ended may submit another in
 * its handler
 */

static ngx_uint_t
ngx_http_waha_pg_pool_is_finished(ngx_http_waha_pg_pool_t *pool)
{
    return ngx_exiting
           && ngx_queue_empty(&pool->waiting)
           && ngx_queue_empty(&pool->ended);
}


static void
ngx_http_waha_pg_pool_on_failed(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t class)
{
    ngx_uint_t  level;

    if (class == NGX_HTTP_WAHA_PG_SETUP) {
        level = NGX_LOG_CRIT;

    } else if (c->state == NGX_HTTP_WAHA_PG_IDLE) {
        /* servers end idle connections for many reasons: nothing is lost */
        level = NGX_LOG_NOTICE;

    } else {
        level = NGX_LOG_ERR;
    }

    ngx_http_waha_pg_pool_log_reason(c, level);

    ngx_http_waha_pg_job_finish(c, class);

    if (c->state >= NGX_HTTP_WAHA_PG_IDLE || c->again) {
        ngx_http_waha_pg_pool_on_lost(c);

    } else {
        ngx_http_waha_pg_pool_on_refused(c, class);
    }
}


/* the login was not reached or has failed: the next address may be better */

static void
ngx_http_waha_pg_pool_on_refused(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t class)
{
    if (class == NGX_HTTP_WAHA_PG_SETUP) {
        c->setup = 1;
    }

    ngx_http_waha_pg_pool_close(c);

    if (ngx_exiting && ngx_queue_empty(&c->pool->waiting)) {
        return;
    }

    c->tried++;

    ngx_http_waha_pg_pool_connect(c);
}


static void
ngx_http_waha_pg_pool_on_lost(ngx_http_waha_pg_connection_t *c)
{
    ngx_msec_t                age;
    ngx_http_waha_pg_pool_t  *pool;

    pool = c->pool;

    ngx_http_waha_pg_pool_close(c);

    if (ngx_http_waha_pg_pool_serving(pool) == 0) {
        pool->serving = 0;
    }

    age = ngx_current_msec - c->since;

    if (age < NGX_HTTP_WAHA_PG_STABLE && !pool->retry.timer_set) {
        /* not to connect in a loop to a server that ends each connection */
        ngx_http_waha_pg_pool_back_off(pool, 0);
    }

    ngx_http_waha_pg_pool_fill(pool);
}


static void
ngx_http_waha_pg_pool_timeout_handler(ngx_event_t *ev)
{
    ngx_http_waha_pg_connection_t *c = ev->data;

    switch (c->state) {

    case NGX_HTTP_WAHA_PG_RUNNING:
        ngx_http_waha_pg_pool_drain(c);
        return;

    case NGX_HTTP_WAHA_PG_DRAINING:
        ngx_http_waha_pg_error_set(&c->reason, "a statement was given up");
        break;

    default:
        ngx_http_waha_pg_error_set(&c->reason, c->again ?
                                   "no answer to a prepare in time"
                                   : "no answer to the connect in time");
    }

    ngx_http_waha_pg_pool_on_failed(c, NGX_HTTP_WAHA_PG_DOWN);
}


/*
 * the statement may be committing, or wait for a standby, and is left to end;
 * its connection keeps a place of the pool, so that the repetitions of such
 * statements cannot take all connections of the server
 */

static void
ngx_http_waha_pg_pool_drain(ngx_http_waha_pg_connection_t *c)
{
    ngx_http_waha_pg_pool_t  *pool;

    pool = c->pool;

    ngx_http_waha_pg_error_set(&c->reason, "no answer to a statement in time");
    ngx_http_waha_pg_pool_log_reason(c, NGX_LOG_ERR);

    ngx_http_waha_pg_job_finish(c, NGX_HTTP_WAHA_PG_DOWN);

    ngx_http_waha_pg_connection_set_state(c, NGX_HTTP_WAHA_PG_DRAINING);

    c->timer.cancelable = 1;
    ngx_add_timer(&c->timer, NGX_HTTP_WAHA_PG_DRAIN);

    if (ngx_http_waha_pg_pool_serving(pool) == 0) {
        pool->serving = 0;
    }

    ngx_http_waha_pg_pool_fill(pool);
}


static void
ngx_http_waha_pg_pool_on_quit(ngx_http_waha_pg_connection_t *c)
{
    ngx_http_waha_pg_job_finish(c, NGX_HTTP_WAHA_PG_DOWN);
    ngx_http_waha_pg_pool_close(c);
}


static void
ngx_http_waha_pg_pool_close(ngx_http_waha_pg_connection_t *c)
{
    if (c->state == NGX_HTTP_WAHA_PG_IDLE) {
        ngx_queue_remove(&c->queue);
        c->kept = 0;
    }

    if (c->timer.timer_set) {
        ngx_del_timer(&c->timer);
    }

    if (c->nudge.timer_set) {
        ngx_del_timer(&c->nudge);
    }

    ngx_http_waha_pg_connection_close(c);
}


/* a reason is not repeated until the server has served or has another one */

static void
ngx_http_waha_pg_pool_log_reason(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t level)
{
    ngx_http_waha_pg_reason_t  *last;

    last = &c->address->reason;

    if (c->reason.len == last->len
        && ngx_memcmp(c->reason.data, last->data, last->len) == 0)
    {
        return;
    }

    *last = c->reason;

    ngx_log_error(level, c->log, 0, "waha: database %s: %*s",
                  c->address->name, c->reason.len, c->reason.data);
}
