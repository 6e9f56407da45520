
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <openssl/evp.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_auth_limit.h>
#include <ngx_http_waha_auth_lookup.h>
#include <ngx_http_waha_bearer.h>
#include <ngx_http_waha_request.h>


#define NGX_HTTP_WAHA_AUTH_LOOKUP_ARGS   2

/* milliseconds of a wait for other look-ups, and how often one waits */

#define NGX_HTTP_WAHA_AUTH_LOOKUP_WAIT   20
#define NGX_HTTP_WAHA_AUTH_LOOKUP_WAITS  50


static ngx_int_t ngx_http_waha_auth_lookup_make_key(ngx_http_request_t *r,
    ngx_http_waha_statement_e statement, ngx_str_t *text, u_char *key);
static ngx_int_t ngx_http_waha_auth_lookup_ask(
    ngx_http_waha_auth_lookup_t *lookup, ngx_str_t *text);
static ngx_int_t ngx_http_waha_auth_lookup_refuse(
    ngx_http_waha_auth_lookup_t *lookup, ngx_http_waha_error_e error);
static ngx_int_t ngx_http_waha_auth_lookup_wait(
    ngx_http_waha_auth_lookup_t *lookup);
static void ngx_http_waha_auth_lookup_cleanup(void *data);
static void ngx_http_waha_auth_lookup_timer_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_waha_auth_lookup_on_timer(void *data);
static ngx_int_t ngx_http_waha_auth_lookup_start_query(
    ngx_http_waha_auth_lookup_t *lookup, ngx_str_t *text);
static ngx_int_t ngx_http_waha_auth_lookup_set_args(
    ngx_http_waha_auth_lookup_t *lookup, ngx_str_t *text, ngx_str_t *args);
static void ngx_http_waha_auth_lookup_done(ngx_http_waha_query_t *query);
static ngx_int_t ngx_http_waha_auth_lookup_on_reply(void *data);
static void ngx_http_waha_auth_lookup_set_record(
    ngx_http_waha_auth_lookup_t *lookup);
static void ngx_http_waha_auth_lookup_settle(
    ngx_http_waha_auth_lookup_t *lookup,
    ngx_http_waha_auth_outcome_e outcome);
static ngx_http_waha_error_e ngx_http_waha_auth_lookup_parse_reply(
    ngx_http_waha_auth_lookup_t *lookup);
static ngx_http_waha_error_e ngx_http_waha_auth_lookup_error(ngx_int_t rc);
static void ngx_http_waha_auth_lookup_read_rights(cJSON *json,
    ngx_http_waha_auth_record_t *record);
static ngx_uint_t ngx_http_waha_auth_lookup_has_scope(cJSON *scopes,
    const char *name);


