
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_view.h>


/* what a status means to people */

typedef struct {
    const char   *status;
    ngx_str_t     message;
    ngx_str_t     waha;         /* in NGX_HTTP_WAHA_VIEW_WAHA */
    ngx_str_t     bridge;       /* in NGX_HTTP_WAHA_VIEW_BRIDGE */
    unsigned      qr:1;         /* WAHA has a QR code, or will soon */
} ngx_http_waha_view_status_t;


static void ngx_http_waha_view_data(ngx_http_waha_json_out_t *out,
    const char *name, ngx_http_waha_view_t *view);
static void ngx_http_waha_view_waha(ngx_http_waha_json_out_t *out,
    const char *name, ngx_http_waha_view_t *view);
static void ngx_http_waha_view_me(ngx_http_waha_json_out_t *out,
    ngx_http_waha_view_t *view);
static void ngx_http_waha_view_flat(ngx_http_waha_json_out_t *out,
    ngx_http_waha_view_t *view);
static void ngx_http_waha_view_bridge(ngx_http_waha_json_out_t *out,
    ngx_http_waha_view_t *view);
static void ngx_http_waha_view_state(ngx_http_waha_json_out_t *out,
    ngx_http_waha_view_t *view, ngx_http_waha_view_status_t *shown);
static void ngx_http_waha_view_extras(ngx_http_waha_json_out_t *out,
    ngx_http_waha_view_t *view);
static ngx_http_waha_view_status_t *ngx_http_waha_view_status(
    ngx_str_t *status);
static ngx_str_t ngx_http_waha_view_string(ngx_http_waha_view_t *view,
    const char *name);
static ngx_str_t ngx_http_waha_view_digits(ngx_http_waha_view_t *view);


static ngx_http_waha_view_status_t  ngx_http_waha_view_statuses[] = {

    { "NOT_CREATED", ngx_string("WhatsApp is not connected"),
      ngx_string("STOPPED"), ngx_string("disconnected"), 0 },

    { "STOPPED", ngx_string("WhatsApp is disconnected"),
      ngx_string("STOPPED"), ngx_string("disconnected"), 0 },

    { "STARTING", ngx_string("WhatsApp is starting"),
      ngx_string("STARTING"), ngx_string("connecting"), 1 },

    { "SCAN_QR_CODE", ngx_string("Scan the QR code to connect"),
      ngx_string("SCAN_QR_CODE"), ngx_string("connecting"), 1 },

    { "PASSKEY_REQUIRED", ngx_string("Confirm with the passkey"),
      ngx_string("STOPPED"), ngx_string("disconnected"), 0 },

    { "PASSKEY_CONFIRMATION_REQUIRED",
      ngx_string("Confirm the code on the phone"),
      ngx_string("STOPPED"), ngx_string("disconnected"), 0 },

    { "WORKING", ngx_string("WhatsApp is connected"),
      ngx_string("WORKING"), ngx_string("connected"), 0 },

    { "FAILED", ngx_string("WhatsApp has failed: connect again"),
      ngx_string("STOPPED"), ngx_string("disconnected"), 0 },

    /* of numbers of Meta */

    { "CONNECTED", ngx_string("WhatsApp is connected"),
      ngx_string("WORKING"), ngx_string("connected"), 0 },

    { "NEEDS_REAUTH", ngx_string("Connect WhatsApp with a new access token"),
      ngx_string("STOPPED"), ngx_string("disconnected"), 0 },

    { "RESTRICTED", ngx_string("Meta has restricted the WhatsApp account"),
      ngx_string("STOPPED"), ngx_string("disconnected"), 0 },

    { "UNSUBSCRIBED", ngx_string("Connect WhatsApp again: Meta sends its "
      "messages to another place"),
      ngx_string("STOPPED"), ngx_string("disconnected"), 0 },

    { "DISCONNECTED", ngx_string("WhatsApp is disconnected"),
      ngx_string("STOPPED"), ngx_string("disconnected"), 0 },

    { NULL, ngx_string("WhatsApp is not ready"),
      ngx_string("UNKNOWN"), ngx_string("disconnected"), 0 }
};


/* the same for a session that does not get on by itself */

static ngx_str_t  ngx_http_waha_view_stuck = ngx_string("STOPPED");


