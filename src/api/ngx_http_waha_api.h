
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_API_H_INCLUDED_
#define _NGX_HTTP_WAHA_API_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_auth.h>
#include <ngx_http_waha_query.h>
#include <ngx_http_waha_fetch.h>
#include <ngx_http_waha_fetch_conf.h>


/* variable segments of a path */

#define NGX_HTTP_WAHA_ROUTE_PARAMS  3


typedef struct ngx_http_waha_api_s    ngx_http_waha_api_t;
typedef struct ngx_http_waha_route_s  ngx_http_waha_route_t;


/* what an argument may be; all arrive as text */

typedef enum {
    NGX_HTTP_WAHA_ARG_TEXT = 0,     /* up to 255 characters, no control */
    NGX_HTTP_WAHA_ARG_ID,           /* a positive number of 63 bits */
    NGX_HTTP_WAHA_ARG_SLUG,         /* up to 255 bytes of UTF-8, no control */
    NGX_HTTP_WAHA_ARG_SESSION,      /* letters, digits, "_", "-", "."; 1-64 */
    NGX_HTTP_WAHA_ARG_SIZE,         /* 1 to 200 */
    NGX_HTTP_WAHA_ARG_COUNT,        /* 0 to 2^31 - 1 */
    NGX_HTTP_WAHA_ARG_PHONE,        /* any spelling: becomes 7 to 15 digits */
    NGX_HTTP_WAHA_ARG_FLAG,         /* true, false, 1, 0: becomes "t", "f" */
    NGX_HTTP_WAHA_ARG_WORDS         /* a text, or a list of words in JSON */
} ngx_http_waha_argument_e;


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

    /* for ngx_http_waha_api_statement() */
    ngx_http_waha_statement_e           statement;
    const ngx_http_waha_argument_t     *args;

    /* the guide whose shape the answer has, see ngx_http_waha_shape.h */
    ngx_uint_t                          shape;
};


struct ngx_http_waha_api_s {
    ngx_http_request_t             *request;

    /* NULL: found tells why, see ngx_http_waha_route_find() */
    const ngx_http_waha_route_t    *route;
    ngx_int_t                       found;
    ngx_uint_t                      methods;

    ngx_http_waha_principal_t      *principal;

    /* for whom it is done */
    ngx_http_waha_organization_t    organization;

    /* of the path, the query (ngx_keyval_t) and a JSON body, if any */
    ngx_str_t                       params[NGX_HTTP_WAHA_ROUTE_PARAMS];
    ngx_array_t                    *query_args;
    cJSON                          *body;

    /*
     * the step under way, and the one after it; args, outgoing.args
     * and outgoing.accept are for the next step only
     */
    ngx_str_t                       args[NGX_HTTP_WAHA_STATEMENT_ARGS];
    ngx_http_waha_query_t           query;
    ngx_http_waha_fetch_t           fetch;
    ngx_http_waha_fetch_request_t   outgoing;
    ngx_int_t                     (*next)(ngx_http_waha_api_t *api);

    /* of an operation on a session, see ngx_http_waha_sessions.h */
    struct ngx_http_waha_session_s *session;

    /*
     * the next call may fail, the next query find nothing: next() looks at
     * fetch.error or query.error itself
     */
    unsigned                        tolerant:1;

    unsigned                        preflight:1;
    unsigned                        admitted:1;
};


/*
 * An argument by its name, from the path, the query or the body.
 * value->data is NULL when it is not given; it is not given either when it
 * is null in the body or empty in the query.  NGX_DECLINED: it is not what
 * kind says, or given twice; NGX_ERROR: no memory.  Memory is of the
 * request's pool.
 */
ngx_int_t ngx_http_waha_api_argument(ngx_http_waha_api_t *api,
    const char *name, ngx_http_waha_argument_e kind, ngx_str_t *value);

/* A variable segment of the path; data is NULL: the path has none. */
ngx_str_t ngx_http_waha_api_param(ngx_http_waha_api_t *api,
    const char *name);

/* Sends "invalid_argument", with the name of the argument. */
ngx_int_t ngx_http_waha_api_invalid(ngx_http_waha_api_t *api,
    const char *name);

/*
 * Steps of an operation.  Each returns NGX_DONE, and next() is called when
 * its result is there, or else what the operation has to return; next()
 * returns NGX_DONE or a result for ngx_http_finalize_request().  A query
 * that is refused, and a call that gets no answer, ends the request with
 * its code, and next() is not called.
 */
ngx_int_t ngx_http_waha_api_query(ngx_http_waha_api_t *api,
    ngx_http_waha_statement_e statement,
    ngx_int_t (*next)(ngx_http_waha_api_t *api));

/*
 * path is appended to the uri of the instance, and is escaped by nginx;
 * body may be NULL.
 */
ngx_int_t ngx_http_waha_api_call(ngx_http_waha_api_t *api,
    ngx_http_waha_instance_t *instance, ngx_uint_t method, ngx_str_t *path,
    ngx_str_t *body, ngx_int_t (*next)(ngx_http_waha_api_t *api));

/* Answers with the reply of the query. */
ngx_int_t ngx_http_waha_api_reply(ngx_http_waha_api_t *api);

/* The operation that is nothing but the statement of the route. */
ngx_int_t ngx_http_waha_api_statement(ngx_http_waha_api_t *api);


#endif /* _NGX_HTTP_WAHA_API_H_INCLUDED_ */
