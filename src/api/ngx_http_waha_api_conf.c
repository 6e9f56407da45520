
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_api_conf.h>


static ngx_uint_t ngx_http_waha_api_conf_is_origin(ngx_str_t *value);


void
ngx_http_waha_api_conf_create(ngx_http_waha_api_conf_t *conf)
{
    conf->cors_credentials = NGX_CONF_UNSET;
}


void
ngx_http_waha_api_conf_merge(ngx_http_waha_api_conf_t *prev,
    ngx_http_waha_api_conf_t *conf)
{
    if (conf->cors_origins == NULL) {
        conf->cors_origins = prev->cors_origins;
    }

    ngx_conf_merge_value(conf->cors_credentials, prev->cors_credentials, 0);
}


char *
ngx_http_waha_api_conf_check(ngx_conf_t *cf, ngx_http_waha_api_conf_t *conf,
    ngx_str_t *location)
{
    if (conf->cors_credentials
        && (conf->cors_origins == NULL || conf->cors_origins->nelts == 0))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" has \"waha_cors_credentials on\" but "
                      "no \"waha_cors_origin\" that names the origins which "
                      "may send credentials", location);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
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

        if (ngx_strcmp(value[i].data, "*") == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"waha_cors_origin *\" would let the pages of "
                               "every site call the API: name the origins");
            return NGX_CONF_ERROR;
        }

        if (!ngx_http_waha_api_conf_is_origin(&value[i])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid origin \"%V\", it is written as "
                               "\"https://crm.example.com\": in lower case, "
                               "without a path", &value[i]);
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


/* a host in the form in which browsers send it, maybe with a port */

static ngx_uint_t
ngx_http_waha_api_conf_is_origin(ngx_str_t *value)
{
    u_char  *p, *last;

    last = value->data + value->len;

    if (ngx_strncmp(value->data, "https://", 8) == 0) {
        p = value->data + 8;

    } else if (ngx_strncmp(value->data, "http://", 7) == 0) {
        p = value->data + 7;

    } else {
        return 0;
    }

    if (p == last) {
        return 0;
    }

    for ( /* void */ ; p < last; p++) {

        if ((*p < 'a' || *p > 'z')
            && (*p < '0' || *p > '9')
            && ngx_strchr("-._:[]", *p) == NULL)
        {
            return 0;
        }
    }

    return 1;
}
