
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_JWT_KEY_H_INCLUDED_
#define _NGX_HTTP_WAHA_JWT_KEY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/evp.h>


typedef enum {
    NGX_HTTP_WAHA_JWT_HS256 = 0,
    NGX_HTTP_WAHA_JWT_RS256,
    NGX_HTTP_WAHA_JWT_ES256,
    NGX_HTTP_WAHA_JWT_EDDSA
} ngx_http_waha_jwt_alg_e;


typedef struct {
    ngx_http_waha_jwt_alg_e   alg;
    ngx_str_t                 kid;          /* empty: for any token */
    ngx_str_t                 secret;       /* HS256 */
    EVP_PKEY                 *pkey;         /* the others */
    unsigned                  operator:1;   /* signs for operators */
} ngx_http_waha_jwt_key_t;


/*
 * Makes a key of the bytes of its file: a secret of 32 bytes or more for
 * HS256 (used where it is, not copied), a public key or certificate in PEM
 * for RS256, ES256 and EdDSA, freed with pool.  kid and operator are left
 * to the caller.  NGX_DECLINED: *reason says what the operator should do.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_jwt_key(ngx_pool_t *pool, ngx_str_t *alg,
    ngx_str_t *material, ngx_http_waha_jwt_key_t *key, const char **reason);

/* NGX_DECLINED: not 1 to 128 of the characters A-Z a-z 0-9 . _ - */
ngx_int_t ngx_http_waha_jwt_kid(ngx_str_t *kid);

/* The name of an algorithm, as in a token's header; it is constant. */
ngx_str_t *ngx_http_waha_jwt_alg(ngx_http_waha_jwt_alg_e alg);


#endif /* _NGX_HTTP_WAHA_JWT_KEY_H_INCLUDED_ */
