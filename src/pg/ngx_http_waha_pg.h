
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PG_H_INCLUDED_
#define _NGX_HTTP_WAHA_PG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <libpq-fe.h>


/* how a job ended; the error classes are those of SQLSTATE */

#define NGX_HTTP_WAHA_PG_OK     0
#define NGX_HTTP_WAHA_PG_DOWN   1   /* no server, no time, outcome unknown */
#define NGX_HTTP_WAHA_PG_BUSY   2   /* lost a race or a lock: worth a retry */
#define NGX_HTTP_WAHA_PG_DATA   3   /* the fault of the record itself */
#define NGX_HTTP_WAHA_PG_SETUP  4   /* needs an administrator */


typedef struct ngx_http_waha_pg_pool_s  ngx_http_waha_pg_pool_t;
typedef struct ngx_http_waha_pg_job_s   ngx_http_waha_pg_job_t;


typedef struct {
    const char                       *name;
    const char                       *text;
    int                               nparams;
    const Oid                        *types;
} ngx_http_waha_pg_statement_t;


typedef struct {
    /* as said in the log */
    const char                       *name;

    /* what PQconnectStartParams() wants, in the order of the keywords */
    const char                      **values;
} ngx_http_waha_pg_host_t;


typedef struct {
    /* libpq keywords, terminated by NULL */
    const char                         **keywords;

    /* one for each address, in the order in which they are tried */
    ngx_array_t                          hosts;   /* ngx_http_waha_pg_host_t */

    ngx_uint_t                           connections;

    /*
     * How many jobs may wait for a connection.  A job may carry many
     * records: those that wait are for the caller to count and to bound.
     */
    ngx_uint_t                           queue;

    ngx_msec_t                           timeout;
    ngx_msec_t                           connect_timeout;

    /* one row, one column: NULL when fit to serve, else the reason */
    const char                          *check;

    /* said when the check or a statement does not exist; may be NULL */
    const char                          *hint;

    const ngx_http_waha_pg_statement_t  *statements;
    ngx_uint_t                           nstatements;

    /*
     * A channel that all connections listen on; may be NULL.  notified() is
     * called for what comes there, and for each connection that begins to
     * listen, since what came before is not known.  It must not submit or
     * cancel jobs.
     */
    const char                          *channel;
    void                               (*notified)(void *data);
    void                                *data;
} ngx_http_waha_pg_conf_t;


struct ngx_http_waha_pg_job_s {
    ngx_queue_t                       queue;

    /*
     * Called once per submit, when a connection is about to send the job,
     * to fill in what is below; NGX_ERROR: no memory, the job ends.  It may
     * be called from within ngx_http_waha_pg_submit(), and must not submit
     * or cancel jobs.
     */
    ngx_int_t                       (*prepare)(ngx_http_waha_pg_job_t *job);

    ngx_uint_t                        statement;
    const char                      **values;
    int                              *lengths;
    int                              *formats;

    /* ngx_current_msec by which the job must have ended */
    ngx_msec_t                        deadline;

    /* called once per submit, as a posted event, when the job has ended */
    void                            (*handler)(ngx_http_waha_pg_job_t *job);
    void                             *data;
    ngx_log_t                        *log;

    /* the outcome; the result is cleared after the handler returns */
    ngx_uint_t                        status;
    char                              sqlstate[6];
    PGresult                         *result;

    /* from sending to the end; zero if never sent */
    ngx_msec_t                        elapsed;

    /* private; all zero in a job that was not submitted yet */
    ngx_http_waha_pg_pool_t          *pool;
    ngx_event_t                       event;
    ngx_msec_t                        sent;
};


/*
 * Parses the arguments of the directive "waha_database" into conf and
 * resolves host names.  Memory is of cf->pool.  Returns NGX_CONF_OK, or
 * NGX_CONF_ERROR after it has logged what is wrong and what is allowed.
 */
char *ngx_http_waha_pg_conf(ngx_conf_t *cf, ngx_http_waha_pg_conf_t *conf);

/*
 * Makes the pool of a worker and starts to connect.  The pool lives until
 * ngx_http_waha_pg_destroy(); conf must outlive it.  NULL on no memory.
 */
ngx_http_waha_pg_pool_t *ngx_http_waha_pg_create(ngx_cycle_t *cycle,
    ngx_http_waha_pg_conf_t *conf);

/* Closes all; jobs that still wait or run end without their handlers. */
void ngx_http_waha_pg_destroy(ngx_http_waha_pg_pool_t *pool);

/*
 * Hands a job over.  NGX_OK: its handler will be called once, never from
 * within this call, at the job's deadline at the latest.  NGX_DECLINED:
 * the queue is full; NGX_ABORT: an administrator has to mend the database
 * first, as the log says; in both cases the handler will not be called.
 * The job and what it points at belong to the caller and must stay until
 * the handler is called or the job is cancelled.
 */
ngx_int_t ngx_http_waha_pg_submit(ngx_http_waha_pg_pool_t *pool,
    ngx_http_waha_pg_job_t *job);

/*
 * Takes a job back that waits, or that has ended and whose handler was not
 * called yet: it will not be called and the caller may free the job.  A job
 * that was sent cannot be cancelled: it stays until its handler is called.
 */
void ngx_http_waha_pg_cancel(ngx_http_waha_pg_job_t *job);

/* The error class of a SQLSTATE, NGX_HTTP_WAHA_PG_*. */
ngx_uint_t ngx_http_waha_pg_class(const char *sqlstate);

/*
 * Logs that a record has failed within a statement that did not: once in a
 * while for each SQLSTATE, together with the errors of whole statements.
 */
void ngx_http_waha_pg_report_record(ngx_http_waha_pg_pool_t *pool,
    const char *sqlstate);


#endif /* _NGX_HTTP_WAHA_PG_H_INCLUDED_ */
