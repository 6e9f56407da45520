
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_jwt.h>
#include <ngx_http_waha_string.h>


/* bytes of a token and of an organization, members of an object, seconds */

#define NGX_HTTP_WAHA_JWT_MAX            8192
#define NGX_HTTP_WAHA_JWT_ORGANIZATION   255
#define NGX_HTTP_WAHA_JWT_MEMBERS        128
#define NGX_HTTP_WAHA_JWT_LEEWAY         60

/* ten years, in seconds: a token that is valid for longer never expires */

#define NGX_HTTP_WAHA_JWT_EXPIRY         315360000

/* 2^53: a double represents each integer up to here */

#define NGX_HTTP_WAHA_JWT_NUMBER_MAX     9007199254740992.0

/* bytes of signatures; that of ES256 is two integers */

#define NGX_HTTP_WAHA_JWT_HS256_LEN      32
#define NGX_HTTP_WAHA_JWT_P256_LEN       32
#define NGX_HTTP_WAHA_JWT_ES256_LEN      (2 * NGX_HTTP_WAHA_JWT_P256_LEN)
#define NGX_HTTP_WAHA_JWT_EDDSA_LEN      64


typedef struct {
    ngx_pool_t       *pool;
    const char      **reason;

    /* parts of the token, in base64url */
    ngx_str_t         header;
    ngx_str_t         payload;
    ngx_str_t         input;        /* of the signature: header "." payload */

    /* decoded; text is that of the object parsed last */
    ngx_str_t         signature;
    ngx_str_t         text;

    /* of the header; data of kid and typ is NULL where there is none */
    ngx_str_t         alg;
    ngx_str_t         kid;
    ngx_str_t         typ;
} ngx_http_waha_jwt_t;


static ngx_int_t ngx_http_waha_jwt_split(ngx_http_waha_jwt_t *jwt,
    ngx_str_t *token);
static ngx_int_t ngx_http_waha_jwt_parse_header(ngx_http_waha_jwt_t *jwt);
static ngx_http_waha_jwt_key_t *ngx_http_waha_jwt_find_key(
    ngx_http_waha_jwt_t *jwt, ngx_array_t *keys);
static ngx_uint_t ngx_http_waha_jwt_is_signed_by(ngx_http_waha_jwt_t *jwt,
    ngx_http_waha_jwt_key_t *key);
static ngx_uint_t ngx_http_waha_jwt_has_hmac(ngx_http_waha_jwt_t *jwt,
    ngx_http_waha_jwt_key_t *key);
static ngx_uint_t ngx_http_waha_jwt_has_signature(ngx_http_waha_jwt_t *jwt,
    ngx_http_waha_jwt_key_t *key, u_char *signature, size_t len);
static ngx_uint_t ngx_http_waha_jwt_has_ecdsa_signature(
    ngx_http_waha_jwt_t *jwt, ngx_http_waha_jwt_key_t *key);
static ngx_uint_t ngx_http_waha_jwt_is_scalar(u_char *p);
static ngx_int_t ngx_http_waha_jwt_check_claims(ngx_http_waha_jwt_t *jwt,
    ngx_http_waha_jwt_conf_t *conf, ngx_http_waha_jwt_key_t *key, time_t now,
    ngx_http_waha_jwt_claims_t *claims);
static ngx_int_t ngx_http_waha_jwt_check_times(ngx_http_waha_jwt_t *jwt,
    ngx_http_waha_jwt_key_t *key, cJSON *json, time_t now);
static ngx_int_t ngx_http_waha_jwt_read_date(const cJSON *json,
    const char *name, double *date);
static ngx_int_t ngx_http_waha_jwt_read_organization(ngx_http_waha_jwt_t *jwt,
    const cJSON *json, const cJSON *claim, ngx_str_t *organization);
static ngx_int_t ngx_http_waha_jwt_read_subject(ngx_http_waha_jwt_t *jwt,
    const cJSON *json, ngx_str_t *subject);
static ngx_uint_t ngx_http_waha_jwt_has_value(const cJSON *claim,
    ngx_str_t *value);
static ngx_uint_t ngx_http_waha_jwt_is_value(const cJSON *item,
    ngx_str_t *value);
