
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SESSIONS_H_INCLUDED_
#define _NGX_HTTP_WAHA_SESSIONS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_api.h>


/*
 * Operations on sessions, for the route table.  The first argument of a
 * route, if it has any, names the session.
 */

ngx_int_t ngx_http_waha_sessions_list(ngx_http_waha_api_t *api);

/* its state; "refresh": as it is at WAHA */
ngx_int_t ngx_http_waha_sessions_show(ngx_http_waha_api_t *api);

/* these keep the phone linked */
ngx_int_t ngx_http_waha_sessions_start(ngx_http_waha_api_t *api);
ngx_int_t ngx_http_waha_sessions_stop(ngx_http_waha_api_t *api);
ngx_int_t ngx_http_waha_sessions_restart(ngx_http_waha_api_t *api);

/* it does not come back by itself */
ngx_int_t ngx_http_waha_sessions_logout(ngx_http_waha_api_t *api);
ngx_int_t ngx_http_waha_sessions_delete(ngx_http_waha_api_t *api);


#endif /* _NGX_HTTP_WAHA_SESSIONS_H_INCLUDED_ */
