
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_VALUE_H_INCLUDED_
#define _NGX_HTTP_WAHA_VALUE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* predicates: whether a value that a client gave is what the name says */

/* UTF-8 without control characters; *characters: how many, if so. */
ngx_uint_t ngx_http_waha_value_is_text(ngx_str_t *value, size_t *characters);

/* The slug of an organization, or its id: 1 to 255 bytes of such text. */
ngx_uint_t ngx_http_waha_value_is_slug(ngx_str_t *value);

/*
 * The name of a session: 1 to 64 letters, digits, "_", "-" and ".", the
 * first of them not ".".  WAHA itself takes all of these but "."; callers of
 * the API may use it in ids of their own.
 */
ngx_uint_t ngx_http_waha_value_is_session(ngx_str_t *value);

/* A positive number of at most 18 digits. */
ngx_uint_t ngx_http_waha_value_is_id(ngx_str_t *value);

/* A number from min to max. */
ngx_uint_t ngx_http_waha_value_is_number(ngx_str_t *value, ngx_int_t min,
    ngx_int_t max);


/*
 * parsers: NGX_OK, NGX_DECLINED where the text is not what the name says,
 * NGX_ERROR where there is no memory; memory is of the pool
 */

/*
 * The names and values (ngx_keyval_t) of a query string, decoded; the data of
 * a value is NULL where there is no "=".
 */
ngx_int_t ngx_http_waha_value_parse_query(ngx_pool_t *pool, ngx_str_t *args,
    ngx_array_t **list);

/* 7 to 15 digits of a phone number in any spelling; value is a text. */
ngx_int_t ngx_http_waha_value_parse_phone(ngx_pool_t *pool,
    ngx_str_t *value);

/* "t" or "f" for true, 1, false and 0. */
ngx_int_t ngx_http_waha_value_parse_flag(ngx_str_t *value);


#endif /* _NGX_HTTP_WAHA_VALUE_H_INCLUDED_ */
