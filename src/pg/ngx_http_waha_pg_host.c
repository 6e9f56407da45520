
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_pg_host.h>


#define NGX_HTTP_WAHA_PG_HOST_PORT  "5432"


static ngx_int_t ngx_http_waha_pg_host_split(ngx_pool_t *pool,
    const char *list, ngx_array_t *parts);
static char *ngx_http_waha_pg_host_add(ngx_conf_t *cf,
    ngx_http_waha_pg_conf_t *conf, const char *host, const char *addr,
    const char *port);
static char *ngx_http_waha_pg_host_parse_addr(ngx_conf_t *cf,
    ngx_http_waha_pg_host_t *h);
static char *ngx_http_waha_pg_host_resolve(ngx_conf_t *cf,
    ngx_http_waha_pg_host_t *h);
static ngx_uint_t ngx_http_waha_pg_host_is_remote(ngx_http_waha_pg_host_t *h);
static char *ngx_http_waha_pg_host_check_name(ngx_conf_t *cf,
    ngx_http_waha_pg_conf_t *conf, ngx_http_waha_pg_host_t *h);
static char *ngx_http_waha_pg_host_check_security(ngx_conf_t *cf,
    ngx_http_waha_pg_conf_t *conf, const char *host);
static ngx_uint_t ngx_http_waha_pg_host_is_given(ngx_http_waha_pg_conf_t *conf,
    const char *keyword);


char *
ngx_http_waha_pg_host_parse(ngx_conf_t *cf, ngx_http_waha_pg_conf_t *conf,
    const char *host, const char *addr, const char *port)
{
    ngx_uint_t    i, n;
    const char  **elt;
    ngx_array_t   hosts, addrs, ports;

    if (ngx_http_waha_pg_host_split(cf->pool, host, &hosts) != NGX_OK
        || ngx_http_waha_pg_host_split(cf->pool, addr, &addrs) != NGX_OK
        || ngx_http_waha_pg_host_split(cf->pool, port, &ports) != NGX_OK
        || ngx_array_init(&conf->hosts, cf->pool, 2,
                          sizeof(ngx_http_waha_pg_host_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    n = ngx_max(ngx_max(hosts.nelts, addrs.nelts), 1);

    if ((hosts.nelts && hosts.nelts != n)
        || (addrs.nelts && addrs.nelts != n)
        || (ports.nelts > 1 && ports.nelts != n))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"waha_database\" has %ui hosts, %ui hostaddrs "
                           "and %ui ports, which do not match",
                           hosts.nelts, addrs.nelts, ports.nelts);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < n; i++) {
        elt = hosts.elts;
        host = hosts.nelts ? elt[i] : "";

        elt = addrs.elts;
        addr = addrs.nelts ? elt[i] : "";

        elt = ports.elts;
        port = ports.nelts ? elt[ports.nelts == 1 ? 0 : i] : "";

        if (*port == '\0') {
            port = NGX_HTTP_WAHA_PG_HOST_PORT;
        }

        if (ngx_http_waha_pg_host_add(cf, conf, host, addr, port)
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_waha_pg_host_split(ngx_pool_t *pool, const char *list,
    ngx_array_t *parts)
{
    char       *s, *comma, **part;
    ngx_str_t   text;

    if (ngx_array_init(parts, pool, 2, sizeof(char *)) != NGX_OK) {
        return NGX_ERROR;
    }

    if (list == NULL) {
        return NGX_OK;
    }

    text.len = ngx_strlen(list) + 1;
    text.data = (u_char *) list;

    s = (char *) ngx_pstrdup(pool, &text);

    while (s) {
        part = ngx_array_push(parts);
        if (part == NULL) {
            return NGX_ERROR;
        }

        *part = s;

        comma = strchr(s, ',');

        if (comma == NULL) {
            return NGX_OK;
        }

        *comma = '\0';
        s = comma + 1;
    }

    return NGX_ERROR;
}


static char *
ngx_http_waha_pg_host_add(ngx_conf_t *cf, ngx_http_waha_pg_conf_t *conf,
    const char *host, const char *addr, const char *port)
{
    char                     *rv;
    ngx_int_t                 n;
    ngx_http_waha_pg_host_t  *h;

    n = ngx_atoi((u_char *) port, ngx_strlen(port));

    if (n < 1 || n > 65535) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid port \"%s\" in \"waha_database\"", port);
        return NGX_CONF_ERROR;
    }

    h = ngx_array_push(&conf->hosts);
    if (h == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_http_waha_pg_host_t));

    h->host = host;
    h->addr = addr;
    h->port = port;

    if (*addr != '\0') {
        rv = ngx_http_waha_pg_host_parse_addr(cf, h);

    } else if (*host != '\0' && *host != '/' && *host != '@') {
        rv = ngx_http_waha_pg_host_resolve(cf, h);

    } else {
        return NGX_CONF_OK;
    }

    h->remote = ngx_http_waha_pg_host_is_remote(h);

    return rv;
}


static char *
ngx_http_waha_pg_host_parse_addr(ngx_conf_t *cf, ngx_http_waha_pg_host_t *h)
{
    h->addrs = ngx_palloc(cf->pool, sizeof(ngx_addr_t));
    if (h->addrs == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_parse_addr(cf->pool, h->addrs, (u_char *) h->addr,
                       ngx_strlen(h->addr))
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid hostaddr \"%s\" in \"waha_database\"",
                           h->addr);
        return NGX_CONF_ERROR;
    }

    h->naddrs = 1;

    return NGX_CONF_OK;
}


