
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_connect.h>
#include <ngx_http_waha_qr.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_session_conf.h>
#include <ngx_http_waha_session_config.h>
#include <ngx_http_waha_shape.h>
#include <ngx_http_waha_string.h>


static const char *ngx_http_waha_connect_names(ngx_http_waha_api_t *api,
    ngx_str_t *id, ngx_str_t *label);
static const char *ngx_http_waha_connect_pairing(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_connect_found(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_connect_enter(ngx_http_waha_api_t *api);
static void ngx_http_waha_connect_entered(ngx_http_request_t *r, void *data);
static ngx_int_t ngx_http_waha_connect_round(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_connect_looked(ngx_http_waha_api_t *api);
static void ngx_http_waha_connect_config(ngx_http_waha_api_t *api,
    ngx_http_waha_session_config_t *conf);
static ngx_int_t ngx_http_waha_connect_create(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_connect_created(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_connect_repair(ngx_http_waha_api_t *api,
    ngx_http_waha_session_config_t *conf);
static ngx_int_t ngx_http_waha_connect_repaired(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_connect_run(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_connect_started(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_connect_failed(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_connect_done(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_connect_paired(ngx_http_waha_api_t *api);


ngx_int_t
ngx_http_waha_connect(ngx_http_waha_api_t *api)
{
    ngx_str_t    id, label;
    const char  *wrong;

    if (ngx_http_waha_session_create(api) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    wrong = ngx_http_waha_connect_names(api, &id, &label);

    if (wrong == NULL) {
        wrong = ngx_http_waha_connect_pairing(api);
    }

    if (wrong) {
        return ngx_http_waha_api_invalid(api, wrong);
    }

    return ngx_http_waha_session_reserve(api, &id, &label,
                                         ngx_http_waha_connect_enter);
}


ngx_int_t
ngx_http_waha_connect_anew(ngx_http_waha_api_t *api)
{
    if (ngx_http_waha_session_create(api) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    api->session->restart = 1;

    return ngx_http_waha_connect(api);
}


ngx_int_t
ngx_http_waha_connect_again(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_session_find(api, ngx_http_waha_connect_found);
}


static ngx_int_t
ngx_http_waha_connect_found(ngx_http_waha_api_t *api)
{
    ngx_str_t  label;

    ngx_str_null(&label);

    return ngx_http_waha_session_reserve(api, &api->session->name, &label,
                                         ngx_http_waha_connect_enter);
}


/* the name of an argument that is wrong, or NULL */

static const char *
ngx_http_waha_connect_names(ngx_http_waha_api_t *api, ngx_str_t *id,
    ngx_str_t *label)
{
    ngx_str_t                        value;
    const ngx_http_waha_argument_t  *arg;

    ngx_str_null(id);
    ngx_str_null(label);

    for (arg = api->route->args; arg && arg->name; arg++) {

        if (ngx_http_waha_api_argument(api, arg->name, arg->kind, &value)
            != NGX_OK
            || (value.data == NULL && arg->required))
        {
            return arg->name;
        }

        if (arg == api->route->args) {
            *id = value;

        } else if (label->data == NULL) {
            *label = value;
        }
    }

    return NULL;
}


static const char *
ngx_http_waha_connect_pairing(ngx_http_waha_api_t *api)
{
    ngx_str_t  wanted, phone;

    if (api->route->shape != NGX_HTTP_WAHA_SHAPE_FLAT) {
        return NULL;
    }

    if (ngx_http_waha_api_argument(api, "usePairingCode",
                                   NGX_HTTP_WAHA_ARG_FLAG, &wanted)
        != NGX_OK)
    {
        return "usePairingCode";
    }

    if (wanted.data == NULL || wanted.data[0] != 't') {
        return NULL;
    }

    if (ngx_http_waha_api_argument(api, "phoneNumber",
                                   NGX_HTTP_WAHA_ARG_PHONE, &phone)
        != NGX_OK
        || phone.data == NULL)
    {
        return "phoneNumber";
    }

    api->session->phone = phone;

    return NULL;
}


/* each repair would restart the session: who comes second finds it done */

static ngx_int_t
ngx_http_waha_connect_enter(ngx_http_waha_api_t *api)
{
    ngx_http_waha_session_t  *s;

    s = api->session;

    s->turn.key = s->name;
    s->turn.handler = ngx_http_waha_connect_entered;
    s->turn.data = api;

    switch (ngx_http_waha_turn_take(api->request, &s->turn)) {

    case NGX_OK:
        return ngx_http_waha_connect_round(api);

    case NGX_AGAIN:
        return NGX_DONE;

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static void
ngx_http_waha_connect_entered(ngx_http_request_t *r, void *data)
{
    ngx_http_waha_api_t  *api = data;

    ngx_int_t  rc;

    rc = ngx_http_waha_connect_round(api);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


static ngx_int_t
ngx_http_waha_connect_round(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_session_call(api, NGX_HTTP_GET,
                                      "/api/sessions/%V", NULL,
                                      ngx_http_waha_connect_looked);
}


static ngx_int_t
ngx_http_waha_connect_looked(ngx_http_waha_api_t *api)
{
    ngx_http_waha_session_t         *s;
    ngx_http_waha_session_config_t   conf;

    s = api->session;

    if (ngx_http_waha_session_missing(api)) {
        return ngx_http_waha_connect_create(api);
    }

    if (!ngx_http_waha_session_called(api)
        || ngx_http_waha_session_told(api) != NGX_OK)
    {
        return ngx_http_waha_session_error(api);
    }

    ngx_http_waha_connect_config(api, &conf);

    if (!ngx_http_waha_session_config_fits(&conf, s->info.config)) {
        return ngx_http_waha_connect_repair(api, &conf);
    }

    return ngx_http_waha_connect_run(api);
}


static void
ngx_http_waha_connect_config(ngx_http_waha_api_t *api,
    ngx_http_waha_session_config_t *conf)
{
    ngx_http_waha_session_t   *s;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(api->request, ngx_http_waha_module);

    s = api->session;

    conf->url = wlcf->session->webhook_url;
    conf->key = ngx_http_waha_session_config_key(wlcf->hmac_keys,
                                                 &s->instance->name);
    conf->organization_slug = api->organization.slug;
    conf->organization_id = s->organization_id;
}


static ngx_int_t
ngx_http_waha_connect_create(ngx_http_waha_api_t *api)
{
    ngx_str_t                        body;
    ngx_http_waha_session_config_t   conf;

    ngx_http_waha_connect_config(api, &conf);

    if (ngx_http_waha_session_config_create(api->request->pool, &conf,
                                            &api->session->name, &body)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_session_call(api, NGX_HTTP_POST, "/api/sessions",
                                      &body, ngx_http_waha_connect_created);
}


static ngx_int_t
ngx_http_waha_connect_created(ngx_http_waha_api_t *api)
{
    api->session->fresh = 1;

    return ngx_http_waha_connect_repaired(api);
}


static ngx_int_t
ngx_http_waha_connect_repair(ngx_http_waha_api_t *api,
    ngx_http_waha_session_config_t *conf)
{
    ngx_str_t                 body;
    ngx_http_waha_session_t  *s;

    s = api->session;

    /* what runs is restarted by that */

    s->fresh = 1;

    if (ngx_http_waha_session_config_merge(api->request->pool, conf,
                                           s->info.config, &body)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_session_call(api, NGX_HTTP_PUT, "/api/sessions/%V",
                                      &body, ngx_http_waha_connect_repaired);
}


static ngx_int_t
ngx_http_waha_connect_repaired(ngx_http_waha_api_t *api)
{
    if (!ngx_http_waha_session_called(api)
        || ngx_http_waha_session_told(api) != NGX_OK)
    {
        return ngx_http_waha_connect_failed(api);
    }

    return ngx_http_waha_connect_run(api);
}


static ngx_int_t
ngx_http_waha_connect_run(ngx_http_waha_api_t *api)
{
    ngx_http_waha_session_t  *s;

    s = api->session;

    if (ngx_http_waha_string_is(&s->info.status, "STOPPED")) {
        return ngx_http_waha_session_call(api, NGX_HTTP_POST,
                                          "/api/sessions/%V/start", NULL,
                                          ngx_http_waha_connect_started);
    }

    if (ngx_http_waha_string_is(&s->info.status, "FAILED")
        || (s->restart && !s->fresh))
    {
        return ngx_http_waha_session_call(api, NGX_HTTP_POST,
                                          "/api/sessions/%V/restart", NULL,
                                          ngx_http_waha_connect_started);
    }

    return ngx_http_waha_session_record(api, ngx_http_waha_connect_done);
}


static ngx_int_t
ngx_http_waha_connect_started(ngx_http_waha_api_t *api)
{
    if (!ngx_http_waha_session_called(api)) {
        return ngx_http_waha_connect_failed(api);
    }

    if (ngx_http_waha_session_told(api) != NGX_OK) {
        return ngx_http_waha_session_look(api, ngx_http_waha_connect_done);
    }

    return ngx_http_waha_session_record(api, ngx_http_waha_connect_done);
}


/* it was done meanwhile, or undone: what is to be done is seen anew */

static ngx_int_t
ngx_http_waha_connect_failed(ngx_http_waha_api_t *api)
{
    ngx_uint_t  status;

    status = api->fetch.status;

    if (!ngx_http_waha_session_called(api)
        && status != NGX_HTTP_NOT_FOUND
        && status != NGX_HTTP_WAHA_UNPROCESSABLE
        && status != NGX_HTTP_INTERNAL_SERVER_ERROR)
    {
        return ngx_http_waha_session_error(api);
    }

    if (++api->session->rounds == NGX_HTTP_WAHA_SESSION_ROUNDS) {
        return ngx_http_waha_session_error(api);
    }

    return ngx_http_waha_connect_round(api);
}


/* while it starts WAHA waits for the code to become possible */

static ngx_int_t
ngx_http_waha_connect_done(ngx_http_waha_api_t *api)
{
    ngx_http_waha_session_t  *s;

    s = api->session;

    ngx_http_waha_turn_leave(&s->turn);

    if (s->phone.data == NULL
        || (!ngx_http_waha_string_is(&s->info.status, "STARTING")
            && !ngx_http_waha_string_is(&s->info.status,
                                              "SCAN_QR_CODE")))
    {
        return ngx_http_waha_session_answer(api);
    }

    return ngx_http_waha_qr_request_code(api, ngx_http_waha_connect_paired);
}


static ngx_int_t
ngx_http_waha_connect_paired(ngx_http_waha_api_t *api)
{
    if (!ngx_http_waha_session_called(api)
        && api->fetch.status != NGX_HTTP_WAHA_UNPROCESSABLE)
    {
        return ngx_http_waha_session_error(api);
    }

    api->session->pairing_code = ngx_http_waha_qr_pairing_code(api);

    return ngx_http_waha_session_answer(api);
}
