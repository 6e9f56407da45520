
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_query.h>


/* reads of one organization that wait until others of it have ended */

#define NGX_HTTP_WAHA_QUERY_WAITING  16


/* a job outlives its query when the pool of that is destroyed first */

typedef struct {
    ngx_http_waha_pg_job_t          job;
    ngx_pool_t                     *pool;
    ngx_http_waha_db_conf_t        *db;
    ngx_http_waha_statement_e       statement;

    /* NULL when the query is gone */
    ngx_http_waha_query_t          *query;
    ngx_pool_cleanup_t             *cleanup;

    /* of the organization; NULL: of none, or no memory */
    ngx_http_waha_share_t          *share;

    /* while the share is spent: its list, and until when it waits */
    ngx_queue_t                     queue;
    ngx_event_t                     event;

    /* the last one is the actor */
    const char                     *values[NGX_HTTP_WAHA_STATEMENT_ARGS + 1];

    unsigned                        waiting:1;
    unsigned                        retried:1;
} ngx_http_waha_query_job_t;


static ngx_int_t ngx_http_waha_query_submit(ngx_http_waha_query_job_t *qj,
    ngx_str_t *organization);
static ngx_int_t ngx_http_waha_query_wait(ngx_http_waha_query_job_t *qj,
    ngx_http_waha_share_t *share);
static void ngx_http_waha_query_stop_waiting(ngx_http_waha_query_job_t *qj);
static void ngx_http_waha_query_event_handler(ngx_event_t *ev);
static void ngx_http_waha_query_give_place(ngx_http_waha_query_job_t *qj);
static ngx_uint_t ngx_http_waha_query_is_read(
    ngx_http_waha_statement_e statement);
static ngx_int_t ngx_http_waha_query_owner(
    ngx_http_waha_statement_e statement, const ngx_str_t *args,
    ngx_str_t *organization);
static ngx_http_waha_query_job_t *ngx_http_waha_query_create_job(
    ngx_http_waha_db_conf_t *db, ngx_http_waha_query_t *query,
    ngx_http_waha_statement_e statement, const ngx_str_t *args);
static ngx_int_t ngx_http_waha_query_copy_args(ngx_http_waha_query_job_t *qj,
    const ngx_str_t *args);
static ngx_int_t ngx_http_waha_query_copy_arg(ngx_http_waha_query_job_t *qj,
    ngx_uint_t n, const ngx_str_t *arg);
static ngx_int_t ngx_http_waha_query_prepare(ngx_http_waha_pg_job_t *job);
static void ngx_http_waha_query_done(ngx_http_waha_pg_job_t *job);
static ngx_int_t ngx_http_waha_query_retry(ngx_http_waha_query_job_t *qj);
static void ngx_http_waha_query_read(ngx_http_waha_query_job_t *qj);
static ngx_http_waha_error_e ngx_http_waha_query_find_error(
    ngx_http_waha_query_job_t *qj, ngx_str_t *code);
static ngx_int_t ngx_http_waha_query_copy(ngx_pool_t *pool,
    PGresult *result, int column, ngx_str_t *value);
static ngx_http_waha_error_e ngx_http_waha_query_error(ngx_uint_t status);
static void ngx_http_waha_query_cleanup(void *data);


ngx_int_t
ngx_http_waha_query_start(ngx_http_waha_db_conf_t *db,
    ngx_http_waha_query_t *query, ngx_http_waha_statement_e statement,
    const ngx_str_t *args)
{
    ngx_int_t                   rc;
    ngx_str_t                   organization;
    ngx_http_waha_query_job_t  *qj;

    query->error = NGX_HTTP_WAHA_ERR_NONE;
    ngx_str_null(&query->reply);

    if (db->operators && statement >= NGX_HTTP_WAHA_OPERATORS_FIRST) {
        db = db->operators;
    }

    qj = ngx_http_waha_query_create_job(db, query, statement, args);
    if (qj == NULL) {
        return NGX_ERROR;
    }

    qj->job.deadline = ngx_current_msec + db->pg.timeout;

    rc = ngx_http_waha_query_owner(statement, args, &organization);

    rc = ngx_http_waha_query_submit(qj, (rc == NGX_OK) ? &organization : NULL);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    qj->cleanup->handler = NULL;
    ngx_destroy_pool(qj->pool);

    switch (rc) {

    case NGX_ABORT:
        query->error = NGX_HTTP_WAHA_ERR_DATABASE_SETUP;
        break;

    case NGX_BUSY:
        query->error = NGX_HTTP_WAHA_ERR_TOO_MANY_REQUESTS;
        break;

    default: /* NGX_DECLINED */
        query->error = NGX_HTTP_WAHA_ERR_OVERLOADED;
    }

    return NGX_DECLINED;
}


