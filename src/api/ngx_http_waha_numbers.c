
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_argument.h>
#include <ngx_http_waha_number.h>
#include <ngx_http_waha_number_connect.h>
#include <ngx_http_waha_number_control.h>
#include <ngx_http_waha_number_view.h>
#include <ngx_http_waha_numbers.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_sessions.h>


/* an argument, and where its value goes */

typedef struct {
    const char                *name;
    ngx_http_waha_argument_e   kind;
    ngx_str_t                 *value;
    ngx_uint_t                 required;
} ngx_http_waha_numbers_argument_t;


static ngx_int_t ngx_http_waha_numbers_start(ngx_http_waha_api_t *api,
    ngx_uint_t signup);
static ngx_int_t ngx_http_waha_numbers_read(ngx_http_waha_api_t *api,
    ngx_http_waha_numbers_argument_t *args, const char **invalid);
static ngx_int_t ngx_http_waha_numbers_find(ngx_http_waha_api_t *api,
    ngx_http_waha_step_pt plan);
static ngx_int_t ngx_http_waha_numbers_found(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt plan);
static ngx_int_t ngx_http_waha_numbers_on_connected(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_numbers_on_status(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_numbers_on_disconnected(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_numbers_on_found(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_numbers_error(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_numbers_answer(ngx_http_waha_step_t *step,
    ngx_http_waha_number_view_e form);


ngx_int_t
ngx_http_waha_numbers_connect(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_numbers_start(api, 0);
}


ngx_int_t
ngx_http_waha_numbers_signup(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_numbers_start(api, 1);
}


static ngx_int_t
ngx_http_waha_numbers_start(ngx_http_waha_api_t *api, ngx_uint_t signup)
{
    const char                        *invalid;
    ngx_http_waha_join_t              *join;
    ngx_http_waha_number_t            *n;
    ngx_http_waha_numbers_argument_t   args[8];

    join = ngx_pcalloc(api->step.request->pool, sizeof(ngx_http_waha_join_t));

    if (join == NULL || ngx_http_waha_number_create(&api->step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    n = api->step.number;
    n->join = join;

    ngx_memzero(args, sizeof(args));

    args[0] = (ngx_http_waha_numbers_argument_t)
              { "phoneNumberId", NGX_HTTP_WAHA_ARG_DIGITS, &n->id, 1 };
    args[1] = (ngx_http_waha_numbers_argument_t)
              { "wabaId", NGX_HTTP_WAHA_ARG_DIGITS, &n->account, 0 };
    args[2] = (ngx_http_waha_numbers_argument_t)
              { "verifyToken", NGX_HTTP_WAHA_ARG_SECRET, &join->verify_token,
                0 };
    args[3] = (ngx_http_waha_numbers_argument_t)
              { "label", NGX_HTTP_WAHA_ARG_TEXT, &join->label, 0 };
    args[4] = signup
              ? (ngx_http_waha_numbers_argument_t)
                { "code", NGX_HTTP_WAHA_ARG_SECRET, &join->code, 1 }
              : (ngx_http_waha_numbers_argument_t)
                { "accessToken", NGX_HTTP_WAHA_ARG_SECRET, &n->token, 1 };

    if (!signup) {
        args[5] = (ngx_http_waha_numbers_argument_t)
                  { "appSecret", NGX_HTTP_WAHA_ARG_SECRET, &n->secret, 0 };
    }

    switch (ngx_http_waha_numbers_read(api, args, &invalid)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_http_waha_argument_refuse(api, invalid);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    n->own_secret = (n->secret.len != 0);

    api->step.done = ngx_http_waha_numbers_on_connected;

    return ngx_http_waha_sessions_enable(&api->step,
                                         ngx_http_waha_number_connect);
}


/* NGX_DECLINED: *invalid is the name of an argument that is not valid */

static ngx_int_t
ngx_http_waha_numbers_read(ngx_http_waha_api_t *api,
    ngx_http_waha_numbers_argument_t *args, const char **invalid)
{
    ngx_int_t  rc;

    for ( /* void */ ; args->name; args++) {

        *invalid = args->name;

        rc = ngx_http_waha_argument_get(api, args->name, args->kind,
                                        args->value);
        if (rc != NGX_OK) {
            return rc;
        }

        if (args->value->data == NULL && args->required) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_numbers_on_connected(ngx_http_waha_step_t *step)
{
    ngx_http_waha_api_t *api = step->data;

    return ngx_http_waha_numbers_answer(step,
                                        (api->route->flags
                                         & NGX_HTTP_WAHA_ROUTE_PROVIDER)
                                        ? NGX_HTTP_WAHA_NUMBER_VIEW_DATA
                                        : NGX_HTTP_WAHA_NUMBER_VIEW_CONNECT);
}


ngx_int_t
ngx_http_waha_numbers_status(ngx_http_waha_api_t *api)
{
    api->step.done = ngx_http_waha_numbers_on_status;

    return ngx_http_waha_numbers_find(api, ngx_http_waha_number_control_show);
}


static ngx_int_t
ngx_http_waha_numbers_on_status(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_numbers_answer(step,
                                        NGX_HTTP_WAHA_NUMBER_VIEW_STATUS);
}


ngx_int_t
ngx_http_waha_numbers_disconnect(ngx_http_waha_api_t *api)
{
    api->step.done = ngx_http_waha_numbers_on_disconnected;

    return ngx_http_waha_numbers_find(api,
                                      ngx_http_waha_number_control_disconnect);
}


static ngx_int_t
ngx_http_waha_numbers_on_disconnected(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_numbers_answer(step,
                                        NGX_HTTP_WAHA_NUMBER_VIEW_DISCONNECT);
}


static ngx_int_t
ngx_http_waha_numbers_find(ngx_http_waha_api_t *api,
    ngx_http_waha_step_pt plan)
{
    if (ngx_http_waha_number_create(&api->step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    switch (ngx_http_waha_argument_get(api, "phoneNumberId",
                                       NGX_HTTP_WAHA_ARG_DIGITS,
                                       &api->step.number->id))
    {
    case NGX_OK:
        return plan(&api->step);

    case NGX_DECLINED:
        return ngx_http_waha_argument_refuse(api, "phoneNumberId");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


ngx_int_t
ngx_http_waha_numbers_show_found(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_numbers_found(step,
                                       ngx_http_waha_number_control_show);
}


ngx_int_t
ngx_http_waha_numbers_refresh_found(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_numbers_found(step,
                                       ngx_http_waha_number_control_refresh);
}


ngx_int_t
ngx_http_waha_numbers_logout_found(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_numbers_found(step,
                                      ngx_http_waha_number_control_disconnect);
}


ngx_int_t
ngx_http_waha_numbers_delete_found(ngx_http_waha_step_t *step)
{
    if (ngx_http_waha_number_create(step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    step->number->id = step->session->name;
    step->done = ngx_http_waha_numbers_reply;

    return ngx_http_waha_number_control_delete(step);
}


static ngx_int_t
ngx_http_waha_numbers_found(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt plan)
{
    if (ngx_http_waha_number_create(step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    step->number->id = step->session->name;
    step->done = ngx_http_waha_numbers_on_found;

    return plan(step);
}


/* routes of other guides have their own forms of a session */

static ngx_int_t
ngx_http_waha_numbers_on_found(ngx_http_waha_step_t *step)
{
    ngx_http_waha_api_t *api = step->data;

    ngx_http_waha_session_t  *s;

    if (step->error || api->route->view == NGX_HTTP_WAHA_VIEW_DATA) {
        return ngx_http_waha_numbers_answer(step,
                                            NGX_HTTP_WAHA_NUMBER_VIEW_DATA);
    }

    s = step->session;

    s->row = step->number->row ? step->number->session : NULL;
    s->stale = step->number->stale;
    s->still_linked = step->number->subscribed;

    return ngx_http_waha_sessions_answer_view(step);
}


ngx_int_t
ngx_http_waha_numbers_reply(ngx_http_waha_step_t *step)
{
    return step->error ? ngx_http_waha_numbers_error(step)
                       : ngx_http_waha_api_reply(step);
}


static ngx_int_t
ngx_http_waha_numbers_answer(ngx_http_waha_step_t *step,
    ngx_http_waha_number_view_e form)
{
    ngx_str_t                json;
    ngx_http_waha_number_t  *n;

    n = step->number;

    if (step->error) {
        return ngx_http_waha_numbers_error(step);
    }

    if (ngx_http_waha_number_view(step->request->pool, form, n, &json)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_answer_json(step->request, NGX_HTTP_OK, &json);
}


static ngx_int_t
ngx_http_waha_numbers_error(ngx_http_waha_step_t *step)
{
    ngx_http_waha_number_t  *n;

    n = step->number;

    return (n && n->details.data)
           ? ngx_http_waha_error_send_data(step->request, step->error,
                                           &n->details)
           : ngx_http_waha_api_error(step);
}
