
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_FORWARD_H_INCLUDED_
#define _NGX_HTTP_WAHA_FORWARD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* the headers that WAHA gets in place of the client's */

typedef struct {
    ngx_list_t            headers;

    /* whether the location has passed the request on, and did not answer */
    ngx_uint_t            passed;

    /* private */
    ngx_http_handler_pt   handler;
    ngx_int_t           (*create_request)(ngx_http_request_t *r);
} ngx_http_waha_forward_t;


/* Starts with no headers, and space for n.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_waha_forward_init(ngx_http_waha_forward_t *forward,
    ngx_pool_t *pool, ngx_uint_t n);

/*
 * Adds a header; beyond the n of init() this must not be called.  lowcase is
 * the name in lower case; value is copied, its bytes are not.
 */
ngx_table_elt_t *ngx_http_waha_forward_add(ngx_http_waha_forward_t *forward,
    const char *name, const char *lowcase, const ngx_str_t *value);

/*
 * The handler of the phase before the content: where a request leads to WAHA,
 * the proxy of its location passes on the headers above.  All other parts of
 * nginx, and the variables of the operator, see those of the client.
 */
ngx_int_t ngx_http_waha_forward_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_WAHA_FORWARD_H_INCLUDED_ */
