
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_configure.h>
#include <ngx_http_waha_connect.h>
#include <ngx_http_waha_lease.h>
#include <ngx_http_waha_link.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_string.h>


/* tries of the plan, which starts over when the session changes at WAHA */

#define NGX_HTTP_WAHA_CONNECT_ROUNDS    3

/* milliseconds: until a session that starts can give a pairing code */

#define NGX_HTTP_WAHA_CONNECT_DELAY     500
#define NGX_HTTP_WAHA_CONNECT_PATIENCE  20000


static ngx_int_t ngx_http_waha_connect_on_reserved(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_start_over(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_on_answer(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_on_look(ngx_http_waha_step_t *step);
static ngx_uint_t ngx_http_waha_connect_has_work(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_charge(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then);
static ngx_int_t ngx_http_waha_connect_create(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_on_configured(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_run(ngx_http_waha_step_t *step);
static ngx_uint_t ngx_http_waha_connect_has_no_way_on(
    ngx_http_waha_session_t *s);
static ngx_int_t ngx_http_waha_connect_start(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_restart(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_on_restarted(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_log_out(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_on_logged_out(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_on_started(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_retry(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_on_running(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_pair(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_await(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_look(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_ask(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_on_code(ngx_http_waha_step_t *step);


ngx_int_t
ngx_http_waha_connect(ngx_http_waha_step_t *step, ngx_str_t *id,
    ngx_str_t *label)
{
    return ngx_http_waha_session_reserve(step, id, label,
                                         ngx_http_waha_connect_on_reserved);
}


static ngx_int_t
ngx_http_waha_connect_on_reserved(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_lease_wait(step, "connect",
                                    ngx_http_waha_connect_start_over);
}


static ngx_int_t
ngx_http_waha_connect_start_over(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_session_start_look(step,
                                            ngx_http_waha_connect_on_answer,
                                            ngx_http_waha_connect_on_look);
}


/* a server that is down keeps only sessions that it has */

static ngx_int_t
ngx_http_waha_connect_on_answer(ngx_http_waha_step_t *step)
{
    ngx_int_t  rc;

    switch (step->fetch.error) {

    case NGX_HTTP_WAHA_ERR_NONE:
        return NGX_DECLINED;

    case NGX_HTTP_WAHA_ERR_WAHA_UNAVAILABLE:
    case NGX_HTTP_WAHA_ERR_WAHA_TIMEOUT:

        if (step->session->lease.held) {
            rc = ngx_http_waha_session_move(step,
                                            ngx_http_waha_connect_start_over);
            if (rc != NGX_DECLINED) {
                return rc;
            }
        }

        /* fall through */

    default:
        return ngx_http_waha_step_end(step, step->fetch.error);
    }
}


static ngx_int_t
ngx_http_waha_connect_on_look(ngx_http_waha_step_t *step)
{
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (ngx_http_waha_session_is_missing(step)) {
        ngx_http_waha_session_info_set_missing(&s->info);

    } else if (!ngx_http_waha_session_is_accepted(step)
               || ngx_http_waha_session_read_answer(step) != NGX_OK)
    {
        return ngx_http_waha_session_fail(step);
    }

    if (!s->lease.held && ngx_http_waha_connect_has_work(step)) {
        return ngx_http_waha_connect_on_reserved(step);
    }

    if (ngx_http_waha_string_is(&s->info.status, "NOT_CREATED")) {
        return ngx_http_waha_connect_charge(step,
                                            ngx_http_waha_connect_create);
    }

    if (!ngx_http_waha_configure_is_ours(step)) {
        return ngx_http_waha_configure_repair(step,
                                         ngx_http_waha_connect_on_configured);
    }

    return ngx_http_waha_connect_run(step);
}


static ngx_uint_t
ngx_http_waha_connect_has_work(ngx_http_waha_step_t *step)
{
    ngx_str_t                *status;
    ngx_http_waha_session_t  *s;

    s = step->session;
    status = &s->info.status;

    return ngx_http_waha_string_is(status, "NOT_CREATED")
           || ngx_http_waha_string_is(status, "STOPPED")
           || ngx_http_waha_string_is(status, "FAILED")
           || (s->stuck && ngx_http_waha_string_is(status, "STARTING"))
           || s->restart
           || ngx_http_waha_connect_has_no_way_on(s)
           || !ngx_http_waha_configure_is_ours(step);
}


/* a plan is charged once, and only for what it lets WAHA do */

static ngx_int_t
ngx_http_waha_connect_charge(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then)
{
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (s->charged) {
        return then(step);
    }

    s->charged = 1;

    return ngx_http_waha_lease_charge(step,
                                      s->restart
                                      ? NGX_HTTP_WAHA_BUDGET_RESTARTS
                                      : NGX_HTTP_WAHA_BUDGET_CONNECTS,
                                      then);
}


static ngx_int_t
ngx_http_waha_connect_create(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_configure_create(step,
                                         ngx_http_waha_connect_on_configured);
}


static ngx_int_t
ngx_http_waha_connect_on_configured(ngx_http_waha_step_t *step)
{
    if (!ngx_http_waha_session_is_accepted(step)
        || ngx_http_waha_session_read_answer(step) != NGX_OK)
    {
        return ngx_http_waha_connect_retry(step);
    }

    step->session->configured = 1;

    return ngx_http_waha_connect_run(step);
}


static ngx_int_t
ngx_http_waha_connect_run(ngx_http_waha_step_t *step)
{
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (ngx_http_waha_string_is(&s->info.status, "STOPPED")) {
        return ngx_http_waha_connect_charge(step,
                                            ngx_http_waha_connect_start);
    }

    /* a login that WhatsApp refuses fails after each restart */

    if (ngx_http_waha_string_is(&s->info.status, "FAILED")) {
        return ngx_http_waha_connect_charge(step,
                                            s->recovered
                                            ? ngx_http_waha_connect_log_out
                                            : ngx_http_waha_connect_restart);
    }

    if (!s->started
        && (s->restart
            || (s->stuck
                && ngx_http_waha_string_is(&s->info.status, "STARTING"))
            || ngx_http_waha_connect_has_no_way_on(s)))
    {
        return ngx_http_waha_connect_charge(step,
                                            ngx_http_waha_connect_restart);
    }

    return ngx_http_waha_session_record(step,
                                        ngx_http_waha_connect_on_running);
}


/* the session waits for a passkey, which the client cannot show */

static ngx_uint_t
ngx_http_waha_connect_has_no_way_on(ngx_http_waha_session_t *s)
{
    return s->no_passkey
           && (ngx_http_waha_string_is(&s->info.status, "PASSKEY_REQUIRED")
               || ngx_http_waha_string_is(&s->info.status,
                                          "PASSKEY_CONFIRMATION_REQUIRED"));
}


static ngx_int_t
ngx_http_waha_connect_start(ngx_http_waha_step_t *step)
{
    step->session->started = 1;

    return ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
                                       "/api/sessions/%V/start", NULL,
                                       ngx_http_waha_connect_on_started);
}


static ngx_int_t
ngx_http_waha_connect_restart(ngx_http_waha_step_t *step)
{
    step->session->started = 1;

    return ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
                                       "/api/sessions/%V/restart", NULL,
                                       ngx_http_waha_connect_on_restarted);
}


static ngx_int_t
ngx_http_waha_connect_on_restarted(ngx_http_waha_step_t *step)
{
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (ngx_http_waha_session_is_accepted(step)
        && ngx_http_waha_string_is(&s->info.status, "FAILED"))
    {
        s->recovered = 1;
        s->recovering = 1;
        s->logged_out = 0;
    }

    return ngx_http_waha_connect_on_started(step);
}


/* WAHA starts a session again that ran */

static ngx_int_t
ngx_http_waha_connect_log_out(ngx_http_waha_step_t *step)
{
    step->session->started = 1;

    return ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
                                       "/api/sessions/%V/logout", NULL,
                                       ngx_http_waha_connect_on_logged_out);
}


static ngx_int_t
ngx_http_waha_connect_on_logged_out(ngx_http_waha_step_t *step)
{
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (ngx_http_waha_session_is_accepted(step)) {
        s->recovered = 0;
        s->logged_out = 1;

        if (ngx_http_waha_session_read_answer(step) == NGX_OK
            && ngx_http_waha_string_is(&s->info.status, "STOPPED"))
        {
            return ngx_http_waha_connect_start(step);
        }
    }

    return ngx_http_waha_connect_on_started(step);
}


static ngx_int_t
ngx_http_waha_connect_on_started(ngx_http_waha_step_t *step)
{
    if (!ngx_http_waha_session_is_accepted(step)) {
        return ngx_http_waha_connect_retry(step);
    }

    if (ngx_http_waha_session_read_answer(step) != NGX_OK) {
        return ngx_http_waha_session_look(step,
                                          ngx_http_waha_connect_on_running);
    }

    return ngx_http_waha_session_record(step,
                                        ngx_http_waha_connect_on_running);
}


/* the session changed at WAHA since the plan looked: start over */

static ngx_int_t
ngx_http_waha_connect_retry(ngx_http_waha_step_t *step)
{
    ngx_uint_t  status;

    status = step->fetch.status;

    if (!ngx_http_waha_session_is_accepted(step)
        && status != NGX_HTTP_NOT_FOUND
        && status != NGX_HTTP_WAHA_UNPROCESSABLE
        && (status != NGX_HTTP_INTERNAL_SERVER_ERROR
            || ngx_http_waha_session_info_is_busy(step->fetch.json)))
    {
        return ngx_http_waha_session_fail(step);
    }

    if (++step->session->rounds == NGX_HTTP_WAHA_CONNECT_ROUNDS) {
        return ngx_http_waha_session_fail(step);
    }

    return ngx_http_waha_connect_start_over(step);
}


static ngx_int_t
ngx_http_waha_connect_on_running(ngx_http_waha_step_t *step)
{
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (s->phone.data == NULL) {
        return ngx_http_waha_step_succeed(step);
    }

    s->restart = 0;

    return ngx_http_waha_lease_end(step, ngx_http_waha_connect_pair);
}


static ngx_int_t
ngx_http_waha_connect_pair(ngx_http_waha_step_t *step)
{
    step->session->deadline = ngx_current_msec
                              + NGX_HTTP_WAHA_CONNECT_PATIENCE;

    return ngx_http_waha_connect_await(step);
}


/* before there is a QR code, WAHA fails to give a code, or never answers */

static ngx_int_t
ngx_http_waha_connect_await(ngx_http_waha_step_t *step)
{
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (ngx_http_waha_string_is(&s->info.status, "SCAN_QR_CODE")) {
        return s->codes ? ngx_http_waha_connect_ask(step)
                        : ngx_http_waha_lease_charge(step,
                                                   NGX_HTTP_WAHA_BUDGET_CODES,
                                                   ngx_http_waha_connect_ask);
    }

    if (ngx_http_waha_string_is(&s->info.status, "FAILED")
        && ++s->rounds < NGX_HTTP_WAHA_CONNECT_ROUNDS)
    {
        return ngx_http_waha_connect_on_reserved(step);
    }

    if (!ngx_http_waha_string_is(&s->info.status, "STARTING")
        || (ngx_msec_int_t) (s->deadline - ngx_current_msec) <= 0)
    {
        return ngx_http_waha_step_succeed(step);
    }

    return ngx_http_waha_step_wait(step, NGX_HTTP_WAHA_CONNECT_DELAY,
                                   ngx_http_waha_connect_look);
}


static ngx_int_t
ngx_http_waha_connect_look(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_session_look(step, ngx_http_waha_connect_await);
}


static ngx_int_t
ngx_http_waha_connect_ask(ngx_http_waha_step_t *step)
{
    step->session->codes++;

    return ngx_http_waha_link_request_code(step,
                                           ngx_http_waha_connect_on_code);
}


static ngx_int_t
ngx_http_waha_connect_on_code(ngx_http_waha_step_t *step)
{
    ngx_uint_t                status;
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (ngx_http_waha_session_is_accepted(step)) {
        s->pairing_code = ngx_http_waha_link_pairing_code(step);
        return ngx_http_waha_link_note_code(step);
    }

    status = step->fetch.status;

    /* the status has changed since the plan looked */

    if ((status == NGX_HTTP_WAHA_UNPROCESSABLE
         || status == NGX_HTTP_NOT_FOUND
         || status == NGX_HTTP_INTERNAL_SERVER_ERROR)
        && s->codes < NGX_HTTP_WAHA_CONNECT_ROUNDS)
    {
        return ngx_http_waha_step_wait(step, NGX_HTTP_WAHA_CONNECT_DELAY,
                                       ngx_http_waha_connect_look);
    }

    return (status == NGX_HTTP_WAHA_UNPROCESSABLE)
           ? ngx_http_waha_step_succeed(step)
           : ngx_http_waha_session_fail(step);
}
