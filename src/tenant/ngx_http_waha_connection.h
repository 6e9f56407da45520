
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CONNECTION_H_INCLUDED_
#define _NGX_HTTP_WAHA_CONNECTION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_cache.h>
#include <ngx_http_waha_query.h>
#include <ngx_http_waha_secret.h>


/* bytes of a SHA-256 */

#define NGX_HTTP_WAHA_CONNECTION_HASH  32


typedef struct ngx_http_waha_connections_s  ngx_http_waha_connections_t;


/* how an organization is connected to a number, and what verifies it */

typedef struct {
    ngx_http_waha_cache_entry_t     entry;
    ngx_pool_t                     *pool;

    ngx_str_t                       id;
    ngx_str_t                       organization;
    ngx_str_t                       session;

    /*
     * ngx_http_waha_hmac_key_t of its own app; NULL: none, or none that can be
     * opened
     */
    ngx_array_t                    *keys;

    /* of the verify token */
    u_char                          token[NGX_HTTP_WAHA_CONNECTION_HASH];

    /* until then the request that found it outdated looks it up */
    ngx_msec_t                      again;

    unsigned                        has_token:1;
    unsigned                        own_secret:1;
} ngx_http_waha_connection_t;


/* a look-up for a request, in its pool */

typedef struct {
    /* filled in by the caller; the handler is as of request_resume() */
    ngx_http_request_t             *request;
    ngx_str_t                       id;
    ngx_int_t                     (*handler)(void *data);
    void                           *data;

    /*
     * NGX_HTTP_WAHA_ERR_NONE: connection is set, NULL for an unknown one; it
     * is there until the caller returns to the event loop
     */
    ngx_http_waha_error_e           error;
    ngx_http_waha_connection_t     *connection;

    /* private */
    u_char                          key[NGX_HTTP_WAHA_CACHE_KEY];
    ngx_uint_t                      generation;
    ngx_http_waha_query_t           query;
    unsigned                        running:1;
} ngx_http_waha_connection_lookup_t;


/*
 * Creates what a worker knows of connections, in cycle->pool; secrets may be
 * NULL.  NULL: no memory.
 */
ngx_http_waha_connections_t *ngx_http_waha_connections_create(
    ngx_cycle_t *cycle, ngx_http_waha_db_conf_t *db,
    ngx_http_waha_secrets_t *secrets);

/* Wipes it before the worker ends. */
void ngx_http_waha_connections_destroy(
    ngx_http_waha_connections_t *connections);

/*
 * notified() of ngx_http_waha_pg_conf_t: a name is the id of a connection;
 * data is what create() returns.
 */
void ngx_http_waha_connections_notified(void *data, const char *name);

/* Whether a text has the form of an id. */
ngx_uint_t ngx_http_waha_connection_is_id(ngx_str_t *id);

/*
 * Looks up a connection: what is known for less than ten seconds, else what
 * the database says, else, while that is down, what was known before.  An
 * address that has asked for ids of none may not ask the database for more.
 * NGX_OK: the outcome is set.  NGX_AGAIN: the handler will be called.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_connection_find(
    ngx_http_waha_connection_lookup_t *lookup);

/* Whether a text has the hash of the verify token; connection may be NULL. */
ngx_uint_t ngx_http_waha_connection_is_token(
    ngx_http_waha_connection_t *connection, ngx_str_t *token);

/* The same for a token whose hash the caller has. */
ngx_uint_t ngx_http_waha_connection_is_hash(const u_char *hash,
    ngx_str_t *token);

/*
 * A random key, an array of one.  Bodies of unknown connections are verified
 * with it, so that the time of the answer does not tell which ids exist.
 */
ngx_array_t *ngx_http_waha_connection_nobody(
    ngx_http_waha_connections_t *connections);


#endif /* _NGX_HTTP_WAHA_CONNECTION_H_INCLUDED_ */
