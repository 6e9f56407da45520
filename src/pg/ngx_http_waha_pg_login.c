
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_pg_login.h>


/* columns of the query below */

#define NGX_HTTP_WAHA_PG_RECOVERY   0
#define NGX_HTTP_WAHA_PG_READ_ONLY  1
#define NGX_HTTP_WAHA_PG_SUPERUSER  2
#define NGX_HTTP_WAHA_PG_BYPASSRLS  3
#define NGX_HTTP_WAHA_PG_ROLE       4
#define NGX_HTTP_WAHA_PG_COMMIT     5
#define NGX_HTTP_WAHA_PG_TIMEOUT    6
#define NGX_HTTP_WAHA_PG_ISOLATION  7
#define NGX_HTTP_WAHA_PG_SECURITY   8
#define NGX_HTTP_WAHA_PG_BACKEND    9
#define NGX_HTTP_WAHA_PG_SET        10
#define NGX_HTTP_WAHA_PG_COLUMNS    11

/* bytes: an identifier has up to 63 */

#define NGX_HTTP_WAHA_PG_LISTEN     (sizeof("listen ") + 63)


static ngx_int_t ngx_http_waha_pg_login_server_done(
    ngx_http_waha_pg_connection_t *c, PGresult *res);
static ngx_int_t ngx_http_waha_pg_login_check_server(
    ngx_http_waha_pg_connection_t *c);
static ngx_int_t ngx_http_waha_pg_login_check_role(
    ngx_http_waha_pg_connection_t *c, const char **value);
static ngx_int_t ngx_http_waha_pg_login_check_settings(
    ngx_http_waha_pg_connection_t *c, const char **value);
static ngx_int_t ngx_http_waha_pg_login_check_setting(
    ngx_http_waha_pg_connection_t *c, const char **value, ngx_uint_t column,
    const char *name, const char *wanted);
static ngx_int_t ngx_http_waha_pg_login_contract_done(
    ngx_http_waha_pg_connection_t *c, PGresult *res);
static ngx_int_t ngx_http_waha_pg_login_prepare_done(
    ngx_http_waha_pg_connection_t *c, PGresult *res);
static ngx_int_t ngx_http_waha_pg_login_send_statements(
    ngx_http_waha_pg_connection_t *c, ngx_uint_t again);
static ngx_int_t ngx_http_waha_pg_login_send_listen(
    ngx_http_waha_pg_connection_t *c);
static ngx_int_t ngx_http_waha_pg_login_fail(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t class, const char *text);
static ngx_int_t ngx_http_waha_pg_login_fail_result(
    ngx_http_waha_pg_connection_t *c);
static const char *ngx_http_waha_pg_login_hint(
    ngx_http_waha_pg_connection_t *c, const char *sqlstate);
static ngx_int_t ngx_http_waha_pg_login_fail_connection(
    ngx_http_waha_pg_connection_t *c);


/* a function, table, column, type or schema does not exist */

static const char  *ngx_http_waha_pg_login_missing[] = {
    "42883", "42P01", "42703", "42704", "3F000", NULL
};


/*
 * A role that may become superuser is as dangerous as one that is.  The last
 * column sets what older servers do not know, so that "options" cannot.
 */

static const char  ngx_http_waha_pg_login_server_query[] =
    "select pg_is_in_recovery(),"
    " current_setting('transaction_read_only')::bool,"
    " bool_or(rolsuper), bool_or(rolbypassrls), current_user,"
    " current_setting('synchronous_commit'),"
    " current_setting('statement_timeout'),"
    " current_setting('transaction_isolation'),"
    " current_setting('row_security'),"
    " pg_backend_pid(),"
    " (select count(set_config(name, '0', false))"
    " from pg_catalog.pg_settings"
    " where name in ('idle_session_timeout', 'transaction_timeout'))"
    " from pg_catalog.pg_roles where pg_has_role(oid, 'member')";


void
ngx_http_waha_pg_login_check(ngx_http_waha_pg_connection_t *c)
{
    ngx_http_waha_pg_connection_set_state(c, NGX_HTTP_WAHA_PG_CHECKING);

    c->receive = ngx_http_waha_pg_login_server_done;

    if (PQsendQuery(c->conn, ngx_http_waha_pg_login_server_query) == 0
        || ngx_http_waha_pg_connection_flush(c) != NGX_OK)
    {
        (void) ngx_http_waha_pg_login_fail_connection(c);
    }
}


