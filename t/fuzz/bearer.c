
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * ngx_http_waha_bearer_*(): each says of any bytes what a regular expression
 * says, and points nowhere else.  Input: a header's value, a token, a query
 * string, at once.
 */


#include "fuzz.h"
#include <regex.h>
#include "ngx_http_waha_bearer.h"


#define FUZZ_QUERY                                                           \
    "(^|&)(access_token|token|api_key|apikey|x-api-key|jwt)(=|&|$)"
#define FUZZ_BEARER     "^bearer($| +)"
#define FUZZ_TOKEN      "^[A-Za-z0-9._~+/-]+=*$"
#define FUZZ_LIKE_KEY   "^wak_"
#define FUZZ_KEY        "^wak_([a-z0-9]{8})_([A-Za-z0-9_-]{43})$"


static regex_t  fuzz_query, fuzz_bearer, fuzz_token, fuzz_like_key, fuzz_key;


static void
fuzz_compile(regex_t *regex, const char *pattern, int flags)
{
    fuzz_check(regcomp(regex, pattern, REG_EXTENDED | flags) == 0);
}


/* inputs are shorter */

static void
fuzz_longest(void)
{
    u_char      *p;
    ngx_str_t    token;
    const char  *reason;

    p = malloc(8193);
    memset(p, 'a', 8193);

    token.data = p;
    token.len = 8192;

    fuzz_check(ngx_http_waha_bearer_check_token(&token, &reason) == NGX_OK);

    token.len = 8193;

    fuzz_check(ngx_http_waha_bearer_check_token(&token, &reason)
               == NGX_DECLINED);

    free(p);
}


static void
fuzz_start(void)
{
    static ngx_uint_t  started;

    if (started) {
        return;
    }

    started = 1;

    fuzz_compile(&fuzz_query, FUZZ_QUERY, REG_ICASE | REG_NOSUB);
    fuzz_compile(&fuzz_bearer, FUZZ_BEARER, REG_ICASE);
    fuzz_compile(&fuzz_token, FUZZ_TOKEN, REG_NOSUB);
    fuzz_compile(&fuzz_like_key, FUZZ_LIKE_KEY, REG_NOSUB);
    fuzz_compile(&fuzz_key, FUZZ_KEY, 0);

    fuzz_longest();
}


/* in the locale "C", with zeros that end nothing: no pattern takes \x01 */

static ngx_uint_t
fuzz_match(regex_t *regex, ngx_str_t *text, regmatch_t *match, size_t n)
{
    int      rc;
    char    *copy;
    size_t   i;

    copy = malloc(text->len + 1);

    for (i = 0; i < text->len; i++) {
        copy[i] = text->data[i] ? text->data[i] : '\x01';
    }

    copy[text->len] = '\0';

    rc = regexec(regex, copy, n, match, 0);

    free(copy);

    return rc == 0;
}


static void
fuzz_part(ngx_str_t *text, ngx_str_t *part, regmatch_t *match)
{
    fuzz_check(part->data == text->data + match->rm_so);
    fuzz_check(part->len == (size_t) (match->rm_eo - match->rm_so));
}


static void
fuzz_syntax(ngx_str_t *token)
{
    ngx_int_t                    rc;
    ngx_uint_t                   good;
    regmatch_t                   match[3];
    const char                  *reason;
    ngx_http_waha_bearer_key_t   key;

    reason = NULL;
    rc = ngx_http_waha_bearer_check_token(token, &reason);
    good = fuzz_match(&fuzz_token, token, NULL, 0);

    fuzz_check(rc == (good ? NGX_OK : NGX_DECLINED));
    fuzz_check((reason == NULL) == good);

    fuzz_check(ngx_http_waha_bearer_has_key_prefix(token)
               == fuzz_match(&fuzz_like_key, token, NULL, 0));

    good = fuzz_match(&fuzz_key, token, match, 3);

    if (ngx_http_waha_bearer_parse_key(token, &key) != NGX_OK) {
        fuzz_check(!good);
        return;
    }

    fuzz_check(good && reason == NULL);

    fuzz_part(token, &key.id, &match[1]);
    fuzz_part(token, &key.secret, &match[2]);
}


/* names may be escaped in more ways than the expression knows */

static void
fuzz_in_query(ngx_str_t *text)
{
    ngx_int_t    rc;
    ngx_pool_t  *pool;

    pool = ngx_create_pool(4096, NULL);

    rc = ngx_http_waha_bearer_find_in_query(pool, text);

    if (fuzz_match(&fuzz_query, text, NULL, 0)) {
        fuzz_check(rc == NGX_OK);

    } else if (memchr(text->data, '%', text->len) == NULL) {
        fuzz_check(rc == NGX_DECLINED);
    }

    ngx_destroy_pool(pool);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t    rc;
    ngx_str_t    text, token;
    ngx_uint_t   good;
    regmatch_t   match;

    fuzz_start();

    /* nothing behind it, so that a sanitizer sees its end */

    text.len = size;
    text.data = malloc(size);

    if (size) {
        memcpy(text.data, data, size);
    }

    fuzz_in_query(&text);

    fuzz_syntax(&text);

    good = fuzz_match(&fuzz_bearer, &text, &match, 1);
    rc = ngx_http_waha_bearer_parse_header(&text, &token);

    fuzz_check(rc == (good ? NGX_OK : NGX_DECLINED));

    if (rc == NGX_OK) {
        fuzz_check(token.data == text.data + match.rm_eo);
        fuzz_check(token.len == size - match.rm_eo);

        fuzz_syntax(&token);
    }

    free(text.data);

    return 0;
}
