
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_INGEST_H_INCLUDED_
#define _NGX_HTTP_WAHA_INGEST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_pg.h>
#include <ngx_http_waha_event.h>
#include <ngx_http_waha_share.h>


typedef struct ngx_http_waha_ingest_s  ngx_http_waha_ingest_t;
typedef struct ngx_http_waha_batch_s   ngx_http_waha_batch_t;
typedef struct ngx_http_waha_entry_s   ngx_http_waha_entry_t;


/* one event on its way into the database, and the outcome */

struct ngx_http_waha_entry_s {
    ngx_queue_t                      queue;
    ngx_http_waha_batch_t           *batch;
    ngx_http_waha_share_t           *share;
    ngx_uint_t                       position;

    /*
     * filled in by the caller; event has only provider, instance and session
     * when the delivery could not be read; raw are the bytes of the delivery,
     * or make_raw() makes those of this event alone; size is its share of them
     */
    ngx_http_waha_event_t           *event;
    ngx_str_t                        raw;
    ngx_int_t                      (*make_raw)(ngx_pool_t *pool,
                                               ngx_http_waha_event_t *event,
                                               ngx_str_t *raw);
    size_t                           size;
    ngx_pool_t                      *pool;
    void                           (*handler)(ngx_http_waha_entry_t *entry);
    void                            *data;

    /* NGX_HTTP_WAHA_PG_OK: all below is committed; strings are of pool */
    ngx_uint_t                       status;
    ngx_str_t                        action;
    ngx_str_t                        organization;
    ngx_str_t                        tenant_id;
    ngx_str_t                        contact_id;
    ngx_str_t                        activity_id;
    ngx_str_t                        code;

    ngx_uint_t                       records;   /* in the same batch */
    ngx_msec_t                       db_time;
};


/* Makes the ingest of a worker, from the cycle's pool.  NULL: no memory. */
ngx_http_waha_ingest_t *ngx_http_waha_ingest_create(ngx_cycle_t *cycle,
    ngx_http_waha_pg_pool_t *pool, ngx_http_waha_pg_conf_t *conf);

/*
 * Stores the entries of one delivery, linked by their member "queue" and filled
 * in by the caller; they leave the queue, in its order, for one transaction.
 * NGX_OK: the handler of each will be called once, later, within the timeout
 * of the database.  Otherwise none is stored.  NGX_DECLINED: too many entries
 * or jobs wait for a connection, or a session takes half of the queue; the
 * limits are for deliveries, since one that has more entries or bytes than
 * there is room for would be refused for ever.
 * NGX_ABORT: the database needs its administrator; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_ingest(ngx_http_waha_ingest_t *ingest,
    ngx_queue_t *entries);

/*
 * The same for one entry whose bytes cannot be stored as an event: entry->raw
 * goes to quarantine for the reason given.
 */
ngx_int_t ngx_http_waha_ingest_quarantine(ngx_http_waha_ingest_t *ingest,
    ngx_http_waha_entry_t *entry, ngx_str_t *reason);

/* The same for one more entry of a delivery of which others were taken. */
ngx_int_t ngx_http_waha_ingest_add_quarantine(ngx_http_waha_ingest_t *ingest,
    ngx_http_waha_entry_t *entry, ngx_str_t *reason);

/* Whether there is room for a delivery of so many bytes. */
ngx_uint_t ngx_http_waha_ingest_has_room(ngx_http_waha_ingest_t *ingest,
    size_t size);

/*
 * Counts bytes that a delivery takes beside its body until they are released.
 * NGX_DECLINED: there is no room, and they are not counted.
 */
ngx_int_t ngx_http_waha_ingest_hold(ngx_http_waha_ingest_t *ingest,
    size_t size);
void ngx_http_waha_ingest_release(ngx_http_waha_ingest_t *ingest,
    size_t size);

/* Forgets an entry, before its memory is freed; its handler is not called. */
void ngx_http_waha_ingest_cancel(ngx_http_waha_entry_t *entry);

/*
 * Sets the statements of the pool that ngx_http_waha_ingest_create() gets.
 * Memory is of cf->pool.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_ingest_statements(ngx_conf_t *cf,
    ngx_http_waha_pg_conf_t *conf);


#endif /* _NGX_HTTP_WAHA_INGEST_H_INCLUDED_ */
