
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_challenge.h>
#include <ngx_http_waha_envelope.h>
#include <ngx_http_waha_intake_conf.h>
#include <ngx_http_waha_notification.h>
#include <ngx_http_waha_provider.h>
#include <ngx_http_waha_request.h>


static ngx_uint_t ngx_http_waha_provider_is_usable(ngx_http_request_t *r,
    const ngx_http_waha_provider_t *provider);
static ngx_uint_t ngx_http_waha_provider_has_signed(ngx_http_request_t *r,
    const ngx_http_waha_provider_t *provider);
static ngx_int_t ngx_http_waha_provider_signature(ngx_http_request_t *r,
    const ngx_http_waha_provider_signature_t *signature, ngx_str_t *hex,
    const char **reason);


static const ngx_http_waha_provider_signature_t
    ngx_http_waha_provider_waha[] =
{
    { ngx_string("x-webhook-hmac"), ngx_null_string,
      NGX_HTTP_WAHA_HMAC_SHA512, 0 },

    { ngx_string("x-webhook-hmac-signature"), ngx_null_string,
      NGX_HTTP_WAHA_HMAC_SHA256, 1 },

    { ngx_null_string, ngx_null_string, 0, 0 }
};


/* https://developers.facebook.com/docs/graph-api/webhooks/getting-started */

static const ngx_http_waha_provider_signature_t
    ngx_http_waha_provider_meta[] =
{
    { ngx_string("x-hub-signature-256"), ngx_string("sha256="),
      NGX_HTTP_WAHA_HMAC_SHA256, 0 },

    { ngx_null_string, ngx_null_string, 0, 0 }
};


static const ngx_http_waha_provider_t  ngx_http_waha_providers[] = {

    { ngx_string("waha"),
      ngx_http_waha_provider_waha,
      offsetof(ngx_http_waha_loc_conf_t, hmac_keys),
      ngx_http_waha_envelope_parse,
      "it has no signature: no \"hmac.key\" in the webhook's configuration "
      "at WAHA",
      "there is no \"waha_hmac_key\"",
      "no \"waha_hmac_key\" has made its signature",
      NULL, NULL, 0, 0, 1, 1 },

    { ngx_string("meta"),
      ngx_http_waha_provider_meta,
      offsetof(ngx_http_waha_loc_conf_t, meta_keys),
      ngx_http_waha_notification_parse,
      "it has no signature: it does not come from Meta",
      "there is no \"waha_meta_app_secret\", and no connection in the URL "
      "with a secret of its own",
      "another app secret has made its signature",
      ngx_http_waha_notification_raw,
      ngx_http_waha_challenge_parse, 1, 1, 0, 0 },

    { ngx_null_string, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0,
      0 }
};


const ngx_http_waha_provider_t *
ngx_http_waha_provider_find(ngx_http_request_t *r, ngx_str_t *connection)
{
    const ngx_http_waha_provider_t  *provider;

    for (provider = ngx_http_waha_providers; provider->parse; provider++) {

        if (!ngx_http_waha_provider_is_usable(r, provider)) {
            continue;
        }

        if (connection->len ? provider->connections
                            : ngx_http_waha_provider_has_signed(r, provider))
        {
            return provider;
        }
    }

    return ngx_http_waha_providers;
}


const ngx_http_waha_provider_t *
ngx_http_waha_provider_find_asker(ngx_http_request_t *r)
{
    const ngx_http_waha_provider_t  *provider;

    for (provider = ngx_http_waha_providers; provider->parse; provider++) {

        if (provider->challenge
            && ngx_http_waha_provider_is_usable(r, provider))
        {
            return provider;
        }
    }

    return NULL;
}


/* a provider without any directive of its own does not exist here */

static ngx_uint_t
ngx_http_waha_provider_is_usable(ngx_http_request_t *r,
    const ngx_http_waha_provider_t *provider)
{
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    return !provider->connections || wmcf->connections;
}


static ngx_uint_t
ngx_http_waha_provider_has_signed(ngx_http_request_t *r,
    const ngx_http_waha_provider_t *provider)
{
    ngx_str_t                                  hex;
    const ngx_http_waha_provider_signature_t  *signature;

    for (signature = provider->signatures;
         signature->header.len;
         signature++)
    {
        if (ngx_http_waha_request_header(r, &signature->header, &hex)
            != NGX_DECLINED)
        {
            return 1;
        }
    }

    return 0;
}


ngx_array_t *
ngx_http_waha_provider_keys(ngx_http_request_t *r,
    const ngx_http_waha_provider_t *provider)
{
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    return *(ngx_array_t **) ((u_char *) wlcf + provider->keys);
}


ngx_int_t
ngx_http_waha_provider_check(ngx_http_request_t *r,
    const ngx_http_waha_provider_t *provider, const char **reason)
{
    ngx_int_t                                  rc;
    ngx_str_t                                  hex;
    ngx_uint_t                                 found;
    const ngx_http_waha_provider_signature_t  *signature;

    found = 0;

    for (signature = provider->signatures;
         signature->header.len;
         signature++)
    {
        rc = ngx_http_waha_provider_signature(r, signature, &hex, reason);

        if (rc == NGX_ABORT) {
            return NGX_DECLINED;
        }

        if (rc == NGX_OK) {
            found = 1;
        }
    }

    if (!found) {
        *reason = provider->unsigned_reason;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/*
 * NGX_DECLINED: the request has no such signature, or it does not count;
 * NGX_ABORT: it cannot be verified
 */

static ngx_int_t
ngx_http_waha_provider_signature(ngx_http_request_t *r,
    const ngx_http_waha_provider_signature_t *signature, ngx_str_t *hex,
    const char **reason)
{
    ngx_int_t                  rc;
    const ngx_str_t           *prefix;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    if (signature->legacy && !wlcf->intake->hmac_legacy) {
        return NGX_DECLINED;
    }

    rc = ngx_http_waha_request_header(r, &signature->header, hex);

    if (rc == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        *reason = "its signature is given twice";
        return NGX_ABORT;
    }

    prefix = &signature->prefix;

    if (hex->len < prefix->len
        || ngx_strncmp(hex->data, prefix->data, prefix->len) != 0)
    {
        *reason = "its signature does not begin as its sender writes it";
        return NGX_ABORT;
    }

    hex->data += prefix->len;
    hex->len -= prefix->len;

    if (!ngx_http_waha_signature_is_hex(signature->algorithm, hex)) {
        *reason = "its signature is not a hexadecimal HMAC";
        return NGX_ABORT;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_provider_verify(ngx_http_request_t *r,
    const ngx_http_waha_provider_t *provider, ngx_array_t *keys,
    ngx_str_t *body, ngx_http_waha_hmac_key_t **signer, const char **reason)
{
    ngx_int_t                                  rc;
    ngx_str_t                                  hex;
    ngx_http_waha_hmac_key_t                  *key;
    const ngx_http_waha_provider_signature_t  *signature;

    *reason = provider->forged_reason;
    *signer = NULL;

    for (signature = provider->signatures;
         signature->header.len;
         signature++)
    {
        rc = ngx_http_waha_provider_signature(r, signature, &hex, reason);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc == NGX_ABORT) {
            return NGX_DECLINED;
        }

        key = ngx_http_waha_signature_verify(keys, signature->algorithm, &hex,
                                             body);

        if (key == NULL || (*signer && *signer != key)) {
            return NGX_DECLINED;
        }

        *signer = key;
    }

    return *signer ? NGX_OK : NGX_DECLINED;
}
