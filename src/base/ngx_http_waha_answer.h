
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_ANSWER_H_INCLUDED_
#define _NGX_HTTP_WAHA_ANSWER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* a way to fail, as README's table lists it */

typedef struct {
    const char  *code;
    ngx_uint_t   status;
    const char  *message;
} ngx_http_waha_refusal_t;


/*
 * Sends JSON as the whole response.  The result is for
 * ngx_http_finalize_request() or to be returned by a content handler.
 */
ngx_int_t ngx_http_waha_answer(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json);

/* The same for {"success":true,"data":<data>}. */
ngx_int_t ngx_http_waha_answer_data(ngx_http_request_t *r, ngx_str_t *data);

/* The same for bytes of another type. */
ngx_int_t ngx_http_waha_answer_bytes(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_str_t *bytes);

/* The refusal with that code; NULL: it is not the code of a refusal. */
const ngx_http_waha_refusal_t *ngx_http_waha_refusal(const char *code);

/* The same, shown as $waha_action.  NULL: no memory. */
const ngx_http_waha_refusal_t *ngx_http_waha_refused(ngx_http_request_t *r,
    const char *code);

/* Sends the refusal, shown as $waha_action; 503 and 429 ask to retry. */
ngx_int_t ngx_http_waha_refuse(ngx_http_request_t *r, const char *code);

/* The same with more for programs: JSON that becomes "data"; may be NULL. */
ngx_int_t ngx_http_waha_refuse_data(ngx_http_request_t *r, const char *code,
    ngx_str_t *data);

/* Adds a header to the response; constant strings. */
ngx_int_t ngx_http_waha_answer_header(ngx_http_request_t *r,
    const char *name, const char *value);


#endif /* _NGX_HTTP_WAHA_ANSWER_H_INCLUDED_ */
