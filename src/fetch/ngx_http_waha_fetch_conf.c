
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_fetch_conf.h>
#include <ngx_http_waha_string.h>


static char *ngx_http_waha_fetch_conf_read_uri(ngx_conf_t *cf,
    ngx_str_t *value, const char *service, ngx_str_t *uri);
static ngx_uint_t ngx_http_waha_fetch_conf_is_host(ngx_str_t *value);
static char *ngx_http_waha_fetch_conf_add(ngx_conf_t *cf, ngx_array_t **list,
    ngx_http_waha_instance_t *added);
static ngx_int_t ngx_http_waha_fetch_conf_add_guard(ngx_conf_t *cf,
    ngx_str_t *uri);


void
ngx_http_waha_fetch_conf_create(ngx_http_waha_fetch_conf_t *conf)
{
    conf->size = NGX_CONF_UNSET_SIZE;
    conf->timeout = NGX_CONF_UNSET_MSEC;
    conf->look_timeout = NGX_CONF_UNSET_MSEC;
}


void
ngx_http_waha_fetch_conf_merge(ngx_http_waha_fetch_conf_t *prev,
    ngx_http_waha_fetch_conf_t *conf)
{
    if (conf->instances == NULL) {
        conf->instances = prev->instances;
    }

    if (conf->graph == NULL) {
        conf->graph = prev->graph;
    }

    if (conf->media == NULL) {
        conf->media = prev->media;
    }

    ngx_conf_merge_size_value(conf->size, prev->size, 1048576);
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, 60000);
    ngx_conf_merge_msec_value(conf->look_timeout, prev->look_timeout, 2000);
}


char *
ngx_http_waha_fetch_conf_instance(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t                 *value;
    ngx_http_waha_instance_t   instance;

    value = cf->args->elts;

    if (value[1].len == 0 || value[1].len > 50) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\", up to 50 characters are "
                           "allowed", &value[1]);
        return NGX_CONF_ERROR;
    }

    instance.name = value[1];
    instance.meta = 0;

    if (ngx_http_waha_fetch_conf_read_uri(cf, &value[2], "WAHA",
                                          &instance.uri)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_waha_fetch_conf_add(cf, &wlcf->fetch->instances,
                                        &instance);
}


