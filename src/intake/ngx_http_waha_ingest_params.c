
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/evp.h>
#include <ngx_http_waha_ingest_params.h>
#include <ngx_http_waha_json.h>


/* OIDs of src/include/catalog/pg_type.dat in PostgreSQL, which never change */

#define NGX_HTTP_WAHA_BYTEA         17
#define NGX_HTTP_WAHA_INT8          20
#define NGX_HTTP_WAHA_TEXT          25
#define NGX_HTTP_WAHA_TEXT_ARRAY    1009
#define NGX_HTTP_WAHA_INT8_ARRAY    1016

/* dimensions, null flag, type, and the size and bound of one dimension */

#define NGX_HTTP_WAHA_ARRAY_HEADER  20

/* " => $", a number, a comma and a space */

#define NGX_HTTP_WAHA_PARAM_LEN     (sizeof(" => $, ") + NGX_INT_T_LEN)


/* where a column comes from */

typedef enum {
    NGX_HTTP_WAHA_COLUMN_STRING = 0,
    NGX_HTTP_WAHA_COLUMN_TIME,
    NGX_HTTP_WAHA_COLUMN_KIND,
    NGX_HTTP_WAHA_COLUMN_CHAT,
    NGX_HTTP_WAHA_COLUMN_DIRECTION,
    NGX_HTTP_WAHA_COLUMN_EMPTY,
    NGX_HTTP_WAHA_COLUMN_META
} ngx_http_waha_column_e;


typedef struct {
    const char               *name;     /* of the argument */
    ngx_http_waha_column_e    type;
    size_t                    offset;   /* in ngx_http_waha_event_t */
} ngx_http_waha_column_t;


typedef struct {
    const char               *name;     /* in the JSON object */
    size_t                    offset;   /* in ngx_http_waha_event_t */
} ngx_http_waha_ingest_member_t;


static ngx_int_t ngx_http_waha_ingest_params_hash_statement(ngx_pool_t *pool,
    const char *function, ngx_http_waha_pg_statement_t *statement);
static Oid ngx_http_waha_ingest_params_type(
    const ngx_http_waha_column_t *column, ngx_http_waha_ingest_form_e form);
static ngx_int_t ngx_http_waha_ingest_params_alloc(
    ngx_http_waha_pg_job_t *job, ngx_pool_t *pool, ngx_uint_t n);
static ngx_int_t ngx_http_waha_ingest_params_copy(
    ngx_http_waha_pg_job_t *job, ngx_pool_t *pool, ngx_str_t *args,
    ngx_uint_t n);
static ngx_int_t ngx_http_waha_ingest_params_array(ngx_pool_t *pool,
    const ngx_http_waha_column_t *column, ngx_http_waha_event_t **events,
    ngx_uint_t nevents, ngx_str_t *metas, ngx_str_t *value);
static ngx_int_t ngx_http_waha_ingest_params_metas(ngx_pool_t *pool,
    ngx_http_waha_event_t **events, ngx_uint_t nevents, ngx_str_t **metas);
static ngx_int_t ngx_http_waha_ingest_params_meta(ngx_pool_t *pool,
    ngx_http_waha_event_t *event, ngx_str_t *value);
static ngx_int_t ngx_http_waha_ingest_params_event(ngx_pool_t *pool,
    ngx_http_waha_event_t *event, ngx_str_t *args, u_char *time);
static ngx_str_t ngx_http_waha_ingest_params_column(
    const ngx_http_waha_column_t *column, ngx_http_waha_event_t *event,
    u_char *time);
static u_char *ngx_http_waha_ingest_params_int4(u_char *p, uint32_t n);


#define ngx_http_waha_column(name, type, member)                              \
    { name, NGX_HTTP_WAHA_COLUMN_##type,                                      \
      offsetof(ngx_http_waha_event_t, member) }


