
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PROVIDER_H_INCLUDED_
#define _NGX_HTTP_WAHA_PROVIDER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_event.h>
#include <ngx_http_waha_signature.h>


/* a header that signs the body: a prefix, and the HMAC in hex */

typedef struct {
    ngx_str_t                                   header;     /* lower case */
    ngx_str_t                                   prefix;
    ngx_http_waha_hmac_e                        algorithm;
    unsigned                                    legacy:1;
} ngx_http_waha_provider_signature_t;


/* a sender of webhooks; its functions are pure */

typedef struct {
    ngx_str_t                                   name;   /* in the database */

    /* the last one has no header */
    const ngx_http_waha_provider_signature_t   *signatures;

    /* where ngx_http_waha_loc_conf_t has its keys, an ngx_array_t * */
    size_t                                      keys;

    /*
     * Reads a delivery into events, an array of ngx_http_waha_event_t.
     * NGX_OK: there is at least one.  NGX_DECLINED: the provider does not
     * send such a body; "missing" of the event says why, if there is one.
     * NGX_ABORT: the body is beyond the bounds of ngx_http_waha_json_clean();
     * or there is an event, whose session is known and whose "missing" says
     * why it cannot be read.  NGX_ERROR: no memory.
     */
    ngx_int_t                                 (*parse)(ngx_pool_t *pool,
                                                       ngx_str_t *body,
                                                       ngx_array_t *events);

    /* for the log: there is no signature, there are no keys, none fits */
    const char                                 *unsigned_reason;
    const char                                 *keyless_reason;
    const char                                 *forged_reason;

    /*
     * Writes the delivery that has this event alone; NULL: each has one.
     * NGX_ERROR: no memory.
     */
    ngx_int_t                                 (*raw)(ngx_pool_t *pool,
                                                     ngx_http_waha_event_t *e,
                                                     ngx_str_t *raw);

    /*
     * Reads the query of a GET with which the provider asks whether the URL is
     * ours; NULL: it never asks.  NGX_DECLINED: it is another one; NGX_ERROR:
     * no memory.
     */
    ngx_int_t                                 (*challenge)(ngx_pool_t *pool,
                                                        ngx_str_t *args,
                                                        ngx_str_t *token,
                                                        ngx_str_t *challenge);

    /* its URLs may end with the id of a connection, whose app has signed */
    unsigned                                    connections:1;

    /*
     * Its deliveries have many events, and it repeats one for days that is not
     * answered 200: only what is not kept is not, and the answer counts.
     */
    unsigned                                    many:1;

    /* its deliveries say when they were made */
    unsigned                                    dated:1;

    /* its deliveries may say which organization they are for */
    unsigned                                    sources:1;
} ngx_http_waha_provider_t;


/*
 * The provider of a request: the one that has connections, if the URL has the
 * id of one, or whose signature it has; without any, the first.
 */
const ngx_http_waha_provider_t *ngx_http_waha_provider_find(
    ngx_http_request_t *r, ngx_str_t *connection);

/* The provider that asks with a GET; NULL: none does. */
const ngx_http_waha_provider_t *ngx_http_waha_provider_find_asker(
    ngx_http_request_t *r);

/*
 * The keys of a provider in a location, an array of ngx_http_waha_hmac_key_t.
 * NULL: there are none, so every signature is wrong; empty: none is needed.
 */
ngx_array_t *ngx_http_waha_provider_keys(ngx_http_request_t *r,
    const ngx_http_waha_provider_t *provider);

/*
 * Checks before the body is read that a request has a signature, once, and in
 * the form that its provider sends; legacy ones count where
 * "waha_hmac_legacy" allows them.  NGX_DECLINED: *reason is a constant for the
 * log.
 */
ngx_int_t ngx_http_waha_provider_check(ngx_http_request_t *r,
    const ngx_http_waha_provider_t *provider, const char **reason);

/*
 * Verifies all signatures of a body with keys, of which there is at least one.
 * NGX_OK: *signer is the key that made them.  NGX_DECLINED: a signature is
 * missing, wrong, given twice, or another key made it; *reason is a constant
 * for the log.
 */
ngx_int_t ngx_http_waha_provider_verify(ngx_http_request_t *r,
    const ngx_http_waha_provider_t *provider, ngx_array_t *keys,
    ngx_str_t *body, ngx_http_waha_hmac_key_t **signer, const char **reason);


#endif /* _NGX_HTTP_WAHA_PROVIDER_H_INCLUDED_ */
