
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PG_CLOCK_H_INCLUDED_
#define _NGX_HTTP_WAHA_PG_CLOCK_H_INCLUDED_


#include <ngx_http_waha_pg_connection.h>


/*
 * Send what is in front of the statement of a job and behind it: the server
 * runs it in a transaction and tells the time before and after the commit.
 * All is sent at once and answered at once, so nothing waits for nginx or for
 * the network.  Zero: failed, as of libpq.
 */
int ngx_http_waha_pg_clock_begin(ngx_http_waha_pg_connection_t *c);
int ngx_http_waha_pg_clock_commit(ngx_http_waha_pg_connection_t *c);

/*
 * Does what ngx_http_waha_pg_connection_collect() does, for the answers to all
 * of it, and sets the times of the job.
 */
ngx_int_t ngx_http_waha_pg_clock_collect(ngx_http_waha_pg_connection_t *c,
    PGresult *res);


#endif /* _NGX_HTTP_WAHA_PG_CLOCK_H_INCLUDED_ */
