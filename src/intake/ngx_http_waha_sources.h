
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SOURCES_H_INCLUDED_
#define _NGX_HTTP_WAHA_SOURCES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_event.h>


/*
 * Sets event->sources: how an organization may be found besides the session,
 * as "waha_tenant_from" allows, in JSON of r->pool, or no string.  Signed
 * metadata that does not count is taken away from the event.  NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_http_waha_sources_collect(ngx_http_request_t *r,
    ngx_http_waha_event_t *event);


#endif /* _NGX_HTTP_WAHA_SOURCES_H_INCLUDED_ */
