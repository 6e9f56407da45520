
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_fetch_conf.h>
#include <ngx_http_waha_intake_conf.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_sources.h>
#include <ngx_http_waha_value.h>


#define NGX_HTTP_WAHA_SOURCES_SIZE  256


typedef struct {
    ngx_str_t    pattern_slug;
    ngx_str_t    pattern_id;
    ngx_str_t    query;
    ngx_str_t    organization;
    ngx_uint_t   from;

    /* the API makes the sessions, so no event adds one */
    ngx_uint_t   closed;
} ngx_http_waha_sources_t;


static void ngx_http_waha_sources_pattern(ngx_str_t *session,
    ngx_http_waha_sources_t *sources);
static ngx_int_t ngx_http_waha_sources_query(ngx_http_request_t *r,
    ngx_str_t *query);
static ngx_str_t *ngx_http_waha_sources_arg(ngx_array_t *args,
    const char *name);
static ngx_int_t ngx_http_waha_sources_print(ngx_http_request_t *r,
    ngx_http_waha_sources_t *sources, ngx_str_t *json);
static void ngx_http_waha_sources_member(ngx_http_waha_json_out_t *out,
    const char *name, ngx_str_t *value);


ngx_int_t
ngx_http_waha_sources_collect(ngx_http_request_t *r,
    ngx_http_waha_event_t *event)
{
    ngx_http_waha_sources_t    sources;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    ngx_memzero(&sources, sizeof(ngx_http_waha_sources_t));

    sources.from = wlcf->intake->tenant_from;
    sources.organization = wlcf->intake->default_organization;
    sources.closed = (event->kind == NGX_HTTP_WAHA_SESSION
                      && wlcf->fetch->instances != NULL);

    if (!(sources.from & NGX_HTTP_WAHA_FROM_METADATA)) {
        ngx_str_null(&event->organization_slug);
        ngx_str_null(&event->organization_id);
        ngx_str_null(&event->tenant);
    }

    if (sources.from & NGX_HTTP_WAHA_FROM_PATTERN) {
        ngx_http_waha_sources_pattern(&event->session, &sources);
    }

    if (r->args.len
        && ngx_http_waha_sources_query(r, &sources.query) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_str_null(&event->sources);

    if (sources.pattern_slug.len == 0
        && sources.pattern_id.len == 0
        && sources.query.len == 0
        && sources.organization.len == 0
        && !sources.closed
        && !(sources.from & NGX_HTTP_WAHA_FROM_SENDER))
    {
        return NGX_OK;
    }

    return ngx_http_waha_sources_print(r, &sources, &event->sources);
}


/* "tenant-<slug>" and "tenant_<id>" */

static void
ngx_http_waha_sources_pattern(ngx_str_t *session,
    ngx_http_waha_sources_t *sources)
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
        sources->pattern_slug = rest;
        break;

    case '_':
        sources->pattern_id = rest;
        break;
    }
}


static ngx_int_t
ngx_http_waha_sources_query(ngx_http_request_t *r, ngx_str_t *query)
{
    ngx_str_t    *value;
    ngx_array_t  *args;

    if (ngx_http_waha_value_parse_query(r->pool, &r->args, &args) != NGX_OK) {
        return NGX_ERROR;
    }

    value = ngx_http_waha_sources_arg(args, "org");

    if (value == NULL) {
        value = ngx_http_waha_sources_arg(args, "tenant_id");
    }

    if (value == NULL || value->len == 0) {
        return NGX_OK;
    }

    *query = *value;

    /* a name that no organization can have: it contradicts any session */

    if (!ngx_http_waha_value_is_slug(query)) {
        ngx_str_set(query, "?");
    }

    return NGX_OK;
}


/* the first argument of that name, in any case; NULL: there is none */

static ngx_str_t *
ngx_http_waha_sources_arg(ngx_array_t *args, const char *name)
{
    size_t         len;
    ngx_uint_t     i;
    ngx_keyval_t  *arg;

    len = ngx_strlen(name);
    arg = args->elts;

    for (i = 0; i < args->nelts; i++) {

        if (arg[i].value.data
            && arg[i].key.len == len
            && ngx_strncasecmp(arg[i].key.data, (u_char *) name, len) == 0)
        {
            return &arg[i].value;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_waha_sources_print(ngx_http_request_t *r,
    ngx_http_waha_sources_t *sources, ngx_str_t *json)
{
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, r->pool, NGX_HTTP_WAHA_SOURCES_SIZE);

    ngx_http_waha_json_open(&out, NULL, '{');

    ngx_http_waha_sources_member(&out, "pattern_slug", &sources->pattern_slug);
    ngx_http_waha_sources_member(&out, "pattern_id", &sources->pattern_id);
    ngx_http_waha_sources_member(&out, "query", &sources->query);
    ngx_http_waha_sources_member(&out, "default", &sources->organization);

    if (sources->from & NGX_HTTP_WAHA_FROM_QUERY) {
        ngx_http_waha_json_put_bool(&out, "query_trusted", 1);
    }

    if (sources->from & NGX_HTTP_WAHA_FROM_SENDER) {
        ngx_http_waha_json_put_bool(&out, "sender", 1);
    }

    if (sources->closed) {
        ngx_http_waha_json_put_bool(&out, "closed", 1);
    }

    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_json_end(&out, json);
}


static void
ngx_http_waha_sources_member(ngx_http_waha_json_out_t *out, const char *name,
    ngx_str_t *value)
{
    if (value->len) {
        ngx_http_waha_json_put(out, name, value);
    }
}