ngx_int_t
ngx_http_waha_view_session(ngx_pool_t *pool, ngx_http_waha_view_e form,
    ngx_http_waha_view_t *view, ngx_str_t *json)
{
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, pool, 1024);

    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_bool(&out, "success", 1);

    switch (form) {

    case NGX_HTTP_WAHA_VIEW_WAHA:
        ngx_http_waha_view_waha(&out, "data", view);
        break;

    case NGX_HTTP_WAHA_VIEW_FLAT:
        ngx_http_waha_view_flat(&out, view);
        ngx_http_waha_view_data(&out, "data", view);
        break;

    case NGX_HTTP_WAHA_VIEW_BRIDGE:
        ngx_http_waha_view_bridge(&out, view);

        if (view->qr_code.data) {
            ngx_http_waha_json_put(&out, "qrCode", &view->qr_code);

        } else {
            ngx_http_waha_json_put_null(&out, "qrCode");
        }

        ngx_http_waha_view_data(&out, "data", view);
        break;

    default: /* NGX_HTTP_WAHA_VIEW_DATA */
        ngx_http_waha_view_data(&out, "data", view);
    }

    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_json_end(&out, json);
}


ngx_int_t
ngx_http_waha_view_sessions(ngx_pool_t *pool, ngx_http_waha_view_e form,
    ngx_http_waha_view_t *view, const cJSON *sessions, ngx_str_t *json)
{
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, pool, 4096);

    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_bool(&out, "success", 1);

    if (form == NGX_HTTP_WAHA_VIEW_DATA) {
        ngx_http_waha_json_open(&out, "data", '{');
    }

    ngx_http_waha_json_open(&out, "sessions", '[');

    for (view->session = cJSON_IsArray(sessions) ? sessions->child : NULL;
         view->session;
         view->session = view->session->next)
    {
        if (form == NGX_HTTP_WAHA_VIEW_DATA) {
            ngx_http_waha_view_data(&out, NULL, view);

        } else {
            ngx_http_waha_json_open(&out, NULL, '{');
            ngx_http_waha_view_bridge(&out, view);
            ngx_http_waha_json_close(&out, '}');
        }
    }

    ngx_http_waha_json_close(&out, ']');

    if (form == NGX_HTTP_WAHA_VIEW_DATA) {
        ngx_http_waha_json_close(&out, '}');

    } else {
        ngx_http_waha_json_put_number(&out, "total",
                                      cJSON_GetArraySize(sessions));
    }

    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_json_end(&out, json);
}


static void
ngx_http_waha_view_data(ngx_http_waha_json_out_t *out, const char *name,
    ngx_http_waha_view_t *view)
{
    const cJSON  *item;

    if (!cJSON_IsObject(view->session)) {
        ngx_http_waha_json_put_null(out, name);
        return;
    }

    ngx_http_waha_json_open(out, name, '{');

    for (item = view->session->child; item; item = item->next) {
        ngx_http_waha_json_put_member(out, item);
    }

    ngx_http_waha_view_extras(out, view);

    ngx_http_waha_json_close(out, '}');
}


static void
ngx_http_waha_view_waha(ngx_http_waha_json_out_t *out, const char *name,
    ngx_http_waha_view_t *view)
{
    ngx_str_t                     session, status;
    ngx_http_waha_view_status_t  *shown;

    session = ngx_http_waha_view_string(view, "session");
    status = ngx_http_waha_view_string(view, "status");

    shown = ngx_http_waha_view_status(&status);

    ngx_http_waha_json_open(out, name, '{');

    ngx_http_waha_json_put_bool(out, "success", 1);
    ngx_http_waha_json_put_bool(out, "exists",
                                !ngx_http_waha_string_is(&status,
                                                         "NOT_CREATED"));
    ngx_http_waha_json_put(out, "status",
                           view->stuck ? &ngx_http_waha_view_stuck
                                       : &shown->waha);
    ngx_http_waha_json_put(out, "waha_status", &status);
    ngx_http_waha_json_put(out, "name", &session);
    ngx_http_waha_json_put(out, "sessionName", &session);

    ngx_http_waha_view_me(out, view);

    ngx_http_waha_view_extras(out, view);

    ngx_http_waha_json_close(out, '}');
}


static void
ngx_http_waha_view_me(ngx_http_waha_json_out_t *out,
    ngx_http_waha_view_t *view)
{
    u_char     *p;
    ngx_str_t   digits, id, name, phone, connected_at;

    digits = ngx_http_waha_view_digits(view);

    if (digits.len == 0) {
        ngx_http_waha_json_put_null(out, "me");
        return;
    }

    id.len = digits.len + sizeof("@c.us") - 1;

    id.data = ngx_pnalloc(out->pool, id.len);
    if (id.data == NULL) {
        out->failed = 1;
        return;
    }

    p = ngx_cpymem(id.data, digits.data, digits.len);
    ngx_memcpy(p, "@c.us", sizeof("@c.us") - 1);

    name = ngx_http_waha_view_string(view, "name");
    phone = ngx_http_waha_view_string(view, "phone");
    connected_at = ngx_http_waha_view_string(view, "connected_at");

    ngx_http_waha_json_open(out, "me", '{');
    ngx_http_waha_json_put(out, "id", &id);
    ngx_http_waha_json_put(out, "pushName", &name);
    ngx_http_waha_json_close(out, '}');

    ngx_http_waha_json_put(out, "phone", &phone);
    ngx_http_waha_json_put(out, "connected_at", &connected_at);
}


