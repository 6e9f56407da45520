
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_ingest.h>
#include <ngx_http_waha_ingest_params.h>
#include <ngx_http_waha_string.h>


/* the most records and bytes of a batch, unless one delivery has more */

#define NGX_HTTP_WAHA_INGEST_BATCH   128
#define NGX_HTTP_WAHA_INGEST_SIZE    1048576

/*
 * while another batch is under way, the open batch waits until it has so many
 * records, or for so many milliseconds
 */

#define NGX_HTTP_WAHA_INGEST_ENOUGH  16
#define NGX_HTTP_WAHA_INGEST_LINGER  10

/* SQLSTATE of a statement that was ended, mostly by its time limit */

#define NGX_HTTP_WAHA_INGEST_ENDED   "57014"

/* how a batch is sent */

typedef enum {
    NGX_HTTP_WAHA_INGEST_ONE = 0,
    NGX_HTTP_WAHA_INGEST_TOGETHER,
    NGX_HTTP_WAHA_INGEST_EACH,
    NGX_HTTP_WAHA_INGEST_QUARANTINE,
    NGX_HTTP_WAHA_INGEST_TIMEOUT,
    NGX_HTTP_WAHA_INGEST_VARIANTS
} ngx_http_waha_ingest_variant_e;


typedef struct {
    const char                      *function;
    ngx_http_waha_ingest_form_e      form;
} ngx_http_waha_ingest_function_t;


struct ngx_http_waha_batch_s {
    ngx_http_waha_pg_job_t           job;
    ngx_http_waha_ingest_t          *ingest;
    ngx_pool_t                      *pool;

    ngx_http_waha_ingest_variant_e   variant;
    ngx_queue_t                      entries;
    ngx_uint_t                       nentries;
    size_t                           size;

    /* indexed by position; NULL: the entry was cancelled or is finished */
    ngx_http_waha_entry_t          **sent;
    ngx_uint_t                       nsent;

    /* of a quarantine */
    ngx_http_waha_ingest_aside_t     aside;

    unsigned                         submitted:1;
    unsigned                         retried:1;

    /* its entries no longer count as waiting */
    unsigned                         left:1;
};


struct ngx_http_waha_ingest_s {
    ngx_http_waha_pg_pool_t         *pool;
    ngx_log_t                       *log;
    ngx_msec_t                       timeout;
    ngx_msec_t                       statement_timeout;
    ngx_uint_t                       max_waiting;

    /* the batch that new entries join, and when it is sent at the latest */
    ngx_http_waha_batch_t           *open;
    ngx_event_t                      linger;
    ngx_uint_t                       waiting;
    ngx_uint_t                       inflight;

    ngx_http_waha_shares_t           shares;
};


static ngx_http_waha_batch_t *ngx_http_waha_ingest_create_batch(
    ngx_http_waha_ingest_t *ingest, ngx_http_waha_ingest_variant_e variant);
static void ngx_http_waha_ingest_destroy_batch(ngx_http_waha_batch_t *batch);
static void ngx_http_waha_ingest_join(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry);
static void ngx_http_waha_ingest_leave(ngx_http_waha_entry_t *entry);
static ngx_str_t *ngx_http_waha_ingest_session(ngx_http_waha_entry_t *entry);
static void ngx_http_waha_ingest_set_waiting(ngx_http_waha_batch_t *batch);
static void ngx_http_waha_ingest_set_left(ngx_http_waha_batch_t *batch);
static ngx_uint_t ngx_http_waha_ingest_is_full(ngx_http_waha_ingest_t *ingest,
    ngx_queue_t *entries);
