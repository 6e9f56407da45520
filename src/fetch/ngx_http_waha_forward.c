
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_fetch.h>
#include <ngx_http_waha_fetch_conf.h>
#include <ngx_http_waha_forward.h>
#include <ngx_http_waha_media.h>


static ngx_http_waha_forward_t *ngx_http_waha_forward_get(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_waha_forward_drop_pages(ngx_http_request_t *r);
static ngx_int_t ngx_http_waha_forward_content_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_waha_forward_create_request(ngx_http_request_t *r);
static void ngx_http_waha_forward_keep_variables(ngx_http_request_t *r);


ngx_int_t
ngx_http_waha_forward_init(ngx_http_waha_forward_t *forward, ngx_pool_t *pool,
    ngx_uint_t n)
{
    forward->passed = 0;
    forward->handler = NULL;
    forward->create_request = NULL;

    return ngx_list_init(&forward->headers, pool, n, sizeof(ngx_table_elt_t));
}


ngx_table_elt_t *
ngx_http_waha_forward_add(ngx_http_waha_forward_t *forward, const char *name,
    const char *lowcase, const ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    /* the first part of the list is allocated: this cannot fail */

    h = ngx_list_push(&forward->headers);

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;
    h->lowcase_key = (u_char *) lowcase;
    h->hash = ngx_hash_key(h->lowcase_key, h->key.len);

    return h;
}


ngx_int_t
ngx_http_waha_forward_handler(ngx_http_request_t *r)
{
    ngx_http_waha_forward_t  *forward;

    if (!r->internal
        || r->content_handler == NULL
        || (r != r->main && !ngx_http_waha_fetch_is_subrequest(r)))
    {
        return NGX_DECLINED;
    }

    forward = ngx_http_waha_forward_get(r);

    if (forward == NULL
        || r->content_handler == ngx_http_waha_forward_content_handler)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_waha_forward_drop_pages(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    forward->handler = r->content_handler;
    r->content_handler = ngx_http_waha_forward_content_handler;

    return NGX_DECLINED;
}


/* nginx clones a request for slices and to update its cache */

static ngx_http_waha_forward_t *
ngx_http_waha_forward_get(ngx_http_request_t *r)
{
    ngx_http_waha_forward_t  *forward;

    for ( /* void */ ; r != r->main; r = r->parent) {

        forward = ngx_http_waha_fetch_forward(r);

        if (forward) {
            return forward;
        }
    }

    return ngx_http_waha_media_forward(r);
}


/* error pages are for clients, which do not see WAHA's answer */

static ngx_int_t
ngx_http_waha_forward_drop_pages(ngx_http_request_t *r)
{
    void                       **loc_conf;
    ngx_http_core_loc_conf_t    *clcf, *copy;
    ngx_http_waha_loc_conf_t    *wlcf;
    ngx_http_waha_fetch_conf_t  *conf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->error_pages == NULL) {
        return NGX_OK;
    }

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);
    conf = wlcf->fetch;

    if (conf->without_pages == NULL) {

        /* of the cycle: nginx still uses it when the request is freed */

        copy = ngx_palloc(ngx_cycle->pool, sizeof(ngx_http_core_loc_conf_t));
        if (copy == NULL) {
            return NGX_ERROR;
        }

        *copy = *clcf;
        copy->error_pages = NULL;

        conf->without_pages = copy;
    }

    loc_conf = ngx_palloc(r->pool, sizeof(void *) * ngx_http_max_module);
    if (loc_conf == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(loc_conf, r->loc_conf, sizeof(void *) * ngx_http_max_module);

    loc_conf[ngx_http_core_module.ctx_index] = conf->without_pages;
    r->loc_conf = loc_conf;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_forward_content_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_list_t                client;
    ngx_http_upstream_t      *u;
    ngx_http_waha_forward_t  *forward;

    forward = ngx_http_waha_forward_get(r);

    forward->passed = 1;

    ngx_http_waha_forward_keep_variables(r);

    client = r->headers_in.headers;
    r->headers_in.headers = forward->headers;

    rc = forward->handler(r);

    u = r->upstream;

    if (u && u->cleanup == NULL && u->create_request) {

        /* the cache is asked first, and its answer has to be waited for */

        forward->create_request = u->create_request;
        u->create_request = ngx_http_waha_forward_create_request;
    }

    r->headers_in.headers = client;

    return rc;
}


static ngx_int_t
ngx_http_waha_forward_create_request(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_list_t                client;
    ngx_http_waha_forward_t  *forward;

    forward = ngx_http_waha_forward_get(r);

    client = r->headers_in.headers;
    r->headers_in.headers = forward->headers;

    rc = forward->create_request(r);

    r->headers_in.headers = client;

    return rc;
}


/* variables such as $http_x_request_id stay those of the client */

static void
ngx_http_waha_forward_keep_variables(ngx_http_request_t *r)
{
    ngx_uint_t                  i;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (v[i].name.len > 5
            && ngx_strncmp(v[i].name.data, "http_", 5) == 0)
        {
            (void) ngx_http_get_indexed_variable(r, i);
        }
    }
}
