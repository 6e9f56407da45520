
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PG_CONNECTION_H_INCLUDED_
#define _NGX_HTTP_WAHA_PG_CONNECTION_H_INCLUDED_


#include <ngx_http_waha_pg_address.h>


/*
 * States of a connection.  From IDLE on its login is done.  One that holds a
 * job and prepares the statements again is PREPARING for a second time.
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


/* given to a connection by its owner */

typedef struct {
    /* the server has accepted the connection: the login may begin */
    void  (*connected)(ngx_http_waha_pg_connection_t *c);

    /* the statements are prepared, perhaps for the job in c->job */
    void  (*ready)(ngx_http_waha_pg_connection_t *c);

    /* the job, if any is left, has its answer: the connection is free */
    void  (*done)(ngx_http_waha_pg_connection_t *c);

    /* the connection cannot be used, for c->reason: it is to be closed */
    void  (*failed)(ngx_http_waha_pg_connection_t *c, ngx_uint_t class);

    /* nginx quits */
    void  (*quit)(ngx_http_waha_pg_connection_t *c);
} ngx_http_waha_pg_handlers_t;


struct ngx_http_waha_pg_connection_s {
    ngx_log_t                          *log;
    ngx_http_waha_pg_conf_t            *conf;
    const ngx_http_waha_pg_handlers_t  *handlers;

    ngx_uint_t                          state;
    PGconn                             *conn;
    ngx_connection_t                   *connection;

    /*
     * takes each result and the NULL after the last one; NGX_AGAIN: more
     * may come, NGX_DONE: a handler was called, the state may have changed
     */
    ngx_int_t                         (*receive)(
                                           ngx_http_waha_pg_connection_t *c,
                                           PGresult *res);
    PGresult                           *result;

    /* of a job that is timed: the server's clock, in microseconds */
    ngx_uint_t                          step;
    int64_t                             began;
    int64_t                             ended;
    int64_t                             committed;

    /* why the connection cannot be used, or why the server ends it */
    ngx_http_waha_pg_reason_t           reason;

    /* the job that was sent, or waits for its statement to be prepared */
    ngx_http_waha_pg_job_t             *job;

    /*
     * of the pool: how many connections are in each state, its list of idle
     * connections, the present deadline
     */
    ngx_http_waha_pg_pool_t            *pool;
    ngx_uint_t                         *counts;
    ngx_queue_t                         queue;
    ngx_event_t                         timer;

    /* ends its statement, by another connection; when to try again */
    ngx_http_waha_pg_job_t              interrupt;
    ngx_event_t                         nudge;
    const char                         *pid;
    u_char                              digits[NGX_INT_T_LEN + 1];

    /* where it goes to; how many addresses were tried before */
    ngx_http_waha_pg_address_t         *address;
    ngx_uint_t                          tried;

    /* when the login was done */
    ngx_msec_t                          since;

    /*
     * a pooler is in between: the next statement may run in another session,
     * which knows nothing of what was prepared in this one
     */
    unsigned                            pooled:1;

    /* the server is asked for the time before and after the commit */
    unsigned                            timed:1;

    /* one of the servers that were tried needs an administrator */
    unsigned                            setup:1;

    /* the server has announced that it ends the connection */
    unsigned                            ending:1;

    /* the synchronous standby has not confirmed the commit of the job */
    unsigned                            unconfirmed:1;

    /* the statements were prepared again for the job, or are being so */
    unsigned                            again:1;

    /* the request is gone: the job's statement is to be cancelled */
    unsigned                            unwanted:1;

    /* the job "interrupt" waits or runs: no other statement may be hit */
    unsigned                            interrupted:1;

    /* idle, but not in the pool's list, until that job has ended */
    unsigned                            kept:1;
};


/*
 * Starts to connect to c->address.  NGX_ERROR: not even that is possible, for
 * c->reason; the connection is to be closed.
 */
ngx_int_t ngx_http_waha_pg_connection_open(ngx_http_waha_pg_connection_t *c);

/* Closes the connection and clears c->result; leaves the job alone. */
void ngx_http_waha_pg_connection_close(ngx_http_waha_pg_connection_t *c);

void ngx_http_waha_pg_connection_set_state(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t state);

/* Sends what libpq has buffered, as far as the socket takes it. */
ngx_int_t ngx_http_waha_pg_connection_flush(ngx_http_waha_pg_connection_t *c);

/*
 * Reads what an idle server has sent.  NGX_ERROR: it has ended the
 * connection or is about to, for c->reason.
 */
ngx_int_t ngx_http_waha_pg_connection_read_idle(
    ngx_http_waha_pg_connection_t *c);

/*
 * Keeps in c->result the first error, else the first result.  NGX_AGAIN:
 * more to come, NGX_OK: that was all, NGX_ERROR: none of our statements has
 * such a result.
 */
ngx_int_t ngx_http_waha_pg_connection_collect(ngx_http_waha_pg_connection_t *c,
    PGresult *res);


#endif /* _NGX_HTTP_WAHA_PG_CONNECTION_H_INCLUDED_ */
