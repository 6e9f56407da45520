
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_ROUTE_H_INCLUDED_
#define _NGX_HTTP_WAHA_ROUTE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_api.h>


/* who may use a route */

#define NGX_HTTP_WAHA_ROUTE_READ      0x01
#define NGX_HTTP_WAHA_ROUTE_WRITE     0x02
#define NGX_HTTP_WAHA_ROUTE_OPERATOR  0x04

/* it is not done for an organization that the request names */

#define NGX_HTTP_WAHA_ROUTE_GLOBAL    0x08


/*
 * an argument that an operation hands to its statement, in this order, after
 * the organization unless the route is global; the last has no name
 */

typedef struct {
    const char                         *name;
    ngx_http_waha_argument_e            kind;
    unsigned                            required;
} ngx_http_waha_argument_t;


struct ngx_http_waha_route_s {
    ngx_uint_t                          method;
    const char                         *path;
    ngx_uint_t                          access;

    ngx_int_t                         (*handler)(ngx_http_waha_api_t *api);

    /* for ngx_http_waha_route_query() */
    ngx_http_waha_statement_e           statement;
    const ngx_http_waha_argument_t     *args;

    /* the guide whose shape the answer has, see ngx_http_waha_shape.h */
    ngx_uint_t                          shape;
};


/*
 * Finds the route of a method and a path, and the variable segments.
 * NGX_DECLINED: no such path; NGX_ABORT: not with this method, *methods are
 * those that are allowed.
 */
ngx_int_t ngx_http_waha_route_find(ngx_uint_t method, ngx_str_t *path,
    const ngx_http_waha_route_t **route, ngx_str_t *params,
    ngx_uint_t *methods);

/* A variable segment by its name; data is NULL: the path has none. */
ngx_str_t ngx_http_waha_route_param(ngx_http_waha_api_t *api,
    const char *name);

/* The operation that is nothing but the statement of the route. */
ngx_int_t ngx_http_waha_route_query(ngx_http_waha_api_t *api);


#endif /* _NGX_HTTP_WAHA_ROUTE_H_INCLUDED_ */
