
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_FETCH_CONF_H_INCLUDED_
#define _NGX_HTTP_WAHA_FETCH_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_error.h>


/* a server of a provider, and the location that proxies to it */

typedef struct {
    ngx_str_t      name;            /* of WAHA: as the database has it */
    ngx_str_t      uri;             /* without a trailing slash */

    /* Meta's Graph, or a host of its media files */
    unsigned       meta:1;
} ngx_http_waha_instance_t;


/* a location that is closed to clients, as it leads to a provider */

typedef struct {
    ngx_str_t                   uri;
    ngx_http_core_srv_conf_t   *server;     /* NULL: in all servers */
} ngx_http_waha_guard_t;


typedef struct ngx_http_waha_fetch_conf_s {
    ngx_array_t               *instances;     /* ngx_http_waha_instance_t */
    ngx_http_waha_instance_t  *graph;         /* NULL: none */
    ngx_array_t               *media;         /* the same, named by hosts */
    size_t                     size;          /* bytes of an answer */
    ngx_msec_t                 timeout;       /* of a whole call */
    ngx_msec_t                 look_timeout;  /* of a look at a session */

    /* of an internal location: its core, made when it is first used */
    ngx_http_core_loc_conf_t  *without_pages;
} ngx_http_waha_fetch_conf_t;


/*
 * Handlers of "waha_instance", "waha_graph", "waha_meta_media" and
 * "waha_call_timeout".
 */
char *ngx_http_waha_fetch_conf_instance(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_waha_fetch_conf_graph(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_waha_fetch_conf_media(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_waha_fetch_conf_call_timeout(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

void ngx_http_waha_fetch_conf_create(ngx_http_waha_fetch_conf_t *conf);
void ngx_http_waha_fetch_conf_merge(ngx_http_waha_fetch_conf_t *prev,
    ngx_http_waha_fetch_conf_t *conf);

/*
 * The instance with the name that the database has for a session; where it
 * has none (data is NULL), the only one that is configured.  Else *instance
 * is NULL and the result says why.
 */
ngx_http_waha_error_e ngx_http_waha_fetch_conf_find_instance(
    ngx_http_waha_fetch_conf_t *conf, ngx_str_t *name,
    ngx_http_waha_instance_t **instance);

/* The location for media files of a host, in any case; NULL: none. */
ngx_http_waha_instance_t *ngx_http_waha_fetch_conf_find_media(
    ngx_http_waha_fetch_conf_t *conf, ngx_str_t *host);


#endif /* _NGX_HTTP_WAHA_FETCH_CONF_H_INCLUDED_ */
