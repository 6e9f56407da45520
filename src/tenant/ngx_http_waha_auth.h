
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_AUTH_H_INCLUDED_
#define _NGX_HTTP_WAHA_AUTH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_error.h>


typedef struct {
    ngx_str_t   slug;
    ngx_str_t   id;                     /* decimal */
} ngx_http_waha_organization_t;


/* the owner of the credentials of a request; strings are of r->pool */

typedef struct {
    /* empty for an operator, who may act for any */
    ngx_http_waha_organization_t   organization;

    /* for waha.act_as: "tenant" or "operator", how it proves who it is, who */
    ngx_str_t                      actor;

    unsigned                       operator:1;
    unsigned                       read:1;
    unsigned                       write:1;

    /* by a cookie or a certificate, which browsers send by themselves */
    unsigned                       ambient:1;
} ngx_http_waha_principal_t;


/*
 * Authorizes a request in the access phase.  NGX_OK: *principal and
 * $waha_organization are set.  NGX_AGAIN: a query is running; when it is
 * done, the phases are run again, and call this again.  NGX_DECLINED: *error
 * is set.  NGX_ERROR: no memory.  When an address has exceeded the limit,
 * signed tokens and API keys that were right before are still accepted.
 */
ngx_int_t ngx_http_waha_auth(ngx_http_request_t *r,
    ngx_http_waha_principal_t **principal, ngx_http_waha_error_e *error);

/*
 * Finds the organization that an operator names by its slug or id.  The
 * results are the same; *error is NGX_HTTP_WAHA_ERR_UNKNOWN_ORGANIZATION
 * where there is no such organization.
 */
ngx_int_t ngx_http_waha_auth_find_organization(ngx_http_request_t *r,
    ngx_str_t *name, ngx_http_waha_organization_t *organization,
    ngx_http_waha_error_e *error);

/* Adds WWW-Authenticate to an answer with 401.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_waha_auth_challenge(ngx_http_request_t *r);

/* The access handler of "waha_auth"; errors get nginx's standard pages. */
ngx_int_t ngx_http_waha_auth_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_WAHA_AUTH_H_INCLUDED_ */
