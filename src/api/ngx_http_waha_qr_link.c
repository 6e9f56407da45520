
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_qr_link.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_session_config.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


/* seconds: as long as WAHA shows QR codes, one after the other */

#define NGX_HTTP_WAHA_QR_LINK_TTL   180

#define NGX_HTTP_WAHA_QR_LINK_PATH  "/api/whatsapp/qr/"

/* no body of a webhook begins so: neither signature stands for the other */

#define NGX_HTTP_WAHA_QR_LINK_MARK  "waha qr\n"

#define NGX_HTTP_WAHA_QR_LINK_HEX   64


static ngx_int_t ngx_http_waha_qr_link_parse(u_char *p, u_char *last,
    time_t *expires, ngx_http_waha_qr_link_t *link);


/* path "/" base64url(expires "\n" session "\n" organization) "." hex(HMAC) */

ngx_int_t
ngx_http_waha_qr_link_make(ngx_http_waha_step_t *step, ngx_str_t *path)
{
    u_char                     *p, mac[EVP_MAX_MD_SIZE];
    ngx_str_t                   bytes, text, secret;
    unsigned int                len;
    ngx_http_waha_session_t    *s;
    ngx_http_waha_loc_conf_t   *wlcf;

    s = step->session;
    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    if (s->instance == NULL || wlcf->hmac_keys == NULL) {
        return NGX_DECLINED;
    }

    secret = ngx_http_waha_session_config_find_key(wlcf->hmac_keys,
                                                   &s->instance->name);
    if (secret.len == 0) {
        return NGX_DECLINED;
    }

    bytes.len = sizeof(NGX_HTTP_WAHA_QR_LINK_MARK "\n\n") - 1 + NGX_TIME_T_LEN
                + s->name.len + step->organization.slug.len;

    bytes.data = ngx_pnalloc(step->request->pool, bytes.len);
    if (bytes.data == NULL) {
        return NGX_ERROR;
    }

    bytes.len = ngx_sprintf(bytes.data, NGX_HTTP_WAHA_QR_LINK_MARK
                            "%T\n%V\n%V",
                            ngx_time() + NGX_HTTP_WAHA_QR_LINK_TTL, &s->name,
                            &step->organization.slug)
                - bytes.data;

    path->len = sizeof(NGX_HTTP_WAHA_QR_LINK_PATH ".") - 1
                + ngx_base64_encoded_length(bytes.len)
                + NGX_HTTP_WAHA_QR_LINK_HEX;

    path->data = ngx_pnalloc(step->request->pool, path->len);
    if (path->data == NULL
        || HMAC(EVP_sha256(), secret.data, secret.len, bytes.data, bytes.len,
                mac, &len)
           == NULL)
    {
        return NGX_ERROR;
    }

    bytes.data += sizeof(NGX_HTTP_WAHA_QR_LINK_MARK) - 1;
    bytes.len -= sizeof(NGX_HTTP_WAHA_QR_LINK_MARK) - 1;

    p = ngx_cpymem(path->data, NGX_HTTP_WAHA_QR_LINK_PATH,
                   sizeof(NGX_HTTP_WAHA_QR_LINK_PATH) - 1);

    text.data = p;
    ngx_encode_base64url(&text, &bytes);
    p += text.len;

    *p++ = '.';
    p = ngx_hex_dump(p, mac, len);

    path->len = p - path->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_qr_link_open(ngx_http_request_t *r, ngx_str_t *text,
    ngx_http_waha_qr_link_t *link)
{
    u_char                    *dot;
    time_t                     expires;
    ngx_str_t                  coded, decoded, bytes, hex;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    dot = ngx_strlchr(text->data, text->data + text->len, '.');

    if (dot == NULL || wlcf->hmac_keys == NULL) {
        return NGX_DECLINED;
    }

    coded.data = text->data;
    coded.len = dot - text->data;

    hex.data = dot + 1;
    hex.len = text->data + text->len - hex.data;

    bytes.data = ngx_pnalloc(r->pool, sizeof(NGX_HTTP_WAHA_QR_LINK_MARK) - 1
                                      + ngx_base64_decoded_length(coded.len));
    if (bytes.data == NULL) {
        return NGX_ERROR;
    }

    decoded.data = ngx_cpymem(bytes.data, NGX_HTTP_WAHA_QR_LINK_MARK,
                              sizeof(NGX_HTTP_WAHA_QR_LINK_MARK) - 1);

    if (ngx_decode_base64url(&decoded, &coded) != NGX_OK) {
        return NGX_DECLINED;
    }

    bytes.len = decoded.data + decoded.len - bytes.data;

    link->key = ngx_http_waha_signature_verify(wlcf->hmac_keys,
                                               NGX_HTTP_WAHA_HMAC_SHA256,
                                               &hex, &bytes);

    if (link->key == NULL
        || ngx_http_waha_qr_link_parse(decoded.data,
                                       decoded.data + decoded.len, &expires,
                                       link)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return (expires < ngx_time()) ? NGX_DECLINED : NGX_OK;
}


static ngx_int_t
ngx_http_waha_qr_link_parse(u_char *p, u_char *last, time_t *expires,
    ngx_http_waha_qr_link_t *link)
{
    u_char  *session, *organization;

    session = ngx_strlchr(p, last, '\n');
    if (session == NULL) {
        return NGX_DECLINED;
    }

    *expires = ngx_atotm(p, session - p);
    session++;

    organization = ngx_strlchr(session, last, '\n');
    if (organization == NULL || *expires == NGX_ERROR) {
        return NGX_DECLINED;
    }

    link->session.data = session;
    link->session.len = organization - session;
    organization++;

    link->organization.data = organization;
    link->organization.len = last - organization;

    return ngx_http_waha_value_is_session(&link->session)
           && ngx_http_waha_value_is_slug(&link->organization)
           ? NGX_OK : NGX_DECLINED;
}


ngx_uint_t
ngx_http_waha_qr_link_is_for(const ngx_http_waha_qr_link_t *link,
    ngx_str_t *instance)
{
    return link->key->instance.len == 0
           || ngx_http_waha_string_is_equal(&link->key->instance, instance);
}
