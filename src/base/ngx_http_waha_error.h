
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_ERROR_H_INCLUDED_
#define _NGX_HTTP_WAHA_ERROR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* ways to fail, as README's table lists them */

typedef enum {
    NGX_HTTP_WAHA_ERR_NONE = 0,

    /* webhooks */
    NGX_HTTP_WAHA_ERR_INVALID_SIGNATURE,
    NGX_HTTP_WAHA_ERR_INVALID_EVENT,
    NGX_HTTP_WAHA_ERR_UNKNOWN_ORGANIZATION,
    NGX_HTTP_WAHA_ERR_DISABLED_ORGANIZATION,
    NGX_HTTP_WAHA_ERR_CONTRADICTION,
    NGX_HTTP_WAHA_ERR_UNKNOWN_CONNECTION,
    NGX_HTTP_WAHA_ERR_QUARANTINE_FULL,

    /* authorization */
    NGX_HTTP_WAHA_ERR_UNAUTHORIZED,
    NGX_HTTP_WAHA_ERR_FORBIDDEN,
    NGX_HTTP_WAHA_ERR_TOO_MANY_ATTEMPTS,

    /* requests of the API */
    NGX_HTTP_WAHA_ERR_UNKNOWN_ROUTE,
    NGX_HTTP_WAHA_ERR_METHOD_NOT_ALLOWED,
    NGX_HTTP_WAHA_ERR_INVALID_REQUEST,
    NGX_HTTP_WAHA_ERR_INVALID_ARGUMENT,
    NGX_HTTP_WAHA_ERR_UNKNOWN_SESSION,
    NGX_HTTP_WAHA_ERR_UNKNOWN_CONTACT,
    NGX_HTTP_WAHA_ERR_UNKNOWN_CONVERSATION,
    NGX_HTTP_WAHA_ERR_UNKNOWN_ACTIVITY,
    NGX_HTTP_WAHA_ERR_UNKNOWN_KEY,
    NGX_HTTP_WAHA_ERR_NO_MEDIA,
    NGX_HTTP_WAHA_ERR_FOREIGN_MEDIA,
    NGX_HTTP_WAHA_ERR_MEDIA_EXPIRED,
    NGX_HTTP_WAHA_ERR_NO_QR,
    NGX_HTTP_WAHA_ERR_NOT_CREATED,
    NGX_HTTP_WAHA_ERR_SESSION_WITHOUT_INSTANCE,
    NGX_HTTP_WAHA_ERR_TOO_MANY_SESSIONS,
    NGX_HTTP_WAHA_ERR_TOO_MANY_KEYS,
    NGX_HTTP_WAHA_ERR_TOO_MANY_OPERATIONS,
    NGX_HTTP_WAHA_ERR_SESSION_BUSY,
    NGX_HTTP_WAHA_ERR_SESSIONS_EXIST,
    NGX_HTTP_WAHA_ERR_NOT_SUPPORTED,
    NGX_HTTP_WAHA_ERR_NUMBER_TAKEN,
    NGX_HTTP_WAHA_ERR_NOT_CONNECTED,
    NGX_HTTP_WAHA_ERR_NO_APP_SECRET,

    /* WAHA */
    NGX_HTTP_WAHA_ERR_WAHA_UNAVAILABLE,
    NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER,
    NGX_HTTP_WAHA_ERR_WAHA_ERROR,
    NGX_HTTP_WAHA_ERR_WAHA_TIMEOUT,
    NGX_HTTP_WAHA_ERR_NO_INSTANCE,

    /* Meta */
    NGX_HTTP_WAHA_ERR_TOKEN_REFUSED,
    NGX_HTTP_WAHA_ERR_TOKEN_FORBIDDEN,
    NGX_HTTP_WAHA_ERR_SECRET_REFUSED,
    NGX_HTTP_WAHA_ERR_CODE_REFUSED,
    NGX_HTTP_WAHA_ERR_UNKNOWN_NUMBER,
    NGX_HTTP_WAHA_ERR_UNKNOWN_ACCOUNT,
    NGX_HTTP_WAHA_ERR_ACCOUNT_RESTRICTED,
    NGX_HTTP_WAHA_ERR_META_THROTTLED,
    NGX_HTTP_WAHA_ERR_META_UNAVAILABLE,
    NGX_HTTP_WAHA_ERR_META_INVALID_ANSWER,
    NGX_HTTP_WAHA_ERR_META_ERROR,
    NGX_HTTP_WAHA_ERR_META_TIMEOUT,
    NGX_HTTP_WAHA_ERR_WEBHOOK_UNREACHABLE,
    NGX_HTTP_WAHA_ERR_NO_GRAPH,
    NGX_HTTP_WAHA_ERR_NO_APP,
    NGX_HTTP_WAHA_ERR_NO_SECRET_KEY,
    NGX_HTTP_WAHA_ERR_SECRET_UNREADABLE,

    /* nginx and the database */
    NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY,
    NGX_HTTP_WAHA_ERR_TOO_MANY_REQUESTS,
    NGX_HTTP_WAHA_ERR_OVERLOADED,
    NGX_HTTP_WAHA_ERR_DATABASE_UNAVAILABLE,
    NGX_HTTP_WAHA_ERR_DATABASE_BUSY,
    NGX_HTTP_WAHA_ERR_DATABASE_SETUP,

    NGX_HTTP_WAHA_ERR_MAX
} ngx_http_waha_error_e;


/*
 * The error whose code the database gave; ..._NONE: the module has no such
 * code.
 */
ngx_http_waha_error_e ngx_http_waha_error_find(ngx_str_t *code);

/* The HTTP status, the code, and the sentence of an error. */
ngx_uint_t ngx_http_waha_error_status(ngx_http_waha_error_e error);
const ngx_str_t *ngx_http_waha_error_code(ngx_http_waha_error_e error);
const char *ngx_http_waha_error_message(ngx_http_waha_error_e error);

/* Shows an error as $waha_action.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_waha_error_note(ngx_http_request_t *r,
    ngx_http_waha_error_e error);

/*
 * Sends an error as the whole response and shows it as $waha_action; 503 and
 * 429 ask the client to retry, after ctx->retry_after if that is set.  The
 * result is for ngx_http_finalize_request() or to be returned by a content
 * handler.
 */
ngx_int_t ngx_http_waha_error_send(ngx_http_request_t *r,
    ngx_http_waha_error_e error);

/* The same with "data" for programs; data is JSON, or NULL for none. */
ngx_int_t ngx_http_waha_error_send_data(ngx_http_request_t *r,
    ngx_http_waha_error_e error, ngx_str_t *data);

/*
 * The result of a handler for ngx_http_finalize_request(): a want of memory,
 * NGX_HTTP_INTERNAL_SERVER_ERROR before the response has begun, is sent as
 * NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY.
 */
ngx_int_t ngx_http_waha_error_result(ngx_http_request_t *r, ngx_int_t rc);


#endif /* _NGX_HTTP_WAHA_ERROR_H_INCLUDED_ */
