
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_NUMBER_H_INCLUDED_
#define _NGX_HTTP_WAHA_NUMBER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_graph.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_step.h>


/* a number of Meta's Cloud API that a plan is about */

typedef struct ngx_http_waha_number_s {

    ngx_str_t               id;             /* Meta's; data is NULL: the only */

    /* as the database has it; NULL: the organization never had it */
    cJSON                  *row;            /* of the connection */
    cJSON                  *session;
    ngx_str_t               connection;
    ngx_str_t               account;        /* id of the WhatsApp account */
    ngx_int_t               age;            /* of status; s; -1: unknown */
    unsigned                connected:1;
    unsigned                own_secret:1;

    /* other connected numbers are in the same account */
    unsigned                shared:1;

    /* plain */
    ngx_str_t               token;
    ngx_str_t               secret;         /* of the app; empty: unknown */

    /* as Graph has it; data is NULL: it did not say */
    ngx_str_t               phone;          /* digits */
    ngx_str_t               name;
    ngx_str_t               quality;
    ngx_str_t               limit;
    ngx_str_t               graph_status;
    ngx_str_t               callback;
    unsigned                has_callback:1; /* the answer has the member */

    /* the callback URL; data is NULL: the number has no connection */
    ngx_str_t               url;

    /* why a connected number does not work; data is NULL: it does */
    ngx_str_t               reason;
    unsigned                stale:1;        /* Meta did not answer */

    /* the app is still subscribed, since Meta refused to end it */
    unsigned                subscribed:1;

    /* of a look at Graph, see ngx_http_waha_number_look() */
    ngx_http_waha_error_e   error;
    ngx_http_waha_step_pt   look_then;
    unsigned                basic:1;

    /* about an error that Graph gave, for the answer: JSON, or data is NULL */
    ngx_str_t               details;

    /* of the plan that connects it, see ngx_http_waha_number_connect.h */
    struct ngx_http_waha_join_s
                           *join;

    /* of the plan that sends a file, see ngx_http_waha_number_media.h */
    ngx_str_t               media;
    ngx_str_t               filename;

    /* of other plans, see ngx_http_waha_number_control.h */
    time_t                  fresh;          /* seconds that a check is valid */
    unsigned                deleting:1;
} ngx_http_waha_number_t;


/* Creates step->number, unless it is there.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_waha_number_create(ngx_http_waha_step_t *step);

/*
 * Reads the reply of a query about a number, which may be null, into
 * step->number.  NGX_ERROR: no memory, or no such reply.
 */
ngx_int_t ngx_http_waha_number_read(ngx_http_waha_step_t *step);

/*
 * Opens the token of the number, and the secret of its app.  NGX_DECLINED:
 * the token is not there, or cannot be opened; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_number_open(ngx_http_waha_step_t *step);

/* The operator's secret of an app; NULL: none is configured. */
ngx_str_t *ngx_http_waha_number_operator_secret(ngx_http_waha_step_t *step);

/* Makes the callback URL of the connection.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_waha_number_make_url(ngx_http_waha_step_t *step);

/* Writes Graph's answer about the number, as the database takes it. */
void ngx_http_waha_number_put(ngx_http_waha_number_t *number,
    ngx_http_waha_json_out_t *out);


/* Steps: then() follows, unless an error ends the plan. */

/* Finds step->number; where there is none, row is NULL. */
ngx_int_t ngx_http_waha_number_find(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then);

/*
 * Asks Graph, with the number's token, for "/ID" and an edge of that object,
 * such as "/subscribed_apps", or "".  args and body (JSON) may be NULL.  An
 * error of Graph ends the plan; not with try(): then() has to see
 * ngx_http_waha_graph_error().
 */
ngx_int_t ngx_http_waha_number_ask(ngx_http_waha_step_t *step,
    ngx_uint_t method, const ngx_str_t *id, const char *edge,
    const ngx_str_t *args, const ngx_str_t *body, ngx_http_waha_step_pt then);
ngx_int_t ngx_http_waha_number_try(ngx_http_waha_step_t *step,
    ngx_uint_t method, const ngx_str_t *id, const char *edge,
    const ngx_str_t *args, const ngx_str_t *body, ngx_http_waha_step_pt then);

/* The same as try() for a request that is complete. */
ngx_int_t ngx_http_waha_number_send(ngx_http_waha_step_t *step,
    ngx_http_waha_fetch_request_t *request, ngx_http_waha_step_pt then);

/*
 * Asks Graph for the number, and reads it; then() follows in any case, with
 * the result in step->number->error.
 */
ngx_int_t ngx_http_waha_number_look(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then);

/*
 * Sets the callback of the number at Meta, which asks it before, or removes
 * it where url is empty; as try().
 */
ngx_int_t ngx_http_waha_number_set_callback(ngx_http_waha_step_t *step,
    ngx_str_t *url, ngx_str_t *verify_token, ngx_http_waha_step_pt then);

/* Ends the plan with an error, and with what Graph said about it. */
ngx_int_t ngx_http_waha_number_refuse(ngx_http_waha_step_t *step,
    ngx_http_waha_error_e error);


#endif /* _NGX_HTTP_WAHA_NUMBER_H_INCLUDED_ */
