
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_METADATA_H_INCLUDED_
#define _NGX_HTTP_WAHA_METADATA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_reader.h>


/*
 * Write event->metadata, JSON allocated from reader->pool, once all other
 * members of event and reader are set.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_metadata_write_message(
    ngx_http_waha_reader_t *reader);
ngx_int_t ngx_http_waha_metadata_write_call(ngx_http_waha_reader_t *reader);

/* Writes {"options":["...", ...]} of a vote in a poll. */
ngx_int_t ngx_http_waha_metadata_write_vote(ngx_http_waha_reader_t *reader);


#endif /* _NGX_HTTP_WAHA_METADATA_H_INCLUDED_ */
