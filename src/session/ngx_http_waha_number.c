
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_number.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_secret.h>
#include <ngx_http_waha_session_conf.h>
#include <ngx_http_waha_signature.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


/* seconds: Meta does not say how long to wait */

#define NGX_HTTP_WAHA_NUMBER_PAUSE  60

/* bytes of words of Graph */

#define NGX_HTTP_WAHA_NUMBER_WORD   50


static ngx_int_t ngx_http_waha_number_on_found(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_open_column(ngx_http_waha_step_t *step,
    const char *column, ngx_str_t *plain);
static ngx_int_t ngx_http_waha_number_make(ngx_http_waha_step_t *step,
    ngx_http_waha_fetch_request_t *request, ngx_uint_t method,
    const ngx_str_t *id, const char *edge, const ngx_str_t *args,
    const ngx_str_t *body);
static ngx_int_t ngx_http_waha_number_on_answer(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_on_any(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_on_look(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_read_look(ngx_http_waha_step_t *step);
static ngx_str_t ngx_http_waha_number_word(const cJSON *json,
    const char *name);


/* the last ones come and go with the versions of Graph */

static ngx_str_t  ngx_http_waha_number_fields =
    ngx_string("fields=id,display_phone_number,verified_name,quality_rating,"
               "code_verification_status,name_status,status,"
               "messaging_limit_tier,webhook_configuration");

static ngx_str_t  ngx_http_waha_number_basic_fields =
    ngx_string("fields=id,display_phone_number,verified_name,quality_rating,"
               "code_verification_status,name_status");


ngx_int_t
ngx_http_waha_number_create(ngx_http_waha_step_t *step)
{
    if (step->number == NULL) {
        step->number = ngx_pcalloc(step->request->pool,
                                   sizeof(ngx_http_waha_number_t));
    }

    return step->number ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_waha_number_find(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then)
{
    ngx_str_t  args[2];

    args[0] = step->organization.slug;
    args[1] = step->number->id;

    return ngx_http_waha_step_query_with(step, NGX_HTTP_WAHA_SHOW_NUMBER,
                                         args, ngx_http_waha_number_on_found,
                                         then);
}


static ngx_int_t
ngx_http_waha_number_on_found(ngx_http_waha_step_t *step)
{
    if (step->query.error == NGX_HTTP_WAHA_ERR_UNKNOWN_SESSION) {
        step->number->row = NULL;
        return NGX_DECLINED;
    }

    if (step->query.error) {
        return ngx_http_waha_step_end(step, step->query.error);
    }

    if (ngx_http_waha_number_read(step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_waha_number_read(ngx_http_waha_step_t *step)
{
    cJSON                   *json, *age;
    ngx_http_waha_ctx_t     *ctx;
    ngx_http_waha_number_t  *n;

    n = step->number;
    n->row = NULL;

    if (step->query.reply.data == NULL) {
        return NGX_OK;
    }

    ctx = ngx_http_waha_request_ctx(step->request);

    if (ctx == NULL
        || ngx_http_waha_json_parse(step->request->pool, &step->query.reply,
                                    &json)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    n->row = json;
    n->session = ngx_http_waha_json_get(json, "session");
    n->connection = ngx_http_waha_json_get_string(json, "connection");
    n->account = ngx_http_waha_json_get_string(json, "account");
    n->connected = cJSON_IsTrue(ngx_http_waha_json_get(json, "connected"));
    n->own_secret = cJSON_IsTrue(ngx_http_waha_json_get(json, "own_secret"));
    n->shared = cJSON_IsTrue(ngx_http_waha_json_get(json, "shared"));

    age = ngx_http_waha_json_get(json, "age");
    n->age = cJSON_IsNumber(age)
             ? (ngx_int_t) ngx_min(age->valuedouble, NGX_MAX_INT32_VALUE) : -1;

    if (n->id.data == NULL) {
        n->id = ngx_http_waha_json_get_string(n->session, "session");
    }

    ctx->session = n->id;

    return n->connected ? ngx_http_waha_number_make_url(step) : NGX_OK;
}


/* "<waha_webhook_url>/<connection>", before the query of the former if any */

ngx_int_t
ngx_http_waha_number_make_url(ngx_http_waha_step_t *step)
{
    u_char                    *p, *last;
    size_t                     len;
    ngx_str_t                 *base;
    ngx_http_waha_number_t    *n;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    n = step->number;
    base = &wlcf->session->webhook_url;
    last = base->data + base->len;

    n->url.data = ngx_pnalloc(step->request->pool,
                              base->len + 1 + n->connection.len);
    if (n->url.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_strlchr(base->data, last, '?');
    len = (p ? p : last) - base->data;

    while (len && base->data[len - 1] == '/') {
        len--;
    }

    last = ngx_cpymem(n->url.data, base->data, len);
    *last++ = '/';
    last = ngx_cpymem(last, n->connection.data, n->connection.len);

    if (p) {
        last = ngx_cpymem(last, p, base->data + base->len - p);
    }

    n->url.len = last - n->url.data;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_number_open(ngx_http_waha_step_t *step)
{
    ngx_int_t                rc;
    ngx_str_t               *secret;
    ngx_http_waha_number_t  *n;

    n = step->number;

    rc = ngx_http_waha_number_open_column(step, "access_token", &n->token);

    if (rc != NGX_OK) {
        return rc;
    }

    if (n->own_secret) {
        rc = ngx_http_waha_number_open_column(step, "app_secret", &n->secret);

        return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
    }

    secret = ngx_http_waha_number_operator_secret(step);

    if (secret) {
        n->secret = *secret;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_number_open_column(ngx_http_waha_step_t *step,
    const char *column, ngx_str_t *plain)
{
    ngx_str_t                      sealed;
    ngx_http_waha_number_t        *n;
    ngx_http_waha_main_conf_t     *wmcf;
    ngx_http_waha_secret_place_t   place;

    wmcf = ngx_http_get_module_main_conf(step->request, ngx_http_waha_module);

    n = step->number;
    sealed = ngx_http_waha_json_get_string(n->row, column);

    ngx_str_set(&place.table, "connections");
    place.organization = step->organization.slug;
    place.row = n->connection;
    place.column.data = (u_char *) column;
    place.column.len = ngx_strlen(column);

    return ngx_http_waha_secret_open(step->request->pool, wmcf->secrets,
                                     &place, &sealed, plain);
}


ngx_str_t *
ngx_http_waha_number_operator_secret(ngx_http_waha_step_t *step)
{
    ngx_http_waha_hmac_key_t  *key;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    if (wlcf->meta_keys == NULL || wlcf->meta_keys->nelts == 0) {
        return NULL;
    }

    key = wlcf->meta_keys->elts;

    return &key->secret;
}


ngx_int_t
ngx_http_waha_number_ask(ngx_http_waha_step_t *step, ngx_uint_t method,
    const ngx_str_t *id, const char *edge, const ngx_str_t *args,
    const ngx_str_t *body, ngx_http_waha_step_pt then)
{
    ngx_http_waha_loc_conf_t       *wlcf;
    ngx_http_waha_fetch_request_t   request;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    if (ngx_http_waha_number_make(step, &request, method, id, edge, args, body)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_step_fetch_with(step, wlcf->fetch->graph, &request,
                                         ngx_http_waha_number_on_answer,
                                         then);
}


ngx_int_t
ngx_http_waha_number_try(ngx_http_waha_step_t *step, ngx_uint_t method,
    const ngx_str_t *id, const char *edge, const ngx_str_t *args,
    const ngx_str_t *body, ngx_http_waha_step_pt then)
{
    ngx_http_waha_fetch_request_t  request;

    if (ngx_http_waha_number_make(step, &request, method, id, edge, args, body)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_number_send(step, &request, then);
}


ngx_int_t
ngx_http_waha_number_send(ngx_http_waha_step_t *step,
    ngx_http_waha_fetch_request_t *request, ngx_http_waha_step_pt then)
{
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    return ngx_http_waha_step_fetch_with(step, wlcf->fetch->graph, request,
                                         ngx_http_waha_number_on_any, then);
}


static ngx_int_t
ngx_http_waha_number_make(ngx_http_waha_step_t *step,
    ngx_http_waha_fetch_request_t *request, ngx_uint_t method,
    const ngx_str_t *id, const char *edge, const ngx_str_t *args,
    const ngx_str_t *body)
{
    ngx_pool_t              *pool;
    ngx_http_waha_number_t  *n;

    n = step->number;
    pool = step->request->pool;

    ngx_memzero(request, sizeof(ngx_http_waha_fetch_request_t));

    request->method = method;
    request->look = (n->fresh != 0);

    if (args) {
        request->args = *args;
    }

    if (body) {
        request->body = *body;
    }

    request->path.data = ngx_pnalloc(pool, 1 + id->len + ngx_strlen(edge));
    if (request->path.data == NULL) {
        return NGX_ERROR;
    }

    request->path.len = ngx_sprintf(request->path.data, "/%V%s", id, edge)
                        - request->path.data;

    return ngx_http_waha_graph_authorize(pool, request, &n->token, &n->secret);
}


static ngx_int_t
ngx_http_waha_number_on_answer(ngx_http_waha_step_t *step)
{
    ngx_http_waha_error_e  error;

    error = ngx_http_waha_graph_error(&step->fetch);

    return error ? ngx_http_waha_number_refuse(step, error) : NGX_DECLINED;
}


static ngx_int_t
ngx_http_waha_number_on_any(ngx_http_waha_step_t *step)
{
    return NGX_DECLINED;
}


ngx_int_t
ngx_http_waha_number_refuse(ngx_http_waha_step_t *step,
    ngx_http_waha_error_e error)
{
    ngx_int_t                  code, subcode;
    ngx_http_waha_ctx_t       *ctx;
    ngx_http_waha_json_out_t   out;

    code = ngx_http_waha_graph_code(step->fetch.json);
    subcode = ngx_http_waha_graph_subcode(step->fetch.json);
    ctx = ngx_http_waha_request_ctx(step->request);

    if (error == NGX_HTTP_WAHA_ERR_META_THROTTLED && ctx) {
        ctx->retry_after = NGX_HTTP_WAHA_NUMBER_PAUSE;
    }

    if (code == -1) {
        return ngx_http_waha_step_end(step, error);
    }

    ngx_http_waha_json_start(&out, step->request->pool, 64);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_number(&out, "meta_code", code);

    if (subcode != -1) {
        ngx_http_waha_json_put_number(&out, "meta_subcode", subcode);
    }

    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &step->number->details) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_step_end(step, error);
}


ngx_int_t
ngx_http_waha_number_look(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then)
{
    ngx_http_waha_number_t  *n;

    n = step->number;
    n->look_then = then;

    return ngx_http_waha_number_try(step, NGX_HTTP_GET, &n->id, "",
                                    n->basic
                                    ? &ngx_http_waha_number_basic_fields
                                    : &ngx_http_waha_number_fields,
                                    NULL, ngx_http_waha_number_on_look);
}


static ngx_int_t
ngx_http_waha_number_on_look(ngx_http_waha_step_t *step)
{
    ngx_http_waha_number_t  *n;

    n = step->number;
    n->error = ngx_http_waha_graph_error(&step->fetch);

    if (ngx_http_waha_graph_is_missing(step->fetch.json)) {
        n->error = NGX_HTTP_WAHA_ERR_UNKNOWN_NUMBER;

    } else if (n->error == NGX_HTTP_WAHA_ERR_META_ERROR
               && ngx_http_waha_graph_code(step->fetch.json)
                  == NGX_HTTP_WAHA_GRAPH_PARAMETER
               && !n->basic)
    {
        n->basic = 1;

        return ngx_http_waha_number_look(step, n->look_then);
    }

    if (n->error == NGX_HTTP_WAHA_ERR_NONE) {

        switch (ngx_http_waha_number_read_look(step)) {

        case NGX_OK:
            break;

        case NGX_DECLINED:
            n->error = NGX_HTTP_WAHA_ERR_META_INVALID_ANSWER;
            break;

        default:
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return n->look_then(step);
}


/* NGX_DECLINED: the answer is about something else */

static ngx_int_t
ngx_http_waha_number_read_look(ngx_http_waha_step_t *step)
{
    cJSON                   *json, *webhook;
    ngx_int_t                rc;
    ngx_str_t                id;
    ngx_http_waha_number_t  *n;

    n = step->number;
    json = step->fetch.json;

    id = ngx_http_waha_json_get_string(json, "id");

    if (!ngx_http_waha_string_is_equal(&id, &n->id)) {
        return NGX_DECLINED;
    }

    n->name = ngx_http_waha_json_get_string(json, "verified_name");
    n->quality = ngx_http_waha_number_word(json, "quality_rating");
    n->limit = ngx_http_waha_number_word(json, "messaging_limit_tier");
    n->graph_status = ngx_http_waha_number_word(json, "status");

    webhook = ngx_http_waha_json_get(json, "webhook_configuration");

    if (webhook) {
        n->has_callback = 1;
        n->callback = ngx_http_waha_json_get_string(webhook, "phone_number");
    }

    n->phone = ngx_http_waha_json_get_string(json, "display_phone_number");

    if (n->phone.data == NULL) {
        return NGX_OK;
    }

    rc = ngx_http_waha_value_parse_phone(step->request->pool, &n->phone);

    if (rc == NGX_DECLINED) {
        ngx_str_null(&n->phone);
        return NGX_OK;
    }

    return rc;
}


static ngx_str_t
ngx_http_waha_number_word(const cJSON *json, const char *name)
{
    ngx_str_t  word;

    word = ngx_http_waha_json_get_string(json, name);

    if (!ngx_http_waha_string_is_printable(&word)
        || word.len > NGX_HTTP_WAHA_NUMBER_WORD)
    {
        ngx_str_null(&word);
    }

    return word;
}


void
ngx_http_waha_number_put(ngx_http_waha_number_t *number,
    ngx_http_waha_json_out_t *out)
{
    ngx_http_waha_json_put(out, "phone", &number->phone);
    ngx_http_waha_json_put(out, "name", &number->name);
    ngx_http_waha_json_put(out, "quality", &number->quality);
    ngx_http_waha_json_put(out, "limit", &number->limit);
}


ngx_int_t
ngx_http_waha_number_set_callback(ngx_http_waha_step_t *step, ngx_str_t *url,
    ngx_str_t *verify_token, ngx_http_waha_step_pt then)
{
    ngx_str_t                 body;
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, step->request->pool, 512);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_open(&out, "webhook_configuration", '{');
    ngx_http_waha_json_put(&out, "override_callback_uri", url);

    if (url->len) {
        ngx_http_waha_json_put(&out, "verify_token", verify_token);
    }

    ngx_http_waha_json_close(&out, '}');
    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_number_try(step, NGX_HTTP_POST, &step->number->id, "",
                                    NULL, &body, then);
}
