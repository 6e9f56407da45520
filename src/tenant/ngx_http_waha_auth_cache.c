
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_auth_cache.h>


/* entries */

#define NGX_HTTP_WAHA_AUTH_CACHE_SIZE  4096


/* followed by the slug and the id of the organization */

typedef struct {
    ngx_http_waha_cache_entry_t    entry;
    ngx_http_waha_auth_record_t    record;
} ngx_http_waha_auth_entry_t;


static void ngx_http_waha_auth_cache_free(ngx_http_waha_cache_entry_t *entry);
static ngx_int_t ngx_http_waha_auth_cache_copy(ngx_pool_t *pool,
    ngx_str_t *dst, ngx_str_t *src);


ngx_http_waha_cache_t *
ngx_http_waha_auth_cache_create(ngx_cycle_t *cycle)
{
    return ngx_http_waha_cache_create(cycle, NGX_HTTP_WAHA_AUTH_CACHE_SIZE, 0,
                                      ngx_http_waha_auth_cache_free);
}


static void
ngx_http_waha_auth_cache_free(ngx_http_waha_cache_entry_t *entry)
{
    ngx_free(entry);
}


ngx_int_t
ngx_http_waha_auth_cache_get(ngx_http_waha_cache_t *cache, u_char *key,
    ngx_pool_t *pool, ngx_http_waha_auth_record_t *record)
{
    ngx_http_waha_auth_entry_t    *entry;
    ngx_http_waha_organization_t  *organization, *cached;

    entry = (ngx_http_waha_auth_entry_t *) ngx_http_waha_cache_find(cache, key);

    if (entry == NULL) {
        return NGX_DECLINED;
    }

    if (!ngx_http_waha_cache_is_current(cache, &entry->entry)
        || (entry->record.expires && entry->record.expires <= ngx_time()))
    {
        ngx_http_waha_cache_remove(cache, &entry->entry);
        return NGX_DECLINED;
    }

    *record = entry->record;

    cached = &entry->record.principal.organization;
    organization = &record->principal.organization;

    if (ngx_http_waha_auth_cache_copy(pool, &organization->slug,
                                      &cached->slug)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_waha_auth_cache_copy(pool, &organization->id,
                                         &cached->id);
}


void
ngx_http_waha_auth_cache_put(ngx_http_waha_cache_t *cache, u_char *key,
    ngx_uint_t generation, ngx_str_t *name,
    ngx_http_waha_auth_record_t *record)
{
    u_char                        *p;
    ngx_str_t                     *names[NGX_HTTP_WAHA_CACHE_NAMES];
    ngx_http_waha_auth_entry_t    *entry;
    ngx_http_waha_organization_t  *organization;

    organization = &record->principal.organization;

    entry = ngx_alloc(sizeof(ngx_http_waha_auth_entry_t)
                      + organization->slug.len + organization->id.len,
                      ngx_cycle->log);
    if (entry == NULL) {
        return;
    }

    entry->record = *record;

    p = (u_char *) entry + sizeof(ngx_http_waha_auth_entry_t);

    entry->record.principal.organization.slug.data = p;
    p = ngx_cpymem(p, organization->slug.data, organization->slug.len);

    entry->record.principal.organization.id.data = p;
    ngx_memcpy(p, organization->id.data, organization->id.len);

    names[0] = name;
    names[1] = &organization->slug;
    names[2] = &organization->id;

    if (ngx_http_waha_cache_put(cache, &entry->entry, key, generation, names)
        != NGX_OK)
    {
        ngx_free(entry);
    }
}


void
ngx_http_waha_auth_cache_notified(void *data, const char *name)
{
    ngx_http_waha_cache_notified(data, name);
}


static ngx_int_t
ngx_http_waha_auth_cache_copy(ngx_pool_t *pool, ngx_str_t *dst,
    ngx_str_t *src)
{
    dst->len = src->len;

    dst->data = ngx_pstrdup(pool, src);
    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}
