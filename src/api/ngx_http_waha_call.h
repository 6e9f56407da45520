
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CALL_H_INCLUDED_
#define _NGX_HTTP_WAHA_CALL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <cjson/cJSON.h>
#include <ngx_http_waha_error.h>


typedef struct ngx_http_waha_call_s  ngx_http_waha_call_t;


/* a call of WAHA for a request, and the answer */

struct ngx_http_waha_call_s {

    /* filled in by the caller */
    ngx_uint_t             method;      /* NGX_HTTP_GET, POST, PUT, DELETE */
    ngx_str_t              uri;         /* of the internal location */
    ngx_str_t              args;
    ngx_str_t              accept;      /* empty: application/json */
    ngx_str_t              body;        /* JSON; empty: none */
    size_t                 limit;       /* bytes of the answer */
    ngx_msec_t             timeout;     /* of the whole of it */

    /*
     * called once, from the event loop, when the request has the floor
     * again; it ends the request or goes on
     */
    void                 (*handler)(ngx_http_request_t *r,
                                    ngx_http_waha_call_t *call);
    void                  *data;

    /*
     * NGX_HTTP_WAHA_ERR_NONE: WAHA has answered, with any status; else
     * ..._WAHA_UNAVAILABLE, ..._WAHA_TIMEOUT or ..._WAHA_INVALID_ANSWER
     */
    ngx_http_waha_error_e  error;

    ngx_uint_t             status;
    ngx_str_t              type;        /* without parameters */
    ngx_str_t              answer;

    /* what a JSON answer says, NULL for an empty one; of r->pool */
    cJSON                 *json;

    /* private */
    ngx_http_request_t    *subrequest;
    ngx_event_t            event;
    ngx_int_t              outcome;
    u_char                *last;
    u_char                *end;

    unsigned               done:1;
    unsigned               complete:1;
    unsigned               too_big:1;
};


/*
 * Calls WAHA by a subrequest in memory; the call belongs to the caller and
 * must live as long as r, the main request, which may have one call at a
 * time.  Nothing of r goes along but what call says.  NGX_OK: the handler
 * will be called, unless the client leaves before; NGX_ERROR: it will not.
 * A content handler that has called has to hold a count of r->main.
 */
ngx_int_t ngx_http_waha_call(ngx_http_request_t *r,
    ngx_http_waha_call_t *call);

/* Whether r is the subrequest of a call, also after a redirect within it. */
ngx_uint_t ngx_http_waha_call_made(ngx_http_request_t *r);

/* Installs the body filter that catches answers, in postconfiguration. */
void ngx_http_waha_call_filter_init(void);


#endif /* _NGX_HTTP_WAHA_CALL_H_INCLUDED_ */
