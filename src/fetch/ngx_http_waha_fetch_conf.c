
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_fetch_conf.h>
#include <ngx_http_waha_string.h>


static char *ngx_http_waha_fetch_conf_add_instance(ngx_conf_t *cf,
    ngx_http_waha_fetch_conf_t *conf, ngx_str_t *name, ngx_str_t *uri);
static ngx_int_t ngx_http_waha_fetch_conf_add_guard(ngx_conf_t *cf,
    ngx_str_t *uri);


void
ngx_http_waha_fetch_conf_create(ngx_http_waha_fetch_conf_t *conf)
{
    conf->size = NGX_CONF_UNSET_SIZE;
    conf->timeout = NGX_CONF_UNSET_MSEC;
    conf->look_timeout = NGX_CONF_UNSET_MSEC;
}


void
ngx_http_waha_fetch_conf_merge(ngx_http_waha_fetch_conf_t *prev,
    ngx_http_waha_fetch_conf_t *conf)
{
    if (conf->instances == NULL) {
        conf->instances = prev->instances;
    }

    ngx_conf_merge_size_value(conf->size, prev->size, 1048576);
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, 60000);
    ngx_conf_merge_msec_value(conf->look_timeout, prev->look_timeout, 2000);
}


char *
ngx_http_waha_fetch_conf_instance(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t  *value, uri;

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

    uri = value[2];

    while (uri.len && uri.data[uri.len - 1] == '/') {
        uri.len--;
    }

    if (uri.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid uri \"%V\", WAHA needs a location of its "
                           "own", &value[2]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_waha_fetch_conf_add_instance(cf, wlcf->fetch, &value[1],
                                                 &uri);
}


char *
ngx_http_waha_fetch_conf_call_timeout(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t                   *value, look;
    ngx_http_waha_fetch_conf_t  *fcf;

    fcf = wlcf->fetch;
    value = cf->args->elts;

    if (fcf->timeout != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    fcf->timeout = ngx_parse_time(&value[1], 0);

    if (fcf->timeout == (ngx_msec_t) NGX_ERROR) {
        return "invalid value";
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "look=", 5) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", \"look=\" and a time "
                           "is allowed", &value[2]);
        return NGX_CONF_ERROR;
    }

    look.data = value[2].data + 5;
    look.len = value[2].len - 5;

    fcf->look_timeout = ngx_parse_time(&look, 0);

    if (fcf->look_timeout == (ngx_msec_t) NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time in \"%V\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_waha_fetch_conf_add_instance(ngx_conf_t *cf,
    ngx_http_waha_fetch_conf_t *conf, ngx_str_t *name, ngx_str_t *uri)
{
    ngx_uint_t                 i;
    ngx_http_waha_instance_t  *instance;

    if (conf->instances == NULL) {
        conf->instances = ngx_array_create(cf->pool, 2,
                                           sizeof(ngx_http_waha_instance_t));
        if (conf->instances == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    instance = conf->instances->elts;

    for (i = 0; i < conf->instances->nelts; i++) {

        if (ngx_http_waha_string_is_equal(&instance[i].name, name)) {
            return "is duplicate";
        }
    }

    instance = ngx_array_push(conf->instances);
    if (instance == NULL) {
        return NGX_CONF_ERROR;
    }

    instance->name = *name;
    instance->uri = *uri;

    if (ngx_http_waha_fetch_conf_add_guard(cf, uri) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_waha_fetch_conf_add_guard(ngx_conf_t *cf, ngx_str_t *uri)
{
    ngx_http_waha_guard_t      *guard;
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);

    if (wmcf->guards == NULL) {
        wmcf->guards = ngx_array_create(cf->pool, 2,
                                        sizeof(ngx_http_waha_guard_t));
        if (wmcf->guards == NULL) {
            return NGX_ERROR;
        }
    }

    guard = ngx_array_push(wmcf->guards);
    if (guard == NULL) {
        return NGX_ERROR;
    }

    guard->uri = *uri;
    guard->server = (cf->cmd_type == NGX_HTTP_MAIN_CONF) ? NULL
                    : ngx_http_conf_get_module_srv_conf(cf,
                                                        ngx_http_core_module);

    return NGX_OK;
}


ngx_http_waha_error_e
ngx_http_waha_fetch_conf_find_instance(ngx_http_waha_fetch_conf_t *conf,
    ngx_str_t *name, ngx_http_waha_instance_t **instance)
{
    ngx_uint_t                 i;
    ngx_http_waha_instance_t  *instances;

    *instance = NULL;

    if (conf->instances == NULL) {
        return NGX_HTTP_WAHA_ERR_NO_INSTANCE;
    }

    instances = conf->instances->elts;

    if (name->data == NULL) {

        if (conf->instances->nelts > 1) {
            return NGX_HTTP_WAHA_ERR_SESSION_WITHOUT_INSTANCE;
        }

        *instance = instances;

        return NGX_HTTP_WAHA_ERR_NONE;
    }

    for (i = 0; i < conf->instances->nelts; i++) {

        if (ngx_http_waha_string_is_equal(&instances[i].name, name)) {
            *instance = &instances[i];
            return NGX_HTTP_WAHA_ERR_NONE;
        }
    }

    return NGX_HTTP_WAHA_ERR_NO_INSTANCE;
}
