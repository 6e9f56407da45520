
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_claims.h>
#include <ngx_http_waha_value.h>


typedef struct {
    ngx_str_t    pattern_slug;
    ngx_str_t    pattern_id;
    ngx_str_t    query;
    ngx_str_t    organization;
    ngx_uint_t   from;
} ngx_http_waha_claims_t;


static void ngx_http_waha_claims_pattern(ngx_str_t *session,
    ngx_http_waha_claims_t *claims);
static ngx_int_t ngx_http_waha_claims_query(ngx_http_request_t *r,
    ngx_str_t *query);
static ngx_int_t ngx_http_waha_claims_print(ngx_http_request_t *r,
    ngx_http_waha_claims_t *claims, ngx_str_t *json);
static u_char *ngx_http_waha_claims_member(u_char *p, const char *name,
    ngx_str_t *value);


ngx_int_t
ngx_http_waha_claims(ngx_http_request_t *r, ngx_http_waha_event_t *event,
    ngx_str_t *json)
{
    ngx_http_waha_claims_t     claims;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    ngx_memzero(&claims, sizeof(ngx_http_waha_claims_t));

    claims.from = wlcf->tenant_from;
    claims.organization = wlcf->default_organization;

    if (!(claims.from & NGX_HTTP_WAHA_FROM_METADATA)) {
        ngx_str_null(&event->organization_slug);
        ngx_str_null(&event->organization_id);
        ngx_str_null(&event->tenant);
    }

    if (claims.from & NGX_HTTP_WAHA_FROM_PATTERN) {
        ngx_http_waha_claims_pattern(&event->session, &claims);
    }

    if (r->args.len
        && ngx_http_waha_claims_query(r, &claims.query) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_str_null(json);

    if (claims.pattern_slug.len == 0
        && claims.pattern_id.len == 0
        && claims.query.len == 0
        && claims.organization.len == 0
        && !(claims.from & NGX_HTTP_WAHA_FROM_SENDER))
    {
        return NGX_OK;
    }

    return ngx_http_waha_claims_print(r, &claims, json);
}


/* "tenant-<slug>" and "tenant_<id>" */

static void
ngx_http_waha_claims_pattern(ngx_str_t *session,
    ngx_http_waha_claims_t *claims)
{
    ngx_str_t  rest;

    if (session->len <= sizeof("tenant-") - 1
        || ngx_strncmp(session->data, "tenant", sizeof("tenant") - 1) != 0)
    {
        return;
    }

    rest.data = session->data + sizeof("tenant-") - 1;
    rest.len = session->len - (sizeof("tenant-") - 1);

    switch (session->data[sizeof("tenant") - 1]) {

    case '-':
        claims->pattern_slug = rest;
        break;

    case '_':
        claims->pattern_id = rest;
        break;
    }
}


static ngx_int_t
ngx_http_waha_claims_query(ngx_http_request_t *r, ngx_str_t *query)
{
    u_char     *dst, *src;
    ngx_str_t   value;

    if (ngx_http_arg(r, (u_char *) "org", 3, &value) != NGX_OK
        && ngx_http_arg(r, (u_char *) "tenant_id", 9, &value) != NGX_OK)
    {
        return NGX_OK;
    }

    if (value.len == 0) {
        return NGX_OK;
    }

    dst = ngx_pnalloc(r->pool, value.len);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    query->data = dst;
    src = value.data;

    ngx_unescape_uri(&dst, &src, value.len, 0);

    query->len = dst - query->data;

    /* what cannot be a slug names no organization */

    if (!ngx_http_waha_value_slug(query)) {
        ngx_str_set(query, "?");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_claims_print(ngx_http_request_t *r,
    ngx_http_waha_claims_t *claims, ngx_str_t *json)
{
    size_t   len;
    u_char  *p;

    /* a character takes six bytes at most when it is escaped */

    len = sizeof("{\"pattern_slug\":\"\",\"pattern_id\":\"\",\"query\":\"\","
                 "\"default\":\"\",\"query_trusted\":true,"
                 "\"sender\":true,}") - 1
          + 6 * (claims->pattern_slug.len + claims->pattern_id.len
                 + claims->query.len + claims->organization.len);

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    json->data = p;

    *p++ = '{';

    p = ngx_http_waha_claims_member(p, "pattern_slug", &claims->pattern_slug);
    p = ngx_http_waha_claims_member(p, "pattern_id", &claims->pattern_id);
    p = ngx_http_waha_claims_member(p, "query", &claims->query);
    p = ngx_http_waha_claims_member(p, "default", &claims->organization);

    if (claims->from & NGX_HTTP_WAHA_FROM_QUERY) {
        p = ngx_cpymem(p, "\"query_trusted\":true,",
                       sizeof("\"query_trusted\":true,") - 1);
    }

    if (claims->from & NGX_HTTP_WAHA_FROM_SENDER) {
        p = ngx_cpymem(p, "\"sender\":true,", sizeof("\"sender\":true,") - 1);
    }

    /* in place of the last comma */

    p[-1] = '}';

    json->len = p - json->data;

    return NGX_OK;
}


static u_char *
ngx_http_waha_claims_member(u_char *p, const char *name, ngx_str_t *value)
{
    if (value->len == 0) {
        return p;
    }

    p = ngx_sprintf(p, "\"%s\":\"", name);
    p = (u_char *) ngx_escape_json(p, value->data, value->len);
    *p++ = '"';
    *p++ = ',';

    return p;
}
