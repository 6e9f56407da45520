
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
#include <ngx_http_waha_request.h>


ngx_int_t
ngx_http_waha_api_statement(ngx_http_waha_api_t *api)
{
    ngx_str_t                        args[NGX_HTTP_WAHA_STATEMENT_ARGS];
    ngx_str_t                       *value;
    const ngx_http_waha_route_t     *route;
    const ngx_http_waha_argument_t  *arg;

    ngx_memzero(args, sizeof(args));

    route = api->route;
    value = args;

    if (!(route->flags & NGX_HTTP_WAHA_ROUTE_GLOBAL)) {
        *value++ = api->step.organization.slug;
    }

    for (arg = route->args; arg && arg->name; arg++) {

        switch (ngx_http_waha_argument_get(api, arg->name, arg->kind, value)) {

        case NGX_OK:
            break;

        case NGX_DECLINED:
            return ngx_http_waha_argument_refuse(api, arg->name);

        default:
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (value->data == NULL && arg->required) {
            return ngx_http_waha_argument_refuse(api, arg->name);
        }

        value++;
    }

    api->step.done = ngx_http_waha_api_reply;

    if (route->method == NGX_HTTP_GET) {
        ngx_http_waha_request_watch(api->step.request);
    }

    return ngx_http_waha_step_query(&api->step, route->statement, args,
                                    ngx_http_waha_step_succeed);
}


ngx_int_t
ngx_http_waha_api_error(ngx_http_waha_step_t *step)
{
    ngx_str_t  *data;

    /* the error may be another one than that of the last query */

    data = (step->error == step->query.error && step->query.reply.data)
           ? &step->query.reply : NULL;

    return ngx_http_waha_error_send_data(step->request, step->error, data);
}


ngx_int_t
ngx_http_waha_api_reply(ngx_http_waha_step_t *step)
{
    ngx_http_waha_api_t *api = step->data;

    if (step->error) {
        return ngx_http_waha_api_error(step);
    }

    if (api->route->flags & NGX_HTTP_WAHA_ROUTE_MEMBERS) {
        return ngx_http_waha_answer_members(step->request,
                                            &step->query.reply);
    }

    if (step->query.reply.data == NULL) {
        ngx_str_set(&step->query.reply, "null");
    }

    return ngx_http_waha_answer_data(step->request, &step->query.reply);
}
