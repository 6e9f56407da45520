
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_key_file.h>
#include <ngx_http_waha_secret.h>
#include <ngx_http_waha_secret_conf.h>


char *
ngx_http_waha_secret_conf_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_main_conf_t *wmcf = conf;

    ngx_int_t    rc;
    ngx_str_t   *value, material;
    const char  *reason;

    if (wmcf->secrets == NULL) {
        wmcf->secrets = ngx_pcalloc(cf->pool, sizeof(ngx_http_waha_secrets_t));
        if (wmcf->secrets == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    if (ngx_http_waha_key_file_read(cf, &value[2],
                                    NGX_HTTP_WAHA_KEY_FILE_SECRET
                                    |NGX_HTTP_WAHA_KEY_FILE_BINARY, &material)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rc = ngx_http_waha_secret_add_key(cf->pool, wmcf->secrets, &value[1],
                                      &material, &reason);

    if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" cannot be used as the secret key \"%V\": "
                           "%s", &value[2], &value[1], reason);
    }

    return (rc == NGX_OK) ? NGX_CONF_OK : NGX_CONF_ERROR;
}
