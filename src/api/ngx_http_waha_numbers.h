
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_NUMBERS_H_INCLUDED_
#define _NGX_HTTP_WAHA_NUMBERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_api.h>


/* Operations on numbers of Meta's Cloud API, for the route table. */

/* connects a number, with a token or with the code of a sign-up */
ngx_int_t ngx_http_waha_numbers_connect(ngx_http_waha_api_t *api);
ngx_int_t ngx_http_waha_numbers_signup(ngx_http_waha_api_t *api);

/* of the number that the request names, or of the one that is connected */
ngx_int_t ngx_http_waha_numbers_status(ngx_http_waha_api_t *api);
ngx_int_t ngx_http_waha_numbers_disconnect(ngx_http_waha_api_t *api);


/*
 * Plans for step->session, which is a number: those of the routes for
 * sessions.
 */
ngx_int_t ngx_http_waha_numbers_show_found(ngx_http_waha_step_t *step);
ngx_int_t ngx_http_waha_numbers_refresh_found(ngx_http_waha_step_t *step);
ngx_int_t ngx_http_waha_numbers_logout_found(ngx_http_waha_step_t *step);
ngx_int_t ngx_http_waha_numbers_delete_found(ngx_http_waha_step_t *step);

/*
 * Ends a plan as ngx_http_waha_api_reply() does, with what Graph says about
 * an error.
 */
ngx_int_t ngx_http_waha_numbers_reply(ngx_http_waha_step_t *step);


#endif /* _NGX_HTTP_WAHA_NUMBERS_H_INCLUDED_ */
