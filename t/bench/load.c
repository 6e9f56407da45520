
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


/*
 * An HTTP client that delivers WAHA webhooks as fast as the server answers
 * (closed loop), or at a fixed rate (open loop: latency then counts from the
 * moment a request was due, so a server that stalls cannot hide it).  It can
 * read something instead.
 *
 * All requests are built and signed before the clock starts.
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>


#define LOAD_BODY_MAX     2048
#define LOAD_HEADER_MAX   1024
#define LOAD_BUFFER       32768
#define LOAD_EVENTS       256
#define LOAD_ACTIONS      32
#define LOAD_DRAIN        10            /* seconds to wait for last answers */

#define LOAD_SEC          1000000000ull

#define LOAD_TEXT                                                            \
    "Привет \\\"мир\\\", заказ %" PRIu64 " уже в пути?"

/* latencies are counted in steps of 1/64 of their power of two, in us */

#define LOAD_STEPS        64
#define LOAD_BUCKETS      (LOAD_STEPS * 32)


typedef struct {
    const char   *address;
    const char   *path;
    const char   *key;
    const char   *event;
    unsigned      read;
    uint64_t      connections;
    uint64_t      requests;
    uint64_t      seconds;
    uint64_t      rate;                 /* per second; 0: closed loop */
    uint64_t      organizations;
    uint64_t      contacts;
    uint64_t      strangers;            /* of 100 */
    uint64_t      updates;              /* of a notification; 0: WAHA */
    uint64_t      seed;
} load_conf_t;


typedef struct {
    char          name[32];
    uint64_t      count;
} load_action_t;


typedef struct load_conn_s  load_conn_t;

struct load_conn_s {
    int           fd;
    size_t        request;
    size_t        sent;
    size_t        got;
    uint64_t      start;                /* when the request was due */
    char         *body;                 /* of the answer */
    load_conn_t  *next;                 /* in the list of idle ones */

    unsigned      busy:1;
    unsigned      writing:1;

    char          buf[LOAD_BUFFER];
};


typedef struct {
    uint64_t      sent;
    uint64_t      ok;                   /* 200, also after the time was up */
    uint64_t      ok_in_time;
    uint64_t      closed;
    uint64_t      stalls;               /* open loop: no idle connection */
    uint64_t      latency_max;
    uint64_t      status[600];
    uint64_t      latency[LOAD_BUCKETS];
    load_action_t action[LOAD_ACTIONS];
} load_stat_t;


typedef struct {
    load_conf_t         conf;
    load_stat_t         stat;

    struct sockaddr_in  sin;
    int                 epoll;
    int                 timer;

    char               *arena;
    size_t             *offset;         /* request i: offset[i], [i + 1] */

    load_conn_t        *conn;
    load_conn_t        *idle;

    uint64_t            next;           /* request to send next */
    uint64_t            busy;
    uint64_t            stalled;
    uint64_t            due;            /* open loop: of the next request */
    uint64_t            begin;
    uint64_t            end;
} load_t;


static void load_options(load_t *l, int argc, char **argv);
static uint64_t load_number(const char *name, const char *value);
static void load_usage(void);
static void load_address(load_t *l);
static size_t load_key(const char *name, char *key, size_t size);

static void load_prepare(load_t *l);
static uint64_t load_contact(load_t *l, uint64_t i, uint64_t id);
static size_t load_body(load_t *l, uint64_t i, char *body);
static size_t load_request(load_t *l, uint64_t i, char *p, EVP_MAC_CTX *mac);
static size_t load_notification(load_t *l, uint64_t i, char *body);
static size_t load_meta_request(load_t *l, uint64_t i, char *p,
    EVP_MAC_CTX *mac);
static size_t load_read_request(load_t *l, char *p);
static EVP_MAC_CTX *load_mac(const char *name, char *digest);
static void load_sign(EVP_MAC_CTX *mac, const char *body, size_t len,
    char *hex);
static uint64_t load_mix(uint64_t n);

