
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * What WAHA answers about a session: whatever it is, what is read may go to
 * PostgreSQL, what is written is JSON; a configuration that is merged fits,
 * and is merged to itself.
 */


#include "fuzz.h"
#include "ngx_http_waha_json.h"
#include "ngx_http_waha_session_config.h"
#include "ngx_http_waha_session_info.h"
#include "ngx_http_waha_view.h"


static ngx_http_waha_session_config_t  fuzz_conf = {
    ngx_string("https://crm.example.com/hook"), ngx_string("key"),
    ngx_string("acme"), ngx_string("7"),
    ngx_string("https://old.example.com/hook"), 1, 1, 0, 1
};

static ngx_str_t  fuzz_name = ngx_string("tenant-acme");


static cJSON *
fuzz_read(ngx_pool_t *pool, ngx_str_t *text)
{
    cJSON       *json;
    ngx_str_t    clean;
    ngx_uint_t   replaced;

    fuzz_check(fuzz_utf8(text));

    clean = *text;

    if (ngx_http_waha_json_clean(pool, &clean, &replaced) != NGX_OK) {
        /* ours are added to as many values as there may be */
        return NULL;
    }

    fuzz_check(!replaced);
    fuzz_check(ngx_http_waha_json_parse(pool, &clean, &json) == NGX_OK);
    fuzz_check(cJSON_IsObject(json));

    return json;
}


static void
fuzz_info(ngx_http_waha_session_info_t *info)
{
    size_t  i;

    fuzz_check(info->status.len && info->status.len <= 64);

    for (i = 0; i < info->status.len; i++) {
        fuzz_check(isupper(info->status.data[i])
                   || isdigit(info->status.data[i])
                   || info->status.data[i] == '_');
    }

    for (i = 0; i < info->phone.len; i++) {
        fuzz_check(isdigit(info->phone.data[i]));
    }

    fuzz_check(info->phone.data == NULL || info->phone.len);
    fuzz_check(info->push_name.data == NULL || info->push_name.len);
    fuzz_check(info->push_name.len <= 255);
    fuzz_check(fuzz_utf8(&info->push_name));
}


static void
fuzz_merge(ngx_pool_t *pool, const cJSON *config)
{
    cJSON      *json;
    ngx_str_t   once, twice;

    fuzz_check(ngx_http_waha_session_config_write_update(pool, &fuzz_conf,
                                                         config, &once)
               == NGX_OK);

    json = fuzz_read(pool, &once);

    if (json == NULL) {
        return;
    }

    json = ngx_http_waha_json_get(json, "config");

    fuzz_check(ngx_http_waha_session_config_is_ours(&fuzz_conf, json));

    fuzz_check(ngx_http_waha_session_config_write_update(pool, &fuzz_conf,
                                                         json, &twice)
               == NGX_OK);

    fuzz_check(once.len == twice.len
               && memcmp(once.data, twice.data, once.len) == 0);
}


static void
fuzz_shape(ngx_pool_t *pool, const cJSON *json)
{
    ngx_str_t             text;
    ngx_uint_t            shape;
    ngx_http_waha_view_t  view;

    for (shape = NGX_HTTP_WAHA_VIEW_DATA; shape <= NGX_HTTP_WAHA_VIEW_FLAT;
         shape++)
    {
        ngx_memzero(&view, sizeof(ngx_http_waha_view_t));

        view.session = json;
        view.stale = 1;

        fuzz_check(ngx_http_waha_view_session(pool, shape, &view, &text)
                   == NGX_OK);
        (void) fuzz_read(pool, &text);

        fuzz_check(ngx_http_waha_view_sessions(pool, shape, &view, json,
                                                &text)
                   == NGX_OK);
        (void) fuzz_read(pool, &text);
    }
}


/* without memory there is no text */

static void
fuzz_memory(ngx_pool_t *pool, const cJSON *config, ngx_uint_t fail)
{
    ngx_int_t   rc;
    ngx_str_t   text;

    ngx_shim_fail = fail;

    rc = ngx_http_waha_session_config_write_update(pool, &fuzz_conf, config,
                                                   &text);

    ngx_shim_fail = 0;

    fuzz_check(rc == NGX_ERROR || rc == NGX_OK);

    if (rc == NGX_OK) {
        (void) fuzz_read(pool, &text);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON                         *json;
    ngx_str_t                      text;
    ngx_uint_t                     replaced;
    ngx_pool_t                    *pool;
    ngx_http_waha_session_info_t   info;

    text.data = (u_char *) data;
    text.len = size;

    pool = ngx_create_pool(4096, NULL);

    if (ngx_http_waha_json_clean(pool, &text, &replaced) != NGX_OK
        || ngx_http_waha_json_parse(pool, &text, &json) != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return 0;
    }

    if (ngx_http_waha_session_info_read(json, &fuzz_name, &info) == NGX_OK) {
        fuzz_info(&info);
        fuzz_merge(pool, info.config);
    }

    (void) ngx_http_waha_session_info_is_missing(json);

    fuzz_merge(pool, json);
    fuzz_memory(pool, json, data[size / 2]);
    fuzz_shape(pool, json);

    ngx_destroy_pool(pool);

    return 0;
}