static const ngx_http_waha_column_t  ngx_http_waha_columns[] = {
    ngx_http_waha_column("provider", STRING, provider),
    ngx_http_waha_column("instance", STRING, instance),
    ngx_http_waha_column("session", STRING, session),
    ngx_http_waha_column("kind", KIND, kind),
    ngx_http_waha_column("direction", DIRECTION, kind),
    ngx_http_waha_column("chat", CHAT, chat),
    ngx_http_waha_column("message_id", STRING, message_id),
    ngx_http_waha_column("target_id", STRING, target_id),
    ngx_http_waha_column("phone", STRING, phone),
    ngx_http_waha_column("lid", STRING, lid),
    ngx_http_waha_column("name", STRING, name),
    ngx_http_waha_column("type", STRING, type),
    ngx_http_waha_column("body", STRING, text),
    ngx_http_waha_column("sent_at", TIME, sent_at),
    ngx_http_waha_column("status", STRING, status),
    ngx_http_waha_column("metadata", STRING, metadata),
    ngx_http_waha_column("organization_slug", STRING, organization_slug),
    ngx_http_waha_column("organization_id", STRING, organization_id),
    ngx_http_waha_column("tenant", STRING, tenant),
    ngx_http_waha_column("claims", STRING, sources),
    ngx_http_waha_column("chat_id", STRING, chat_id),
    ngx_http_waha_column("empty", EMPTY, kind),
    ngx_http_waha_column("meta", META, provider)
};

#define NGX_HTTP_WAHA_NCOLUMNS                                                \
    (sizeof(ngx_http_waha_columns) / sizeof(ngx_http_waha_column_t))


/* what only Meta tells */

static const ngx_http_waha_ingest_member_t  ngx_http_waha_ingest_members[] = {
    { "connection", offsetof(ngx_http_waha_event_t, connection) },
    { "account", offsetof(ngx_http_waha_event_t, account) },
    { "bsuid", offsetof(ngx_http_waha_event_t, bsuid) },
    { "parent_bsuid", offsetof(ngx_http_waha_event_t, parent_bsuid) },
    { "username", offsetof(ngx_http_waha_event_t, username) },
    { "previous_phone", offsetof(ngx_http_waha_event_t, previous_phone) },
    { "previous_bsuid", offsetof(ngx_http_waha_event_t, previous_bsuid) }
};

#define NGX_HTTP_WAHA_NMEMBERS                                                \
    (sizeof(ngx_http_waha_ingest_members)                                     \
     / sizeof(ngx_http_waha_ingest_member_t))


/* before the columns where an event is set aside */

static const char  *ngx_http_waha_aside_names[] = {
    "reason", "sqlstate", "raw"
};

static const Oid  ngx_http_waha_aside_types[] = {
    NGX_HTTP_WAHA_TEXT, NGX_HTTP_WAHA_TEXT, NGX_HTTP_WAHA_BYTEA
};

#define NGX_HTTP_WAHA_NASIDE                                                  \
    (sizeof(ngx_http_waha_aside_types) / sizeof(Oid))


static const Oid  ngx_http_waha_ingest_params_hash_type = NGX_HTTP_WAHA_BYTEA;

/* with the delivery's bytes, what tells its events apart */

static const size_t  ngx_http_waha_ingest_params_hashed[] = {
    offsetof(ngx_http_waha_event_t, session),
    offsetof(ngx_http_waha_event_t, event),
    offsetof(ngx_http_waha_event_t, message_id),
    offsetof(ngx_http_waha_event_t, target_id),
    offsetof(ngx_http_waha_event_t, status)
};

#define NGX_HTTP_WAHA_NHASHED                                                 \
    (sizeof(ngx_http_waha_ingest_params_hashed) / sizeof(size_t))


static ngx_str_t  ngx_http_waha_ingest_params_inbound =
    ngx_string("inbound");
static ngx_str_t  ngx_http_waha_ingest_params_outbound =
    ngx_string("outbound");
static ngx_str_t  ngx_http_waha_ingest_params_true = ngx_string("true");
static ngx_str_t  ngx_http_waha_ingest_params_null = ngx_null_string;


