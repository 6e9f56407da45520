
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_NUMBER_VIEW_H_INCLUDED_
#define _NGX_HTTP_WAHA_NUMBER_VIEW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_number.h>


/* forms of an answer about a number */

typedef enum {
    /* "data" is the number: the form of the module's own routes */
    NGX_HTTP_WAHA_NUMBER_VIEW_DATA = 0,

    /* members that the guide names stand beside "data" */
    NGX_HTTP_WAHA_NUMBER_VIEW_CONNECT,
    NGX_HTTP_WAHA_NUMBER_VIEW_DISCONNECT,
    NGX_HTTP_WAHA_NUMBER_VIEW_STATUS
} ngx_http_waha_number_view_e;


/*
 * Writes the whole answer.  Memory is of the pool.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_number_view(ngx_pool_t *pool,
    ngx_http_waha_number_view_e form, ngx_http_waha_number_t *number,
    ngx_str_t *json);


#endif /* _NGX_HTTP_WAHA_NUMBER_VIEW_H_INCLUDED_ */
