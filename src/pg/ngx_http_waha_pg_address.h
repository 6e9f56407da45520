
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PG_ADDRESS_H_INCLUDED_
#define _NGX_HTTP_WAHA_PG_ADDRESS_H_INCLUDED_


#include <ngx_http_waha_pg_error.h>


typedef struct ngx_http_waha_pg_addresses_s  ngx_http_waha_pg_addresses_t;


/* a host of a pool, its present addresses, and what is asked about it */

typedef struct {
    ngx_http_waha_pg_host_t          *host;
    ngx_http_waha_pg_addresses_t     *all;

    ngx_queue_t                       addresses;

    /* the resolver writes into the name */
    ngx_str_t                         name;
    ngx_resolver_ctx_t               *ctx;

    /* how the last look-up has ended */
    ngx_int_t                         state;
} ngx_http_waha_pg_name_t;


/* what a connection is opened to: an address and port, or a socket */

typedef struct {
    ngx_pool_t                       *pool;
    ngx_queue_t                       queue;
    ngx_http_waha_pg_name_t          *owner;

    /* for libpq; "": a socket */
    const char                       *text;

    /* for the log */
    const char                       *name;

    /* for PQconnectStartParams(), in the order of the keywords */
    const char                      **values;

    /* what was logged last */
    ngx_http_waha_pg_reason_t         reason;

    /* the name has other addresses now */
    unsigned                          former:1;
} ngx_http_waha_pg_address_t;


struct ngx_http_waha_pg_addresses_s {
    ngx_http_waha_pg_conf_t          *conf;
    ngx_log_t                        *log;

    ngx_http_waha_pg_name_t          *names;
    ngx_uint_t                        nnames;

    /* how many addresses the names have at present */
    ngx_uint_t                        n;

    /* connections may still use them */
    ngx_queue_t                       former;

    /* look-ups that run; called with data after the last one */
    ngx_uint_t                        running;
    void                            (*handler)(void *data);
    void                             *data;
};


/*
 * Fills in what nginx knew at its start; conf, log, handler and data are set
 * by the caller.  NGX_ERROR: no memory, close it.
 */
ngx_int_t ngx_http_waha_pg_address_init(ngx_http_waha_pg_addresses_t *all,
    ngx_pool_t *pool);

/* Ends look-ups without calling the handler and frees all addresses. */
void ngx_http_waha_pg_address_close(ngx_http_waha_pg_addresses_t *all);

/*
 * Asks the resolver for the addresses of all names.  NGX_AGAIN: the handler
 * will be called; NGX_OK: it will not, everything is known.  A name that the
 * resolver cannot tell keeps its addresses.
 */
ngx_int_t ngx_http_waha_pg_address_look_up(ngx_http_waha_pg_addresses_t *all);

/*
 * The present address that follows one, round and round; of NULL, the first.
 * There has to be one.
 */
ngx_http_waha_pg_address_t *ngx_http_waha_pg_address_next(
    ngx_http_waha_pg_addresses_t *all, ngx_http_waha_pg_address_t *address);

/* Frees a former address that is not used any more. */
void ngx_http_waha_pg_address_free(ngx_http_waha_pg_address_t *address);


#endif /* _NGX_HTTP_WAHA_PG_ADDRESS_H_INCLUDED_ */
