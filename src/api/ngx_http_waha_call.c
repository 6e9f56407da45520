
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_call.h>


#define NGX_HTTP_WAHA_CALL_BUFFER   4096
#define NGX_HTTP_WAHA_CALL_HEADERS  4

/* until it is seen again whether a call can be ended */

#define NGX_HTTP_WAHA_CALL_AGAIN    100


static ngx_int_t ngx_http_waha_call_headers(ngx_http_request_t *r,
    ngx_http_waha_call_t *call, ngx_http_headers_in_t *headers);
static ngx_table_elt_t *ngx_http_waha_call_header(
    ngx_http_headers_in_t *headers, const char *name, const char *lowcase,
    ngx_str_t *value);
static ngx_http_request_body_t *ngx_http_waha_call_body(
    ngx_http_request_t *r, ngx_http_waha_call_t *call);
static void ngx_http_waha_call_set_method(ngx_http_request_t *sr,
    ngx_uint_t method);
static ngx_int_t ngx_http_waha_call_done(ngx_http_request_t *sr, void *data,
    ngx_int_t rc);
static void ngx_http_waha_call_expire(ngx_event_t *ev);
static void ngx_http_waha_call_cleanup(void *data);
static void ngx_http_waha_call_resume(ngx_http_request_t *r);
static ngx_http_waha_error_e ngx_http_waha_call_error(
    ngx_http_waha_call_t *call);
static ngx_http_waha_error_e ngx_http_waha_call_parse(ngx_http_request_t *r,
    ngx_http_waha_call_t *call);
static ngx_uint_t ngx_http_waha_call_is_json(ngx_str_t *type);
static ngx_int_t ngx_http_waha_call_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_waha_call_append(ngx_http_request_t *sr,
    ngx_http_waha_call_t *call, u_char *data, size_t len);


static ngx_str_t  ngx_http_waha_call_json = ngx_string("application/json");

static ngx_str_t  ngx_http_waha_call_get = ngx_string("GET");
static ngx_str_t  ngx_http_waha_call_post = ngx_string("POST");
static ngx_str_t  ngx_http_waha_call_put = ngx_string("PUT");
static ngx_str_t  ngx_http_waha_call_delete = ngx_string("DELETE");


static ngx_http_output_body_filter_pt  ngx_http_waha_call_next_body_filter;


