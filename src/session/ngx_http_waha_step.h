
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_STEP_H_INCLUDED_
#define _NGX_HTTP_WAHA_STEP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_auth.h>
#include <ngx_http_waha_error.h>
#include <ngx_http_waha_fetch.h>
#include <ngx_http_waha_query.h>


typedef struct ngx_http_waha_step_s  ngx_http_waha_step_t;


/*
 * A function of a plan.  It returns NGX_DONE when it has started a step, else
 * a result for ngx_http_finalize_request().
 */
typedef ngx_int_t (*ngx_http_waha_step_pt)(ngx_http_waha_step_t *step);


/*
 * A plan is a chain of steps, one after the other: each asks the database or
 * a provider, and then() goes on with the outcome.  This is the step under way.
 */

struct ngx_http_waha_step_s {

    /* carries the plan: its pool, its log, its subrequests */
    ngx_http_request_t              *request;

    /* who wants it, and for which organization */
    ngx_http_waha_principal_t       *principal;
    ngx_http_waha_organization_t     organization;

    /* the outcome, for handler() and then() */
    ngx_http_waha_query_t            query;
    ngx_http_waha_fetch_t            fetch;

    /* reads the outcome; NGX_DECLINED: then() follows */
    ngx_http_waha_step_pt            handler;
    ngx_http_waha_step_pt            then;

    /* of a step that waits */
    ngx_event_t                      timer;

    /* called at the end of the plan, with the error that ended it if any */
    ngx_http_waha_step_pt            done;
    ngx_http_waha_error_e            error;

    /* whoever runs the plan */
    void                            *data;

    /* the session that the plan is about, see ngx_http_waha_session.h */
    struct ngx_http_waha_session_s  *session;

    /* the same for a number of Meta, see ngx_http_waha_number.h */
    struct ngx_http_waha_number_s   *number;
};


/*
 * Start a step.  args are as many as the statement has and are copied; what
 * request points to must stay until the answer.  An error of the database,
 * or a fetch without an answer, ends the plan.
 */
ngx_int_t ngx_http_waha_step_query(ngx_http_waha_step_t *step,
    ngx_http_waha_statement_e statement, const ngx_str_t *args,
    ngx_http_waha_step_pt then);
ngx_int_t ngx_http_waha_step_fetch(ngx_http_waha_step_t *step,
    ngx_http_waha_instance_t *instance,
    const ngx_http_waha_fetch_request_t *request, ngx_http_waha_step_pt then);

/*
 * The same with a handler, which is called before then() when the step has
 * ended, also with step->query.error or step->fetch.error.  A step that does
 * not start ends the plan without it.
 */
ngx_int_t ngx_http_waha_step_query_with(ngx_http_waha_step_t *step,
    ngx_http_waha_statement_e statement, const ngx_str_t *args,
    ngx_http_waha_step_pt handler, ngx_http_waha_step_pt then);
ngx_int_t ngx_http_waha_step_fetch_with(ngx_http_waha_step_t *step,
    ngx_http_waha_instance_t *instance,
    const ngx_http_waha_fetch_request_t *request,
    ngx_http_waha_step_pt handler, ngx_http_waha_step_pt then);

/* A step that takes so many milliseconds. */
ngx_int_t ngx_http_waha_step_wait(ngx_http_waha_step_t *step,
    ngx_msec_t delay, ngx_http_waha_step_pt then);

/* Ends the plan; NGX_HTTP_WAHA_ERR_NONE: it has succeeded. */
ngx_int_t ngx_http_waha_step_end(ngx_http_waha_step_t *step,
    ngx_http_waha_error_e error);

/* The continuation that ends a plan which has succeeded. */
ngx_int_t ngx_http_waha_step_succeed(ngx_http_waha_step_t *step);


#endif /* _NGX_HTTP_WAHA_STEP_H_INCLUDED_ */
