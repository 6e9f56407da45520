
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_GRAPH_H_INCLUDED_
#define _NGX_HTTP_WAHA_GRAPH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_fetch.h>


/* codes of Graph's errors that a plan asks for */

#define NGX_HTTP_WAHA_GRAPH_PARAMETER  100
#define NGX_HTTP_WAHA_GRAPH_OBJECT     33
#define NGX_HTTP_WAHA_GRAPH_CALLBACK   2200


/*
 * Puts an access token into a request to Graph, and with the secret of its
 * app, unless that is empty, the proof that we have the secret, which some
 * apps demand.  Memory is of the pool, and wiped with it.  NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_http_waha_graph_authorize(ngx_pool_t *pool,
    ngx_http_waha_fetch_request_t *request, const ngx_str_t *token,
    const ngx_str_t *secret);

/*
 * What the outcome of a request means; ..._NONE: success, and fetch->json is
 * there.  Graph's own code decides, not the HTTP status.
 */
ngx_http_waha_error_e ngx_http_waha_graph_error(
    const ngx_http_waha_fetch_t *fetch);

/* The code or the subcode of Graph's error; -1: there is none. */
ngx_int_t ngx_http_waha_graph_code(const cJSON *json);
ngx_int_t ngx_http_waha_graph_subcode(const cJSON *json);

/* Whether Graph says that there is no such object, or none for this token. */
ngx_uint_t ngx_http_waha_graph_is_missing(const cJSON *json);


#endif /* _NGX_HTTP_WAHA_GRAPH_H_INCLUDED_ */
