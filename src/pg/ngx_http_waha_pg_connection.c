
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <ngx_http_waha_pg_connection.h>


static void ngx_http_waha_pg_connection_event_handler(ngx_event_t *ev);
static void ngx_http_waha_pg_connection_poll(ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_connection_poll_done(
    ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_connection_exchange(
    ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_connection_read_results(
    ngx_http_waha_pg_connection_t *c);
static ngx_int_t ngx_http_waha_pg_connection_read_input(
    ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_connection_read_notifications(
    ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_connection_on_end(
    ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_connection_on_notice(void *data,
    const PGresult *res);
static ngx_int_t ngx_http_waha_pg_connection_watch(
    ngx_http_waha_pg_connection_t *c, ngx_int_t event);
static void ngx_http_waha_pg_connection_unwatch(
    ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_connection_detach(
    ngx_http_waha_pg_connection_t *c);


ngx_int_t
ngx_http_waha_pg_connection_open(ngx_http_waha_pg_connection_t *c)
{
    ngx_log_debug1(NGX_LOG_DEBUG_CORE, c->log, 0,
                   "waha: pg connect to %s", c->address->name);

    ngx_http_waha_pg_connection_set_state(c, NGX_HTTP_WAHA_PG_CONNECTING);

    c->reason.len = 0;
    c->pooled = 0;
    c->ending = 0;
    c->unconfirmed = 0;
    c->again = 0;
    c->unwanted = 0;

    c->conn = PQconnectStartParams(c->conf->keywords, c->address->values, 0);

    if (c->conn == NULL) {
        ngx_http_waha_pg_error_set(&c->reason, "no memory");
        return NGX_ERROR;
    }

    if (PQstatus(c->conn) == CONNECTION_BAD) {
        ngx_http_waha_pg_error_set(&c->reason, PQerrorMessage(c->conn));
        return NGX_ERROR;
    }

    /* puts the SQLSTATE into the message of a connection that is refused */
    (void) PQsetErrorVerbosity(c->conn, PQERRORS_VERBOSE);

    (void) PQsetNoticeReceiver(c->conn,
                               ngx_http_waha_pg_connection_on_notice, c);

    return ngx_http_waha_pg_connection_watch(c, NGX_WRITE_EVENT);
}


void
ngx_http_waha_pg_connection_close(ngx_http_waha_pg_connection_t *c)
{
    ngx_log_debug1(NGX_LOG_DEBUG_CORE, c->log, 0,
                   "waha: pg close, state:%ui", c->state);

    ngx_http_waha_pg_connection_unwatch(c);
    ngx_http_waha_pg_connection_detach(c);

    PQclear(c->result);
    c->result = NULL;

    PQfinish(c->conn);
    c->conn = NULL;

    /* nginx would take the errors that libpq leaves for its own */
    ERR_clear_error();

    ngx_http_waha_pg_connection_set_state(c, NGX_HTTP_WAHA_PG_CLOSED);
}


void
ngx_http_waha_pg_connection_set_state(ngx_http_waha_pg_connection_t *c,
    ngx_uint_t state)
{
    c->counts[c->state]--;
    c->counts[state]++;

    c->state = state;

    if (c->connection) {
        /* nginx that quits closes idle connections, by their handler */
        c->connection->idle = (state == NGX_HTTP_WAHA_PG_IDLE);
    }
}


static void
ngx_http_waha_pg_connection_event_handler(ngx_event_t *ev)
{
    ngx_connection_t               *nc;
    ngx_http_waha_pg_connection_t  *c;

    nc = ev->data;
    c = nc->data;

    if (nc->close) {
        c->handlers->quit(c);
        return;
    }

    switch (c->state) {

    case NGX_HTTP_WAHA_PG_CONNECTING:
        ngx_http_waha_pg_connection_poll(c);
        break;

    case NGX_HTTP_WAHA_PG_IDLE:

        if (ngx_http_waha_pg_connection_read_idle(c) != NGX_OK) {
            c->handlers->failed(c, NGX_HTTP_WAHA_PG_DOWN);
        }

        break;

    default:
        ngx_http_waha_pg_connection_exchange(c);
    }
}


/*
 * PQconnectPoll() may close the socket and open another one with the same
 * number, which cannot be noticed afterwards: the socket is taken out of the
 * event loop before each call
 */

static void
ngx_http_waha_pg_connection_poll(ngx_http_waha_pg_connection_t *c)
{
    ngx_int_t                  event;
    const char                *message;
    PostgresPollingStatusType  status;

    ngx_http_waha_pg_connection_unwatch(c);

    status = PQconnectPoll(c->conn);

    ERR_clear_error();

    switch (status) {

    case PGRES_POLLING_READING:
        event = NGX_READ_EVENT;
        break;

    case PGRES_POLLING_WRITING:
        event = NGX_WRITE_EVENT;
        break;

    case PGRES_POLLING_OK:
        ngx_http_waha_pg_connection_poll_done(c);
        return;

    default:
        message = PQerrorMessage(c->conn);

        ngx_http_waha_pg_error_set(&c->reason, message);
        c->handlers->failed(c, ngx_http_waha_pg_error_connect_class(message));
        return;
    }

    if (ngx_http_waha_pg_connection_watch(c, event) != NGX_OK) {
        c->handlers->failed(c, NGX_HTTP_WAHA_PG_DOWN);
    }
}


static void
ngx_http_waha_pg_connection_poll_done(ngx_http_waha_pg_connection_t *c)
{
    if (PQsetnonblocking(c->conn, 1) != 0) {
        ngx_http_waha_pg_error_set(&c->reason, PQerrorMessage(c->conn));
        c->handlers->failed(c, NGX_HTTP_WAHA_PG_DOWN);
        return;
    }

    if (ngx_http_waha_pg_connection_watch(c, NGX_READ_EVENT) != NGX_OK) {
        c->handlers->failed(c, NGX_HTTP_WAHA_PG_DOWN);
        return;
    }

    c->handlers->connected(c);
}


static void
ngx_http_waha_pg_connection_exchange(ngx_http_waha_pg_connection_t *c)
{
    /*
     * PQflush() may read, so results are looked for whatever the event was;
     * a connection that was lost shows in them too
     */

    (void) ngx_http_waha_pg_connection_flush(c);
    (void) ngx_http_waha_pg_connection_read_input(c);

    ngx_http_waha_pg_connection_read_results(c);

    if (c->state >= NGX_HTTP_WAHA_PG_IDLE) {
        /* before the handler of a job that has ended, which is posted */
        ngx_http_waha_pg_connection_read_notifications(c);
    }
}


static void
ngx_http_waha_pg_connection_read_results(ngx_http_waha_pg_connection_t *c)
{
    PGresult    *res;
    ngx_uint_t   nulls;

    nulls = 0;

    while (!PQisBusy(c->conn)) {

        res = PQgetResult(c->conn);

        if (res) {
            nulls = 0;

        } else if (PQstatus(c->conn) == CONNECTION_BAD || ++nulls == 3) {
            /* results are due, but none will come */
            ngx_http_waha_pg_connection_on_end(c);
            return;
        }

        if (c->receive(c, res) != NGX_AGAIN) {
            return;
        }
    }
}


static ngx_int_t
ngx_http_waha_pg_connection_read_input(ngx_http_waha_pg_connection_t *c)
{
    SSL  *ssl;

    ssl = PQsslStruct(c->conn, "OpenSSL");

    /* the socket is not readable for bytes that OpenSSL has decrypted */

    do {
        if (PQconsumeInput(c->conn) == 0) {
            return NGX_ERROR;
        }

    } while (ssl && SSL_pending(ssl) > 0);

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_pg_connection_flush(ngx_http_waha_pg_connection_t *c)
{
    int           rc;
    ngx_event_t  *wev;

    rc = PQflush(c->conn);

    if (rc == -1) {
        return NGX_ERROR;
    }

    wev = c->connection->write;

    if (rc == 1 && !wev->active) {
        return ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
    }

    if (rc == 0 && wev->active) {
        return ngx_del_event(wev, NGX_WRITE_EVENT, 0);
    }

    return NGX_OK;
}


static void
ngx_http_waha_pg_connection_read_notifications(
    ngx_http_waha_pg_connection_t *c)
{
    PGnotify  *notify;

    while ((notify = PQnotifies(c->conn)) != NULL) {

        /* without a channel: a pooler gave us a connection that listens */

        if (c->conf->notified) {
            c->conf->notified(c->conf->data, notify->extra);
        }

        PQfreemem(notify);
    }
}


ngx_int_t
ngx_http_waha_pg_connection_read_idle(ngx_http_waha_pg_connection_t *c)
{
    ngx_int_t  rc;

    rc = ngx_http_waha_pg_connection_read_input(c);

    /* makes libpq parse what was read */
    (void) PQisBusy(c->conn);

    ngx_http_waha_pg_connection_read_notifications(c);

    if (c->ending) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK || PQstatus(c->conn) == CONNECTION_BAD) {
        ngx_http_waha_pg_error_set(&c->reason, PQerrorMessage(c->conn));
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_pg_connection_collect(ngx_http_waha_pg_connection_t *c,
    PGresult *res)
{
    if (res == NULL) {
        return c->result ? NGX_OK : NGX_ERROR;
    }

    switch (PQresultStatus(res)) {

    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:

        if (c->result == NULL) {
            c->result = res;
            return NGX_AGAIN;
        }

        break;

    case PGRES_FATAL_ERROR:

        if (!ngx_http_waha_pg_error_is_in(c->result)) {
            PQclear(c->result);
            c->result = res;
            return NGX_AGAIN;
        }

        break;

    default:
        PQclear(res);
        return NGX_ERROR;
    }

    PQclear(res);

    return NGX_AGAIN;
}


static void
ngx_http_waha_pg_connection_on_end(ngx_http_waha_pg_connection_t *c)
{
    if (c->ending) {
        /* the reason was announced */

    } else if (ngx_http_waha_pg_error_is_in(c->result)) {
        ngx_http_waha_pg_error_set_result(&c->reason, c->result, NULL);

    } else {
        ngx_http_waha_pg_error_set(&c->reason, PQerrorMessage(c->conn));
    }

    c->handlers->failed(c, NGX_HTTP_WAHA_PG_DOWN);
}


static void
ngx_http_waha_pg_connection_on_notice(void *data, const PGresult *res)
{
    ngx_http_waha_pg_connection_t *c = data;

    const char  *severity, *function;

    severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

    if (function && ngx_strcmp(function, "SyncRepWaitForLSN") == 0) {
        /* "canceling wait for synchronous replication", in any language */
        c->unconfirmed = 1;
    }

    if (severity && ngx_strcmp(severity, "FATAL") == 0) {
        /* a backend without a statement sends its last error as a notice */
        c->ending = 1;
        ngx_http_waha_pg_error_set_result(&c->reason, res, NULL);
    }
}


/* level-triggered: PQconsumeInput() does not drain the socket */

static ngx_int_t
ngx_http_waha_pg_connection_watch(ngx_http_waha_pg_connection_t *c,
    ngx_int_t event)
{
    int                fd;
    ngx_event_t       *ev;
    ngx_connection_t  *nc;

    fd = PQsocket(c->conn);

    if (fd == -1) {
        ngx_http_waha_pg_error_set(&c->reason, "libpq has no socket");
        return NGX_ERROR;
    }

    nc = c->connection;

    if (nc && nc->fd != fd) {
        ngx_http_waha_pg_connection_detach(c);
        nc = NULL;
    }

    if (nc == NULL) {
        nc = ngx_get_connection(fd, c->log);
        if (nc == NULL) {
            ngx_http_waha_pg_error_set(&c->reason,
                                       "no free connection in nginx");
            return NGX_ERROR;
        }

        nc->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

        nc->data = c;
        nc->read->log = c->log;
        nc->write->log = c->log;
        nc->read->handler = ngx_http_waha_pg_connection_event_handler;
        nc->write->handler = ngx_http_waha_pg_connection_event_handler;

        c->connection = nc;
    }

    ev = (event == NGX_READ_EVENT) ? nc->read : nc->write;

    if (ngx_add_event(ev, event, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_http_waha_pg_error_set(&c->reason,
                                   "nginx cannot watch the socket");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_waha_pg_connection_unwatch(ngx_http_waha_pg_connection_t *c)
{
    ngx_uint_t         flags;
    ngx_connection_t  *nc;

    nc = c->connection;

    if (nc == NULL) {
        return;
    }

    /* a socket that libpq has closed has left the event loop by itself */

    flags = (PQsocket(c->conn) == nc->fd) ? 0 : NGX_CLOSE_EVENT;

    if (nc->read->active) {
        (void) ngx_del_event(nc->read, NGX_READ_EVENT, flags);
    }

    if (nc->write->active) {
        (void) ngx_del_event(nc->write, NGX_WRITE_EVENT, flags);
    }
}


/* frees nginx's connection and leaves the socket to libpq, which closes it */

static void
ngx_http_waha_pg_connection_detach(ngx_http_waha_pg_connection_t *c)
{
    if (c->connection == NULL) {
        return;
    }

    c->connection->shared = 1;

    ngx_close_connection(c->connection);
    c->connection = NULL;
}