ngx_int_t
ngx_http_waha_call(ngx_http_request_t *r, ngx_http_waha_call_t *call)
{
    ngx_http_request_t          *sr;
    ngx_pool_cleanup_t          *cln;
    ngx_http_waha_ctx_t         *ctx;
    ngx_http_headers_in_t        headers;
    ngx_http_request_body_t     *rb;
    ngx_http_core_main_conf_t   *cmcf;
    ngx_http_variable_value_t   *variables;
    ngx_http_post_subrequest_t  *ps;

    call->error = NGX_HTTP_WAHA_ERR_NONE;
    call->status = 0;
    ngx_str_null(&call->type);
    ngx_str_null(&call->answer);
    call->json = NULL;

    call->outcome = NGX_OK;
    call->last = NULL;
    call->end = NULL;
    call->done = 0;
    call->complete = 0;
    call->too_big = 0;

    ngx_memzero(&call->event, sizeof(ngx_event_t));

    if (call->accept.len == 0) {
        call->accept = ngx_http_waha_call_json;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    /* nothing may fail once the subrequest exists */

    ctx = ngx_http_waha_request_ctx(r);
    rb = ngx_http_waha_call_body(r, call);
    cln = ngx_pool_cleanup_add(r->pool, 0);
    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    variables = ngx_pcalloc(r->pool, cmcf->variables.nelts
                                     * sizeof(ngx_http_variable_value_t));

    if (ctx == NULL || rb == NULL || cln == NULL || ps == NULL
        || variables == NULL
        || ngx_http_waha_call_headers(r, call, &headers) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ps->handler = ngx_http_waha_call_done;
    ps->data = call;

    if (ngx_http_subrequest(r, &call->uri, &call->args, &sr, ps,
                            NGX_HTTP_SUBREQUEST_IN_MEMORY
                            |NGX_HTTP_SUBREQUEST_WAITED)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_waha_call_set_method(sr, call->method);

    sr->headers_in = headers;
    sr->headers_in.headers.last = &sr->headers_in.headers.part;

    sr->request_body = rb;
    sr->variables = variables;
    sr->unparsed_uri = call->uri;

    call->subrequest = sr;
    call->event.handler = ngx_http_waha_call_expire;
    call->event.data = call;
    call->event.log = r->connection->log;

    ngx_add_timer(&call->event, call->timeout);

    cln->handler = ngx_http_waha_call_cleanup;
    cln->data = call;

    ctx->call = call;

    r->write_event_handler = ngx_http_waha_call_resume;

    return NGX_OK;
}


/* the list has one part, so that the structure can be copied */

static ngx_int_t
ngx_http_waha_call_headers(ngx_http_request_t *r, ngx_http_waha_call_t *call,
    ngx_http_headers_in_t *headers)
{
    ngx_str_t  length;

    ngx_memzero(headers, sizeof(ngx_http_headers_in_t));

    if (ngx_list_init(&headers->headers, r->pool, NGX_HTTP_WAHA_CALL_HEADERS,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    headers->keep_alive_n = -1;

    (void) ngx_http_waha_call_header(headers, "Accept", "accept",
                                     &call->accept);

    if (call->body.len == 0) {
        headers->content_length_n =
            (call->method & (NGX_HTTP_POST|NGX_HTTP_PUT)) ? 0 : -1;
        return NGX_OK;
    }

    length.data = ngx_pnalloc(r->pool, NGX_SIZE_T_LEN);
    if (length.data == NULL) {
        return NGX_ERROR;
    }

    length.len = ngx_sprintf(length.data, "%uz", call->body.len)
                 - length.data;

    headers->content_length_n = call->body.len;
    headers->content_length = ngx_http_waha_call_header(headers,
                                                        "Content-Length",
                                                        "content-length",
                                                        &length);
    headers->content_type = ngx_http_waha_call_header(headers,
                                                   "Content-Type",
                                                   "content-type",
                                                   &ngx_http_waha_call_json);

    return NGX_OK;
}


static ngx_table_elt_t *
ngx_http_waha_call_header(ngx_http_headers_in_t *headers, const char *name,
    const char *lowcase, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    /* cannot fail within the first part, which is there */

    h = ngx_list_push(&headers->headers);

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;
    h->lowcase_key = (u_char *) lowcase;
    h->hash = ngx_hash_key(h->lowcase_key, h->key.len);

    return h;
}


static ngx_http_request_body_t *
ngx_http_waha_call_body(ngx_http_request_t *r, ngx_http_waha_call_t *call)
{
    ngx_buf_t                *b;
    ngx_http_request_body_t  *rb;

    rb = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
    if (rb == NULL) {
        return NULL;
    }

    if (call->body.len == 0) {
        return rb;
    }

    rb->bufs = ngx_alloc_chain_link(r->pool);
    b = ngx_calloc_buf(r->pool);

    if (rb->bufs == NULL || b == NULL) {
        return NULL;
    }

    b->memory = 1;
    b->last_buf = 1;
    b->start = call->body.data;
    b->pos = b->start;
    b->last = b->start + call->body.len;
    b->end = b->last;

    rb->buf = b;
    rb->bufs->buf = b;
    rb->bufs->next = NULL;

    return rb;
}


static void
ngx_http_waha_call_set_method(ngx_http_request_t *sr, ngx_uint_t method)
{
    sr->method = method;

    switch (method) {

    case NGX_HTTP_POST:
        sr->method_name = ngx_http_waha_call_post;
        break;

    case NGX_HTTP_PUT:
        sr->method_name = ngx_http_waha_call_put;
        break;

    case NGX_HTTP_DELETE:
        sr->method_name = ngx_http_waha_call_delete;
        break;

    default:
        sr->method_name = ngx_http_waha_call_get;
    }
}


static ngx_int_t
ngx_http_waha_call_done(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_http_waha_call_t  *call = data;

    if (rc == NGX_HTTP_CLIENT_CLOSED_REQUEST || sr->connection->error) {
        return rc;
    }

    if (!call->done) {
        ngx_http_waha_call_cleanup(call);

        call->done = 1;
        call->outcome = rc;
        call->status = sr->headers_out.status;
        call->type = sr->headers_out.content_type;

        if (rc > NGX_OK && sr->upstream
            && sr->upstream->headers_in.status_n == (ngx_uint_t) rc)
        {
            /* an answer that proxy_intercept_errors has taken away */

            call->outcome = NGX_OK;
            call->status = rc;
            call->complete = 1;
        }

        if (sr->upstream && sr->upstream->headers_in.x_accel_redirect) {

            /* whatever it is, it is not the answer of WAHA */

            call->outcome = NGX_OK;
            call->complete = 0;
        }
    }

    /* an error is for the caller: no error page is made of it */

    return NGX_OK;
}


/* WAHA has not come to an end in time, or not within the size */

static void
ngx_http_waha_call_expire(ngx_event_t *ev)
{
    ngx_connection_t      *c;
    ngx_http_request_t    *sr;
    ngx_http_upstream_t   *u;
    ngx_http_waha_call_t  *call;

    call = ev->data;

    sr = call->subrequest;
    c = sr->connection;
    u = sr->upstream;

    ngx_http_set_log_request(c->log, sr);

    /* other phases, and threads, are not to be disturbed */

    if (u == NULL || u->cleanup == NULL || sr->aio) {
        ngx_add_timer(ev, NGX_HTTP_WAHA_CALL_AGAIN);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, c->log, 0, "WAHA's answer is %s",
                  call->too_big ? "bigger than \"waha_call_size\""
                                : "not complete in \"waha_call_timeout\"");

    ngx_http_waha_call_cleanup(call);

    call->done = 1;
    call->outcome = NGX_HTTP_GATEWAY_TIME_OUT;

    /* ending the upstream takes a count, ending the subrequest another */

    sr->main->count++;

    (*u->cleanup)(sr);

    ngx_http_finalize_request(sr, NGX_OK);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_waha_call_cleanup(void *data)
{
    ngx_http_waha_call_t  *call = data;

    if (call->event.timer_set) {
        ngx_del_timer(&call->event);
    }

    if (call->event.posted) {
        ngx_delete_posted_event(&call->event);
    }
}


/* the parent has the floor again, or its connection became writable */

static void
ngx_http_waha_call_resume(ngx_http_request_t *r)
{
    ngx_http_waha_ctx_t   *ctx;
    ngx_http_waha_call_t  *call;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);
    call = ctx->call;

    if (!call->done) {
        return;
    }

    ctx->call = NULL;

    r->write_event_handler = ngx_http_request_empty_handler;

    call->answer.len = call->last - call->answer.data;

    call->error = ngx_http_waha_call_error(call);

    if (call->error == NGX_HTTP_WAHA_ERR_NONE) {
        call->error = ngx_http_waha_call_parse(r, call);
    }

    call->handler(r, call);
}


static ngx_http_waha_error_e
ngx_http_waha_call_error(ngx_http_waha_call_t *call)
{
    if (call->too_big) {
        return NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER;
    }

    if (call->outcome == NGX_HTTP_GATEWAY_TIME_OUT) {
        return NGX_HTTP_WAHA_ERR_WAHA_TIMEOUT;
    }

    if (call->outcome != NGX_OK) {
        return NGX_HTTP_WAHA_ERR_WAHA_UNAVAILABLE;
    }

    /* what is no HTTP at all passes as HTTP/0.9, without a status */

    if (call->status == 0 || !call->complete) {
        return NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER;
    }

    return NGX_HTTP_WAHA_ERR_NONE;
}


static ngx_http_waha_error_e
ngx_http_waha_call_parse(ngx_http_request_t *r, ngx_http_waha_call_t *call)
{
    u_char      *p, *last;
    ngx_str_t    text;
    ngx_uint_t   replaced;

    last = call->type.data + call->type.len;

    for (p = call->type.data; p < last && *p != ';' && *p != ' '; p++) {
        /* void */
    }

    call->type.len = p - call->type.data;

    if (call->answer.len == 0
        || (!ngx_http_waha_call_is_json(&call->accept)
            && !ngx_http_waha_call_is_json(&call->type)))
    {
        return NGX_HTTP_WAHA_ERR_NONE;
    }

    text = call->answer;

    if (ngx_http_waha_json_clean(r->pool, &text, &replaced) == NGX_OK
        && ngx_http_waha_json_parse(r->pool, &text, &call->json) == NGX_OK)
    {
        call->answer = text;
        return NGX_HTTP_WAHA_ERR_NONE;
    }

    /* a page that tells of an error is known by its status */

    return (call->status < 300) ? NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER
                                : NGX_HTTP_WAHA_ERR_NONE;
}


static ngx_uint_t
ngx_http_waha_call_is_json(ngx_str_t *type)
{
    return type->len == ngx_http_waha_call_json.len
           && ngx_strncasecmp(type->data, ngx_http_waha_call_json.data,
                              type->len)
              == 0;
}


ngx_uint_t
ngx_http_waha_call_made(ngx_http_request_t *r)
{
    return r->post_subrequest
           && r->post_subrequest->handler == ngx_http_waha_call_done;
}


void
ngx_http_waha_call_filter_init(void)
{
    ngx_http_waha_call_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_waha_call_body_filter;
}


/* ctx does not outlive a redirect within the subrequest, this does */

static ngx_int_t
ngx_http_waha_call_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t             *b;
    ngx_http_waha_call_t  *call;

    if (!ngx_http_waha_call_made(r)) {
        return ngx_http_waha_call_next_body_filter(r, in);
    }

    call = r->post_subrequest->data;

    for ( /* void */ ; in; in = in->next) {

        b = in->buf;

        if (ngx_buf_in_memory(b)) {

            if (ngx_http_waha_call_append(r, call, b->pos, b->last - b->pos)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            b->pos = b->last;
        }

        if (b->in_file) {
            b->file_pos = b->file_last;
        }

        if (b->last_buf || b->last_in_chain) {
            call->complete = 1;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_call_append(ngx_http_request_t *sr, ngx_http_waha_call_t *call,
    u_char *data, size_t len)
{
    off_t    expected;
    u_char  *p;
    size_t   used, size;

    used = call->last - call->answer.data;

    if (call->too_big || len > call->limit - used) {
        call->too_big = 1;

        /* it may have no end; a filter that fails would end the client, too */

        ngx_post_event(&call->event, &ngx_posted_events);

        return NGX_OK;
    }

    if (len > (size_t) (call->end - call->last)) {

        expected = sr->headers_out.content_length_n;

        size = (used) ? 2 * used : NGX_HTTP_WAHA_CALL_BUFFER;
        size = ngx_max(size, used + len);

        if (used == 0 && expected > (off_t) size) {
            size = (size_t) ngx_min(expected, (off_t) call->limit);
        }

        p = ngx_pnalloc(sr->pool, size);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (used) {
            ngx_memcpy(p, call->answer.data, used);
            (void) ngx_pfree(sr->pool, call->answer.data);
        }

        call->answer.data = p;
        call->last = p + used;
        call->end = p + size;
    }

    call->last = ngx_cpymem(call->last, data, len);

    return NGX_OK;
}