static void load_run(load_t *l);
static void load_event(load_t *l, struct epoll_event *ev);
static void load_connect(load_t *l, load_conn_t *c);
static void load_reconnect(load_t *l, load_conn_t *c);
static void load_watch(load_t *l, load_conn_t *c, uint32_t events, int op);
static void load_free(load_t *l, load_conn_t *c);
static void load_due(load_t *l);
static uint64_t load_gap(load_t *l);
static void load_start(load_t *l, load_conn_t *c, uint64_t now);
static void load_send(load_t *l, load_conn_t *c);
static void load_recv(load_t *l, load_conn_t *c);
static unsigned load_response(load_conn_t *c);
static void load_done(load_t *l, load_conn_t *c, unsigned status);
static void load_action(load_t *l, load_conn_t *c);

static unsigned load_bucket(uint64_t us);
static uint64_t load_bucket_us(unsigned n);
static uint64_t load_percentile(load_t *l, double part);
static void load_report(load_t *l, struct rusage *from, struct rusage *to,
    double prepared);

static uint64_t load_now(void);
static double load_seconds(struct timeval *tv);
static void load_fail(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));


int
main(int argc, char **argv)
{
    double          prepared;
    uint64_t        now;
    struct rusage   from, to;

    static load_t   load;

    load_options(&load, argc, argv);
    load_address(&load);

    now = load_now();
    load_prepare(&load);
    prepared = (double) (load_now() - now) / LOAD_SEC;

    getrusage(RUSAGE_SELF, &from);
    load_run(&load);
    getrusage(RUSAGE_SELF, &to);

    load_report(&load, &from, &to, prepared);

    return load.stat.ok ? 0 : 1;
}


static void
load_options(load_t *l, int argc, char **argv)
{
    int           c;
    load_conf_t  *conf;

    conf = &l->conf;

    conf->path = "/api/whatsapp/webhook";
    conf->event = "message";
    conf->connections = 256;
    conf->requests = 100000;
    conf->seconds = 10;
    conf->organizations = 10;
    conf->contacts = 10000;
    conf->seed = 1;

    while ((c = getopt(argc, argv, "a:c:e:g:k:m:n:o:p:r:s:t:u:w:")) != -1) {
        switch (c) {
        case 'a': conf->address = optarg; break;
        case 'e': conf->event = optarg; break;
        case 'g': conf->path = optarg; conf->read = 1; break;
        case 'k': conf->key = optarg; break;
        case 'p': conf->path = optarg; break;
        case 'c': conf->connections = load_number("-c", optarg); break;
        case 'm': conf->contacts = load_number("-m", optarg); break;
        case 'n': conf->requests = load_number("-n", optarg); break;
        case 'o': conf->organizations = load_number("-o", optarg); break;
        case 'r': conf->rate = load_number("-r", optarg); break;
        case 's': conf->seed = load_number("-s", optarg); break;
        case 't': conf->seconds = load_number("-t", optarg); break;
        case 'u': conf->updates = load_number("-u", optarg); break;
        case 'w': conf->strangers = load_number("-w", optarg); break;
        default: load_usage();
        }
    }

    if (conf->address == NULL || (conf->key == NULL) != conf->read
        || optind != argc)
    {
        load_usage();
    }
}


static uint64_t
load_number(const char *name, const char *value)
{
    char                *end;
    unsigned long long   n;

    errno = 0;
    n = strtoull(value, &end, 10);

    if (errno || n == 0 || *end != '\0' || *value == '-') {
        load_fail("%s \"%s\" is not a positive number", name, value);
    }

    return n;
}


