
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_VIEW_H_INCLUDED_
#define _NGX_HTTP_WAHA_VIEW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>


/* forms of an answer about sessions */

typedef enum {
    /* "data" is the session: the form of the module's own routes */
    NGX_HTTP_WAHA_VIEW_DATA = 0,

    /*
     * "data" has the members of WAHA's own answer; its clients know WORKING,
     * STARTING and SCAN_QR_CODE, and show a button to connect for STOPPED
     */
    NGX_HTTP_WAHA_VIEW_WAHA,

    /* members for people stand beside "data" */
    NGX_HTTP_WAHA_VIEW_FLAT,

    /* the same with "connected", "connecting" or "disconnected" as status */
    NGX_HTTP_WAHA_VIEW_BRIDGE
} ngx_http_waha_view_e;


/* what an answer shows */

typedef struct {
    /* the row of the database; NULL: there is no session */
    const cJSON   *session;

    /* data is NULL: none */
    ngx_str_t      pairing_code;
    ngx_str_t      qr_code;         /* a picture as a data: URL */
    ngx_str_t      qr_url;          /* path of the picture */

    /* it has been STARTING for so long that connect restarts it */
    unsigned       stuck:1;

    /* the status is old: WAHA did not answer */
    unsigned       stale:1;

    /* WAHA could not unlink the phone, which still shows the device */
    unsigned       still_linked:1;
} ngx_http_waha_view_t;


/*
 * Write the whole answer about a session, or about an array of sessions.
 * Memory is of the pool.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_view_session(ngx_pool_t *pool,
    ngx_http_waha_view_e form, ngx_http_waha_view_t *view, ngx_str_t *json);
ngx_int_t ngx_http_waha_view_sessions(ngx_pool_t *pool,
    ngx_http_waha_view_e form, ngx_http_waha_view_t *view,
    const cJSON *sessions, ngx_str_t *json);


#endif /* _NGX_HTTP_WAHA_VIEW_H_INCLUDED_ */