char *
ngx_http_waha_fetch_conf_graph(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t                 *value;
    ngx_array_t               *list;
    ngx_http_waha_instance_t   graph;

    if (wlcf->fetch->graph) {
        return "is duplicate";
    }

    value = cf->args->elts;
    list = NULL;

    ngx_str_set(&graph.name, "graph");
    graph.meta = 1;

    if (ngx_http_waha_fetch_conf_read_uri(cf, &value[1], "Graph", &graph.uri)
            != NGX_CONF_OK
        || ngx_http_waha_fetch_conf_add(cf, &list, &graph) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    wlcf->fetch->graph = list->elts;

    return NGX_CONF_OK;
}


char *
ngx_http_waha_fetch_conf_media(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t                 *value;
    ngx_http_waha_instance_t   host;

    value = cf->args->elts;

    if (!ngx_http_waha_fetch_conf_is_host(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid host \"%V\", it is written as "
                           "\"lookaside.fbsbx.com\": in lower case, without "
                           "a scheme and a path", &value[1]);
        return NGX_CONF_ERROR;
    }

    host.name = value[1];
    host.meta = 1;

    if (ngx_http_waha_fetch_conf_read_uri(cf, &value[2], "Meta", &host.uri)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_waha_fetch_conf_add(cf, &wlcf->fetch->media, &host);
}


static char *
ngx_http_waha_fetch_conf_read_uri(ngx_conf_t *cf, ngx_str_t *value,
    const char *service, ngx_str_t *uri)
{
    if (value->len == 0 || value->data[0] != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid uri \"%V\", it has to be that of an "
                           "internal location and begin with \"/\"", value);
        return NGX_CONF_ERROR;
    }

    *uri = *value;

    while (uri->len && uri->data[uri->len - 1] == '/') {
        uri->len--;
    }

    if (uri->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid uri \"%V\", %s needs a location of its "
                           "own", value, service);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* a host, maybe with a port */

static ngx_uint_t
ngx_http_waha_fetch_conf_is_host(ngx_str_t *value)
{
    u_char  *p, *last;

    last = value->data + value->len;

    for (p = value->data; p < last; p++) {

        if ((*p < 'a' || *p > 'z')
            && (*p < '0' || *p > '9')
            && *p != '-' && *p != '.' && *p != ':')
        {
            return 0;
        }
    }

    return value->len != 0;
}


char *
ngx_http_waha_fetch_conf_call_timeout(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_waha_loc_conf_t *wlcf = conf;

    ngx_str_t                   *value, look;
    ngx_http_waha_fetch_conf_t  *fcf;

    fcf = wlcf->fetch;
    value = cf->args->elts;

    if (fcf->timeout != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    fcf->timeout = ngx_parse_time(&value[1], 0);

    if (fcf->timeout == (ngx_msec_t) NGX_ERROR) {
        return "invalid value";
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "look=", 5) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", \"look=\" and a time "
                           "is allowed", &value[2]);
        return NGX_CONF_ERROR;
    }

    look.data = value[2].data + 5;
    look.len = value[2].len - 5;

    fcf->look_timeout = ngx_parse_time(&look, 0);

    if (fcf->look_timeout == (ngx_msec_t) NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time in \"%V\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_waha_fetch_conf_add(ngx_conf_t *cf, ngx_array_t **list,
    ngx_http_waha_instance_t *added)
{
    ngx_uint_t                 i;
    ngx_http_waha_instance_t  *instance;

    if (*list == NULL) {
        *list = ngx_array_create(cf->pool, 2,
                                 sizeof(ngx_http_waha_instance_t));
        if (*list == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    instance = (*list)->elts;

    for (i = 0; i < (*list)->nelts; i++) {

        if (ngx_http_waha_string_is_equal(&instance[i].name, &added->name)) {
            return "is duplicate";
        }
    }

    instance = ngx_array_push(*list);
    if (instance == NULL) {
        return NGX_CONF_ERROR;
    }

    *instance = *added;

    if (ngx_http_waha_fetch_conf_add_guard(cf, &added->uri) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_waha_fetch_conf_add_guard(ngx_conf_t *cf, ngx_str_t *uri)
{
    ngx_http_waha_guard_t      *guard;
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_waha_module);

    if (wmcf->guards == NULL) {
        wmcf->guards = ngx_array_create(cf->pool, 2,
                                        sizeof(ngx_http_waha_guard_t));
        if (wmcf->guards == NULL) {
            return NGX_ERROR;
        }
    }

    guard = ngx_array_push(wmcf->guards);
    if (guard == NULL) {
        return NGX_ERROR;
    }

    guard->uri = *uri;
    guard->server = (cf->cmd_type == NGX_HTTP_MAIN_CONF) ? NULL
                    : ngx_http_conf_get_module_srv_conf(cf,
                                                        ngx_http_core_module);

    return NGX_OK;
}


ngx_http_waha_error_e
ngx_http_waha_fetch_conf_find_instance(ngx_http_waha_fetch_conf_t *conf,
    ngx_str_t *name, ngx_http_waha_instance_t **instance)
{
    ngx_uint_t                 i;
    ngx_http_waha_instance_t  *instances;

    *instance = NULL;

    if (conf->instances == NULL) {
        return NGX_HTTP_WAHA_ERR_NO_INSTANCE;
    }

    instances = conf->instances->elts;

    if (name->data == NULL) {

        if (conf->instances->nelts > 1) {
            return NGX_HTTP_WAHA_ERR_SESSION_WITHOUT_INSTANCE;
        }

        *instance = instances;

        return NGX_HTTP_WAHA_ERR_NONE;
    }

    for (i = 0; i < conf->instances->nelts; i++) {

        if (ngx_http_waha_string_is_equal(&instances[i].name, name)) {
            *instance = &instances[i];
            return NGX_HTTP_WAHA_ERR_NONE;
        }
    }

    return NGX_HTTP_WAHA_ERR_NO_INSTANCE;
}


ngx_http_waha_instance_t *
ngx_http_waha_fetch_conf_find_media(ngx_http_waha_fetch_conf_t *conf,
    ngx_str_t *host)
{
    ngx_uint_t                 i;
    ngx_http_waha_instance_t  *media;

    if (conf->media == NULL) {
        return NULL;
    }

    media = conf->media->elts;

    for (i = 0; i < conf->media->nelts; i++) {

        if (media[i].name.len == host->len
            && ngx_strncasecmp(media[i].name.data, host->data, host->len) == 0)
        {
            return &media[i];
        }
    }

    return NULL;
}
