
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_connection.h>
#include <ngx_http_waha_intake_conf.h>
#include <ngx_http_waha_redact.h>
#include <ngx_http_waha_request.h>


static ngx_int_t ngx_http_waha_redact_set_uri(ngx_http_request_t *r);
static u_char *ngx_http_waha_redact_log_handler(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len);


ngx_int_t
ngx_http_waha_redact_handler(ngx_http_request_t *r)
{
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    if (!wlcf->intake->enable) {
        return NGX_DECLINED;
    }

    r->log_handler = ngx_http_waha_redact_log_handler;

    if (ngx_http_waha_redact_set_uri(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_waha_redact_set_uri(ngx_http_request_t *r)
{
    u_char               *p;
    size_t                len;
    ngx_str_t             rest;
    ngx_http_waha_ctx_t  *ctx;

    ngx_http_waha_redact_find_rest(r, &rest);

    if (rest.len == 0) {
        return NGX_OK;
    }

    ctx = ngx_http_waha_request_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    len = rest.data - r->uri.data;

    p = ngx_pnalloc(r->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->uri.data = p;
    ctx->uri.len = len + 1;

    p = ngx_cpymem(p, r->uri.data, len);
    *p = '*';

    return NGX_OK;
}


void
ngx_http_waha_redact_find_rest(ngx_http_request_t *r, ngx_str_t *rest)
{
    u_char                    *p, *last;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    ngx_str_null(rest);

    last = r->uri.data + r->uri.len;

    if (clcf->regex || clcf->named) {

        /* the name says nothing: the last segment may be an id */

        for (p = last; p > r->uri.data && p[-1] != '/'; p--) { /* void */ }

        rest->data = p;
        rest->len = last - p;

        if (!ngx_http_waha_connection_is_id(rest)) {
            ngx_str_null(rest);
        }

    } else {

        if (r->uri.len <= clcf->name.len
            || ngx_strncmp(r->uri.data, clcf->name.data, clcf->name.len) != 0)
        {
            return;
        }

        p = r->uri.data + clcf->name.len;

        if (*p == '/') {
            p++;

        } else if (p[-1] != '/') {
            return;
        }

        rest->data = p;
        rest->len = last - p;
    }
}


/* as nginx's own, but for the request line */

static u_char *
ngx_http_waha_redact_log_handler(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len)
{
    u_char                    *p;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    p = ngx_snprintf(buf, len, ", server: %V, request: \"%V\", location: "
                     "\"%V\"", &cscf->server_name, &r->method_name,
                     &clcf->name);

    if (r->headers_in.host) {
        len -= p - buf;

        p = ngx_snprintf(p, len, ", host: \"%V\"",
                         &r->headers_in.host->value);
    }

    return p;
}
