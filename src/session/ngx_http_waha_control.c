
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_control.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_string.h>


static ngx_int_t ngx_http_waha_control_on_started(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_on_answer(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_on_look(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_on_logged_out(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_on_stopped(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_on_disconnected(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_on_deleted(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_query(ngx_http_waha_step_t *step,
    ngx_http_waha_statement_e statement, ngx_http_waha_step_pt then);
static ngx_uint_t ngx_http_waha_control_has_failed(
    ngx_http_waha_step_t *step);


ngx_int_t
ngx_http_waha_control_show(ngx_http_waha_step_t *step)
{
    if (!ngx_http_waha_session_is_old(step)) {
        return ngx_http_waha_step_succeed(step);
    }

    return ngx_http_waha_session_try_look(step, ngx_http_waha_step_succeed);
}


ngx_int_t
ngx_http_waha_control_refresh(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_session_look(step, ngx_http_waha_step_succeed);
}


ngx_int_t
ngx_http_waha_control_start(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
                                       "/api/sessions/%V/start", NULL,
                                       ngx_http_waha_control_on_started);
}


static ngx_int_t
ngx_http_waha_control_on_started(ngx_http_waha_step_t *step)
{
    /* the session runs already */

    if (step->fetch.status == NGX_HTTP_WAHA_UNPROCESSABLE) {
        return ngx_http_waha_session_look(step,
                                          ngx_http_waha_control_on_look);
    }

    return ngx_http_waha_control_on_answer(step);
}


ngx_int_t
ngx_http_waha_control_stop(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
                                       "/api/sessions/%V/stop", NULL,
                                       ngx_http_waha_control_on_answer);
}


ngx_int_t
ngx_http_waha_control_restart(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
                                       "/api/sessions/%V/restart", NULL,
                                       ngx_http_waha_control_on_answer);
}


static ngx_int_t
ngx_http_waha_control_on_answer(ngx_http_waha_step_t *step)
{
    if (ngx_http_waha_control_has_failed(step)) {
        return ngx_http_waha_session_fail(step);
    }

    return ngx_http_waha_session_look(step, ngx_http_waha_control_on_look);
}


/* WAHA also accepts to stop sessions that it does not have */

static ngx_int_t
ngx_http_waha_control_on_look(ngx_http_waha_step_t *step)
{
    if (ngx_http_waha_string_is(&step->session->info.status, "NOT_CREATED")) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NOT_CREATED);
    }

    return ngx_http_waha_step_succeed(step);
}


ngx_int_t
ngx_http_waha_control_logout(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
                                       "/api/sessions/%V/logout", NULL,
                                       ngx_http_waha_control_on_logged_out);
}


/* a session that ran shows a new QR code after the logout: stop it */

static ngx_int_t
ngx_http_waha_control_on_logged_out(ngx_http_waha_step_t *step)
{
    if (ngx_http_waha_session_is_missing(step)) {
        ngx_http_waha_session_info_set_missing(&step->session->info);

        return ngx_http_waha_session_record(step, ngx_http_waha_step_succeed);
    }

    if (!ngx_http_waha_session_is_accepted(step)) {
        return ngx_http_waha_session_fail(step);
    }

    return ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
                                       "/api/sessions/%V/stop", NULL,
                                       ngx_http_waha_control_on_stopped);
}


static ngx_int_t
ngx_http_waha_control_on_stopped(ngx_http_waha_step_t *step)
{
    if (ngx_http_waha_control_has_failed(step)) {
        return ngx_http_waha_session_fail(step);
    }

    return ngx_http_waha_control_query(step, NGX_HTTP_WAHA_DISCONNECT_SESSION,
                                       ngx_http_waha_control_on_disconnected);
}


static ngx_int_t
ngx_http_waha_control_on_disconnected(ngx_http_waha_step_t *step)
{
    if (ngx_http_waha_session_read_row(step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_step_succeed(step);
}


ngx_int_t
ngx_http_waha_control_delete(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_session_fetch(step, NGX_HTTP_DELETE,
                                       "/api/sessions/%V", NULL,
                                       ngx_http_waha_control_on_deleted);
}


static ngx_int_t
ngx_http_waha_control_on_deleted(ngx_http_waha_step_t *step)
{
    if (ngx_http_waha_control_has_failed(step)) {
        return ngx_http_waha_session_fail(step);
    }

    return ngx_http_waha_control_query(step, NGX_HTTP_WAHA_DELETE_SESSION,
                                       ngx_http_waha_step_succeed);
}


static ngx_int_t
ngx_http_waha_control_query(ngx_http_waha_step_t *step,
    ngx_http_waha_statement_e statement, ngx_http_waha_step_pt then)
{
    ngx_str_t  args[2];

    args[0] = step->organization.slug;
    args[1] = step->session->name;

    return ngx_http_waha_step_query(step, statement, args, then);
}


/* a session that WAHA does not have is as good as stopped or deleted */

static ngx_uint_t
ngx_http_waha_control_has_failed(ngx_http_waha_step_t *step)
{
    return !ngx_http_waha_session_is_accepted(step)
           && !ngx_http_waha_session_is_missing(step);
}
