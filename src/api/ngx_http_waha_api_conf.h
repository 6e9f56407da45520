
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_API_CONF_H_INCLUDED_
#define _NGX_HTTP_WAHA_API_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* a WAHA server: its name in the database, and the location that proxies */

typedef struct {
    ngx_str_t      name;
    ngx_str_t      uri;             /* without a trailing slash */
} ngx_http_waha_instance_t;


typedef struct {
    ngx_array_t   *instances;       /* ngx_http_waha_instance_t */
    ngx_str_t      webhook_url;
    size_t         call_size;
    ngx_msec_t     call_timeout;
    ngx_int_t      max_sessions;
    time_t         status_ttl;

    /* ngx_str_t; empty when off, NULL when not set */
    ngx_array_t   *cors_origins;

    unsigned       enable:1;
} ngx_http_waha_api_conf_t;


/* Handlers of the directives, with the configuration at cmd->offset. */
char *ngx_http_waha_api_instance(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_waha_api_webhook_url(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_waha_api_cors_origin(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

void ngx_http_waha_api_create_conf(ngx_http_waha_api_conf_t *conf);
void ngx_http_waha_api_merge_conf(ngx_http_waha_api_conf_t *prev,
    ngx_http_waha_api_conf_t *conf);


#endif /* _NGX_HTTP_WAHA_API_CONF_H_INCLUDED_ */
