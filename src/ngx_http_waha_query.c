
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_db_conf.h>
#include <ngx_http_waha_query.h>


/* a job outlives its request when that ends first */

typedef struct {
    ngx_http_waha_pg_job_t    job;
    ngx_pool_t               *pool;

    /* NULL when the request is gone */
    ngx_http_request_t       *request;
    ngx_http_waha_query_t    *query;
    ngx_pool_cleanup_t       *cleanup;

    const char               *values[NGX_HTTP_WAHA_QUERY_ARGS];

    unsigned                  retried:1;
} ngx_http_waha_query_job_t;


static ngx_http_waha_query_job_t *ngx_http_waha_query_job(
    ngx_http_request_t *r, ngx_http_waha_query_t *query);
static ngx_int_t ngx_http_waha_query_values(ngx_http_waha_query_job_t *qj,
    ngx_http_waha_query_t *query);
static ngx_int_t ngx_http_waha_query_prepare(ngx_http_waha_pg_job_t *job);
static void ngx_http_waha_query_done(ngx_http_waha_pg_job_t *job);
static ngx_int_t ngx_http_waha_query_again(ngx_http_waha_query_job_t *qj);
static void ngx_http_waha_query_reply(ngx_http_waha_query_job_t *qj);
static ngx_http_waha_error_e ngx_http_waha_query_find_error(
    ngx_http_waha_query_job_t *qj, ngx_str_t *code);
static ngx_int_t ngx_http_waha_query_copy(ngx_http_request_t *r,
    PGresult *result, int column, ngx_str_t *value);
static ngx_http_waha_error_e ngx_http_waha_query_error(ngx_uint_t status);
static void ngx_http_waha_query_cleanup(void *data);


