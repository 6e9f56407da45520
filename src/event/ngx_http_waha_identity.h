
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_IDENTITY_H_INCLUDED_
#define _NGX_HTTP_WAHA_IDENTITY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_event.h>


/* parts of a JID, WhatsApp's id of a chat; a string that is missing is NULL */

typedef struct {
    ngx_http_waha_chat_e    chat;
    ngx_str_t               phone;          /* digits of a person's number */
    ngx_str_t               lid;            /* digits of a person's LID */
} ngx_http_waha_jid_t;


/* parts of WAHA's message id: "<fromMe>_<chat>_<id>[_<participant>]" */

typedef struct {
    ngx_str_t               chat;
    ngx_str_t               id;
    ngx_str_t               participant;
    unsigned                outbound:1;
} ngx_http_waha_message_id_t;


/*
 * Parses a JID: "79222222222@c.us", "79222222222:3@s.whatsapp.net" (device 3),
 * "555@lid", "1203...@g.us", "status@broadcast", ...  Strings point into jid.
 * NGX_DECLINED: not the JID of a person or chat, or of an unknown server.
 */
ngx_int_t ngx_http_waha_identity_parse_jid(ngx_str_t *jid,
    ngx_http_waha_jid_t *out);

/*
 * Splits a JID into the user, without agent and device, and the server, which
 * may be unknown.  NGX_DECLINED: there is no "@".
 */
ngx_int_t ngx_http_waha_identity_split_jid(ngx_str_t *jid, ngx_str_t *user,
    ngx_str_t *server);

/*
 * Parses WAHA's id of a message; strings point into id.  NGX_DECLINED: not of
 * that form, and out->id is the whole string.
 */
ngx_int_t ngx_http_waha_identity_parse_message_id(ngx_str_t *id,
    ngx_http_waha_message_id_t *out);


#endif /* _NGX_HTTP_WAHA_IDENTITY_H_INCLUDED_ */
