
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_signature.h>
#include <ngx_http_waha_session_config.h>
#include <ngx_http_waha_string.h>


/* exponential: retries after 4, 8, ... 2048 seconds, 68 minutes in all */

#define NGX_HTTP_WAHA_SESSION_ATTEMPTS  10
#define NGX_HTTP_WAHA_SESSION_DELAY     2       /* seconds */


static void ngx_http_waha_session_config_write(
    ngx_http_waha_json_out_t *out, ngx_http_waha_session_config_t *conf,
    const cJSON *config);
static void ngx_http_waha_session_config_write_metadata(
    ngx_http_waha_json_out_t *out, ngx_http_waha_session_config_t *conf,
    const cJSON *metadata);
static void ngx_http_waha_session_config_write_ignore(
    ngx_http_waha_json_out_t *out, ngx_http_waha_session_config_t *conf,
    const cJSON *ignore);
static ngx_uint_t ngx_http_waha_session_config_is_ignored(
    ngx_http_waha_session_config_t *conf, const char *name);
static void ngx_http_waha_session_config_write_webhooks(
    ngx_http_waha_json_out_t *out, ngx_http_waha_session_config_t *conf,
    const cJSON *webhooks);
static void ngx_http_waha_session_config_write_webhook(
    ngx_http_waha_json_out_t *out, ngx_http_waha_session_config_t *conf,
    const cJSON *webhook);
static void ngx_http_waha_session_config_copy_others(
    ngx_http_waha_json_out_t *out, const cJSON *object, const char **names);
static ngx_uint_t ngx_http_waha_session_config_has_webhook(
    ngx_http_waha_session_config_t *conf, const cJSON *webhooks);
static ngx_uint_t ngx_http_waha_session_config_is_replaced(
    ngx_http_waha_session_config_t *conf, const cJSON *webhook);
static ngx_uint_t ngx_http_waha_session_config_has_place(
    const ngx_str_t *host, const ngx_str_t *path, const ngx_str_t *url);
static void ngx_http_waha_session_config_split(const ngx_str_t *url,
    ngx_str_t *host, ngx_str_t *path);
static ngx_uint_t ngx_http_waha_session_config_wants(
    ngx_http_waha_session_config_t *conf, const char *event);
static ngx_uint_t ngx_http_waha_session_config_has_event(const cJSON *events,
    const char *event);
static ngx_uint_t ngx_http_waha_session_config_has(const cJSON *object,
    const char *name, ngx_str_t *value);


static const char  *ngx_http_waha_session_config_events[] = {
    "session.status", "message.any", "message.ack", "message.reaction",
    "message.edited", "message.revoked", "message.ack.group",
    "call.received", "call.accepted", "call.rejected", NULL
};

static const char  *ngx_http_waha_session_config_ignored[] = {
    "status", "channels", "broadcast", NULL
};

/* of webhooks that older services made, on any host */

static ngx_str_t  ngx_http_waha_session_config_guides[] = {
    ngx_string("/api/whatsapp/webhook"),
    ngx_string("/api/webhook/waha"),
    ngx_null_string
};

/* members that we write; all others of an object are copied */

static const char  *ngx_http_waha_session_config_members[] = {
    "metadata", "ignore", "webhooks", NULL
};

static const char  *ngx_http_waha_session_config_metadata_members[] = {
    "organization_slug", "organization_id", NULL
};

static const char  *ngx_http_waha_session_config_webhook_members[] = {
    "url", "events", "hmac", "retries", NULL
};


ngx_str_t
ngx_http_waha_session_config_find_key(ngx_array_t *keys, ngx_str_t *instance)
{
    ngx_str_t                  bound, unbound;
    ngx_uint_t                 i;
    ngx_http_waha_hmac_key_t  *key;

    ngx_str_null(&bound);
    ngx_str_null(&unbound);

    key = keys->elts;

    for (i = 0; i < keys->nelts; i++) {

        if (key[i].instance.len == 0) {
            unbound = key[i].secret;

        } else if (ngx_http_waha_string_is_equal(&key[i].instance,
                                                 instance))
        {
            bound = key[i].secret;
        }
    }

    return bound.data ? bound : unbound;
}