static void
load_usage(void)
{
    fprintf(stderr,
            "usage: load -a ip:port -k keyfile [options]\n"
            "       load -a ip:port -g path [options]\n"
            "  -g path           to read, instead of webhooks\n"
            "  -p path           of the webhook\n"
            "  -c connections    kept alive, 256\n"
            "  -n requests       to prepare, 100000\n"
            "  -t seconds        to run, 10; ends sooner without requests\n"
            "  -r rate           offered per second; default: closed loop\n"
            "  -o organizations  t0, t1, ..., each with one session, 10\n"
            "  -m contacts       79000000000, ..., spread over them, 10000\n"
            "  -u updates        notifications of Meta, of so many each\n"
            "  -w percent        of messages whose sender is new, 0\n"
            "  -e event          of all webhooks, message\n"
            "  -s seed           message ids differ between seeds, 1\n");
    exit(2);
}


static void
load_address(load_t *l)
{
    char        *colon, host[64];
    const char  *address;

    address = l->conf.address;
    colon = strrchr(address, ':');

    if (colon == NULL || (size_t) (colon - address) >= sizeof(host)) {
        load_fail("\"%s\" is not ip:port", address);
    }

    memcpy(host, address, colon - address);
    host[colon - address] = '\0';

    l->sin.sin_family = AF_INET;
    l->sin.sin_port = htons((uint16_t) load_number("port", colon + 1));

    if (inet_pton(AF_INET, host, &l->sin.sin_addr) != 1) {
        load_fail("\"%s\" is not an IPv4 address", host);
    }
}


static size_t
load_key(const char *name, char *key, size_t size)
{
    FILE    *f;
    size_t   n;

    f = fopen(name, "r");
    if (f == NULL) {
        load_fail("cannot open \"%s\": %s", name, strerror(errno));
    }

    n = fread(key, 1, size, f);
    fclose(f);

    if (n && key[n - 1] == '\n') {
        n--;
    }

    if (n == 0) {
        load_fail("no key in \"%s\"", name);
    }

    return n;
}


static void
load_prepare(load_t *l)
{
    size_t        used, size;
    uint64_t      i, updates;
    EVP_MAC_CTX  *mac;

    updates = l->conf.updates;
    size = l->conf.requests
           * (LOAD_HEADER_MAX + (updates ? updates : 1) * LOAD_BODY_MAX);

    /* untouched pages cost nothing: room for the longest requests */

    l->arena = mmap(NULL, size, PROT_READ|PROT_WRITE,
                    MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0);
    l->offset = malloc((l->conf.requests + 1) * sizeof(size_t));
    l->conn = calloc(l->conf.connections, sizeof(load_conn_t));

    if (l->arena == MAP_FAILED || l->offset == NULL || l->conn == NULL) {
        load_fail("out of memory");
    }

    mac = l->conf.read ? NULL
                       : load_mac(l->conf.key, updates ? "SHA256" : "SHA512");
    used = 0;

    for (i = 0; i < l->conf.requests; i++) {
        l->offset[i] = used;
        used += l->conf.read ? load_read_request(l, l->arena + used)
                : updates    ? load_meta_request(l, i, l->arena + used, mac)
                             : load_request(l, i, l->arena + used, mac);
    }

    l->offset[i] = used;

    EVP_MAC_CTX_free(mac);
}


/* the sender of message i; distinct in all runs if new, in nine digits */

static uint64_t
load_contact(load_t *l, uint64_t i, uint64_t id)
{
    if (i % 100 * 37 % 100 < l->conf.strangers) {
        return 200000000 + l->conf.seed % 800 * 1000000 + i;
    }

    return load_mix(id) % l->conf.contacts;
}


