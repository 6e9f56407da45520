
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_MEDIA_H_INCLUDED_
#define _NGX_HTTP_WAHA_MEDIA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_fetch_conf.h>
#include <ngx_http_waha_forward.h>


/*
 * Answers r with a file of WAHA: redirects it to uri, below the internal
 * location of an instance, so that nginx streams the file.  filename is what
 * a browser saves it as.  Both live as long as r.  Returns what the content
 * handler has to return.
 */
ngx_int_t ngx_http_waha_media_send(ngx_http_request_t *r,
    ngx_http_waha_instance_t *instance, ngx_str_t *uri, ngx_str_t *filename);

/* Whether r is a request after that redirect: it was authorized before. */
ngx_uint_t ngx_http_waha_media_is_redirected(ngx_http_request_t *r);

/* What such a request forwards to WAHA; NULL: r is none. */
ngx_http_waha_forward_t *ngx_http_waha_media_forward(ngx_http_request_t *r);

/*
 * Installs the header filter that keeps WAHA's own headers from the client,
 * in postconfiguration.
 */
void ngx_http_waha_media_filter_init(void);


#endif /* _NGX_HTTP_WAHA_MEDIA_H_INCLUDED_ */
