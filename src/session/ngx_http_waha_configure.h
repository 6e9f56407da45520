
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CONFIGURE_H_INCLUDED_
#define _NGX_HTTP_WAHA_CONFIGURE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_step.h>


/* Whether WAHA's configuration of the session, in its info, is as it has to. */
ngx_uint_t ngx_http_waha_configure_is_ours(ngx_http_waha_step_t *step);

/* Steps: create the session at WAHA, or replace its configuration. */
ngx_int_t ngx_http_waha_configure_create(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then);
ngx_int_t ngx_http_waha_configure_repair(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then);

/*
 * A step: looks at the session, and replaces a configuration that is not
 * ours, so that then() finds it with one that sends webhooks here.  The plan
 * ends with ..._NOT_CREATED where WAHA does not know the session.
 */
ngx_int_t ngx_http_waha_configure(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then);


#endif /* _NGX_HTTP_WAHA_CONFIGURE_H_INCLUDED_ */
