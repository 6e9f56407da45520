
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_fetch.h>
#include <ngx_http_waha_guard.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_reason.h>
#include <ngx_http_waha_request.h>


#define NGX_HTTP_WAHA_FETCH_HEADERS  4

/* milliseconds until a fetch that could not be ended is tried again */

#define NGX_HTTP_WAHA_FETCH_AGAIN    100


static ngx_int_t ngx_http_waha_fetch_init(ngx_http_request_t *r,
    ngx_http_waha_fetch_t *fetch, ngx_http_waha_instance_t *instance,
    const ngx_http_waha_fetch_request_t *request);
static ngx_int_t ngx_http_waha_fetch_headers(ngx_http_request_t *r,
    ngx_http_waha_fetch_t *fetch,
    const ngx_http_waha_fetch_request_t *request,
    ngx_http_headers_in_t *headers);
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
static ngx_int_t ngx_http_waha_fetch_parse(ngx_http_waha_fetch_t *fetch);
static void ngx_http_waha_fetch_log(ngx_http_waha_fetch_t *fetch);
static ngx_uint_t ngx_http_waha_fetch_is_json(ngx_str_t *type);
static ngx_int_t ngx_http_waha_fetch_end_filter(ngx_http_request_t *r,
    ngx_chain_t *in);


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
                            NGX_HTTP_SUBREQUEST_WAITED)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_waha_fetch_set_method(sr, request->method);

    sr->headers_in = headers;
    sr->request_body = rb;
    sr->variables = variables;
    sr->unparsed_uri = fetch->unparsed_uri;
    sr->filter_need_in_memory = 1;

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

    fetch->uri.data = ngx_pnalloc(r->pool, fetch->uri.len + sizeof("?") - 1
                                           + request->args.len);
    if (fetch->uri.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(fetch->uri.data, instance->uri.data, instance->uri.len);
    p = ngx_cpymem(p, request->path.data, request->path.len);

    fetch->unparsed_uri = fetch->uri;

    if (request->args.len) {
        *p++ = '?';
        p = ngx_cpymem(p, request->args.data, request->args.len);
        fetch->unparsed_uri.len = p - fetch->unparsed_uri.data;
    }

    fetch->request = r;
    fetch->instance = instance;
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
    fetch->local = 0;
    fetch->too_big = 0;

    ngx_memzero(&fetch->event, sizeof(ngx_event_t));

    fetch->event.handler = ngx_http_waha_fetch_expire;
    fetch->event.data = fetch;
    fetch->event.log = r->connection->log;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_fetch_headers(ngx_http_request_t *r,
    ngx_http_waha_fetch_t *fetch,
    const ngx_http_waha_fetch_request_t *request,
    ngx_http_headers_in_t *headers)
{
    ngx_str_t                 length;
    const ngx_str_t          *type;
    ngx_http_waha_forward_t  *forward;

    forward = &fetch->forward;

    if (ngx_http_waha_forward_init(forward, r->pool,
                                   NGX_HTTP_WAHA_FETCH_HEADERS)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    (void) ngx_http_waha_forward_add(forward, "Accept", "accept",
                                     &fetch->accept);

    if (request->authorization.len) {
        (void) ngx_http_waha_forward_add(forward, "Authorization",
                                         "authorization",
                                         &request->authorization);
    }

    *headers = r->headers_in;

    headers->content_length = NULL;
    headers->content_type = NULL;
    headers->chunked = 0;

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
    headers->content_length = ngx_http_waha_forward_add(forward,
                                                       "Content-Length",
                                                       "content-length",
                                                       &length);
    type = request->type.len ? &request->type : &ngx_http_waha_fetch_json;
    headers->content_type = ngx_http_waha_forward_add(forward,
                                                      "Content-Type",
                                                      "content-type", type);

    return NGX_OK;
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

    /* NGX_AGAIN: a thread reads the answer from a file */

    if (rc == NGX_HTTP_CLIENT_CLOSED_REQUEST
        || rc == NGX_AGAIN
        || sr->connection->error)
    {
        return rc;
    }

    /* a filter may hold back the rest of an answer that was cut off */

    sr->buffered = 0;

    if (!fetch->done) {
        ngx_http_waha_fetch_cleanup(fetch);

        fetch->done = 1;
        fetch->outcome = rc;
        fetch->status = sr->headers_out.status;
        fetch->type = sr->headers_out.content_type;
        fetch->local = !fetch->forward.passed;

        if (ngx_http_waha_guard_is_redirected(sr)) {

            /* what comes is not WAHA's answer */

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

    ngx_log_error(NGX_LOG_ERR, c->log, 0, "waha: %s's answer is %s",
                  fetch->instance->meta ? "Meta" : "WAHA",
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
    ngx_int_t               rc;
    ngx_http_waha_ctx_t    *ctx;
    ngx_http_waha_fetch_t  *fetch;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);
    fetch = ctx->fetch;

    if (!fetch->done || !fetch->subrequest->done) {
        return;
    }

    ctx->fetch = NULL;

    r->write_event_handler = ngx_http_request_empty_handler;

    fetch->answer.len = fetch->last - fetch->answer.data;

    fetch->error = ngx_http_waha_fetch_error(fetch);

    if (fetch->error == NGX_HTTP_WAHA_ERR_NONE) {

        rc = ngx_http_waha_fetch_parse(fetch);

        ngx_http_waha_fetch_log(fetch);

        /* an error page need not be JSON: its status says enough */

        if (rc == NGX_ERROR) {
            fetch->error = NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY;

        } else if (rc == NGX_DECLINED
                   && fetch->status < NGX_HTTP_SPECIAL_RESPONSE)
        {
            fetch->error = NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER;
        }
    }

    fetch->handler(fetch);
}


static ngx_http_waha_error_e
ngx_http_waha_fetch_error(ngx_http_waha_fetch_t *fetch)
{
    if (fetch->too_big) {
        return NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER;
    }

    if (fetch->local) {
        ngx_http_waha_guard_log_local(fetch->request->connection->log,
                                      fetch->instance,
                                      fetch->outcome > NGX_OK
                                      ? (ngx_uint_t) fetch->outcome
                                      : fetch->status);

        return NGX_HTTP_WAHA_ERR_WAHA_UNAVAILABLE;
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


static ngx_int_t
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
        return NGX_OK;
    }

    text = fetch->answer;

    rc = ngx_http_waha_json_clean(pool, &text, &replaced);

    if (rc == NGX_OK) {
        rc = ngx_http_waha_json_parse(pool, &text, &fetch->json);
    }

    if (rc == NGX_OK) {
        fetch->answer = text;
    }

    return rc;
}


static void
ngx_http_waha_fetch_log(ngx_http_waha_fetch_t *fetch)
{
    ngx_uint_t  level;

    if (fetch->instance->meta) {
        ngx_http_waha_reason_log_meta(fetch->request->connection->log,
                                      fetch->status, fetch->json);
        return;
    }

    if (fetch->status >= NGX_HTTP_OK
        && fetch->status < NGX_HTTP_SPECIAL_RESPONSE)
    {
        return;
    }

    /* that a session does not exist yet is no failure */

    level = (fetch->status == NGX_HTTP_NOT_FOUND
             && fetch->subrequest->method == NGX_HTTP_GET)
            ? NGX_LOG_INFO : NGX_LOG_ERR;

    ngx_http_waha_reason_log(fetch->request->connection->log, level,
                             &fetch->instance->name, fetch->status,
                             fetch->json);
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


ngx_http_waha_forward_t *
ngx_http_waha_fetch_forward(ngx_http_request_t *r)
{
    ngx_http_waha_fetch_t  *fetch;

    if (!ngx_http_waha_fetch_is_subrequest(r)) {
        return NULL;
    }

    fetch = r->post_subrequest->data;

    return &fetch->forward;
}


void
ngx_http_waha_fetch_end_filter_init(void)
{
    ngx_http_waha_fetch_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_waha_fetch_end_filter;
}


/* SSI, which comes later, does not pass on the mark of a subrequest's end */

static ngx_int_t
ngx_http_waha_fetch_end_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_chain_t            *cl;
    ngx_http_waha_fetch_t  *fetch;

    if (ngx_http_waha_fetch_is_subrequest(r)) {
        fetch = r->post_subrequest->data;

        for (cl = in; cl; cl = cl->next) {

            if (cl->buf->last_buf || cl->buf->last_in_chain) {
                fetch->complete = 1;
            }
        }
    }

    return ngx_http_waha_fetch_next_body_filter(r, in);
}
