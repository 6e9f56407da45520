
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_bounded.h>
#include <ngx_http_waha_string.h>


/* a number, a comma, a colon, quotes */
#define NGX_HTTP_WAHA_BOUNDED_VALUE  32


static size_t ngx_http_waha_bounded_size(const cJSON *item, size_t max);


void
ngx_http_waha_bounded_put(ngx_http_waha_bounded_t *out, const char *name,
    ngx_str_t *value, size_t max)
{
    ngx_str_t  part;

    part = ngx_http_waha_string_cut(value, max);

    if (part.len < value->len) {
        out->truncated = 1;
    }

    ngx_http_waha_json_put(&out->json, name, &part);
}


void
ngx_http_waha_bounded_copy_string(ngx_http_waha_bounded_t *out,
    const cJSON *object, const char *name)
{
    ngx_str_t  value;

    value = ngx_http_waha_json_get_string(object, name);

    ngx_http_waha_bounded_put(out, name, &value, NGX_HTTP_WAHA_BOUNDED_STRING);
}


void
ngx_http_waha_bounded_copy_members(ngx_http_waha_bounded_t *out,
    const char *name, const cJSON *object,
    const ngx_http_waha_bounded_member_t *members)
{
    ngx_str_t   value;
    ngx_uint_t  is_open;

    is_open = 0;

    for ( /* void */ ; members->name; members++) {

        value = ngx_http_waha_json_get_string(object, members->member);

        if (value.len == 0) {
            continue;
        }

        if (name && !is_open) {
            ngx_http_waha_json_open(&out->json, name, '{');
            is_open = 1;
        }

        ngx_http_waha_bounded_put(out, members->name, &value,
                                  NGX_HTTP_WAHA_BOUNDED_STRING);
    }

    if (is_open) {
        ngx_http_waha_json_close(&out->json, '}');
    }
}


void
ngx_http_waha_bounded_put_bool(ngx_http_waha_bounded_t *out,
    const char *name, const cJSON *value)
{
    if (cJSON_IsBool(value)) {
        ngx_http_waha_json_put_bool(&out->json, name, cJSON_IsTrue(value));
    }
}


void
ngx_http_waha_bounded_put_degrees(ngx_http_waha_bounded_t *out,
    const char *name, const cJSON *item)
{
    u_char      buf[NGX_INT64_LEN * 2];
    ngx_str_t   value;

    ngx_str_null(&value);

    if (cJSON_IsString(item)) {
        value.data = (u_char *) item->valuestring;
        value.len = ngx_strlen(value.data);
    }

    if (cJSON_IsNumber(item)
        && item->valuedouble >= -180 && item->valuedouble <= 180)
    {
        value.data = buf;
        value.len = snprintf((char *) buf, sizeof(buf), "%.15g",
                             item->valuedouble);
    }

    ngx_http_waha_bounded_put(out, name, &value, NGX_HTTP_WAHA_BOUNDED_STRING);
}


void
ngx_http_waha_bounded_put_item(ngx_http_waha_bounded_t *out,
    const char *name, const cJSON *item, size_t max)
{
    if (item == NULL) {
        return;
    }

    if (ngx_http_waha_bounded_size(item, max) > max) {
        out->truncated = 1;
        return;
    }

    ngx_http_waha_json_put_item(&out->json, name, item);
}


/* what a value takes at most if nothing in it is escaped; stops beyond max */

static size_t
ngx_http_waha_bounded_size(const cJSON *item, size_t max)
{
    size_t        size;
    const cJSON  *child;

    size = NGX_HTTP_WAHA_BOUNDED_VALUE;

    if (item->string) {
        size += ngx_strlen(item->string);
    }

    if (cJSON_IsString(item)) {
        return size + ngx_strlen(item->valuestring);
    }

    for (child = item->child; child && size <= max; child = child->next) {
        size += ngx_http_waha_bounded_size(child, max - size);
    }

    return size;
}
