
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_VALUE_H_INCLUDED_
#define _NGX_HTTP_WAHA_VALUE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Predicates: whether a value of a request is what the name says. */

/* UTF-8 without control characters; *characters is then its length. */
ngx_uint_t ngx_http_waha_value_is_text(ngx_str_t *value, size_t *characters);

/* A text of 1 to 255 bytes: the slug or the id of an organization. */
ngx_uint_t ngx_http_waha_value_is_slug(ngx_str_t *value);

/*
 * The name of a session: 1 to 64 letters, digits, "_", "-" and ".", not
 * beginning with ".".  WAHA does not accept "." in names, but a CRM may have
 * it in its own ids of sessions.
 */
ngx_uint_t ngx_http_waha_value_is_session(ngx_str_t *value);

/* min to max digits, not beginning with "0"; min is at least 1. */
ngx_uint_t ngx_http_waha_value_is_digits(ngx_str_t *value, size_t min,
    size_t max);

/* A positive number that bigint holds. */
ngx_uint_t ngx_http_waha_value_is_id(ngx_str_t *value);

/* A decimal number from min to max; min is at least 0. */
ngx_uint_t ngx_http_waha_value_is_number(ngx_str_t *value, ngx_int_t min,
    ngx_int_t max);


/*
 * Parsers.  NGX_DECLINED: the text is not what the name says.  Those that get
 * a pool allocate the result from it; NGX_ERROR: no memory.
 */

/*
 * Parses a query string into decoded names and values, an array of
 * ngx_keyval_t; the data of a value without "=" is NULL.  Never declines.
 */
ngx_int_t ngx_http_waha_value_parse_query(ngx_pool_t *pool, ngx_str_t *args,
    ngx_array_t **list);

/*
 * Reduces a phone number to its 7 to 15 digits; "+", "00" in front, and
 * punctuation are dropped.
 */
ngx_int_t ngx_http_waha_value_parse_phone(ngx_pool_t *pool,
    ngx_str_t *value);

/* Replaces true, 1, false and 0 by PostgreSQL's "t" or "f". */
ngx_int_t ngx_http_waha_value_parse_flag(ngx_str_t *value);


#endif /* _NGX_HTTP_WAHA_VALUE_H_INCLUDED_ */
