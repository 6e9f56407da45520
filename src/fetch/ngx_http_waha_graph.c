
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <ngx_http_waha_graph.h>
#include <ngx_http_waha_json.h>


#define NGX_HTTP_WAHA_GRAPH_PROOF  "appsecret_proof"


/* what a range of Graph's codes means */

typedef struct {
    ngx_int_t              first;
    ngx_int_t              last;
    ngx_http_waha_error_e  error;
} ngx_http_waha_graph_class_t;


static ngx_int_t ngx_http_waha_graph_prove(ngx_pool_t *pool,
    ngx_http_waha_fetch_request_t *request, const ngx_str_t *token,
    const ngx_str_t *secret);
static void ngx_http_waha_graph_wipe(void *data);
static ngx_int_t ngx_http_waha_graph_number(const cJSON *json,
    const char *name);
static ngx_http_waha_error_e ngx_http_waha_graph_no_answer(
    ngx_http_waha_error_e error);


/*
 * https://developers.facebook.com/documentation/business-messaging/whatsapp/
 * support/error-codes; a code that is not here is about the request
 */

static const ngx_http_waha_graph_class_t  ngx_http_waha_graph_classes[] = {

    /* the token is dead */
    { 0, 0, NGX_HTTP_WAHA_ERR_TOKEN_REFUSED },
    { 190, 190, NGX_HTTP_WAHA_ERR_TOKEN_REFUSED },

    /* it lacks a right */
    { 3, 3, NGX_HTTP_WAHA_ERR_TOKEN_FORBIDDEN },
    { 10, 10, NGX_HTTP_WAHA_ERR_TOKEN_FORBIDDEN },
    { 200, 299, NGX_HTTP_WAHA_ERR_TOKEN_FORBIDDEN },
    { 131005, 131005, NGX_HTTP_WAHA_ERR_TOKEN_FORBIDDEN },

    /* too many requests */
    { 4, 4, NGX_HTTP_WAHA_ERR_META_THROTTLED },
    { 80007, 80007, NGX_HTTP_WAHA_ERR_META_THROTTLED },
    { 130429, 130429, NGX_HTTP_WAHA_ERR_META_THROTTLED },
    { 131048, 131048, NGX_HTTP_WAHA_ERR_META_THROTTLED },
    { 131056, 131056, NGX_HTTP_WAHA_ERR_META_THROTTLED },
    { 131064, 131064, NGX_HTTP_WAHA_ERR_META_THROTTLED },
    { 133016, 133016, NGX_HTTP_WAHA_ERR_META_THROTTLED },

    /* it passes */
    { 1, 2, NGX_HTTP_WAHA_ERR_META_UNAVAILABLE },
    { 131000, 131000, NGX_HTTP_WAHA_ERR_META_UNAVAILABLE },
    { 131016, 131016, NGX_HTTP_WAHA_ERR_META_UNAVAILABLE },
    { 131057, 131057, NGX_HTTP_WAHA_ERR_META_UNAVAILABLE },
    { 133004, 133004, NGX_HTTP_WAHA_ERR_META_UNAVAILABLE },

    /* the account */
    { 33, 33, NGX_HTTP_WAHA_ERR_ACCOUNT_RESTRICTED },
    { 368, 368, NGX_HTTP_WAHA_ERR_ACCOUNT_RESTRICTED },
    { 130497, 130497, NGX_HTTP_WAHA_ERR_ACCOUNT_RESTRICTED },
    { 131031, 131031, NGX_HTTP_WAHA_ERR_ACCOUNT_RESTRICTED },
    { 131042, 131042, NGX_HTTP_WAHA_ERR_ACCOUNT_RESTRICTED },
    { 131045, 131045, NGX_HTTP_WAHA_ERR_ACCOUNT_RESTRICTED },

    { 0, 0, NGX_HTTP_WAHA_ERR_NONE }
};


