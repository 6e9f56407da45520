
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_sessions.h>
#include <ngx_http_waha_shape.h>
#include <ngx_http_waha_string.h>


static ngx_int_t ngx_http_waha_sessions_listed(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_sessions_find(ngx_http_waha_api_t *api,
    ngx_int_t (*next)(ngx_http_waha_api_t *api));
static ngx_int_t ngx_http_waha_sessions_found(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_sessions_do_start(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_sessions_do_stop(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_sessions_do_restart(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_sessions_started(ngx_http_waha_api_t *api);
static ngx_uint_t ngx_http_waha_sessions_failed(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_sessions_done(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_sessions_looked(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_sessions_do_logout(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_sessions_logged_out(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_sessions_ended(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_sessions_disconnected(
    ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_sessions_do_delete(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_sessions_deleted(ngx_http_waha_api_t *api);


ngx_int_t
ngx_http_waha_sessions_list(ngx_http_waha_api_t *api)
{
    api->args[0] = api->organization.slug;

    return ngx_http_waha_api_query(api, NGX_HTTP_WAHA_LIST_SESSIONS,
                                   ngx_http_waha_sessions_listed);
}


static ngx_int_t
ngx_http_waha_sessions_listed(ngx_http_waha_api_t *api)
{
    cJSON                  *json;
    ngx_str_t               text;
    ngx_http_request_t     *r;
    ngx_http_waha_shape_t   view;

    r = api->request;

    ngx_memzero(&view, sizeof(ngx_http_waha_shape_t));

    if (api->principal->operator) {
        view.organization = api->organization.slug;
    }

    if (ngx_http_waha_json_parse(r->pool, &api->query.reply, &json) != NGX_OK
        || ngx_http_waha_shape_sessions(r->pool, api->route->shape, &view,
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

    switch (ngx_http_waha_api_argument(api, "refresh",
                                       NGX_HTTP_WAHA_ARG_FLAG, &refresh))
    {
    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_http_waha_api_invalid(api, "refresh");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_waha_session_create(api) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    api->session->refresh = (refresh.data && refresh.data[0] == 't');
    api->session->lenient = !api->session->refresh;

    return ngx_http_waha_sessions_find(api, ngx_http_waha_sessions_found);
}


/* the guides' clients ask before there is a session */

static ngx_int_t
ngx_http_waha_sessions_find(ngx_http_waha_api_t *api,
    ngx_int_t (*next)(ngx_http_waha_api_t *api))
{
    return (api->route->args || api->route->shape == NGX_HTTP_WAHA_SHAPE_DATA)
           ? ngx_http_waha_session_find(api, next)
           : ngx_http_waha_session_find_any(api, next);
}


static ngx_int_t
ngx_http_waha_sessions_found(ngx_http_waha_api_t *api)
{
    ngx_http_waha_session_t  *s;

    s = api->session;

    if (s->object == NULL
        || (!s->refresh && !ngx_http_waha_session_old(api)))
    {
        return ngx_http_waha_session_answer(api);
    }

    if (s->instance == NULL && s->lenient) {
        s->stale = 1;
        return ngx_http_waha_session_answer(api);
    }

    return ngx_http_waha_session_look(api, ngx_http_waha_session_answer);
}


ngx_int_t
ngx_http_waha_sessions_start(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_session_find(api, ngx_http_waha_sessions_do_start);
}


static ngx_int_t
ngx_http_waha_sessions_do_start(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_session_call(api, NGX_HTTP_POST,
                                      "/api/sessions/%V/start", NULL,
                                      ngx_http_waha_sessions_started);
}


static ngx_int_t
ngx_http_waha_sessions_started(ngx_http_waha_api_t *api)
{
    /* it has been started already */

    if (api->fetch.status == NGX_HTTP_WAHA_UNPROCESSABLE) {
        return ngx_http_waha_session_look(api,
                                          ngx_http_waha_sessions_looked);
    }

    return ngx_http_waha_sessions_done(api);
}


ngx_int_t
ngx_http_waha_sessions_stop(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_session_find(api, ngx_http_waha_sessions_do_stop);
}


static ngx_int_t
ngx_http_waha_sessions_do_stop(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_session_call(api, NGX_HTTP_POST,
                                      "/api/sessions/%V/stop", NULL,
                                      ngx_http_waha_sessions_done);
}


ngx_int_t
ngx_http_waha_sessions_restart(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_session_find(api, ngx_http_waha_sessions_do_restart);
}


static ngx_int_t
ngx_http_waha_sessions_do_restart(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_session_call(api, NGX_HTTP_POST,
                                      "/api/sessions/%V/restart", NULL,
                                      ngx_http_waha_sessions_done);
}


/* it was not done, though WAHA has a session to do it with */

static ngx_uint_t
ngx_http_waha_sessions_failed(ngx_http_waha_api_t *api)
{
    return !ngx_http_waha_session_called(api)
           && !ngx_http_waha_session_missing(api);
}


static ngx_int_t
ngx_http_waha_sessions_done(ngx_http_waha_api_t *api)
{
    if (ngx_http_waha_sessions_failed(api)) {
        return ngx_http_waha_session_error(api);
    }

    return ngx_http_waha_session_look(api, ngx_http_waha_sessions_looked);
}


/* WAHA stops what it does not know */

static ngx_int_t
ngx_http_waha_sessions_looked(ngx_http_waha_api_t *api)
{
    if (ngx_http_waha_string_is(&api->session->info.status,
                                      "NOT_CREATED"))
    {
        return ngx_http_waha_error_send(api->request,
                                        NGX_HTTP_WAHA_ERR_NOT_CREATED);
    }

    return ngx_http_waha_session_answer(api);
}


ngx_int_t
ngx_http_waha_sessions_logout(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_sessions_find(api, ngx_http_waha_sessions_do_logout);
}


static ngx_int_t
ngx_http_waha_sessions_do_logout(ngx_http_waha_api_t *api)
{
    if (api->session->object == NULL) {
        return ngx_http_waha_session_answer(api);
    }

    return ngx_http_waha_session_call(api, NGX_HTTP_POST,
                                      "/api/sessions/%V/logout", NULL,
                                      ngx_http_waha_sessions_logged_out);
}


/* a session that ran waits for another phone now */

static ngx_int_t
ngx_http_waha_sessions_logged_out(ngx_http_waha_api_t *api)
{
    ngx_http_waha_session_t  *s;

    s = api->session;

    if (ngx_http_waha_session_missing(api)) {
        ngx_http_waha_session_info_none(&s->info);
        return ngx_http_waha_session_record(api,
                                            ngx_http_waha_session_answer);
    }

    if (!ngx_http_waha_session_called(api)) {
        return ngx_http_waha_session_error(api);
    }

    return ngx_http_waha_session_call(api, NGX_HTTP_POST,
                                      "/api/sessions/%V/stop", NULL,
                                      ngx_http_waha_sessions_ended);
}


static ngx_int_t
ngx_http_waha_sessions_ended(ngx_http_waha_api_t *api)
{
    if (ngx_http_waha_sessions_failed(api)) {
        return ngx_http_waha_session_error(api);
    }

    api->args[0] = api->organization.slug;
    api->args[1] = api->session->name;

    return ngx_http_waha_api_query(api, NGX_HTTP_WAHA_DISCONNECT_SESSION,
                                   ngx_http_waha_sessions_disconnected);
}


static ngx_int_t
ngx_http_waha_sessions_disconnected(ngx_http_waha_api_t *api)
{
    if (ngx_http_waha_session_read(api) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_session_answer(api);
}


ngx_int_t
ngx_http_waha_sessions_delete(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_session_find(api, ngx_http_waha_sessions_do_delete);
}


static ngx_int_t
ngx_http_waha_sessions_do_delete(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_session_call(api, NGX_HTTP_DELETE,
                                      "/api/sessions/%V", NULL,
                                      ngx_http_waha_sessions_deleted);
}


static ngx_int_t
ngx_http_waha_sessions_deleted(ngx_http_waha_api_t *api)
{
    if (ngx_http_waha_sessions_failed(api)) {
        return ngx_http_waha_session_error(api);
    }

    api->args[0] = api->organization.slug;
    api->args[1] = api->session->name;

    return ngx_http_waha_api_query(api, NGX_HTTP_WAHA_DELETE_SESSION,
                                   ngx_http_waha_api_reply);
}
