
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_lock.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_string.h>


static void ngx_http_waha_lock_cleanup(void *data);
static void ngx_http_waha_lock_handler(ngx_event_t *ev);


/* of this worker: requests that have a lock, and those that wait */
static ngx_queue_t  ngx_http_waha_locks = {
    &ngx_http_waha_locks, &ngx_http_waha_locks
};


ngx_int_t
ngx_http_waha_lock_acquire(ngx_http_request_t *r, ngx_http_waha_lock_t *lock)
{
    ngx_queue_t           *q;
    ngx_pool_cleanup_t    *cln;
    ngx_http_waha_lock_t  *another;

    if (lock->request == NULL) {
        cln = ngx_pool_cleanup_add(r->pool, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_waha_lock_cleanup;
        cln->data = lock;
    }

    lock->request = r;
    lock->error = NGX_HTTP_WAHA_ERR_NONE;
    lock->waiting = 0;

    for (q = ngx_queue_head(&ngx_http_waha_locks);
         q != ngx_queue_sentinel(&ngx_http_waha_locks);
         q = ngx_queue_next(q))
    {
        another = ngx_queue_data(q, ngx_http_waha_lock_t, queue);

        if (ngx_http_waha_string_is_equal(&another->key, &lock->key)) {
            lock->waiting = 1;
            break;
        }
    }

    ngx_queue_insert_tail(&ngx_http_waha_locks, &lock->queue);
    lock->queued = 1;

    return lock->waiting ? NGX_AGAIN : NGX_OK;
}


void
ngx_http_waha_lock_release(ngx_http_waha_lock_t *lock,
    ngx_http_waha_error_e error)
{
    ngx_queue_t           *q, *next;
    ngx_http_waha_lock_t  *another;

    if (!lock->queued) {
        return;
    }

    ngx_queue_remove(&lock->queue);
    lock->queued = 0;

    if (lock->waiting) {
        return;
    }

    /* one after the other, the last would wait for too long */

    for (q = ngx_queue_head(&ngx_http_waha_locks);
         q != ngx_queue_sentinel(&ngx_http_waha_locks);
         q = next)
    {
        next = ngx_queue_next(q);
        another = ngx_queue_data(q, ngx_http_waha_lock_t, queue);

        if (!ngx_http_waha_string_is_equal(&another->key, &lock->key)) {
            continue;
        }

        ngx_queue_remove(q);
        another->queued = 0;
        another->error = error;

        another->event.handler = ngx_http_waha_lock_handler;
        another->event.data = another;
        another->event.log = another->request->connection->log;

        ngx_post_event(&another->event, &ngx_posted_events);
    }
}


static void
ngx_http_waha_lock_handler(ngx_event_t *ev)
{
    ngx_http_waha_lock_t *lock = ev->data;

    ngx_http_waha_request_resume(lock->request, lock->handler, lock->data);
}


static void
ngx_http_waha_lock_cleanup(void *data)
{
    ngx_http_waha_lock_t *lock = data;

    if (lock->event.posted) {
        ngx_delete_posted_event(&lock->event);
    }

    ngx_http_waha_lock_release(lock, NGX_HTTP_WAHA_ERR_NONE);
}
