
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_pg_error.h>
#include <ngx_http_waha_pg_pool.h>


/* seconds */

#define NGX_HTTP_WAHA_PG_REPORT_INTERVAL  10


typedef struct {
    /* the first characters of the SQLSTATE, or all */
    const char                       *prefix;
    ngx_uint_t                        class;
} ngx_http_waha_pg_class_t;


typedef struct {
    int                               code;
    const char                       *title;
} ngx_http_waha_pg_field_t;


static ngx_int_t ngx_http_waha_pg_error_note(ngx_http_waha_pg_pool_t *pool,
    const char *sqlstate);


/* the first prefix that matches counts; without any the class is "down" */

static ngx_http_waha_pg_class_t  ngx_http_waha_pg_classes[] = {

    { "40001", NGX_HTTP_WAHA_PG_BUSY },    /* serialization_failure */
    { "40P01", NGX_HTTP_WAHA_PG_BUSY },    /* deadlock_detected */
    { "55P03", NGX_HTTP_WAHA_PG_BUSY },    /* lock_not_available */
    { "57014", NGX_HTTP_WAHA_PG_BUSY },    /* query_canceled: a timeout */
    { "23503", NGX_HTTP_WAHA_PG_BUSY },    /* foreign_key_violation */
    { "23505", NGX_HTTP_WAHA_PG_BUSY },    /* unique_violation */

    { "21000", NGX_HTTP_WAHA_PG_DATA },    /* cardinality_violation */
    { "22", NGX_HTTP_WAHA_PG_DATA },       /* data exception */
    { "54", NGX_HTTP_WAHA_PG_DATA },       /* program limit exceeded */

    { "0A", NGX_HTTP_WAHA_PG_SETUP },      /* feature not supported */
    { "23", NGX_HTTP_WAHA_PG_SETUP },      /* a constraint of the CRM's */
    { "26", NGX_HTTP_WAHA_PG_SETUP },      /* invalid statement name */
    { "28", NGX_HTTP_WAHA_PG_SETUP },      /* invalid authorization */
    { "3D", NGX_HTTP_WAHA_PG_SETUP },      /* invalid catalog name */
    { "3F", NGX_HTTP_WAHA_PG_SETUP },      /* invalid schema name */
    { "42", NGX_HTTP_WAHA_PG_SETUP },      /* missing, denied, mistyped */
    { "P0", NGX_HTTP_WAHA_PG_SETUP },      /* raised by a trigger */

    { NULL, 0 }
};


/* names of objects, never values */

static ngx_http_waha_pg_field_t  ngx_http_waha_pg_fields[] = {
    { PG_DIAG_SCHEMA_NAME, "schema" },
    { PG_DIAG_TABLE_NAME, "table" },
    { PG_DIAG_COLUMN_NAME, "column" },
    { PG_DIAG_CONSTRAINT_NAME, "constraint" },
    { 0, NULL }
};


ngx_uint_t
ngx_http_waha_pg_class(const char *sqlstate)
{
    ngx_http_waha_pg_class_t  *class;

    for (class = ngx_http_waha_pg_classes; class->prefix; class++) {
        if (ngx_strncmp(sqlstate, class->prefix, ngx_strlen(class->prefix))
            == 0)
        {
            return class->class;
        }
    }

    return NGX_HTTP_WAHA_PG_DOWN;
}


/*
 * there is no PGresult for a connection that failed, only a message; with
 * verbose errors the SQLSTATE stands in it, whatever the server's language:
 * "...FATAL:  28P01: password authentication failed..."
 */

ngx_uint_t
ngx_http_waha_pg_error_connect_class(const char *message)
{
    char         sqlstate[6];
    size_t       n;
    const char  *p;

    static const char  digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (p = message; (p = strstr(p, ":  ")) != NULL; p++) {
        n = strspn(p + 3, digits);

        if (n == 5 && p[8] == ':') {
            (void) ngx_cpystrn((u_char *) sqlstate, (u_char *) p + 3, 6);
            return ngx_http_waha_pg_class(sqlstate);
        }
    }

    return NGX_HTTP_WAHA_PG_DOWN;
}


/* PQresultStatus() of NULL is an error too */

ngx_uint_t
ngx_http_waha_pg_error_is_in(const PGresult *res)
{
    return res && PQresultStatus(res) == PGRES_FATAL_ERROR;
}


const char *
ngx_http_waha_pg_error_sqlstate(const PGresult *res)
{
    const char  *sqlstate;

    sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    return sqlstate ? sqlstate : "";
}


