
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_share.h>


void
ngx_http_waha_share_init(ngx_http_waha_shares_t *shares,
    ngx_uint_t max)
{
    ngx_rbtree_init(&shares->tree, &shares->sentinel,
                    ngx_str_rbtree_insert_value);

    shares->max = max;
}


ngx_http_waha_share_t *
ngx_http_waha_share_find(ngx_http_waha_shares_t *shares, ngx_str_t *name)
{
    return (ngx_http_waha_share_t *)
               ngx_str_rbtree_lookup(&shares->tree, name,
                                     ngx_crc32_short(name->data, name->len));
}


ngx_uint_t
ngx_http_waha_share_is_spent(ngx_http_waha_shares_t *shares, ngx_str_t *name)
{
    ngx_http_waha_share_t  *share;

    share = ngx_http_waha_share_find(shares, name);

    return share && share->taken >= shares->max;
}


ngx_http_waha_share_t *
ngx_http_waha_share_take(ngx_http_waha_shares_t *shares,
    ngx_str_t *name)
{
    u_char                 *p;
    ngx_http_waha_share_t  *share;

    share = ngx_http_waha_share_find(shares, name);

    if (share == NULL) {
        p = ngx_alloc(sizeof(ngx_http_waha_share_t) + name->len,
                      ngx_cycle->log);
        if (p == NULL) {
            return NULL;
        }

        share = (ngx_http_waha_share_t *) p;
        p += sizeof(ngx_http_waha_share_t);

        ngx_memcpy(p, name->data, name->len);

        share->taken = 0;
        share->nwaiting = 0;
        ngx_queue_init(&share->waiting);

        share->node.node.key = ngx_crc32_short(name->data, name->len);
        share->node.str.data = p;
        share->node.str.len = name->len;

        ngx_rbtree_insert(&shares->tree, &share->node.node);
    }

    share->taken++;

    return share;
}


void
ngx_http_waha_share_give(ngx_http_waha_shares_t *shares,
    ngx_http_waha_share_t *share)
{
    if (share && --share->taken == 0) {
        ngx_rbtree_delete(&shares->tree, &share->node.node);
        ngx_free(share);
    }
}
