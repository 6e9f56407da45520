
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>


static ngx_int_t ngx_http_waha_answer_header(ngx_http_request_t *r,
    const char *name, const char *value);


ngx_int_t
ngx_http_waha_answer(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = json->data;
    b->last = json->data + json->len;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    r->headers_out.status = status;
    r->headers_out.content_length_n = json->len;

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_waha_answer_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *message)
{
    size_t     len;
    ngx_int_t  rc;
    ngx_str_t  json;

    rc = NGX_OK;

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        rc = ngx_http_waha_answer_header(r, "Retry-After",
                                         NGX_HTTP_WAHA_RETRY_AFTER);

    } else if (status == NGX_HTTP_NOT_ALLOWED) {
        rc = ngx_http_waha_answer_header(r, "Allow", "POST");
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    len = sizeof("{\"success\":false,\"error\":\"\",\"code\":\"\"}") - 1
          + ngx_strlen(message) + ngx_strlen(code);

    json.data = ngx_pnalloc(r->pool, len);
    if (json.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json.len = ngx_sprintf(json.data,
                           "{\"success\":false,\"error\":\"%s\","
                           "\"code\":\"%s\"}", message, code)
               - json.data;

    return ngx_http_waha_answer(r, status, &json);
}


static ngx_int_t
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
