
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_H_INCLUDED_
#define _NGX_HTTP_WAHA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the versions of schema "waha" that this module can work with */

#define NGX_HTTP_WAHA_CONTRACT_MIN  1
#define NGX_HTTP_WAHA_CONTRACT_MAX  1


#endif /* _NGX_HTTP_WAHA_H_INCLUDED_ */
