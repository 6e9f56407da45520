
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_delivery.h>
#include <ngx_http_waha_intake_conf.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_sources.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_webhook.h>


/* most answers fit */

#define NGX_HTTP_WAHA_WEBHOOK_ANSWER  256

#define NGX_HTTP_WAHA_WEBHOOK_UNREAD                                          \
    "the body is not an event of WAHA: \"%V\" is missing or not valid"


static ngx_int_t ngx_http_waha_webhook_check(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, const char **reason);
static ngx_int_t ngx_http_waha_webhook_refuse_unread(ngx_http_request_t *r,
    ngx_http_waha_error_e error, const char *reason);
static void ngx_http_waha_webhook_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_waha_webhook_process(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_int_t ngx_http_waha_webhook_verify(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, const char **reason);
static ngx_int_t ngx_http_waha_webhook_read(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_int_t ngx_http_waha_webhook_store(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_int_t ngx_http_waha_webhook_add_event(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_http_waha_event_t *event,
    ngx_http_waha_entry_t *entry, ngx_queue_t *entries);
static ngx_int_t ngx_http_waha_webhook_unread(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_int_t ngx_http_waha_webhook_quarantine(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_int_t ngx_http_waha_webhook_unread_reason(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_str_t *reason);
static ngx_int_t ngx_http_waha_webhook_error(ngx_http_request_t *r,
    ngx_int_t rc);
static const char *ngx_http_waha_webhook_ignore_reason(ngx_http_request_t *r,
    ngx_http_waha_event_t *event);
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
    ngx_http_waha_delivery_t  *delivery;

    ctx = ngx_http_waha_request_ctx(r);
    delivery = ngx_pcalloc(r->pool, sizeof(ngx_http_waha_delivery_t));

    if (ctx == NULL || delivery == NULL) {
        return ngx_http_waha_webhook_refuse_unread(r,
                                       NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY, NULL);
    }

    ctx->delivery = delivery;
    delivery->ctx = ctx;

    if (r->method != NGX_HTTP_POST) {

        if (ngx_http_waha_answer_header(r, "Allow", "POST") == NULL) {
            return ngx_http_waha_webhook_refuse_unread(r,
                                       NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY, NULL);
        }

        return ngx_http_waha_webhook_refuse_unread(r,
                                  NGX_HTTP_WAHA_ERR_METHOD_NOT_ALLOWED, NULL);
    }

    delivery->provider = ngx_http_waha_provider_find(r);

    if (ngx_http_waha_webhook_check(r, delivery, &reason) != NGX_OK) {
        return ngx_http_waha_webhook_refuse_unread(r,
                                 NGX_HTTP_WAHA_ERR_INVALID_SIGNATURE, reason);
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_waha_webhook_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/* without a well-formed signature the body is not read */

static ngx_int_t
ngx_http_waha_webhook_check(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, const char **reason)
{
    delivery->keys = ngx_http_waha_provider_keys(r, delivery->provider);

    if (delivery->keys == NULL) {
        *reason = delivery->provider->keyless_reason;
        return NGX_DECLINED;
    }

    /* "waha_hmac_key off" */

    if (delivery->keys->nelts == 0) {
        return NGX_OK;
    }

    return ngx_http_waha_provider_check(r, delivery->provider, reason);
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
    const char          *reason;
    ngx_pool_cleanup_t  *cln;

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

    if (ngx_http_waha_webhook_verify(r, delivery, &reason) != NGX_OK) {
        return ngx_http_waha_delivery_refuse(r,
                                 NGX_HTTP_WAHA_ERR_INVALID_SIGNATURE, reason);
    }

    switch (ngx_http_waha_webhook_read(r, delivery)) {

    case NGX_OK:
        return ngx_http_waha_webhook_store(r, delivery);

    case NGX_ABORT:
        return ngx_http_waha_webhook_quarantine(r, delivery);

    case NGX_DECLINED:
        return ngx_http_waha_webhook_unread(r, delivery);

    default:
        return ngx_http_waha_delivery_no_memory(r);
    }
}


static ngx_int_t
ngx_http_waha_webhook_verify(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, const char **reason)
{
    ngx_http_waha_hmac_key_t  *signer;

    if (delivery->keys->nelts == 0) {
        return NGX_OK;
    }

    if (ngx_http_waha_provider_verify(r, delivery->provider, delivery->keys,
                                      &delivery->body, &signer, reason)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    delivery->instance = signer->instance;

    return NGX_OK;
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
    ngx_uint_t                  i;
    ngx_queue_t                 entries;
    ngx_http_waha_event_t      *event;
    ngx_http_waha_main_conf_t  *wmcf;

    if (ngx_http_waha_delivery_add_entries(r, delivery, delivery->events.nelts,
                                           ngx_http_waha_webhook_done)
        != NGX_OK)
    {
        return ngx_http_waha_delivery_no_memory(r);
    }

    ngx_queue_init(&entries);

    event = delivery->events.elts;

    for (i = 0; i < delivery->nentries; i++) {
        if (ngx_http_waha_webhook_add_event(r, delivery, &event[i],
                                            &delivery->entries[i], &entries)
            != NGX_OK)
        {
            return ngx_http_waha_delivery_no_memory(r);
        }
    }

    if (ngx_queue_empty(&entries)) {
        return ngx_http_waha_webhook_answer(r);
    }

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    rc = ngx_http_waha_ingest(wmcf->ingest, &entries);

    if (rc != NGX_OK) {
        return ngx_http_waha_webhook_error(r, rc);
    }

    r->connection->log->action = "storing a WhatsApp event";

    return NGX_DONE;
}


/* an event that is not ignored joins the entries that are to be stored */

static ngx_int_t
ngx_http_waha_webhook_add_event(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_http_waha_event_t *event,
    ngx_http_waha_entry_t *entry, ngx_queue_t *entries)
{
    const char  *reason;

    reason = ngx_http_waha_webhook_ignore_reason(r, event);

    if (reason) {
        ngx_str_set(&entry->action, "ignored");
        entry->code.data = (u_char *) reason;
        entry->code.len = ngx_strlen(reason);

        return NGX_OK;
    }

    event->provider = delivery->provider->name;
    event->instance = delivery->instance;

    if (ngx_http_waha_sources_collect(r, event) != NGX_OK) {
        return NGX_ERROR;
    }

    entry->event = event;

    ngx_queue_insert_tail(entries, &entry->queue);
    delivery->waiting++;

    return NGX_OK;
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


static ngx_int_t
ngx_http_waha_webhook_quarantine(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery)
{
    ngx_int_t                   rc;
    ngx_str_t                   reason;
    ngx_http_waha_event_t      *event;
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    event = ngx_pcalloc(r->pool, sizeof(ngx_http_waha_event_t));

    if (event == NULL
        || ngx_http_waha_delivery_add_entries(r, delivery, 1,
                                             ngx_http_waha_webhook_done)
           != NGX_OK
        || ngx_http_waha_webhook_unread_reason(r, delivery, &reason) != NGX_OK)
    {
        return ngx_http_waha_delivery_no_memory(r);
    }

    /* whose share of the quarantine it takes */

    event->provider = delivery->provider->name;
    event->instance = delivery->instance;
    event->session = delivery->ctx->session;

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


/* "unreadable:payload.id": the session is known, but not what it says */

static ngx_int_t
ngx_http_waha_webhook_unread_reason(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_str_t *reason)
{
    u_char                 *p;
    ngx_str_t               action;
    ngx_http_waha_event_t  *event;

    if (delivery->events.nelts == 0) {
        ngx_str_set(reason, "too_complex");
        return NGX_OK;
    }

    event = delivery->events.elts;

    reason->len = sizeof("unreadable:") - 1 + event->missing.len;

    p = ngx_pnalloc(r->pool, reason->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    reason->data = p;

    ngx_sprintf(p, "unreadable:%V%Z", &event->missing);

    ngx_str_set(&action, "quarantined");

    ngx_http_waha_delivery_log(r, NGX_HTTP_OK, &action, (char *) p);

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
    ngx_http_waha_event_t *event)
{
    ngx_uint_t                 ignore;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    ignore = wlcf->intake->ignore;

    /* an event that does not say when it was sent could be sent for ever */

    if (wlcf->intake->max_age
        && event->delivered_at / 1000 + wlcf->intake->max_age < ngx_time())
    {
        return "old";
    }

    if (event->kind == NGX_HTTP_WAHA_OTHER) {
        /* a constant, which ends with NUL */
        return (char *) event->reason.data;
    }

    if (event->kind == NGX_HTTP_WAHA_SESSION) {
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

    /* the LID may still name the person; a change of a message needs none */

    ngx_str_null(&event->phone);

    return (event->lid.data == NULL
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
