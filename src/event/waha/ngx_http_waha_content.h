
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_CONTENT_H_INCLUDED_
#define _NGX_HTTP_WAHA_CONTENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>


#define NGX_HTTP_WAHA_CONTENT_TEXTS  5


/* what a member or type of a message is */

typedef enum {
    NGX_HTTP_WAHA_CONTENT_SAYS = 0,     /* words, media, cards of a person */
    NGX_HTTP_WAHA_CONTENT_WRAPS,        /* another message is inside */
    NGX_HTTP_WAHA_CONTENT_ONCE,         /* the same, to be viewed once */
    NGX_HTTP_WAHA_CONTENT_PROTOCOL,     /* an edit, a revoke or a notice */
    NGX_HTTP_WAHA_CONTENT_SECRET,       /* an edit that is encrypted */
    NGX_HTTP_WAHA_CONTENT_REACTS,
    NGX_HTTP_WAHA_CONTENT_REVOKES,
    NGX_HTTP_WAHA_CONTENT_CALLS,        /* the events of calls tell it */
    NGX_HTTP_WAHA_CONTENT_WAITS,        /* not decrypted yet */
    NGX_HTTP_WAHA_CONTENT_NOTHING,      /* no content for a person: ignored */
    NGX_HTTP_WAHA_CONTENT_BESIDE        /* goes with the content, if any */
} ngx_http_waha_content_e;


typedef struct {
    ngx_str_t                   name;
    ngx_http_waha_content_e     is;
    ngx_str_t                   type;   /* the name in the database */

    /* paths from the member to the text, the first one that is there counts */
    const char                 *texts[NGX_HTTP_WAHA_CONTENT_TEXTS];
} ngx_http_waha_content_t;


/* what was found in a message */

typedef struct {
    /* NULL: it is in no table */
    const ngx_http_waha_content_t  *entry;

    /* the member of the proto message, or "_data" of WEBJS and WPP */
    cJSON                          *item;

    unsigned                        view_once:1;
    unsigned                        is_web:1;   /* of WEBJS or WPP */
} ngx_http_waha_content_found_t;


/* Finds what the "_data" of a WAMessage is; data may be NULL. */
void ngx_http_waha_content_find(const cJSON *data,
    ngx_http_waha_content_found_t *found);

/* The same for a proto message, whose wrappers are opened. */
void ngx_http_waha_content_find_proto(cJSON *proto,
    ngx_http_waha_content_found_t *found);

/* The text of what was found, not empty; data is NULL if there is none. */
ngx_str_t ngx_http_waha_content_text(ngx_http_waha_content_found_t *found);

/*
 * A value by its path, "a.b", without regard to case, which differs between
 * engines; of an array the first element counts.  NULL: none, or JSON null.
 */
cJSON *ngx_http_waha_content_get(const cJSON *object, const char *path);

/* The same for a string, which ends with NUL; data is NULL if it is none. */
ngx_str_t ngx_http_waha_content_get_string(const cJSON *object,
    const char *path);

/* The proto message in "_data" of NOWEB or GOWS; NULL: there is none. */
cJSON *ngx_http_waha_content_proto(const cJSON *data);


#endif /* _NGX_HTTP_WAHA_CONTENT_H_INCLUDED_ */
