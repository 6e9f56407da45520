
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_api.h>


static void ngx_http_waha_api_query_done(ngx_http_request_t *r,
    ngx_http_waha_query_t *query);
static ngx_uint_t ngx_http_waha_api_missing(ngx_http_waha_error_e error);
static void ngx_http_waha_api_fetch_done(ngx_http_waha_fetch_t *fetch);


ngx_int_t
ngx_http_waha_api_query(ngx_http_waha_api_t *api,
    ngx_http_waha_statement_e statement,
    ngx_int_t (*next)(ngx_http_waha_api_t *api))
{
    ngx_int_t  rc;

    api->next = next;

    api->query.statement = statement;
    api->query.handler = ngx_http_waha_api_query_done;
    api->query.data = api;

    rc = ngx_http_waha_query(api->request, &api->query);

    ngx_memzero(api->query.args, sizeof(api->query.args));

    switch (rc) {

    case NGX_OK:
        return NGX_DONE;

    case NGX_DECLINED:
        return ngx_http_waha_error_send(api->request, api->query.error);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static void
ngx_http_waha_api_query_done(ngx_http_request_t *r,
    ngx_http_waha_query_t *query)
{
    ngx_int_t             rc;
    ngx_uint_t            tolerant;
    ngx_http_waha_api_t  *api;

    api = query->data;

    tolerant = api->tolerant && ngx_http_waha_api_missing(query->error);

    api->tolerant = 0;

    rc = (query->error && !tolerant)
         ? ngx_http_waha_error_send(r, query->error) : api->next(api);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


static ngx_uint_t
ngx_http_waha_api_missing(ngx_http_waha_error_e error)
{
    return ngx_http_waha_error_status(error) == NGX_HTTP_NOT_FOUND;
}


ngx_int_t
ngx_http_waha_api_call(ngx_http_waha_api_t *api,
    ngx_http_waha_instance_t *instance, ngx_uint_t method, ngx_str_t *path,
    ngx_str_t *body, ngx_int_t (*next)(ngx_http_waha_api_t *api))
{
    ngx_http_waha_fetch_request_t  *request;

    request = &api->outgoing;

    request->method = method;
    request->path = *path;

    if (body) {
        request->body = *body;

    } else {
        ngx_str_null(&request->body);
    }

    api->next = next;

    api->fetch.handler = ngx_http_waha_api_fetch_done;
    api->fetch.data = api;

    if (ngx_http_waha_fetch_start(api->request, &api->fetch, instance,
                                  request)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DONE;
}


static void
ngx_http_waha_api_fetch_done(ngx_http_waha_fetch_t *fetch)
{
    ngx_int_t             rc;
    ngx_uint_t            tolerant;
    ngx_http_waha_api_t  *api;

    api = fetch->data;

    tolerant = api->tolerant;

    api->tolerant = 0;
    ngx_str_null(&api->outgoing.args);
    ngx_str_null(&api->outgoing.accept);

    rc = (fetch->error && !tolerant)
         ? ngx_http_waha_error_send(api->request, fetch->error)
         : api->next(api);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(api->request, rc);
    }
}


ngx_int_t
ngx_http_waha_api_reply(ngx_http_waha_api_t *api)
{
    if (api->query.reply.data == NULL) {
        ngx_str_set(&api->query.reply, "null");
    }

    return ngx_http_waha_answer_data(api->request, &api->query.reply);
}


ngx_int_t
ngx_http_waha_api_statement(ngx_http_waha_api_t *api)
{
    ngx_str_t                       *value;
    const ngx_http_waha_route_t     *route;
    const ngx_http_waha_argument_t  *arg;

    route = api->route;
    value = api->query.args;

    if (!(route->access & NGX_HTTP_WAHA_ROUTE_GLOBAL)) {
        *value++ = api->organization.slug;
    }

    for (arg = route->args; arg && arg->name; arg++) {

        switch (ngx_http_waha_api_argument(api, arg->name, arg->kind, value)) {

        case NGX_OK:
            break;

        case NGX_DECLINED:
            return ngx_http_waha_api_invalid(api, arg->name);

        default:
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (value->data == NULL && arg->required) {
            return ngx_http_waha_api_invalid(api, arg->name);
        }

        value++;
    }

    return ngx_http_waha_api_query(api, route->statement,
                                   ngx_http_waha_api_reply);
}
