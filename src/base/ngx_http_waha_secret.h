
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * Secrets that are stored and read again.  A sealed text is
 *
 *     waha1.<key id>.<base64url(nonce | ciphertext | tag)>
 *
 * AES-256-GCM with a random nonce and, as additional data, "waha1", table,
 * organization, row and column, before each its length in four bytes, the
 * highest first: a text that is moved to another place cannot be opened there.
 */


#ifndef _NGX_HTTP_WAHA_SECRET_H_INCLUDED_
#define _NGX_HTTP_WAHA_SECRET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_gcm.h>


/* bytes of a plain text, at most */

#define NGX_HTTP_WAHA_SECRET_MAX  16384


typedef struct ngx_http_waha_secret_key_s  ngx_http_waha_secret_key_t;

struct ngx_http_waha_secret_key_s {
    ngx_str_t                      id;
    u_char                         bytes[NGX_HTTP_WAHA_GCM_KEY];
    ngx_http_waha_secret_key_t    *next;
};


/* a key ring: the first key seals, all open */

typedef struct ngx_http_waha_secrets_s {
    ngx_http_waha_secret_key_t    *keys;
} ngx_http_waha_secrets_t;


/* where a sealed text stands in the database */

typedef struct {
    ngx_str_t                      table;
    ngx_str_t                      organization;
    ngx_str_t                      row;
    ngx_str_t                      column;
} ngx_http_waha_secret_place_t;


/*
 * Appends a key to a ring.  The id is 1 to 32 of the characters A-Z a-z 0-9
 * _ -, and not copied; material, the content of a key file, is 32 bytes, or 64
 * hex digits or the base64 of 32 bytes, which a line end may follow.  The
 * bytes are wiped with the pool.  NGX_DECLINED: *reason, a constant, names the
 * fault and its remedy.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_secret_add_key(ngx_pool_t *pool,
    ngx_http_waha_secrets_t *ring, ngx_str_t *id, ngx_str_t *material,
    const char **reason);

/*
 * Seals a plain text for a place with the first key of a ring; the result is
 * allocated from the pool.  NGX_DECLINED: ring is NULL, or the text is longer
 * than NGX_HTTP_WAHA_SECRET_MAX; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_secret_seal(ngx_pool_t *pool,
    ngx_http_waha_secrets_t *ring, const ngx_http_waha_secret_place_t *place,
    ngx_str_t *plain, ngx_str_t *sealed);

/*
 * Opens the sealed text of a place; the plain text is allocated from the pool
 * and wiped with it.  NGX_DECLINED: ring is NULL, or the text is of no or
 * another form, of a key that is not in the ring, altered, or of another
 * place, and pool->log has a line that says which; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_secret_open(ngx_pool_t *pool,
    ngx_http_waha_secrets_t *ring, const ngx_http_waha_secret_place_t *place,
    ngx_str_t *sealed, ngx_str_t *plain);


#endif /* _NGX_HTTP_WAHA_SECRET_H_INCLUDED_ */
