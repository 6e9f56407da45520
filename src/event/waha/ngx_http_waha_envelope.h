
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_ENVELOPE_H_INCLUDED_
#define _NGX_HTTP_WAHA_ENVELOPE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_event.h>


/*
 * parse() of ngx_http_waha_provider_t for a webhook of WAHA, which has one
 * event.  NGX_HTTP_WAHA_OTHER is the kind of an event that is to be ignored.
 */
ngx_int_t ngx_http_waha_envelope_parse(ngx_pool_t *pool, ngx_str_t *body,
    ngx_array_t *events);


#endif /* _NGX_HTTP_WAHA_ENVELOPE_H_INCLUDED_ */
