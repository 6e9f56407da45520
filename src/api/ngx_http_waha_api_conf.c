
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_api_conf.h>
#include <ngx_http_waha_guard.h>


void
ngx_http_waha_api_create_conf(ngx_http_waha_api_conf_t *conf)
{
    conf->call_size = NGX_CONF_UNSET_SIZE;
    conf->call_timeout = NGX_CONF_UNSET_MSEC;
    conf->max_sessions = NGX_CONF_UNSET;
    conf->status_ttl = NGX_CONF_UNSET;
}


void
ngx_http_waha_api_merge_conf(ngx_http_waha_api_conf_t *prev,
    ngx_http_waha_api_conf_t *conf)
{
    if (conf->instances == NULL) {
        conf->instances = prev->instances;
    }

    if (conf->cors_origins == NULL) {
        conf->cors_origins = prev->cors_origins;
    }

    ngx_conf_merge_str_value(conf->webhook_url, prev->webhook_url, "");
    ngx_conf_merge_size_value(conf->call_size, prev->call_size, 1048576);
    ngx_conf_merge_msec_value(conf->call_timeout, prev->call_timeout, 60000);
    ngx_conf_merge_value(conf->max_sessions, prev->max_sessions, 5);
    ngx_conf_merge_sec_value(conf->status_ttl, prev->status_ttl, 60);
}


char *
ngx_http_waha_api_instance(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char *p = conf;

    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_waha_api_conf_t  *api;
    ngx_http_waha_instance_t  *instance;

    api = (ngx_http_waha_api_conf_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (value[1].len == 0 || value[1].len > 50) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\", up to 50 characters are "
                           "allowed", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (value[2].len == 0 || value[2].data[0] != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid uri \"%V\", it has to be that of an "
                           "internal location and begin with \"/\"",
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    if (api->instances == NULL) {
        api->instances = ngx_array_create(cf->pool, 2,
                                          sizeof(ngx_http_waha_instance_t));
        if (api->instances == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    instance = api->instances->elts;

    for (i = 0; i < api->instances->nelts; i++) {

        if (instance[i].name.len == value[1].len
            && ngx_strcmp(instance[i].name.data, value[1].data) == 0)
        {
            return "is duplicate";
        }
    }

    instance = ngx_array_push(api->instances);
    if (instance == NULL) {
        return NGX_CONF_ERROR;
    }

    instance->name = value[1];
    instance->uri = value[2];

    while (instance->uri.len
           && instance->uri.data[instance->uri.len - 1] == '/')
    {
        instance->uri.len--;
    }

    if (instance->uri.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid uri \"%V\", WAHA needs a location of its "
                           "own", &value[2]);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_waha_guard_location(cf, &instance->uri) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_waha_api_webhook_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char *p = conf;

    size_t                     i;
    ngx_str_t                 *value;
    ngx_http_waha_api_conf_t  *api;

    api = (ngx_http_waha_api_conf_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (api->webhook_url.data) {
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

    api->webhook_url = value[1];

    return NGX_CONF_OK;
}


/* origins are compared byte by byte, as browsers send them */

char *
ngx_http_waha_api_cors_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char *p = conf;

    ngx_str_t                 *value, *origin;
    ngx_uint_t                 i;
    ngx_http_waha_api_conf_t  *api;

    api = (ngx_http_waha_api_conf_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (api->cors_origins) {
        return "is duplicate";
    }

    api->cors_origins = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
    if (api->cors_origins == NULL) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if ((ngx_strncmp(value[i].data, "http://", 7) != 0
             && ngx_strncmp(value[i].data, "https://", 8) != 0)
            || value[i].data[value[i].len - 1] == '/')
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid origin \"%V\", it is written as "
                               "\"https://crm.example.com\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        origin = ngx_array_push(api->cors_origins);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        *origin = value[i];
    }

    return NGX_CONF_OK;
}
