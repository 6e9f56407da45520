
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_api_conf.h>
#include <ngx_http_waha_cors.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_CORS_MAX_AGE  "600"


static ngx_uint_t ngx_http_waha_cors_is_other_host(ngx_http_request_t *r);
static ngx_str_t *ngx_http_waha_cors_find_origin(ngx_http_request_t *r);


static ngx_str_t  ngx_http_waha_cors_header = ngx_string("origin");


ngx_int_t
ngx_http_waha_cors_add_headers(ngx_http_request_t *r)
{
    ngx_str_t                 *origin;
    ngx_http_waha_loc_conf_t  *wlcf;

    origin = ngx_http_waha_cors_find_origin(r);

    if (origin == NULL) {
        return NGX_OK;
    }

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    if (wlcf->api->cors_credentials
        && ngx_http_waha_answer_header(r, "Access-Control-Allow-Credentials",
                                       "true")
           == NULL)
    {
        return NGX_ERROR;
    }

    /* strings of the configuration end with NUL */

    if (ngx_http_waha_answer_header(r, "Access-Control-Allow-Origin",
                                    (char *) origin->data)
        == NULL
        || ngx_http_waha_answer_header(r, "Vary", "Origin") == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_waha_cors_is_preflight(ngx_http_request_t *r)
{
    ngx_str_t                  origin;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    return r->method == NGX_HTTP_OPTIONS
           && wlcf->api->cors_origins
           && wlcf->api->cors_origins->nelts
           && ngx_http_waha_request_header(r, &ngx_http_waha_cors_header,
                                           &origin)
              == NGX_OK;
}


ngx_int_t
ngx_http_waha_cors_send_preflight(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_waha_cors_find_origin(r)
        && (ngx_http_waha_answer_header(r, "Access-Control-Allow-Methods",
                                        "GET, HEAD, POST, PUT, DELETE")
            == NULL
            || ngx_http_waha_answer_header(r, "Access-Control-Allow-Headers",
                                           "Authorization, Content-Type")
               == NULL
            || ngx_http_waha_answer_header(r, "Access-Control-Max-Age",
                                           NGX_HTTP_WAHA_CORS_MAX_AGE)
               == NULL))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


ngx_uint_t
ngx_http_waha_cors_is_foreign(ngx_http_request_t *r)
{
    ngx_int_t  rc;
    ngx_str_t  site;

    static ngx_str_t  name = ngx_string("sec-fetch-site");

    if (ngx_http_waha_cors_find_origin(r)) {
        return 0;
    }

    rc = ngx_http_waha_request_header(r, &name, &site);

    if (rc == NGX_DECLINED) {
        /* old browsers, and all without TLS, do not send the header */
        return ngx_http_waha_cors_is_other_host(r);
    }

    return rc != NGX_OK
           || (!ngx_http_waha_string_is(&site, "same-origin")
               && !ngx_http_waha_string_is(&site, "none"));
}


static ngx_uint_t
ngx_http_waha_cors_is_other_host(ngx_http_request_t *r)
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   origin, *host;

    rc = ngx_http_waha_request_header(r, &ngx_http_waha_cors_header, &origin);

    if (rc != NGX_OK || r->headers_in.host == NULL) {
        return rc != NGX_DECLINED;
    }

    host = &r->headers_in.host->value;

    p = ngx_strlcasestrn(origin.data, origin.data + origin.len,
                         (u_char *) "://", 3 - 1);
    if (p == NULL) {
        /* a page without an origin, which browsers call "null" */
        return 1;
    }

    p += 3;

    return (size_t) (origin.data + origin.len - p) != host->len
           || ngx_strncasecmp(p, host->data, host->len) != 0;
}


/* the origin of the request if it is allowed, as configured; else NULL */

static ngx_str_t *
ngx_http_waha_cors_find_origin(ngx_http_request_t *r)
{
    ngx_str_t                 *allowed, origin;
    ngx_uint_t                 i;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    if (wlcf->api->cors_origins == NULL
        || ngx_http_waha_request_header(r, &ngx_http_waha_cors_header, &origin)
           != NGX_OK)
    {
        return NULL;
    }

    allowed = wlcf->api->cors_origins->elts;

    for (i = 0; i < wlcf->api->cors_origins->nelts; i++) {

        if (ngx_http_waha_string_is_equal(&allowed[i], &origin)) {
            return &allowed[i];
        }
    }

    return NULL;
}
