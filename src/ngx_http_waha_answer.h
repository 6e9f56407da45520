
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
ngx_int_t ngx_http_waha_answer(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json);

/*
 * Sends a failure: code is a stable word of README's table, message a
 * sentence.  503 asks to retry, 405 allows POST.
 */
ngx_int_t ngx_http_waha_answer_error(ngx_http_request_t *r,
    ngx_uint_t status, const char *code, const char *message);


#endif /* _NGX_HTTP_WAHA_ANSWER_H_INCLUDED_ */
