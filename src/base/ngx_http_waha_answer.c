
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_json.h>


/* {"success":true,"data":} */

#define NGX_HTTP_WAHA_ANSWER_SIZE  32


static ngx_str_t  ngx_http_waha_answer_type = ngx_string("application/json");


ngx_int_t
ngx_http_waha_answer_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json)
{
    if (ngx_http_waha_answer_header(r, "X-Content-Type-Options", "nosniff")
        == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_answer_bytes(r, status, &ngx_http_waha_answer_type,
                                      json);
}


ngx_int_t
ngx_http_waha_answer_data(ngx_http_request_t *r, ngx_str_t *data)
{
    ngx_str_t                 json;
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, r->pool,
                             NGX_HTTP_WAHA_ANSWER_SIZE + data->len);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_bool(&out, "success", 1);
    ngx_http_waha_json_put_raw(&out, "data", data);
    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &json) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_answer_json(r, NGX_HTTP_OK, &json);
}


ngx_int_t
ngx_http_waha_answer_members(ngx_http_request_t *r, ngx_str_t *data)
{
    ngx_str_t                 json;
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, r->pool,
                             NGX_HTTP_WAHA_ANSWER_SIZE + data->len);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_bool(&out, "success", 1);
    ngx_http_waha_json_put_members(&out, data);
    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &json) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_answer_json(r, NGX_HTTP_OK, &json);
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

    /* "If-None-Match: *" must not turn an answer into 304 */
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


ngx_table_elt_t *
ngx_http_waha_answer_header(ngx_http_request_t *r, const char *name,
    const char *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = ngx_strlen(value);

    return h;
}