static cJSON *ngx_http_waha_jwt_get_member(const cJSON *json, ngx_str_t *name);
static ngx_int_t ngx_http_waha_jwt_parse_object(ngx_http_waha_jwt_t *jwt,
    ngx_str_t *segment, cJSON **json);
static ngx_uint_t ngx_http_waha_jwt_has_unique_names(const cJSON *json);
static ngx_int_t ngx_http_waha_jwt_decode(ngx_pool_t *pool, ngx_str_t *src,
    ngx_str_t *dst);
static ngx_int_t ngx_http_waha_jwt_error(ngx_http_waha_jwt_t *jwt,
    const char *reason);


/* the order of the curve P-256, big-endian */

static u_char  ngx_http_waha_jwt_p256_order[] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
    0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51
};


ngx_int_t
ngx_http_waha_jwt_verify(ngx_pool_t *pool, ngx_http_waha_jwt_conf_t *conf,
    ngx_str_t *token, time_t now, ngx_http_waha_jwt_claims_t *claims,
    const char **reason)
{
    ngx_int_t                 rc;
    ngx_http_waha_jwt_t       jwt;
    ngx_http_waha_jwt_key_t  *key;

    ngx_memzero(&jwt, sizeof(ngx_http_waha_jwt_t));

    jwt.pool = pool;
    jwt.reason = reason;

    claims->verified = 0;

    rc = ngx_http_waha_jwt_split(&jwt, token);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_waha_jwt_parse_header(&jwt);
    if (rc != NGX_OK) {
        return rc;
    }

    key = ngx_http_waha_jwt_find_key(&jwt, conf->keys);

    /* nginx would report a stale error with its next TLS connection */
    ERR_clear_error();

    if (key == NULL) {
        return NGX_DECLINED;
    }

    claims->verified = 1;

    return ngx_http_waha_jwt_check_claims(&jwt, conf, key, now, claims);
}


static ngx_int_t
ngx_http_waha_jwt_split(ngx_http_waha_jwt_t *jwt, ngx_str_t *token)
{
    u_char     *first, *second, *last;
    ngx_int_t   rc;
    ngx_str_t   signature;

    if (token->len > NGX_HTTP_WAHA_JWT_MAX) {
        return ngx_http_waha_jwt_error(jwt, "token is too long");
    }

    last = token->data + token->len;

    first = ngx_strlchr(token->data, last, '.');
    second = first ? ngx_strlchr(first + 1, last, '.') : NULL;

    if (second == NULL || ngx_strlchr(second + 1, last, '.')) {
        return ngx_http_waha_jwt_error(jwt, "token has not three parts");
    }

    jwt->header.data = token->data;
    jwt->header.len = first - token->data;

    jwt->payload.data = first + 1;
    jwt->payload.len = second - (first + 1);

    jwt->input.data = token->data;
    jwt->input.len = second - token->data;

    signature.data = second + 1;
    signature.len = last - (second + 1);

    rc = ngx_http_waha_jwt_decode(jwt->pool, &signature, &jwt->signature);

    if (rc == NGX_DECLINED) {
        return ngx_http_waha_jwt_error(jwt, "signature is not base64url");
    }

    return rc;
}


/* "jku", "x5u", "jwk" and "x5c" are ignored: a token cannot bring its key */

