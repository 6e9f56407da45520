
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * Lets a script call src/event: reads "command length\n" and as many bytes
 * from standard input, writes one line of JSON for each.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_waha_envelope.h"
#include "ngx_http_waha_identity.h"
#include "ngx_http_waha_json.h"
#include "ngx_http_waha_signature.h"
#include "ngx_http_waha_string.h"
#include "ngx_shim.h"


typedef struct {
    const char    *name;
    void         (*run)(ngx_pool_t *pool, ngx_str_t *arg,
                       ngx_http_waha_json_out_t *out);
} unit_command_t;


static void unit_envelope(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_clean(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_json(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_get(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_jid(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_id(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_key(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_hex(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_sha256(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_sha512(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_fail(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_time(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);


static unit_command_t  unit_commands[] = {
    { "envelope", unit_envelope },      /* the record of a body */
    { "clean", unit_clean },            /* what it became, in hex */
    { "json", unit_json },              /* cleaned and parsed */
    { "get", unit_get },                /* the string member "k" */
    { "jid", unit_jid },
    { "id", unit_id },
    { "key", unit_key },                /* one more key; "": forget all */
    { "hex", unit_hex },                /* the signature to be verified */
    { "sha256", unit_sha256 },          /* which key made it */
    { "sha512", unit_sha512 },
    { "fail", unit_fail },              /* let an allocation fail */
    { "time", unit_time },              /* ns per byte of clean() */
    { NULL, NULL }
};


static ngx_http_waha_hmac_key_t  unit_key_list[8];
static ngx_array_t  unit_keys = { unit_key_list, 0,
                                  sizeof(ngx_http_waha_hmac_key_t), 8, NULL };
static ngx_pool_t  *unit_key_pool;
static ngx_str_t    unit_signature;
static ngx_uint_t   unit_fail_next;


static void
unit_put(ngx_http_waha_json_out_t *out, const char *name, const char *value)
{
    ngx_str_t  text;

    text.data = (u_char *) value;
    text.len = ngx_strlen(value);

    ngx_http_waha_json_put(out, name, &text);
}


static void
unit_rc(ngx_http_waha_json_out_t *out, ngx_int_t rc)
{
    unit_put(out, "rc", rc == NGX_OK ? "ok"
                        : rc == NGX_ERROR ? "error"
                        : rc == NGX_DECLINED ? "declined"
                        : rc == NGX_ABORT ? "abort" : "?");
}


static void
unit_envelope(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    ngx_int_t              rc;
    ngx_array_t            events;
    ngx_http_waha_event_t  event;

    events.elts = &event;
    events.nelts = 0;
    events.size = sizeof(ngx_http_waha_event_t);
    events.nalloc = 1;
    events.pool = pool;

    ngx_shim_allocated = 0;
    ngx_shim_fail = unit_fail_next;

    rc = ngx_http_waha_envelope_parse(pool, arg, &events);

    ngx_shim_fail = 0;
    unit_fail_next = 0;

    unit_rc(out, rc);
    ngx_http_waha_json_put_number(out, "allocated", ngx_shim_allocated);

    if (rc != NGX_OK) {

        if (events.nelts) {
            ngx_http_waha_json_put(out, "missing", &event.missing);
        }

        return;
    }

    ngx_http_waha_json_put(out, "kind",
                           &ngx_http_waha_event_kinds[event.kind]);
    ngx_http_waha_json_put(out, "chat",
                           &ngx_http_waha_event_chats[event.chat]);
    unit_put(out, "direction", event.outbound ? "outbound" : "inbound");
    ngx_http_waha_json_put_bool(out, "sanitised", event.sanitised);
    ngx_http_waha_json_put_number(out, "sent_at", event.sent_at);

    if (event.empty) {
        ngx_http_waha_json_put_bool(out, "empty", 1);
    }

    ngx_http_waha_json_put(out, "event", &event.event);
    ngx_http_waha_json_put(out, "session", &event.session);
    ngx_http_waha_json_put(out, "message_id", &event.message_id);
    ngx_http_waha_json_put(out, "target_id", &event.target_id);
    ngx_http_waha_json_put(out, "chat_id", &event.chat_id);
    ngx_http_waha_json_put(out, "reason", &event.reason);
    ngx_http_waha_json_put(out, "phone", &event.phone);
    ngx_http_waha_json_put(out, "lid", &event.lid);
    ngx_http_waha_json_put(out, "name", &event.name);
    ngx_http_waha_json_put(out, "type", &event.type);
    ngx_http_waha_json_put(out, "text", &event.text);
    ngx_http_waha_json_put(out, "status", &event.status);
    ngx_http_waha_json_put(out, "metadata", &event.metadata);
    ngx_http_waha_json_put(out, "organization_slug",
                           &event.organization_slug);
    ngx_http_waha_json_put(out, "organization_id", &event.organization_id);
    ngx_http_waha_json_put(out, "tenant", &event.tenant);
}


static void
unit_clean(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    u_char      *p;
    size_t       i;
    ngx_int_t    rc;
    ngx_str_t    text, hex;
    ngx_uint_t   replaced;

    static char  digits[] = "0123456789abcdef";

    text = *arg;

    rc = ngx_http_waha_json_clean(pool, &text, &replaced);

    unit_rc(out, rc);

    if (rc != NGX_OK) {
        return;
    }

    ngx_http_waha_json_put_bool(out, "replaced", replaced);
    ngx_http_waha_json_put_bool(out, "copied", text.data != arg->data);

    hex.len = text.len * 2;
    hex.data = ngx_pnalloc(pool, hex.len + 1);

    for (p = hex.data, i = 0; i < text.len; i++) {
        *p++ = digits[text.data[i] >> 4];
        *p++ = digits[text.data[i] & 0xf];
    }

    ngx_http_waha_json_put(out, "hex", &hex);
}


static cJSON *
unit_parse(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    cJSON       *json;
    ngx_int_t    rc;
    ngx_str_t    text;
    ngx_uint_t   replaced;

    text = *arg;
    json = NULL;

    rc = ngx_http_waha_json_clean(pool, &text, &replaced);

    if (rc == NGX_OK) {
        rc = ngx_http_waha_json_parse(pool, &text, &json);

    } else {
        rc = NGX_ABORT;
    }

    unit_rc(out, rc);

    return rc == NGX_OK ? json : NULL;
}


static void
unit_json(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    (void) unit_parse(pool, arg, out);
}


static void
unit_get(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    ngx_str_t  value;

    value = ngx_http_waha_json_get_string(unit_parse(pool, arg, out), "k");

    ngx_http_waha_json_put(out, "value", &value);
}


static void
unit_jid(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    ngx_int_t            rc;
    ngx_http_waha_jid_t  jid;

    rc = ngx_http_waha_identity_parse_jid(arg, &jid);

    unit_rc(out, rc);

    if (rc == NGX_OK) {
        ngx_http_waha_json_put(out, "chat",
                               &ngx_http_waha_event_chats[jid.chat]);
        ngx_http_waha_json_put(out, "phone", &jid.phone);
        ngx_http_waha_json_put(out, "lid", &jid.lid);
    }
}


static void
unit_id(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    ngx_http_waha_message_id_t  id;

    unit_rc(out, ngx_http_waha_identity_parse_message_id(arg, &id));

    ngx_http_waha_json_put(out, "chat", &id.chat);
    ngx_http_waha_json_put(out, "id", &id.id);
    ngx_http_waha_json_put(out, "participant", &id.participant);
    ngx_http_waha_json_put_bool(out, "outbound", id.outbound);
}


static ngx_str_t
unit_keep(ngx_str_t *arg)
{
    ngx_str_t  copy;

    copy.len = arg->len;
    copy.data = malloc(arg->len + 1);

    if (copy.data == NULL) {
        abort();
    }

    ngx_memcpy(copy.data, arg->data, arg->len);

    return copy;
}


static void
unit_key(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    ngx_http_waha_hmac_key_t  *key;

    if (arg->len == 0) {

        while (unit_keys.nelts) {
            free(unit_key_list[--unit_keys.nelts].secret.data);
        }

        ngx_destroy_pool(unit_key_pool);
        unit_key_pool = ngx_create_pool(4096, NULL);

        return;
    }

    key = &unit_key_list[unit_keys.nelts++];
    key->secret = unit_keep(arg);

    if (ngx_http_waha_signature_set_key(unit_key_pool, key) != NGX_OK) {
        abort();
    }
}


static void
unit_hex(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    free(unit_signature.data);
    unit_signature = unit_keep(arg);
}


static void
unit_verify(ngx_http_waha_hmac_e algorithm, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out)
{
    ngx_http_waha_hmac_key_t  *key;

    key = ngx_http_waha_signature_verify(&unit_keys, algorithm,
                                         &unit_signature, arg);
    if (key) {
        if (ngx_http_waha_string_is_printable(&key->secret)) {
            ngx_http_waha_json_put(out, "key", &key->secret);
        }

        ngx_http_waha_json_put_number(out, "number", key - unit_key_list);
    }
}


static void
unit_sha256(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    unit_verify(NGX_HTTP_WAHA_HMAC_SHA256, arg, out);
}


static void
unit_sha512(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    unit_verify(NGX_HTTP_WAHA_HMAC_SHA512, arg, out);
}


static void
unit_fail(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    arg->data[arg->len] = '\0';
    unit_fail_next = atoi((char *) arg->data);
}


static void
unit_time(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    double           ns, best;
    ngx_str_t        text;
    ngx_uint_t       i, j, n, replaced;
    struct timespec  start, end;

    best = 1e18;
    n = 1 + 2000000 / (arg->len + 1);

    for (i = 0; i < 10; i++) {
        clock_gettime(CLOCK_MONOTONIC, &start);

        for (j = 0; j < n; j++) {
            text = *arg;
            (void) ngx_http_waha_json_clean(pool, &text, &replaced);
        }

        clock_gettime(CLOCK_MONOTONIC, &end);

        ns = (end.tv_sec - start.tv_sec) * 1e9 + end.tv_nsec - start.tv_nsec;
        best = ngx_min(best, ns / n / arg->len);
    }

    ngx_http_waha_json_put_number(out, "ns", best);
}


static void
unit_run(const char *name, ngx_str_t *arg)
{
    ngx_str_t                  line;
    ngx_pool_t                *pool, *own;
    unit_command_t            *command;
    ngx_http_waha_json_out_t   out;

    pool = ngx_create_pool(4096, NULL);
    own = ngx_create_pool(4096, NULL);

    ngx_http_waha_json_start(&out, own, 1024);
    ngx_http_waha_json_open(&out, NULL, '{');

    for (command = unit_commands; command->name; command++) {

        if (ngx_strcmp(command->name, name) == 0) {
            command->run(pool, arg, &out);
        }
    }

    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &line) != NGX_OK) {
        exit(2);
    }

    printf("%.*s\n", (int) line.len, line.data);
    fflush(stdout);

    ngx_destroy_pool(own);
    ngx_destroy_pool(pool);
}


int
main(void)
{
    char       name[16];
    ngx_str_t  arg;

    unit_key_pool = ngx_create_pool(4096, NULL);

    while (scanf("%15s %zu", name, &arg.len) == 2) {

        (void) getchar();

        /* exactly as long as the bytes, and one to end a number */

        arg.data = malloc(arg.len + 1);

        if (arg.data == NULL
            || fread(arg.data, 1, arg.len, stdin) != arg.len)
        {
            return 2;
        }

        unit_run(name, &arg);

        free(arg.data);
    }

    return 0;
}