ngx_int_t
ngx_http_waha_auth_lookup(ngx_http_request_t *r,
    ngx_http_waha_auth_lookup_t **lookups, ngx_http_waha_statement_e statement,
    ngx_str_t *text, ngx_http_waha_auth_lookup_t **lookup)
{
    u_char                        key[NGX_HTTP_WAHA_CACHE_KEY];
    ngx_http_waha_auth_lookup_t  *l;

    if (ngx_http_waha_auth_lookup_make_key(r, statement, text, key) != NGX_OK) {
        return NGX_ERROR;
    }

    for (l = *lookups; l; l = l->next) {

        if (ngx_memcmp(l->key, key, NGX_HTTP_WAHA_CACHE_KEY) == 0) {
            break;
        }
    }

    if (l == NULL) {
        l = ngx_pcalloc(r->pool, sizeof(ngx_http_waha_auth_lookup_t));
        if (l == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(l->key, key, NGX_HTTP_WAHA_CACHE_KEY);

        l->request = r;
        l->statement = statement;

        l->next = *lookups;
        *lookups = l;
    }

    *lookup = l;

    if (l->waiting) {
        return NGX_AGAIN;
    }

    return l->done ? NGX_OK : ngx_http_waha_auth_lookup_ask(l, text);
}


static ngx_int_t
ngx_http_waha_auth_lookup_ask(ngx_http_waha_auth_lookup_t *lookup,
    ngx_str_t *text)
{
    ngx_int_t                   rc;
    ngx_http_request_t         *r;
    ngx_http_waha_main_conf_t  *wmcf;

    r = lookup->request;
    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    rc = ngx_http_waha_auth_cache_get(wmcf->auth_cache, lookup->key, r->pool,
                                      &lookup->record);
    if (rc != NGX_DECLINED) {
        lookup->done = 1;
        return rc;
    }

    if (lookup->statement == NGX_HTTP_WAHA_AUTHENTICATE) {

        switch (ngx_http_waha_auth_limit_admit(r, lookup->key)) {

        case NGX_OK:
            break;

        case NGX_AGAIN:
            return ngx_http_waha_auth_lookup_wait(lookup);

        case NGX_DECLINED:
            return ngx_http_waha_auth_lookup_refuse(lookup,
                                         NGX_HTTP_WAHA_ERR_TOO_MANY_ATTEMPTS);

        default:
            return NGX_ERROR;
        }
    }

    lookup->generation = ngx_http_waha_cache_generation(wmcf->auth_cache);

    return ngx_http_waha_auth_lookup_start_query(lookup, text);
}


static ngx_int_t
ngx_http_waha_auth_lookup_refuse(ngx_http_waha_auth_lookup_t *lookup,
    ngx_http_waha_error_e error)
{
    lookup->error = error;
    lookup->done = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_auth_lookup_wait(ngx_http_waha_auth_lookup_t *lookup)
{
    ngx_http_request_t  *r;

    r = lookup->request;

    if (lookup->waits++ == NGX_HTTP_WAHA_AUTH_LOOKUP_WAITS) {
        return ngx_http_waha_auth_lookup_refuse(lookup,
                                                NGX_HTTP_WAHA_ERR_OVERLOADED);
    }

    if (lookup->cleanup == NULL) {
        lookup->cleanup = ngx_pool_cleanup_add(r->pool, 0);
        if (lookup->cleanup == NULL) {
            return NGX_ERROR;
        }

        lookup->cleanup->handler = ngx_http_waha_auth_lookup_cleanup;
        lookup->cleanup->data = lookup;

        lookup->timer.handler = ngx_http_waha_auth_lookup_timer_handler;
        lookup->timer.data = lookup;
        lookup->timer.log = r->connection->log;
    }

    lookup->waiting = 1;

    ngx_add_timer(&lookup->timer, NGX_HTTP_WAHA_AUTH_LOOKUP_WAIT);

    return NGX_AGAIN;
}


static void
ngx_http_waha_auth_lookup_cleanup(void *data)
{
    ngx_http_waha_auth_lookup_t *lookup = data;

    if (lookup->timer.timer_set) {
        ngx_del_timer(&lookup->timer);
    }
}


static void
ngx_http_waha_auth_lookup_timer_handler(ngx_event_t *ev)
{
    ngx_http_waha_auth_lookup_t *lookup = ev->data;

    ngx_http_waha_request_resume(lookup->request,
                                 ngx_http_waha_auth_lookup_on_timer, lookup);
}


static ngx_int_t
ngx_http_waha_auth_lookup_on_timer(void *data)
{
    ngx_http_waha_auth_lookup_t *lookup = data;

    lookup->waiting = 0;

    ngx_http_core_run_phases(lookup->request);

    return NGX_DONE;
}


/* the statement is part of the key: an API key may be spelled like a slug */

static ngx_int_t
ngx_http_waha_auth_lookup_make_key(ngx_http_request_t *r,
    ngx_http_waha_statement_e statement, ngx_str_t *text, u_char *key)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, text->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p[0] = (u_char) statement;
    ngx_memcpy(p + 1, text->data, text->len);

    if (EVP_Digest(p, text->len + 1, key, NULL, EVP_sha256(), NULL) != 1) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_auth_lookup_start_query(ngx_http_waha_auth_lookup_t *lookup,
    ngx_str_t *text)
{
    ngx_str_t                   args[NGX_HTTP_WAHA_AUTH_LOOKUP_ARGS];
    ngx_http_request_t         *r;
    ngx_http_waha_main_conf_t  *wmcf;

    r = lookup->request;

    if (ngx_http_waha_auth_lookup_set_args(lookup, text, args) != NGX_OK) {
        return NGX_ERROR;
    }

    lookup->query.pool = r->pool;
    lookup->query.log = r->connection->log;
    lookup->query.handler = ngx_http_waha_auth_lookup_done;
    lookup->query.data = lookup;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    switch (ngx_http_waha_query_start(wmcf->db, &lookup->query,
                                      lookup->statement, args))
    {
    case NGX_OK:
        lookup->waiting = 1;
        return NGX_AGAIN;

    case NGX_DECLINED:
        ngx_http_waha_auth_lookup_settle(lookup, NGX_HTTP_WAHA_AUTH_UNDECIDED);

        return ngx_http_waha_auth_lookup_refuse(lookup, lookup->query.error);

    default:
        return NGX_ERROR;
    }
}


/* the database has the hash of a key's secret in hexadecimal digits */

static ngx_int_t
ngx_http_waha_auth_lookup_set_args(ngx_http_waha_auth_lookup_t *lookup,
    ngx_str_t *text, ngx_str_t *args)
{
    u_char                      *p, hash[EVP_MAX_MD_SIZE];
    ngx_http_waha_bearer_key_t   key;

    if (lookup->statement == NGX_HTTP_WAHA_FIND_ORGANIZATION) {
        args[0] = *text;
        lookup->name = *text;
        return NGX_OK;
    }

    if (ngx_http_waha_bearer_parse_key(text, &key) != NGX_OK
        || EVP_Digest(key.secret.data, key.secret.len, hash, NULL,
                      EVP_sha256(), NULL)
           != 1)
    {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(lookup->request->pool, 2 * NGX_HTTP_WAHA_CACHE_KEY);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(p, hash, NGX_HTTP_WAHA_CACHE_KEY);

    args[0] = key.id;
    lookup->name = key.id;
    args[1].data = p;
    args[1].len = 2 * NGX_HTTP_WAHA_CACHE_KEY;

    return NGX_OK;
}


static void
ngx_http_waha_auth_lookup_done(ngx_http_waha_query_t *query)
{
    ngx_http_waha_auth_lookup_t *lookup = query->data;

    ngx_http_waha_request_resume(lookup->request,
                                 ngx_http_waha_auth_lookup_on_reply, lookup);
}


static ngx_int_t
ngx_http_waha_auth_lookup_on_reply(void *data)
{
    ngx_http_waha_auth_lookup_t *lookup = data;

    lookup->waiting = 0;
    lookup->done = 1;

    ngx_http_waha_auth_lookup_set_record(lookup);

    ngx_http_core_run_phases(lookup->request);

    return NGX_DONE;
}


static void
ngx_http_waha_auth_lookup_set_record(ngx_http_waha_auth_lookup_t *lookup)
{
    ngx_http_waha_main_conf_t     *wmcf;
    ngx_http_waha_auth_outcome_e   outcome;

    outcome = NGX_HTTP_WAHA_AUTH_UNDECIDED;

    switch (lookup->query.error) {

    case NGX_HTTP_WAHA_ERR_NONE:

        lookup->error = ngx_http_waha_auth_lookup_parse_reply(lookup);

        if (lookup->error == NGX_HTTP_WAHA_ERR_NONE) {
            lookup->record.found = 1;
            outcome = NGX_HTTP_WAHA_AUTH_RIGHT;
        }

        break;

    case NGX_HTTP_WAHA_ERR_UNKNOWN_KEY:
    case NGX_HTTP_WAHA_ERR_UNKNOWN_ORGANIZATION:
        outcome = NGX_HTTP_WAHA_AUTH_WRONG;
        break;

    default:
        lookup->error = lookup->query.error;
        break;
    }

    ngx_http_waha_auth_lookup_settle(lookup, outcome);

    if (outcome == NGX_HTTP_WAHA_AUTH_UNDECIDED) {
        return;
    }

    wmcf = ngx_http_get_module_main_conf(lookup->request,
                                         ngx_http_waha_module);

    ngx_http_waha_auth_cache_put(wmcf->auth_cache, lookup->key,
                                 lookup->generation, &lookup->name,
                                 &lookup->record);
}


static void
ngx_http_waha_auth_lookup_settle(ngx_http_waha_auth_lookup_t *lookup,
    ngx_http_waha_auth_outcome_e outcome)
{
    if (lookup->statement == NGX_HTTP_WAHA_AUTHENTICATE) {
        ngx_http_waha_auth_limit_settle(lookup->request, lookup->key, outcome);
    }
}


static ngx_http_waha_error_e
ngx_http_waha_auth_lookup_parse_reply(ngx_http_waha_auth_lookup_t *lookup)
{
    cJSON                      *json;
    ngx_int_t                   rc;
    ngx_pool_t                 *pool;
    ngx_http_waha_principal_t  *principal;

    pool = lookup->request->pool;
    principal = &lookup->record.principal;

    rc = ngx_http_waha_json_parse(pool, &lookup->query.reply, &json);
    if (rc != NGX_OK) {
        return ngx_http_waha_auth_lookup_error(rc);
    }

    if (lookup->statement == NGX_HTTP_WAHA_AUTHENTICATE) {
        ngx_http_waha_auth_lookup_read_rights(json, &lookup->record);

    } else {
        principal->read = 1;
        principal->write = 1;
    }

    if (principal->operator) {
        return NGX_HTTP_WAHA_ERR_NONE;
    }

    rc = ngx_http_waha_auth_lookup_parse_organization(pool,
                                                  &lookup->query.reply, json,
                                                  &principal->organization);

    return ngx_http_waha_auth_lookup_error(rc);
}


/* a reply that cannot be read is the database's fault, but no memory is not */

static ngx_http_waha_error_e
ngx_http_waha_auth_lookup_error(ngx_int_t rc)
{
    switch (rc) {

    case NGX_OK:
        return NGX_HTTP_WAHA_ERR_NONE;

    case NGX_DECLINED:
        return NGX_HTTP_WAHA_ERR_DATABASE_SETUP;

    default:
        return NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY;
    }
}


ngx_int_t
ngx_http_waha_auth_lookup_parse_organization(ngx_pool_t *pool,
    const ngx_str_t *reply, const cJSON *json,
    ngx_http_waha_organization_t *organization)
{
    cJSON  *id;

    organization->slug = ngx_http_waha_json_get_string(json, "organization");

    if (organization->slug.len == 0) {
        return NGX_DECLINED;
    }

    id = ngx_http_waha_json_get(json, "id");

    return ngx_http_waha_json_integer(pool, reply, json, id,
                                      &organization->id);
}


static void
ngx_http_waha_auth_lookup_read_rights(cJSON *json,
    ngx_http_waha_auth_record_t *record)
{
    cJSON                      *operator, *scopes, *expires;
    ngx_http_waha_principal_t  *principal;

    principal = &record->principal;

    operator = ngx_http_waha_json_get(json, "operator");
    scopes = ngx_http_waha_json_get(json, "scopes");
    expires = ngx_http_waha_json_get(json, "expires_at");

    principal->operator = cJSON_IsTrue(operator);
    principal->read = ngx_http_waha_auth_lookup_has_scope(scopes, "read");
    principal->write = ngx_http_waha_auth_lookup_has_scope(scopes, "write");

    if (cJSON_IsNumber(expires)) {
        record->expires = (time_t) expires->valuedouble;
    }
}


static ngx_uint_t
ngx_http_waha_auth_lookup_has_scope(cJSON *scopes, const char *name)
{
    cJSON  *scope;

    cJSON_ArrayForEach(scope, scopes) {

        if (cJSON_IsString(scope)
            && ngx_strcmp(scope->valuestring, name) == 0)
        {
            return 1;
        }
    }

    return 0;
}
