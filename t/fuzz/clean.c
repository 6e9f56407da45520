
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * ngx_http_waha_json_clean() and _parse(): what comes out is fit for
 * PostgreSQL, what was fit stays as it is, and all JSON within the bounds is
 * accepted.
 */


#include "fuzz.h"
#include "ngx_http_waha_json.h"


/* a reader of RFC 8259, by which the bounds and the parser are judged */

typedef struct {
    u_char      *p;
    u_char      *last;
    ngx_uint_t   values;
    ngx_uint_t   deepest;
    ngx_uint_t   digits;        /* of the longest number */
} fuzz_json_t;


static ngx_uint_t fuzz_value(fuzz_json_t *json, ngx_uint_t depth);


static void
fuzz_space(fuzz_json_t *json)
{
    while (json->p < json->last && *json->p && strchr(" \t\r\n", *json->p)) {
        json->p++;
    }
}


static ngx_uint_t
fuzz_is(fuzz_json_t *json, char c)
{
    if (json->p == json->last || *json->p != c) {
        return 0;
    }

    json->p++;

    return 1;
}


static ngx_uint_t
fuzz_string(fuzz_json_t *json)
{
    ngx_uint_t  i;

    if (!fuzz_is(json, '"')) {
        return 0;
    }

    while (json->p < json->last && *json->p != '"') {

        if (*json->p < 0x20) {
            return 0;
        }

        if (*json->p++ != '\\') {
            continue;
        }

        if (json->p == json->last || *json->p == '\0'
            || !strchr("\"\\/bfnrtu", *json->p))
        {
            return 0;
        }

        if (*json->p++ != 'u') {
            continue;
        }

        for (i = 0; i < 4; i++) {
            if (json->p == json->last || !isxdigit(*json->p++)) {
                return 0;
            }
        }
    }

    return fuzz_is(json, '"');
}


static ngx_uint_t
fuzz_digits(fuzz_json_t *json)
{
    u_char  *start;

    start = json->p;

    while (json->p < json->last && isdigit(*json->p)) {
        json->p++;
    }

    return json->p != start;
}


static ngx_uint_t
fuzz_number(fuzz_json_t *json)
{
    u_char  *start;

    start = json->p;

    (void) fuzz_is(json, '-');

    if (!fuzz_is(json, '0') && !fuzz_digits(json)) {
        return 0;
    }

    if (fuzz_is(json, '.') && !fuzz_digits(json)) {
        return 0;
    }

    if (fuzz_is(json, 'e') || fuzz_is(json, 'E')) {
        (void) (fuzz_is(json, '+') || fuzz_is(json, '-'));

        if (!fuzz_digits(json)) {
            return 0;
        }
    }

    json->digits = ngx_max(json->digits, (ngx_uint_t) (json->p - start));

    return 1;
}


static ngx_uint_t
fuzz_word(fuzz_json_t *json, const char *word)
{
    size_t  len;

    len = strlen(word);

    if ((size_t) (json->last - json->p) < len
        || memcmp(json->p, word, len) != 0)
    {
        return 0;
    }

    json->p += len;

    return 1;
}


static ngx_uint_t
fuzz_members(fuzz_json_t *json, ngx_uint_t depth, char end)
{
    json->deepest = ngx_max(json->deepest, depth);

    fuzz_space(json);

    if (fuzz_is(json, end)) {
        return 1;
    }

    /* cJSON itself goes no deeper than 1000 */

    if (depth > 900) {
        return 0;
    }

    for ( ;; ) {

        if (end == '}') {
            fuzz_space(json);

            if (!fuzz_string(json)) {
                return 0;
            }

            fuzz_space(json);

            if (!fuzz_is(json, ':')) {
                return 0;
            }
        }

        if (!fuzz_value(json, depth)) {
            return 0;
        }

        if (fuzz_is(json, end)) {
            return 1;
        }

        if (!fuzz_is(json, ',')) {
            return 0;
        }
    }
}


static ngx_uint_t
fuzz_value(fuzz_json_t *json, ngx_uint_t depth)
{
    ngx_uint_t  good;

    fuzz_space(json);

    json->values++;

    if (fuzz_is(json, '{')) {
        good = fuzz_members(json, depth + 1, '}');

    } else if (fuzz_is(json, '[')) {
        good = fuzz_members(json, depth + 1, ']');

    } else if (json->p < json->last && *json->p == '"') {
        good = fuzz_string(json);

    } else {
        good = fuzz_word(json, "true") || fuzz_word(json, "false")
               || fuzz_word(json, "null") || fuzz_number(json);
    }

    fuzz_space(json);

    return good;
}


