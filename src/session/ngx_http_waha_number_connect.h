
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_NUMBER_CONNECT_H_INCLUDED_
#define _NGX_HTTP_WAHA_NUMBER_CONNECT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_step.h>


/* how a number is to be connected */

typedef struct ngx_http_waha_join_s {

    /* by the caller; data is NULL: not given, except as said */
    ngx_str_t      code;            /* of a sign-up, in place of a token */
    ngx_str_t      verify_token;    /* made by the plan if not given */
    ngx_str_t      label;

    /* private */
    ngx_http_waha_step_pt
                   then;
    ngx_array_t   *accounts;        /* ngx_str_t: that may have the number */
    ngx_uint_t     account;         /* the one that is asked */
    ngx_uint_t     calls;
    ngx_uint_t     tries;           /* to set the callback */
    ngx_str_t      cursor;          /* of its next page of numbers */
    ngx_str_t      portfolio;
    ngx_str_t      app;
    ngx_str_t      sealed;          /* the token */

    ngx_http_waha_error_e
                   error;

    unsigned       made:1;          /* the verify token, by the plan */
    unsigned       named:1;         /* the account, by the caller */
    unsigned       subscribed:1;    /* the app, before */
    unsigned       known:1;         /* the number, before */
    unsigned       live:1;          /* it was connected before */
} ngx_http_waha_join_t;


/*
 * The plan that connects a number: step->number has its id, the token (or
 * join->code), the secret with own_secret, or nothing for the operator's, and
 * maybe the account; step->number->join is the above.  The number is checked
 * at Graph, recorded, and then its callback is set; when the last fails, a
 * number that was not connected before is left as it was.  Ends with the
 * number.
 */
ngx_int_t ngx_http_waha_number_connect(ngx_http_waha_step_t *step);


#endif /* _NGX_HTTP_WAHA_NUMBER_CONNECT_H_INCLUDED_ */
