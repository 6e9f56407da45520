
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_LOCK_H_INCLUDED_
#define _NGX_HTTP_WAHA_LOCK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_error.h>


typedef struct ngx_http_waha_lock_s  ngx_http_waha_lock_t;


/*
 * A lock of this worker for work that is done once, however many requests
 * want it: when the one that has the lock releases it, all that wait go on,
 * without the lock, and find the work done or the error.
 */

struct ngx_http_waha_lock_s {

    /* filled in by the caller; called when another has released the lock */
    ngx_str_t              key;
    ngx_int_t            (*handler)(void *data);
    void                  *data;

    /* for the handler: what kept the other one from doing the work */
    ngx_http_waha_error_e  error;

    /* private */
    ngx_http_request_t    *request;
    ngx_queue_t            queue;
    ngx_event_t            event;

    unsigned               queued:1;
    unsigned               waiting:1;
};


/*
 * Acquires the lock, which belongs to the caller and must live as long as r.
 * NGX_OK: r has it.  NGX_AGAIN: another request has it, and the handler will
 * be called as ngx_http_waha_request_resume() calls one.  NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_http_waha_lock_acquire(ngx_http_request_t *r,
    ngx_http_waha_lock_t *lock);

/*
 * Releases the lock, with an error that those who wait would meet, too, or
 * ..._NONE; the end of its request does so with ..._NONE.
 */
void ngx_http_waha_lock_release(ngx_http_waha_lock_t *lock,
    ngx_http_waha_error_e error);


#endif /* _NGX_HTTP_WAHA_LOCK_H_INCLUDED_ */