ngx_int_t
ngx_http_waha_session_config_write_create(ngx_pool_t *pool,
    ngx_http_waha_session_config_t *conf, ngx_str_t *name, ngx_str_t *json)
{
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, pool, 1024);

    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put(&out, "name", name);
    ngx_http_waha_json_put_bool(&out, "start", 1);
    ngx_http_waha_session_config_write(&out, conf, NULL);
    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_json_end(&out, json);
}


ngx_int_t
ngx_http_waha_session_config_write_update(ngx_pool_t *pool,
    ngx_http_waha_session_config_t *conf, const cJSON *config,
    ngx_str_t *json)
{
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, pool, 1024);

    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_session_config_write(&out, conf, config);
    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_json_end(&out, json);
}


static void
ngx_http_waha_session_config_write(ngx_http_waha_json_out_t *out,
    ngx_http_waha_session_config_t *conf, const cJSON *config)
{
    ngx_http_waha_json_open(out, "config", '{');

    ngx_http_waha_session_config_copy_others(out, config,
                                   ngx_http_waha_session_config_members);

    ngx_http_waha_session_config_write_metadata(out, conf,
                                   ngx_http_waha_json_get(config, "metadata"));
    ngx_http_waha_session_config_write_ignore(out, conf,
                                   ngx_http_waha_json_get(config, "ignore"));
    ngx_http_waha_session_config_write_webhooks(out, conf,
                                   ngx_http_waha_json_get(config, "webhooks"));

    ngx_http_waha_json_close(out, '}');
}


static void
ngx_http_waha_session_config_write_metadata(ngx_http_waha_json_out_t *out,
    ngx_http_waha_session_config_t *conf, const cJSON *metadata)
{
    ngx_http_waha_json_open(out, "metadata", '{');

    ngx_http_waha_session_config_copy_others(out, metadata,
                               ngx_http_waha_session_config_metadata_members);

    ngx_http_waha_json_put(out, "organization_slug",
                           &conf->organization_slug);
    ngx_http_waha_json_put(out, "organization_id", &conf->organization_id);

    ngx_http_waha_json_close(out, '}');
}


static void
ngx_http_waha_session_config_write_ignore(ngx_http_waha_json_out_t *out,
    ngx_http_waha_session_config_t *conf, const cJSON *ignore)
{
    const char  **name;

    ngx_http_waha_json_open(out, "ignore", '{');

    ngx_http_waha_session_config_copy_others(out, ignore,
                               ngx_http_waha_session_config_ignored);

    for (name = ngx_http_waha_session_config_ignored; *name; name++) {
        ngx_http_waha_json_put_bool(out, *name,
                        ngx_http_waha_session_config_is_ignored(conf, *name));
    }

    ngx_http_waha_json_close(out, '}');
}


static ngx_uint_t
ngx_http_waha_session_config_is_ignored(ngx_http_waha_session_config_t *conf,
    const char *name)
{
    switch (*name) {

    case 's':
        return conf->ignore_statuses;

    case 'c':
        return conf->ignore_newsletters;

    default: /* broadcast */
        return conf->ignore_broadcasts;
    }
}


static void
ngx_http_waha_session_config_write_webhooks(ngx_http_waha_json_out_t *out,
    ngx_http_waha_session_config_t *conf, const cJSON *webhooks)
{
    ngx_str_t     url;
    const cJSON  *webhook, *ours;

    ours = NULL;

    ngx_http_waha_json_open(out, "webhooks", '[');

    for (webhook = cJSON_IsArray(webhooks) ? webhooks->child : NULL;
         webhook;
         webhook = webhook->next)
    {
        url = ngx_http_waha_json_get_string(webhook, "url");

        if (ngx_http_waha_string_is_equal(&url, &conf->url)) {
            ours = webhook;

        } else if (!ngx_http_waha_session_config_is_replaced(conf, webhook)) {
            ngx_http_waha_json_put_item(out, NULL, webhook);
        }
    }

    ngx_http_waha_session_config_write_webhook(out, conf, ours);

    ngx_http_waha_json_close(out, ']');
}


