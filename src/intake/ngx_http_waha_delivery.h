
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_DELIVERY_H_INCLUDED_
#define _NGX_HTTP_WAHA_DELIVERY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_connection.h>
#include <ngx_http_waha_error.h>
#include <ngx_http_waha_ingest.h>
#include <ngx_http_waha_provider.h>


/* a webhook, and what becomes of its events */

typedef struct ngx_http_waha_delivery_s {
    ngx_http_waha_ctx_t                 *ctx;
    const ngx_http_waha_provider_t      *provider;

    /* ngx_http_waha_hmac_key_t */
    ngx_array_t                         *keys;
    ngx_str_t                            instance;

    /*
     * the id that the URL ends with, empty for none; and how its connection is
     * looked up
     */
    ngx_str_t                            connection;
    ngx_http_waha_connection_lookup_t   *lookup;

    ngx_str_t                            body;

    ngx_array_t                          events;    /* ngx_http_waha_event_t */
    ngx_http_waha_entry_t               *entries;   /* of each event */
    ngx_uint_t                           nentries;

    /* entries whose handler was not called yet, and those sent after them */
    ngx_uint_t                           waiting;
    ngx_queue_t                          rest;

    /* bytes that the events take, as counted by the ingest */
    ngx_http_waha_ingest_t              *ingest;
    size_t                               held;

    /* the connection's own app has signed */
    unsigned                             own:1;
} ngx_http_waha_delivery_t;


/*
 * Makes n entries, whose handler gets the request as data.  NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_http_waha_delivery_add_entries(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_uint_t n,
    void (*handler)(ngx_http_waha_entry_t *entry));

/*
 * Looks up the connection of a delivery, for the handler as of
 * request_resume().  Returns what ngx_http_waha_connection_find() returns.
 */
ngx_int_t ngx_http_waha_delivery_find_connection(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_int_t (*handler)(void *data));

/*
 * Counts the memory of the events until ngx_http_waha_delivery_cancel().
 * NGX_DECLINED: too much of it waits.
 */
ngx_int_t ngx_http_waha_delivery_hold(ngx_http_waha_delivery_t *delivery,
    ngx_http_waha_ingest_t *ingest);

/* Forgets the entries that wait, before their memory is freed. */
void ngx_http_waha_delivery_cancel(ngx_http_waha_delivery_t *delivery);

/* Answers a delivery none of whose entries waits. */
ngx_int_t ngx_http_waha_delivery_answer(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);

/*
 * Answers with an error, which gets a line in the log: the reason, or the
 * error's own sentence for NULL.
 */
ngx_int_t ngx_http_waha_delivery_refuse(ngx_http_request_t *r,
    ngx_http_waha_error_e error, const char *reason);

/* Writes that line. */
void ngx_http_waha_delivery_log(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *code, const char *reason);

ngx_int_t ngx_http_waha_delivery_no_memory(ngx_http_request_t *r);


#endif /* _NGX_HTTP_WAHA_DELIVERY_H_INCLUDED_ */
