
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <ngx_http_waha_signature.h>


/* HMAC_CTX is deprecated since OpenSSL 3, and EVP_MAC is not there before */

#if (OPENSSL_VERSION_NUMBER >= 0x30000000L                                   \
     && !defined LIBRESSL_VERSION_NUMBER && !defined OPENSSL_IS_BORINGSSL)

#include <openssl/core_names.h>

#define NGX_HTTP_WAHA_SIGNATURE_MAC  1

typedef EVP_MAC_CTX  ngx_http_waha_signature_context_t;

#else

typedef HMAC_CTX  ngx_http_waha_signature_context_t;

#endif


static ngx_http_waha_signature_context_t *
    ngx_http_waha_signature_create_context(const EVP_MD *md,
    ngx_str_t *secret);
static void ngx_http_waha_signature_free_context(void *data);
static ngx_int_t ngx_http_waha_signature_sign(
    ngx_http_waha_signature_context_t *context, ngx_str_t *bytes, u_char *mac);
static const EVP_MD *ngx_http_waha_signature_md(
    ngx_http_waha_hmac_e algorithm);
static ngx_int_t ngx_http_waha_signature_parse_hex(ngx_str_t *hex,
    u_char *dst, size_t len);


/* the value of a hex digit plus one; zero: it is none */

static const u_char  ngx_http_waha_signature_digits[256] = {
    ['0'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
    ['A'] = 11, 12, 13, 14, 15, 16,
    ['a'] = 11, 12, 13, 14, 15, 16
};


ngx_int_t
ngx_http_waha_signature_set_key(ngx_pool_t *pool,
    ngx_http_waha_hmac_key_t *key)
{
    ngx_uint_t           i;
    ngx_pool_cleanup_t  *cln;

    for (i = 0; i < NGX_HTTP_WAHA_HMACS; i++) {

        cln = ngx_pool_cleanup_add(pool, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        key->context[i] = ngx_http_waha_signature_create_context(
                              ngx_http_waha_signature_md(i), &key->secret);

        if (key->context[i] == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_waha_signature_free_context;
        cln->data = key->context[i];
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_waha_signature_is_hex(ngx_http_waha_hmac_e algorithm, ngx_str_t *hex)
{
    u_char  given[EVP_MAX_MD_SIZE];

    return ngx_http_waha_signature_parse_hex(hex, given,
                         EVP_MD_size(ngx_http_waha_signature_md(algorithm)))
           == NGX_OK;
}


ngx_http_waha_hmac_key_t *
ngx_http_waha_signature_verify(ngx_array_t *keys,
    ngx_http_waha_hmac_e algorithm, ngx_str_t *hex, ngx_str_t *bytes)
{
    u_char                     given[EVP_MAX_MD_SIZE], own[EVP_MAX_MD_SIZE];
    ngx_uint_t                 i;
    size_t                     len;
    ngx_http_waha_hmac_key_t  *key, *found;

    len = EVP_MD_size(ngx_http_waha_signature_md(algorithm));

    if (ngx_http_waha_signature_parse_hex(hex, given, len) != NGX_OK) {
        return NULL;
    }

    found = NULL;
    key = keys->elts;

    /* no early exit: the time must not show which key matches */

    for (i = 0; i < keys->nelts; i++) {

        if (ngx_http_waha_signature_sign(key[i].context[algorithm], bytes, own)
            != NGX_OK)
        {
            continue;
        }

        if (CRYPTO_memcmp(own, given, len) == 0 && found == NULL) {
            found = &key[i];
        }
    }

    return found;
}


#if (NGX_HTTP_WAHA_SIGNATURE_MAC)

static ngx_http_waha_signature_context_t *
ngx_http_waha_signature_create_context(const EVP_MD *md, ngx_str_t *secret)
{
    EVP_MAC      *mac;
    OSSL_PARAM    params[2];
    EVP_MAC_CTX  *context;

    mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (mac == NULL) {
        return NULL;
    }

    context = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                          (char *) EVP_MD_get0_name(md), 0);
    params[1] = OSSL_PARAM_construct_end();

    if (context == NULL
        || !EVP_MAC_init(context, secret->data, secret->len, params))
    {
        EVP_MAC_CTX_free(context);
        return NULL;
    }

    return context;
}


static void
ngx_http_waha_signature_free_context(void *data)
{
    EVP_MAC_CTX_free(data);
}


/* begins with the key that the context has */

static ngx_int_t
ngx_http_waha_signature_sign(ngx_http_waha_signature_context_t *context,
    ngx_str_t *bytes, u_char *mac)
{
    size_t  len;

    return EVP_MAC_init(context, NULL, 0, NULL)
           && EVP_MAC_update(context, bytes->data, bytes->len)
           && EVP_MAC_final(context, mac, &len, EVP_MAX_MD_SIZE)
               ? NGX_OK : NGX_ERROR;
}

#else

static ngx_http_waha_signature_context_t *
ngx_http_waha_signature_create_context(const EVP_MD *md, ngx_str_t *secret)
{
    HMAC_CTX  *context;

    context = HMAC_CTX_new();

    if (context == NULL
        || !HMAC_Init_ex(context, secret->data, secret->len, md, NULL))
    {
        HMAC_CTX_free(context);
        return NULL;
    }

    return context;
}


static void
ngx_http_waha_signature_free_context(void *data)
{
    HMAC_CTX_free(data);
}


/* begins with the key that the context has */

static ngx_int_t
ngx_http_waha_signature_sign(ngx_http_waha_signature_context_t *context,
    ngx_str_t *bytes, u_char *mac)
{
    return HMAC_Init_ex(context, NULL, 0, NULL, NULL)
           && HMAC_Update(context, bytes->data, bytes->len)
           && HMAC_Final(context, mac, NULL)
               ? NGX_OK : NGX_ERROR;
}

#endif


static const EVP_MD *
ngx_http_waha_signature_md(ngx_http_waha_hmac_e algorithm)
{
    return (algorithm == NGX_HTTP_WAHA_HMAC_SHA512) ? EVP_sha512()
                                                    : EVP_sha256();
}


static ngx_int_t
ngx_http_waha_signature_parse_hex(ngx_str_t *hex, u_char *dst, size_t len)
{
    u_char  *p, high, low;
    size_t   i;

    if (hex->len != len * 2) {
        return NGX_DECLINED;
    }

    p = hex->data;

    for (i = 0; i < len; i++) {
        high = ngx_http_waha_signature_digits[*p++];
        low = ngx_http_waha_signature_digits[*p++];

        if (high == 0 || low == 0) {
            return NGX_DECLINED;
        }

        dst[i] = (high - 1) << 4 | (low - 1);
    }

    return NGX_OK;
}
