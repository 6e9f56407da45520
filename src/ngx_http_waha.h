
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_H_INCLUDED_
#define _NGX_HTTP_WAHA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_pg.h>
#include <ngx_http_waha_auth_conf.h>
#include <ngx_http_waha_auth_limit.h>
#include <ngx_http_waha_api_conf.h>


/* the versions of schema "waha" that this module works with */

#define NGX_HTTP_WAHA_CONTRACT_MIN         1
#define NGX_HTTP_WAHA_CONTRACT_MAX         2

/* the API needs more than webhooks */

#define NGX_HTTP_WAHA_CONTRACT_API         2

/* seconds that a refused sender is asked to wait */

#define NGX_HTTP_WAHA_RETRY_AFTER          "2"

/* sources of "waha_tenant_from"; 0x0001 is NGX_CONF_BITMASK_SET */

#define NGX_HTTP_WAHA_FROM_SESSION         0x0002
#define NGX_HTTP_WAHA_FROM_METADATA        0x0004
#define NGX_HTTP_WAHA_FROM_PATTERN         0x0008
#define NGX_HTTP_WAHA_FROM_QUERY           0x0010
#define NGX_HTTP_WAHA_FROM_SENDER          0x0020

/* values of "waha_ignore" */

#define NGX_HTTP_WAHA_IGNORE_NONE          0x0002
#define NGX_HTTP_WAHA_IGNORE_GROUPS        0x0004
#define NGX_HTTP_WAHA_IGNORE_STATUSES      0x0008
#define NGX_HTTP_WAHA_IGNORE_NEWSLETTERS   0x0010
#define NGX_HTTP_WAHA_IGNORE_BROADCASTS    0x0020


typedef struct {
    ngx_http_waha_pg_conf_t          pg;

    /* what requests of people use: webhooks do not wait for them */
    ngx_http_waha_pg_conf_t          api_pg;
    ngx_int_t                        api_connections;

    /* locations that lead to WAHA */
    ngx_array_t                     *guards;

    ngx_http_waha_auth_limit_t       auth_limit;

    /* of this worker */
    ngx_http_waha_pg_pool_t         *pool;
    ngx_http_waha_pg_pool_t         *api_pool;
    struct ngx_http_waha_ingest_s   *ingest;
    struct ngx_http_waha_auth_cache_s
                                    *auth_cache;

    unsigned                         database:1;
    unsigned                         webhook:1;
    unsigned                         api:1;
} ngx_http_waha_main_conf_t;


typedef struct {
    /* ngx_http_waha_hmac_key_t; empty when switched off on purpose */
    ngx_array_t               *hmac_keys;
    ngx_flag_t                 hmac_legacy;

    ngx_uint_t                 tenant_from;
    ngx_str_t                  default_organization;

    ngx_uint_t                 ignore;
    ngx_regex_t               *phone_pattern;
    ngx_array_t               *blocked_numbers;      /* ngx_str_t, digits */

    unsigned                   webhook:1;

    ngx_http_waha_auth_conf_t  auth;
    ngx_http_waha_api_conf_t   api;
} ngx_http_waha_loc_conf_t;


/* of a request; each room has a part, and all show something in the log */

typedef struct {
    ngx_str_t                           organization;
    ngx_str_t                           session;
    ngx_str_t                           event;
    ngx_str_t                           action;
    ngx_uint_t                          records;
    ngx_msec_t                          db_time;

    struct ngx_http_waha_delivery_s    *delivery;     /* webhook */
    struct ngx_http_waha_auth_s        *auth;         /* access phase */
    struct ngx_http_waha_api_s         *api;          /* tenant API */
    struct ngx_http_waha_call_s        *call;         /* under way */
} ngx_http_waha_ctx_t;


extern ngx_module_t  ngx_http_waha_module;


#endif /* _NGX_HTTP_WAHA_H_INCLUDED_ */
