
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


#define NGX_HTTP_WAHA_JWT_SECRET_MIN  32
#define NGX_HTTP_WAHA_JWT_RSA_MIN     2048
#define NGX_HTTP_WAHA_JWT_RSA_MAX     8192
#define NGX_HTTP_WAHA_JWT_KID_MAX     128


static ngx_int_t ngx_http_waha_jwt_public_key(ngx_pool_t *pool,
    ngx_str_t *material, ngx_http_waha_jwt_key_t *key, const char **reason);
static EVP_PKEY *ngx_http_waha_jwt_read_pem(ngx_str_t *material,
    const char **reason);
static EVP_PKEY *ngx_http_waha_jwt_read_der(const char *name,
    const unsigned char *der, long len);
static const char *ngx_http_waha_jwt_unfit(EVP_PKEY *pkey,
    ngx_http_waha_jwt_alg_e alg);
static ngx_uint_t ngx_http_waha_jwt_sound(EVP_PKEY *pkey);
static ngx_uint_t ngx_http_waha_jwt_contains(ngx_str_t *text,
    const char *words);
static void ngx_http_waha_jwt_free_key(void *data);


static ngx_str_t  ngx_http_waha_jwt_algs[] = {
    ngx_string("HS256"),
    ngx_string("RS256"),
    ngx_string("ES256"),
    ngx_string("EdDSA")
};


ngx_int_t
ngx_http_waha_jwt_key(ngx_pool_t *pool, ngx_str_t *alg, ngx_str_t *material,
    ngx_http_waha_jwt_key_t *key, const char **reason)
{
    ngx_int_t   rc;
    ngx_uint_t  i, n;

    n = sizeof(ngx_http_waha_jwt_algs) / sizeof(ngx_str_t);

    for (i = 0; i < n; i++) {

        if (alg->len == ngx_http_waha_jwt_algs[i].len
            && ngx_memcmp(alg->data, ngx_http_waha_jwt_algs[i].data, alg->len)
               == 0)
        {
            break;
        }
    }

    if (i == n) {
        *reason = "the algorithm can only be HS256, RS256, ES256 or EdDSA";
        return NGX_DECLINED;
    }

    key->alg = i;
    key->pkey = NULL;
    ngx_str_null(&key->secret);

    if (ngx_http_waha_jwt_contains(material, "PRIVATE KEY-----")) {
        *reason = "it is a private key, which only the issuer of tokens "
                  "should have: make a file of the public key with "
                  "\"openssl pkey -pubout\"";
        return NGX_DECLINED;
    }

    if (key->alg != NGX_HTTP_WAHA_JWT_HS256) {

        rc = ngx_http_waha_jwt_public_key(pool, material, key, reason);

        /* nginx would take what is left for an error of its own TLS */
        ERR_clear_error();

        return rc;
    }

    if (ngx_http_waha_jwt_contains(material, "-----BEGIN ")) {
        *reason = "it is a PEM file, which is no secret for HS256: name "
                  "the algorithm of that key, RS256, ES256 or EdDSA";
        return NGX_DECLINED;
    }

    if (material->len < NGX_HTTP_WAHA_JWT_SECRET_MIN) {
        *reason = "a secret for HS256 needs 32 bytes or more: make one with "
                  "\"openssl rand -hex 32\"";
        return NGX_DECLINED;
    }

    key->secret = *material;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_jwt_public_key(ngx_pool_t *pool, ngx_str_t *material,
    ngx_http_waha_jwt_key_t *key, const char **reason)
{
    EVP_PKEY            *pkey;
    const char          *unfit;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    pkey = ngx_http_waha_jwt_read_pem(material, reason);
    if (pkey == NULL) {
        return NGX_DECLINED;
    }

    unfit = ngx_http_waha_jwt_unfit(pkey, key->alg);

    if (unfit) {
        EVP_PKEY_free(pkey);
        *reason = unfit;
        return NGX_DECLINED;
    }

    cln->handler = ngx_http_waha_jwt_free_key;
    cln->data = pkey;

    key->pkey = pkey;

    return NGX_OK;
}


static EVP_PKEY *
ngx_http_waha_jwt_read_pem(ngx_str_t *material, const char **reason)
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

    pkey = ngx_http_waha_jwt_read_der(name, der, len);

    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);

    /* which of several was meant cannot be known */

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
ngx_http_waha_jwt_read_der(const char *name, const unsigned char *der,
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


static const char *
ngx_http_waha_jwt_unfit(EVP_PKEY *pkey, ngx_http_waha_jwt_alg_e alg)
{
    char    curve[64];
    size_t  len;

    switch (alg) {

    case NGX_HTTP_WAHA_JWT_RS256:

        if (EVP_PKEY_base_id(pkey) != EVP_PKEY_RSA) {
            return "it is no RSA key, which RS256 needs: name the algorithm "
                   "of that key";
        }

        if (EVP_PKEY_bits(pkey) < NGX_HTTP_WAHA_JWT_RSA_MIN
            || EVP_PKEY_bits(pkey) > NGX_HTTP_WAHA_JWT_RSA_MAX)
        {
            return "an RSA key needs 2048 to 8192 bits: let the issuer make "
                   "another";
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
            return "it is no key of the curve P-256, which ES256 needs: name "
                   "the algorithm of that key, or let the issuer make "
                   "another";
        }

        break;

    default: /* NGX_HTTP_WAHA_JWT_EDDSA */

        if (EVP_PKEY_base_id(pkey) != EVP_PKEY_ED25519) {
            return "it is no Ed25519 key, which EdDSA needs here: name the "
                   "algorithm of that key, or let the issuer make another";
        }

        return NULL;
    }

    return ngx_http_waha_jwt_sound(pkey)
           ? NULL
           : "its numbers make no sound key: let the issuer make another";
}


/* with an exponent of 1, for example, anybody could sign */

static ngx_uint_t
ngx_http_waha_jwt_sound(EVP_PKEY *pkey)
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
ngx_http_waha_jwt_contains(ngx_str_t *text, const char *words)
{
    size_t   len;
    u_char  *p, *last;

    len = ngx_strlen(words);
    last = text->data + text->len;

    for (p = text->data; (size_t) (last - p) >= len; p++) {

        if (ngx_memcmp(p, words, len) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_waha_jwt_free_key(void *data)
{
    EVP_PKEY *pkey = data;

    EVP_PKEY_free(pkey);
}


ngx_int_t
ngx_http_waha_jwt_kid(ngx_str_t *kid)
{
    u_char  c;
    size_t  i;

    if (kid->len == 0 || kid->len > NGX_HTTP_WAHA_JWT_KID_MAX) {
        return NGX_DECLINED;
    }

    for (i = 0; i < kid->len; i++) {
        c = kid->data[i];

        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
            || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-')
        {
            continue;
        }

        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_str_t *
ngx_http_waha_jwt_alg(ngx_http_waha_jwt_alg_e alg)
{
    return &ngx_http_waha_jwt_algs[alg];
}
