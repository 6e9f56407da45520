
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <ngx_http_waha_secret.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_SECRET_VERSION  "waha1"
#define NGX_HTTP_WAHA_SECRET_ID_MAX   32

/* the version and those of a place */

#define NGX_HTTP_WAHA_SECRET_PARTS    5

#define NGX_HTTP_WAHA_SECRET_EXTRA                                            \
    (NGX_HTTP_WAHA_GCM_NONCE + NGX_HTTP_WAHA_GCM_TAG)

/* hex digits, and letters of base64 with and without padding, of a key */

#define NGX_HTTP_WAHA_SECRET_HEX      (2 * NGX_HTTP_WAHA_GCM_KEY)
#define NGX_HTTP_WAHA_SECRET_BASE64   43
#define NGX_HTTP_WAHA_SECRET_PADDED   44


static ngx_uint_t ngx_http_waha_secret_is_id(ngx_str_t *id);
static ngx_int_t ngx_http_waha_secret_read_key(ngx_str_t *material,
    u_char *bytes);
static ngx_int_t ngx_http_waha_secret_read_hex(ngx_str_t *text,
    u_char *bytes);
static ngx_int_t ngx_http_waha_secret_read_base64(ngx_str_t *text,
    u_char *bytes);
static ngx_uint_t ngx_http_waha_secret_is_uniform(u_char *bytes);
static ngx_int_t ngx_http_waha_secret_find_same(ngx_http_waha_secrets_t *ring,
    ngx_str_t *id, u_char *bytes, const char **reason);
static ngx_int_t ngx_http_waha_secret_append(ngx_pool_t *pool,
    ngx_http_waha_secrets_t *ring, ngx_str_t *id, u_char *bytes);
static void ngx_http_waha_secret_wipe_key(void *data);

static ngx_int_t ngx_http_waha_secret_write(ngx_pool_t *pool,
    ngx_str_t *id, ngx_str_t *binary, ngx_str_t *sealed);
static ngx_int_t ngx_http_waha_secret_split(ngx_pool_t *pool,
    ngx_str_t *sealed, ngx_str_t *id, ngx_str_t *binary, const char **reason);
static ngx_http_waha_secret_key_t *ngx_http_waha_secret_find_key(
    ngx_http_waha_secrets_t *ring, ngx_str_t *id);
static ngx_int_t ngx_http_waha_secret_decrypt(ngx_pool_t *pool,
    ngx_http_waha_secret_key_t *key, const ngx_http_waha_secret_place_t *place,
    ngx_str_t *binary, ngx_str_t *plain);
static ngx_int_t ngx_http_waha_secret_bind(ngx_pool_t *pool,
    const ngx_http_waha_secret_place_t *place, ngx_str_t *aad);
static ngx_int_t ngx_http_waha_secret_refuse(ngx_pool_t *pool,
    const ngx_http_waha_secret_place_t *place, ngx_str_t *id,
    const char *reason);
static void ngx_http_waha_secret_wipe(void *data);


ngx_int_t
ngx_http_waha_secret_add_key(ngx_pool_t *pool, ngx_http_waha_secrets_t *ring,
    ngx_str_t *id, ngx_str_t *material, const char **reason)
{
    u_char     bytes[NGX_HTTP_WAHA_GCM_KEY];
    ngx_int_t  rc;

    if (!ngx_http_waha_secret_is_id(id)) {
        *reason = "its id can only be 1 to 32 of the characters A-Z a-z 0-9 "
                  "_ and -";
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;

    if (ngx_http_waha_secret_read_key(material, bytes) != NGX_OK) {
        *reason = "a key is 32 random bytes, also as 64 hex digits or in "
                  "base64: make one with \"openssl rand -hex 32\"";

    } else if (ngx_http_waha_secret_is_uniform(bytes)) {
        *reason = "all of its bytes are equal, which anybody can guess: make "
                  "a key with \"openssl rand -hex 32\"";

    } else if (ngx_http_waha_secret_find_same(ring, id, bytes, reason)
               == NGX_OK)
    {
        rc = ngx_http_waha_secret_append(pool, ring, id, bytes);
    }

    OPENSSL_cleanse(bytes, sizeof(bytes));

    return rc;
}


static ngx_uint_t
ngx_http_waha_secret_is_id(ngx_str_t *id)
{
    u_char  c;
    size_t  i;

    if (id->len == 0 || id->len > NGX_HTTP_WAHA_SECRET_ID_MAX) {
        return 0;
    }

    for (i = 0; i < id->len; i++) {
        c = id->data[i];

        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
            || (c >= '0' && c <= '9') || c == '_' || c == '-')
        {
            continue;
        }

        return 0;
    }

    return 1;
}