/*
 * an organization has at most all connections but one, so that a request of
 * another one need not wait for it; what is more waits here
 */

static ngx_int_t
ngx_http_waha_query_submit(ngx_http_waha_query_job_t *qj,
    ngx_str_t *organization)
{
    ngx_int_t                 rc;
    ngx_http_waha_share_t    *share;
    ngx_http_waha_db_conf_t  *db;

    db = qj->db;

    if (organization) {

        if (ngx_http_waha_share_is_spent(&db->shares, organization)) {
            share = ngx_http_waha_share_find(&db->shares, organization);
            return ngx_http_waha_query_wait(qj, share);
        }

        qj->share = ngx_http_waha_share_take(&db->shares, organization);
    }

    rc = ngx_http_waha_pg_submit(db->pool, &qj->job);

    if (rc != NGX_OK) {
        ngx_http_waha_share_give(&db->shares, qj->share);
        qj->share = NULL;
    }

    return rc;
}


/* a plan that has begun is not refused: only reads are */

static ngx_int_t
ngx_http_waha_query_wait(ngx_http_waha_query_job_t *qj,
    ngx_http_waha_share_t *share)
{
    ngx_uint_t  max;

    max = ngx_http_waha_query_is_read(qj->statement)
              ? NGX_HTTP_WAHA_QUERY_WAITING : qj->db->pg.queue;

    if (share->nwaiting >= max) {
        return NGX_BUSY;
    }

    qj->share = share;
    qj->waiting = 1;

    ngx_queue_insert_tail(&share->waiting, &qj->queue);
    share->nwaiting++;

    qj->event.handler = ngx_http_waha_query_event_handler;
    qj->event.data = qj;
    qj->event.log = qj->job.log;

    ngx_add_timer(&qj->event, qj->db->pg.timeout);

    return NGX_OK;
}


static void
ngx_http_waha_query_stop_waiting(ngx_http_waha_query_job_t *qj)
{
    if (qj->event.timer_set) {
        ngx_del_timer(&qj->event);
    }

    if (qj->event.posted) {
        ngx_delete_posted_event(&qj->event);
    }

    if (qj->waiting) {
        qj->waiting = 0;
        qj->share->nwaiting--;
        ngx_queue_remove(&qj->queue);
        qj->share = NULL;
    }
}


/* its turn did not come in time, or the pool has refused it */

static void
ngx_http_waha_query_event_handler(ngx_event_t *ev)
{
    ngx_http_waha_query_t      *query;
    ngx_http_waha_query_job_t  *qj;

    qj = ev->data;
    query = qj->query;

    query->error = qj->waiting ? NGX_HTTP_WAHA_ERR_TOO_MANY_REQUESTS
                               : NGX_HTTP_WAHA_ERR_OVERLOADED;

    ngx_http_waha_query_stop_waiting(qj);

    qj->cleanup->handler = NULL;
    ngx_destroy_pool(qj->pool);

    query->handler(query);
}


/* gives the place of a job that has ended to the next of its organization */

static void
ngx_http_waha_query_give_place(ngx_http_waha_query_job_t *qj)
{
    ngx_queue_t                *q;
    ngx_http_waha_share_t      *share;
    ngx_http_waha_query_job_t  *next;

    share = qj->share;
    qj->share = NULL;

    while (share && !ngx_queue_empty(&share->waiting)) {
        q = ngx_queue_head(&share->waiting);
        next = ngx_queue_data(q, ngx_http_waha_query_job_t, queue);

        ngx_http_waha_query_stop_waiting(next);

        if (ngx_http_waha_pg_submit(next->db->pool, &next->job) == NGX_OK) {
            next->share = share;
            return;
        }

        /* posted: this may be the end of a request, that another has to wait */
        ngx_post_event(&next->event, &ngx_posted_events);
    }

    ngx_http_waha_share_give(&qj->db->shares, share);
}


/* what can be cancelled at any time, and asked for again */

