
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_API_CONF_H_INCLUDED_
#define _NGX_HTTP_WAHA_API_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct ngx_http_waha_api_conf_s {
    /* ngx_str_t; empty when off, NULL when not set */
    ngx_array_t   *cors_origins;
    ngx_flag_t     cors_credentials;

    unsigned       enable:1;
} ngx_http_waha_api_conf_t;


/* Handler of "waha_cors_origin". */
char *ngx_http_waha_api_conf_cors_origin(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

void ngx_http_waha_api_conf_create(ngx_http_waha_api_conf_t *conf);
void ngx_http_waha_api_conf_merge(ngx_http_waha_api_conf_t *prev,
    ngx_http_waha_api_conf_t *conf);

/* Checks a location with the API.  NGX_CONF_ERROR: the log says why. */
char *ngx_http_waha_api_conf_check(ngx_conf_t *cf,
    ngx_http_waha_api_conf_t *conf, ngx_str_t *location);


#endif /* _NGX_HTTP_WAHA_API_CONF_H_INCLUDED_ */
