
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_fetch.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_request.h>


#define NGX_HTTP_WAHA_FETCH_BUFFER   4096
#define NGX_HTTP_WAHA_FETCH_HEADERS  4

/* milliseconds until a call that could not be ended is tried again */

#define NGX_HTTP_WAHA_FETCH_AGAIN    100


static ngx_int_t ngx_http_waha_fetch_init(ngx_http_request_t *r,
    ngx_http_waha_fetch_t *fetch, ngx_http_waha_instance_t *instance,
    const ngx_http_waha_fetch_request_t *request);
static ngx_int_t ngx_http_waha_fetch_headers(ngx_http_request_t *r,
    ngx_http_waha_fetch_t *fetch,
    const ngx_http_waha_fetch_request_t *request,
    ngx_http_headers_in_t *headers);
static ngx_table_elt_t *ngx_http_waha_fetch_header(
    ngx_http_headers_in_t *headers, const char *name, const char *lowcase,
    ngx_str_t *value);
static ngx_http_request_body_t *ngx_http_waha_fetch_body(
    ngx_http_request_t *r, const ngx_str_t *body);
static void ngx_http_waha_fetch_set_method(ngx_http_request_t *sr,
    ngx_uint_t method);
static ngx_int_t ngx_http_waha_fetch_done(ngx_http_request_t *sr, void *data,
    ngx_int_t rc);
static void ngx_http_waha_fetch_expire(ngx_event_t *ev);
static void ngx_http_waha_fetch_cleanup(void *data);
static void ngx_http_waha_fetch_resume(ngx_http_request_t *r);
static ngx_http_waha_error_e ngx_http_waha_fetch_error(
    ngx_http_waha_fetch_t *fetch);
static ngx_http_waha_error_e ngx_http_waha_fetch_parse(
    ngx_http_waha_fetch_t *fetch);
static ngx_uint_t ngx_http_waha_fetch_is_json(ngx_str_t *type);
static ngx_int_t ngx_http_waha_fetch_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_waha_fetch_append(ngx_http_request_t *sr,
    ngx_http_waha_fetch_t *fetch, u_char *data, size_t len);


static ngx_str_t  ngx_http_waha_fetch_json = ngx_string("application/json");

static ngx_str_t  ngx_http_waha_fetch_get = ngx_string("GET");
static ngx_str_t  ngx_http_waha_fetch_post = ngx_string("POST");
static ngx_str_t  ngx_http_waha_fetch_put = ngx_string("PUT");
static ngx_str_t  ngx_http_waha_fetch_delete = ngx_string("DELETE");


static ngx_http_output_body_filter_pt  ngx_http_waha_fetch_next_body_filter;


