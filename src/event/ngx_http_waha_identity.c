
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_identity.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


/* digits of a phone number by E.164, and of a LID, whose length may grow */

#define NGX_HTTP_WAHA_PHONE_MIN  5
#define NGX_HTTP_WAHA_PHONE_MAX  15
#define NGX_HTTP_WAHA_LID_MAX    20


/* a JID is "<user>@<server>"; the server says what the user part is */

typedef enum {
    NGX_HTTP_WAHA_JID_PHONE = 0,
    NGX_HTTP_WAHA_JID_LID,
    NGX_HTTP_WAHA_JID_OTHER
} ngx_http_waha_jid_user_e;


typedef struct {
    ngx_str_t                   name;
    ngx_http_waha_jid_user_e    user;
    ngx_http_waha_chat_e        chat;
} ngx_http_waha_jid_server_t;


static ngx_int_t ngx_http_waha_identity_parse_person(ngx_str_t *user,
    ngx_http_waha_jid_user_e form, ngx_http_waha_jid_t *out);
static ngx_uint_t ngx_http_waha_identity_is_bot(ngx_str_t *phone);
static void ngx_http_waha_identity_split_suffix(
    ngx_http_waha_message_id_t *out);


static ngx_http_waha_jid_server_t  ngx_http_waha_identity_servers[] = {

    { ngx_string("c.us"),
      NGX_HTTP_WAHA_JID_PHONE, NGX_HTTP_WAHA_PERSON },

    { ngx_string("s.whatsapp.net"),
      NGX_HTTP_WAHA_JID_PHONE, NGX_HTTP_WAHA_PERSON },

    { ngx_string("hosted"),
      NGX_HTTP_WAHA_JID_PHONE, NGX_HTTP_WAHA_PERSON },

    { ngx_string("lid"),
      NGX_HTTP_WAHA_JID_LID, NGX_HTTP_WAHA_PERSON },

    { ngx_string("hosted.lid"),
      NGX_HTTP_WAHA_JID_LID, NGX_HTTP_WAHA_PERSON },

    { ngx_string("g.us"),
      NGX_HTTP_WAHA_JID_OTHER, NGX_HTTP_WAHA_GROUP },

    { ngx_string("newsletter"),
      NGX_HTTP_WAHA_JID_OTHER, NGX_HTTP_WAHA_NEWSLETTER },

    { ngx_string("broadcast"),
      NGX_HTTP_WAHA_JID_OTHER, NGX_HTTP_WAHA_BROADCAST },

    { ngx_string("bot"),
      NGX_HTTP_WAHA_JID_OTHER, NGX_HTTP_WAHA_BOT },

    { ngx_string("meta.ai"),
      NGX_HTTP_WAHA_JID_OTHER, NGX_HTTP_WAHA_BOT },

    { ngx_null_string, 0, 0 }
};


ngx_int_t
ngx_http_waha_identity_parse_jid(ngx_str_t *jid, ngx_http_waha_jid_t *out)
{
    ngx_str_t                    user, name;
    ngx_http_waha_jid_server_t  *server;

    ngx_memzero(out, sizeof(ngx_http_waha_jid_t));

    if (ngx_http_waha_identity_split_jid(jid, &user, &name) != NGX_OK) {
        return NGX_DECLINED;
    }

    for (server = ngx_http_waha_identity_servers; server->name.len; server++) {

        if (!ngx_http_waha_string_is_equal(&name, &server->name)) {
            continue;
        }

        out->chat = server->chat;

        if (server->user != NGX_HTTP_WAHA_JID_OTHER) {
            return ngx_http_waha_identity_parse_person(&user, server->user,
                                                       out);
        }

        if (out->chat == NGX_HTTP_WAHA_BROADCAST
            && ngx_http_waha_string_is(&user, "status"))
        {
            out->chat = NGX_HTTP_WAHA_STORY;
        }

        return ngx_http_waha_string_is_printable(&user) ? NGX_OK : NGX_DECLINED;
    }

    return NGX_DECLINED;
}


/* after the user of a person there may be "_<agent>" and ":<device>" */

