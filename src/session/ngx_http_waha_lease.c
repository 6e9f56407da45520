
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_lease.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_session_conf.h>


/* seconds: until an operation is lost, also after its client has left */

#define NGX_HTTP_WAHA_LEASE_TIME       "15"
#define NGX_HTTP_WAHA_LEASE_AFTERMATH  "3"

/* milliseconds */

#define NGX_HTTP_WAHA_LEASE_PROLONG    5000
#define NGX_HTTP_WAHA_LEASE_DELAY      250
#define NGX_HTTP_WAHA_LEASE_PATIENCE   30000


static ngx_int_t ngx_http_waha_lease_install(ngx_http_waha_step_t *step,
    const char *operation, ngx_http_waha_step_pt then);
static ngx_int_t ngx_http_waha_lease_start(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt handler);
static ngx_int_t ngx_http_waha_lease_on_begun(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_lease_try(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_lease_on_tried(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_lease_on_unlocked(void *data);
static ngx_int_t ngx_http_waha_lease_on_done(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_lease_on_finished(ngx_http_waha_step_t *step);
static void ngx_http_waha_lease_args(ngx_http_waha_step_t *step,
    ngx_str_t *args, const char *seconds);
static void ngx_http_waha_lease_query_done(ngx_http_waha_query_t *query);
static ngx_int_t ngx_http_waha_lease_on_ended(void *data);
static void ngx_http_waha_lease_prolong(ngx_event_t *ev);
static void ngx_http_waha_lease_cleanup(void *data);
static void ngx_http_waha_lease_keep(ngx_http_waha_step_t *step,
    const char *seconds);
static void ngx_http_waha_lease_kept(ngx_http_waha_query_t *query);
static ngx_int_t ngx_http_waha_lease_on_charged(ngx_http_waha_step_t *step);


static ngx_str_t  ngx_http_waha_lease_true = ngx_string("t");
static ngx_str_t  ngx_http_waha_lease_false = ngx_string("f");


ngx_int_t
ngx_http_waha_lease_begin(ngx_http_waha_step_t *step, const char *operation,
    ngx_http_waha_step_pt then)
{
    if (ngx_http_waha_lease_install(step, operation, then) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_lease_start(step, ngx_http_waha_lease_on_begun);
}


ngx_int_t
ngx_http_waha_lease_wait(ngx_http_waha_step_t *step, const char *operation,
    ngx_http_waha_step_pt then)
{
    ngx_http_waha_lease_t  *lease;

    if (ngx_http_waha_lease_install(step, operation, then) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    lease = &step->session->lease;

    if (lease->deadline == 0) {
        lease->deadline = ngx_current_msec + NGX_HTTP_WAHA_LEASE_PATIENCE;

    } else if ((ngx_msec_int_t) (lease->deadline - ngx_current_msec) <= 0) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_SESSION_BUSY);
    }

    if (lease->patient) {
        return ngx_http_waha_lease_try(step);
    }

    lease->lock.key = step->session->name;
    lease->lock.handler = ngx_http_waha_lease_on_unlocked;
    lease->lock.data = step;

    switch (ngx_http_waha_lock_acquire(step->request, &lease->lock)) {

    case NGX_OK:
        return ngx_http_waha_lease_try(step);

    case NGX_AGAIN:
        return NGX_DONE;

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


/* puts the end of the operation before that of the plan */

static ngx_int_t
ngx_http_waha_lease_install(ngx_http_waha_step_t *step,
    const char *operation, ngx_http_waha_step_pt then)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_waha_lease_t  *lease;

    lease = &step->session->lease;

    lease->operation.data = (u_char *) operation;
    lease->operation.len = ngx_strlen(operation);
    lease->then = then;

    if (lease->done == NULL) {
        cln = ngx_pool_cleanup_add(step->request->pool, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_waha_lease_cleanup;
        cln->data = step;

        lease->done = step->done;
        step->done = ngx_http_waha_lease_on_done;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_lease_start(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt handler)
{
    ngx_str_t                 args[4];
    ngx_http_waha_session_t  *s;

    s = step->session;

    args[0] = step->organization.slug;
    args[1] = s->name;
    args[2] = s->lease.operation;
    ngx_str_set(&args[3], NGX_HTTP_WAHA_LEASE_TIME);

    return ngx_http_waha_step_query_with(step, NGX_HTTP_WAHA_BEGIN_OPERATION,
                                         args, handler, s->lease.then);
}


static ngx_int_t
ngx_http_waha_lease_on_begun(ngx_http_waha_step_t *step)
{
    ngx_http_waha_lease_t  *lease;

    if (step->query.error) {
        return ngx_http_waha_step_end(step, step->query.error);
    }

    if (ngx_http_waha_session_read_row(step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    lease = &step->session->lease;

    lease->held = 1;

    lease->event.handler = ngx_http_waha_lease_prolong;
    lease->event.data = step;
    lease->event.log = step->request->connection->log;

    ngx_add_timer(&lease->event, NGX_HTTP_WAHA_LEASE_PROLONG);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_waha_lease_try(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_lease_start(step, ngx_http_waha_lease_on_tried);
}


static ngx_int_t
ngx_http_waha_lease_on_tried(ngx_http_waha_step_t *step)
{
    ngx_http_waha_lease_t  *lease;

    lease = &step->session->lease;

    if (step->query.error != NGX_HTTP_WAHA_ERR_SESSION_BUSY
        || (ngx_msec_int_t) (lease->deadline - ngx_current_msec) <= 0)
    {
        return ngx_http_waha_lease_on_begun(step);
    }

    if (!lease->patient) {
        lease->patient = 1;
        return NGX_DECLINED;
    }

    return ngx_http_waha_step_wait(step, NGX_HTTP_WAHA_LEASE_DELAY,
                                   ngx_http_waha_lease_try);
}


static ngx_int_t
ngx_http_waha_lease_on_unlocked(void *data)
{
    ngx_http_waha_step_t *step = data;

    ngx_http_waha_lease_t  *lease;

    lease = &step->session->lease;

    return lease->lock.error ? ngx_http_waha_step_end(step, lease->lock.error)
                             : lease->then(step);
}


static ngx_int_t
ngx_http_waha_lease_on_done(ngx_http_waha_step_t *step)
{
    ngx_http_waha_lease_t  *lease;

    lease = &step->session->lease;

    lease->error = step->error;
    step->done = lease->done;
    lease->done = NULL;

    return ngx_http_waha_lease_end(step, ngx_http_waha_lease_on_finished);
}


static ngx_int_t
ngx_http_waha_lease_on_finished(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_step_end(step, step->session->lease.error);
}


ngx_int_t
ngx_http_waha_lease_end(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then)
{
    ngx_str_t                   args[7];
    ngx_http_waha_lease_t      *lease;
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(step->request, ngx_http_waha_module);

    lease = &step->session->lease;

    if (!lease->held) {
        lease->patient = 0;
        lease->deadline = 0;
        ngx_http_waha_lock_release(&lease->lock, lease->error);
        return then(step);
    }

    lease->then = then;

    lease->query.pool = step->request->pool;
    lease->query.log = step->request->connection->log;
    lease->query.actor = step->principal->actor;
    lease->query.handler = ngx_http_waha_lease_query_done;
    lease->query.data = step;

    ngx_http_waha_lease_args(step, args, "0");

    switch (ngx_http_waha_query_start(wmcf->db, &lease->query,
                                      NGX_HTTP_WAHA_END_OPERATION, args))
    {
    case NGX_OK:
        return NGX_DONE;

    case NGX_DECLINED:
        return ngx_http_waha_lease_on_ended(step);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static void
ngx_http_waha_lease_args(ngx_http_waha_step_t *step, ngx_str_t *args,
    const char *seconds)
{
    ngx_http_waha_session_t   *s;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    s = step->session;

    args[0] = step->organization.slug;
    args[1] = s->name;
    args[2] = s->lease.holder;

    args[3].data = (u_char *) seconds;
    args[3].len = ngx_strlen(seconds);

    ngx_str_null(&args[4]);
    ngx_str_null(&args[5]);
    ngx_str_null(&args[6]);

    if (s->started) {
        args[4] = ngx_http_waha_lease_true;
    }

    if (s->logged_out) {
        args[5] = ngx_http_waha_lease_false;

    } else if (s->recovering) {
        args[5] = ngx_http_waha_lease_true;
    }

    if (s->configured) {
        args[6] = wlcf->session->webhook_url;
    }
}


/* without the reply, the operation is lost after some seconds */

static void
ngx_http_waha_lease_query_done(ngx_http_waha_query_t *query)
{
    ngx_http_waha_step_t *step = query->data;

    ngx_http_waha_request_resume(step->request, ngx_http_waha_lease_on_ended,
                                 step);
}


static ngx_int_t
ngx_http_waha_lease_on_ended(void *data)
{
    ngx_http_waha_step_t *step = data;

    ngx_http_waha_lease_t  *lease;

    lease = &step->session->lease;

    lease->held = 0;
    lease->patient = 0;
    lease->deadline = 0;

    if (lease->event.timer_set) {
        ngx_del_timer(&lease->event);
    }

    ngx_http_waha_lock_release(&lease->lock, lease->error);

    return lease->then(step);
}


static void
ngx_http_waha_lease_prolong(ngx_event_t *ev)
{
    ngx_http_waha_step_t *step = ev->data;

    ngx_http_waha_lease_keep(step, NGX_HTTP_WAHA_LEASE_TIME);

    ngx_add_timer(ev, NGX_HTTP_WAHA_LEASE_PROLONG);
}


/* the client has left: WAHA may go on for some seconds */

static void
ngx_http_waha_lease_cleanup(void *data)
{
    ngx_http_waha_step_t *step = data;

    ngx_http_waha_lease_t  *lease;

    lease = &step->session->lease;

    if (lease->event.timer_set) {
        ngx_del_timer(&lease->event);
    }

    if (lease->held) {
        lease->held = 0;
        ngx_http_waha_lease_keep(step, NGX_HTTP_WAHA_LEASE_AFTERMATH);
    }
}


/* the request does not wait for the result of this query */

static void
ngx_http_waha_lease_keep(ngx_http_waha_step_t *step, const char *seconds)
{
    ngx_str_t                   args[7];
    ngx_pool_t                 *pool;
    ngx_http_waha_query_t      *query;
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(step->request, ngx_http_waha_module);

    pool = ngx_create_pool(512, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    query = ngx_pcalloc(pool, sizeof(ngx_http_waha_query_t));
    if (query == NULL) {
        ngx_destroy_pool(pool);
        return;
    }

    query->pool = pool;
    query->log = ngx_cycle->log;
    query->actor = step->principal->actor;
    query->handler = ngx_http_waha_lease_kept;

    ngx_http_waha_lease_args(step, args, seconds);

    if (ngx_http_waha_query_start(wmcf->db, query,
                                  NGX_HTTP_WAHA_END_OPERATION, args)
        != NGX_OK)
    {
        ngx_destroy_pool(pool);
    }
}


static void
ngx_http_waha_lease_kept(ngx_http_waha_query_t *query)
{
    ngx_destroy_pool(query->pool);
}


ngx_int_t
ngx_http_waha_lease_charge(ngx_http_waha_step_t *step,
    ngx_http_waha_budget_e budget, ngx_http_waha_step_pt then)
{
    u_char                    *p;
    ngx_str_t                  args[5];
    ngx_http_waha_budget_t    *b;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    b = &wlcf->session->budgets[budget];

    if (b->most == 0) {
        return then(step);
    }

    p = ngx_pnalloc(step->request->pool, 2 * NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    args[0] = step->organization.slug;
    args[1] = step->session->name;
    args[2] = ngx_http_waha_session_budgets[budget];

    args[3].data = p;
    args[3].len = ngx_sprintf(p, "%i", b->most) - p;

    args[4].data = p + NGX_INT_T_LEN;
    args[4].len = ngx_sprintf(args[4].data, "%T", b->time) - args[4].data;

    return ngx_http_waha_step_query_with(step, NGX_HTTP_WAHA_CHARGE_OPERATION,
                                         args, ngx_http_waha_lease_on_charged,
                                         then);
}


static ngx_int_t
ngx_http_waha_lease_on_charged(ngx_http_waha_step_t *step)
{
    return step->query.error ? ngx_http_waha_session_refuse(step)
                             : NGX_DECLINED;
}
