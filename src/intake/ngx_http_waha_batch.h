
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_BATCH_H_INCLUDED_
#define _NGX_HTTP_WAHA_BATCH_H_INCLUDED_


#include <ngx_http_waha_ingest.h>
#include <ngx_http_waha_ingest_params.h>


/*
 * Inside the room calls go one way:
 *
 *     ingest       what may wait, and when a batch is sent
 *      |
 *     outcome      what becomes of a batch that has ended, and of each of
 *      |           its entries
 *     batch        entries on their way in one transaction
 *
 * A batch that has ended comes back by the ingest's handler.
 */


/* how a batch is sent */

typedef enum {
    NGX_HTTP_WAHA_BATCH_ONE = 0,
    NGX_HTTP_WAHA_BATCH_TOGETHER,
    NGX_HTTP_WAHA_BATCH_EACH,
    NGX_HTTP_WAHA_BATCH_QUARANTINE,
    NGX_HTTP_WAHA_BATCH_TIMEOUT,
    NGX_HTTP_WAHA_BATCH_VARIANTS
} ngx_http_waha_batch_variant_e;


typedef struct {
    const char                      *function;
    ngx_http_waha_ingest_form_e      form;
} ngx_http_waha_batch_function_t;


struct ngx_http_waha_batch_s {
    ngx_http_waha_pg_job_t           job;
    ngx_http_waha_ingest_t          *ingest;
    ngx_pool_t                      *pool;

    ngx_http_waha_batch_variant_e    variant;
    ngx_queue_t                      entries;
    ngx_uint_t                       nentries;
    size_t                           size;

    /* indexed by position; NULL: the entry was cancelled or is finished */
    ngx_http_waha_entry_t          **sent;
    ngx_uint_t                       nsent;

    /* of a quarantine */
    ngx_http_waha_ingest_aside_t     aside;

    unsigned                         submitted:1;
    unsigned                         retried:1;

    /* its entries no longer count as waiting */
    unsigned                         left:1;
};


struct ngx_http_waha_ingest_s {
    ngx_http_waha_pg_pool_t         *pool;
    ngx_log_t                       *log;
    ngx_msec_t                       timeout;
    ngx_msec_t                       statement_timeout;
    ngx_uint_t                       max_waiting;

    /* called when a batch that was submitted has ended */
    void                           (*handler)(ngx_http_waha_pg_job_t *job);

    /* the batch that new entries join, and when it is sent at the latest */
    ngx_http_waha_batch_t           *open;
    ngx_event_t                      linger;
    ngx_uint_t                       waiting;
    ngx_uint_t                       inflight;

    ngx_http_waha_shares_t           shares;
};


/* indexed by the variant */

extern const ngx_http_waha_batch_function_t  ngx_http_waha_batch_functions[];


/* NULL: no memory */
ngx_http_waha_batch_t *ngx_http_waha_batch_create(
    ngx_http_waha_ingest_t *ingest, ngx_http_waha_batch_variant_e variant);

void ngx_http_waha_batch_destroy(ngx_http_waha_batch_t *batch);

void ngx_http_waha_batch_join(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry);

/* Takes an entry out of its batch, which ends if that was the last to wait. */
void ngx_http_waha_batch_leave(ngx_http_waha_entry_t *entry);

/* Of a batch that is to be sent again: its entries count as waiting. */
void ngx_http_waha_batch_set_waiting(ngx_http_waha_batch_t *batch);

void ngx_http_waha_batch_set_left(ngx_http_waha_batch_t *batch);

/* The session that an entry counts for. */
ngx_str_t *ngx_http_waha_batch_session(ngx_http_waha_entry_t *entry);

/* Returns what ngx_http_waha_pg_submit() returns. */
ngx_int_t ngx_http_waha_batch_submit(ngx_http_waha_batch_t *batch);


#endif /* _NGX_HTTP_WAHA_BATCH_H_INCLUDED_ */
