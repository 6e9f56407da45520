
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
 * route, if it has any, is the id of the session; without, the primary one is
 * meant.
 */

ngx_int_t ngx_http_waha_sessions_list(ngx_http_waha_api_t *api);

/* the status; "refresh": as WAHA gives it now */
ngx_int_t ngx_http_waha_sessions_show(ngx_http_waha_api_t *api);

/* makes a session, or connects one that is there; arguments may label it */
ngx_int_t ngx_http_waha_sessions_connect(ngx_http_waha_api_t *api);

/* the same, but a session that runs is restarted */
ngx_int_t ngx_http_waha_sessions_reconnect(ngx_http_waha_api_t *api);

/* connects a session that is there */
ngx_int_t ngx_http_waha_sessions_connect_found(ngx_http_waha_api_t *api);

/* see ngx_http_waha_control.h */
ngx_int_t ngx_http_waha_sessions_start(ngx_http_waha_api_t *api);
ngx_int_t ngx_http_waha_sessions_stop(ngx_http_waha_api_t *api);
ngx_int_t ngx_http_waha_sessions_restart(ngx_http_waha_api_t *api);
ngx_int_t ngx_http_waha_sessions_logout(ngx_http_waha_api_t *api);
ngx_int_t ngx_http_waha_sessions_delete(ngx_http_waha_api_t *api);


/*
 * Finds the session that a request names, then calls then(); where the route
 * allows it, also without a session.  A number of Meta is refused.
 */
ngx_int_t ngx_http_waha_sessions_find(ngx_http_waha_api_t *api,
    ngx_http_waha_step_pt then);

/* Enables the organization where "waha_connect_enables" says so. */
ngx_int_t ngx_http_waha_sessions_enable(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then);

/* The end of a plan: answers with the session, or the error. */
ngx_int_t ngx_http_waha_sessions_answer(ngx_http_waha_step_t *step);

/* Answers with the session, and with api->qr_code where it is shown. */
ngx_int_t ngx_http_waha_sessions_answer_view(ngx_http_waha_step_t *step);


#endif /* _NGX_HTTP_WAHA_SESSIONS_H_INCLUDED_ */
