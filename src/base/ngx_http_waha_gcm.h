
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_GCM_H_INCLUDED_
#define _NGX_HTTP_WAHA_GCM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* AES-256-GCM, NIST SP 800-38D: bytes */

#define NGX_HTTP_WAHA_GCM_KEY    32
#define NGX_HTTP_WAHA_GCM_NONCE  12
#define NGX_HTTP_WAHA_GCM_TAG    16


/*
 * Writes the ciphertext of plain and, after it, the tag to dst, which has room
 * for plain->len + NGX_HTTP_WAHA_GCM_TAG bytes.  The nonce, of any length but
 * 0, must be another one each time a key is used; aad is verified with the
 * text, not hidden.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_gcm_encrypt(const u_char *key, const ngx_str_t *nonce,
    const ngx_str_t *aad, const ngx_str_t *plain, u_char *dst);

/*
 * Writes the plain text of text, a ciphertext with its tag, to dst, which has
 * room for text->len - NGX_HTTP_WAHA_GCM_TAG bytes.  NGX_DECLINED: the tag
 * does not match, dst is wiped; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_gcm_decrypt(const u_char *key, const ngx_str_t *nonce,
    const ngx_str_t *aad, const ngx_str_t *text, u_char *dst);


#endif /* _NGX_HTTP_WAHA_GCM_H_INCLUDED_ */
