
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_api.h>
#include <ngx_http_waha_argument.h>
#include <ngx_http_waha_auth_lookup.h>
#include <ngx_http_waha_cors.h>
#include <ngx_http_waha_dispatch.h>
#include <ngx_http_waha_error.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_qr_link.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_route.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


static ngx_http_waha_api_t *ngx_http_waha_dispatch_create(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_waha_dispatch_admit(ngx_http_waha_api_t *api,
    ngx_http_waha_error_e *error);
static ngx_int_t ngx_http_waha_dispatch_open_link(ngx_http_waha_api_t *api,
    ngx_http_waha_error_e *error);
static ngx_uint_t ngx_http_waha_dispatch_is_forbidden(
    ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_dispatch_organization(ngx_http_waha_api_t *api,
    ngx_http_waha_error_e *error);
static ngx_uint_t ngx_http_waha_dispatch_is_name(u_char *name, size_t len);
static ngx_int_t ngx_http_waha_dispatch_check_name(ngx_http_waha_api_t *api,
    ngx_str_t *name, ngx_http_waha_error_e *error);
static ngx_int_t ngx_http_waha_dispatch_error(ngx_http_waha_api_t *api,
    ngx_http_waha_error_e error);
static ngx_int_t ngx_http_waha_dispatch_allow(ngx_http_waha_api_t *api);

static void ngx_http_waha_dispatch_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_waha_dispatch_process(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_dispatch_body(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_dispatch_run(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_dispatch_find(ngx_http_waha_api_t *api,
    ngx_http_waha_statement_e statement, ngx_str_t *name);
static ngx_int_t ngx_http_waha_dispatch_on_found(ngx_http_waha_step_t *step);


/* names that clients give the organization in a query or a body */

static ngx_str_t  ngx_http_waha_dispatch_names[] = {
    ngx_string("organization"),
    ngx_string("organization_slug"),
    ngx_string("organizationSlug"),
    ngx_string("org"),
    ngx_string("tenant_id"),
    ngx_string("tenantId"),
    ngx_string("companyId"),
    ngx_string("user_id"),
    ngx_string("userId"),
    ngx_null_string
};


ngx_int_t
ngx_http_waha_dispatch_access(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_waha_ctx_t    *ctx;
    ngx_http_waha_error_e   error;

    ctx = ngx_http_waha_request_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* the phase runs again when the database has answered */

    if (ctx->api == NULL) {

        ctx->api = ngx_http_waha_dispatch_create(r);
        if (ctx->api == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ctx->api->preflight) {
        return NGX_OK;
    }

    rc = ngx_http_waha_dispatch_admit(ctx->api, &error);

    switch (rc) {

    case NGX_OK:
        ctx->api->admitted = 1;
        return NGX_OK;

    case NGX_AGAIN:
        return NGX_AGAIN;

    case NGX_DECLINED:
        break;

    default:
        error = NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY;
        break;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc == NGX_OK) {
        rc = ngx_http_waha_dispatch_error(ctx->api, error);
    }

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


static ngx_http_waha_api_t *
ngx_http_waha_dispatch_create(ngx_http_request_t *r)
{
    ngx_http_waha_ctx_t  *ctx;
    ngx_http_waha_api_t  *api;

    api = ngx_pcalloc(r->pool, sizeof(ngx_http_waha_api_t));
    if (api == NULL) {
        return NULL;
    }

    api->step.request = r;
    api->step.data = api;

    if (ngx_http_waha_argument_read_query(api) != NGX_OK
        || ngx_http_waha_answer_header(r, "Cache-Control", "no-store")
           == NULL
        || ngx_http_waha_cors_add_headers(r) != NGX_OK)
    {
        return NULL;
    }

    api->preflight = ngx_http_waha_cors_is_preflight(r);

    api->found = ngx_http_waha_route_find(r->method, &r->uri, &api->route,
                                          api->params, &api->methods);

    if (api->found == NGX_OK) {
        ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

        ctx->action.data = (u_char *) api->route->path;
        ctx->action.len = ngx_strlen(api->route->path);
    }

    return api;
}


static ngx_int_t
ngx_http_waha_dispatch_admit(ngx_http_waha_api_t *api,
    ngx_http_waha_error_e *error)
{
    ngx_int_t  rc;

    if (api->found == NGX_OK
        && (api->route->flags & NGX_HTTP_WAHA_ROUTE_SIGNED))
    {
        return ngx_http_waha_dispatch_open_link(api, error);
    }

    /* only those who may call learn which routes there are */

    rc = ngx_http_waha_auth(api->step.request, &api->step.principal, error);

    if (rc != NGX_OK) {
        return rc;
    }

    if (api->found != NGX_OK) {
        *error = (api->found == NGX_ABORT)
                 ? NGX_HTTP_WAHA_ERR_METHOD_NOT_ALLOWED
                 : NGX_HTTP_WAHA_ERR_UNKNOWN_ROUTE;
        return NGX_DECLINED;
    }

    if (ngx_http_waha_dispatch_is_forbidden(api)) {
        *error = NGX_HTTP_WAHA_ERR_FORBIDDEN;
        return NGX_DECLINED;
    }

    if (api->route->flags & NGX_HTTP_WAHA_ROUTE_GLOBAL) {
        return NGX_OK;
    }

    return ngx_http_waha_dispatch_organization(api, error);
}


static ngx_int_t
ngx_http_waha_dispatch_open_link(ngx_http_waha_api_t *api,
    ngx_http_waha_error_e *error)
{
    ngx_int_t                 rc;
    ngx_str_t                 text;
    ngx_http_waha_ctx_t      *ctx;
    ngx_http_request_t       *r;
    ngx_http_waha_qr_link_t  *link;

    r = api->step.request;

    link = ngx_palloc(r->pool, sizeof(ngx_http_waha_qr_link_t));
    api->step.principal = ngx_pcalloc(r->pool,
                                      sizeof(ngx_http_waha_principal_t));

    if (link == NULL || api->step.principal == NULL) {
        return NGX_ERROR;
    }

    text = ngx_http_waha_argument_param(api, "link");

    rc = ngx_http_waha_qr_link_open(r, &text, link);

    if (rc != NGX_OK) {
        *error = NGX_HTTP_WAHA_ERR_UNAUTHORIZED;
        return rc;
    }

    api->link = link;
    api->step.organization.slug = link->organization;
    api->step.principal->organization = api->step.organization;
    ngx_str_set(&api->step.principal->actor, "tenant link ");

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);
    ctx->organization = link->organization;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_waha_dispatch_is_forbidden(ngx_http_waha_api_t *api)
{
    ngx_uint_t                  flags;
    ngx_http_waha_principal_t  *principal;

    flags = api->route->flags;
    principal = api->step.principal;

    if (((flags & NGX_HTTP_WAHA_ROUTE_READ) && !principal->read)
        || ((flags & NGX_HTTP_WAHA_ROUTE_WRITE) && !principal->write)
        || ((flags & NGX_HTTP_WAHA_ROUTE_OPERATOR) && !principal->operator))
    {
        return 1;
    }

    return (flags & NGX_HTTP_WAHA_ROUTE_WRITE)
           && principal->ambient
           && ngx_http_waha_cors_is_foreign(api->step.request);
}


/* path, query and body may each name the organization, but the same one */

static ngx_int_t
ngx_http_waha_dispatch_organization(ngx_http_waha_api_t *api,
    ngx_http_waha_error_e *error)
{
    ngx_int_t      rc;
    ngx_str_t      name;
    ngx_uint_t     i;
    ngx_keyval_t  *arg;

    if (!api->step.principal->operator) {
        api->step.organization = api->step.principal->organization;
    }

    name = ngx_http_waha_argument_param(api, "organization");

    if (name.data) {
        rc = ngx_http_waha_dispatch_check_name(api, &name, error);

        if (rc == NGX_DECLINED
            && *error == NGX_HTTP_WAHA_ERR_UNKNOWN_ORGANIZATION
            && (api->route->flags & NGX_HTTP_WAHA_ROUTE_CREATE)
            && ngx_http_waha_value_is_slug(&name))
        {
            api->missing = name;
            rc = NGX_OK;
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    arg = api->query_args->elts;

    for (i = 0; i < api->query_args->nelts; i++) {

        if (arg[i].value.data == NULL
            || !ngx_http_waha_dispatch_is_name(arg[i].key.data, arg[i].key.len))
        {
            continue;
        }

        rc = ngx_http_waha_dispatch_check_name(api, &arg[i].value, error);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_waha_dispatch_is_name(u_char *name, size_t len)
{
    ngx_str_t  *known;

    for (known = ngx_http_waha_dispatch_names; known->len; known++) {

        if (known->len == len
            && ngx_strncmp(known->data, name, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_waha_dispatch_check_name(ngx_http_waha_api_t *api, ngx_str_t *name,
    ngx_http_waha_error_e *error)
{
    ngx_int_t             rc;
    ngx_http_waha_ctx_t  *ctx;

    if (api->missing.data) {

        if (ngx_http_waha_string_is_equal(name, &api->missing)) {
            return NGX_OK;
        }

        *error = NGX_HTTP_WAHA_ERR_FORBIDDEN;
        return NGX_DECLINED;
    }

    if (api->step.organization.slug.data) {

        if (ngx_http_waha_string_is_equal(name, &api->step.organization.slug)
            || ngx_http_waha_string_is_equal(name, &api->step.organization.id))
        {
            return NGX_OK;
        }

        *error = NGX_HTTP_WAHA_ERR_FORBIDDEN;
        return NGX_DECLINED;
    }

    rc = ngx_http_waha_auth_find_organization(api->step.request, name,
                                              &api->step.organization, error);

    if (rc == NGX_OK) {
        ctx = ngx_http_get_module_ctx(api->step.request, ngx_http_waha_module);
        ctx->organization = api->step.organization.slug;
    }

    return rc;
}


static ngx_int_t
ngx_http_waha_dispatch_error(ngx_http_waha_api_t *api,
    ngx_http_waha_error_e error)
{
    ngx_uint_t  status;

    status = ngx_http_waha_error_status(error);

    if (status == NGX_HTTP_UNAUTHORIZED
        && ngx_http_waha_auth_challenge(api->step.request) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (status == NGX_HTTP_NOT_ALLOWED
        && ngx_http_waha_dispatch_allow(api) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_error_send(api->step.request, error);
}


static ngx_int_t
ngx_http_waha_dispatch_allow(ngx_http_waha_api_t *api)
{
    u_char  *p, *allow;

    allow = ngx_pnalloc(api->step.request->pool,
                        sizeof(", GET, HEAD, POST, PUT, DELETE"));
    if (allow == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(allow, "%s%s%s%s%Z",
                    (api->methods & NGX_HTTP_GET) ? ", GET, HEAD" : "",
                    (api->methods & NGX_HTTP_POST) ? ", POST" : "",
                    (api->methods & NGX_HTTP_PUT) ? ", PUT" : "",
                    (api->methods & NGX_HTTP_DELETE) ? ", DELETE" : "");

    p = allow + sizeof(", ") - 1;

    return ngx_http_waha_answer_header(api->step.request, "Allow", (char *) p)
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_waha_dispatch_handler(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_waha_request_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->api && ctx->api->preflight) {
        return ngx_http_waha_cors_send_preflight(r);
    }

    /* the access phase was skipped: "satisfy any", or a subrequest */

    if (ctx->api == NULL || !ctx->api->admitted) {

        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        if (ngx_http_waha_auth_challenge(r) != NGX_OK
            || ngx_http_waha_answer_header(r, "Cache-Control", "no-store")
               == NULL)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_waha_error_send(r, NGX_HTTP_WAHA_ERR_UNAUTHORIZED);
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r,
                                       ngx_http_waha_dispatch_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_waha_dispatch_body_handler(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    rc = ngx_http_waha_dispatch_process(ctx->api);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, ngx_http_waha_error_result(r, rc));
    }
}


static ngx_int_t
ngx_http_waha_dispatch_process(ngx_http_waha_api_t *api)
{
    switch (ngx_http_waha_dispatch_body(api)) {

    case NGX_OK:
        return ngx_http_waha_dispatch_run(api);

    case NGX_DECLINED:
        return ngx_http_waha_error_send(api->step.request,
                                        NGX_HTTP_WAHA_ERR_INVALID_REQUEST);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


/* NGX_DECLINED: not a JSON object */

static ngx_int_t
ngx_http_waha_dispatch_body(ngx_http_waha_api_t *api)
{
    ngx_int_t            rc;
    ngx_uint_t           replaced;
    ngx_http_request_t  *r;

    r = api->step.request;

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        return NGX_OK;
    }

    if (ngx_http_waha_request_body(r, &api->text) != NGX_OK) {
        return NGX_ERROR;
    }

    if (api->text.len == 0) {
        return NGX_OK;
    }

    replaced = 0;

    rc = ngx_http_waha_json_clean(r->pool, &api->text, &replaced);

    if (rc != NGX_OK) {
        return rc;
    }

    if (replaced) {
        return NGX_DECLINED;
    }

    rc = ngx_http_waha_json_parse(r->pool, &api->text, &api->body);

    if (rc != NGX_OK) {
        return rc;
    }

    return cJSON_IsObject(api->body) ? NGX_OK : NGX_DECLINED;
}


/* the operation runs once the body names no other organization */

static ngx_int_t
ngx_http_waha_dispatch_run(ngx_http_waha_api_t *api)
{
    cJSON                  *item;
    ngx_int_t               rc;
    ngx_str_t               name;
    ngx_pool_t             *pool;
    ngx_http_waha_error_e   error;

    pool = api->step.request->pool;

    if (api->route->flags & NGX_HTTP_WAHA_ROUTE_GLOBAL) {
        return api->route->handler(api);
    }

    for (item = api->body ? api->body->child : NULL; item; item = item->next) {

        if (cJSON_IsNull(item)
            || !ngx_http_waha_dispatch_is_name((u_char *) item->string,
                                               ngx_strlen(item->string)))
        {
            continue;
        }

        rc = ngx_http_waha_argument_member(api, item, &name);

        if (rc == NGX_OK
            && api->step.organization.slug.data == NULL
            && api->missing.data == NULL)
        {
            rc = ngx_http_waha_argument_check(pool, NGX_HTTP_WAHA_ARG_SLUG,
                                              &name);

            if (rc == NGX_OK) {
                return ngx_http_waha_dispatch_find(api,
                                               NGX_HTTP_WAHA_FIND_ORGANIZATION,
                                               &name);
            }
        }

        if (rc == NGX_DECLINED) {
            return ngx_http_waha_argument_refuse(api, item->string);
        }

        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (ngx_http_waha_dispatch_check_name(api, &name, &error) != NGX_OK) {
            return ngx_http_waha_dispatch_error(api, error);
        }
    }

    if (api->missing.data) {
        return ngx_http_waha_dispatch_find(api,
                                           NGX_HTTP_WAHA_ENSURE_ORGANIZATION,
                                           &api->missing);
    }

    if (api->step.organization.slug.data == NULL) {
        return ngx_http_waha_argument_refuse(api, "organization");
    }

    return api->route->handler(api);
}


static ngx_int_t
ngx_http_waha_dispatch_find(ngx_http_waha_api_t *api,
    ngx_http_waha_statement_e statement, ngx_str_t *name)
{
    api->step.done = ngx_http_waha_api_reply;

    return ngx_http_waha_step_query(&api->step, statement, name,
                                    ngx_http_waha_dispatch_on_found);
}


static ngx_int_t
ngx_http_waha_dispatch_on_found(ngx_http_waha_step_t *step)
{
    ngx_http_waha_api_t *api = step->data;

    cJSON                *json;
    ngx_int_t             rc;
    ngx_pool_t           *pool;
    ngx_http_waha_ctx_t  *ctx;

    pool = step->request->pool;

    rc = ngx_http_waha_json_parse(pool, &step->query.reply, &json);

    if (rc == NGX_OK) {
        rc = ngx_http_waha_auth_lookup_parse_organization(pool,
                                                          &step->query.reply,
                                                          json,
                                                          &step->organization);
    }

    if (rc != NGX_OK) {
        return ngx_http_waha_step_end(step,
                                      (rc == NGX_DECLINED)
                                      ? NGX_HTTP_WAHA_ERR_DATABASE_SETUP
                                      : NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY);
    }

    ctx = ngx_http_get_module_ctx(step->request, ngx_http_waha_module);
    ctx->organization = step->organization.slug;

    ngx_str_null(&api->missing);

    /* the body may name an organization more than once */

    return ngx_http_waha_dispatch_run(api);
}
