
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_api_conf.h>
#include <ngx_http_waha_auth.h>
#include <ngx_http_waha_auth_cache.h>
#include <ngx_http_waha_auth_conf.h>
#include <ngx_http_waha_auth_limit.h>
#include <ngx_http_waha_connection.h>
#include <ngx_http_waha_db_conf.h>
#include <ngx_http_waha_dispatch.h>
#include <ngx_http_waha_fetch.h>
#include <ngx_http_waha_fetch_conf.h>
#include <ngx_http_waha_forward.h>
#include <ngx_http_waha_guard.h>
#include <ngx_http_waha_ingest.h>
#include <ngx_http_waha_intake_conf.h>
#include <ngx_http_waha_media.h>
#include <ngx_http_waha_redact.h>
#include <ngx_http_waha_secret_conf.h>
#include <ngx_http_waha_session_conf.h>
#include <ngx_http_waha_statements.h>
#include <ngx_http_waha_variables.h>
#include <ngx_http_waha_webhook.h>


/* the versions of schema "waha" that this module works with */

#define NGX_HTTP_WAHA_CONTRACT_MIN  4
#define NGX_HTTP_WAHA_CONTRACT_MAX  4

#define NGX_HTTP_WAHA_STRING(n)     #n
#define NGX_HTTP_WAHA_NUMBER(n)     NGX_HTTP_WAHA_STRING(n)

#define NGX_HTTP_WAHA_CHECK                                                   \
    "select waha.check("                                                      \
    NGX_HTTP_WAHA_NUMBER(NGX_HTTP_WAHA_CONTRACT_MIN) ", "                     \
    NGX_HTTP_WAHA_NUMBER(NGX_HTTP_WAHA_CONTRACT_MAX) ")"


/* what a database is for */

#define NGX_HTTP_WAHA_DATABASE_ALL        0
#define NGX_HTTP_WAHA_DATABASE_WEBHOOKS   1
#define NGX_HTTP_WAHA_DATABASE_API        2
#define NGX_HTTP_WAHA_DATABASE_OPERATORS  3
#define NGX_HTTP_WAHA_DATABASES           4


typedef struct {
    const char                    *name;

    /* what helps a role that lacks a right */
    const char                    *rights;
} ngx_http_waha_database_use_t;


/* the parts of all rooms; shared comes first and points to them */

typedef struct {
    ngx_http_waha_main_conf_t      shared;

    /* as they were given, by use */
    ngx_http_waha_pg_conf_t        databases[NGX_HTTP_WAHA_DATABASES];

    /* for webhooks */
    ngx_http_waha_pg_conf_t        pg;
    ngx_http_waha_pg_pool_t       *pool;

    ngx_http_waha_db_conf_t        db;
    ngx_http_waha_db_conf_t        operators;
    ngx_http_waha_db_conf_t        webhooks;
    ngx_http_waha_auth_limit_t     auth_limit;
    ngx_http_waha_auth_trust_t     auth_trust;
} ngx_http_waha_global_conf_t;


typedef struct {
    ngx_http_waha_loc_conf_t       shared;

    ngx_http_waha_intake_conf_t    intake;
    ngx_http_waha_auth_conf_t      auth;
    ngx_http_waha_fetch_conf_t     fetch;
    ngx_http_waha_session_conf_t   session;
    ngx_http_waha_api_conf_t       api;
} ngx_http_waha_local_conf_t;


static ngx_int_t ngx_http_waha_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_waha_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_waha_add_handler(ngx_conf_t *cf, ngx_uint_t phase,
    ngx_http_handler_pt handler);
static ngx_int_t ngx_http_waha_init_phases(ngx_conf_t *cf);
static ngx_int_t ngx_http_waha_access_handler(ngx_http_request_t *r);

static void *ngx_http_waha_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_waha_init_main_conf(ngx_conf_t *cf, void *conf);
static char *ngx_http_waha_init_hosts(ngx_conf_t *cf,
    ngx_http_waha_global_conf_t *global);
static char *ngx_http_waha_init_webhooks(ngx_conf_t *cf,
    ngx_http_waha_global_conf_t *global);
static ngx_int_t ngx_http_waha_init_connections(ngx_conf_t *cf,
    ngx_http_waha_global_conf_t *global);
static char *ngx_http_waha_init_api(ngx_conf_t *cf,
    ngx_http_waha_global_conf_t *global);