static void
ngx_http_waha_session_config_write_webhook(ngx_http_waha_json_out_t *out,
    ngx_http_waha_session_config_t *conf, const cJSON *webhook)
{
    const char  **event;

    ngx_http_waha_json_open(out, NULL, '{');

    ngx_http_waha_session_config_copy_others(out, webhook,
                               ngx_http_waha_session_config_webhook_members);

    ngx_http_waha_json_put(out, "url", &conf->url);

    ngx_http_waha_json_open(out, "events", '[');

    for (event = ngx_http_waha_session_config_events; *event; event++) {

        if (ngx_http_waha_session_config_wants(conf, *event)) {
            ngx_http_waha_json_put_text(out, NULL, *event);
        }
    }

    ngx_http_waha_json_close(out, ']');

    if (conf->key.len) {
        ngx_http_waha_json_open(out, "hmac", '{');
        ngx_http_waha_json_put(out, "key", &conf->key);
        ngx_http_waha_json_close(out, '}');
    }

    ngx_http_waha_json_open(out, "retries", '{');
    ngx_http_waha_json_put_text(out, "policy", "exponential");
    ngx_http_waha_json_put_number(out, "delaySeconds",
                                  NGX_HTTP_WAHA_SESSION_DELAY);
    ngx_http_waha_json_put_number(out, "attempts",
                                  NGX_HTTP_WAHA_SESSION_ATTEMPTS);
    ngx_http_waha_json_close(out, '}');

    ngx_http_waha_json_close(out, '}');
}


/* copies the members of an object that have none of the names */

static void
ngx_http_waha_session_config_copy_others(ngx_http_waha_json_out_t *out,
    const cJSON *object, const char **names)
{
    const char   **name;
    const cJSON   *item;

    if (!cJSON_IsObject(object)) {
        return;
    }

    for (item = object->child; item; item = item->next) {

        for (name = names; *name; name++) {
            if (ngx_strcmp(item->string, *name) == 0) {
                break;
            }
        }

        if (*name == NULL) {
            ngx_http_waha_json_put_member(out, item);
        }
    }
}


ngx_uint_t
ngx_http_waha_session_config_is_ours(ngx_http_waha_session_config_t *conf,
    const cJSON *config)
{
    const char   **name;
    const cJSON   *metadata, *ignore;

    metadata = ngx_http_waha_json_get(config, "metadata");
    ignore = ngx_http_waha_json_get(config, "ignore");

    for (name = ngx_http_waha_session_config_ignored; *name; name++) {

        if (cJSON_IsTrue(ngx_http_waha_json_get(ignore, *name))
            != (int) ngx_http_waha_session_config_is_ignored(conf, *name))
        {
            return 0;
        }
    }

    return ngx_http_waha_session_config_has(metadata, "organization_slug",
                                            &conf->organization_slug)
           && ngx_http_waha_session_config_has(metadata, "organization_id",
                                               &conf->organization_id)
           && ngx_http_waha_session_config_has_webhook(conf,
                                 ngx_http_waha_json_get(config, "webhooks"));
}


/* exactly one is ours: WAHA would send each event to all of them */

static ngx_uint_t
ngx_http_waha_session_config_has_webhook(ngx_http_waha_session_config_t *conf,
    const cJSON *webhooks)
{
    const char   **event;
    const cJSON   *webhook, *ours;

    ours = NULL;

    for (webhook = cJSON_IsArray(webhooks) ? webhooks->child : NULL;
         webhook;
         webhook = webhook->next)
    {
        if (!ngx_http_waha_session_config_has(webhook, "url", &conf->url)) {

            if (ngx_http_waha_session_config_is_replaced(conf, webhook)) {
                return 0;
            }

            continue;
        }

        if (ours) {
            return 0;
        }

        ours = webhook;
    }

    for (event = ngx_http_waha_session_config_events; *event; event++) {

        if (ngx_http_waha_session_config_wants(conf, *event)
            && !ngx_http_waha_session_config_has_event(
                               ngx_http_waha_json_get(ours, "events"), *event))
        {
            return 0;
        }
    }

    return conf->key.len == 0
           || ngx_http_waha_session_config_has(
                                          ngx_http_waha_json_get(ours, "hmac"),
                                          "key", &conf->key);
}


