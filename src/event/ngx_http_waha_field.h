
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_FIELD_H_INCLUDED_
#define _NGX_HTTP_WAHA_FIELD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>


/*
 * Milliseconds since 1970 of a number or string in seconds, milliseconds or
 * smaller units, which the size of the number tells apart; of 64 bits in two
 * halves; or of a date in RFC 3339.  0: not a time between 2009 and 2100.
 */
int64_t ngx_http_waha_field_time(const cJSON *value);

/* A display name of at most 255 bytes; data is NULL if it shows nothing. */
ngx_str_t ngx_http_waha_field_display_name(ngx_str_t *name);


#endif /* _NGX_HTTP_WAHA_FIELD_H_INCLUDED_ */