static void
ngx_http_waha_view_flat(ngx_http_waha_json_out_t *out,
    ngx_http_waha_view_t *view)
{
    ngx_str_t                     status, phone;
    ngx_http_waha_view_status_t  *shown;

    status = ngx_http_waha_view_string(view, "status");
    phone = ngx_http_waha_view_digits(view);

    shown = ngx_http_waha_view_status(&status);

    ngx_http_waha_view_state(out, view, shown);
    ngx_http_waha_json_put(out, "status", &status);
    ngx_http_waha_json_put(out, "phone", &phone);
    ngx_http_waha_json_put(out, "phoneNumber", &phone);
}


static void
ngx_http_waha_view_bridge(ngx_http_waha_json_out_t *out,
    ngx_http_waha_view_t *view)
{
    ngx_str_t                     status, phone, created_at;
    ngx_http_waha_view_status_t  *shown;

    status = ngx_http_waha_view_string(view, "status");
    phone = ngx_http_waha_view_string(view, "phone");
    created_at = ngx_http_waha_view_string(view, "created_at");

    if (phone.data == NULL) {
        phone = ngx_http_waha_view_string(view, "given_phone");
    }

    shown = ngx_http_waha_view_status(&status);

    ngx_http_waha_view_state(out, view, shown);
    ngx_http_waha_json_put(out, "status", &shown->bridge);
    ngx_http_waha_json_put(out, "phoneNumber", &phone);
    ngx_http_waha_json_put(out, "createdAt", &created_at);
}


static void
ngx_http_waha_view_state(ngx_http_waha_json_out_t *out,
    ngx_http_waha_view_t *view, ngx_http_waha_view_status_t *shown)
{
    ngx_str_t  session, id, label;

    session = ngx_http_waha_view_string(view, "session");
    id = ngx_http_waha_view_string(view, "id");
    label = ngx_http_waha_view_string(view, "label");

    ngx_http_waha_json_put_bool(out, "connected",
                                ngx_http_waha_string_is(&shown->bridge,
                                                        "connected"));
    ngx_http_waha_json_put(out, "session", &session);
    ngx_http_waha_json_put(out, "sessionId", id.data ? &id : &session);
    ngx_http_waha_json_put(out, "sessionName", &label);
    ngx_http_waha_json_put(out, "message", &shown->message);
    ngx_http_waha_json_put(out, "pairingCode", &view->pairing_code);

    if (shown->qr && session.data) {
        ngx_http_waha_json_put(out, "qr_url", &view->qr_url);
    }
}


static void
ngx_http_waha_view_extras(ngx_http_waha_json_out_t *out,
    ngx_http_waha_view_t *view)
{
    ngx_http_waha_json_put(out, "pairing_code", &view->pairing_code);

    if (view->stale) {
        ngx_http_waha_json_put_bool(out, "stale", 1);
    }

    if (view->still_linked) {
        ngx_http_waha_json_put_bool(out, "unlinked", 0);
    }
}


static ngx_http_waha_view_status_t *
ngx_http_waha_view_status(ngx_str_t *status)
{
    ngx_http_waha_view_status_t  *shown;

    for (shown = ngx_http_waha_view_statuses; shown->status; shown++) {

        if (ngx_http_waha_string_is(status, shown->status)) {
            break;
        }
    }

    return shown;
}


/* a session that does not exist has a status, too */

static ngx_str_t
ngx_http_waha_view_string(ngx_http_waha_view_t *view, const char *name)
{
    ngx_str_t  value;

    value = ngx_http_waha_json_get_string(view->session, name);

    if (view->session == NULL && ngx_strcmp(name, "status") == 0) {
        ngx_str_set(&value, "NOT_CREATED");
    }

    return value;
}


static ngx_str_t
ngx_http_waha_view_digits(ngx_http_waha_view_t *view)
{
    ngx_str_t  phone;

    phone = ngx_http_waha_view_string(view, "phone");

    if (phone.len && phone.data[0] == '+') {
        phone.data++;
        phone.len--;
    }

    return phone;
}
