
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_FETCH_H_INCLUDED_
#define _NGX_HTTP_WAHA_FETCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <cjson/cJSON.h>
#include <ngx_http_waha_error.h>
#include <ngx_http_waha_fetch_conf.h>
#include <ngx_http_waha_forward.h>


typedef struct ngx_http_waha_fetch_s  ngx_http_waha_fetch_t;


/*
 * what a provider is sent; nothing else of the client's request goes along,
 * unless the configuration of the instance's location adds it
 */

typedef struct {
    ngx_uint_t             method;      /* NGX_HTTP_GET, POST, PUT, DELETE */
    ngx_str_t              path;        /* below the uri of the instance */
    ngx_str_t              args;
    ngx_str_t              accept;      /* empty: application/json */
    ngx_str_t              body;        /* empty: none */
    ngx_str_t              type;        /* of the body; empty: JSON */
    ngx_str_t              authorization;       /* empty: none */

    /*
     * set for a GET of a session, whose last known state would do: it has the
     * short time limit of "waha_call_timeout ... look="
     */
    unsigned               look:1;
} ngx_http_waha_fetch_request_t;


/* a request to a provider by a subrequest, and its answer */

struct ngx_http_waha_fetch_s {

    /*
     * filled in by the caller; called once, from the event loop, when the
     * answer is there; ends the request or goes on
     */
    void                 (*handler)(ngx_http_waha_fetch_t *fetch);
    void                  *data;

    /*
     * NGX_HTTP_WAHA_ERR_NONE: there is an answer, with any status; else
     * ..._WAHA_UNAVAILABLE, ..._WAHA_TIMEOUT, ..._WAHA_INVALID_ANSWER or
     * ..._OUT_OF_MEMORY
     */
    ngx_http_waha_error_e  error;

    ngx_uint_t             status;
    ngx_str_t              type;        /* without parameters */
    ngx_str_t              answer;

    /* a JSON answer, parsed; NULL for an empty one; of r->pool */
    cJSON                 *json;

    /* private */
    ngx_http_request_t        *request;
    ngx_http_request_t        *subrequest;
    ngx_http_waha_instance_t  *instance;
    ngx_http_waha_forward_t    forward;
    ngx_str_t                  uri;
    ngx_str_t                  unparsed_uri;
    ngx_str_t                  args;
    ngx_str_t                  accept;
    size_t                     size;
    ngx_event_t                event;
    ngx_int_t                  outcome;
    u_char                    *last;
    u_char                    *end;

    unsigned                   done:1;
    unsigned                   complete:1;
    unsigned                   local:1;     /* nginx itself has answered */
    unsigned                   too_big:1;
};


/*
 * Sends a request to a provider through the location of an instance, by a
 * subrequest of r, the main request, which may have one at a time.  The fetch
 * must live as long as r; what request points at must stay until the handler
 * is called.  "waha_call_size" and "waha_call_timeout" of the location of r
 * bound the answer; request->look chooses the shorter time.  NGX_OK: the
 * handler will be called, unless the client closes the connection before; an
 * answer that is not 2xx is in the error log already.  NGX_ERROR: no memory.
 * The content handler must hold a count of r->main.
 */
ngx_int_t ngx_http_waha_fetch_start(ngx_http_request_t *r,
    ngx_http_waha_fetch_t *fetch, ngx_http_waha_instance_t *instance,
    const ngx_http_waha_fetch_request_t *request);

/* Whether r is the subrequest of a fetch, also after a redirect within it. */
ngx_uint_t ngx_http_waha_fetch_is_subrequest(ngx_http_request_t *r);

/* What such a subrequest forwards; NULL: r is none. */
ngx_http_waha_forward_t *ngx_http_waha_fetch_forward(ngx_http_request_t *r);

/*
 * Installs the body filter that notes the end of answers, in
 * postconfiguration; the one that keeps them is a module of its own.
 */
void ngx_http_waha_fetch_end_filter_init(void);


#endif /* _NGX_HTTP_WAHA_FETCH_H_INCLUDED_ */