static ngx_int_t ngx_http_waha_ingest_submit(ngx_http_waha_batch_t *batch);
static ngx_uint_t ngx_http_waha_ingest_is_enough(ngx_http_waha_batch_t *batch);
static void ngx_http_waha_ingest_linger_handler(ngx_event_t *ev);
static void ngx_http_waha_ingest_submit_open(ngx_http_waha_ingest_t *ingest);
static ngx_int_t ngx_http_waha_ingest_prepare(ngx_http_waha_pg_job_t *job);
static void ngx_http_waha_ingest_done(ngx_http_waha_pg_job_t *job);
static ngx_int_t ngx_http_waha_ingest_retry(ngx_http_waha_batch_t *batch);
static ngx_int_t ngx_http_waha_ingest_resubmit(ngx_http_waha_batch_t *batch);
static ngx_uint_t ngx_http_waha_ingest_is_worth_retry(
    ngx_http_waha_batch_t *batch);
static ngx_uint_t ngx_http_waha_ingest_has_timed_out(
    ngx_http_waha_batch_t *batch);
static ngx_uint_t ngx_http_waha_ingest_is_divisible(
    ngx_http_waha_batch_t *batch);
static void ngx_http_waha_ingest_divide(ngx_http_waha_batch_t *batch);
static void ngx_http_waha_ingest_count_timeout(ngx_http_waha_batch_t *batch);
static void ngx_http_waha_ingest_read_timeout(ngx_http_waha_batch_t *batch);
static void ngx_http_waha_ingest_read_results(ngx_http_waha_batch_t *batch);
static void ngx_http_waha_ingest_read_result(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry, int row);
static ngx_int_t ngx_http_waha_ingest_copy_result(ngx_http_waha_entry_t *entry,
    PGresult *result, int row);
static void ngx_http_waha_ingest_fail(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry, ngx_str_t *sqlstate);
static void ngx_http_waha_ingest_refuse(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry);
static void ngx_http_waha_ingest_set_aside(ngx_http_waha_batch_t *failed,
    ngx_http_waha_entry_t *entry, ngx_str_t *reason, ngx_str_t *sqlstate);
static void ngx_http_waha_ingest_finish(ngx_http_waha_entry_t *entry,
    ngx_uint_t status);
static void ngx_http_waha_ingest_finish_all(ngx_http_waha_batch_t *batch,
    ngx_uint_t status);


static const ngx_http_waha_ingest_function_t
    ngx_http_waha_ingest_functions[] =
{
    [NGX_HTTP_WAHA_INGEST_ONE] =
        { "ingest", NGX_HTTP_WAHA_INGEST_VALUES },
    [NGX_HTTP_WAHA_INGEST_TOGETHER] =
        { "ingest_batch", NGX_HTTP_WAHA_INGEST_ARRAYS },
    [NGX_HTTP_WAHA_INGEST_EACH] =
        { "ingest_each", NGX_HTTP_WAHA_INGEST_ARRAYS },
    [NGX_HTTP_WAHA_INGEST_QUARANTINE] =
        { "quarantine", NGX_HTTP_WAHA_INGEST_ASIDE },
    [NGX_HTTP_WAHA_INGEST_TIMEOUT] =
        { "count_timeout", NGX_HTTP_WAHA_INGEST_HASH }
};


/* the columns of a result row, after the position */

static const size_t  ngx_http_waha_ingest_fields[] = {
    offsetof(ngx_http_waha_entry_t, action),
    offsetof(ngx_http_waha_entry_t, organization),
    offsetof(ngx_http_waha_entry_t, tenant_id),
    offsetof(ngx_http_waha_entry_t, contact_id),
    offsetof(ngx_http_waha_entry_t, activity_id),
    offsetof(ngx_http_waha_entry_t, code)
};

#define NGX_HTTP_WAHA_INGEST_NFIELDS                                          \
    (int) (sizeof(ngx_http_waha_ingest_fields) / sizeof(size_t))


