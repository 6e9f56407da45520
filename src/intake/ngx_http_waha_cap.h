
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CAP_H_INCLUDED_
#define _NGX_HTTP_WAHA_CAP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* how many of the last batches that were timed are remembered */

#define NGX_HTTP_WAHA_CAP_MEMORY  5


/* how many batches may be under way side by side */

typedef struct {
    ngx_uint_t    value;
    ngx_uint_t    max;

    /* what each of the last batches that were timed was in favour of */
    ngx_uint_t    wanted[NGX_HTTP_WAHA_CAP_MEMORY];
    ngx_uint_t    timed;

    /* batches since one was timed */
    ngx_uint_t    untimed;
} ngx_http_waha_cap_t;


void ngx_http_waha_cap_init(ngx_http_waha_cap_t *cap, ngx_uint_t max);

/* Whether the next batch is to be timed. */
ngx_uint_t ngx_http_waha_cap_is_due(ngx_http_waha_cap_t *cap);

/* Follows the times that a batch has taken; execution is zero: not known. */
void ngx_http_waha_cap_follow(ngx_http_waha_cap_t *cap, ngx_uint_t execution,
    ngx_uint_t commit);


#endif /* _NGX_HTTP_WAHA_CAP_H_INCLUDED_ */
