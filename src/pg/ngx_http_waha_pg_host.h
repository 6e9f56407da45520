
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_PG_HOST_H_INCLUDED_
#define _NGX_HTTP_WAHA_PG_HOST_H_INCLUDED_


#include <ngx_http_waha_pg.h>


/*
 * Keywords of an address, the last ones of a connection, in this order; but
 * for "options", ngx_http_waha_pg_address_t has its own values of them.
 */

#define NGX_HTTP_WAHA_PG_HOST             0
#define NGX_HTTP_WAHA_PG_HOSTADDR         1
#define NGX_HTTP_WAHA_PG_PORT             2
#define NGX_HTTP_WAHA_PG_SSLMODE          3
#define NGX_HTTP_WAHA_PG_CHANNEL_BINDING  4
#define NGX_HTTP_WAHA_PG_OPTIONS          5
#define NGX_HTTP_WAHA_PG_HOST_KEYWORDS    6


/*
 * Sets conf->hosts from the lists "host", "hostaddr" and "port", each of which
 * may be NULL.  NGX_CONF_ERROR: the error was logged.
 */
char *ngx_http_waha_pg_host_parse(ngx_conf_t *cf,
    ngx_http_waha_pg_conf_t *conf, const char *host, const char *addr,
    const char *port);

/* Is there a password that a server could ask for? */
ngx_uint_t ngx_http_waha_pg_host_has_password(ngx_http_waha_pg_conf_t *conf);

ngx_uint_t ngx_http_waha_pg_host_is_loopback(struct sockaddr *sa);


#endif /* _NGX_HTTP_WAHA_PG_HOST_H_INCLUDED_ */
