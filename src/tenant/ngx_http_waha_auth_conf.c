
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_auth_conf.h>
#include <ngx_http_waha_key_file.h>
#include <ngx_http_waha_string.h>


static ngx_uint_t ngx_http_waha_auth_conf_has_method(
    ngx_http_waha_auth_conf_t *conf);
static char *ngx_http_waha_auth_conf_set_key_params(ngx_conf_t *cf,
    ngx_http_waha_jwt_key_t *key);
static char *ngx_http_waha_auth_conf_set_operator_claim(ngx_conf_t *cf,
    ngx_http_waha_jwt_conf_t *jwt, ngx_str_t *value);
static ngx_int_t ngx_http_waha_auth_conf_set_proof(ngx_conf_t *cf,
    ngx_http_waha_auth_conf_t *auth, ngx_str_t *name);
static ngx_uint_t ngx_http_waha_auth_conf_is_trusted(
    ngx_http_waha_auth_trust_t *trust, ngx_hash_keys_arrays_t *variables,
    ngx_str_t *name);
static ngx_uint_t ngx_http_waha_auth_conf_has_prefix(ngx_str_t *name,
    const char *prefix);


void
ngx_http_waha_auth_conf_create(ngx_http_waha_auth_conf_t *conf)
{
    conf->enable = NGX_CONF_UNSET;
    conf->api_keys = NGX_CONF_UNSET;
    conf->variable = NGX_CONF_UNSET;

    /* set by ngx_pcalloc(): conf->proof = NGX_HTTP_WAHA_PROOF_NONE */
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

    if (conf->variable == NGX_CONF_UNSET) {
        conf->proof = prev->proof;
        conf->verify = prev->verify;
    }

    ngx_conf_merge_value(conf->variable, prev->variable, NGX_ERROR);
}


