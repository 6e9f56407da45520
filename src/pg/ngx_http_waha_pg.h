
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PG_H_INCLUDED_
#define _NGX_HTTP_WAHA_PG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <libpq-fe.h>


/* how a job has ended, and the class of a SQLSTATE */

#define NGX_HTTP_WAHA_PG_OK     0
#define NGX_HTTP_WAHA_PG_DOWN   1   /* no server, no time, outcome unknown */
#define NGX_HTTP_WAHA_PG_BUSY   2   /* a lost race or a lock: try again */
#define NGX_HTTP_WAHA_PG_DATA   3   /* the values are at fault */
#define NGX_HTTP_WAHA_PG_SETUP  4   /* an administrator has to act */


typedef struct ngx_http_waha_pg_pool_s  ngx_http_waha_pg_pool_t;
typedef struct ngx_http_waha_pg_job_s   ngx_http_waha_pg_job_t;


typedef struct {
    const char                       *name;
    const char                       *text;
    int                               nparams;
    const Oid                        *types;
} ngx_http_waha_pg_statement_t;


typedef struct {
    /* as they were given; "": not at all */
    const char                       *host;
    const char                       *addr;
    const char                       *port;

    /* the one given, or those that the system knew when nginx started */
    ngx_addr_t                       *addrs;
    ngx_uint_t                        naddrs;

    /* why the system did not know the name, else NULL */
    const char                       *error;

    /* a name, which may get other addresses */
    unsigned                          named:1;

    /* not known to be this machine */
    unsigned                          remote:1;
} ngx_http_waha_pg_host_t;


typedef struct {
    /* where the directive stands */
    u_char                              *file_name;
    ngx_uint_t                           line;

    /* of libpq, terminated by NULL */
    const char                         **keywords;

    /*
     * In the order of the keywords.  The first are common to all connections;
     * of those of an address, what was given for all is set.
     */
    const char                         **values;
    ngx_uint_t                           common;

    /* tried in this order */
    ngx_array_t                          hosts;   /* ngx_http_waha_pg_host_t */

    /* of nginx; NULL: names keep the addresses that they had at start */
    ngx_resolver_t                      *resolver;
    ngx_msec_t                           resolver_timeout;

    /* zero: not given */
    ngx_uint_t                           connections;

    /*
     * How many jobs may wait for a connection.  A job may carry many
     * records, whose number is bounded by the caller.
     */
    ngx_uint_t                           queue;

    ngx_msec_t                           timeout;
    ngx_msec_t                           connect_timeout;

    /* the server ends a statement after it */
    ngx_msec_t                           statement_timeout;

    /* given by the user */
    const char                          *options;

    /* a query for one value: NULL, or why the database cannot serve us */
    const char                          *check;

    /*
     * logged when the check or preparing fails because something is missing,
     * or because the role lacks a right; may be NULL
     */
    const char                          *hint;
    const char                          *rights;

    /* those before the first are statements of another pool */
    const ngx_http_waha_pg_statement_t  *statements;
    ngx_uint_t                           nstatements;
    ngx_uint_t                           first;

    /*
     * A channel that all connections listen on; may be NULL.  notified() is
     * called for each notification with its text, and with NULL for each
     * connection that begins to listen, because notifications before that are
     * lost.  It must not submit or cancel jobs.
     */
    const char                          *channel;
    void                               (*notified)(void *data,
                                                    const char *text);
    void                                *data;
} ngx_http_waha_pg_conf_t;


struct ngx_http_waha_pg_job_s {
    ngx_queue_t                       queue;

    /*
     * Called once per submit, when a connection is about to send the job,
     * to fill in the statement and its parameters.  NGX_ERROR: no memory,
     * the job ends.  May be called from within ngx_http_waha_pg_submit(),
     * and must not submit or cancel jobs.
     */
    ngx_int_t                       (*prepare)(ngx_http_waha_pg_job_t *job);

    ngx_uint_t                        statement;
    const char                      **values;
    int                              *lengths;
    int                              *formats;

    /* the job ends by this ngx_current_msec, whatever its state */
    ngx_msec_t                        deadline;

