
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_ENVELOPE_H_INCLUDED_
#define _NGX_HTTP_WAHA_ENVELOPE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_event.h>


/*
 * Reads WAHA's webhook.  NGX_OK: event is filled (kind OTHER for an event
 * that is of no concern here).  NGX_DECLINED: not a WAHA envelope.
 * NGX_ABORT: beyond the bounds of ngx_http_waha_json_clean().  NGX_ERROR:
 * no memory.
 */
ngx_int_t ngx_http_waha_envelope_parse(ngx_pool_t *pool, ngx_str_t *body,
    ngx_http_waha_event_t *event);


#endif /* _NGX_HTTP_WAHA_ENVELOPE_H_INCLUDED_ */
