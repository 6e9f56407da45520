
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * ngx_http_waha_signature_verify(): accepts exactly what the keys make.
 * Input: a byte of choices, two for an alteration, a length, then the
 * signature and the body.
 */


#include "fuzz.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "ngx_http_waha_signature.h"


#define FUZZ_SHA512   0x01
#define FUZZ_SIGNED   0x02
#define FUZZ_CAPITAL  0x04
#define FUZZ_ALTERED  0x08
#define FUZZ_SHORT    0x10


static ngx_http_waha_hmac_key_t  fuzz_keys[] = {
    { ngx_string("hmackey"), ngx_null_string, { NULL, NULL } },
    { ngx_string("k"), ngx_null_string, { NULL, NULL } },
    { ngx_string("a key that is longer than one block of the hash: 64, 128 "
                 "bytes, whatever it takes to be hashed before it is used "
                 "as a key for HMAC at all"), ngx_null_string,
      { NULL, NULL } }
};


static size_t
fuzz_sign(const EVP_MD *md, ngx_http_waha_hmac_key_t *key, ngx_str_t *body,
    char *hex)
{
    u_char        mac[EVP_MAX_MD_SIZE];
    unsigned int  i, len;

    HMAC(md, key->secret.data, key->secret.len, body->data, body->len,
         mac, &len);

    for (i = 0; i < len; i++) {
        sprintf(hex + 2 * i, "%02x", mac[i]);
    }

    return 2 * len;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                       own[2 * EVP_MAX_MD_SIZE + 1], made[256];
    size_t                     len, n;
    ngx_str_t                  hex, body;
    ngx_uint_t                 i, mode, which;
    ngx_array_t                keys;
    const EVP_MD              *md;
    ngx_http_waha_hmac_key_t  *found, *want;

    static ngx_pool_t  *pool;

    if (size < 4) {
        return 0;
    }

    if (pool == NULL) {
        pool = ngx_create_pool(4096, NULL);

        for (i = 0; i < 3; i++) {
            fuzz_check(ngx_http_waha_signature_set_key(pool, &fuzz_keys[i])
                       == NGX_OK);
        }
    }

    mode = data[0];
    which = mode >> 6;

    n = ngx_min((size_t) data[3], size - 4);

    hex.data = (u_char *) data + 4;
    hex.len = n;
    body.data = (u_char *) data + 4 + n;
    body.len = size - 4 - n;

    md = (mode & FUZZ_SHA512) ? EVP_sha512() : EVP_sha256();

    keys.elts = fuzz_keys;
    keys.nelts = 3;

    if ((mode & FUZZ_SIGNED) && which < 3) {

        len = fuzz_sign(md, &fuzz_keys[which], &body, made);

        if (mode & FUZZ_CAPITAL) {
            made[data[1] % len] = toupper(made[data[1] % len]);
        }

        if (mode & FUZZ_ALTERED) {
            made[data[1] % len] = data[2];
        }

        if (mode & FUZZ_SHORT) {
            len = data[2] % (len + 1);
        }

        hex.data = (u_char *) made;
        hex.len = len;
    }

    want = NULL;

    for (i = 0; i < keys.nelts; i++) {
        len = fuzz_sign(md, &fuzz_keys[i], &body, own);

        if (want == NULL && len == hex.len
            && strncasecmp(own, (char *) hex.data, len) == 0)
        {
            want = &fuzz_keys[i];
        }
    }

    found = ngx_http_waha_signature_verify(&keys,
                                           (mode & FUZZ_SHA512)
                                               ? NGX_HTTP_WAHA_HMAC_SHA512
                                               : NGX_HTTP_WAHA_HMAC_SHA256,
                                           &hex, &body);

    fuzz_check(found == want);

    return 0;
}