static ngx_int_t
ngx_http_waha_secret_read_key(ngx_str_t *material, u_char *bytes)
{
    ngx_str_t  text;

    text = *material;

    /* the last of 32 bytes may be LF */

    if (text.len != NGX_HTTP_WAHA_GCM_KEY
        && text.len && text.data[text.len - 1] == LF)
    {
        text.len--;

        if (text.len && text.data[text.len - 1] == CR) {
            text.len--;
        }
    }

    switch (text.len) {

    case NGX_HTTP_WAHA_GCM_KEY:
        ngx_memcpy(bytes, text.data, NGX_HTTP_WAHA_GCM_KEY);
        return NGX_OK;

    case NGX_HTTP_WAHA_SECRET_HEX:
        return ngx_http_waha_secret_read_hex(&text, bytes);

    case NGX_HTTP_WAHA_SECRET_PADDED:

        if (text.data[--text.len] != '=') {
            return NGX_DECLINED;
        }

        /* fall through */

    case NGX_HTTP_WAHA_SECRET_BASE64:
        return ngx_http_waha_secret_read_base64(&text, bytes);

    default:
        return NGX_DECLINED;
    }
}


static ngx_int_t
ngx_http_waha_secret_read_hex(ngx_str_t *text, u_char *bytes)
{
    size_t     i;
    ngx_int_t  n;

    for (i = 0; i < NGX_HTTP_WAHA_GCM_KEY; i++) {

        n = ngx_hextoi(text->data + 2 * i, 2);
        if (n == NGX_ERROR) {
            return NGX_DECLINED;
        }

        bytes[i] = (u_char) n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_secret_read_base64(ngx_str_t *text, u_char *bytes)
{
    u_char     c;
    size_t     i;
    ngx_int_t  rc;
    ngx_str_t  src, dst;
    u_char     letters[NGX_HTTP_WAHA_SECRET_BASE64];

    for (i = 0; i < NGX_HTTP_WAHA_SECRET_BASE64; i++) {
        c = text->data[i];
        letters[i] = (c == '+') ? '-' : (c == '/') ? '_' : c;
    }

    src.data = letters;
    src.len = NGX_HTTP_WAHA_SECRET_BASE64;

    dst.data = bytes;

    rc = ngx_http_waha_string_decode_base64url(&dst, &src);

    OPENSSL_cleanse(letters, sizeof(letters));

    return rc;
}


static ngx_uint_t
ngx_http_waha_secret_is_uniform(u_char *bytes)
{
    return ngx_memcmp(bytes, bytes + 1, NGX_HTTP_WAHA_GCM_KEY - 1) == 0;
}


/* NGX_OK: the ring has no key of the same id or of the same bytes */

static ngx_int_t
ngx_http_waha_secret_find_same(ngx_http_waha_secrets_t *ring, ngx_str_t *id,
    u_char *bytes, const char **reason)
{
    ngx_http_waha_secret_key_t  *key;

    if (ngx_http_waha_secret_find_key(ring, id)) {
        *reason = "another key has the same id: name it differently";
        return NGX_DECLINED;
    }

    for (key = ring->keys; key; key = key->next) {

        if (CRYPTO_memcmp(key->bytes, bytes, NGX_HTTP_WAHA_GCM_KEY) == 0) {
            *reason = "another id has the same key: make a new one with "
                      "\"openssl rand -hex 32\"";
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_secret_append(ngx_pool_t *pool, ngx_http_waha_secrets_t *ring,
    ngx_str_t *id, u_char *bytes)
{
    ngx_pool_cleanup_t           *cln;
    ngx_http_waha_secret_key_t  **last, *key;

    cln = ngx_pool_cleanup_add(pool, sizeof(ngx_http_waha_secret_key_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    key = cln->data;

    key->id = *id;
    ngx_memcpy(key->bytes, bytes, NGX_HTTP_WAHA_GCM_KEY);
    key->next = NULL;

    cln->handler = ngx_http_waha_secret_wipe_key;

    for (last = &ring->keys; *last; last = &(*last)->next) { /* void */ }

    *last = key;

    return NGX_OK;
}


static void
ngx_http_waha_secret_wipe_key(void *data)
{
    ngx_http_waha_secret_key_t *key = data;

    OPENSSL_cleanse(key->bytes, NGX_HTTP_WAHA_GCM_KEY);
}


ngx_int_t
ngx_http_waha_secret_seal(ngx_pool_t *pool, ngx_http_waha_secrets_t *ring,
    const ngx_http_waha_secret_place_t *place, ngx_str_t *plain,
    ngx_str_t *sealed)
{
    ngx_str_t                    aad, nonce, binary;
    ngx_http_waha_secret_key_t  *key;

    if (ring == NULL || plain->len > NGX_HTTP_WAHA_SECRET_MAX) {
        return NGX_DECLINED;
    }

    key = ring->keys;

    binary.len = plain->len + NGX_HTTP_WAHA_SECRET_EXTRA;
    binary.data = ngx_pnalloc(pool, binary.len);

    if (binary.data == NULL
        || ngx_http_waha_secret_bind(pool, place, &aad) != NGX_OK)
    {
        return NGX_ERROR;
    }

    nonce.data = binary.data;
    nonce.len = NGX_HTTP_WAHA_GCM_NONCE;

    if (RAND_bytes(nonce.data, nonce.len) != 1
        || ngx_http_waha_gcm_encrypt(key->bytes, &nonce, &aad, plain,
                                     nonce.data + nonce.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_waha_secret_write(pool, &key->id, &binary, sealed);
}


static ngx_int_t
ngx_http_waha_secret_write(ngx_pool_t *pool, ngx_str_t *id, ngx_str_t *binary,
    ngx_str_t *sealed)
{
    u_char     *p;
    ngx_str_t   text;

    p = ngx_pnalloc(pool, sizeof(NGX_HTTP_WAHA_SECRET_VERSION ".") + id->len
                          + 1 + ngx_base64_encoded_length(binary->len));
    if (p == NULL) {
        return NGX_ERROR;
    }

    sealed->data = p;

    p = ngx_cpymem(p, NGX_HTTP_WAHA_SECRET_VERSION ".",
                   sizeof(NGX_HTTP_WAHA_SECRET_VERSION ".") - 1);
    p = ngx_cpymem(p, id->data, id->len);
    *p++ = '.';

    text.data = p;

    ngx_encode_base64url(&text, binary);

    sealed->len = text.data + text.len - sealed->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_secret_open(ngx_pool_t *pool, ngx_http_waha_secrets_t *ring,
    const ngx_http_waha_secret_place_t *place, ngx_str_t *sealed,
    ngx_str_t *plain)
{
    ngx_int_t                    rc;
    ngx_str_t                    id, binary;
    const char                  *reason;
    ngx_http_waha_secret_key_t  *key;

    ngx_str_null(plain);
    ngx_str_null(&id);

    rc = ngx_http_waha_secret_split(pool, sealed, &id, &binary, &reason);

    if (rc == NGX_DECLINED) {
        return ngx_http_waha_secret_refuse(pool, place, NULL, reason);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    key = ngx_http_waha_secret_find_key(ring, &id);

    if (key == NULL) {
        return ngx_http_waha_secret_refuse(pool, place, &id,
                   "no \"waha_secret_key\" has this id");
    }

    rc = ngx_http_waha_secret_decrypt(pool, key, place, &binary, plain);

    if (rc == NGX_DECLINED) {
        return ngx_http_waha_secret_refuse(pool, place, &id,
                   "the text was altered or moved, or the key was replaced");
    }

    return rc;
}


static ngx_int_t
ngx_http_waha_secret_split(ngx_pool_t *pool, ngx_str_t *sealed, ngx_str_t *id,
    ngx_str_t *binary, const char **reason)
{
    u_char     *p, *last;
    size_t      max;
    ngx_str_t   version, text;

    last = sealed->data + sealed->len;

    p = ngx_strlchr(sealed->data, last, '.');

    version.data = sealed->data;
    version.len = p ? p - sealed->data : 0;

    if (!ngx_http_waha_string_is(&version, NGX_HTTP_WAHA_SECRET_VERSION)) {
        *reason = "the text is not sealed, or in a form that this version of "
                  "the module does not know";
        return NGX_DECLINED;
    }

    *reason = "the sealed text is malformed";

    id->data = ++p;

    p = ngx_strlchr(p, last, '.');
    if (p == NULL) {
        return NGX_DECLINED;
    }

    id->len = p - id->data;

    text.data = p + 1;
    text.len = last - text.data;

    max = NGX_HTTP_WAHA_SECRET_MAX + NGX_HTTP_WAHA_SECRET_EXTRA;

    if (!ngx_http_waha_secret_is_id(id)
        || text.len > ngx_base64_encoded_length(max))
    {
        return NGX_DECLINED;
    }

    binary->data = ngx_pnalloc(pool, text.len * 3 / 4 + 1);
    if (binary->data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_waha_string_decode_base64url(binary, &text) != NGX_OK
        || binary->len < NGX_HTTP_WAHA_SECRET_EXTRA)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_http_waha_secret_key_t *
ngx_http_waha_secret_find_key(ngx_http_waha_secrets_t *ring, ngx_str_t *id)
{
    ngx_http_waha_secret_key_t  *key;

    for (key = ring ? ring->keys : NULL; key; key = key->next) {

        if (ngx_http_waha_string_is_equal(&key->id, id)) {
            return key;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_waha_secret_decrypt(ngx_pool_t *pool, ngx_http_waha_secret_key_t *key,
    const ngx_http_waha_secret_place_t *place, ngx_str_t *binary,
    ngx_str_t *plain)
{
    ngx_int_t            rc;
    ngx_str_t            aad, nonce, text, *kept;
    ngx_pool_cleanup_t  *cln;

    if (ngx_http_waha_secret_bind(pool, place, &aad) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(pool, sizeof(ngx_str_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    kept = cln->data;

    kept->len = binary->len - NGX_HTTP_WAHA_SECRET_EXTRA;

    /* one byte more, so that an empty text has an address, too */

    kept->data = ngx_pnalloc(pool, kept->len + 1);
    if (kept->data == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_waha_secret_wipe;

    nonce.data = binary->data;
    nonce.len = NGX_HTTP_WAHA_GCM_NONCE;

    text.data = binary->data + NGX_HTTP_WAHA_GCM_NONCE;
    text.len = binary->len - NGX_HTTP_WAHA_GCM_NONCE;

    rc = ngx_http_waha_gcm_decrypt(key->bytes, &nonce, &aad, &text,
                                   kept->data);
    if (rc == NGX_OK) {
        *plain = *kept;
    }

    return rc;
}


/* with the length before each part, no two places have the same bytes */

static ngx_int_t
ngx_http_waha_secret_bind(ngx_pool_t *pool,
    const ngx_http_waha_secret_place_t *place, ngx_str_t *aad)
{
    u_char           *p;
    size_t            len;
    ngx_uint_t        i;
    const ngx_str_t  *parts[NGX_HTTP_WAHA_SECRET_PARTS];

    static const ngx_str_t  version = ngx_string(NGX_HTTP_WAHA_SECRET_VERSION);

    parts[0] = &version;
    parts[1] = &place->table;
    parts[2] = &place->organization;
    parts[3] = &place->row;
    parts[4] = &place->column;

    aad->len = 0;

    for (i = 0; i < NGX_HTTP_WAHA_SECRET_PARTS; i++) {
        aad->len += 4 + parts[i]->len;
    }

    p = ngx_pnalloc(pool, aad->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    aad->data = p;

    for (i = 0; i < NGX_HTTP_WAHA_SECRET_PARTS; i++) {
        len = parts[i]->len;

        *p++ = (u_char) (len >> 24);
        *p++ = (u_char) (len >> 16);
        *p++ = (u_char) (len >> 8);
        *p++ = (u_char) len;

        p = ngx_cpymem(p, parts[i]->data, len);
    }

    return NGX_OK;
}


/* the row is left out: what it is called may be a secret itself */

static ngx_int_t
ngx_http_waha_secret_refuse(ngx_pool_t *pool,
    const ngx_http_waha_secret_place_t *place, ngx_str_t *id,
    const char *reason)
{
    if (id) {
        ngx_log_error(NGX_LOG_ERR, pool->log, 0,
                      "waha: \"%V\" in \"%V\" of organization \"%V\" cannot "
                      "be opened with the key \"%V\": %s", &place->column,
                      &place->table, &place->organization, id, reason);

    } else {
        ngx_log_error(NGX_LOG_ERR, pool->log, 0,
                      "waha: \"%V\" in \"%V\" of organization \"%V\" cannot "
                      "be opened: %s", &place->column, &place->table,
                      &place->organization, reason);
    }

    return NGX_DECLINED;
}


static void
ngx_http_waha_secret_wipe(void *data)
{
    ngx_str_t *text = data;

    OPENSSL_cleanse(text->data, text->len);
}
