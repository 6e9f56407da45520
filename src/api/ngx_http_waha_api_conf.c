
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_api_conf.h>


void
ngx_http_waha_api_conf_merge(ngx_http_waha_api_conf_t *prev,
    ngx_http_waha_api_conf_t *conf)
{
    if (conf->cors_origins == NULL) {
        conf->cors_origins = prev->cors_origins;
    }
}


/* browsers send origins in one form, which is compared byte by byte */

char *
ngx_http_waha_api_conf_cors_origin(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t                 *value, *origin;
    ngx_uint_t                 i;
    ngx_http_waha_api_conf_t  *api;

    api = wlcf->api;
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
