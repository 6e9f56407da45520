
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PG_ERROR_H_INCLUDED_
#define _NGX_HTTP_WAHA_PG_ERROR_H_INCLUDED_


#include <ngx_http_waha_pg.h>


/* bytes of a reason, and SQLSTATEs whose last report is remembered */

#define NGX_HTTP_WAHA_PG_REASON   1024
#define NGX_HTTP_WAHA_PG_REPORTS  16


/* one line of text, fit for the log */

typedef struct {
    size_t                            len;
    u_char                            data[NGX_HTTP_WAHA_PG_REASON];
} ngx_http_waha_pg_reason_t;


typedef struct {
    char                              sqlstate[6];
    time_t                            time;
} ngx_http_waha_pg_report_t;


/* Is the result an error?  NULL is none. */
ngx_uint_t ngx_http_waha_pg_error_is_in(const PGresult *res);

/* The SQLSTATE of a result, "" if it has none. */
const char *ngx_http_waha_pg_error_sqlstate(const PGresult *res);

/* The class of a failed attempt to connect, from libpq's message. */
ngx_uint_t ngx_http_waha_pg_error_connect_class(const char *message);

/* Sets the reason to the first line of text, without control characters. */
void ngx_http_waha_pg_error_set(ngx_http_waha_pg_reason_t *reason,
    const char *text);

/* Sets the reason to the error in the result; the hint may be NULL. */
void ngx_http_waha_pg_error_set_result(ngx_http_waha_pg_reason_t *reason,
    const PGresult *res, const char *hint);

/* Logs the error of a statement, once in a while for each SQLSTATE. */
void ngx_http_waha_pg_error_report(ngx_http_waha_pg_pool_t *pool,
    const PGresult *res, ngx_uint_t class);


#endif /* _NGX_HTTP_WAHA_PG_ERROR_H_INCLUDED_ */
