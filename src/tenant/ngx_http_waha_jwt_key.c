
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <ngx_http_waha_jwt_key.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_JWT_KEY_SECRET_MIN  32
#define NGX_HTTP_WAHA_JWT_KEY_RSA_MIN     2048
#define NGX_HTTP_WAHA_JWT_KEY_RSA_MAX     8192
#define NGX_HTTP_WAHA_JWT_KEY_ID_MAX      128


static ngx_int_t ngx_http_waha_jwt_key_parse_public(ngx_pool_t *pool,
    ngx_str_t *material, ngx_http_waha_jwt_key_t *key, const char **reason);
static EVP_PKEY *ngx_http_waha_jwt_key_read_pem(ngx_str_t *material,
    const char **reason);
static EVP_PKEY *ngx_http_waha_jwt_key_read_der(const char *name,
    const unsigned char *der, long len);
static ngx_int_t ngx_http_waha_jwt_key_check(EVP_PKEY *pkey,
    ngx_http_waha_jwt_alg_e alg, const char **reason);
static ngx_uint_t ngx_http_waha_jwt_key_is_sound(EVP_PKEY *pkey);
static ngx_uint_t ngx_http_waha_jwt_key_has_text(ngx_str_t *material,
    const char *text);
static void ngx_http_waha_jwt_key_cleanup(void *data);


/* in the order of ngx_http_waha_jwt_alg_e */

static ngx_str_t  ngx_http_waha_jwt_key_algs[] = {
    ngx_string("HS256"),
    ngx_string("RS256"),
    ngx_string("ES256"),
    ngx_string("EdDSA")
};


ngx_int_t
ngx_http_waha_jwt_key_parse(ngx_pool_t *pool, ngx_str_t *alg,
    ngx_str_t *material, ngx_http_waha_jwt_key_t *key, const char **reason)
{
    ngx_int_t   rc;
    ngx_uint_t  i, n;

    n = sizeof(ngx_http_waha_jwt_key_algs) / sizeof(ngx_str_t);

    for (i = 0; i < n; i++) {

        if (ngx_http_waha_string_is_equal(alg,
                                          &ngx_http_waha_jwt_key_algs[i]))
        {
            break;
        }
    }

    if (i == n) {
        *reason = "the algorithm can only be HS256, RS256, ES256 or EdDSA";
        return NGX_DECLINED;
    }

    /* ngx_array_push() of the caller does not clear memory */

    ngx_memzero(key, sizeof(ngx_http_waha_jwt_key_t));

    key->alg = i;

    if (ngx_http_waha_jwt_key_has_text(material, "PRIVATE KEY-----")) {
        *reason = "it is a private key, which only the issuer of tokens "
                  "should have: make a file of the public key with "
                  "\"openssl pkey -pubout\"";
        return NGX_DECLINED;
    }

    if (key->alg != NGX_HTTP_WAHA_JWT_HS256) {

        rc = ngx_http_waha_jwt_key_parse_public(pool, material, key, reason);

        /* nginx would report a stale error with its next TLS connection */
        ERR_clear_error();

        return rc;
    }

    if (ngx_http_waha_jwt_key_has_text(material, "-----BEGIN ")) {
        *reason = "it is a PEM file, which is no secret for HS256: name "
                  "the algorithm of that key, RS256, ES256 or EdDSA";
        return NGX_DECLINED;
    }

    if (material->len < NGX_HTTP_WAHA_JWT_KEY_SECRET_MIN) {
        *reason = "a secret for HS256 needs 32 bytes or more: make one with "
                  "\"openssl rand -hex 32\"";
        return NGX_DECLINED;
    }

    key->secret = *material;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_jwt_key_parse_public(ngx_pool_t *pool, ngx_str_t *material,
    ngx_http_waha_jwt_key_t *key, const char **reason)
{
    EVP_PKEY            *pkey;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    pkey = ngx_http_waha_jwt_key_read_pem(material, reason);
    if (pkey == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_http_waha_jwt_key_check(pkey, key->alg, reason) != NGX_OK) {
        EVP_PKEY_free(pkey);
        return NGX_DECLINED;
    }

    cln->handler = ngx_http_waha_jwt_key_cleanup;
    cln->data = pkey;

    key->pkey = pkey;

    return NGX_OK;
}


static EVP_PKEY *
ngx_http_waha_jwt_key_read_pem(ngx_str_t *material, const char **reason)
{
    BIO            *bio;
    char           *name, *header, *more;
    long            len;
    EVP_PKEY       *pkey;
    unsigned char  *der;

    *reason = "it is no public key or certificate in PEM: it should begin "
              "with \"-----BEGIN PUBLIC KEY-----\" or "
              "\"-----BEGIN CERTIFICATE-----\"";

    bio = BIO_new_mem_buf(material->data, material->len);
    if (bio == NULL) {
        return NULL;
    }

    if (PEM_read_bio(bio, &name, &header, &der, &len) != 1) {
        BIO_free(bio);
        return NULL;
    }

    pkey = ngx_http_waha_jwt_key_read_der(name, der, len);

    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);

    /* nothing says which of several keys is meant */

    if (PEM_read_bio(bio, &more, &header, &der, &len) == 1) {
        *reason = "it holds more than one key or certificate: give each its "
                  "own file and directive";

        OPENSSL_free(more);
        OPENSSL_free(header);
        OPENSSL_free(der);
        EVP_PKEY_free(pkey);

        pkey = NULL;
    }

    BIO_free(bio);

    return pkey;
}


