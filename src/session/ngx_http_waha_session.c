
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_session_conf.h>
#include <ngx_http_waha_string.h>


/* seconds for which a status is valid that WAHA soon changes by itself */

#define NGX_HTTP_WAHA_SESSION_TRANSIENT  2


static ngx_int_t ngx_http_waha_session_start_find(ngx_http_waha_step_t *step,
    ngx_str_t *id, ngx_http_waha_step_pt handler, ngx_http_waha_step_pt then);
static ngx_int_t ngx_http_waha_session_on_row(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_session_on_any(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_session_instances(ngx_http_waha_step_t *step,
    ngx_str_t *array);
static ngx_int_t ngx_http_waha_session_on_moved(ngx_http_waha_step_t *step);
static void ngx_http_waha_session_read_history(ngx_http_waha_session_t *s,
    cJSON *json);
static ngx_int_t ngx_http_waha_session_on_look(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_session_on_try_look(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_session_read_look(ngx_http_waha_step_t *step);
static ngx_uint_t ngx_http_waha_session_has_news(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_session_make_path(ngx_http_waha_step_t *step,
    const char *format, ngx_str_t *path);


ngx_int_t
ngx_http_waha_session_create(ngx_http_waha_step_t *step)
{
    if (step->session == NULL) {
        step->session = ngx_pcalloc(step->request->pool,
                                    sizeof(ngx_http_waha_session_t));
    }

    return step->session ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_waha_session_find(ngx_http_waha_step_t *step, ngx_str_t *id,
    ngx_http_waha_step_pt then)
{
    return ngx_http_waha_session_start_find(step, id,
                                            ngx_http_waha_session_on_row,
                                            then);
}


ngx_int_t
ngx_http_waha_session_find_any(ngx_http_waha_step_t *step, ngx_str_t *id,
    ngx_http_waha_step_pt then)
{
    return ngx_http_waha_session_start_find(step, id,
                                            ngx_http_waha_session_on_any,
                                            then);
}


static ngx_int_t
ngx_http_waha_session_start_find(ngx_http_waha_step_t *step, ngx_str_t *id,
    ngx_http_waha_step_pt handler, ngx_http_waha_step_pt then)
{
    ngx_str_t  args[2];

    if (ngx_http_waha_session_create(step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    args[0] = step->organization.slug;
    args[1] = *id;

    return ngx_http_waha_step_query_with(step, NGX_HTTP_WAHA_FIND_SESSION,
                                         args, handler, then);
}


static ngx_int_t
ngx_http_waha_session_on_row(ngx_http_waha_step_t *step)
{
    if (step->query.error) {
        return ngx_http_waha_session_refuse(step);
    }

    if (ngx_http_waha_session_read_row(step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_waha_session_refuse(ngx_http_waha_step_t *step)
{
    cJSON                *json, *item;
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_waha_request_ctx(step->request);

    if (ctx && step->query.reply.len
        && ngx_http_waha_json_parse(step->request->pool, &step->query.reply,
                                    &json)
           == NGX_OK)
    {
        item = ngx_http_waha_json_get(json, "retry_after");

        if (cJSON_IsNumber(item) && item->valuedouble > 0) {
            ctx->retry_after = ngx_min(item->valuedouble, 86400);
        }
    }

    return ngx_http_waha_step_end(step, step->query.error);
}


static ngx_int_t
ngx_http_waha_session_on_any(ngx_http_waha_step_t *step)
{
    if (ngx_http_waha_error_status(step->query.error) == NGX_HTTP_NOT_FOUND) {
        return NGX_DECLINED;
    }

    return ngx_http_waha_session_on_row(step);
}


ngx_int_t
ngx_http_waha_session_reserve(ngx_http_waha_step_t *step, ngx_str_t *id,
    ngx_str_t *label, ngx_http_waha_step_pt then)
{
    ngx_str_t                  args[5];
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    if (wlcf->fetch->instances == NULL) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NO_INSTANCE);
    }

    args[0] = step->organization.slug;
    args[1] = *id;
    args[2] = *label;

    args[4].data = ngx_pnalloc(step->request->pool, NGX_INT_T_LEN);

    if (args[4].data == NULL
        || ngx_http_waha_session_create(step) != NGX_OK
        || ngx_http_waha_session_instances(step, &args[3]) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    args[4].len = ngx_sprintf(args[4].data, "%i", wlcf->session->max_sessions)
                  - args[4].data;

    return ngx_http_waha_step_query_with(step, NGX_HTTP_WAHA_RESERVE_SESSION,
                                         args, ngx_http_waha_session_on_row,
                                         then);
}


ngx_int_t
ngx_http_waha_session_move(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then)
{
    ngx_str_t                  args[3];
    ngx_array_t               *instances;
    ngx_http_waha_session_t   *s;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    s = step->session;
    instances = wlcf->fetch->instances;

    if (!ngx_http_waha_string_is(&s->status, "NOT_CREATED")
        || s->asked || s->started || instances->nelts == 1)
    {
        return NGX_DECLINED;
    }

    if (s->tried == NULL) {
        s->tried = ngx_pcalloc(step->request->pool, instances->nelts);
        if (s->tried == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    s->tried[s->instance
             - (ngx_http_waha_instance_t *) instances->elts] = 1;

    args[0] = step->organization.slug;
    args[1] = s->name;

    if (ngx_http_waha_session_instances(step, &args[2]) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_step_query_with(step, NGX_HTTP_WAHA_MOVE_SESSION,
                                         args, ngx_http_waha_session_on_moved,
                                         then);
}


/* where there is no other instance, what the last one said counts */

static ngx_int_t
ngx_http_waha_session_on_moved(ngx_http_waha_step_t *step)
{
    if (step->query.error == NGX_HTTP_WAHA_ERR_NO_INSTANCE) {
        return ngx_http_waha_step_end(step, step->fetch.error);
    }

    return ngx_http_waha_session_on_row(step);
}


/*
 * The names of all instances that were not tried as text[] of PostgreSQL:
 * {"waha-1","waha-2"}.
 */

static ngx_int_t
ngx_http_waha_session_instances(ngx_http_waha_step_t *step, ngx_str_t *array)
{
    u_char                    *p, *tried;
    size_t                     len, i;
    ngx_uint_t                 n;
    ngx_http_waha_instance_t  *instance;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    instance = wlcf->fetch->instances->elts;
    len = sizeof("{}") - 1;

    for (n = 0; n < wlcf->fetch->instances->nelts; n++) {
        len += 2 * instance[n].name.len + sizeof("\"\",") - 1;
    }

    p = ngx_pnalloc(step->request->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    tried = step->session->tried;

    array->data = p;
    *p++ = '{';

    for (n = 0; n < wlcf->fetch->instances->nelts; n++) {

        if (tried && tried[n]) {
            continue;
        }

        if (p[-1] != '{') {
            *p++ = ',';
        }

        *p++ = '"';

        for (i = 0; i < instance[n].name.len; i++) {

            if (instance[n].name.data[i] == '"'
                || instance[n].name.data[i] == '\\')
            {
                *p++ = '\\';
            }

            *p++ = instance[n].name.data[i];
        }

        *p++ = '"';
    }

    *p++ = '}';
    array->len = p - array->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_session_read_row(ngx_http_waha_step_t *step)
{
    cJSON                     *json, *item;
    ngx_int_t                  rc;
    ngx_str_t                  instance;
    ngx_pool_t                *pool;
    ngx_http_waha_ctx_t       *ctx;
    ngx_http_waha_session_t   *s;
    ngx_http_waha_loc_conf_t  *wlcf;

    s = step->session;
    pool = step->request->pool;

    if (ngx_http_waha_json_parse(pool, &step->query.reply, &json) != NGX_OK) {
        return NGX_ERROR;
    }

    s->row = ngx_http_waha_json_get(json, "session");
    s->stuck = cJSON_IsTrue(ngx_http_waha_json_get(json, "stuck"));
    s->name = ngx_http_waha_json_get_string(s->row, "session");
    s->status = ngx_http_waha_json_get_string(s->row, "status");

    item = ngx_http_waha_json_get(json, "age");
    s->age = cJSON_IsNumber(item)
             ? (ngx_int_t) ngx_min(item->valuedouble, NGX_MAX_INT32_VALUE)
             : -1;

    item = ngx_http_waha_json_get(json, "organization_id");

    rc = ngx_http_waha_json_integer(pool, &step->query.reply, json, item,
                                    &s->organization_id);

    if (rc == NGX_DECLINED) {
        ngx_str_set(&s->organization_id, "0");
        rc = NGX_OK;
    }

    ctx = ngx_http_waha_request_ctx(step->request);

    if (rc != NGX_OK || s->name.data == NULL || ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->session = s->name;

    if (ngx_http_waha_json_get(json, "asked")) {
        ngx_http_waha_session_read_history(s, json);
    }

    instance = ngx_http_waha_json_get_string(json, "instance");

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    s->error = ngx_http_waha_fetch_conf_find_instance(wlcf->fetch, &instance,
                                                      &s->instance);

    return NGX_OK;
}


static void
ngx_http_waha_session_read_history(ngx_http_waha_session_t *s, cJSON *json)
{
    s->lease.holder = ngx_http_waha_json_get_string(json, "holder");
    s->webhook_url = ngx_http_waha_json_get_string(json, "webhook_url");

    s->asked = cJSON_IsTrue(ngx_http_waha_json_get(json, "asked"));

    if (cJSON_IsTrue(ngx_http_waha_json_get(json, "recovered"))) {
        s->recovered = 1;
    }
}


ngx_int_t
ngx_http_waha_session_fetch(ngx_http_waha_step_t *step, ngx_uint_t method,
    const char *format, ngx_str_t *body, ngx_http_waha_step_pt then)
{
    ngx_http_waha_fetch_request_t  request;

    ngx_memzero(&request, sizeof(ngx_http_waha_fetch_request_t));

    request.method = method;

    if (body) {
        request.body = *body;
    }

    return ngx_http_waha_session_fetch_request(step, &request, format, then);
}


ngx_int_t
ngx_http_waha_session_fetch_request(ngx_http_waha_step_t *step,
    ngx_http_waha_fetch_request_t *request, const char *format,
    ngx_http_waha_step_pt then)
{
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (s->instance == NULL) {
        return ngx_http_waha_step_end(step, s->error);
    }

    if (ngx_http_waha_session_make_path(step, format, &request->path)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_step_fetch(step, s->instance, request, then);
}


static ngx_int_t
ngx_http_waha_session_make_path(ngx_http_waha_step_t *step,
    const char *format, ngx_str_t *path)
{
    path->data = ngx_pnalloc(step->request->pool,
                             ngx_strlen(format) + step->session->name.len);
    if (path->data == NULL) {
        return NGX_ERROR;
    }

    path->len = ngx_sprintf(path->data, format, &step->session->name)
                - path->data;

    return NGX_OK;
}


ngx_uint_t
ngx_http_waha_session_is_accepted(ngx_http_waha_step_t *step)
{
    return step->fetch.status >= NGX_HTTP_OK
           && step->fetch.status < NGX_HTTP_SPECIAL_RESPONSE;
}


ngx_uint_t
ngx_http_waha_session_is_missing(ngx_http_waha_step_t *step)
{
    return step->fetch.status == NGX_HTTP_NOT_FOUND
           && ngx_http_waha_session_info_is_missing(step->fetch.json);
}


ngx_int_t
ngx_http_waha_session_read_answer(ngx_http_waha_step_t *step)
{
    return ngx_http_waha_session_info_read(step->fetch.json,
                                           &step->session->name,
                                           &step->session->info);
}


ngx_int_t
ngx_http_waha_session_fail(ngx_http_waha_step_t *step)
{
    if (ngx_http_waha_session_is_accepted(step)) {
        return ngx_http_waha_step_end(step,
                                      NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER);
    }

    return ngx_http_waha_step_end(step,
                       step->fetch.status == NGX_HTTP_INTERNAL_SERVER_ERROR
                       && ngx_http_waha_session_info_is_busy(step->fetch.json)
                       ? NGX_HTTP_WAHA_ERR_SESSION_BUSY
                       : NGX_HTTP_WAHA_ERR_WAHA_ERROR);
}


ngx_int_t
ngx_http_waha_session_look(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then)
{
    return ngx_http_waha_session_start_look(step,
                                            ngx_http_waha_session_on_look,
                                            then);
}


ngx_int_t
ngx_http_waha_session_try_look(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then)
{
    if (step->session->instance == NULL) {
        step->session->stale = 1;
        return then(step);
    }

    return ngx_http_waha_session_start_look(step,
                                            ngx_http_waha_session_on_try_look,
                                            then);
}


ngx_int_t
ngx_http_waha_session_start_look(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt handler, ngx_http_waha_step_pt then)
{
    ngx_http_waha_session_t        *s;
    ngx_http_waha_fetch_request_t   request;

    s = step->session;

    if (s->instance == NULL) {
        return ngx_http_waha_step_end(step, s->error);
    }

    ngx_memzero(&request, sizeof(ngx_http_waha_fetch_request_t));

    request.method = NGX_HTTP_GET;
    request.look = 1;

    if (ngx_http_waha_session_make_path(step, "/api/sessions/%V",
                                        &request.path)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_step_fetch_with(step, s->instance, &request, handler,
                                         then);
}


static ngx_int_t
ngx_http_waha_session_on_look(ngx_http_waha_step_t *step)
{
    if (step->fetch.error) {
        return ngx_http_waha_step_end(step, step->fetch.error);
    }

    if (ngx_http_waha_session_read_look(step) != NGX_OK) {
        return ngx_http_waha_session_fail(step);
    }

    return ngx_http_waha_session_record(step, step->then);
}


static ngx_int_t
ngx_http_waha_session_on_try_look(ngx_http_waha_step_t *step)
{
    if (step->fetch.error
        || ngx_http_waha_session_read_look(step) != NGX_OK)
    {
        step->session->stale = 1;
        return NGX_DECLINED;
    }

    return ngx_http_waha_session_record(step, step->then);
}


static ngx_int_t
ngx_http_waha_session_read_look(ngx_http_waha_step_t *step)
{
    if (ngx_http_waha_session_is_missing(step)) {
        ngx_http_waha_session_info_set_missing(&step->session->info);
        return NGX_OK;
    }

    return ngx_http_waha_session_is_accepted(step)
           ? ngx_http_waha_session_read_answer(step) : NGX_DECLINED;
}


ngx_int_t
ngx_http_waha_session_record(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then)
{
    ngx_str_t                 args[6];
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (!ngx_http_waha_session_has_news(step)) {
        return then(step);
    }

    if (ngx_http_waha_session_info_write_restrictions(step->request->pool,
                                                      NULL, s->info.account,
                                                      &args[5])
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    args[0] = step->organization.slug;
    args[1] = s->name;
    args[2] = s->info.status;
    args[3] = s->info.phone;
    args[4] = s->info.push_name;

    return ngx_http_waha_step_query_with(step,
                                         NGX_HTTP_WAHA_RECORD_SESSION_CHECK,
                                         args, ngx_http_waha_session_on_row,
                                         then);
}


static ngx_uint_t
ngx_http_waha_session_has_news(ngx_http_waha_step_t *step)
{
    ngx_str_t                 phone;
    ngx_http_waha_session_t  *s;

    s = step->session;

    if (ngx_http_waha_session_is_old(step)
        || !ngx_http_waha_string_is_equal(&s->status, &s->info.status)
        || cJSON_IsObject(ngx_http_waha_json_get(s->row, "restrictions"))
        || ngx_http_waha_session_info_is_restricted(s->info.account))
    {
        return 1;
    }

    /* the row has the number with a "+" */

    phone = ngx_http_waha_json_get_string(s->row, "phone");

    return s->info.phone.data
           && (phone.len != s->info.phone.len + 1
               || ngx_memcmp(phone.data + 1, s->info.phone.data,
                             s->info.phone.len)
                  != 0);
}


ngx_uint_t
ngx_http_waha_session_is_old(ngx_http_waha_step_t *step)
{
    time_t                     ttl;
    ngx_http_waha_session_t   *s;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    s = step->session;
    ttl = wlcf->session->status_ttl;

    if (ngx_http_waha_session_info_is_transient(&s->status)) {
        ttl = ngx_min(ttl, NGX_HTTP_WAHA_SESSION_TRANSIENT);
    }

    return s->age < 0 || s->age > ttl;
}
