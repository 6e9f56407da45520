
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_ARGUMENT_H_INCLUDED_
#define _NGX_HTTP_WAHA_ARGUMENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_api.h>


/* Reads the query of a request.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_waha_argument_query(ngx_http_waha_api_t *api);

/*
 * The text of a member of the body, which is a string, an integer, true or
 * false.  NGX_DECLINED: it is something else; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_argument_member(ngx_pool_t *pool, cJSON *item,
    ngx_str_t *value);

/*
 * Whether a value is what kind says, in the form that is wanted.
 * NGX_DECLINED: it is not; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_argument_check(ngx_pool_t *pool,
    ngx_http_waha_argument_e kind, ngx_str_t *value);


#endif /* _NGX_HTTP_WAHA_ARGUMENT_H_INCLUDED_ */
