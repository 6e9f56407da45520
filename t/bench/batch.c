
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


/*
 * Calls waha.ingest_batch() as the module does, on one connection, and tells
 * what a record costs: batch [-n conninfo] [-b records] [-c contacts]
 * [-o organizations] [-t seconds] [-k kind] [-s seed] [-w new contacts, %]
 *
 * The database is that of seed.sql.  CPU is the backend's own, so it must
 * run on this machine.
 */


#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <libpq-fe.h>


#define NPARAMS    64
#define TEXTARRAY  1009
#define INT8ARRAY  1016
#define TEXTOID    25
#define INT8OID    20


typedef struct {
    char      *data;
    size_t     len;
    size_t     size;
} buf_t;


typedef struct {
    char       name[64];
    Oid        element;
    int        given;
    buf_t      array;
} param_t;


static param_t      params[NPARAMS];
static int          nparams;
static const char  *kind = "message";
static long         ncontacts = 10000;
static long         norgs = 10;
static long         fresh;
static int          strangers;
static int          batch = 128;


static void
put(buf_t *b, const void *data, size_t len)
{
    if (b->len + len > b->size) {
        b->size = 2 * (b->len + len);
        b->data = realloc(b->data, b->size);
    }

    memcpy(b->data + b->len, data, len);
    b->len += len;
}


static void
put_int(buf_t *b, int32_t n)
{
    n = htonl(n);
    put(b, &n, 4);
}


static void
put_head(buf_t *b, Oid type)
{
    b->len = 0;
    put_int(b, 1);
    put_int(b, 1);
    put_int(b, type);
    put_int(b, batch);
    put_int(b, 1);
}


static param_t *
find(const char *name)
{
    int  i;

    for (i = 0; i < nparams; i++) {
        if (strcmp(params[i].name, name) == 0) {
            params[i].given = 1;
            return &params[i];
        }
    }

    /* the function has no such argument */
    return NULL;
}


static void
put_text(const char *name, const char *s)
{
    param_t  *p;

    p = find(name);

    if (p) {
        put_int(&p->array, strlen(s));
        put(&p->array, s, strlen(s));
    }
}


static void
put_time(const char *name, int64_t n)
{
    param_t  *p;

    p = find(name);

    if (p) {
        put_int(&p->array, 8);
        put_int(&p->array, n >> 32);
        put_int(&p->array, n & 0xffffffff);
    }
}


/* of a record, what was not given is null */

static void
put_nulls(void)
{
    int  i;

    for (i = 0; i < nparams; i++) {
        if (!params[i].given) {
            put_int(&params[i].array, -1);
        }

        params[i].given = 0;
    }
}


static void
put_record(long seq)
{
    long      k;
    char      session[32], id[64], phone[32], name[64], meta[512];
    int64_t   at;
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    at = ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;

    if (random() % 100 < strangers) {
        k = ncontacts + fresh++ * 64 + getpid() % 64;
    } else {
        k = random() % ncontacts;
    }

    snprintf(session, sizeof(session), "t%ld", k % norgs);
    snprintf(id, sizeof(id), "3EB0%08X%08lX", getpid(), seq);
    snprintf(phone, sizeof(phone), "%ld", 79000000000L + k);
    snprintf(name, sizeof(name), "Боб %ld 🙂", k);
    snprintf(meta, sizeof(meta),
             "{\"whatsapp_message_id\":\"false_%s@c.us_%s\","
             "\"whatsapp_chat_id\":\"%s@c.us\",\"has_media\":false,"
             "\"media_url\":null,\"timestamp\":%lld,\"session\":\"%s\"}",
             phone, id, phone, (long long) at / 1000, session);

    put_text("provider", "waha");
    put_text("session", session);
    put_text("kind", kind);
    put_text("direction", "inbound");
    put_text("chat", "person");
    put_text("message_id", id);
    put_text("phone", phone);
    put_text("name", name);
    put_text("type", "text");
    put_text("body", "Hello, is the blue one still there?");
    put_time("sent_at", at);
    put_text("metadata", meta);

    if (strcmp(kind, "status") == 0) {
        put_text("target_id", id);
        put_text("status", "delivered");
    }

    put_nulls();
}