ngx_int_t
ngx_http_waha_ingest_statements(ngx_conf_t *cf, ngx_http_waha_pg_conf_t *conf)
{
    ngx_uint_t                     i;
    ngx_http_waha_pg_statement_t  *statements;

    statements = ngx_palloc(cf->pool, NGX_HTTP_WAHA_INGEST_VARIANTS
                                     * sizeof(ngx_http_waha_pg_statement_t));
    if (statements == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_WAHA_INGEST_VARIANTS; i++) {

        if (ngx_http_waha_ingest_params_statement(cf->pool,
                                ngx_http_waha_ingest_functions[i].function,
                                ngx_http_waha_ingest_functions[i].form,
                                &statements[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    conf->statements = statements;
    conf->nstatements = NGX_HTTP_WAHA_INGEST_VARIANTS;

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

    /* half of the queue, so that one session does not keep out all others */

    ngx_http_waha_share_init(&ingest->shares, (conf->queue + 1) / 2);

    ingest->linger.handler = ngx_http_waha_ingest_linger_handler;
    ingest->linger.data = ingest;
    ingest->linger.log = cycle->log;

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

    batch = ingest->open;

    if (batch == NULL) {
        batch = ngx_http_waha_ingest_create_batch(ingest,
                                                  NGX_HTTP_WAHA_INGEST_ONE);
        if (batch == NULL) {
            return NGX_ERROR;
        }

        ingest->open = batch;
    }

    for (n = 0; !ngx_queue_empty(entries); n++) {
        q = ngx_queue_head(entries);
        ngx_queue_remove(q);

        ngx_http_waha_ingest_join(batch,
                           ngx_queue_data(q, ngx_http_waha_entry_t, queue));
    }

    if (!batch->submitted && ngx_http_waha_ingest_is_enough(batch)) {
        rc = ngx_http_waha_ingest_submit(batch);

        if (rc != NGX_OK) {
            /* the other entries of the batch stay for the next submit */

            while (n--) {
                q = ngx_queue_last(&batch->entries);

                ngx_http_waha_ingest_leave(
                           ngx_queue_data(q, ngx_http_waha_entry_t, queue));
            }

            return rc;
        }
    }

    if (!batch->submitted && !ingest->linger.timer_set) {
        ngx_add_timer(&ingest->linger, NGX_HTTP_WAHA_INGEST_LINGER);
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
    ngx_int_t               rc;
    ngx_http_waha_batch_t  *batch;

    if (ingest->waiting >= ingest->max_waiting
        || ngx_http_waha_share_is_spent(&ingest->shares,
                                       ngx_http_waha_ingest_session(entry)))
    {
        return NGX_DECLINED;
    }

    batch = ngx_http_waha_ingest_create_batch(ingest,
                                      NGX_HTTP_WAHA_INGEST_QUARANTINE);
    if (batch == NULL) {
        return NGX_ERROR;
    }

    batch->aside.reason = *reason;

    ngx_str_set(&entry->action, "quarantined");
    entry->code = *reason;

    ngx_http_waha_ingest_join(batch, entry);

    rc = ngx_http_waha_ingest_submit(batch);

    if (rc != NGX_OK) {
        ngx_http_waha_ingest_leave(entry);
    }

    return rc;
}


void
ngx_http_waha_ingest_cancel(ngx_http_waha_entry_t *entry)
{
    if (entry->batch) {
        ngx_http_waha_ingest_leave(entry);
    }
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
                                       ngx_http_waha_ingest_session(entry)))
        {
            return 1;
        }
    }

    return 0;
}


/* whether a batch is to be sent now */

static ngx_uint_t
ngx_http_waha_ingest_is_enough(ngx_http_waha_batch_t *batch)
{
    return batch->ingest->inflight == 0
           || batch->nentries >= NGX_HTTP_WAHA_INGEST_ENOUGH
           || batch->size >= NGX_HTTP_WAHA_INGEST_SIZE;
}


static ngx_http_waha_batch_t *
ngx_http_waha_ingest_create_batch(ngx_http_waha_ingest_t *ingest,
    ngx_http_waha_ingest_variant_e variant)
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
    batch->job.prepare = ngx_http_waha_ingest_prepare;
    batch->job.handler = ngx_http_waha_ingest_done;
    batch->job.data = batch;
    batch->job.log = ingest->log;

    return batch;
}


static void
ngx_http_waha_ingest_destroy_batch(ngx_http_waha_batch_t *batch)
{
    if (batch->ingest->open == batch) {
        batch->ingest->open = NULL;
    }

    ngx_destroy_pool(batch->pool);
}


static void
ngx_http_waha_ingest_join(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry)
{
    ngx_queue_insert_tail(&batch->entries, &entry->queue);
    batch->nentries++;
    batch->size += entry->size;
    batch->ingest->waiting++;

    entry->batch = batch;
    entry->share = ngx_http_waha_share_take(&batch->ingest->shares,
                                        ngx_http_waha_ingest_session(entry));
}


/* what could not be read is of no session */

static ngx_str_t *
ngx_http_waha_ingest_session(ngx_http_waha_entry_t *entry)
{
    static ngx_str_t  none = ngx_string("");

    return entry->event ? &entry->event->session : &none;
}


static void
ngx_http_waha_ingest_set_waiting(ngx_http_waha_batch_t *batch)
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
                                        ngx_http_waha_ingest_session(entry));
    }
}


