
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_META_USER_H_INCLUDED_
#define _NGX_HTTP_WAHA_META_USER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_meta_reader.h>


/* Readers (ngx_http_waha_meta_reader_pt) of what is new about a person. */

/* a message of type "system", whose ids and sender are read: a new identity */
ngx_int_t ngx_http_waha_meta_user_read_system(
    ngx_http_waha_meta_reader_t *reader);

/* "user_id_update": a new user id */
ngx_int_t ngx_http_waha_meta_user_read_update(
    ngx_http_waha_meta_reader_t *reader);

/* "state_sync": the name in the address book of the phone */
ngx_int_t ngx_http_waha_meta_user_read_sync(
    ngx_http_waha_meta_reader_t *reader);

/* "user_preferences": whether marketing is welcome */
ngx_int_t ngx_http_waha_meta_user_read_preference(
    ngx_http_waha_meta_reader_t *reader);


#endif /* _NGX_HTTP_WAHA_META_USER_H_INCLUDED_ */
