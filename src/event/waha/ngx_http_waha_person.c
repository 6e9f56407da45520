
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_person.h>
#include <ngx_http_waha_string.h>


/* who has the JID in a member of "_data" */

#define NGX_HTTP_WAHA_ALT_SENDER       1
#define NGX_HTTP_WAHA_ALT_RECIPIENT    2
#define NGX_HTTP_WAHA_ALT_PARTICIPANT  4


typedef struct {
    const char                 *parent;     /* NULL: "_data" itself */
    const char                 *name;
    ngx_uint_t                  whose;
} ngx_http_waha_person_place_t;


static void ngx_http_waha_person_add_me(ngx_http_waha_reader_t *reader,
    const cJSON *me, const char *name);
static ngx_int_t ngx_http_waha_person_read_author(
    ngx_http_waha_reader_t *reader);
static ngx_uint_t ngx_http_waha_person_is_self(
    ngx_http_waha_reader_t *reader, ngx_str_t *chat);
static ngx_str_t ngx_http_waha_person_raw(ngx_http_waha_reader_t *reader,
    ngx_str_t *jid);
static cJSON *ngx_http_waha_person_parent(ngx_http_waha_reader_t *reader,
    ngx_http_waha_person_place_t *place);
static ngx_int_t ngx_http_waha_person_add_alternatives(
    ngx_http_waha_reader_t *reader, ngx_uint_t whose);
static void ngx_http_waha_person_add(ngx_http_waha_event_t *event,
    ngx_http_waha_jid_t *jid);


/* where engines keep JIDs as WhatsApp writes them */

static ngx_http_waha_person_place_t  ngx_http_waha_person_places[] = {

    /* NOWEB */

    { "key", "remoteJid", 0 },
    { "key", "participant", 0 },

    /* GOWS: messages, receipts, calls */

    { "Info", "Chat", 0 },
    { "Info", "Sender", 0 },
    { NULL, "Chat", 0 },
    { NULL, "Sender", 0 },
    { NULL, "From", 0 },
    { NULL, "CallCreator", 0 },
    { NULL, "GroupJID", 0 },

    /* WEBJS, WPP, and calls of NOWEB */

    { "id", "remote", 0 },
    { "id", "participant", 0 },
    { NULL, "from", 0 },
    { NULL, "to", 0 },
    { NULL, "author", 0 },
    { NULL, "chatId", 0 },
    { NULL, "groupJid", 0 },

    { NULL, NULL, 0 }
};


/* a person's phone number where the chat has the LID, or the reverse */

static ngx_http_waha_person_place_t  ngx_http_waha_person_alternatives[] = {

    /* NOWEB: messages, then calls */

    { "key", "remoteJidAlt",
      NGX_HTTP_WAHA_ALT_SENDER|NGX_HTTP_WAHA_ALT_RECIPIENT },

    { "key", "senderPn", NGX_HTTP_WAHA_ALT_SENDER },
    { "key", "senderLid", NGX_HTTP_WAHA_ALT_SENDER },
    { "key", "participantAlt", NGX_HTTP_WAHA_ALT_PARTICIPANT },
    { "key", "participantPn", NGX_HTTP_WAHA_ALT_PARTICIPANT },
    { "key", "participantLid", NGX_HTTP_WAHA_ALT_PARTICIPANT },

    { NULL, "callerPn",
      NGX_HTTP_WAHA_ALT_SENDER|NGX_HTTP_WAHA_ALT_PARTICIPANT },

    /* GOWS: messages, receipts, calls */

    { "Info", "SenderAlt",
      NGX_HTTP_WAHA_ALT_SENDER|NGX_HTTP_WAHA_ALT_PARTICIPANT },

    { "Info", "RecipientAlt", NGX_HTTP_WAHA_ALT_RECIPIENT },
    { NULL, "SenderAlt", NGX_HTTP_WAHA_ALT_SENDER },
    { NULL, "RecipientAlt", NGX_HTTP_WAHA_ALT_RECIPIENT },

    { NULL, "CallCreatorAlt",
      NGX_HTTP_WAHA_ALT_SENDER|NGX_HTTP_WAHA_ALT_PARTICIPANT },

    { NULL, NULL, 0 }
};


