
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_AUTH_CONF_H_INCLUDED_
#define _NGX_HTTP_WAHA_AUTH_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_jwt.h>


typedef struct ngx_http_waha_auth_conf_s {
    ngx_flag_t                  enable;

    ngx_http_waha_jwt_conf_t    jwt;
    ngx_flag_t                  api_keys;

    /* index of the variable of "waha_organization"; NGX_ERROR: none */
    ngx_int_t                   variable;
} ngx_http_waha_auth_conf_t;


/* Handlers of "waha_jwt_key", "waha_jwt_claim" and "waha_organization". */
char *ngx_http_waha_auth_conf_jwt_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_waha_auth_conf_jwt_claim(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_waha_auth_conf_organization(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

void ngx_http_waha_auth_conf_create(ngx_http_waha_auth_conf_t *conf);
void ngx_http_waha_auth_conf_merge(ngx_http_waha_auth_conf_t *prev,
    ngx_http_waha_auth_conf_t *conf);

/* Whether any method of authorization is configured. */
ngx_uint_t ngx_http_waha_auth_conf_has_method(ngx_http_waha_auth_conf_t *conf);


#endif /* _NGX_HTTP_WAHA_AUTH_CONF_H_INCLUDED_ */
