
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_error.h>
#include <ngx_http_waha_guard.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_media.h>
#include <ngx_http_waha_reason.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_MEDIA_HEADERS   4     /* of the client */
#define NGX_HTTP_WAHA_MEDIA_FILENAME  255


/* of a request after the redirect, which clears its ctx */

typedef struct {
    ngx_http_waha_ctx_t       *ctx;
    ngx_http_waha_media_file_t
                               file;
    ngx_http_waha_forward_t    forward;

    /* the number of the module's own headers, the provider's follow */
    ngx_uint_t                 own;

    ngx_uint_t                 http_version;

    unsigned                   judged:1;
    unsigned                   refused:1;
} ngx_http_waha_media_t;


static ngx_int_t ngx_http_waha_media_mark(ngx_http_request_t *r,
    const ngx_http_waha_media_file_t *file);
static ngx_int_t ngx_http_waha_media_headers_in(ngx_http_request_t *r,
    ngx_http_waha_media_t *media);
static void ngx_http_waha_media_cleanup(void *data);
static ngx_http_waha_media_t *ngx_http_waha_media_get(ngx_http_request_t *r);

static ngx_int_t ngx_http_waha_media_header_filter(ngx_http_request_t *r);
static ngx_http_waha_error_e ngx_http_waha_media_error(
    ngx_http_request_t *r, ngx_http_waha_media_t *media);
static ngx_uint_t ngx_http_waha_media_is_usable(ngx_http_request_t *r);
static ngx_uint_t ngx_http_waha_media_is_beyond(ngx_http_request_t *r);
static ngx_http_waha_error_e ngx_http_waha_media_meta_error(
    ngx_http_request_t *r, ngx_http_waha_media_t *media,
    ngx_http_waha_error_e error);
static ngx_uint_t ngx_http_waha_media_has_size(ngx_http_request_t *r,
    ngx_http_waha_media_t *media);
static void ngx_http_waha_media_log(ngx_http_request_t *r,
    ngx_http_waha_media_t *media);
static cJSON *ngx_http_waha_media_preread(ngx_http_request_t *r);
static ngx_int_t ngx_http_waha_media_refuse(ngx_http_request_t *r,
    ngx_http_waha_error_e error);
static ngx_uint_t ngx_http_waha_media_has_no_body(ngx_http_request_t *r);
static void ngx_http_waha_media_drop_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_waha_media_headers_out(ngx_http_request_t *r,
    ngx_http_waha_media_t *media);
static void ngx_http_waha_media_clear(ngx_http_request_t *r, ngx_uint_t own,
    ngx_uint_t all);
static ngx_uint_t ngx_http_waha_media_is_allowed(ngx_table_elt_t *h);
static void ngx_http_waha_media_cut_type(ngx_str_t *type);
static ngx_uint_t ngx_http_waha_media_is_inline(ngx_str_t *type);
static ngx_int_t ngx_http_waha_media_disposition(ngx_http_request_t *r,
    ngx_str_t *filename);


static const char  *ngx_http_waha_media_headers[] = {
    "Accept-Ranges",
    "Content-Encoding",
    "Content-Range",
    "ETag",
    "Last-Modified",
    NULL
};


/* prefixes of types that a browser may show, but not SVG: it runs scripts */

static const char  *ngx_http_waha_media_inline_types[] = {
    "image/",
    "audio/",
    "video/",
    NULL
};


static ngx_str_t  ngx_http_waha_media_bytes =
    ngx_string("application/octet-stream");


static ngx_http_output_header_filter_pt  ngx_http_waha_media_next_filter;


