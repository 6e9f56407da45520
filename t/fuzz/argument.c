
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * ngx_http_waha_value_*(): a query string is what forms make of it, and a
 * value is of a kind when a regular expression says so.  Input: a query
 * string and a value, at once.
 */


#include "fuzz.h"
#include <regex.h>
#include "ngx_http_waha_value.h"


#define FUZZ_ID       "^(" \
    "[1-9][0-9]{0,17}" \
    "|[1-8][0-9]{18}" \
    "|9[0-1][0-9]{17}" \
    "|92[0-1][0-9]{16}" \
    "|922[0-2][0-9]{15}" \
    "|9223[0-2][0-9]{14}" \
    "|92233[0-6][0-9]{13}" \
    "|922337[0-1][0-9]{12}" \
    "|92233720[0-2][0-9]{10}" \
    "|922337203[0-5][0-9]{9}" \
    "|9223372036[0-7][0-9]{8}" \
    "|92233720368[0-4][0-9]{7}" \
    "|922337203685[0-3][0-9]{6}" \
    "|9223372036854[0-6][0-9]{5}" \
    "|92233720368547[0-6][0-9]{4}" \
    "|922337203685477[0-4][0-9]{3}" \
    "|9223372036854775[0-7][0-9]{2}" \
    "|922337203685477580[0-6]" \
    "|9223372036854775807" \
    ")$"
#define FUZZ_SESSION  "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$"
#define FUZZ_SIZE     "^0*([1-9][0-9]?|1[0-9][0-9]|200)$"
#define FUZZ_COUNT    "^0*[0-9]{1,10}$"
#define FUZZ_PHONE    "^[0-9+./() -]*$"
#define FUZZ_TRUE     "^(true|1)$"
#define FUZZ_FALSE    "^(false|0)$"


static regex_t  fuzz_session, fuzz_id, fuzz_size, fuzz_count, fuzz_phone,
                fuzz_true, fuzz_false;


static void
fuzz_compile(regex_t *regex, const char *pattern)
{
    fuzz_check(regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB) == 0);
}


static void
fuzz_start(void)
{
    static ngx_uint_t  started;

    if (started) {
        return;
    }

    started = 1;

    fuzz_compile(&fuzz_session, FUZZ_SESSION);
    fuzz_compile(&fuzz_id, FUZZ_ID);
    fuzz_compile(&fuzz_size, FUZZ_SIZE);
    fuzz_compile(&fuzz_count, FUZZ_COUNT);
    fuzz_compile(&fuzz_phone, FUZZ_PHONE);
    fuzz_compile(&fuzz_true, FUZZ_TRUE);
    fuzz_compile(&fuzz_false, FUZZ_FALSE);
}


/* in the locale "C", with zeros that end nothing: no pattern takes \x01 */

static ngx_uint_t
fuzz_match(regex_t *regex, ngx_str_t *text)
{
    int      rc;
    char    *copy;
    size_t   i;

    copy = malloc(text->len + 1);

    for (i = 0; i < text->len; i++) {
        copy[i] = text->data[i] ? text->data[i] : '\x01';
    }

    copy[text->len] = '\0';

    rc = regexec(regex, copy, 0, NULL, 0);

    free(copy);

    return rc == 0;
}


/* whether "%" and two digits begin there: no two of them overlap */

static ngx_uint_t
fuzz_escape(u_char *part, size_t len, size_t i)
{
    return i < len && len - i >= 3 && part[i] == '%'
           && isxdigit(part[i + 1]) && isxdigit(part[i + 2]);
}


static void
fuzz_decoded(u_char *part, size_t len, ngx_str_t *value)
{
    char    hex[3];
    size_t  i, n;
    u_char  ch;

    for (i = 0, n = 0; i < len; i++) {

        if ((i >= 1 && fuzz_escape(part, len, i - 1))
            || (i >= 2 && fuzz_escape(part, len, i - 2)))
        {
            continue;
        }

        ch = (part[i] == '+') ? ' ' : part[i];

        if (fuzz_escape(part, len, i)) {
            sprintf(hex, "%c%c", part[i + 1], part[i + 2]);
            ch = strtoul(hex, NULL, 16);
        }

        fuzz_check(n < value->len && value->data[n] == ch);
        n++;
    }

    fuzz_check(n == value->len);
}


static void
fuzz_query(ngx_pool_t *pool, ngx_str_t *text)
{
    size_t         i, start, sign;
    ngx_uint_t     n;
    ngx_array_t   *args;
    ngx_keyval_t  *arg;

    fuzz_check(ngx_http_waha_value_parse_query(pool, text, &args) == NGX_OK);

    arg = args->elts;
    start = 0;
    sign = text->len;
    n = 0;

    for (i = 0; i <= text->len; i++) {

        if (i < text->len && text->data[i] != '&') {

            if (text->data[i] == '=' && sign == text->len) {
                sign = i;
            }

            continue;
        }

        if (start == text->len) {
            /* nothing follows the last "&" */
            break;
        }

        fuzz_check(n < args->nelts);

        if (sign < text->len) {
            fuzz_decoded(text->data + start, sign - start, &arg[n].key);
            fuzz_decoded(text->data + sign + 1, i - sign - 1, &arg[n].value);

        } else {
            fuzz_decoded(text->data + start, i - start, &arg[n].key);
            fuzz_check(arg[n].value.data == NULL);
        }

        n++;
        start = i + 1;
        sign = text->len;
    }

    fuzz_check(n == args->nelts);
}


