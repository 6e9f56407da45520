
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_turn.h>


static void ngx_http_waha_turn_cleanup(void *data);
static void ngx_http_waha_turn_handler(ngx_event_t *ev);


/* of this worker: those who have a turn, and those who wait */
static ngx_queue_t  ngx_http_waha_turns = {
    &ngx_http_waha_turns, &ngx_http_waha_turns
};


ngx_int_t
ngx_http_waha_turn_take(ngx_http_request_t *r, ngx_http_waha_turn_t *turn)
{
    ngx_queue_t           *q;
    ngx_pool_cleanup_t    *cln;
    ngx_http_waha_turn_t  *another;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_waha_turn_cleanup;
    cln->data = turn;

    turn->request = r;
    turn->waiting = 0;

    for (q = ngx_queue_head(&ngx_http_waha_turns);
         q != ngx_queue_sentinel(&ngx_http_waha_turns);
         q = ngx_queue_next(q))
    {
        another = ngx_queue_data(q, ngx_http_waha_turn_t, queue);

        if (ngx_http_waha_string_is_equal(&another->key, &turn->key)) {
            turn->waiting = 1;
            break;
        }
    }

    ngx_queue_insert_tail(&ngx_http_waha_turns, &turn->queue);
    turn->queued = 1;

    return turn->waiting ? NGX_AGAIN : NGX_OK;
}


void
ngx_http_waha_turn_leave(ngx_http_waha_turn_t *turn)
{
    ngx_queue_t           *q, *next;
    ngx_http_waha_turn_t  *another;

    if (!turn->queued) {
        return;
    }

    ngx_queue_remove(&turn->queue);
    turn->queued = 0;

    if (turn->waiting) {
        return;
    }

    /* one after the other would make the last one wait for too long */

    for (q = ngx_queue_head(&ngx_http_waha_turns);
         q != ngx_queue_sentinel(&ngx_http_waha_turns);
         q = next)
    {
        next = ngx_queue_next(q);
        another = ngx_queue_data(q, ngx_http_waha_turn_t, queue);

        if (!ngx_http_waha_string_is_equal(&another->key, &turn->key)) {
            continue;
        }

        ngx_queue_remove(q);
        another->queued = 0;

        another->event.handler = ngx_http_waha_turn_handler;
        another->event.data = another;
        another->event.log = another->request->connection->log;

        ngx_post_event(&another->event, &ngx_posted_events);
    }
}


static void
ngx_http_waha_turn_handler(ngx_event_t *ev)
{
    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    ngx_http_waha_turn_t  *turn;

    turn = ev->data;

    r = turn->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    turn->handler(r, turn->data);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_waha_turn_cleanup(void *data)
{
    ngx_http_waha_turn_t  *turn = data;

    if (turn->event.posted) {
        ngx_delete_posted_event(&turn->event);
    }

    ngx_http_waha_turn_leave(turn);
}
