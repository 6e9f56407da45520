
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CHANGE_H_INCLUDED_
#define _NGX_HTTP_WAHA_CHANGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_reader.h>


/* Readers (ngx_http_waha_reader_pt) of payloads that change a message. */

/* "message.ack", "message.ack.group": the delivery status */
ngx_int_t ngx_http_waha_change_read_status(ngx_http_waha_reader_t *reader);

/* "message.reaction"; the text of a removed reaction is empty */
ngx_int_t ngx_http_waha_change_read_reaction(ngx_http_waha_reader_t *reader);

/* "message.edited"; text is NULL if the new text cannot be read */
ngx_int_t ngx_http_waha_change_read_edit(ngx_http_waha_reader_t *reader);

/* "message.revoked" */
ngx_int_t ngx_http_waha_change_read_revoke(ngx_http_waha_reader_t *reader);

/* "poll.vote"; no option: the vote is taken back */
ngx_int_t ngx_http_waha_change_read_vote(ngx_http_waha_reader_t *reader);

/*
 * The change that reader->found of a message is.  NGX_DONE: it is not one that
 * a reader of the conversation sees.
 */
ngx_int_t ngx_http_waha_change_read_content(ngx_http_waha_reader_t *reader);

/* The delivery status that a payload has.  NGX_DONE: none. */
ngx_int_t ngx_http_waha_change_parse_ack(const cJSON *payload,
    ngx_str_t *status);


#endif /* _NGX_HTTP_WAHA_CHANGE_H_INCLUDED_ */