static ngx_int_t
ngx_http_waha_ingest_params_hash_statement(ngx_pool_t *pool,
    const char *function, ngx_http_waha_pg_statement_t *statement)
{
    u_char  *text;

    text = ngx_pnalloc(pool, sizeof("select waha.($1)")
                             + ngx_strlen(function));
    if (text == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(text, "select waha.%s($1)%Z", function);

    statement->name = function;
    statement->text = (char *) text;
    statement->nparams = 1;
    statement->types = &ngx_http_waha_ingest_params_hash_type;

    return NGX_OK;
}


/* arguments go by name, so the order of columns is no part of the contract */

ngx_int_t
ngx_http_waha_ingest_params_statement(ngx_pool_t *pool, const char *function,
    ngx_http_waha_ingest_form_e form, ngx_http_waha_pg_statement_t *statement)
{
    Oid         *types;
    size_t       len;
    u_char      *p, *text;
    ngx_uint_t   i, n;
    const char  *name;

    if (form == NGX_HTTP_WAHA_INGEST_HASH) {
        return ngx_http_waha_ingest_params_hash_statement(pool, function,
                                                          statement);
    }

    n = (form == NGX_HTTP_WAHA_INGEST_ASIDE) ? NGX_HTTP_WAHA_NASIDE : 0;

    len = sizeof("select * from waha.()") + ngx_strlen(function);

    for (i = 0; i < n; i++) {
        len += ngx_strlen(ngx_http_waha_aside_names[i])
               + NGX_HTTP_WAHA_PARAM_LEN;
    }

    for (i = 0; i < NGX_HTTP_WAHA_NCOLUMNS; i++) {
        len += ngx_strlen(ngx_http_waha_columns[i].name)
               + NGX_HTTP_WAHA_PARAM_LEN;
    }

    text = ngx_pnalloc(pool, len);
    types = ngx_palloc(pool, (n + NGX_HTTP_WAHA_NCOLUMNS) * sizeof(Oid));

    if (text == NULL || types == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(text, "select * from waha.%s(", function);

    for (i = 0; i < n + NGX_HTTP_WAHA_NCOLUMNS; i++) {

        if (i < n) {
            name = ngx_http_waha_aside_names[i];
            types[i] = ngx_http_waha_aside_types[i];

        } else {
            name = ngx_http_waha_columns[i - n].name;
            types[i] = ngx_http_waha_ingest_params_type(
                           &ngx_http_waha_columns[i - n], form);
        }

        p = ngx_sprintf(p, "%s%s => $%ui", i ? ", " : "", name, i + 1);
    }

    *p++ = ')';
    *p = '\0';

    statement->name = function;
    statement->text = (char *) text;
    statement->nparams = n + NGX_HTTP_WAHA_NCOLUMNS;
    statement->types = types;

    return NGX_OK;
}


static Oid
ngx_http_waha_ingest_params_type(const ngx_http_waha_column_t *column,
    ngx_http_waha_ingest_form_e form)
{
    if (column->type == NGX_HTTP_WAHA_COLUMN_TIME) {
        return (form == NGX_HTTP_WAHA_INGEST_ARRAYS) ? NGX_HTTP_WAHA_INT8_ARRAY
                                                     : NGX_HTTP_WAHA_INT8;
    }

    return (form == NGX_HTTP_WAHA_INGEST_ARRAYS) ? NGX_HTTP_WAHA_TEXT_ARRAY
                                                 : NGX_HTTP_WAHA_TEXT;
}


ngx_int_t
ngx_http_waha_ingest_params_values(ngx_http_waha_pg_job_t *job,
    ngx_pool_t *pool, ngx_http_waha_event_t *event)
{
    u_char     time[sizeof(int64_t)];
    ngx_str_t  args[NGX_HTTP_WAHA_NCOLUMNS];

    if (ngx_http_waha_ingest_params_event(pool, event, args, time) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_waha_ingest_params_copy(job, pool, args,
                                            NGX_HTTP_WAHA_NCOLUMNS);
}


ngx_int_t
ngx_http_waha_ingest_params_aside(ngx_http_waha_pg_job_t *job,
    ngx_pool_t *pool, ngx_http_waha_event_t *event,
    ngx_http_waha_ingest_aside_t *aside)
{
    u_char     time[sizeof(int64_t)];
    ngx_str_t  args[NGX_HTTP_WAHA_NASIDE + NGX_HTTP_WAHA_NCOLUMNS];

    args[0] = aside->reason;
    args[1] = aside->sqlstate;
    args[2] = aside->raw;

    if (ngx_http_waha_ingest_params_event(pool, event,
                                          args + NGX_HTTP_WAHA_NASIDE, time)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_waha_ingest_params_copy(job, pool, args,
                                NGX_HTTP_WAHA_NASIDE + NGX_HTTP_WAHA_NCOLUMNS);
}


ngx_int_t
ngx_http_waha_ingest_params_hash(ngx_http_waha_pg_job_t *job,
    ngx_pool_t *pool, ngx_http_waha_event_t *event, ngx_str_t *raw)
{
    u_char       hash[EVP_MAX_MD_SIZE];
    ngx_int_t    rc;
    ngx_str_t    arg, *part;
    ngx_uint_t   i;
    EVP_MD_CTX  *md;

    md = EVP_MD_CTX_new();
    if (md == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1
        || EVP_DigestUpdate(md, raw->data, raw->len) != 1)
    {
        goto done;
    }

    for (i = 0; i < NGX_HTTP_WAHA_NHASHED; i++) {
        part = (ngx_str_t *) ((u_char *) event
                              + ngx_http_waha_ingest_params_hashed[i]);

        if (EVP_DigestUpdate(md, &part->len, sizeof(size_t)) != 1
            || EVP_DigestUpdate(md, part->data, part->len) != 1)
        {
            goto done;
        }
    }

    if (EVP_DigestFinal_ex(md, hash, NULL) != 1) {
        goto done;
    }

    arg.data = hash;
    arg.len = EVP_MD_size(EVP_sha256());

    rc = ngx_http_waha_ingest_params_copy(job, pool, &arg, 1);

done:

    EVP_MD_CTX_free(md);

    return rc;
}


/* the job may outlive the requests that the arguments are of */

static ngx_int_t
ngx_http_waha_ingest_params_copy(ngx_http_waha_pg_job_t *job,
    ngx_pool_t *pool, ngx_str_t *args, ngx_uint_t n)
{
    size_t       len;
    u_char      *p;
    ngx_uint_t   i;

    if (ngx_http_waha_ingest_params_alloc(job, pool, n) != NGX_OK) {
        return NGX_ERROR;
    }

    len = 0;

    for (i = 0; i < n; i++) {
        len += args[i].len;
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        job->values[i] = args[i].data ? (char *) p : NULL;
        job->lengths[i] = args[i].len;

        p = ngx_cpymem(p, args[i].data, args[i].len);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_ingest_params_arrays(ngx_http_waha_pg_job_t *job,
    ngx_pool_t *pool, ngx_http_waha_event_t **events, ngx_uint_t nevents)
{
    ngx_str_t                      *metas, value;
    ngx_uint_t                      i;
    const ngx_http_waha_column_t   *column;

    if (ngx_http_waha_ingest_params_alloc(job, pool, NGX_HTTP_WAHA_NCOLUMNS)
        != NGX_OK
        || ngx_http_waha_ingest_params_metas(pool, events, nevents, &metas)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_WAHA_NCOLUMNS; i++) {
        column = &ngx_http_waha_columns[i];

        /* null, not an array of nulls: WAHA's events take a shorter way */

        if (column->type == NGX_HTTP_WAHA_COLUMN_META && metas == NULL) {
            job->values[i] = NULL;
            job->lengths[i] = 0;
            continue;
        }

        if (ngx_http_waha_ingest_params_array(pool, column, events, nevents,
                                              metas, &value)
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
ngx_http_waha_ingest_params_alloc(ngx_http_waha_pg_job_t *job,
    ngx_pool_t *pool, ngx_uint_t n)
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
ngx_http_waha_ingest_params_array(ngx_pool_t *pool,
    const ngx_http_waha_column_t *column, ngx_http_waha_event_t **events,
    ngx_uint_t nevents, ngx_str_t *metas, ngx_str_t *value)
{
    size_t      len;
    u_char     *p, time[sizeof(int64_t)];
    ngx_str_t   element;
    ngx_uint_t  i, nulls, type;

    len = NGX_HTTP_WAHA_ARRAY_HEADER + nevents * sizeof(uint32_t);
    nulls = 0;

    if (column->type != NGX_HTTP_WAHA_COLUMN_META) {
        metas = NULL;
    }

    for (i = 0; i < nevents; i++) {
        element = metas ? metas[i]
                        : ngx_http_waha_ingest_params_column(column, events[i],
                                                             time);
        len += element.len;
        nulls |= (element.data == NULL);
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    value->len = len;

    type = (column->type == NGX_HTTP_WAHA_COLUMN_TIME) ? NGX_HTTP_WAHA_INT8
                                                       : NGX_HTTP_WAHA_TEXT;

    p = ngx_http_waha_ingest_params_int4(p, 1);
    p = ngx_http_waha_ingest_params_int4(p, nulls);
    p = ngx_http_waha_ingest_params_int4(p, type);
    p = ngx_http_waha_ingest_params_int4(p, nevents);
    p = ngx_http_waha_ingest_params_int4(p, 1);

    for (i = 0; i < nevents; i++) {
        element = metas ? metas[i]
                        : ngx_http_waha_ingest_params_column(column, events[i],
                                                             time);

        if (element.data == NULL) {
            p = ngx_http_waha_ingest_params_int4(p, (uint32_t) -1);
            continue;
        }

        p = ngx_http_waha_ingest_params_int4(p, element.len);
        p = ngx_cpymem(p, element.data, element.len);
    }

    return NGX_OK;
}


/* metas: an element for each event, or NULL when all are WAHA's */

static ngx_int_t
ngx_http_waha_ingest_params_metas(ngx_pool_t *pool,
    ngx_http_waha_event_t **events, ngx_uint_t nevents, ngx_str_t **metas)
{
    ngx_uint_t  i;

    for (i = 0; i < nevents; i++) {
        if (events[i]->numbered) {
            break;
        }
    }

    *metas = NULL;

    if (i == nevents) {
        return NGX_OK;
    }

    *metas = ngx_palloc(pool, nevents * sizeof(ngx_str_t));
    if (*metas == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < nevents; i++) {
        if (ngx_http_waha_ingest_params_meta(pool, events[i], *metas + i)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_ingest_params_meta(ngx_pool_t *pool,
    ngx_http_waha_event_t *event, ngx_str_t *value)
{
    ngx_str_t                            *member;
    ngx_uint_t                            i;
    ngx_http_waha_json_out_t              out;
    const ngx_http_waha_ingest_member_t  *m;

    if (!event->numbered) {
        ngx_str_null(value);
        return NGX_OK;
    }

    ngx_http_waha_json_start(&out, pool, 256 + event->details.len);
    ngx_http_waha_json_open(&out, NULL, '{');

    for (i = 0; i < NGX_HTTP_WAHA_NMEMBERS; i++) {
        m = &ngx_http_waha_ingest_members[i];
        member = (ngx_str_t *) ((u_char *) event + m->offset);

        if (member->data) {
            ngx_http_waha_json_put(&out, m->name, member);
        }
    }

    if (event->kind == NGX_HTTP_WAHA_ACCOUNT) {
        ngx_http_waha_json_put(&out, "field", &event->event);
    }

    if (event->details.data) {
        ngx_http_waha_json_put_raw(&out, "details", &event->details);
    }

    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_json_end(&out, value);
}


static ngx_int_t
ngx_http_waha_ingest_params_event(ngx_pool_t *pool,
    ngx_http_waha_event_t *event, ngx_str_t *args, u_char *time)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_WAHA_NCOLUMNS; i++) {

        if (ngx_http_waha_columns[i].type == NGX_HTTP_WAHA_COLUMN_META) {
            if (ngx_http_waha_ingest_params_meta(pool, event, &args[i])
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            continue;
        }

        args[i] = ngx_http_waha_ingest_params_column(&ngx_http_waha_columns[i],
                                                     event, time);
    }

    return NGX_OK;
}


/* time: where the bytes of a time go */

static ngx_str_t
ngx_http_waha_ingest_params_column(const ngx_http_waha_column_t *column,
    ngx_http_waha_event_t *event, u_char *time)
{
    uint64_t    ms;
    ngx_str_t   value;
    ngx_uint_t  i;

    switch (column->type) {

    case NGX_HTTP_WAHA_COLUMN_KIND:
        return ngx_http_waha_event_kinds[event->kind];

    case NGX_HTTP_WAHA_COLUMN_CHAT:
        return ngx_http_waha_event_chats[event->chat];

    case NGX_HTTP_WAHA_COLUMN_DIRECTION:

        if (event->kind == NGX_HTTP_WAHA_SESSION) {
            return ngx_http_waha_ingest_params_null;
        }

        return event->outbound ? ngx_http_waha_ingest_params_outbound
                               : ngx_http_waha_ingest_params_inbound;

    case NGX_HTTP_WAHA_COLUMN_EMPTY:
        return event->empty ? ngx_http_waha_ingest_params_true
                            : ngx_http_waha_ingest_params_null;

    case NGX_HTTP_WAHA_COLUMN_TIME:
        ms = (uint64_t) *(int64_t *) ((u_char *) event + column->offset);

        for (i = 0; i < sizeof(int64_t); i++) {
            time[i] = (u_char) (ms >> (56 - 8 * i));
        }

        value.data = time;
        value.len = sizeof(int64_t);

        return value;

    default: /* NGX_HTTP_WAHA_COLUMN_STRING */
        return *(ngx_str_t *) ((u_char *) event + column->offset);
    }
}


static u_char *
ngx_http_waha_ingest_params_int4(u_char *p, uint32_t n)
{
    n = htonl(n);

    return ngx_cpymem(p, &n, sizeof(uint32_t));
}
