
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SIGNATURE_H_INCLUDED_
#define _NGX_HTTP_WAHA_SIGNATURE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef enum {
    NGX_HTTP_WAHA_HMAC_SHA256 = 0,
    NGX_HTTP_WAHA_HMAC_SHA512
} ngx_http_waha_hmac_e;


typedef struct {
    ngx_str_t               secret;
    ngx_str_t               instance;       /* empty: signs for all */
} ngx_http_waha_hmac_key_t;


/*
 * Tries every key, in constant time, on a signature in hex of either case
 * over the bytes.  Returns the key that made it, or NULL.  keys is an array
 * of ngx_http_waha_hmac_key_t.
 */
ngx_http_waha_hmac_key_t *ngx_http_waha_signature_verify(ngx_array_t *keys,
    ngx_http_waha_hmac_e algorithm, ngx_str_t *hex, ngx_str_t *bytes);


#endif /* _NGX_HTTP_WAHA_SIGNATURE_H_INCLUDED_ */