static size_t
load_body(load_t *l, uint64_t i, char *body)
{
    int        n;
    uint64_t   ms, id, contact, org;

    static uint64_t  begin;

    if (begin == 0) {
        begin = (uint64_t) time(NULL) * 1000;
    }

    /* message ids are random in life, so they are scattered in the index */

    ms = begin + i / 10;
    id = load_mix((l->conf.seed << 32) + i);
    contact = load_contact(l, i, id);
    org = contact % l->conf.organizations;

    n = snprintf(body, LOAD_BODY_MAX,
        "{\"id\":\"evt_01m7xxet8y%016" PRIx64 "\",\"timestamp\":%" PRIu64 ","
        "\"event\":\"%s\",\"session\":\"t%" PRIu64 "\","
        "\"metadata\":{\"tenant.id\":\"t%" PRIu64 "\"},"
        "\"me\":{\"id\":\"78%09" PRIu64 "@c.us\","
        "\"pushName\":\"Acme t%" PRIu64 "\","
        "\"lid\":\"888%012" PRIu64 "@lid\"},"
        "\"payload\":{\"id\":\"false_79%09" PRIu64 "@c.us_3EB0%016" PRIX64
        "\",\"timestamp\":%" PRIu64 ",\"from\":\"79%09" PRIu64 "@c.us\","
        "\"fromMe\":false,\"source\":\"app\","
        "\"body\":\"" LOAD_TEXT "\","
        "\"hasMedia\":false,\"media\":null,\"ack\":2,\"ackName\":\"DEVICE\","
        "\"location\":null,\"vCards\":null,\"replyTo\":null,"
        "\"_data\":{\"key\":{\"remoteJid\":\"79%09" PRIu64
        "@s.whatsapp.net\",\"fromMe\":false,\"id\":\"3EB0%016" PRIX64 "\","
        "\"addressingMode\":\"pn\"},\"messageTimestamp\":%" PRIu64 ","
        "\"pushName\":\"Боб %" PRIu64 " 🙂\",\"broadcast\":false,"
        "\"message\":{\"conversation\":"
        "\"" LOAD_TEXT "\"},"
        "\"status\":3}},\"engine\":\"NOWEB\","
        "\"environment\":{\"version\":\"2026.7.1\",\"engine\":\"NOWEB\","
        "\"tier\":\"CORE\",\"browser\":null,\"platform\":\"linux/x64\","
        "\"worker\":{\"id\":null}}}",
        id, ms, l->conf.event, org, org, org, org, org, contact, id, ms / 1000,
        contact, i,
        contact, id, ms / 1000, contact, i);

    return n;
}


static size_t
load_request(load_t *l, uint64_t i, char *p, EVP_MAC_CTX *mac)
{
    int      n;
    char     body[LOAD_BODY_MAX], hex[2 * EVP_MAX_MD_SIZE + 1];
    size_t   len;

    len = load_body(l, i, body);
    load_sign(mac, body, len, hex);

    n = sprintf(p, "POST %s HTTP/1.1\r\n"
                   "Accept: application/json, text/plain, */*\r\n"
                   "Content-Type: application/json\r\n"
                   "User-Agent: WAHA/2026.7.1\r\n"
                   "X-Webhook-Request-Id: 3b2o%013" PRIx64 "\r\n"
                   "X-Webhook-Timestamp: %.13s\r\n"
                   "X-Webhook-Hmac: %s\r\n"
                   "X-Webhook-Hmac-Algorithm: sha512\r\n"
                   "Content-Length: %zu\r\n"
                   "Accept-Encoding: gzip, compress, deflate, br\r\n"
                   "Host: %s\r\n"
                   "Connection: keep-alive\r\n\r\n",
                l->conf.path, (l->conf.seed << 32) + i,
                strstr(body, "\"timestamp\":") + 12, hex, len,
                l->conf.address);

    memcpy(p + n, body, len);

    return n + len;
}


/* as Meta escapes it: messages of one number, each of another person */

