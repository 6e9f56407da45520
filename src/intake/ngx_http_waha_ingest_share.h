
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_INGEST_SHARE_H_INCLUDED_
#define _NGX_HTTP_WAHA_INGEST_SHARE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* how much of the queue each session takes */

typedef struct {
    ngx_rbtree_t         tree;
    ngx_rbtree_node_t    sentinel;

    /* of one session */
    ngx_uint_t           max;
} ngx_http_waha_ingest_shares_t;


typedef struct {
    ngx_str_node_t       node;
    ngx_uint_t           taken;
} ngx_http_waha_ingest_share_t;


void ngx_http_waha_ingest_share_init(ngx_http_waha_ingest_shares_t *shares,
    ngx_uint_t max);

/* Whether the session has all that it may take. */
ngx_uint_t ngx_http_waha_ingest_share_is_spent(
    ngx_http_waha_ingest_shares_t *shares, ngx_str_t *session);

/*
 * Takes a place for an event of the session, to be given back.  NULL: no
 * memory, the place is not counted.
 */
ngx_http_waha_ingest_share_t *ngx_http_waha_ingest_share_take(
    ngx_http_waha_ingest_shares_t *shares, ngx_str_t *session);

/* Gives a place back; share may be NULL. */
void ngx_http_waha_ingest_share_give(ngx_http_waha_ingest_shares_t *shares,
    ngx_http_waha_ingest_share_t *share);


#endif /* _NGX_HTTP_WAHA_INGEST_SHARE_H_INCLUDED_ */
