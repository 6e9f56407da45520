
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_identity.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_session_info.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_SESSION_STATUS_LEN  64
#define NGX_HTTP_WAHA_SESSION_NAME_LEN    255


static const char  *ngx_http_waha_session_info_transient[] = {
    "STARTING", "SCAN_QR_CODE", "PASSKEY_REQUIRED",
    "PASSKEY_CONFIRMATION_REQUIRED", NULL
};


/* that WhatsApp puts on an account, as newer versions of WAHA tell */

static const char  *ngx_http_waha_session_info_restrictions[] = {
    "reachoutTimelock", "messageCapping", NULL
};


ngx_int_t
ngx_http_waha_session_info_read(const cJSON *json, ngx_str_t *name,
    ngx_http_waha_session_info_t *info)
{
    cJSON      *me;
    ngx_str_t   value;

    value = ngx_http_waha_json_get_string(json, "name");

    if (!ngx_http_waha_string_is_equal(&value, name)) {
        return NGX_DECLINED;
    }

    info->status = ngx_http_waha_session_info_status(json);

    if (info->status.data == NULL) {
        return NGX_DECLINED;
    }

    me = ngx_http_waha_json_get(json, "me");

    info->me = cJSON_IsObject(me);
    info->config = ngx_http_waha_json_get(json, "config");
    info->account = NULL;

    ngx_str_null(&info->phone);
    ngx_str_null(&value);

    /* before the login WAHA shows the number of a pairing code */

    if (ngx_http_waha_string_is(&info->status, "WORKING")) {
        info->account = me;
        info->phone = ngx_http_waha_session_info_phone(me);
        value = ngx_http_waha_json_get_string(me, "pushName");
    }

    if (value.len) {
        info->push_name = ngx_http_waha_string_cut(&value,
                                              NGX_HTTP_WAHA_SESSION_NAME_LEN);

    } else {
        ngx_str_null(&info->push_name);
    }

    return NGX_OK;
}


/* for a path that WAHA does not have the message is "Cannot GET ..." */

ngx_uint_t
ngx_http_waha_session_info_is_missing(const cJSON *json)
{
    ngx_str_t  message;

    message = ngx_http_waha_json_get_string(json, "message");

    return message.len
           && ngx_strncmp(message.data, "Cannot ", sizeof("Cannot ") - 1) != 0;
}


void
ngx_http_waha_session_info_set_missing(ngx_http_waha_session_info_t *info)
{
    ngx_str_set(&info->status, "NOT_CREATED");
    ngx_str_null(&info->phone);
    ngx_str_null(&info->push_name);
    info->config = NULL;
    info->account = NULL;
    info->me = 0;
}


ngx_str_t
ngx_http_waha_session_info_status(const cJSON *json)
{
    size_t      i;
    ngx_str_t   status;

    status = ngx_http_waha_json_get_string(json, "status");

    if (status.len == 0 || status.len > NGX_HTTP_WAHA_SESSION_STATUS_LEN) {
        ngx_str_null(&status);
        return status;
    }

    for (i = 0; i < status.len; i++) {

        if ((status.data[i] < 'A' || status.data[i] > 'Z')
            && (status.data[i] < '0' || status.data[i] > '9')
            && status.data[i] != '_')
        {
            ngx_str_null(&status);
            return status;
        }
    }

    return status;
}


ngx_str_t
ngx_http_waha_session_info_phone(const cJSON *me)
{
    ngx_str_t            id;
    ngx_http_waha_jid_t  jid;

    id = ngx_http_waha_json_get_string(me, "id");

    if (ngx_http_waha_identity_parse_jid(&id, &jid) != NGX_OK) {
        ngx_str_null(&id);
        return id;
    }

    return jid.phone;
}


ngx_int_t
ngx_http_waha_session_info_write_restrictions(ngx_pool_t *pool,
    const cJSON *data, const cJSON *me, ngx_str_t *json)
{
    cJSON                     *item;
    const char               **name;
    ngx_uint_t                 told;
    ngx_http_waha_json_out_t   out;

    told = 0;

    ngx_http_waha_json_start(&out, pool, 256);
    ngx_http_waha_json_open(&out, NULL, '{');

    for (name = ngx_http_waha_session_info_restrictions; *name; name++) {

        /* null is written as well: the restriction has ended */

        item = cJSON_GetObjectItemCaseSensitive(data, *name);

        if (item == NULL) {
            item = cJSON_GetObjectItemCaseSensitive(me, *name);
        }

        if (item) {
            ngx_http_waha_json_put_item(&out, *name, item);
            told = 1;
        }
    }

    ngx_http_waha_json_close(&out, '}');

    if (!told) {
        ngx_str_null(json);
        return NGX_OK;
    }

    return ngx_http_waha_json_end(&out, json);
}


ngx_uint_t
ngx_http_waha_session_info_is_restricted(const cJSON *me)
{
    const char  **name;

    for (name = ngx_http_waha_session_info_restrictions; *name; name++) {

        if (cJSON_IsObject(ngx_http_waha_json_get(me, *name))) {
            return 1;
        }
    }

    return 0;
}


/* commands wait for each other for some seconds */

ngx_uint_t
ngx_http_waha_session_info_is_busy(const cJSON *json)
{
    ngx_str_t  message;

    message = ngx_http_waha_json_get_string(
                                   ngx_http_waha_json_get(json, "exception"),
                                   "message");

    return message.len
           && ngx_strncmp(message.data, "async-lock timed out",
                          sizeof("async-lock timed out") - 1)
              == 0;
}


ngx_uint_t
ngx_http_waha_session_info_is_transient(ngx_str_t *status)
{
    const char  **word;

    for (word = ngx_http_waha_session_info_transient; *word; word++) {

        if (ngx_http_waha_string_is(status, *word)) {
            return 1;
        }
    }

    return 0;
}
