
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <openssl/evp.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_connection.h>
#include <ngx_http_waha_intake_conf.h>
#include <ngx_http_waha_key_file.h>
#include <ngx_http_waha_signature.h>
#include <ngx_http_waha_value.h>


static ngx_regex_t *ngx_http_waha_intake_conf_compile(ngx_conf_t *cf,
    ngx_str_t *pattern);
static ngx_http_waha_hmac_key_t *ngx_http_waha_intake_conf_add_key(
    ngx_conf_t *cf, ngx_array_t **keys, ngx_str_t *file);
static char *ngx_http_waha_intake_conf_hmac_off(ngx_conf_t *cf,
    ngx_http_waha_loc_conf_t *wlcf);


ngx_conf_bitmask_t  ngx_http_waha_intake_tenant_sources[] = {
    { ngx_string("session"), NGX_HTTP_WAHA_FROM_SESSION },
    { ngx_string("metadata"), NGX_HTTP_WAHA_FROM_METADATA },
    { ngx_string("pattern"), NGX_HTTP_WAHA_FROM_PATTERN },
    { ngx_string("query"), NGX_HTTP_WAHA_FROM_QUERY },
    { ngx_string("sender"), NGX_HTTP_WAHA_FROM_SENDER },
    { ngx_null_string, 0 }
};


ngx_conf_bitmask_t  ngx_http_waha_intake_ignored_chats[] = {
    { ngx_string("none"), NGX_HTTP_WAHA_IGNORE_NONE },
    { ngx_string("groups"), NGX_HTTP_WAHA_IGNORE_GROUPS },
    { ngx_string("statuses"), NGX_HTTP_WAHA_IGNORE_STATUSES },
    { ngx_string("newsletters"), NGX_HTTP_WAHA_IGNORE_NEWSLETTERS },
    { ngx_string("broadcasts"), NGX_HTTP_WAHA_IGNORE_BROADCASTS },
    { ngx_null_string, 0 }
};


void
ngx_http_waha_intake_conf_create(ngx_http_waha_intake_conf_t *conf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     conf->tenant_from = 0;
     *     conf->default_organization = { 0, NULL };
     *     conf->ignore = 0;
     *     conf->phone_pattern = NULL;
     *     conf->blocked_numbers = NULL;
     *     conf->verify_token = NULL;
     *     conf->enable = 0;
     */

    conf->hmac_legacy = NGX_CONF_UNSET;
    conf->max_age = NGX_CONF_UNSET;
}


char *
ngx_http_waha_intake_conf_merge(ngx_conf_t *cf,
    ngx_http_waha_intake_conf_t *prev, ngx_http_waha_intake_conf_t *conf)
{
    static ngx_str_t  pattern = ngx_string("^[0-9]{7,15}$");

    if (conf->blocked_numbers == NULL) {
        conf->blocked_numbers = prev->blocked_numbers;
    }

    if (conf->verify_token == NULL) {
        conf->verify_token = prev->verify_token;
    }

    if (conf->phone_pattern == NULL) {

        if (prev->phone_pattern == NULL) {
            prev->phone_pattern = ngx_http_waha_intake_conf_compile(cf,
                                                                    &pattern);
            if (prev->phone_pattern == NULL) {
                return NGX_CONF_ERROR;
            }
        }

        conf->phone_pattern = prev->phone_pattern;
    }

    ngx_conf_merge_value(conf->hmac_legacy, prev->hmac_legacy, 0);
    ngx_conf_merge_sec_value(conf->max_age, prev->max_age, 0);

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

    return NGX_CONF_OK;
}


char *
ngx_http_waha_intake_conf_check(ngx_conf_t *cf,
    ngx_http_waha_loc_conf_t *conf, ngx_str_t *location)
{
    ngx_http_waha_main_conf_t    *wmcf;
    ngx_http_waha_intake_conf_t  *intake;

    intake = conf->intake;

    if (!(intake->tenant_from & NGX_HTTP_WAHA_FROM_SESSION)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"waha_tenant_from\" must name \"session\": "
                      "the session is always asked first");
        return NGX_CONF_ERROR;
    }

    if (intake->default_organization.len
        && !ngx_http_waha_value_is_slug(&intake->default_organization))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"waha_default_organization\" is not a slug: "
                      "up to 255 bytes of UTF-8 are");
        return NGX_CONF_ERROR;
    }

    if ((intake->ignore & NGX_HTTP_WAHA_IGNORE_NONE)
        && intake->ignore != NGX_HTTP_WAHA_IGNORE_NONE)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"waha_ignore none\" allows no other value");
        return NGX_CONF_ERROR;
    }

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);

    if (intake->enable && conf->hmac_keys == NULL && !wmcf->meta) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" has \"waha_webhook\" but no "
                      "\"waha_hmac_key\"; anybody could send events there; "
                      "if that is meant, say \"waha_hmac_key off\"",
                      location);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_regex_t *