/* a name is resolved here, since libpq would block the worker with it */

static char *
ngx_http_waha_pg_host_resolve(ngx_conf_t *cf, ngx_http_waha_pg_host_t *h)
{
    ngx_url_t   u;
    ngx_addr_t  addr;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.host.len = ngx_strlen(h->host);
    u.host.data = (u_char *) h->host;

    h->named = ngx_parse_addr(cf->pool, &addr, u.host.data, u.host.len)
               != NGX_OK;

    if (ngx_inet_resolve_host(cf->pool, &u) == NGX_OK) {
        h->addrs = u.addrs;
        h->naddrs = u.naddrs;
        return NGX_CONF_OK;
    }

    /* a resolver, whose directive may follow, may learn to know it */

    h->error = u.err;

    return u.err ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_uint_t
ngx_http_waha_pg_host_is_remote(ngx_http_waha_pg_host_t *h)
{
    ngx_uint_t  i;

    for (i = 0; i < h->naddrs; i++) {
        if (!ngx_http_waha_pg_host_is_loopback(h->addrs[i].sockaddr)) {
            return 1;
        }
    }

    return h->naddrs == 0;
}


char *
ngx_http_waha_pg_host_check(ngx_conf_t *cf, ngx_http_waha_pg_conf_t *conf,
    ngx_resolver_t *resolver, ngx_msec_t timeout)
{
    ngx_uint_t                i;
    const char               *remote;
    ngx_http_waha_pg_host_t  *h;

    /* without the directive, nginx has a resolver without name servers */

    if (resolver && resolver->connections.nelts) {
        conf->resolver = resolver;
        conf->resolver_timeout = ngx_min(timeout, conf->connect_timeout);
    }

    remote = NULL;

    h = conf->hosts.elts;

    for (i = 0; i < conf->hosts.nelts; i++) {

        if (h[i].error
            && ngx_http_waha_pg_host_check_name(cf, conf, &h[i])
               != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }

        if (h[i].remote) {
            remote = *h[i].host ? h[i].host : h[i].addr;
        }
    }

    return remote ? ngx_http_waha_pg_host_check_security(cf, conf, remote)
                  : NGX_CONF_OK;
}


static char *
ngx_http_waha_pg_host_check_name(ngx_conf_t *cf, ngx_http_waha_pg_conf_t *conf,
    ngx_http_waha_pg_host_t *h)
{
    if (conf->resolver == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "%s in \"waha_database\": \"%s\" in %s:%ui",
                      h->error, h->host, conf->file_name, conf->line);
        return NGX_CONF_ERROR;
    }

    ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                  "%s in \"waha_database\": \"%s\", it is left to "
                  "\"resolver\" in %s:%ui",
                  h->error, h->host, conf->file_name, conf->line);

    return NGX_CONF_OK;
}


static char *
ngx_http_waha_pg_host_check_security(ngx_conf_t *cf,
    ngx_http_waha_pg_conf_t *conf, const char *host)
{
    const char  *sslmode, *binding;

    sslmode = conf->values[conf->common + NGX_HTTP_WAHA_PG_SSLMODE];
    binding = conf->values[conf->common + NGX_HTTP_WAHA_PG_CHANNEL_BINDING];

    if (*sslmode == '\0'
        && !ngx_http_waha_pg_host_is_given(conf, "sslrootcert"))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" in \"waha_database\" is another machine, "
                      "whose certificate has to be verified: name the "
                      "file of its authority with \"sslrootcert=\", or "
                      "choose another \"sslmode=\" in %s:%ui",
                      host, conf->file_name, conf->line);
        return NGX_CONF_ERROR;
    }

    if (*sslmode == '\0' || ngx_strncmp(sslmode, "verify", 6) == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(sslmode, "require") == 0
        && (*binding ? ngx_strcmp(binding, "require") == 0
                     : ngx_http_waha_pg_host_has_password(conf)))
    {
        return NGX_CONF_OK;
    }

    ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                  "\"sslmode=%s\" in \"waha_database\" lets whoever "
                  "answers as \"%s\" have the password and the data: "
                  "use \"sslmode=verify-full sslrootcert=...\", or "
                  "\"sslmode=require channel_binding=require\" in %s:%ui",
                  sslmode, host, conf->file_name, conf->line);

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_waha_pg_host_has_password(ngx_http_waha_pg_conf_t *conf)
{
    return ngx_http_waha_pg_host_is_given(conf, "password")
           || ngx_http_waha_pg_host_is_given(conf, "passfile");
}


static ngx_uint_t
ngx_http_waha_pg_host_is_given(ngx_http_waha_pg_conf_t *conf,
    const char *keyword)
{
    ngx_uint_t  i;

    for (i = 0; i < conf->common; i++) {
        if (ngx_strcmp(conf->keywords[i], keyword) == 0) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_waha_pg_host_is_loopback(struct sockaddr *sa)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    switch (sa->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;
        return IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr) ? 1 : 0;
#endif

    default: /* AF_INET */
        sin = (struct sockaddr_in *) sa;
        return (ntohl(sin->sin_addr.s_addr) >> 24) == 127;
    }
}
