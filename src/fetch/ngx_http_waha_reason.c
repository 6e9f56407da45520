
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_reason.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_REASON_SIZE   300
#define NGX_HTTP_WAHA_REASON_TRACE  64


static ngx_str_t ngx_http_waha_reason_find(const cJSON *json);
static ngx_str_t ngx_http_waha_reason_clean(const ngx_str_t *reason,
    u_char *buf);
static ngx_uint_t ngx_http_waha_reason_is_one_session(ngx_uint_t status,
    ngx_str_t *reason);


void
ngx_http_waha_reason_log(ngx_log_t *log, ngx_uint_t level, ngx_str_t *instance,
    ngx_uint_t status, const cJSON *json)
{
    u_char       buf[NGX_HTTP_WAHA_REASON_SIZE];
    ngx_str_t    reason;
    const char  *separator;

    reason = ngx_http_waha_reason_find(json);
    reason = ngx_http_waha_reason_clean(&reason, buf);

    separator = reason.len ? ": " : "";

    if (status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN) {
        ngx_log_error(level, log, 0,
                      "waha: WAHA refuses the API key of instance \"%V\" "
                      "with %ui%s%V", instance, status, separator, &reason);

    } else if (ngx_http_waha_reason_is_one_session(status, &reason)) {
        ngx_log_error(level, log, 0,
                      "waha: WAHA, instance \"%V\", answers %ui%s%V: this "
                      "WAHA Core has no other session than \"default\", "
                      "install WAHA 2026.6.1 or newer", instance, status,
                      separator, &reason);

    } else {
        ngx_log_error(level, log, 0,
                      "waha: WAHA, instance \"%V\", answers %ui%s%V",
                      instance, status, separator, &reason);
    }
}


void
ngx_http_waha_reason_log_meta(ngx_log_t *log, ngx_uint_t status,
    const cJSON *json)
{
    u_char     buf[NGX_HTTP_WAHA_REASON_SIZE];
    cJSON     *error, *code, *subcode;
    ngx_str_t  trace;

    error = ngx_http_waha_json_get(json, "error");
    code = ngx_http_waha_json_get(error, "code");
    subcode = ngx_http_waha_json_get(error, "error_subcode");

    if (!cJSON_IsNumber(code)) {

        if (status >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_log_error(NGX_LOG_ERR, log, 0, "waha: Meta answers %ui",
                          status);
        }

        return;
    }

    trace = ngx_http_waha_json_get_string(error, "fbtrace_id");
    trace = ngx_http_waha_string_cut(&trace, NGX_HTTP_WAHA_REASON_TRACE);
    trace = ngx_http_waha_reason_clean(&trace, buf);

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "waha: Meta answers %ui: code %d, subcode %d, trace \"%V\"",
                  status, code->valueint,
                  cJSON_IsNumber(subcode) ? subcode->valueint : 0, &trace);
}


/*
 * WAHA has {"message":"..."} or a list of messages, {"error":"..."}, and for
 * its own failures {"exception":{"message":"..."}}
 */

static ngx_str_t
ngx_http_waha_reason_find(const cJSON *json)
{
    cJSON      *list;
    ngx_str_t   reason;

    reason = ngx_http_waha_json_get_string(json, "message");

    if (reason.len == 0) {
        list = ngx_http_waha_json_get(json, "message");

        if (cJSON_IsArray(list) && cJSON_IsString(list->child)) {
            reason.data = (u_char *) list->child->valuestring;
            reason.len = ngx_strlen(reason.data);
        }
    }

    if (reason.len == 0) {
        reason = ngx_http_waha_json_get_string(
                     ngx_http_waha_json_get(json, "exception"), "message");
    }

    if (reason.len == 0) {
        reason = ngx_http_waha_json_get_string(json, "error");
    }

    return reason;
}


/* a line of a log must not be broken up, nor move a terminal's cursor */

static ngx_str_t
ngx_http_waha_reason_clean(const ngx_str_t *reason, u_char *buf)
{
    size_t      i;
    ngx_str_t   text;

    text = ngx_http_waha_string_cut(reason, NGX_HTTP_WAHA_REASON_SIZE);

    for (i = 0; i < text.len; i++) {
        buf[i] = text.data[i];

        if (buf[i] < 0x20 || buf[i] == 0x7f) {
            buf[i] = ' ';

        } else if (buf[i] >= 0x80 && buf[i] < 0xa0
                   && i > 0 && text.data[i - 1] == 0xc2)
        {
            buf[i - 1] = ' ';
            buf[i] = ' ';
        }
    }

    text.data = buf;

    return text;
}


static ngx_uint_t
ngx_http_waha_reason_is_one_session(ngx_uint_t status, ngx_str_t *reason)
{
    return status == 422
           && ngx_strlcasestrn(reason->data, reason->data + reason->len,
                               (u_char *) "WAHA Core", 9 - 1)
           && ngx_strlcasestrn(reason->data, reason->data + reason->len,
                               (u_char *) "default", 7 - 1);
}
