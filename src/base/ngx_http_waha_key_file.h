
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_KEY_FILE_H_INCLUDED_
#define _NGX_HTTP_WAHA_KEY_FILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Reads a key while the configuration is loaded: all bytes of the file but
 * one trailing newline, into cf->pool.  name becomes the full name.
 * NGX_ERROR: what is wrong was logged.
 */
ngx_int_t ngx_http_waha_key_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *key);


#endif /* _NGX_HTTP_WAHA_KEY_FILE_H_INCLUDED_ */
