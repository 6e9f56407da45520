
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
 *
 *     cc -O2 -I`pg_config --includedir` -o batch batch.c -lpq
 */


#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <libpq-fe.h>


#define NPARAMS    20
#define TEXTARRAY  1009
#define INT8ARRAY  1016
#define TEXTOID    25
#define INT8OID    20


typedef struct {
    char      *data;
    size_t     len;
    size_t     size;
} buf_t;


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
put_head(buf_t *b, int32_t type)
{
    b->len = 0;
    put_int(b, 1);
    put_int(b, 1);
    put_int(b, type);
    put_int(b, batch);
    put_int(b, 1);
}


static void
put_text(buf_t *b, const char *s)
{
    if (s == NULL) {
        put_int(b, -1);
        return;
    }

    put_int(b, strlen(s));
    put(b, s, strlen(s));
}


static void
put_record(buf_t *p, long seq)
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

    put_text(&p[0], "waha");
    put_text(&p[1], NULL);
    put_text(&p[2], session);
    put_text(&p[3], kind);
    put_text(&p[4], "inbound");
    put_text(&p[5], "person");
    put_text(&p[6], id);
    put_text(&p[7], strcmp(kind, "status") == 0 ? id : NULL);
    put_text(&p[8], phone);
    put_text(&p[9], NULL);
    put_text(&p[10], name);
    put_text(&p[11], "text");
    put_text(&p[12], "Hello, is the blue one still there?");
    put_int(&p[13], 8);
    put_int(&p[13], at >> 32);
    put_int(&p[13], at & 0xffffffff);
    put_text(&p[14], strcmp(kind, "status") == 0 ? "delivered" : NULL);
    put_text(&p[15], meta);
    put_text(&p[16], NULL);
    put_text(&p[17], NULL);
    put_text(&p[18], NULL);
    put_text(&p[19], NULL);
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


static void
run(PGconn *c, buf_t *p, long *seq)
{
    int          i, lengths[NPARAMS], formats[NPARAMS];
    PGresult    *res;
    const char  *values[NPARAMS];

    for (i = 0; i < NPARAMS; i++) {
        put_head(&p[i], i == 13 ? INT8OID : TEXTOID);
    }

    for (i = 0; i < batch; i++) {
        put_record(p, (*seq)++);
    }

    for (i = 0; i < NPARAMS; i++) {
        values[i] = p[i].data;
        lengths[i] = p[i].len;
        formats[i] = 1;

    }

    res = PQexecPrepared(c, "ingest_batch", NPARAMS, values, lengths,
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
    Oid          types[NPARAMS];
    long         seq = 0, first;
    buf_t        p[NPARAMS];
    double       start, used;
    PGconn      *c;
    PGresult    *res;
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
    memset(p, 0, sizeof(p));

    for (i = 0; i < NPARAMS; i++) {
        types[i] = (i == 13) ? INT8ARRAY : TEXTARRAY;
    }

    c = PQconnectdb(conninfo);

    if (PQstatus(c) != CONNECTION_OK) {
        fprintf(stderr, "%s", PQerrorMessage(c));
        return 1;
    }

    res = PQprepare(c, "ingest_batch", "select * from waha.ingest_batch("
                    "$1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,"
                    "$16,$17,$18,$19,$20)", NPARAMS, types);

    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        fprintf(stderr, "%s", PQerrorMessage(c));
        return 1;
    }

    PQclear(res);

    for (i = 0; i < 20; i++) {
        run(c, p, &seq);
    }

    first = seq;
    start = now();
    used = cpu(PQbackendPID(c));

    while (now() - start < seconds) {
        run(c, p, &seq);
    }

    used = cpu(PQbackendPID(c)) - used;

    printf("%.0f records/s, %.1f us of CPU per record\n",
           (seq - first) / (now() - start), used * 1e6 / (seq - first));

    PQfinish(c);

    return 0;
}
