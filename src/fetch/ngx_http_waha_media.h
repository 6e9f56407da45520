
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


/* a file of a provider; all texts live as long as the request */

typedef struct {
    ngx_http_waha_instance_t  *instance;
    ngx_str_t                  uri;         /* below that of the instance */
    ngx_str_t                  args;
    ngx_str_t                  filename;    /* what a browser saves it as */

    /* for Meta */
    ngx_str_t                  authorization;
    off_t                      size;        /* -1: not known */
} ngx_http_waha_media_file_t;


/*
 * Answers r with a file: redirects it to the internal location of an instance,
 * so that nginx streams the file.  Returns what the content handler has to
 * return.
 */
ngx_int_t ngx_http_waha_media_send(ngx_http_request_t *r,
    const ngx_http_waha_media_file_t *file);

/* Whether r is a request after that redirect: it was authorized before. */
ngx_uint_t ngx_http_waha_media_is_redirected(ngx_http_request_t *r);

/* What such a request forwards; NULL: r is none. */
ngx_http_waha_forward_t *ngx_http_waha_media_forward(ngx_http_request_t *r);

/*
 * Installs the header filter that keeps the provider's own headers from the
 * client, in postconfiguration.
 */
void ngx_http_waha_media_filter_init(void);


#endif /* _NGX_HTTP_WAHA_MEDIA_H_INCLUDED_ */
