
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_SECRETS_H_INCLUDED_
#define _NGX_HTTP_WAHA_SECRETS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_api.h>


/*
 * The operation that seals stored secrets with the first key again, a bounded
 * number of them.
 */
ngx_int_t ngx_http_waha_secrets_rotate(ngx_http_waha_api_t *api);


#endif /* _NGX_HTTP_WAHA_SECRETS_H_INCLUDED_ */
