
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_error.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_envelope.h>
#include <ngx_http_waha_signature.h>
#include <ngx_http_waha_claims.h>
#include <ngx_http_waha_ingest.h>
#include <ngx_http_waha_intake_conf.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_webhook.h>


/* most answers fit */

#define NGX_HTTP_WAHA_WEBHOOK_ANSWER  256


typedef struct ngx_http_waha_delivery_s {
    ngx_http_waha_ctx_t    *ctx;

    ngx_str_t               body;
    ngx_http_waha_event_t   event;
    ngx_http_waha_entry_t   entry;
} ngx_http_waha_delivery_t;


static void ngx_http_waha_webhook_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_waha_webhook_process(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_int_t ngx_http_waha_webhook_verify(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_int_t ngx_http_waha_webhook_verify_header(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_str_t *name,
    ngx_http_waha_hmac_e algorithm, ngx_http_waha_hmac_key_t **signer);
static const char *ngx_http_waha_webhook_ignored(ngx_http_request_t *r,
    ngx_http_waha_event_t *event);
static const char *ngx_http_waha_webhook_person(ngx_http_request_t *r,
    ngx_http_waha_event_t *event);
static ngx_uint_t ngx_http_waha_webhook_blocked(
    ngx_http_waha_intake_conf_t *conf, ngx_str_t *phone);
static ngx_int_t ngx_http_waha_webhook_submit(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_uint_t readable);
static void ngx_http_waha_webhook_cleanup(void *data);
static void ngx_http_waha_webhook_done(ngx_http_waha_entry_t *entry);
static ngx_int_t ngx_http_waha_webhook_answer(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static ngx_int_t ngx_http_waha_webhook_success(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery);
static void ngx_http_waha_webhook_member(ngx_http_waha_json_out_t *out,
    const char *name, ngx_str_t *value);
static void ngx_http_waha_webhook_id(ngx_http_waha_json_out_t *out,
    const char *name, ngx_str_t *value);


static ngx_str_t  ngx_http_waha_webhook_hmac =
    ngx_string("x-webhook-hmac");

static ngx_str_t  ngx_http_waha_webhook_hmac_legacy =
    ngx_string("x-webhook-hmac-signature");


ngx_int_t
ngx_http_waha_webhook_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_waha_ctx_t       *ctx;
    ngx_http_waha_delivery_t  *delivery;

    ctx = ngx_http_waha_request_ctx(r);
    delivery = ngx_pcalloc(r->pool, sizeof(ngx_http_waha_delivery_t));

    if (ctx == NULL || delivery == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    ctx->delivery = delivery;
    delivery->ctx = ctx;

    if (r->method != NGX_HTTP_POST) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        if (ngx_http_waha_answer_header(r, "Allow", "POST") == NULL) {
            return NGX_HTTP_SERVICE_UNAVAILABLE;
        }

        return ngx_http_waha_error_send(r,
                                      NGX_HTTP_WAHA_ERR_METHOD_NOT_ALLOWED);
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_waha_webhook_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_waha_webhook_body_handler(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    rc = ngx_http_waha_webhook_process(r, ctx->delivery);

    /* NGX_DONE: the answer comes with ngx_http_waha_webhook_done() */

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


static ngx_int_t
ngx_http_waha_webhook_process(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery)
{
    ngx_int_t    rc;
    const char  *reason;

    if (ngx_http_waha_request_body(r, &delivery->body) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    if (ngx_http_waha_webhook_verify(r, delivery) != NGX_OK) {
        return ngx_http_waha_error_send(r,
                                        NGX_HTTP_WAHA_ERR_INVALID_SIGNATURE);
    }

    rc = ngx_http_waha_envelope_parse(r->pool, &delivery->body,
                                      &delivery->event);

    delivery->ctx->session = delivery->event.session;
    delivery->ctx->event = delivery->event.event;

    switch (rc) {

    case NGX_OK:
        break;

    case NGX_ABORT:
        return ngx_http_waha_webhook_submit(r, delivery, 0);

    case NGX_DECLINED:
        return ngx_http_waha_error_send(r, NGX_HTTP_WAHA_ERR_INVALID_EVENT);

    default:
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    reason = ngx_http_waha_webhook_ignored(r, &delivery->event);

    if (reason) {
        ngx_str_set(&delivery->entry.action, "ignored");
        delivery->entry.code.data = (u_char *) reason;
        delivery->entry.code.len = ngx_strlen(reason);

        return ngx_http_waha_webhook_success(r, delivery);
    }

    return ngx_http_waha_webhook_submit(r, delivery, 1);
}


static ngx_int_t
ngx_http_waha_webhook_verify(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery)
{
    ngx_int_t                  rc, legacy;
    ngx_http_waha_loc_conf_t  *wlcf;
    ngx_http_waha_hmac_key_t  *signer;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    if (wlcf->hmac_keys->nelts == 0) {
        return NGX_OK;
    }

    signer = NULL;
    legacy = NGX_DECLINED;

    rc = ngx_http_waha_webhook_verify_header(r, delivery,
                                             &ngx_http_waha_webhook_hmac,
                                             NGX_HTTP_WAHA_HMAC_SHA512,
                                             &signer);

    if (wlcf->intake->hmac_legacy) {
        legacy = ngx_http_waha_webhook_verify_header(r, delivery,
                                        &ngx_http_waha_webhook_hmac_legacy,
                                        NGX_HTTP_WAHA_HMAC_SHA256, &signer);
    }

    if (rc == NGX_ERROR || legacy == NGX_ERROR || signer == NULL) {
        return NGX_ERROR;
    }

    delivery->entry.instance = signer->instance;

    return NGX_OK;
}


/* NGX_DECLINED: the header is not there */

static ngx_int_t
ngx_http_waha_webhook_verify_header(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_str_t *name,
    ngx_http_waha_hmac_e algorithm, ngx_http_waha_hmac_key_t **signer)
{
    ngx_int_t                  rc;
    ngx_str_t                  hex;
    ngx_http_waha_hmac_key_t  *key;
    ngx_http_waha_loc_conf_t  *wlcf;

    rc = ngx_http_waha_request_header(r, name, &hex);
    if (rc != NGX_OK) {
        return rc;
    }

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    key = ngx_http_waha_signature_verify(wlcf->hmac_keys, algorithm, &hex,
                                         &delivery->body);

    if (key == NULL || (*signer && *signer != key)) {
        return NGX_ERROR;
    }

    *signer = key;

    return NGX_OK;
}


static const char *
ngx_http_waha_webhook_ignored(ngx_http_request_t *r,
    ngx_http_waha_event_t *event)
{
    ngx_uint_t                 ignore;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    ignore = wlcf->intake->ignore;

    if (event->kind == NGX_HTTP_WAHA_OTHER) {
        return "event";
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
        return ngx_http_waha_webhook_person(r, event);
    }
}


static const char *
ngx_http_waha_webhook_person(ngx_http_request_t *r,
    ngx_http_waha_event_t *event)
{
    ngx_int_t                  rc;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    if (event->phone.data == NULL) {
        return NULL;
    }

    if (ngx_http_waha_webhook_blocked(wlcf->intake, &event->phone)) {
        return "blocked";
    }

    rc = ngx_regex_exec(wlcf->intake->phone_pattern, &event->phone, NULL, 0);

    if (rc >= 0) {
        return NULL;
    }

    if (rc != NGX_REGEX_NO_MATCHED) {
        /* nothing is lost for a pattern that is too much for PCRE */

        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      ngx_regex_exec_n " failed: %i on a phone number", rc);
        return NULL;
    }

    /* a person may still be known by the LID; a change needs no person */

    ngx_str_null(&event->phone);

    return (event->lid.data == NULL
            && (event->kind == NGX_HTTP_WAHA_MESSAGE
                || event->kind == NGX_HTTP_WAHA_CALL)) ? "phone" : NULL;
}


static ngx_uint_t
ngx_http_waha_webhook_blocked(ngx_http_waha_intake_conf_t *conf,
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


static ngx_int_t
ngx_http_waha_webhook_submit(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_uint_t readable)
{
    ngx_int_t                   rc;
    ngx_str_t                   reason;
    ngx_pool_cleanup_t         *cln;
    ngx_http_waha_entry_t      *entry;
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_waha_module);

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    entry = &delivery->entry;

    entry->raw = delivery->body;
    entry->pool = r->pool;
    entry->handler = ngx_http_waha_webhook_done;
    entry->data = r;

    if (readable) {
        entry->event = &delivery->event;

        if (ngx_http_waha_claims(r, &delivery->event, &entry->claims)
            != NGX_OK)
        {
            return NGX_HTTP_SERVICE_UNAVAILABLE;
        }

        rc = ngx_http_waha_ingest(wmcf->ingest, entry);

    } else {
        ngx_str_set(&reason, "too_complex");
        rc = ngx_http_waha_ingest_quarantine(wmcf->ingest, entry, &reason);
    }

    if (rc != NGX_OK) {
        return ngx_http_waha_error_send(r,
                           (rc == NGX_ABORT) ? NGX_HTTP_WAHA_ERR_DATABASE_SETUP
                                             : NGX_HTTP_WAHA_ERR_OVERLOADED);
    }

    cln->handler = ngx_http_waha_webhook_cleanup;
    cln->data = entry;

    r->connection->log->action = "storing a WhatsApp event";

    return NGX_DONE;
}


static void
ngx_http_waha_webhook_cleanup(void *data)
{
    ngx_http_waha_entry_t  *entry = data;

    ngx_http_waha_ingest_cancel(entry);
}


static void
ngx_http_waha_webhook_done(ngx_http_waha_entry_t *entry)
{
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    ngx_http_waha_ctx_t  *ctx;

    r = entry->data;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    ctx->organization = entry->organization;
    ctx->records = entry->records;
    ctx->db_time = entry->db_time;

    ngx_http_finalize_request(r, ngx_http_waha_webhook_answer(r,
                                                              ctx->delivery));

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_waha_webhook_answer(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery)
{
    ngx_http_waha_entry_t  *entry;
    ngx_http_waha_error_e   error;

    entry = &delivery->entry;

    switch (entry->status) {

    case NGX_HTTP_WAHA_PG_OK:

        error = ngx_http_waha_error_find(&entry->action);

        return (error == NGX_HTTP_WAHA_ERR_NONE)
               ? ngx_http_waha_webhook_success(r, delivery)
               : ngx_http_waha_error_send(r, error);

    case NGX_HTTP_WAHA_PG_BUSY:
        return ngx_http_waha_error_send(r, NGX_HTTP_WAHA_ERR_DATABASE_BUSY);

    case NGX_HTTP_WAHA_PG_SETUP:
        return ngx_http_waha_error_send(r, NGX_HTTP_WAHA_ERR_DATABASE_SETUP);

    default:
        return ngx_http_waha_error_send(r,
                                     NGX_HTTP_WAHA_ERR_DATABASE_UNAVAILABLE);
    }
}


static ngx_int_t
ngx_http_waha_webhook_success(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery)
{
    ngx_str_t                  json;
    ngx_http_waha_entry_t     *entry;
    ngx_http_waha_json_out_t   out;

    entry = &delivery->entry;

    delivery->ctx->action = entry->action;

    ngx_http_waha_json_start(&out, r->pool, NGX_HTTP_WAHA_WEBHOOK_ANSWER);

    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_flag(&out, "success", 1);
    ngx_http_waha_json_open(&out, "data", '{');
    ngx_http_waha_json_flag(&out, "received", 1);

    ngx_http_waha_webhook_member(&out, "action", &entry->action);
    ngx_http_waha_webhook_member(&out, "reason", &entry->code);
    ngx_http_waha_webhook_member(&out, "organization", &entry->organization);
    ngx_http_waha_webhook_id(&out, "tenantId", &entry->tenant_id);
    ngx_http_waha_webhook_id(&out, "contactId", &entry->contact_id);
    ngx_http_waha_webhook_id(&out, "activityId", &entry->activity_id);

    ngx_http_waha_json_close(&out, '}');
    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &json) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    return ngx_http_waha_answer_json(r, NGX_HTTP_OK, &json);
}


/* columns that are null arrive empty */

static void
ngx_http_waha_webhook_member(ngx_http_waha_json_out_t *out, const char *name,
    ngx_str_t *value)
{
    if (value->len) {
        ngx_http_waha_json_put(out, name, value);
    }
}


static void
ngx_http_waha_webhook_id(ngx_http_waha_json_out_t *out, const char *name,
    ngx_str_t *value)
{
    if (value->len) {
        ngx_http_waha_json_raw(out, name, value);
    }
}
