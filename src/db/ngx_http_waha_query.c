
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_query.h>


/* a job outlives its query when the pool of that is destroyed first */

typedef struct {
    ngx_http_waha_pg_job_t    job;
    ngx_pool_t               *pool;

    /* NULL when the query is gone */
    ngx_http_waha_query_t    *query;
    ngx_pool_cleanup_t       *cleanup;

    const char               *values[NGX_HTTP_WAHA_STATEMENT_ARGS];

    unsigned                  retried:1;
} ngx_http_waha_query_job_t;


static ngx_http_waha_query_job_t *ngx_http_waha_query_create_job(
    ngx_http_waha_query_t *query, ngx_http_waha_statement_e statement,
    const ngx_str_t *args);
static ngx_int_t ngx_http_waha_query_copy_args(ngx_http_waha_query_job_t *qj,
    ngx_uint_t n, const ngx_str_t *args);
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
    ngx_http_waha_query_job_t  *qj;

    query->error = NGX_HTTP_WAHA_ERR_NONE;
    ngx_str_null(&query->reply);

    qj = ngx_http_waha_query_create_job(query, statement, args);
    if (qj == NULL) {
        return NGX_ERROR;
    }

    qj->job.deadline = ngx_current_msec + db->pg.timeout;

    rc = ngx_http_waha_pg_submit(db->pool, &qj->job);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    qj->cleanup->handler = NULL;
    ngx_destroy_pool(qj->pool);

    query->error = (rc == NGX_ABORT) ? NGX_HTTP_WAHA_ERR_DATABASE_SETUP
                                     : NGX_HTTP_WAHA_ERR_OVERLOADED;

    return NGX_DECLINED;
}


static ngx_http_waha_query_job_t *
ngx_http_waha_query_create_job(ngx_http_waha_query_t *query,
    ngx_http_waha_statement_e statement, const ngx_str_t *args)
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
    qj->query = query;

    qj->job.prepare = ngx_http_waha_query_prepare;
    qj->job.handler = ngx_http_waha_query_done;
    qj->job.data = qj;
    qj->job.log = ngx_cycle->log;
    qj->job.statement = statement;
    qj->job.values = qj->values;

    qj->cleanup = ngx_pool_cleanup_add(query->pool, 0);

    if (qj->cleanup == NULL
        || ngx_http_waha_query_copy_args(qj,
                                  ngx_http_waha_statements[statement].nparams,
                                  args)
           != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    qj->cleanup->handler = ngx_http_waha_query_cleanup;
    qj->cleanup->data = qj;

    return qj;
}


static ngx_int_t
ngx_http_waha_query_copy_args(ngx_http_waha_query_job_t *qj, ngx_uint_t n,
    const ngx_str_t *args)
{
    u_char      *p;
    ngx_uint_t   i;

    for (i = 0; i < n; i++) {

        if (args[i].data == NULL) {
            continue;
        }

        p = ngx_pnalloc(qj->pool, args[i].len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        qj->values[i] = (char *) p;

        p = ngx_cpymem(p, args[i].data, args[i].len);
        *p = '\0';
    }

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
    if (qj->job.status != NGX_HTTP_WAHA_PG_BUSY
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
                  ngx_http_waha_statements[qj->job.statement].name,
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
    ngx_http_waha_query_job_t  *qj = data;

    qj->query = NULL;
}
