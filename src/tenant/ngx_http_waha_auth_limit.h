
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_AUTH_LIMIT_H_INCLUDED_
#define _NGX_HTTP_WAHA_AUTH_LIMIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct ngx_http_waha_auth_limit_s {
    /* 1 is a thousandth of a guess in a second; 0: there is no limit */
    ngx_uint_t        rate;

    ngx_shm_zone_t   *zone;
} ngx_http_waha_auth_limit_t;


void ngx_http_waha_auth_limit_create_conf(ngx_http_waha_auth_limit_t *limit);

/*
 * Handler of "waha_auth_limit": the rate at which up to ten wrong guesses of
 * an address are forgotten.
 */
char *ngx_http_waha_auth_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Asks for the shared memory, unless there is no limit. */
ngx_int_t ngx_http_waha_auth_limit_zone(ngx_conf_t *cf,
    ngx_http_waha_auth_limit_t *limit);

/*
 * NGX_BUSY: the client's address has guessed too often, and is to be refused
 * before anything of it is verified; NGX_OK.
 */
ngx_int_t ngx_http_waha_auth_limited(ngx_http_request_t *r);

/* Counts a guess that was wrong, once for a request. */
void ngx_http_waha_auth_guessed(ngx_http_request_t *r);


#endif /* _NGX_HTTP_WAHA_AUTH_LIMIT_H_INCLUDED_ */
