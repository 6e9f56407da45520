
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <ngx_http_waha_gcm.h>
#include <ngx_http_waha_string.h>
#include "import_legacy.h"
#include "import_nginx.h"


#define IMPORT_ROUNDS  100000
#define IMPORT_PARTS   4

/* a longer text is no token */

#define IMPORT_MAX     65536


typedef struct {
    ngx_str_t   salt;
    ngx_str_t   iv;
    ngx_str_t   tag;
    ngx_str_t   text;
} import_layout_t;


static ngx_int_t import_legacy_open_parts(ngx_pool_t *pool,
    ngx_str_t *passphrase, ngx_str_t *texts, ngx_str_t *plain);
static ngx_int_t import_legacy_open_order(ngx_pool_t *pool, ngx_str_t *parts,
    ngx_uint_t salt, const u_char *key, ngx_str_t *plain);
static ngx_int_t import_legacy_open_whole(ngx_pool_t *pool,
    ngx_str_t *passphrase, ngx_str_t *bytes, ngx_str_t *plain);
static ngx_int_t import_legacy_decrypt(ngx_pool_t *pool, const u_char *key,
    import_layout_t *layout, ngx_str_t *plain);
static void import_legacy_wipe(void *data);
static void import_legacy_derive(ngx_str_t *passphrase, ngx_str_t *salt,
    u_char *key);
static ngx_uint_t import_legacy_split(ngx_str_t *text, ngx_str_t *parts);
static ngx_int_t import_legacy_decode(ngx_pool_t *pool, ngx_str_t *texts,
    ngx_uint_t n, ngx_str_t *parts);
static ngx_int_t import_legacy_decode_hex(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *bytes);
static ngx_int_t import_legacy_decode_base64(ngx_pool_t *pool,
    ngx_str_t *text, ngx_str_t *bytes);
static ngx_str_t import_legacy_part(ngx_str_t *bytes, size_t from, size_t len);


ngx_int_t
import_legacy_open(ngx_pool_t *pool, ngx_str_t *passphrase, ngx_str_t *text,
    ngx_str_t *plain)
{
    ngx_str_t  bytes, parts[IMPORT_PARTS];

    if (text->len > IMPORT_MAX) {
        return NGX_DECLINED;
    }

    switch (import_legacy_split(text, parts)) {

    case IMPORT_PARTS:
        return import_legacy_open_parts(pool, passphrase, parts, plain);

    case 1:

        if (import_legacy_decode(pool, text, 1, &bytes) != NGX_OK) {
            return NGX_DECLINED;
        }

        return import_legacy_open_whole(pool, passphrase, &bytes, plain);

    default:
        return NGX_DECLINED;
    }
}


/* the tag says which part is what: no other order opens the text */

static ngx_int_t
import_legacy_open_parts(ngx_pool_t *pool, ngx_str_t *passphrase,
    ngx_str_t *texts, ngx_str_t *plain)
{
    u_char      key[NGX_HTTP_WAHA_GCM_KEY];
    ngx_int_t   rc;
    ngx_str_t   parts[IMPORT_PARTS], salt;
    ngx_uint_t  i;

    if (import_legacy_decode(pool, texts, IMPORT_PARTS, parts) != NGX_OK) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;

    for (i = 0; i < 2 * IMPORT_PARTS && rc == NGX_DECLINED; i++) {

        /* some services derive the key from the digits of the salt */

        salt = (i % 2) ? texts[i / 2] : parts[i / 2];

        import_legacy_derive(passphrase, &salt, key);

        rc = import_legacy_open_order(pool, parts, i / 2, key, plain);
    }

    OPENSSL_cleanse(key, sizeof(key));

    return rc;
}


static ngx_int_t
import_legacy_open_order(ngx_pool_t *pool, ngx_str_t *parts, ngx_uint_t salt,
    const u_char *key, ngx_str_t *plain)
{
    ngx_int_t        rc;
    ngx_uint_t       iv, tag, text;
    import_layout_t  layout;

    rc = NGX_DECLINED;

    for (iv = 0; iv < IMPORT_PARTS && rc == NGX_DECLINED; iv++) {
        for (tag = 0; tag < IMPORT_PARTS && rc == NGX_DECLINED; tag++) {

            if (iv == salt || tag == salt || tag == iv) {
                continue;
            }

            /* the numbers of all four add up to 6 */
            text = 6 - salt - iv - tag;

            layout.salt = parts[salt];
            layout.iv = parts[iv];
            layout.tag = parts[tag];
            layout.text = parts[text];

            rc = import_legacy_decrypt(pool, key, &layout, plain);
        }
    }

    return rc;
}


