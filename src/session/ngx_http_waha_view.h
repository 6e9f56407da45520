
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_VIEW_H_INCLUDED_
#define _NGX_HTTP_WAHA_VIEW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>


/* how answers about sessions look; "data" is how our own routes answer */

typedef enum {
    /* the session is "data" */
    NGX_HTTP_WAHA_VIEW_DATA = 0,

    /* "data" resembles WAHA's own answer */
    NGX_HTTP_WAHA_VIEW_WAHA,

    /* for people: its members stand at the top, beside "data" */
    NGX_HTTP_WAHA_VIEW_FLAT
} ngx_http_waha_view_e;


/* what is to be shown of a session */

typedef struct {
    /* as the database shows it; NULL: there is none */
    const cJSON   *session;

    /* that addresses have to name; data NULL: the caller's own */
    ngx_str_t      organization;

    /* data NULL: none was asked for, or given */
    ngx_str_t      pairing_code;

    /* WAHA could not be asked */
    unsigned       stale:1;
} ngx_http_waha_view_t;


/*
 * Writes the whole answer about a session, or about several, an array; shape
 * is of ngx_http_waha_view_e.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_view_session(ngx_pool_t *pool, ngx_uint_t shape,
    ngx_http_waha_view_t *view, ngx_str_t *json);
ngx_int_t ngx_http_waha_view_sessions(ngx_pool_t *pool, ngx_uint_t shape,
    ngx_http_waha_view_t *view, const cJSON *sessions, ngx_str_t *json);


#endif /* _NGX_HTTP_WAHA_VIEW_H_INCLUDED_ */