ngx_int_t
ngx_http_waha_identity_split_jid(ngx_str_t *jid, ngx_str_t *user,
    ngx_str_t *server)
{
    u_char  *p, *at, *last;

    if (jid->len == 0) {
        return NGX_DECLINED;
    }

    last = jid->data + jid->len;

    at = ngx_strlchr(jid->data, last, '@');
    if (at == NULL) {
        return NGX_DECLINED;
    }

    server->data = at + 1;
    server->len = last - server->data;

    user->data = jid->data;

    for (p = jid->data; p < at && *p >= '0' && *p <= '9'; p++) { /* void */ }

    user->len = ((p < at && p > jid->data
                  && (*p == ':' || *p == '_' || *p == '.')) ? p : at)
                - user->data;

    return NGX_OK;
}


/* digits do not begin with "0": "0@c.us" is WhatsApp's own account */

static ngx_int_t
ngx_http_waha_identity_parse_person(ngx_str_t *user,
    ngx_http_waha_jid_user_e form, ngx_http_waha_jid_t *out)
{
    if (form == NGX_HTTP_WAHA_JID_LID) {

        if (!ngx_http_waha_value_is_digits(user, 1, NGX_HTTP_WAHA_LID_MAX)) {
            return NGX_DECLINED;
        }

        out->lid = *user;

        return NGX_OK;
    }

    if (!ngx_http_waha_value_is_digits(user, NGX_HTTP_WAHA_PHONE_MIN,
                                       NGX_HTTP_WAHA_PHONE_MAX))
    {
        return NGX_DECLINED;
    }

    if (ngx_http_waha_identity_is_bot(user)) {
        out->chat = NGX_HTTP_WAHA_BOT;
        return NGX_OK;
    }

    out->phone = *user;

    return NGX_OK;
}


/* Meta's bots have numbers of an area code that does not exist */

static ngx_uint_t
ngx_http_waha_identity_is_bot(ngx_str_t *phone)
{
    return phone->len == 11
           && (ngx_strncmp(phone->data, "1313555", 7) == 0
               || ngx_strncmp(phone->data, "131655500", 9) == 0);
}


ngx_int_t
ngx_http_waha_identity_parse_message_id(ngx_str_t *id,
    ngx_http_waha_message_id_t *out)
{
    u_char  *p, *last;

    ngx_memzero(out, sizeof(ngx_http_waha_message_id_t));

    out->id = *id;

    p = id->data;
    last = p + id->len;

    if (id->len > 5 && ngx_strncmp(p, "true_", 5) == 0) {
        out->outbound = 1;
        p += 5;

    } else if (id->len > 6 && ngx_strncmp(p, "false_", 6) == 0) {
        p += 6;

    } else {
        return NGX_DECLINED;
    }

    out->chat.data = p;

    p = ngx_strlchr(p, last, '_');

    if (p == NULL || p + 1 == last) {
        goto invalid;
    }

    out->chat.len = p - out->chat.data;

    if (ngx_strlchr(out->chat.data, p, '@') == NULL) {
        goto invalid;
    }

    out->id.data = p + 1;
    out->id.len = last - out->id.data;

    ngx_http_waha_identity_split_suffix(out);

    return NGX_OK;

invalid:

    ngx_str_null(&out->chat);
    out->outbound = 0;

    return NGX_DECLINED;
}


/*
 * Splits off the participant, and the direction that WAHA appends for messages
 * to oneself.  Any other suffix belongs to the id: without it two messages
 * would have the same one.
 */

static void
ngx_http_waha_identity_split_suffix(ngx_http_waha_message_id_t *out)
{
    u_char     *p;
    ngx_str_t   suffix;

    p = out->id.data + out->id.len;

    do {
        if (--p == out->id.data) {
            return;
        }
    } while (*p != '_');

    suffix.data = p + 1;
    suffix.len = out->id.data + out->id.len - suffix.data;

    if (ngx_strlchr(suffix.data, suffix.data + suffix.len, '@')) {
        out->participant = suffix;

    } else if (!ngx_http_waha_string_is(&suffix, "in")
               && !ngx_http_waha_string_is(&suffix, "out"))
    {
        return;
    }

    out->id.len = p - out->id.data;
}