    /* called once per submit, as a posted event, when the job has ended */
    void                            (*handler)(ngx_http_waha_pg_job_t *job);
    void                             *data;
    ngx_log_t                        *log;

    /* set by prepare(): how long the statement and its commit take is asked */
    unsigned                          timed:1;

    /* the outcome; the result is cleared after the handler returns */
    ngx_uint_t                        status;
    char                              sqlstate[6];
    PGresult                         *result;

    /* milliseconds from sending to the end; zero: it was not sent */
    ngx_msec_t                        elapsed;

    /* microseconds, on the server's clock; zero: not known */
    ngx_uint_t                        execution;
    ngx_uint_t                        commit;

    /* private; zeroed by the caller before the first submit */
    ngx_http_waha_pg_pool_t          *pool;
    ngx_event_t                       event;
    ngx_msec_t                        sent;
};


/*
 * Parses the arguments of the directive "waha_database" into conf and
 * resolves host names.  Memory is taken from cf->pool.  NGX_CONF_ERROR: the
 * error was logged, together with the values that are allowed.
 */
char *ngx_http_waha_pg_conf(ngx_conf_t *cf, ngx_http_waha_pg_conf_t *conf);

/*
 * Checks the hosts, with the resolver that looks up their names from now on;
 * NULL: none.  To be called once for each directive, when all others were
 * read.  NGX_CONF_ERROR: the error was logged.
 */
char *ngx_http_waha_pg_host_check(ngx_conf_t *cf,
    ngx_http_waha_pg_conf_t *conf, ngx_resolver_t *resolver,
    ngx_msec_t timeout);

/*
 * Sets the time in milliseconds after which the server ends a statement of
 * the pool, which has to be called once for each conf, and for a copy of one.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_pg_conf_limit(ngx_conf_t *cf,
    ngx_http_waha_pg_conf_t *conf, ngx_msec_t timeout);

/*
 * Creates a pool of this worker and starts to connect.  The pool lives until
 * ngx_http_waha_pg_destroy(), conf must live as long.  NULL: no memory.
 */
ngx_http_waha_pg_pool_t *ngx_http_waha_pg_create(ngx_cycle_t *cycle,
    ngx_http_waha_pg_conf_t *conf);

/* Closes all connections; the handlers of remaining jobs are not called. */
void ngx_http_waha_pg_destroy(ngx_http_waha_pg_pool_t *pool);

/*
 * Submits a job.  NGX_OK: its handler will be called once, never from within
 * this call, at the job's deadline at the latest.  NGX_DECLINED: the queue
 * is full; NGX_ABORT: an administrator has to act first, the log says how;
 * in both cases the handler will not be called.  The job and its parameters
 * belong to the caller and must stay until the handler is called or the job
 * is cancelled.
 */
ngx_int_t ngx_http_waha_pg_submit(ngx_http_waha_pg_pool_t *pool,
    ngx_http_waha_pg_job_t *job);

/*
 * Cancels a job that waits, or that has ended but whose handler was not
 * called yet.  NGX_OK: the handler will not be called, the caller may free
 * the job.  NGX_DECLINED: the job was sent, its handler will be called.
 */
ngx_int_t ngx_http_waha_pg_cancel(ngx_http_waha_pg_job_t *job);

/*
 * Asks the server to end the statement of a job that was sent, which must be
 * one that only reads; the job ends as it would otherwise.
 */
void ngx_http_waha_pg_interrupt(ngx_http_waha_pg_job_t *job);

/* The class of a SQLSTATE: any of NGX_HTTP_WAHA_PG_*, except for OK. */
ngx_uint_t ngx_http_waha_pg_class(const char *sqlstate);

/*
 * Logs that a record has failed in a statement that succeeded for others.
 * Like errors of statements, each SQLSTATE is logged once in a while only.
 */
void ngx_http_waha_pg_report_record(ngx_http_waha_pg_pool_t *pool,
    const char *sqlstate);


#endif /* _NGX_HTTP_WAHA_PG_H_INCLUDED_ */
