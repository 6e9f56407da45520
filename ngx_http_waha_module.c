
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_dispatch.h>
#include <ngx_http_waha_guard.h>
#include <ngx_http_waha_auth.h>
#include <ngx_http_waha_auth_cache.h>
#include <ngx_http_waha_key_file.h>
#include <ngx_http_waha_signature.h>
#include <ngx_http_waha_ingest.h>
#include <ngx_http_waha_query.h>
#include <ngx_http_waha_call.h>
#include <ngx_http_waha_media.h>
#include <ngx_http_waha_value.h>
#include <ngx_http_waha_webhook.h>


#define NGX_HTTP_WAHA_STRING(n)   #n
#define NGX_HTTP_WAHA_NUMBER(n)   NGX_HTTP_WAHA_STRING(n)


static ngx_int_t ngx_http_waha_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_waha_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_waha_access_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_waha_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_waha_variable_batch(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_waha_variable_db_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

static void *ngx_http_waha_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_waha_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_waha_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_waha_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_http_handler_pt ngx_http_waha_content_handler(
    ngx_http_waha_loc_conf_t *conf);
static char *ngx_http_waha_check_loc_conf(ngx_conf_t *cf,
    ngx_http_waha_loc_conf_t *conf);
static char *ngx_http_waha_check_api(ngx_conf_t *cf,
    ngx_http_waha_loc_conf_t *conf, ngx_str_t *location);
static ngx_regex_t *ngx_http_waha_compile(ngx_conf_t *cf,
    ngx_str_t *pattern);

static char *ngx_http_waha_database(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_waha_webhook(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_waha_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_waha_hmac_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_waha_hmac_off(ngx_conf_t *cf,
    ngx_http_waha_loc_conf_t *wlcf);
static char *ngx_http_waha_phone_pattern(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_waha_blocked_numbers(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

static ngx_int_t ngx_http_waha_init_process(ngx_cycle_t *cycle);
static void ngx_http_waha_exit_process(ngx_cycle_t *cycle);


static ngx_conf_bitmask_t  ngx_http_waha_tenant_sources[] = {
    { ngx_string("session"), NGX_HTTP_WAHA_FROM_SESSION },
    { ngx_string("metadata"), NGX_HTTP_WAHA_FROM_METADATA },
    { ngx_string("pattern"), NGX_HTTP_WAHA_FROM_PATTERN },
    { ngx_string("query"), NGX_HTTP_WAHA_FROM_QUERY },
    { ngx_string("sender"), NGX_HTTP_WAHA_FROM_SENDER },
    { ngx_null_string, 0 }
};


static ngx_conf_bitmask_t  ngx_http_waha_ignored_chats[] = {
    { ngx_string("none"), NGX_HTTP_WAHA_IGNORE_NONE },
    { ngx_string("groups"), NGX_HTTP_WAHA_IGNORE_GROUPS },
    { ngx_string("statuses"), NGX_HTTP_WAHA_IGNORE_STATUSES },
    { ngx_string("newsletters"), NGX_HTTP_WAHA_IGNORE_NEWSLETTERS },
    { ngx_string("broadcasts"), NGX_HTTP_WAHA_IGNORE_BROADCASTS },
    { ngx_null_string, 0 }
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

    { ngx_string("waha_webhook"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_waha_webhook,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_hmac_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_waha_hmac_key,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_hmac_legacy"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, hmac_legacy),
      NULL },

    { ngx_string("waha_tenant_from"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_conf_set_bitmask_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, tenant_from),
      ngx_http_waha_tenant_sources },

    { ngx_string("waha_default_organization"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, default_organization),
      NULL },

    { ngx_string("waha_ignore"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_conf_set_bitmask_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, ignore),
      ngx_http_waha_ignored_chats },

    { ngx_string("waha_phone_pattern"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_waha_phone_pattern,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("waha_blocked_numbers"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_waha_blocked_numbers,
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
      offsetof(ngx_http_waha_main_conf_t, api_connections),
      &ngx_http_waha_api_connections },

    { ngx_string("waha_instance"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_waha_api_instance,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, api),
      NULL },

    { ngx_string("waha_webhook_url"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_waha_api_webhook_url,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, api),
      NULL },

    { ngx_string("waha_call_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, api.call_size),
      NULL },

    { ngx_string("waha_call_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, api.call_timeout),
      NULL },

    { ngx_string("waha_max_sessions"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, api.max_sessions),
      &ngx_http_waha_max_sessions },

    { ngx_string("waha_status_ttl"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, api.status_ttl),
      NULL },

    { ngx_string("waha_cors_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_waha_api_cors_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, api),
      NULL },

    { ngx_string("waha_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, auth.enable),
      NULL },

    { ngx_string("waha_auth_limit"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_waha_auth_limit,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_waha_main_conf_t, auth_limit),
      NULL },

    { ngx_string("waha_jwt_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_waha_auth_jwt_key,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, auth),
      NULL },

    { ngx_string("waha_jwt_issuer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, auth.jwt.issuer),
      NULL },

    { ngx_string("waha_jwt_audience"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, auth.jwt.audience),
      NULL },

    { ngx_string("waha_jwt_claim"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_waha_auth_jwt_claim,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, auth),
      NULL },

    { ngx_string("waha_api_keys"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, auth.api_keys),
      NULL },

    { ngx_string("waha_organization"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_waha_auth_variable,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_waha_loc_conf_t, auth),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_waha_module_ctx = {
    ngx_http_waha_add_variables,           /* preconfiguration */
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


static ngx_http_variable_t  ngx_http_waha_variables[] = {

    { ngx_string("waha_organization"), NULL, ngx_http_waha_variable,
      offsetof(ngx_http_waha_ctx_t, organization),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("waha_session"), NULL, ngx_http_waha_variable,
      offsetof(ngx_http_waha_ctx_t, session),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("waha_event"), NULL, ngx_http_waha_variable,
      offsetof(ngx_http_waha_ctx_t, event),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("waha_action"), NULL, ngx_http_waha_variable,
      offsetof(ngx_http_waha_ctx_t, action),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("waha_batch"), NULL, ngx_http_waha_variable_batch,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("waha_db_time"), NULL, ngx_http_waha_variable_db_time,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_int_t
ngx_http_waha_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_waha_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;
    ngx_http_waha_main_conf_t  *wmcf;

    ngx_http_waha_call_filter_init();
    ngx_http_waha_media_filter_init();

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);

    if (!wmcf->api) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_waha_guard_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    /* the last runs first: those that set our variable have to be before */

    h = cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers.elts;

    ngx_memmove(&h[1], &h[0],
                (cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers.nelts - 1)
                * sizeof(ngx_http_handler_pt));

    h[0] = ngx_http_waha_access_handler;

    return ngx_http_waha_auth_limit_zone(cf, &wmcf->auth_limit);
}


static ngx_int_t
ngx_http_waha_access_handler(ngx_http_request_t *r)
{
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    if (wlcf->api.enable) {
        return ngx_http_waha_dispatch_access(r);
    }

    if (wlcf->auth.enable && !ngx_http_waha_media_redirected(r)) {
        return ngx_http_waha_auth_handler(r);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_waha_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t            *value;
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    value = (ngx_str_t *) ((u_char *) ctx + data);

    if (value->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = value->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = value->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_variable_batch(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    if (ctx == NULL || ctx->records == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(v->data, "%ui", ctx->records) - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* seconds with milliseconds, as $request_time */

static ngx_int_t
ngx_http_waha_variable_db_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_msec_t            ms;
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    if (ctx == NULL || ctx->records == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + 4);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    ms = ctx->db_time;

    v->len = ngx_sprintf(v->data, "%T.%03M", (time_t) ms / 1000, ms % 1000)
             - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static void *
ngx_http_waha_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_waha_main_conf_t));
    if (wmcf == NULL) {
        return NULL;
    }

    wmcf->pg.check = "select waha.check("
                     NGX_HTTP_WAHA_NUMBER(NGX_HTTP_WAHA_CONTRACT_MIN) ", "
                     NGX_HTTP_WAHA_NUMBER(NGX_HTTP_WAHA_CONTRACT_MAX) ")";

    wmcf->pg.hint = "its administrator has to run "
                    "\"psql -f sql/install.sql\" on this database";

    wmcf->pg.statements = ngx_http_waha_ingest_statements;
    wmcf->pg.nstatements = ngx_http_waha_ingest_nstatements;

    wmcf->api_connections = NGX_CONF_UNSET;

    ngx_http_waha_auth_limit_create_conf(&wmcf->auth_limit);

    return wmcf;
}


static char *
ngx_http_waha_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_waha_main_conf_t  *wmcf = conf;

    if (wmcf->webhook && !wmcf->database) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"waha_webhook\" needs \"waha_database\" in the "
                      "\"http\" block");
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_value(wmcf->api_connections, 2);

    wmcf->api_pg = wmcf->pg;
    wmcf->api_pg.connections = wmcf->api_connections;
    wmcf->api_pg.check = "select waha.check("
                         NGX_HTTP_WAHA_NUMBER(NGX_HTTP_WAHA_CONTRACT_API) ", "
                         NGX_HTTP_WAHA_NUMBER(NGX_HTTP_WAHA_CONTRACT_MAX) ")";
    wmcf->api_pg.statements = ngx_http_waha_query_statements;
    wmcf->api_pg.nstatements = ngx_http_waha_query_nstatements;
    wmcf->api_pg.channel = "waha_tenant";
    wmcf->api_pg.notified = ngx_http_waha_auth_cache_drop;

    return NGX_CONF_OK;
}


static void *
ngx_http_waha_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_waha_loc_conf_t  *wlcf;

    /*
     * set by ngx_pcalloc():
     *
     *     wlcf->hmac_keys = NULL;
     *     wlcf->tenant_from = 0;
     *     wlcf->default_organization = { 0, NULL };
     *     wlcf->ignore = 0;
     *     wlcf->phone_pattern = NULL;
     *     wlcf->blocked_numbers = NULL;
     *     wlcf->webhook = 0;
     *     wlcf->auth, wlcf->api: strings, arrays, enable of the latter
     */

    wlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_waha_loc_conf_t));
    if (wlcf == NULL) {
        return NULL;
    }

    wlcf->hmac_legacy = NGX_CONF_UNSET;

    ngx_http_waha_auth_create_conf(&wlcf->auth);
    ngx_http_waha_api_create_conf(&wlcf->api);

    return wlcf;
}


static char *
ngx_http_waha_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_waha_loc_conf_t  *prev = parent;
    ngx_http_waha_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    static ngx_str_t           pattern = ngx_string("^[0-9]{7,15}$");

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname) {
        /* "if" and "limit_except" are part of their location */
        conf->webhook = prev->webhook;
        conf->api.enable = prev->api.enable;
    }

    if (clcf->lmt_excpt && clcf->handler == NULL) {
        clcf->handler = ngx_http_waha_content_handler(conf);
    }

    if (conf->hmac_keys == NULL) {
        conf->hmac_keys = prev->hmac_keys;
    }

    if (conf->blocked_numbers == NULL) {
        conf->blocked_numbers = prev->blocked_numbers;
    }

    if (conf->phone_pattern == NULL) {

        if (prev->phone_pattern == NULL) {
            prev->phone_pattern = ngx_http_waha_compile(cf, &pattern);
            if (prev->phone_pattern == NULL) {
                return NGX_CONF_ERROR;
            }
        }

        conf->phone_pattern = prev->phone_pattern;
    }

    ngx_conf_merge_value(conf->hmac_legacy, prev->hmac_legacy, 0);

    ngx_conf_merge_str_value(conf->default_organization,
                             prev->default_organization, "");

    ngx_conf_merge_bitmask_value(conf->tenant_from, prev->tenant_from,
                                 (NGX_CONF_BITMASK_SET
                                  |NGX_HTTP_WAHA_FROM_SESSION
                                  |NGX_HTTP_WAHA_FROM_METADATA));

    ngx_conf_merge_bitmask_value(conf->ignore, prev->ignore,
                                 (NGX_CONF_BITMASK_SET
                                  |NGX_HTTP_WAHA_IGNORE_GROUPS
                                  |NGX_HTTP_WAHA_IGNORE_STATUSES
                                  |NGX_HTTP_WAHA_IGNORE_NEWSLETTERS
                                  |NGX_HTTP_WAHA_IGNORE_BROADCASTS));

    ngx_http_waha_auth_merge_conf(&prev->auth, &conf->auth);
    ngx_http_waha_api_merge_conf(&prev->api, &conf->api);

    return ngx_http_waha_check_loc_conf(cf, conf);
}


static ngx_http_handler_pt
ngx_http_waha_content_handler(ngx_http_waha_loc_conf_t *conf)
{
    if (conf->webhook) {
        return ngx_http_waha_webhook_handler;
    }

    return conf->api.enable ? ngx_http_waha_dispatch_handler : NULL;
}


static char *
ngx_http_waha_check_loc_conf(ngx_conf_t *cf, ngx_http_waha_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    if (!(conf->tenant_from & NGX_HTTP_WAHA_FROM_SESSION)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"waha_tenant_from\" must name \"session\": "
                      "the session is always asked first");
        return NGX_CONF_ERROR;
    }

    if (conf->default_organization.len
        && !ngx_http_waha_value_is_slug(&conf->default_organization))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"waha_default_organization\" is not a slug: "
                      "up to 255 bytes of UTF-8 are");
        return NGX_CONF_ERROR;
    }

    if ((conf->ignore & NGX_HTTP_WAHA_IGNORE_NONE)
        && conf->ignore != NGX_HTTP_WAHA_IGNORE_NONE)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"waha_ignore none\" allows no other value");
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->webhook && conf->api.enable) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" has \"waha_webhook\" and \"waha_api\": "
                      "each needs a location of its own", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->webhook && conf->auth.enable) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" has \"waha_webhook\" and \"waha_auth "
                      "on\", but WAHA has no token: say \"waha_auth off\" "
                      "there", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->webhook && conf->hmac_keys == NULL) {

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" has \"waha_webhook\" but no "
                      "\"waha_hmac_key\"; anybody could send events there; "
                      "if that is meant, say \"waha_hmac_key off\"",
                      &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->api.enable || conf->auth.enable) {
        return ngx_http_waha_check_api(cf, conf, &clcf->name);
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_waha_check_api(ngx_conf_t *cf, ngx_http_waha_loc_conf_t *conf,
    ngx_str_t *location)
{
    size_t                      n;
    const char                 *name;
    ngx_uint_t                  i;
    ngx_http_waha_hmac_key_t   *key;
    ngx_http_waha_main_conf_t  *wmcf;

    name = conf->api.enable ? "waha_api" : "waha_auth";
    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);

    wmcf->api = 1;

    if (!wmcf->database) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" needs \"waha_database\" in the \"http\" block",
                      name);
        return NGX_CONF_ERROR;
    }

    /* a server may leave it to its locations, beside which nobody passes */

    if (location->len && !ngx_http_waha_auth_configured(&conf->auth)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" has \"%s\" but nothing that tells who "
                      "calls: \"waha_jwt_key\", \"waha_api_keys on\" or "
                      "\"waha_organization\"", location, name);
        return NGX_CONF_ERROR;
    }

    if (!conf->api.enable || conf->api.instances == NULL) {
        return NGX_CONF_OK;
    }

    if (conf->api.webhook_url.len == 0 || conf->hmac_keys == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" makes sessions at WAHA, which need "
                      "\"%s\" there or above", location,
                      conf->api.webhook_url.len ? "waha_hmac_key"
                                                : "waha_webhook_url");
        return NGX_CONF_ERROR;
    }

    key = conf->hmac_keys->elts;

    for (i = 0; i < conf->hmac_keys->nelts; i++) {

        if (!ngx_http_waha_value_is_text(&key[i].secret, &n)) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "location \"%V\" makes sessions at WAHA, which "
                          "takes \"waha_hmac_key\" only as UTF-8 without "
                          "control characters: one is not", location);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_regex_t *
ngx_http_waha_compile(ngx_conf_t *cf, ngx_str_t *pattern)
{
    u_char               errstr[NGX_MAX_CONF_ERRSTR];
    ngx_regex_compile_t  rc;

    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    rc.pattern = *pattern;
    rc.pool = cf->pool;
    rc.err.len = NGX_MAX_CONF_ERRSTR;
    rc.err.data = errstr;

    if (ngx_regex_compile(&rc) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V", &rc.err);
        return NULL;
    }

    return rc.regex;
}


static char *
ngx_http_waha_database(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_main_conf_t  *wmcf = conf;

    if (wmcf->database) {
        return "is duplicate";
    }

    wmcf->database = 1;

    return ngx_http_waha_pg_conf(cf, &wmcf->pg);
}


static char *
ngx_http_waha_webhook(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_waha_main_conf_t  *wmcf;

    if (wlcf->webhook) {
        return "is duplicate";
    }

    wlcf->webhook = 1;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);
    wmcf->webhook = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_waha_content_handler(wlcf);

    return NGX_CONF_OK;
}


static char *
ngx_http_waha_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (wlcf->api.enable) {
        return "is duplicate";
    }

    wlcf->api.enable = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_waha_content_handler(wlcf);

    return NGX_CONF_OK;
}


static char *
ngx_http_waha_hmac_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t                 *value;
    ngx_http_waha_hmac_key_t  *key;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return ngx_http_waha_hmac_off(cf, wlcf);
    }

    if (wlcf->hmac_keys == NULL) {
        wlcf->hmac_keys = ngx_array_create(cf->pool, 2,
                                           sizeof(ngx_http_waha_hmac_key_t));
        if (wlcf->hmac_keys == NULL) {
            return NGX_CONF_ERROR;
        }

    } else if (wlcf->hmac_keys->nelts == 0) {
        return "contradicts \"waha_hmac_key off\"";
    }

    key = ngx_array_push(wlcf->hmac_keys);
    if (key == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_str_null(&key->instance);

    if (cf->args->nelts == 3) {

        if (value[2].len <= sizeof("instance=") - 1
            || ngx_strncmp(value[2].data, "instance=", sizeof("instance=") - 1)
               != 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", "
                               "it can only be \"instance=<name>\"",
                               &value[2]);
            return NGX_CONF_ERROR;
        }

        key->instance.data = value[2].data + sizeof("instance=") - 1;
        key->instance.len = value[2].len - (sizeof("instance=") - 1);
    }

    if (ngx_http_waha_key_file(cf, &value[1], &key->secret) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_waha_hmac_off(ngx_conf_t *cf, ngx_http_waha_loc_conf_t *wlcf)
{
    if (wlcf->hmac_keys) {
        return (wlcf->hmac_keys->nelts == 0)
               ? "is duplicate" : "off contradicts another \"waha_hmac_key\"";
    }

    wlcf->hmac_keys = ngx_array_create(cf->pool, 1,
                                       sizeof(ngx_http_waha_hmac_key_t));
    if (wlcf->hmac_keys == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_waha_phone_pattern(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t  *value;

    if (wlcf->phone_pattern) {
        return "is duplicate";
    }

    value = cf->args->elts;

    wlcf->phone_pattern = ngx_http_waha_compile(cf, &value[1]);
    if (wlcf->phone_pattern == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* numbers in any human spelling; only the digits count */

static char *
ngx_http_waha_blocked_numbers(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    u_char      *p;
    size_t       i;
    ngx_str_t   *value, *number;
    ngx_uint_t   n;

    if (wlcf->blocked_numbers == NULL) {
        wlcf->blocked_numbers = ngx_array_create(cf->pool, 4,
                                                 sizeof(ngx_str_t));
        if (wlcf->blocked_numbers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (n = 1; n < cf->args->nelts; n++) {

        number = ngx_array_push(wlcf->blocked_numbers);
        if (number == NULL) {
            return NGX_CONF_ERROR;
        }

        p = ngx_pnalloc(cf->pool, value[n].len);
        if (p == NULL) {
            return NGX_CONF_ERROR;
        }

        number->data = p;

        for (i = 0; i < value[n].len; i++) {

            if (value[n].data[i] >= '0' && value[n].data[i] <= '9') {
                *p++ = value[n].data[i];
                continue;
            }

            if (ngx_strchr("+-.() ", value[n].data[i]) == NULL) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid number \"%V\"", &value[n]);
                return NGX_CONF_ERROR;
            }
        }

        number->len = p - number->data;

        if (number->len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "no digits in number \"%V\"", &value[n]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_waha_init_process(ngx_cycle_t *cycle)
{
    ngx_http_waha_main_conf_t  *wmcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    wmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_waha_module);

    if (wmcf == NULL || !wmcf->database) {
        return NGX_OK;
    }

    wmcf->pool = ngx_http_waha_pg_create(cycle, &wmcf->pg);
    if (wmcf->pool == NULL) {
        return NGX_ERROR;
    }

    wmcf->ingest = ngx_http_waha_ingest_create(cycle, wmcf->pool, &wmcf->pg);
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

    wmcf->api_pg.data = wmcf->auth_cache;

    wmcf->api_pool = ngx_http_waha_pg_create(cycle, &wmcf->api_pg);
    if (wmcf->api_pool == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_waha_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_waha_module);

    if (wmcf && wmcf->pool) {
        ngx_http_waha_pg_destroy(wmcf->pool);
    }

    if (wmcf && wmcf->api_pool) {
        ngx_http_waha_pg_destroy(wmcf->api_pool);
        ngx_http_waha_auth_cache_drop(wmcf->auth_cache);
    }
}
