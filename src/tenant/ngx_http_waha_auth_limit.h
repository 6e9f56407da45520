
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


typedef enum {
    NGX_HTTP_WAHA_AUTH_UNDECIDED = 0,
    NGX_HTTP_WAHA_AUTH_RIGHT,
    NGX_HTTP_WAHA_AUTH_WRONG
} ngx_http_waha_auth_outcome_e;


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
 * Charges the address of the client for wrong credentials, once for a
 * request.  NGX_DECLINED: it has made too many attempts, which is logged once
 * a minute.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_auth_limit_charge(ngx_http_request_t *r);

/*
 * The same for a scope of the address, which has a limit of its own: a failure
 * that may be a guess at one thing does not count for the others.
 */
void ngx_http_waha_auth_limit_charge_scope(ngx_http_request_t *r,
    const ngx_str_t *scope);

/* Whether the address has used up what it has for such a thing. */
ngx_uint_t ngx_http_waha_auth_limit_is_spent(ngx_http_request_t *r,
    const ngx_str_t *scope);

/*
 * Charges the address for credentials that are to be looked up, unless they
 * were right before; digest is their SHA-256.  NGX_OK: look them up, then call
 * settle().  NGX_AGAIN: other look-ups have to be decided first, call this
 * again soon.  NGX_DECLINED and NGX_ERROR as above.
 */
ngx_int_t ngx_http_waha_auth_limit_admit(ngx_http_request_t *r,
    u_char *digest);

/*
 * Ends what admit() began: the charge for wrong credentials stays.  Right ones
 * are remembered: they are looked up in spite of the attempts of others.
 */
void ngx_http_waha_auth_limit_settle(ngx_http_request_t *r, u_char *digest,
    ngx_http_waha_auth_outcome_e outcome);


#endif /* _NGX_HTTP_WAHA_AUTH_LIMIT_H_INCLUDED_ */
