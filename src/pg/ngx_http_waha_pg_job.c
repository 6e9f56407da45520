
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_pg_connection.h>


static void ngx_http_waha_pg_job_wait_handler(ngx_event_t *ev);
static void ngx_http_waha_pg_job_end_handler(ngx_event_t *ev);
static void ngx_http_waha_pg_job_enqueue(ngx_http_waha_pg_job_t *job);
static void ngx_http_waha_pg_job_dequeue(ngx_http_waha_pg_job_t *job);
static void ngx_http_waha_pg_job_dispatch(ngx_http_waha_pg_pool_t *pool);
static void ngx_http_waha_pg_job_start(ngx_http_waha_pg_connection_t *c,
    ngx_http_waha_pg_job_t *job);
static ngx_int_t ngx_http_waha_pg_job_on_result(
    ngx_http_waha_pg_connection_t *c, PGresult *res);
static ngx_int_t ngx_http_waha_pg_job_answer_done(
    ngx_http_waha_pg_connection_t *c);
static ngx_int_t ngx_http_waha_pg_job_error(ngx_http_waha_pg_connection_t *c);
static ngx_uint_t ngx_http_waha_pg_job_is_reported(ngx_uint_t class,
    const char *sqlstate);
static ngx_uint_t ngx_http_waha_pg_job_is_stale(const PGresult *res);
static void ngx_http_waha_pg_job_finish(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t status);


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

    job->pool = pool;

    job->status = NGX_HTTP_WAHA_PG_DOWN;
    job->sqlstate[0] = '\0';
    job->result = NULL;
    job->elapsed = 0;
    job->sent = 0;

    ngx_memzero(&job->event, sizeof(ngx_event_t));

    ngx_http_waha_pg_job_enqueue(job);

    ngx_http_waha_pg_job_dispatch(pool);

    /* a worker that quits has closed its connections */
    ngx_http_waha_pg_pool_fill(pool);

    return NGX_OK;
}


void
ngx_http_waha_pg_cancel(ngx_http_waha_pg_job_t *job)
{
    if (job->event.posted) {
        ngx_delete_posted_event(&job->event);
        ngx_queue_remove(&job->queue);

        PQclear(job->result);
        job->result = NULL;

        ngx_http_waha_pg_pool_trim(job->pool);
        return;
    }

    if (job->event.timer_set) {
        ngx_http_waha_pg_job_dequeue(job);
    }
}


static void
ngx_http_waha_pg_job_enqueue(ngx_http_waha_pg_job_t *job)
{
    ngx_msec_int_t  timeout;

    timeout = (ngx_msec_int_t) (job->deadline - ngx_current_msec);

    ngx_queue_insert_tail(&job->pool->waiting, &job->queue);

    job->pool->nwaiting++;

    job->event.handler = ngx_http_waha_pg_job_wait_handler;
    job->event.data = job;
    job->event.log = job->pool->log;

    ngx_add_timer(&job->event, (ngx_msec_t) ngx_max(timeout, 0));
}


static void
ngx_http_waha_pg_job_dequeue(ngx_http_waha_pg_job_t *job)
{
    ngx_queue_remove(&job->queue);

    job->pool->nwaiting--;

    if (job->event.timer_set) {
        ngx_del_timer(&job->event);
    }
}


static void
ngx_http_waha_pg_job_wait_handler(ngx_event_t *ev)
{
    ngx_http_waha_pg_job_t *job = ev->data;

    ngx_http_waha_pg_job_dequeue(job);
    ngx_http_waha_pg_job_end(job, NGX_HTTP_WAHA_PG_DOWN, NULL);
}


void
ngx_http_waha_pg_job_refuse_all(ngx_http_waha_pg_pool_t *pool)
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


void
ngx_http_waha_pg_job_forget_all(ngx_http_waha_pg_pool_t *pool)
{
    ngx_queue_t  *q;

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
}


void
ngx_http_waha_pg_job_dispatch_handler(ngx_event_t *ev)
{
    ngx_http_waha_pg_job_dispatch(ev->data);
}


