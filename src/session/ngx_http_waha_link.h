
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_LINK_H_INCLUDED_
#define _NGX_HTTP_WAHA_LINK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_step.h>


/* what WAHA is asked for to link a phone to a session */

typedef enum {
    NGX_HTTP_WAHA_LINK_QR = 0,
    NGX_HTTP_WAHA_LINK_QR_TEXT,
    NGX_HTTP_WAHA_LINK_QR_PNG,
    NGX_HTTP_WAHA_LINK_CODE,
    NGX_HTTP_WAHA_LINK_CHALLENGE,
    NGX_HTTP_WAHA_LINK_PASSKEY,
    NGX_HTTP_WAHA_LINK_CONFIRMATION,
    NGX_HTTP_WAHA_LINK_CONFIRM
} ngx_http_waha_link_e;


/*
 * A plan for a session that was found: looks at its status and asks WAHA,
 * with a body for some requests, or NULL.  Ends with WAHA's answer in
 * step->fetch, or with ..._NO_QR where the status, which is in
 * step->session->info, does not allow the request.
 */
ngx_int_t ngx_http_waha_link(ngx_http_waha_step_t *step,
    ngx_http_waha_link_e what, ngx_str_t *body);

/* A step: asks WAHA for a pairing code for step->session->phone. */
ngx_int_t ngx_http_waha_link_request_code(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then);

/* A step: notes in waha.audit that there is a code, and ends the plan. */
ngx_int_t ngx_http_waha_link_note_code(ngx_http_waha_step_t *step);

/* The pairing code in WAHA's answer; data is NULL: none. */
ngx_str_t ngx_http_waha_link_pairing_code(ngx_http_waha_step_t *step);


#endif /* _NGX_HTTP_WAHA_LINK_H_INCLUDED_ */
