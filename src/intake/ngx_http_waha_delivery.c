
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_delivery.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


/* most answers fit */

#define NGX_HTTP_WAHA_DELIVERY_ANSWER  256

/* bytes that an event takes beside its text, with its entry */

#define NGX_HTTP_WAHA_DELIVERY_EVENT   1024


typedef struct {
    ngx_str_t    action;    /* ends with NUL */
    ngx_uint_t   count;
} ngx_http_waha_delivery_tally_t;


static ngx_http_waha_entry_t *ngx_http_waha_delivery_find_decisive(
    ngx_http_waha_delivery_t *delivery);
static ngx_http_waha_error_e ngx_http_waha_delivery_entry_error(
    ngx_http_waha_delivery_t *delivery, ngx_http_waha_entry_t *entry);
static ngx_int_t ngx_http_waha_delivery_success(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_http_waha_entry_t *entry);
static ngx_int_t ngx_http_waha_delivery_count(
    ngx_http_waha_delivery_t *delivery, ngx_http_waha_json_out_t *out);
static void ngx_http_waha_delivery_member(ngx_http_waha_json_out_t *out,
    const char *name, ngx_str_t *value);
static void ngx_http_waha_delivery_id(ngx_http_waha_json_out_t *out,
    const char *name, ngx_str_t *value);


ngx_int_t
ngx_http_waha_delivery_add_entries(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_uint_t n,
    void (*handler)(ngx_http_waha_entry_t *entry))
{
    ngx_uint_t              i;
    ngx_http_waha_entry_t  *entry;

    entry = ngx_pcalloc(r->pool, n * sizeof(ngx_http_waha_entry_t));
    if (entry == NULL) {
        return NGX_ERROR;
    }

    delivery->entries = entry;
    delivery->nentries = n;

    for (i = 0; i < n; i++) {
        entry[i].raw = delivery->body;
        entry[i].size = delivery->body.len / n;
        entry[i].pool = r->pool;
        entry[i].handler = handler;
        entry[i].data = r;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_delivery_find_connection(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_int_t (*handler)(void *data))
{
    ngx_http_waha_connection_lookup_t  *lookup;

    lookup = ngx_pcalloc(r->pool, sizeof(ngx_http_waha_connection_lookup_t));
    if (lookup == NULL) {
        return NGX_ERROR;
    }

    lookup->request = r;
    lookup->id = delivery->connection;
    lookup->handler = handler;
    lookup->data = r;

    delivery->lookup = lookup;

    return ngx_http_waha_connection_find(lookup);
}


ngx_int_t
ngx_http_waha_delivery_hold(ngx_http_waha_delivery_t *delivery,
    ngx_http_waha_ingest_t *ingest)
{
    size_t  size;

    /* an event can be of three bytes: the body does not tell what it takes */

    size = delivery->events.nelts * NGX_HTTP_WAHA_DELIVERY_EVENT;

    if (ngx_http_waha_ingest_hold(ingest, size) != NGX_OK) {
        return NGX_DECLINED;
    }

    delivery->ingest = ingest;
    delivery->held = size;

    return NGX_OK;
}


void
ngx_http_waha_delivery_cancel(ngx_http_waha_delivery_t *delivery)
{
    ngx_uint_t  i;

    for (i = 0; i < delivery->nentries; i++) {
        ngx_http_waha_ingest_cancel(&delivery->entries[i]);
    }

    if (delivery->held) {
        ngx_http_waha_ingest_release(delivery->ingest, delivery->held);
    }
}


ngx_int_t
ngx_http_waha_delivery_answer(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery)
{
    ngx_http_waha_ctx_t    *ctx;
    ngx_http_waha_entry_t  *entry;
    ngx_http_waha_error_e   error;

    ctx = delivery->ctx;
    entry = ngx_http_waha_delivery_find_decisive(delivery);

    ctx->organization = entry->organization;
    ctx->records = entry->records;
    ctx->db_time = entry->db_time;

    error = ngx_http_waha_delivery_entry_error(delivery, entry);

    if (error != NGX_HTTP_WAHA_ERR_NONE) {
        return ngx_http_waha_delivery_refuse(r, error, NULL);
    }

    ctx->action = entry->action;

    return ngx_http_waha_delivery_success(r, delivery, entry);
}


/*
 * the entry that decides the answer: one that is not stored, so that the
 * provider repeats the delivery, else one in error, else one that is stored,
 * else the first
 */

static ngx_http_waha_entry_t *
ngx_http_waha_delivery_find_decisive(ngx_http_waha_delivery_t *delivery)
{
    ngx_uint_t              i;
    ngx_http_waha_entry_t  *entry;

    entry = delivery->entries;

    for (i = 0; i < delivery->nentries; i++) {
        if (entry[i].status != NGX_HTTP_WAHA_PG_OK) {
            return &entry[i];
        }
    }

    for (i = 0; i < delivery->nentries; i++) {
        if (ngx_http_waha_delivery_entry_error(delivery, &entry[i])
            != NGX_HTTP_WAHA_ERR_NONE)
        {
            return &entry[i];
        }
    }

    for (i = 0; i < delivery->nentries; i++) {
        if (entry[i].event) {
            return &entry[i];
        }
    }

    return entry;
}


static ngx_http_waha_error_e
ngx_http_waha_delivery_entry_error(ngx_http_waha_delivery_t *delivery,
    ngx_http_waha_entry_t *entry)
{
    ngx_http_waha_error_e  error;

    switch (entry->status) {

    case NGX_HTTP_WAHA_PG_OK:
        error = ngx_http_waha_error_find(&entry->action);

        if (delivery->provider->many
            && ngx_http_waha_error_status(error)
               != NGX_HTTP_SERVICE_UNAVAILABLE)
        {
            return NGX_HTTP_WAHA_ERR_NONE;
        }

        return error;

    case NGX_HTTP_WAHA_PG_BUSY:
        return NGX_HTTP_WAHA_ERR_DATABASE_BUSY;

    case NGX_HTTP_WAHA_PG_SETUP:
        return NGX_HTTP_WAHA_ERR_DATABASE_SETUP;

    default:
        return NGX_HTTP_WAHA_ERR_DATABASE_UNAVAILABLE;
    }
}


static ngx_int_t
ngx_http_waha_delivery_success(ngx_http_request_t *r,
    ngx_http_waha_delivery_t *delivery, ngx_http_waha_entry_t *entry)
{
    ngx_str_t                 json;
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, r->pool, NGX_HTTP_WAHA_DELIVERY_ANSWER);

    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_bool(&out, "success", 1);
    ngx_http_waha_json_open(&out, "data", '{');
    ngx_http_waha_json_put_bool(&out, "received", 1);

    ngx_http_waha_delivery_member(&out, "action", &entry->action);
    ngx_http_waha_delivery_member(&out, "reason", &entry->code);

    if (delivery->provider->many) {

        if (ngx_http_waha_delivery_count(delivery, &out) != NGX_OK) {
            return ngx_http_waha_delivery_no_memory(r);
        }

    } else {
        ngx_http_waha_delivery_member(&out, "organization",
                                      &entry->organization);
        ngx_http_waha_delivery_id(&out, "tenantId", &entry->tenant_id);
        ngx_http_waha_delivery_id(&out, "contactId", &entry->contact_id);
        ngx_http_waha_delivery_id(&out, "activityId", &entry->activity_id);
    }

    ngx_http_waha_json_close(&out, '}');
    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &json) != NGX_OK) {
        return ngx_http_waha_delivery_no_memory(r);
    }

    return ngx_http_waha_answer_json(r, NGX_HTTP_OK, &json);
}