static ngx_int_t
ngx_http_waha_jwt_parse_header(ngx_http_waha_jwt_t *jwt)
{
    cJSON      *json, *typ;
    ngx_int_t   rc;

    rc = ngx_http_waha_jwt_parse_object(jwt, &jwt->header, &json);

    if (rc == NGX_DECLINED) {
        return ngx_http_waha_jwt_error(jwt, "header is malformed");
    }

    if (rc != NGX_OK) {
        return rc;
    }

    jwt->alg = ngx_http_waha_json_get_string(json, "alg");

    if (jwt->alg.data == NULL) {
        return ngx_http_waha_jwt_error(jwt, "header has no algorithm");
    }

    if (cJSON_GetObjectItemCaseSensitive(json, "crit")) {
        return ngx_http_waha_jwt_error(jwt, "header has \"crit\"");
    }

    typ = cJSON_GetObjectItemCaseSensitive(json, "typ");

    if (typ
        && (!cJSON_IsString(typ)
            || (ngx_strcasecmp((u_char *) typ->valuestring, (u_char *) "JWT")
                != 0
                && ngx_strcasecmp((u_char *) typ->valuestring,
                                  (u_char *) "at+jwt")
                   != 0)))
    {
        return ngx_http_waha_jwt_error(jwt, "type is not JWT");
    }

    jwt->typ = ngx_http_waha_json_get_string(json, "typ");

    if (cJSON_GetObjectItemCaseSensitive(json, "kid")) {

        jwt->kid = ngx_http_waha_json_get_string(json, "kid");

        if (!ngx_http_waha_jwt_key_is_id(&jwt->kid)) {
            return ngx_http_waha_jwt_error(jwt, "key id is malformed");
        }
    }

    return NGX_OK;
}


static ngx_http_waha_jwt_key_t *
ngx_http_waha_jwt_find_key(ngx_http_waha_jwt_t *jwt, ngx_array_t *keys)
{
    ngx_str_t                *alg;
    ngx_uint_t                i;
    const char               *reason;
    ngx_http_waha_jwt_key_t  *key;

    reason = "no key has its algorithm and key id";

    key = keys->elts;

    for (i = 0; i < keys->nelts; i++) {

        alg = ngx_http_waha_jwt_key_alg_name(key[i].alg);

        if (!ngx_http_waha_string_is_equal(&jwt->alg, alg)) {
            continue;
        }

        if (jwt->kid.data && key[i].kid.len
            && !ngx_http_waha_string_is_equal(&jwt->kid, &key[i].kid))
        {
            continue;
        }

        if (ngx_http_waha_jwt_is_signed_by(jwt, &key[i])) {
            return &key[i];
        }

        reason = "signature does not match";
    }

    *jwt->reason = reason;

    return NULL;
}


static ngx_uint_t
ngx_http_waha_jwt_is_signed_by(ngx_http_waha_jwt_t *jwt,
    ngx_http_waha_jwt_key_t *key)
{
    switch (key->alg) {

    case NGX_HTTP_WAHA_JWT_HS256:
        return ngx_http_waha_jwt_has_hmac(jwt, key);

    case NGX_HTTP_WAHA_JWT_ES256:
        return ngx_http_waha_jwt_has_ecdsa_signature(jwt, key);

    case NGX_HTTP_WAHA_JWT_EDDSA:

        if (jwt->signature.len != NGX_HTTP_WAHA_JWT_EDDSA_LEN) {
            return 0;
        }

        break;

    default: /* NGX_HTTP_WAHA_JWT_RS256 */
        break;
    }

    return ngx_http_waha_jwt_has_signature(jwt, key, jwt->signature.data,
                                           jwt->signature.len);
}


static ngx_uint_t
ngx_http_waha_jwt_has_hmac(ngx_http_waha_jwt_t *jwt,
    ngx_http_waha_jwt_key_t *key)
{
    u_char        mac[EVP_MAX_MD_SIZE];
    unsigned int  len;

    if (jwt->signature.len != NGX_HTTP_WAHA_JWT_HS256_LEN) {
        return 0;
    }

    if (HMAC(EVP_sha256(), key->secret.data, key->secret.len, jwt->input.data,
             jwt->input.len, mac, &len)
        == NULL)
    {
        return 0;
    }

    return CRYPTO_memcmp(mac, jwt->signature.data,
                         NGX_HTTP_WAHA_JWT_HS256_LEN)
           == 0;
}


static ngx_uint_t
ngx_http_waha_jwt_has_signature(ngx_http_waha_jwt_t *jwt,
    ngx_http_waha_jwt_key_t *key, u_char *signature, size_t len)
{
    ngx_uint_t     valid;
    EVP_MD_CTX    *ctx;
    const EVP_MD  *md;
    EVP_PKEY_CTX  *pctx;

    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return 0;
    }

    md = (key->alg == NGX_HTTP_WAHA_JWT_EDDSA) ? NULL : EVP_sha256();

    valid = EVP_DigestVerifyInit(ctx, &pctx, md, NULL, key->pkey) == 1
            && (key->alg != NGX_HTTP_WAHA_JWT_RS256
                || EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PADDING) == 1)
            && EVP_DigestVerify(ctx, signature, len, jwt->input.data,
                                jwt->input.len)
               == 1;

    EVP_MD_CTX_free(ctx);

    return valid;
}


