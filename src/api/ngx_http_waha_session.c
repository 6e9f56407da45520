
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_session.h>
#include <ngx_http_waha_session_conf.h>
#include <ngx_http_waha_shape.h>
#include <ngx_http_waha_string.h>


/* seconds that a status is believed which goes over into another by itself */

#define NGX_HTTP_WAHA_SESSION_PASSING  2


static ngx_int_t ngx_http_waha_session_found(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_session_instances(ngx_http_waha_api_t *api,
    ngx_str_t *array);
static ngx_int_t ngx_http_waha_session_looked(ngx_http_waha_api_t *api);
static ngx_uint_t ngx_http_waha_session_news(ngx_http_waha_api_t *api);
static ngx_int_t ngx_http_waha_session_recorded(ngx_http_waha_api_t *api);


ngx_int_t
ngx_http_waha_session_create(ngx_http_waha_api_t *api)
{
    if (api->session == NULL) {
        api->session = ngx_pcalloc(api->request->pool,
                                   sizeof(ngx_http_waha_session_t));
    }

    return api->session ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_waha_session_find(ngx_http_waha_api_t *api,
    ngx_http_waha_session_step_pt then)
{
    ngx_int_t                        rc;
    ngx_str_t                        name;
    const ngx_http_waha_argument_t  *arg;

    if (ngx_http_waha_session_create(api) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_null(&name);

    arg = api->route->args;

    if (arg) {
        rc = ngx_http_waha_api_argument(api, arg->name, arg->kind, &name);

        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (rc != NGX_OK || (name.data == NULL && arg->required)) {
            return ngx_http_waha_api_invalid(api, arg->name);
        }
    }

    api->session->then = then;

    api->args[0] = api->organization.slug;
    api->args[1] = name;

    return ngx_http_waha_api_query(api, NGX_HTTP_WAHA_FIND_SESSION,
                                   ngx_http_waha_session_found);
}


ngx_int_t
ngx_http_waha_session_find_any(ngx_http_waha_api_t *api,
    ngx_http_waha_session_step_pt then)
{
    api->tolerant = 1;

    return ngx_http_waha_session_find(api, then);
}


static ngx_int_t
ngx_http_waha_session_found(ngx_http_waha_api_t *api)
{
    if (api->query.error == NGX_HTTP_WAHA_ERR_NONE
        && ngx_http_waha_session_read(api) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return api->session->then(api);
}


ngx_int_t
ngx_http_waha_session_reserve(ngx_http_waha_api_t *api, ngx_str_t *id,
    ngx_str_t *label, ngx_http_waha_session_step_pt then)
{
    ngx_str_t                 *args;
    ngx_http_waha_loc_conf_t  *wlcf;

    if (ngx_http_waha_session_create(api) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    wlcf = ngx_http_get_module_loc_conf(api->request, ngx_http_waha_module);

    if (wlcf->fetch->instances == NULL) {
        return ngx_http_waha_error_send(api->request,
                                        NGX_HTTP_WAHA_ERR_NO_INSTANCE);
    }

    args = api->args;

    args[0] = api->organization.slug;
    args[1] = *id;
    args[2] = *label;

    args[4].data = ngx_pnalloc(api->request->pool, NGX_INT_T_LEN);

    if (args[4].data == NULL
        || ngx_http_waha_session_instances(api, &args[3]) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    args[4].len = ngx_sprintf(args[4].data, "%i", wlcf->session->max_sessions)
                  - args[4].data;

    api->session->then = then;

    return ngx_http_waha_api_query(api, NGX_HTTP_WAHA_RESERVE_SESSION,
                                   ngx_http_waha_session_found);
}


/* the names of all as text[] of PostgreSQL: {"waha-1","waha-2"} */

static ngx_int_t
ngx_http_waha_session_instances(ngx_http_waha_api_t *api, ngx_str_t *array)
{
    u_char                    *p;
    size_t                     len, i;
    ngx_uint_t                 n;
    ngx_http_waha_instance_t  *instance;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(api->request, ngx_http_waha_module);

    instance = wlcf->fetch->instances->elts;
    len = sizeof("{}") - 1;

    for (n = 0; n < wlcf->fetch->instances->nelts; n++) {
        len += 2 * instance[n].name.len + sizeof("\"\",") - 1;
    }

    p = ngx_pnalloc(api->request->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    array->data = p;
    *p++ = '{';

    for (n = 0; n < wlcf->fetch->instances->nelts; n++) {

        if (n) {
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
ngx_http_waha_session_read(ngx_http_waha_api_t *api)
{
    cJSON                     *json, *item;
    ngx_str_t                  instance;
    ngx_http_waha_ctx_t       *ctx;
    ngx_http_waha_session_t   *s;
    ngx_http_waha_loc_conf_t  *wlcf;

    s = api->session;

    if (ngx_http_waha_json_parse(api->request->pool, &api->query.reply, &json)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    s->object = ngx_http_waha_json_get(json, "session");
    s->name = ngx_http_waha_json_string(s->object, "session");
    s->status = ngx_http_waha_json_string(s->object, "status");

    item = ngx_http_waha_json_get(json, "age");
    s->age = cJSON_IsNumber(item)
             ? (ngx_int_t) ngx_min(item->valuedouble, NGX_MAX_INT32_VALUE)
             : -1;

    item = ngx_http_waha_json_get(json, "organization_id");

    s->organization_id.data = ngx_pnalloc(api->request->pool,
                                          NGX_INT64_LEN);
    ctx = ngx_http_waha_request_ctx(api->request);

    if (s->name.data == NULL
        || s->organization_id.data == NULL
        || ctx == NULL)
    {
        return NGX_ERROR;
    }

    s->organization_id.len = ngx_sprintf(s->organization_id.data, "%L",
                                         cJSON_IsNumber(item)
                                         ? (int64_t) item->valuedouble : 0)
                             - s->organization_id.data;

    ctx->session = s->name;

    instance = ngx_http_waha_json_string(json, "instance");

    wlcf = ngx_http_get_module_loc_conf(api->request, ngx_http_waha_module);

    s->error = ngx_http_waha_fetch_find_instance(wlcf->fetch, &instance,
                                                 &s->instance);

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_session_call(ngx_http_waha_api_t *api, ngx_uint_t method,
    const char *format, ngx_str_t *body, ngx_http_waha_session_step_pt then)
{
    ngx_str_t                 path;
    ngx_http_waha_session_t  *s;

    s = api->session;

    if (s->instance == NULL) {
        return ngx_http_waha_error_send(api->request, s->error);
    }

    path.data = ngx_pnalloc(api->request->pool,
                            ngx_strlen(format) + s->name.len);
    if (path.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    path.len = ngx_sprintf(path.data, format, &s->name) - path.data;

    return ngx_http_waha_api_call(api, s->instance, method, &path, body,
                                  then);
}


ngx_uint_t
ngx_http_waha_session_called(ngx_http_waha_api_t *api)
{
    return api->fetch.status >= NGX_HTTP_OK
           && api->fetch.status < NGX_HTTP_SPECIAL_RESPONSE;
}


ngx_uint_t
ngx_http_waha_session_missing(ngx_http_waha_api_t *api)
{
    return api->fetch.status == NGX_HTTP_NOT_FOUND
           && ngx_http_waha_session_info_missing(api->fetch.json);
}


ngx_int_t
ngx_http_waha_session_told(ngx_http_waha_api_t *api)
{
    return ngx_http_waha_session_info(api->fetch.json, &api->session->name,
                                      &api->session->info);
}


ngx_int_t
ngx_http_waha_session_error(ngx_http_waha_api_t *api)
{
    ngx_uint_t  status;

    status = api->fetch.status;

    if (ngx_http_waha_session_called(api)) {
        return ngx_http_waha_error_send(api->request,
                                      NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER);
    }

    if (status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN) {
        ngx_log_error(NGX_LOG_ERR, api->request->connection->log, 0,
                      "waha: WAHA refuses the API key of instance "
                      "\"%V\" with %ui",
                      &api->session->instance->name, status);

    } else {
        ngx_log_error(NGX_LOG_ERR, api->request->connection->log, 0,
                      "waha: WAHA, instance \"%V\", answers %ui",
                      &api->session->instance->name, status);
    }

    return ngx_http_waha_error_send(api->request,
                                    NGX_HTTP_WAHA_ERR_WAHA_ERROR);
}


ngx_int_t
ngx_http_waha_session_look(ngx_http_waha_api_t *api,
    ngx_http_waha_session_step_pt then)
{
    api->session->then = then;
    api->tolerant = api->session->lenient;

    return ngx_http_waha_session_call(api, NGX_HTTP_GET,
                                      "/api/sessions/%V", NULL,
                                      ngx_http_waha_session_looked);
}


static ngx_int_t
ngx_http_waha_session_looked(ngx_http_waha_api_t *api)
{
    ngx_http_waha_session_t  *s;

    s = api->session;

    if (api->fetch.error) {
        s->stale = 1;
        return s->then(api);
    }

    if (ngx_http_waha_session_missing(api)) {
        ngx_http_waha_session_info_none(&s->info);

    } else if (!ngx_http_waha_session_called(api)
               || ngx_http_waha_session_told(api) != NGX_OK)
    {
        if (!s->lenient) {
            return ngx_http_waha_session_error(api);
        }

        s->stale = 1;
        return s->then(api);
    }

    return ngx_http_waha_session_record(api, s->then);
}


static ngx_uint_t
ngx_http_waha_session_news(ngx_http_waha_api_t *api)
{
    ngx_str_t                 phone;
    ngx_http_waha_session_t  *s;

    s = api->session;

    if (ngx_http_waha_session_old(api)
        || !ngx_http_waha_string_is_equal(&s->status, &s->info.status))
    {
        return 1;
    }

    /* it stands there with a "+" */

    phone = ngx_http_waha_json_string(s->object, "phone");

    return s->info.phone.data
           && (phone.len != s->info.phone.len + 1
               || ngx_memcmp(phone.data + 1, s->info.phone.data,
                             s->info.phone.len)
                  != 0);
}


ngx_uint_t
ngx_http_waha_session_old(ngx_http_waha_api_t *api)
{
    time_t                     ttl;
    ngx_http_waha_session_t   *s;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(api->request, ngx_http_waha_module);

    s = api->session;
    ttl = wlcf->session->status_ttl;

    if (ngx_http_waha_session_info_passes(&s->status)) {
        ttl = ngx_min(ttl, NGX_HTTP_WAHA_SESSION_PASSING);
    }

    return s->age < 0 || s->age > ttl;
}


ngx_int_t
ngx_http_waha_session_record(ngx_http_waha_api_t *api,
    ngx_http_waha_session_step_pt then)
{
    ngx_str_t                *args;
    ngx_http_waha_session_t  *s;

    s = api->session;

    if (!ngx_http_waha_session_news(api)) {
        return then(api);
    }

    s->then = then;

    args = api->args;

    args[0] = api->organization.slug;
    args[1] = s->name;
    args[2] = s->info.status;
    args[3] = s->info.phone;
    args[4] = s->info.push_name;

    return ngx_http_waha_api_query(api, NGX_HTTP_WAHA_RECORD_SESSION_CHECK,
                                   ngx_http_waha_session_recorded);
}


static ngx_int_t
ngx_http_waha_session_recorded(ngx_http_waha_api_t *api)
{
    if (ngx_http_waha_session_read(api) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return api->session->then(api);
}


ngx_int_t
ngx_http_waha_session_answer(ngx_http_waha_api_t *api)
{
    ngx_str_t                 json;
    ngx_http_waha_shape_t     view;
    ngx_http_waha_session_t  *s;

    s = api->session;

    ngx_memzero(&view, sizeof(ngx_http_waha_shape_t));

    view.session = s->object;
    view.pairing_code = s->pairing_code;
    view.stale = s->stale;

    if (api->principal->operator) {
        view.organization = api->organization.slug;
    }

    if (ngx_http_waha_shape_session(api->request->pool, api->route->shape,
                                    &view, &json)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_answer_json(api->request, NGX_HTTP_OK, &json);
}