static EVP_PKEY *
ngx_http_waha_jwt_key_read_der(const char *name, const unsigned char *der,
    long len)
{
    X509                 *cert;
    EVP_PKEY             *pkey;
    const unsigned char  *p;

    p = der;

    if (ngx_strcmp(name, PEM_STRING_PUBLIC) == 0) {
        pkey = d2i_PUBKEY(NULL, &p, len);

    } else if (ngx_strcmp(name, PEM_STRING_X509) == 0) {

        cert = d2i_X509(NULL, &p, len);
        if (cert == NULL) {
            return NULL;
        }

        pkey = X509_get_pubkey(cert);

        X509_free(cert);

    } else {
        return NULL;
    }

    if (p != der + len) {
        EVP_PKEY_free(pkey);
        return NULL;
    }

    return pkey;
}


static ngx_int_t
ngx_http_waha_jwt_key_check(EVP_PKEY *pkey, ngx_http_waha_jwt_alg_e alg,
    const char **reason)
{
    char    curve[64];
    size_t  len;

    switch (alg) {

    case NGX_HTTP_WAHA_JWT_RS256:

        if (EVP_PKEY_base_id(pkey) != EVP_PKEY_RSA) {
            *reason = "it is no RSA key, which RS256 needs: name the "
                      "algorithm of that key";
            return NGX_DECLINED;
        }

        if (EVP_PKEY_bits(pkey) < NGX_HTTP_WAHA_JWT_KEY_RSA_MIN
            || EVP_PKEY_bits(pkey) > NGX_HTTP_WAHA_JWT_KEY_RSA_MAX)
        {
            *reason = "an RSA key needs 2048 to 8192 bits: let the issuer "
                      "make another";
            return NGX_DECLINED;
        }

        break;

    case NGX_HTTP_WAHA_JWT_ES256:

        if (EVP_PKEY_base_id(pkey) != EVP_PKEY_EC
            || EVP_PKEY_get_utf8_string_param(pkey,
                                              OSSL_PKEY_PARAM_GROUP_NAME,
                                              curve, sizeof(curve), &len)
               != 1
            || ngx_strcmp(curve, SN_X9_62_prime256v1) != 0)
        {
            *reason = "it is no key of the curve P-256, which ES256 needs: "
                      "name the algorithm of that key, or let the issuer "
                      "make another";
            return NGX_DECLINED;
        }

        break;

    default: /* NGX_HTTP_WAHA_JWT_EDDSA */

        if (EVP_PKEY_base_id(pkey) != EVP_PKEY_ED25519) {
            *reason = "it is no Ed25519 key, which EdDSA needs here: name "
                      "the algorithm of that key, or let the issuer make "
                      "another";
            return NGX_DECLINED;
        }

        return NGX_OK;
    }

    if (!ngx_http_waha_jwt_key_is_sound(pkey)) {
        *reason = "its numbers make no sound key: let the issuer make "
                  "another";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* for an RSA key with the exponent 1, for example, anybody can sign */

static ngx_uint_t
ngx_http_waha_jwt_key_is_sound(EVP_PKEY *pkey)
{
    ngx_int_t      rc;
    EVP_PKEY_CTX  *ctx;

    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    if (ctx == NULL) {
        return 0;
    }

    rc = EVP_PKEY_public_check(ctx);

    EVP_PKEY_CTX_free(ctx);

    return rc == 1;
}


static ngx_uint_t
ngx_http_waha_jwt_key_has_text(ngx_str_t *material, const char *text)
{
    size_t   len;
    u_char  *p, *last;

    len = ngx_strlen(text);
    last = material->data + material->len;

    for (p = material->data; (size_t) (last - p) >= len; p++) {

        if (ngx_memcmp(p, text, len) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_waha_jwt_key_cleanup(void *data)
{
    EVP_PKEY *pkey = data;

    EVP_PKEY_free(pkey);
}


ngx_uint_t
ngx_http_waha_jwt_key_is_id(ngx_str_t *kid)
{
    u_char  c;
    size_t  i;

    if (kid->len == 0 || kid->len > NGX_HTTP_WAHA_JWT_KEY_ID_MAX) {
        return 0;
    }

    for (i = 0; i < kid->len; i++) {
        c = kid->data[i];

        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
            || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-')
        {
            continue;
        }

        return 0;
    }

    return 1;
}


ngx_str_t *
ngx_http_waha_jwt_key_alg_name(ngx_http_waha_jwt_alg_e alg)
{
    return &ngx_http_waha_jwt_key_algs[alg];
}
