
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_activity_media.h>
#include <ngx_http_waha_argument.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_media.h>
#include <ngx_http_waha_number_media.h>
#include <ngx_http_waha_numbers.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_FILES  "/api/files/"
#define NGX_HTTP_WAHA_S3     "/api/s3/"


static ngx_int_t ngx_http_waha_activity_media_on_found(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_activity_media_send(ngx_http_waha_step_t *step,
    cJSON *reply);
static ngx_http_waha_error_e ngx_http_waha_activity_media_file(cJSON *reply,
    ngx_str_t *path, ngx_str_t *file);
static u_char *ngx_http_waha_activity_media_host_end(ngx_str_t *url);
static ngx_int_t ngx_http_waha_activity_media_path(ngx_str_t *path,
    ngx_str_t *session, ngx_str_t *file);
static ngx_uint_t ngx_http_waha_activity_media_has_prefix(u_char *p,
    u_char *last, const char *prefix);
static ngx_uint_t ngx_http_waha_activity_media_is_safe(ngx_str_t *name);


ngx_int_t
ngx_http_waha_activity_media(ngx_http_waha_api_t *api)
{
    ngx_str_t  args[2];

    args[0] = api->step.organization.slug;

    switch (ngx_http_waha_argument_get(api, "activity", NGX_HTTP_WAHA_ARG_ID,
                                       &args[1]))
    {
    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_http_waha_argument_refuse(api, "activity");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    api->step.done = ngx_http_waha_numbers_reply;

    return ngx_http_waha_step_query(&api->step, NGX_HTTP_WAHA_FIND_MEDIA,
                                    args,
                                    ngx_http_waha_activity_media_on_found);
}


static ngx_int_t
ngx_http_waha_activity_media_on_found(ngx_http_waha_step_t *step)
{
    cJSON      *reply;
    ngx_str_t   provider;

    if (ngx_http_waha_json_parse(step->request->pool, &step->query.reply,
                                 &reply)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    provider = ngx_http_waha_json_get_string(reply, "provider");

    return ngx_http_waha_string_is(&provider, "meta")
           ? ngx_http_waha_number_media(step, reply)
           : ngx_http_waha_activity_media_send(step, reply);
}


static ngx_int_t
ngx_http_waha_activity_media_send(ngx_http_waha_step_t *step, cJSON *reply)
{
    ngx_str_t                    path, name, last;
    ngx_http_request_t          *r;
    ngx_http_waha_error_e        error;
    ngx_http_waha_loc_conf_t    *wlcf;
    ngx_http_waha_media_file_t   file;

    r = step->request;
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    ngx_memzero(&file, sizeof(ngx_http_waha_media_file_t));

    error = ngx_http_waha_activity_media_file(reply, &path, &last);

    if (error) {
        return ngx_http_waha_step_end(step, error);
    }

    name = ngx_http_waha_json_get_string(reply, "instance");
    error = ngx_http_waha_fetch_conf_find_instance(wlcf->fetch, &name,
                                                   &file.instance);

    if (error) {
        return ngx_http_waha_step_end(step, error);
    }

    file.uri.len = file.instance->uri.len + path.len;

    file.uri.data = ngx_pnalloc(r->pool, file.uri.len);
    if (file.uri.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_sprintf(file.uri.data, "%V%V", &file.instance->uri, &path);

    file.filename = ngx_http_waha_json_get_string(reply, "filename");

    if (file.filename.len == 0) {
        file.filename = last;
    }

    return ngx_http_waha_media_send(r, &file);
}


/*
 * A URL came with a message: only the path that WAHA gave it is used, from
 * "/api/" on, as WAHA may stand below a prefix.  file is the last part of it.
 */

static ngx_http_waha_error_e
ngx_http_waha_activity_media_file(cJSON *reply, ngx_str_t *path,
    ngx_str_t *file)
{
    u_char     *p, *last;
    ngx_int_t   rc;
    ngx_str_t   url, session;

    url = ngx_http_waha_json_get_string(reply, "url");
    session = ngx_http_waha_json_get_string(reply, "session");

    if (url.len == 0 || !ngx_http_waha_activity_media_is_safe(&session)) {
        return NGX_HTTP_WAHA_ERR_NO_MEDIA;
    }

    p = ngx_http_waha_activity_media_host_end(&url);
    if (p == NULL) {
        return NGX_HTTP_WAHA_ERR_NO_MEDIA;
    }

    last = url.data + url.len;
    rc = NGX_DECLINED;

    for ( /* void */ ; p < last && rc == NGX_DECLINED; p++) {

        if (*p == '?' || *p == '#') {
            break;
        }

        path->data = p;
        path->len = last - p;

        rc = ngx_http_waha_activity_media_path(path, &session, file);
    }

    if (rc == NGX_OK) {
        return NGX_HTTP_WAHA_ERR_NONE;
    }

    return (rc == NGX_DECLINED && url.data[0] != '/')
           ? NGX_HTTP_WAHA_ERR_FOREIGN_MEDIA : NGX_HTTP_WAHA_ERR_NO_MEDIA;
}


/* where the path of a URL begins; NULL: it is no URL of HTTP */

static u_char *
ngx_http_waha_activity_media_host_end(ngx_str_t *url)
{
    u_char  *p, *last;

    p = url->data;
    last = p + url->len;

    if (*p == '/') {
        return p;
    }

    if (url->len > 7 && ngx_strncasecmp(p, (u_char *) "http://", 7) == 0) {
        p += 7;

    } else if (url->len > 8
               && ngx_strncasecmp(p, (u_char *) "https://", 8) == 0)
    {
        p += 8;

    } else {
        return NULL;
    }

    while (p < last && *p != '/') {
        p++;
    }

    return p;
}


/*
 * "/api/files/SESSION/FILE" or "/api/s3/BUCKET/SESSION/FILE"; NGX_DECLINED:
 * something else; NGX_ERROR: a file of another session, or a bad name
 */

static ngx_int_t
ngx_http_waha_activity_media_path(ngx_str_t *path, ngx_str_t *session,
    ngx_str_t *file)
{
    u_char     *p, *last;
    ngx_str_t   bucket;

    p = path->data;
    last = p + path->len;

    if (ngx_http_waha_activity_media_has_prefix(p, last,
                                            NGX_HTTP_WAHA_FILES))
    {
        p += sizeof(NGX_HTTP_WAHA_FILES) - 1;

    } else if (ngx_http_waha_activity_media_has_prefix(p, last,
                                                   NGX_HTTP_WAHA_S3))
    {
        bucket.data = p + sizeof(NGX_HTTP_WAHA_S3) - 1;

        p = ngx_strlchr(bucket.data, last, '/');
        if (p == NULL) {
            return NGX_ERROR;
        }

        bucket.len = p - bucket.data;

        if (!ngx_http_waha_activity_media_is_safe(&bucket)) {
            return NGX_ERROR;
        }

        p++;

    } else {
        return NGX_DECLINED;
    }

    if ((size_t) (last - p) <= session->len
        || ngx_strncmp(p, session->data, session->len) != 0
        || p[session->len] != '/')
    {
        return NGX_ERROR;
    }

    file->data = p + session->len + 1;
    file->len = last - file->data;

    return ngx_http_waha_activity_media_is_safe(file) ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_http_waha_activity_media_has_prefix(u_char *p, u_char *last,
    const char *prefix)
{
    size_t  len;

    len = ngx_strlen(prefix);

    return (size_t) (last - p) >= len && ngx_strncmp(p, prefix, len) == 0;
}


static ngx_uint_t
ngx_http_waha_activity_media_is_safe(ngx_str_t *name)
{
    u_char      ch;
    ngx_uint_t  i;

    if (name->len == 0 || name->data[0] == '.') {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        /* a file is named after its message, whose id may hold a chat's */

        if ((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z')
            || (ch >= 'A' && ch <= 'Z') || ch == '_' || ch == '-'
            || ch == '@')
        {
            continue;
        }

        if (ch != '.' || name->data[i - 1] == '.') {
            return 0;
        }
    }

    return 1;
}
