
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_LEASE_H_INCLUDED_
#define _NGX_HTTP_WAHA_LEASE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_lock.h>
#include <ngx_http_waha_session_conf.h>
#include <ngx_http_waha_step.h>


/*
 * An operation on step->session, which has one at a time in all workers of
 * all machines: the database decides.  It is taken for lost unless its worker
 * prolongs it.
 */

typedef struct {
    ngx_str_t                operation;
    ngx_str_t                holder;

    ngx_http_waha_query_t    query;
    ngx_http_waha_step_pt    then;
    ngx_event_t              event;         /* prolongs it */

    /* of those who want it in this worker */
    ngx_http_waha_lock_t     lock;
    ngx_msec_t               deadline;

    /* the end of the plan as it was before */
    ngx_http_waha_step_pt    done;
    ngx_http_waha_error_e    error;

    unsigned                 held:1;
    unsigned                 patient:1;
} ngx_http_waha_lease_t;


/*
 * Steps.  Begin an operation on the session that was found; operation is its
 * name.  The plan ends with ..._SESSION_BUSY where another is under way.
 */
ngx_int_t ngx_http_waha_lease_begin(ngx_http_waha_step_t *step,
    const char *operation, ngx_http_waha_step_pt then);

/*
 * The same for an operation that is done once, however many requests want
 * it.  While another is under way, then() follows at first without the lease
 * (held is 0), to see whether there is work; when it calls this again, it
 * waits.  When the other one was in this worker, then() follows in the same
 * way after it, to find the work done, or the plan ends with its error.
 */
ngx_int_t ngx_http_waha_lease_wait(ngx_http_waha_step_t *step,
    const char *operation, ngx_http_waha_step_pt then);

/* A step: ends the operation.  The end of the plan does so, too. */
ngx_int_t ngx_http_waha_lease_end(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then);

/*
 * A step: takes one of what the session may have in a time.  The plan ends
 * with ..._TOO_MANY_OPERATIONS where there is none.
 */
ngx_int_t ngx_http_waha_lease_charge(ngx_http_waha_step_t *step,
    ngx_http_waha_budget_e budget, ngx_http_waha_step_pt then);


#endif /* _NGX_HTTP_WAHA_LEASE_H_INCLUDED_ */
