
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_auth_limit.h>
#include <ngx_http_waha_connection.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_signature.h>


/* what a worker remembers: connections, and ids of none */

#define NGX_HTTP_WAHA_CONNECTION_KNOWN    4096
#define NGX_HTTP_WAHA_CONNECTION_UNKNOWN  1024

/* look-ups of ids that a worker does not know yet, side by side */

#define NGX_HTTP_WAHA_CONNECTION_RUNNING  64

/* milliseconds for which one look-up is enough, and a failed one too */

#define NGX_HTTP_WAHA_CONNECTION_AGAIN    1000

/* bytes of an id, as the database has it */

#define NGX_HTTP_WAHA_CONNECTION_MIN      16
#define NGX_HTTP_WAHA_CONNECTION_MAX      64


struct ngx_http_waha_connections_s {
    ngx_http_waha_db_conf_t     *db;
    ngx_http_waha_secrets_t     *secrets;

    ngx_http_waha_cache_t       *known;
    ngx_http_waha_cache_t       *unknown;

    ngx_array_t                 *nobody;
    ngx_uint_t                   running;
};


static void ngx_http_waha_connection_free(ngx_http_waha_cache_entry_t *entry);
static void ngx_http_waha_connection_free_unknown(
    ngx_http_waha_cache_entry_t *entry);
static ngx_int_t ngx_http_waha_connection_add_nobody(
    ngx_http_waha_connections_t *connections, ngx_pool_t *pool);
static ngx_http_waha_connection_t *ngx_http_waha_connection_find_known(
    ngx_http_waha_connections_t *connections, u_char *key);
static ngx_uint_t ngx_http_waha_connection_is_unknown(
    ngx_http_waha_connections_t *connections, u_char *key);
static ngx_int_t ngx_http_waha_connection_ask(
    ngx_http_waha_connections_t *connections,
    ngx_http_waha_connection_lookup_t *lookup,
    ngx_http_waha_connection_t *known);
static void ngx_http_waha_connection_cleanup(void *data);
static void ngx_http_waha_connection_done(ngx_http_waha_query_t *query);
static ngx_int_t ngx_http_waha_connection_on_reply(void *data);
static void ngx_http_waha_connection_read(
    ngx_http_waha_connections_t *connections,
    ngx_http_waha_connection_lookup_t *lookup);
static void ngx_http_waha_connection_forget(
    ngx_http_waha_connections_t *connections,
    ngx_http_waha_connection_lookup_t *lookup);
static ngx_http_waha_error_e ngx_http_waha_connection_create(
    ngx_http_waha_connections_t *connections,
    ngx_http_waha_connection_lookup_t *lookup);
static ngx_int_t ngx_http_waha_connection_fill(
    ngx_http_waha_connections_t *connections,
    ngx_http_waha_connection_t *connection, ngx_str_t *id, cJSON *json);
static ngx_int_t ngx_http_waha_connection_copy(ngx_pool_t *pool, cJSON *json,
    const char *name, ngx_str_t *value);
static ngx_int_t ngx_http_waha_connection_add_key(
    ngx_http_waha_connections_t *connections,
    ngx_http_waha_connection_t *connection, cJSON *json, const char *name);
static ngx_uint_t ngx_http_waha_connection_read_hash(ngx_str_t *hex,
    u_char *hash);
static ngx_int_t ngx_http_waha_connection_keep(
    ngx_http_waha_connections_t *connections,
    ngx_http_waha_connection_lookup_t *lookup,
    ngx_http_waha_connection_t *connection);
static void ngx_http_waha_connection_destroy(void *data);


/* all ids that are of no connection, for the limit of an address */

static ngx_str_t  ngx_http_waha_connection_guesses = ngx_string("guesses");


ngx_http_waha_connections_t *
ngx_http_waha_connections_create(ngx_cycle_t *cycle,
    ngx_http_waha_db_conf_t *db, ngx_http_waha_secrets_t *secrets)
{
    ngx_http_waha_connections_t  *connections;

    connections = ngx_pcalloc(cycle->pool,
                              sizeof(ngx_http_waha_connections_t));
    if (connections == NULL) {
        return NULL;
    }

    connections->db = db;
    connections->secrets = secrets;

    connections->known = ngx_http_waha_cache_create(cycle,
                                            NGX_HTTP_WAHA_CONNECTION_KNOWN, 1,
                                            ngx_http_waha_connection_free);

    connections->unknown = ngx_http_waha_cache_create(cycle,
                                      NGX_HTTP_WAHA_CONNECTION_UNKNOWN, 0,
                                      ngx_http_waha_connection_free_unknown);

    if (connections->known == NULL
        || connections->unknown == NULL
        || ngx_http_waha_connection_add_nobody(connections, cycle->pool)
           != NGX_OK)
    {
        return NULL;
    }

    return connections;
}