ngx_int_t
ngx_http_waha_fetch_start(ngx_http_request_t *r,
    ngx_http_waha_fetch_t *fetch, ngx_http_waha_instance_t *instance,
    const ngx_http_waha_fetch_request_t *request)
{
    ngx_http_request_t          *sr;
    ngx_pool_cleanup_t          *cln;
    ngx_http_waha_ctx_t         *ctx;
    ngx_http_headers_in_t        headers;
    ngx_http_request_body_t     *rb;
    ngx_http_waha_loc_conf_t    *wlcf;
    ngx_http_core_main_conf_t   *cmcf;
    ngx_http_variable_value_t   *variables;
    ngx_http_post_subrequest_t  *ps;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    /* nothing may fail once the subrequest exists */

    ctx = ngx_http_waha_request_ctx(r);
    rb = ngx_http_waha_fetch_body(r, &request->body);
    cln = ngx_pool_cleanup_add(r->pool, 0);
    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    variables = ngx_pcalloc(r->pool, cmcf->variables.nelts
                                     * sizeof(ngx_http_variable_value_t));

    if (ctx == NULL || rb == NULL || cln == NULL || ps == NULL
        || variables == NULL
        || ngx_http_waha_fetch_init(r, fetch, instance, request) != NGX_OK
        || ngx_http_waha_fetch_headers(r, fetch, request, &headers) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ps->handler = ngx_http_waha_fetch_done;
    ps->data = fetch;

    if (ngx_http_subrequest(r, &fetch->uri, &fetch->args, &sr, ps,
                            NGX_HTTP_SUBREQUEST_IN_MEMORY
                            |NGX_HTTP_SUBREQUEST_WAITED)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_waha_fetch_set_method(sr, request->method);

    sr->headers_in = headers;
    sr->headers_in.headers.last = &sr->headers_in.headers.part;

    sr->request_body = rb;
    sr->variables = variables;
    sr->unparsed_uri = fetch->uri;

    fetch->subrequest = sr;

    ngx_add_timer(&fetch->event,
                  request->look ? ngx_min(wlcf->fetch->look_timeout,
                                          wlcf->fetch->timeout)
                                : wlcf->fetch->timeout);

    cln->handler = ngx_http_waha_fetch_cleanup;
    cln->data = fetch;

    ctx->fetch = fetch;

    r->write_event_handler = ngx_http_waha_fetch_resume;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_fetch_init(ngx_http_request_t *r, ngx_http_waha_fetch_t *fetch,
    ngx_http_waha_instance_t *instance,
    const ngx_http_waha_fetch_request_t *request)
{
    u_char                    *p;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    fetch->uri.len = instance->uri.len + request->path.len;

    fetch->uri.data = ngx_pnalloc(r->pool, fetch->uri.len);
    if (fetch->uri.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(fetch->uri.data, instance->uri.data, instance->uri.len);
    ngx_memcpy(p, request->path.data, request->path.len);

    fetch->request = r;
    fetch->args = request->args;
    fetch->accept = request->accept.len ? request->accept
                                        : ngx_http_waha_fetch_json;
    fetch->size = wlcf->fetch->size;

    fetch->error = NGX_HTTP_WAHA_ERR_NONE;
    fetch->status = 0;
    ngx_str_null(&fetch->type);
    ngx_str_null(&fetch->answer);
    fetch->json = NULL;

    fetch->outcome = NGX_OK;
    fetch->last = NULL;
    fetch->end = NULL;
    fetch->done = 0;
    fetch->complete = 0;
    fetch->too_big = 0;

    ngx_memzero(&fetch->event, sizeof(ngx_event_t));

    fetch->event.handler = ngx_http_waha_fetch_expire;
    fetch->event.data = fetch;
    fetch->event.log = r->connection->log;

    return NGX_OK;
}


/* the structure is copied, so its list must have one part only */

static ngx_int_t
ngx_http_waha_fetch_headers(ngx_http_request_t *r,
    ngx_http_waha_fetch_t *fetch,
    const ngx_http_waha_fetch_request_t *request,
    ngx_http_headers_in_t *headers)
{
    ngx_str_t  length;

    ngx_memzero(headers, sizeof(ngx_http_headers_in_t));

    if (ngx_list_init(&headers->headers, r->pool, NGX_HTTP_WAHA_FETCH_HEADERS,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    headers->keep_alive_n = -1;

    (void) ngx_http_waha_fetch_header(headers, "Accept", "accept",
                                      &fetch->accept);

    if (request->body.len == 0) {
        headers->content_length_n =
            (request->method & (NGX_HTTP_POST|NGX_HTTP_PUT)) ? 0 : -1;
        return NGX_OK;
    }

    length.data = ngx_pnalloc(r->pool, NGX_SIZE_T_LEN);
    if (length.data == NULL) {
        return NGX_ERROR;
    }

    length.len = ngx_sprintf(length.data, "%uz", request->body.len)
                 - length.data;

    headers->content_length_n = request->body.len;
    headers->content_length = ngx_http_waha_fetch_header(headers,
                                                         "Content-Length",
                                                         "content-length",
                                                         &length);
    headers->content_type = ngx_http_waha_fetch_header(headers,
                                                   "Content-Type",
                                                   "content-type",
                                                   &ngx_http_waha_fetch_json);

    return NGX_OK;
}


static ngx_table_elt_t *
ngx_http_waha_fetch_header(ngx_http_headers_in_t *headers, const char *name,
    const char *lowcase, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    /* the first part of the list is allocated: this cannot fail */

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
ngx_http_waha_fetch_body(ngx_http_request_t *r, const ngx_str_t *body)
{
    ngx_buf_t                *b;
    ngx_http_request_body_t  *rb;

    rb = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
    if (rb == NULL) {
        return NULL;
    }

    if (body->len == 0) {
        return rb;
    }

    rb->bufs = ngx_alloc_chain_link(r->pool);
    b = ngx_calloc_buf(r->pool);

    if (rb->bufs == NULL || b == NULL) {
        return NULL;
    }

    b->memory = 1;
    b->last_buf = 1;
    b->start = body->data;
    b->pos = b->start;
    b->last = b->start + body->len;
    b->end = b->last;

    rb->buf = b;
    rb->bufs->buf = b;
    rb->bufs->next = NULL;

    return rb;
}


static void
ngx_http_waha_fetch_set_method(ngx_http_request_t *sr, ngx_uint_t method)
{
    sr->method = method;

    switch (method) {

    case NGX_HTTP_POST:
        sr->method_name = ngx_http_waha_fetch_post;
        break;

    case NGX_HTTP_PUT:
        sr->method_name = ngx_http_waha_fetch_put;
        break;

    case NGX_HTTP_DELETE:
        sr->method_name = ngx_http_waha_fetch_delete;
        break;

    default:
        sr->method_name = ngx_http_waha_fetch_get;
    }
}


static ngx_int_t
ngx_http_waha_fetch_done(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_http_waha_fetch_t  *fetch = data;

    if (rc == NGX_HTTP_CLIENT_CLOSED_REQUEST || sr->connection->error) {
        return rc;
    }

    if (!fetch->done) {
        ngx_http_waha_fetch_cleanup(fetch);

        fetch->done = 1;
        fetch->outcome = rc;
        fetch->status = sr->headers_out.status;
        fetch->type = sr->headers_out.content_type;

        if (rc > NGX_OK && sr->upstream
            && sr->upstream->headers_in.status_n == (ngx_uint_t) rc)
        {
            /* "proxy_intercept_errors" replaced WAHA's answer */

            fetch->outcome = NGX_OK;
            fetch->status = rc;
            fetch->complete = 1;
        }

        if (sr->upstream && sr->upstream->headers_in.x_accel_redirect) {

            /* a redirect was followed: this is not WAHA's answer */

            fetch->outcome = NGX_OK;
            fetch->complete = 0;
        }
    }

    /* NGX_OK: nginx makes no error page, the caller handles errors */

    return NGX_OK;
}


/* the time is up, or the answer is too big */

static void
ngx_http_waha_fetch_expire(ngx_event_t *ev)
{
    ngx_connection_t       *c;
    ngx_http_request_t     *sr;
    ngx_http_upstream_t    *u;
    ngx_http_waha_fetch_t  *fetch;

    fetch = ev->data;

    sr = fetch->subrequest;
    c = sr->connection;
    u = sr->upstream;

    ngx_http_set_log_request(c->log, sr);

    /* nginx is in another phase, or a thread works for it: wait */

    if (u == NULL || u->cleanup == NULL || sr->aio) {
        ngx_add_timer(ev, NGX_HTTP_WAHA_FETCH_AGAIN);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, c->log, 0, "waha: WAHA's answer is %s",
                  fetch->too_big ? "bigger than \"waha_call_size\""
                                 : "not complete in \"waha_call_timeout\"");

    ngx_http_waha_fetch_cleanup(fetch);

    fetch->done = 1;
    fetch->outcome = NGX_HTTP_GATEWAY_TIME_OUT;

    /* cleanup() and ngx_http_finalize_request() each drop a count */

    sr->main->count++;

    (*u->cleanup)(sr);

    ngx_http_finalize_request(sr, NGX_OK);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_waha_fetch_cleanup(void *data)
{
    ngx_http_waha_fetch_t  *fetch = data;

    if (fetch->event.timer_set) {
        ngx_del_timer(&fetch->event);
    }

    if (fetch->event.posted) {
        ngx_delete_posted_event(&fetch->event);
    }
}


/* the subrequest has ended, or the client's connection became writable */

static void
ngx_http_waha_fetch_resume(ngx_http_request_t *r)
{
    ngx_http_waha_ctx_t    *ctx;
    ngx_http_waha_fetch_t  *fetch;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);
    fetch = ctx->fetch;

    if (!fetch->done) {
        return;
    }

    ctx->fetch = NULL;

    r->write_event_handler = ngx_http_request_empty_handler;

    fetch->answer.len = fetch->last - fetch->answer.data;

    fetch->error = ngx_http_waha_fetch_error(fetch);

    if (fetch->error == NGX_HTTP_WAHA_ERR_NONE) {
        fetch->error = ngx_http_waha_fetch_parse(fetch);
    }

    fetch->handler(fetch);
}


static ngx_http_waha_error_e
ngx_http_waha_fetch_error(ngx_http_waha_fetch_t *fetch)
{
    if (fetch->too_big) {
        return NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER;
    }

    if (fetch->outcome == NGX_HTTP_GATEWAY_TIME_OUT) {
        return NGX_HTTP_WAHA_ERR_WAHA_TIMEOUT;
    }

    if (fetch->outcome != NGX_OK) {
        return NGX_HTTP_WAHA_ERR_WAHA_UNAVAILABLE;
    }

    /* nginx takes bytes that are no HTTP for HTTP/0.9, without a status */

    if (fetch->status == 0 || !fetch->complete) {
        return NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER;
    }

    return NGX_HTTP_WAHA_ERR_NONE;
}


static ngx_http_waha_error_e
ngx_http_waha_fetch_parse(ngx_http_waha_fetch_t *fetch)
{
    u_char      *p, *last;
    ngx_int_t    rc;
    ngx_str_t    text;
    ngx_uint_t   replaced;
    ngx_pool_t  *pool;

    pool = fetch->request->pool;

    last = fetch->type.data + fetch->type.len;

    for (p = fetch->type.data; p < last && *p != ';' && *p != ' '; p++) {
        /* void */
    }

    fetch->type.len = p - fetch->type.data;

    if (fetch->answer.len == 0
        || (!ngx_http_waha_fetch_is_json(&fetch->accept)
            && !ngx_http_waha_fetch_is_json(&fetch->type)))
    {
        return NGX_HTTP_WAHA_ERR_NONE;
    }

    text = fetch->answer;

    rc = ngx_http_waha_json_clean(pool, &text, &replaced);

    if (rc == NGX_OK) {
        rc = ngx_http_waha_json_parse(pool, &text, &fetch->json);
    }

    if (rc == NGX_OK) {
        fetch->answer = text;
        return NGX_HTTP_WAHA_ERR_NONE;
    }

    if (rc != NGX_DECLINED) {
        return NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY;
    }

    /* an error page need not be JSON: its status says enough */

    return (fetch->status < 300) ? NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER
                                 : NGX_HTTP_WAHA_ERR_NONE;
}


static ngx_uint_t
ngx_http_waha_fetch_is_json(ngx_str_t *type)
{
    return type->len == ngx_http_waha_fetch_json.len
           && ngx_strncasecmp(type->data, ngx_http_waha_fetch_json.data,
                              type->len)
              == 0;
}


ngx_uint_t
ngx_http_waha_fetch_is_subrequest(ngx_http_request_t *r)
{
    return r->post_subrequest
           && r->post_subrequest->handler == ngx_http_waha_fetch_done;
}


void
ngx_http_waha_fetch_filter_init(void)
{
    ngx_http_waha_fetch_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_waha_fetch_body_filter;
}


/* a redirect within the subrequest clears its ctx, but not post_subrequest */

static ngx_int_t
ngx_http_waha_fetch_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t              *b;
    ngx_http_waha_fetch_t  *fetch;

    if (!ngx_http_waha_fetch_is_subrequest(r)) {
        return ngx_http_waha_fetch_next_body_filter(r, in);
    }

    fetch = r->post_subrequest->data;

    for ( /* void */ ; in; in = in->next) {

        b = in->buf;

        if (ngx_buf_in_memory(b)) {

            if (ngx_http_waha_fetch_append(r, fetch, b->pos, b->last - b->pos)
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
            fetch->complete = 1;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_fetch_append(ngx_http_request_t *sr, ngx_http_waha_fetch_t *fetch,
    u_char *data, size_t len)
{
    off_t    expected;
    u_char  *p;
    size_t   used, size;

    used = fetch->last - fetch->answer.data;

    if (fetch->too_big || len > fetch->size - used) {
        fetch->too_big = 1;

        /*
         * the answer may never end; an error here would end the client's
         * request as well
         */

        ngx_post_event(&fetch->event, &ngx_posted_events);

        return NGX_OK;
    }

    if (len > (size_t) (fetch->end - fetch->last)) {

        expected = sr->headers_out.content_length_n;

        size = (used) ? 2 * used : NGX_HTTP_WAHA_FETCH_BUFFER;
        size = ngx_max(size, used + len);

        if (used == 0 && expected > (off_t) size) {
            size = (size_t) ngx_min(expected, (off_t) fetch->size);
        }

        p = ngx_pnalloc(sr->pool, size);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (used) {
            ngx_memcpy(p, fetch->answer.data, used);
            (void) ngx_pfree(sr->pool, fetch->answer.data);
        }

        fetch->answer.data = p;
        fetch->last = p + used;
        fetch->end = p + size;
    }

    fetch->last = ngx_cpymem(fetch->last, data, len);

    return NGX_OK;
}
