
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_ingest_share.h>


static ngx_http_waha_ingest_share_t *ngx_http_waha_ingest_share_find(
    ngx_http_waha_ingest_shares_t *shares, ngx_str_t *session, uint32_t hash);


void
ngx_http_waha_ingest_share_init(ngx_http_waha_ingest_shares_t *shares,
    ngx_uint_t max)
{
    ngx_rbtree_init(&shares->tree, &shares->sentinel,
                    ngx_str_rbtree_insert_value);

    shares->max = max;
}


ngx_uint_t
ngx_http_waha_ingest_share_is_spent(ngx_http_waha_ingest_shares_t *shares,
    ngx_str_t *session)
{
    ngx_http_waha_ingest_share_t  *share;

    share = ngx_http_waha_ingest_share_find(shares, session,
                                            ngx_crc32_short(session->data,
                                                            session->len));

    return share && share->taken >= shares->max;
}


ngx_http_waha_ingest_share_t *
ngx_http_waha_ingest_share_take(ngx_http_waha_ingest_shares_t *shares,
    ngx_str_t *session)
{
    u_char                        *p;
    uint32_t                       hash;
    ngx_http_waha_ingest_share_t  *share;

    hash = ngx_crc32_short(session->data, session->len);

    share = ngx_http_waha_ingest_share_find(shares, session, hash);

    if (share == NULL) {
        p = ngx_alloc(sizeof(ngx_http_waha_ingest_share_t) + session->len,
                      ngx_cycle->log);
        if (p == NULL) {
            return NULL;
        }

        share = (ngx_http_waha_ingest_share_t *) p;
        p += sizeof(ngx_http_waha_ingest_share_t);

        ngx_memcpy(p, session->data, session->len);

        share->taken = 0;
        share->node.node.key = hash;
        share->node.str.data = p;
        share->node.str.len = session->len;

        ngx_rbtree_insert(&shares->tree, &share->node.node);
    }

    share->taken++;

    return share;
}


void
ngx_http_waha_ingest_share_give(ngx_http_waha_ingest_shares_t *shares,
    ngx_http_waha_ingest_share_t *share)
{
    if (share && --share->taken == 0) {
        ngx_rbtree_delete(&shares->tree, &share->node.node);
        ngx_free(share);
    }
}


static ngx_http_waha_ingest_share_t *
ngx_http_waha_ingest_share_find(ngx_http_waha_ingest_shares_t *shares,
    ngx_str_t *session, uint32_t hash)
{
    return (ngx_http_waha_ingest_share_t *)
               ngx_str_rbtree_lookup(&shares->tree, session, hash);
}
