
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_fetch.h>


#define NGX_HTTP_WAHA_FETCH_BUFFER  4096


static ngx_int_t ngx_http_waha_fetch_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_waha_fetch_filter_append(ngx_http_request_t *sr,
    ngx_http_waha_fetch_t *fetch, u_char *data, size_t len);
static ngx_int_t ngx_http_waha_fetch_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_waha_fetch_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_waha_fetch_filter_init,       /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


/*
 * a module of its own, as its filter runs after those that change a body,
 * such as gunzip, see "config"
 */

ngx_module_t  ngx_http_waha_fetch_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_waha_fetch_filter_module_ctx,  /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_body_filter_pt  ngx_http_waha_fetch_filter_next;


static ngx_int_t
ngx_http_waha_fetch_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t              *b;
    ngx_http_request_t     *sr;
    ngx_http_waha_fetch_t  *fetch;

    for (sr = r; sr != r->main; sr = sr->parent) {

        if (ngx_http_waha_fetch_is_subrequest(sr)) {
            break;
        }
    }

    if (sr == r->main) {
        return ngx_http_waha_fetch_filter_next(r, in);
    }

    fetch = sr->post_subrequest->data;

    for ( /* void */ ; in; in = in->next) {

        b = in->buf;

        /* what SSI or "add_before_body" asked for is no answer of WAHA */

        if (r == sr
            && ngx_buf_in_memory(b)
            && ngx_http_waha_fetch_filter_append(r, fetch, b->pos,
                                                 b->last - b->pos)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        b->pos = b->last;

        if (b->in_file) {
            b->file_pos = b->file_last;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_fetch_filter_append(ngx_http_request_t *sr,
    ngx_http_waha_fetch_t *fetch, u_char *data, size_t len)
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


static ngx_int_t
ngx_http_waha_fetch_filter_init(ngx_conf_t *cf)
{
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);

    if (wmcf->api && wmcf->guards) {
        ngx_http_waha_fetch_filter_next = ngx_http_top_body_filter;
        ngx_http_top_body_filter = ngx_http_waha_fetch_filter;
    }

    return NGX_OK;
}
