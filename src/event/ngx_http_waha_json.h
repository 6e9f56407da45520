
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_JSON_H_INCLUDED_
#define _NGX_HTTP_WAHA_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>


#define NGX_HTTP_WAHA_JSON_DEPTH  64
#define NGX_HTTP_WAHA_JSON_NODES  20000


/*
 * Makes bytes fit for a parser and for PostgreSQL: bad UTF-8, NUL (raw or
 * as an escape) and lone surrogates become U+FFFD, and *replaced is set.
 * text is changed to a new buffer of pool only when something had to be
 * replaced.  NGX_DECLINED: nested deeper or with more values than above.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_json_clean(ngx_pool_t *pool, ngx_str_t *text,
    ngx_uint_t *replaced);

/*
 * Parses clean bytes, all of them, into a tree of pool (never to be given
 * to cJSON_Delete()).  NULL: not JSON, or no memory.
 */
cJSON *ngx_http_waha_json_parse(ngx_pool_t *pool, ngx_str_t *text);

/* Prints a tree without white space, into pool.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_waha_json_print(ngx_pool_t *pool, cJSON *json,
    ngx_str_t *text);

/*
 * A member by its exact name; of several with that name the first counts.
 * NULL for NULL, for what is not an object and for JSON null.
 */
cJSON *ngx_http_waha_json_get(const cJSON *object, const char *name);

/* The same for a string: an empty ngx_str_t with data NULL if it is none. */
ngx_str_t ngx_http_waha_json_string(const cJSON *object, const char *name);


#endif /* _NGX_HTTP_WAHA_JSON_H_INCLUDED_ */
