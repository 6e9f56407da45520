
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_batch.h>
#include <ngx_http_waha_outcome.h>


/* the most records and bytes of a batch, unless one delivery has more */

#define NGX_HTTP_WAHA_INGEST_BATCH   128
#define NGX_HTTP_WAHA_INGEST_SIZE    1048576

/* the most bytes of all deliveries, unless one has more: they stay in memory */

#define NGX_HTTP_WAHA_INGEST_BYTES   33554432

/* the part of its time after which a batch has to be waiting for something */

#define NGX_HTTP_WAHA_INGEST_LATE    20


static ngx_uint_t ngx_http_waha_ingest_is_full(ngx_http_waha_ingest_t *ingest,
    ngx_queue_t *entries);
static ngx_http_waha_batch_t *ngx_http_waha_ingest_open(
    ngx_http_waha_ingest_t *ingest, ngx_queue_t *entries);
static ngx_uint_t ngx_http_waha_ingest_fits(ngx_http_waha_batch_t *batch,
    ngx_queue_t *entries);
static ngx_int_t ngx_http_waha_ingest_send(ngx_http_waha_ingest_t *ingest);
static void ngx_http_waha_ingest_set_timer(ngx_http_waha_ingest_t *ingest);
static void ngx_http_waha_ingest_timer_handler(ngx_event_t *ev);
static void ngx_http_waha_ingest_fail_pending(ngx_http_waha_ingest_t *ingest);
static void ngx_http_waha_ingest_done(ngx_http_waha_pg_job_t *job);


