
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_META_MESSAGE_H_INCLUDED_
#define _NGX_HTTP_WAHA_META_MESSAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_meta_reader.h>


/* Readers (ngx_http_waha_meta_reader_pt) of messages. */

/* "messages": from a person to us */
ngx_int_t ngx_http_waha_meta_message_read(ngx_http_waha_meta_reader_t *reader);

/* "message_echoes": typed on the phone, or sent by another app */
ngx_int_t ngx_http_waha_meta_message_read_echo(
    ngx_http_waha_meta_reader_t *reader);

/* of the history of the phone: in a thread, or a file that follows */
ngx_int_t ngx_http_waha_meta_message_read_history(
    ngx_http_waha_meta_reader_t *reader);


#endif /* _NGX_HTTP_WAHA_META_MESSAGE_H_INCLUDED_ */
