
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_H_INCLUDED_
#define _NGX_HTTP_WAHA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* each room defines its own part; the others see a pointer */

typedef struct {
    struct ngx_http_waha_db_conf_s        *db;
    struct ngx_http_waha_auth_limit_s     *auth_limit;
    struct ngx_http_waha_auth_trust_s     *auth_trust;

    /* keys of "waha_secret_key"; NULL: none */
    struct ngx_http_waha_secrets_s        *secrets;

    /* locations that lead to WAHA; NULL: none */
    ngx_array_t                           *guards;

    /* of this worker */
    struct ngx_http_waha_ingest_s         *ingest;
    struct ngx_http_waha_cache_s          *auth_cache;

    /* NULL: Meta is not a provider */
    struct ngx_http_waha_connections_s    *connections;

    unsigned                               database:1;
    unsigned                               webhooks:1;
    unsigned                               meta:1;
    unsigned                               api:1;
    unsigned                               warned:1;
} ngx_http_waha_main_conf_t;


typedef struct {
    struct ngx_http_waha_intake_conf_s    *intake;
    struct ngx_http_waha_auth_conf_s      *auth;
    struct ngx_http_waha_fetch_conf_s     *fetch;
    struct ngx_http_waha_session_conf_s   *session;
    struct ngx_http_waha_api_conf_s       *api;

    /*
     * ngx_http_waha_hmac_key_t: webhooks are verified with them, and one is
     * written into the configuration of a session; empty with
     * "waha_hmac_key off"
     */
    ngx_array_t                           *hmac_keys;

    /* the same of the operator's app at Meta; NULL: none */
    ngx_array_t                           *meta_keys;
} ngx_http_waha_loc_conf_t;


/* of a request: what its log line shows, and the parts of rooms */

typedef struct {
    ngx_str_t                              organization;
    ngx_str_t                              session;
    ngx_str_t                              event;

    /* the path without the id of a connection; empty: it has none */
    ngx_str_t                              uri;
    ngx_str_t                              action;
    ngx_uint_t                             records;
    ngx_msec_t                             db_time;

    /* seconds, for an error; 0: the usual ones */
    ngx_uint_t                             retry_after;

    struct ngx_http_waha_delivery_s       *delivery;
    struct ngx_http_waha_auth_s           *auth;
    struct ngx_http_waha_fetch_s          *fetch;
    struct ngx_http_waha_api_s            *api;
} ngx_http_waha_ctx_t;


extern ngx_module_t  ngx_http_waha_module;


#endif /* _NGX_HTTP_WAHA_H_INCLUDED_ */