/* the decoder of these programs takes valid UTF-8 only */

static void
fuzz_text(ngx_str_t *text)
{
    size_t      i, n, characters;
    ngx_uint_t  good;

    if (!fuzz_utf8(text)) {
        return;
    }

    good = 1;

    for (i = 0, n = 0; i < text->len; i++) {

        if ((text->data[i] & 0xc0) != 0x80) {
            n++;
        }

        /* the other controls are \xc2\x80 to \xc2\x9f */

        if (text->data[i] < 0x20 || text->data[i] == 0x7f
            || (text->data[i] == 0xc2 && text->data[i + 1] < 0xa0))
        {
            good = 0;
        }
    }

    fuzz_check(ngx_http_waha_value_is_text(text, &characters) == good);
    fuzz_check(!good || characters == n);
}


static void
fuzz_number(ngx_str_t *text)
{
    char        copy[8193];
    ngx_uint_t  good;

    good = fuzz_match(&fuzz_count, text);

    if (good) {
        memcpy(copy, text->data, text->len);
        copy[text->len] = '\0';

        good = strtoull(copy, NULL, 10) <= 2147483647;
    }

    fuzz_check(ngx_http_waha_value_is_number(text, 0, 2147483647)
               == good);
    fuzz_check(ngx_http_waha_value_is_number(text, 1, 200)
               == fuzz_match(&fuzz_size, text));
}


static void
fuzz_phone_digits(ngx_pool_t *pool, ngx_str_t *text)
{
    char       *p, *digits;
    size_t      i;
    ngx_int_t   rc;
    ngx_str_t   value;

    if (memchr(text->data, '\0', text->len)) {
        return;
    }

    value = *text;
    rc = ngx_http_waha_value_parse_phone(pool, &value);

    digits = calloc(1, text->len + 1);

    for (i = 0, p = digits; i < text->len; i++) {
        if (isdigit(text->data[i])) {
            *p++ = text->data[i];
        }
    }

    /* "00" alone is no prefix, and no number */

    p = strncmp(digits, "00", 2) ? digits : digits + 2;

    if (fuzz_match(&fuzz_phone, text) && strlen(p) >= 7 && strlen(p) <= 15) {
        fuzz_check(rc == NGX_OK && value.len == strlen(p));
        fuzz_check(memcmp(value.data, p, value.len) == 0);

    } else {
        fuzz_check(rc == NGX_DECLINED);
        fuzz_check(value.data == text->data && value.len == text->len);
    }

    free(digits);
}


static void
fuzz_flag(ngx_str_t *text)
{
    ngx_int_t   rc;
    ngx_str_t   value;
    const char *word;

    value = *text;
    rc = ngx_http_waha_value_parse_flag(&value);

    word = fuzz_match(&fuzz_true, text) ? "t"
           : fuzz_match(&fuzz_false, text) ? "f" : NULL;

    fuzz_check(rc == (word ? NGX_OK : NGX_DECLINED));
    fuzz_check(word == NULL || (value.len == 1 && value.data[0] == *word));
}


/* without memory there is no query, and no phone */

static void
fuzz_memory(ngx_str_t *text, ngx_uint_t n)
{
    ngx_int_t     rc;
    ngx_str_t     value;
    ngx_pool_t   *pool;
    ngx_array_t  *args;

    pool = ngx_create_pool(4096, NULL);

    ngx_shim_fail = n + 1;
    (void) ngx_http_waha_value_parse_query(pool, text, &args);

    ngx_shim_fail = 1;
    fuzz_check(ngx_http_waha_value_parse_query(pool, text, &args)
               == NGX_ERROR);

    value = *text;
    rc = ngx_http_waha_value_parse_phone(pool, &value);
    fuzz_check(rc == NGX_ERROR);

    ngx_shim_fail = 0;

    ngx_destroy_pool(pool);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t    text;
    ngx_pool_t  *pool;

    fuzz_start();

    /* nothing behind it, so that a sanitizer sees its end */

    text.len = size;
    text.data = malloc(size);

    if (size) {
        memcpy(text.data, data, size);
    }

    pool = ngx_create_pool(4096, NULL);

    fuzz_query(pool, &text);
    fuzz_text(&text);
    fuzz_number(&text);
    fuzz_phone_digits(pool, &text);
    fuzz_flag(&text);

    fuzz_check(ngx_http_waha_value_is_session(&text)
               == fuzz_match(&fuzz_session, &text));
    fuzz_check(ngx_http_waha_value_is_id(&text)
               == fuzz_match(&fuzz_id, &text));

    fuzz_memory(&text, size % 16);

    ngx_destroy_pool(pool);
    free(text.data);

    return 0;
}
