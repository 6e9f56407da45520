
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
    ngx_str_t                 kid;          /* empty: of any key id */
    ngx_str_t                 secret;       /* of HS256 */
    EVP_PKEY                 *pkey;         /* of the other algorithms */
    ngx_str_t                 typ;          /* of tokens; empty: any */
    time_t                    max_age;      /* of tokens; 0: any */
    unsigned                  operator:1;   /* verifies operators' tokens */
} ngx_http_waha_jwt_key_t;


/*
 * Parses the bytes of a key file: for HS256 a secret of at least 32 bytes,
 * which is not copied; for RS256, ES256 and EdDSA one public key or
 * certificate in PEM, which is freed with the pool.  The key has no id and is
 * not an operator's, unless the caller sets kid and operator afterwards.
 * NGX_DECLINED: *reason, a constant, names the fault and its remedy.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_jwt_key_parse(ngx_pool_t *pool, ngx_str_t *alg,
    ngx_str_t *material, ngx_http_waha_jwt_key_t *key, const char **reason);

/* Whether kid is 1 to 128 of the characters A-Z a-z 0-9 . _ - */
ngx_uint_t ngx_http_waha_jwt_key_is_id(ngx_str_t *kid);

/* The name of an algorithm in the header of a token; a constant. */
ngx_str_t *ngx_http_waha_jwt_key_alg_name(ngx_http_waha_jwt_alg_e alg);


#endif /* _NGX_HTTP_WAHA_JWT_KEY_H_INCLUDED_ */
