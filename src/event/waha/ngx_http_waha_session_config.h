
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SESSION_CONFIG_H_INCLUDED_
#define _NGX_HTTP_WAHA_SESSION_CONFIG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>


/* what we set in the configuration of a session at WAHA; all is UTF-8 */

typedef struct {
    ngx_str_t   url;            /* of our webhook */
    ngx_str_t   key;            /* HMAC key of the webhook; empty: none */

    /* metadata, which WAHA sends in each webhook */
    ngx_str_t   organization_slug;
    ngx_str_t   organization_id;

    /* of our webhook as it was; data NULL: not known */
    ngx_str_t   old_url;

    /* chats whose events WAHA need not send */
    unsigned    ignore_groups:1;
    unsigned    ignore_statuses:1;
    unsigned    ignore_newsletters:1;
    unsigned    ignore_broadcasts:1;
} ngx_http_waha_session_config_t;


/*
 * The secret that the sessions of an instance sign with: of the keys, an array
 * of ngx_http_waha_hmac_key_t, the last one bound to that instance, otherwise
 * the last one bound to none.  Empty: there is no such key.
 */
ngx_str_t ngx_http_waha_session_config_find_key(ngx_array_t *keys,
    ngx_str_t *instance);

/*
 * Writes the body of "POST /api/sessions", which creates a session and starts
 * it, allocated from pool.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_session_config_write_create(ngx_pool_t *pool,
    ngx_http_waha_session_config_t *conf, ngx_str_t *name, ngx_str_t *json);

/*
 * Whether WAHA's configuration of a session (NULL: none) has all of ours, and
 * no webhook that ours replaces.
 */
ngx_uint_t ngx_http_waha_session_config_is_ours(
    ngx_http_waha_session_config_t *conf, const cJSON *config);

/*
 * Writes the body of "PUT /api/sessions/{name}", which replaces the whole
 * configuration: WAHA's present one with ours merged into it, allocated from
 * pool.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_session_config_write_update(ngx_pool_t *pool,
    ngx_http_waha_session_config_t *conf, const cJSON *config,
    ngx_str_t *json);


#endif /* _NGX_HTTP_WAHA_SESSION_CONFIG_H_INCLUDED_ */
