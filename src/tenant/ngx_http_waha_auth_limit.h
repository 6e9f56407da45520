
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_AUTH_LIMIT_H_INCLUDED_
#define _NGX_HTTP_WAHA_AUTH_LIMIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct ngx_http_waha_auth_limit_s {
    /* thousandths of an attempt per second; 0: no limit */
    ngx_uint_t        rate;

    ngx_shm_zone_t   *zone;
} ngx_http_waha_auth_limit_t;


void ngx_http_waha_auth_limit_create_conf(ngx_http_waha_auth_limit_t *limit);

/*
 * Handler of "waha_auth_limit": the rate of attempts with wrong credentials
 * from one address, after a burst of ten.
 */
char *ngx_http_waha_auth_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Adds the shared memory zone, unless there is no limit.  NGX_ERROR: the
 * error was logged.
 */
ngx_int_t ngx_http_waha_auth_limit_add_zone(ngx_conf_t *cf,
    ngx_http_waha_auth_limit_t *limit);

/*
 * Whether the address of the client has made too many attempts; its
 * credentials must not be verified then.  The attempt of r itself, counted
 * before an internal redirect, does not exceed the limit.
 */
ngx_uint_t ngx_http_waha_auth_limit_is_exceeded(ngx_http_request_t *r);

/* Counts an attempt with wrong credentials, once for a request. */
void ngx_http_waha_auth_limit_count(ngx_http_request_t *r);


#endif /* _NGX_HTTP_WAHA_AUTH_LIMIT_H_INCLUDED_ */
