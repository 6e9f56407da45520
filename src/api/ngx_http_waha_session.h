
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SESSION_H_INCLUDED_
#define _NGX_HTTP_WAHA_SESSION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_api.h>
#include <ngx_http_waha_session_info.h>
#include <ngx_http_waha_turn.h>


/* an answer of WAHA: the status of the session does not allow it */

#define NGX_HTTP_WAHA_UNPROCESSABLE   422

/* times that a plan looks anew at what somebody else is changing, too */

#define NGX_HTTP_WAHA_SESSION_ROUNDS  3


typedef ngx_int_t (*ngx_http_waha_session_step_pt)(ngx_http_waha_api_t *api);


/* a session that something is done with */

typedef struct ngx_http_waha_session_s {

    /* as the database shows it */
    cJSON                           *object;
    ngx_str_t                        name;      /* WAHA's */
    ngx_str_t                        status;
    ngx_str_t                        organization_id;
    ngx_int_t                        age;       /* seconds; -1: not known */

    /* where it is; NULL: error says why that is not known */
    ngx_http_waha_instance_t        *instance;
    ngx_http_waha_error_e            error;

    /* as WAHA has told */
    ngx_http_waha_session_info_t     info;

    /* the plan */
    ngx_http_waha_session_step_pt    then;
    ngx_uint_t                       rounds;
    ngx_http_waha_turn_t             turn;

    /* to pair with; the code that was given */
    ngx_str_t                        phone;
    ngx_str_t                        pairing_code;

    /* of the plan's own room */
    const void                      *data;

    unsigned                         refresh:1;
    unsigned                         restart:1;
    unsigned                         fresh:1;   /* it has just been started */

    /* WAHA need not answer; it has not */
    unsigned                         lenient:1;
    unsigned                         stale:1;
} ngx_http_waha_session_t;


/*
 * Steps of plans.  As those of ngx_http_waha_api.h they return what an
 * operation has to return, and then() is called when they are through.
 */

/* Makes api->session, unless it is there.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_waha_session_create(ngx_http_waha_api_t *api);

/*
 * Finds the session that the request names by the first argument of its
 * route, or the primary one.
 */
ngx_int_t ngx_http_waha_session_find(ngx_http_waha_api_t *api,
    ngx_http_waha_session_step_pt then);

/* The same, where no session is no failure: api->session->object is NULL. */
ngx_int_t ngx_http_waha_session_find_any(ngx_http_waha_api_t *api,
    ngx_http_waha_session_step_pt then);

/* Finds or makes its row, under the caller's id or for the primary one. */
ngx_int_t ngx_http_waha_session_reserve(ngx_http_waha_api_t *api,
    ngx_str_t *id, ngx_str_t *label, ngx_http_waha_session_step_pt then);

/*
 * Asks WAHA for its state, which info then tells, and writes down what is
 * new of that.
 */
ngx_int_t ngx_http_waha_session_look(ngx_http_waha_api_t *api,
    ngx_http_waha_session_step_pt then);

/* Whether too long ago for what is stored to be believed. */
ngx_uint_t ngx_http_waha_session_old(ngx_http_waha_api_t *api);

/* Writes down what is new in info. */
ngx_int_t ngx_http_waha_session_record(ngx_http_waha_api_t *api,
    ngx_http_waha_session_step_pt then);

/*
 * Calls WAHA: format has one "%V" for the name of the session.  body may be
 * NULL.
 */
ngx_int_t ngx_http_waha_session_call(ngx_http_waha_api_t *api,
    ngx_uint_t method, const char *format, ngx_str_t *body,
    ngx_http_waha_session_step_pt then);

/*
 * Whether WAHA has done it, or has no such session, and what the answer says
 * of the session.
 */
ngx_uint_t ngx_http_waha_session_called(ngx_http_waha_api_t *api);
ngx_uint_t ngx_http_waha_session_missing(ngx_http_waha_api_t *api);
ngx_int_t ngx_http_waha_session_told(ngx_http_waha_api_t *api);

/* Refuses, as WAHA does not what it was called for. */
ngx_int_t ngx_http_waha_session_error(ngx_http_waha_api_t *api);

/* Reads the session out of the reply of a query.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_waha_session_read(ngx_http_waha_api_t *api);

/* Shows the session. */
ngx_int_t ngx_http_waha_session_answer(ngx_http_waha_api_t *api);


#endif /* _NGX_HTTP_WAHA_SESSION_H_INCLUDED_ */