#define ngx_http_waha_query_statement(name, params, n)                        \
    { #name, "select code, data from waha." #name "(" params ")", n, NULL }


const ngx_http_waha_pg_statement_t  ngx_http_waha_query_statements[] = {

    ngx_http_waha_query_statement(authenticate, "$1,$2", 2),
    ngx_http_waha_query_statement(find_organization, "$1", 1),

    ngx_http_waha_query_statement(list_sessions, "$1", 1),
    ngx_http_waha_query_statement(find_session, "$1,$2", 2),
    ngx_http_waha_query_statement(reserve_session, "$1,$2,$3,$4,$5", 5),
    ngx_http_waha_query_statement(record_session_check,
                                  "$1,$2,$3,$4,$5", 5),
    ngx_http_waha_query_statement(disconnect_session, "$1,$2", 2),
    ngx_http_waha_query_statement(delete_session, "$1,$2", 2),

    ngx_http_waha_query_statement(list_contacts, "$1,$2,$3,$4", 4),
    ngx_http_waha_query_statement(find_contact, "$1,$2", 2),
    ngx_http_waha_query_statement(list_activities,
                                  "$1,$2,$3,$4,$5,$6,$7", 7),
    ngx_http_waha_query_statement(list_conversations, "$1,$2,$3,$4,$5", 5),
    ngx_http_waha_query_statement(list_messages, "$1,$2,$3,$4", 4),
    ngx_http_waha_query_statement(read_conversation, "$1,$2", 2),
    ngx_http_waha_query_statement(find_media, "$1,$2", 2),

    ngx_http_waha_query_statement(list_organizations, "$1,$2", 2),
    ngx_http_waha_query_statement(show_organization, "$1", 1),
    ngx_http_waha_query_statement(put_organization, "$1,$2,$3,$4", 4),
    ngx_http_waha_query_statement(delete_organization, "$1", 1),
    ngx_http_waha_query_statement(create_api_key, "$1,$2,$3,$4", 4),
    ngx_http_waha_query_statement(list_api_keys, "$1", 1),
    ngx_http_waha_query_statement(delete_api_key, "$1,$2", 2),
    ngx_http_waha_query_statement(erase_contact, "$1,$2", 2),
    ngx_http_waha_query_statement(export_contact, "$1,$2,$3,$4", 4),
    ngx_http_waha_query_statement(export_organization, "$1,$2,$3", 3)
};

const ngx_uint_t  ngx_http_waha_query_nstatements =
    sizeof(ngx_http_waha_query_statements)
    / sizeof(ngx_http_waha_query_statements[0]);


ngx_int_t
ngx_http_waha_query(ngx_http_request_t *r, ngx_http_waha_query_t *query)
{
    ngx_int_t                   rc;
    ngx_http_waha_main_conf_t  *wmcf;
    ngx_http_waha_query_job_t  *qj;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    query->error = NGX_HTTP_WAHA_ERR_NONE;
    ngx_str_null(&query->reply);

    qj = ngx_http_waha_query_job(r, query);
    if (qj == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_waha_pg_submit(wmcf->db->pool, &qj->job);

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
ngx_http_waha_query_job(ngx_http_request_t *r, ngx_http_waha_query_t *query)
{
    ngx_pool_t                 *pool;
    ngx_http_waha_main_conf_t  *wmcf;
    ngx_http_waha_query_job_t  *qj;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

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

    if (ngx_http_waha_query_values(qj, query) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    qj->request = r;
    qj->query = query;

    qj->job.prepare = ngx_http_waha_query_prepare;
    qj->job.handler = ngx_http_waha_query_done;
    qj->job.data = qj;
    qj->job.log = ngx_cycle->log;
    qj->job.statement = query->statement;
    qj->job.values = qj->values;
    qj->job.deadline = ngx_current_msec + wmcf->db->pg.timeout;

    qj->cleanup = ngx_pool_cleanup_add(r->pool, 0);

    if (qj->cleanup == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    qj->cleanup->handler = ngx_http_waha_query_cleanup;
    qj->cleanup->data = qj;

    return qj;
}


static ngx_int_t
ngx_http_waha_query_values(ngx_http_waha_query_job_t *qj,
    ngx_http_waha_query_t *query)
{
    u_char      *p;
    ngx_str_t   *arg;
    ngx_uint_t   i;

    for (i = 0; i < NGX_HTTP_WAHA_QUERY_ARGS; i++) {
        arg = &query->args[i];

        if (arg->data == NULL) {
            continue;
        }

        p = ngx_pnalloc(qj->pool, arg->len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        qj->values[i] = (char *) p;

        p = ngx_cpymem(p, arg->data, arg->len);
        *p = '\0';
    }

    return NGX_OK;
}


/* all values were there from the beginning */

static ngx_int_t
ngx_http_waha_query_prepare(ngx_http_waha_pg_job_t *job)
{
    return NGX_OK;
}


static void
ngx_http_waha_query_done(ngx_http_waha_pg_job_t *job)
{
    ngx_connection_t           *c;
    ngx_http_request_t         *r;
    ngx_http_waha_query_t      *query;
    ngx_http_waha_query_job_t  *qj;

    qj = job->data;

    if (ngx_http_waha_query_again(qj) == NGX_OK) {
        return;
    }

    r = qj->request;

    if (r == NULL) {
        ngx_destroy_pool(qj->pool);
        return;
    }

    c = r->connection;
    query = qj->query;

    ngx_http_set_log_request(c->log, r);

    ngx_http_waha_query_reply(qj);

    qj->cleanup->handler = NULL;
    ngx_destroy_pool(qj->pool);

    query->handler(r, query);

    ngx_http_run_posted_requests(c);
}


/* what lost a race is tried once more */

static ngx_int_t
ngx_http_waha_query_again(ngx_http_waha_query_job_t *qj)
{
    if (qj->job.status != NGX_HTTP_WAHA_PG_BUSY
        || qj->request == NULL
        || qj->retried)
    {
        return NGX_DECLINED;
    }

    qj->retried = 1;

    return ngx_http_waha_pg_submit(qj->job.pool, &qj->job);
}


static void
ngx_http_waha_query_reply(ngx_http_waha_query_job_t *qj)
{
    PGresult               *result;
    ngx_str_t               code;
    ngx_http_request_t     *r;
    ngx_http_waha_query_t  *query;

    r = qj->request;
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

    if (ngx_http_waha_query_copy(r, result, 0, &code) != NGX_OK
        || ngx_http_waha_query_copy(r, result, 1, &query->reply) != NGX_OK)
    {
        query->error = NGX_HTTP_WAHA_ERR_DATABASE_UNAVAILABLE;
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

    ngx_log_error(NGX_LOG_ERR, qj->request->connection->log, 0,
                  "waha: \"%s\" answers with the code \"%V\", which this "
                  "module does not know",
                  ngx_http_waha_query_statements[qj->job.statement].name,
                  code);

    return NGX_HTTP_WAHA_ERR_DATABASE_SETUP;
}


/* the copy ends with NUL; it is NULL for null */

static ngx_int_t
ngx_http_waha_query_copy(ngx_http_request_t *r, PGresult *result, int column,
    ngx_str_t *value)
{
    ngx_str_null(value);

    if (PQgetisnull(result, 0, column)) {
        return NGX_OK;
    }

    value->len = PQgetlength(result, 0, column);

    value->data = ngx_pnalloc(r->pool, value->len + 1);
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

    qj->request = NULL;
}
