
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_MESSAGE_H_INCLUDED_
#define _NGX_HTTP_WAHA_MESSAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_reader.h>


/* The reader (ngx_http_waha_reader_pt) of "message" and "message.any". */
ngx_int_t ngx_http_waha_message_read(ngx_http_waha_reader_t *reader);


#endif /* _NGX_HTTP_WAHA_MESSAGE_H_INCLUDED_ */
