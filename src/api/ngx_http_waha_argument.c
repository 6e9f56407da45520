
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_api.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_argument.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_route.h>


#define NGX_HTTP_WAHA_TEXT_LEN     255
#define NGX_HTTP_WAHA_SESSION_LEN  64
#define NGX_HTTP_WAHA_ID_LEN       18
#define NGX_HTTP_WAHA_SIZE_MAX     200
#define NGX_HTTP_WAHA_COUNT_MAX    2147483647

/* integers up to here are exact in JSON */
#define NGX_HTTP_WAHA_EXACT        9007199254740991.0


static ngx_int_t ngx_http_waha_argument_decode(ngx_pool_t *pool, u_char *p,
    u_char *last, ngx_str_t *value);
static ngx_int_t ngx_http_waha_argument_find(ngx_http_waha_api_t *api,
    const char *name, ngx_http_waha_argument_e kind, ngx_str_t *value);
static ngx_int_t ngx_http_waha_argument_words(ngx_pool_t *pool, cJSON *list,
    ngx_str_t *value);
static ngx_int_t ngx_http_waha_argument_found(ngx_str_t *value,
    ngx_str_t *another);
static ngx_uint_t ngx_http_waha_argument_text(ngx_str_t *value,
    size_t *characters);
static ngx_int_t ngx_http_waha_argument_session(ngx_str_t *value);
static ngx_int_t ngx_http_waha_argument_id(ngx_str_t *value);
static ngx_int_t ngx_http_waha_argument_number(ngx_str_t *value,
    ngx_int_t min, ngx_int_t max);
static ngx_int_t ngx_http_waha_argument_phone(ngx_pool_t *pool,
    ngx_str_t *value);
static ngx_int_t ngx_http_waha_argument_flag(ngx_str_t *value);