static char *ngx_http_waha_choose_database(ngx_conf_t *cf,
    ngx_http_waha_global_conf_t *global, ngx_uint_t use,
    ngx_http_waha_pg_conf_t *pg);
static ngx_int_t ngx_http_waha_init_queries(ngx_cycle_t *cycle,
    ngx_http_waha_db_conf_t *db);
static void *ngx_http_waha_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_waha_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_http_handler_pt ngx_http_waha_content_handler(
    ngx_http_waha_local_conf_t *conf);
static char *ngx_http_waha_check_loc_conf(ngx_conf_t *cf,
    ngx_http_waha_local_conf_t *conf);

static char *ngx_http_waha_database(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_waha_webhook(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_waha_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

static ngx_int_t ngx_http_waha_init_process(ngx_cycle_t *cycle);
static void ngx_http_waha_exit_process(ngx_cycle_t *cycle);


static const ngx_http_waha_database_use_t  ngx_http_waha_database_uses[] = {

    [NGX_HTTP_WAHA_DATABASE_ALL] =
        { "", NULL },

    [NGX_HTTP_WAHA_DATABASE_WEBHOOKS] =
        { "webhooks", "connect as waha_gateway, or grant waha_webhooks to "
          "this role" },

    [NGX_HTTP_WAHA_DATABASE_API] =
        { "api", "connect as waha_gateway, or grant waha_tenants to this "
          "role" },

    [NGX_HTTP_WAHA_DATABASE_OPERATORS] =
        { "operators", "connect as waha_gateway, or grant waha_operators to "
          "this role" }
};


static ngx_conf_num_bounds_t  ngx_http_waha_api_connections = {
    ngx_conf_check_num_bounds, 1, 100
};


static ngx_conf_num_bounds_t  ngx_http_waha_max_sessions = {
    ngx_conf_check_num_bounds, 1, 10000
};


static ngx_command_t  ngx_http_waha_commands[] = {

    { ngx_string("waha_database"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_waha_database,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_secret_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_waha_secret_conf_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_webhook"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_waha_webhook,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_hmac_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_waha_intake_conf_hmac_key,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_hmac_legacy"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_local_conf_t, intake.hmac_legacy),
      NULL },

    { ngx_string("waha_max_age"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_local_conf_t, intake.max_age),
      NULL },

    { ngx_string("waha_meta_app_secret"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_waha_intake_conf_meta_app_secret,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_meta_verify_token"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_waha_intake_conf_meta_verify_token,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_tenant_from"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_conf_set_bitmask_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_local_conf_t, intake.tenant_from),
      ngx_http_waha_intake_tenant_sources },

    { ngx_string("waha_default_organization"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_local_conf_t, intake.default_organization),
      NULL },

    { ngx_string("waha_ignore"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_conf_set_bitmask_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_local_conf_t, intake.ignore),
      ngx_http_waha_intake_ignored_chats },

    { ngx_string("waha_phone_pattern"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_waha_intake_conf_phone_pattern,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_blocked_numbers"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_waha_intake_conf_blocked_numbers,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_waha_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_api_connections"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_waha_global_conf_t, db.connections),
      &ngx_http_waha_api_connections },

    { ngx_string("waha_instance"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_waha_fetch_conf_instance,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_graph"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_waha_fetch_conf_graph,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_meta_media"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_waha_fetch_conf_media,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_meta_app_id"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_waha_session_conf_meta_app,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_webhook_url"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_waha_session_conf_webhook_url,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_call_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_local_conf_t, fetch.size),
      NULL },

    { ngx_string("waha_call_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_waha_fetch_conf_call_timeout,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_max_sessions"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_local_conf_t, session.max_sessions),
      &ngx_http_waha_max_sessions },

    { ngx_string("waha_connect_enables"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_local_conf_t, session.connect_enables),
      NULL },

    { ngx_string("waha_session_budget"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_waha_session_conf_budget,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_status_ttl"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_local_conf_t, session.status_ttl),
      NULL },

    { ngx_string("waha_cors_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_waha_api_conf_cors_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_cors_credentials"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_local_conf_t, api.cors_credentials),
      NULL },

    { ngx_string("waha_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_local_conf_t, auth.enable),
      NULL },

    { ngx_string("waha_auth_limit"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_waha_auth_limit,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_jwt_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_waha_auth_conf_jwt_key,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_jwt_issuer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_local_conf_t, auth.jwt.issuer),
      NULL },

    { ngx_string("waha_jwt_audience"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_local_conf_t, auth.jwt.audience),
      NULL },

    { ngx_string("waha_jwt_claim"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_waha_auth_conf_jwt_claim,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_api_keys"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_local_conf_t, auth.api_keys),
      NULL },

    { ngx_string("waha_organization"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_waha_auth_conf_organization,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_waha_module_ctx = {
    ngx_http_waha_preconfiguration,        /* preconfiguration */
    ngx_http_waha_init,                    /* postconfiguration */

    ngx_http_waha_create_main_conf,        /* create main configuration */
    ngx_http_waha_init_main_conf,          /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_waha_create_loc_conf,         /* create location configuration */
    ngx_http_waha_merge_loc_conf           /* merge location configuration */
};


ngx_module_t  ngx_http_waha_module = {
    NGX_MODULE_V1,
    &ngx_http_waha_module_ctx,             /* module context */
    ngx_http_waha_commands,                /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_waha_init_process,            /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_waha_exit_process,            /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_waha_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_waha_variables_add(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_waha_auth_conf_note_variables(cf);
}


static ngx_int_t
ngx_http_waha_init(ngx_conf_t *cf)
{
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);

    if (wmcf->webhooks
        && ngx_http_waha_add_handler(cf, NGX_HTTP_REWRITE_PHASE,
                                     ngx_http_waha_redact_handler)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if ((wmcf->api || wmcf->meta)
        && ngx_http_waha_auth_limit_add_zone(cf, wmcf->auth_limit) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* webhooks alone need nothing of what follows */

    if (!wmcf->api) {
        return NGX_OK;
    }

    if (ngx_http_waha_auth_conf_check_variables(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (wmcf->guards) {
        ngx_http_waha_fetch_end_filter_init();
        ngx_http_waha_media_filter_init();
    }

    return ngx_http_waha_init_phases(cf);
}


static ngx_int_t
ngx_http_waha_add_handler(ngx_conf_t *cf, ngx_uint_t phase,
    ngx_http_handler_pt handler)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[phase].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = handler;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_init_phases(ngx_conf_t *cf)
{
    ngx_array_t                *access;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    if (wmcf->guards
        && (ngx_http_waha_add_handler(cf, NGX_HTTP_REWRITE_PHASE,
                                      ngx_http_waha_guard_handler)
            != NGX_OK
            || ngx_http_waha_add_handler(cf, NGX_HTTP_PRECONTENT_PHASE,
                                         ngx_http_waha_forward_handler)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    access = &cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers;

    if (ngx_array_push(access) == NULL) {
        return NGX_ERROR;
    }

    /*
     * handlers run from the last to the first: ours comes after those that
     * set the variable of "waha_organization"
     */

    h = access->elts;

    ngx_memmove(&h[1], &h[0],
                (access->nelts - 1) * sizeof(ngx_http_handler_pt));

    h[0] = ngx_http_waha_access_handler;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_access_handler(ngx_http_request_t *r)
{
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    if (wlcf->api->enable) {
        return ngx_http_waha_dispatch_access(r);
    }

    if (wlcf->auth->enable && !ngx_http_waha_media_is_redirected(r)) {
        return ngx_http_waha_auth_handler(r);
    }

    return NGX_DECLINED;
}


static void *
ngx_http_waha_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_waha_global_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_waha_global_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->shared.db = &conf->db;
    conf->shared.auth_limit = &conf->auth_limit;
    conf->shared.auth_trust = &conf->auth_trust;

    conf->db.connections = NGX_CONF_UNSET;

    ngx_http_waha_auth_limit_create_conf(&conf->auth_limit);

    return conf;
}


static char *
ngx_http_waha_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_waha_global_conf_t *global = conf;

    ngx_conf_init_value(global->db.connections, 2);

    /* with a key, connections can have secrets of their own */

    if (global->shared.secrets) {
        global->shared.meta = 1;
    }

    if (!global->shared.database) {
        return NGX_CONF_OK;
    }

    if (ngx_http_waha_init_hosts(cf, global) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_waha_init_webhooks(cf, global) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_waha_init_api(cf, global);
}


static char *
ngx_http_waha_init_hosts(ngx_conf_t *cf, ngx_http_waha_global_conf_t *global)
{
    ngx_uint_t                 use;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    for (use = 0; use < NGX_HTTP_WAHA_DATABASES; use++) {

        if (global->databases[use].keywords
            && ngx_http_waha_pg_host_check(cf, &global->databases[use],
                                           clcf->resolver,
                                           clcf->resolver_timeout)
               != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_waha_init_webhooks(ngx_conf_t *cf,
    ngx_http_waha_global_conf_t *global)
{
    ngx_http_waha_pg_conf_t  *pg;

    pg = &global->pg;

    if (ngx_http_waha_choose_database(cf, global,
                                      NGX_HTTP_WAHA_DATABASE_WEBHOOKS, pg)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (pg->connections == 0) {
        pg->connections = 4;
    }

    if (ngx_http_waha_ingest_statements(cf, pg) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (global->shared.meta
        && ngx_http_waha_init_connections(cf, global) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    /* an event that ran out of time in a batch can run alone once more */

    if (ngx_http_waha_pg_conf_limit(cf, pg, pg->timeout * 9 / 20) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* webhooks of Meta look up connections in the pool that stores them */

static ngx_int_t
ngx_http_waha_init_connections(ngx_conf_t *cf,
    ngx_http_waha_global_conf_t *global)
{
    ngx_uint_t                     n;
    ngx_http_waha_pg_conf_t       *pg;
    ngx_http_waha_pg_statement_t  *statements;

    pg = &global->pg;
    n = pg->nstatements;

    statements = ngx_palloc(cf->pool,
                            (n + 1) * sizeof(ngx_http_waha_pg_statement_t));
    if (statements == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(statements, pg->statements,
               n * sizeof(ngx_http_waha_pg_statement_t));

    statements[n] = ngx_http_waha_statements[NGX_HTTP_WAHA_FIND_CONNECTION];

    pg->statements = statements;
    pg->nstatements = n + 1;

    pg->channel = "waha_tenant";
    pg->notified = ngx_http_waha_connections_notified;

    global->webhooks.pg = *pg;
    global->webhooks.offset = n - NGX_HTTP_WAHA_FIND_CONNECTION;

    /* a look-up and a batch are to be answered in time together */

    global->webhooks.pg.timeout = pg->timeout / 3;

    return NGX_OK;
}


static char *
ngx_http_waha_init_api(ngx_conf_t *cf, ngx_http_waha_global_conf_t *global)
{
    ngx_uint_t                use;
    ngx_http_waha_pg_conf_t  *pg;

    for (use = NGX_HTTP_WAHA_DATABASE_API;
         use <= NGX_HTTP_WAHA_DATABASE_OPERATORS;
         use++)
    {
        pg = &global->db.pg;

        if (use == NGX_HTTP_WAHA_DATABASE_OPERATORS) {

            if (global->databases[use].keywords == NULL) {
                break;
            }

            pg = &global->operators.pg;
        }

        if (ngx_http_waha_choose_database(cf, global, use, pg)
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }

        /* without "for=", the number is for webhooks */

        if (pg->connections == 0 || global->databases[use].keywords == NULL) {
            pg->connections = global->db.connections;
        }

        pg->statements = ngx_http_waha_statements;
        pg->nstatements = NGX_HTTP_WAHA_NSTATEMENTS;

        if (ngx_http_waha_pg_conf_limit(cf, pg, pg->timeout * 9 / 10)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    pg = &global->db.pg;

    pg->channel = "waha_tenant";
    pg->notified = ngx_http_waha_auth_cache_notified;

    if (global->databases[NGX_HTTP_WAHA_DATABASE_OPERATORS].keywords) {
        pg->nstatements = NGX_HTTP_WAHA_OPERATORS_FIRST;

        global->db.operators = &global->operators;
        global->operators.pg.first = NGX_HTTP_WAHA_OPERATORS_FIRST;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_waha_choose_database(ngx_conf_t *cf,
    ngx_http_waha_global_conf_t *global, ngx_uint_t use,
    ngx_http_waha_pg_conf_t *pg)
{
    ngx_http_waha_pg_conf_t  *given;

    given = &global->databases[use];

    if (given->keywords == NULL) {
        given = &global->databases[NGX_HTTP_WAHA_DATABASE_ALL];
    }

    if (given->keywords == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"waha_database\" for %s: add one with \"for=%s\", "
                      "or one without \"for=\"",
                      ngx_http_waha_database_uses[use].name,
                      ngx_http_waha_database_uses[use].name);
        return NGX_CONF_ERROR;
    }

    *pg = *given;

    pg->check = NGX_HTTP_WAHA_CHECK;
    pg->hint = "its administrator has to run "
               "\"psql -f sql/install.sql\" on this database";
    pg->rights = ngx_http_waha_database_uses[use].rights;

    return NGX_CONF_OK;
}


static void *
ngx_http_waha_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_waha_local_conf_t  *conf;

    /*
     * set by ngx_pcalloc():
     *
     *     conf->shared.hmac_keys = NULL;
     *     conf->shared.meta_keys = NULL;
     *     conf->api.cors_origins = NULL;
     *     conf->api.enable = 0;
     */

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_waha_local_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->shared.intake = &conf->intake;
    conf->shared.auth = &conf->auth;
    conf->shared.fetch = &conf->fetch;
    conf->shared.session = &conf->session;
    conf->shared.api = &conf->api;

    ngx_http_waha_intake_conf_create(&conf->intake);
    ngx_http_waha_auth_conf_create(&conf->auth);
    ngx_http_waha_fetch_conf_create(&conf->fetch);
    ngx_http_waha_session_conf_create(&conf->session);
    ngx_http_waha_api_conf_create(&conf->api);

    return conf;
}


static char *
ngx_http_waha_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_waha_local_conf_t  *prev = parent;
    ngx_http_waha_local_conf_t  *conf = child;

    ngx_uint_t                 ignore;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname) {
        /* "if" and "limit_except" are part of their location */
        conf->intake.enable = prev->intake.enable;
        conf->api.enable = prev->api.enable;
    }

    if (clcf->lmt_excpt && clcf->handler == NULL) {
        clcf->handler = ngx_http_waha_content_handler(conf);
    }

    if (conf->shared.hmac_keys == NULL) {
        conf->shared.hmac_keys = prev->shared.hmac_keys;
    }

    if (conf->shared.meta_keys == NULL) {
        conf->shared.meta_keys = prev->shared.meta_keys;
    }

    if (ngx_http_waha_intake_conf_merge(cf, &prev->intake, &conf->intake)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_http_waha_auth_conf_merge(&prev->auth, &conf->auth);
    ngx_http_waha_fetch_conf_merge(&prev->fetch, &conf->fetch);
    ngx_http_waha_session_conf_merge(&prev->session, &conf->session);
    ngx_http_waha_api_conf_merge(&prev->api, &conf->api);

    ignore = conf->intake.ignore;

    conf->session.ignore_groups =
        (ignore & NGX_HTTP_WAHA_IGNORE_GROUPS) != 0;
    conf->session.ignore_statuses =
        (ignore & NGX_HTTP_WAHA_IGNORE_STATUSES) != 0;
    conf->session.ignore_newsletters =
        (ignore & NGX_HTTP_WAHA_IGNORE_NEWSLETTERS) != 0;
    conf->session.ignore_broadcasts =
        (ignore & NGX_HTTP_WAHA_IGNORE_BROADCASTS) != 0;

    return ngx_http_waha_check_loc_conf(cf, conf);
}


static ngx_http_handler_pt
ngx_http_waha_content_handler(ngx_http_waha_local_conf_t *conf)
{
    if (conf->intake.enable) {
        return ngx_http_waha_webhook_handler;
    }

    return conf->api.enable ? ngx_http_waha_dispatch_handler : NULL;
}


static char *
ngx_http_waha_check_loc_conf(ngx_conf_t *cf, ngx_http_waha_local_conf_t *conf)
{
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_waha_main_conf_t  *wmcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);

    if (conf->intake.enable && !wmcf->database) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"waha_webhook\" needs \"waha_database\" in the "
                      "\"http\" block");
        return NGX_CONF_ERROR;
    }

    if (conf->intake.enable && conf->api.enable) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" has \"waha_webhook\" and \"waha_api\": "
                      "each needs a location of its own", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->intake.enable && conf->auth.enable) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" has \"waha_webhook\" and \"waha_auth "
                      "on\", but WAHA has no token: say \"waha_auth off\" "
                      "there", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_waha_intake_conf_check(cf, &conf->shared, &clcf->name)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (!conf->api.enable && !conf->auth.enable) {
        return NGX_CONF_OK;
    }

    wmcf->api = 1;

    if (ngx_http_waha_auth_conf_check(cf, &conf->auth,
                                      conf->api.enable ? "waha_api"
                                                       : "waha_auth",
                                      &clcf->name)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (!conf->api.enable) {
        return NGX_CONF_OK;
    }

    if (ngx_http_waha_api_conf_check(cf, &conf->api, &clcf->name)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_waha_session_conf_check(cf, &conf->shared, &clcf->name);
}


static char *
ngx_http_waha_database(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_global_conf_t *global = conf;

    ngx_str_t   *value;
    ngx_uint_t   i, use;

    value = cf->args->elts;
    use = NGX_HTTP_WAHA_DATABASE_ALL;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "for=", 4) != 0) {
            continue;
        }

        for (use = NGX_HTTP_WAHA_DATABASE_OPERATORS; use; use--) {
            if (ngx_strcmp(value[i].data + 4,
                           ngx_http_waha_database_uses[use].name)
                == 0)
            {
                break;
            }
        }

        if (use == NGX_HTTP_WAHA_DATABASE_ALL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\", use "
                               "for=webhooks, for=api or for=operators",
                               &value[i], &value[0]);
            return NGX_CONF_ERROR;
        }
    }

    if (global->databases[use].keywords) {
        return "is duplicate";
    }

    global->shared.database = 1;

    return ngx_http_waha_pg_conf(cf, &global->databases[use]);
}


static char *
ngx_http_waha_webhook(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_local_conf_t *local = conf;

    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_waha_main_conf_t  *wmcf;

    if (local->intake.enable) {
        return "is duplicate";
    }

    local->intake.enable = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_waha_content_handler(local);

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);
    wmcf->webhooks = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_waha_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_local_conf_t *local = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (local->api.enable) {
        return "is duplicate";
    }

    local->api.enable = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_waha_content_handler(local);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_waha_init_process(ngx_cycle_t *cycle)
{
    ngx_http_waha_main_conf_t    *wmcf;
    ngx_http_waha_global_conf_t  *global;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    global = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_waha_module);

    if (global == NULL || !global->shared.database) {
        return NGX_OK;
    }

    wmcf = &global->shared;

    if (wmcf->meta) {
        wmcf->connections = ngx_http_waha_connections_create(cycle,
                                                           &global->webhooks,
                                                           wmcf->secrets);
        if (wmcf->connections == NULL) {
            return NGX_ERROR;
        }

        global->pg.data = wmcf->connections;
    }

    global->pool = ngx_http_waha_pg_create(cycle, &global->pg);
    if (global->pool == NULL) {
        return NGX_ERROR;
    }

    global->webhooks.pool = global->pool;

    wmcf->ingest = ngx_http_waha_ingest_create(cycle, global->pool,
                                               &global->pg);
    if (wmcf->ingest == NULL) {
        return NGX_ERROR;
    }

    if (!wmcf->api) {
        return NGX_OK;
    }

    wmcf->auth_cache = ngx_http_waha_auth_cache_create(cycle);
    if (wmcf->auth_cache == NULL) {
        return NGX_ERROR;
    }

    global->db.pg.data = wmcf->auth_cache;

    if (ngx_http_waha_init_queries(cycle, &global->db) != NGX_OK) {
        return NGX_ERROR;
    }

    return global->db.operators
               ? ngx_http_waha_init_queries(cycle, global->db.operators)
               : NGX_OK;
}


static ngx_int_t
ngx_http_waha_init_queries(ngx_cycle_t *cycle, ngx_http_waha_db_conf_t *db)
{
    ngx_http_waha_share_init(&db->shares,
                             ngx_max(db->pg.connections, 2) - 1);

    db->pool = ngx_http_waha_pg_create(cycle, &db->pg);

    return db->pool ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_waha_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_waha_global_conf_t  *global;

    global = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_waha_module);

    if (global && global->pool) {
        ngx_http_waha_pg_destroy(global->pool);
    }

    if (global && global->shared.connections) {
        ngx_http_waha_connections_destroy(global->shared.connections);
    }

    if (global && global->db.pool) {
        ngx_http_waha_pg_destroy(global->db.pool);

        if (global->operators.pool) {
            ngx_http_waha_pg_destroy(global->operators.pool);
        }

        ngx_http_waha_cache_clear(global->shared.auth_cache);
    }
}
