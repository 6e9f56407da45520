
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_SHIM_H_INCLUDED_
#define _NGX_SHIM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the allocation that is to fail, and all after it; 0: none */
extern ngx_uint_t  ngx_shim_fail;

/* bytes given out since the program set it to 0 */
extern size_t      ngx_shim_allocated;

/* a log for pools, and its lines, until the program empties them */
extern ngx_log_t  *ngx_shim_log;
extern char        ngx_shim_lines[4096];

/* bytes that a pool has given out */
size_t ngx_shim_kept(ngx_pool_t *pool);


#endif /* _NGX_SHIM_H_INCLUDED_ */
