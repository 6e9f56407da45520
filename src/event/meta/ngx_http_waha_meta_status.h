
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_META_STATUS_H_INCLUDED_
#define _NGX_HTTP_WAHA_META_STATUS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_meta_reader.h>


/* Readers (ngx_http_waha_meta_reader_pt) of "statuses" and "calls". */

/* the delivery status of a message of ours, or the deletion of one of theirs */
ngx_int_t ngx_http_waha_meta_status_read(ngx_http_waha_meta_reader_t *reader);

/* a call that begins or ends */
ngx_int_t ngx_http_waha_meta_status_read_call(
    ngx_http_waha_meta_reader_t *reader);

/* what becomes of a call of ours */
ngx_int_t ngx_http_waha_meta_status_read_call_status(
    ngx_http_waha_meta_reader_t *reader);

/*
 * The delivery status by Meta's word for it, in either case.  NGX_DECLINED:
 * there is none.
 */
ngx_int_t ngx_http_waha_meta_status_parse(const ngx_str_t *word,
    ngx_str_t *status);


#endif /* _NGX_HTTP_WAHA_META_STATUS_H_INCLUDED_ */
