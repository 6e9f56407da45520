
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_NUMBER_MEDIA_H_INCLUDED_
#define _NGX_HTTP_WAHA_NUMBER_MEDIA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>
#include <ngx_http_waha_step.h>


/*
 * A plan that answers with a file of Meta: reply, of waha.find_media, has its
 * id and the number that it came to.  Graph gives a URL, which is good for
 * five minutes and is asked for each time; the file is streamed through the
 * location that "waha_meta_media" names for its host.
 */
ngx_int_t ngx_http_waha_number_media(ngx_http_waha_step_t *step,
    const cJSON *reply);


#endif /* _NGX_HTTP_WAHA_NUMBER_MEDIA_H_INCLUDED_ */
