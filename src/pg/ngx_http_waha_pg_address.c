
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_pg_address.h>
#include <ngx_http_waha_pg_host.h>


/* of a name: an answer may hold thousands; those that are known stay */

#define NGX_HTTP_WAHA_PG_ADDRESSES  32


static ngx_int_t ngx_http_waha_pg_address_init_name(
    ngx_http_waha_pg_name_t *name, ngx_pool_t *pool);
static void ngx_http_waha_pg_address_ask(ngx_http_waha_pg_name_t *name);
static void ngx_http_waha_pg_address_on_answer(ngx_resolver_ctx_t *ctx);
static void ngx_http_waha_pg_address_log_failure(
    ngx_http_waha_pg_name_t *name, ngx_int_t state);
static void ngx_http_waha_pg_address_renew(ngx_http_waha_pg_name_t *name,
    ngx_resolver_ctx_t *ctx);
static ngx_uint_t ngx_http_waha_pg_address_keep(ngx_http_waha_pg_name_t *name,
    ngx_resolver_ctx_t *ctx);
static void ngx_http_waha_pg_address_drop_former(
    ngx_http_waha_pg_name_t *name, ngx_uint_t others);
static ngx_int_t ngx_http_waha_pg_address_add(ngx_http_waha_pg_name_t *name,
    struct sockaddr *sa, socklen_t socklen);
static ngx_http_waha_pg_address_t *ngx_http_waha_pg_address_find(
    ngx_queue_t *queue, ngx_http_waha_pg_name_t *name, struct sockaddr *sa,
    socklen_t socklen);
static ngx_http_waha_pg_address_t *ngx_http_waha_pg_address_create(
    ngx_http_waha_pg_name_t *name, struct sockaddr *sa, socklen_t socklen);
static ngx_int_t ngx_http_waha_pg_address_set_values(
    ngx_http_waha_pg_address_t *address, struct sockaddr *sa);
static const char *ngx_http_waha_pg_address_format(
    ngx_http_waha_pg_address_t *address);
static void ngx_http_waha_pg_address_free_all(ngx_queue_t *queue);


