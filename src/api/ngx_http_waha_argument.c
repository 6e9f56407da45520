
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_api.h>
#include <ngx_http_waha_argument.h>
#include <ngx_http_waha_error.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


#define NGX_HTTP_WAHA_TEXT_LEN   255
#define NGX_HTTP_WAHA_SIZE_MAX   200
#define NGX_HTTP_WAHA_COUNT_MAX  2147483647
#define NGX_HTTP_WAHA_DIGITS     32
#define NGX_HTTP_WAHA_SECRET     4096


static ngx_int_t ngx_http_waha_argument_find(ngx_http_waha_api_t *api,
    const char *name, ngx_http_waha_argument_e kind, ngx_str_t *value);
static ngx_int_t ngx_http_waha_argument_words(ngx_pool_t *pool, cJSON *list,
    ngx_str_t *value);
static ngx_int_t ngx_http_waha_argument_set(ngx_str_t *value,
    ngx_str_t *another);


ngx_int_t
ngx_http_waha_argument_read_query(ngx_http_waha_api_t *api)
{
    ngx_http_request_t  *r;

    r = api->step.request;

    return ngx_http_waha_value_parse_query(r->pool, &r->args,
                                           &api->query_args);
}


ngx_int_t
ngx_http_waha_argument_get(ngx_http_waha_api_t *api, const char *name,
    ngx_http_waha_argument_e kind, ngx_str_t *value)
{
    ngx_int_t  rc;

    rc = ngx_http_waha_argument_find(api, name, kind, value);

    if (rc != NGX_OK || value->data == NULL) {
        return rc;
    }

    return ngx_http_waha_argument_check(api->step.request->pool, kind, value);
}


ngx_str_t
ngx_http_waha_argument_param(ngx_http_waha_api_t *api, const char *name)
{
    size_t       len;
    ngx_str_t   *param, none;
    const char  *t;

    len = ngx_strlen(name);
    param = api->params;

    for (t = strchr(api->route->path, '{'); t; t = strchr(t, '{')) {
        t++;

        if (ngx_strncmp(t, name, len) == 0 && t[len] == '}') {
            return *param;
        }

        param++;
    }

    ngx_str_null(&none);

    return none;
}


ngx_int_t
ngx_http_waha_argument_refuse(ngx_http_waha_api_t *api, const char *name)
{
    ngx_str_t                 json;
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, api->step.request->pool, 64);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_text(&out, "argument", name);
    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &json) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_error_send_data(api->step.request,
                                         NGX_HTTP_WAHA_ERR_INVALID_ARGUMENT,
                                         &json);
}


static ngx_int_t
ngx_http_waha_argument_find(ngx_http_waha_api_t *api, const char *name,
    ngx_http_waha_argument_e kind, ngx_str_t *value)
{
    cJSON         *item;
    ngx_int_t      rc;
    ngx_str_t      member;
    ngx_uint_t     i;
    ngx_pool_t    *pool;
    ngx_keyval_t  *arg;

    pool = api->step.request->pool;

    *value = ngx_http_waha_argument_param(api, name);

    arg = api->query_args->elts;

    for (i = 0; i < api->query_args->nelts; i++) {

        /* the access log has the query */

        if (arg[i].value.len == 0
            || kind == NGX_HTTP_WAHA_ARG_SECRET
            || arg[i].key.len != ngx_strlen(name)
            || ngx_strncmp(arg[i].key.data, name, arg[i].key.len) != 0)
        {
            continue;
        }

        if (ngx_http_waha_argument_set(value, &arg[i].value) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    for (item = api->body ? api->body->child : NULL; item; item = item->next) {

        if (ngx_strcmp(item->string, name) != 0 || cJSON_IsNull(item)) {
            continue;
        }

        rc = (kind == NGX_HTTP_WAHA_ARG_WORDS && cJSON_IsArray(item))
             ? ngx_http_waha_argument_words(pool, item, &member)
             : ngx_http_waha_argument_member(api, item, &member);

        if (rc != NGX_OK) {
            return rc;
        }

        if (ngx_http_waha_argument_set(value, &member) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_argument_set(ngx_str_t *value, ngx_str_t *another)
{
    if (value->data) {
        return NGX_DECLINED;
    }

    *value = *another;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_argument_member(ngx_http_waha_api_t *api, cJSON *item,
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

    return ngx_http_waha_json_integer(api->step.request->pool, &api->text,
                                      api->body, item, value);
}


/* the words are joined by commas, so none may have one */

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

    if (!ngx_http_waha_value_is_text(value, &characters)) {
        return NGX_DECLINED;
    }

    switch (kind) {

    case NGX_HTTP_WAHA_ARG_TEXT:
    case NGX_HTTP_WAHA_ARG_WORDS:
        return (characters > NGX_HTTP_WAHA_TEXT_LEN) ? NGX_DECLINED : NGX_OK;

    case NGX_HTTP_WAHA_ARG_SLUG:
        return ngx_http_waha_value_is_slug(value) ? NGX_OK : NGX_DECLINED;

    case NGX_HTTP_WAHA_ARG_SESSION:
        return ngx_http_waha_value_is_session(value) ? NGX_OK : NGX_DECLINED;

    case NGX_HTTP_WAHA_ARG_ID:
        return ngx_http_waha_value_is_id(value) ? NGX_OK : NGX_DECLINED;

    case NGX_HTTP_WAHA_ARG_SIZE:
        return ngx_http_waha_value_is_number(value, 1, NGX_HTTP_WAHA_SIZE_MAX)
               ? NGX_OK : NGX_DECLINED;

    case NGX_HTTP_WAHA_ARG_COUNT:
        return ngx_http_waha_value_is_number(value, 0,
                                             NGX_HTTP_WAHA_COUNT_MAX)
               ? NGX_OK : NGX_DECLINED;

    case NGX_HTTP_WAHA_ARG_PHONE:
        return ngx_http_waha_value_parse_phone(pool, value);

    case NGX_HTTP_WAHA_ARG_DIGITS:
        return ngx_http_waha_value_is_digits(value, 1, NGX_HTTP_WAHA_DIGITS)
               ? NGX_OK : NGX_DECLINED;

    case NGX_HTTP_WAHA_ARG_SECRET:
        return (value->len <= NGX_HTTP_WAHA_SECRET
                && ngx_http_waha_string_is_printable(value))
               ? NGX_OK : NGX_DECLINED;

    default: /* NGX_HTTP_WAHA_ARG_FLAG */
        return ngx_http_waha_value_parse_flag(value);
    }
}
