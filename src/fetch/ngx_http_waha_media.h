
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_MEDIA_H_INCLUDED_
#define _NGX_HTTP_WAHA_MEDIA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Answers r with a file of WAHA: redirects it to uri, below the internal
 * location of an instance, so that nginx streams the file.  filename is what
 * a browser saves it as.  Both live as long as r.  Returns what the content
 * handler has to return.
 */
ngx_int_t ngx_http_waha_media_send(ngx_http_request_t *r, ngx_str_t *uri,
    ngx_str_t *filename);

/*
 * Whether r is a request after that redirect: it was authorized before, and
 * its credentials are gone.
 */
ngx_uint_t ngx_http_waha_media_redirected(ngx_http_request_t *r);

/*
 * Installs the header filter that keeps WAHA's own headers from the client,
 * in postconfiguration.
 */
void ngx_http_waha_media_filter_init(void);


#endif /* _NGX_HTTP_WAHA_MEDIA_H_INCLUDED_ */
