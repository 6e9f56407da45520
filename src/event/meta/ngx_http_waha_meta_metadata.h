
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_META_METADATA_H_INCLUDED_
#define _NGX_HTTP_WAHA_META_METADATA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_meta_content.h>
#include <ngx_http_waha_meta_reader.h>


/*
 * Write JSON of the event, allocated from reader->pool, once all its other
 * members are set.  NGX_ERROR: no memory.
 */

/* event->metadata, in the words that messages of WAHA have */
ngx_int_t ngx_http_waha_meta_metadata_write_message(
    ngx_http_waha_meta_reader_t *reader,
    ngx_http_waha_meta_content_t *content);
ngx_int_t ngx_http_waha_meta_metadata_write_call(
    ngx_http_waha_meta_reader_t *reader);

/* event->details of a status; none if it tells nothing more */
ngx_int_t ngx_http_waha_meta_metadata_write_status(
    ngx_http_waha_meta_reader_t *reader);

/* event->details: what a person prefers */
ngx_int_t ngx_http_waha_meta_metadata_write_preference(
    ngx_http_waha_meta_reader_t *reader);

/* event->details: the value of a change */
ngx_int_t ngx_http_waha_meta_metadata_write_news(
    ngx_http_waha_meta_reader_t *reader, const cJSON *value);


#endif /* _NGX_HTTP_WAHA_META_METADATA_H_INCLUDED_ */
