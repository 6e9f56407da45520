
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_params.h>


/* src/include/catalog/pg_type.dat of PostgreSQL: fixed for ever */

#define NGX_HTTP_WAHA_BYTEA       17
#define NGX_HTTP_WAHA_INT8        20
#define NGX_HTTP_WAHA_TEXT        25
#define NGX_HTTP_WAHA_TEXT_ARRAY  1009
#define NGX_HTTP_WAHA_INT8_ARRAY  1016

#define NGX_HTTP_WAHA_VALUES(text, int8)                                      \
    text, text, text, text, text, text, text, text, text, text,               \
    text, text, text, int8, text, text, text, text, text, text

/* the one argument that is a number */
#define NGX_HTTP_WAHA_SENT_AT     13

/* dimensions, null flag, type, and the size and bound of one dimension */
#define NGX_HTTP_WAHA_ARRAY_HEADER  20


static ngx_int_t ngx_http_waha_params_alloc(ngx_http_waha_pg_job_t *job,
    ngx_pool_t *pool, ngx_uint_t n);
static ngx_int_t ngx_http_waha_params_array(ngx_pool_t *pool, ngx_uint_t arg,
    ngx_http_waha_entry_t **entries, ngx_uint_t nentries, ngx_str_t *value);
static u_char *ngx_http_waha_params_int4(u_char *p, uint32_t n);


const Oid  ngx_http_waha_params_values_types[] = {
    NGX_HTTP_WAHA_VALUES(NGX_HTTP_WAHA_TEXT, NGX_HTTP_WAHA_INT8)
};

const Oid  ngx_http_waha_params_arrays_types[] = {
    NGX_HTTP_WAHA_VALUES(NGX_HTTP_WAHA_TEXT_ARRAY, NGX_HTTP_WAHA_INT8_ARRAY)
};

const Oid  ngx_http_waha_params_quarantine_types[] = {
    NGX_HTTP_WAHA_TEXT, NGX_HTTP_WAHA_TEXT, NGX_HTTP_WAHA_BYTEA,
    NGX_HTTP_WAHA_VALUES(NGX_HTTP_WAHA_TEXT, NGX_HTTP_WAHA_INT8)
};


/* as ngx_http_waha_kind_e and ngx_http_waha_chat_e count */

static ngx_str_t  ngx_http_waha_params_kinds[] = {
    ngx_string("message"),
    ngx_string("status"),
    ngx_string("reaction"),
    ngx_string("edit"),
    ngx_string("revoke"),
    ngx_string("session"),
    ngx_string("call"),
    ngx_string("other")
};

static ngx_str_t  ngx_http_waha_params_chats[] = {
    ngx_string("person"),
    ngx_string("group"),
    ngx_string("status"),
    ngx_string("newsletter"),
    ngx_string("broadcast"),
    ngx_string("bot")
};

static ngx_str_t  ngx_http_waha_params_provider = ngx_string("waha");
static ngx_str_t  ngx_http_waha_params_inbound = ngx_string("inbound");
static ngx_str_t  ngx_http_waha_params_outbound = ngx_string("outbound");
static ngx_str_t  ngx_http_waha_params_null = ngx_null_string;


void
ngx_http_waha_params_event(ngx_http_waha_entry_t *entry)
{
    uint64_t                sent_at;
    ngx_str_t              *arg, direction;
    ngx_uint_t              i;
    ngx_http_waha_event_t  *event;

    event = entry->event;
    arg = entry->args;

    if (event == NULL) {
        ngx_memzero(arg, sizeof(entry->args));
        return;
    }

    if (event->kind == NGX_HTTP_WAHA_SESSION) {
        direction = ngx_http_waha_params_null;

    } else {
        direction = event->outbound ? ngx_http_waha_params_outbound
                                    : ngx_http_waha_params_inbound;
    }

    sent_at = (uint64_t) event->sent_at;

    for (i = 0; i < sizeof(entry->sent_at); i++) {
        entry->sent_at[i] = (u_char) (sent_at >> (56 - 8 * i));
    }

    *arg++ = ngx_http_waha_params_provider;
    *arg++ = entry->instance;
    *arg++ = event->session;
    *arg++ = ngx_http_waha_params_kinds[event->kind];
    *arg++ = direction;
    *arg++ = ngx_http_waha_params_chats[event->chat];
    *arg++ = event->message_id;
    *arg++ = event->target_id;
    *arg++ = event->phone;
    *arg++ = event->lid;
    *arg++ = event->name;
    *arg++ = event->type;
    *arg++ = event->text;

    arg->data = entry->sent_at;
    arg->len = sizeof(entry->sent_at);
    arg++;

    *arg++ = event->status;
    *arg++ = event->metadata;
    *arg++ = event->organization_slug;
    *arg++ = event->organization_id;
    *arg++ = event->tenant;
    *arg++ = entry->claims;
}


