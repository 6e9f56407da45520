
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_QUERY_H_INCLUDED_
#define _NGX_HTTP_WAHA_QUERY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_db_conf.h>
#include <ngx_http_waha_error.h>
#include <ngx_http_waha_statements.h>


typedef struct ngx_http_waha_query_s  ngx_http_waha_query_t;


/* a call of an SQL function, and its reply */

struct ngx_http_waha_query_s {

    /*
     * filled in by the caller; the query and its reply live as long as the
     * pool: when it is destroyed before, the handler is not called
     */
    ngx_pool_t                 *pool;
    ngx_log_t                  *log;

    /* who acts, as waha.act_as takes it; data is NULL: not known */
    ngx_str_t                   actor;

    /* called once, from the event loop */
    void                      (*handler)(ngx_http_waha_query_t *query);
    void                       *data;

    /* NGX_HTTP_WAHA_ERR_NONE: the function has succeeded */
    ngx_http_waha_error_e       error;

    /* JSON; data is NULL for null; with an error: about it */
    ngx_str_t                   reply;
};


/*
 * Starts a query; args are as many as the statement has, and are copied with
 * the actor; one whose data is NULL is null.  NGX_OK: the handler will be
 * called.  NGX_DECLINED: it will not, query->error says why; NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_http_waha_query_start(ngx_http_waha_db_conf_t *db,
    ngx_http_waha_query_t *query, ngx_http_waha_statement_e statement,
    const ngx_str_t *args);


#endif /* _NGX_HTTP_WAHA_QUERY_H_INCLUDED_ */
