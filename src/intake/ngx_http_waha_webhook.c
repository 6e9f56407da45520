
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_auth_limit.h>
#include <ngx_http_waha_delivery.h>
#include <ngx_http_waha_intake_conf.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_redact.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_sources.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_subscribe.h>
#include <ngx_http_waha_webhook.h>


/* most answers fit */

#define NGX_HTTP_WAHA_WEBHOOK_ANSWER  256

/* bytes of a body that are hashed for everybody */

#define NGX_HTTP_WAHA_WEBHOOK_SHORT   65536

/* events that are set aside one by one; more are kept as a whole delivery */

#define NGX_HTTP_WAHA_WEBHOOK_ASIDE   16

/* events of a delivery in one transaction: more than Meta sends at once */

#define NGX_HTTP_WAHA_WEBHOOK_PART    1024

#define NGX_HTTP_WAHA_WEBHOOK_UNREAD                                          \
    "the body is not an event of WAHA: \"%V\" is missing or not valid"


static ngx_int_t ngx_http_waha_webhook_other_method(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_http_waha_error_e ngx_http_waha_webhook_check(
    ngx_http_request_t *r, ngx_http_waha_delivery_t *delivery,
    const char **reason);
static ngx_http_waha_error_e ngx_http_waha_webhook_check_size(
    ngx_http_request_t *r, ngx_http_waha_delivery_t *delivery, off_t size);
static ngx_int_t ngx_http_waha_webhook_refuse_unread(ngx_http_request_t *r,
    ngx_http_waha_error_e error, const char *reason);
static void ngx_http_waha_webhook_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_waha_webhook_process(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_int_t ngx_http_waha_webhook_accept(void *data);
static ngx_http_waha_error_e ngx_http_waha_webhook_verify(
    ngx_http_request_t *r, ngx_http_waha_delivery_t *delivery,
    const char **reason);
static ngx_array_t *ngx_http_waha_webhook_choose_keys(
    ngx_http_waha_delivery_t *delivery);
static ngx_int_t ngx_http_waha_webhook_read(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_int_t ngx_http_waha_webhook_store(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_int_t ngx_http_waha_webhook_add_event(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_http_waha_event_t *event,
    ngx_http_waha_entry_t *entry);
static ngx_int_t ngx_http_waha_webhook_ingest(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_int_t ngx_http_waha_webhook_set_event(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_http_waha_event_t *event,
    ngx_http_waha_entry_t *entry);
static ngx_int_t ngx_http_waha_webhook_set_aside(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_uint_t unread);
static void ngx_http_waha_webhook_keep(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_http_waha_entry_t *entry);
static ngx_int_t ngx_http_waha_webhook_unread(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_int_t ngx_http_waha_webhook_quarantine(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, const char *fault);
static ngx_int_t ngx_http_waha_webhook_unread_reason(ngx_http_request_t *r,
    ngx_http_waha_event_t *event, ngx_str_t *reason);
static ngx_int_t ngx_http_waha_webhook_error(ngx_http_request_t *r,
    ngx_int_t rc);
static const char *ngx_http_waha_webhook_ignore_reason(ngx_http_request_t *r,
    ngx_http_waha_event_t *event, ngx_uint_t dated);
static const char *ngx_http_waha_webhook_person_reason(ngx_http_request_t *r,
    ngx_http_waha_event_t *event);
static ngx_uint_t ngx_http_waha_webhook_is_blocked(
    ngx_http_waha_intake_conf_t *conf, ngx_str_t *phone);
static void ngx_http_waha_webhook_cleanup(void *data);
static void ngx_http_waha_webhook_done(ngx_http_waha_entry_t *entry);
static ngx_int_t ngx_http_waha_webhook_answer(void *data);


ngx_int_t
ngx_http_waha_webhook_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    const char                *reason;
    ngx_http_waha_ctx_t       *ctx;
    ngx_http_waha_error_e      error;
    ngx_http_waha_delivery_t  *delivery;

    ctx = ngx_http_waha_request_ctx(r);
    delivery = ngx_pcalloc(r->pool, sizeof(ngx_http_waha_delivery_t));

    if (ctx == NULL || delivery == NULL) {
        return ngx_http_waha_webhook_refuse_unread(r,
                                       NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY, NULL);
    }

    ctx->delivery = delivery;
    delivery->ctx = ctx;

    ngx_queue_init(&delivery->rest);

    ngx_http_waha_redact_find_rest(r, &delivery->connection);

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_waha_webhook_other_method(r, delivery);
    }

    if (!ngx_http_waha_connection_is_id(&delivery->connection)) {
        ngx_str_null(&delivery->connection);
    }

    delivery->provider = ngx_http_waha_provider_find(r, &delivery->connection);

    if (!delivery->provider->connections) {
        ngx_str_null(&delivery->connection);
    }

    error = ngx_http_waha_webhook_check(r, delivery, &reason);

    if (error != NGX_HTTP_WAHA_ERR_NONE) {
        return ngx_http_waha_webhook_refuse_unread(r, error, reason);
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_waha_webhook_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_waha_webhook_other_method(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery)
{
    ngx_int_t  rc;

    if (r->method == NGX_HTTP_GET) {

        rc = ngx_http_waha_subscribe(r, delivery);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (ngx_http_waha_answer_header(r, "Allow", "POST") == NULL) {
        return ngx_http_waha_webhook_refuse_unread(r,
                                       NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY, NULL);
    }

    return ngx_http_waha_webhook_refuse_unread(r,
                                  NGX_HTTP_WAHA_ERR_METHOD_NOT_ALLOWED, NULL);
}


/* without a well-formed signature the body is not read */

static ngx_http_waha_error_e
ngx_http_waha_webhook_check(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, const char **reason)
{
    delivery->keys = ngx_http_waha_provider_keys(r, delivery->provider);

    if (delivery->keys == NULL && delivery->connection.len == 0) {
        *reason = delivery->provider->keyless_reason;
        return NGX_HTTP_WAHA_ERR_INVALID_SIGNATURE;
    }

    /* "waha_hmac_key off" */

    if (delivery->keys && delivery->keys->nelts == 0) {
        return NGX_HTTP_WAHA_ERR_NONE;
    }

    if (ngx_http_waha_provider_check(r, delivery->provider, reason) != NGX_OK)
    {
        return NGX_HTTP_WAHA_ERR_INVALID_SIGNATURE;
    }

    *reason = NULL;

    return ngx_http_waha_webhook_check_size(r, delivery,
                                            r->headers_in.content_length_n);
}


/*
 * from an address that has sent forged bodies to this URL no long ones are
 * hashed; short ones cost next to nothing, and other senders may share the
 * address
 */

static ngx_http_waha_error_e
ngx_http_waha_webhook_check_size(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, off_t size)
{
    return size > NGX_HTTP_WAHA_WEBHOOK_SHORT
           && delivery->provider->connections
           && ngx_http_waha_auth_limit_is_spent(r, &delivery->connection)
               ? NGX_HTTP_WAHA_ERR_TOO_MANY_ATTEMPTS
               : NGX_HTTP_WAHA_ERR_NONE;
}


static ngx_int_t
ngx_http_waha_webhook_refuse_unread(ngx_http_request_t *r,
    ngx_http_waha_error_e error, const char *reason)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_waha_delivery_refuse(r, error, reason);
}


static void
ngx_http_waha_webhook_body_handler(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    rc = ngx_http_waha_webhook_process(r, ctx->delivery);

    /* NGX_DONE: ngx_http_waha_webhook_done() will answer */

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


static ngx_int_t
ngx_http_waha_webhook_process(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery)
{
    ngx_int_t               rc;
    ngx_pool_cleanup_t     *cln;
    ngx_http_waha_error_e   error;

    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln == NULL
        || ngx_array_init(&delivery->events, r->pool, 1,
                          sizeof(ngx_http_waha_event_t))
           != NGX_OK
        || ngx_http_waha_request_body(r, &delivery->body) != NGX_OK)
    {
        return ngx_http_waha_delivery_no_memory(r);
    }

    cln->handler = ngx_http_waha_webhook_cleanup;
    cln->data = delivery;

    /* the size of a chunked body is known only now */

    error = ngx_http_waha_webhook_check_size(r, delivery, delivery->body.len);

    if (error != NGX_HTTP_WAHA_ERR_NONE) {
        return ngx_http_waha_delivery_refuse(r, error, NULL);
    }

    if (delivery->connection.len == 0) {
        return ngx_http_waha_webhook_accept(r);
    }

    rc = ngx_http_waha_delivery_find_connection(r, delivery,
                                                ngx_http_waha_webhook_accept);

    switch (rc) {

    case NGX_OK:
        return ngx_http_waha_webhook_accept(r);

    case NGX_AGAIN:
        return NGX_DONE;

    default:
        return ngx_http_waha_delivery_no_memory(r);
    }
}


/* what has a signature is read, and stored */

static ngx_int_t
ngx_http_waha_webhook_accept(void *data)
{
    ngx_http_request_t *r = data;

    const char                 *reason;
    ngx_http_waha_ctx_t        *ctx;
    ngx_http_waha_error_e       error;
    ngx_http_waha_delivery_t   *delivery;
    ngx_http_waha_main_conf_t  *wmcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);
    delivery = ctx->delivery;

    error = ngx_http_waha_webhook_verify(r, delivery, &reason);

    if (error != NGX_HTTP_WAHA_ERR_NONE) {
        return ngx_http_waha_delivery_refuse(r, error, reason);
    }

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    if (!ngx_http_waha_ingest_has_room(wmcf->ingest, delivery->body.len)) {
        return ngx_http_waha_webhook_error(r, NGX_DECLINED);
    }

    switch (ngx_http_waha_webhook_read(r, delivery)) {

    case NGX_OK:
        return ngx_http_waha_webhook_store(r, delivery);

    case NGX_ABORT:
        return ngx_http_waha_webhook_quarantine(r, delivery, "too_complex");

    case NGX_DECLINED:
        return delivery->provider->many
               ? ngx_http_waha_webhook_quarantine(r, delivery, "no_json")
               : ngx_http_waha_webhook_unread(r, delivery);

    default:
        return ngx_http_waha_delivery_no_memory(r);
    }
}


static ngx_http_waha_error_e
ngx_http_waha_webhook_verify(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, const char **reason)
{
    ngx_uint_t                  known;
    ngx_array_t                *keys;
    ngx_http_waha_hmac_key_t   *signer;
    ngx_http_waha_main_conf_t  *wmcf;

    *reason = NULL;

    if (delivery->lookup
        && delivery->lookup->error != NGX_HTTP_WAHA_ERR_NONE)
    {
        return delivery->lookup->error;
    }

    keys = ngx_http_waha_webhook_choose_keys(delivery);

    if (keys && keys->nelts == 0) {
        return NGX_HTTP_WAHA_ERR_NONE;
    }

    known = (keys != NULL);

    if (!known) {
        /* the time must not show which connections there are */

        wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);
        keys = ngx_http_waha_connection_nobody(wmcf->connections);
    }

    if (ngx_http_waha_provider_verify(r, delivery->provider, keys,
                                      &delivery->body, &signer, reason)
        != NGX_OK
        || !known)
    {
        if (delivery->provider->connections) {
            ngx_http_waha_auth_limit_charge_scope(r, &delivery->connection);
        }

        return NGX_HTTP_WAHA_ERR_INVALID_SIGNATURE;
    }

    delivery->instance = signer->instance;

    return NGX_HTTP_WAHA_ERR_NONE;
}


/*
 * An organization with an app of its own knows the secret and can sign
 * anything: such a connection has no other keys, and its keys sign for no
 * other.  NULL: there are no keys, so every signature is wrong.
 */

static ngx_array_t *
ngx_http_waha_webhook_choose_keys(ngx_http_waha_delivery_t *delivery)
{
    ngx_http_waha_connection_t  *connection;

    if (delivery->lookup == NULL) {
        return delivery->keys;
    }

    connection = delivery->lookup->connection;

    if (connection == NULL) {
        return NULL;
    }

    if (!connection->own_secret) {
        return delivery->keys;
    }

    delivery->own = 1;

    return connection->keys;
}


/* the first event stands for the delivery in the access log */

static ngx_int_t
ngx_http_waha_webhook_read(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery)
{
    ngx_int_t               rc;
    ngx_http_waha_event_t  *event;

    rc = delivery->provider->parse(r->pool, &delivery->body,
                                   &delivery->events);

    if (delivery->events.nelts) {
        event = delivery->events.elts;

        delivery->ctx->session = event->session;
        delivery->ctx->event = event->event;
    }

    return rc;
}


static ngx_int_t
ngx_http_waha_webhook_store(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i, unread;
    ngx_http_waha_event_t      *event;
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    if (ngx_http_waha_delivery_hold(delivery, wmcf->ingest) != NGX_OK) {
        return ngx_http_waha_webhook_error(r, NGX_DECLINED);
    }

    if (ngx_http_waha_delivery_add_entries(r, delivery, delivery->events.nelts,
                                           ngx_http_waha_webhook_done)
        != NGX_OK)
    {
        return ngx_http_waha_delivery_no_memory(r);
    }

    unread = 0;

    event = delivery->events.elts;

    for (i = 0; i < delivery->nentries; i++) {
        if (ngx_http_waha_webhook_add_event(r, delivery, &event[i],
                                            &delivery->entries[i])
            != NGX_OK)
        {
            return ngx_http_waha_delivery_no_memory(r);
        }

        unread += (event[i].missing.len != 0);
    }

    if (!ngx_queue_empty(&delivery->rest)) {

        rc = ngx_http_waha_webhook_ingest(r, delivery);

        if (rc != NGX_OK) {
            return ngx_http_waha_webhook_error(r, rc);
        }
    }

    if (unread
        && ngx_http_waha_webhook_set_aside(r, delivery, unread) != NGX_OK)
    {
        return ngx_http_waha_delivery_no_memory(r);
    }

    if (delivery->waiting == 0) {
        return ngx_http_waha_webhook_answer(r);
    }

    r->connection->log->action = "storing a WhatsApp event";

    return NGX_DONE;
}


/* an event that can be read and is not ignored joins those to be stored */

static ngx_int_t
ngx_http_waha_webhook_add_event(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_http_waha_event_t *event,
    ngx_http_waha_entry_t *entry)
{
    const char  *reason;

    if (event->missing.len) {
        return ngx_http_waha_webhook_set_event(r, delivery, event, entry);
    }

    reason = ngx_http_waha_webhook_ignore_reason(r, event,
                                                 delivery->provider->dated);

    if (reason) {
        ngx_str_set(&entry->action, "ignored");
        entry->code.data = (u_char *) reason;
        entry->code.len = ngx_strlen(reason);

        return NGX_OK;
    }

    if (ngx_http_waha_webhook_set_event(r, delivery, event, entry) != NGX_OK) {
        return NGX_ERROR;
    }

    /* until the database says otherwise */
    entry->status = NGX_HTTP_WAHA_PG_DOWN;

    ngx_queue_insert_tail(&delivery->rest, &entry->queue);

    return NGX_OK;
}


/*
 * what a provider sends at once is one transaction; far more, the history of a
 * phone, would not end in time in one, and its parts follow one another, so
 * that deliveries of others get between them
 */

static ngx_int_t
ngx_http_waha_webhook_ingest(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery)
{
    ngx_int_t                   rc;
    ngx_uint_t                  n;
    ngx_queue_t                *q, part;
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    ngx_queue_init(&part);

    for (n = 0;
         n < NGX_HTTP_WAHA_WEBHOOK_PART && !ngx_queue_empty(&delivery->rest);
         n++)
    {
        q = ngx_queue_head(&delivery->rest);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&part, q);
    }

    rc = ngx_http_waha_ingest(wmcf->ingest, &part);

    if (rc == NGX_OK) {
        delivery->waiting += n;
    }

    return rc;
}


static ngx_int_t
ngx_http_waha_webhook_set_event(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_http_waha_event_t *event,
    ngx_http_waha_entry_t *entry)
{
    event->provider = delivery->provider->name;
    event->instance = delivery->instance;
    event->numbered = delivery->provider->connections;

    if (delivery->own) {
        event->connection = delivery->connection;
    }

    entry->event = event;
    entry->make_raw = delivery->provider->raw;

    return delivery->provider->sources
           ? ngx_http_waha_sources_collect(r, event) : NGX_OK;
}


/*
 * Events that cannot be read, beside others that can: a few are kept one by
 * one; many would take longer than the delivery may, at each repetition, and
 * the delivery is kept.
 */

static ngx_int_t
ngx_http_waha_webhook_set_aside(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_uint_t unread)
{
    ngx_uint_t              i, whole;
    ngx_http_waha_entry_t  *entry;

    whole = (unread > NGX_HTTP_WAHA_WEBHOOK_ASIDE);

    for (i = 0; i < delivery->nentries; i++) {
        entry = &delivery->entries[i];

        if (entry->event == NULL || entry->event->missing.len == 0) {
            continue;
        }

        if (ngx_http_waha_webhook_unread_reason(r, entry->event, &entry->code)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_str_set(&entry->action, "quarantined");

        if (unread == 0) {
            /* kept with the first */
            continue;
        }

        if (whole) {
            entry->make_raw = NULL;
            unread = 0;
        }

        ngx_http_waha_webhook_keep(r, delivery, entry);
    }

    return NGX_OK;
}


/* what others wait for goes on: one that is not kept decides the answer */

static void
ngx_http_waha_webhook_keep(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_http_waha_entry_t *entry)
{
    ngx_int_t                   rc;
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    entry->status = NGX_HTTP_WAHA_PG_DOWN;

    rc = delivery->waiting
         ? ngx_http_waha_ingest_add_quarantine(wmcf->ingest, entry,
                                               &entry->code)
         : ngx_http_waha_ingest_quarantine(wmcf->ingest, entry, &entry->code);

    if (rc == NGX_OK) {
        delivery->waiting++;
    }
}


/* answers 400 with the name of the member that is missing or not valid */

static ngx_int_t
ngx_http_waha_webhook_unread(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery)
{
    u_char                    *text;
    ngx_str_t                  json, *member;
    ngx_http_waha_event_t     *event;
    ngx_http_waha_error_e      error;
    ngx_http_waha_json_out_t   out;

    error = NGX_HTTP_WAHA_ERR_INVALID_EVENT;

    if (delivery->events.nelts == 0) {
        return ngx_http_waha_delivery_refuse(r, error, "the body is not JSON");
    }

    event = delivery->events.elts;
    member = &event->missing;

    text = ngx_pnalloc(r->pool, sizeof(NGX_HTTP_WAHA_WEBHOOK_UNREAD)
                                + member->len);

    if (text == NULL || ngx_http_waha_error_note(r, error) != NGX_OK) {
        return ngx_http_waha_delivery_no_memory(r);
    }

    ngx_sprintf(text, NGX_HTTP_WAHA_WEBHOOK_UNREAD "%Z", member);

    ngx_http_waha_delivery_log(r, ngx_http_waha_error_status(error),
                               ngx_http_waha_error_code(error),
                               (char *) text);

    ngx_http_waha_json_start(&out, r->pool, NGX_HTTP_WAHA_WEBHOOK_ANSWER);

    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_bool(&out, "success", 0);
    ngx_http_waha_json_put_text(&out, "error", (char *) text);
    ngx_http_waha_json_put(&out, "code", ngx_http_waha_error_code(error));
    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &json) != NGX_OK) {
        return ngx_http_waha_delivery_no_memory(r);
    }

    return ngx_http_waha_answer_json(r, ngx_http_waha_error_status(error),
                                     &json);
}


/* fault: why there is no event that could tell */

static ngx_int_t
ngx_http_waha_webhook_quarantine(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, const char *fault)
{
    ngx_int_t                   rc;
    ngx_str_t                   reason, action;
    ngx_http_waha_event_t      *event;
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    event = ngx_pcalloc(r->pool, sizeof(ngx_http_waha_event_t));

    if (event == NULL
        || ngx_http_waha_delivery_add_entries(r, delivery, 1,
                                              ngx_http_waha_webhook_done)
           != NGX_OK)
    {
        return ngx_http_waha_delivery_no_memory(r);
    }

    if (delivery->events.nelts == 0) {
        reason.data = (u_char *) fault;
        reason.len = ngx_strlen(fault);

    } else {

        if (ngx_http_waha_webhook_unread_reason(r, delivery->events.elts,
                                                &reason)
            != NGX_OK)
        {
            return ngx_http_waha_delivery_no_memory(r);
        }

        ngx_str_set(&action, "quarantined");

        ngx_http_waha_delivery_log(r, NGX_HTTP_OK, &action,
                                   (char *) reason.data);
    }

    /* whose share of the quarantine it takes */

    event->provider = delivery->provider->name;
    event->instance = delivery->instance;
    event->numbered = delivery->provider->connections;
    event->session = delivery->ctx->session;

    if (delivery->own) {
        event->connection = delivery->connection;
    }

    delivery->entries->event = event;
    delivery->entries->code = reason;

    rc = ngx_http_waha_ingest_quarantine(wmcf->ingest, delivery->entries,
                                         &reason);
    if (rc != NGX_OK) {
        return ngx_http_waha_webhook_error(r, rc);
    }

    delivery->waiting = 1;

    r->connection->log->action = "storing a WhatsApp event";

    return NGX_DONE;
}


/* "unreadable:payload.id", which ends with NUL */

static ngx_int_t
ngx_http_waha_webhook_unread_reason(ngx_http_request_t *r,
    ngx_http_waha_event_t *event, ngx_str_t *reason)
{
    reason->len = sizeof("unreadable:") - 1 + event->missing.len;

    reason->data = ngx_pnalloc(r->pool, reason->len + 1);
    if (reason->data == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(reason->data, "unreadable:%V%Z", &event->missing);

    return NGX_OK;
}


/* rc: of ngx_http_waha_ingest() */

static ngx_int_t
ngx_http_waha_webhook_error(ngx_http_request_t *r, ngx_int_t rc)
{
    switch (rc) {

    case NGX_ABORT:
        return ngx_http_waha_delivery_refuse(r,
                                      NGX_HTTP_WAHA_ERR_DATABASE_SETUP, NULL);

    case NGX_ERROR:
        return ngx_http_waha_delivery_no_memory(r);

    default:
        return ngx_http_waha_delivery_refuse(r, NGX_HTTP_WAHA_ERR_OVERLOADED,
                                             NULL);
    }
}


static const char *
ngx_http_waha_webhook_ignore_reason(ngx_http_request_t *r,
    ngx_http_waha_event_t *event, ngx_uint_t dated)
{
    ngx_uint_t                 ignore;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    ignore = wlcf->intake->ignore;

    /* an event that does not say when it was sent could be sent for ever */

    if (dated && wlcf->intake->max_age
        && event->delivered_at / 1000 + wlcf->intake->max_age < ngx_time())
    {
        return "old";
    }

    if (event->kind == NGX_HTTP_WAHA_OTHER) {
        /* a constant, which ends with NUL */
        return (char *) event->reason.data;
    }

    if (event->kind == NGX_HTTP_WAHA_SESSION
        || event->kind == NGX_HTTP_WAHA_ACCOUNT)
    {
        return NULL;
    }

    switch (event->chat) {

    case NGX_HTTP_WAHA_GROUP:
        return (ignore & NGX_HTTP_WAHA_IGNORE_GROUPS) ? "group" : NULL;

    case NGX_HTTP_WAHA_STORY:
        return (ignore & NGX_HTTP_WAHA_IGNORE_STATUSES) ? "status" : NULL;

    case NGX_HTTP_WAHA_NEWSLETTER:
        return (ignore & NGX_HTTP_WAHA_IGNORE_NEWSLETTERS) ? "newsletter"
                                                           : NULL;

    case NGX_HTTP_WAHA_BROADCAST:
        return (ignore & NGX_HTTP_WAHA_IGNORE_BROADCASTS) ? "broadcast" : NULL;

    case NGX_HTTP_WAHA_BOT:
        return "bot";

    default:
        return ngx_http_waha_webhook_person_reason(r, event);
    }
}


static const char *
ngx_http_waha_webhook_person_reason(ngx_http_request_t *r,
    ngx_http_waha_event_t *event)
{
    ngx_int_t                  rc;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    if (event->phone.data == NULL) {
        return NULL;
    }

    if (ngx_http_waha_webhook_is_blocked(wlcf->intake, &event->phone)) {
        return "blocked";
    }

    rc = ngx_regex_exec(wlcf->intake->phone_pattern, &event->phone, NULL, 0);

    if (rc >= 0) {
        return NULL;
    }

    if (rc != NGX_REGEX_NO_MATCHED) {
        /* PCRE gave up: the message is stored rather than lost */

        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "waha: " ngx_regex_exec_n " failed: %i on a phone "
                      "number", rc);
        return NULL;
    }

    /* an id may still name the person; a change of a message needs none */

    ngx_str_null(&event->phone);

    return (event->lid.data == NULL && event->bsuid.data == NULL
            && (event->kind == NGX_HTTP_WAHA_MESSAGE
                || event->kind == NGX_HTTP_WAHA_CALL)) ? "phone" : NULL;
}


static ngx_uint_t
ngx_http_waha_webhook_is_blocked(ngx_http_waha_intake_conf_t *conf,
    ngx_str_t *phone)
{
    ngx_str_t   *number;
    ngx_uint_t   i;

    if (conf->blocked_numbers == NULL) {
        return 0;
    }

    number = conf->blocked_numbers->elts;

    for (i = 0; i < conf->blocked_numbers->nelts; i++) {

        if (ngx_http_waha_string_is_equal(&number[i], phone)) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_waha_webhook_cleanup(void *data)
{
    ngx_http_waha_delivery_cancel(data);
}


static void
ngx_http_waha_webhook_done(ngx_http_waha_entry_t *entry)
{
    ngx_http_request_t        *r;
    ngx_http_waha_ctx_t       *ctx;
    ngx_http_waha_delivery_t  *delivery;

    r = entry->data;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);
    delivery = ctx->delivery;

    if (--delivery->waiting) {
        return;
    }

    if (entry->status == NGX_HTTP_WAHA_PG_OK
        && !ngx_queue_empty(&delivery->rest)
        && ngx_http_waha_webhook_ingest(r, delivery) == NGX_OK)
    {
        return;
    }

    ngx_http_waha_request_resume(r, ngx_http_waha_webhook_answer, r);
}


static ngx_int_t
ngx_http_waha_webhook_answer(void *data)
{
    ngx_http_request_t *r = data;

    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    return ngx_http_waha_delivery_answer(r, ctx->delivery);
}