static void
ngx_http_waha_connection_free(ngx_http_waha_cache_entry_t *entry)
{
    ngx_http_waha_connection_t  *connection;

    connection = (ngx_http_waha_connection_t *) entry;

    ngx_destroy_pool(connection->pool);
}


static void
ngx_http_waha_connection_free_unknown(ngx_http_waha_cache_entry_t *entry)
{
    ngx_free(entry);
}


static ngx_int_t
ngx_http_waha_connection_add_nobody(ngx_http_waha_connections_t *connections,
    ngx_pool_t *pool)
{
    ngx_http_waha_hmac_key_t  *key;

    connections->nobody = ngx_array_create(pool, 1,
                                           sizeof(ngx_http_waha_hmac_key_t));
    if (connections->nobody == NULL) {
        return NGX_ERROR;
    }

    key = ngx_array_push(connections->nobody);
    if (key == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(key, sizeof(ngx_http_waha_hmac_key_t));

    key->secret.len = NGX_HTTP_WAHA_CONNECTION_HASH;
    key->secret.data = ngx_pnalloc(pool, key->secret.len);

    if (key->secret.data == NULL
        || RAND_bytes(key->secret.data, (int) key->secret.len) != 1)
    {
        return NGX_ERROR;
    }

    return ngx_http_waha_signature_set_key(pool, key);
}


void
ngx_http_waha_connections_destroy(ngx_http_waha_connections_t *connections)
{
    ngx_http_waha_cache_clear(connections->known);
    ngx_http_waha_cache_clear(connections->unknown);
}


void
ngx_http_waha_connections_notified(void *data, const char *name)
{
    ngx_http_waha_connections_t *connections = data;

    ngx_http_waha_cache_notified(connections->known, name);
    ngx_http_waha_cache_notified(connections->unknown, name);
}


ngx_uint_t
ngx_http_waha_connection_is_id(ngx_str_t *id)
{
    u_char  ch;
    size_t  i;

    if (id->len < NGX_HTTP_WAHA_CONNECTION_MIN
        || id->len > NGX_HTTP_WAHA_CONNECTION_MAX)
    {
        return 0;
    }

    for (i = 0; i < id->len; i++) {
        ch = id->data[i];

        if ((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z')
            || (ch >= 'A' && ch <= 'Z') || ch == '-' || ch == '_')
        {
            continue;
        }

        return 0;
    }

    return 1;
}


ngx_int_t
ngx_http_waha_connection_find(ngx_http_waha_connection_lookup_t *lookup)
{
    ngx_http_waha_main_conf_t    *wmcf;
    ngx_http_waha_connection_t   *known;
    ngx_http_waha_connections_t  *connections;

    wmcf = ngx_http_get_module_main_conf(lookup->request,
                                         ngx_http_waha_module);
    connections = wmcf->connections;

    lookup->error = NGX_HTTP_WAHA_ERR_NONE;
    lookup->connection = NULL;

    if (!ngx_http_waha_connection_is_id(&lookup->id)) {
        return NGX_OK;
    }

    if (EVP_Digest(lookup->id.data, lookup->id.len, lookup->key, NULL,
                   EVP_sha256(), NULL)
        != 1)
    {
        return NGX_ERROR;
    }

    known = ngx_http_waha_connection_find_known(connections, lookup->key);

    if (known
        && (ngx_http_waha_cache_is_current(connections->known, &known->entry)
            || (ngx_msec_int_t) (known->again - ngx_current_msec) > 0))
    {
        lookup->connection = known;
        return NGX_OK;
    }

    if (known == NULL
        && ngx_http_waha_connection_is_unknown(connections, lookup->key))
    {
        return NGX_OK;
    }

    return ngx_http_waha_connection_ask(connections, lookup, known);
}


/* one that a notification has named is not what it was: it is gone */

static ngx_http_waha_connection_t *
ngx_http_waha_connection_find_known(ngx_http_waha_connections_t *connections,
    u_char *key)
{
    ngx_http_waha_cache_entry_t  *entry;

    entry = ngx_http_waha_cache_find(connections->known, key);

    if (entry && ngx_http_waha_cache_is_changed(connections->known, entry)) {
        ngx_http_waha_cache_remove(connections->known, entry);
        return NULL;
    }

    return (ngx_http_waha_connection_t *) entry;
}


static ngx_uint_t
ngx_http_waha_connection_is_unknown(ngx_http_waha_connections_t *connections,
    u_char *key)
{
    ngx_http_waha_cache_entry_t  *entry;

    entry = ngx_http_waha_cache_find(connections->unknown, key);

    return entry
           && ngx_http_waha_cache_is_current(connections->unknown, entry);
}


static ngx_int_t
ngx_http_waha_connection_ask(ngx_http_waha_connections_t *connections,
    ngx_http_waha_connection_lookup_t *lookup,
    ngx_http_waha_connection_t *known)
{
    ngx_int_t            rc;
    ngx_pool_cleanup_t  *cln;

    if (known == NULL
        && connections->running >= NGX_HTTP_WAHA_CONNECTION_RUNNING)
    {
        lookup->error = NGX_HTTP_WAHA_ERR_OVERLOADED;
        return NGX_OK;
    }

    if (known == NULL
        && ngx_http_waha_auth_limit_is_spent(lookup->request,
                                             &ngx_http_waha_connection_guesses))
    {
        lookup->error = NGX_HTTP_WAHA_ERR_TOO_MANY_ATTEMPTS;
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(lookup->request->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    lookup->query.pool = lookup->request->pool;
    lookup->query.log = lookup->request->connection->log;
    lookup->query.handler = ngx_http_waha_connection_done;
    lookup->query.data = lookup;

    lookup->generation = ngx_http_waha_cache_generation(connections->known);

    rc = ngx_http_waha_query_start(connections->db, &lookup->query,
                                   NGX_HTTP_WAHA_FIND_CONNECTION,
                                   &lookup->id);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (known) {
        known->again = ngx_current_msec + NGX_HTTP_WAHA_CONNECTION_AGAIN;
    }

    if (rc == NGX_DECLINED) {
        lookup->connection = known;
        lookup->error = known ? NGX_HTTP_WAHA_ERR_NONE : lookup->query.error;

        return NGX_OK;
    }

    lookup->running = 1;
    connections->running++;

    cln->handler = ngx_http_waha_connection_cleanup;
    cln->data = lookup;

    return NGX_AGAIN;
}


static void
ngx_http_waha_connection_cleanup(void *data)
{
    ngx_http_waha_connection_lookup_t *lookup = data;

    ngx_http_waha_main_conf_t  *wmcf;

    if (!lookup->running) {
        return;
    }

    lookup->running = 0;

    wmcf = ngx_http_get_module_main_conf(lookup->request,
                                         ngx_http_waha_module);
    wmcf->connections->running--;
}


static void
ngx_http_waha_connection_done(ngx_http_waha_query_t *query)
{
    ngx_http_waha_connection_lookup_t *lookup = query->data;

    ngx_http_waha_request_resume(lookup->request,
                                 ngx_http_waha_connection_on_reply, lookup);
}


static ngx_int_t
ngx_http_waha_connection_on_reply(void *data)
{
    ngx_http_waha_connection_lookup_t *lookup = data;

    ngx_http_waha_main_conf_t  *wmcf;

    ngx_http_waha_connection_cleanup(lookup);

    wmcf = ngx_http_get_module_main_conf(lookup->request,
                                         ngx_http_waha_module);

    ngx_http_waha_connection_read(wmcf->connections, lookup);

    return lookup->handler(lookup->data);
}


static void
ngx_http_waha_connection_read(ngx_http_waha_connections_t *connections,
    ngx_http_waha_connection_lookup_t *lookup)
{
    ngx_http_waha_connection_t  *known;

    switch (lookup->query.error) {

    case NGX_HTTP_WAHA_ERR_NONE:
        lookup->error = ngx_http_waha_connection_create(connections, lookup);
        return;

    case NGX_HTTP_WAHA_ERR_UNKNOWN_CONNECTION:
        ngx_http_waha_connection_forget(connections, lookup);
        return;

    default:
        break;
    }

    /* the database is down: what was known before has to do */

    known = ngx_http_waha_connection_find_known(connections, lookup->key);

    if (known == NULL) {
        lookup->error = lookup->query.error;
        return;
    }

    known->again = ngx_current_msec + NGX_HTTP_WAHA_CONNECTION_AGAIN;

    lookup->connection = known;
}


static void
ngx_http_waha_connection_forget(ngx_http_waha_connections_t *connections,
    ngx_http_waha_connection_lookup_t *lookup)
{
    ngx_str_t                    *names[NGX_HTTP_WAHA_CACHE_NAMES];
    ngx_http_waha_cache_entry_t  *entry;

    entry = ngx_http_waha_cache_find(connections->known, lookup->key);

    if (entry) {
        ngx_http_waha_cache_remove(connections->known, entry);
    }

    ngx_http_waha_auth_limit_charge_scope(lookup->request,
                                          &ngx_http_waha_connection_guesses);

    entry = ngx_alloc(sizeof(ngx_http_waha_cache_entry_t), ngx_cycle->log);
    if (entry == NULL) {
        return;
    }

    names[0] = &lookup->id;
    names[1] = &lookup->id;
    names[2] = &lookup->id;

    if (ngx_http_waha_cache_put(connections->unknown, entry, lookup->key,
                                lookup->generation, names)
        != NGX_OK)
    {
        ngx_free(entry);
    }
}


static ngx_http_waha_error_e
ngx_http_waha_connection_create(ngx_http_waha_connections_t *connections,
    ngx_http_waha_connection_lookup_t *lookup)
{
    cJSON                       *json;
    ngx_int_t                    rc;
    ngx_pool_t                  *pool;
    ngx_http_waha_connection_t  *connection;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY;
    }

    connection = ngx_pcalloc(pool, sizeof(ngx_http_waha_connection_t));

    if (connection == NULL) {
        rc = NGX_ERROR;
        goto failed;
    }

    connection->pool = pool;

    rc = ngx_http_waha_json_parse(lookup->request->pool,
                                  &lookup->query.reply, &json);
    if (rc != NGX_OK) {
        goto failed;
    }

    rc = ngx_http_waha_connection_fill(connections, connection, &lookup->id,
                                       json);
    if (rc != NGX_OK) {
        goto failed;
    }

    rc = ngx_http_waha_connection_keep(connections, lookup, connection);

    if (rc == NGX_OK) {
        return NGX_HTTP_WAHA_ERR_NONE;
    }

failed:

    ngx_destroy_pool(pool);

    return (rc == NGX_ERROR) ? NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY
                             : NGX_HTTP_WAHA_ERR_DATABASE_SETUP;
}


/* NGX_DECLINED: the database answers with something else */

static ngx_int_t
ngx_http_waha_connection_fill(ngx_http_waha_connections_t *connections,
    ngx_http_waha_connection_t *connection, ngx_str_t *id, cJSON *json)
{
    ngx_int_t  rc;
    ngx_str_t  hex;

    connection->id.len = id->len;
    connection->id.data = ngx_pstrdup(connection->pool, id);

    if (connection->id.data == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_waha_connection_copy(connection->pool, json, "organization",
                                       &connection->organization);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_waha_connection_copy(connection->pool, json, "session",
                                       &connection->session);
    if (rc != NGX_OK) {
        return rc;
    }

    connection->own_secret =
                   cJSON_IsTrue(ngx_http_waha_json_get(json, "own_secret"));

    hex = ngx_http_waha_json_get_string(json, "verify_token_hash");

    connection->has_token = ngx_http_waha_connection_read_hash(&hex,
                                                          connection->token);

    if (ngx_http_waha_connection_add_key(connections, connection, json,
                                         "app_secret")
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_waha_connection_add_key(connections, connection, json,
                                            "previous_app_secret");
}


static ngx_int_t
ngx_http_waha_connection_copy(ngx_pool_t *pool, cJSON *json,
    const char *name, ngx_str_t *value)
{
    *value = ngx_http_waha_json_get_string(json, name);

    if (value->len == 0) {
        return NGX_DECLINED;
    }

    value->data = ngx_pstrdup(pool, value);

    return value->data ? NGX_OK : NGX_ERROR;
}


/* a secret that cannot be opened signs nothing; the log says why */

static ngx_int_t
ngx_http_waha_connection_add_key(ngx_http_waha_connections_t *connections,
    ngx_http_waha_connection_t *connection, cJSON *json, const char *name)
{
    ngx_int_t                      rc;
    ngx_str_t                      sealed, plain;
    ngx_pool_t                    *pool;
    ngx_http_waha_hmac_key_t      *key;
    ngx_http_waha_secret_place_t   place;

    pool = connection->pool;

    sealed = ngx_http_waha_json_get_string(json, name);

    if (sealed.len == 0) {
        return NGX_OK;
    }

    ngx_str_set(&place.table, "connections");
    place.organization = connection->organization;
    place.row = connection->id;

    /* the one before was sealed when it was the app's secret */
    ngx_str_set(&place.column, "app_secret");

    rc = ngx_http_waha_secret_open(pool, connections->secrets, &place,
                                   &sealed, &plain);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    /* with an empty secret anybody could sign */

    if (rc != NGX_OK || plain.len == 0) {
        return NGX_OK;
    }

    if (connection->keys == NULL) {
        connection->keys = ngx_array_create(pool, 2,
                                            sizeof(ngx_http_waha_hmac_key_t));
        if (connection->keys == NULL) {
            return NGX_ERROR;
        }
    }

    key = ngx_array_push(connection->keys);
    if (key == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(key, sizeof(ngx_http_waha_hmac_key_t));

    key->secret = plain;

    return ngx_http_waha_signature_set_key(pool, key);
}


static ngx_uint_t
ngx_http_waha_connection_read_hash(ngx_str_t *hex, u_char *hash)
{
    ngx_int_t   n;
    ngx_uint_t  i;

    if (hex->len != 2 * NGX_HTTP_WAHA_CONNECTION_HASH) {
        return 0;
    }

    for (i = 0; i < NGX_HTTP_WAHA_CONNECTION_HASH; i++) {

        n = ngx_hextoi(hex->data + 2 * i, 2);

        if (n == NGX_ERROR) {
            return 0;
        }

        hash[i] = (u_char) n;
    }

    return 1;
}


/* one that notifications have overtaken serves this request alone */

static ngx_int_t
ngx_http_waha_connection_keep(ngx_http_waha_connections_t *connections,
    ngx_http_waha_connection_lookup_t *lookup,
    ngx_http_waha_connection_t *connection)
{
    ngx_str_t           *names[NGX_HTTP_WAHA_CACHE_NAMES];
    ngx_pool_cleanup_t  *cln;

    /* others than the id would forget it at news that do not concern it */

    names[0] = &connection->id;
    names[1] = &connection->id;
    names[2] = &connection->id;

    if (ngx_http_waha_cache_put(connections->known, &connection->entry,
                                lookup->key, lookup->generation, names)
        != NGX_OK)
    {
        cln = ngx_pool_cleanup_add(lookup->request->pool, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_waha_connection_destroy;
        cln->data = connection->pool;
    }

    lookup->connection = connection;

    return NGX_OK;
}


static void
ngx_http_waha_connection_destroy(void *data)
{
    ngx_destroy_pool(data);
}


ngx_uint_t
ngx_http_waha_connection_is_token(ngx_http_waha_connection_t *connection,
    ngx_str_t *token)
{
    static const u_char  none[NGX_HTTP_WAHA_CONNECTION_HASH];

    ngx_uint_t     equal;
    const u_char  *hash;

    hash = (connection && connection->has_token) ? connection->token : none;

    equal = ngx_http_waha_connection_is_hash(hash, token);

    return equal && hash != none;
}


ngx_uint_t
ngx_http_waha_connection_is_hash(const u_char *hash, ngx_str_t *token)
{
    u_char  own[EVP_MAX_MD_SIZE];

    return EVP_Digest(token->data, token->len, own, NULL, EVP_sha256(), NULL)
           == 1
           && CRYPTO_memcmp(own, hash, NGX_HTTP_WAHA_CONNECTION_HASH) == 0;
}


ngx_array_t *
ngx_http_waha_connection_nobody(ngx_http_waha_connections_t *connections)
{
    return connections->nobody;
}
