
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_JWT_H_INCLUDED_
#define _NGX_HTTP_WAHA_JWT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_jwt_key.h>


/* what is demanded of a token; empty strings demand nothing */

typedef struct {
    ngx_array_t              *keys;         /* ngx_http_waha_jwt_key_t */
    ngx_str_t                 issuer;
    ngx_str_t                 audience;
    ngx_str_t                 claim;        /* names the organization */
    ngx_str_t                 operator_claim;
    ngx_str_t                 operator_value;
} ngx_http_waha_jwt_conf_t;


typedef struct {
    ngx_str_t                 organization; /* slug or decimal id */
    unsigned                  operator:1;

    /* a key of ours has signed it, whether or not it is accepted */
    unsigned                  genuine:1;
} ngx_http_waha_jwt_claims_t;


/*
 * Verifies a signed token at the time now and fills claims, whose memory is
 * of pool.  An organization is always there unless the token is an
 * operator's.  NGX_DECLINED: not accepted; *reason is constant, holds nothing
 * of the token, and is for the log.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_jwt_verify(ngx_pool_t *pool,
    ngx_http_waha_jwt_conf_t *conf, ngx_str_t *token, time_t now,
    ngx_http_waha_jwt_claims_t *claims, const char **reason);


#endif /* _NGX_HTTP_WAHA_JWT_H_INCLUDED_ */
