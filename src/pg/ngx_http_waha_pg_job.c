
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_pg_pool.h>
#include <ngx_http_waha_pg_login.h>
#include <ngx_http_waha_pg_clock.h>
#include <ngx_http_waha_pg_job.h>


static void ngx_http_waha_pg_job_deadline_handler(ngx_event_t *ev);
static int ngx_http_waha_pg_job_send_statement(
    ngx_http_waha_pg_connection_t *c,
    const ngx_http_waha_pg_statement_t *statement);
static ngx_int_t ngx_http_waha_pg_job_on_result(
    ngx_http_waha_pg_connection_t *c, PGresult *res);
static ngx_int_t ngx_http_waha_pg_job_on_error(
    ngx_http_waha_pg_connection_t *c);
static ngx_uint_t ngx_http_waha_pg_job_is_stale(const PGresult *res);
static ngx_uint_t ngx_http_waha_pg_job_is_reported(ngx_uint_t class,
    const char *sqlstate);
static ngx_int_t ngx_http_waha_pg_job_complete(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t status);
static void ngx_http_waha_pg_job_end_handler(ngx_event_t *ev);
static void ngx_http_waha_pg_job_wake_pool(ngx_http_waha_pg_pool_t *pool);


/* needs no other right than to be the same role */

static const ngx_http_waha_pg_statement_t  ngx_http_waha_pg_job_interrupt = {
    "interrupt", "select pg_cancel_backend($1)", 1, NULL
};


void
ngx_http_waha_pg_job_enqueue(ngx_http_waha_pg_pool_t *pool,
    ngx_http_waha_pg_job_t *job)
{
    ngx_msec_int_t  timeout;

    job->pool = pool;

    job->status = NGX_HTTP_WAHA_PG_DOWN;
    job->sqlstate[0] = '\0';
    job->result = NULL;
    job->elapsed = 0;
    job->execution = 0;
    job->commit = 0;
    job->sent = 0;

    ngx_queue_insert_tail(&pool->waiting, &job->queue);
    pool->nwaiting++;

    ngx_memzero(&job->event, sizeof(ngx_event_t));

    job->event.handler = ngx_http_waha_pg_job_deadline_handler;
    job->event.data = job;
    job->event.log = pool->log;

    timeout = (ngx_msec_int_t) (job->deadline - ngx_current_msec);

    ngx_add_timer(&job->event, (ngx_msec_t) ngx_max(timeout, 0));
}


void
ngx_http_waha_pg_job_dequeue(ngx_http_waha_pg_job_t *job)
{
    ngx_queue_remove(&job->queue);

    job->pool->nwaiting--;

    if (job->event.timer_set) {
        ngx_del_timer(&job->event);
    }
}


static void
ngx_http_waha_pg_job_deadline_handler(ngx_event_t *ev)
{
    ngx_http_waha_pg_job_t *job = ev->data;

    ngx_http_waha_pg_job_dequeue(job);
    ngx_http_waha_pg_job_end(job, NGX_HTTP_WAHA_PG_DOWN, NULL);
}


