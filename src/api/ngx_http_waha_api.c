
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_api.h>


static void ngx_http_waha_api_query_done(ngx_http_waha_query_t *query);
static ngx_int_t ngx_http_waha_api_resume(void *data);
static ngx_uint_t ngx_http_waha_api_missing(ngx_http_waha_error_e error);
static void ngx_http_waha_api_fetch_done(ngx_http_waha_fetch_t *fetch);


ngx_int_t
ngx_http_waha_api_query(ngx_http_waha_api_t *api,
    ngx_http_waha_statement_e statement,
    ngx_int_t (*next)(ngx_http_waha_api_t *api))
{
    ngx_int_t                   rc;
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(api->request, ngx_http_waha_module);

    api->next = next;

    api->query.pool = api->request->pool;
    api->query.log = api->request->connection->log;
    api->query.handler = ngx_http_waha_api_query_done;
    api->query.data = api;

    rc = ngx_http_waha_query_start(wmcf->db, &api->query, statement,
                                   api->args);

    ngx_memzero(api->args, sizeof(api->args));

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
ngx_http_waha_api_query_done(ngx_http_waha_query_t *query)
{
    ngx_http_waha_api_t *api = query->data;

    ngx_http_waha_request_resume(api->request, ngx_http_waha_api_resume, api);
}


static ngx_int_t
ngx_http_waha_api_resume(void *data)
{
    ngx_http_waha_api_t *api = data;

    ngx_uint_t             tolerant;
    ngx_http_waha_error_e  error;

    error = api->query.error;
    tolerant = api->tolerant && ngx_http_waha_api_missing(error);

    api->tolerant = 0;

    return (error && !tolerant) ? ngx_http_waha_error_send(api->request, error)
                                : api->next(api);
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
    value = api->args;

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
