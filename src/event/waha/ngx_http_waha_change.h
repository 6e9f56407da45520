
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CHANGE_H_INCLUDED_
#define _NGX_HTTP_WAHA_CHANGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_reader.h>


/* Readers of payloads that change a message; see ngx_http_waha_reader_pt. */

/* "message.ack": the delivery status */
ngx_int_t ngx_http_waha_change_status(ngx_http_waha_reader_t *reader);

/* "message.reaction"; an empty text takes the reaction back */
ngx_int_t ngx_http_waha_change_reaction(ngx_http_waha_reader_t *reader);

/* "message.edited" */
ngx_int_t ngx_http_waha_change_edit(ngx_http_waha_reader_t *reader);

/* "message.revoked" */
ngx_int_t ngx_http_waha_change_revoke(ngx_http_waha_reader_t *reader);


#endif /* _NGX_HTTP_WAHA_CHANGE_H_INCLUDED_ */
