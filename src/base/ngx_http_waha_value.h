
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_VALUE_H_INCLUDED_
#define _NGX_HTTP_WAHA_VALUE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The names and values (ngx_keyval_t) of a query string, decoded into memory
 * of the pool; what has no "=" is left out.  NULL: no memory.
 */
ngx_array_t *ngx_http_waha_value_query(ngx_pool_t *pool, ngx_str_t *args);

/* Whether a value is UTF-8 without controls, and of how many characters. */
ngx_uint_t ngx_http_waha_value_text(ngx_str_t *value, size_t *characters);

/* Whether a value may be the slug, or the id, of an organization. */
ngx_uint_t ngx_http_waha_value_slug(ngx_str_t *value);

/* NGX_DECLINED: not what may be the name of a session. */
ngx_int_t ngx_http_waha_value_session(ngx_str_t *value);

/* NGX_DECLINED: not a positive number of at most 18 digits. */
ngx_int_t ngx_http_waha_value_id(ngx_str_t *value);

/* NGX_DECLINED: not a number from min to max. */
ngx_int_t ngx_http_waha_value_number(ngx_str_t *value, ngx_int_t min,
    ngx_int_t max);

/*
 * Makes 7 to 15 digits, of the pool, of a phone in any spelling, which is a
 * text already.  NGX_DECLINED: it is none; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_value_phone(ngx_pool_t *pool, ngx_str_t *value);

/* Makes "t" or "f" of true, 1, false or 0.  NGX_DECLINED: it is none. */
ngx_int_t ngx_http_waha_value_flag(ngx_str_t *value);


#endif /* _NGX_HTTP_WAHA_VALUE_H_INCLUDED_ */
