
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CORS_H_INCLUDED_
#define _NGX_HTTP_WAHA_CORS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Adds the headers that allow pages of the origins of "waha_cors_origin" to
 * read the response.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_cors_add_headers(ngx_http_request_t *r);

/* Whether a browser asks, before the request itself, whether it may send it. */
ngx_uint_t ngx_http_waha_cors_is_preflight(ngx_http_request_t *r);

/* Answers such a request. */
ngx_int_t ngx_http_waha_cors_send_preflight(ngx_http_request_t *r);

/*
 * Whether a browser sent the request for a page of another origin that
 * "waha_cors_origin" does not allow.
 */
ngx_uint_t ngx_http_waha_cors_is_foreign(ngx_http_request_t *r);


#endif /* _NGX_HTTP_WAHA_CORS_H_INCLUDED_ */
