
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SESSION_INFO_H_INCLUDED_
#define _NGX_HTTP_WAHA_SESSION_INFO_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>


/* what WAHA tells of a session, SessionInfo in its words */

typedef struct {
    ngx_str_t      status;
    ngx_str_t      phone;           /* digits; data NULL: none */
    ngx_str_t      push_name;       /* data NULL: none */
    const cJSON   *config;          /* NULL: none */
} ngx_http_waha_session_info_t;


/*
 * Reads an answer about the session with that name; info refers to it.
 * NGX_DECLINED: it is not about that session, or tells no status.
 */
ngx_int_t ngx_http_waha_session_info_read(const cJSON *json, ngx_str_t *name,
    ngx_http_waha_session_info_t *info);

/*
 * Whether an answer with 404 says that there is no such session; a server
 * that is not WAHA, or not where it was thought to be, says something else.
 */
ngx_uint_t ngx_http_waha_session_info_is_missing(const cJSON *json);

/* What is told where WAHA has none: the status is NOT_CREATED. */
void ngx_http_waha_session_info_set_missing(ngx_http_waha_session_info_t *info);

/*
 * The status that an answer tells, of whatever kind it is: a word in capital
 * letters.  data is NULL when there is none.
 */
ngx_str_t ngx_http_waha_session_info_status(const cJSON *json);

/* Whether a status is one that goes over into another by itself. */
ngx_uint_t ngx_http_waha_session_info_is_passing(ngx_str_t *status);


#endif /* _NGX_HTTP_WAHA_SESSION_INFO_H_INCLUDED_ */