ngx_int_t
ngx_http_waha_argument_query(ngx_http_waha_api_t *api)
{
    u_char              *p, *last, *end, *sign;
    ngx_keyval_t        *arg;
    ngx_http_request_t  *r;

    r = api->request;

    api->query_args = ngx_array_create(r->pool, 4, sizeof(ngx_keyval_t));
    if (api->query_args == NULL) {
        return NGX_ERROR;
    }

    end = r->args.data + r->args.len;

    for (p = r->args.data; p < end; p = last + 1) {

        last = ngx_strlchr(p, end, '&');
        if (last == NULL) {
            last = end;
        }

        sign = ngx_strlchr(p, last, '=');
        if (sign == NULL) {
            continue;
        }

        arg = ngx_array_push(api->query_args);
        if (arg == NULL) {
            return NGX_ERROR;
        }

        if (ngx_http_waha_argument_decode(r->pool, p, sign, &arg->key)
            != NGX_OK
            || ngx_http_waha_argument_decode(r->pool, sign + 1, last,
                                             &arg->value)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* as forms and URLSearchParams write it: "+" is a space */

static ngx_int_t
ngx_http_waha_argument_decode(ngx_pool_t *pool, u_char *p, u_char *last,
    ngx_str_t *value)
{
    u_char     *dst;
    ngx_int_t   n;

    dst = ngx_pnalloc(pool, last - p + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    value->data = dst;

    for ( /* void */ ; p < last; p++) {

        if (*p == '%' && last - p > 2) {

            n = ngx_hextoi(p + 1, 2);

            if (n != NGX_ERROR) {
                *dst++ = (u_char) n;
                p += 2;
                continue;
            }
        }

        *dst++ = (*p == '+') ? ' ' : *p;
    }

    value->len = dst - value->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_api_argument(ngx_http_waha_api_t *api, const char *name,
    ngx_http_waha_argument_e kind, ngx_str_t *value)
{
    ngx_int_t  rc;

    rc = ngx_http_waha_argument_find(api, name, kind, value);

    if (rc != NGX_OK || value->data == NULL) {
        return rc;
    }

    return ngx_http_waha_argument_check(api->request->pool, kind, value);
}


ngx_int_t
ngx_http_waha_api_invalid(ngx_http_waha_api_t *api, const char *name)
{
    ngx_str_t                 json, text;
    ngx_http_waha_json_out_t  out;

    text.data = (u_char *) name;
    text.len = ngx_strlen(name);

    ngx_http_waha_json_start(&out, api->request->pool, 64);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put(&out, "argument", &text);
    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &json) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_refuse_data(api->request, "invalid_argument", &json);
}


static ngx_int_t
ngx_http_waha_argument_find(ngx_http_waha_api_t *api, const char *name,
    ngx_http_waha_argument_e kind, ngx_str_t *value)
{
    cJSON         *item;
    ngx_int_t      rc;
    ngx_str_t      member;
    ngx_uint_t     i;
    ngx_keyval_t  *arg;

    *value = ngx_http_waha_route_param(api, name);

    arg = api->query_args->elts;

    for (i = 0; i < api->query_args->nelts; i++) {

        if (arg[i].value.len == 0
            || arg[i].key.len != ngx_strlen(name)
            || ngx_strncmp(arg[i].key.data, name, arg[i].key.len) != 0)
        {
            continue;
        }

        if (ngx_http_waha_argument_found(value, &arg[i].value) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    for (item = api->body ? api->body->child : NULL; item; item = item->next) {

        if (ngx_strcmp(item->string, name) != 0 || cJSON_IsNull(item)) {
            continue;
        }

        rc = (kind == NGX_HTTP_WAHA_ARG_WORDS && cJSON_IsArray(item))
             ? ngx_http_waha_argument_words(api->request->pool, item, &member)
             : ngx_http_waha_argument_member(api->request->pool, item,
                                             &member);
        if (rc != NGX_OK) {
            return rc;
        }

        if (ngx_http_waha_argument_found(value, &member) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_argument_found(ngx_str_t *value, ngx_str_t *another)
{
    if (value->data) {
        return NGX_DECLINED;
    }

    *value = *another;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_argument_member(ngx_pool_t *pool, cJSON *item,
    ngx_str_t *value)
{
    if (cJSON_IsBool(item)) {

        if (cJSON_IsTrue(item)) {
            ngx_str_set(value, "true");

        } else {
            ngx_str_set(value, "false");
        }

        return NGX_OK;
    }

    if (cJSON_IsString(item)) {
        value->data = (u_char *) item->valuestring;
        value->len = ngx_strlen(value->data);
        return NGX_OK;
    }

    if (!cJSON_IsNumber(item)
        || item->valuedouble < -NGX_HTTP_WAHA_EXACT
        || item->valuedouble > NGX_HTTP_WAHA_EXACT
        || item->valuedouble != (double) (int64_t) item->valuedouble)
    {
        return NGX_DECLINED;
    }

    value->data = ngx_pnalloc(pool, NGX_INT64_LEN);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    value->len = ngx_sprintf(value->data, "%L", (int64_t) item->valuedouble)
                 - value->data;

    return NGX_OK;
}


/* with commas between them, so none has a comma */

static ngx_int_t
ngx_http_waha_argument_words(ngx_pool_t *pool, cJSON *list, ngx_str_t *value)
{
    u_char  *p;
    size_t   len;
    cJSON   *item;

    len = 0;

    for (item = list->child; item; item = item->next) {

        if (!cJSON_IsString(item) || strchr(item->valuestring, ',')) {
            return NGX_DECLINED;
        }

        len += ngx_strlen(item->valuestring) + 1;
    }

    p = ngx_pnalloc(pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;

    for (item = list->child; item; item = item->next) {
        p = ngx_cpymem(p, item->valuestring, ngx_strlen(item->valuestring));

        if (item->next) {
            *p++ = ',';
        }
    }

    value->len = p - value->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_argument_check(ngx_pool_t *pool, ngx_http_waha_argument_e kind,
    ngx_str_t *value)
{
    size_t  characters;

    if (!ngx_http_waha_argument_text(value, &characters)) {
        return NGX_DECLINED;
    }

    switch (kind) {

    case NGX_HTTP_WAHA_ARG_TEXT:
    case NGX_HTTP_WAHA_ARG_WORDS:
        return (characters > NGX_HTTP_WAHA_TEXT_LEN) ? NGX_DECLINED : NGX_OK;

    case NGX_HTTP_WAHA_ARG_SLUG:
        return (value->len == 0 || value->len > NGX_HTTP_WAHA_TEXT_LEN)
               ? NGX_DECLINED : NGX_OK;

    case NGX_HTTP_WAHA_ARG_SESSION:
        return ngx_http_waha_argument_session(value);

    case NGX_HTTP_WAHA_ARG_ID:
        return ngx_http_waha_argument_id(value);

    case NGX_HTTP_WAHA_ARG_SIZE:
        return ngx_http_waha_argument_number(value, 1,
                                             NGX_HTTP_WAHA_SIZE_MAX);

    case NGX_HTTP_WAHA_ARG_COUNT:
        return ngx_http_waha_argument_number(value, 0,
                                             NGX_HTTP_WAHA_COUNT_MAX);

    case NGX_HTTP_WAHA_ARG_PHONE:
        return ngx_http_waha_argument_phone(pool, value);

    default: /* NGX_HTTP_WAHA_ARG_FLAG */
        return ngx_http_waha_argument_flag(value);
    }
}


static ngx_uint_t
ngx_http_waha_argument_text(ngx_str_t *value, size_t *characters)
{
    u_char    *p, *last;
    uint32_t   n;

    p = value->data;
    last = p + value->len;

    for (*characters = 0; p < last; (*characters)++) {

        /* ngx_utf8_decode() takes some bytes that begin no character */

        if (*p > 0xf4) {
            return 0;
        }

        n = (*p < 0x80) ? *p++ : ngx_utf8_decode(&p, last - p);

        if (n < 0x20 || (n >= 0x7f && n < 0xa0)
            || (n >= 0xd800 && n <= 0xdfff) || n > 0x10ffff)
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_waha_argument_session(ngx_str_t *value)
{
    u_char  ch;
    size_t  i;

    if (value->len == 0 || value->len > NGX_HTTP_WAHA_SESSION_LEN) {
        return NGX_DECLINED;
    }

    for (i = 0; i < value->len; i++) {
        ch = value->data[i];

        if ((ch < '0' || ch > '9')
            && (ch < 'A' || ch > 'Z')
            && (ch < 'a' || ch > 'z')
            && ch != '_' && ch != '-' && ch != '.')
        {
            return NGX_DECLINED;
        }
    }

    /* these are no names in a path */

    if (value->data[0] == '.') {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_argument_id(ngx_str_t *value)
{
    size_t  i;

    if (value->len == 0 || value->len > NGX_HTTP_WAHA_ID_LEN
        || value->data[0] == '0')
    {
        return NGX_DECLINED;
    }

    for (i = 0; i < value->len; i++) {

        if (value->data[i] < '0' || value->data[i] > '9') {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_argument_number(ngx_str_t *value, ngx_int_t min, ngx_int_t max)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    return (n == NGX_ERROR || n < min || n > max) ? NGX_DECLINED : NGX_OK;
}


static ngx_int_t
ngx_http_waha_argument_phone(ngx_pool_t *pool, ngx_str_t *value)
{
    u_char     *p;
    size_t      i;
    ngx_str_t   digits;

    p = ngx_pnalloc(pool, value->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    digits.data = p;

    for (i = 0; i < value->len; i++) {

        if (value->data[i] >= '0' && value->data[i] <= '9') {
            *p++ = value->data[i];
            continue;
        }

        if (ngx_strchr("+-.()/ ", value->data[i]) == NULL) {
            return NGX_DECLINED;
        }
    }

    digits.len = p - digits.data;

    if (digits.len > 2 && ngx_strncmp(digits.data, "00", 2) == 0) {
        digits.data += 2;
        digits.len -= 2;
    }

    if (digits.len < 7 || digits.len > 15) {
        return NGX_DECLINED;
    }

    *value = digits;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_argument_flag(ngx_str_t *value)
{
    if ((value->len == 4 && ngx_strncmp(value->data, "true", 4) == 0)
        || (value->len == 1 && value->data[0] == '1'))
    {
        ngx_str_set(value, "t");
        return NGX_OK;
    }

    if ((value->len == 5 && ngx_strncmp(value->data, "false", 5) == 0)
        || (value->len == 1 && value->data[0] == '0'))
    {
        ngx_str_set(value, "f");
        return NGX_OK;
    }

    return NGX_DECLINED;
}
