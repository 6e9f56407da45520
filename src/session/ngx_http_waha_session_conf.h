
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SESSION_CONF_H_INCLUDED_
#define _NGX_HTTP_WAHA_SESSION_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>


/* what the database counts of a session */

typedef enum {
    NGX_HTTP_WAHA_BUDGET_CODES = 0,
    NGX_HTTP_WAHA_BUDGET_CONNECTS,
    NGX_HTTP_WAHA_BUDGET_RESTARTS,
    NGX_HTTP_WAHA_NBUDGETS
} ngx_http_waha_budget_e;


typedef struct {
    ngx_int_t      most;            /* 0: no limit */
    time_t         time;
} ngx_http_waha_budget_t;


typedef struct ngx_http_waha_session_conf_s {
    ngx_str_t      webhook_url;     /* the configuration of a session has it */
    ngx_int_t      max_sessions;    /* of an organization */
    time_t         status_ttl;
    ngx_flag_t     connect_enables;
    ngx_str_t      meta_app;        /* id of the operator's app at Meta */

    ngx_http_waha_budget_t
                   budgets[NGX_HTTP_WAHA_NBUDGETS];

    /* events that the webhook does not store: WAHA need not send them */
    unsigned       ignore_groups:1;
    unsigned       ignore_statuses:1;
    unsigned       ignore_newsletters:1;
    unsigned       ignore_broadcasts:1;
} ngx_http_waha_session_conf_t;


/* the names of budgets in the directive and in the database, by the enum */

extern ngx_str_t  ngx_http_waha_session_budgets[];

/*
 * Handlers of "waha_webhook_url", "waha_session_budget" and
 * "waha_meta_app_id".
 */
char *ngx_http_waha_session_conf_webhook_url(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_waha_session_conf_budget(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_waha_session_conf_meta_app(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

void ngx_http_waha_session_conf_create(ngx_http_waha_session_conf_t *conf);
void ngx_http_waha_session_conf_merge(ngx_http_waha_session_conf_t *prev,
    ngx_http_waha_session_conf_t *conf);

/*
 * Checks a location that has instances, or Graph.  NGX_CONF_ERROR: the log
 * says what is missing.
 */
char *ngx_http_waha_session_conf_check(ngx_conf_t *cf,
    ngx_http_waha_loc_conf_t *conf, ngx_str_t *location);


#endif /* _NGX_HTTP_WAHA_SESSION_CONF_H_INCLUDED_ */
