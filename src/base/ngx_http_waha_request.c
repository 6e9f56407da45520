
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_error.h>
#include <ngx_http_waha_request.h>


static u_char *ngx_http_waha_request_body_file(ngx_http_request_t *r,
    ngx_buf_t *b, u_char *p);


ngx_http_waha_ctx_t *
ngx_http_waha_request_ctx(ngx_http_request_t *r)
{
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_waha_ctx_t));
        if (ctx == NULL) {
            return NULL;
        }

        ngx_http_set_ctx(r, ctx, ngx_http_waha_module);
    }

    return ctx;
}


ngx_int_t
ngx_http_waha_request_body(ngx_http_request_t *r, ngx_str_t *body)
{
    size_t        len;
    u_char       *p;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        ngx_str_set(body, "");
        return NGX_OK;
    }

    cl = r->request_body->bufs;

    if (cl->next == NULL && ngx_buf_in_memory(cl->buf)) {
        body->data = cl->buf->pos;
        body->len = cl->buf->last - cl->buf->pos;
        return NGX_OK;
    }

    len = 0;

    for ( /* void */ ; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;
    body->len = len;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, b->last - b->pos);
            continue;
        }

        p = ngx_http_waha_request_body_file(r, b, p);
        if (p == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static u_char *
ngx_http_waha_request_body_file(ngx_http_request_t *r, ngx_buf_t *b,
    u_char *p)
{
    off_t    offset;
    ssize_t  n;

    for (offset = b->file_pos; offset < b->file_last; offset += n) {

        n = ngx_read_file(b->file, p, b->file_last - offset, offset);

        if (n == NGX_ERROR) {
            return NULL;
        }

        if (n == 0) {
            ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                          "waha: the request body file \"%V\" is truncated",
                          &b->file->name);
            return NULL;
        }

        p += n;
    }

    return p;
}


ngx_int_t
ngx_http_waha_request_header(ngx_http_request_t *r, const ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_int_t         rc;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    rc = NGX_DECLINED;

    part = &r->headers_in.headers.part;
    header = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return rc;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        if (header[i].key.len != name->len
            || ngx_strncmp(header[i].lowcase_key, name->data, name->len) != 0)
        {
            continue;
        }

        if (rc == NGX_OK) {
            return NGX_ERROR;
        }

        *value = header[i].value;
        rc = NGX_OK;
    }
}


void
ngx_http_waha_request_resume(ngx_http_request_t *r,
    ngx_int_t (*handler)(void *data), void *data)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    /* the handler may end, thus free, the request */

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = handler(data);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, ngx_http_waha_error_result(r, rc));
    }

    ngx_http_run_posted_requests(c);
}


void
ngx_http_waha_request_watch(ngx_http_request_t *r)
{
    ngx_event_t  *rev;

    if (r != r->main) {
        return;
    }

    rev = r->connection->read;

    r->read_event_handler = ngx_http_test_reading;

    /* it may have closed the connection already, and no event will come */

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_events);
    }
}
