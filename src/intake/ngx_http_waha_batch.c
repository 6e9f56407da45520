
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_batch.h>


static void ngx_http_waha_batch_set_running(ngx_http_waha_batch_t *batch);
static ngx_int_t ngx_http_waha_batch_prepare(ngx_http_waha_pg_job_t *job);
static ngx_int_t ngx_http_waha_batch_raw(ngx_http_waha_batch_t *batch,
    ngx_str_t *raw);


const ngx_http_waha_batch_function_t  ngx_http_waha_batch_functions[] = {
    [NGX_HTTP_WAHA_BATCH_ONE] =
        { "ingest", NGX_HTTP_WAHA_INGEST_VALUES },
    [NGX_HTTP_WAHA_BATCH_TOGETHER] =
        { "ingest_batch", NGX_HTTP_WAHA_INGEST_ARRAYS },
    [NGX_HTTP_WAHA_BATCH_EACH] =
        { "ingest_each", NGX_HTTP_WAHA_INGEST_ARRAYS },
    [NGX_HTTP_WAHA_BATCH_QUARANTINE] =
        { "quarantine", NGX_HTTP_WAHA_INGEST_ASIDE },
    [NGX_HTTP_WAHA_BATCH_TIMEOUT] =
        { "count_timeout", NGX_HTTP_WAHA_INGEST_HASH }
};


ngx_http_waha_batch_t *
ngx_http_waha_batch_create(ngx_http_waha_ingest_t *ingest,
    ngx_http_waha_batch_variant_e variant)
{
    ngx_pool_t             *pool;
    ngx_http_waha_batch_t  *batch;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE / 4, ingest->log);
    if (pool == NULL) {
        return NULL;
    }

    batch = ngx_pcalloc(pool, sizeof(ngx_http_waha_batch_t));
    if (batch == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    ngx_queue_init(&batch->entries);

    batch->ingest = ingest;
    batch->pool = pool;
    batch->variant = variant;

    batch->job.deadline = ngx_current_msec + ingest->timeout;
    batch->job.prepare = ngx_http_waha_batch_prepare;
    batch->job.handler = ingest->handler;
    batch->job.data = batch;
    batch->job.log = ingest->log;

    return batch;
}


void
ngx_http_waha_batch_destroy(ngx_http_waha_batch_t *batch)
{
    if (batch->ingest->open == batch) {
        batch->ingest->open = NULL;
    }

    if (batch->pending) {
        ngx_queue_remove(&batch->queue);
    }

    ngx_destroy_pool(batch->pool);
}


void
ngx_http_waha_batch_wait(ngx_http_waha_batch_t *batch)
{
    batch->counted = 1;
    batch->pending = 1;

    ngx_queue_insert_tail(&batch->ingest->pending, &batch->queue);
}


static void
ngx_http_waha_batch_set_running(ngx_http_waha_batch_t *batch)
{
    batch->running = 1;
    batch->start = ngx_current_msec;

    ngx_queue_insert_tail(&batch->ingest->running, &batch->queue);
    batch->ingest->nrunning++;
}


void
ngx_http_waha_batch_set_late(ngx_http_waha_batch_t *batch)
{
    batch->late = 1;

    ngx_queue_remove(&batch->queue);
    batch->ingest->nlate++;
}


void
ngx_http_waha_batch_set_ended(ngx_http_waha_batch_t *batch)
{
    if (batch->running) {
        batch->ingest->nrunning--;

        if (batch->late) {
            batch->ingest->nlate--;

        } else {
            ngx_queue_remove(&batch->queue);
        }
    }

    batch->counted = 0;
    batch->running = 0;
    batch->late = 0;
}


void
ngx_http_waha_batch_join(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry)
{
    ngx_queue_insert_tail(&batch->entries, &entry->queue);
    batch->nentries++;
    batch->size += entry->size;
    batch->ingest->size += entry->size;
    batch->ingest->waiting++;

    entry->batch = batch;
    entry->share = ngx_http_waha_share_take(&batch->ingest->shares,
                                        ngx_http_waha_batch_session(entry));
}


void
ngx_http_waha_batch_leave(ngx_http_waha_entry_t *entry)
{
    ngx_http_waha_batch_t  *batch;

    batch = entry->batch;

    ngx_queue_remove(&entry->queue);
    batch->nentries--;
    batch->size -= entry->size;
    batch->ingest->size -= entry->size;
    entry->batch = NULL;

    if (batch->sent) {
        batch->sent[entry->position] = NULL;
    }

    if (batch->left) {
        return;
    }

    batch->ingest->waiting--;

    ngx_http_waha_share_give(&batch->ingest->shares, entry->share);
    entry->share = NULL;

    if (batch->nentries == 0) {

        if (batch->submitted) {
            ngx_http_waha_pg_cancel(&batch->job);
        }

        ngx_http_waha_batch_destroy(batch);
    }
}