static ngx_int_t
import_legacy_open_whole(ngx_pool_t *pool, ngx_str_t *passphrase,
    ngx_str_t *bytes, ngx_str_t *plain)
{
    u_char           key[NGX_HTTP_WAHA_GCM_KEY];
    size_t           head, len;
    ngx_int_t        rc;
    ngx_uint_t       i, k;
    import_layout_t  layout;

    static const size_t  salts[] = { 64, 32, 16 };
    static const size_t  ivs[] = { 16, 12 };

    rc = NGX_DECLINED;

    for (i = 0; i < 3 && rc == NGX_DECLINED; i++) {

        if (bytes->len < salts[i] + ivs[0] + NGX_HTTP_WAHA_GCM_TAG) {
            continue;
        }

        layout.salt = import_legacy_part(bytes, 0, salts[i]);

        import_legacy_derive(passphrase, &layout.salt, key);

        for (k = 0; k < 4 && rc == NGX_DECLINED; k++) {
            head = salts[i] + ivs[k / 2];
            len = bytes->len - head - NGX_HTTP_WAHA_GCM_TAG;

            layout.iv = import_legacy_part(bytes, salts[i], ivs[k / 2]);
            layout.tag = import_legacy_part(bytes, head + (k % 2 ? len : 0),
                                            NGX_HTTP_WAHA_GCM_TAG);
            layout.text = import_legacy_part(bytes,
                              head + (k % 2 ? 0 : NGX_HTTP_WAHA_GCM_TAG), len);

            rc = import_legacy_decrypt(pool, key, &layout, plain);
        }
    }

    OPENSSL_cleanse(key, sizeof(key));

    return rc;
}


static ngx_int_t
import_legacy_decrypt(ngx_pool_t *pool, const u_char *key,
    import_layout_t *layout, ngx_str_t *plain)
{
    ngx_int_t            rc;
    ngx_str_t            text, aad, *kept;
    ngx_pool_cleanup_t  *cln;

    if (layout->tag.len != NGX_HTTP_WAHA_GCM_TAG
        || (layout->iv.len != 12 && layout->iv.len != 16))
    {
        return NGX_DECLINED;
    }

    text.len = layout->text.len + NGX_HTTP_WAHA_GCM_TAG;
    text.data = ngx_pnalloc(pool, text.len);

    ngx_memcpy(ngx_cpymem(text.data, layout->text.data, layout->text.len),
               layout->tag.data, NGX_HTTP_WAHA_GCM_TAG);

    cln = ngx_pool_cleanup_add(pool, sizeof(ngx_str_t));

    kept = cln->data;
    kept->len = layout->text.len;
    kept->data = ngx_pnalloc(pool, kept->len + 1);

    cln->handler = import_legacy_wipe;

    ngx_str_null(&aad);

    rc = ngx_http_waha_gcm_decrypt(key, &layout->iv, &aad, &text, kept->data);

    *plain = *kept;

    return rc;
}


static void
import_legacy_wipe(void *data)
{
    ngx_str_t *text = data;

    OPENSSL_cleanse(text->data, text->len);
}


static void
import_legacy_derive(ngx_str_t *passphrase, ngx_str_t *salt, u_char *key)
{
    if (PKCS5_PBKDF2_HMAC((char *) passphrase->data, passphrase->len,
                          salt->data, salt->len, IMPORT_ROUNDS, EVP_sha256(),
                          NGX_HTTP_WAHA_GCM_KEY, key)
        != 1)
    {
        import_say("no memory");
        exit(2);
    }
}


/* the number of parts with ":" between them; 0: more than four */

static ngx_uint_t
import_legacy_split(ngx_str_t *text, ngx_str_t *parts)
{
    u_char      *p, *colon, *last;
    ngx_uint_t   n;

    p = text->data;
    last = p + text->len;

    for (n = 0; n < IMPORT_PARTS; n++) {
        colon = ngx_strlchr(p, last, ':');

        parts[n].data = p;
        parts[n].len = (colon ? colon : last) - p;

        if (colon == NULL) {
            return n + 1;
        }

        p = colon + 1;
    }

    return 0;
}


/* all of them in hex, or all in base64 */

static ngx_int_t
import_legacy_decode(ngx_pool_t *pool, ngx_str_t *texts, ngx_uint_t n,
    ngx_str_t *parts)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (import_legacy_decode_hex(pool, &texts[i], &parts[i]) != NGX_OK) {
            break;
        }
    }

    if (i == n) {
        return NGX_OK;
    }

    for (i = 0; i < n; i++) {
        if (import_legacy_decode_base64(pool, &texts[i], &parts[i])
            != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
import_legacy_decode_hex(ngx_pool_t *pool, ngx_str_t *text, ngx_str_t *bytes)
{
    size_t     i;
    ngx_int_t  byte;

    if (text->len % 2) {
        return NGX_DECLINED;
    }

    bytes->len = text->len / 2;
    bytes->data = ngx_pnalloc(pool, bytes->len);

    for (i = 0; i < bytes->len; i++) {

        byte = ngx_hextoi(text->data + 2 * i, 2);
        if (byte == NGX_ERROR) {
            return NGX_DECLINED;
        }

        bytes->data[i] = (u_char) byte;
    }

    return NGX_OK;
}


/* of either alphabet, with padding or without */

static ngx_int_t
import_legacy_decode_base64(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *bytes)
{
    u_char     c;
    size_t     i;
    ngx_str_t  copy;

    copy.len = text->len;
    copy.data = ngx_pnalloc(pool, copy.len);

    for (i = 0; i < copy.len; i++) {
        c = text->data[i];
        copy.data[i] = (c == '+') ? '-' : (c == '/') ? '_' : c;
    }

    while (copy.len && copy.len + 2 > text->len
           && copy.data[copy.len - 1] == '=')
    {
        copy.len--;
    }

    bytes->data = ngx_pnalloc(pool, copy.len * 3 / 4 + 1);

    return ngx_http_waha_string_decode_base64url(bytes, &copy);
}


static ngx_str_t
import_legacy_part(ngx_str_t *bytes, size_t from, size_t len)
{
    ngx_str_t  part;

    part.data = bytes->data + from;
    part.len = len;

    return part;
}