ngx_int_t
ngx_http_waha_pg_cancel(ngx_http_waha_pg_job_t *job)
{
    if (job->event.posted) {
        ngx_delete_posted_event(&job->event);
        ngx_queue_remove(&job->queue);

        PQclear(job->result);
        job->result = NULL;

        ngx_http_waha_pg_job_wake_pool(job->pool);

        return NGX_OK;
    }

    if (job->event.timer_set) {
        ngx_http_waha_pg_job_dequeue(job);
        return NGX_OK;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_waha_pg_job_prepare(ngx_http_waha_pg_job_t *job)
{
    ngx_msec_int_t  timeout;

    timeout = (ngx_msec_int_t) (job->deadline - ngx_current_msec);

    if (timeout <= 0 || job->prepare(job) != NGX_OK) {
        ngx_http_waha_pg_job_end(job, NGX_HTTP_WAHA_PG_DOWN, NULL);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_waha_pg_job_start(ngx_http_waha_pg_connection_t *c,
    ngx_http_waha_pg_job_t *job)
{
    c->job = job;
    c->unconfirmed = 0;
    c->again = 0;
    c->unwanted = 0;

    job->sent = ngx_current_msec;

    /* not cancelable: a worker that quits waits for the answer */
    c->timer.cancelable = 0;
    ngx_add_timer(&c->timer, job->deadline - ngx_current_msec);

    ngx_http_waha_pg_job_send(c);
}


void
ngx_http_waha_pg_job_send(ngx_http_waha_pg_connection_t *c)
{
    int                                  rc;
    ngx_http_waha_pg_job_t              *job;
    const ngx_http_waha_pg_statement_t  *statement;

    job = c->job;

    statement = (job->statement == NGX_HTTP_WAHA_PG_INTERRUPT)
                    ? &ngx_http_waha_pg_job_interrupt
                    : &c->conf->statements[job->statement];

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, job->log, 0,
                   "waha: pg send %s", statement->name);

    ngx_http_waha_pg_connection_set_state(c, NGX_HTTP_WAHA_PG_RUNNING);

    c->receive = ngx_http_waha_pg_job_on_result;

    /* not through a pooler, which may know nothing of transactions */
    c->timed = (job->timed && !c->pooled);

    rc = (!c->timed || ngx_http_waha_pg_clock_begin(c))
         && ngx_http_waha_pg_job_send_statement(c, statement)
         && (!c->timed || ngx_http_waha_pg_clock_commit(c));

    if (rc == 0 || ngx_http_waha_pg_connection_flush(c) != NGX_OK) {
        ngx_http_waha_pg_error_set(&c->reason, PQerrorMessage(c->conn));
        c->handlers->failed(c, NGX_HTTP_WAHA_PG_DOWN);
    }
}


static int
ngx_http_waha_pg_job_send_statement(ngx_http_waha_pg_connection_t *c,
    const ngx_http_waha_pg_statement_t *statement)
{
    ngx_http_waha_pg_job_t  *job;

    job = c->job;

    if (c->pooled || statement == &ngx_http_waha_pg_job_interrupt) {
        return PQsendQueryParams(c->conn, statement->text, statement->nparams,
                                 statement->types, job->values, job->lengths,
                                 job->formats, 0);
    }

    return PQsendQueryPrepared(c->conn, statement->name, statement->nparams,
                               job->values, job->lengths, job->formats, 0);
}


static ngx_int_t
ngx_http_waha_pg_job_on_result(ngx_http_waha_pg_connection_t *c,
    PGresult *res)
{
    ngx_int_t  rc;

    rc = c->timed ? ngx_http_waha_pg_clock_collect(c, res)
                  : ngx_http_waha_pg_connection_collect(c, res);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    /* a transaction that is open is not committed */

    if (rc == NGX_ERROR || PQtransactionStatus(c->conn) != PQTRANS_IDLE) {
        ngx_http_waha_pg_error_set(&c->reason, "unexpected answer");
        c->handlers->failed(c, NGX_HTTP_WAHA_PG_DOWN);
        return NGX_DONE;
    }

    /* the server is ready for another statement, thus has committed */

    if (c->state == NGX_HTTP_WAHA_PG_DRAINING) {
        return ngx_http_waha_pg_job_complete(c, NGX_HTTP_WAHA_PG_DOWN);
    }

    if (ngx_http_waha_pg_error_is_in(c->result)) {
        return ngx_http_waha_pg_job_on_error(c);
    }

    if (c->unconfirmed) {
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "waha: database %s: a commit was not confirmed by the "
                      "synchronous standby", c->address->name);

        return ngx_http_waha_pg_job_complete(c, NGX_HTTP_WAHA_PG_DOWN);
    }

    return ngx_http_waha_pg_job_complete(c, NGX_HTTP_WAHA_PG_OK);
}


static ngx_int_t
ngx_http_waha_pg_job_on_error(ngx_http_waha_pg_connection_t *c)
{
    ngx_uint_t   class;
    const char  *sqlstate;

    if (!c->pooled && ngx_http_waha_pg_job_is_stale(c->result)) {

        PQclear(c->result);
        c->result = NULL;

        if (!c->again) {
            c->again = 1;
            return ngx_http_waha_pg_login_prepare(c, 1);
        }

        /* what was prepared just now is in another session */

        c->pooled = 1;
        ngx_http_waha_pg_job_send(c);

        return NGX_DONE;
    }

    sqlstate = ngx_http_waha_pg_error_sqlstate(c->result);
    class = ngx_http_waha_pg_class(sqlstate);

    if (ngx_strcmp(sqlstate, "25006") == 0) {
        /* the server became a standby, or was made read-only */
        ngx_http_waha_pg_error_set_result(&c->reason, c->result, NULL);
        c->handlers->failed(c, NGX_HTTP_WAHA_PG_DOWN);
        return NGX_DONE;
    }

    if (!c->unwanted
        && ngx_http_waha_pg_job_is_reported(class, sqlstate))
    {
        ngx_http_waha_pg_error_report(c->pool, c->result, class);
    }

    return ngx_http_waha_pg_job_complete(c, class);
}


/*
 * the prepared statement is unknown to the server, or returns other columns
 * now: nothing was run, the job can be sent again
 */

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


/* races are lost all the time; timeouts, of locks too, are worth a line */

static ngx_uint_t
ngx_http_waha_pg_job_is_reported(ngx_uint_t class, const char *sqlstate)
{
    return class != NGX_HTTP_WAHA_PG_BUSY
           || ngx_strcmp(sqlstate, "55P03") == 0
           || ngx_strcmp(sqlstate, "57014") == 0;
}


static ngx_int_t
ngx_http_waha_pg_job_complete(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t status)
{
    ngx_http_waha_pg_job_finish(c, status);

    c->handlers->done(c);

    return NGX_DONE;
}


void
ngx_http_waha_pg_job_finish(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t status)
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

    /* may free the job, or submit it again */
    job->handler(job);

    PQclear(res);

    ngx_http_waha_pg_job_wake_pool(pool);
}


/* a worker that quits closes the connections that no other job can need */

static void
ngx_http_waha_pg_job_wake_pool(ngx_http_waha_pg_pool_t *pool)
{
    if (ngx_exiting) {
        ngx_post_event(&pool->dispatch, &ngx_posted_events);
    }
}
