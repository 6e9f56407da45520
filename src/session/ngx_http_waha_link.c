
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_lease.h>
#include <ngx_http_waha_link.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_LINK_CODE_LEN  32


/*
 * a request, the status of the session that it needs, and what waha.audit
 * calls it
 */

typedef struct ngx_http_waha_link_request_s {
    ngx_uint_t     method;
    const char    *path;
    ngx_str_t      args;
    ngx_str_t      accept;
    const char    *status;
    ngx_str_t      operation;
} ngx_http_waha_link_request_t;


static ngx_int_t ngx_http_waha_link_on_look(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_link_on_answer(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_link_note(ngx_http_waha_step_t *step,
    const ngx_http_waha_link_request_t *link);
static ngx_int_t ngx_http_waha_link_ask_code(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_link_on_code(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_link_on_refused(ngx_http_waha_step_t *step);


static const ngx_http_waha_link_request_t  ngx_http_waha_link_requests[] = {

    [NGX_HTTP_WAHA_LINK_QR] =
        { NGX_HTTP_GET, "/api/%V/auth/qr",
          ngx_null_string, ngx_null_string, "SCAN_QR_CODE",
          ngx_string("qr") },

    [NGX_HTTP_WAHA_LINK_QR_TEXT] =
        { NGX_HTTP_GET, "/api/%V/auth/qr",
          ngx_string("format=raw"), ngx_null_string, "SCAN_QR_CODE",
          ngx_string("qr") },

    [NGX_HTTP_WAHA_LINK_QR_PNG] =
        { NGX_HTTP_GET, "/api/%V/auth/qr",
          ngx_null_string, ngx_string("image/png"), "SCAN_QR_CODE",
          ngx_string("qr") },

    [NGX_HTTP_WAHA_LINK_CODE] =
        { NGX_HTTP_POST, "/api/%V/auth/request-code",
          ngx_null_string, ngx_null_string, "SCAN_QR_CODE",
          ngx_string("pairing-code") },

    [NGX_HTTP_WAHA_LINK_CHALLENGE] =
        { NGX_HTTP_GET, "/api/%V/auth/passkey/challenge",
          ngx_null_string, ngx_null_string, "PASSKEY_REQUIRED",
          ngx_string("passkey") },

    [NGX_HTTP_WAHA_LINK_PASSKEY] =
        { NGX_HTTP_POST, "/api/%V/auth/passkey",
          ngx_null_string, ngx_null_string, "PASSKEY_REQUIRED",
          ngx_string("passkey") },

    [NGX_HTTP_WAHA_LINK_CONFIRMATION] =
        { NGX_HTTP_GET, "/api/%V/auth/passkey/confirmation",
          ngx_null_string, ngx_null_string, "PASSKEY_CONFIRMATION_REQUIRED",
          ngx_string("passkey") },

    [NGX_HTTP_WAHA_LINK_CONFIRM] =
        { NGX_HTTP_POST, "/api/%V/auth/passkey/confirm",
          ngx_null_string, ngx_null_string, "PASSKEY_CONFIRMATION_REQUIRED",
          ngx_string("passkey") }
};


/* in a status that does not fit, WAHA would wait for seconds, then refuse */

ngx_int_t
ngx_http_waha_link(ngx_http_waha_step_t *step, ngx_http_waha_link_e what,
    ngx_str_t *body)
{
    step->session->link = &ngx_http_waha_link_requests[what];

    if (body) {
        step->session->link_body = *body;
    }

    return ngx_http_waha_session_look(step, ngx_http_waha_link_on_look);
}


static ngx_int_t
ngx_http_waha_link_on_look(ngx_http_waha_step_t *step)
{
    ngx_http_waha_session_t             *s;
    ngx_http_waha_fetch_request_t        request;
    const ngx_http_waha_link_request_t  *link;

    s = step->session;
    link = s->link;

    if (!ngx_http_waha_string_is(&s->info.status, link->status)) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NO_QR);
    }

    if (link == &ngx_http_waha_link_requests[NGX_HTTP_WAHA_LINK_CODE]) {
        return ngx_http_waha_lease_charge(step, NGX_HTTP_WAHA_BUDGET_CODES,
                                          ngx_http_waha_link_ask_code);
    }

    ngx_memzero(&request, sizeof(ngx_http_waha_fetch_request_t));

    request.method = link->method;
    request.args = link->args;
    request.accept = link->accept;
    request.body = s->link_body;

    return ngx_http_waha_session_fetch_request(step, &request, link->path,
                                               ngx_http_waha_link_on_answer);
}


/* the status may have changed since the plan looked */

static ngx_int_t
ngx_http_waha_link_on_answer(ngx_http_waha_step_t *step)
{
    ngx_str_t  *status;

    if (ngx_http_waha_session_is_accepted(step)) {
        return ngx_http_waha_link_note(step, step->session->link);
    }

    if (step->fetch.status != NGX_HTTP_WAHA_UNPROCESSABLE) {
        return ngx_http_waha_session_fail(step);
    }

    status = &step->session->info.status;

    *status = ngx_http_waha_session_info_status(step->fetch.json);

    if (status->data == NULL) {
        ngx_str_set(status, "NOT_CREATED");
    }

    return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NO_QR);
}


/* without a row in waha.audit, no code is shown */

static ngx_int_t
ngx_http_waha_link_note(ngx_http_waha_step_t *step,
    const ngx_http_waha_link_request_t *link)
{
    ngx_str_t  args[3];

    args[0] = step->organization.slug;
    args[1] = step->session->name;
    args[2] = link->operation;

    return ngx_http_waha_step_query(step, NGX_HTTP_WAHA_NOTE_OPERATION, args,
                                    ngx_http_waha_step_succeed);
}


ngx_int_t
ngx_http_waha_link_note_code(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_link_note(step,
                       &ngx_http_waha_link_requests[NGX_HTTP_WAHA_LINK_CODE]);
}


static ngx_int_t
ngx_http_waha_link_ask_code(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_link_request_code(step, ngx_http_waha_link_on_code);
}


/* WAHA refuses codes without the status in its answer: look again */

static ngx_int_t
ngx_http_waha_link_on_code(ngx_http_waha_step_t *step)
{
    ngx_str_t  message;

    if (ngx_http_waha_session_is_missing(step)) {
        ngx_http_waha_session_info_set_missing(&step->session->info);

        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NO_QR);
    }

    message = ngx_http_waha_json_get_string(step->fetch.json, "message");

    if (step->fetch.status == NGX_HTTP_WAHA_UNPROCESSABLE && message.len) {
        return ngx_http_waha_session_look(step,
                                          ngx_http_waha_link_on_refused);
    }

    return ngx_http_waha_link_on_answer(step);
}


static ngx_int_t
ngx_http_waha_link_on_refused(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NO_QR);
}


ngx_int_t
ngx_http_waha_link_request_code(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then)
{
    ngx_str_t                 body;
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, step->request->pool, 64);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put(&out, "phoneNumber", &step->session->phone);
    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_session_fetch(step, NGX_HTTP_POST,
                   ngx_http_waha_link_requests[NGX_HTTP_WAHA_LINK_CODE].path,
                   &body, then);
}


ngx_str_t
ngx_http_waha_link_pairing_code(ngx_http_waha_step_t *step)
{
    ngx_str_t  code;

    code = ngx_http_waha_json_get_string(step->fetch.json, "code");

    if (!ngx_http_waha_session_is_accepted(step)
        || code.len > NGX_HTTP_WAHA_LINK_CODE_LEN
        || !ngx_http_waha_string_is_printable(&code))
    {
        ngx_str_null(&code);
    }

    return code;
}