ngx_int_t
ngx_http_waha_media_send(ngx_http_request_t *r,
    const ngx_http_waha_media_file_t *file)
{
    ngx_str_t  uri, args;

    if (ngx_http_waha_media_mark(r, file) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    uri = file->uri;
    args = file->args;

    (void) ngx_http_internal_redirect(r, &uri, &args);

    /* ngx_http_internal_redirect() took a count of its own */

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_waha_media_mark(ngx_http_request_t *r,
    const ngx_http_waha_media_file_t *file)
{
    ngx_list_part_t        *part;
    ngx_pool_cleanup_t     *cln;
    ngx_http_waha_media_t  *media;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_waha_media_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    media = cln->data;

    media->ctx = ngx_http_get_module_ctx(r, ngx_http_waha_module);
    media->file = *file;
    media->own = 0;
    media->http_version = r->http_version;
    media->judged = 0;
    media->refused = 0;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        media->own += part->nelts;
    }

    if (ngx_http_waha_media_headers_in(r, media) != NGX_OK) {
        return NGX_ERROR;
    }

    /* from now on they tell that nginx has answered in place of WAHA */

    r->err_status = 0;
    r->error_page = 0;

    cln->handler = ngx_http_waha_media_cleanup;

    return NGX_OK;
}


/* of the client's request it gets which part and version is wanted */

static ngx_int_t
ngx_http_waha_media_headers_in(ngx_http_request_t *r,
    ngx_http_waha_media_t *media)
{
    ngx_uint_t              i;
    ngx_table_elt_t        *h, *given[NGX_HTTP_WAHA_MEDIA_HEADERS];
    ngx_http_headers_in_t  *headers;

    if (ngx_http_waha_forward_init(&media->forward, r->pool,
                                   NGX_HTTP_WAHA_MEDIA_HEADERS + 1)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (media->file.authorization.len) {
        (void) ngx_http_waha_forward_add(&media->forward, "Authorization",
                                         "authorization",
                                         &media->file.authorization);
    }

    headers = &r->headers_in;

    given[0] = headers->range;
    given[1] = headers->if_range;
    given[2] = headers->if_none_match;
    given[3] = headers->if_modified_since;

    for (i = 0; i < NGX_HTTP_WAHA_MEDIA_HEADERS; i++) {

        if (given[i]) {
            h = ngx_list_push(&media->forward.headers);
            *h = *given[i];
        }
    }

    headers->content_length_n = -1;
    headers->chunked = 0;

    if (r->request_body) {
        r->request_body->bufs = NULL;
    }

    return NGX_OK;
}


/* void: the handler marks a request */

static void
ngx_http_waha_media_cleanup(void *data)
{
}


static ngx_http_waha_media_t *
ngx_http_waha_media_get(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    if (r != r->main || !r->internal) {
        return NULL;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler == ngx_http_waha_media_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_waha_media_is_redirected(ngx_http_request_t *r)
{
    return ngx_http_waha_media_get(r) != NULL;
}


ngx_http_waha_forward_t *
ngx_http_waha_media_forward(ngx_http_request_t *r)
{
    ngx_http_waha_media_t  *media;

    media = ngx_http_waha_media_get(r);

    return media ? &media->forward : NULL;
}


void
ngx_http_waha_media_filter_init(void)
{
    ngx_http_waha_media_next_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_waha_media_header_filter;
}


static ngx_int_t
ngx_http_waha_media_header_filter(ngx_http_request_t *r)
{
    ngx_http_waha_error_e   error;
    ngx_http_waha_media_t  *media;

    media = ngx_http_waha_media_get(r);

    if (media == NULL || media->refused) {
        return ngx_http_waha_media_next_filter(r);
    }

    if (media->judged) {

        /* nginx's own range filter has refused */

        ngx_http_waha_media_drop_body(r);

        return ngx_http_waha_media_next_filter(r);
    }

    media->judged = 1;

    error = ngx_http_waha_media_error(r, media);

    if (media->file.instance->meta) {
        error = ngx_http_waha_media_meta_error(r, media, error);
    }

    /* an answer without a header made nginx set HTTP/0.9 */

    r->http_version = media->http_version;

    ngx_http_set_ctx(r, media->ctx, ngx_http_waha_module);

    ngx_http_waha_media_clear(r, media->own,
                              error != NGX_HTTP_WAHA_ERR_NONE);

    if (error) {
        media->refused = 1;
        return ngx_http_waha_media_refuse(r, error);
    }

    if (ngx_http_waha_media_headers_out(r, media) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_waha_media_next_filter(r);
}


static ngx_http_waha_error_e
ngx_http_waha_media_error(ngx_http_request_t *r, ngx_http_waha_media_t *media)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u == NULL || !media->forward.passed) {
        ngx_http_waha_guard_log_local(r->connection->log,
                                      media->file.instance,
                                      r->err_status ? r->err_status
                                                    : r->headers_out.status);

        return NGX_HTTP_WAHA_ERR_WAHA_UNAVAILABLE;
    }

    if (ngx_http_waha_guard_is_redirected(r)) {
        return NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER;
    }

    if (u->headers_in.status_n == 0) {

        if (r->headers_out.status == 0) {
            return NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER;
        }

        return (u->state && u->state->status == NGX_HTTP_GATEWAY_TIME_OUT)
               ? NGX_HTTP_WAHA_ERR_WAHA_TIMEOUT
               : NGX_HTTP_WAHA_ERR_WAHA_UNAVAILABLE;
    }

    if (ngx_http_waha_media_is_usable(r)) {
        return NGX_HTTP_WAHA_ERR_NONE;
    }

    if (ngx_http_waha_media_is_beyond(r)) {
        r->headers_out.status = NGX_HTTP_RANGE_NOT_SATISFIABLE;
        r->headers_out.status_line.len = 0;

        return NGX_HTTP_WAHA_ERR_NONE;
    }

    if (!media->file.instance->meta) {
        ngx_http_waha_media_log(r, media);
    }

    return (u->headers_in.status_n == NGX_HTTP_NOT_FOUND)
           ? NGX_HTTP_WAHA_ERR_MEDIA_EXPIRED : NGX_HTTP_WAHA_ERR_WAHA_ERROR;
}


/* the host of Meta's files says by its status alone what is wrong */

static ngx_http_waha_error_e
ngx_http_waha_media_meta_error(ngx_http_request_t *r,
    ngx_http_waha_media_t *media, ngx_http_waha_error_e error)
{
    ngx_uint_t  status;

    switch (error) {

    case NGX_HTTP_WAHA_ERR_NONE:
        return ngx_http_waha_media_has_size(r, media)
               ? NGX_HTTP_WAHA_ERR_NONE
               : NGX_HTTP_WAHA_ERR_META_INVALID_ANSWER;

    case NGX_HTTP_WAHA_ERR_WAHA_TIMEOUT:
        return NGX_HTTP_WAHA_ERR_META_TIMEOUT;

    case NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER:
        return NGX_HTTP_WAHA_ERR_META_INVALID_ANSWER;

    case NGX_HTTP_WAHA_ERR_WAHA_UNAVAILABLE:
        return NGX_HTTP_WAHA_ERR_META_UNAVAILABLE;

    default:
        break;
    }

    status = r->upstream->headers_in.status_n;

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "waha: the host of Meta's media files answers %ui", status);

    return (status >= NGX_HTTP_BAD_REQUEST
            && status < NGX_HTTP_INTERNAL_SERVER_ERROR)
           ? NGX_HTTP_WAHA_ERR_MEDIA_EXPIRED
           : NGX_HTTP_WAHA_ERR_META_UNAVAILABLE;
}


/* a whole file is as long as Graph said */

static ngx_uint_t
ngx_http_waha_media_has_size(ngx_http_request_t *r,
    ngx_http_waha_media_t *media)
{
    off_t  length;

    length = r->upstream->headers_in.content_length_n;

    if (r->upstream->headers_in.status_n != NGX_HTTP_OK
        || media->file.size == -1 || length == -1
        || length == media->file.size)
    {
        return 1;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "waha: a media file of Meta has %O bytes in place of %O",
                  length, media->file.size);

    return 0;
}


/* filters of nginx that run before have made slices or a 304 of an answer */

static ngx_uint_t
ngx_http_waha_media_is_usable(ngx_http_request_t *r)
{
    switch (r->upstream->headers_in.status_n) {

    case NGX_HTTP_OK:
    case NGX_HTTP_PARTIAL_CONTENT:
    case NGX_HTTP_NOT_MODIFIED:
    case NGX_HTTP_RANGE_NOT_SATISFIABLE:
        return 1;

    default:
        return 0;
    }
}


/* WAHA answers 500 to a range behind the end of a file */

static ngx_uint_t
ngx_http_waha_media_is_beyond(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    h = r->headers_out.content_range;

    return r->headers_in.range
           && h
           && h->value.len > sizeof("bytes */") - 1
           && ngx_strncmp(h->value.data, "bytes */", sizeof("bytes */") - 1)
              == 0;
}


static void
ngx_http_waha_media_log(ngx_http_request_t *r, ngx_http_waha_media_t *media)
{
    ngx_uint_t  level, status;

    status = r->upstream->headers_in.status_n;

    /* that WAHA has deleted a file is no failure */

    level = (status == NGX_HTTP_NOT_FOUND) ? NGX_LOG_INFO : NGX_LOG_ERR;

    ngx_http_waha_reason_log(r->connection->log, level,
                             &media->file.instance->name, status,
                             ngx_http_waha_media_preread(r));
}


/* what came with the header of an answer, perhaps in chunks; else NULL */

static cJSON *
ngx_http_waha_media_preread(ngx_http_request_t *r)
{
    cJSON      *json;
    ngx_buf_t  *b;
    ngx_str_t   text;
    ngx_uint_t  replaced;

    b = &r->upstream->buffer;

    if (b->start == NULL) {
        return NULL;
    }

    text.data = ngx_strlchr(b->pos, b->last, '{');
    if (text.data == NULL) {
        return NULL;
    }

    text.len = b->last - text.data;

    while (text.len && text.data[text.len - 1] != '}') {
        text.len--;
    }

    if (ngx_http_waha_json_clean(r->pool, &text, &replaced) != NGX_OK
        || ngx_http_waha_json_parse(r->pool, &text, &json) != NGX_OK)
    {
        return NULL;
    }

    return json;
}


static ngx_int_t
ngx_http_waha_media_refuse(ngx_http_request_t *r,
    ngx_http_waha_error_e error)
{
    ngx_int_t  rc;

    r->err_status = 0;
    r->headers_out.status_line.len = 0;

    rc = ngx_http_waha_error_send(r, error);

    /* WAHA's body must not follow our header */

    r->header_only = 1;

    return (rc == NGX_ERROR || rc > NGX_OK) ? NGX_ERROR : NGX_OK;
}


static ngx_uint_t
ngx_http_waha_media_has_no_body(ngx_http_request_t *r)
{
    ngx_uint_t  status;

    status = r->err_status ? r->err_status : r->headers_out.status;

    return status == NGX_HTTP_NOT_MODIFIED
           || status == NGX_HTTP_PRECONDITION_FAILED
           || status == NGX_HTTP_RANGE_NOT_SATISFIABLE;
}


static void
ngx_http_waha_media_drop_body(ngx_http_request_t *r)
{
    r->headers_out.content_type_len = 0;
    ngx_str_null(&r->headers_out.content_type);

    if (r->headers_out.status != NGX_HTTP_NOT_MODIFIED) {
        r->headers_out.content_length_n = 0;
    }

    r->header_only = 1;
}


static ngx_int_t
ngx_http_waha_media_headers_out(ngx_http_request_t *r,
    ngx_http_waha_media_t *media)
{
    ngx_str_t            *type;
    ngx_http_upstream_t  *u;

    if (ngx_http_waha_media_has_no_body(r)) {
        ngx_http_waha_media_drop_body(r);
        return NGX_OK;
    }

    u = r->upstream;

    if (!u->cacheable && !u->store) {

        /* private files are not written to nginx's disk */

        u->buffering = 0;
    }

    type = &r->headers_out.content_type;

    ngx_http_waha_media_cut_type(type);

    if (!ngx_http_waha_media_is_inline(type)) {
        *type = ngx_http_waha_media_bytes;

        if (ngx_http_waha_media_disposition(r, &media->file.filename)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    r->headers_out.content_type_len = type->len;

    /* a file of a stranger is no page, whatever a browser makes of it */

    if (ngx_http_waha_answer_header(r, "X-Content-Type-Options", "nosniff")
            == NULL
        || ngx_http_waha_answer_header(r, "Content-Security-Policy",
                                       "sandbox; default-src 'none'")
           == NULL
        || ngx_http_waha_answer_header(r, "Cross-Origin-Resource-Policy",
                                       "same-origin")
           == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_waha_media_clear(ngx_http_request_t *r, ngx_uint_t own,
    ngx_uint_t all)
{
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    n = 0;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++, n++) {

            if (n >= own) {

                if (all || !ngx_http_waha_media_is_allowed(&h[i])) {
                    h[i].hash = 0;
                }

                continue;
            }

            if (!all
                && h[i].key.len == sizeof("Cache-Control") - 1
                && ngx_strncmp(h[i].key.data, "Cache-Control", h[i].key.len)
                   == 0)
            {
                ngx_str_set(&h[i].value, "private");
            }
        }
    }

    r->headers_out.server = NULL;
    r->headers_out.date = NULL;
    r->headers_out.location = NULL;
    r->headers_out.refresh = NULL;
    r->headers_out.expires = NULL;
    r->headers_out.www_authenticate = NULL;

    r->headers_out.override_charset = NULL;
    ngx_str_null(&r->headers_out.charset);
    r->headers_out.content_type_lowcase = NULL;

    if (all) {
        ngx_http_clear_content_length(r);
        ngx_http_clear_accept_ranges(r);
        ngx_http_clear_last_modified(r);
        ngx_http_clear_etag(r);
        r->headers_out.content_range = NULL;
        r->headers_out.content_encoding = NULL;
    }
}


static ngx_uint_t
ngx_http_waha_media_is_allowed(ngx_table_elt_t *h)
{
    const char  **name;

    for (name = ngx_http_waha_media_headers; *name; name++) {

        if (h->key.len == ngx_strlen(*name)
            && ngx_strncasecmp(h->key.data, (u_char *) *name, h->key.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_waha_media_cut_type(ngx_str_t *type)
{
    size_t  i;

    for (i = 0; i < type->len; i++) {

        if (type->data[i] == ';' || type->data[i] == ' ') {
            type->len = i;
        }
    }
}


/* a browser must not run a file as a page */

static ngx_uint_t
ngx_http_waha_media_is_inline(ngx_str_t *type)
{
    u_char        ch;
    size_t        i, len;
    const char  **prefix;

    for (i = 0; i < type->len; i++) {
        ch = type->data[i] | 0x20;

        /* not the "+" of "image/svg+xml" */

        if ((ch < 'a' || ch > 'z') && (ch < '0' || ch > '9')
            && ch != '/' && ch != '.' && ch != '-')
        {
            return 0;
        }
    }

    if (ngx_http_waha_string_is(type, "application/pdf")) {
        return 1;
    }

    for (prefix = ngx_http_waha_media_inline_types; *prefix; prefix++) {

        len = ngx_strlen(*prefix);

        if (type->len > len
            && ngx_strncasecmp(type->data, (u_char *) *prefix, len) == 0)
        {
            return ngx_strlcasestrn(type->data, type->data + type->len,
                                    (u_char *) "svg", 3 - 1)
                   == NULL;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_waha_media_disposition(ngx_http_request_t *r, ngx_str_t *filename)
{
    u_char     *p, *value;
    size_t      i, len;
    ngx_str_t   name;

    name = ngx_http_waha_string_cut(filename, NGX_HTTP_WAHA_MEDIA_FILENAME);

    name.data = ngx_pnalloc(r->pool, name.len);
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < name.len; i++) {
        name.data[i] = (filename->data[i] < 0x20 || filename->data[i] == 0x7f
                        || filename->data[i] == '/'
                        || filename->data[i] == '\\')
                       ? '_' : filename->data[i];
    }

    len = sizeof("attachment; filename*=UTF-8''") + name.len
          + 2 * ngx_escape_uri(NULL, name.data, name.len,
                               NGX_ESCAPE_URI_COMPONENT);

    value = ngx_pnalloc(r->pool, len);
    if (value == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(value, "attachment; filename*=UTF-8''",
                   sizeof("attachment; filename*=UTF-8''") - 1);
    p = (u_char *) ngx_escape_uri(p, name.data, name.len,
                                  NGX_ESCAPE_URI_COMPONENT);
    *p = '\0';

    return ngx_http_waha_answer_header(r, "Content-Disposition",
                                       (char *) value)
           ? NGX_OK : NGX_ERROR;
}
