
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CONNECT_H_INCLUDED_
#define _NGX_HTTP_WAHA_CONNECT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_step.h>


/*
 * A plan: makes a session run, whatever its status, and with a configuration
 * that sends webhooks here.  It may be run again at any time, and by several
 * requests at the same time.  id: of the session; data NULL: the primary one,
 * which is made if need be; label: of a new one, may be missing.
 *
 * With step->session->phone, the plan ends with a pairing code if WAHA gives
 * one; with step->session->restart, a session that runs is restarted.
 */
ngx_int_t ngx_http_waha_connect(ngx_http_waha_step_t *step, ngx_str_t *id,
    ngx_str_t *label);


#endif /* _NGX_HTTP_WAHA_CONNECT_H_INCLUDED_ */
