
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_outcome.h>
#include <ngx_http_waha_string.h>


/* SQLSTATE of a statement that was ended, mostly by its time limit */

#define NGX_HTTP_WAHA_OUTCOME_ENDED  "57014"

/* events of a batch that are kept although another may sign for them */

#define NGX_HTTP_WAHA_OUTCOME_REFUSED  16

/* SQLSTATE of waha.quarantine at its bounds */

#define NGX_HTTP_WAHA_OUTCOME_FULL   "53400"


static ngx_int_t ngx_http_waha_outcome_resubmit(ngx_http_waha_batch_t *batch);
static ngx_uint_t ngx_http_waha_outcome_is_worth_retry(
    ngx_http_waha_batch_t *batch);
static ngx_uint_t ngx_http_waha_outcome_has_timed_out(
    ngx_http_waha_batch_t *batch);
static ngx_uint_t ngx_http_waha_outcome_is_divisible(
    ngx_http_waha_batch_t *batch);
static ngx_uint_t ngx_http_waha_outcome_is_full(ngx_http_waha_batch_t *batch);
static void ngx_http_waha_outcome_divide(ngx_http_waha_batch_t *batch);
static void ngx_http_waha_outcome_count_timeout(ngx_http_waha_batch_t *batch);
static void ngx_http_waha_outcome_read_timeout(ngx_http_waha_batch_t *batch);
static void ngx_http_waha_outcome_read_row(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry, int row);
static ngx_int_t ngx_http_waha_outcome_copy_row(ngx_http_waha_entry_t *entry,
    PGresult *result, int row);
static void ngx_http_waha_outcome_fail(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry, ngx_str_t *sqlstate);
static void ngx_http_waha_outcome_refuse(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry);
static void ngx_http_waha_outcome_set_aside(ngx_http_waha_batch_t *failed,
    ngx_http_waha_entry_t *entry, ngx_str_t *reason, ngx_str_t *sqlstate);
static void ngx_http_waha_outcome_finish(ngx_http_waha_entry_t *entry,
    ngx_uint_t status);


/* the columns of a result row, after the position */

static const size_t  ngx_http_waha_outcome_fields[] = {
    offsetof(ngx_http_waha_entry_t, action),
    offsetof(ngx_http_waha_entry_t, organization),
    offsetof(ngx_http_waha_entry_t, tenant_id),
    offsetof(ngx_http_waha_entry_t, contact_id),
    offsetof(ngx_http_waha_entry_t, activity_id),
    offsetof(ngx_http_waha_entry_t, code)
};

#define NGX_HTTP_WAHA_OUTCOME_NFIELDS                                         \
    (int) (sizeof(ngx_http_waha_outcome_fields) / sizeof(size_t))


