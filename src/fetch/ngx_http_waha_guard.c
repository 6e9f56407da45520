
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_fetch.h>
#include <ngx_http_waha_fetch_conf.h>
#include <ngx_http_waha_guard.h>
#include <ngx_http_waha_media.h>


static ngx_uint_t ngx_http_waha_guard_is_closed(ngx_http_request_t *r);


ngx_int_t
ngx_http_waha_guard_handler(ngx_http_request_t *r)
{
    if (!r->internal) {
        return ngx_http_waha_guard_is_closed(r) ? NGX_HTTP_NOT_FOUND
                                                : NGX_DECLINED;
    }

    if (!ngx_http_waha_guard_is_redirected(r)
        || (!ngx_http_waha_fetch_is_subrequest(r)
            && !ngx_http_waha_media_is_redirected(r)))
    {
        return NGX_DECLINED;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "waha: an answer has \"X-Accel-Redirect\"");

    return NGX_HTTP_BAD_GATEWAY;
}


ngx_uint_t
ngx_http_waha_guard_is_redirected(ngx_http_request_t *r)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    return u
           && u->headers_in.x_accel_redirect
           && !(u->conf->ignore_headers & NGX_HTTP_UPSTREAM_IGN_XA_REDIRECT);
}


void
ngx_http_waha_guard_log_local(ngx_log_t *log,
    ngx_http_waha_instance_t *instance, ngx_uint_t status)
{
    if (instance->meta) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "waha: the location \"%V/\" answers %ui by itself, it "
                      "has to pass requests to Meta", &instance->uri, status);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "waha: the location \"%V/\" of instance \"%V\" answers "
                  "%ui by itself, it has to pass requests to WAHA",
                  &instance->uri, &instance->name, status);
}


static ngx_uint_t
ngx_http_waha_guard_is_closed(ngx_http_request_t *r)
{
    ngx_uint_t                  i;
    ngx_http_waha_guard_t      *guard;
    ngx_http_core_srv_conf_t   *cscf;
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    guard = wmcf->guards->elts;

    for (i = 0; i < wmcf->guards->nelts; i++) {

        if ((guard[i].server && guard[i].server != cscf)
            || r->uri.len < guard[i].uri.len
            || ngx_strncasecmp(r->uri.data, guard[i].uri.data,
                               guard[i].uri.len)
               != 0)
        {
            continue;
        }

        if (r->uri.len == guard[i].uri.len
            || r->uri.data[guard[i].uri.len] == '/')
        {
            return 1;
        }
    }

    return 0;
}
