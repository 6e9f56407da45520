
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <ngx_http_waha_key_file.h>


#define NGX_HTTP_WAHA_KEY_SIZE  4096

/* the group may only read, others nothing */
#define NGX_HTTP_WAHA_KEY_ACCESS  0027


static ngx_int_t ngx_http_waha_key_file_check(ngx_conf_t *cf, ngx_str_t *name,
    ngx_uint_t flags, u_char *buf, ssize_t *n);
static ngx_int_t ngx_http_waha_key_file_keep(ngx_conf_t *cf, ngx_str_t *key,
    u_char *buf, size_t len);
static void ngx_http_waha_key_file_wipe(void *data);
static ssize_t ngx_http_waha_key_file_load(ngx_conf_t *cf, ngx_str_t *name,
    ngx_uint_t flags, u_char *buf, size_t size);
static ngx_int_t ngx_http_waha_key_file_check_access(ngx_conf_t *cf,
    ngx_str_t *name, ngx_fd_t fd);
static void ngx_http_waha_key_file_close(ngx_conf_t *cf, ngx_str_t *name,
    ngx_fd_t fd);


ngx_int_t
ngx_http_waha_key_file_read(ngx_conf_t *cf, ngx_str_t *name,
    ngx_uint_t flags, ngx_str_t *key)
{
    ssize_t    n;
    ngx_int_t  rc;

    /* one byte more shows that the file is longer */
    u_char     buf[NGX_HTTP_WAHA_KEY_SIZE + 1];

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    n = ngx_http_waha_key_file_load(cf, name, flags, buf, sizeof(buf));
    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    rc = ngx_http_waha_key_file_check(cf, name, flags, buf, &n);

    if (rc == NGX_OK) {
        rc = ngx_http_waha_key_file_keep(cf, key, buf, n);
    }

    OPENSSL_cleanse(buf, sizeof(buf));

    return rc;
}


static ngx_int_t
ngx_http_waha_key_file_check(ngx_conf_t *cf, ngx_str_t *name,
    ngx_uint_t flags, u_char *buf, ssize_t *n)
{
    if (*n > NGX_HTTP_WAHA_KEY_SIZE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is longer than %d bytes: not a key",
                           name, NGX_HTTP_WAHA_KEY_SIZE);
        return NGX_ERROR;
    }

    if (!(flags & NGX_HTTP_WAHA_KEY_FILE_BINARY)
        && *n > 0 && buf[*n - 1] == LF)
    {
        (*n)--;

        if (*n > 0 && buf[*n - 1] == CR) {
            (*n)--;
        }
    }

    if (*n == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is empty: with an empty key anybody "
                           "could sign", name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_key_file_keep(ngx_conf_t *cf, ngx_str_t *key, u_char *buf,
    size_t len)
{
    ngx_str_t           *kept;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_str_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    key->data = ngx_pnalloc(cf->pool, len);
    if (key->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(key->data, buf, len);
    key->len = len;

    kept = cln->data;
    *kept = *key;

    cln->handler = ngx_http_waha_key_file_wipe;

    return NGX_OK;
}


static void
ngx_http_waha_key_file_wipe(void *data)
{
    ngx_str_t *key = data;

    OPENSSL_cleanse(key->data, key->len);
}


static ssize_t
ngx_http_waha_key_file_load(ngx_conf_t *cf, ngx_str_t *name,
    ngx_uint_t flags, u_char *buf, size_t size)
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

    if ((flags & NGX_HTTP_WAHA_KEY_FILE_SECRET)
        && ngx_http_waha_key_file_check_access(cf, name, fd) != NGX_OK)
    {
        ngx_http_waha_key_file_close(cf, name, fd);
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, buf, size);
    err = ngx_errno;

    ngx_http_waha_key_file_close(cf, name, fd);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, err,
                           ngx_read_fd_n " \"%V\" failed", name);
    }

    return n;
}


static ngx_int_t
ngx_http_waha_key_file_check_access(ngx_conf_t *cf, ngx_str_t *name,
    ngx_fd_t fd)
{
    ngx_file_info_t  fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    if ((ngx_file_access(&fi) & NGX_HTTP_WAHA_KEY_ACCESS) == 0) {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" holds a secret, but others can read or "
                       "change it: run \"chmod 600 %V\", or "
                       "\"chmod 640 %V\" if its group needs it",
                       name, name, name);

    return NGX_ERROR;
}


static void
ngx_http_waha_key_file_close(ngx_conf_t *cf, ngx_str_t *name, ngx_fd_t fd)
{
    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }
}