static size_t
load_notification(load_t *l, uint64_t i, char *body)
{
    char      *p;
    uint64_t   n, id, contact, org;

    org = i % l->conf.organizations;

    p = body + sprintf(body,
        "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":"
        "\"100000%09" PRIu64 "\",\"changes\":[{\"field\":\"messages\","
        "\"value\":{\"messaging_product\":\"whatsapp\",\"metadata\":{"
        "\"display_phone_number\":\"78%09" PRIu64 "\","
        "\"phone_number_id\":\"200000%09" PRIu64 "\"},\"messages\":[",
        org, org, org);

    for (n = i * l->conf.updates; n < (i + 1) * l->conf.updates; n++) {
        id = load_mix((l->conf.seed << 32) + n);
        contact = load_contact(l, n, id);
        contact -= contact % l->conf.organizations;
        contact += org;

        p += sprintf(p,
            "%s{\"from\":\"79%09" PRIu64 "\",\"id\":\"wamid.HBgLNTUx%016"
            PRIX64 "\",\"timestamp\":\"%" PRIu64 "\",\"type\":\"text\","
            "\"text\":{\"body\":\"\\u041f\\u0440\\u0438\\u0432\\u0435"
            "\\u0442, order %" PRIu64 "\"}}",
            n % l->conf.updates ? "," : "", contact, id,
            (uint64_t) time(NULL), n);
    }

    p += sprintf(p, "]}}]}]}");

    return p - body;
}


static size_t
load_meta_request(load_t *l, uint64_t i, char *p, EVP_MAC_CTX *mac)
{
    int      n;
    char     hex[2 * EVP_MAX_MD_SIZE + 1];
    size_t   len;

    static char  *body;

    if (body == NULL) {
        body = malloc(LOAD_HEADER_MAX + l->conf.updates * LOAD_BODY_MAX);
        if (body == NULL) {
            load_fail("out of memory");
        }
    }

    len = load_notification(l, i, body);
    load_sign(mac, body, len, hex);

    n = sprintf(p, "POST %s HTTP/1.1\r\n"
                   "Accept: */*\r\n"
                   "Content-Type: application/json\r\n"
                   "User-Agent: facebookexternalua\r\n"
                   "X-Hub-Signature-256: sha256=%s\r\n"
                   "Content-Length: %zu\r\n"
                   "Host: %s\r\n\r\n",
                l->conf.path, hex, len, l->conf.address);

    memcpy(p + n, body, len);

    return n + len;
}


static size_t
load_read_request(load_t *l, char *p)
{
    return sprintf(p, "GET %s HTTP/1.1\r\n"
                      "Host: %s\r\n"
                      "Connection: keep-alive\r\n\r\n",
                   l->conf.path, l->conf.address);
}


static void
load_sign(EVP_MAC_CTX *mac, const char *body, size_t len, char *hex)
{
    size_t          i, size;
    unsigned char   sum[EVP_MAX_MD_SIZE];

    if (!EVP_MAC_init(mac, NULL, 0, NULL)
        || !EVP_MAC_update(mac, (const unsigned char *) body, len)
        || !EVP_MAC_final(mac, sum, &size, sizeof(sum)))
    {
        load_fail("cannot sign");
    }

    for (i = 0; i < size; i++) {
        *hex++ = "0123456789abcdef"[sum[i] >> 4];
        *hex++ = "0123456789abcdef"[sum[i] & 15];
    }

    *hex = '\0';
}


static EVP_MAC_CTX *
load_mac(const char *name, char *digest)
{
    char          key[1024];
    size_t        n;
    EVP_MAC      *hmac;
    OSSL_PARAM    params[2];
    EVP_MAC_CTX  *mac;

    n = load_key(name, key, sizeof(key));

    params[0] = OSSL_PARAM_construct_utf8_string("digest", digest, 0);
    params[1] = OSSL_PARAM_construct_end();

    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    mac = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);

    if (mac == NULL || !EVP_MAC_init(mac, (unsigned char *) key, n, params)) {
        load_fail("cannot make an HMAC");
    }

    return mac;
}


/* splitmix64: one to one, so that distinct numbers stay distinct */

static uint64_t
load_mix(uint64_t n)
{
    n += 0x9e3779b97f4a7c15ull;
    n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9ull;
    n = (n ^ (n >> 27)) * 0x94d049bb133111ebull;

    return n ^ (n >> 31);
}


