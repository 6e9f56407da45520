
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_QR_LINK_H_INCLUDED_
#define _NGX_HTTP_WAHA_QR_LINK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_api.h>
#include <ngx_http_waha_signature.h>


/*
 * A path that shows the QR code of one session for some minutes to whoever
 * has it, without credentials: <img> cannot send any.  It is signed with a
 * key of "waha_hmac_key", which every worker and machine has and which is
 * rotated with two valid at a time.
 */

typedef struct ngx_http_waha_qr_link_s {
    ngx_str_t                        organization;      /* its slug */
    ngx_str_t                        session;
    const ngx_http_waha_hmac_key_t  *key;
} ngx_http_waha_qr_link_t;


/*
 * Makes the path for the session of a plan, for a client that may link a
 * phone.  NGX_DECLINED: no key can sign it; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_qr_link_make(ngx_http_waha_step_t *step,
    ngx_str_t *path);

/*
 * Opens the part of the path that is signed; strings are of r->pool.
 * NGX_DECLINED: no key of ours signed it, or it has expired; NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_http_waha_qr_link_open(ngx_http_request_t *r, ngx_str_t *text,
    ngx_http_waha_qr_link_t *link);

/* Whether the key of a link speaks for a session of that instance. */
ngx_uint_t ngx_http_waha_qr_link_is_for(const ngx_http_waha_qr_link_t *link,
    ngx_str_t *instance);


#endif /* _NGX_HTTP_WAHA_QR_LINK_H_INCLUDED_ */
