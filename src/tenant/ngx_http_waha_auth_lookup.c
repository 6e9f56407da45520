
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <openssl/evp.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_auth_lookup.h>
#include <ngx_http_waha_bearer.h>
#include <ngx_http_waha_request.h>


#define NGX_HTTP_WAHA_AUTH_LOOKUP_ARGS  2


static ngx_int_t ngx_http_waha_auth_lookup_key(ngx_http_request_t *r,
    ngx_http_waha_statement_e statement, ngx_str_t *text, u_char *key);
static ngx_int_t ngx_http_waha_auth_lookup_ask(ngx_http_request_t *r,
    ngx_http_waha_auth_lookup_t *lookup, ngx_str_t *text);
static ngx_int_t ngx_http_waha_auth_lookup_args(ngx_http_request_t *r,
    ngx_http_waha_statement_e statement, ngx_str_t *text, ngx_str_t *args);
static void ngx_http_waha_auth_lookup_done(ngx_http_waha_query_t *query);
static ngx_int_t ngx_http_waha_auth_lookup_resume(void *data);
static void ngx_http_waha_auth_lookup_answer(ngx_http_request_t *r,
    ngx_http_waha_auth_lookup_t *lookup);
static ngx_int_t ngx_http_waha_auth_lookup_read(ngx_http_request_t *r,
    ngx_http_waha_auth_lookup_t *lookup);
static void ngx_http_waha_auth_lookup_rights(cJSON *json,
    ngx_http_waha_auth_record_t *record);
static ngx_uint_t ngx_http_waha_auth_lookup_scope(cJSON *scopes,
    const char *name);