/* RFC 7518, 3.4: two integers of 32 bytes, which OpenSSL expects in DER */

static ngx_uint_t
ngx_http_waha_jwt_has_ecdsa_signature(ngx_http_waha_jwt_t *jwt,
    ngx_http_waha_jwt_key_t *key)
{
    int         len;
    u_char     *p, *q, *der;
    BIGNUM     *r, *s;
    ECDSA_SIG  *sig;
    ngx_uint_t  valid;

    if (jwt->signature.len != NGX_HTTP_WAHA_JWT_ES256_LEN) {
        return 0;
    }

    p = jwt->signature.data;
    q = p + NGX_HTTP_WAHA_JWT_P256_LEN;

    if (!ngx_http_waha_jwt_is_scalar(p) || !ngx_http_waha_jwt_is_scalar(q)) {
        return 0;
    }

    sig = ECDSA_SIG_new();
    r = BN_bin2bn(p, NGX_HTTP_WAHA_JWT_P256_LEN, NULL);
    s = BN_bin2bn(q, NGX_HTTP_WAHA_JWT_P256_LEN, NULL);

    if (sig == NULL || ECDSA_SIG_set0(sig, r, s) != 1) {
        ECDSA_SIG_free(sig);
        BN_free(r);
        BN_free(s);
        return 0;
    }

    der = NULL;
    len = i2d_ECDSA_SIG(sig, &der);

    valid = len > 0 && ngx_http_waha_jwt_has_signature(jwt, key, der, len);

    OPENSSL_free(der);
    ECDSA_SIG_free(sig);

    return valid;
}


/* whether an integer is from 1 to the order of the curve - 1 */

