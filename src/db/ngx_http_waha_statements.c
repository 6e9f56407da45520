
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_statements.h>


#define NGX_HTTP_WAHA_ARGS_1  "$1"
#define NGX_HTTP_WAHA_ARGS_2  "$1,$2"
#define NGX_HTTP_WAHA_ARGS_3  "$1,$2,$3"
#define NGX_HTTP_WAHA_ARGS_4  "$1,$2,$3,$4"
#define NGX_HTTP_WAHA_ARGS_5  "$1,$2,$3,$4,$5"
#define NGX_HTTP_WAHA_ARGS_6  "$1,$2,$3,$4,$5,$6"
#define NGX_HTTP_WAHA_ARGS_7  "$1,$2,$3,$4,$5,$6,$7"

/* arguments are evaluated before the function is called */

#define NGX_HTTP_WAHA_ACTED_1  "waha.act_as($1,$2)"
#define NGX_HTTP_WAHA_ACTED_2  "waha.act_as($1,$3),$2"
#define NGX_HTTP_WAHA_ACTED_3  "waha.act_as($1,$4),$2,$3"
#define NGX_HTTP_WAHA_ACTED_4  "waha.act_as($1,$5),$2,$3,$4"
#define NGX_HTTP_WAHA_ACTED_5  "waha.act_as($1,$6),$2,$3,$4,$5"
#define NGX_HTTP_WAHA_ACTED_7  "waha.act_as($1,$8),$2,$3,$4,$5,$6,$7"

#define ngx_http_waha_statement(id, name, nargs)                              \
    { #name,                                                                  \
      "select code, data from waha." #name "(" NGX_HTTP_WAHA_ARGS_##nargs ")",\
      nargs, NULL },

#define ngx_http_waha_statement_acted(id, name, nargs)                        \
    { #name,                                                                  \
      "select code, data from waha." #name "(" NGX_HTTP_WAHA_ACTED_##nargs    \
      ")", nargs + 1, NULL },

#define ngx_http_waha_statement_count(id, name, nargs)  nargs,


/* a statement with more arguments than fit is a division by zero */

#define ngx_http_waha_statement_fits(id, name, nargs)                         \
    NGX_HTTP_WAHA_FITS_##id = 1 / ((nargs) <= NGX_HTTP_WAHA_STATEMENT_ARGS),

enum {
    NGX_HTTP_WAHA_STATEMENTS(ngx_http_waha_statement_fits,
                             ngx_http_waha_statement_fits)
};


const ngx_http_waha_pg_statement_t  ngx_http_waha_statements[] = {
    NGX_HTTP_WAHA_STATEMENTS(ngx_http_waha_statement,
                             ngx_http_waha_statement_acted)
    ngx_http_waha_statement(FIND_CONNECTION, find_connection, 1)
};


const ngx_int_t  ngx_http_waha_statement_nargs[] = {
    NGX_HTTP_WAHA_STATEMENTS(ngx_http_waha_statement_count,
                             ngx_http_waha_statement_count)
    ngx_http_waha_statement_count(FIND_CONNECTION, find_connection, 1)
};
