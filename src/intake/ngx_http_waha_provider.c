
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_envelope.h>
#include <ngx_http_waha_intake_conf.h>
#include <ngx_http_waha_provider.h>
#include <ngx_http_waha_request.h>


static ngx_uint_t ngx_http_waha_provider_has_signed(ngx_http_request_t *r,
    const ngx_http_waha_provider_t *provider);


static const ngx_http_waha_provider_signature_t
    ngx_http_waha_provider_waha[] =
{
    { ngx_string("x-webhook-hmac"), NGX_HTTP_WAHA_HMAC_SHA512, 0 },
    { ngx_string("x-webhook-hmac-signature"), NGX_HTTP_WAHA_HMAC_SHA256, 1 },
    { ngx_null_string, 0, 0 }
};


static const ngx_http_waha_provider_t  ngx_http_waha_providers[] = {

    { ngx_string("waha"),
      ngx_http_waha_provider_waha,
      ngx_http_waha_envelope_parse },

    { ngx_null_string, NULL, NULL }
};


const ngx_http_waha_provider_t *
ngx_http_waha_provider_find(ngx_http_request_t *r)
{
    const ngx_http_waha_provider_t  *provider;

    for (provider = ngx_http_waha_providers; provider->parse; provider++) {

        if (ngx_http_waha_provider_has_signed(r, provider)) {
            return provider;
        }
    }

    return ngx_http_waha_providers;
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


ngx_int_t
ngx_http_waha_provider_check(ngx_http_request_t *r,
    const ngx_http_waha_provider_t *provider, const char **reason)
{
    ngx_int_t                                  rc;
    ngx_str_t                                  hex;
    ngx_uint_t                                 found;
    ngx_http_waha_loc_conf_t                  *wlcf;
    const ngx_http_waha_provider_signature_t  *signature;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    if (wlcf->hmac_keys->nelts == 0) {
        return NGX_OK;
    }

    found = 0;

    for (signature = provider->signatures;
         signature->header.len;
         signature++)
    {
        if (signature->legacy && !wlcf->intake->hmac_legacy) {
            continue;
        }

        rc = ngx_http_waha_request_header(r, &signature->header, &hex);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc != NGX_OK) {
            *reason = "its signature is given twice";
            return NGX_DECLINED;
        }

        if (!ngx_http_waha_signature_is_hex(signature->algorithm, &hex)) {
            *reason = "its signature is not a hexadecimal HMAC";
            return NGX_DECLINED;
        }

        found = 1;
    }

    if (!found) {
        *reason = "it has no signature: no \"hmac.key\" in the webhook's "
                  "configuration at WAHA";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_provider_verify(ngx_http_request_t *r,
    const ngx_http_waha_provider_t *provider, ngx_str_t *body,
    ngx_str_t *instance, const char **reason)
{
    ngx_str_t                                  hex;
    ngx_http_waha_hmac_key_t                  *key, *signer;
    ngx_http_waha_loc_conf_t                  *wlcf;
    const ngx_http_waha_provider_signature_t  *signature;

    ngx_str_null(instance);

    if (ngx_http_waha_provider_check(r, provider, reason) != NGX_OK) {
        return NGX_DECLINED;
    }

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    if (wlcf->hmac_keys->nelts == 0) {
        return NGX_OK;
    }

    *reason = "no \"waha_hmac_key\" has made its signature";
    signer = NULL;

    for (signature = provider->signatures;
         signature->header.len;
         signature++)
    {
        if ((signature->legacy && !wlcf->intake->hmac_legacy)
            || ngx_http_waha_request_header(r, &signature->header, &hex)
               != NGX_OK)
        {
            continue;
        }

        key = ngx_http_waha_signature_verify(wlcf->hmac_keys,
                                             signature->algorithm, &hex,
                                             body);

        if (key == NULL || (signer && signer != key)) {
            return NGX_DECLINED;
        }

        signer = key;
    }

    if (signer == NULL) {
        return NGX_DECLINED;
    }

    *instance = signer->instance;

    return NGX_OK;
}
