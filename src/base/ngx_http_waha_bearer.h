
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_BEARER_H_INCLUDED_
#define _NGX_HTTP_WAHA_BEARER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the parts of an API key, pointing into it */

typedef struct {
    ngx_str_t  id;
    ngx_str_t  secret;
} ngx_http_waha_bearer_key_t;


/*
 * Searches a query string for arguments that usually carry credentials.
 * NGX_OK: there is one; NGX_DECLINED: there is none; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_bearer_find_in_query(ngx_pool_t *pool, ngx_str_t *args);

/*
 * Parses the value of an "Authorization" header.  The token points into the
 * value, and may be empty or malformed.  NGX_DECLINED: another scheme.
 */
ngx_int_t ngx_http_waha_bearer_parse_header(ngx_str_t *value, ngx_str_t *token);

/*
 * Checks that a token is a token68 (RFC 9110, 11.2) of at most 8192 bytes.
 * NGX_DECLINED: it is not; *reason is a constant for the log.
 */
ngx_int_t ngx_http_waha_bearer_check_token(ngx_str_t *token,
    const char **reason);

/* Whether a token begins like an API key. */
ngx_uint_t ngx_http_waha_bearer_has_key_prefix(ngx_str_t *token);

/* Parses an API key.  NGX_DECLINED: not "wak_", an id, "_" and a secret. */
ngx_int_t ngx_http_waha_bearer_parse_key(ngx_str_t *token,
    ngx_http_waha_bearer_key_t *key);


#endif /* _NGX_HTTP_WAHA_BEARER_H_INCLUDED_ */