static ngx_int_t
ngx_http_waha_pg_login_server_done(ngx_http_waha_pg_connection_t *c,
    PGresult *res)
{
    ngx_int_t  rc;

    rc = ngx_http_waha_pg_connection_collect(c, res);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc == NGX_ERROR) {
        return ngx_http_waha_pg_login_fail_connection(c);
    }

    rc = ngx_http_waha_pg_login_check_server(c);

    if (rc != NGX_OK) {
        return rc;
    }

    c->receive = ngx_http_waha_pg_login_contract_done;

    if (PQsendQuery(c->conn, c->conf->check) == 0
        || ngx_http_waha_pg_connection_flush(c) != NGX_OK)
    {
        return ngx_http_waha_pg_login_fail_connection(c);
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_waha_pg_login_check_server(ngx_http_waha_pg_connection_t *c)
{
    ngx_int_t    rc;
    ngx_uint_t   i;
    const char  *value[NGX_HTTP_WAHA_PG_COLUMNS];

    if (ngx_http_waha_pg_error_is_in(c->result)) {
        return ngx_http_waha_pg_login_fail_result(c);
    }

    if (PQntuples(c->result) != 1
        || PQnfields(c->result) != NGX_HTTP_WAHA_PG_COLUMNS)
    {
        return ngx_http_waha_pg_login_fail(c, NGX_HTTP_WAHA_PG_DOWN,
                                           "unexpected answer");
    }

    for (i = 0; i < NGX_HTTP_WAHA_PG_COLUMNS; i++) {
        value[i] = PQgetvalue(c->result, 0, i);
    }

    if (value[NGX_HTTP_WAHA_PG_RECOVERY][0] == 't') {
        return ngx_http_waha_pg_login_fail(c, NGX_HTTP_WAHA_PG_DOWN,
                                           "the server is a standby");
    }

    if (value[NGX_HTTP_WAHA_PG_READ_ONLY][0] == 't') {
        return ngx_http_waha_pg_login_fail(c, NGX_HTTP_WAHA_PG_DOWN,
                                           "the server is read-only");
    }

    rc = ngx_http_waha_pg_login_check_role(c, value);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_waha_pg_login_check_settings(c, value);

    if (rc != NGX_OK) {
        return rc;
    }

    c->pooled = (ngx_atoi((u_char *) value[NGX_HTTP_WAHA_PG_BACKEND],
                          ngx_strlen(value[NGX_HTTP_WAHA_PG_BACKEND]))
                 != PQbackendPID(c->conn));

    PQclear(c->result);
    c->result = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_pg_login_check_role(ngx_http_waha_pg_connection_t *c,
    const char **value)
{
    u_char  text[NGX_HTTP_WAHA_PG_REASON];

    if (value[NGX_HTTP_WAHA_PG_SUPERUSER][0] != 't'
        && value[NGX_HTTP_WAHA_PG_BYPASSRLS][0] != 't')
    {
        return NGX_OK;
    }

    (void) ngx_snprintf(text, sizeof(text),
                        "role \"%s\" %s, which is too much for a role "
                        "that serves the network%Z",
                        value[NGX_HTTP_WAHA_PG_ROLE],
                        value[NGX_HTTP_WAHA_PG_SUPERUSER][0] == 't' ?
                            "is or can become superuser"
                            : "can bypass row-level security");

    return ngx_http_waha_pg_login_fail(c, NGX_HTTP_WAHA_PG_SETUP,
                                       (char *) text);
}


/* a pooler may drop the options that the connection string asks for */

static ngx_int_t
ngx_http_waha_pg_login_check_settings(ngx_http_waha_pg_connection_t *c,
    const char **value)
{
    u_char       text[NGX_HTTP_WAHA_PG_REASON];
    ngx_int_t    rc;
    const char  *commit;

    commit = value[NGX_HTTP_WAHA_PG_COMMIT];

    if (ngx_strcmp(commit, "on") != 0
        && ngx_strcmp(commit, "remote_apply") != 0)
    {
        (void) ngx_snprintf(text, sizeof(text),
                            "synchronous_commit is \"%s\", with which a "
                            "commit may be lost: take it out of \"options\", "
                            "or if a pooler drops these, alter role \"%s\" "
                            "set synchronous_commit = on%Z",
                            commit, value[NGX_HTTP_WAHA_PG_ROLE]);

        return ngx_http_waha_pg_login_fail(c, NGX_HTTP_WAHA_PG_SETUP,
                                           (char *) text);
    }

    if (ngx_strcmp(value[NGX_HTTP_WAHA_PG_TIMEOUT], "0") == 0) {
        (void) ngx_snprintf(text, sizeof(text),
                            "statement_timeout is 0, a pooler drops the "
                            "\"options\" of the connection: let it pass "
                            "them, or alter role \"%s\" set "
                            "statement_timeout to less than %Mms%Z",
                            value[NGX_HTTP_WAHA_PG_ROLE],
                            c->conf->timeout);

        return ngx_http_waha_pg_login_fail(c, NGX_HTTP_WAHA_PG_SETUP,
                                           (char *) text);
    }

    rc = ngx_http_waha_pg_login_check_setting(c, value,
                                              NGX_HTTP_WAHA_PG_ISOLATION,
                                              "default_transaction_isolation",
                                              "read committed");
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_waha_pg_login_check_setting(c, value,
                                                NGX_HTTP_WAHA_PG_SECURITY,
                                                "row_security", "on");
}


static ngx_int_t
ngx_http_waha_pg_login_check_setting(ngx_http_waha_pg_connection_t *c,
    const char **value, ngx_uint_t column, const char *name,
    const char *wanted)
{
    u_char  text[NGX_HTTP_WAHA_PG_REASON];

    if (ngx_strcmp(value[column], wanted) == 0) {
        return NGX_OK;
    }

    (void) ngx_snprintf(text, sizeof(text),
                        "%s is \"%s\", a pooler drops the \"options\" of "
                        "the connection: let it pass them, or alter role "
                        "\"%s\" set %s = '%s'%Z",
                        name, value[column], value[NGX_HTTP_WAHA_PG_ROLE],
                        name, wanted);

    return ngx_http_waha_pg_login_fail(c, NGX_HTTP_WAHA_PG_SETUP,
                                       (char *) text);
}


static ngx_int_t
ngx_http_waha_pg_login_contract_done(ngx_http_waha_pg_connection_t *c,
    PGresult *res)
{
    ngx_int_t  rc;

    rc = ngx_http_waha_pg_connection_collect(c, res);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc == NGX_ERROR) {
        return ngx_http_waha_pg_login_fail_connection(c);
    }

    if (ngx_http_waha_pg_error_is_in(c->result)) {
        return ngx_http_waha_pg_login_fail_result(c);
    }

    if (PQntuples(c->result) != 1 || PQnfields(c->result) != 1) {
        return ngx_http_waha_pg_login_fail(c, NGX_HTTP_WAHA_PG_SETUP,
                                           "unexpected answer to the check");
    }

    if (!PQgetisnull(c->result, 0, 0)) {
        return ngx_http_waha_pg_login_fail(c, NGX_HTTP_WAHA_PG_SETUP,
                                           PQgetvalue(c->result, 0, 0));
    }

    PQclear(c->result);
    c->result = NULL;

    return ngx_http_waha_pg_login_prepare(c, 0);
}


ngx_int_t
ngx_http_waha_pg_login_prepare(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t again)
{
    ngx_http_waha_pg_connection_set_state(c, NGX_HTTP_WAHA_PG_PREPARING);

    c->receive = ngx_http_waha_pg_login_prepare_done;

    if (ngx_http_waha_pg_login_send_statements(c, again) != NGX_OK
        || ngx_http_waha_pg_connection_flush(c) != NGX_OK)
    {
        return ngx_http_waha_pg_login_fail_connection(c);
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_waha_pg_login_send_statements(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t again)
{
    ngx_uint_t                           i;
    ngx_http_waha_pg_conf_t             *conf;
    const ngx_http_waha_pg_statement_t  *statement;

    conf = c->conf;

    if (PQenterPipelineMode(c->conn) == 0) {
        return NGX_ERROR;
    }

    if (again
        && PQsendQueryParams(c->conn, "deallocate all", 0, NULL, NULL, NULL,
                             NULL, 0)
           == 0)
    {
        return NGX_ERROR;
    }

    for (i = conf->first; i < conf->nstatements; i++) {
        statement = &conf->statements[i];

        /* an unnamed statement shows that the function can be called */

        if (PQsendPrepare(c->conn, c->pooled ? "" : statement->name,
                          statement->text, statement->nparams,
                          statement->types)
            == 0)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_http_waha_pg_login_send_listen(c) != NGX_OK) {
        return NGX_ERROR;
    }

    if (PQpipelineSync(c->conn) == 0) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_pg_login_send_listen(ngx_http_waha_pg_connection_t *c)
{
    u_char       text[NGX_HTTP_WAHA_PG_LISTEN];
    const char  *channel;

    channel = c->conf->channel;

    if (channel == NULL) {
        return NGX_OK;
    }

    (void) ngx_snprintf(text, sizeof(text), "listen %s%Z", channel);

    if (PQsendQueryParams(c->conn, (char *) text, 0, NULL, NULL, NULL, NULL,
                          0)
        == 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_pg_login_prepare_done(ngx_http_waha_pg_connection_t *c,
    PGresult *res)
{
    if (res == NULL) {
        /* ends the results of one statement */
        return NGX_AGAIN;
    }

    switch (PQresultStatus(res)) {

    case PGRES_FATAL_ERROR:

        if (c->result == NULL) {
            c->result = res;
            return NGX_AGAIN;
        }

        /* fall through */

    case PGRES_COMMAND_OK:
    case PGRES_PIPELINE_ABORTED:
        PQclear(res);
        return NGX_AGAIN;

    case PGRES_PIPELINE_SYNC:
        PQclear(res);
        break;

    default:
        PQclear(res);
        return ngx_http_waha_pg_login_fail_connection(c);
    }

    if (PQexitPipelineMode(c->conn) == 0) {
        return ngx_http_waha_pg_login_fail_connection(c);
    }

    if (c->result && !c->pooled
        && ngx_strcmp(ngx_http_waha_pg_error_sqlstate(c->result), "42P05")
           == 0)
    {
        /* another connection has prepared it: the session is not ours alone */

        PQclear(c->result);
        c->result = NULL;

        c->pooled = 1;

        return ngx_http_waha_pg_login_prepare(c, 0);
    }

    if (c->result) {
        return ngx_http_waha_pg_login_fail_result(c);
    }

    c->handlers->ready(c);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_waha_pg_login_fail(ngx_http_waha_pg_connection_t *c, ngx_uint_t class,
    const char *text)
{
    ngx_http_waha_pg_error_set(&c->reason, text);
    c->handlers->failed(c, class);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_waha_pg_login_fail_result(ngx_http_waha_pg_connection_t *c)
{
    const char  *sqlstate;

    sqlstate = ngx_http_waha_pg_error_sqlstate(c->result);

    ngx_http_waha_pg_error_set_result(&c->reason, c->result,
                                   ngx_http_waha_pg_login_hint(c, sqlstate));

    c->handlers->failed(c, ngx_http_waha_pg_class(sqlstate));

    return NGX_DONE;
}


/* what helps: only something that is missing can be installed */

static const char *
ngx_http_waha_pg_login_hint(ngx_http_waha_pg_connection_t *c,
    const char *sqlstate)
{
    const char  **missing;

    if (ngx_strcmp(sqlstate, "42501") == 0) {
        return c->conf->rights;
    }

    for (missing = ngx_http_waha_pg_login_missing; *missing; missing++) {
        if (ngx_strcmp(sqlstate, *missing) == 0) {
            return c->conf->hint;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_waha_pg_login_fail_connection(ngx_http_waha_pg_connection_t *c)
{
    const char  *message;

    message = PQerrorMessage(c->conn);

    if (*message == '\0') {
        message = "unexpected answer";
    }

    return ngx_http_waha_pg_login_fail(c, NGX_HTTP_WAHA_PG_DOWN, message);
}
