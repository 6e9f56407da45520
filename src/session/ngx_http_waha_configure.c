
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_configure.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_session_conf.h>
#include <ngx_http_waha_session_config.h>
#include <ngx_http_waha_string.h>


static void ngx_http_waha_configure_conf(ngx_http_waha_step_t *step,
    ngx_http_waha_session_config_t *conf);
static ngx_int_t ngx_http_waha_configure_on_look(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_configure_on_repaired(
    ngx_http_waha_step_t *step);


ngx_uint_t
ngx_http_waha_configure_is_ours(ngx_http_waha_step_t *step)
{
    ngx_uint_t                      ours;
    ngx_http_waha_session_t        *s;
    ngx_http_waha_session_config_t  conf;

    s = step->session;

    ngx_http_waha_configure_conf(step, &conf);

    ours = ngx_http_waha_session_config_is_ours(&conf, s->info.config);

    if (ours) {
        s->configured = 1;
    }

    return ours;
}


static void
ngx_http_waha_configure_conf(ngx_http_waha_step_t *step,
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
    conf->old_url = s->webhook_url;

    conf->ignore_groups = wlcf->session->ignore_groups;
    conf->ignore_statuses = wlcf->session->ignore_statuses;
    conf->ignore_newsletters = wlcf->session->ignore_newsletters;
    conf->ignore_broadcasts = wlcf->session->ignore_broadcasts;
}


ngx_int_t
ngx_http_waha_configure_create(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then)
{
    ngx_str_t                       body;
    ngx_http_waha_session_t        *s;
    ngx_http_waha_session_config_t  conf;

    s = step->session;
    s->started = 1;
    s->configured = 1;

    ngx_http_waha_configure_conf(step, &conf);

    if (ngx_http_waha_session_config_write_create(step->request->pool, &conf,
                                                  &s->name, &body)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_session_fetch(step, NGX_HTTP_POST, "/api/sessions",
                                       &body, then);
}


/* WAHA restarts a session that runs when its configuration changes */

ngx_int_t
ngx_http_waha_configure_repair(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then)
{
    ngx_str_t                       body;
    ngx_http_waha_session_t        *s;
    ngx_http_waha_session_config_t  conf;

    s = step->session;

    if (!ngx_http_waha_string_is(&s->info.status, "STOPPED")) {
        s->started = 1;
    }

    ngx_http_waha_configure_conf(step, &conf);

    if (ngx_http_waha_session_config_write_update(step->request->pool, &conf,
                                                  s->info.config, &body)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_session_fetch(step, NGX_HTTP_PUT, "/api/sessions/%V",
                                       &body, then);
}


ngx_int_t
ngx_http_waha_configure(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then)
{
    step->session->configure_then = then;

    return ngx_http_waha_session_look(step, ngx_http_waha_configure_on_look);
}


static ngx_int_t
ngx_http_waha_configure_on_look(ngx_http_waha_step_t *step)
{
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (ngx_http_waha_string_is(&s->info.status, "NOT_CREATED")) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NOT_CREATED);
    }

    return ngx_http_waha_configure_is_ours(step)
           ? s->configure_then(step)
           : ngx_http_waha_configure_repair(step,
                                         ngx_http_waha_configure_on_repaired);
}


static ngx_int_t
ngx_http_waha_configure_on_repaired(ngx_http_waha_step_t *step)
{
    if (!ngx_http_waha_session_is_accepted(step)
        || ngx_http_waha_session_read_answer(step) != NGX_OK)
    {
        return ngx_http_waha_session_fail(step);
    }

    step->session->configured = 1;

    return step->session->configure_then(step);
}