ngx_int_t
ngx_http_waha_pg_address_init(ngx_http_waha_pg_addresses_t *all,
    ngx_pool_t *pool)
{
    ngx_uint_t                i;
    ngx_http_waha_pg_host_t  *host;
    ngx_http_waha_pg_name_t  *name;

    ngx_queue_init(&all->former);

    name = ngx_pcalloc(pool, all->conf->hosts.nelts
                             * sizeof(ngx_http_waha_pg_name_t));
    if (name == NULL) {
        return NGX_ERROR;
    }

    all->names = name;

    host = all->conf->hosts.elts;

    for (i = 0; i < all->conf->hosts.nelts; i++) {
        name[i].host = &host[i];
        name[i].all = all;

        ngx_queue_init(&name[i].addresses);

        all->nnames++;

        if (ngx_http_waha_pg_address_init_name(&name[i], pool) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_pg_address_init_name(ngx_http_waha_pg_name_t *name,
    ngx_pool_t *pool)
{
    ngx_str_t                 text;
    ngx_addr_t               *addr;
    ngx_uint_t                i;
    ngx_http_waha_pg_host_t  *host;

    host = name->host;
    addr = host->addrs;

    for (i = 0; i < host->naddrs; i++) {
        if (ngx_http_waha_pg_address_add(name, addr[i].sockaddr,
                                         addr[i].socklen)
            == NGX_ERROR)
        {
            return NGX_ERROR;
        }
    }

    if (!host->named) {
        return host->naddrs ? NGX_OK
                            : ngx_http_waha_pg_address_add(name, NULL, 0);
    }

    text.len = ngx_strlen(host->host);
    text.data = (u_char *) host->host;

    name->name.len = text.len;
    name->name.data = ngx_pstrdup(pool, &text);

    return name->name.data ? NGX_OK : NGX_ERROR;
}


void
ngx_http_waha_pg_address_close(ngx_http_waha_pg_addresses_t *all)
{
    ngx_uint_t                i;
    ngx_http_waha_pg_name_t  *name;

    for (i = 0; i < all->nnames; i++) {
        name = &all->names[i];

        if (name->ctx) {
            ngx_resolve_name_done(name->ctx);
            name->ctx = NULL;
        }

        ngx_http_waha_pg_address_free_all(&name->addresses);
    }

    ngx_http_waha_pg_address_free_all(&all->former);
}


ngx_int_t
ngx_http_waha_pg_address_look_up(ngx_http_waha_pg_addresses_t *all)
{
    ngx_uint_t  i;

    /* one more: answers may be in the resolver's cache */
    all->running = 1;

    for (i = 0; i < all->nnames; i++) {

        if (all->names[i].name.len && all->conf->resolver) {
            ngx_http_waha_pg_address_ask(&all->names[i]);
        }
    }

    all->running--;

    return all->running ? NGX_AGAIN : NGX_OK;
}


static void
ngx_http_waha_pg_address_ask(ngx_http_waha_pg_name_t *name)
{
    ngx_resolver_ctx_t            *ctx;
    ngx_http_waha_pg_addresses_t  *all;

    all = name->all;

    ctx = ngx_resolve_start(all->conf->resolver, NULL);
    if (ctx == NULL) {
        return;
    }

    ctx->name = name->name;
    ctx->handler = ngx_http_waha_pg_address_on_answer;
    ctx->data = name;
    ctx->timeout = all->conf->resolver_timeout;
    ctx->cancelable = 1;

    name->ctx = ctx;
    all->running++;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        /* the resolver has freed it */
        name->ctx = NULL;
        all->running--;
    }
}


static void
ngx_http_waha_pg_address_on_answer(ngx_resolver_ctx_t *ctx)
{
    ngx_http_waha_pg_name_t       *name;
    ngx_http_waha_pg_addresses_t  *all;

    name = ctx->data;
    all = name->all;

    if (ctx->state == NGX_OK) {
        ngx_http_waha_pg_address_renew(name, ctx);

    } else if (ctx->state != name->state) {
        ngx_http_waha_pg_address_log_failure(name, ctx->state);
    }

    name->state = ctx->state;

    ngx_resolve_name_done(ctx);

    name->ctx = NULL;
    all->running--;

    if (all->running == 0) {
        all->handler(all->data);
    }
}


static void
ngx_http_waha_pg_address_log_failure(ngx_http_waha_pg_name_t *name,
    ngx_int_t state)
{
    ngx_uint_t   level;
    const char  *result;

    level = NGX_LOG_WARN;
    result = ", it keeps its addresses";

    if (ngx_queue_empty(&name->addresses)) {
        level = NGX_LOG_ERR;
        result = "";
    }

    ngx_log_error(level, name->all->log, 0,
                  "waha: database %s: the name could not be resolved "
                  "(%i: %s)%s", name->host->host, state,
                  ngx_resolver_strerror(state), result);
}


/* addresses that stay keep their place, new ones follow */

static void
ngx_http_waha_pg_address_renew(ngx_http_waha_pg_name_t *name,
    ngx_resolver_ctx_t *ctx)
{
    ngx_int_t             rc;
    ngx_uint_t            i, n, added;
    ngx_resolver_addr_t  *addr;

    addr = ctx->addrs;
    added = 0;

    n = ngx_http_waha_pg_address_keep(name, ctx);

    for (i = 0; i < ctx->naddrs && n < NGX_HTTP_WAHA_PG_ADDRESSES; i++) {
        rc = ngx_http_waha_pg_address_add(name, addr[i].sockaddr,
                                          addr[i].socklen);
        if (rc == NGX_ERROR) {
            break;
        }

        if (rc == NGX_OK) {
            n++;
            added++;
        }
    }

    if (added && n == NGX_HTTP_WAHA_PG_ADDRESSES && n < ctx->naddrs) {
        ngx_log_error(NGX_LOG_NOTICE, name->all->log, 0,
                      "waha: database %s: %ui of its %ui addresses are used",
                      name->host->host, n, ctx->naddrs);
    }

    ngx_http_waha_pg_address_drop_former(name, n);
}


/* marks the addresses that are not in the answer; how many are in it */

static ngx_uint_t
ngx_http_waha_pg_address_keep(ngx_http_waha_pg_name_t *name,
    ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t                   i, n;
    ngx_queue_t                 *q;
    ngx_resolver_addr_t         *addr;
    ngx_http_waha_pg_address_t  *address;

    n = 0;
    addr = ctx->addrs;

    for (q = ngx_queue_head(&name->addresses);
         q != ngx_queue_sentinel(&name->addresses);
         q = ngx_queue_next(q))
    {
        address = ngx_queue_data(q, ngx_http_waha_pg_address_t, queue);
        address->former = 1;
    }

    for (i = 0; i < ctx->naddrs; i++) {
        address = ngx_http_waha_pg_address_find(&name->addresses, name,
                                                addr[i].sockaddr,
                                                addr[i].socklen);
        if (address && address->former) {
            address->former = 0;
            n++;
        }
    }

    return n;
}


static void
ngx_http_waha_pg_address_drop_former(ngx_http_waha_pg_name_t *name,
    ngx_uint_t others)
{
    ngx_queue_t                 *q, *next;
    ngx_http_waha_pg_address_t  *address;

    for (q = ngx_queue_head(&name->addresses);
         q != ngx_queue_sentinel(&name->addresses);
         q = next)
    {
        next = ngx_queue_next(q);
        address = ngx_queue_data(q, ngx_http_waha_pg_address_t, queue);

        if (!address->former) {
            continue;
        }

        if (others == 0) {
            /* there was no memory for the others */
            address->former = 0;
            continue;
        }

        ngx_log_error(NGX_LOG_NOTICE, name->all->log, 0,
                      "waha: database %s: no longer an address of the name",
                      address->name);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&name->all->former, q);

        name->all->n--;
    }
}


/* NGX_DECLINED: it is one of those that the name has now */

static ngx_int_t
ngx_http_waha_pg_address_add(ngx_http_waha_pg_name_t *name,
    struct sockaddr *sa, socklen_t socklen)
{
    ngx_http_waha_pg_address_t    *address;
    ngx_http_waha_pg_addresses_t  *all;

    all = name->all;

    if (ngx_http_waha_pg_address_find(&name->addresses, name, sa, socklen)) {
        return NGX_DECLINED;
    }

    address = ngx_http_waha_pg_address_find(&all->former, name, sa, socklen);

    if (address) {
        address->former = 0;
        ngx_queue_remove(&address->queue);

    } else {
        address = ngx_http_waha_pg_address_create(name, sa, socklen);
        if (address == NULL) {
            return NGX_ERROR;
        }
    }

    if (name->ctx) {
        ngx_log_error(NGX_LOG_NOTICE, all->log, 0,
                      "waha: database %s: a new address of the name",
                      address->name);
    }

    ngx_queue_insert_tail(&name->addresses, &address->queue);

    all->n++;

    return NGX_OK;
}


static ngx_http_waha_pg_address_t *
ngx_http_waha_pg_address_find(ngx_queue_t *queue,
    ngx_http_waha_pg_name_t *name, struct sockaddr *sa, socklen_t socklen)
{
    size_t                       len;
    u_char                       text[NGX_SOCKADDR_STRLEN + 1];
    ngx_queue_t                 *q;
    ngx_http_waha_pg_address_t  *address;

    len = sa ? ngx_sock_ntop(sa, socklen, text, NGX_SOCKADDR_STRLEN, 0) : 0;
    text[len] = '\0';

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        address = ngx_queue_data(q, ngx_http_waha_pg_address_t, queue);

        if (address->owner == name && ngx_strcmp(address->text, text) == 0) {
            return address;
        }
    }

    return NULL;
}


