
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_ROUTE_H_INCLUDED_
#define _NGX_HTTP_WAHA_ROUTE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_api.h>


/*
 * Finds the route of a method and a path, and the variable segments.
 * NGX_DECLINED: no route has the path; NGX_ABORT: none with the method,
 * *methods are allowed.
 */
ngx_int_t ngx_http_waha_route_find(ngx_uint_t method, ngx_str_t *path,
    const ngx_http_waha_route_t **route, ngx_str_t *params,
    ngx_uint_t *methods);


#endif /* _NGX_HTTP_WAHA_ROUTE_H_INCLUDED_ */
