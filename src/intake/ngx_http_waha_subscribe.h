
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SUBSCRIBE_H_INCLUDED_
#define _NGX_HTTP_WAHA_SUBSCRIBE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_delivery.h>


/*
 * Answers a GET with which a provider asks whether the URL of a webhook is
 * ours; its connection, or the location, has the verify token.  NGX_DECLINED:
 * no provider of this URL is verified by a GET.  Otherwise the result is for
 * nginx.
 */
ngx_int_t ngx_http_waha_subscribe(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);


#endif /* _NGX_HTTP_WAHA_SUBSCRIBE_H_INCLUDED_ */
