
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_session_conf.h>
#include <ngx_http_waha_signature.h>
#include <ngx_http_waha_value.h>


void
ngx_http_waha_session_conf_create(ngx_http_waha_session_conf_t *conf)
{
    conf->max_sessions = NGX_CONF_UNSET;
    conf->status_ttl = NGX_CONF_UNSET;
    conf->connect_enables = NGX_CONF_UNSET;
}


void
ngx_http_waha_session_conf_merge(ngx_http_waha_session_conf_t *prev,
    ngx_http_waha_session_conf_t *conf)
{
    ngx_conf_merge_str_value(conf->webhook_url, prev->webhook_url, "");
    ngx_conf_merge_value(conf->max_sessions, prev->max_sessions, 5);
    ngx_conf_merge_sec_value(conf->status_ttl, prev->status_ttl, 60);
    ngx_conf_merge_value(conf->connect_enables, prev->connect_enables, 0);
}


char *
ngx_http_waha_session_conf_check(ngx_conf_t *cf,
    ngx_http_waha_loc_conf_t *conf, ngx_str_t *location)
{
    size_t                     n;
    ngx_uint_t                 i;
    ngx_http_waha_hmac_key_t  *key;

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
