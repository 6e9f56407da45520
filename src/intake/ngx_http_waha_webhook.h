
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_WEBHOOK_H_INCLUDED_
#define _NGX_HTTP_WAHA_WEBHOOK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* The content handler of "waha_webhook". */
ngx_int_t ngx_http_waha_webhook_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_WAHA_WEBHOOK_H_INCLUDED_ */