/* how many events there are, and how many of them had each action */

static ngx_int_t
ngx_http_waha_delivery_count(ngx_http_waha_delivery_t *delivery,
    ngx_http_waha_json_out_t *out)
{
    ngx_uint_t                       i, j;
    ngx_array_t                      actions;
    ngx_http_waha_delivery_tally_t  *tally;

    if (ngx_array_init(&actions, out->pool, 4,
                       sizeof(ngx_http_waha_delivery_tally_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < delivery->nentries; i++) {
        tally = actions.elts;

        for (j = 0; j < actions.nelts; j++) {
            if (ngx_http_waha_string_is_equal(&tally[j].action,
                                              &delivery->entries[i].action))
            {
                break;
            }
        }

        if (j == actions.nelts) {
            tally = ngx_array_push(&actions);
            if (tally == NULL) {
                return NGX_ERROR;
            }

            tally->action = delivery->entries[i].action;
            tally->count = 1;
            continue;
        }

        tally[j].count++;
    }

    ngx_http_waha_json_put_number(out, "events", delivery->nentries);
    ngx_http_waha_json_open(out, "actions", '{');

    tally = actions.elts;

    for (j = 0; j < actions.nelts; j++) {
        ngx_http_waha_json_put_number(out, (char *) tally[j].action.data,
                                      tally[j].count);
    }

    ngx_http_waha_json_close(out, '}');

    return NGX_OK;
}


/* columns that are null arrive empty */

static void
ngx_http_waha_delivery_member(ngx_http_waha_json_out_t *out, const char *name,
    ngx_str_t *value)
{
    if (value->len) {
        ngx_http_waha_json_put(out, name, value);
    }
}


static void
ngx_http_waha_delivery_id(ngx_http_waha_json_out_t *out, const char *name,
    ngx_str_t *value)
{
    if (value->len) {
        ngx_http_waha_json_put_raw(out, name, value);
    }
}


ngx_int_t
ngx_http_waha_delivery_refuse(ngx_http_request_t *r,
    ngx_http_waha_error_e error, const char *reason)
{
    if (reason == NULL) {
        reason = ngx_http_waha_error_message(error);
    }

    ngx_http_waha_delivery_log(r, ngx_http_waha_error_status(error),
                               ngx_http_waha_error_code(error), reason);

    return ngx_http_waha_error_send(r, error);
}


void
ngx_http_waha_delivery_log(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *code, const char *reason)
{
    ngx_str_t             session;
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);

    ngx_str_set(&session, "-");

    if (ctx && ngx_http_waha_value_is_session(&ctx->session)) {
        session = ctx->session;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "waha: webhook answered %ui %V: %s, session \"%V\"",
                  status, code, reason, &session);
}


ngx_int_t
ngx_http_waha_delivery_no_memory(ngx_http_request_t *r)
{
    return ngx_http_waha_delivery_refuse(r, NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY,
                                         NULL);
}
