
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


#define NGX_HTTP_WAHA_FILES  "/api/files/"


static ngx_int_t ngx_http_waha_activity_media_on_found(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_activity_media_file(cJSON *reply,
    ngx_str_t *session, ngx_str_t *file);
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

    api->step.done = ngx_http_waha_api_reply;

    return ngx_http_waha_step_query(&api->step, NGX_HTTP_WAHA_FIND_MEDIA,
                                    args,
                                    ngx_http_waha_activity_media_on_found);
}


static ngx_int_t
ngx_http_waha_activity_media_on_found(ngx_http_waha_step_t *step)
{
    cJSON                     *reply;
    ngx_str_t                  session, file, filename, name, uri;
    ngx_http_request_t        *r;
    ngx_http_waha_error_e      error;
    ngx_http_waha_loc_conf_t  *wlcf;
    ngx_http_waha_instance_t  *instance;

    r = step->request;
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    if (ngx_http_waha_json_parse(r->pool, &step->query.reply, &reply)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_waha_activity_media_file(reply, &session, &file) != NGX_OK) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NO_MEDIA);
    }

    name = ngx_http_waha_json_get_string(reply, "instance");
    error = ngx_http_waha_fetch_conf_find_instance(wlcf->fetch, &name,
                                                   &instance);

    if (error) {
        return ngx_http_waha_step_end(step, error);
    }

    uri.len = instance->uri.len + sizeof(NGX_HTTP_WAHA_FILES "/") - 1
              + session.len + file.len;

    uri.data = ngx_pnalloc(r->pool, uri.len);
    if (uri.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_sprintf(uri.data, "%V" NGX_HTTP_WAHA_FILES "%V/%V",
                &instance->uri, &session, &file);

    filename = ngx_http_waha_json_get_string(reply, "filename");

    return ngx_http_waha_media_send(r, &uri, filename.len ? &filename : &file);
}


/* a URL came with a message: only the names in it are used */

static ngx_int_t
ngx_http_waha_activity_media_file(cJSON *reply, ngx_str_t *session,
    ngx_str_t *file)
{
    size_t      len;
    u_char     *p, *last;
    ngx_str_t   url;

    url = ngx_http_waha_json_get_string(reply, "url");
    *session = ngx_http_waha_json_get_string(reply, "session");

    p = url.data;
    last = p + url.len;

    if (url.len == 0 || !ngx_http_waha_activity_media_is_safe(session)) {
        return NGX_DECLINED;
    }

    if (*p != '/') {
        p = ngx_strlcasestrn(p, last, (u_char *) "://", 3 - 1);
        if (p == NULL) {
            return NGX_DECLINED;
        }

        p = ngx_strlchr(p + 3, last, '/');
        if (p == NULL) {
            return NGX_DECLINED;
        }
    }

    len = sizeof(NGX_HTTP_WAHA_FILES) - 1;

    if ((size_t) (last - p) <= len + session->len
        || ngx_strncmp(p, NGX_HTTP_WAHA_FILES, len) != 0
        || ngx_strncmp(p + len, session->data, session->len) != 0
        || p[len + session->len] != '/')
    {
        return NGX_DECLINED;
    }

    file->data = p + len + session->len + 1;
    file->len = last - file->data;

    return ngx_http_waha_activity_media_is_safe(file) ? NGX_OK : NGX_DECLINED;
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
