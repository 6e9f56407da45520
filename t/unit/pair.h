
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PAIR_H_INCLUDED_
#define _NGX_HTTP_WAHA_PAIR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Reads {"messages":[{"session","id","phone","text"},...]}. */
ngx_int_t ngx_http_waha_pair_parse(ngx_pool_t *pool, ngx_str_t *body,
    ngx_array_t *events);


#endif /* _NGX_HTTP_WAHA_PAIR_H_INCLUDED_ */
