
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_configure.h>
#include <ngx_http_waha_control.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_lease.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_string.h>


/* milliseconds: until a session that starts is logged in */

#define NGX_HTTP_WAHA_CONTROL_DELAY     500
#define NGX_HTTP_WAHA_CONTROL_PATIENCE  20000


static ngx_int_t ngx_http_waha_control_configure(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_charge(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_run(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_do_stop(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_unlink(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_on_linked(ngx_http_waha_step_t *step);
static ngx_uint_t ngx_http_waha_control_is_linked(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_on_login(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_await(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_look(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_do_logout(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_control_do_delete(ngx_http_waha_step_t *step);
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
    return ngx_http_waha_lease_begin(step, "start",
                                     ngx_http_waha_control_configure);
}


ngx_int_t
ngx_http_waha_control_restart(ngx_http_waha_step_t *step)
{
    step->session->restart = 1;

    return ngx_http_waha_lease_begin(step, "restart",
                                     ngx_http_waha_control_configure);
}


/* a session that runs without our webhook loses messages */

static ngx_int_t
ngx_http_waha_control_configure(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_configure(step, ngx_http_waha_control_charge);
}


static ngx_int_t
ngx_http_waha_control_charge(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_lease_charge(step,
                                      step->session->restart
                                      ? NGX_HTTP_WAHA_BUDGET_RESTARTS
                                      : NGX_HTTP_WAHA_BUDGET_CONNECTS,
                                      ngx_http_waha_control_run);
}


static ngx_int_t
ngx_http_waha_control_run(ngx_http_waha_step_t *step)
{
    ngx_http_waha_session_t  *s;

    s = step->session;

    /* the new configuration has restarted it */

    if (s->started) {
        return ngx_http_waha_session_look(step,
                                          ngx_http_waha_control_on_look);
    }

    s->started = 1;

    return s->restart
           ? ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
                                         "/api/sessions/%V/restart", NULL,
                                         ngx_http_waha_control_on_answer)
           : ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
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
    return ngx_http_waha_lease_begin(step, "stop",
                                     ngx_http_waha_control_do_stop);
}


static ngx_int_t
ngx_http_waha_control_do_stop(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
                                       "/api/sessions/%V/stop", NULL,
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
    step->session->unlink = ngx_http_waha_control_do_logout;

    return ngx_http_waha_lease_begin(step, "logout",
                                     ngx_http_waha_control_unlink);
}


/* WAHA can tell the phone only while the session works */

static ngx_int_t
ngx_http_waha_control_unlink(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_session_look(step, ngx_http_waha_control_on_linked);
}


static ngx_int_t
ngx_http_waha_control_on_linked(ngx_http_waha_step_t *step)
{
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (!ngx_http_waha_control_is_linked(step)) {
        return s->unlink(step);
    }

    s->deadline = ngx_current_msec + NGX_HTTP_WAHA_CONTROL_PATIENCE;

    if (!ngx_http_waha_string_is(&s->info.status, "STOPPED")) {
        return ngx_http_waha_control_await(step);
    }

    s->started = 1;

    return ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
                                       "/api/sessions/%V/start", NULL,
                                       ngx_http_waha_control_on_login);
}


/* before the login, a phone that WAHA shows may be that of a pairing code */

static ngx_uint_t
ngx_http_waha_control_is_linked(ngx_http_waha_step_t *step)
{
    ngx_str_t                 phone;
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (!ngx_http_waha_string_is(&s->info.status, "STOPPED")
        && !ngx_http_waha_string_is(&s->info.status, "STARTING"))
    {
        return 0;
    }

    phone = ngx_http_waha_json_get_string(s->row, "phone");

    return phone.len || s->info.me;
}


static ngx_int_t
ngx_http_waha_control_on_login(ngx_http_waha_step_t *step)
{
    if (!ngx_http_waha_session_is_accepted(step)
        && step->fetch.status != NGX_HTTP_WAHA_UNPROCESSABLE)
    {
        return ngx_http_waha_session_fail(step);
    }

    return ngx_http_waha_control_look(step);
}


static ngx_int_t
ngx_http_waha_control_look(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_session_look(step, ngx_http_waha_control_await);
}


/* any other status says that nothing is linked, or that it never will be */

static ngx_int_t
ngx_http_waha_control_await(ngx_http_waha_step_t *step)
{
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (!ngx_http_waha_string_is(&s->info.status, "STARTING")) {
        return s->unlink(step);
    }

    if ((ngx_msec_int_t) (s->deadline - ngx_current_msec) <= 0) {
        s->still_linked = 1;

        ngx_log_error(NGX_LOG_WARN, step->request->connection->log, 0,
                      "waha: session \"%V\" does not start: its phone will "
                      "show it as linked until somebody unlinks it there",
                      &s->name);

        return s->unlink(step);
    }

    return ngx_http_waha_step_wait(step, NGX_HTTP_WAHA_CONTROL_DELAY,
                                   ngx_http_waha_control_look);
}


static ngx_int_t
ngx_http_waha_control_do_logout(ngx_http_waha_step_t *step)
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
    step->session->unlink = ngx_http_waha_control_do_delete;

    return ngx_http_waha_lease_begin(step, "delete",
                                     ngx_http_waha_control_unlink);
}


static ngx_int_t
ngx_http_waha_control_do_delete(ngx_http_waha_step_t *step)
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
