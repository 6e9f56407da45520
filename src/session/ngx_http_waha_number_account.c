
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_number.h>
#include <ngx_http_waha_number_account.h>
#include <ngx_http_waha_number_connect.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


/* a token may see many accounts, and an account has many numbers */

#define NGX_HTTP_WAHA_NUMBER_ACCOUNT_MAX    20
#define NGX_HTTP_WAHA_NUMBER_ACCOUNT_CALLS  30
#define NGX_HTTP_WAHA_NUMBER_ACCOUNT_ID     32


static ngx_int_t ngx_http_waha_number_account_inspect(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_account_on_token(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_account_read_token(
    ngx_http_waha_step_t *step, cJSON **token);
static ngx_int_t ngx_http_waha_number_account_read_scopes(
    ngx_http_waha_join_t *join, const cJSON *token);
static ngx_int_t ngx_http_waha_number_account_add(ngx_http_waha_join_t *join,
    const cJSON *id);
static ngx_int_t ngx_http_waha_number_account_search(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_account_on_numbers(
    ngx_http_waha_step_t *step);
static ngx_uint_t ngx_http_waha_number_account_has(const cJSON *json,
    const ngx_str_t *id);
static ngx_int_t ngx_http_waha_number_account_next(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_account_on_portfolio(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_account_on_app(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_account_on_apps(
    ngx_http_waha_step_t *step);


static ngx_str_t  ngx_http_waha_number_account_fields =
    ngx_string("fields=id,owner_business_info");

/* of the token */

static ngx_str_t  ngx_http_waha_number_account_app = ngx_string("app");


ngx_int_t
ngx_http_waha_number_account(ngx_http_waha_step_t *step,
    ngx_http_waha_step_pt then)
{
    ngx_str_t               *account;
    ngx_http_waha_join_t    *join;
    ngx_http_waha_number_t  *n;

    n = step->number;
    join = n->join;

    join->then = then;

    join->accounts = ngx_array_create(step->request->pool,
                                      NGX_HTTP_WAHA_NUMBER_ACCOUNT_MAX,
                                      sizeof(ngx_str_t));
    if (join->accounts == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!join->named) {
        return ngx_http_waha_number_account_inspect(step);
    }

    account = ngx_array_push(join->accounts);
    *account = n->account;

    return ngx_http_waha_number_account_search(step);
}


/*
 * The token has the ids of its accounts.  They are asked for in a batch, as
 * it carries the token in its body: the error log of nginx has the query.
 */

static ngx_int_t
ngx_http_waha_number_account_inspect(ngx_http_waha_step_t *step)
{
    u_char                     *p;
    uintptr_t                   escape;
    ngx_str_t                   none, url, body, *token;
    ngx_http_waha_json_out_t    out;

    token = &step->number->token;

    escape = 2 * ngx_escape_uri(NULL, token->data, token->len,
                                NGX_ESCAPE_URI_COMPONENT);

    url.len = sizeof("debug_token?input_token=") - 1 + token->len + escape;

    url.data = ngx_pnalloc(step->request->pool, url.len);
    if (url.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(url.data, "debug_token?input_token=",
                   sizeof("debug_token?input_token=") - 1);
    (void) ngx_escape_uri(p, token->data, token->len,
                          NGX_ESCAPE_URI_COMPONENT);

    ngx_http_waha_json_start(&out, step->request->pool, 512);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_bool(&out, "include_headers", 0);
    ngx_http_waha_json_open(&out, "batch", '[');
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_text(&out, "method", "GET");
    ngx_http_waha_json_put(&out, "relative_url", &url);
    ngx_http_waha_json_close(&out, '}');
    ngx_http_waha_json_close(&out, ']');
    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&none, "");

    return ngx_http_waha_number_ask(step, NGX_HTTP_POST, &none, "", NULL,
                                    &body,
                                    ngx_http_waha_number_account_on_token);
}


static ngx_int_t
ngx_http_waha_number_account_on_token(ngx_http_waha_step_t *step)
{
    cJSON  *token;

    switch (ngx_http_waha_number_account_read_token(step, &token)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_http_waha_step_end(step,
                                      NGX_HTTP_WAHA_ERR_META_INVALID_ANSWER);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (token == NULL) {
        return ngx_http_waha_step_end(step,
                                      NGX_HTTP_WAHA_ERR_UNKNOWN_ACCOUNT);
    }

    if (!cJSON_IsTrue(ngx_http_waha_json_get(token, "is_valid"))) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_TOKEN_REFUSED);
    }

    if (ngx_http_waha_number_account_read_scopes(step->number->join, token)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_number_account_search(step);
}


/*
 * The first answer of a batch: its body is JSON, as text.  *token is NULL
 * where Graph does not say what the token is.
 */

static ngx_int_t
ngx_http_waha_number_account_read_token(ngx_http_waha_step_t *step,
    cJSON **token)
{
    cJSON       *answer, *json;
    ngx_int_t    rc;
    ngx_str_t    text;
    ngx_uint_t   replaced;
    ngx_pool_t  *pool;

    pool = step->request->pool;
    *token = NULL;

    answer = cJSON_IsArray(step->fetch.json) ? step->fetch.json->child : NULL;
    text = ngx_http_waha_json_get_string(answer, "body");

    if (text.data == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_waha_json_clean(pool, &text, &replaced);

    if (rc == NGX_OK) {
        rc = ngx_http_waha_json_parse(pool, &text, &json);
    }

    if (rc == NGX_OK) {
        *token = ngx_http_waha_json_get(json, "data");
    }

    return rc;
}


static ngx_int_t
ngx_http_waha_number_account_read_scopes(ngx_http_waha_join_t *join,
    const cJSON *token)
{
    cJSON      *scope, *ids, *id;
    ngx_str_t   name;

    scope = ngx_http_waha_json_get(token, "granular_scopes");

    for (scope = cJSON_IsArray(scope) ? scope->child : NULL;
         scope;
         scope = scope->next)
    {
        name = ngx_http_waha_json_get_string(scope, "scope");
        ids = ngx_http_waha_json_get(scope, "target_ids");

        if (!ngx_http_waha_string_is(&name, "whatsapp_business_management")
            || !cJSON_IsArray(ids))
        {
            continue;
        }

        for (id = ids->child; id; id = id->next) {

            if (ngx_http_waha_number_account_add(join, id) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_number_account_add(ngx_http_waha_join_t *join, const cJSON *id)
{
    ngx_str_t  value, *account;

    if (join->accounts->nelts == NGX_HTTP_WAHA_NUMBER_ACCOUNT_MAX
        || !cJSON_IsString(id))
    {
        return NGX_OK;
    }

    value.data = (u_char *) id->valuestring;
    value.len = ngx_strlen(value.data);

    if (!ngx_http_waha_value_is_digits(&value, 1,
                                       NGX_HTTP_WAHA_NUMBER_ACCOUNT_ID))
    {
        return NGX_OK;
    }

    account = ngx_array_push(join->accounts);
    if (account == NULL) {
        return NGX_ERROR;
    }

    *account = value;

    return NGX_OK;
}


/* asks the account, from the cursor on, which numbers it has */

static ngx_int_t
ngx_http_waha_number_account_search(ngx_http_waha_step_t *step)
{
    u_char                *p;
    uintptr_t              escape;
    ngx_str_t              args, *accounts, *cursor;
    ngx_http_waha_join_t  *join;

    join = step->number->join;
    accounts = join->accounts->elts;
    cursor = &join->cursor;

    if (join->account == join->accounts->nelts
        || join->calls++ == NGX_HTTP_WAHA_NUMBER_ACCOUNT_CALLS)
    {
        return ngx_http_waha_step_end(step,
                                      NGX_HTTP_WAHA_ERR_UNKNOWN_ACCOUNT);
    }

    escape = 2 * ngx_escape_uri(NULL, cursor->data, cursor->len,
                                NGX_ESCAPE_URI_COMPONENT);

    args.data = ngx_pnalloc(step->request->pool,
                            sizeof("fields=id&limit=100&after=") - 1
                            + cursor->len + escape);
    if (args.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(args.data, "fields=id&limit=100",
                   sizeof("fields=id&limit=100") - 1);

    if (cursor->len) {
        p = ngx_cpymem(p, "&after=", sizeof("&after=") - 1);
        p = (u_char *) ngx_escape_uri(p, cursor->data, cursor->len,
                                      NGX_ESCAPE_URI_COMPONENT);
    }

    args.len = p - args.data;

    return ngx_http_waha_number_try(step, NGX_HTTP_GET,
                                    &accounts[join->account],
                                    "/phone_numbers", &args, NULL,
                                    ngx_http_waha_number_account_on_numbers);
}


static ngx_int_t
ngx_http_waha_number_account_on_numbers(ngx_http_waha_step_t *step)
{
    cJSON                   *paging;
    ngx_str_t               *accounts;
    ngx_http_waha_join_t    *join;
    ngx_http_waha_error_e    error;
    ngx_http_waha_number_t  *n;

    n = step->number;
    join = n->join;
    accounts = join->accounts->elts;

    error = ngx_http_waha_graph_error(&step->fetch);

    /* a token may name what it must not see, or what is no more */

    if (ngx_http_waha_graph_is_missing(step->fetch.json)
        || (error == NGX_HTTP_WAHA_ERR_TOKEN_FORBIDDEN && !join->named)
        || error == NGX_HTTP_WAHA_ERR_META_ERROR)
    {
        return ngx_http_waha_number_account_next(step);
    }

    if (error) {
        return ngx_http_waha_number_refuse(step, error);
    }

    if (ngx_http_waha_number_account_has(step->fetch.json, &n->id)) {
        n->account = accounts[join->account];

        return ngx_http_waha_number_try(step, NGX_HTTP_GET, &n->account, "",
                                  &ngx_http_waha_number_account_fields, NULL,
                                  ngx_http_waha_number_account_on_portfolio);
    }

    paging = ngx_http_waha_json_get(step->fetch.json, "paging");

    if (ngx_http_waha_json_get(paging, "next") == NULL) {
        return ngx_http_waha_number_account_next(step);
    }

    join->cursor = ngx_http_waha_json_get_string(
                       ngx_http_waha_json_get(paging, "cursors"), "after");

    return join->cursor.len ? ngx_http_waha_number_account_search(step)
                            : ngx_http_waha_number_account_next(step);
}


static ngx_uint_t
ngx_http_waha_number_account_has(const cJSON *json, const ngx_str_t *id)
{
    cJSON      *item;
    ngx_str_t   value;

    item = ngx_http_waha_json_get(json, "data");

    for (item = cJSON_IsArray(item) ? item->child : NULL;
         item;
         item = item->next)
    {
        value = ngx_http_waha_json_get_string(item, "id");

        if (ngx_http_waha_string_is_equal(&value, id)) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_waha_number_account_next(ngx_http_waha_step_t *step)
{
    ngx_http_waha_join_t  *join;

    join = step->number->join;

    join->account++;
    ngx_str_null(&join->cursor);

    return ngx_http_waha_number_account_search(step);
}


/* without a portfolio, the account stands for it */

static ngx_int_t
ngx_http_waha_number_account_on_portfolio(ngx_http_waha_step_t *step)
{
    cJSON                   *owner;
    ngx_str_t                portfolio;
    ngx_http_waha_join_t    *join;
    ngx_http_waha_error_e    error;
    ngx_http_waha_number_t  *n;

    n = step->number;
    join = n->join;

    error = ngx_http_waha_graph_error(&step->fetch);

    if (error && error != NGX_HTTP_WAHA_ERR_META_ERROR
        && error != NGX_HTTP_WAHA_ERR_TOKEN_FORBIDDEN)
    {
        return ngx_http_waha_number_refuse(step, error);
    }

    owner = ngx_http_waha_json_get(step->fetch.json, "owner_business_info");
    portfolio = ngx_http_waha_json_get_string(owner, "id");

    if (ngx_http_waha_value_is_digits(&portfolio, 1,
                                      NGX_HTTP_WAHA_NUMBER_ACCOUNT_ID))
    {
        join->portfolio = portfolio;
    }

    return ngx_http_waha_number_ask(step, NGX_HTTP_GET,
                                    &ngx_http_waha_number_account_app, "",
                                    NULL, NULL,
                                    ngx_http_waha_number_account_on_app);
}


static ngx_int_t
ngx_http_waha_number_account_on_app(ngx_http_waha_step_t *step)
{
    ngx_http_waha_number_t  *n;

    n = step->number;
    n->join->app = ngx_http_waha_json_get_string(step->fetch.json, "id");

    return ngx_http_waha_number_ask(step, NGX_HTTP_GET, &n->account,
                                    "/subscribed_apps", NULL, NULL,
                                    ngx_http_waha_number_account_on_apps);
}


/* subscribing again would remove a callback that the account has */

static ngx_int_t
ngx_http_waha_number_account_on_apps(ngx_http_waha_step_t *step)
{
    cJSON                 *item;
    ngx_str_t              id;
    ngx_http_waha_join_t  *join;

    join = step->number->join;
    item = ngx_http_waha_json_get(step->fetch.json, "data");

    for (item = cJSON_IsArray(item) ? item->child : NULL;
         item;
         item = item->next)
    {
        id = ngx_http_waha_json_get_string(
                 ngx_http_waha_json_get(item, "whatsapp_business_api_data"),
                 "id");

        if (id.len && ngx_http_waha_string_is_equal(&id, &join->app)) {
            join->subscribed = 1;
        }
    }

    return join->then(step);
}
