
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_GUARD_H_INCLUDED_
#define _NGX_HTTP_WAHA_GUARD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_fetch_conf.h>


/*
 * The handler of the rewrite phase: clients get 404 for locations that lead
 * to a provider, even where "internal" was forgotten, and a redirect that its
 * answer asks for ends with 502.  To be installed where there are such
 * locations.
 */
ngx_int_t ngx_http_waha_guard_handler(ngx_http_request_t *r);

/* Whether nginx follows, or has followed, a redirect of a provider. */
ngx_uint_t ngx_http_waha_guard_is_redirected(ngx_http_request_t *r);

/*
 * Logs that the location of an instance has answered a request with a status
 * by itself, and has not passed it on.
 */
void ngx_http_waha_guard_log_local(ngx_log_t *log,
    ngx_http_waha_instance_t *instance, ngx_uint_t status);


#endif /* _NGX_HTTP_WAHA_GUARD_H_INCLUDED_ */
