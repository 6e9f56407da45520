
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PG_POOL_H_INCLUDED_
#define _NGX_HTTP_WAHA_PG_POOL_H_INCLUDED_


#include <ngx_http_waha_pg_connection.h>


/*
 * Inside the room calls go one way:
 *
 *     pool         how many connections, to which address, when to try
 *      |           again; which job goes to which connection
 *     job          the wait of a job, its statement, its end
 *      |
 *     login        is the server fit, preparing the statements
 *     clock        how long a statement and its commit take
 *      |
 *     connection   socket and libpq in nginx's event loop
 *      |
 *     address      where to connect to, and asking the resolver for it
 *      |
 *     error        classes of SQLSTATEs, reasons, reports in the log
 *
 * The way back is by the handlers that the pool gives to its connections,
 * and by its event "dispatch".  Jobs wait, and reports are remembered, in
 * the pool's structure, which is all that this header holds.
 */

struct ngx_http_waha_pg_pool_s {
    ngx_pool_t                       *pool;
    ngx_log_t                        *log;
    ngx_http_waha_pg_conf_t          *conf;

    /* twice as many as configured: the others may be draining */
    ngx_http_waha_pg_connection_t    *connections;
    ngx_uint_t                        nconnections;

    /* how many of them are in each state */
    ngx_uint_t                        counts[NGX_HTTP_WAHA_PG_STATES];

    ngx_queue_t                       idle;
    ngx_queue_t                       kept;
    ngx_queue_t                       waiting;
    ngx_queue_t                       ended;
    ngx_uint_t                        nwaiting;

    /* posted: jobs may be sent, or a worker that quits needs none */
    ngx_event_t                       dispatch;
    ngx_event_t                       retry;

    ngx_http_waha_pg_addresses_t      addresses;

    /* the one that served last, or NULL, and the failed rounds since */
    ngx_http_waha_pg_address_t       *address;
    ngx_uint_t                        failures;

    ngx_http_waha_pg_report_t         reports[NGX_HTTP_WAHA_PG_REPORTS];

    /* jobs are not accepted until an administrator has acted */
    unsigned                          refused:1;

    /* "connected" was logged */
    unsigned                          serving:1;
};


#endif /* _NGX_HTTP_WAHA_PG_POOL_H_INCLUDED_ */
