
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SESSION_INFO_H_INCLUDED_
#define _NGX_HTTP_WAHA_SESSION_INFO_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>


/* WAHA's SessionInfo; strings and config point into the answer */

typedef struct {
    ngx_str_t      status;
    ngx_str_t      phone;           /* digits, of one that works; or NULL */
    ngx_str_t      push_name;       /* at most 255 bytes; data NULL: none */
    const cJSON   *config;          /* NULL: none */
    const cJSON   *account;         /* "me" of one that works, or NULL */

    /* WAHA shows a phone; before the login that of a pairing code */
    unsigned       me:1;
} ngx_http_waha_session_info_t;


/*
 * Reads WAHA's answer about a session.  NGX_DECLINED: the answer has another
 * name, or no status.
 */
ngx_int_t ngx_http_waha_session_info_read(const cJSON *json, ngx_str_t *name,
    ngx_http_waha_session_info_t *info);

/*
 * Whether an answer with status 404 means that WAHA has no such session: other
 * servers, and WAHA behind another path, answer something different.
 */
ngx_uint_t ngx_http_waha_session_info_is_missing(const cJSON *json);

/* Sets info for a session that WAHA does not have: status "NOT_CREATED". */
void ngx_http_waha_session_info_set_missing(ngx_http_waha_session_info_t *info);

/*
 * The status in any answer of WAHA: 1 to 64 capital letters, digits and "_";
 * data is NULL if there is none.
 */
ngx_str_t ngx_http_waha_session_info_status(const cJSON *json);

/* The digits of the phone number in WAHA's "me"; data NULL: none. */
ngx_str_t ngx_http_waha_session_info_phone(const cJSON *me);

/*
 * Writes the restrictions that WAHA names in "data" of an event or in "me",
 * both of which may be NULL: an object with the members that are there, or data
 * NULL if there is none.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_session_info_write_restrictions(ngx_pool_t *pool,
    const cJSON *data, const cJSON *me, ngx_str_t *json);

/* Whether "me" names a restriction; it may have ended. */
ngx_uint_t ngx_http_waha_session_info_is_restricted(const cJSON *me);

/* Whether an answer says that another command keeps the session busy. */
ngx_uint_t ngx_http_waha_session_info_is_busy(const cJSON *json);

/* Whether another status follows without a request of ours. */
ngx_uint_t ngx_http_waha_session_info_is_transient(ngx_str_t *status);


#endif /* _NGX_HTTP_WAHA_SESSION_INFO_H_INCLUDED_ */
