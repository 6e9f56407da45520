
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <inttypes.h>
#include <math.h>
#include <ngx_http_waha_json.h>


/* the first pass of clean() measures, the second one copies */

typedef struct {
    u_char       *from;         /* the first byte not copied yet */
    u_char       *out;          /* NULL while measuring */
    size_t        size;         /* of the text after all replacements */
    ngx_uint_t    replaced;
} ngx_http_waha_json_copy_t;


typedef struct {
    ngx_pool_t   *pool;
    u_char       *start;
    u_char       *last;
    ngx_uint_t    failed;       /* an allocation failed */
} ngx_http_waha_json_locate_t;


typedef struct {
    ngx_int_t     depth;
    ngx_int_t     nodes;        /* beyond those that are allowed */
    ngx_uint_t    fresh;        /* 1: the next token begins a value */
} ngx_http_waha_json_count_t;


/* "-1.23456789012345e-308" and its terminating NUL fit */
#define NGX_HTTP_WAHA_JSON_NUMBER_LEN  32

/* of integers that a double rounds; no id is longer */
#define NGX_HTTP_WAHA_JSON_DIGITS  64

/* 2^53: a double represents each integer below it, and no other as it */
#define NGX_HTTP_WAHA_JSON_EXACT  9007199254740992.0

#define NGX_HTTP_WAHA_JSON_REPLACEMENT  "\xef\xbf\xbd"      /* U+FFFD */

/* a word of eight bytes with the lowest or the highest bit of each byte set */

#define NGX_HTTP_WAHA_JSON_LOW_BITS   0x0101010101010101ULL
#define NGX_HTTP_WAHA_JSON_HIGH_BITS  0x8080808080808080ULL

/* has one of the high bits set if a byte of w is 0, or equal to c */

#define ngx_http_waha_json_zero_bytes(w)                                     \
    (((w) - NGX_HTTP_WAHA_JSON_LOW_BITS) & ~(w))

#define ngx_http_waha_json_equal_bytes(w, c)                                 \
    ngx_http_waha_json_zero_bytes((w) ^ (NGX_HTTP_WAHA_JSON_LOW_BITS * (c)))


static ngx_int_t ngx_http_waha_json_scan(u_char *p, u_char *last,
    ngx_int_t nodes, ngx_http_waha_json_copy_t *copy);
static ngx_inline ngx_int_t ngx_http_waha_json_count(
    ngx_http_waha_json_count_t *count, u_char c);
static u_char *ngx_http_waha_json_skip_string(u_char *p, u_char *last,
    ngx_http_waha_json_copy_t *copy);
static u_char *ngx_http_waha_json_repair(u_char *p, u_char *last,
    ngx_http_waha_json_copy_t *copy);
static ngx_uint_t ngx_http_waha_json_is_utf8(u_char *p, u_char *last,
    size_t *len);
static ngx_uint_t ngx_http_waha_json_is_escape(u_char *p, u_char *last,
    size_t *len);
static ngx_int_t ngx_http_waha_json_code_unit(u_char *p, u_char *last);
static void *ngx_http_waha_json_malloc(size_t size);
static void ngx_http_waha_json_free(void *p);
static u_char *ngx_http_waha_json_locate_item(
    ngx_http_waha_json_locate_t *locate, u_char *p, cJSON *item);
static u_char *ngx_http_waha_json_skip_blanks(u_char *p, u_char *last);
static u_char *ngx_http_waha_json_skip_value(u_char *p, u_char *last);
static void ngx_http_waha_json_keep_digits(
    ngx_http_waha_json_locate_t *locate, u_char *p, u_char *last, cJSON *item);
static ngx_uint_t ngx_http_waha_json_count_numbers(const cJSON *json,
    const cJSON *item, ngx_uint_t *n);
static ngx_int_t ngx_http_waha_json_find_number(const ngx_str_t *text,
    ngx_uint_t n, ngx_str_t *digits);
static ngx_uint_t ngx_http_waha_json_is_integer(const ngx_str_t *number);
static u_char *ngx_http_waha_json_reserve(ngx_http_waha_json_out_t *out,
    size_t size);
static void ngx_http_waha_json_name(ngx_http_waha_json_out_t *out,
    const char *name);
static void ngx_http_waha_json_put_same(ngx_http_waha_json_out_t *out,
    const char *name, const cJSON *item);


