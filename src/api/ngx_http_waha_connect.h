
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CONNECT_H_INCLUDED_
#define _NGX_HTTP_WAHA_CONNECT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_api.h>


/*
 * Operations that make a session run, whatever its state, for the route
 * table.  They may be done again at any time, and at the same time.
 */

/*
 * The session with the id that the first argument of the route gives, or
 * the primary one, which is made if need be; the other arguments are labels.
 * "usePairingCode" with "phoneNumber": the answer has a pairing code if
 * there is one to be had.
 */
ngx_int_t ngx_http_waha_connect(ngx_http_waha_api_t *api);

/* The same, for a session that is there. */
ngx_int_t ngx_http_waha_connect_again(ngx_http_waha_api_t *api);

/* The same as the first, but one that runs is restarted. */
ngx_int_t ngx_http_waha_connect_anew(ngx_http_waha_api_t *api);


#endif /* _NGX_HTTP_WAHA_CONNECT_H_INCLUDED_ */
