
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_fetch_conf.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_media.h>
#include <ngx_http_waha_number.h>
#include <ngx_http_waha_number_media.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


#define NGX_HTTP_WAHA_NUMBER_MEDIA_ID   32
#define NGX_HTTP_WAHA_NUMBER_MEDIA_URL  4096


static ngx_int_t ngx_http_waha_number_media_on_found(
    ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_media_on_url(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_number_media_place(ngx_http_waha_step_t *step,
    ngx_http_waha_media_file_t *file);
static ngx_uint_t ngx_http_waha_number_media_split(ngx_str_t *url,
    ngx_str_t *host, ngx_str_t *path);
static off_t ngx_http_waha_number_media_size(const cJSON *json);


ngx_int_t
ngx_http_waha_number_media(ngx_http_waha_step_t *step, const cJSON *reply)
{
    ngx_http_waha_number_t    *n;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    if (wlcf->fetch->graph == NULL) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NO_GRAPH);
    }

    if (ngx_http_waha_number_create(step) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    n = step->number;

    n->id = ngx_http_waha_json_get_string(reply, "session");
    n->media = ngx_http_waha_json_get_string(reply, "media");
    n->filename = ngx_http_waha_json_get_string(reply, "filename");

    if (!ngx_http_waha_value_is_digits(&n->media, 1,
                                       NGX_HTTP_WAHA_NUMBER_MEDIA_ID))
    {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NO_MEDIA);
    }

    return ngx_http_waha_number_find(step,
                                     ngx_http_waha_number_media_on_found);
}


static ngx_int_t
ngx_http_waha_number_media_on_found(ngx_http_waha_step_t *step)
{
    ngx_str_t                args;
    ngx_http_waha_number_t  *n;

    n = step->number;

    if (n->row == NULL || !n->connected) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_NOT_CONNECTED);
    }

    switch (ngx_http_waha_number_open(step)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_http_waha_step_end(step,
                                      NGX_HTTP_WAHA_ERR_SECRET_UNREADABLE);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* with the number, Graph checks whose file it is */

    args.len = sizeof("phone_number_id=") - 1 + n->id.len;

    args.data = ngx_pnalloc(step->request->pool, args.len);
    if (args.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_sprintf(args.data, "phone_number_id=%V", &n->id);

    return ngx_http_waha_number_try(step, NGX_HTTP_GET, &n->media, "", &args,
                                    NULL, ngx_http_waha_number_media_on_url);
}


static ngx_int_t
ngx_http_waha_number_media_on_url(ngx_http_waha_step_t *step)
{
    ngx_int_t                       rc;
    ngx_str_t                       none;
    ngx_http_waha_error_e           error;
    ngx_http_waha_number_t         *n;
    ngx_http_waha_media_file_t      file;
    ngx_http_waha_fetch_request_t   request;

    n = step->number;
    error = ngx_http_waha_graph_error(&step->fetch);

    if (ngx_http_waha_graph_is_missing(step->fetch.json)) {
        error = NGX_HTTP_WAHA_ERR_MEDIA_EXPIRED;
    }

    if (error) {
        return ngx_http_waha_number_refuse(step, error);
    }

    ngx_memzero(&file, sizeof(ngx_http_waha_media_file_t));
    ngx_memzero(&request, sizeof(ngx_http_waha_fetch_request_t));
    ngx_str_set(&none, "");

    rc = ngx_http_waha_number_media_place(step, &file);

    if (rc == NGX_DECLINED) {
        return ngx_http_waha_step_end(step,
                                      NGX_HTTP_WAHA_ERR_META_INVALID_ANSWER);
    }

    if (rc == NGX_ABORT) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_FOREIGN_MEDIA);
    }

    if (rc != NGX_OK
        || ngx_http_waha_graph_authorize(step->request->pool, &request,
                                         &n->token, &none)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    file.authorization = request.authorization;
    file.size = ngx_http_waha_number_media_size(step->fetch.json);
    file.filename = n->filename.len ? n->filename : n->media;

    return ngx_http_waha_media_send(step->request, &file);
}


/*
 * Where the URL of the answer leads.  NGX_DECLINED: it is none; NGX_ABORT: to
 * a host that must not see the token.
 */

static ngx_int_t
ngx_http_waha_number_media_place(ngx_http_waha_step_t *step,
    ngx_http_waha_media_file_t *file)
{
    u_char                    *p;
    ngx_str_t                  url, host, path;
    ngx_uint_t                 flags;
    ngx_http_waha_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(step->request, ngx_http_waha_module);

    url = ngx_http_waha_json_get_string(step->fetch.json, "url");

    if (url.len > NGX_HTTP_WAHA_NUMBER_MEDIA_URL
        || !ngx_http_waha_string_is_printable(&url)
        || !ngx_http_waha_number_media_split(&url, &host, &path))
    {
        return NGX_DECLINED;
    }

    file->instance = ngx_http_waha_fetch_conf_find_media(wlcf->fetch, &host);

    if (file->instance == NULL) {
        ngx_log_error(NGX_LOG_ERR, step->request->connection->log, 0,
                      "waha: a media file of Meta is at \"%V\", which no "
                      "\"waha_meta_media\" names", &host);
        return NGX_ABORT;
    }

    flags = 0;

    if (ngx_http_parse_unsafe_uri(step->request, &path, &file->args, &flags)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    file->uri.len = file->instance->uri.len + path.len;

    p = ngx_pnalloc(step->request->pool, file->uri.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    file->uri.data = p;

    p = ngx_cpymem(p, file->instance->uri.data, file->instance->uri.len);
    ngx_memcpy(p, path.data, path.len);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_waha_number_media_split(ngx_str_t *url, ngx_str_t *host,
    ngx_str_t *path)
{
    u_char  *p, *last;

    p = url->data;
    last = p + url->len;

    if (url->len > 8 && ngx_strncasecmp(p, (u_char *) "https://", 8) == 0) {
        p += 8;

    } else if (url->len > 7
               && ngx_strncasecmp(p, (u_char *) "http://", 7) == 0)
    {
        p += 7;

    } else {
        return 0;
    }

    host->data = p;

    while (p < last && *p != '/' && *p != '?' && *p != '#' && *p != '\\') {
        p++;
    }

    host->len = p - host->data;

    path->data = p;
    path->len = last - p;

    return p < last && *p == '/';
}


static off_t
ngx_http_waha_number_media_size(const cJSON *json)
{
    off_t       size;
    cJSON      *item;
    ngx_str_t   text;

    item = ngx_http_waha_json_get(json, "file_size");

    if (cJSON_IsNumber(item) && item->valuedouble >= 0
        && item->valuedouble <= NGX_MAX_INT32_VALUE)
    {
        return (off_t) item->valuedouble;
    }

    text = ngx_http_waha_json_get_string(json, "file_size");
    size = text.len ? ngx_atoof(text.data, text.len) : NGX_ERROR;

    return (size == NGX_ERROR) ? -1 : size;
}
