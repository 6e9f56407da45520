
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SESSION_CONF_H_INCLUDED_
#define _NGX_HTTP_WAHA_SESSION_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>


typedef struct ngx_http_waha_session_conf_s {
    ngx_str_t      webhook_url;     /* the configuration of a session has it */
    ngx_int_t      max_sessions;    /* of an organization */
    time_t         status_ttl;
    ngx_flag_t     connect_enables;
} ngx_http_waha_session_conf_t;


/* Handler of "waha_webhook_url". */
char *ngx_http_waha_session_conf_webhook_url(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

void ngx_http_waha_session_conf_create(ngx_http_waha_session_conf_t *conf);
void ngx_http_waha_session_conf_merge(ngx_http_waha_session_conf_t *prev,
    ngx_http_waha_session_conf_t *conf);

/*
 * Checks a location that has instances.  NGX_CONF_ERROR: the log says what
 * is missing.
 */
char *ngx_http_waha_session_conf_check(ngx_conf_t *cf,
    ngx_http_waha_loc_conf_t *conf, ngx_str_t *location);


#endif /* _NGX_HTTP_WAHA_SESSION_CONF_H_INCLUDED_ */