static void
ngx_http_waha_ingest_set_left(ngx_http_waha_batch_t *batch)
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


static void
ngx_http_waha_ingest_leave(ngx_http_waha_entry_t *entry)
{
    ngx_http_waha_batch_t  *batch;

    batch = entry->batch;

    ngx_queue_remove(&entry->queue);
    batch->nentries--;
    batch->size -= entry->size;
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

        ngx_http_waha_ingest_destroy_batch(batch);
    }
}


static ngx_int_t
ngx_http_waha_ingest_submit(ngx_http_waha_batch_t *batch)
{
    ngx_int_t  rc;

    rc = ngx_http_waha_pg_submit(batch->ingest->pool, &batch->job);

    batch->submitted = (rc == NGX_OK);

    return rc;
}


/* the batch under way takes long, and other connections may be idle */

static void
ngx_http_waha_ingest_linger_handler(ngx_event_t *ev)
{
    ngx_http_waha_ingest_submit_open(ev->data);
}


static void
ngx_http_waha_ingest_submit_open(ngx_http_waha_ingest_t *ingest)
{
    ngx_http_waha_batch_t  *batch;

    batch = ingest->open;

    if (batch == NULL || batch->submitted) {
        return;
    }

    if (ngx_http_waha_ingest_submit(batch) == NGX_OK) {
        return;
    }

    if (ingest->inflight) {
        return;
    }

    ngx_http_waha_ingest_set_left(batch);
    ingest->open = NULL;

    ngx_http_waha_ingest_finish_all(batch, NGX_HTTP_WAHA_PG_DOWN);
    ngx_http_waha_ingest_destroy_batch(batch);
}


