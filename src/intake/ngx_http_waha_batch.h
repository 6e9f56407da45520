
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_BATCH_H_INCLUDED_
#define _NGX_HTTP_WAHA_BATCH_H_INCLUDED_


#include <ngx_http_waha_ingest.h>
#include <ngx_http_waha_ingest_params.h>
#include <ngx_http_waha_cap.h>


/*
 * Inside the room calls go one way:
 *
 *     ingest       what may wait, and when a batch is sent
 *      |
 *     outcome      what becomes of a batch that has ended, and of each of
 *      |           its entries
 *     batch        entries on their way in one transaction
 *      |
 *     cap          how many batches may be under way
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

    /* in ingest->pending, or in ingest->running since start */
    ngx_queue_t                      queue;
    ngx_msec_t                       start;
    size_t                           size;

    /* indexed by position; NULL: the entry was cancelled or is finished */
    ngx_http_waha_entry_t          **sent;
    ngx_uint_t                       nsent;

    /* events of numbers that the organization which signed them has not */
    ngx_uint_t                       nrefused;

    /* of a quarantine */
    ngx_http_waha_ingest_aside_t     aside;

    /* one of those whose number is limited, and where it is */
    unsigned                         counted:1;
    unsigned                         pending:1;
    unsigned                         running:1;
    unsigned                         late:1;

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

    /* those under way, the oldest first, without nlate that take long */
    ngx_http_waha_cap_t              cap;
    ngx_queue_t                      running;
    ngx_uint_t                       nrunning;
    ngx_uint_t                       nlate;

    /* those that wait until there are fewer, or until some take long */
    ngx_queue_t                      pending;
    ngx_event_t                      timer;
    ngx_msec_t                       patience;

    /* the batch that new entries join, and how many entries wait */
    ngx_http_waha_batch_t           *open;
    ngx_uint_t                       waiting;

    /* bytes of all entries, those under way as well, and what is held */
    size_t                           size;

    ngx_http_waha_shares_t           shares;
};


/* indexed by the variant */

extern const ngx_http_waha_batch_function_t  ngx_http_waha_batch_functions[];


/* NULL: no memory */
ngx_http_waha_batch_t *ngx_http_waha_batch_create(
    ngx_http_waha_ingest_t *ingest, ngx_http_waha_batch_variant_e variant);

void ngx_http_waha_batch_destroy(ngx_http_waha_batch_t *batch);

/* Lets a batch wait in ingest->pending, and counts it when it is sent. */
void ngx_http_waha_batch_wait(ngx_http_waha_batch_t *batch);

/* Of a batch that is counted and takes long. */
void ngx_http_waha_batch_set_late(ngx_http_waha_batch_t *batch);

/* Of a batch that has ended: it is not counted, also if it is sent again. */
void ngx_http_waha_batch_set_ended(ngx_http_waha_batch_t *batch);

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
