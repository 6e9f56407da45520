
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_KEY_FILE_H_INCLUDED_
#define _NGX_HTTP_WAHA_KEY_FILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* must be closed to other users, except that its group may read it */

#define NGX_HTTP_WAHA_KEY_FILE_SECRET  0x01

/* may hold any bytes: a line end at its end may be a part of the key */

#define NGX_HTTP_WAHA_KEY_FILE_BINARY  0x02


/*
 * Reads a key while the configuration is loaded: the bytes of the file, at
 * most 4096, without the line end (LF or CRLF) unless flags has
 * NGX_HTTP_WAHA_KEY_FILE_BINARY, allocated from cf->pool and wiped when the
 * pool is destroyed.  name becomes the full name of the file.  NGX_ERROR: the
 * reason is logged.
 */
ngx_int_t ngx_http_waha_key_file_read(ngx_conf_t *cf, ngx_str_t *name,
    ngx_uint_t flags, ngx_str_t *key);


#endif /* _NGX_HTTP_WAHA_KEY_FILE_H_INCLUDED_ */