/* no escape that is NUL, half a pair or has no digits */

static ngx_uint_t
fuzz_escapes(ngx_str_t *text)
{
    char     hex[5];
    long     code, high;
    u_char  *p, *last;

    last = text->data + text->len;
    high = 0;

    for (p = text->data; p < last; p++) {

        if (*p != '\\' || last - p < 2 || p[1] != 'u') {

            if (high) {
                return 0;
            }

            /* a byte after a backslash is part of the escape */

            if (*p == '\\' && last - p > 1 && p[1] < 0x80) {
                p++;
            }

            continue;
        }

        if (last - p < 6 || !isxdigit(p[2]) || !isxdigit(p[3])
            || !isxdigit(p[4]) || !isxdigit(p[5]))
        {
            return 0;
        }

        memcpy(hex, p + 2, 4);
        hex[4] = '\0';
        code = strtol(hex, NULL, 16);

        if (code == 0 || (high != 0) != (code >= 0xdc00 && code <= 0xdfff)) {
            return 0;
        }

        high = (code >= 0xd800 && code <= 0xdbff) ? code : 0;

        p += 5;
    }

    return high == 0;
}


static void
fuzz_strings(cJSON *json)
{
    ngx_str_t  text;

    for ( /* void */ ; json; json = json->next) {

        if (json->string) {
            text.data = (u_char *) json->string;
            text.len = strlen(json->string);
            fuzz_check(fuzz_utf8(&text));
        }

        if (json->valuestring) {
            text.data = (u_char *) json->valuestring;
            text.len = strlen(json->valuestring);
            fuzz_check(fuzz_utf8(&text));
        }

        fuzz_strings(json->child);
    }
}


static void
fuzz_clean(ngx_pool_t *pool, ngx_str_t *given)
{
    cJSON        *tree;
    ngx_int_t     rc;
    ngx_str_t     text, again;
    ngx_uint_t    fit, good, replaced;
    fuzz_json_t   json;

    fit = fuzz_utf8(given) && fuzz_escapes(given);

    text = *given;

    rc = ngx_http_waha_json_clean(pool, &text, &replaced);

    ngx_memzero(&json, sizeof(fuzz_json_t));

    if (rc == NGX_DECLINED) {
        json.p = given->data;
        json.last = given->data + given->len;

        /* JSON is refused for the bounds alone */

        good = fit && fuzz_value(&json, 0) && json.p == json.last;

        fuzz_check(!good || json.deepest > NGX_HTTP_WAHA_JSON_DEPTH
                   || json.values > NGX_HTTP_WAHA_JSON_NODES);
        return;
    }

    fuzz_check(rc == NGX_OK);
    fuzz_check(fit == !replaced);
    fuzz_check(replaced || (text.data == given->data
                            && text.len == given->len));
    fuzz_check(fuzz_utf8(&text) && fuzz_escapes(&text));

    again = text;

    fuzz_check(ngx_http_waha_json_clean(pool, &again, &replaced) == NGX_OK);
    fuzz_check(!replaced);

    json.p = text.data;
    json.last = text.data + text.len;

    good = fuzz_value(&json, 0) && json.p == json.last;

    if (good) {
        fuzz_check(json.deepest <= NGX_HTTP_WAHA_JSON_DEPTH);
        fuzz_check(json.values <= NGX_HTTP_WAHA_JSON_NODES);
    }

    rc = ngx_http_waha_json_parse(pool, &text, &tree);

    /* cJSON reads numbers of up to 63 characters */

    fuzz_check(!good || json.digits > 63 || rc == NGX_OK);

    if (rc == NGX_OK) {
        fuzz_strings(tree);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t    given;
    ngx_pool_t  *pool;

    given.data = (u_char *) data;
    given.len = size;

    ngx_shim_allocated = 0;

    pool = ngx_create_pool(4096, NULL);

    fuzz_clean(pool, &given);

    fuzz_check(ngx_shim_allocated
               <= 80 * ngx_min(size + 1, NGX_HTTP_WAHA_JSON_NODES)
                  + 8 * size + 64);

    ngx_destroy_pool(pool);

    return 0;
}
