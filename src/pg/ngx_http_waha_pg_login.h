
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PG_LOGIN_H_INCLUDED_
#define _NGX_HTTP_WAHA_PG_LOGIN_H_INCLUDED_


#include <ngx_http_waha_pg_connection.h>


/*
 * Asks a server that has just been connected to whether it and our role are
 * fit to serve, then prepares the statements and listens.  Ends in the
 * handler "ready" or "failed".
 */
void ngx_http_waha_pg_login_check(ngx_http_waha_pg_connection_t *c);

/*
 * Prepares the statements, with "again" after dropping the present ones.
 * Returns what c->receive has to return.
 */
ngx_int_t ngx_http_waha_pg_login_prepare(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t again);


#endif /* _NGX_HTTP_WAHA_PG_LOGIN_H_INCLUDED_ */