static void
load_run(load_t *l)
{
    int                  i, n;
    uint64_t             c;
    struct epoll_event   events[LOAD_EVENTS], ev;

    l->epoll = epoll_create1(0);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

    ev.events = EPOLLIN;
    ev.data.ptr = NULL;

    if (l->epoll == -1 || l->timer == -1
        || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->timer, &ev) == -1)
    {
        load_fail("cannot make an event loop: %s", strerror(errno));
    }

    for (c = 0; c < l->conf.connections; c++) {
        load_connect(l, &l->conn[c]);
    }

    l->begin = load_now();
    l->end = l->begin + l->conf.seconds * LOAD_SEC;

    for (c = 0; c < l->conf.connections; c++) {
        load_free(l, &l->conn[c]);
    }

    if (l->conf.rate) {
        l->due = l->begin;
        load_due(l);
    }

    do {
        n = epoll_wait(l->epoll, events, LOAD_EVENTS, 1000);

        for (i = 0; i < n; i++) {
            load_event(l, &events[i]);
        }

        if (load_now() > l->end + LOAD_DRAIN * LOAD_SEC) {
            break;
        }

    } while (l->busy || (l->next < l->conf.requests && load_now() < l->end));
}


static void
load_event(load_t *l, struct epoll_event *ev)
{
    uint64_t      ticks;
    load_conn_t  *c;

    c = ev->data.ptr;

    if (c == NULL) {
        if (read(l->timer, &ticks, sizeof(ticks)) == sizeof(ticks)) {
            load_due(l);
        }

        return;
    }

    if (c->writing && (ev->events & EPOLLOUT)) {
        load_send(l, c);
    }

    if (ev->events & (EPOLLIN|EPOLLHUP|EPOLLERR)) {
        load_recv(l, c);
    }
}


static void
load_connect(load_t *l, load_conn_t *c)
{
    int  on;

    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd == -1) {
        load_fail("socket() failed: %s", strerror(errno));
    }

    if (connect(c->fd, (struct sockaddr *) &l->sin, sizeof(l->sin)) == -1) {
        load_fail("cannot connect to %s: %s", l->conf.address,
                  strerror(errno));
    }

    on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) == -1) {
        load_fail("fcntl() failed: %s", strerror(errno));
    }

    load_watch(l, c, EPOLLIN, EPOLL_CTL_ADD);
}


/* servers close connections that are old or idle: that is no failure */

static void
load_reconnect(load_t *l, load_conn_t *c)
{
    if (c->busy) {
        l->stat.closed++;
        l->busy--;
    }

    close(c->fd);

    c->busy = 0;
    c->writing = 0;

    load_connect(l, c);
}


static void
load_watch(load_t *l, load_conn_t *c, uint32_t events, int op)
{
    struct epoll_event  ev;

    ev.events = events;
    ev.data.ptr = c;

    if (epoll_ctl(l->epoll, op, c->fd, &ev) == -1) {
        load_fail("epoll_ctl() failed: %s", strerror(errno));
    }
}


static void
load_free(load_t *l, load_conn_t *c)
{
    uint64_t  now;

    if (l->conf.rate) {
        c->next = l->idle;
        l->idle = c;

        if (l->stalled) {
            load_due(l);
        }

        return;
    }

    now = load_now();

    if (now >= l->end) {
        return;
    }

    if (l->next == l->conf.requests) {
        l->end = now;
        return;
    }

    load_start(l, c, now);
}


/* open loop: send what is due by now, in the order in which it was due */

static void
load_due(load_t *l)
{
    load_conn_t        *c;
    struct itimerspec   it;

    for ( ;; ) {

        if (l->next == l->conf.requests || l->due >= l->end) {
            l->end = l->due;
            l->next = l->conf.requests;
            return;
        }

        if (l->due > load_now()) {
            break;
        }

        c = l->idle;
        l->stalled = (c == NULL);

        if (l->stalled) {
            l->stat.stalls++;
            return;
        }

        l->idle = c->next;
        load_start(l, c, l->due);

        l->due += load_gap(l);
    }

    memset(&it, 0, sizeof(it));
    it.it_value.tv_sec = l->due / LOAD_SEC;
    it.it_value.tv_nsec = l->due % LOAD_SEC;

    timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &it, NULL);
}


