
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_step.h>


static void ngx_http_waha_step_query_done(ngx_http_waha_query_t *query);
static void ngx_http_waha_step_fetch_done(ngx_http_waha_fetch_t *fetch);
static void ngx_http_waha_step_timer_handler(ngx_event_t *ev);
static void ngx_http_waha_step_cleanup(void *data);
static ngx_int_t ngx_http_waha_step_resume(void *data);
static ngx_int_t ngx_http_waha_step_on_timer(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_step_on_reply(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_step_on_answer(ngx_http_waha_step_t *step);


ngx_int_t
ngx_http_waha_step_query(ngx_http_waha_step_t *step,
    ngx_http_waha_statement_e statement, const ngx_str_t *args,
    ngx_http_waha_step_pt then)
{
    return ngx_http_waha_step_query_with(step, statement, args,
                                         ngx_http_waha_step_on_reply, then);
}


ngx_int_t
ngx_http_waha_step_query_with(ngx_http_waha_step_t *step,
    ngx_http_waha_statement_e statement, const ngx_str_t *args,
    ngx_http_waha_step_pt handler, ngx_http_waha_step_pt then)
{
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(step->request, ngx_http_waha_module);

    step->handler = handler;
    step->then = then;

    step->query.pool = step->request->pool;
    step->query.log = step->request->connection->log;
    step->query.actor = step->principal->actor;
    step->query.handler = ngx_http_waha_step_query_done;
    step->query.data = step;

    switch (ngx_http_waha_query_start(wmcf->db, &step->query, statement,
                                      args))
    {
    case NGX_OK:
        return NGX_DONE;

    case NGX_DECLINED:
        return ngx_http_waha_step_end(step, step->query.error);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


ngx_int_t
ngx_http_waha_step_fetch(ngx_http_waha_step_t *step,
    ngx_http_waha_instance_t *instance,
    const ngx_http_waha_fetch_request_t *request, ngx_http_waha_step_pt then)
{
    return ngx_http_waha_step_fetch_with(step, instance, request,
                                         ngx_http_waha_step_on_answer, then);
}


ngx_int_t
ngx_http_waha_step_fetch_with(ngx_http_waha_step_t *step,
    ngx_http_waha_instance_t *instance,
    const ngx_http_waha_fetch_request_t *request,
    ngx_http_waha_step_pt handler, ngx_http_waha_step_pt then)
{
    step->handler = handler;
    step->then = then;

    step->fetch.handler = ngx_http_waha_step_fetch_done;
    step->fetch.data = step;

    if (ngx_http_waha_fetch_start(step->request, &step->fetch, instance,
                                  request)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DONE;
}


ngx_int_t
ngx_http_waha_step_wait(ngx_http_waha_step_t *step, ngx_msec_t delay,
    ngx_http_waha_step_pt then)
{
    ngx_pool_cleanup_t  *cln;

    if (step->timer.data == NULL) {
        cln = ngx_pool_cleanup_add(step->request->pool, 0);
        if (cln == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        cln->handler = ngx_http_waha_step_cleanup;
        cln->data = step;

        step->timer.handler = ngx_http_waha_step_timer_handler;
        step->timer.data = step;
        step->timer.log = step->request->connection->log;
    }

    step->handler = ngx_http_waha_step_on_timer;
    step->then = then;

    ngx_add_timer(&step->timer, delay);

    return NGX_DONE;
}


static void
ngx_http_waha_step_timer_handler(ngx_event_t *ev)
{
    ngx_http_waha_step_t *step = ev->data;

    ngx_http_waha_request_resume(step->request, ngx_http_waha_step_resume,
                                 step);
}


static void
ngx_http_waha_step_cleanup(void *data)
{
    ngx_http_waha_step_t *step = data;

    if (step->timer.timer_set) {
        ngx_del_timer(&step->timer);
    }
}


static void
ngx_http_waha_step_query_done(ngx_http_waha_query_t *query)
{
    ngx_http_waha_step_t *step = query->data;

    ngx_http_waha_request_resume(step->request, ngx_http_waha_step_resume,
                                 step);
}


static void
ngx_http_waha_step_fetch_done(ngx_http_waha_fetch_t *fetch)
{
    ngx_http_waha_step_t *step = fetch->data;

    ngx_int_t  rc;

    rc = ngx_http_waha_step_resume(step);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(step->request, rc);
    }
}


static ngx_int_t
ngx_http_waha_step_resume(void *data)
{
    ngx_http_waha_step_t *step = data;

    ngx_int_t  rc;

    rc = step->handler(step);

    return (rc == NGX_DECLINED) ? step->then(step) : rc;
}


static ngx_int_t
ngx_http_waha_step_on_timer(ngx_http_waha_step_t *step)
{
    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_waha_step_on_reply(ngx_http_waha_step_t *step)
{
    return step->query.error
           ? ngx_http_waha_step_end(step, step->query.error) : NGX_DECLINED;
}


static ngx_int_t
ngx_http_waha_step_on_answer(ngx_http_waha_step_t *step)
{
    return step->fetch.error
           ? ngx_http_waha_step_end(step, step->fetch.error) : NGX_DECLINED;
}


ngx_int_t
ngx_http_waha_step_end(ngx_http_waha_step_t *step,
    ngx_http_waha_error_e error)
{
    step->error = error;

    return step->done(step);
}


ngx_int_t
ngx_http_waha_step_succeed(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NONE);
}
