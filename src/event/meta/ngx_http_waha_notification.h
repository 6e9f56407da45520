
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_NOTIFICATION_H_INCLUDED_
#define _NGX_HTTP_WAHA_NOTIFICATION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_event.h>


/*
 * What is read of one notification.  Meta sends at most 3 MB and 1,000 updates
 * (developers.facebook.com, WhatsApp Cloud API, webhooks); the history of a
 * phone may come in more of them.  While it is read each value takes about 100
 * bytes more than its text, and afterwards each event about 1 kB.
 */

#define NGX_HTTP_WAHA_NOTIFICATION_VALUES  200000
#define NGX_HTTP_WAHA_NOTIFICATION_EVENTS  16000


/*
 * parse() of ngx_http_waha_provider_t for a notification of Meta, whose events
 * are as many as its messages, statuses and so on; events must be empty.
 *
 * NGX_OK: each of them was read, or has "missing" set; such a one has the
 * session, unless this is what is missing, and nothing else.  "account" is
 * the id of the entry.  NGX_HTTP_WAHA_OTHER is the kind of an event that is to
 * be ignored.  NGX_ABORT: there are no events; the body is nested deeper than
 * NGX_HTTP_WAHA_JSON_DEPTH, or beyond the bounds above.  NGX_ERROR: the same,
 * and no memory.
 */
ngx_int_t ngx_http_waha_notification_parse(ngx_pool_t *pool, ngx_str_t *body,
    ngx_array_t *events);

/*
 * Writes the notification that holds only this event of parse(), whose body
 * must still be there: it is parsed into an equal event.  NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_http_waha_notification_raw(ngx_pool_t *pool,
    ngx_http_waha_event_t *event, ngx_str_t *raw);


#endif /* _NGX_HTTP_WAHA_NOTIFICATION_H_INCLUDED_ */