/* people do not wait for each other: arrivals are those of Poisson */

static uint64_t
load_gap(load_t *l)
{
    double  part;

    part = (double) (load_mix(~l->next) >> 11) / (1ull << 53);

    return -log(1 - part) * LOAD_SEC / l->conf.rate;
}


static void
load_start(load_t *l, load_conn_t *c, uint64_t now)
{
    c->busy = 1;
    c->start = now;
    c->sent = 0;
    c->got = 0;
    c->request = l->next++;

    l->busy++;
    l->stat.sent++;

    load_send(l, c);
}


static void
load_send(load_t *l, load_conn_t *c)
{
    char     *p;
    size_t    left;
    ssize_t   n;

    p = l->arena + l->offset[c->request] + c->sent;
    left = l->offset[c->request + 1] - l->offset[c->request] - c->sent;

    n = send(c->fd, p, left, MSG_NOSIGNAL);

    if (n == -1) {
        if (errno != EAGAIN) {
            /* the read event that follows tells the same */
            return;
        }

        n = 0;
    }

    c->sent += n;

    if ((size_t) n < left && !c->writing) {
        c->writing = 1;
        load_watch(l, c, EPOLLIN|EPOLLOUT, EPOLL_CTL_MOD);

    } else if ((size_t) n == left && c->writing) {
        c->writing = 0;
        load_watch(l, c, EPOLLIN, EPOLL_CTL_MOD);
    }
}


static void
load_recv(load_t *l, load_conn_t *c)
{
    ssize_t    n;
    unsigned   status, busy;

    n = recv(c->fd, c->buf + c->got, LOAD_BUFFER - 1 - c->got, 0);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n <= 0 || !c->busy) {
        busy = c->busy;
        load_reconnect(l, c);

        if (busy) {
            load_free(l, c);
        }

        return;
    }

    c->got += n;
    c->buf[c->got] = '\0';

    status = load_response(c);

    if (status) {
        load_done(l, c, status);
    }
}


/* the status of a complete answer, 0 while there is more to read */

static unsigned
load_response(load_conn_t *c)
{
    char      *body, *length;
    size_t     len;
    unsigned   status;

    body = strstr(c->buf, "\r\n\r\n");

    if (body == NULL) {
        if (c->got == LOAD_BUFFER - 1) {
            load_fail("too long an answer: \"%.200s\"", c->buf);
        }

        return 0;
    }

    *body = '\0';
    body += 4;

    length = strcasestr(c->buf, "\r\nContent-Length:");

    if (length == NULL || sscanf(c->buf, "HTTP/1.%*u %3u", &status) != 1
        || status < 100 || status > 599)
    {
        load_fail("cannot read the answer \"%.200s\"", c->buf);
    }

    len = (body - c->buf) + strtoul(length + 17, NULL, 10);

    if (c->got < len && len < LOAD_BUFFER) {
        body[-4] = '\r';
        return 0;
    }

    if (c->got != len) {
        load_fail("the length of an answer is not %zu: \"%.200s\"", len,
                  c->buf);
    }

    c->body = body;

    return status;
}


static void
load_done(load_t *l, load_conn_t *c, unsigned status)
{
    uint64_t      now, us;
    load_stat_t  *st;

    st = &l->stat;
    now = load_now();

    st->status[status]++;

    if (status == 200) {
        us = (now - c->start) / 1000;

        st->ok++;
        st->ok_in_time += (now <= l->end);
        st->latency[load_bucket(us)]++;

        if (us > st->latency_max) {
            st->latency_max = us;
        }
    }

    load_action(l, c);

    c->busy = 0;
    l->busy--;

    if (strcasestr(c->buf, "\r\nConnection: close")) {
        load_reconnect(l, c);
    }

    load_free(l, c);
}