char *
ngx_http_waha_auth_conf_check(ngx_conf_t *cf, ngx_http_waha_auth_conf_t *conf,
    const char *name, ngx_str_t *location)
{
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);

    if (!wmcf->database) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" needs \"waha_database\" in the \"http\" block",
                      name);
        return NGX_CONF_ERROR;
    }

    if (location->len && !wmcf->warned && conf->jwt.keys
        && (conf->jwt.issuer.len == 0 || conf->jwt.audience.len == 0))
    {
        wmcf->warned = 1;

        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "location \"%V\" has \"waha_jwt_key\" without "
                      "\"waha_jwt_issuer\" and \"waha_jwt_audience\": it takes "
                      "tokens that were made for other services", location);
    }

    /* a server has no name; requests are served by its locations */

    if (location->len && !ngx_http_waha_auth_conf_has_method(conf)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" has \"%s\" but nothing that tells who "
                      "calls: \"waha_jwt_key\", \"waha_api_keys on\" or "
                      "\"waha_organization\"", location, name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_uint_t
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
    ngx_uint_t                 secret;
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

    secret = ngx_http_waha_string_is(&value[1], "HS256");

    if (ngx_http_waha_key_file_read(cf, &value[2], secret, &material)
        != NGX_OK)
    {
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
    ngx_str_t   *value, age;
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

        if (ngx_strcmp(value[i].data, "typ=JWT") == 0
            || ngx_strcmp(value[i].data, "typ=at+jwt") == 0)
        {
            key->typ.data = value[i].data + 4;
            key->typ.len = value[i].len - 4;
            continue;
        }

        if (ngx_strncmp(value[i].data, "max_age=", 8) == 0) {
            age.data = value[i].data + 8;
            age.len = value[i].len - 8;

            key->max_age = ngx_parse_time(&age, 1);

            if (key->max_age > 0) {
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", it can only be "
                           "\"kid=<id>\", \"typ=JWT\", \"typ=at+jwt\", "
                           "\"max_age=<time>\" or \"role=operator\"",
                           &value[i]);
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

    ngx_str_t                      *value, name;
    ngx_http_waha_main_conf_t      *wmcf;
    ngx_http_waha_auth_conf_t      *auth;
    ngx_http_waha_auth_variable_t  *variable;

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

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);

    variable = ngx_array_push(wmcf->auth_trust->variables);
    if (variable == NULL) {
        return NGX_CONF_ERROR;
    }

    variable->name = name;
    variable->file = cf->conf_file->file.name;
    variable->line = cf->conf_file->line;

    auth->variable = ngx_http_get_variable_index(cf, &name);
    if (auth->variable == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_waha_auth_conf_set_proof(cf, auth, &name) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* nginx has two variables that clients choose unless nginx verifies them */

static ngx_int_t
ngx_http_waha_auth_conf_set_proof(ngx_conf_t *cf,
    ngx_http_waha_auth_conf_t *auth, ngx_str_t *name)
{
    static ngx_str_t  verify = ngx_string("ssl_client_verify");

    if (ngx_http_waha_string_is(name, "remote_user")) {
        auth->proof = NGX_HTTP_WAHA_PROOF_BASIC;
        return NGX_OK;
    }

    if (!ngx_http_waha_auth_conf_has_prefix(name, "ssl_client_")) {
        return NGX_OK;
    }

    auth->proof = NGX_HTTP_WAHA_PROOF_CERTIFICATE;
    auth->verify = ngx_http_get_variable_index(cf, &verify);

    return (auth->verify == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_http_waha_auth_conf_note_variables(ngx_conf_t *cf)
{
    u_char                       errstr[NGX_MAX_CONF_ERRSTR];
    ngx_regex_compile_t          rc;
    ngx_http_variable_t         *var;
    ngx_http_core_main_conf_t   *cmcf;
    ngx_http_waha_main_conf_t   *wmcf;
    ngx_http_waha_auth_trust_t  *trust;

    static ngx_str_t  name = ngx_string("waha_capture");
    static ngx_str_t  pattern = ngx_string("(?<waha_capture>)");

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);

    trust = wmcf->auth_trust;

    trust->variables = ngx_array_create(cf->pool, 4,
                                        sizeof(ngx_http_waha_auth_variable_t));
    if (trust->variables == NULL) {
        return NGX_ERROR;
    }

    /* nothing else tells a captured variable from one that is set */

    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    rc.pattern = pattern;
    rc.err.len = NGX_MAX_CONF_ERRSTR;
    rc.err.data = errstr;

    if (ngx_http_regex_compile(cf, &rc) == NULL) {
        return NGX_ERROR;
    }

    var = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_CHANGEABLE);
    if (var == NULL) {
        return NGX_ERROR;
    }

    trust->capture = var->get_handler;
    trust->builtin = cmcf->variables_keys->keys.nelts;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_auth_conf_check_variables(ngx_conf_t *cf)
{
    ngx_uint_t                      i;
    ngx_http_core_main_conf_t      *cmcf;
    ngx_http_waha_main_conf_t      *wmcf;
    ngx_http_waha_auth_trust_t     *trust;
    ngx_http_waha_auth_variable_t  *variable;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);

    trust = wmcf->auth_trust;
    variable = trust->variables->elts;

    for (i = 0; i < trust->variables->nelts; i++) {

        if (ngx_http_waha_auth_conf_is_trusted(trust, cmcf->variables_keys,
                                               &variable[i].name))
        {
            continue;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"$%V\" in \"waha_organization\" is what the client "
                      "says, or nginx finds in it: anybody could name any "
                      "organization; use a variable of \"map\", "
                      "\"auth_request_set\" or \"set\", or of a verified "
                      "certificate, in %V:%ui",
                      &variable[i].name, &variable[i].file, variable[i].line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* variables of modules that were loaded later are no operator's either */

static ngx_uint_t
ngx_http_waha_auth_conf_is_trusted(ngx_http_waha_auth_trust_t *trust,
    ngx_hash_keys_arrays_t *variables, ngx_str_t *name)
{
    ngx_uint_t            i;
    ngx_hash_key_t       *key;
    ngx_http_variable_t  *var;

    if (ngx_http_waha_string_is(name, "remote_user")
        || ngx_http_waha_auth_conf_has_prefix(name, "ssl_client_")
        || ngx_http_waha_auth_conf_has_prefix(name, "jwt_claim_"))
    {
        return 1;
    }

    key = variables->keys.elts;

    for (i = trust->builtin; i < variables->keys.nelts; i++) {
        var = key[i].value;

        if (var->name.len == name->len
            && ngx_strncasecmp(var->name.data, name->data, name->len) == 0)
        {
            return (var->flags & NGX_HTTP_VAR_CHANGEABLE)
                   && var->get_handler != trust->capture;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_waha_auth_conf_has_prefix(ngx_str_t *name, const char *prefix)
{
    size_t  len;

    len = ngx_strlen(prefix);

    return name->len > len
           && ngx_strncasecmp(name->data, (u_char *) prefix, len) == 0;
}
