
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_argument.h>
#include <ngx_http_waha_connect.h>
#include <ngx_http_waha_control.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_qr.h>
#include <ngx_http_waha_numbers.h>
#include <ngx_http_waha_qr_link.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_session_conf.h>
#include <ngx_http_waha_sessions.h>
#include <ngx_http_waha_string.h>


static ngx_int_t ngx_http_waha_sessions_on_list(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_sessions_show_found(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_sessions_refresh_found(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_sessions_logout_found(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_sessions_delete_found(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_sessions_on_enabled(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_sessions_find_any(ngx_http_waha_api_t *api,
    ngx_http_waha_step_pt then, ngx_http_waha_step_pt number_plan);
static ngx_int_t ngx_http_waha_sessions_on_row(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_sessions_connect_waha(
    ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_sessions_on_connected(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_sessions_on_number(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_sessions_on_found(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_sessions_connect_row(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_sessions_read_names(
    ngx_http_waha_api_t *api, ngx_str_t *id, ngx_str_t *label,
    const char **invalid);
static ngx_int_t ngx_http_waha_sessions_read_phone(ngx_http_waha_api_t *api,
    const char **invalid);


ngx_int_t
ngx_http_waha_sessions_list(ngx_http_waha_api_t *api)
{
    api->step.done = ngx_http_waha_api_reply;

    return ngx_http_waha_step_query(&api->step, NGX_HTTP_WAHA_LIST_SESSIONS,
                                    &api->step.organization.slug,
                                    ngx_http_waha_sessions_on_list);
}


static ngx_int_t
ngx_http_waha_sessions_on_list(ngx_http_waha_step_t *step)
{
    cJSON                 *json;
    ngx_str_t              text;
    ngx_http_request_t    *r;
    ngx_http_waha_api_t   *api;
    ngx_http_waha_view_t   view;

    r = step->request;
    api = step->data;

    ngx_memzero(&view, sizeof(ngx_http_waha_view_t));

    if (ngx_http_waha_json_parse(r->pool, &step->query.reply, &json) != NGX_OK
        || ngx_http_waha_view_sessions(r->pool, api->route->view, &view,
                                       ngx_http_waha_json_get(json, "sessions"),
                                       &text)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_answer_json(r, NGX_HTTP_OK, &text);
}


ngx_int_t
ngx_http_waha_sessions_show(ngx_http_waha_api_t *api)
{
    ngx_str_t  refresh;

    switch (ngx_http_waha_argument_get(api, "refresh", NGX_HTTP_WAHA_ARG_FLAG,
                                       &refresh))
    {
    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_http_waha_argument_refuse(api, "refresh");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return (refresh.data && refresh.data[0] == 't')
           ? ngx_http_waha_sessions_find_any(api,
                                         ngx_http_waha_sessions_refresh_found,
                                         ngx_http_waha_numbers_refresh_found)
           : ngx_http_waha_sessions_find_any(api,
                                         ngx_http_waha_sessions_show_found,
                                         ngx_http_waha_numbers_show_found);
}


static ngx_int_t
ngx_http_waha_sessions_show_found(ngx_http_waha_step_t *step)
{
    return step->session->row ? ngx_http_waha_control_show(step)
                              : ngx_http_waha_sessions_answer(step);
}


static ngx_int_t
ngx_http_waha_sessions_refresh_found(ngx_http_waha_step_t *step)
{
    return step->session->row ? ngx_http_waha_control_refresh(step)
                              : ngx_http_waha_sessions_answer(step);
}


ngx_int_t
ngx_http_waha_sessions_start(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_sessions_find(api, ngx_http_waha_control_start);
}


ngx_int_t
ngx_http_waha_sessions_stop(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_sessions_find(api, ngx_http_waha_control_stop);
}


ngx_int_t
ngx_http_waha_sessions_restart(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_sessions_find(api, ngx_http_waha_control_restart);
}


ngx_int_t
ngx_http_waha_sessions_logout(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_sessions_find_any(api,
                                           ngx_http_waha_sessions_logout_found,
                                           ngx_http_waha_numbers_logout_found);
}


static ngx_int_t
ngx_http_waha_sessions_logout_found(ngx_http_waha_step_t *step)
{
    return step->session->row ? ngx_http_waha_control_logout(step)
                              : ngx_http_waha_sessions_answer(step);
}


ngx_int_t
ngx_http_waha_sessions_delete(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_sessions_find_any(api,
                                           ngx_http_waha_sessions_delete_found,
                                           ngx_http_waha_numbers_delete_found);
}


static ngx_int_t
ngx_http_waha_sessions_delete_found(ngx_http_waha_step_t *step)
{
    step->done = ngx_http_waha_api_reply;

    return ngx_http_waha_control_delete(step);
}


ngx_int_t
ngx_http_waha_sessions_find(ngx_http_waha_api_t *api,
    ngx_http_waha_step_pt then)
{
    return ngx_http_waha_sessions_find_any(api, then, NULL);
}


static ngx_int_t
ngx_http_waha_sessions_find_any(ngx_http_waha_api_t *api,
    ngx_http_waha_step_pt then, ngx_http_waha_step_pt number_plan)
{
    ngx_int_t                        rc;
    ngx_str_t                        id;
    const ngx_http_waha_argument_t  *arg;

    ngx_str_null(&id);

    arg = api->route->args;

    if (arg) {
        rc = ngx_http_waha_argument_get(api, arg->name, arg->kind, &id);

        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (rc != NGX_OK || (id.data == NULL && arg->required)) {
            return ngx_http_waha_argument_refuse(api, arg->name);
        }
    }

    api->step.done = ngx_http_waha_sessions_answer;
    api->then = then;
    api->number_plan = number_plan;

    return (api->route->flags & NGX_HTTP_WAHA_ROUTE_OPTIONAL)
           ? ngx_http_waha_session_find_any(&api->step, &id,
                                            ngx_http_waha_sessions_on_row)
           : ngx_http_waha_session_find(&api->step, &id,
                                        ngx_http_waha_sessions_on_row);
}


static ngx_int_t
ngx_http_waha_sessions_on_row(ngx_http_waha_step_t *step)
{
    ngx_str_t             provider;
    ngx_http_waha_api_t  *api;

    api = step->data;

    provider = ngx_http_waha_json_get_string(step->session->row, "provider");

    if (!ngx_http_waha_string_is(&provider, "meta")) {
        return api->then(step);
    }

    return api->number_plan
           ? api->number_plan(step)
           : ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NOT_SUPPORTED);
}


ngx_int_t
ngx_http_waha_sessions_reconnect(ngx_http_waha_api_t *api)
{
    if (ngx_http_waha_session_create(&api->step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    api->step.session->restart = 1;

    return ngx_http_waha_sessions_connect(api);
}


ngx_int_t
ngx_http_waha_sessions_connect(ngx_http_waha_api_t *api)
{
    ngx_str_t  provider;

    if (!(api->route->flags & NGX_HTTP_WAHA_ROUTE_PROVIDER)) {
        return ngx_http_waha_sessions_connect_waha(api);
    }

    switch (ngx_http_waha_argument_get(api, "provider",
                                       NGX_HTTP_WAHA_ARG_TEXT, &provider))
    {
    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_http_waha_argument_refuse(api, "provider");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_waha_string_is(&provider, "meta")) {
        return ngx_http_waha_numbers_connect(api);
    }

    return (provider.data == NULL
            || ngx_http_waha_string_is(&provider, "waha"))
           ? ngx_http_waha_sessions_connect_waha(api)
           : ngx_http_waha_argument_refuse(api, "provider");
}


static ngx_int_t
ngx_http_waha_sessions_connect_waha(ngx_http_waha_api_t *api)
{
    ngx_int_t    rc;
    ngx_str_t    id, label;
    const char  *invalid;

    if (ngx_http_waha_session_create(&api->step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_waha_sessions_read_names(api, &id, &label, &invalid);

    if (rc == NGX_OK && (api->route->flags & NGX_HTTP_WAHA_ROUTE_PAIRING)) {
        rc = ngx_http_waha_sessions_read_phone(api, &invalid);
    }

    if (rc == NGX_OK && (api->route->flags & NGX_HTTP_WAHA_ROUTE_NUMBER)) {
        invalid = "phoneNumber";
        rc = ngx_http_waha_argument_get(api, invalid, NGX_HTTP_WAHA_ARG_PHONE,
                                        &api->number);
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_waha_argument_refuse(api, invalid);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    api->step.done = ngx_http_waha_sessions_answer;

    api->step.session->no_passkey =
                    (api->route->flags & NGX_HTTP_WAHA_ROUTE_RESTART) ? 1 : 0;

    return ngx_http_waha_sessions_enable(&api->step,
                                         ngx_http_waha_sessions_on_enabled);
}


/* the names are valid: they have been read before */

static ngx_int_t
ngx_http_waha_sessions_on_enabled(ngx_http_waha_step_t *step)
{
    ngx_str_t             id, label;
    const char           *invalid;
    ngx_http_waha_api_t  *api;

    api = step->data;

    if (ngx_http_waha_sessions_read_names(api, &id, &label, &invalid)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    step->done = ngx_http_waha_sessions_on_connected;

    return ngx_http_waha_connect(step, &id, &label);
}


/* "waha_connect_enables on": the organization is enabled first */

ngx_int_t
ngx_http_waha_sessions_enable(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then)
{
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    if (!wlcf->session->connect_enables) {
        return then(step);
    }

    return ngx_http_waha_step_query(step, NGX_HTTP_WAHA_ENABLE_ORGANIZATION,
                                    &step->organization.slug, then);
}


/* the number that the client named is stored with the session */

static ngx_int_t
ngx_http_waha_sessions_on_connected(ngx_http_waha_step_t *step)
{
    ngx_str_t             args[3];
    ngx_http_waha_api_t  *api;

    api = step->data;

    step->done = ngx_http_waha_sessions_answer;

    if (step->error || api->number.data == NULL) {
        return ngx_http_waha_sessions_answer(step);
    }

    args[0] = step->organization.slug;
    args[1] = step->session->name;
    args[2] = api->number;

    return ngx_http_waha_step_query(step, NGX_HTTP_WAHA_EXPECT_NUMBER, args,
                                    ngx_http_waha_sessions_on_number);
}


static ngx_int_t
ngx_http_waha_sessions_on_number(ngx_http_waha_step_t *step)
{
    if (ngx_http_waha_session_read_row(step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_sessions_answer(step);
}


ngx_int_t
ngx_http_waha_sessions_connect_found(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_sessions_find(api, ngx_http_waha_sessions_on_found);
}


static ngx_int_t
ngx_http_waha_sessions_on_found(ngx_http_waha_step_t *step)
{
    step->done = ngx_http_waha_sessions_answer;

    return ngx_http_waha_sessions_enable(step,
                                  ngx_http_waha_sessions_connect_row);
}


static ngx_int_t
ngx_http_waha_sessions_connect_row(ngx_http_waha_step_t *step)
{
    ngx_str_t  label;

    ngx_str_null(&label);

    return ngx_http_waha_connect(step, &step->session->name, &label);
}


/* NGX_DECLINED: *invalid is the name of an argument that is not valid */

static ngx_int_t
ngx_http_waha_sessions_read_names(ngx_http_waha_api_t *api, ngx_str_t *id,
    ngx_str_t *label, const char **invalid)
{
    ngx_int_t                        rc;
    ngx_str_t                        value;
    const ngx_http_waha_argument_t  *arg;

    ngx_str_null(id);
    ngx_str_null(label);

    for (arg = api->route->args; arg && arg->name; arg++) {

        *invalid = arg->name;

        rc = ngx_http_waha_argument_get(api, arg->name, arg->kind, &value);

        if (rc != NGX_OK) {
            return rc;
        }

        if (value.data == NULL && arg->required) {
            return NGX_DECLINED;
        }

        if (arg == api->route->args) {
            *id = value;

        } else if (label->data == NULL) {
            *label = value;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_sessions_read_phone(ngx_http_waha_api_t *api,
    const char **invalid)
{
    ngx_int_t  rc;
    ngx_str_t  wanted, phone;

    *invalid = "usePairingCode";

    rc = ngx_http_waha_argument_get(api, "usePairingCode",
                                    NGX_HTTP_WAHA_ARG_FLAG, &wanted);
    if (rc != NGX_OK) {
        return rc;
    }

    if (wanted.data == NULL || wanted.data[0] != 't') {
        return NGX_OK;
    }

    *invalid = "phoneNumber";

    rc = ngx_http_waha_argument_get(api, "phoneNumber",
                                    NGX_HTTP_WAHA_ARG_PHONE, &phone);
    if (rc != NGX_OK) {
        return rc;
    }

    if (phone.data == NULL) {
        return NGX_DECLINED;
    }

    api->step.session->phone = phone;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_sessions_answer(ngx_http_waha_step_t *step)
{
    ngx_http_waha_api_t  *api;

    if (step->error) {
        return ngx_http_waha_api_error(step);
    }

    api = step->data;

    /* without a session, or where nothing can be scanned, WAHA has no code */

    if ((api->route->flags & NGX_HTTP_WAHA_ROUTE_QR)
        && step->principal->write
        && step->session->row
        && (ngx_http_waha_string_is(&step->session->status, "SCAN_QR_CODE")
            || ngx_http_waha_string_is(&step->session->status, "STARTING")))
    {
        return ngx_http_waha_qr_add(step);
    }

    return ngx_http_waha_sessions_answer_view(step);
}


ngx_int_t
ngx_http_waha_sessions_answer_view(ngx_http_waha_step_t *step)
{
    ngx_str_t                 json;
    ngx_http_waha_api_t      *api;
    ngx_http_waha_view_t      view;
    ngx_http_waha_session_t  *s;

    s = step->session;
    api = step->data;

    ngx_memzero(&view, sizeof(ngx_http_waha_view_t));

    /* who links a phone can read and write its messages */

    if (s->row
        && step->principal->write
        && ngx_http_waha_qr_link_make(step, &view.qr_url) == NGX_ERROR)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    view.session = s->row;
    view.pairing_code = s->pairing_code;
    view.qr_code = api->qr_code;
    view.stuck = s->stuck && !s->started;
    view.stale = s->stale;
    view.still_linked = s->still_linked;

    if (ngx_http_waha_view_session(step->request->pool, api->route->view,
                                   &view, &json)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_answer_json(step->request, NGX_HTTP_OK, &json);
}
