
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_AUTH_CONF_H_INCLUDED_
#define _NGX_HTTP_WAHA_AUTH_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_jwt.h>


typedef struct ngx_http_waha_auth_conf_s {
    ngx_flag_t                  enable;

    ngx_http_waha_jwt_conf_t    jwt;
    ngx_flag_t                  api_keys;

    /* index of the variable of "waha_organization"; NGX_ERROR: none */
    ngx_int_t                   variable;

    /* what has to be verified before it counts; ngx_http_waha_proof_e */
    ngx_uint_t                  proof;
    ngx_int_t                   verify;         /* $ssl_client_verify */
} ngx_http_waha_auth_conf_t;


typedef enum {
    NGX_HTTP_WAHA_PROOF_NONE = 0,
    NGX_HTTP_WAHA_PROOF_CERTIFICATE,
    NGX_HTTP_WAHA_PROOF_BASIC
} ngx_http_waha_proof_e;


/* which variables the operator has set, while the configuration is read */

typedef struct ngx_http_waha_auth_trust_s {
    ngx_array_t                *variables;  /* ngx_http_waha_auth_variable_t */

    /* variables of nginx itself, which are there before any directive */
    ngx_uint_t                  builtin;

    /* of variables that a regular expression captures */
    ngx_http_get_variable_pt    capture;
} ngx_http_waha_auth_trust_t;


/* a use of "waha_organization" */

typedef struct {
    ngx_str_t                   name;
    ngx_str_t                   file;
    ngx_uint_t                  line;
} ngx_http_waha_auth_variable_t;


/* Before any directive is read: learns nginx's own variables. */
ngx_int_t ngx_http_waha_auth_conf_note_variables(ngx_conf_t *cf);

/*
 * After all directives were read: NGX_ERROR, with a log line, if clients could
 * choose the value of a variable that "waha_organization" names.
 */
ngx_int_t ngx_http_waha_auth_conf_check_variables(ngx_conf_t *cf);


/* Handlers of "waha_jwt_key", "waha_jwt_claim" and "waha_organization". */
char *ngx_http_waha_auth_conf_jwt_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_waha_auth_conf_jwt_claim(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_waha_auth_conf_organization(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

void ngx_http_waha_auth_conf_create(ngx_http_waha_auth_conf_t *conf);
void ngx_http_waha_auth_conf_merge(ngx_http_waha_auth_conf_t *prev,
    ngx_http_waha_auth_conf_t *conf);

/*
 * Checks a location that authorizes its clients by the directive of that name.
 * NGX_CONF_ERROR: the log says what is missing.
 */
char *ngx_http_waha_auth_conf_check(ngx_conf_t *cf,
    ngx_http_waha_auth_conf_t *conf, const char *name, ngx_str_t *location);


#endif /* _NGX_HTTP_WAHA_AUTH_CONF_H_INCLUDED_ */
