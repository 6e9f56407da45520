
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SESSION_H_INCLUDED_
#define _NGX_HTTP_WAHA_SESSION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_lease.h>
#include <ngx_http_waha_session_info.h>
#include <ngx_http_waha_step.h>


/* how WAHA refuses what the status of a session does not allow */

#define NGX_HTTP_WAHA_UNPROCESSABLE   422


/* the session that a plan is about */

typedef struct ngx_http_waha_session_s {

    /* as the database has it; NULL: there is none */
    cJSON                           *row;
    ngx_str_t                        name;      /* at WAHA */
    ngx_str_t                        status;
    ngx_str_t                        organization_id;
    ngx_int_t                        age;       /* of status; s; -1: unknown */

    /* where it is; NULL: error says why that is not known */
    ngx_http_waha_instance_t        *instance;
    ngx_http_waha_error_e            error;

    /* as WAHA has it */
    ngx_http_waha_session_info_t     info;

    /* of operations, see ngx_http_waha_lease.h */
    ngx_http_waha_lease_t            lease;
    ngx_str_t                        webhook_url;   /* the last one known */
    ngx_msec_t                       deadline;

    /* by earlier ones: see waha.session_history */
    unsigned                         asked:1;
    unsigned                         recovered:1;
    unsigned                         stuck:1;       /* always known */

    /* by this operation: arguments of waha.end_operation */
    unsigned                         started:1;
    unsigned                         recovering:1;
    unsigned                         logged_out:1;
    unsigned                         configured:1;

    /* what follows ngx_http_waha_configure() */
    ngx_http_waha_step_pt            configure_then;

    /* what unlinks the phone, see ngx_http_waha_control.c */
    ngx_http_waha_step_pt            unlink;

    /* the phone goes on to show the session as linked */
    unsigned                         still_linked:1;

    /* of the plan that connects it, see ngx_http_waha_connect.h */
    ngx_uint_t                       rounds;
    ngx_uint_t                       codes;
    u_char                          *tried;         /* instances */
    ngx_str_t                        phone;
    ngx_str_t                        pairing_code;

    unsigned                         restart:1;
    unsigned                         no_passkey:1;
    unsigned                         charged:1;

    /* of the plan that links a phone, see ngx_http_waha_link.h */
    const struct ngx_http_waha_link_request_s
                                    *link;
    ngx_str_t                        link_body;

    /* WAHA was asked for the status in vain */
    unsigned                         stale:1;
} ngx_http_waha_session_t;


/* Creates step->session, unless it is there.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_waha_session_create(ngx_http_waha_step_t *step);


/*
 * Steps.  They return what a function of a plan returns, and then() goes on
 * when they have succeeded.
 */

/* Finds the session with that id, or the primary one when data is NULL. */
ngx_int_t ngx_http_waha_session_find(ngx_http_waha_step_t *step,
    ngx_str_t *id, ngx_http_waha_step_pt then);

/* The same where none is no error: step->session->row is NULL then. */
ngx_int_t ngx_http_waha_session_find_any(ngx_http_waha_step_t *step,
    ngx_str_t *id, ngx_http_waha_step_pt then);

/* Finds a session, or makes its row, which is labelled; both may be missing. */
ngx_int_t ngx_http_waha_session_reserve(ngx_http_waha_step_t *step,
    ngx_str_t *id, ngx_str_t *label, ngx_http_waha_step_pt then);

/*
 * Moves a session that WAHA was never asked to create to another instance;
 * NGX_DECLINED: it cannot be moved, and nothing was started.
 */
ngx_int_t ngx_http_waha_session_move(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then);

/* Asks WAHA for the session and records what differs from the row. */
ngx_int_t ngx_http_waha_session_look(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then);

/* The same where an answer is not needed: step->session->stale is set then. */
ngx_int_t ngx_http_waha_session_try_look(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then);

/* Asks WAHA for the session; what handler does, see ngx_http_waha_step.h. */
ngx_int_t ngx_http_waha_session_start_look(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt handler, ngx_http_waha_step_pt then);

/* Records what differs between info and the row. */
ngx_int_t ngx_http_waha_session_record(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then);

/*
 * Calls WAHA.  format makes the path and has one "%V", for the name; body,
 * JSON, may be NULL.
 */
ngx_int_t ngx_http_waha_session_fetch(ngx_http_waha_step_t *step,
    ngx_uint_t method, const char *format, ngx_str_t *body,
    ngx_http_waha_step_pt then);

/* The same with a request whose path is still missing. */
ngx_int_t ngx_http_waha_session_fetch_request(ngx_http_waha_step_t *step,
    ngx_http_waha_fetch_request_t *request, const char *format,
    ngx_http_waha_step_pt then);


/* Whether WAHA's answer is a success, or says that it has no such session. */
ngx_uint_t ngx_http_waha_session_is_accepted(ngx_http_waha_step_t *step);
ngx_uint_t ngx_http_waha_session_is_missing(ngx_http_waha_step_t *step);

/* Whether the status in the row is too old to be shown without a look. */
ngx_uint_t ngx_http_waha_session_is_old(ngx_http_waha_step_t *step);

/*
 * Read WAHA's answer into info, and the reply of a query into the row.
 * NGX_DECLINED: the answer is not about the session; NGX_ERROR: the reply is
 * not about one, or no memory.
 */
ngx_int_t ngx_http_waha_session_read_answer(ngx_http_waha_step_t *step);
ngx_int_t ngx_http_waha_session_read_row(ngx_http_waha_step_t *step);

/* Ends the plan with the error of a query, and the time to wait in it. */
ngx_int_t ngx_http_waha_session_refuse(ngx_http_waha_step_t *step);

/* Ends the plan, as WAHA's answer cannot be used; the log says why. */
ngx_int_t ngx_http_waha_session_fail(ngx_http_waha_step_t *step);


#endif /* _NGX_HTTP_WAHA_SESSION_H_INCLUDED_ */