/* whether ours takes the place of a webhook with another URL */

static ngx_uint_t
ngx_http_waha_session_config_is_replaced(ngx_http_waha_session_config_t *conf,
    const cJSON *webhook)
{
    ngx_str_t  *guide, url, host, path;

    url = ngx_http_waha_json_get_string(webhook, "url");

    if (url.len == 0) {
        return 0;
    }

    ngx_http_waha_session_config_split(&url, &host, &path);

    if (ngx_http_waha_session_config_has_place(&host, &path, &conf->url)) {
        return 1;
    }

    if (conf->old_url.len
        && ngx_http_waha_session_config_has_place(&host, &path,
                                                  &conf->old_url))
    {
        return 1;
    }

    for (guide = ngx_http_waha_session_config_guides; guide->len; guide++) {

        if (ngx_http_waha_string_is_equal(&path, guide)) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_waha_session_config_has_place(const ngx_str_t *host,
    const ngx_str_t *path, const ngx_str_t *url)
{
    ngx_str_t  own_host, own_path;

    ngx_http_waha_session_config_split(url, &own_host, &own_path);

    return host->len == own_host.len
           && ngx_strncasecmp(host->data, own_host.data, host->len) == 0
           && ngx_http_waha_string_is_equal(path, &own_path);
}


/* the host without a port, the path without a query and a last "/" */

static void
ngx_http_waha_session_config_split(const ngx_str_t *url, ngx_str_t *host,
    ngx_str_t *path)
{
    u_char  *p, *last;

    last = url->data + url->len;

    p = ngx_strlchr(url->data, last, ':');

    host->data = (p && last - p > 2 && p[1] == '/' && p[2] == '/')
                 ? p + 3 : url->data;

    for (p = host->data; p < last; p++) {

        if (*p == '/' || *p == '?' || *p == '#') {
            break;
        }
    }

    path->data = p;

    for (host->len = 0; host->data + host->len < path->data; host->len++) {

        /* an IPv6 address has colons within brackets */

        if (host->data[host->len] == ':'
            && (host->data[0] != '[' || host->data[host->len - 1] == ']'))
        {
            break;
        }
    }

    for ( /* void */ ; p < last && *p != '?' && *p != '#'; p++) { /* void */ }

    path->len = p - path->data;

    if (path->len && path->data[path->len - 1] == '/') {
        path->len--;
    }
}


/* each acknowledgement in a group would be an event */

static ngx_uint_t
ngx_http_waha_session_config_wants(ngx_http_waha_session_config_t *conf,
    const char *event)
{
    return !conf->ignore_groups
           || ngx_strcmp(event, "message.ack.group") != 0;
}


/* "*" subscribes to all events of that list */

static ngx_uint_t
ngx_http_waha_session_config_has_event(const cJSON *events,
    const char *event)
{
    const cJSON  *item;

    if (!cJSON_IsArray(events)) {
        return 0;
    }

    for (item = events->child; item; item = item->next) {

        if (cJSON_IsString(item)
            && (ngx_strcmp(item->valuestring, event) == 0
                || ngx_strcmp(item->valuestring, "*") == 0))
        {
            return 1;
        }
    }

    return 0;
}


/* whether an object has a string of that name and value */

static ngx_uint_t
ngx_http_waha_session_config_has(const cJSON *object, const char *name,
    ngx_str_t *value)
{
    ngx_str_t  text;

    text = ngx_http_waha_json_get_string(object, name);

    return text.data && ngx_http_waha_string_is_equal(&text, value);
}
