
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CHALLENGE_H_INCLUDED_
#define _NGX_HTTP_WAHA_CHALLENGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the longest challenge that is sent back, in bytes */

#define NGX_HTTP_WAHA_CHALLENGE_MAX  256


/*
 * Reads the query with which Meta asks whether a callback URL is ours
 * (https://developers.facebook.com/docs/graph-api/webhooks/getting-started):
 * "hub.mode=subscribe", "hub.verify_token" and "hub.challenge", each once.
 * NGX_OK: token and challenge are decoded, of pool; the challenge has 1 to 256
 * bytes that do no harm in a page.  NGX_DECLINED: another query, or one that
 * Meta does not send; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_challenge_parse(ngx_pool_t *pool, ngx_str_t *args,
    ngx_str_t *token, ngx_str_t *challenge);


#endif /* _NGX_HTTP_WAHA_CHALLENGE_H_INCLUDED_ */
