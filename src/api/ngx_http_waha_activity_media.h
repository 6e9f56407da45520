
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_ACTIVITY_MEDIA_H_INCLUDED_
#define _NGX_HTTP_WAHA_ACTIVITY_MEDIA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_api.h>


/* The operation that answers with the file of an activity. */
ngx_int_t ngx_http_waha_activity_media(ngx_http_waha_api_t *api);


#endif /* _NGX_HTTP_WAHA_ACTIVITY_MEDIA_H_INCLUDED_ */
