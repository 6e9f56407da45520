
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SIGNATURE_H_INCLUDED_
#define _NGX_HTTP_WAHA_SIGNATURE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef enum {
    NGX_HTTP_WAHA_HMAC_SHA256 = 0,
    NGX_HTTP_WAHA_HMAC_SHA512,
    NGX_HTTP_WAHA_HMACS
} ngx_http_waha_hmac_e;


typedef struct {
    ngx_str_t               secret;
    ngx_str_t               instance;       /* it is bound to; empty: none */

    /* of OpenSSL, indexed by the algorithm */
    void                   *context[NGX_HTTP_WAHA_HMACS];
} ngx_http_waha_hmac_key_t;


/*
 * Makes the contexts of a key from its secret; they are freed, and the secret
 * in them is wiped, with the pool.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_signature_set_key(ngx_pool_t *pool,
    ngx_http_waha_hmac_key_t *key);

/*
 * Whether a signature has as many hex digits as the HMAC, in either case: what
 * can be said without the bytes.
 */
ngx_uint_t ngx_http_waha_signature_is_hex(ngx_http_waha_hmac_e algorithm,
    ngx_str_t *hex);

/*
 * Returns the first of the keys, an array of ngx_http_waha_hmac_key_t, whose
 * HMAC of the bytes is the given one (hex digits in either case); NULL: there
 * is none.  The time taken does not depend on which key matches.
 */
ngx_http_waha_hmac_key_t *ngx_http_waha_signature_verify(ngx_array_t *keys,
    ngx_http_waha_hmac_e algorithm, ngx_str_t *hex, ngx_str_t *bytes);


#endif /* _NGX_HTTP_WAHA_SIGNATURE_H_INCLUDED_ */
