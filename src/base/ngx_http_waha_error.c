
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_error.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_GONE         410

/* seconds that a client is asked to wait before it retries */

#define NGX_HTTP_WAHA_RETRY_AFTER  2

/* an error without data takes about as much */

#define NGX_HTTP_WAHA_ERROR_SIZE   256


typedef struct {
    ngx_str_t    code;
    ngx_uint_t   status;
    const char  *message;
} ngx_http_waha_error_t;


static ngx_int_t ngx_http_waha_error_retry_after(ngx_http_request_t *r);


static const ngx_http_waha_error_t  ngx_http_waha_errors[] = {

    /* webhooks */

    [NGX_HTTP_WAHA_ERR_INVALID_SIGNATURE] =
        { ngx_string("invalid_signature"), NGX_HTTP_UNAUTHORIZED,
          "the signature is missing or wrong" },

    [NGX_HTTP_WAHA_ERR_INVALID_EVENT] =
        { ngx_string("invalid_event"), NGX_HTTP_BAD_REQUEST,
          "the body is not an event of WAHA" },

    [NGX_HTTP_WAHA_ERR_UNKNOWN_ORGANIZATION] =
        { ngx_string("unknown_organization"), NGX_HTTP_NOT_FOUND,
          "no such organization is known" },

    [NGX_HTTP_WAHA_ERR_DISABLED_ORGANIZATION] =
        { ngx_string("disabled_organization"), NGX_HTTP_NOT_FOUND,
          "WhatsApp is not enabled for this organization" },

    [NGX_HTTP_WAHA_ERR_CONTRADICTION] =
        { ngx_string("contradiction"), NGX_HTTP_FORBIDDEN,
          "the session, the metadata and the query name different "
          "organizations" },

    [NGX_HTTP_WAHA_ERR_UNKNOWN_CONNECTION] =
        { ngx_string("unknown_connection"), NGX_HTTP_FORBIDDEN,
          "the verify token is not that of this callback URL" },

    [NGX_HTTP_WAHA_ERR_QUARANTINE_FULL] =
        { ngx_string("quarantine_full"), NGX_HTTP_SERVICE_UNAVAILABLE,
          "the event cannot be stored, and there is no room to keep it; send "
          "this again" },

    /* authorization */

    [NGX_HTTP_WAHA_ERR_UNAUTHORIZED] =
        { ngx_string("unauthorized"), NGX_HTTP_UNAUTHORIZED,
          "credentials are missing, wrong or expired" },

    [NGX_HTTP_WAHA_ERR_FORBIDDEN] =
        { ngx_string("forbidden"), NGX_HTTP_FORBIDDEN,
          "these credentials do not allow it" },

    [NGX_HTTP_WAHA_ERR_TOO_MANY_ATTEMPTS] =
        { ngx_string("too_many_attempts"), NGX_HTTP_TOO_MANY_REQUESTS,
          "too many failed attempts from this address" },

    /* requests of the API */

    [NGX_HTTP_WAHA_ERR_UNKNOWN_ROUTE] =
        { ngx_string("unknown_route"), NGX_HTTP_NOT_FOUND,
          "there is no such resource" },

    [NGX_HTTP_WAHA_ERR_METHOD_NOT_ALLOWED] =
        { ngx_string("method_not_allowed"), NGX_HTTP_NOT_ALLOWED,
          "the method is not allowed here" },

    [NGX_HTTP_WAHA_ERR_INVALID_REQUEST] =
        { ngx_string("invalid_request"), NGX_HTTP_BAD_REQUEST,
          "the body has to be a JSON object" },

    [NGX_HTTP_WAHA_ERR_INVALID_ARGUMENT] =
        { ngx_string("invalid_argument"), NGX_HTTP_BAD_REQUEST,
          "an argument is missing or not valid" },

    [NGX_HTTP_WAHA_ERR_UNKNOWN_SESSION] =
        { ngx_string("unknown_session"), NGX_HTTP_NOT_FOUND,
          "the organization has no such session" },

    [NGX_HTTP_WAHA_ERR_UNKNOWN_CONTACT] =
        { ngx_string("unknown_contact"), NGX_HTTP_NOT_FOUND,
          "the organization has no such contact" },

    [NGX_HTTP_WAHA_ERR_UNKNOWN_CONVERSATION] =
        { ngx_string("unknown_conversation"), NGX_HTTP_NOT_FOUND,
          "the organization has no such conversation" },

    [NGX_HTTP_WAHA_ERR_UNKNOWN_ACTIVITY] =
        { ngx_string("unknown_activity"), NGX_HTTP_NOT_FOUND,
          "the organization has no such activity" },

    [NGX_HTTP_WAHA_ERR_UNKNOWN_KEY] =
        { ngx_string("unknown_key"), NGX_HTTP_NOT_FOUND,
          "the organization has no such key" },

    [NGX_HTTP_WAHA_ERR_NO_MEDIA] =
        { ngx_string("no_media"), NGX_HTTP_NOT_FOUND,
          "the message has no file at WAHA" },

    [NGX_HTTP_WAHA_ERR_FOREIGN_MEDIA] =
        { ngx_string("foreign_media"), NGX_HTTP_NOT_FOUND,
          "the file is not at WAHA but at the URL of the message; with S3, "
          "WAHA passes it on if WAHA_S3_PROXY_FILES is True" },

    [NGX_HTTP_WAHA_ERR_MEDIA_EXPIRED] =
        { ngx_string("media_expired"), NGX_HTTP_WAHA_GONE,
          "WAHA has deleted the file" },

    [NGX_HTTP_WAHA_ERR_NO_QR] =
        { ngx_string("no_qr"), NGX_HTTP_CONFLICT,
          "there is no QR code to scan now" },

    [NGX_HTTP_WAHA_ERR_NOT_CREATED] =
        { ngx_string("not_created"), NGX_HTTP_CONFLICT,
          "WAHA does not know the session: connect it first" },

    [NGX_HTTP_WAHA_ERR_SESSION_WITHOUT_INSTANCE] =
        { ngx_string("session_without_instance"), NGX_HTTP_CONFLICT,
          "it is not known which WAHA server has the session" },

    [NGX_HTTP_WAHA_ERR_TOO_MANY_SESSIONS] =
        { ngx_string("too_many_sessions"), NGX_HTTP_CONFLICT,
          "the organization has as many sessions as it may" },

    [NGX_HTTP_WAHA_ERR_TOO_MANY_KEYS] =
        { ngx_string("too_many_keys"), NGX_HTTP_CONFLICT,
          "the organization has two keys: delete one first" },

    [NGX_HTTP_WAHA_ERR_TOO_MANY_OPERATIONS] =
        { ngx_string("too_many_operations"), NGX_HTTP_TOO_MANY_REQUESTS,
          "WAHA was asked for this too often; send this again later" },

    [NGX_HTTP_WAHA_ERR_SESSION_BUSY] =
        { ngx_string("session_busy"), NGX_HTTP_SERVICE_UNAVAILABLE,
          "another operation on the session is under way; send this again" },

    [NGX_HTTP_WAHA_ERR_SESSIONS_EXIST] =
        { ngx_string("sessions_exist"), NGX_HTTP_CONFLICT,
          "the organization has sessions: delete them first" },

    [NGX_HTTP_WAHA_ERR_NOT_SUPPORTED] =
        { ngx_string("not_supported"), NGX_HTTP_CONFLICT,
          "a number of the Cloud API can be connected, shown, logged out and "
          "deleted, but not do this" },

    [NGX_HTTP_WAHA_ERR_NUMBER_TAKEN] =
        { ngx_string("number_taken"), NGX_HTTP_CONFLICT,
          "another organization is connected to this number: it has to "
          "disconnect first" },

    [NGX_HTTP_WAHA_ERR_NOT_CONNECTED] =
        { ngx_string("not_connected"), NGX_HTTP_CONFLICT,
          "the organization is not connected to the number any more" },

    [NGX_HTTP_WAHA_ERR_NO_APP_SECRET] =
        { ngx_string("no_app_secret"), NGX_HTTP_BAD_REQUEST,
          "appSecret is missing: it is in the basic settings of the app at "
          "developers.facebook.com" },

    /* WAHA */

    [NGX_HTTP_WAHA_ERR_WAHA_UNAVAILABLE] =
        { ngx_string("waha_unavailable"), NGX_HTTP_BAD_GATEWAY,
          "WAHA cannot be reached" },

    [NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER] =
        { ngx_string("waha_invalid_answer"), NGX_HTTP_BAD_GATEWAY,
          "the answer of WAHA cannot be used" },

    [NGX_HTTP_WAHA_ERR_WAHA_ERROR] =
        { ngx_string("waha_error"), NGX_HTTP_BAD_GATEWAY,
          "WAHA refuses or fails" },

    [NGX_HTTP_WAHA_ERR_WAHA_TIMEOUT] =
        { ngx_string("waha_timeout"), NGX_HTTP_GATEWAY_TIME_OUT,
          "WAHA does not answer in time" },

    [NGX_HTTP_WAHA_ERR_NO_INSTANCE] =
        { ngx_string("no_instance"), NGX_HTTP_SERVICE_UNAVAILABLE,
          "the WAHA server of the session is not configured" },

    /* Meta */

    [NGX_HTTP_WAHA_ERR_TOKEN_REFUSED] =
        { ngx_string("token_refused"), NGX_HTTP_BAD_REQUEST,
          "Meta refuses the access token: it is wrong, expired or withdrawn; "
          "connect with a new one" },

    [NGX_HTTP_WAHA_ERR_TOKEN_FORBIDDEN] =
        { ngx_string("token_forbidden"), NGX_HTTP_BAD_REQUEST,
          "the access token needs whatsapp_business_management and "
          "whatsapp_business_messaging for the account of the number" },

    [NGX_HTTP_WAHA_ERR_SECRET_REFUSED] =
        { ngx_string("secret_refused"), NGX_HTTP_BAD_REQUEST,
          "the app secret is not that of the app which the access token is "
          "for" },

    [NGX_HTTP_WAHA_ERR_CODE_REFUSED] =
        { ngx_string("code_refused"), NGX_HTTP_BAD_REQUEST,
          "Meta refuses the code: it lives 30 seconds and is good for once; "
          "sign up again" },

    [NGX_HTTP_WAHA_ERR_UNKNOWN_NUMBER] =
        { ngx_string("unknown_number"), NGX_HTTP_BAD_REQUEST,
          "there is no number with this phoneNumberId that the access token "
          "may see" },

    [NGX_HTTP_WAHA_ERR_UNKNOWN_ACCOUNT] =
        { ngx_string("unknown_account"), NGX_HTTP_BAD_REQUEST,
          "no WhatsApp business account that the access token may see has "
          "the number: name it as wabaId" },

    [NGX_HTTP_WAHA_ERR_ACCOUNT_RESTRICTED] =
        { ngx_string("account_restricted"), NGX_HTTP_CONFLICT,
          "Meta has locked or restricted the account: see the account quality "
          "in WhatsApp Manager" },

    [NGX_HTTP_WAHA_ERR_META_THROTTLED] =
        { ngx_string("meta_throttled"), NGX_HTTP_TOO_MANY_REQUESTS,
          "Meta was asked too often for this account; send this again later" },

    [NGX_HTTP_WAHA_ERR_META_UNAVAILABLE] =
        { ngx_string("meta_unavailable"), NGX_HTTP_BAD_GATEWAY,
          "Meta cannot be reached, or is out of order; send this again" },

    [NGX_HTTP_WAHA_ERR_META_INVALID_ANSWER] =
        { ngx_string("meta_invalid_answer"), NGX_HTTP_BAD_GATEWAY,
          "the answer of Meta cannot be used" },

    [NGX_HTTP_WAHA_ERR_META_ERROR] =
        { ngx_string("meta_error"), NGX_HTTP_BAD_GATEWAY,
          "Meta refuses" },

    [NGX_HTTP_WAHA_ERR_META_TIMEOUT] =
        { ngx_string("meta_timeout"), NGX_HTTP_GATEWAY_TIME_OUT,
          "Meta does not answer in time" },

    [NGX_HTTP_WAHA_ERR_WEBHOOK_UNREACHABLE] =
        { ngx_string("webhook_unreachable"), NGX_HTTP_BAD_GATEWAY,
          "Meta gets no right answer from the webhook URL" },

    [NGX_HTTP_WAHA_ERR_NO_GRAPH] =
        { ngx_string("no_graph"), NGX_HTTP_SERVICE_UNAVAILABLE,
          "no location that leads to Meta is configured" },

    [NGX_HTTP_WAHA_ERR_NO_APP] =
        { ngx_string("no_app"), NGX_HTTP_SERVICE_UNAVAILABLE,
          "no app for sign-ups is configured" },

    [NGX_HTTP_WAHA_ERR_NO_SECRET_KEY] =
        { ngx_string("no_secret_key"), NGX_HTTP_SERVICE_UNAVAILABLE,
          "no key that seals secrets is configured" },

    [NGX_HTTP_WAHA_ERR_SECRET_UNREADABLE] =
        { ngx_string("secret_unreadable"), NGX_HTTP_SERVICE_UNAVAILABLE,
          "the stored access token cannot be opened: connect again, or bring "
          "back the key" },

    /* nginx and the database */

    [NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY] =
        { ngx_string("out_of_memory"), NGX_HTTP_SERVICE_UNAVAILABLE,
          "nginx has no memory or disk space left; send this again" },

    [NGX_HTTP_WAHA_ERR_TOO_MANY_REQUESTS] =
        { ngx_string("too_many_requests"), NGX_HTTP_TOO_MANY_REQUESTS,
          "the organization has too many requests under way; send this one "
          "again" },

    [NGX_HTTP_WAHA_ERR_OVERLOADED] =
        { ngx_string("overloaded"), NGX_HTTP_SERVICE_UNAVAILABLE,
          "too many requests wait for the database; send this one again" },

    [NGX_HTTP_WAHA_ERR_DATABASE_UNAVAILABLE] =
        { ngx_string("database_unavailable"), NGX_HTTP_SERVICE_UNAVAILABLE,
          "the database does not answer in time; send this again" },

    [NGX_HTTP_WAHA_ERR_DATABASE_BUSY] =
        { ngx_string("database_busy"), NGX_HTTP_SERVICE_UNAVAILABLE,
          "the database is busy with the same rows; send this again" },

    [NGX_HTTP_WAHA_ERR_DATABASE_SETUP] =
        { ngx_string("database_setup"), NGX_HTTP_SERVICE_UNAVAILABLE,
          "the database refuses; its administrator has to look" }
};


