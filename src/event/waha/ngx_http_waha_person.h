
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PERSON_H_INCLUDED_
#define _NGX_HTTP_WAHA_PERSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_reader.h>


/* Reads our own number and LID from "me"; to be called before other readers. */
void ngx_http_waha_person_read_me(ngx_http_waha_reader_t *reader);

/* Whether a JID, as WAHA or the engine writes it, is ours. */
ngx_uint_t ngx_http_waha_person_is_me(ngx_http_waha_reader_t *reader,
    ngx_str_t *jid);

/*
 * Reads the chat and the other person of reader->chat: in a direct chat the
 * one of its JID, elsewhere the participant who wrote.  NGX_DONE: the chat is
 * one with ourselves, or of no kind that is known.
 */
ngx_int_t ngx_http_waha_person_read(ngx_http_waha_reader_t *reader);


#endif /* _NGX_HTTP_WAHA_PERSON_H_INCLUDED_ */
