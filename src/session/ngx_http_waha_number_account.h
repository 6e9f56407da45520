
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_NUMBER_ACCOUNT_H_INCLUDED_
#define _NGX_HTTP_WAHA_NUMBER_ACCOUNT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_step.h>


/*
 * A step of the plan that connects step->number: finds, or checks, the
 * WhatsApp business account that the number is in, its portfolio, and whether
 * the app of the token is subscribed to it.  An error of Graph ends the plan.
 */
ngx_int_t ngx_http_waha_number_account(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then);


#endif /* _NGX_HTTP_WAHA_NUMBER_ACCOUNT_H_INCLUDED_ */
