
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_key_file.h>


#define NGX_HTTP_WAHA_KEY_SIZE  4096


static ssize_t ngx_http_waha_key_file_load(ngx_conf_t *cf, ngx_str_t *name,
    u_char *buf, size_t size);


ngx_int_t
ngx_http_waha_key_file_read(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *key)
{
    ssize_t  n;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    /* one byte more shows that the file is longer */

    key->data = ngx_pnalloc(cf->pool, NGX_HTTP_WAHA_KEY_SIZE + 1);
    if (key->data == NULL) {
        return NGX_ERROR;
    }

    n = ngx_http_waha_key_file_load(cf, name, key->data,
                                    NGX_HTTP_WAHA_KEY_SIZE + 1);
    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (n > NGX_HTTP_WAHA_KEY_SIZE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is longer than %d bytes: not a key",
                           name, NGX_HTTP_WAHA_KEY_SIZE);
        return NGX_ERROR;
    }

    if (n > 0 && key->data[n - 1] == LF) {
        n--;

        if (n > 0 && key->data[n - 1] == CR) {
            n--;
        }
    }

    if (n == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is empty: with an empty key anybody "
                           "could sign", name);
        return NGX_ERROR;
    }

    key->len = n;

    return NGX_OK;
}


static ssize_t
ngx_http_waha_key_file_load(ngx_conf_t *cf, ngx_str_t *name, u_char *buf,
    size_t size)
{
    ssize_t    n;
    ngx_fd_t   fd;
    ngx_err_t  err;

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, buf, size);
    err = ngx_errno;

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, err,
                           ngx_read_fd_n " \"%V\" failed", name);
    }

    return n;
}