static ngx_http_waha_pg_address_t *
ngx_http_waha_pg_address_create(ngx_http_waha_pg_name_t *name,
    struct sockaddr *sa, socklen_t socklen)
{
    u_char                      *text;
    ngx_pool_t                  *pool;
    ngx_http_waha_pg_address_t  *address;

    pool = ngx_create_pool(2048, name->all->log);
    if (pool == NULL) {
        return NULL;
    }

    address = ngx_pcalloc(pool, sizeof(ngx_http_waha_pg_address_t));
    text = ngx_pcalloc(pool, NGX_SOCKADDR_STRLEN + 1);

    if (address == NULL || text == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    if (sa) {
        (void) ngx_sock_ntop(sa, socklen, text, NGX_SOCKADDR_STRLEN, 0);
    }

    address->pool = pool;
    address->owner = name;
    address->text = (const char *) text;

    if (ngx_http_waha_pg_address_set_values(address, sa) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    return address;
}


static ngx_int_t
ngx_http_waha_pg_address_set_values(ngx_http_waha_pg_address_t *address,
    struct sockaddr *sa)
{
    size_t                    n;
    const char              **v, *sslmode, *binding;
    ngx_http_waha_pg_host_t  *host;
    ngx_http_waha_pg_conf_t  *conf;

    host = address->owner->host;
    conf = address->owner->all->conf;

    n = conf->common + NGX_HTTP_WAHA_PG_HOST_KEYWORDS + 1;

    v = ngx_palloc(address->pool, n * sizeof(char *));
    if (v == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(v, conf->values, n * sizeof(char *));

    address->values = v;
    v += conf->common;

    sslmode = v[NGX_HTTP_WAHA_PG_SSLMODE];
    binding = v[NGX_HTTP_WAHA_PG_CHANNEL_BINDING];

    /* who answers for a name may not choose that it is not verified */

    if (sa && (host->remote || !ngx_http_waha_pg_host_is_loopback(sa))) {

        if (*sslmode == '\0') {
            sslmode = "verify-full";
        }

        if (*binding == '\0'
            && ngx_strcmp(sslmode, "require") == 0
            && ngx_http_waha_pg_host_has_password(conf))
        {
            /* a server that is not verified must not get the password */
            binding = "require";
        }
    }

    v[NGX_HTTP_WAHA_PG_HOST] = host->host;
    v[NGX_HTTP_WAHA_PG_HOSTADDR] = address->text;
    v[NGX_HTTP_WAHA_PG_PORT] = host->port;
    v[NGX_HTTP_WAHA_PG_SSLMODE] = *sslmode ? sslmode : "disable";
    v[NGX_HTTP_WAHA_PG_CHANNEL_BINDING] = binding;

    address->name = ngx_http_waha_pg_address_format(address);

    return address->name ? NGX_OK : NGX_ERROR;
}


static const char *
ngx_http_waha_pg_address_format(ngx_http_waha_pg_address_t *address)
{
    size_t       len;
    u_char      *p;
    const char  *host, *text, *port;

    host = address->owner->host->host;
    port = address->owner->host->port;
    text = address->text;

    len = ngx_strlen(host) + ngx_strlen(text) + ngx_strlen(port)
          + sizeof("local socket: ()");

    p = ngx_pnalloc(address->pool, len);
    if (p == NULL) {
        return NULL;
    }

    if (*host == '\0') {
        (void) ngx_sprintf(p, "%s:%s%Z", *text ? text : "local socket", port);

    } else if (*text == '\0' || ngx_strcmp(host, text) == 0) {
        (void) ngx_sprintf(p, "%s:%s%Z", host, port);

    } else {
        (void) ngx_sprintf(p, "%s:%s (%s)%Z", host, port, text);
    }

    return (const char *) p;
}


ngx_http_waha_pg_address_t *
ngx_http_waha_pg_address_next(ngx_http_waha_pg_addresses_t *all,
    ngx_http_waha_pg_address_t *address)
{
    ngx_queue_t              *q;
    ngx_http_waha_pg_name_t  *name;

    name = address ? address->owner : all->names;
    q = ngx_queue_next(address ? &address->queue : &name->addresses);

    while (q == ngx_queue_sentinel(&name->addresses)) {

        name++;

        if (name == &all->names[all->nnames]) {
            name = all->names;
        }

        q = ngx_queue_head(&name->addresses);
    }

    return ngx_queue_data(q, ngx_http_waha_pg_address_t, queue);
}


void
ngx_http_waha_pg_address_free(ngx_http_waha_pg_address_t *address)
{
    ngx_queue_remove(&address->queue);
    ngx_destroy_pool(address->pool);
}


static void
ngx_http_waha_pg_address_free_all(ngx_queue_t *queue)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(queue)) {
        q = ngx_queue_head(queue);
        ngx_http_waha_pg_address_free(ngx_queue_data(q,
                                          ngx_http_waha_pg_address_t, queue));
    }
}
