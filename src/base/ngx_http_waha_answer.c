
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_request.h>


#define NGX_HTTP_WAHA_GONE  410


/* README lists them; some are actions and codes that the database tells */

static const ngx_http_waha_refusal_t  ngx_http_waha_refusals[] = {

    /* webhooks */

    { "invalid_signature", NGX_HTTP_UNAUTHORIZED,
      "the signature is missing or wrong" },

    { "invalid_event", NGX_HTTP_BAD_REQUEST,
      "the body is not an event of WAHA" },

    { "unknown_organization", NGX_HTTP_NOT_FOUND,
      "no such organization is known" },

    { "disabled_organization", NGX_HTTP_NOT_FOUND,
      "WhatsApp is not enabled for this organization" },

    { "contradiction", NGX_HTTP_FORBIDDEN,
      "the session, the metadata and the query name different "
      "organizations" },

    /* who may do what */

    { "unauthorized", NGX_HTTP_UNAUTHORIZED,
      "credentials are missing, wrong or expired" },

    { "forbidden", NGX_HTTP_FORBIDDEN,
      "these credentials do not allow it" },

    { "too_many_attempts", NGX_HTTP_TOO_MANY_REQUESTS,
      "too many failed attempts from this address" },

    /* requests of the API */

    { "unknown_route", NGX_HTTP_NOT_FOUND,
      "there is no such resource" },

    { "method_not_allowed", NGX_HTTP_NOT_ALLOWED,
      "the method is not allowed here" },

    { "invalid_request", NGX_HTTP_BAD_REQUEST,
      "the body has to be a JSON object" },

    { "invalid_argument", NGX_HTTP_BAD_REQUEST,
      "an argument is missing or not valid" },

    { "unknown_session", NGX_HTTP_NOT_FOUND,
      "the organization has no such session" },

    { "unknown_contact", NGX_HTTP_NOT_FOUND,
      "the organization has no such contact" },

    { "unknown_conversation", NGX_HTTP_NOT_FOUND,
      "the organization has no such conversation" },

    { "unknown_activity", NGX_HTTP_NOT_FOUND,
      "the organization has no such activity" },

    { "unknown_key", NGX_HTTP_NOT_FOUND,
      "the organization has no such key" },

    { "no_media", NGX_HTTP_NOT_FOUND,
      "the message has no file at WAHA" },

    { "media_expired", NGX_HTTP_WAHA_GONE,
      "WAHA has deleted the file" },

    { "no_qr", NGX_HTTP_CONFLICT,
      "there is no QR code to scan now" },

    { "not_created", NGX_HTTP_CONFLICT,
      "WAHA does not know the session: connect it first" },

    { "session_without_instance", NGX_HTTP_CONFLICT,
      "it is not known which WAHA server has the session" },

    { "too_many_sessions", NGX_HTTP_CONFLICT,
      "the organization has as many sessions as it may" },

    { "too_many_keys", NGX_HTTP_CONFLICT,
      "the organization has two keys: delete one first" },

    { "sessions_exist", NGX_HTTP_CONFLICT,
      "the organization has sessions: delete them first" },

    /* WAHA */

    { "waha_unavailable", NGX_HTTP_BAD_GATEWAY,
      "WAHA cannot be reached" },

    { "waha_invalid_answer", NGX_HTTP_BAD_GATEWAY,
      "the answer of WAHA cannot be used" },

    { "waha_error", NGX_HTTP_BAD_GATEWAY,
      "WAHA refuses or fails" },

    { "waha_timeout", NGX_HTTP_GATEWAY_TIME_OUT,
      "WAHA does not answer in time" },

    { "no_instance", NGX_HTTP_SERVICE_UNAVAILABLE,
      "the WAHA server of the session is not configured" },

    /* the database */

    { "overloaded", NGX_HTTP_SERVICE_UNAVAILABLE,
      "too many requests wait for the database; send this one again" },

    { "database_unavailable", NGX_HTTP_SERVICE_UNAVAILABLE,
      "the database does not answer in time; send this again" },

    { "database_busy", NGX_HTTP_SERVICE_UNAVAILABLE,
      "the database is busy with the same rows; send this again" },

    { "database_setup", NGX_HTTP_SERVICE_UNAVAILABLE,
      "the database refuses; its administrator has to look" },

    { NULL, 0, NULL }
};


