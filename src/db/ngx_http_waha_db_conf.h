
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_DB_CONF_H_INCLUDED_
#define _NGX_HTTP_WAHA_DB_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_pg.h>
#include <ngx_http_waha_share.h>


/*
 * a pool for queries: the API's, since webhooks never wait for it, or that of
 * webhooks, for what they ask
 */

typedef struct ngx_http_waha_db_conf_s {
    ngx_http_waha_pg_conf_t          pg;
    ngx_int_t                        connections;

    /* to be added to a statement for its place in the pool */
    ngx_int_t                        offset;

    /* where operators have a pool of their own; NULL: they share this one */
    struct ngx_http_waha_db_conf_s  *operators;

    /* of this worker */
    ngx_http_waha_pg_pool_t         *pool;
    ngx_http_waha_shares_t           shares;
} ngx_http_waha_db_conf_t;


#endif /* _NGX_HTTP_WAHA_DB_CONF_H_INCLUDED_ */
