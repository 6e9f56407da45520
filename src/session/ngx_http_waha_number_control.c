
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_number.h>
#include <ngx_http_waha_number_control.h>
#include <ngx_http_waha_session_conf.h>
#include <ngx_http_waha_string.h>


/* seconds between two looks that a client asks for */

#define NGX_HTTP_WAHA_NUMBER_CONTROL_PAUSE  3


static ngx_int_t ngx_http_waha_number_control_check(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_control_on_look(
    ngx_http_waha_step_t *step);
static const char *ngx_http_waha_number_control_status(
    ngx_http_waha_number_t *n);
static ngx_int_t ngx_http_waha_number_control_record(
    ngx_http_waha_step_t *step, const char *status);
static ngx_int_t ngx_http_waha_number_control_on_recorded(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_control_finish(
    ngx_http_waha_step_t *step);

static ngx_int_t ngx_http_waha_number_control_leave(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_control_on_removed(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_control_on_left(
    ngx_http_waha_step_t *step);
static ngx_uint_t ngx_http_waha_number_control_is_passing(
    ngx_http_waha_error_e error);
static ngx_int_t ngx_http_waha_number_control_end(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_control_on_ended(
    ngx_http_waha_step_t *step);


ngx_int_t
ngx_http_waha_number_control_show(ngx_http_waha_step_t *step)
{
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    step->number->fresh = ngx_max(wlcf->session->status_ttl,
                                  NGX_HTTP_WAHA_NUMBER_CONTROL_PAUSE);

    return ngx_http_waha_number_find(step, ngx_http_waha_number_control_check);
}


ngx_int_t
ngx_http_waha_number_control_refresh(ngx_http_waha_step_t *step)
{
    step->number->fresh = NGX_HTTP_WAHA_NUMBER_CONTROL_PAUSE;

    return ngx_http_waha_number_find(step, ngx_http_waha_number_control_check);
}


static ngx_int_t
ngx_http_waha_number_control_check(ngx_http_waha_step_t *step)
{
    ngx_http_waha_number_t    *n;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    n = step->number;

    if (n->row == NULL || !n->connected
        || (n->age >= 0 && n->age <= n->fresh))
    {
        return ngx_http_waha_number_control_finish(step);
    }

    if (wlcf->fetch->graph == NULL) {
        n->stale = 1;
        return ngx_http_waha_number_control_finish(step);
    }

    switch (ngx_http_waha_number_open(step)) {

    case NGX_OK:
        return ngx_http_waha_number_look(step,
                                         ngx_http_waha_number_control_on_look);

    case NGX_DECLINED:
        ngx_str_set(&n->reason, "secret");
        return ngx_http_waha_number_control_finish(step);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static ngx_int_t
ngx_http_waha_number_control_on_look(ngx_http_waha_step_t *step)
{
    const char              *status;
    ngx_http_waha_number_t  *n;

    n = step->number;

    status = ngx_http_waha_number_control_status(n);

    if (status == NULL) {
        n->stale = 1;
        return ngx_http_waha_number_control_finish(step);
    }

    return ngx_http_waha_number_control_record(step, status);
}


/* NULL: Graph says nothing about the number */

static const char *
ngx_http_waha_number_control_status(ngx_http_waha_number_t *n)
{
    switch (n->error) {

    case NGX_HTTP_WAHA_ERR_NONE:

        if (ngx_http_waha_string_is(&n->graph_status, "BANNED")
            || ngx_http_waha_string_is(&n->graph_status, "RESTRICTED"))
        {
            return "RESTRICTED";
        }

        return (n->has_callback
                && !ngx_http_waha_string_is_equal(&n->callback, &n->url))
               ? "UNSUBSCRIBED" : "CONNECTED";

    case NGX_HTTP_WAHA_ERR_TOKEN_REFUSED:
    case NGX_HTTP_WAHA_ERR_TOKEN_FORBIDDEN:
    case NGX_HTTP_WAHA_ERR_SECRET_REFUSED:
    case NGX_HTTP_WAHA_ERR_UNKNOWN_NUMBER:
        return "NEEDS_REAUTH";

    case NGX_HTTP_WAHA_ERR_ACCOUNT_RESTRICTED:
        return "RESTRICTED";

    default:
        return NULL;
    }
}


static ngx_int_t
ngx_http_waha_number_control_record(ngx_http_waha_step_t *step,
    const char *status)
{
    ngx_str_t                 args[3];
    ngx_http_waha_json_out_t  out;

    args[0] = step->organization.slug;
    args[1] = step->number->id;

    ngx_http_waha_json_start(&out, step->request->pool, 256);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_text(&out, "status", status);
    ngx_http_waha_number_put(step->number, &out);
    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &args[2]) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_step_query_with(step,
                                     NGX_HTTP_WAHA_RECORD_NUMBER_CHECK, args,
                                     ngx_http_waha_number_control_on_recorded,
                                     ngx_http_waha_number_control_finish);
}


/* it was disconnected meanwhile, by the same or for another organization */

static ngx_int_t
ngx_http_waha_number_control_on_recorded(ngx_http_waha_step_t *step)
{
    if (step->query.error == NGX_HTTP_WAHA_ERR_UNKNOWN_SESSION) {
        ngx_str_null(&step->number->reason);
        return ngx_http_waha_number_find(step,
                                         ngx_http_waha_number_control_finish);
    }

    if (step->query.error) {
        return ngx_http_waha_step_end(step, step->query.error);
    }

    if (ngx_http_waha_number_read(step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_waha_number_control_finish(ngx_http_waha_step_t *step)
{
    ngx_str_t                status;
    ngx_http_waha_number_t  *n;

    n = step->number;
    status = ngx_http_waha_json_get_string(n->session, "status");

    if (n->row == NULL || !n->connected) {
        return ngx_http_waha_step_succeed(step);
    }

    if (ngx_http_waha_string_is(&status, "NEEDS_REAUTH")) {
        ngx_str_set(&n->reason, "token");

    } else if (ngx_http_waha_string_is(&status, "RESTRICTED")) {
        ngx_str_set(&n->reason, "account");

    } else if (ngx_http_waha_string_is(&status, "UNSUBSCRIBED")) {
        ngx_str_set(&n->reason, "webhook");
    }

    return ngx_http_waha_step_succeed(step);
}


ngx_int_t
ngx_http_waha_number_control_disconnect(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_number_find(step, ngx_http_waha_number_control_leave);
}


ngx_int_t
ngx_http_waha_number_control_delete(ngx_http_waha_step_t *step)
{
    step->number->deleting = 1;

    return ngx_http_waha_number_find(step, ngx_http_waha_number_control_leave);
}


static ngx_int_t
ngx_http_waha_number_control_leave(ngx_http_waha_step_t *step)
{
    ngx_str_t                  none;
    ngx_http_waha_number_t    *n;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    n = step->number;

    if (n->row == NULL || !n->connected) {
        return n->deleting ? ngx_http_waha_number_control_end(step)
                           : ngx_http_waha_step_succeed(step);
    }

    if (wlcf->fetch->graph == NULL) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NO_GRAPH);
    }

    switch (ngx_http_waha_number_open(step)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        n->subscribed = 1;
        return ngx_http_waha_number_control_end(step);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&none, "");

    return ngx_http_waha_number_set_callback(step, &none, &none,
                                     ngx_http_waha_number_control_on_removed);
}


/* the subscription of the app is for all numbers of the account */

static ngx_int_t
ngx_http_waha_number_control_on_removed(ngx_http_waha_step_t *step)
{
    ngx_http_waha_error_e    error;
    ngx_http_waha_number_t  *n;

    n = step->number;
    error = ngx_http_waha_graph_error(&step->fetch);

    if (ngx_http_waha_number_control_is_passing(error)) {
        return ngx_http_waha_number_refuse(step, error);
    }

    if (error) {
        n->subscribed = 1;
    }

    if (n->shared || n->account.len == 0) {
        return ngx_http_waha_number_control_end(step);
    }

    return ngx_http_waha_number_try(step, NGX_HTTP_DELETE, &n->account,
                                    "/subscribed_apps", NULL, NULL,
                                    ngx_http_waha_number_control_on_left);
}


static ngx_int_t
ngx_http_waha_number_control_on_left(ngx_http_waha_step_t *step)
{
    ngx_http_waha_error_e  error;

    error = ngx_http_waha_graph_error(&step->fetch);

    if (ngx_http_waha_number_control_is_passing(error)) {
        return ngx_http_waha_number_refuse(step, error);
    }

    if (error) {
        step->number->subscribed = 1;
    }

    return ngx_http_waha_number_control_end(step);
}


/* whether Meta may do later what it was asked for */

static ngx_uint_t
ngx_http_waha_number_control_is_passing(ngx_http_waha_error_e error)
{
    switch (error) {

    case NGX_HTTP_WAHA_ERR_META_THROTTLED:
    case NGX_HTTP_WAHA_ERR_META_UNAVAILABLE:
    case NGX_HTTP_WAHA_ERR_META_TIMEOUT:
    case NGX_HTTP_WAHA_ERR_META_INVALID_ANSWER:
    case NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY:
        return 1;

    default:
        return 0;
    }
}


static ngx_int_t
ngx_http_waha_number_control_end(ngx_http_waha_step_t *step)
{
    ngx_str_t                args[2];
    ngx_http_waha_number_t  *n;

    n = step->number;

    args[0] = step->organization.slug;
    args[1] = n->id;

    return n->deleting
           ? ngx_http_waha_step_query(step, NGX_HTTP_WAHA_DELETE_SESSION, args,
                                      ngx_http_waha_step_succeed)
           : ngx_http_waha_step_query(step, NGX_HTTP_WAHA_DISCONNECT_NUMBER,
                                      args,
                                      ngx_http_waha_number_control_on_ended);
}


static ngx_int_t
ngx_http_waha_number_control_on_ended(ngx_http_waha_step_t *step)
{
    if (ngx_http_waha_number_read(step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_step_succeed(step);
}