ngx_http_waha_intake_conf_compile(ngx_conf_t *cf, ngx_str_t *pattern)
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


char *
ngx_http_waha_intake_conf_hmac_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t                 *value;
    ngx_http_waha_hmac_key_t  *key;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return ngx_http_waha_intake_conf_hmac_off(cf, wlcf);
    }

    if (wlcf->hmac_keys && wlcf->hmac_keys->nelts == 0) {
        return "contradicts \"waha_hmac_key off\"";
    }

    key = ngx_http_waha_intake_conf_add_key(cf, &wlcf->hmac_keys, &value[1]);
    if (key == NULL) {
        return NGX_CONF_ERROR;
    }

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

    return NGX_CONF_OK;
}


/* NULL: the error was logged */

static ngx_http_waha_hmac_key_t *
ngx_http_waha_intake_conf_add_key(ngx_conf_t *cf, ngx_array_t **keys,
    ngx_str_t *file)
{
    ngx_http_waha_hmac_key_t  *key;

    if (*keys == NULL) {
        *keys = ngx_array_create(cf->pool, 2,
                                 sizeof(ngx_http_waha_hmac_key_t));
        if (*keys == NULL) {
            return NULL;
        }
    }

    key = ngx_array_push(*keys);
    if (key == NULL) {
        return NULL;
    }

    ngx_memzero(key, sizeof(ngx_http_waha_hmac_key_t));

    if (ngx_http_waha_key_file_read(cf, file, 1, &key->secret) != NGX_OK
        || ngx_http_waha_signature_set_key(cf->pool, key) != NGX_OK)
    {
        return NULL;
    }

    return key;
}


static char *
ngx_http_waha_intake_conf_hmac_off(ngx_conf_t *cf,
    ngx_http_waha_loc_conf_t *wlcf)
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


char *
ngx_http_waha_intake_conf_meta_app_secret(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t                  *value;
    ngx_http_waha_main_conf_t  *wmcf;

    value = cf->args->elts;

    if (ngx_http_waha_intake_conf_add_key(cf, &wlcf->meta_keys, &value[1])
        == NULL)
    {
        return NGX_CONF_ERROR;
    }

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);
    wmcf->meta = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_waha_intake_conf_meta_verify_token(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    u_char                      hash[EVP_MAX_MD_SIZE];
    ngx_str_t                  *value, token;
    ngx_http_waha_main_conf_t  *wmcf;

    if (wlcf->intake->verify_token) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_waha_key_file_read(cf, &value[1], 1, &token) != NGX_OK
        || EVP_Digest(token.data, token.len, hash, NULL, EVP_sha256(), NULL)
           != 1)
    {
        return NGX_CONF_ERROR;
    }

    wlcf->intake->verify_token = ngx_pnalloc(cf->pool,
                                             NGX_HTTP_WAHA_CONNECTION_HASH);
    if (wlcf->intake->verify_token == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(wlcf->intake->verify_token, hash,
               NGX_HTTP_WAHA_CONNECTION_HASH);

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);
    wmcf->meta = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_waha_intake_conf_phone_pattern(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t                    *value;
    ngx_http_waha_intake_conf_t  *intake;

    intake = wlcf->intake;

    if (intake->phone_pattern) {
        return "is duplicate";
    }

    value = cf->args->elts;

    intake->phone_pattern = ngx_http_waha_intake_conf_compile(cf, &value[1]);
    if (intake->phone_pattern == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* people write numbers in many ways: only the digits are compared */

char *
ngx_http_waha_intake_conf_blocked_numbers(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    u_char                       *p;
    size_t                        i;
    ngx_str_t                    *value, *number;
    ngx_uint_t                    n;
    ngx_http_waha_intake_conf_t  *intake;

    intake = wlcf->intake;

    if (intake->blocked_numbers == NULL) {
        intake->blocked_numbers = ngx_array_create(cf->pool, 4,
                                                   sizeof(ngx_str_t));
        if (intake->blocked_numbers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (n = 1; n < cf->args->nelts; n++) {

        number = ngx_array_push(intake->blocked_numbers);
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
