
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <ngx_http_waha_gcm.h>


static EVP_CIPHER_CTX *ngx_http_waha_gcm_start(const u_char *key,
    const ngx_str_t *nonce, const ngx_str_t *aad, int encrypt);


ngx_int_t
ngx_http_waha_gcm_encrypt(const u_char *key, const ngx_str_t *nonce,
    const ngx_str_t *aad, const ngx_str_t *plain, u_char *dst)
{
    int              n;
    ngx_int_t        rc;
    EVP_CIPHER_CTX  *ctx;

    rc = NGX_ERROR;
    ctx = ngx_http_waha_gcm_start(key, nonce, aad, 1);

    if (ctx
        && (plain->len == 0
            || EVP_CipherUpdate(ctx, dst, &n, plain->data, plain->len))
        && EVP_CipherFinal_ex(ctx, dst + plain->len, &n)
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG,
                               NGX_HTTP_WAHA_GCM_TAG, dst + plain->len))
    {
        rc = NGX_OK;
    }

    EVP_CIPHER_CTX_free(ctx);

    /* nginx would report a stale error with its next TLS connection */
    ERR_clear_error();

    return rc;
}


ngx_int_t
ngx_http_waha_gcm_decrypt(const u_char *key, const ngx_str_t *nonce,
    const ngx_str_t *aad, const ngx_str_t *text, u_char *dst)
{
    int              n;
    size_t           len;
    ngx_int_t        rc;
    EVP_CIPHER_CTX  *ctx;

    if (text->len < NGX_HTTP_WAHA_GCM_TAG) {
        return NGX_DECLINED;
    }

    len = text->len - NGX_HTTP_WAHA_GCM_TAG;

    rc = NGX_ERROR;
    ctx = ngx_http_waha_gcm_start(key, nonce, aad, 0);

    if (ctx
        && (len == 0 || EVP_CipherUpdate(ctx, dst, &n, text->data, len))
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG,
                               NGX_HTTP_WAHA_GCM_TAG, text->data + len))
    {
        rc = EVP_CipherFinal_ex(ctx, dst + len, &n) ? NGX_OK : NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        /* what comes before the check of the tag is anybody's text */
        OPENSSL_cleanse(dst, len);
    }

    EVP_CIPHER_CTX_free(ctx);

    /* nginx would report a stale error with its next TLS connection */
    ERR_clear_error();

    return rc;
}


static EVP_CIPHER_CTX *
ngx_http_waha_gcm_start(const u_char *key, const ngx_str_t *nonce,
    const ngx_str_t *aad, int encrypt)
{
    int              n;
    EVP_CIPHER_CTX  *ctx;

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return NULL;
    }

    if (EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, NULL, NULL, encrypt)
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, nonce->len, NULL)
        && EVP_CipherInit_ex(ctx, NULL, NULL, key, nonce->data, encrypt)
        && (aad->len == 0
            || EVP_CipherUpdate(ctx, NULL, &n, aad->data, aad->len)))
    {
        return ctx;
    }

    EVP_CIPHER_CTX_free(ctx);

    return NULL;
}
