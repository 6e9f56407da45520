
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PG_JOB_H_INCLUDED_
#define _NGX_HTTP_WAHA_PG_JOB_H_INCLUDED_


#include <ngx_http_waha_pg_connection.h>


/* instead of a statement: ends that of another connection */

#define NGX_HTTP_WAHA_PG_INTERRUPT  ((ngx_uint_t) -1)


/* Lets a job wait in the pool's queue, until its deadline at the latest. */
void ngx_http_waha_pg_job_enqueue(ngx_http_waha_pg_pool_t *pool,
    ngx_http_waha_pg_job_t *job);

void ngx_http_waha_pg_job_dequeue(ngx_http_waha_pg_job_t *job);

/*
 * Lets the caller fill in a job that has left the queue.  NGX_ERROR: it is
 * too late or there is no memory, and the job has ended.
 */
ngx_int_t ngx_http_waha_pg_job_prepare(ngx_http_waha_pg_job_t *job);

/* Gives a prepared job to an idle connection and sends it. */
void ngx_http_waha_pg_job_start(ngx_http_waha_pg_connection_t *c,
    ngx_http_waha_pg_job_t *job);

/*
 * Sends the job of a connection: its answer ends in the handler "done" or
 * "failed".
 */
void ngx_http_waha_pg_job_send(ngx_http_waha_pg_connection_t *c);

/* Ends the job of a connection, if there is one, with c->result. */
void ngx_http_waha_pg_job_finish(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t status);

/* Posts the end of a job that neither waits nor belongs to a connection. */
void ngx_http_waha_pg_job_end(ngx_http_waha_pg_job_t *job, ngx_uint_t status,
    PGresult *res);


#endif /* _NGX_HTTP_WAHA_PG_JOB_H_INCLUDED_ */
