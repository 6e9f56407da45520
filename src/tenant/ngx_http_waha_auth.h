
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_AUTH_H_INCLUDED_
#define _NGX_HTTP_WAHA_AUTH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_error.h>


/* an organization, as the database knows it */

typedef struct {
    ngx_str_t   slug;
    ngx_str_t   id;                     /* decimal */
} ngx_http_waha_organization_t;


/* who calls; strings are of r->pool */

typedef struct {
    /* empty for an operator, who may name any */
    ngx_http_waha_organization_t   organization;

    unsigned                       operator:1;
    unsigned                       read:1;
    unsigned                       write:1;

    /* known by what a browser sends by itself: a cookie, a certificate */
    unsigned                       ambient:1;
} ngx_http_waha_principal_t;


/*
 * Finds out who calls, in the access phase.  NGX_OK: *principal is set, and
 * $waha_organization.  NGX_AGAIN: the database is asked; the phases are run
 * again, and this has to be called again.  NGX_DECLINED: *error says
 * why not.  NGX_ERROR: no memory.  An address that has guessed too
 * often is refused whatever it brings, right credentials too, lest the
 * answer tell that they are.
 */
ngx_int_t ngx_http_waha_auth(ngx_http_request_t *r,
    ngx_http_waha_principal_t **principal, ngx_http_waha_error_e *error);

/*
 * The organization that a text, a slug or an id, names; for operators.  The
 * same results; *error is ..._UNKNOWN_ORGANIZATION when there is none.
 */
ngx_int_t ngx_http_waha_auth_organization(ngx_http_request_t *r,
    ngx_str_t *name, ngx_http_waha_organization_t *organization,
    ngx_http_waha_error_e *error);

/* Adds WWW-Authenticate, for an answer with 401. */
ngx_int_t ngx_http_waha_auth_challenge(ngx_http_request_t *r);

/* The access handler of "waha_auth"; answers are nginx's own pages. */
ngx_int_t ngx_http_waha_auth_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_WAHA_AUTH_H_INCLUDED_ */
