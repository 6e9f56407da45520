
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_OUTCOME_H_INCLUDED_
#define _NGX_HTTP_WAHA_OUTCOME_H_INCLUDED_


#include <ngx_http_waha_batch.h>


/*
 * Finishes the entries that the result of a batch names, or sends them to
 * quarantine; the others stay.
 */
void ngx_http_waha_outcome_read(ngx_http_waha_batch_t *batch);

/*
 * Runs a batch that has failed once more, together or each entry alone.
 * NGX_OK: the batch is on its way again.  NGX_DECLINED: it is not, and the
 * entries that it has left are to be finished.
 */
ngx_int_t ngx_http_waha_outcome_retry(ngx_http_waha_batch_t *batch);

/* status: NGX_HTTP_WAHA_PG_* */
void ngx_http_waha_outcome_finish_all(ngx_http_waha_batch_t *batch,
    ngx_uint_t status);


#endif /* _NGX_HTTP_WAHA_OUTCOME_H_INCLUDED_ */
