
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_TURN_H_INCLUDED_
#define _NGX_HTTP_WAHA_TURN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct ngx_http_waha_turn_s  ngx_http_waha_turn_t;


/* what is done once, while others in this worker who want the same wait */

struct ngx_http_waha_turn_s {

    /* filled in by the caller */
    ngx_str_t              key;
    void                 (*handler)(ngx_http_request_t *r, void *data);
    void                  *data;

    /* private */
    ngx_http_request_t    *request;
    ngx_queue_t            queue;
    ngx_event_t            event;

    unsigned               queued:1;
    unsigned               waiting:1;
};


/*
 * Takes the turn, which belongs to the caller and must live as long as r.
 * NGX_OK: nobody else has one with that key; NGX_AGAIN: somebody has, and the
 * handler will be called when that one is left; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_turn_take(ngx_http_request_t *r,
    ngx_http_waha_turn_t *turn);

/* Lets all go on that wait for it; also done when its request ends. */
void ngx_http_waha_turn_leave(ngx_http_waha_turn_t *turn);


#endif /* _NGX_HTTP_WAHA_TURN_H_INCLUDED_ */
