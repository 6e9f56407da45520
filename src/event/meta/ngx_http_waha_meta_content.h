
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_META_CONTENT_H_INCLUDED_
#define _NGX_HTTP_WAHA_META_CONTENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_json.h>


/* what a type of message is */

typedef struct {
    ngx_str_t                            name;
    ngx_str_t                            type;  /* in the database */
    const char                          *text;  /* the member of its words */

    unsigned                             media:1;
    unsigned                             says_nothing:1;
} ngx_http_waha_meta_content_type_t;


/* what was found in a message */

typedef struct {
    /* NULL: the type is in no table */
    const ngx_http_waha_meta_content_type_t  *entry;

    ngx_str_t                            name;      /* the type as sent */
    ngx_str_t                            type;      /* in the database */
    ngx_str_t                            text;      /* data NULL: none */

    /* the member that is named like the type, and the reply in it */
    cJSON                               *object;
    cJSON                               *reply;
} ngx_http_waha_meta_content_t;


/* Finds what a message, or the new one of an edit, is. */
void ngx_http_waha_meta_content_find(const cJSON *message,
    ngx_http_waha_meta_content_t *found);


#endif /* _NGX_HTTP_WAHA_META_CONTENT_H_INCLUDED_ */
