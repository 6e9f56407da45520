
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_connect.h>
#include <ngx_http_waha_link.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_session_conf.h>
#include <ngx_http_waha_session_config.h>
#include <ngx_http_waha_string.h>


/* tries of the plan, which starts over when the session changes at WAHA */

#define NGX_HTTP_WAHA_CONNECT_ROUNDS  3


static ngx_int_t ngx_http_waha_connect_on_reserved(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_start_over(void *data);
static ngx_int_t ngx_http_waha_connect_on_look(ngx_http_waha_step_t *step);
static void ngx_http_waha_connect_config(ngx_http_waha_step_t *step,
    ngx_http_waha_session_config_t *conf);
static ngx_int_t ngx_http_waha_connect_create(ngx_http_waha_step_t *step,
    ngx_http_waha_session_config_t *conf);
static ngx_int_t ngx_http_waha_connect_repair(ngx_http_waha_step_t *step,
    ngx_http_waha_session_config_t *conf);
static ngx_int_t ngx_http_waha_connect_on_configured(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_run(ngx_http_waha_step_t *step);
static ngx_uint_t ngx_http_waha_connect_has_no_way_on(
    ngx_http_waha_session_t *s);
static ngx_int_t ngx_http_waha_connect_on_started(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_retry(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_on_running(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_connect_on_code(ngx_http_waha_step_t *step);


ngx_int_t
ngx_http_waha_connect(ngx_http_waha_step_t *step, ngx_str_t *id,
    ngx_str_t *label)
{
    return ngx_http_waha_session_reserve(step, id, label,
                                         ngx_http_waha_connect_on_reserved);
}


/* each repair restarts the session: requests at the same time share one */

static ngx_int_t
ngx_http_waha_connect_on_reserved(ngx_http_waha_step_t *step)
{
    ngx_http_waha_lock_t  *lock;

    lock = &step->session->lock;

    lock->key = step->session->name;
    lock->handler = ngx_http_waha_connect_start_over;
    lock->data = step;

    switch (ngx_http_waha_lock_acquire(step->request, lock)) {

    case NGX_OK:
        return ngx_http_waha_connect_start_over(step);

    case NGX_AGAIN:
        return NGX_DONE;

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static ngx_int_t
ngx_http_waha_connect_start_over(void *data)
{
    ngx_http_waha_step_t *step = data;

    return ngx_http_waha_session_fetch(step, NGX_HTTP_GET,
                                       "/api/sessions/%V", NULL,
                                       ngx_http_waha_connect_on_look);
}


static ngx_int_t
ngx_http_waha_connect_on_look(ngx_http_waha_step_t *step)
{
    ngx_http_waha_session_config_t  conf;

    ngx_http_waha_connect_config(step, &conf);

    if (ngx_http_waha_session_is_missing(step)) {
        return ngx_http_waha_connect_create(step, &conf);
    }

    if (!ngx_http_waha_session_is_accepted(step)
        || ngx_http_waha_session_read_answer(step) != NGX_OK)
    {
        return ngx_http_waha_session_fail(step);
    }

    if (!ngx_http_waha_session_config_is_ours(&conf,
                                              step->session->info.config))
    {
        return ngx_http_waha_connect_repair(step, &conf);
    }

    return ngx_http_waha_connect_run(step);
}


static void
ngx_http_waha_connect_config(ngx_http_waha_step_t *step,
    ngx_http_waha_session_config_t *conf)
{
    ngx_http_waha_session_t   *s;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    s = step->session;

    conf->url = wlcf->session->webhook_url;
    conf->key = ngx_http_waha_session_config_find_key(wlcf->hmac_keys,
                                                      &s->instance->name);
    conf->organization_slug = step->organization.slug;
    conf->organization_id = s->organization_id;
}


static ngx_int_t
ngx_http_waha_connect_create(ngx_http_waha_step_t *step,
    ngx_http_waha_session_config_t *conf)
{
    ngx_str_t  body;

    step->session->started = 1;

    if (ngx_http_waha_session_config_write_create(step->request->pool, conf,
                                                  &step->session->name, &body)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_session_fetch(step, NGX_HTTP_POST, "/api/sessions",
                                       &body,
                                       ngx_http_waha_connect_on_configured);
}


static ngx_int_t
ngx_http_waha_connect_repair(ngx_http_waha_step_t *step,
    ngx_http_waha_session_config_t *conf)
{
    ngx_str_t                 body;
    ngx_http_waha_session_t  *s;

    s = step->session;

    /* WAHA restarts a session that runs when its configuration changes */

    s->started = 1;

    if (ngx_http_waha_session_config_write_update(step->request->pool, conf,
                                                  s->info.config, &body)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_session_fetch(step, NGX_HTTP_PUT, "/api/sessions/%V",
                                       &body,
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

    return ngx_http_waha_connect_run(step);
}


static ngx_int_t
ngx_http_waha_connect_run(ngx_http_waha_step_t *step)
{
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (ngx_http_waha_string_is(&s->info.status, "STOPPED")) {
        return ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
                                           "/api/sessions/%V/start", NULL,
                                           ngx_http_waha_connect_on_started);
    }

    if (ngx_http_waha_string_is(&s->info.status, "FAILED")
        || (!s->started
            && (s->restart || ngx_http_waha_connect_has_no_way_on(s))))
    {
        return ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
                                           "/api/sessions/%V/restart", NULL,
                                           ngx_http_waha_connect_on_started);
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
        && status != NGX_HTTP_INTERNAL_SERVER_ERROR)
    {
        return ngx_http_waha_session_fail(step);
    }

    if (++step->session->rounds == NGX_HTTP_WAHA_CONNECT_ROUNDS) {
        return ngx_http_waha_session_fail(step);
    }

    return ngx_http_waha_connect_start_over(step);
}


/* while a session starts, WAHA itself waits until it can give a code */

static ngx_int_t
ngx_http_waha_connect_on_running(ngx_http_waha_step_t *step)
{
    ngx_http_waha_session_t  *s;

    s = step->session;

    ngx_http_waha_lock_release(&s->lock);

    if (s->phone.data == NULL
        || (!ngx_http_waha_string_is(&s->info.status, "STARTING")
            && !ngx_http_waha_string_is(&s->info.status, "SCAN_QR_CODE")))
    {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NONE);
    }

    return ngx_http_waha_link_request_code(step,
                                           ngx_http_waha_connect_on_code);
}


static ngx_int_t
ngx_http_waha_connect_on_code(ngx_http_waha_step_t *step)
{
    if (!ngx_http_waha_session_is_accepted(step)
        && step->fetch.status != NGX_HTTP_WAHA_UNPROCESSABLE)
    {
        return ngx_http_waha_session_fail(step);
    }

    step->session->pairing_code = ngx_http_waha_link_pairing_code(step);

    return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NONE);
}
