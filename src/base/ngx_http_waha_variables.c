
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <openssl/evp.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_bearer.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_variables.h>


/* bytes of the SHA-256 of a token that are shown */

#define NGX_HTTP_WAHA_TOKEN_HASH  16


static ngx_int_t ngx_http_waha_variables_string(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_waha_variables_batch(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_waha_variables_db_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_waha_variables_uri(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_waha_variables_token_hash(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_http_waha_variables[] = {

    { ngx_string("waha_organization"), NULL, ngx_http_waha_variables_string,
      offsetof(ngx_http_waha_ctx_t, organization),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("waha_session"), NULL, ngx_http_waha_variables_string,
      offsetof(ngx_http_waha_ctx_t, session),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("waha_event"), NULL, ngx_http_waha_variables_string,
      offsetof(ngx_http_waha_ctx_t, event),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("waha_action"), NULL, ngx_http_waha_variables_string,
      offsetof(ngx_http_waha_ctx_t, action),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("waha_batch"), NULL, ngx_http_waha_variables_batch,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("waha_db_time"), NULL, ngx_http_waha_variables_db_time,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("waha_uri"), NULL, ngx_http_waha_variables_uri,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("waha_token_hash"), NULL, ngx_http_waha_variables_token_hash,
      0, 0, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_waha_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_waha_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_variables_string(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t            *value;
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    value = (ngx_str_t *) ((u_char *) ctx + data);

    if (value->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = value->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = value->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_variables_batch(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    if (ctx == NULL || ctx->records == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(v->data, "%ui", ctx->records) - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* seconds with milliseconds, as $request_time */

static ngx_int_t
ngx_http_waha_variables_db_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_msec_t            ms;
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    if (ctx == NULL || ctx->records == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + 4);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    ms = ctx->db_time;

    v->len = ngx_sprintf(v->data, "%T.%03M", (time_t) ms / 1000, ms % 1000)
             - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* as $uri, but for the id of a connection */

static ngx_int_t
ngx_http_waha_variables_uri(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t            *uri;
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    uri = (ctx && ctx->uri.len) ? &ctx->uri : &r->uri;

    v->len = uri->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = uri->data;

    return NGX_OK;
}


/* before authorization: what the client presents, whether it is valid or not */

static ngx_int_t
ngx_http_waha_variables_token_hash(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char       hash[EVP_MAX_MD_SIZE];
    ngx_str_t    value, token;
    const char  *reason;

    static ngx_str_t  name = ngx_string("authorization");

    if (ngx_http_waha_request_header(r, &name, &value) != NGX_OK
        || ngx_http_waha_bearer_parse_header(&value, &token) != NGX_OK
        || ngx_http_waha_bearer_check_token(&token, &reason) != NGX_OK)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    if (EVP_Digest(token.data, token.len, hash, NULL, EVP_sha256(), NULL)
        != 1)
    {
        return NGX_ERROR;
    }

    v->data = ngx_pnalloc(r->pool, 2 * NGX_HTTP_WAHA_TOKEN_HASH);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(v->data, hash, NGX_HTTP_WAHA_TOKEN_HASH);

    v->len = 2 * NGX_HTTP_WAHA_TOKEN_HASH;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
