
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_GUARD_H_INCLUDED_
#define _NGX_HTTP_WAHA_GUARD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Notes, while the configuration is loaded, that a location leads to WAHA.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_guard_location(ngx_conf_t *cf, ngx_str_t *uri);

/*
 * The handler of the rewrite phase: clients do not get to these locations,
 * though "internal" was forgotten there, and WAHA leads to no other.
 */
ngx_int_t ngx_http_waha_guard_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_WAHA_GUARD_H_INCLUDED_ */
