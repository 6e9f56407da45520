
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_identity.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_qr.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_string.h>


/* seconds that a code is shown, but for the first one, which lasts longer */

#define NGX_HTTP_WAHA_QR_LIFETIME      20

#define NGX_HTTP_WAHA_QR_PAIRING_LEN   32


/* something that WAHA is asked while the session has a status */

typedef struct {
    ngx_uint_t     method;
    const char    *path;
    const char    *status;
    ngx_int_t    (*done)(ngx_http_waha_api_t *api);
} ngx_http_waha_qr_request_t;


static ngx_int_t ngx_http_waha_qr_start(ngx_http_waha_api_t *api,
    const ngx_http_waha_qr_request_t *request);
static ngx_int_t ngx_http_waha_qr_found(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_qr_looked(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_qr_none(ngx_http_waha_api_t *api,
    ngx_str_t *status);
static ngx_int_t ngx_http_waha_qr_failed(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_qr_got_raw(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_qr_got_json(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_qr_got_png(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_qr_url(ngx_http_waha_api_t *api,
    ngx_str_t *url);
static ngx_uint_t ngx_http_waha_qr_wants_png(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_qr_paired(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_qr_pass(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_qr_answer(ngx_http_waha_api_t *api,
    ngx_http_waha_json_out_t *out);


static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_raw = {
    NGX_HTTP_GET, "/api/%V/auth/qr", "SCAN_QR_CODE",
    ngx_http_waha_qr_got_raw
};

static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_json = {
    NGX_HTTP_GET, "/api/%V/auth/qr", "SCAN_QR_CODE",
    ngx_http_waha_qr_got_json
};

static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_png = {
    NGX_HTTP_GET, "/api/%V/auth/qr", "SCAN_QR_CODE",
    ngx_http_waha_qr_got_png
};

static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_code = {
    NGX_HTTP_POST, "/api/%V/auth/request-code", "SCAN_QR_CODE",
    ngx_http_waha_qr_paired
};

static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_get_challenge = {
    NGX_HTTP_GET, "/api/%V/auth/passkey/challenge", "PASSKEY_REQUIRED",
    ngx_http_waha_qr_pass
};

static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_post_passkey = {
    NGX_HTTP_POST, "/api/%V/auth/passkey", "PASSKEY_REQUIRED",
    ngx_http_waha_qr_pass
};

static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_get_confirmation = {
    NGX_HTTP_GET, "/api/%V/auth/passkey/confirmation",
    "PASSKEY_CONFIRMATION_REQUIRED", ngx_http_waha_qr_pass
};

static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_post_confirm = {
    NGX_HTTP_POST, "/api/%V/auth/passkey/confirm",
    "PASSKEY_CONFIRMATION_REQUIRED", ngx_http_waha_qr_pass
};


static ngx_str_t  ngx_http_waha_qr_png_type = ngx_string("image/png");


ngx_int_t
ngx_http_waha_qr(ngx_http_waha_api_t *api)
{
    ngx_str_t  format;

    switch (ngx_http_waha_api_argument(api, "format", NGX_HTTP_WAHA_ARG_TEXT,
                                       &format))
    {
    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_http_waha_api_invalid(api, "format");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (format.data == NULL) {
        return ngx_http_waha_qr_start(api, ngx_http_waha_qr_wants_png(api)
                                           ? &ngx_http_waha_qr_png
                                           : &ngx_http_waha_qr_json);
    }

    if (format.len != 3 || ngx_strncmp(format.data, "raw", 3) != 0) {
        return ngx_http_waha_api_invalid(api, "format");
    }

    return ngx_http_waha_qr_start(api, &ngx_http_waha_qr_raw);
}


/* as <img> does, whose list of types begins with pictures */

static ngx_uint_t
ngx_http_waha_qr_wants_png(ngx_http_waha_api_t *api)
{
    u_char            *json, *image, *any;
    ngx_str_t          accept;
    static ngx_str_t   name = ngx_string("accept");

    if (ngx_http_waha_request_header(api->request, &name, &accept) != NGX_OK) {
        return 0;
    }

    image = ngx_strlcasestrn(accept.data, accept.data + accept.len,
                             (u_char *) "image/png",
                             sizeof("image/png") - 2);
    any = ngx_strlcasestrn(accept.data, accept.data + accept.len,
                           (u_char *) "image/*", sizeof("image/*") - 2);
    json = ngx_strlcasestrn(accept.data, accept.data + accept.len,
                            (u_char *) "json", sizeof("json") - 2);

    if (image == NULL || (any && any < image)) {
        image = any;
    }

    return image && (json == NULL || image < json);
}


ngx_int_t
ngx_http_waha_qr_pair(ngx_http_waha_api_t *api)
{
    ngx_str_t  phone;

    switch (ngx_http_waha_api_argument(api, "phoneNumber",
                                       NGX_HTTP_WAHA_ARG_PHONE, &phone))
    {
    case NGX_OK:

        if (phone.data) {
            break;
        }

        /* fall through */

    case NGX_DECLINED:
        return ngx_http_waha_api_invalid(api, "phoneNumber");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_waha_session_create(api) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    api->session->phone = phone;

    return ngx_http_waha_qr_start(api, &ngx_http_waha_qr_code);
}


ngx_int_t
ngx_http_waha_qr_challenge(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_qr_start(api, &ngx_http_waha_qr_get_challenge);
}


ngx_int_t
ngx_http_waha_qr_passkey(ngx_http_waha_api_t *api)
{
    if (api->body == NULL) {
        return ngx_http_waha_error_send(api->request,
                                        NGX_HTTP_WAHA_ERR_INVALID_REQUEST);
    }

    return ngx_http_waha_qr_start(api, &ngx_http_waha_qr_post_passkey);
}


ngx_int_t
ngx_http_waha_qr_confirmation(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_qr_start(api, &ngx_http_waha_qr_get_confirmation);
}


ngx_int_t
ngx_http_waha_qr_confirm(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_qr_start(api, &ngx_http_waha_qr_post_confirm);
}


static ngx_int_t
ngx_http_waha_qr_start(ngx_http_waha_api_t *api,
    const ngx_http_waha_qr_request_t *request)
{
    if (ngx_http_waha_session_create(api) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    api->session->data = request;

    return ngx_http_waha_session_find(api, ngx_http_waha_qr_found);
}


/* WAHA would wait for seconds before it says no */

static ngx_int_t
ngx_http_waha_qr_found(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_session_look(api, ngx_http_waha_qr_looked);
}


static ngx_int_t
ngx_http_waha_qr_looked(ngx_http_waha_api_t *api)
{
    ngx_str_t                          body;
    ngx_http_waha_session_t           *s;
    ngx_http_waha_json_out_t           out;
    const ngx_http_waha_qr_request_t  *request;

    s = api->session;
    request = s->data;

    if (!ngx_http_waha_string_is(&s->info.status, request->status)) {
        return ngx_http_waha_qr_none(api, &s->info.status);
    }

    if (request == &ngx_http_waha_qr_code) {
        return ngx_http_waha_qr_request_code(api, request->done);
    }

    if (request == &ngx_http_waha_qr_png) {
        api->outgoing.accept = ngx_http_waha_qr_png_type;

    } else if (request == &ngx_http_waha_qr_raw) {
        ngx_str_set(&api->outgoing.args, "format=raw");
    }

    if (request->method != NGX_HTTP_POST || api->body == NULL) {
        return ngx_http_waha_session_call(api, request->method,
                                          request->path, NULL,
                                          request->done);
    }

    ngx_http_waha_json_start(&out, api->request->pool, 1024);
    ngx_http_waha_json_item(&out, NULL, api->body);

    if (ngx_http_waha_json_end(&out, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_session_call(api, request->method, request->path,
                                      &body, request->done);
}


static ngx_int_t
ngx_http_waha_qr_none(ngx_http_waha_api_t *api, ngx_str_t *status)
{
    ngx_str_t                 json;
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, api->request->pool, 128);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put(&out, "status", status);
    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &json) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_error_send_data(api->request,
                                         NGX_HTTP_WAHA_ERR_NO_QR, &json);
}


/* the status has changed since it was looked at */

static ngx_int_t
ngx_http_waha_qr_failed(ngx_http_waha_api_t *api)
{
    ngx_str_t  status;

    if (api->fetch.status != NGX_HTTP_WAHA_UNPROCESSABLE) {
        return ngx_http_waha_session_error(api);
    }

    status = ngx_http_waha_session_info_status(api->fetch.json);

    if (status.data == NULL) {
        ngx_str_set(&status, "NOT_CREATED");
    }

    return ngx_http_waha_qr_none(api, &status);
}


static ngx_int_t
ngx_http_waha_qr_got_raw(ngx_http_waha_api_t *api)
{
    ngx_str_t                 value;
    ngx_http_waha_json_out_t  out;

    if (!ngx_http_waha_session_called(api)) {
        return ngx_http_waha_qr_failed(api);
    }

    value = ngx_http_waha_json_string(api->fetch.json, "value");

    if (value.len == 0) {
        return ngx_http_waha_session_error(api);
    }

    ngx_http_waha_json_start(&out, api->request->pool, 512);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put(&out, "value", &value);
    ngx_http_waha_json_number(&out, "expires_in", NGX_HTTP_WAHA_QR_LIFETIME);
    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_qr_answer(api, &out);
}


static ngx_int_t
ngx_http_waha_qr_got_json(ngx_http_waha_api_t *api)
{
    ngx_str_t                 url;
    ngx_http_waha_json_out_t  out;

    if (!ngx_http_waha_session_called(api)) {
        return ngx_http_waha_qr_failed(api);
    }

    switch (ngx_http_waha_qr_url(api, &url)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_http_waha_session_error(api);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_waha_json_start(&out, api->request->pool, url.len + 128);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put(&out, "qr", &url);
    ngx_http_waha_json_put(&out, "mimetype", &ngx_http_waha_qr_png_type);
    ngx_http_waha_json_number(&out, "expires_in", NGX_HTTP_WAHA_QR_LIFETIME);
    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_qr_answer(api, &out);
}


/* NGX_DECLINED: WAHA has given no picture */

static ngx_int_t
ngx_http_waha_qr_url(ngx_http_waha_api_t *api, ngx_str_t *url)
{
    size_t     i;
    ngx_str_t  type, data;

    type = ngx_http_waha_json_string(api->fetch.json, "mimetype");
    data = ngx_http_waha_json_string(api->fetch.json, "data");

    if (!ngx_http_waha_string_is_equal(&type, &ngx_http_waha_qr_png_type)
        || data.len == 0)
    {
        return NGX_DECLINED;
    }

    for (i = 0; i < data.len; i++) {

        if ((data.data[i] < 'a' || data.data[i] > 'z')
            && (data.data[i] < 'A' || data.data[i] > 'Z')
            && (data.data[i] < '0' || data.data[i] > '9')
            && data.data[i] != '+' && data.data[i] != '/'
            && data.data[i] != '=')
        {
            return NGX_DECLINED;
        }
    }

    url->len = sizeof("data:image/png;base64,") - 1 + data.len;

    url->data = ngx_pnalloc(api->request->pool, url->len);
    if (url->data == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(url->data, "data:image/png;base64,%V", &data);

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_qr_got_png(ngx_http_waha_api_t *api)
{
    ngx_str_t  *png;

    if (!ngx_http_waha_session_called(api)) {
        return ngx_http_waha_qr_failed(api);
    }

    png = &api->fetch.answer;

    if (png->len < 8 || ngx_memcmp(png->data, "\x89PNG\r\n\x1a\n", 8) != 0) {
        return ngx_http_waha_session_error(api);
    }

    return ngx_http_waha_answer_bytes(api->request, NGX_HTTP_OK,
                                      &ngx_http_waha_qr_png_type, png);
}


ngx_int_t
ngx_http_waha_qr_request_code(ngx_http_waha_api_t *api,
    ngx_int_t (*next)(ngx_http_waha_api_t *api))
{
    ngx_str_t                 body;
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, api->request->pool, 64);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put(&out, "phoneNumber", &api->session->phone);
    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_session_call(api, NGX_HTTP_POST,
                                      ngx_http_waha_qr_code.path, &body,
                                      next);
}


ngx_str_t
ngx_http_waha_qr_pairing_code(ngx_http_waha_api_t *api)
{
    ngx_str_t  code;

    code = ngx_http_waha_json_string(api->fetch.json, "code");

    if (!ngx_http_waha_session_called(api)
        || code.len > NGX_HTTP_WAHA_QR_PAIRING_LEN
        || !ngx_http_waha_string_is_printable(&code))
    {
        ngx_str_null(&code);
    }

    return code;
}


static ngx_int_t
ngx_http_waha_qr_paired(ngx_http_waha_api_t *api)
{
    ngx_str_t                 code;
    ngx_http_waha_json_out_t  out;

    if (!ngx_http_waha_session_called(api)) {
        return ngx_http_waha_qr_failed(api);
    }

    code = ngx_http_waha_qr_pairing_code(api);

    if (code.data == NULL) {
        return ngx_http_waha_session_error(api);
    }

    ngx_http_waha_json_start(&out, api->request->pool, 64);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put(&out, "code", &code);
    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_qr_answer(api, &out);
}


/* where WAHA says nothing else the session tells what has come of it */

static ngx_int_t
ngx_http_waha_qr_pass(ngx_http_waha_api_t *api)
{
    ngx_http_waha_json_out_t  out;

    if (!ngx_http_waha_session_called(api)) {
        return ngx_http_waha_qr_failed(api);
    }

    /* a session as WAHA tells it has its keys in it */

    if (api->fetch.json == NULL || ngx_http_waha_session_told(api) == NGX_OK) {
        return ngx_http_waha_session_look(api, ngx_http_waha_session_answer);
    }

    ngx_http_waha_json_start(&out, api->request->pool, 1024);
    ngx_http_waha_json_item(&out, NULL, api->fetch.json);

    return ngx_http_waha_qr_answer(api, &out);
}


static ngx_int_t
ngx_http_waha_qr_answer(ngx_http_waha_api_t *api,
    ngx_http_waha_json_out_t *out)
{
    ngx_str_t  json;

    if (ngx_http_waha_json_end(out, &json) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_answer_data(api->request, &json);
}
