
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PG_CONNECTION_H_INCLUDED_
#define _NGX_HTTP_WAHA_PG_CONNECTION_H_INCLUDED_


#include <ngx_http_waha_pg_error.h>


/*
 * States of a connection.  Those from IDLE on have been ready to serve, and
 * so has one that is PREPARING again: it holds the job that needs it.
 */

#define NGX_HTTP_WAHA_PG_CLOSED      0
#define NGX_HTTP_WAHA_PG_CONNECTING  1
#define NGX_HTTP_WAHA_PG_CHECKING    2
#define NGX_HTTP_WAHA_PG_PREPARING   3
#define NGX_HTTP_WAHA_PG_IDLE        4
#define NGX_HTTP_WAHA_PG_RUNNING     5
#define NGX_HTTP_WAHA_PG_DRAINING    6
#define NGX_HTTP_WAHA_PG_STATES      7


typedef struct ngx_http_waha_pg_connection_s  ngx_http_waha_pg_connection_t;


struct ngx_http_waha_pg_connection_s {
    ngx_queue_t                       queue;
    ngx_uint_t                        state;

    ngx_http_waha_pg_pool_t          *pool;
    ngx_http_waha_pg_host_t          *host;

    PGconn                           *conn;
    ngx_connection_t                 *connection;
    ngx_event_t                       timer;

    /*
     * takes each result and the NULL after the last one; NGX_AGAIN: more
     * may come, NGX_DONE: look at the state anew
     */
    ngx_int_t                       (*receive)(
                                         ngx_http_waha_pg_connection_t *c,
                                         PGresult *res);
    PGresult                         *result;
    ngx_http_waha_pg_job_t           *job;

    /* when the connection became ready */
    ngx_msec_t                        since;

    /* the hosts of the present attempt */
    ngx_uint_t                        first;
    ngx_uint_t                        tried;

    /* why it is unfit, or about to end */
    ngx_http_waha_pg_reason_t         reason;

    unsigned                          setup:1;
    unsigned                          doomed:1;
    unsigned                          unconfirmed:1;

    /* the job's statement was prepared again, or is being so */
    unsigned                          again:1;
};


struct ngx_http_waha_pg_pool_s {
    ngx_pool_t                       *pool;
    ngx_log_t                        *log;
    ngx_http_waha_pg_conf_t          *conf;

    /* as many again may be draining */
    ngx_http_waha_pg_connection_t    *connections;
    ngx_uint_t                        nconnections;
    ngx_uint_t                        count[NGX_HTTP_WAHA_PG_STATES];

    ngx_queue_t                       idle;
    ngx_queue_t                       waiting;
    ngx_queue_t                       ended;
    ngx_uint_t                        nwaiting;

    ngx_event_t                       dispatch;
    ngx_event_t                       retry;

    /* the host that served last, and the rounds in vain since */
    ngx_uint_t                        host;
    ngx_uint_t                        failures;

    /* what was logged last, for each host */
    ngx_http_waha_pg_reason_t        *reasons;
    ngx_http_waha_pg_report_t         reports[NGX_HTTP_WAHA_PG_REPORTS];

    unsigned                          refused:1;
    unsigned                          serving:1;
};


/* connection: the socket */

/* Starts to connect to c->host; NGX_ERROR: not even that, see c->reason. */
ngx_int_t ngx_http_waha_pg_connection_open(ngx_http_waha_pg_connection_t *c);

/* The only place that closes; leaves the job alone. */
void ngx_http_waha_pg_connection_close(ngx_http_waha_pg_connection_t *c);

void ngx_http_waha_pg_connection_set_state(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t state);
void ngx_http_waha_pg_connection_set_timer(ngx_http_waha_pg_connection_t *c,
    ngx_msec_t timeout, ngx_uint_t cancelable);

/* Sends what libpq has buffered, as far as the socket takes it. */
ngx_int_t ngx_http_waha_pg_connection_flush(ngx_http_waha_pg_connection_t *c);

/* Tells whom it concerns of what was notified. */
void ngx_http_waha_pg_connection_read_notifications(
    ngx_http_waha_pg_connection_t *c);

/* NGX_ERROR when an idle connection is found to be dead or about to end. */
ngx_int_t ngx_http_waha_pg_connection_check_idle(
    ngx_http_waha_pg_connection_t *c);

/*
 * Keeps in c->result the first error, else the first result.  NGX_AGAIN:
 * more to come, NGX_OK: that was all, NGX_ERROR: not what a statement of
 * ours can give.
 */
ngx_int_t ngx_http_waha_pg_connection_collect(ngx_http_waha_pg_connection_t *c,
    PGresult *res);


/* login: what a new connection goes through */

/* Asks whether server and role are fit, then prepares the statements. */
void ngx_http_waha_pg_login_check(ngx_http_waha_pg_connection_t *c);

/*
 * Prepares the statements, after forgetting those of before if again.
 * To be returned from c->receive.
 */
ngx_int_t ngx_http_waha_pg_login_prepare(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t again);


/* pool: what becomes of a connection */

/* Opens as many connections as are missing, unless it is to wait. */
void ngx_http_waha_pg_pool_fill(ngx_http_waha_pg_pool_t *pool);

/* The connection has nothing to do: it waits, or is not needed. */
void ngx_http_waha_pg_pool_rest(ngx_http_waha_pg_connection_t *c);

/* A job is over: a worker that quits closes what no other can need. */
void ngx_http_waha_pg_pool_trim(ngx_http_waha_pg_pool_t *pool);

void ngx_http_waha_pg_pool_ready(ngx_http_waha_pg_connection_t *c);

/*
 * An attempt has failed, for c->reason; tries the next host.  When it was to
 * prepare again, no attempt but a connection that served is lost.
 */
void ngx_http_waha_pg_pool_failed(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t class);

/* A connection that was ready is lost, for c->reason. */
void ngx_http_waha_pg_pool_lost(ngx_http_waha_pg_connection_t *c);

void ngx_http_waha_pg_pool_timeout(ngx_http_waha_pg_connection_t *c);
void ngx_http_waha_pg_pool_closing(ngx_http_waha_pg_connection_t *c);


/* job: queue, sending, answers */

void ngx_http_waha_pg_job_dispatch_handler(ngx_event_t *ev);
void ngx_http_waha_pg_job_refuse_all(ngx_http_waha_pg_pool_t *pool);
void ngx_http_waha_pg_job_forget_all(ngx_http_waha_pg_pool_t *pool);

/* Sends c->job. */
void ngx_http_waha_pg_job_send(ngx_http_waha_pg_connection_t *c);

/* Posts the end of a job that is neither in the queue nor sent any more. */
void ngx_http_waha_pg_job_end(ngx_http_waha_pg_job_t *job, ngx_uint_t status,
    PGresult *res);



#endif /* _NGX_HTTP_WAHA_PG_CONNECTION_H_INCLUDED_ */