static ngx_str_t  ngx_http_waha_answer_json =
    ngx_string("application/json");


ngx_int_t
ngx_http_waha_answer(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json)
{
    return ngx_http_waha_answer_bytes(r, status, &ngx_http_waha_answer_json,
                                      json);
}


ngx_int_t
ngx_http_waha_answer_data(ngx_http_request_t *r, ngx_str_t *data)
{
    ngx_str_t  json;

    json.len = sizeof("{\"success\":true,\"data\":}") - 1 + data->len;

    json.data = ngx_pnalloc(r->pool, json.len);
    if (json.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_sprintf(json.data, "{\"success\":true,\"data\":%V}", data);

    return ngx_http_waha_answer(r, NGX_HTTP_OK, &json);
}


ngx_int_t
ngx_http_waha_answer_bytes(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *bytes)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = bytes->data;
    b->last = bytes->data + bytes->len;
    b->memory = (bytes->len) ? 1 : 0;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    r->headers_out.status = status;
    r->headers_out.content_length_n = bytes->len;

    /* there is nothing that "If-None-Match: *" could mean */
    r->disable_not_modified = 1;

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


const ngx_http_waha_refusal_t *
ngx_http_waha_refusal(const char *code)
{
    const ngx_http_waha_refusal_t  *refusal;

    for (refusal = ngx_http_waha_refusals; refusal->code; refusal++) {

        if (ngx_strcmp(refusal->code, code) == 0) {
            return refusal;
        }
    }

    return NULL;
}


const ngx_http_waha_refusal_t *
ngx_http_waha_refused(ngx_http_request_t *r, const char *code)
{
    ngx_http_waha_ctx_t            *ctx;
    const ngx_http_waha_refusal_t  *refusal;

    ctx = ngx_http_waha_ctx(r);
    if (ctx == NULL) {
        return NULL;
    }

    refusal = ngx_http_waha_refusal(code);

    ctx->action.data = (u_char *) refusal->code;
    ctx->action.len = ngx_strlen(refusal->code);

    return refusal;
}


ngx_int_t
ngx_http_waha_refuse(ngx_http_request_t *r, const char *code)
{
    return ngx_http_waha_refuse_data(r, code, NULL);
}


ngx_int_t
ngx_http_waha_refuse_data(ngx_http_request_t *r, const char *code,
    ngx_str_t *data)
{
    u_char                         *p;
    size_t                          len;
    ngx_str_t                       json;
    const ngx_http_waha_refusal_t  *refusal;

    refusal = ngx_http_waha_refused(r, code);
    if (refusal == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if ((refusal->status == NGX_HTTP_SERVICE_UNAVAILABLE
         || refusal->status == NGX_HTTP_TOO_MANY_REQUESTS)
        && ngx_http_waha_answer_header(r, "Retry-After",
                                       NGX_HTTP_WAHA_RETRY_AFTER)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    len = sizeof("{\"success\":false,\"error\":\"\",\"code\":\"\","
                 "\"data\":}") - 1
          + ngx_strlen(refusal->message) + ngx_strlen(refusal->code)
          + (data ? data->len : 0);

    json.data = ngx_pnalloc(r->pool, len);
    if (json.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_sprintf(json.data,
                    "{\"success\":false,\"error\":\"%s\",\"code\":\"%s\"",
                    refusal->message, refusal->code);

    if (data) {
        p = ngx_sprintf(p, ",\"data\":%V", data);
    }

    *p++ = '}';

    json.len = p - json.data;

    return ngx_http_waha_answer(r, refusal->status, &json);
}


ngx_int_t
ngx_http_waha_answer_header(ngx_http_request_t *r, const char *name,
    const char *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = ngx_strlen(value);

    return NGX_OK;
}
