
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * ngx_http_waha_jwt_verify(): what it accepts was signed, has not expired and
 * names who calls.  Input: a byte of choices, then a token, or what a token
 * is made of.
 */


#include "fuzz.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "ngx_http_waha_json.h"
#include "ngx_http_waha_jwt.h"


#define FUZZ_FORM       0x03
#define FUZZ_TOKEN      0x00        /* the token itself */
#define FUZZ_CLAIMS     0x01        /* claims, to be signed */
#define FUZZ_BOTH       0x02        /* header, newline, claims */
#define FUZZ_SIGNATURE  0x03        /* an algorithm, a signature */
#define FUZZ_STRICT     0x04        /* issuer and audience are demanded */

#define FUZZ_NOW        1795226560


static const char  fuzz_rsa[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0OQO8o0Ot5HwPWUV5hVi\n"
    "XkzgWb05MGY2DjfhQo+VV92ZLBd+g4eWR/CC9+xCpolqS5zeOSPsXk/g3DsMteKL\n"
    "v5aAJGi89m46A9dOLMyHXpnQyagqai4F8fvqFIQeLw25CvbveyF37OuKEAtidelk\n"
    "ba7lGjJEuRg4stSZYy78Z4tFL+do3NAknzq7tJ1QCwdny5fSKbFGSdGqoc3gLNrm\n"
    "AfDYPL+8sMYIYbph0zNFmUOYXyG1/A6JwwItJNOLTWFtN2EBlcwjOUUz4DguRMH2\n"
    "1FLCccTaoZsdwvoOscEbHLCqHoDVdkDeMG16QEeSqIxcGf2uygyamU/Ng1l2yyIe\n"
    "7wIDAQAB\n"
    "-----END PUBLIC KEY-----\n";

static const char  fuzz_ec[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEDnLjil0FWu09IqCCReZzSuILB/3x\n"
    "f5hIyj+IA31vvLaEsQlihrbxdiSVFdaPwE9RvGbUj0QhlkKn5I0UHYEqUQ==\n"
    "-----END PUBLIC KEY-----\n";

static const char  fuzz_ed25519[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAPQJddcy6xG6nWziGE3VVTXBx/4u++fSG5Xkf8pUDH2M=\n"
    "-----END PUBLIC KEY-----\n";

static ngx_str_t  fuzz_secret =
    ngx_string("a secret of more than thirty-two bytes");
static ngx_str_t  fuzz_algs[] = {
    ngx_string("HS256"), ngx_string("RS256"), ngx_string("ES256"),
    ngx_string("EdDSA")
};
static ngx_str_t  fuzz_claims = ngx_string("{\"exp\":1795226600,\"org\":1}");

static ngx_http_waha_jwt_key_t   fuzz_keys[4];
static ngx_array_t               fuzz_array = {
    fuzz_keys, 0, sizeof(ngx_http_waha_jwt_key_t), 4, NULL
};
static ngx_http_waha_jwt_conf_t  fuzz_conf = {
    &fuzz_array, ngx_null_string, ngx_null_string, ngx_string("org"),
    ngx_string("role"), ngx_string("operator")
};


static void
fuzz_start(void)
{
    ngx_str_t            material[4];
    ngx_uint_t           i;
    const char          *reason;
    static ngx_pool_t   *pool;

    if (fuzz_array.nelts) {
        return;
    }

    pool = ngx_create_pool(4096, NULL);

    material[0] = fuzz_secret;
    ngx_str_set(&material[1], fuzz_rsa);
    ngx_str_set(&material[2], fuzz_ec);
    ngx_str_set(&material[3], fuzz_ed25519);

    for (i = 0; i < 4; i++) {
        fuzz_check(ngx_http_waha_jwt_key_parse(pool, &fuzz_algs[i],
                                               &material[i], &fuzz_keys[i],
                                               &reason)
                   == NGX_OK);
    }

    ngx_str_set(&fuzz_keys[0].kid, "k1");

    fuzz_array.nelts = 4;
}


/* by OpenSSL, which knows another alphabet */

static u_char *
fuzz_encode(u_char *p, u_char *data, size_t len)
{
    int  i, n;

    n = EVP_EncodeBlock(p, data, len);

    for (i = 0; i < n; i++) {
        p[i] = (p[i] == '+') ? '-' : (p[i] == '/') ? '_' : p[i];
    }

    return p + (len * 4 + 2) / 3;
}


static size_t
fuzz_decode(u_char *dst, ngx_str_t *src)
{
    int      n;
    size_t   i, len;
    u_char  *text;

    len = (src->len + 3) / 4 * 4;
    text = malloc(len + 1);

    for (i = 0; i < len; i++) {
        text[i] = (i >= src->len) ? '='
                  : (src->data[i] == '-') ? '+'
                  : (src->data[i] == '_') ? '/' : src->data[i];
    }

    n = EVP_DecodeBlock(dst, text, len);
    free(text);

    fuzz_check(n >= 0);

    return n - (len - src->len);
}


static ngx_str_t
fuzz_make(ngx_str_t *header, ngx_str_t *claims, ngx_str_t *signature)
{
    u_char        *p, mac[EVP_MAX_MD_SIZE];
    unsigned int   len;
    ngx_str_t      token, own;

    token.data = malloc((header->len + claims->len) * 2 + 1024
                        + (signature ? signature->len * 2 : 0));

    p = fuzz_encode(token.data, header->data, header->len);
    *p++ = '.';
    p = fuzz_encode(p, claims->data, claims->len);

    if (signature == NULL) {
        HMAC(EVP_sha256(), fuzz_secret.data, fuzz_secret.len, token.data,
             p - token.data, mac, &len);

        own.data = mac;
        own.len = len;
        signature = &own;
    }

    *p++ = '.';
    p = fuzz_encode(p, signature->data, signature->len);

    token.len = p - token.data;

    return token;
}


static ngx_str_t
fuzz_token(ngx_uint_t form, u_char *data, size_t size)
{
    u_char     *p;
    char        text[32];
    ngx_str_t   header, claims, signature, token;

    ngx_str_set(&header, "{\"alg\":\"HS256\"}");

    claims.data = data;
    claims.len = size;

    switch (form) {

    case FUZZ_CLAIMS:
        return fuzz_make(&header, &claims, NULL);

    case FUZZ_BOTH:
        p = memchr(data, '\n', size);

        if (p) {
            header.data = data;
            header.len = p - data;
            claims.data = p + 1;
            claims.len = size - header.len - 1;
        }

        return fuzz_make(&header, &claims, NULL);

    case FUZZ_SIGNATURE:

        if (size == 0) {
            break;
        }

        header.data = (u_char *) text;
        header.len = sprintf(text, "{\"alg\":\"%s\"}",
                             fuzz_algs[data[0] % 4].data);
        signature.data = data + 1;
        signature.len = size - 1;

        return fuzz_make(&header, &fuzz_claims, &signature);
    }

    token.data = malloc(size + 1);
    token.len = size;
    memcpy(token.data, data, size);

    return token;
}


static ngx_uint_t
fuzz_is(cJSON *json, const char *name, const char *value)
{
    cJSON  *item;

    item = cJSON_GetObjectItemCaseSensitive(json, name);

    return cJSON_IsString(item) && strcmp(item->valuestring, value) == 0;
}


/* reads a part of an accepted token again, by other means */

static cJSON *
fuzz_read(ngx_str_t *part)
{
    size_t    len;
    cJSON    *json;
    u_char   *text, *again;

    text = malloc(part->len + 4);
    len = fuzz_decode(text, part);

    /* it has this form only */

    again = malloc(part->len + 8);
    fuzz_check(fuzz_encode(again, text, len) == again + part->len);
    fuzz_check(memcmp(again, part->data, part->len) == 0);

    json = cJSON_ParseWithLength((char *) text, len);
    fuzz_check(memchr(text, '\0', len) == NULL);

    free(again);
    free(text);

    return json;
}


static void
fuzz_hmac(ngx_str_t *text, ngx_str_t *signature)
{
    u_char        mac[EVP_MAX_MD_SIZE], own[2 * EVP_MAX_MD_SIZE];
    unsigned int  len;

    HMAC(EVP_sha256(), fuzz_secret.data, fuzz_secret.len, text->data,
         text->len, mac, &len);

    fuzz_check(fuzz_encode(own, mac, len) == own + signature->len);
    fuzz_check(memcmp(own, signature->data, signature->len) == 0);
}


static void
fuzz_accepted(ngx_str_t *token, ngx_http_waha_jwt_claims_t *claims)
{
    u_char     *p, *last;
    cJSON      *header, *json, *exp, *org;
    ngx_str_t   part, text, signature;

    fuzz_check(token->len <= 8192);

    last = token->data + token->len;

    part.data = token->data;
    p = memchr(part.data, '.', last - part.data);
    part.len = p - part.data;

    header = fuzz_read(&part);

    part.data = p + 1;
    p = memchr(part.data, '.', last - part.data);
    part.len = p - part.data;

    json = fuzz_read(&part);

    text.data = token->data;
    text.len = p - token->data;
    signature.data = p + 1;
    signature.len = last - (p + 1);

    fuzz_check(memchr(signature.data, '.', signature.len) == NULL);
    fuzz_check(cJSON_IsObject(header) && cJSON_IsObject(json));
    fuzz_check(!cJSON_GetObjectItemCaseSensitive(header, "crit"));

    if (fuzz_is(header, "alg", "HS256")) {
        fuzz_hmac(&text, &signature);

        fuzz_check(!cJSON_GetObjectItemCaseSensitive(header, "kid")
                   || fuzz_is(header, "kid", "k1"));

    } else {
        fuzz_check(fuzz_is(header, "alg", "RS256")
                   || fuzz_is(header, "alg", "ES256")
                   || fuzz_is(header, "alg", "EdDSA"));
    }

    exp = cJSON_GetObjectItemCaseSensitive(json, "exp");
    fuzz_check(cJSON_IsNumber(exp) && exp->valuedouble > FUZZ_NOW - 60
               && exp->valuedouble <= 9007199254740992.0);

    fuzz_check(fuzz_conf.issuer.len == 0 || fuzz_is(json, "iss", "me"));

    org = cJSON_GetObjectItemCaseSensitive(json, "org");
    fuzz_check(claims->organization.len == 0 || cJSON_IsString(org)
               || cJSON_IsNumber(org));

    cJSON_Delete(header);
    cJSON_Delete(json);
}


static void
fuzz_caller(ngx_http_waha_jwt_claims_t *claims)
{
    size_t      i;
    ngx_str_t  *organization;

    organization = &claims->organization;

    fuzz_check(organization->len || claims->operator);
    fuzz_check(organization->len <= 255);
    fuzz_check(fuzz_utf8(organization));

    for (i = 0; i < organization->len; i++) {
        fuzz_check(organization->data[i] >= 0x20);
    }
}


/* with less memory the answer is the same or that there is none */

static void
fuzz_memory(ngx_str_t *token, ngx_int_t rc, ngx_uint_t n)
{
    ngx_int_t                    again;
    ngx_pool_t                  *pool;
    const char                  *reason;
    ngx_http_waha_jwt_claims_t   claims;

    pool = ngx_create_pool(4096, NULL);

    ngx_shim_fail = n + 1;

    again = ngx_http_waha_jwt_verify(pool, &fuzz_conf, token, FUZZ_NOW,
                                     &claims, &reason);
    ngx_shim_fail = 0;

    fuzz_check(again == rc || again == NGX_ERROR);

    ngx_destroy_pool(pool);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                      *exact;
    ngx_int_t                    rc;
    ngx_str_t                    token;
    ngx_pool_t                  *pool;
    const char                  *reason;
    ngx_http_waha_jwt_claims_t   claims;

    if (size == 0) {
        return 0;
    }

    fuzz_start();

    ngx_str_null(&fuzz_conf.issuer);
    ngx_str_null(&fuzz_conf.audience);

    if (data[0] & FUZZ_STRICT) {
        ngx_str_set(&fuzz_conf.issuer, "me");
        ngx_str_set(&fuzz_conf.audience, "waha");
    }

    token = fuzz_token(data[0] & FUZZ_FORM, (u_char *) data + 1, size - 1);

    /* nothing behind it, so that a sanitizer sees its end */

    exact = malloc(token.len);
    memcpy(exact, token.data, token.len);
    free(token.data);
    token.data = exact;

    ngx_shim_allocated = 0;
    reason = NULL;

    pool = ngx_create_pool(4096, NULL);

    rc = ngx_http_waha_jwt_verify(pool, &fuzz_conf, &token, FUZZ_NOW, &claims,
                                  &reason);

    fuzz_check(ngx_shim_allocated <= 80 * ngx_min(token.len, 8192) + 1024);
    fuzz_check(ERR_peek_error() == 0);
    fuzz_check(rc == NGX_OK || (rc == NGX_DECLINED && reason));

    if (rc == NGX_OK) {
        fuzz_accepted(&token, &claims);
        fuzz_caller(&claims);
    }

    fuzz_memory(&token, rc, data[size / 2] % 64);

    ngx_destroy_pool(pool);
    free(token.data);

    return 0;
}
