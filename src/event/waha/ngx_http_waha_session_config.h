
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SESSION_CONFIG_H_INCLUDED_
#define _NGX_HTTP_WAHA_SESSION_CONFIG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>


/* what WAHA has to know of a session of ours; all is UTF-8 */

typedef struct {
    ngx_str_t   url;            /* of our webhook */
    ngx_str_t   key;            /* that signs; empty: none */

    ngx_str_t   organization_slug;
    ngx_str_t   organization_id;
} ngx_http_waha_session_config_t;


/*
 * The secret that sessions of an instance sign with: of the keys, an array
 * of ngx_http_waha_hmac_key_t, the last one bound to the instance, else the
 * last one bound to none.  Empty: there is none.
 */
ngx_str_t ngx_http_waha_session_config_key(ngx_array_t *keys,
    ngx_str_t *instance);

/*
 * Writes the body that makes a session and starts it.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_session_config_create(ngx_pool_t *pool,
    ngx_http_waha_session_config_t *conf, ngx_str_t *name, ngx_str_t *json);

/* Whether the configuration that WAHA has, NULL for none, does for us. */
ngx_uint_t ngx_http_waha_session_config_is_ours(
    ngx_http_waha_session_config_t *conf, const cJSON *config);

/*
 * Writes the body that changes the configuration which WAHA has to ours;
 * what others have set there stays.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_session_config_merge(ngx_pool_t *pool,
    ngx_http_waha_session_config_t *conf, const cJSON *config,
    ngx_str_t *json);


#endif /* _NGX_HTTP_WAHA_SESSION_CONFIG_H_INCLUDED_ */