static void
load_action(load_t *l, load_conn_t *c)
{
    char           *name;
    size_t          len;
    unsigned        i;
    load_action_t  *action;

    name = strstr(c->body, "\"action\":\"");

    if (name == NULL) {
        return;
    }

    name += 10;
    len = strcspn(name, "\"");

    for (i = 0; i < LOAD_ACTIONS; i++) {
        action = &l->stat.action[i];

        if (action->count == 0 && len < sizeof(action->name)) {
            memcpy(action->name, name, len);
        }

        if (strlen(action->name) == len
            && memcmp(action->name, name, len) == 0)
        {
            action->count++;
            return;
        }
    }
}


/* steps of 1/64: exact below 64 us, within 1.6 % above */

static unsigned
load_bucket(uint64_t us)
{
    unsigned  n, shift;

    shift = 0;

    while (us >= 2 * LOAD_STEPS) {
        us >>= 1;
        shift++;
    }

    n = shift * LOAD_STEPS + (unsigned) us;

    return (n < LOAD_BUCKETS) ? n : LOAD_BUCKETS - 1;
}


static uint64_t
load_bucket_us(unsigned n)
{
    if (n < 2 * LOAD_STEPS) {
        return n;
    }

    return (uint64_t) (n % LOAD_STEPS + LOAD_STEPS)
           << (n / LOAD_STEPS - 1);
}


static uint64_t
load_percentile(load_t *l, double part)
{
    double     left;
    unsigned   n;

    left = l->stat.ok * part;

    for (n = 0; n < LOAD_BUCKETS; n++) {
        left -= l->stat.latency[n];

        if (left <= 0) {
            return load_bucket_us(n);
        }
    }

    return l->stat.latency_max;
}


static void
load_report(load_t *l, struct rusage *from, struct rusage *to,
    double prepared)
{
    double        seconds;
    unsigned      i;
    const char   *comma;
    load_stat_t  *st;

    st = &l->stat;
    seconds = (double) (l->end - l->begin) / LOAD_SEC;

    printf("{\"seconds\":%.3f,\"prepare_seconds\":%.3f,"
           "\"sent\":%" PRIu64 ",\"ok\":%" PRIu64 ",\"closed\":%" PRIu64 ","
           "\"unanswered\":%" PRIu64 ",\"stalls\":%" PRIu64 ","
           "\"rate\":%.1f,\"p50_us\":%" PRIu64 ",\"p99_us\":%" PRIu64 ","
           "\"max_us\":%" PRIu64 ",\"cpu_user\":%.3f,\"cpu_system\":%.3f",
           seconds, prepared, st->sent, st->ok, st->closed, l->busy,
           st->stalls, st->ok_in_time / seconds, load_percentile(l, 0.5),
           load_percentile(l, 0.99), st->latency_max,
           load_seconds(&to->ru_utime) - load_seconds(&from->ru_utime),
           load_seconds(&to->ru_stime) - load_seconds(&from->ru_stime));

    printf(",\"status\":{");
    comma = "";

    for (i = 100; i < 600; i++) {
        if (st->status[i]) {
            printf("%s\"%u\":%" PRIu64, comma, i, st->status[i]);
            comma = ",";
        }
    }

    printf("},\"actions\":{");

    for (i = 0; i < LOAD_ACTIONS && st->action[i].count; i++) {
        printf("%s\"%s\":%" PRIu64, i ? "," : "", st->action[i].name,
               st->action[i].count);
    }

    printf("}}\n");
}


static uint64_t
load_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec * LOAD_SEC + ts.tv_nsec;
}


static double
load_seconds(struct timeval *tv)
{
    return tv->tv_sec + tv->tv_usec / 1e6;
}


static void
load_fail(const char *fmt, ...)
{
    va_list  args;

    fprintf(stderr, "load: ");

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);

    fprintf(stderr, "\n");
    exit(2);
}