static ngx_int_t
ngx_http_waha_ingest_prepare(ngx_http_waha_pg_job_t *job)
{
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

    ngx_http_waha_ingest_set_left(batch);
    ingest->inflight++;

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

    if (batch->variant == NGX_HTTP_WAHA_INGEST_ONE && i > 1) {
        batch->variant = NGX_HTTP_WAHA_INGEST_TOGETHER;
    }

    job->statement = batch->variant;

    switch (ngx_http_waha_ingest_functions[batch->variant].form) {

    case NGX_HTTP_WAHA_INGEST_VALUES:
        return ngx_http_waha_ingest_params_values(job, batch->pool, events[0]);

    case NGX_HTTP_WAHA_INGEST_ASIDE:
        batch->aside.raw = batch->sent[0]->raw;

        return ngx_http_waha_ingest_params_aside(job, batch->pool, events[0],
                                                 &batch->aside);

    case NGX_HTTP_WAHA_INGEST_HASH:
        return ngx_http_waha_ingest_params_hash(job, batch->pool, events[0],
                                                &batch->sent[0]->raw);

    default: /* NGX_HTTP_WAHA_INGEST_ARRAYS */
        return ngx_http_waha_ingest_params_arrays(job, batch->pool, events, i);
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

    if (batch->left) {
        ingest->inflight--;

    } else {
        /* the deadline passed before a connection was free */

        ngx_http_waha_ingest_set_left(batch);

        if (ingest->open == batch) {
            ingest->open = NULL;
        }
    }

    /* the next batch runs while the results of this one are handled */

    ngx_http_waha_ingest_submit_open(ingest);

    if (status == NGX_HTTP_WAHA_PG_OK) {
        ngx_http_waha_ingest_read_results(batch);

        /* entries without a result are not known to be stored */
        status = NGX_HTTP_WAHA_PG_DOWN;

    } else if (ngx_http_waha_ingest_retry(batch) == NGX_OK) {
        return;
    }

    ngx_http_waha_ingest_finish_all(batch, status);
    ngx_http_waha_ingest_destroy_batch(batch);
}


static ngx_int_t
ngx_http_waha_ingest_retry(ngx_http_waha_batch_t *batch)
{
    ngx_str_t               sqlstate;
    ngx_http_waha_entry_t  *entry;

    if (batch->nentries == 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_waha_ingest_is_worth_retry(batch)) {
        batch->retried = 1;
        return ngx_http_waha_ingest_resubmit(batch);
    }

    if (ngx_http_waha_ingest_has_timed_out(batch)) {

        if (batch->variant == NGX_HTTP_WAHA_INGEST_ONE) {
            ngx_http_waha_ingest_count_timeout(batch);

        } else if (batch->variant <= NGX_HTTP_WAHA_INGEST_EACH) {
            ngx_http_waha_ingest_divide(batch);
        }

        return NGX_DECLINED;
    }

    if (ngx_http_waha_ingest_is_divisible(batch)) {
        batch->variant = NGX_HTTP_WAHA_INGEST_EACH;
        return ngx_http_waha_ingest_resubmit(batch);
    }

    if (batch->variant == NGX_HTTP_WAHA_INGEST_ONE
        && batch->job.status == NGX_HTTP_WAHA_PG_DATA)
    {
        entry = batch->sent[0];

        sqlstate.data = (u_char *) batch->job.sqlstate;
        sqlstate.len = ngx_strlen(batch->job.sqlstate);

        ngx_http_waha_ingest_leave(entry);
        ngx_http_waha_ingest_fail(batch, entry, &sqlstate);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_waha_ingest_resubmit(ngx_http_waha_batch_t *batch)
{
    /* reset first: submit() may call prepare() at once */

    batch->sent = NULL;
    ngx_http_waha_ingest_set_waiting(batch);

    if (ngx_http_waha_ingest_submit(batch) == NGX_OK) {
        return NGX_OK;
    }

    ngx_http_waha_ingest_set_left(batch);

    return NGX_DECLINED;
}


/* a retry can win a race, but not a lock that another transaction holds */

static ngx_uint_t
ngx_http_waha_ingest_is_worth_retry(ngx_http_waha_batch_t *batch)
{
    const char  *sqlstate;

    sqlstate = batch->job.sqlstate;

    return batch->job.status == NGX_HTTP_WAHA_PG_BUSY
           && !batch->retried
           && ngx_strcmp(sqlstate, "55P03") != 0
           && ngx_strcmp(sqlstate, NGX_HTTP_WAHA_INGEST_ENDED) != 0;
}


/*
 * whether the server has ended the batch by its time limit; an administrator
 * who cancels it mostly does so before
 */

static ngx_uint_t
ngx_http_waha_ingest_has_timed_out(ngx_http_waha_batch_t *batch)
{
    return batch->job.status == NGX_HTTP_WAHA_PG_BUSY
           && ngx_strcmp(batch->job.sqlstate, NGX_HTTP_WAHA_INGEST_ENDED) == 0
           && batch->job.elapsed >= batch->ingest->statement_timeout / 2;
}


/* whether one record may have failed the batch, so that each runs alone */

static ngx_uint_t
ngx_http_waha_ingest_is_divisible(ngx_http_waha_batch_t *batch)
{
    const char  *sqlstate;

    sqlstate = batch->job.sqlstate;

    if (batch->variant != NGX_HTTP_WAHA_INGEST_TOGETHER) {
        return 0;
    }

    switch (batch->job.status) {

    case NGX_HTTP_WAHA_PG_BUSY:
    case NGX_HTTP_WAHA_PG_DATA:
        return 1;

    case NGX_HTTP_WAHA_PG_SETUP:
        /* constraints and triggers of the CRM, which check single rows */
        return ngx_strncmp(sqlstate, "23", 2) == 0
               || ngx_strncmp(sqlstate, "P0", 2) == 0;

    default:
        /* an unknown error, but not one of the server or connection */
        return sqlstate[0] != '\0'
               && ngx_strncmp(sqlstate, "08", 2) != 0
               && ngx_strncmp(sqlstate, "25", 2) != 0
               && ngx_strncmp(sqlstate, "53", 2) != 0
               && ngx_strncmp(sqlstate, "57", 2) != 0
               && ngx_strncmp(sqlstate, "58", 2) != 0;
    }
}


/*
 * one record may have taken all the time: each runs in a transaction of its
 * own, side by side with the others as far as there are connections
 */

static void
ngx_http_waha_ingest_divide(ngx_http_waha_batch_t *batch)
{
    ngx_queue_t            *q;
    ngx_http_waha_batch_t  *one;
    ngx_http_waha_entry_t  *entry;

    while (!ngx_queue_empty(&batch->entries)) {
        q = ngx_queue_head(&batch->entries);
        entry = ngx_queue_data(q, ngx_http_waha_entry_t, queue);

        ngx_http_waha_ingest_leave(entry);

        one = ngx_http_waha_ingest_create_batch(batch->ingest,
                                                NGX_HTTP_WAHA_INGEST_ONE);
        if (one == NULL) {
            ngx_http_waha_ingest_finish(entry, NGX_HTTP_WAHA_PG_DOWN);
            continue;
        }

        one->job.deadline = batch->job.deadline;

        ngx_http_waha_ingest_join(one, entry);

        if (ngx_http_waha_ingest_submit(one) != NGX_OK) {
            ngx_http_waha_ingest_leave(entry);
            ngx_http_waha_ingest_finish(entry, NGX_HTTP_WAHA_PG_DOWN);
        }
    }
}


/* the database remembers whether the record had run out of time before */

static void
ngx_http_waha_ingest_count_timeout(ngx_http_waha_batch_t *batch)
{
    ngx_http_waha_batch_t  *count;
    ngx_http_waha_entry_t  *entry;

    entry = batch->sent[0];

    ngx_http_waha_ingest_leave(entry);

    count = ngx_http_waha_ingest_create_batch(batch->ingest,
                                              NGX_HTTP_WAHA_INGEST_TIMEOUT);
    if (count == NULL) {
        ngx_http_waha_ingest_finish(entry, NGX_HTTP_WAHA_PG_BUSY);
        return;
    }

    count->job.deadline = batch->job.deadline;

    ngx_http_waha_ingest_join(count, entry);

    if (ngx_http_waha_ingest_submit(count) != NGX_OK) {
        ngx_http_waha_ingest_leave(entry);
        ngx_http_waha_ingest_finish(entry, NGX_HTTP_WAHA_PG_BUSY);
    }
}


static void
ngx_http_waha_ingest_read_timeout(ngx_http_waha_batch_t *batch)
{
    ngx_str_t               reason, sqlstate;
    ngx_http_waha_entry_t  *entry;

    entry = batch->sent[0];

    if (entry == NULL) {
        return;
    }

    ngx_http_waha_ingest_leave(entry);

    if (PQntuples(batch->job.result) != 1
        || *PQgetvalue(batch->job.result, 0, 0) != 't')
    {
        ngx_http_waha_ingest_finish(entry, NGX_HTTP_WAHA_PG_BUSY);
        return;
    }

    ngx_str_set(&entry->action, "quarantined");
    ngx_str_set(&reason, "timeout");
    ngx_str_set(&sqlstate, NGX_HTTP_WAHA_INGEST_ENDED);

    ngx_http_waha_ingest_set_aside(batch, entry, &reason, &sqlstate);
}


static void
ngx_http_waha_ingest_read_results(ngx_http_waha_batch_t *batch)
{
    int                     row, nrows;
    PGresult               *result;
    ngx_uint_t              position;
    ngx_http_waha_entry_t  *entry;

    if (batch->variant == NGX_HTTP_WAHA_INGEST_QUARANTINE) {
        ngx_http_waha_ingest_finish_all(batch, NGX_HTTP_WAHA_PG_OK);
        return;
    }

    if (batch->variant == NGX_HTTP_WAHA_INGEST_TIMEOUT) {
        ngx_http_waha_ingest_read_timeout(batch);
        return;
    }

    result = batch->job.result;
    nrows = PQntuples(result);

    if (PQnfields(result) != NGX_HTTP_WAHA_INGEST_NFIELDS + 1) {
        ngx_log_error(NGX_LOG_CRIT, batch->job.log, 0,
                      "waha: the result of \"%s\" has %d columns, not %d",
                      ngx_http_waha_ingest_functions[batch->variant].function,
                      PQnfields(result), NGX_HTTP_WAHA_INGEST_NFIELDS + 1);
        return;
    }

    for (row = 0; row < nrows; row++) {
        position = ngx_atoi((u_char *) PQgetvalue(result, row, 0),
                            PQgetlength(result, row, 0));

        if (position >= batch->nsent) {
            ngx_log_error(NGX_LOG_ERR, batch->job.log, 0,
                          "waha: a result for a record that was not sent");
            return;
        }

        entry = batch->sent[position];

        if (entry) {
            ngx_http_waha_ingest_leave(entry);
            ngx_http_waha_ingest_read_result(batch, entry, row);
        }
    }
}


static void
ngx_http_waha_ingest_read_result(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry, int row)
{
    entry->records = batch->nsent;
    entry->db_time = batch->job.elapsed;

    if (ngx_http_waha_ingest_copy_result(entry, batch->job.result, row)
        != NGX_OK)
    {
        ngx_http_waha_ingest_finish(entry, NGX_HTTP_WAHA_PG_DOWN);
        return;
    }

    if (ngx_http_waha_string_is(&entry->action, "unknown_organization")) {
        ngx_http_waha_ingest_set_aside(batch, entry, &entry->action,
                                       &entry->code);
        return;
    }

    if (ngx_http_waha_string_is(&entry->action, "foreign_instance")) {
        ngx_http_waha_ingest_refuse(batch, entry);
        return;
    }

    if (ngx_http_waha_string_is(&entry->action, "failed")) {
        ngx_http_waha_ingest_fail(batch, entry, &entry->code);
        return;
    }

    ngx_http_waha_ingest_finish(entry, NGX_HTTP_WAHA_PG_OK);
}


static ngx_int_t
ngx_http_waha_ingest_copy_result(ngx_http_waha_entry_t *entry, PGresult *result,
    int row)
{
    int         i;
    size_t      len;
    u_char     *p;
    ngx_str_t  *value;

    for (i = 0; i < NGX_HTTP_WAHA_INGEST_NFIELDS; i++) {
        value = (ngx_str_t *) ((u_char *) entry
                               + ngx_http_waha_ingest_fields[i]);

        /* the first column is the position; null has the length 0 */

        len = PQgetlength(result, row, i + 1);

        p = ngx_pnalloc(entry->pool, len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, PQgetvalue(result, row, i + 1), len + 1);

        value->data = p;
        value->len = len;
    }

    return NGX_OK;
}


/* only a data error is set aside; the provider repeats after other errors */

static void
ngx_http_waha_ingest_fail(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry, ngx_str_t *sqlstate)
{
    ngx_str_t   reason;
    ngx_uint_t  status;

    /* the pool has logged the error if it was one of the statement */

    if (batch->variant == NGX_HTTP_WAHA_INGEST_EACH) {
        ngx_http_waha_pg_report_record(batch->ingest->pool,
                                       (char *) sqlstate->data);
    }

    status = ngx_http_waha_pg_class((char *) sqlstate->data);

    if (status != NGX_HTTP_WAHA_PG_DATA) {
        ngx_http_waha_ingest_finish(entry, status);
        return;
    }

    ngx_str_set(&entry->action, "quarantined");
    ngx_str_set(&reason, "data_error");

    ngx_http_waha_ingest_set_aside(batch, entry, &reason, sqlstate);
}


/* a key spoke for a session that is not bound to the key's instance */

static void
ngx_http_waha_ingest_refuse(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry)
{
    ngx_str_t  reason, sqlstate;

    ngx_log_error(NGX_LOG_WARN, batch->job.log, 0,
                  "waha: the key of instance \"%V\" signed an event of "
                  "session \"%V\", which waha.sessions does not bind to it",
                  &entry->event->instance, &entry->event->session);

    ngx_str_null(&sqlstate);
    ngx_str_set(&reason, "foreign_instance");
    ngx_str_set(&entry->action, "quarantined");

    ngx_http_waha_ingest_set_aside(batch, entry, &reason, &sqlstate);
}


static void
ngx_http_waha_ingest_set_aside(ngx_http_waha_batch_t *failed,
    ngx_http_waha_entry_t *entry, ngx_str_t *reason, ngx_str_t *sqlstate)
{
    ngx_http_waha_batch_t  *batch;

    batch = ngx_http_waha_ingest_create_batch(failed->ingest,
                                      NGX_HTTP_WAHA_INGEST_QUARANTINE);
    if (batch == NULL) {
        ngx_http_waha_ingest_finish(entry, NGX_HTTP_WAHA_PG_DOWN);
        return;
    }

    batch->job.deadline = failed->job.deadline;
    batch->aside.reason = *reason;

    ngx_http_waha_ingest_join(batch, entry);

    /* an unknown organization is no error of PostgreSQL */

    if (sqlstate->len) {
        batch->aside.sqlstate.len = sqlstate->len;
        batch->aside.sqlstate.data = ngx_pstrdup(batch->pool, sqlstate);

        if (batch->aside.sqlstate.data == NULL) {
            goto failed;
        }
    }

    /* the answer shows the reason and not the SQLSTATE */
    entry->code = *reason;

    if (ngx_http_waha_ingest_submit(batch) == NGX_OK) {
        return;
    }

failed:

    ngx_http_waha_ingest_leave(entry);
    ngx_http_waha_ingest_finish(entry, NGX_HTTP_WAHA_PG_DOWN);
}


static void
ngx_http_waha_ingest_finish(ngx_http_waha_entry_t *entry, ngx_uint_t status)
{
    entry->status = status;
    entry->handler(entry);
}


static void
ngx_http_waha_ingest_finish_all(ngx_http_waha_batch_t *batch,
    ngx_uint_t status)
{
    ngx_queue_t            *q;
    ngx_http_waha_entry_t  *entry;

    while (!ngx_queue_empty(&batch->entries)) {
        q = ngx_queue_head(&batch->entries);
        entry = ngx_queue_data(q, ngx_http_waha_entry_t, queue);

        ngx_http_waha_ingest_leave(entry);
        ngx_http_waha_ingest_finish(entry, status);
    }
}