ngx_int_t
ngx_http_waha_params_values(ngx_http_waha_pg_job_t *job, ngx_pool_t *pool,
    ngx_str_t *args, ngx_uint_t nargs)
{
    size_t       len;
    u_char      *p;
    ngx_uint_t   i;

    if (ngx_http_waha_params_alloc(job, pool, nargs) != NGX_OK) {
        return NGX_ERROR;
    }

    len = 0;

    for (i = 0; i < nargs; i++) {
        len += args[i].len;
    }

    /* the job may outlive the request that the arguments are of */

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < nargs; i++) {
        job->values[i] = args[i].data ? (char *) p : NULL;
        job->lengths[i] = args[i].len;

        p = ngx_cpymem(p, args[i].data, args[i].len);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_params_arrays(ngx_http_waha_pg_job_t *job, ngx_pool_t *pool,
    ngx_http_waha_entry_t **entries, ngx_uint_t nentries)
{
    ngx_str_t   value;
    ngx_uint_t  i;

    if (ngx_http_waha_params_alloc(job, pool, NGX_HTTP_WAHA_INGEST_ARGS)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_WAHA_INGEST_ARGS; i++) {

        if (ngx_http_waha_params_array(pool, i, entries, nentries, &value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        job->values[i] = (char *) value.data;
        job->lengths[i] = value.len;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_params_alloc(ngx_http_waha_pg_job_t *job, ngx_pool_t *pool,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    job->values = ngx_palloc(pool, n * sizeof(char *));
    job->lengths = ngx_palloc(pool, n * sizeof(int));
    job->formats = ngx_palloc(pool, n * sizeof(int));

    if (job->values == NULL || job->lengths == NULL || job->formats == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        job->formats[i] = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_params_array(ngx_pool_t *pool, ngx_uint_t arg,
    ngx_http_waha_entry_t **entries, ngx_uint_t nentries, ngx_str_t *value)
{
    size_t      len;
    u_char     *p;
    ngx_str_t  *element;
    ngx_uint_t  i, nulls, type;

    len = NGX_HTTP_WAHA_ARRAY_HEADER + nentries * sizeof(uint32_t);
    nulls = 0;

    for (i = 0; i < nentries; i++) {
        element = &entries[i]->args[arg];
        len += element->len;
        nulls |= (element->data == NULL);
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    value->len = len;

    type = (arg == NGX_HTTP_WAHA_SENT_AT) ? NGX_HTTP_WAHA_INT8
                                          : NGX_HTTP_WAHA_TEXT;

    p = ngx_http_waha_params_int4(p, 1);
    p = ngx_http_waha_params_int4(p, nulls);
    p = ngx_http_waha_params_int4(p, type);
    p = ngx_http_waha_params_int4(p, nentries);
    p = ngx_http_waha_params_int4(p, 1);

    for (i = 0; i < nentries; i++) {
        element = &entries[i]->args[arg];

        if (element->data == NULL) {
            p = ngx_http_waha_params_int4(p, (uint32_t) -1);
            continue;
        }

        p = ngx_http_waha_params_int4(p, element->len);
        p = ngx_cpymem(p, element->data, element->len);
    }

    return NGX_OK;
}


static u_char *
ngx_http_waha_params_int4(u_char *p, uint32_t n)
{
    n = htonl(n);

    return ngx_cpymem(p, &n, sizeof(uint32_t));
}
