
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_API_H_INCLUDED_
#define _NGX_HTTP_WAHA_API_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_step.h>
#include <ngx_http_waha_view.h>


/* variable segments of a path */

#define NGX_HTTP_WAHA_ROUTE_PARAMS  3


typedef struct ngx_http_waha_api_s    ngx_http_waha_api_t;
typedef struct ngx_http_waha_route_s  ngx_http_waha_route_t;


/* what an argument may be; all arrive as text */

typedef enum {
    NGX_HTTP_WAHA_ARG_TEXT = 0,     /* up to 255 characters, no control */
    NGX_HTTP_WAHA_ARG_ID,           /* a positive number of up to 18 digits */
    NGX_HTTP_WAHA_ARG_SLUG,         /* up to 255 bytes of UTF-8, no control */
    NGX_HTTP_WAHA_ARG_SESSION,      /* letters, digits, "_", "-", "."; 1-64 */
    NGX_HTTP_WAHA_ARG_SIZE,         /* 1 to 200 */
    NGX_HTTP_WAHA_ARG_COUNT,        /* 0 to 2^31 - 1 */
    NGX_HTTP_WAHA_ARG_PHONE,        /* any spelling: becomes 7 to 15 digits */
    NGX_HTTP_WAHA_ARG_FLAG,         /* true, false, 1, 0: becomes "t", "f" */
    NGX_HTTP_WAHA_ARG_WORDS,        /* a text, or a list of words in JSON */
    NGX_HTTP_WAHA_ARG_DIGITS,       /* 1 to 32 digits: an id of Meta */

    /* up to 4096 printable bytes without spaces, never of the query */
    NGX_HTTP_WAHA_ARG_SECRET
} ngx_http_waha_argument_e;


/* who may use a route */

#define NGX_HTTP_WAHA_ROUTE_READ      0x01
#define NGX_HTTP_WAHA_ROUTE_WRITE     0x02
#define NGX_HTTP_WAHA_ROUTE_OPERATOR  0x04

/* for all organizations: a request names none */

#define NGX_HTTP_WAHA_ROUTE_GLOBAL    0x08

/* an organization without a session is no error */

#define NGX_HTTP_WAHA_ROUTE_OPTIONAL  0x10

/* takes "usePairingCode" with "phoneNumber" */

#define NGX_HTTP_WAHA_ROUTE_PAIRING   0x20

/* the members of the reply, an object, stand beside "success" */

#define NGX_HTTP_WAHA_ROUTE_MEMBERS   0x40

/* for an operator, an organization that does not exist is created */

#define NGX_HTTP_WAHA_ROUTE_CREATE    0x80

/* clients show no passkey: connect restarts a session that waits for one */

#define NGX_HTTP_WAHA_ROUTE_RESTART   0x100

/* takes "phoneNumber", which the session keeps until a phone is linked */

#define NGX_HTTP_WAHA_ROUTE_NUMBER    0x200

/* the answer has the QR code; with ..._WRITE it waits until there is one */

#define NGX_HTTP_WAHA_ROUTE_QR        0x400

/* the path is signed, which replaces credentials */

#define NGX_HTTP_WAHA_ROUTE_SIGNED    0x800


/* takes "provider": that of the session, "waha" or "meta" */

#define NGX_HTTP_WAHA_ROUTE_PROVIDER  0x1000


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
    ngx_uint_t                          flags;

    ngx_int_t                         (*handler)(ngx_http_waha_api_t *api);

    /* for ngx_http_waha_api_statement() */
    ngx_http_waha_statement_e           statement;
    const ngx_http_waha_argument_t     *args;

    /* the guide whose form an answer about sessions has */
    ngx_http_waha_view_e                view;
};


/* a request of the tenant API; its operation is a plan in steps */

struct ngx_http_waha_api_s {
    ngx_http_waha_step_t            step;

    /* NULL: found says why, see ngx_http_waha_route_find() */
    const ngx_http_waha_route_t    *route;
    ngx_int_t                       found;
    ngx_uint_t                      methods;

    /* of the path, the query (ngx_keyval_t) and a JSON body, if any */
    ngx_str_t                       params[NGX_HTTP_WAHA_ROUTE_PARAMS];
    ngx_array_t                    *query_args;
    ngx_str_t                       text;
    cJSON                          *body;       /* parsed from text */

    /* that the path names, for ..._ROUTE_CREATE */
    ngx_str_t                       missing;

    /* opened, for ..._ROUTE_SIGNED */
    const struct ngx_http_waha_qr_link_s
                                   *link;

    /* of the operation */
    const void                     *data;
    ngx_http_waha_step_pt           then;
    ngx_http_waha_step_pt           number_plan;
    ngx_str_t                       number;
    ngx_uint_t                      tries;
    ngx_str_t                       qr_code;

    unsigned                        preflight:1;
    unsigned                        admitted:1;
};


/* The operation that is nothing but the statement of the route. */
ngx_int_t ngx_http_waha_api_statement(ngx_http_waha_api_t *api);

/*
 * Sends the error that ended a plan, with what the database said about it,
 * such as the argument that is not valid.
 */
ngx_int_t ngx_http_waha_api_error(ngx_http_waha_step_t *step);

/* Ends a plan: answers with the reply of the last query, or the error. */
ngx_int_t ngx_http_waha_api_reply(ngx_http_waha_step_t *step);


#endif /* _NGX_HTTP_WAHA_API_H_INCLUDED_ */
