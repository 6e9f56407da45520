
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_ARGUMENT_H_INCLUDED_
#define _NGX_HTTP_WAHA_ARGUMENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_api.h>


/* Reads the query of a request.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_waha_argument_read_query(ngx_http_waha_api_t *api);

/*
 * An argument by its name, from the path, the query or the body.
 * value->data is NULL when it is missing, null in the body, or empty in the
 * query.  NGX_DECLINED: it is not what kind says, or given twice; NGX_ERROR:
 * no memory.  Memory is of the request's pool.
 */
ngx_int_t ngx_http_waha_argument_get(ngx_http_waha_api_t *api,
    const char *name, ngx_http_waha_argument_e kind, ngx_str_t *value);

/* A variable segment of the path; data is NULL: the path has none. */
ngx_str_t ngx_http_waha_argument_param(ngx_http_waha_api_t *api,
    const char *name);

/* Sends "invalid_argument", with the name of the argument. */
ngx_int_t ngx_http_waha_argument_refuse(ngx_http_waha_api_t *api,
    const char *name);

/*
 * The text of a member of the body, which is a string, an integer, true or
 * false.  NGX_DECLINED: another value; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_argument_member(ngx_http_waha_api_t *api,
    cJSON *item, ngx_str_t *value);

/*
 * Brings a value into the form that its kind has.  NGX_DECLINED: it is not
 * of that kind; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_argument_check(ngx_pool_t *pool,
    ngx_http_waha_argument_e kind, ngx_str_t *value);


#endif /* _NGX_HTTP_WAHA_ARGUMENT_H_INCLUDED_ */