void
ngx_http_waha_person_read_me(ngx_http_waha_reader_t *reader)
{
    cJSON  *me;

    me = ngx_http_waha_json_get(reader->envelope, "me");

    ngx_http_waha_person_add_me(reader, me, "id");
    ngx_http_waha_person_add_me(reader, me, "lid");
    ngx_http_waha_person_add_me(reader, me, "jid");
}


static void
ngx_http_waha_person_add_me(ngx_http_waha_reader_t *reader, const cJSON *me,
    const char *name)
{
    ngx_str_t            jid, server;
    ngx_http_waha_jid_t  parsed;

    jid = ngx_http_waha_reader_get_jid(reader, me, name);

    if (ngx_http_waha_identity_parse_jid(&jid, &parsed) != NGX_OK
        || ngx_http_waha_identity_split_jid(&jid, &jid, &server) != NGX_OK)
    {
        return;
    }

    if (parsed.lid.data) {
        reader->lid_known = 1;
    }

    reader->me[reader->nme++] = jid;
}


/* WAHA writes "c.us" for servers that it does not know, so digits decide */

ngx_uint_t
ngx_http_waha_person_is_me(ngx_http_waha_reader_t *reader, ngx_str_t *jid)
{
    ngx_str_t   user, server;
    ngx_uint_t  i;

    if (ngx_http_waha_identity_split_jid(jid, &user, &server) != NGX_OK) {
        return 0;
    }

    for (i = 0; i < reader->nme; i++) {

        if (ngx_http_waha_string_is_equal(&reader->me[i], &user)) {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_waha_person_read(ngx_http_waha_reader_t *reader)
{
    ngx_str_t               chat, user, server;
    ngx_http_waha_jid_t     jid;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    chat = ngx_http_waha_person_raw(reader, &reader->chat);

    if (ngx_http_waha_identity_parse_jid(&chat, &jid) != NGX_OK) {

        /* "0@c.us" is WhatsApp's own account */

        if (ngx_http_waha_identity_split_jid(&chat, &user, &server) == NGX_OK
            && ngx_http_waha_string_is(&user, "0"))
        {
            return ngx_http_waha_reader_ignore(reader, "notice");
        }

        return ngx_http_waha_reader_ignore(reader, "unknown_chat");
    }

    event->chat = jid.chat;

    if (jid.chat != NGX_HTTP_WAHA_PERSON) {
        event->chat_id = chat;

        return ngx_http_waha_person_read_author(reader);
    }

    if (ngx_http_waha_person_is_self(reader, &chat)) {
        return ngx_http_waha_reader_ignore(reader, "self");
    }

    event->phone = jid.phone;
    event->lid = jid.lid;

    return ngx_http_waha_person_add_alternatives(reader,
                           event->outbound ? NGX_HTTP_WAHA_ALT_RECIPIENT
                                           : NGX_HTTP_WAHA_ALT_SENDER);
}


/* our own message to a group is addressed to no single person */

static ngx_int_t
ngx_http_waha_person_read_author(ngx_http_waha_reader_t *reader)
{
    ngx_str_t               author;
    ngx_http_waha_jid_t     jid;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    author = ngx_http_waha_person_raw(reader, &reader->participant);

    if (event->outbound
        || ngx_http_waha_identity_parse_jid(&author, &jid) != NGX_OK
        || jid.chat != NGX_HTTP_WAHA_PERSON)
    {
        return NGX_OK;
    }

    if (ngx_http_waha_person_is_me(reader, &author)) {

        /* the participant of a receipt is not always the author */

        if (event->kind != NGX_HTTP_WAHA_STATUS) {
            event->outbound = 1;
        }

        return NGX_OK;
    }

    event->phone = jid.phone;
    event->lid = jid.lid;

    return ngx_http_waha_person_add_alternatives(reader,
                                              NGX_HTTP_WAHA_ALT_PARTICIPANT);
}


static ngx_uint_t
ngx_http_waha_person_is_self(ngx_http_waha_reader_t *reader, ngx_str_t *chat)
{
    ngx_str_t   from, to, users[3], server;
    ngx_uint_t  i;

    if (ngx_http_waha_person_is_me(reader, chat)) {
        return 1;
    }

    /* WEBJS, WPP: from = to means a chat with oneself, even without "me" */

    from = ngx_http_waha_reader_get_jid(reader, reader->message, "from");
    to = ngx_http_waha_reader_get_jid(reader, reader->message, "to");

    if (ngx_http_waha_identity_split_jid(chat, &users[0], &server) != NGX_OK
        || ngx_http_waha_identity_split_jid(&from, &users[1], &server)
           != NGX_OK
        || ngx_http_waha_identity_split_jid(&to, &users[2], &server)
           != NGX_OK)
    {
        return 0;
    }

    for (i = 1; i < 3; i++) {

        if (!ngx_http_waha_string_is_equal(&users[0], &users[i])) {
            return 0;
        }
    }

    return 1;
}


/* the JID as the engine has it, where WAHA has written another server */

static ngx_str_t
ngx_http_waha_person_raw(ngx_http_waha_reader_t *reader, ngx_str_t *jid)
{
    ngx_str_t                      user, server, value, other;
    ngx_http_waha_person_place_t  *place;

    if (ngx_http_waha_identity_split_jid(jid, &user, &server) != NGX_OK
        || (!ngx_http_waha_string_is(&server, "c.us")
            && !ngx_http_waha_string_is(&server, "s.whatsapp.net")))
    {
        return *jid;
    }

    for (place = ngx_http_waha_person_places; place->name; place++) {

        value = ngx_http_waha_reader_get_jid(reader,
                           ngx_http_waha_person_parent(reader, place),
                           place->name);

        if (ngx_http_waha_identity_split_jid(&value, &other, &server)
                == NGX_OK
            && ngx_http_waha_string_is_equal(&other, &user)
            && !ngx_http_waha_string_is(&server, "c.us"))
        {
            return value;
        }
    }

    return *jid;
}


static cJSON *
ngx_http_waha_person_parent(ngx_http_waha_reader_t *reader,
    ngx_http_waha_person_place_t *place)
{
    return place->parent ? ngx_http_waha_json_get(reader->data, place->parent)
                         : reader->data;
}


static ngx_int_t
ngx_http_waha_person_add_alternatives(ngx_http_waha_reader_t *reader,
    ngx_uint_t whose)
{
    cJSON                         *parent, *from_me;
    ngx_str_t                      value;
    ngx_uint_t                     theirs;
    ngx_http_waha_jid_t            jid;
    ngx_http_waha_event_t         *event;
    ngx_http_waha_person_place_t  *alt;

    event = reader->event;

    for (alt = ngx_http_waha_person_alternatives; alt->name; alt++) {

        parent = ngx_http_waha_person_parent(reader, alt);
        theirs = whose;

        /* a receipt of ours is about a message of theirs, and the reverse */

        from_me = ngx_http_waha_json_get(parent, "IsFromMe");

        if (cJSON_IsBool(from_me) && whose != NGX_HTTP_WAHA_ALT_PARTICIPANT) {
            theirs = cJSON_IsTrue(from_me) ? NGX_HTTP_WAHA_ALT_RECIPIENT
                                           : NGX_HTTP_WAHA_ALT_SENDER;
        }

        if (!(alt->whose & theirs)) {
            continue;
        }

        value = ngx_http_waha_reader_get_jid(reader, parent, alt->name);

        if (ngx_http_waha_identity_parse_jid(&value, &jid) != NGX_OK
            || jid.chat != NGX_HTTP_WAHA_PERSON)
        {
            continue;
        }

        if (!ngx_http_waha_person_is_me(reader, &value)) {
            ngx_http_waha_person_add(event, &jid);
            continue;
        }

        /* who writes to us as ourselves has our LID, which WAHA did not say */

        if (whose == NGX_HTTP_WAHA_ALT_SENDER && !event->outbound
            && !reader->lid_known)
        {
            return ngx_http_waha_reader_ignore(reader, "self");
        }
    }

    return NGX_OK;
}


/* digits are a phone number or a LID, never both */

static void
ngx_http_waha_person_add(ngx_http_waha_event_t *event,
    ngx_http_waha_jid_t *jid)
{
    if (event->phone.data == NULL && jid->phone.data
        && !ngx_http_waha_string_is_equal(&event->lid, &jid->phone))
    {
        event->phone = jid->phone;
    }

    if (event->lid.data == NULL && jid->lid.data
        && !ngx_http_waha_string_is_equal(&event->phone, &jid->lid))
    {
        event->lid = jid->lid;
    }
}
