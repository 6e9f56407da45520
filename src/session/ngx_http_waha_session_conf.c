
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_fetch_conf.h>
#include <ngx_http_waha_session_conf.h>
#include <ngx_http_waha_signature.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


static char *ngx_http_waha_session_conf_read_budget(ngx_str_t *value,
    ngx_http_waha_budget_t *budget);


ngx_str_t  ngx_http_waha_session_budgets[] = {
    ngx_string("codes"),
    ngx_string("connects"),
    ngx_string("restarts")
};

static ngx_http_waha_budget_t  ngx_http_waha_session_default_budgets[] = {
    { 3, 600 },
    { 10, 3600 },
    { 10, 3600 }
};


void
ngx_http_waha_session_conf_create(ngx_http_waha_session_conf_t *conf)
{
    ngx_uint_t  i;

    conf->max_sessions = NGX_CONF_UNSET;
    conf->status_ttl = NGX_CONF_UNSET;
    conf->connect_enables = NGX_CONF_UNSET;

    for (i = 0; i < NGX_HTTP_WAHA_NBUDGETS; i++) {
        conf->budgets[i].most = NGX_CONF_UNSET;
        conf->budgets[i].time = NGX_CONF_UNSET;
    }
}


void
ngx_http_waha_session_conf_merge(ngx_http_waha_session_conf_t *prev,
    ngx_http_waha_session_conf_t *conf)
{
    ngx_uint_t               i;
    ngx_http_waha_budget_t  *budget;

    ngx_conf_merge_str_value(conf->webhook_url, prev->webhook_url, "");
    ngx_conf_merge_str_value(conf->meta_app, prev->meta_app, "");
    ngx_conf_merge_value(conf->max_sessions, prev->max_sessions, 5);
    ngx_conf_merge_sec_value(conf->status_ttl, prev->status_ttl, 60);
    ngx_conf_merge_value(conf->connect_enables, prev->connect_enables, 0);

    for (i = 0; i < NGX_HTTP_WAHA_NBUDGETS; i++) {
        budget = &ngx_http_waha_session_default_budgets[i];

        ngx_conf_merge_value(conf->budgets[i].most, prev->budgets[i].most,
                             budget->most);
        ngx_conf_merge_value(conf->budgets[i].time, prev->budgets[i].time,
                             budget->time);
    }
}


char *
ngx_http_waha_session_conf_check(ngx_conf_t *cf,
    ngx_http_waha_loc_conf_t *conf, ngx_str_t *location)
{
    size_t                     n;
    ngx_uint_t                 i;
    ngx_http_waha_hmac_key_t  *key;

    if (conf->fetch->graph && conf->session->webhook_url.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" connects numbers of Meta, which need "
                      "\"waha_webhook_url\" there or above", location);
        return NGX_CONF_ERROR;
    }

    if (conf->fetch->instances == NULL) {
        return NGX_CONF_OK;
    }

    if (conf->session->webhook_url.len == 0 || conf->hmac_keys == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" makes sessions at WAHA, which need "
                      "\"%s\" there or above", location,
                      conf->session->webhook_url.len ? "waha_hmac_key"
                                                     : "waha_webhook_url");
        return NGX_CONF_ERROR;
    }

    key = conf->hmac_keys->elts;

    for (i = 0; i < conf->hmac_keys->nelts; i++) {

        if (!ngx_http_waha_value_is_text(&key[i].secret, &n)) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "location \"%V\" makes sessions at WAHA, which "
                          "takes \"waha_hmac_key\" only as UTF-8 without "
                          "control characters: one is not", location);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_waha_session_conf_webhook_url(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    size_t                         i;
    ngx_str_t                     *value;
    ngx_http_waha_session_conf_t  *session;

    session = wlcf->session;
    value = cf->args->elts;

    if (session->webhook_url.data) {
        return "is duplicate";
    }

    if (ngx_strncmp(value[1].data, "http://", 7) != 0
        && ngx_strncmp(value[1].data, "https://", 8) != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid url \"%V\", it has to begin with "
                           "\"https://\" or \"http://\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < value[1].len; i++) {

        if (value[1].data[i] <= ' ' || value[1].data[i] >= 0x7f
            || value[1].data[i] == '"' || value[1].data[i] == '\\')
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid url \"%V\", it has to be escaped",
                               &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    session->webhook_url = value[1];

    return NGX_CONF_OK;
}


char *
ngx_http_waha_session_conf_budget(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    char        *rv;
    ngx_str_t   *value, *name, rest;
    ngx_uint_t   i, n;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        for (n = 0; n < NGX_HTTP_WAHA_NBUDGETS; n++) {
            name = &ngx_http_waha_session_budgets[n];

            if (value[i].len > name->len && value[i].data[name->len] == '='
                && ngx_strncmp(value[i].data, name->data, name->len) == 0)
            {
                break;
            }
        }

        rv = "invalid";

        if (n < NGX_HTTP_WAHA_NBUDGETS) {
            rest.data = value[i].data + name->len + 1;
            rest.len = value[i].len - name->len - 1;

            rv = ngx_http_waha_session_conf_read_budget(&rest,
                                                &wlcf->session->budgets[n]);
        }

        if (rv != NGX_CONF_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s parameter \"%V\", it has to be such as "
                               "\"codes=3/10m\", \"connects=10/1h\" or "
                               "\"restarts=off\"", rv, &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_waha_session_conf_meta_app(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t                     *value;
    ngx_http_waha_session_conf_t  *session;

    session = wlcf->session;
    value = cf->args->elts;

    if (session->meta_app.data) {
        return "is duplicate";
    }

    if (!ngx_http_waha_value_is_digits(&value[1], 1, 32)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid id \"%V\" of an app of Meta, it has up to "
                           "32 digits", &value[1]);
        return NGX_CONF_ERROR;
    }

    session->meta_app = value[1];

    return NGX_CONF_OK;
}


/* a number and a time, such as "3/10m", or "off" */

static char *
ngx_http_waha_session_conf_read_budget(ngx_str_t *value,
    ngx_http_waha_budget_t *budget)
{
    u_char     *slash;
    ngx_str_t   time;

    if (budget->most != NGX_CONF_UNSET) {
        return "duplicate";
    }

    if (ngx_http_waha_string_is(value, "off")) {
        budget->most = 0;
        budget->time = 0;
        return NGX_CONF_OK;
    }

    slash = ngx_strlchr(value->data, value->data + value->len, '/');
    if (slash == NULL) {
        return "invalid";
    }

    time.data = slash + 1;
    time.len = value->data + value->len - time.data;

    budget->most = ngx_atoi(value->data, slash - value->data);
    budget->time = ngx_parse_time(&time, 1);

    /* the database keeps a time of each */

    if (budget->most < 1 || budget->most > 1000
        || budget->time < 1 || budget->time > 86400)
    {
        return "invalid";
    }

    return NGX_CONF_OK;
}
