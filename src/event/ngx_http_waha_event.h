
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_EVENT_H_INCLUDED_
#define _NGX_HTTP_WAHA_EVENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef enum {
    NGX_HTTP_WAHA_MESSAGE = 0,
    NGX_HTTP_WAHA_STATUS,
    NGX_HTTP_WAHA_REACTION,
    NGX_HTTP_WAHA_VOTE,             /* in a poll */
    NGX_HTTP_WAHA_EDIT,
    NGX_HTTP_WAHA_REVOKE,
    NGX_HTTP_WAHA_SESSION,
    NGX_HTTP_WAHA_CALL,
    NGX_HTTP_WAHA_USER,             /* a person's identity, or name, changed */
    NGX_HTTP_WAHA_ACCOUNT,          /* news of an account, number, template */
    NGX_HTTP_WAHA_OTHER
} ngx_http_waha_kind_e;


typedef enum {
    NGX_HTTP_WAHA_PERSON = 0,
    NGX_HTTP_WAHA_GROUP,
    NGX_HTTP_WAHA_STORY,            /* "status" in WhatsApp's words */
    NGX_HTTP_WAHA_NEWSLETTER,
    NGX_HTTP_WAHA_BROADCAST,
    NGX_HTTP_WAHA_BOT
} ngx_http_waha_chat_e;


/*
 * One event of a delivery, in terms that all providers share.  A string whose
 * data is NULL is missing; none contains NUL, all are valid UTF-8.  Memory is
 * of the pool that the delivery was parsed with, of its body, or constant.
 */

typedef struct {
    ngx_http_waha_kind_e    kind;
    ngx_http_waha_chat_e    chat;

    ngx_str_t               event;          /* as sent: "message.any" */
    ngx_str_t               session;        /* for news: the account */
    ngx_str_t               message_id;     /* the bare WhatsApp id */
    ngx_str_t               target_id;      /* what a change is about */
    ngx_str_t               chat_id;        /* the bare JID; of no person */

    ngx_str_t               phone;          /* digits, no "+" */
    ngx_str_t               lid;            /* digits */
    ngx_str_t               bsuid;          /* Meta's id of the person */
    ngx_str_t               parent_bsuid;
    ngx_str_t               username;       /* shown, never a key */
    ngx_str_t               name;           /* never of an outbound event */

    /* who the person was before a change of identity */
    ngx_str_t               previous_phone;
    ngx_str_t               previous_bsuid;

    ngx_str_t               type;
    ngx_str_t               text;
    ngx_str_t               status;
    ngx_str_t               metadata;       /* JSON object */
    ngx_str_t               details;        /* JSON object, of status, news */

    ngx_str_t               account;        /* Meta's, of the number */

    /* the organization as the signed body names it */
    ngx_str_t               organization_slug;
    ngx_str_t               organization_id;
    ngx_str_t               tenant;

    /* why it is ignored; the member for want of which it cannot be read */
    ngx_str_t               reason;
    ngx_str_t               missing;

    int64_t                 sent_at;        /* ms since the epoch */
    int64_t                 delivered_at;   /* as signed; 0: not said */

    /* set by intake: who sent the delivery, and how tenants may be found */
    ngx_str_t               provider;
    ngx_str_t               instance;       /* that the key is bound to */
    ngx_str_t               connection;     /* whose secret has signed */
    ngx_str_t               sources;        /* JSON object */

    void                   *origin;         /* the parser's, to write it raw */

    /* set by intake: the connection to the number tells the tenant */
    unsigned                numbered:1;

    unsigned                outbound:1;
    unsigned                sanitised:1;    /* bytes had to be replaced */
    unsigned                empty:1;        /* a message that says nothing */
} ngx_http_waha_event_t;


/* the names of kinds and chats in the database, indexed by the enums */

extern ngx_str_t  ngx_http_waha_event_kinds[];
extern ngx_str_t  ngx_http_waha_event_chats[];


#endif /* _NGX_HTTP_WAHA_EVENT_H_INCLUDED_ */
