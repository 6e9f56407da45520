
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PARAMS_H_INCLUDED_
#define _NGX_HTTP_WAHA_PARAMS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_ingest.h>


/* reason, SQLSTATE and raw bytes stand before the event in a quarantine */

#define NGX_HTTP_WAHA_QUARANTINE_EXTRA  3
#define NGX_HTTP_WAHA_QUARANTINE_ARGS                                         \
    (NGX_HTTP_WAHA_QUARANTINE_EXTRA + NGX_HTTP_WAHA_INGEST_ARGS)


/* Spreads the event of an entry over entry->args; strings are shared. */
void ngx_http_waha_params_event(ngx_http_waha_entry_t *entry);

/*
 * Sets the parameters of a job, in PostgreSQL's binary formats: one value
 * for each argument, or one array for each argument with an element for
 * each entry.  Memory is of pool.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_params_values(ngx_http_waha_pg_job_t *job,
    ngx_pool_t *pool, ngx_str_t *args, ngx_uint_t nargs);
ngx_int_t ngx_http_waha_params_arrays(ngx_http_waha_pg_job_t *job,
    ngx_pool_t *pool, ngx_http_waha_entry_t **entries, ngx_uint_t nentries);


extern const Oid  ngx_http_waha_params_values_types[];
extern const Oid  ngx_http_waha_params_arrays_types[];
extern const Oid  ngx_http_waha_params_quarantine_types[];


#endif /* _NGX_HTTP_WAHA_PARAMS_H_INCLUDED_ */