ngx_int_t
ngx_http_waha_graph_authorize(ngx_pool_t *pool,
    ngx_http_waha_fetch_request_t *request, const ngx_str_t *token,
    const ngx_str_t *secret)
{
    u_char              *p;
    ngx_str_t           *header;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(pool, sizeof(ngx_str_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    header = cln->data;

    header->len = sizeof("Bearer ") - 1 + token->len;

    header->data = ngx_pnalloc(pool, header->len);
    if (header->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(header->data, "Bearer ", sizeof("Bearer ") - 1);
    ngx_memcpy(p, token->data, token->len);

    cln->handler = ngx_http_waha_graph_wipe;

    request->authorization = *header;

    return secret->len ? ngx_http_waha_graph_prove(pool, request, token,
                                                   secret)
                       : NGX_OK;
}


static ngx_int_t
ngx_http_waha_graph_prove(ngx_pool_t *pool,
    ngx_http_waha_fetch_request_t *request, const ngx_str_t *token,
    const ngx_str_t *secret)
{
    u_char        *p, *args;
    u_char         proof[EVP_MAX_MD_SIZE];
    unsigned int   len;

    if (HMAC(EVP_sha256(), secret->data, (int) secret->len, token->data,
             token->len, proof, &len)
        == NULL)
    {
        return NGX_ERROR;
    }

    args = ngx_pnalloc(pool, request->args.len
                             + sizeof("&" NGX_HTTP_WAHA_GRAPH_PROOF "=") - 1
                             + 2 * len);
    if (args == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(args, "%V%s" NGX_HTTP_WAHA_GRAPH_PROOF "=",
                    &request->args, request->args.len ? "&" : "");
    p = ngx_hex_dump(p, proof, len);

    request->args.data = args;
    request->args.len = p - args;

    return NGX_OK;
}


static void
ngx_http_waha_graph_wipe(void *data)
{
    ngx_str_t  *header = data;

    ngx_explicit_memzero(header->data, header->len);
}


ngx_http_waha_error_e
ngx_http_waha_graph_error(const ngx_http_waha_fetch_t *fetch)
{
    cJSON                              *message;
    ngx_int_t                           code;
    const ngx_http_waha_graph_class_t  *class;

    if (fetch->error) {
        return ngx_http_waha_graph_no_answer(fetch->error);
    }

    code = ngx_http_waha_graph_code(fetch->json);

    if (code == -1) {

        if (fetch->status >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
            return NGX_HTTP_WAHA_ERR_META_UNAVAILABLE;
        }

        if (fetch->status >= NGX_HTTP_SPECIAL_RESPONSE) {
            return NGX_HTTP_WAHA_ERR_META_ERROR;
        }

        return (cJSON_IsObject(fetch->json) || cJSON_IsArray(fetch->json))
               ? NGX_HTTP_WAHA_ERR_NONE
               : NGX_HTTP_WAHA_ERR_META_INVALID_ANSWER;
    }

    /* there is no code of its own for a wrong proof, or for a missing one */

    if (code == NGX_HTTP_WAHA_GRAPH_PARAMETER) {
        message = ngx_http_waha_json_get(
                      ngx_http_waha_json_get(fetch->json, "error"), "message");

        if (cJSON_IsString(message)
            && ngx_strstr(message->valuestring, NGX_HTTP_WAHA_GRAPH_PROOF))
        {
            return NGX_HTTP_WAHA_ERR_SECRET_REFUSED;
        }
    }

    for (class = ngx_http_waha_graph_classes; class->error; class++) {

        if (code >= class->first && code <= class->last) {
            return class->error;
        }
    }

    return NGX_HTTP_WAHA_ERR_META_ERROR;
}


static ngx_http_waha_error_e
ngx_http_waha_graph_no_answer(ngx_http_waha_error_e error)
{
    switch (error) {

    case NGX_HTTP_WAHA_ERR_WAHA_TIMEOUT:
        return NGX_HTTP_WAHA_ERR_META_TIMEOUT;

    case NGX_HTTP_WAHA_ERR_WAHA_INVALID_ANSWER:
        return NGX_HTTP_WAHA_ERR_META_INVALID_ANSWER;

    case NGX_HTTP_WAHA_ERR_OUT_OF_MEMORY:
        return error;

    default:
        return NGX_HTTP_WAHA_ERR_META_UNAVAILABLE;
    }
}


ngx_int_t
ngx_http_waha_graph_code(const cJSON *json)
{
    return ngx_http_waha_graph_number(json, "code");
}


ngx_int_t
ngx_http_waha_graph_subcode(const cJSON *json)
{
    return ngx_http_waha_graph_number(json, "error_subcode");
}


static ngx_int_t
ngx_http_waha_graph_number(const cJSON *json, const char *name)
{
    cJSON  *item;

    item = ngx_http_waha_json_get(ngx_http_waha_json_get(json, "error"), name);

    return (cJSON_IsNumber(item) && item->valuedouble >= 0
            && item->valuedouble <= NGX_MAX_INT32_VALUE)
           ? item->valueint : -1;
}


ngx_uint_t
ngx_http_waha_graph_is_missing(const cJSON *json)
{
    ngx_int_t  code;

    code = ngx_http_waha_graph_code(json);

    return code == NGX_HTTP_WAHA_GRAPH_OBJECT
           || (code == NGX_HTTP_WAHA_GRAPH_PARAMETER
               && ngx_http_waha_graph_subcode(json)
                  == NGX_HTTP_WAHA_GRAPH_OBJECT);
}
