
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_argument.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_link.h>
#include <ngx_http_waha_qr.h>
#include <ngx_http_waha_qr_link.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_sessions.h>
#include <ngx_http_waha_string.h>


/* seconds that a QR code is shown; WhatsApp shows the first one for longer */

#define NGX_HTTP_WAHA_QR_LIFETIME  20

/* a session that starts is looked at so often, in milliseconds */

#define NGX_HTTP_WAHA_QR_DELAY     1000
#define NGX_HTTP_WAHA_QR_TRIES     20


/* what WAHA is asked for, and the end of the plan */

typedef struct {
    ngx_http_waha_link_e     what;
    ngx_http_waha_step_pt    answer;
} ngx_http_waha_qr_request_t;


static ngx_uint_t ngx_http_waha_qr_wants_png(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_qr_start(ngx_http_waha_api_t *api,
    const ngx_http_waha_qr_request_t *request);
static ngx_int_t ngx_http_waha_qr_on_found(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_qr_on_shared(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_qr_request_png(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_qr_on_png(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_qr_on_url(ngx_http_waha_step_t *step);
static ngx_uint_t ngx_http_waha_qr_is_coming(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_qr_answer_json(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_qr_make_url(ngx_http_waha_step_t *step,
    ngx_str_t *url);
static ngx_int_t ngx_http_waha_qr_answer_text(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_qr_answer_png(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_qr_answer_code(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_qr_answer_waha(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_qr_error(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_qr_answer(ngx_http_waha_step_t *step,
    ngx_http_waha_json_out_t *out);


static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_json =
    { NGX_HTTP_WAHA_LINK_QR, ngx_http_waha_qr_answer_json };

static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_text =
    { NGX_HTTP_WAHA_LINK_QR_TEXT, ngx_http_waha_qr_answer_text };

static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_png =
    { NGX_HTTP_WAHA_LINK_QR_PNG, ngx_http_waha_qr_answer_png };

static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_code =
    { NGX_HTTP_WAHA_LINK_CODE, ngx_http_waha_qr_answer_code };

static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_get_challenge =
    { NGX_HTTP_WAHA_LINK_CHALLENGE, ngx_http_waha_qr_answer_waha };

static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_post_passkey =
    { NGX_HTTP_WAHA_LINK_PASSKEY, ngx_http_waha_qr_answer_waha };

static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_get_confirmation =
    { NGX_HTTP_WAHA_LINK_CONFIRMATION, ngx_http_waha_qr_answer_waha };

static const ngx_http_waha_qr_request_t  ngx_http_waha_qr_post_confirm =
    { NGX_HTTP_WAHA_LINK_CONFIRM, ngx_http_waha_qr_answer_waha };


static ngx_str_t  ngx_http_waha_qr_png_type = ngx_string("image/png");


ngx_int_t
ngx_http_waha_qr(ngx_http_waha_api_t *api)
{
    ngx_str_t  format;

    switch (ngx_http_waha_argument_get(api, "format", NGX_HTTP_WAHA_ARG_TEXT,
                                       &format))
    {
    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_http_waha_argument_refuse(api, "format");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (format.data == NULL) {
        return ngx_http_waha_qr_start(api, ngx_http_waha_qr_wants_png(api)
                                           ? &ngx_http_waha_qr_png
                                           : &ngx_http_waha_qr_json);
    }

    if (!ngx_http_waha_string_is(&format, "raw")) {
        return ngx_http_waha_argument_refuse(api, "format");
    }

    return ngx_http_waha_qr_start(api, &ngx_http_waha_qr_text);
}


/* <img> lists the types of pictures first */

static ngx_uint_t
ngx_http_waha_qr_wants_png(ngx_http_waha_api_t *api)
{
    u_char            *json, *image, *any;
    ngx_str_t          accept;
    static ngx_str_t   name = ngx_string("accept");

    if (ngx_http_waha_request_header(api->step.request, &name, &accept)
        != NGX_OK)
    {
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
ngx_http_waha_qr_pairing_code(ngx_http_waha_api_t *api)
{
    ngx_str_t  phone;

    switch (ngx_http_waha_argument_get(api, "phoneNumber",
                                       NGX_HTTP_WAHA_ARG_PHONE, &phone))
    {
    case NGX_OK:

        if (phone.data) {
            break;
        }

        /* fall through */

    case NGX_DECLINED:
        return ngx_http_waha_argument_refuse(api, "phoneNumber");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_waha_session_create(&api->step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    api->step.session->phone = phone;

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
        return ngx_http_waha_error_send(api->step.request,
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
    api->data = request;

    return ngx_http_waha_sessions_find(api, ngx_http_waha_qr_on_found);
}


/* a body of the client's request goes to WAHA */

static ngx_int_t
ngx_http_waha_qr_on_found(ngx_http_waha_step_t *step)
{
    ngx_str_t                          body;
    ngx_http_waha_api_t               *api;
    ngx_http_waha_json_out_t           out;
    const ngx_http_waha_qr_request_t  *request;

    api = step->data;
    request = api->data;

    step->done = request->answer;

    if (api->body == NULL) {
        return ngx_http_waha_link(step, request->what, NULL);
    }

    ngx_http_waha_json_start(&out, step->request->pool, 1024);
    ngx_http_waha_json_put_item(&out, NULL, api->body);

    if (ngx_http_waha_json_end(&out, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_link(step, request->what, &body);
}


ngx_int_t
ngx_http_waha_qr_shared(ngx_http_waha_api_t *api)
{
    ngx_str_t  session;

    session = api->link->session;

    api->step.done = ngx_http_waha_qr_error;

    return ngx_http_waha_session_find(&api->step, &session,
                                      ngx_http_waha_qr_on_shared);
}


static ngx_int_t
ngx_http_waha_qr_on_shared(ngx_http_waha_step_t *step)
{
    ngx_http_waha_api_t *api = step->data;

    ngx_http_waha_session_t  *s;

    s = step->session;

    if (s->instance
        && !ngx_http_waha_qr_link_is_for(api->link, &s->instance->name))
    {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_FORBIDDEN);
    }

    return ngx_http_waha_qr_request_png(step);
}


static ngx_int_t
ngx_http_waha_qr_request_png(ngx_http_waha_step_t *step)
{
    step->done = ngx_http_waha_qr_on_png;

    return ngx_http_waha_link(step, NGX_HTTP_WAHA_LINK_QR_PNG, NULL);
}


/* <img> asks once, at a time when the session has just been started */

static ngx_int_t
ngx_http_waha_qr_on_png(ngx_http_waha_step_t *step)
{
    if (ngx_http_waha_qr_is_coming(step)) {
        return ngx_http_waha_step_wait(step, NGX_HTTP_WAHA_QR_DELAY,
                                       ngx_http_waha_qr_request_png);
    }

    return ngx_http_waha_qr_answer_png(step);
}


ngx_int_t
ngx_http_waha_qr_add(ngx_http_waha_step_t *step)
{
    step->done = ngx_http_waha_qr_on_url;

    return ngx_http_waha_link(step, NGX_HTTP_WAHA_LINK_QR, NULL);
}


/* the answer to the operation goes without a QR code rather than not at all */

static ngx_int_t
ngx_http_waha_qr_on_url(ngx_http_waha_step_t *step)
{
    ngx_http_waha_api_t *api = step->data;

    if ((api->route->flags & NGX_HTTP_WAHA_ROUTE_WRITE)
        && ngx_http_waha_qr_is_coming(step))
    {
        return ngx_http_waha_step_wait(step, NGX_HTTP_WAHA_QR_DELAY,
                                       ngx_http_waha_qr_add);
    }

    if (step->error == NGX_HTTP_WAHA_ERR_NONE
        && ngx_http_waha_qr_make_url(step, &api->qr_code) == NGX_ERROR)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    step->error = NGX_HTTP_WAHA_ERR_NONE;

    return ngx_http_waha_sessions_answer_view(step);
}


static ngx_uint_t
ngx_http_waha_qr_is_coming(ngx_http_waha_step_t *step)
{
    ngx_http_waha_api_t *api = step->data;

    return step->error == NGX_HTTP_WAHA_ERR_NO_QR
           && ngx_http_waha_string_is(&step->session->info.status, "STARTING")
           && ++api->tries < NGX_HTTP_WAHA_QR_TRIES;
}


static ngx_int_t
ngx_http_waha_qr_answer_json(ngx_http_waha_step_t *step)
{
    ngx_str_t                 url;
    ngx_http_waha_json_out_t  out;

    if (step->error) {
        return ngx_http_waha_qr_error(step);
    }

    switch (ngx_http_waha_qr_make_url(step, &url)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_http_waha_session_fail(step);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_waha_json_start(&out, step->request->pool, url.len + 128);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put(&out, "qr", &url);
    ngx_http_waha_json_put(&out, "mimetype", &ngx_http_waha_qr_png_type);
    ngx_http_waha_json_put_number(&out, "expires_in",
                                  NGX_HTTP_WAHA_QR_LIFETIME);
    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_qr_answer(step, &out);
}


/* NGX_DECLINED: WAHA has given no picture */

static ngx_int_t
ngx_http_waha_qr_make_url(ngx_http_waha_step_t *step, ngx_str_t *url)
{
    size_t     i;
    ngx_str_t  type, data;

    type = ngx_http_waha_json_get_string(step->fetch.json, "mimetype");
    data = ngx_http_waha_json_get_string(step->fetch.json, "data");

    if (!ngx_http_waha_string_is(&type, "image/png") || data.len == 0) {
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

    url->data = ngx_pnalloc(step->request->pool, url->len);
    if (url->data == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(url->data, "data:image/png;base64,%V", &data);

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_qr_answer_text(ngx_http_waha_step_t *step)
{
    ngx_str_t                 value;
    ngx_http_waha_json_out_t  out;

    if (step->error) {
        return ngx_http_waha_qr_error(step);
    }

    value = ngx_http_waha_json_get_string(step->fetch.json, "value");

    if (value.len == 0) {
        return ngx_http_waha_session_fail(step);
    }

    ngx_http_waha_json_start(&out, step->request->pool, 512);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put(&out, "value", &value);
    ngx_http_waha_json_put_number(&out, "expires_in",
                                  NGX_HTTP_WAHA_QR_LIFETIME);
    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_qr_answer(step, &out);
}


static ngx_int_t
ngx_http_waha_qr_answer_png(ngx_http_waha_step_t *step)
{
    ngx_str_t  *png;

    if (step->error) {
        return ngx_http_waha_qr_error(step);
    }

    png = &step->fetch.answer;

    if (png->len < 8 || ngx_memcmp(png->data, "\x89PNG\r\n\x1a\n", 8) != 0) {
        return ngx_http_waha_session_fail(step);
    }

    return ngx_http_waha_answer_bytes(step->request, NGX_HTTP_OK,
                                      &ngx_http_waha_qr_png_type, png);
}


static ngx_int_t
ngx_http_waha_qr_answer_code(ngx_http_waha_step_t *step)
{
    ngx_str_t                 code;
    ngx_http_waha_json_out_t  out;

    if (step->error) {
        return ngx_http_waha_qr_error(step);
    }

    code = ngx_http_waha_link_pairing_code(step);

    if (code.data == NULL) {
        return ngx_http_waha_session_fail(step);
    }

    ngx_http_waha_json_start(&out, step->request->pool, 64);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put(&out, "code", &code);
    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_qr_answer(step, &out);
}


/* where WAHA says nothing, the status of the session shows the outcome */

static ngx_int_t
ngx_http_waha_qr_answer_waha(ngx_http_waha_step_t *step)
{
    ngx_http_waha_json_out_t  out;

    if (step->error) {
        return ngx_http_waha_qr_error(step);
    }

    /* WAHA's own session object holds keys: it is never passed on */

    if (step->fetch.json == NULL
        || ngx_http_waha_session_read_answer(step) == NGX_OK)
    {
        step->done = ngx_http_waha_sessions_answer;

        return ngx_http_waha_session_look(step,
                                          ngx_http_waha_step_succeed);
    }

    ngx_http_waha_json_start(&out, step->request->pool, 1024);
    ngx_http_waha_json_put_item(&out, NULL, step->fetch.json);

    return ngx_http_waha_qr_answer(step, &out);
}


static ngx_int_t
ngx_http_waha_qr_error(ngx_http_waha_step_t *step)
{
    ngx_str_t                 json;
    ngx_http_waha_json_out_t  out;

    if (step->error != NGX_HTTP_WAHA_ERR_NO_QR) {
        return ngx_http_waha_api_error(step);
    }

    ngx_http_waha_json_start(&out, step->request->pool, 128);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put(&out, "status", &step->session->info.status);
    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &json) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_error_send_data(step->request,
                                         NGX_HTTP_WAHA_ERR_NO_QR, &json);
}


static ngx_int_t
ngx_http_waha_qr_answer(ngx_http_waha_step_t *step,
    ngx_http_waha_json_out_t *out)
{
    ngx_str_t  json;

    if (ngx_http_waha_json_end(out, &json) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_answer_data(step->request, &json);
}
