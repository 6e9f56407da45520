
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_INTAKE_CONF_H_INCLUDED_
#define _NGX_HTTP_WAHA_INTAKE_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>


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


/* of a location with "waha_webhook" */

typedef struct ngx_http_waha_intake_conf_s {
    ngx_flag_t      hmac_legacy;
    time_t          max_age;            /* of deliveries; 0: any */

    ngx_uint_t      tenant_from;
    ngx_str_t       default_organization;

    ngx_uint_t      ignore;
    ngx_regex_t    *phone_pattern;
    ngx_array_t    *blocked_numbers;    /* ngx_str_t, digits */

    /* SHA-256 of the verify token of the operator's app at Meta; NULL: none */
    u_char         *verify_token;

    unsigned        enable:1;
} ngx_http_waha_intake_conf_t;


/* for ngx_conf_set_bitmask_slot() */

extern ngx_conf_bitmask_t  ngx_http_waha_intake_tenant_sources[];
extern ngx_conf_bitmask_t  ngx_http_waha_intake_ignored_chats[];

/* Handlers of the directives. */
char *ngx_http_waha_intake_conf_hmac_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_waha_intake_conf_meta_app_secret(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_waha_intake_conf_meta_verify_token(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_waha_intake_conf_phone_pattern(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_waha_intake_conf_blocked_numbers(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

void ngx_http_waha_intake_conf_create(ngx_http_waha_intake_conf_t *conf);

/* NGX_CONF_ERROR: no memory. */
char *ngx_http_waha_intake_conf_merge(ngx_conf_t *cf,
    ngx_http_waha_intake_conf_t *prev, ngx_http_waha_intake_conf_t *conf);

/* NGX_CONF_ERROR: the log says what is wrong in a location. */
char *ngx_http_waha_intake_conf_check(ngx_conf_t *cf,
    ngx_http_waha_loc_conf_t *conf, ngx_str_t *location);


#endif /* _NGX_HTTP_WAHA_INTAKE_CONF_H_INCLUDED_ */
