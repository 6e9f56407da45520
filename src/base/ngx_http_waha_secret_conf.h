
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SECRET_CONF_H_INCLUDED_
#define _NGX_HTTP_WAHA_SECRET_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* The directive "waha_secret_key"; conf begins with the shared main part. */
char *ngx_http_waha_secret_conf_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_WAHA_SECRET_CONF_H_INCLUDED_ */