ngx_int_t
ngx_http_waha_ingest_statements(ngx_conf_t *cf, ngx_http_waha_pg_conf_t *conf)
{
    ngx_uint_t                     i;
    ngx_http_waha_pg_statement_t  *statements;

    statements = ngx_palloc(cf->pool, NGX_HTTP_WAHA_BATCH_VARIANTS
                                     * sizeof(ngx_http_waha_pg_statement_t));
    if (statements == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_WAHA_BATCH_VARIANTS; i++) {

        if (ngx_http_waha_ingest_params_statement(cf->pool,
                                ngx_http_waha_batch_functions[i].function,
                                ngx_http_waha_batch_functions[i].form,
                                &statements[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    conf->statements = statements;
    conf->nstatements = NGX_HTTP_WAHA_BATCH_VARIANTS;

    return NGX_OK;
}


ngx_http_waha_ingest_t *
ngx_http_waha_ingest_create(ngx_cycle_t *cycle,
    ngx_http_waha_pg_pool_t *pool, ngx_http_waha_pg_conf_t *conf)
{
    ngx_http_waha_ingest_t  *ingest;

    ingest = ngx_pcalloc(cycle->pool, sizeof(ngx_http_waha_ingest_t));
    if (ingest == NULL) {
        return NULL;
    }

    ingest->pool = pool;
    ingest->log = cycle->log;
    ingest->timeout = conf->timeout;
    ingest->statement_timeout = conf->statement_timeout;
    ingest->max_waiting = conf->queue;
    ingest->handler = ngx_http_waha_ingest_done;

    /* half of the queue, so that one session does not keep out all others */

    ngx_http_waha_share_init(&ingest->shares, (conf->queue + 1) / 2);

    ngx_http_waha_cap_init(&ingest->cap, conf->connections);

    ngx_queue_init(&ingest->running);
    ngx_queue_init(&ingest->pending);

    ingest->patience = conf->timeout / NGX_HTTP_WAHA_INGEST_LATE;

    ingest->timer.handler = ngx_http_waha_ingest_timer_handler;
    ingest->timer.data = ingest;
    ingest->timer.log = cycle->log;
    ingest->timer.cancelable = 1;

    return ingest;
}


ngx_int_t
ngx_http_waha_ingest(ngx_http_waha_ingest_t *ingest, ngx_queue_t *entries)
{
    ngx_int_t               rc;
    ngx_uint_t              n;
    ngx_queue_t            *q;
    ngx_http_waha_batch_t  *batch;

    if (ngx_http_waha_ingest_is_full(ingest, entries)) {
        return NGX_DECLINED;
    }

    batch = ngx_http_waha_ingest_open(ingest, entries);
    if (batch == NULL) {
        return NGX_ERROR;
    }

    for (n = 0; !ngx_queue_empty(entries); n++) {
        q = ngx_queue_head(entries);
        ngx_queue_remove(q);

        ngx_http_waha_batch_join(batch,
                           ngx_queue_data(q, ngx_http_waha_entry_t, queue));
    }

    rc = ngx_http_waha_ingest_send(ingest);

    if (rc != NGX_OK) {
        /* what has waited before stays, since something is under way */

        while (n--) {
            q = ngx_queue_last(&batch->entries);

            ngx_http_waha_batch_leave(
                           ngx_queue_data(q, ngx_http_waha_entry_t, queue));
        }

        return rc;
    }

    if (batch->nentries >= NGX_HTTP_WAHA_INGEST_BATCH
        || batch->size >= NGX_HTTP_WAHA_INGEST_SIZE)
    {
        ingest->open = NULL;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_ingest_quarantine(ngx_http_waha_ingest_t *ingest,
    ngx_http_waha_entry_t *entry, ngx_str_t *reason)
{
    if (ingest->waiting >= ingest->max_waiting
        || ngx_http_waha_share_is_spent(&ingest->shares,
                                       ngx_http_waha_batch_session(entry)))
    {
        return NGX_DECLINED;
    }

    return ngx_http_waha_ingest_add_quarantine(ingest, entry, reason);
}


ngx_int_t
ngx_http_waha_ingest_add_quarantine(ngx_http_waha_ingest_t *ingest,
    ngx_http_waha_entry_t *entry, ngx_str_t *reason)
{
    ngx_int_t               rc;
    ngx_http_waha_batch_t  *batch;

    batch = ngx_http_waha_batch_create(ingest, NGX_HTTP_WAHA_BATCH_QUARANTINE);
    if (batch == NULL) {
        return NGX_ERROR;
    }

    batch->aside.reason = *reason;

    ngx_str_set(&entry->action, "quarantined");
    entry->code = *reason;

    ngx_http_waha_batch_join(batch, entry);

    rc = ngx_http_waha_batch_submit(batch);

    if (rc != NGX_OK) {
        ngx_http_waha_batch_leave(entry);
    }

    return rc;
}


void
ngx_http_waha_ingest_cancel(ngx_http_waha_entry_t *entry)
{
    if (entry->batch) {
        ngx_http_waha_batch_leave(entry);
    }
}


ngx_uint_t
ngx_http_waha_ingest_has_room(ngx_http_waha_ingest_t *ingest, size_t size)
{
    return ingest->size == 0
           || ingest->size + size <= NGX_HTTP_WAHA_INGEST_BYTES;
}


ngx_int_t
ngx_http_waha_ingest_hold(ngx_http_waha_ingest_t *ingest, size_t size)
{
    if (!ngx_http_waha_ingest_has_room(ingest, size)) {
        return NGX_DECLINED;
    }

    ingest->size += size;

    return NGX_OK;
}


void
ngx_http_waha_ingest_release(ngx_http_waha_ingest_t *ingest, size_t size)
{
    ingest->size -= size;
}


static ngx_uint_t
ngx_http_waha_ingest_is_full(ngx_http_waha_ingest_t *ingest,
    ngx_queue_t *entries)
{
    ngx_queue_t            *q;
    ngx_http_waha_entry_t  *entry;

    if (ingest->waiting >= ingest->max_waiting) {
        return 1;
    }

    for (q = ngx_queue_head(entries);
         q != ngx_queue_sentinel(entries);
         q = ngx_queue_next(q))
    {
        entry = ngx_queue_data(q, ngx_http_waha_entry_t, queue);

        if (ngx_http_waha_share_is_spent(&ingest->shares,
                                       ngx_http_waha_batch_session(entry)))
        {
            return 1;
        }
    }

    return 0;
}


/* the batch that new entries join: one with room for all, or a new one */

static ngx_http_waha_batch_t *
ngx_http_waha_ingest_open(ngx_http_waha_ingest_t *ingest,
    ngx_queue_t *entries)
{
    if (ingest->open
        && ngx_http_waha_ingest_fits(ingest->open, entries))
    {
        return ingest->open;
    }

    ingest->open = ngx_http_waha_batch_create(ingest, NGX_HTTP_WAHA_BATCH_ONE);

    if (ingest->open) {
        ngx_http_waha_batch_wait(ingest->open);
    }

    return ingest->open;
}


static ngx_uint_t
ngx_http_waha_ingest_fits(ngx_http_waha_batch_t *batch, ngx_queue_t *entries)
{
    size_t                  size;
    ngx_uint_t              n;
    ngx_queue_t            *q;
    ngx_http_waha_entry_t  *entry;

    n = 0;
    size = batch->size;

    for (q = ngx_queue_head(entries);
         q != ngx_queue_sentinel(entries);
         q = ngx_queue_next(q))
    {
        entry = ngx_queue_data(q, ngx_http_waha_entry_t, queue);

        n++;
        size += entry->size;
    }

    /* one alone may go beyond the size: it has to go with some batch */

    return n == 1
           || (batch->nentries + n <= NGX_HTTP_WAHA_INGEST_BATCH
               && size <= NGX_HTTP_WAHA_INGEST_SIZE);
}


/* sends what waits, as far as there are not enough batches under way */

static ngx_int_t
ngx_http_waha_ingest_send(ngx_http_waha_ingest_t *ingest)
{
    ngx_int_t     rc;
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&ingest->pending)
           && ingest->nrunning - ingest->nlate < ingest->cap.value)
    {
        q = ngx_queue_head(&ingest->pending);

        rc = ngx_http_waha_batch_submit(
                           ngx_queue_data(q, ngx_http_waha_batch_t, queue));

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (!ngx_queue_empty(&ingest->pending)) {
        ngx_http_waha_ingest_set_timer(ingest);
    }

    return NGX_OK;
}


static void
ngx_http_waha_ingest_set_timer(ngx_http_waha_ingest_t *ingest)
{
    ngx_queue_t            *q;
    ngx_msec_t              age;
    ngx_http_waha_batch_t  *oldest;

    if (ingest->timer.timer_set || ngx_queue_empty(&ingest->running)) {
        return;
    }

    q = ngx_queue_head(&ingest->running);
    oldest = ngx_queue_data(q, ngx_http_waha_batch_t, queue);

    age = ngx_current_msec - oldest->start;

    ngx_add_timer(&ingest->timer,
                  (age < ingest->patience) ? ingest->patience - age : 0);
}


/*
 * a batch that takes long waits, for a lock or a disk, and uses no processor:
 * others need not wait for its end while connections are idle
 */

static void
ngx_http_waha_ingest_timer_handler(ngx_event_t *ev)
{
    ngx_http_waha_ingest_t *ingest = ev->data;

    ngx_queue_t            *q;
    ngx_http_waha_batch_t  *batch;

    while (!ngx_queue_empty(&ingest->running)) {
        q = ngx_queue_head(&ingest->running);
        batch = ngx_queue_data(q, ngx_http_waha_batch_t, queue);

        if (ngx_current_msec - batch->start < ingest->patience) {
            break;
        }

        ngx_http_waha_batch_set_late(batch);
    }

    /* what cannot be sent waits for the end of those under way */

    (void) ngx_http_waha_ingest_send(ingest);
}


static void
ngx_http_waha_ingest_fail_pending(ngx_http_waha_ingest_t *ingest)
{
    ngx_queue_t            *q;
    ngx_http_waha_batch_t  *batch;

    ingest->open = NULL;

    while (!ngx_queue_empty(&ingest->pending)) {
        q = ngx_queue_head(&ingest->pending);
        batch = ngx_queue_data(q, ngx_http_waha_batch_t, queue);

        ngx_queue_remove(q);
        batch->pending = 0;

        ngx_http_waha_batch_set_left(batch);
        ngx_http_waha_outcome_finish_all(batch, NGX_HTTP_WAHA_PG_DOWN);
        ngx_http_waha_batch_destroy(batch);
    }
}


static void
ngx_http_waha_ingest_done(ngx_http_waha_pg_job_t *job)
{
    ngx_uint_t               status;
    ngx_http_waha_batch_t   *batch;
    ngx_http_waha_ingest_t  *ingest;

    batch = job->data;
    ingest = batch->ingest;
    status = job->status;

    batch->submitted = 0;

    ngx_http_waha_batch_set_ended(batch);

    if (job->timed && status == NGX_HTTP_WAHA_PG_OK) {
        ngx_http_waha_cap_follow(&ingest->cap, job->execution, job->commit);
    }

    if (!batch->left) {
        /* the deadline passed before a connection was free */

        ngx_http_waha_batch_set_left(batch);

        if (ingest->open == batch) {
            ingest->open = NULL;
        }
    }

    /* the next batch runs while the results of this one are handled */

    if (ngx_http_waha_ingest_send(ingest) != NGX_OK && ingest->nrunning == 0) {
        ngx_http_waha_ingest_fail_pending(ingest);
    }

    if (status == NGX_HTTP_WAHA_PG_OK) {
        ngx_http_waha_outcome_read(batch);

        /* entries without a result are not known to be stored */
        status = NGX_HTTP_WAHA_PG_DOWN;

    } else if (ngx_http_waha_outcome_retry(batch) == NGX_OK) {
        return;
    }

    ngx_http_waha_outcome_finish_all(batch, status);
    ngx_http_waha_batch_destroy(batch);
}
