
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_REASON_H_INCLUDED_
#define _NGX_HTTP_WAHA_REASON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>


/*
 * Logs that WAHA, the server named instance, answers with a status that is
 * not 2xx, and the reason that its answer, json, gives; json may be NULL.
 * Clients never see this text.
 */
void ngx_http_waha_reason_log(ngx_log_t *log, ngx_uint_t level,
    ngx_str_t *instance, ngx_uint_t status, const cJSON *json);

/*
 * Logs an error of Meta, whose messages may repeat a token or a callback URL:
 * the log has the numbers of the error, and Meta's own trace.
 */
void ngx_http_waha_reason_log_meta(ngx_log_t *log, ngx_uint_t status,
    const cJSON *json);


#endif /* _NGX_HTTP_WAHA_REASON_H_INCLUDED_ */