/* cJSON's hooks take no context: these belong to the parse that is running */
static ngx_pool_t  *ngx_http_waha_json_pool;
static ngx_uint_t   ngx_http_waha_json_no_memory;


ngx_int_t
ngx_http_waha_json_clean_up_to(ngx_pool_t *pool, ngx_str_t *text,
    ngx_int_t nodes, ngx_uint_t *replaced)
{
    u_char                     *last, *buf;
    ngx_http_waha_json_copy_t   copy;

    last = text->data + text->len;

    copy.from = text->data;
    copy.out = NULL;
    copy.size = text->len;
    copy.replaced = 0;

    if (ngx_http_waha_json_scan(text->data, last, nodes, &copy) != NGX_OK) {
        return NGX_DECLINED;
    }

    *replaced = copy.replaced;

    if (!copy.replaced) {
        return NGX_OK;
    }

    buf = ngx_pnalloc(pool, copy.size);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    copy.from = text->data;
    copy.out = buf;

    (void) ngx_http_waha_json_scan(text->data, last, nodes, &copy);

    copy.out = ngx_cpymem(copy.out, copy.from, last - copy.from);

    text->data = buf;
    text->len = copy.out - buf;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_json_scan(u_char *p, u_char *last, ngx_int_t nodes,
    ngx_http_waha_json_copy_t *copy)
{
    ngx_int_t                   rc;
    ngx_http_waha_json_count_t  count;

    count.depth = 0;
    count.nodes = -nodes;
    count.fresh = 1;

    while (p < last) {

        rc = ngx_http_waha_json_count(&count, *p);

        if (rc == NGX_OK) {
            p++;
            continue;
        }

        if (rc == NGX_DECLINED) {
            return NGX_DECLINED;
        }

        if (*p == '"') {
            p = ngx_http_waha_json_skip_string(p + 1, last, copy);

        } else {
            p = ngx_http_waha_json_repair(p, last, copy);
        }
    }

    return (count.nodes > 0) ? NGX_DECLINED : NGX_OK;
}


/*
 * NGX_OK: the byte is passed.  NGX_AGAIN: the string, character or escape that
 * begins there is to be passed.  NGX_DECLINED: beyond the bounds.  What is not
 * JSON may be counted wrong, but the parser stops there.
 */

static ngx_inline ngx_int_t
ngx_http_waha_json_count(ngx_http_waha_json_count_t *count, u_char c)
{
    switch (c) {

    case ' ':
    case '\t':
    case '\r':
    case '\n':
        return NGX_OK;

    case ':':
        /* the string before it was a name and no value */
        count->nodes--;
        count->fresh = 1;
        return NGX_OK;

    case ',':
        count->fresh = 1;
        return (count->nodes > 0) ? NGX_DECLINED : NGX_OK;

    case '{':
    case '[':
        count->nodes++;
        count->fresh = 1;
        return (++count->depth > NGX_HTTP_WAHA_JSON_DEPTH) ? NGX_DECLINED
                                                           : NGX_OK;

    case '}':
    case ']':
        count->depth--;
        count->fresh = 0;
        return NGX_OK;

    case '"':
        count->nodes += count->fresh;
        count->fresh = 0;
        return NGX_AGAIN;

    default:

        if (c == '\0' || c == '\\' || c >= 0x80) {
            return NGX_AGAIN;
        }

        count->nodes += count->fresh;
        count->fresh = 0;
        return NGX_OK;
    }
}


/* p is behind the opening quote; returns what is behind the closing one */

static u_char *
ngx_http_waha_json_skip_string(u_char *p, u_char *last,
    ngx_http_waha_json_copy_t *copy)
{
    uint64_t  w;

    for ( ;; ) {

        while (last - p >= (ssize_t) sizeof(uint64_t)) {

            ngx_memcpy(&w, p, sizeof(uint64_t));

            if ((w | ngx_http_waha_json_zero_bytes(w)
                 | ngx_http_waha_json_equal_bytes(w, '"')
                 | ngx_http_waha_json_equal_bytes(w, '\\'))
                & NGX_HTTP_WAHA_JSON_HIGH_BITS)
            {
                break;
            }

            p += sizeof(uint64_t);
        }

        while (p < last
               && *p != '"' && *p != '\\' && *p != '\0' && *p < 0x80)
        {
            p++;
        }

        if (p == last) {
            return p;
        }

        if (*p == '"') {
            return p + 1;
        }

        /* one character beyond ASCII is usually followed by others */

        do {
            p = ngx_http_waha_json_repair(p, last, copy);
        } while (p < last && *p >= 0x80);
    }
}


/* passes one character or escape, and replaces it if it is invalid */

static u_char *
ngx_http_waha_json_repair(u_char *p, u_char *last,
    ngx_http_waha_json_copy_t *copy)
{
    size_t      len;
    ngx_uint_t  valid;

    if (*p == '\\') {
        valid = ngx_http_waha_json_is_escape(p, last, &len);

    } else {
        valid = ngx_http_waha_json_is_utf8(p, last, &len);
    }

    if (valid) {
        return p + len;
    }

    copy->replaced = 1;

    if (copy->out == NULL) {
        copy->size = copy->size - len
                     + sizeof(NGX_HTTP_WAHA_JSON_REPLACEMENT) - 1;

    } else {
        copy->out = ngx_cpymem(copy->out, copy->from, p - copy->from);
        copy->out = ngx_cpymem(copy->out, NGX_HTTP_WAHA_JSON_REPLACEMENT,
                               sizeof(NGX_HTTP_WAHA_JSON_REPLACEMENT) - 1);
        copy->from = p + len;
    }

    return p + len;
}


/*
 * Whether a character is valid UTF-8; *len is set to its length, or to that of
 * the bytes which one U+FFFD replaces: as many as could begin a character.
 */

static ngx_uint_t
ngx_http_waha_json_is_utf8(u_char *p, u_char *last, size_t *len)
{
    u_char  c, low, high;
    size_t  i, n;

    c = *p;
    low = 0x80;
    high = 0xbf;

    if (c >= 0xc2 && c <= 0xdf) {
        n = 2;

    } else if (c >= 0xe0 && c <= 0xef) {
        n = 3;
        low = (c == 0xe0) ? 0xa0 : low;
        high = (c == 0xed) ? 0x9f : high;

    } else if (c >= 0xf0 && c <= 0xf4) {
        n = 4;
        low = (c == 0xf0) ? 0x90 : low;
        high = (c == 0xf4) ? 0x8f : high;

    } else {
        *len = 1;
        return 0;
    }

    for (i = 1; i < n; i++) {

        if (p + i == last || p[i] < low || p[i] > high) {
            *len = i;
            return 0;
        }

        low = 0x80;
        high = 0xbf;
    }

    *len = n;

    return 1;
}


/*
 * Whether an escape is valid: NUL, half a surrogate pair and "\u" without four
 * hex digits are not, other wrong escapes are left to the parser.  *len is set
 * as above.
 */

static ngx_uint_t
ngx_http_waha_json_is_escape(u_char *p, u_char *last, size_t *len)
{
    ngx_int_t  code;

    *len = 1;

    /* the byte after a lone backslash may need a replacement of its own */

    if (last - p < 2 || p[1] == '\0' || p[1] >= 0x80) {
        return 1;
    }

    *len = 2;

    if (p[1] != 'u') {
        return 1;
    }

    code = ngx_http_waha_json_code_unit(p + 2, last);

    if (code == NGX_ERROR) {
        return 0;
    }

    *len = 6;

    if (code < 0xd800 || code > 0xdfff) {
        return code != 0;
    }

    if (code > 0xdbff || last - p < 12 || p[6] != '\\' || p[7] != 'u') {
        return 0;
    }

    code = ngx_http_waha_json_code_unit(p + 8, last);

    if (code < 0xdc00 || code > 0xdfff) {
        return 0;
    }

    *len = 12;

    return 1;
}


/* the UTF-16 code unit of an escape; NGX_ERROR: no four hex digits */

static ngx_int_t
ngx_http_waha_json_code_unit(u_char *p, u_char *last)
{
    return (last - p < 4) ? NGX_ERROR : ngx_hextoi(p, 4);
}


ngx_int_t
ngx_http_waha_json_parse(ngx_pool_t *pool, ngx_str_t *text, cJSON **json)
{
    const char   *end;
    cJSON_Hooks   hooks;

    hooks.malloc_fn = ngx_http_waha_json_malloc;
    hooks.free_fn = ngx_http_waha_json_free;

    ngx_http_waha_json_pool = pool;
    ngx_http_waha_json_no_memory = 0;

    cJSON_InitHooks(&hooks);

    *json = cJSON_ParseWithLengthOpts((char *) text->data, text->len, &end, 0);

    /* other modules of this process may use cJSON, too */
    cJSON_InitHooks(NULL);

    if (*json == NULL) {
        return ngx_http_waha_json_no_memory ? NGX_ERROR : NGX_DECLINED;
    }

    while (end < (char *) text->data + text->len) {

        if (*end != ' ' && *end != '\t' && *end != '\r' && *end != '\n') {
            *json = NULL;
            return NGX_DECLINED;
        }

        end++;
    }

    return NGX_OK;
}


static void *
ngx_http_waha_json_malloc(size_t size)
{
    void  *p;

    p = ngx_palloc(ngx_http_waha_json_pool, size);

    if (p == NULL) {
        ngx_http_waha_json_no_memory = 1;
    }

    return p;
}


static void
ngx_http_waha_json_free(void *p)
{
    /* the pool frees it */
}


ngx_int_t
ngx_http_waha_json_locate(ngx_pool_t *pool, const ngx_str_t *text, cJSON *json)
{
    u_char                        *p;
    ngx_http_waha_json_locate_t    locate;

    p = text->data;

    locate.pool = pool;
    locate.start = p;
    locate.last = p + text->len;
    locate.failed = 0;

    /* cJSON passes a byte order mark */

    if (text->len > 3 && ngx_memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
    }

    (void) ngx_http_waha_json_locate_item(&locate, p, json);

    return locate.failed ? NGX_ERROR : NGX_OK;
}


/* returns what is behind the item */

static u_char *
ngx_http_waha_json_locate_item(ngx_http_waha_json_locate_t *locate, u_char *p,
    cJSON *item)
{
    u_char  *last;
    cJSON   *child;

    last = locate->last;

    p = ngx_http_waha_json_skip_blanks(p, last);
    item->valueint = (int) (p - locate->start);

    if (!cJSON_IsObject(item) && !cJSON_IsArray(item)) {
        last = ngx_http_waha_json_skip_value(p, last);

        if (cJSON_IsNumber(item)
            && !(item->valuedouble > -NGX_HTTP_WAHA_JSON_EXACT
                 && item->valuedouble < NGX_HTTP_WAHA_JSON_EXACT))
        {
            ngx_http_waha_json_keep_digits(locate, p, last, item);
        }

        return last;
    }

    p = ngx_http_waha_json_skip_blanks(p + 1, last);

    if (item->child == NULL) {
        return ngx_min(p + 1, last);
    }

    for (child = item->child; child; child = child->next) {

        if (cJSON_IsObject(item)) {
            p = ngx_http_waha_json_skip_blanks(p, last);
            p = ngx_http_waha_json_skip_value(p, last);
            p = ngx_http_waha_json_skip_blanks(p, last);
            p = ngx_min(p + 1, last);
        }

        p = ngx_http_waha_json_locate_item(locate, p, child);
        p = ngx_http_waha_json_skip_blanks(p, last);
        p = ngx_min(p + 1, last);
    }

    return p;
}


static u_char *
ngx_http_waha_json_skip_blanks(u_char *p, u_char *last)
{
    /* as cJSON has it */

    while (p < last && *p <= ' ') {
        p++;
    }

    return p;
}


/* passes a string, a number or a literal */

static u_char *
ngx_http_waha_json_skip_value(u_char *p, u_char *last)
{
    ngx_http_waha_json_copy_t  copy;

    if (p < last && *p == '"') {
        ngx_memzero(&copy, sizeof(ngx_http_waha_json_copy_t));

        return ngx_http_waha_json_skip_string(p + 1, last, &copy);
    }

    while (p < last
           && *p > ' ' && *p != ',' && *p != ']' && *p != '}' && *p != ':')
    {
        p++;
    }

    return p;
}


/* an integer that PostgreSQL reads as JSON, too */

static void
ngx_http_waha_json_keep_digits(ngx_http_waha_json_locate_t *locate, u_char *p,
    u_char *last, cJSON *item)
{
    u_char     *copy;
    ngx_str_t   digits;

    digits.data = p;
    digits.len = last - p;

    if (digits.len > NGX_HTTP_WAHA_JSON_DIGITS
        || !ngx_http_waha_json_is_integer(&digits)
        || p[p[0] == '-' ? 1 : 0] == '0')
    {
        return;
    }

    copy = ngx_pnalloc(locate->pool, digits.len + 1);
    if (copy == NULL) {
        locate->failed = 1;
        return;
    }

    *ngx_cpymem(copy, digits.data, digits.len) = '\0';

    item->valuestring = (char *) copy;
}


ngx_str_t
ngx_http_waha_json_source(const ngx_str_t *text, size_t offset)
{
    u_char      *p, *last;
    ngx_str_t    source;
    ngx_uint_t   depth;

    p = text->data + offset;
    last = text->data + text->len;
    depth = 0;

    source.data = p;

    while (p < last) {

        switch (*p) {

        case '{':
        case '[':
            depth++;
            p++;
            break;

        case '}':
        case ']':
            depth--;
            p++;
            break;

        case ',':
        case ':':
            p++;
            break;

        default:
            p = ngx_http_waha_json_skip_value(p, last);
        }

        if (depth == 0) {
            break;
        }

        p = ngx_http_waha_json_skip_blanks(p, last);
    }

    source.len = p - source.data;

    return source;
}


cJSON *
ngx_http_waha_json_get(const cJSON *object, const char *name)
{
    cJSON  *item;

    if (!cJSON_IsObject(object)) {
        return NULL;
    }

    for (item = object->child; item; item = item->next) {

        /* most names differ in their first letter, which needs no call */

        if (*item->string == *name && ngx_strcmp(item->string, name) == 0) {
            return cJSON_IsNull(item) ? NULL : item;
        }
    }

    return NULL;
}


ngx_str_t
ngx_http_waha_json_get_string(const cJSON *object, const char *name)
{
    cJSON      *item;
    ngx_str_t   value;

    item = ngx_http_waha_json_get(object, name);

    if (!cJSON_IsString(item)) {
        ngx_str_null(&value);
        return value;
    }

    value.data = (u_char *) item->valuestring;
    value.len = ngx_strlen(value.data);

    return value;
}


ngx_int_t
ngx_http_waha_json_integer(ngx_pool_t *pool, const ngx_str_t *text,
    const cJSON *json, const cJSON *item, ngx_str_t *digits)
{
    ngx_uint_t  n;

    if (!cJSON_IsNumber(item)) {
        return NGX_DECLINED;
    }

    /* the comparisons are false for NaN, too */

    if (!(item->valuedouble > -NGX_HTTP_WAHA_JSON_EXACT
          && item->valuedouble < NGX_HTTP_WAHA_JSON_EXACT))
    {
        n = 0;

        return ngx_http_waha_json_count_numbers(json, item, &n)
               ? ngx_http_waha_json_find_number(text, n, digits)
               : NGX_DECLINED;
    }

    if (item->valuedouble != (double) (int64_t) item->valuedouble) {
        return NGX_DECLINED;
    }

    digits->data = ngx_pnalloc(pool, NGX_HTTP_WAHA_JSON_NUMBER_LEN);
    if (digits->data == NULL) {
        return NGX_ERROR;
    }

    digits->len = snprintf((char *) digits->data,
                           NGX_HTTP_WAHA_JSON_NUMBER_LEN, "%" PRId64,
                           (int64_t) item->valuedouble);

    return NGX_OK;
}


/* counts the numbers before item, in the order of the text */

static ngx_uint_t
ngx_http_waha_json_count_numbers(const cJSON *json, const cJSON *item,
    ngx_uint_t *n)
{
    const cJSON  *child;

    if (json == item) {
        return 1;
    }

    if (cJSON_IsNumber(json)) {
        (*n)++;
    }

    for (child = json->child; child; child = child->next) {
        if (ngx_http_waha_json_count_numbers(child, item, n)) {
            return 1;
        }
    }

    return 0;
}


/* in JSON, digits and "-" outside of strings are parts of numbers only */

static ngx_int_t
ngx_http_waha_json_find_number(const ngx_str_t *text, ngx_uint_t n,
    ngx_str_t *digits)
{
    u_char  *p, *start, *last;

    p = text->data;
    last = text->data + text->len;

    while (p < last) {

        if (*p == '"') {
            for (p++; p < last && *p != '"'; p++) {
                if (*p == '\\') {
                    p++;
                }
            }

            p++;
            continue;
        }

        if (*p != '-' && (*p < '0' || *p > '9')) {
            p++;
            continue;
        }

        for (start = p++; p < last; p++) {
            if (!((*p >= '0' && *p <= '9') || *p == '.' || *p == 'e'
                  || *p == 'E' || *p == '+' || *p == '-'))
            {
                break;
            }
        }

        if (n-- == 0) {
            digits->data = start;
            digits->len = p - start;

            return ngx_http_waha_json_is_integer(digits) ? NGX_OK
                                                         : NGX_DECLINED;
        }
    }

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_http_waha_json_is_integer(const ngx_str_t *number)
{
    size_t  i;

    for (i = (number->data[0] == '-') ? 1 : 0; i < number->len; i++) {
        if (number->data[i] < '0' || number->data[i] > '9') {
            return 0;
        }
    }

    return 1;
}


void
ngx_http_waha_json_start(ngx_http_waha_json_out_t *out, ngx_pool_t *pool,
    size_t size)
{
    out->pool = pool;
    out->comma = 0;
    out->failed = 0;

    out->start = ngx_pnalloc(pool, size);

    if (out->start == NULL) {
        out->failed = 1;
        return;
    }

    out->pos = out->start;
    out->end = out->start + size;
}


/* returns where size bytes can be written, or NULL after a failure */

static u_char *
ngx_http_waha_json_reserve(ngx_http_waha_json_out_t *out, size_t size)
{
    u_char  *start;
    size_t   used, all;

    if (out->failed) {
        return NULL;
    }

    if ((size_t) (out->end - out->pos) >= size) {
        return out->pos;
    }

    used = out->pos - out->start;
    all = 2 * used + size;

    start = ngx_pnalloc(out->pool, all);
    if (start == NULL) {
        out->failed = 1;
        return NULL;
    }

    out->pos = ngx_cpymem(start, out->start, used);
    out->start = start;
    out->end = start + all;

    return out->pos;
}


/* writes what precedes a value: a comma, and the name of a member */

static void
ngx_http_waha_json_name(ngx_http_waha_json_out_t *out, const char *name)
{
    u_char  *p;
    size_t   len;

    len = name ? ngx_strlen(name) : 0;

    p = ngx_http_waha_json_reserve(out, len + sizeof(",\"\":") - 1);
    if (p == NULL) {
        return;
    }

    if (out->comma) {
        *p++ = ',';
    }

    if (name) {
        *p++ = '"';
        p = ngx_cpymem(p, name, len);
        *p++ = '"';
        *p++ = ':';
    }

    out->pos = p;
    out->comma = 1;
}


void
ngx_http_waha_json_open(ngx_http_waha_json_out_t *out, const char *name,
    u_char bracket)
{
    u_char  *p;

    ngx_http_waha_json_name(out, name);

    p = ngx_http_waha_json_reserve(out, 1);
    if (p == NULL) {
        return;
    }

    *p++ = bracket;

    out->pos = p;
    out->comma = 0;
}


void
ngx_http_waha_json_close(ngx_http_waha_json_out_t *out, u_char bracket)
{
    u_char  *p;

    p = ngx_http_waha_json_reserve(out, 1);
    if (p == NULL) {
        return;
    }

    *p++ = bracket;

    out->pos = p;
    out->comma = 1;
}


void
ngx_http_waha_json_put(ngx_http_waha_json_out_t *out, const char *name,
    const ngx_str_t *value)
{
    u_char  *p;
    size_t   escape;

    if (value->data == NULL) {
        return;
    }

    ngx_http_waha_json_name(out, name);

    escape = (size_t) ngx_escape_json(NULL, value->data, value->len);

    p = ngx_http_waha_json_reserve(out, value->len + escape + 2);
    if (p == NULL) {
        return;
    }

    *p++ = '"';
    p = (u_char *) ngx_escape_json(p, value->data, value->len);
    *p++ = '"';

    out->pos = p;
}


void
ngx_http_waha_json_put_text(ngx_http_waha_json_out_t *out,
    const char *name, const char *value)
{
    ngx_str_t  text;

    text.data = (u_char *) value;
    text.len = ngx_strlen(value);

    ngx_http_waha_json_put(out, name, &text);
}


void
ngx_http_waha_json_put_raw(ngx_http_waha_json_out_t *out,
    const char *name, const ngx_str_t *json)
{
    u_char  *p;

    ngx_http_waha_json_name(out, name);

    p = ngx_http_waha_json_reserve(out, json->len);
    if (p == NULL) {
        return;
    }

    out->pos = ngx_cpymem(p, json->data, json->len);
}


void
ngx_http_waha_json_put_members(ngx_http_waha_json_out_t *out,
    const ngx_str_t *object)
{
    ngx_str_t  members;

    members.data = object->data + 1;
    members.len = object->len - 2;

    ngx_http_waha_json_put_raw(out, NULL, &members);
}


void
ngx_http_waha_json_put_number(ngx_http_waha_json_out_t *out,
    const char *name, double value)
{
    u_char     buf[NGX_HTTP_WAHA_JSON_NUMBER_LEN];
    ngx_str_t  json;

    json.data = buf;
    json.len = snprintf((char *) buf, sizeof(buf), "%.15g", value);

    ngx_http_waha_json_put_raw(out, name, &json);
}


void
ngx_http_waha_json_put_bool(ngx_http_waha_json_out_t *out,
    const char *name, ngx_uint_t value)
{
    ngx_str_t  json;

    if (value) {
        ngx_str_set(&json, "true");

    } else {
        ngx_str_set(&json, "false");
    }

    ngx_http_waha_json_put_raw(out, name, &json);
}


void
ngx_http_waha_json_put_null(ngx_http_waha_json_out_t *out, const char *name)
{
    ngx_str_t  json;

    ngx_str_set(&json, "null");

    ngx_http_waha_json_put_raw(out, name, &json);
}


void
ngx_http_waha_json_put_item(ngx_http_waha_json_out_t *out,
    const char *name, const cJSON *item)
{
    const cJSON  *child;

    if (cJSON_IsObject(item) || cJSON_IsArray(item)) {
        ngx_http_waha_json_open(out, name, cJSON_IsObject(item) ? '{' : '[');

        for (child = item->child; child; child = child->next) {
            ngx_http_waha_json_put_member(out, child);
        }

        ngx_http_waha_json_close(out, cJSON_IsObject(item) ? '}' : ']');

    } else if (cJSON_IsString(item)) {
        ngx_http_waha_json_put_text(out, name, item->valuestring);

    } else if (cJSON_IsNumber(item) && isfinite(item->valuedouble)) {
        ngx_http_waha_json_put_same(out, name, item);

    } else if (cJSON_IsBool(item)) {
        ngx_http_waha_json_put_bool(out, name, cJSON_IsTrue(item));

    } else {
        ngx_http_waha_json_put_null(out, name);
    }
}


/* a number that is parsed as the same again */

static void
ngx_http_waha_json_put_same(ngx_http_waha_json_out_t *out, const char *name,
    const cJSON *item)
{
    u_char     buf[NGX_HTTP_WAHA_JSON_NUMBER_LEN];
    ngx_str_t  json;

    json.data = buf;
    json.len = snprintf((char *) buf, sizeof(buf), "%.15g", item->valuedouble);

    if (item->valuestring) {
        json.data = (u_char *) item->valuestring;
        json.len = ngx_strlen(json.data);

    } else if (strtod((char *) buf, NULL) != item->valuedouble) {
        json.len = snprintf((char *) buf, sizeof(buf), "%.17g",
                            item->valuedouble);
    }

    ngx_http_waha_json_put_raw(out, name, &json);
}


void
ngx_http_waha_json_put_member(ngx_http_waha_json_out_t *out, const cJSON *item)
{
    u_char     *name, *p;
    size_t      len;
    uintptr_t   escape;

    name = (u_char *) item->string;
    len = name ? ngx_strlen(name) : 0;
    escape = len ? ngx_escape_json(NULL, name, len) : 0;

    if (escape) {
        p = ngx_pnalloc(out->pool, len + escape + 1);
        if (p == NULL) {
            out->failed = 1;
            return;
        }

        *(u_char *) ngx_escape_json(p, name, len) = '\0';
        name = p;
    }

    ngx_http_waha_json_put_item(out, (char *) name, item);
}


ngx_int_t
ngx_http_waha_json_end(ngx_http_waha_json_out_t *out, ngx_str_t *text)
{
    if (out->failed) {
        return NGX_ERROR;
    }

    text->data = out->start;
    text->len = out->pos - out->start;

    return NGX_OK;
}
