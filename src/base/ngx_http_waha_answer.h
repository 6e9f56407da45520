
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_ANSWER_H_INCLUDED_
#define _NGX_HTTP_WAHA_ANSWER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Sends JSON as the whole response.  The result is for
 * ngx_http_finalize_request() or to be returned by a content handler.
 */
ngx_int_t ngx_http_waha_answer_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json);

/* The same for {"success":true,"data":<data>}; data is JSON. */
ngx_int_t ngx_http_waha_answer_data(ngx_http_request_t *r, ngx_str_t *data);

/*
 * The same for the members of data, an object with at least one, beside
 * "success".
 */
ngx_int_t ngx_http_waha_answer_members(ngx_http_request_t *r,
    ngx_str_t *data);

/* The same for bytes of another type. */
ngx_int_t ngx_http_waha_answer_bytes(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_str_t *bytes);

/*
 * Adds a header to the response; name and value live as long as r.  NULL: no
 * memory.
 */
ngx_table_elt_t *ngx_http_waha_answer_header(ngx_http_request_t *r,
    const char *name, const char *value);


#endif /* _NGX_HTTP_WAHA_ANSWER_H_INCLUDED_ */
