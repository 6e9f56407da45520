
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_MEDIA_H_INCLUDED_
#define _NGX_HTTP_WAHA_MEDIA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_api.h>


/*
 * The operation that streams the file of an activity from WAHA: the request
 * itself is redirected to the internal location of the instance.
 */
ngx_int_t ngx_http_waha_media(ngx_http_waha_api_t *api);

/*
 * Whether it is a request after that redirect, which was admitted before it
 * and has no credentials any more.
 */
ngx_uint_t ngx_http_waha_media_redirected(ngx_http_request_t *r);

/*
 * Installs the header filter that lets pass what a client may see of the
 * answer, in postconfiguration.
 */
void ngx_http_waha_media_filter_init(void);


#endif /* _NGX_HTTP_WAHA_MEDIA_H_INCLUDED_ */