ngx_int_t
ngx_http_waha_auth_lookup(ngx_http_request_t *r,
    ngx_http_waha_auth_lookup_t **lookups, ngx_http_waha_statement_e statement,
    ngx_str_t *text, ngx_http_waha_auth_lookup_t **lookup)
{
    u_char                        key[NGX_HTTP_WAHA_AUTH_CACHE_KEY];
    ngx_int_t                     rc;
    ngx_http_waha_main_conf_t    *wmcf;
    ngx_http_waha_auth_lookup_t  *l;

    if (ngx_http_waha_auth_lookup_key(r, statement, text, key) != NGX_OK) {
        return NGX_ERROR;
    }

    for (l = *lookups; l; l = l->next) {

        if (ngx_memcmp(l->key, key, NGX_HTTP_WAHA_AUTH_CACHE_KEY) == 0) {
            *lookup = l;
            return l->waiting ? NGX_AGAIN : NGX_OK;
        }
    }

    l = ngx_pcalloc(r->pool, sizeof(ngx_http_waha_auth_lookup_t));
    if (l == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(l->key, key, NGX_HTTP_WAHA_AUTH_CACHE_KEY);

    l->request = r;
    l->statement = statement;

    l->next = *lookups;
    *lookups = l;
    *lookup = l;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    rc = ngx_http_waha_auth_cache_get(wmcf->auth_cache, key, r->pool,
                                      &l->record);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    l->generation = ngx_http_waha_auth_cache_generation(wmcf->auth_cache);

    return ngx_http_waha_auth_lookup_ask(r, l, text);
}


/* a credential and a name that are spelled alike are different questions */

static ngx_int_t
ngx_http_waha_auth_lookup_key(ngx_http_request_t *r,
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
ngx_http_waha_auth_lookup_ask(ngx_http_request_t *r,
    ngx_http_waha_auth_lookup_t *lookup, ngx_str_t *text)
{
    ngx_str_t                   args[NGX_HTTP_WAHA_AUTH_LOOKUP_ARGS];
    ngx_http_waha_main_conf_t  *wmcf;

    if (ngx_http_waha_auth_lookup_args(r, lookup->statement, text, args)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    lookup->query.pool = r->pool;
    lookup->query.log = r->connection->log;
    lookup->query.handler = ngx_http_waha_auth_lookup_done;
    lookup->query.data = lookup;

    switch (ngx_http_waha_query_start(wmcf->db, &lookup->query,
                                      lookup->statement, args))
    {
    case NGX_OK:
        lookup->waiting = 1;
        return NGX_AGAIN;

    case NGX_DECLINED:
        lookup->error = lookup->query.error;
        return NGX_OK;

    default:
        return NGX_ERROR;
    }
}


static ngx_int_t
ngx_http_waha_auth_lookup_args(ngx_http_request_t *r,
    ngx_http_waha_statement_e statement, ngx_str_t *text, ngx_str_t *args)
{
    u_char                      *p, hash[EVP_MAX_MD_SIZE];
    ngx_http_waha_bearer_key_t   key;

    if (statement == NGX_HTTP_WAHA_FIND_ORGANIZATION) {
        args[0] = *text;
        return NGX_OK;
    }

    if (ngx_http_waha_bearer_parse_key(text, &key) != NGX_OK
        || EVP_Digest(key.secret.data, key.secret.len, hash, NULL,
                      EVP_sha256(), NULL)
           != 1)
    {
        return NGX_ERROR;
    }

    args[0] = key.id;

    p = ngx_pnalloc(r->pool, 2 * NGX_HTTP_WAHA_AUTH_CACHE_KEY);
    if (p == NULL) {
        return NGX_ERROR;
    }

    args[1].len = 2 * NGX_HTTP_WAHA_AUTH_CACHE_KEY;
    args[1].data = p;

    (void) ngx_hex_dump(p, hash, NGX_HTTP_WAHA_AUTH_CACHE_KEY);

    return NGX_OK;
}


static void
ngx_http_waha_auth_lookup_done(ngx_http_waha_query_t *query)
{
    ngx_http_waha_auth_lookup_t *lookup = query->data;

    ngx_http_waha_request_resume(lookup->request,
                                 ngx_http_waha_auth_lookup_resume, lookup);
}


static ngx_int_t
ngx_http_waha_auth_lookup_resume(void *data)
{
    ngx_http_waha_auth_lookup_t *lookup = data;

    ngx_http_request_t  *r;

    r = lookup->request;

    lookup->waiting = 0;

    ngx_http_waha_auth_lookup_answer(r, lookup);

    ngx_http_core_run_phases(r);

    return NGX_DONE;
}


static void
ngx_http_waha_auth_lookup_answer(ngx_http_request_t *r,
    ngx_http_waha_auth_lookup_t *lookup)
{
    ngx_http_waha_error_e       error;
    ngx_http_waha_main_conf_t  *wmcf;

    error = lookup->query.error;

    if (error == NGX_HTTP_WAHA_ERR_NONE) {

        if (ngx_http_waha_auth_lookup_read(r, lookup) != NGX_OK) {
            lookup->error = NGX_HTTP_WAHA_ERR_DATABASE_SETUP;
            return;
        }

        lookup->record.found = 1;

    } else if (error != NGX_HTTP_WAHA_ERR_UNKNOWN_KEY
               && error != NGX_HTTP_WAHA_ERR_UNKNOWN_ORGANIZATION)
    {
        lookup->error = error;
        return;
    }

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    ngx_http_waha_auth_cache_put(wmcf->auth_cache, lookup->key,
                                 lookup->generation, &lookup->record);
}


static ngx_int_t
ngx_http_waha_auth_lookup_read(ngx_http_request_t *r,
    ngx_http_waha_auth_lookup_t *lookup)
{
    cJSON                        *json;
    ngx_http_waha_auth_record_t  *record;

    if (ngx_http_waha_json_parse(r->pool, &lookup->query.reply, &json)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    record = &lookup->record;

    if (lookup->statement == NGX_HTTP_WAHA_AUTHENTICATE) {
        ngx_http_waha_auth_lookup_rights(json, record);

    } else {
        record->principal.read = 1;
        record->principal.write = 1;
    }

    if (record->principal.operator) {
        return NGX_OK;
    }

    return ngx_http_waha_auth_lookup_organization(r->pool, json,
                                           &record->principal.organization);
}


ngx_int_t
ngx_http_waha_auth_lookup_organization(ngx_pool_t *pool, cJSON *json,
    ngx_http_waha_organization_t *organization)
{
    cJSON  *id;

    id = ngx_http_waha_json_get(json, "id");
    organization->slug = ngx_http_waha_json_get_string(json, "organization");

    if (organization->slug.len == 0 || !cJSON_IsNumber(id)) {
        return NGX_ERROR;
    }

    organization->id.data = ngx_pnalloc(pool, NGX_INT64_LEN);
    if (organization->id.data == NULL) {
        return NGX_ERROR;
    }

    organization->id.len = ngx_sprintf(organization->id.data, "%L",
                                       (int64_t) id->valuedouble)
                           - organization->id.data;

    return NGX_OK;
}


static void
ngx_http_waha_auth_lookup_rights(cJSON *json,
    ngx_http_waha_auth_record_t *record)
{
    cJSON  *scopes, *expires;

    scopes = ngx_http_waha_json_get(json, "scopes");
    expires = ngx_http_waha_json_get(json, "expires_at");

    record->principal.operator =
                       cJSON_IsTrue(ngx_http_waha_json_get(json, "operator"));
    record->principal.read = ngx_http_waha_auth_lookup_scope(scopes, "read");
    record->principal.write = ngx_http_waha_auth_lookup_scope(scopes,
                                                              "write");

    if (cJSON_IsNumber(expires)) {
        record->expires = (time_t) expires->valuedouble;
    }
}


static ngx_uint_t
ngx_http_waha_auth_lookup_scope(cJSON *scopes, const char *name)
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