void
ngx_http_waha_batch_set_waiting(ngx_http_waha_batch_t *batch)
{
    ngx_queue_t            *q;
    ngx_http_waha_entry_t  *entry;

    batch->left = 0;
    batch->ingest->waiting += batch->nentries;

    for (q = ngx_queue_head(&batch->entries);
         q != ngx_queue_sentinel(&batch->entries);
         q = ngx_queue_next(q))
    {
        entry = ngx_queue_data(q, ngx_http_waha_entry_t, queue);

        entry->share = ngx_http_waha_share_take(&batch->ingest->shares,
                                        ngx_http_waha_batch_session(entry));
    }
}


void
ngx_http_waha_batch_set_left(ngx_http_waha_batch_t *batch)
{
    ngx_queue_t            *q;
    ngx_http_waha_entry_t  *entry;

    batch->left = 1;
    batch->ingest->waiting -= batch->nentries;

    for (q = ngx_queue_head(&batch->entries);
         q != ngx_queue_sentinel(&batch->entries);
         q = ngx_queue_next(q))
    {
        entry = ngx_queue_data(q, ngx_http_waha_entry_t, queue);

        ngx_http_waha_share_give(&batch->ingest->shares, entry->share);
        entry->share = NULL;
    }
}


/* what could not be read is of no session */

ngx_str_t *
ngx_http_waha_batch_session(ngx_http_waha_entry_t *entry)
{
    static ngx_str_t  none = ngx_string("");

    return entry->event->session.data ? &entry->event->session : &none;
}


ngx_int_t
ngx_http_waha_batch_submit(ngx_http_waha_batch_t *batch)
{
    ngx_int_t  rc;

    if (batch->pending) {
        ngx_queue_remove(&batch->queue);
        batch->pending = 0;
    }

    /* may call prepare() at once */

    rc = ngx_http_waha_pg_submit(batch->ingest->pool, &batch->job);

    if (rc == NGX_OK) {
        batch->submitted = 1;
        return NGX_OK;
    }

    if (batch->counted) {
        ngx_queue_insert_head(&batch->ingest->pending, &batch->queue);
        batch->pending = 1;
    }

    return rc;
}


static ngx_int_t
ngx_http_waha_batch_prepare(ngx_http_waha_pg_job_t *job)
{
    ngx_str_t                raw;
    ngx_uint_t               i;
    ngx_queue_t             *q;
    ngx_http_waha_batch_t   *batch;
    ngx_http_waha_entry_t   *entry;
    ngx_http_waha_event_t  **events;
    ngx_http_waha_ingest_t  *ingest;

    batch = job->data;
    ingest = batch->ingest;

    if (ingest->open == batch) {
        ingest->open = NULL;
    }

    ngx_http_waha_batch_set_left(batch);

    job->timed = 0;

    if (batch->counted) {
        ngx_http_waha_batch_set_running(batch);
        job->timed = ngx_http_waha_cap_is_due(&ingest->cap);
    }

    batch->sent = ngx_palloc(batch->pool,
                             batch->nentries * sizeof(ngx_http_waha_entry_t *));
    events = ngx_palloc(batch->pool,
                        batch->nentries * sizeof(ngx_http_waha_event_t *));

    if (batch->sent == NULL || events == NULL) {
        return NGX_ERROR;
    }

    i = 0;

    for (q = ngx_queue_head(&batch->entries);
         q != ngx_queue_sentinel(&batch->entries);
         q = ngx_queue_next(q))
    {
        entry = ngx_queue_data(q, ngx_http_waha_entry_t, queue);
        entry->position = i;
        events[i] = entry->event;
        batch->sent[i++] = entry;
    }

    batch->nsent = i;

    if (batch->variant == NGX_HTTP_WAHA_BATCH_ONE && i > 1) {
        batch->variant = NGX_HTTP_WAHA_BATCH_TOGETHER;
    }

    job->statement = batch->variant;

    switch (ngx_http_waha_batch_functions[batch->variant].form) {

    case NGX_HTTP_WAHA_INGEST_VALUES:
        return ngx_http_waha_ingest_params_values(job, batch->pool, events[0]);

    case NGX_HTTP_WAHA_INGEST_ASIDE:

        if (ngx_http_waha_batch_raw(batch, &batch->aside.raw) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_waha_ingest_params_aside(job, batch->pool, events[0],
                                                 &batch->aside);

    case NGX_HTTP_WAHA_INGEST_HASH:

        if (ngx_http_waha_batch_raw(batch, &raw) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_waha_ingest_params_hash(job, batch->pool, events[0],
                                                &raw);

    default: /* NGX_HTTP_WAHA_INGEST_ARRAYS */
        return ngx_http_waha_ingest_params_arrays(job, batch->pool, events, i);
    }
}


/* what is kept of the only entry of a batch */

static ngx_int_t
ngx_http_waha_batch_raw(ngx_http_waha_batch_t *batch, ngx_str_t *raw)
{
    ngx_http_waha_entry_t  *entry;

    entry = batch->sent[0];

    if (entry->make_raw) {
        return entry->make_raw(batch->pool, entry->event, raw);
    }

    *raw = entry->raw;

    return NGX_OK;
}