static double
cpu(int pid)
{
    char            path[64], line[1024], *p;
    FILE           *f;
    unsigned long   user, sys;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    f = fopen(path, "r");

    if (f == NULL || fgets(line, sizeof(line), f) == NULL) {
        return 0;
    }

    fclose(f);

    p = strrchr(line, ')');
    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
           &user, &sys);

    return (double) (user + sys) / sysconf(_SC_CLK_TCK);
}


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec + ts.tv_nsec / 1e9;
}


/* the function's arguments, whatever the contract has by now */

static void
describe(PGconn *c)
{
    int        i;
    PGresult  *res;

    res = PQexec(c, "select a.name, t.typelem from pg_proc p,"
                    " unnest(p.proargnames, p.proargtypes::oid[])"
                    " with ordinality as a (name, type, n)"
                    " join pg_type t on t.oid = a.type"
                    " where p.oid = to_regproc('waha.ingest_batch')"
                    " order by a.n");

    nparams = PQntuples(res);

    if (nparams == 0 || nparams > NPARAMS) {
        fprintf(stderr, "waha.ingest_batch: not one function with arguments\n"
                        "%s", PQerrorMessage(c));
        exit(1);
    }

    for (i = 0; i < nparams; i++) {
        snprintf(params[i].name, sizeof(params[i].name), "%s",
                 PQgetvalue(res, i, 0));
        params[i].element = atol(PQgetvalue(res, i, 1));
    }

    PQclear(res);
}


static void
prepare(PGconn *c)
{
    int        i, n;
    Oid        types[NPARAMS];
    char       text[1024];
    PGresult  *res;

    n = snprintf(text, sizeof(text), "select * from waha.ingest_batch(");

    for (i = 0; i < nparams; i++) {
        types[i] = (params[i].element == INT8OID) ? INT8ARRAY : TEXTARRAY;
        n += snprintf(text + n, sizeof(text) - n, "%s$%d", i ? "," : "",
                      i + 1);
    }

    snprintf(text + n, sizeof(text) - n, ")");

    res = PQprepare(c, "ingest_batch", text, nparams, types);

    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        fprintf(stderr, "%s", PQerrorMessage(c));
        exit(1);
    }

    PQclear(res);
}


static void
run(PGconn *c, long *seq)
{
    int          i, lengths[NPARAMS], formats[NPARAMS];
    PGresult    *res;
    const char  *values[NPARAMS];

    for (i = 0; i < nparams; i++) {
        put_head(&params[i].array, params[i].element);
    }

    for (i = 0; i < batch; i++) {
        put_record((*seq)++);
    }

    for (i = 0; i < nparams; i++) {
        values[i] = params[i].array.data;
        lengths[i] = params[i].array.len;
        formats[i] = 1;
    }

    res = PQexecPrepared(c, "ingest_batch", nparams, values, lengths,
                         formats, 0);

    if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != batch) {
        fprintf(stderr, "%s", PQerrorMessage(c));
        exit(1);
    }

    PQclear(res);
}


int
main(int argc, char **argv)
{
    int          i, opt, seconds = 10, seed = 1;
    long         seq = 0, first;
    double       start, used;
    PGconn      *c;
    const char  *conninfo = "";

    while ((opt = getopt(argc, argv, "n:b:c:o:t:k:s:w:")) != -1) {
        switch (opt) {
        case 'n': conninfo = optarg; break;
        case 'b': batch = atoi(optarg); break;
        case 'c': ncontacts = atol(optarg); break;
        case 'o': norgs = atol(optarg); break;
        case 't': seconds = atoi(optarg); break;
        case 'k': kind = optarg; break;
        case 's': seed = atoi(optarg); break;
        case 'w': strangers = atoi(optarg); break;
        default: return 1;
        }
    }

    srandom(seed);
    c = PQconnectdb(conninfo);

    if (PQstatus(c) != CONNECTION_OK) {
        fprintf(stderr, "%s", PQerrorMessage(c));
        return 1;
    }

    describe(c);
    prepare(c);

    for (i = 0; i < 20; i++) {
        run(c, &seq);
    }

    first = seq;
    start = now();
    used = cpu(PQbackendPID(c));

    while (now() - start < seconds) {
        run(c, &seq);
    }

    used = cpu(PQbackendPID(c)) - used;

    printf("%.0f records/s, %.1f us of CPU per record\n",
           (seq - first) / (now() - start), used * 1e6 / (seq - first));

    PQfinish(c);

    return 0;
}
