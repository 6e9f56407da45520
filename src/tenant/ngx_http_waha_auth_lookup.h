
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_AUTH_LOOKUP_H_INCLUDED_
#define _NGX_HTTP_WAHA_AUTH_LOOKUP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_auth_cache.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_query.h>


typedef struct ngx_http_waha_auth_lookup_s  ngx_http_waha_auth_lookup_t;


/* an API key or an organization that a request needs; in r->pool */

struct ngx_http_waha_auth_lookup_s {
    ngx_http_waha_auth_lookup_t    *next;

    u_char                          key[NGX_HTTP_WAHA_CACHE_KEY];
    ngx_uint_t                      generation;
    ngx_str_t                       name;           /* for the cache */

    ngx_http_request_t             *request;
    ngx_http_waha_statement_e       statement;
    ngx_http_waha_query_t           query;

    ngx_http_waha_auth_record_t     record;

    /* NGX_HTTP_WAHA_ERR_NONE: the record is set, even if not found */
    ngx_http_waha_error_e           error;

    /* for other look-ups of the same address */
    ngx_event_t                     timer;
    ngx_pool_cleanup_t             *cleanup;
    ngx_uint_t                      waits;

    unsigned                        waiting:1;
    unsigned                        done:1;
};


/*
 * Looks up a well-formed API key (NGX_HTTP_WAHA_AUTHENTICATE), or the slug or
 * id of an organization (NGX_HTTP_WAHA_FIND_ORGANIZATION): in *lookups, the
 * list of the request's lookups, in the cache, and in the database.  NGX_OK:
 * *lookup has a record or an error.  NGX_AGAIN: a query is running, or cannot
 * run yet; the phases of r are run again, and call this again.  NGX_ERROR:
 * no memory.
 */
ngx_int_t ngx_http_waha_auth_lookup(ngx_http_request_t *r,
    ngx_http_waha_auth_lookup_t **lookups, ngx_http_waha_statement_e statement,
    ngx_str_t *text, ngx_http_waha_auth_lookup_t **lookup);

/*
 * Parses an organization in a reply of the database; its strings are of
 * pool, or point into the reply.  NGX_DECLINED: malformed; NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_http_waha_auth_lookup_parse_organization(ngx_pool_t *pool,
    const ngx_str_t *reply, const cJSON *json,
    ngx_http_waha_organization_t *organization);


#endif /* _NGX_HTTP_WAHA_AUTH_LOOKUP_H_INCLUDED_ */
