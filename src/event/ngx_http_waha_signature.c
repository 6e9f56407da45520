
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <ngx_http_waha_signature.h>


static const EVP_MD *ngx_http_waha_signature_md(
    ngx_http_waha_hmac_e algorithm);
static ngx_int_t ngx_http_waha_signature_parse_hex(ngx_str_t *hex,
    u_char *dst, size_t len);


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
    unsigned int               len;
    const EVP_MD              *md;
    ngx_http_waha_hmac_key_t  *key, *found;

    md = ngx_http_waha_signature_md(algorithm);

    if (ngx_http_waha_signature_parse_hex(hex, given, EVP_MD_size(md))
        != NGX_OK)
    {
        return NULL;
    }

    found = NULL;
    key = keys->elts;

    /* no early exit: the time must not show which key matches */

    for (i = 0; i < keys->nelts; i++) {

        if (HMAC(md, key[i].secret.data, key[i].secret.len,
                 bytes->data, bytes->len, own, &len)
            == NULL)
        {
            continue;
        }

        if (CRYPTO_memcmp(own, given, len) == 0 && found == NULL) {
            found = &key[i];
        }
    }

    return found;
}


static const EVP_MD *
ngx_http_waha_signature_md(ngx_http_waha_hmac_e algorithm)
{
    return (algorithm == NGX_HTTP_WAHA_HMAC_SHA512) ? EVP_sha512()
                                                    : EVP_sha256();
}


static ngx_int_t
ngx_http_waha_signature_parse_hex(ngx_str_t *hex, u_char *dst, size_t len)
{
    u_char  c, *p;
    size_t  i;

    if (hex->len != len * 2) {
        return NGX_DECLINED;
    }

    p = hex->data;

    for (i = 0; i < hex->len; i++) {
        c = p[i];

        if (c >= '0' && c <= '9') {
            c -= '0';

        } else {
            c |= 0x20;

            if (c < 'a' || c > 'f') {
                return NGX_DECLINED;
            }

            c -= 'a' - 10;
        }

        dst[i / 2] = (i % 2) ? dst[i / 2] | c : c << 4;
    }

    return NGX_OK;
}
