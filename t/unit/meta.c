
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * Lets a script call src/event/meta: reads "command length\n" and as many
 * bytes from standard input, writes one line of JSON for each.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_waha_json.h"
#include "ngx_http_waha_notification.h"
#include "ngx_shim.h"


typedef struct {
    const char    *name;
    size_t         offset;
} unit_string_t;


#define unit_string(name)  { #name, offsetof(ngx_http_waha_event_t, name) }


static unit_string_t  unit_strings[] = {
    unit_string(event),
    unit_string(session),
    unit_string(account),
    unit_string(message_id),
    unit_string(target_id),
    unit_string(chat_id),
    unit_string(phone),
    unit_string(lid),
    unit_string(bsuid),
    unit_string(parent_bsuid),
    unit_string(username),
    unit_string(name),
    unit_string(previous_phone),
    unit_string(previous_bsuid),
    unit_string(type),
    unit_string(text),
    unit_string(status),
    unit_string(metadata),
    unit_string(details),
    unit_string(reason),
    unit_string(missing),
    unit_string(connection),
    unit_string(organization_slug),
    unit_string(organization_id),
    unit_string(tenant)
};


static ngx_uint_t  unit_fail;


static void
unit_put_rc(ngx_http_waha_json_out_t *out, ngx_int_t rc)
{
    ngx_http_waha_json_put_text(out, "rc", rc == NGX_OK ? "ok"
                                     : rc == NGX_ERROR ? "error"
                                     : rc == NGX_DECLINED ? "declined"
                                     : rc == NGX_ABORT ? "abort" : "?");
}


static void
unit_put_event(ngx_http_waha_json_out_t *out, ngx_http_waha_event_t *event)
{
    ngx_uint_t  i;

    ngx_http_waha_json_open(out, NULL, '{');

    ngx_http_waha_json_put(out, "kind",
                           &ngx_http_waha_event_kinds[event->kind]);
    ngx_http_waha_json_put(out, "chat",
                           &ngx_http_waha_event_chats[event->chat]);
    ngx_http_waha_json_put_text(out, "direction",
                                event->outbound ? "outbound" : "inbound");
    ngx_http_waha_json_put_number(out, "sent_at", event->sent_at);

    if (event->sanitised) {
        ngx_http_waha_json_put_bool(out, "sanitised", 1);
    }

    if (event->empty) {
        ngx_http_waha_json_put_bool(out, "empty", 1);
    }

    for (i = 0; i < sizeof(unit_strings) / sizeof(unit_string_t); i++) {
        ngx_http_waha_json_put(out, unit_strings[i].name,
                               (ngx_str_t *) ((u_char *) event
                                              + unit_strings[i].offset));
    }

    ngx_http_waha_json_close(out, '}');
}


/* the body may be gone when events are read, but not when they are raw */

static ngx_int_t
unit_parse(ngx_pool_t *pool, ngx_str_t *arg, ngx_array_t *events)
{
    ngx_int_t  rc;

    events->elts = NULL;
    events->nelts = 0;
    events->size = sizeof(ngx_http_waha_event_t);
    events->nalloc = 0;
    events->pool = pool;

    ngx_shim_allocated = 0;
    ngx_shim_fail = unit_fail;

    rc = ngx_http_waha_notification_parse(pool, arg, events);

    ngx_shim_fail = 0;
    unit_fail = 0;

    return rc;
}


static void
unit_notification(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_array_t             events;
    ngx_http_waha_event_t  *event;

    rc = unit_parse(pool, arg, &events);

    unit_put_rc(out, rc);
    ngx_http_waha_json_put_number(out, "allocated", ngx_shim_allocated);

    event = events.elts;

    ngx_http_waha_json_open(out, "events", '[');

    for (i = 0; i < events.nelts; i++) {
        unit_put_event(out, &event[i]);
    }

    ngx_http_waha_json_close(out, ']');
}


/* each event as a notification of its own */

static void
unit_raw(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    ngx_str_t               raw;
    ngx_uint_t              i;
    ngx_array_t             events;
    ngx_http_waha_event_t  *event;

    unit_put_rc(out, unit_parse(pool, arg, &events));

    event = events.elts;

    ngx_http_waha_json_open(out, "raw", '[');

    for (i = 0; i < events.nelts; i++) {

        if (ngx_http_waha_notification_raw(pool, &event[i], &raw) != NGX_OK) {
            exit(2);
        }

        ngx_http_waha_json_put(out, NULL, &raw);
    }

    ngx_http_waha_json_close(out, ']');
}


/* bytes: those that stay, and the time for one */

static void
unit_cost(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    ngx_array_t      events;
    struct timespec  start, end;

    clock_gettime(CLOCK_MONOTONIC, &start);

    unit_put_rc(out, unit_parse(pool, arg, &events));

    clock_gettime(CLOCK_MONOTONIC, &end);

    ngx_http_waha_json_put_number(out, "allocated", ngx_shim_allocated);
    ngx_http_waha_json_put_number(out, "kept", ngx_shim_kept(pool));
    ngx_http_waha_json_put_number(out, "events", events.nelts);
    ngx_http_waha_json_put_number(out, "ms",
                                  (end.tv_sec - start.tv_sec) * 1e3
                                  + (end.tv_nsec - start.tv_nsec) / 1e6);
}


static void
unit_run(const char *name, ngx_str_t *arg)
{
    ngx_str_t                 line;
    ngx_pool_t               *pool, *own;
    ngx_http_waha_json_out_t  out;

    pool = ngx_create_pool(4096, NULL);
    own = ngx_create_pool(4096, NULL);

    ngx_http_waha_json_start(&out, own, 1024);
    ngx_http_waha_json_open(&out, NULL, '{');

    if (ngx_strcmp(name, "notification") == 0) {
        unit_notification(pool, arg, &out);

    } else if (ngx_strcmp(name, "raw") == 0) {
        unit_raw(pool, arg, &out);

    } else if (ngx_strcmp(name, "cost") == 0) {
        unit_cost(pool, arg, &out);

    } else if (ngx_strcmp(name, "fail") == 0) {
        arg->data[arg->len] = '\0';
        unit_fail = atoi((char *) arg->data);
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
