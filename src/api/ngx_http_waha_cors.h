
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CORS_H_INCLUDED_
#define _NGX_HTTP_WAHA_CORS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Adds the headers that let pages of an origin of "waha_cors_origin" read
 * the answer.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_cors(ngx_http_request_t *r);

/* Whether a browser only asks what it may send. */
ngx_uint_t ngx_http_waha_cors_preflight(ngx_http_request_t *r);

/* Answers that. */
ngx_int_t ngx_http_waha_cors_answer(ngx_http_request_t *r);

/*
 * Whether a page of another origin, which "waha_cors_origin" does not name,
 * had a browser send the request.
 */
ngx_uint_t ngx_http_waha_cors_foreign(ngx_http_request_t *r);


#endif /* _NGX_HTTP_WAHA_CORS_H_INCLUDED_ */
