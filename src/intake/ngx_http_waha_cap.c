
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_cap.h>


/*
 * While one batch commits or is read here, another one executes: with two the
 * database has always work, and more of them would only be smaller and wait
 * for the same processors.
 */

#define NGX_HTTP_WAHA_CAP_QUICK     2

/* one in so many batches is timed */

#define NGX_HTTP_WAHA_CAP_INTERVAL  16


static ngx_uint_t ngx_http_waha_cap_median(ngx_http_waha_cap_t *cap);


void
ngx_http_waha_cap_init(ngx_http_waha_cap_t *cap, ngx_uint_t max)
{
    ngx_uint_t  i;

    ngx_memzero(cap, sizeof(ngx_http_waha_cap_t));

    cap->max = max;
    cap->value = ngx_min(max, NGX_HTTP_WAHA_CAP_QUICK);

    for (i = 0; i < NGX_HTTP_WAHA_CAP_MEMORY; i++) {
        cap->wanted[i] = cap->value;
    }
}


ngx_uint_t
ngx_http_waha_cap_is_due(ngx_http_waha_cap_t *cap)
{
    if (cap->timed >= NGX_HTTP_WAHA_CAP_MEMORY
        && ++cap->untimed < NGX_HTTP_WAHA_CAP_INTERVAL)
    {
        return 0;
    }

    cap->untimed = 0;

    return 1;
}


void
ngx_http_waha_cap_follow(ngx_http_waha_cap_t *cap, ngx_uint_t execution,
    ngx_uint_t commit)
{
    ngx_uint_t  n;

    n = NGX_HTTP_WAHA_CAP_QUICK;

    if (execution == 0) {
        n = cap->max;

    } else if (commit >= execution) {
        /* as many as execute while that number of others commit */
        n += n * commit / execution;
    }

    cap->wanted[cap->timed++ % NGX_HTTP_WAHA_CAP_MEMORY] = ngx_min(n, cap->max);

    cap->value = ngx_http_waha_cap_median(cap);
}


/* one batch that had to wait for a lock or a checkpoint changes nothing */

static ngx_uint_t
ngx_http_waha_cap_median(ngx_http_waha_cap_t *cap)
{
    ngx_uint_t  i, j, n, sorted[NGX_HTTP_WAHA_CAP_MEMORY];

    for (i = 0; i < NGX_HTTP_WAHA_CAP_MEMORY; i++) {
        n = cap->wanted[i];

        for (j = i; j > 0 && sorted[j - 1] > n; j--) {
            sorted[j] = sorted[j - 1];
        }

        sorted[j] = n;
    }

    return sorted[NGX_HTTP_WAHA_CAP_MEMORY / 2];
}
