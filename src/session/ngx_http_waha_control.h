
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CONTROL_H_INCLUDED_
#define _NGX_HTTP_WAHA_CONTROL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_step.h>


/*
 * Plans for a session that was found.  step->session has it as it is when
 * they end, except for delete, which ends with a reply of the database.
 */

/* Ends with the status in the row, after a look where it is old. */
ngx_int_t ngx_http_waha_control_show(ngx_http_waha_step_t *step);

/* Ends with the status that WAHA gives now. */
ngx_int_t ngx_http_waha_control_refresh(ngx_http_waha_step_t *step);

/* these keep the phone linked */
ngx_int_t ngx_http_waha_control_start(ngx_http_waha_step_t *step);
ngx_int_t ngx_http_waha_control_stop(ngx_http_waha_step_t *step);
ngx_int_t ngx_http_waha_control_restart(ngx_http_waha_step_t *step);

/* these unlink the phone; only a person can link it again */
ngx_int_t ngx_http_waha_control_logout(ngx_http_waha_step_t *step);
ngx_int_t ngx_http_waha_control_delete(ngx_http_waha_step_t *step);


#endif /* _NGX_HTTP_WAHA_CONTROL_H_INCLUDED_ */
