
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


/* a question of a request, and its answer; of r->pool */

struct ngx_http_waha_auth_lookup_s {
    ngx_http_waha_auth_lookup_t    *next;

    u_char                          key[NGX_HTTP_WAHA_AUTH_CACHE_KEY];
    ngx_uint_t                      generation;

    ngx_http_request_t             *request;
    ngx_http_waha_statement_e       statement;
    ngx_http_waha_query_t           query;

    ngx_http_waha_auth_record_t     record;

    /* why there is no record; NGX_HTTP_WAHA_ERR_NONE: there is one */
    ngx_http_waha_error_e           error;

    unsigned                        waiting:1;
};


/*
 * Asks whose API key a well-formed credential is, or for an organization by
 * its slug or id.  *lookups is the list of what the request has asked, which
 * is looked at first.  NGX_OK: *lookup has record or error.  NGX_AGAIN: the
 * database is asked; the phases are run again.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_auth_lookup(ngx_http_request_t *r,
    ngx_http_waha_auth_lookup_t **lookups, ngx_http_waha_statement_e statement,
    ngx_str_t *text, ngx_http_waha_auth_lookup_t **lookup);

/*
 * Reads an organization that the database tells, with memory of pool, which
 * json is of.  NGX_ERROR: it is none, or no memory.
 */
ngx_int_t ngx_http_waha_auth_lookup_organization(ngx_pool_t *pool,
    cJSON *json, ngx_http_waha_organization_t *organization);


#endif /* _NGX_HTTP_WAHA_AUTH_LOOKUP_H_INCLUDED_ */