static ngx_uint_t
ngx_http_waha_query_is_read(ngx_http_waha_statement_e statement)
{
    switch (statement) {

    case NGX_HTTP_WAHA_LIST_SESSIONS:
    case NGX_HTTP_WAHA_LIST_AUDIT:
    case NGX_HTTP_WAHA_LIST_CONTACTS:
    case NGX_HTTP_WAHA_FIND_CONTACT:
    case NGX_HTTP_WAHA_LIST_ACTIVITIES:
    case NGX_HTTP_WAHA_LIST_ACTIVITY_ROWS:
    case NGX_HTTP_WAHA_LIST_CONVERSATIONS:
    case NGX_HTTP_WAHA_LIST_MESSAGES:
    case NGX_HTTP_WAHA_FIND_MEDIA:
    case NGX_HTTP_WAHA_FIND_CONNECTION:
    case NGX_HTTP_WAHA_LIST_ORGANIZATIONS:
    case NGX_HTTP_WAHA_SHOW_ORGANIZATION:
    case NGX_HTTP_WAHA_LIST_API_KEYS:
    case NGX_HTTP_WAHA_EXPORT_CONTACT:
    case NGX_HTTP_WAHA_EXPORT_ORGANIZATION:
    case NGX_HTTP_WAHA_LIST_SECRETS:
        return 1;

    default:
        return 0;
    }
}


/*
 * for whom a statement is: its organization, or operators, who share one
 * place as well; NGX_DECLINED: it is not known yet
 */

static ngx_int_t
ngx_http_waha_query_owner(ngx_http_waha_statement_e statement,
    const ngx_str_t *args, ngx_str_t *organization)
{
    if (statement == NGX_HTTP_WAHA_AUTHENTICATE
        || statement == NGX_HTTP_WAHA_FIND_ORGANIZATION
        || statement == NGX_HTTP_WAHA_FIND_CONNECTION)
    {
        return NGX_DECLINED;
    }

    if (statement >= NGX_HTTP_WAHA_OPERATORS_FIRST
        || args[0].data == NULL)
    {
        ngx_str_set(organization, "");
        return NGX_OK;
    }

    *organization = args[0];

    return NGX_OK;
}