void
ngx_http_waha_pg_error_set(ngx_http_waha_pg_reason_t *reason,
    const char *text)
{
    u_char  *p, *last;

    p = reason->data;
    last = p + NGX_HTTP_WAHA_PG_REASON;

    while (p < last && *text != '\0' && *text != LF) {
        *p = (u_char) *text++;

        if (*p < ' ' || *p == 0x7f) {
            *p = ' ';
        }

        p++;
    }

    reason->len = p - reason->data;
}


/* the detail and the context of an error may hold values: not logged */

void
ngx_http_waha_pg_error_set_result(ngx_http_waha_pg_reason_t *reason,
    const PGresult *res, const char *hint)
{
    u_char                    *p, *last;
    u_char                     text[NGX_HTTP_WAHA_PG_REASON];
    const char                *sqlstate, *message, *value;
    ngx_http_waha_pg_field_t  *field;

    sqlstate = ngx_http_waha_pg_error_sqlstate(res);
    message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    if (message == NULL) {
        ngx_http_waha_pg_error_set(reason, PQresultErrorMessage(res));
        return;
    }

    p = text;
    last = text + sizeof(text) - 1;

    p = ngx_slprintf(p, last, "%s: %s", sqlstate, message);

    for (field = ngx_http_waha_pg_fields; field->title; field++) {
        value = PQresultErrorField(res, field->code);

        if (value) {
            p = ngx_slprintf(p, last, ", %s \"%s\"", field->title, value);
        }
    }

    if (hint) {
        p = ngx_slprintf(p, last, "; %s", hint);
    }

    *p = '\0';

    ngx_http_waha_pg_error_set(reason, (char *) text);
}


void
ngx_http_waha_pg_error_report(ngx_http_waha_pg_pool_t *pool,
    const PGresult *res, ngx_uint_t class)
{
    ngx_uint_t                  level;
    const char                 *sqlstate;
    ngx_http_waha_pg_reason_t   reason;

    sqlstate = ngx_http_waha_pg_error_sqlstate(res);

    if (class == NGX_HTTP_WAHA_PG_DATA) {
        /* the message may hold values */
        ngx_http_waha_pg_report_record(pool, sqlstate);
        return;
    }

    if (ngx_http_waha_pg_error_note(pool, sqlstate) != NGX_OK) {
        return;
    }

    ngx_http_waha_pg_error_set_result(&reason, res, NULL);

    switch (class) {

    case NGX_HTTP_WAHA_PG_SETUP:
        level = NGX_LOG_CRIT;
        break;

    case NGX_HTTP_WAHA_PG_BUSY:
        level = NGX_LOG_WARN;
        break;

    default: /* NGX_HTTP_WAHA_PG_DOWN */
        level = NGX_LOG_ERR;
    }

    ngx_log_error(level, pool->log, 0, "waha: database: %*s",
                  reason.len, reason.data);
}


void
ngx_http_waha_pg_report_record(ngx_http_waha_pg_pool_t *pool,
    const char *sqlstate)
{
    ngx_uint_t  level;

    if (ngx_http_waha_pg_error_note(pool, sqlstate) != NGX_OK) {
        return;
    }

    level = (ngx_http_waha_pg_class(sqlstate) == NGX_HTTP_WAHA_PG_SETUP) ?
                NGX_LOG_CRIT : NGX_LOG_WARN;

    ngx_log_error(level, pool->log, 0,
                  "waha: database: a record failed with SQLSTATE %s",
                  sqlstate);
}


/*
 * notes that an error is logged now; NGX_DECLINED: one with this SQLSTATE
 * was logged a short while ago
 */

static ngx_int_t
ngx_http_waha_pg_error_note(ngx_http_waha_pg_pool_t *pool,
    const char *sqlstate)
{
    time_t                      now;
    ngx_uint_t                  i, n;
    ngx_http_waha_pg_report_t  *reports;

    now = ngx_time();
    n = 0;
    reports = pool->reports;

    for (i = 0; i < NGX_HTTP_WAHA_PG_REPORTS; i++) {

        if (ngx_strcmp(reports[i].sqlstate, sqlstate) == 0) {

            if (now - reports[i].time < NGX_HTTP_WAHA_PG_REPORT_INTERVAL) {
                return NGX_DECLINED;
            }

            n = i;
            break;
        }

        /* the oldest gives way */

        if (reports[i].time < reports[n].time) {
            n = i;
        }
    }

    (void) ngx_cpystrn((u_char *) reports[n].sqlstate, (u_char *) sqlstate,
                       6);
    reports[n].time = now;

    return NGX_OK;
}
