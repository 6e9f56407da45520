
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SHARE_H_INCLUDED_
#define _NGX_HTTP_WAHA_SHARE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* how many places each session or organization takes of what all have */

typedef struct {
    ngx_rbtree_t         tree;
    ngx_rbtree_node_t    sentinel;

    /* the places that one may take */
    ngx_uint_t           max;
} ngx_http_waha_shares_t;


typedef struct {
    ngx_str_node_t       node;
    ngx_uint_t           taken;

    /* of the owner of the shares: what waits for a place, and how many */
    ngx_queue_t          waiting;
    ngx_uint_t           nwaiting;
} ngx_http_waha_share_t;


void ngx_http_waha_share_init(ngx_http_waha_shares_t *shares,
    ngx_uint_t max);

/* Finds the share of somebody who has taken places, or NULL. */
ngx_http_waha_share_t *ngx_http_waha_share_find(
    ngx_http_waha_shares_t *shares, ngx_str_t *name);

/* Whether all places that the name may take are taken. */
ngx_uint_t ngx_http_waha_share_is_spent(ngx_http_waha_shares_t *shares,
    ngx_str_t *name);

/*
 * Takes a place, to be given back.  NULL: no memory, the place is not
 * counted.
 */
ngx_http_waha_share_t *ngx_http_waha_share_take(
    ngx_http_waha_shares_t *shares, ngx_str_t *name);

/* Gives a place back, after which the share may be gone; it may be NULL. */
void ngx_http_waha_share_give(ngx_http_waha_shares_t *shares,
    ngx_http_waha_share_t *share);


#endif /* _NGX_HTTP_WAHA_SHARE_H_INCLUDED_ */