static ngx_uint_t
ngx_http_waha_jwt_is_scalar(u_char *p)
{
    size_t  i;

    for (i = 0; i < NGX_HTTP_WAHA_JWT_P256_LEN; i++) {

        if (p[i]) {
            return ngx_memcmp(p, ngx_http_waha_jwt_p256_order,
                              NGX_HTTP_WAHA_JWT_P256_LEN)
                   < 0;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_waha_jwt_check_claims(ngx_http_waha_jwt_t *jwt,
    ngx_http_waha_jwt_conf_t *conf, ngx_http_waha_jwt_key_t *key, time_t now,
    ngx_http_waha_jwt_claims_t *claims)
{
    cJSON      *json, *claim;
    ngx_int_t   rc;

    rc = ngx_http_waha_jwt_parse_object(jwt, &jwt->payload, &json);

    if (rc == NGX_DECLINED) {
        return ngx_http_waha_jwt_error(jwt, "claims are malformed");
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (key->typ.len
        && (jwt->typ.len != key->typ.len
            || ngx_strncasecmp(jwt->typ.data, key->typ.data, key->typ.len)
               != 0))
    {
        return ngx_http_waha_jwt_error(jwt, "type is another");
    }

    rc = ngx_http_waha_jwt_check_times(jwt, key, json, now);
    if (rc != NGX_OK) {
        return rc;
    }

    claim = ngx_http_waha_json_get(json, "iss");

    if (conf->issuer.len
        && !ngx_http_waha_jwt_is_value(claim, &conf->issuer))
    {
        return ngx_http_waha_jwt_error(jwt, "issuer is another");
    }

    claim = ngx_http_waha_json_get(json, "aud");

    if (conf->audience.len
        && !ngx_http_waha_jwt_has_value(claim, &conf->audience))
    {
        return ngx_http_waha_jwt_error(jwt, "audience is another");
    }

    claims->operator = key->operator;

    if (conf->operator_claim.len && conf->operator_value.len) {
        claim = ngx_http_waha_jwt_get_member(json, &conf->operator_claim);

        claims->operator |= ngx_http_waha_jwt_has_value(claim,
                                                      &conf->operator_value);
    }

    claim = ngx_http_waha_jwt_get_member(json, &conf->claim);

    rc = ngx_http_waha_jwt_read_organization(jwt, json, claim,
                                             &claims->organization);
    if (rc != NGX_OK) {
        return rc;
    }

    if (claims->organization.len == 0 && !claims->operator) {
        return ngx_http_waha_jwt_error(jwt, "organization is missing");
    }

    return ngx_http_waha_jwt_read_subject(jwt, json, &claims->subject);
}


static ngx_int_t
ngx_http_waha_jwt_check_times(ngx_http_waha_jwt_t *jwt,
    ngx_http_waha_jwt_key_t *key, cJSON *json, time_t now)
{
    double  exp, nbf, iat;

    /* defaults for claims that are missing */

    exp = -1;
    nbf = 0;
    iat = -1;

    if (ngx_http_waha_jwt_read_date(json, "exp", &exp) != NGX_OK
        || ngx_http_waha_jwt_read_date(json, "nbf", &nbf) != NGX_OK
        || ngx_http_waha_jwt_read_date(json, "iat", &iat) != NGX_OK)
    {
        return ngx_http_waha_jwt_error(jwt, "a time is malformed");
    }

    if (exp < 0) {
        return ngx_http_waha_jwt_error(jwt, "expiry is missing");
    }

    if (exp + NGX_HTTP_WAHA_JWT_LEEWAY <= now) {
        return ngx_http_waha_jwt_error(jwt, "token has expired");
    }

    if (exp > (double) now + NGX_HTTP_WAHA_JWT_EXPIRY) {
        return ngx_http_waha_jwt_error(jwt, "expiry is years away");
    }

    if (nbf > now + NGX_HTTP_WAHA_JWT_LEEWAY) {
        return ngx_http_waha_jwt_error(jwt, "token is not valid yet");
    }

    if (iat > now + NGX_HTTP_WAHA_JWT_LEEWAY) {
        return ngx_http_waha_jwt_error(jwt, "token is of the future");
    }

    if (key->max_age == 0) {
        return NGX_OK;
    }

    if (iat < 0) {
        return ngx_http_waha_jwt_error(jwt, "time of issue is missing");
    }

    if (iat + key->max_age + NGX_HTTP_WAHA_JWT_LEEWAY <= now) {
        return ngx_http_waha_jwt_error(jwt, "token is too old");
    }

    return NGX_OK;
}


/* leaves *date unchanged where the claim is missing */

static ngx_int_t
ngx_http_waha_jwt_read_date(const cJSON *json, const char *name, double *date)
{
    cJSON  *item;

    item = cJSON_GetObjectItemCaseSensitive(json, name);

    if (item == NULL) {
        return NGX_OK;
    }

    /* the comparisons are false for NaN, too */

    if (!cJSON_IsNumber(item)
        || !(item->valuedouble >= 0
             && item->valuedouble <= NGX_HTTP_WAHA_JWT_NUMBER_MAX))
    {
        return NGX_DECLINED;
    }

    *date = item->valuedouble;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_jwt_read_organization(ngx_http_waha_jwt_t *jwt,
    const cJSON *json, const cJSON *claim, ngx_str_t *organization)
{
    u_char     *p;
    ngx_int_t   rc;

    ngx_str_null(organization);

    if (claim == NULL) {
        return NGX_OK;
    }

    if (cJSON_IsString(claim)) {

        organization->data = (u_char *) claim->valuestring;
        organization->len = ngx_strlen(claim->valuestring);

        if (organization->len == 0
            || organization->len > NGX_HTTP_WAHA_JWT_ORGANIZATION)
        {
            goto malformed;
        }

        /* no control characters, because the organization is logged */

        for (p = organization->data; *p; p++) {
            if (*p < 0x20 || *p == 0x7f) {
                goto malformed;
            }
        }

        return NGX_OK;
    }

    rc = ngx_http_waha_json_integer(jwt->pool, &jwt->text, json, claim,
                                    organization);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK
        && organization->data[0] != '-'
        && organization->len <= NGX_HTTP_WAHA_JWT_ORGANIZATION)
    {
        return NGX_OK;
    }

malformed:

    return ngx_http_waha_jwt_error(jwt, "organization is malformed");
}


/* a string (RFC 7519, 4.1.2), which some issuers write as a number */

static ngx_int_t
ngx_http_waha_jwt_read_subject(ngx_http_waha_jwt_t *jwt, const cJSON *json,
    ngx_str_t *subject)
{
    ngx_int_t   rc;
    cJSON      *claim;

    *subject = ngx_http_waha_json_get_string(json, "sub");

    if (subject->len) {
        return NGX_OK;
    }

    claim = ngx_http_waha_json_get(json, "sub");

    rc = ngx_http_waha_json_integer(jwt->pool, &jwt->text, json, claim,
                                    subject);

    if (rc == NGX_DECLINED) {
        ngx_str_null(subject);
        return NGX_OK;
    }

    return rc;
}


/* a claim may be a string or an array of strings: RFC 7519, 4.1.3 */

static ngx_uint_t
ngx_http_waha_jwt_has_value(const cJSON *claim, ngx_str_t *value)
{
    ngx_uint_t    found;
    const cJSON  *item;

    if (!cJSON_IsArray(claim)) {
        return ngx_http_waha_jwt_is_value(claim, value);
    }

    found = 0;

    for (item = claim->child; item; item = item->next) {

        if (!cJSON_IsString(item)) {
            return 0;
        }

        found |= ngx_http_waha_jwt_is_value(item, value);
    }

    return found;
}


static ngx_uint_t
ngx_http_waha_jwt_is_value(const cJSON *item, ngx_str_t *value)
{
    return cJSON_IsString(item)
           && ngx_strlen(item->valuestring) == value->len
           && ngx_memcmp(item->valuestring, value->data, value->len) == 0;
}


/* NULL for a missing member and for JSON null */

static cJSON *
ngx_http_waha_jwt_get_member(const cJSON *json, ngx_str_t *name)
{
    cJSON  *item;

    for (item = json->child; item; item = item->next) {

        if (ngx_strlen(item->string) == name->len
            && ngx_memcmp(item->string, name->data, name->len) == 0)
        {
            return cJSON_IsNull(item) ? NULL : item;
        }
    }

    return NULL;
}


/* declines text that has to be repaired: parsers may read it differently */

static ngx_int_t
ngx_http_waha_jwt_parse_object(ngx_http_waha_jwt_t *jwt, ngx_str_t *segment,
    cJSON **json)
{
    ngx_int_t   rc;
    ngx_uint_t  replaced;

    rc = ngx_http_waha_jwt_decode(jwt->pool, segment, &jwt->text);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_waha_json_clean(jwt->pool, &jwt->text, &replaced);
    if (rc != NGX_OK) {
        return rc;
    }

    if (replaced) {
        return NGX_DECLINED;
    }

    rc = ngx_http_waha_json_parse(jwt->pool, &jwt->text, json);
    if (rc != NGX_OK) {
        return rc;
    }

    if (!cJSON_IsObject(*json) || !ngx_http_waha_jwt_has_unique_names(*json)) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* parsers disagree about which of two members with the same name counts */

static ngx_uint_t
ngx_http_waha_jwt_has_unique_names(const cJSON *json)
{
    ngx_uint_t    n;
    const cJSON  *item, *other;

    n = 0;

    for (item = json->child; item; item = item->next) {

        if (!ngx_http_waha_jwt_has_unique_names(item)) {
            return 0;
        }

        if (!cJSON_IsObject(json)) {
            continue;
        }

        if (++n > NGX_HTTP_WAHA_JWT_MEMBERS) {
            return 0;
        }

        for (other = json->child; other != item; other = other->next) {

            if (ngx_strcmp(other->string, item->string) == 0) {
                return 0;
            }
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_waha_jwt_decode(ngx_pool_t *pool, ngx_str_t *src, ngx_str_t *dst)
{
    dst->data = ngx_pnalloc(pool, src->len * 3 / 4 + 1);
    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_waha_string_decode_base64url(dst, src);
}


static ngx_int_t
ngx_http_waha_jwt_error(ngx_http_waha_jwt_t *jwt, const char *reason)
{
    *jwt->reason = reason;

    return NGX_DECLINED;
}
