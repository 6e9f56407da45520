
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_BEARER_H_INCLUDED_
#define _NGX_HTTP_WAHA_BEARER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the parts of an API key, which they point into */

typedef struct {
    ngx_str_t  id;
    ngx_str_t  secret;
} ngx_http_waha_bearer_key_t;


/*
 * Looks for a token in a query string, by the names of arguments that carry
 * tokens.  NGX_DECLINED: there is none; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_bearer_in_query(ngx_pool_t *pool, ngx_str_t *args);

/*
 * The token of an "Authorization" header's value, which it points into; it
 * may be empty or malformed.  NGX_DECLINED: of another scheme.
 */
ngx_int_t ngx_http_waha_bearer_token(ngx_str_t *value, ngx_str_t *token);

/* NULL: a token68 of at most 8192 bytes; else why not. */
const char *ngx_http_waha_bearer_malformed(ngx_str_t *token);

/* Whether a token means to be an API key. */
ngx_uint_t ngx_http_waha_bearer_like_api_key(ngx_str_t *token);

/* NGX_DECLINED: not "wak_", an id, "_" and a secret. */
ngx_int_t ngx_http_waha_bearer_api_key(ngx_str_t *token,
    ngx_http_waha_bearer_key_t *key);


#endif /* _NGX_HTTP_WAHA_BEARER_H_INCLUDED_ */
