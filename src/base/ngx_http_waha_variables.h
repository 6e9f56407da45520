
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_VARIABLES_H_INCLUDED_
#define _NGX_HTTP_WAHA_VARIABLES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* Adds the variables of the module, in preconfiguration. */
ngx_int_t ngx_http_waha_variables_add(ngx_conf_t *cf);


#endif /* _NGX_HTTP_WAHA_VARIABLES_H_INCLUDED_ */