ngx_int_t
ngx_http_waha_outcome_retry(ngx_http_waha_batch_t *batch)
{
    ngx_str_t               sqlstate;
    ngx_http_waha_entry_t  *entry;

    if (batch->nentries == 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_waha_outcome_is_worth_retry(batch)) {
        batch->retried = 1;
        return ngx_http_waha_outcome_resubmit(batch);
    }

    if (ngx_http_waha_outcome_has_timed_out(batch)) {

        if (batch->variant == NGX_HTTP_WAHA_BATCH_ONE) {
            ngx_http_waha_outcome_count_timeout(batch);

        } else if (batch->variant <= NGX_HTTP_WAHA_BATCH_EACH) {
            ngx_http_waha_outcome_divide(batch);
        }

        return NGX_DECLINED;
    }

    if (ngx_http_waha_outcome_is_divisible(batch)) {
        batch->variant = NGX_HTTP_WAHA_BATCH_EACH;
        return ngx_http_waha_outcome_resubmit(batch);
    }

    if (ngx_http_waha_outcome_is_full(batch)) {
        entry = batch->sent[0];

        /* a 503 would have the provider repeat its neighbours for ever */

        if (ngx_http_waha_string_is(&batch->aside.reason,
                                    "foreign_connection"))
        {
            ngx_str_set(&entry->action, "ignored");

        } else {
            ngx_str_set(&entry->action, "quarantine_full");
        }

        ngx_http_waha_outcome_finish_all(batch, NGX_HTTP_WAHA_PG_OK);

        return NGX_DECLINED;
    }

    if (batch->variant == NGX_HTTP_WAHA_BATCH_ONE
        && batch->job.status == NGX_HTTP_WAHA_PG_DATA)
    {
        entry = batch->sent[0];

        sqlstate.data = (u_char *) batch->job.sqlstate;
        sqlstate.len = ngx_strlen(batch->job.sqlstate);

        ngx_http_waha_batch_leave(entry);
        ngx_http_waha_outcome_fail(batch, entry, &sqlstate);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_waha_outcome_resubmit(ngx_http_waha_batch_t *batch)
{
    /* reset first: submit() may call prepare() at once */

    batch->sent = NULL;
    ngx_http_waha_batch_set_waiting(batch);

    if (ngx_http_waha_batch_submit(batch) == NGX_OK) {
        return NGX_OK;
    }

    ngx_http_waha_batch_set_left(batch);

    return NGX_DECLINED;
}


/* a retry can win a race, but not a lock that another transaction holds */

static ngx_uint_t
ngx_http_waha_outcome_is_worth_retry(ngx_http_waha_batch_t *batch)
{
    const char  *sqlstate;

    sqlstate = batch->job.sqlstate;

    return batch->job.status == NGX_HTTP_WAHA_PG_BUSY
           && !batch->retried
           && ngx_strcmp(sqlstate, "55P03") != 0
           && ngx_strcmp(sqlstate, NGX_HTTP_WAHA_OUTCOME_ENDED) != 0;
}


/*
 * whether the server has ended the batch by its time limit; an administrator
 * who cancels it mostly does so before
 */

static ngx_uint_t
ngx_http_waha_outcome_has_timed_out(ngx_http_waha_batch_t *batch)
{
    return batch->job.status == NGX_HTTP_WAHA_PG_BUSY
           && ngx_strcmp(batch->job.sqlstate, NGX_HTTP_WAHA_OUTCOME_ENDED) == 0
           && batch->job.elapsed >= batch->ingest->statement_timeout / 2;
}


/* whether one record may have failed the batch, so that each runs alone */

static ngx_uint_t
ngx_http_waha_outcome_is_divisible(ngx_http_waha_batch_t *batch)
{
    const char  *sqlstate;

    sqlstate = batch->job.sqlstate;

    if (batch->variant != NGX_HTTP_WAHA_BATCH_TOGETHER) {
        return 0;
    }

    switch (batch->job.status) {

    case NGX_HTTP_WAHA_PG_BUSY:
    case NGX_HTTP_WAHA_PG_DATA:
        return 1;

    case NGX_HTTP_WAHA_PG_SETUP:
        /* constraints and triggers of the CRM, which check single rows */
        return ngx_strncmp(sqlstate, "23", 2) == 0
               || ngx_strncmp(sqlstate, "P0", 2) == 0;

    default:
        /* an unknown error, but not one of the server or connection */
        return sqlstate[0] != '\0'
               && ngx_strncmp(sqlstate, "08", 2) != 0
               && ngx_strncmp(sqlstate, "25", 2) != 0
               && ngx_strncmp(sqlstate, "53", 2) != 0
               && ngx_strncmp(sqlstate, "57", 2) != 0
               && ngx_strncmp(sqlstate, "58", 2) != 0;
    }
}


static ngx_uint_t
ngx_http_waha_outcome_is_full(ngx_http_waha_batch_t *batch)
{
    return batch->variant == NGX_HTTP_WAHA_BATCH_QUARANTINE
           && ngx_strcmp(batch->job.sqlstate, NGX_HTTP_WAHA_OUTCOME_FULL) == 0;
}


/*
 * one record may have taken all the time: each runs in a transaction of its
 * own, side by side with the others as far as there are connections
 */

static void
ngx_http_waha_outcome_divide(ngx_http_waha_batch_t *batch)
{
    ngx_queue_t            *q;
    ngx_http_waha_batch_t  *one;
    ngx_http_waha_entry_t  *entry;

    while (!ngx_queue_empty(&batch->entries)) {
        q = ngx_queue_head(&batch->entries);
        entry = ngx_queue_data(q, ngx_http_waha_entry_t, queue);

        ngx_http_waha_batch_leave(entry);

        one = ngx_http_waha_batch_create(batch->ingest,
                                         NGX_HTTP_WAHA_BATCH_ONE);
        if (one == NULL) {
            ngx_http_waha_outcome_finish(entry, NGX_HTTP_WAHA_PG_DOWN);
            continue;
        }

        one->job.deadline = batch->job.deadline;

        ngx_http_waha_batch_join(one, entry);

        if (ngx_http_waha_batch_submit(one) != NGX_OK) {
            ngx_http_waha_batch_leave(entry);
            ngx_http_waha_outcome_finish(entry, NGX_HTTP_WAHA_PG_DOWN);
        }
    }
}


/* the database remembers whether the record had run out of time before */

static void
ngx_http_waha_outcome_count_timeout(ngx_http_waha_batch_t *batch)
{
    ngx_http_waha_batch_t  *count;
    ngx_http_waha_entry_t  *entry;

    entry = batch->sent[0];

    ngx_http_waha_batch_leave(entry);

    count = ngx_http_waha_batch_create(batch->ingest,
                                       NGX_HTTP_WAHA_BATCH_TIMEOUT);
    if (count == NULL) {
        ngx_http_waha_outcome_finish(entry, NGX_HTTP_WAHA_PG_BUSY);
        return;
    }

    count->job.deadline = batch->job.deadline;

    ngx_http_waha_batch_join(count, entry);

    if (ngx_http_waha_batch_submit(count) != NGX_OK) {
        ngx_http_waha_batch_leave(entry);
        ngx_http_waha_outcome_finish(entry, NGX_HTTP_WAHA_PG_BUSY);
    }
}


void
ngx_http_waha_outcome_read(ngx_http_waha_batch_t *batch)
{
    int                     row, nrows;
    PGresult               *result;
    ngx_uint_t              position;
    ngx_http_waha_entry_t  *entry;

    if (batch->variant == NGX_HTTP_WAHA_BATCH_QUARANTINE) {
        ngx_http_waha_outcome_finish_all(batch, NGX_HTTP_WAHA_PG_OK);
        return;
    }

    if (batch->variant == NGX_HTTP_WAHA_BATCH_TIMEOUT) {
        ngx_http_waha_outcome_read_timeout(batch);
        return;
    }

    result = batch->job.result;
    nrows = PQntuples(result);

    if (PQnfields(result) != NGX_HTTP_WAHA_OUTCOME_NFIELDS + 1) {
        ngx_log_error(NGX_LOG_CRIT, batch->job.log, 0,
                      "waha: the result of \"%s\" has %d columns, not %d",
                      ngx_http_waha_batch_functions[batch->variant].function,
                      PQnfields(result), NGX_HTTP_WAHA_OUTCOME_NFIELDS + 1);
        return;
    }

    for (row = 0; row < nrows; row++) {
        position = ngx_atoi((u_char *) PQgetvalue(result, row, 0),
                            PQgetlength(result, row, 0));

        if (position >= batch->nsent) {
            ngx_log_error(NGX_LOG_ERR, batch->job.log, 0,
                          "waha: a result for a record that was not sent");
            return;
        }

        entry = batch->sent[position];

        if (entry) {
            ngx_http_waha_batch_leave(entry);
            ngx_http_waha_outcome_read_row(batch, entry, row);
        }
    }
}


static void
ngx_http_waha_outcome_read_timeout(ngx_http_waha_batch_t *batch)
{
    ngx_str_t               reason, sqlstate;
    ngx_http_waha_entry_t  *entry;

    entry = batch->sent[0];

    if (entry == NULL) {
        return;
    }

    ngx_http_waha_batch_leave(entry);

    if (PQntuples(batch->job.result) != 1
        || *PQgetvalue(batch->job.result, 0, 0) != 't')
    {
        ngx_http_waha_outcome_finish(entry, NGX_HTTP_WAHA_PG_BUSY);
        return;
    }

    ngx_str_set(&entry->action, "quarantined");
    ngx_str_set(&reason, "timeout");
    ngx_str_set(&sqlstate, NGX_HTTP_WAHA_OUTCOME_ENDED);

    ngx_http_waha_outcome_set_aside(batch, entry, &reason, &sqlstate);
}


static void
ngx_http_waha_outcome_read_row(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry, int row)
{
    entry->records = batch->nsent;
    entry->db_time = batch->job.elapsed;

    if (ngx_http_waha_outcome_copy_row(entry, batch->job.result, row)
        != NGX_OK)
    {
        ngx_http_waha_outcome_finish(entry, NGX_HTTP_WAHA_PG_DOWN);
        return;
    }

    if (ngx_http_waha_string_is(&entry->action, "unknown_organization")) {
        ngx_http_waha_outcome_set_aside(batch, entry, &entry->action,
                                       &entry->code);
        return;
    }

    if (ngx_http_waha_string_is(&entry->action, "foreign_instance")
        || ngx_http_waha_string_is(&entry->action, "foreign_connection")
        || ngx_http_waha_string_is(&entry->action, "outside_tenure"))
    {
        ngx_http_waha_outcome_refuse(batch, entry);
        return;
    }

    if (ngx_http_waha_string_is(&entry->action, "failed")) {
        ngx_http_waha_outcome_fail(batch, entry, &entry->code);
        return;
    }

    ngx_http_waha_outcome_finish(entry, NGX_HTTP_WAHA_PG_OK);
}


static ngx_int_t
ngx_http_waha_outcome_copy_row(ngx_http_waha_entry_t *entry, PGresult *result,
    int row)
{
    int         i;
    size_t      len;
    u_char     *p;
    ngx_str_t  *value;

    for (i = 0; i < NGX_HTTP_WAHA_OUTCOME_NFIELDS; i++) {
        value = (ngx_str_t *) ((u_char *) entry
                               + ngx_http_waha_outcome_fields[i]);

        /* the first column is the position; null has the length 0 */

        len = PQgetlength(result, row, i + 1);

        p = ngx_pnalloc(entry->pool, len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, PQgetvalue(result, row, i + 1), len + 1);

        value->data = p;
        value->len = len;
    }

    return NGX_OK;
}


/* only a data error is set aside; the provider repeats after other errors */

static void
ngx_http_waha_outcome_fail(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry, ngx_str_t *sqlstate)
{
    ngx_str_t   reason;
    ngx_uint_t  status;

    /* the pool has logged the error if it was one of the statement */

    if (batch->variant == NGX_HTTP_WAHA_BATCH_EACH) {
        ngx_http_waha_pg_report_record(batch->ingest->pool,
                                       (char *) sqlstate->data);
    }

    status = ngx_http_waha_pg_class((char *) sqlstate->data);

    if (status != NGX_HTTP_WAHA_PG_DATA) {
        ngx_http_waha_outcome_finish(entry, status);
        return;
    }

    ngx_str_set(&entry->action, "quarantined");
    ngx_str_set(&reason, "data_error");

    ngx_http_waha_outcome_set_aside(batch, entry, &reason, sqlstate);
}


/*
 * a key spoke for a session that is not bound to the key's instance, or for a
 * number that is not that of the key's connection, or was not connected then
 */

static void
ngx_http_waha_outcome_refuse(ngx_http_waha_batch_t *batch,
    ngx_http_waha_entry_t *entry)
{
    ngx_str_t  reason, sqlstate;

    /*
     * An organization with a secret of its own can sign as many as it likes;
     * each of them takes a transaction, and the time of others.
     */

    if (entry->event->connection.len
        && batch->nrefused++ >= NGX_HTTP_WAHA_OUTCOME_REFUSED)
    {
        entry->code = entry->action;
        ngx_str_set(&entry->action, "ignored");

        ngx_http_waha_outcome_finish(entry, NGX_HTTP_WAHA_PG_OK);
        return;
    }

    if (ngx_http_waha_string_is(&entry->action, "foreign_instance")) {
        ngx_log_error(NGX_LOG_WARN, batch->job.log, 0,
                      "waha: the key of instance \"%V\" signed an event of "
                      "session \"%V\", which waha.sessions does not bind to "
                      "it", &entry->event->instance, &entry->event->session);

    } else if (ngx_http_waha_string_is(&entry->action, "foreign_connection")) {
        ngx_log_error(NGX_LOG_WARN, batch->job.log, 0,
                      "waha: an app secret signed an event of number \"%V\", "
                      "which waha.connections does not bind to it",
                      &entry->event->session);
    }

    ngx_str_null(&sqlstate);
    reason = entry->action;
    ngx_str_set(&entry->action, "quarantined");

    ngx_http_waha_outcome_set_aside(batch, entry, &reason, &sqlstate);
}


static void
ngx_http_waha_outcome_set_aside(ngx_http_waha_batch_t *failed,
    ngx_http_waha_entry_t *entry, ngx_str_t *reason, ngx_str_t *sqlstate)
{
    ngx_http_waha_batch_t  *batch;

    batch = ngx_http_waha_batch_create(failed->ingest,
                                       NGX_HTTP_WAHA_BATCH_QUARANTINE);
    if (batch == NULL) {
        ngx_http_waha_outcome_finish(entry, NGX_HTTP_WAHA_PG_DOWN);
        return;
    }

    batch->job.deadline = failed->job.deadline;
    batch->aside.reason = *reason;

    ngx_http_waha_batch_join(batch, entry);

    /* an unknown organization is no error of PostgreSQL */

    if (sqlstate->len) {
        batch->aside.sqlstate.len = sqlstate->len;
        batch->aside.sqlstate.data = ngx_pstrdup(batch->pool, sqlstate);

        if (batch->aside.sqlstate.data == NULL) {
            goto failed;
        }
    }

    /* the answer shows the reason and not the SQLSTATE */
    entry->code = *reason;

    if (ngx_http_waha_batch_submit(batch) == NGX_OK) {
        return;
    }

failed:

    ngx_http_waha_batch_leave(entry);
    ngx_http_waha_outcome_finish(entry, NGX_HTTP_WAHA_PG_DOWN);
}


void
ngx_http_waha_outcome_finish_all(ngx_http_waha_batch_t *batch,
    ngx_uint_t status)
{
    ngx_queue_t            *q;
    ngx_http_waha_entry_t  *entry;

    while (!ngx_queue_empty(&batch->entries)) {
        q = ngx_queue_head(&batch->entries);
        entry = ngx_queue_data(q, ngx_http_waha_entry_t, queue);

        ngx_http_waha_batch_leave(entry);
        ngx_http_waha_outcome_finish(entry, status);
    }
}


static void
ngx_http_waha_outcome_finish(ngx_http_waha_entry_t *entry, ngx_uint_t status)
{
    entry->status = status;
    entry->handler(entry);
}
