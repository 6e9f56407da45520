
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_INGEST_PARAMS_H_INCLUDED_
#define _NGX_HTTP_WAHA_INGEST_PARAMS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_event.h>
#include <ngx_http_waha_pg.h>


/* how the arguments of a function of schema "waha" are given */

typedef enum {
    NGX_HTTP_WAHA_INGEST_VALUES = 0,    /* of one event */
    NGX_HTTP_WAHA_INGEST_ARRAYS,        /* an element for each event */
    NGX_HTTP_WAHA_INGEST_ASIDE,         /* of one event, with a reason */
    NGX_HTTP_WAHA_INGEST_HASH           /* what tells one event from others */
} ngx_http_waha_ingest_form_e;


/* why a delivery is set aside; sqlstate may be missing */

typedef struct {
    ngx_str_t    reason;
    ngx_str_t    sqlstate;
    ngx_str_t    raw;
} ngx_http_waha_ingest_aside_t;


/*
 * Makes the statement that calls a function with the columns of an event as
 * arguments.  Memory is of the pool.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_ingest_params_statement(ngx_pool_t *pool,
    const char *function, ngx_http_waha_ingest_form_e form,
    ngx_http_waha_pg_statement_t *statement);

/*
 * Set the parameters of a job in PostgreSQL's binary formats, from one event
 * (NULL: all columns are null), from many, or from one that is set aside.
 * All is copied to the pool.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_ingest_params_values(ngx_http_waha_pg_job_t *job,
    ngx_pool_t *pool, ngx_http_waha_event_t *event);
ngx_int_t ngx_http_waha_ingest_params_arrays(ngx_http_waha_pg_job_t *job,
    ngx_pool_t *pool, ngx_http_waha_event_t **events, ngx_uint_t nevents);
ngx_int_t ngx_http_waha_ingest_params_aside(ngx_http_waha_pg_job_t *job,
    ngx_pool_t *pool, ngx_http_waha_event_t *event,
    ngx_http_waha_ingest_aside_t *aside);

/* Sets the hash of an event and of the delivery that it came in. */
ngx_int_t ngx_http_waha_ingest_params_hash(ngx_http_waha_pg_job_t *job,
    ngx_pool_t *pool, ngx_http_waha_event_t *event, ngx_str_t *raw);


#endif /* _NGX_HTTP_WAHA_INGEST_PARAMS_H_INCLUDED_ */
