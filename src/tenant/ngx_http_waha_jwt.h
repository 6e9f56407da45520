
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_JWT_H_INCLUDED_
#define _NGX_HTTP_WAHA_JWT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_jwt_key.h>


/* keys and required values of claims; an empty string requires nothing */

typedef struct {
    ngx_array_t              *keys;         /* ngx_http_waha_jwt_key_t */
    ngx_str_t                 issuer;
    ngx_str_t                 audience;
    ngx_str_t                 claim;        /* the one with the organization */
    ngx_str_t                 operator_claim;
    ngx_str_t                 operator_value;
} ngx_http_waha_jwt_conf_t;


typedef struct {
    ngx_str_t                 organization; /* slug or decimal id */
    ngx_str_t                 subject;      /* empty: none, or malformed */
    unsigned                  operator:1;

    /* one of the keys has signed the token; set whatever the result */
    unsigned                  verified:1;
} ngx_http_waha_jwt_claims_t;


/*
 * Verifies the signature and the claims of a token at the time now, in
 * seconds, and fills in claims, whose strings are of the pool.  The
 * organization of an operator may be empty.  NGX_DECLINED: the token is not
 * accepted; *reason, a constant for the log, holds no part of the token.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_jwt_verify(ngx_pool_t *pool,
    ngx_http_waha_jwt_conf_t *conf, ngx_str_t *token, time_t now,
    ngx_http_waha_jwt_claims_t *claims, const char **reason);


#endif /* _NGX_HTTP_WAHA_JWT_H_INCLUDED_ */
