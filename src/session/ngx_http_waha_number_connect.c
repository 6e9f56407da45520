
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_number.h>
#include <ngx_http_waha_number_account.h>
#include <ngx_http_waha_number_connect.h>
#include <ngx_http_waha_secret.h>
#include <ngx_http_waha_session_conf.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_NUMBER_CONNECT_RANDOM  24     /* bytes of ids, tokens */
#define NGX_HTTP_WAHA_NUMBER_CONNECT_TOKEN   4096

/* the callback may be asked before workers hear of a new verify token; ms */

#define NGX_HTTP_WAHA_NUMBER_CONNECT_TRIES   3
#define NGX_HTTP_WAHA_NUMBER_CONNECT_DELAY   500


static ngx_int_t ngx_http_waha_number_connect_check_conf(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_connect_on_found(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_connect_random(
    ngx_http_waha_step_t *step, ngx_str_t *text);
static ngx_int_t ngx_http_waha_number_connect_exchange(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_connect_on_token(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_connect_on_look(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_connect_record(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_connect_details(
    ngx_http_waha_step_t *step, ngx_str_t *json);
static ngx_int_t ngx_http_waha_number_connect_seal(ngx_http_waha_step_t *step,
    const char *column, ngx_str_t *plain, ngx_str_t *sealed);
static ngx_int_t ngx_http_waha_number_connect_on_recorded(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_connect_on_subscribed(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_connect_set(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_connect_on_callback(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_connect_undo(ngx_http_waha_step_t *step,
    ngx_http_waha_error_e error);
static ngx_int_t ngx_http_waha_number_connect_on_shown(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_connect_on_undone(
    ngx_http_waha_step_t *step);


ngx_int_t
ngx_http_waha_number_connect(ngx_http_waha_step_t *step)
{
    ngx_int_t                rc;
    ngx_str_t                args[2];
    ngx_http_waha_number_t  *n;

    n = step->number;
    n->join->named = (n->account.len != 0);

    rc = ngx_http_waha_number_connect_check_conf(step);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    args[0] = step->organization.slug;
    args[1] = n->id;

    return ngx_http_waha_step_query(step, NGX_HTTP_WAHA_FIND_NUMBER, args,
                                    ngx_http_waha_number_connect_on_found);
}


/* NGX_DECLINED: all is there */

static ngx_int_t
ngx_http_waha_number_connect_check_conf(ngx_http_waha_step_t *step)
{
    ngx_str_t                  *secret;
    ngx_http_waha_number_t     *n;
    ngx_http_waha_loc_conf_t   *wlcf;
    ngx_http_waha_main_conf_t  *wmcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);
    wmcf = ngx_http_get_module_main_conf(step->request, ngx_http_waha_module);

    n = step->number;

    if (wlcf->fetch->graph == NULL) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NO_GRAPH);
    }

    if (wmcf->secrets == NULL) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NO_SECRET_KEY);
    }

    secret = ngx_http_waha_number_operator_secret(step);

    if (n->join->code.len
        && (secret == NULL || wlcf->session->meta_app.len == 0))
    {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NO_APP);
    }

    if (n->own_secret) {
        return NGX_DECLINED;
    }

    if (secret == NULL) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NO_APP_SECRET);
    }

    n->secret = *secret;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_waha_number_connect_on_found(ngx_http_waha_step_t *step)
{
    cJSON                   *json;
    ngx_http_waha_join_t    *join;
    ngx_http_waha_number_t  *n;

    n = step->number;
    join = n->join;

    if (step->query.reply.data) {

        if (ngx_http_waha_json_parse(step->request->pool, &step->query.reply,
                                     &json)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        n->connection = ngx_http_waha_json_get_string(json, "connection");
        join->live = cJSON_IsTrue(ngx_http_waha_json_get(json, "connected"));
        join->known = (ngx_http_waha_json_get(json, "session") != NULL);

    } else if (ngx_http_waha_number_connect_random(step, &n->connection)
               != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (join->verify_token.len == 0) {
        join->made = 1;

        if (ngx_http_waha_number_connect_random(step, &join->verify_token)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ngx_http_waha_number_make_url(step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return join->code.len
           ? ngx_http_waha_number_connect_exchange(step)
           : ngx_http_waha_number_look(step,
                                       ngx_http_waha_number_connect_on_look);
}


static ngx_int_t
ngx_http_waha_number_connect_random(ngx_http_waha_step_t *step,
    ngx_str_t *text)
{
    u_char     bytes[NGX_HTTP_WAHA_NUMBER_CONNECT_RANDOM];
    ngx_str_t  random;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        ngx_log_error(NGX_LOG_ALERT, step->request->connection->log, 0,
                      "waha: RAND_bytes() failed");
        return NGX_ERROR;
    }

    random.data = bytes;
    random.len = sizeof(bytes);

    text->data = ngx_pnalloc(step->request->pool,
                             ngx_base64_encoded_length(random.len));
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    ngx_encode_base64url(text, &random);

    return NGX_OK;
}


/* in a body, as the error log of nginx has the query of a request */

static ngx_int_t
ngx_http_waha_number_connect_exchange(ngx_http_waha_step_t *step)
{
    u_char                         *p;
    size_t                          len;
    uintptr_t                       code, secret;
    ngx_str_t                      *app;
    ngx_http_waha_number_t         *n;
    ngx_http_waha_loc_conf_t       *wlcf;
    ngx_http_waha_fetch_request_t   request;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    n = step->number;
    app = &wlcf->session->meta_app;

    ngx_memzero(&request, sizeof(ngx_http_waha_fetch_request_t));

    request.method = NGX_HTTP_POST;
    ngx_str_set(&request.path, "/oauth/access_token");
    ngx_str_set(&request.type, "application/x-www-form-urlencoded");

    secret = 2 * ngx_escape_uri(NULL, n->secret.data, n->secret.len,
                                NGX_ESCAPE_URI_COMPONENT);
    code = 2 * ngx_escape_uri(NULL, n->join->code.data, n->join->code.len,
                              NGX_ESCAPE_URI_COMPONENT);

    len = sizeof("client_id=&client_secret=&code=") - 1 + app->len
          + n->secret.len + secret + n->join->code.len + code;

    p = ngx_pnalloc(step->request->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    request.body.data = p;
    request.body.len = len;

    p = ngx_sprintf(p, "client_id=%V&client_secret=", app);
    p = (u_char *) ngx_escape_uri(p, n->secret.data, n->secret.len,
                                  NGX_ESCAPE_URI_COMPONENT);
    p = ngx_cpymem(p, "&code=", sizeof("&code=") - 1);
    (void) ngx_escape_uri(p, n->join->code.data, n->join->code.len,
                          NGX_ESCAPE_URI_COMPONENT);

    return ngx_http_waha_number_send(step, &request,
                                     ngx_http_waha_number_connect_on_token);
}


static ngx_int_t
ngx_http_waha_number_connect_on_token(ngx_http_waha_step_t *step)
{
    ngx_str_t               *token;
    ngx_http_waha_error_e    error;

    error = ngx_http_waha_graph_error(&step->fetch);

    if (ngx_http_waha_graph_code(step->fetch.json)
        == NGX_HTTP_WAHA_GRAPH_PARAMETER)
    {
        error = NGX_HTTP_WAHA_ERR_CODE_REFUSED;
    }

    if (error) {
        return ngx_http_waha_number_refuse(step, error);
    }

    token = &step->number->token;

    *token = ngx_http_waha_json_get_string(step->fetch.json, "access_token");

    if (token->len > NGX_HTTP_WAHA_NUMBER_CONNECT_TOKEN
        || !ngx_http_waha_string_is_printable(token))
    {
        return ngx_http_waha_step_end(step,
                                      NGX_HTTP_WAHA_ERR_META_INVALID_ANSWER);
    }

    return ngx_http_waha_number_look(step,
                                     ngx_http_waha_number_connect_on_look);
}


static ngx_int_t
ngx_http_waha_number_connect_on_look(ngx_http_waha_step_t *step)
{
    if (step->number->error) {
        return ngx_http_waha_number_refuse(step, step->number->error);
    }

    return ngx_http_waha_number_account(step,
                                        ngx_http_waha_number_connect_record);
}


/* before the callback is set: Meta asks it, and it has to know the token */

static ngx_int_t
ngx_http_waha_number_connect_record(ngx_http_waha_step_t *step)
{
    ngx_int_t                rc;
    ngx_str_t                args[4];
    ngx_http_waha_number_t  *n;

    n = step->number;

    args[0] = step->organization.slug;
    args[1] = n->id;
    args[2] = n->connection;

    rc = ngx_http_waha_number_connect_details(step, &args[3]);

    if (rc == NGX_DECLINED) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NO_SECRET_KEY);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_step_query(step, NGX_HTTP_WAHA_CONNECT_NUMBER, args,
                                    ngx_http_waha_number_connect_on_recorded);
}


static ngx_int_t
ngx_http_waha_number_connect_details(ngx_http_waha_step_t *step,
    ngx_str_t *json)
{
    u_char                     digest[SHA256_DIGEST_LENGTH];
    u_char                     hex[2 * SHA256_DIGEST_LENGTH];
    ngx_int_t                  rc;
    ngx_str_t                  hash, secret;
    ngx_http_waha_join_t      *join;
    ngx_http_waha_number_t    *n;
    ngx_http_waha_json_out_t   out;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    n = step->number;
    join = n->join;

    SHA256(join->verify_token.data, join->verify_token.len, digest);

    hash.data = hex;
    hash.len = ngx_hex_dump(hex, digest, sizeof(digest)) - hex;

    ngx_str_null(&secret);

    rc = ngx_http_waha_number_connect_seal(step, "access_token", &n->token,
                                           &join->sealed);

    if (rc == NGX_OK && n->own_secret) {
        rc = ngx_http_waha_number_connect_seal(step, "app_secret", &n->secret,
                                               &secret);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_waha_json_start(&out, step->request->pool, 2048);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put(&out, "account", &n->account);
    ngx_http_waha_json_put(&out, "portfolio", &join->portfolio);
    ngx_http_waha_json_put(&out, "label", &join->label);
    ngx_http_waha_json_put(&out, "verify_token_hash", &hash);
    ngx_http_waha_json_put(&out, "access_token", &join->sealed);
    ngx_http_waha_json_put(&out, "app_secret", &secret);
    ngx_http_waha_json_put_bool(&out, "own_secret", n->own_secret);
    ngx_http_waha_json_put_number(&out, "maximum",
                                  wlcf->session->max_sessions);
    ngx_http_waha_number_put(n, &out);
    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_json_end(&out, json);
}


static ngx_int_t
ngx_http_waha_number_connect_seal(ngx_http_waha_step_t *step,
    const char *column, ngx_str_t *plain, ngx_str_t *sealed)
{
    ngx_http_waha_main_conf_t     *wmcf;
    ngx_http_waha_secret_place_t   place;

    wmcf = ngx_http_get_module_main_conf(step->request, ngx_http_waha_module);

    ngx_str_set(&place.table, "connections");
    place.organization = step->organization.slug;
    place.row = step->number->connection;
    place.column.data = (u_char *) column;
    place.column.len = ngx_strlen(column);

    return ngx_http_waha_secret_seal(step->request->pool, wmcf->secrets,
                                     &place, plain, sealed);
}


static ngx_int_t
ngx_http_waha_number_connect_on_recorded(ngx_http_waha_step_t *step)
{
    ngx_http_waha_number_t  *n;

    n = step->number;

    if (ngx_http_waha_number_read(step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (n->join->subscribed) {
        return ngx_http_waha_number_connect_set(step);
    }

    return ngx_http_waha_number_try(step, NGX_HTTP_POST, &n->account,
                                    "/subscribed_apps", NULL, NULL,
                                   ngx_http_waha_number_connect_on_subscribed);
}


static ngx_int_t
ngx_http_waha_number_connect_on_subscribed(ngx_http_waha_step_t *step)
{
    ngx_http_waha_error_e  error;

    error = ngx_http_waha_graph_error(&step->fetch);

    return error ? ngx_http_waha_number_connect_undo(step, error)
                 : ngx_http_waha_number_connect_set(step);
}


/*
 * The callback is that of the number, not of the account, whose other numbers
 * have others.
 */

static ngx_int_t
ngx_http_waha_number_connect_set(ngx_http_waha_step_t *step)
{
    ngx_http_waha_number_t  *n;

    n = step->number;

    return ngx_http_waha_number_set_callback(step, &n->url,
                                     &n->join->verify_token,
                                     ngx_http_waha_number_connect_on_callback);
}


static ngx_int_t
ngx_http_waha_number_connect_on_callback(ngx_http_waha_step_t *step)
{
    ngx_uint_t             *tries;
    ngx_http_waha_error_e   error;

    tries = &step->number->join->tries;
    error = ngx_http_waha_graph_error(&step->fetch);

    if (ngx_http_waha_graph_code(step->fetch.json)
        == NGX_HTTP_WAHA_GRAPH_CALLBACK)
    {
        if (++*tries < NGX_HTTP_WAHA_NUMBER_CONNECT_TRIES) {
            return ngx_http_waha_step_wait(step,
                                  *tries * NGX_HTTP_WAHA_NUMBER_CONNECT_DELAY,
                                  ngx_http_waha_number_connect_set);
        }

        error = NGX_HTTP_WAHA_ERR_WEBHOOK_UNREACHABLE;
    }

    return error ? ngx_http_waha_number_connect_undo(step, error)
                 : ngx_http_waha_step_succeed(step);
}


static ngx_int_t
ngx_http_waha_number_connect_undo(ngx_http_waha_step_t *step,
    ngx_http_waha_error_e error)
{
    ngx_str_t                args[2];
    ngx_http_waha_number_t  *n;

    n = step->number;
    n->join->error = error;

    if (n->join->live) {
        return ngx_http_waha_number_refuse(step, error);
    }

    args[0] = step->organization.slug;
    args[1] = n->id;

    return ngx_http_waha_step_query_with(step, NGX_HTTP_WAHA_SHOW_NUMBER, args,
                                        ngx_http_waha_number_connect_on_shown,
                                        ngx_http_waha_number_connect_on_undone);
}


/* another request of the organization may have connected it meanwhile */

static ngx_int_t
ngx_http_waha_number_connect_on_shown(ngx_http_waha_step_t *step)
{
    ngx_str_t                args[2], token;
    ngx_http_waha_number_t  *n;

    n = step->number;

    if (step->query.error || ngx_http_waha_number_read(step) != NGX_OK) {
        return NGX_DECLINED;
    }

    token = ngx_http_waha_json_get_string(n->row, "access_token");

    if (!ngx_http_waha_string_is_equal(&token, &n->join->sealed)) {
        return NGX_DECLINED;
    }

    args[0] = step->organization.slug;
    args[1] = n->id;

    return ngx_http_waha_step_query_with(step,
                                        n->join->known
                                        ? NGX_HTTP_WAHA_DISCONNECT_NUMBER
                                        : NGX_HTTP_WAHA_DELETE_SESSION,
                                        args,
                                        ngx_http_waha_number_connect_on_undone,
                                        NULL);
}


static ngx_int_t
ngx_http_waha_number_connect_on_undone(ngx_http_waha_step_t *step)
{
    if (step->query.error) {
        ngx_log_error(NGX_LOG_ERR, step->request->connection->log, 0,
                      "waha: a number whose callback could not be set stays "
                      "in the database as connected");
    }

    return ngx_http_waha_number_refuse(step, step->number->join->error);
}
