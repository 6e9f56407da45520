
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_REQUEST_H_INCLUDED_
#define _NGX_HTTP_WAHA_REQUEST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>


/* The context of a request, created on first use.  NULL: no memory. */
ngx_http_waha_ctx_t *ngx_http_waha_request_ctx(ngx_http_request_t *r);

/*
 * The request body in one piece, after ngx_http_read_client_request_body():
 * nginx's own buffer, or a copy of r->pool.  NGX_ERROR: no memory, or the
 * temporary file cannot be read.
 */
ngx_int_t ngx_http_waha_request_body(ngx_http_request_t *r, ngx_str_t *body);

/*
 * A header by its name in lower case.  NGX_DECLINED: it is not there;
 * NGX_ERROR: it is given twice.
 */
ngx_int_t ngx_http_waha_request_header(ngx_http_request_t *r,
    const ngx_str_t *name, ngx_str_t *value);

/*
 * Goes on with a request from an event of the module's own: calls handler
 * with data, ends the request with its result, unless that is NGX_DONE, and
 * runs the posted requests of the connection.
 */
void ngx_http_waha_request_resume(ngx_http_request_t *r,
    ngx_int_t (*handler)(void *data), void *data);

/*
 * Ends the request as soon as its client closes the connection, which must do
 * no harm; to be called when the body was read.
 */
void ngx_http_waha_request_watch(ngx_http_request_t *r);


#endif /* _NGX_HTTP_WAHA_REQUEST_H_INCLUDED_ */
