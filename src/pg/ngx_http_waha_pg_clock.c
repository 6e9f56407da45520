
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_pg_clock.h>


/* what is sent, in this order */

#define NGX_HTTP_WAHA_PG_CLOCK_BEGIN      0
#define NGX_HTTP_WAHA_PG_CLOCK_STATEMENT  1
#define NGX_HTTP_WAHA_PG_CLOCK_ENDED      2
#define NGX_HTTP_WAHA_PG_CLOCK_COMMIT     3
#define NGX_HTTP_WAHA_PG_CLOCK_COMMITTED  4


static int ngx_http_waha_pg_clock_send(ngx_http_waha_pg_connection_t *c,
    const char *text);
static ngx_int_t ngx_http_waha_pg_clock_on_sync(
    ngx_http_waha_pg_connection_t *c);
static void ngx_http_waha_pg_clock_read(ngx_http_waha_pg_connection_t *c,
    const PGresult *res);
static int64_t ngx_http_waha_pg_clock_read_time(const PGresult *res,
    int column);


/* the time at which the transaction began, and the present */

static const char  ngx_http_waha_pg_clock_time[] =
    "select now(), clock_timestamp()";


int
ngx_http_waha_pg_clock_begin(ngx_http_waha_pg_connection_t *c)
{
    c->step = NGX_HTTP_WAHA_PG_CLOCK_BEGIN;
    c->began = 0;
    c->ended = 0;
    c->committed = 0;

    return PQenterPipelineMode(c->conn)
           && ngx_http_waha_pg_clock_send(c, "begin");
}


int
ngx_http_waha_pg_clock_commit(ngx_http_waha_pg_connection_t *c)
{
    return ngx_http_waha_pg_clock_send(c, ngx_http_waha_pg_clock_time)
           && ngx_http_waha_pg_clock_send(c, "commit")
           && ngx_http_waha_pg_clock_send(c, ngx_http_waha_pg_clock_time)
           && PQpipelineSync(c->conn);
}


static int
ngx_http_waha_pg_clock_send(ngx_http_waha_pg_connection_t *c, const char *text)
{
    return PQsendQueryParams(c->conn, text, 0, NULL, NULL, NULL, NULL, 1);
}


ngx_int_t
ngx_http_waha_pg_clock_collect(ngx_http_waha_pg_connection_t *c, PGresult *res)
{
    if (res == NULL) {
        c->step++;
        return NGX_AGAIN;
    }

    switch (PQresultStatus(res)) {

    case PGRES_PIPELINE_SYNC:
        PQclear(res);
        return ngx_http_waha_pg_clock_on_sync(c);

    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:

        if (c->step == NGX_HTTP_WAHA_PG_CLOCK_STATEMENT) {
            break;
        }

        ngx_http_waha_pg_clock_read(c, res);

        /* fall through */

    case PGRES_PIPELINE_ABORTED:
        PQclear(res);
        return NGX_AGAIN;

    default:
        break;
    }

    return ngx_http_waha_pg_connection_collect(c, res);
}


static ngx_int_t
ngx_http_waha_pg_clock_on_sync(ngx_http_waha_pg_connection_t *c)
{
    c->timed = 0;

    if (PQexitPipelineMode(c->conn) == 0 || c->result == NULL) {
        return NGX_ERROR;
    }

    if (PQtransactionStatus(c->conn) == PQTRANS_INERROR) {
        /* unlike one that the server begins by itself, it is still open */

        return (PQsendQuery(c->conn, "rollback")
                && ngx_http_waha_pg_connection_flush(c) == NGX_OK)
                   ? NGX_AGAIN : NGX_ERROR;
    }

    if (c->job && c->ended > c->began && c->committed >= c->ended) {
        c->job->execution = c->ended - c->began;
        c->job->commit = c->committed - c->ended;
    }

    return NGX_OK;
}


static void
ngx_http_waha_pg_clock_read(ngx_http_waha_pg_connection_t *c,
    const PGresult *res)
{
    if (PQntuples(res) != 1 || PQnfields(res) != 2) {
        return;
    }

    if (c->step == NGX_HTTP_WAHA_PG_CLOCK_ENDED) {
        c->began = ngx_http_waha_pg_clock_read_time(res, 0);
        c->ended = ngx_http_waha_pg_clock_read_time(res, 1);

    } else if (c->step == NGX_HTTP_WAHA_PG_CLOCK_COMMITTED) {
        c->committed = ngx_http_waha_pg_clock_read_time(res, 0);
    }
}


/* a binary timestamp: microseconds in network byte order */

static int64_t
ngx_http_waha_pg_clock_read_time(const PGresult *res, int column)
{
    int       i;
    u_char   *p;
    int64_t   time;

    time = 0;
    p = (u_char *) PQgetvalue(res, 0, column);

    for (i = 0; i < PQgetlength(res, 0, column); i++) {
        time = time << 8 | p[i];
    }

    return time;
}
