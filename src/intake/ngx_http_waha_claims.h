
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CLAIMS_H_INCLUDED_
#define _NGX_HTTP_WAHA_CLAIMS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_event.h>


/*
 * Collects what names an organization besides the session, as far as
 * "waha_tenant_from" allows: takes signed metadata away from the event
 * where it does not count, and writes the rest as a JSON object of
 * r->pool, or as no string when there is none.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_claims(ngx_http_request_t *r,
    ngx_http_waha_event_t *event, ngx_str_t *json);


#endif /* _NGX_HTTP_WAHA_CLAIMS_H_INCLUDED_ */