static void
ngx_http_waha_pg_job_dispatch(ngx_http_waha_pg_pool_t *pool)
{
    ngx_queue_t                    *q;
    ngx_http_waha_pg_job_t         *job;
    ngx_http_waha_pg_connection_t  *c;

    while (!ngx_queue_empty(&pool->waiting)
           && !ngx_queue_empty(&pool->idle))
    {
        q = ngx_queue_head(&pool->idle);
        c = ngx_queue_data(q, ngx_http_waha_pg_connection_t, queue);

        if (ngx_http_waha_pg_connection_check_idle(c) != NGX_OK) {
            /* nothing was sent: the job keeps its place */
            ngx_http_waha_pg_pool_lost(c);
            continue;
        }

        q = ngx_queue_head(&pool->waiting);
        job = ngx_queue_data(q, ngx_http_waha_pg_job_t, queue);

        ngx_http_waha_pg_job_dequeue(job);
        ngx_http_waha_pg_job_start(c, job);
    }
}


static void
ngx_http_waha_pg_job_start(ngx_http_waha_pg_connection_t *c,
    ngx_http_waha_pg_job_t *job)
{
    ngx_msec_int_t  timeout;

    timeout = (ngx_msec_int_t) (job->deadline - ngx_current_msec);

    if (timeout <= 0) {
        ngx_http_waha_pg_job_end(job, NGX_HTTP_WAHA_PG_DOWN, NULL);
        return;
    }

    ngx_http_waha_pg_connection_set_state(c, NGX_HTTP_WAHA_PG_RUNNING);

    if (job->prepare(job) != NGX_OK) {
        ngx_http_waha_pg_connection_set_state(c, NGX_HTTP_WAHA_PG_IDLE);
        ngx_http_waha_pg_job_end(job, NGX_HTTP_WAHA_PG_DOWN, NULL);
        return;
    }

    c->job = job;
    c->unconfirmed = 0;
    c->again = 0;

    job->sent = ngx_current_msec;

    /* not cancelable: it keeps a worker that quits until the answer */
    ngx_http_waha_pg_connection_set_timer(c, timeout, 0);

    ngx_http_waha_pg_job_send(c);
}


void
ngx_http_waha_pg_job_send(ngx_http_waha_pg_connection_t *c)
{
    ngx_http_waha_pg_job_t              *job;
    const ngx_http_waha_pg_statement_t  *statement;

    job = c->job;
    statement = &c->pool->conf->statements[job->statement];

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, job->log, 0,
                   "waha: pg send %s", statement->name);

    c->receive = ngx_http_waha_pg_job_on_result;

    if (PQsendQueryPrepared(c->conn, statement->name, statement->nparams,
                            job->values, job->lengths, job->formats, 0)
        == 0
        || ngx_http_waha_pg_connection_flush(c) != NGX_OK)
    {
        ngx_http_waha_pg_error_set(&c->reason, PQerrorMessage(c->conn));
        ngx_http_waha_pg_pool_lost(c);
    }
}


static ngx_int_t
ngx_http_waha_pg_job_on_result(ngx_http_waha_pg_connection_t *c, PGresult *res)
{
    ngx_int_t  rc;

    rc = ngx_http_waha_pg_connection_collect(c, res);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    /* an open transaction would be one that is not committed */

    if (rc == NGX_ERROR || PQtransactionStatus(c->conn) != PQTRANS_IDLE) {
        ngx_http_waha_pg_error_set(&c->reason, "unexpected answer");
        ngx_http_waha_pg_pool_lost(c);
        return NGX_DONE;
    }

    return ngx_http_waha_pg_job_answer_done(c);
}


/* the NULL after the last result: the server is ready, thus has committed */

