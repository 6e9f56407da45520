
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_QUERY_H_INCLUDED_
#define _NGX_HTTP_WAHA_QUERY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_error.h>
#include <ngx_http_waha_pg.h>


#define NGX_HTTP_WAHA_QUERY_ARGS  8


/* what requests ask for, as ngx_http_waha_query_statements[] counts */

typedef enum {
    NGX_HTTP_WAHA_AUTHENTICATE = 0,
    NGX_HTTP_WAHA_FIND_ORGANIZATION,

    NGX_HTTP_WAHA_LIST_SESSIONS,
    NGX_HTTP_WAHA_FIND_SESSION,
    NGX_HTTP_WAHA_RESERVE_SESSION,
    NGX_HTTP_WAHA_RECORD_SESSION_CHECK,
    NGX_HTTP_WAHA_DISCONNECT_SESSION,
    NGX_HTTP_WAHA_DELETE_SESSION,

    NGX_HTTP_WAHA_LIST_CONTACTS,
    NGX_HTTP_WAHA_FIND_CONTACT,
    NGX_HTTP_WAHA_LIST_ACTIVITIES,
    NGX_HTTP_WAHA_LIST_CONVERSATIONS,
    NGX_HTTP_WAHA_LIST_MESSAGES,
    NGX_HTTP_WAHA_READ_CONVERSATION,
    NGX_HTTP_WAHA_FIND_MEDIA,

    NGX_HTTP_WAHA_LIST_ORGANIZATIONS,
    NGX_HTTP_WAHA_SHOW_ORGANIZATION,
    NGX_HTTP_WAHA_PUT_ORGANIZATION,
    NGX_HTTP_WAHA_DELETE_ORGANIZATION,
    NGX_HTTP_WAHA_CREATE_API_KEY,
    NGX_HTTP_WAHA_LIST_API_KEYS,
    NGX_HTTP_WAHA_DELETE_API_KEY,
    NGX_HTTP_WAHA_ERASE_CONTACT,
    NGX_HTTP_WAHA_EXPORT_CONTACT,
    NGX_HTTP_WAHA_EXPORT_ORGANIZATION
} ngx_http_waha_statement_e;


typedef struct ngx_http_waha_query_s  ngx_http_waha_query_t;


/* a call of a function of schema "waha" for a request, and its reply */

struct ngx_http_waha_query_s {

    /* filled in by the caller; a string whose data is NULL is null */
    ngx_http_waha_statement_e   statement;
    ngx_str_t                   args[NGX_HTTP_WAHA_QUERY_ARGS];

    /*
     * called once, from the event loop; it ends or resumes the request, and
     * whoever called it runs the posted requests
     */
    void                      (*handler)(ngx_http_request_t *r,
                                         ngx_http_waha_query_t *query);
    void                       *data;

    /* NGX_HTTP_WAHA_ERR_NONE: the function has succeeded */
    ngx_http_waha_error_e       error;

    /* JSON; of r->pool */
    ngx_str_t                   reply;
};


/*
 * Starts a query; it belongs to the caller and must live as long as r, which
 * may have one query at a time.  Arguments are copied.  NGX_OK: its handler
 * will be called, unless the request ends before; NGX_DECLINED: it will not,
 * query->error says why; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_query(ngx_http_request_t *r,
    ngx_http_waha_query_t *query);


extern const ngx_http_waha_pg_statement_t  ngx_http_waha_query_statements[];
extern const ngx_uint_t                    ngx_http_waha_query_nstatements;


#endif /* _NGX_HTTP_WAHA_QUERY_H_INCLUDED_ */
