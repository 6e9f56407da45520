
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_DISPATCH_H_INCLUDED_
#define _NGX_HTTP_WAHA_DISPATCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * The access handler and the content handler of "waha_api": authorization,
 * organization, route and body are checked, then the operation starts.
 */
ngx_int_t ngx_http_waha_dispatch_access(ngx_http_request_t *r);
ngx_int_t ngx_http_waha_dispatch_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_WAHA_DISPATCH_H_INCLUDED_ */
