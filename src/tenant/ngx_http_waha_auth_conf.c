
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_auth_conf.h>
#include <ngx_http_waha_key_file.h>


static char *ngx_http_waha_auth_conf_set_key_params(ngx_conf_t *cf,
    ngx_http_waha_jwt_key_t *key);
static char *ngx_http_waha_auth_conf_set_operator_claim(ngx_conf_t *cf,
    ngx_http_waha_jwt_conf_t *jwt, ngx_str_t *value);
static ngx_uint_t ngx_http_waha_auth_conf_is_client_variable(ngx_str_t *name);


void
ngx_http_waha_auth_conf_create(ngx_http_waha_auth_conf_t *conf)
{
    conf->enable = NGX_CONF_UNSET;
    conf->api_keys = NGX_CONF_UNSET;
    conf->variable = NGX_CONF_UNSET;
}


void
ngx_http_waha_auth_conf_merge(ngx_http_waha_auth_conf_t *prev,
    ngx_http_waha_auth_conf_t *conf)
{
    if (conf->jwt.keys == NULL) {
        conf->jwt.keys = prev->jwt.keys;
    }

    ngx_conf_merge_str_value(conf->jwt.issuer, prev->jwt.issuer, "");
    ngx_conf_merge_str_value(conf->jwt.audience, prev->jwt.audience, "");
    ngx_conf_merge_str_value(conf->jwt.claim, prev->jwt.claim, "org");

    if (conf->jwt.operator_claim.data == NULL) {
        conf->jwt.operator_claim = prev->jwt.operator_claim;
        conf->jwt.operator_value = prev->jwt.operator_value;
    }

    ngx_conf_merge_value(conf->enable, prev->enable, 0);
    ngx_conf_merge_value(conf->api_keys, prev->api_keys, 0);
    ngx_conf_merge_value(conf->variable, prev->variable, NGX_ERROR);
}


ngx_uint_t
ngx_http_waha_auth_conf_has_method(ngx_http_waha_auth_conf_t *conf)
{
    return conf->jwt.keys || conf->api_keys || conf->variable != NGX_ERROR;
}


char *
ngx_http_waha_auth_conf_jwt_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_int_t                  rc;
    ngx_str_t                 *value, material;
    const char                *reason;
    ngx_http_waha_jwt_key_t   *key;
    ngx_http_waha_jwt_conf_t  *jwt;

    jwt = &wlcf->auth->jwt;

    if (jwt->keys == NULL) {
        jwt->keys = ngx_array_create(cf->pool, 2,
                                     sizeof(ngx_http_waha_jwt_key_t));
        if (jwt->keys == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    key = ngx_array_push(jwt->keys);
    if (key == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (ngx_http_waha_key_file_read(cf, &value[2], &material) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rc = ngx_http_waha_jwt_key_parse(cf->pool, &value[1], &material, key,
                                     &reason);

    if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" cannot be used as a key for \"%V\": %s",
                           &value[2], &value[1], reason);
    }

    if (rc != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_waha_auth_conf_set_key_params(cf, key);
}


static char *
ngx_http_waha_auth_conf_set_key_params(ngx_conf_t *cf,
    ngx_http_waha_jwt_key_t *key)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 3; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "kid=", 4) == 0) {
            key->kid.data = value[i].data + 4;
            key->kid.len = value[i].len - 4;

            if (!ngx_http_waha_jwt_key_is_id(&key->kid)) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid key id \"%V\", up to 128 letters, "
                                   "digits, \".\", \"_\" and \"-\" are "
                                   "allowed", &key->kid);
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strcmp(value[i].data, "role=operator") == 0) {
            key->operator = 1;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", it can only be "
                           "\"kid=<id>\" or \"role=operator\"", &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* "waha_jwt_claim name" or "waha_jwt_claim name=value role=operator" */

char *
ngx_http_waha_auth_conf_jwt_claim(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t                 *value;
    ngx_http_waha_jwt_conf_t  *jwt;

    jwt = &wlcf->auth->jwt;
    value = cf->args->elts;

    if (cf->args->nelts == 3) {

        if (ngx_strcmp(value[2].data, "role=operator") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", it can only be "
                               "\"role=operator\"", &value[2]);
            return NGX_CONF_ERROR;
        }

        return ngx_http_waha_auth_conf_set_operator_claim(cf, jwt, &value[1]);
    }

    if (jwt->claim.data) {
        return "is duplicate";
    }

    if (value[1].len == 0) {
        return "names no claim";
    }

    jwt->claim = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_waha_auth_conf_set_operator_claim(ngx_conf_t *cf,
    ngx_http_waha_jwt_conf_t *jwt, ngx_str_t *value)
{
    u_char  *p;

    if (jwt->operator_claim.data) {
        return "is duplicate";
    }

    p = ngx_strlchr(value->data, value->data + value->len, '=');

    if (p == NULL || p == value->data || p + 1 == value->data + value->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid claim \"%V\", the claim of an operator "
                           "is written as \"<claim>=<value>\"", value);
        return NGX_CONF_ERROR;
    }

    jwt->operator_claim.data = value->data;
    jwt->operator_claim.len = p - value->data;

    jwt->operator_value.data = p + 1;
    jwt->operator_value.len = value->data + value->len - (p + 1);

    return NGX_CONF_OK;
}


char *
ngx_http_waha_auth_conf_organization(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t                  *value, name;
    ngx_http_waha_auth_conf_t  *auth;

    auth = wlcf->auth;
    value = cf->args->elts;

    if (auth->variable != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    if (value[1].len < 2 || value[1].data[0] != '$') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid variable name \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    name.data = value[1].data + 1;
    name.len = value[1].len - 1;

    if (ngx_http_waha_auth_conf_is_client_variable(&name)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is what the client says: anybody could "
                           "name any organization; use a variable of "
                           "\"auth_request_set\" or of a verified "
                           "certificate", &value[1]);
        return NGX_CONF_ERROR;
    }

    auth->variable = ngx_http_get_variable_index(cf, &name);
    if (auth->variable == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* whether a variable has a value that any client can choose */

static ngx_uint_t
ngx_http_waha_auth_conf_is_client_variable(ngx_str_t *name)
{
    ngx_str_t  *known;

    /* names that end with "_" are prefixes */

    static ngx_str_t  names[] = {
        ngx_string("http_"), ngx_string("arg_"), ngx_string("cookie_"),
        ngx_string("args"), ngx_string("query_string"),
        ngx_string("request"), ngx_string("request_uri"),
        ngx_string("request_body"), ngx_string("request_filename"),
        ngx_string("uri"), ngx_string("document_uri"),
        ngx_string("host"), ngx_string("content_type"),
        ngx_string("ssl_server_name"),
        ngx_string("proxy_add_x_forwarded_for"), ngx_null_string
    };

    for (known = names; known->len; known++) {

        if ((name->len == known->len
             || (name->len > known->len
                 && known->data[known->len - 1] == '_'))
            && ngx_strncasecmp(name->data, known->data, known->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