static ngx_http_waha_query_job_t *
ngx_http_waha_query_create_job(ngx_http_waha_db_conf_t *db,
    ngx_http_waha_query_t *query, ngx_http_waha_statement_e statement,
    const ngx_str_t *args)
{
    ngx_pool_t                 *pool;
    ngx_http_waha_query_job_t  *qj;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    qj = ngx_pcalloc(pool, sizeof(ngx_http_waha_query_job_t));
    if (qj == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    qj->pool = pool;
    qj->db = db;
    qj->query = query;

    qj->job.prepare = ngx_http_waha_query_prepare;
    qj->job.handler = ngx_http_waha_query_done;
    qj->job.data = qj;
    qj->job.log = ngx_cycle->log;
    qj->statement = statement;
    qj->job.statement = statement + db->offset;
    qj->job.values = qj->values;

    qj->cleanup = ngx_pool_cleanup_add(query->pool, 0);

    if (qj->cleanup == NULL
        || ngx_http_waha_query_copy_args(qj, args) != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    qj->cleanup->handler = ngx_http_waha_query_cleanup;
    qj->cleanup->data = qj;

    return qj;
}


static ngx_int_t
ngx_http_waha_query_copy_args(ngx_http_waha_query_job_t *qj,
    const ngx_str_t *args)
{
    ngx_uint_t  i, nargs, nparams;

    nargs = ngx_http_waha_statement_nargs[qj->statement];
    nparams = ngx_http_waha_statements[qj->statement].nparams;

    for (i = 0; i < nargs; i++) {

        if (ngx_http_waha_query_copy_arg(qj, i, &args[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return (nargs < nparams)
           ? ngx_http_waha_query_copy_arg(qj, nargs, &qj->query->actor)
           : NGX_OK;
}


static ngx_int_t
ngx_http_waha_query_copy_arg(ngx_http_waha_query_job_t *qj, ngx_uint_t n,
    const ngx_str_t *arg)
{
    u_char  *p;

    if (arg->data == NULL) {
        return NGX_OK;
    }

    p = ngx_pnalloc(qj->pool, arg->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    qj->values[n] = (char *) p;

    p = ngx_cpymem(p, arg->data, arg->len);
    *p = '\0';

    return NGX_OK;
}


/* void: the values have been there since the job was created */

static ngx_int_t
ngx_http_waha_query_prepare(ngx_http_waha_pg_job_t *job)
{
    return NGX_OK;
}


static void
ngx_http_waha_query_done(ngx_http_waha_pg_job_t *job)
{
    ngx_http_waha_query_t      *query;
    ngx_http_waha_query_job_t  *qj;

    qj = job->data;

    if (ngx_http_waha_query_retry(qj) == NGX_OK) {
        return;
    }

    ngx_http_waha_query_give_place(qj);

    query = qj->query;

    if (query) {
        ngx_http_waha_query_read(qj);
        qj->cleanup->handler = NULL;
    }

    ngx_destroy_pool(qj->pool);

    if (query) {
        query->handler(query);
    }
}


/* a transaction that lost a race is run once more */

static ngx_int_t
ngx_http_waha_query_retry(ngx_http_waha_query_job_t *qj)
{
    /* not one that had all the time there is */

    if (qj->job.status != NGX_HTTP_WAHA_PG_BUSY
        || ngx_strcmp(qj->job.sqlstate, "57014") == 0
        || qj->query == NULL
        || qj->retried)
    {
        return NGX_DECLINED;
    }

    qj->retried = 1;

    return ngx_http_waha_pg_submit(qj->job.pool, &qj->job);
}


static void
ngx_http_waha_query_read(ngx_http_waha_query_job_t *qj)
{
    PGresult               *result;
    ngx_str_t               code;
    ngx_http_waha_query_t  *query;

    query = qj->query;
    result = qj->job.result;

    if (qj->job.status != NGX_HTTP_WAHA_PG_OK) {
        query->error = ngx_http_waha_query_error(qj->job.status);
        return;
    }

    if (PQntuples(result) != 1 || PQnfields(result) != 2) {
        query->error = NGX_HTTP_WAHA_ERR_DATABASE_SETUP;
        return;
    }

    if (ngx_http_waha_query_copy(query->pool, result, 0, &code) != NGX_OK
        || ngx_http_waha_query_copy(query->pool, result, 1, &query->reply)
           != NGX_OK)
    {
        query->error = NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY;
        return;
    }

    query->error = ngx_http_waha_query_find_error(qj, &code);
}


static ngx_http_waha_error_e
ngx_http_waha_query_find_error(ngx_http_waha_query_job_t *qj,
    ngx_str_t *code)
{
    ngx_http_waha_error_e  error;

    if (code->data == NULL) {
        return NGX_HTTP_WAHA_ERR_NONE;
    }

    error = ngx_http_waha_error_find(code);

    if (error != NGX_HTTP_WAHA_ERR_NONE) {
        return error;
    }

    ngx_log_error(NGX_LOG_ERR, qj->query->log, 0,
                  "waha: \"%s\" answers with the code \"%V\", which this "
                  "module does not know",
                  ngx_http_waha_statements[qj->statement].name,
                  code);

    return NGX_HTTP_WAHA_ERR_DATABASE_SETUP;
}


/* data is NULL for null; else the copy ends with NUL */

static ngx_int_t
ngx_http_waha_query_copy(ngx_pool_t *pool, PGresult *result, int column,
    ngx_str_t *value)
{
    ngx_str_null(value);

    if (PQgetisnull(result, 0, column)) {
        return NGX_OK;
    }

    value->len = PQgetlength(result, 0, column);

    value->data = ngx_pnalloc(pool, value->len + 1);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(value->data, PQgetvalue(result, 0, column), value->len + 1);

    return NGX_OK;
}


static ngx_http_waha_error_e
ngx_http_waha_query_error(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_WAHA_PG_BUSY:
        return NGX_HTTP_WAHA_ERR_DATABASE_BUSY;

    case NGX_HTTP_WAHA_PG_DATA:
        return NGX_HTTP_WAHA_ERR_INVALID_ARGUMENT;

    case NGX_HTTP_WAHA_PG_SETUP:
        return NGX_HTTP_WAHA_ERR_DATABASE_SETUP;

    default:
        return NGX_HTTP_WAHA_ERR_DATABASE_UNAVAILABLE;
    }
}


static void
ngx_http_waha_query_cleanup(void *data)
{
    ngx_http_waha_query_job_t *qj = data;

    qj->query = NULL;

    if (qj->waiting || qj->event.posted) {
        ngx_http_waha_query_stop_waiting(qj);

    } else if (ngx_http_waha_pg_cancel(&qj->job) == NGX_OK) {
        ngx_http_waha_query_give_place(qj);

    } else {
        /* it ends in ngx_http_waha_query_done() */

        if (ngx_http_waha_query_is_read(qj->statement)) {
            ngx_http_waha_pg_interrupt(&qj->job);
        }

        return;
    }

    ngx_destroy_pool(qj->pool);
}
