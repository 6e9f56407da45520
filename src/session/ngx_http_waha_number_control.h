
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_NUMBER_CONTROL_H_INCLUDED_
#define _NGX_HTTP_WAHA_NUMBER_CONTROL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_step.h>


/*
 * Plans for step->number, of which the id, or nothing, is known.  They end
 * with the number as it is then; row is NULL where the organization never had
 * it.
 */

/*
 * Ends with the state of the number; Graph is asked where that is older than
 * waha_status_ttl.
 */
ngx_int_t ngx_http_waha_number_control_show(ngx_http_waha_step_t *step);

/* The same, but Graph is asked if it was not in the last seconds. */
ngx_int_t ngx_http_waha_number_control_refresh(ngx_http_waha_step_t *step);

/*
 * Removes the callback from Meta, ends the connection and wipes its secrets.
 * Where Meta refuses, as with a dead token, the connection ends all the same,
 * and subscribed is set; where Meta does not answer, nothing is done.
 */
ngx_int_t ngx_http_waha_number_control_disconnect(ngx_http_waha_step_t *step);

/* The same, and deletes the number; ends with the reply about that. */
ngx_int_t ngx_http_waha_number_control_delete(ngx_http_waha_step_t *step);


#endif /* _NGX_HTTP_WAHA_NUMBER_CONTROL_H_INCLUDED_ */
