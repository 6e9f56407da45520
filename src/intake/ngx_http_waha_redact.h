
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_REDACT_H_INCLUDED_
#define _NGX_HTTP_WAHA_REDACT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Handler of the rewrite phase: from here on the lines of a webhook in the
 * error log have the location's name in place of the request line, whose path
 * may end with the id of a connection, and whose query may hold a verify
 * token; $waha_uri is the path without the id.
 */
ngx_int_t ngx_http_waha_redact_handler(ngx_http_request_t *r);

/*
 * What follows the name of its location in the path of a webhook, without the
 * slash between them; empty: nothing.
 */
void ngx_http_waha_redact_find_rest(ngx_http_request_t *r, ngx_str_t *rest);


#endif /* _NGX_HTTP_WAHA_REDACT_H_INCLUDED_ */