ngx_http_waha_error_e
ngx_http_waha_error_find(ngx_str_t *code)
{
    ngx_uint_t  i;

    for (i = NGX_HTTP_WAHA_ERR_NONE + 1; i < NGX_HTTP_WAHA_ERR_MAX; i++) {

        if (ngx_http_waha_string_is_equal(code,
                                          &ngx_http_waha_errors[i].code))
        {
            return i;
        }
    }

    return NGX_HTTP_WAHA_ERR_NONE;
}


ngx_uint_t
ngx_http_waha_error_status(ngx_http_waha_error_e error)
{
    return ngx_http_waha_errors[error].status;
}


const ngx_str_t *
ngx_http_waha_error_code(ngx_http_waha_error_e error)
{
    return &ngx_http_waha_errors[error].code;
}


const char *
ngx_http_waha_error_message(ngx_http_waha_error_e error)
{
    return ngx_http_waha_errors[error].message;
}


ngx_int_t
ngx_http_waha_error_note(ngx_http_request_t *r, ngx_http_waha_error_e error)
{
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_waha_request_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->action = ngx_http_waha_errors[error].code;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_error_send(ngx_http_request_t *r, ngx_http_waha_error_e error)
{
    return ngx_http_waha_error_send_data(r, error, NULL);
}


ngx_int_t
ngx_http_waha_error_send_data(ngx_http_request_t *r,
    ngx_http_waha_error_e error, ngx_str_t *data)
{
    ngx_str_t                     json;
    ngx_http_waha_json_out_t      out;
    const ngx_http_waha_error_t  *e;

    e = &ngx_http_waha_errors[error];

    if (ngx_http_waha_error_note(r, error) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if ((e->status == NGX_HTTP_SERVICE_UNAVAILABLE
         || e->status == NGX_HTTP_TOO_MANY_REQUESTS)
        && ngx_http_waha_error_retry_after(r) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_waha_json_start(&out, r->pool, NGX_HTTP_WAHA_ERROR_SIZE);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_bool(&out, "success", 0);
    ngx_http_waha_json_put_text(&out, "error", e->message);
    ngx_http_waha_json_put(&out, "code", &e->code);

    if (data) {
        ngx_http_waha_json_put_raw(&out, "data", data);
    }

    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &json) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_answer_json(r, e->status, &json);
}


ngx_int_t
ngx_http_waha_error_result(ngx_http_request_t *r, ngx_int_t rc)
{
    if (rc != NGX_HTTP_INTERNAL_SERVER_ERROR || r->header_sent) {
        return rc;
    }

    return ngx_http_waha_error_send(r, NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY);
}


static ngx_int_t
ngx_http_waha_error_retry_after(ngx_http_request_t *r)
{
    u_char               *value;
    ngx_uint_t            seconds;
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_waha_request_ctx(r);
    value = ngx_pnalloc(r->pool, NGX_INT_T_LEN + 1);

    if (ctx == NULL || value == NULL) {
        return NGX_ERROR;
    }

    seconds = ctx->retry_after ? ctx->retry_after : NGX_HTTP_WAHA_RETRY_AFTER;

    ngx_sprintf(value, "%ui%Z", seconds);

    return ngx_http_waha_answer_header(r, "Retry-After", (char *) value)
           ? NGX_OK : NGX_ERROR;
}