static ngx_int_t
ngx_http_waha_pg_job_answer_done(ngx_http_waha_pg_connection_t *c)
{
    if (c->state == NGX_HTTP_WAHA_PG_DRAINING) {
        ngx_http_waha_pg_job_finish(c, NGX_HTTP_WAHA_PG_DOWN);
        return NGX_DONE;
    }

    if (ngx_http_waha_pg_error_is_in(c->result)) {
        return ngx_http_waha_pg_job_error(c);
    }

    if (c->unconfirmed) {
        ngx_log_error(NGX_LOG_ERR, c->pool->log, 0,
                      "waha: database %s: a commit was not confirmed by the "
                      "synchronous standby", c->host->name);

        ngx_http_waha_pg_job_finish(c, NGX_HTTP_WAHA_PG_DOWN);
        return NGX_DONE;
    }

    ngx_http_waha_pg_job_finish(c, NGX_HTTP_WAHA_PG_OK);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_waha_pg_job_error(ngx_http_waha_pg_connection_t *c)
{
    ngx_uint_t   class;
    const char  *sqlstate;

    if (!c->again && ngx_http_waha_pg_job_is_stale(c->result)) {
        c->again = 1;

        PQclear(c->result);
        c->result = NULL;

        return ngx_http_waha_pg_login_prepare(c, 1);
    }

    sqlstate = ngx_http_waha_pg_error_sqlstate(c->result);
    class = ngx_http_waha_pg_class(sqlstate);

    if (ngx_strcmp(sqlstate, "25006") == 0) {
        /* the server became a standby, or was made read-only */
        ngx_http_waha_pg_error_set_result(&c->reason, c->result, NULL);
        ngx_http_waha_pg_pool_lost(c);
        return NGX_DONE;
    }

    if (ngx_http_waha_pg_job_is_reported(class, sqlstate)) {
        ngx_http_waha_pg_error_report(c->pool, c->result, class);
    }

    ngx_http_waha_pg_job_finish(c, class);

    return NGX_DONE;
}


/* races are lost all the time; waits that were given up are not */

static ngx_uint_t
ngx_http_waha_pg_job_is_reported(ngx_uint_t class, const char *sqlstate)
{
    return class != NGX_HTTP_WAHA_PG_BUSY
           || ngx_strcmp(sqlstate, "55P03") == 0
           || ngx_strcmp(sqlstate, "57014") == 0;
}


/* nothing was run yet: the statement is unknown, or returns other columns */

static ngx_uint_t
ngx_http_waha_pg_job_is_stale(const PGresult *res)
{
    const char  *sqlstate, *function;

    sqlstate = ngx_http_waha_pg_error_sqlstate(res);

    if (ngx_strcmp(sqlstate, "26000") == 0) {
        return 1;
    }

    function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

    return ngx_strcmp(sqlstate, "0A000") == 0
           && function
           && ngx_strcmp(function, "RevalidateCachedQuery") == 0;
}


static void
ngx_http_waha_pg_job_finish(ngx_http_waha_pg_connection_t *c, ngx_uint_t status)
{
    PGresult                *res;
    ngx_http_waha_pg_job_t  *job;

    res = c->result;
    job = c->job;

    c->result = NULL;
    c->job = NULL;

    if (job) {
        ngx_http_waha_pg_job_end(job, status, res);

    } else {
        PQclear(res);
    }

    ngx_http_waha_pg_pool_rest(c);
}


void
ngx_http_waha_pg_job_end(ngx_http_waha_pg_job_t *job, ngx_uint_t status,
    PGresult *res)
{
    ngx_log_debug2(NGX_LOG_DEBUG_CORE, job->log, 0,
                   "waha: pg end:%ui %s", status,
                   ngx_http_waha_pg_error_sqlstate(res));

    job->status = status;
    job->result = res;

    (void) ngx_cpystrn((u_char *) job->sqlstate,
                       (u_char *) ngx_http_waha_pg_error_sqlstate(res),
                       sizeof(job->sqlstate));

    if (job->sent) {
        job->elapsed = ngx_current_msec - job->sent;
    }

    ngx_queue_insert_tail(&job->pool->ended, &job->queue);

    job->event.handler = ngx_http_waha_pg_job_end_handler;
    job->event.data = job;
    job->event.log = job->pool->log;

    ngx_post_event(&job->event, &ngx_posted_events);
}


static void
ngx_http_waha_pg_job_end_handler(ngx_event_t *ev)
{
    PGresult                 *res;
    ngx_http_waha_pg_job_t   *job;
    ngx_http_waha_pg_pool_t  *pool;

    job = ev->data;
    res = job->result;
    pool = job->pool;

    ngx_queue_remove(&job->queue);

    /* it may free the job, or submit it again */
    job->handler(job);

    PQclear(res);

    ngx_http_waha_pg_pool_trim(pool);
}
