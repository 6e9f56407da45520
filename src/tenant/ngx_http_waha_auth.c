
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_error.h>
#include <ngx_http_waha_auth.h>
#include <ngx_http_waha_auth_conf.h>
#include <ngx_http_waha_auth_limit.h>
#include <ngx_http_waha_auth_lookup.h>
#include <ngx_http_waha_bearer.h>
#include <ngx_http_waha_request.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


typedef struct ngx_http_waha_auth_s  ngx_http_waha_auth_t;


struct ngx_http_waha_auth_s {
    /* NGX_AGAIN: the text has to be looked up by the statement */
    ngx_int_t                      rc;
    ngx_http_waha_statement_e      statement;
    ngx_str_t                      text;

    ngx_http_waha_principal_t      principal;
    ngx_http_waha_error_e          error;

    ngx_http_waha_auth_lookup_t   *lookups;

    /* what the credentials are, and who they name */
    const char                    *kind;
    ngx_str_t                      name;

    unsigned                       started:1;

    /* wrong credentials count as an attempt for "waha_auth_limit" */
    unsigned                       counted:1;

    unsigned                       ambient:1;
};


static ngx_http_waha_auth_t *ngx_http_waha_auth_get_ctx(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_waha_auth_check_request(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth);
static ngx_int_t ngx_http_waha_auth_find_in_query(ngx_http_request_t *r);
static ngx_int_t ngx_http_waha_auth_check_token(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth, ngx_str_t *token);
static ngx_int_t ngx_http_waha_auth_check_jwt(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth, ngx_str_t *token);
static ngx_int_t ngx_http_waha_auth_check_variable(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth, ngx_http_waha_auth_conf_t *conf);
static const char *ngx_http_waha_auth_find_doubt(ngx_http_request_t *r,
    ngx_http_waha_auth_conf_t *conf);
static ngx_uint_t ngx_http_waha_auth_has_basic(ngx_http_request_t *r);
static ngx_int_t ngx_http_waha_auth_check_organization(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth, ngx_str_t *name);
static ngx_int_t ngx_http_waha_auth_find_principal(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth);
static ngx_int_t ngx_http_waha_auth_tell_actor(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth);
static ngx_int_t ngx_http_waha_auth_reject(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth, const char *reason);


ngx_int_t
ngx_http_waha_auth(ngx_http_request_t *r,
    ngx_http_waha_principal_t **principal, ngx_http_waha_error_e *error)
{
    ngx_http_waha_auth_t  *auth;

    auth = ngx_http_waha_auth_get_ctx(r);
    if (auth == NULL) {
        return NGX_ERROR;
    }

    if (!auth->started) {
        auth->started = 1;
        auth->rc = ngx_http_waha_auth_check_request(r, auth);
    }

    if (auth->rc == NGX_AGAIN) {
        auth->rc = ngx_http_waha_auth_find_principal(r, auth);
    }

    if (auth->rc == NGX_OK && auth->principal.actor.data == NULL) {
        auth->rc = ngx_http_waha_auth_tell_actor(r, auth);
    }

    *principal = &auth->principal;
    *error = auth->error;

    return auth->rc;
}


static ngx_http_waha_auth_t *
ngx_http_waha_auth_get_ctx(ngx_http_request_t *r)
{
    ngx_http_waha_ctx_t  *ctx;

    ctx = ngx_http_waha_request_ctx(r);
    if (ctx == NULL) {
        return NULL;
    }

    if (ctx->auth == NULL) {
        ctx->auth = ngx_pcalloc(r->pool, sizeof(ngx_http_waha_auth_t));
    }

    return ctx->auth;
}


static ngx_int_t
ngx_http_waha_auth_check_request(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth)
{
    ngx_int_t                   rc;
    ngx_str_t                   value, token;
    ngx_http_waha_loc_conf_t   *wlcf;
    ngx_http_waha_auth_conf_t  *conf;

    static ngx_str_t  name = ngx_string("authorization");

    rc = ngx_http_waha_auth_find_in_query(r);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        /* the request's log would add the request line, with the token */
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "waha: a token in the query is refused, client: %V",
                      &r->connection->addr_text);

        auth->error = NGX_HTTP_WAHA_ERR_UNAUTHORIZED;
        return NGX_DECLINED;
    }

    rc = ngx_http_waha_request_header(r, &name, &value);

    if (rc == NGX_ERROR) {
        return ngx_http_waha_auth_reject(r, auth,
                            "the header \"Authorization\" is given twice");
    }

    if (rc == NGX_OK) {
        rc = ngx_http_waha_bearer_parse_header(&value, &token);
    }

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);
    conf = wlcf->auth;

    if (rc == NGX_OK && (conf->jwt.keys || conf->api_keys)) {
        return ngx_http_waha_auth_check_token(r, auth, &token);
    }

    if (conf->variable != NGX_ERROR) {
        return ngx_http_waha_auth_check_variable(r, auth, conf);
    }

    return ngx_http_waha_auth_reject(r, auth, "no bearer token");
}


/*
 * the access log has the query of the request line, which a rewrite or a
 * redirect may have replaced in r->args
 */

static ngx_int_t
ngx_http_waha_auth_find_in_query(ngx_http_request_t *r)
{
    u_char     *last;
    ngx_int_t   rc;
    ngx_str_t   args;

    rc = ngx_http_waha_bearer_find_in_query(r->pool, &r->args);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    last = r->unparsed_uri.data + r->unparsed_uri.len;

    args.data = ngx_strlchr(r->unparsed_uri.data, last, '?');
    if (args.data == NULL) {
        return NGX_DECLINED;
    }

    args.data++;
    args.len = last - args.data;

    return ngx_http_waha_bearer_find_in_query(r->pool, &args);
}


static ngx_int_t
ngx_http_waha_auth_check_token(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth, ngx_str_t *token)
{
    const char                  *reason;
    ngx_http_waha_loc_conf_t    *wlcf;
    ngx_http_waha_bearer_key_t   key;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    auth->counted = 1;

    if (ngx_http_waha_bearer_check_token(token, &reason) != NGX_OK) {
        return ngx_http_waha_auth_reject(r, auth, reason);
    }

    if (wlcf->auth->api_keys && ngx_http_waha_bearer_has_key_prefix(token)) {

        if (ngx_http_waha_bearer_parse_key(token, &key) != NGX_OK) {
            return ngx_http_waha_auth_reject(r, auth,
                                         "the API key is malformed");
        }

        auth->statement = NGX_HTTP_WAHA_AUTHENTICATE;
        auth->text = *token;
        auth->kind = "key";
        auth->name = key.id;

        return NGX_AGAIN;
    }

    if (wlcf->auth->jwt.keys == NULL) {
        return ngx_http_waha_auth_reject(r, auth,
                                         "the token is not an API key");
    }

    return ngx_http_waha_auth_check_jwt(r, auth, token);
}


static ngx_int_t
ngx_http_waha_auth_check_jwt(ngx_http_request_t *r, ngx_http_waha_auth_t *auth,
    ngx_str_t *token)
{
    ngx_int_t                    rc;
    const char                  *reason;
    ngx_http_waha_loc_conf_t    *wlcf;
    ngx_http_waha_jwt_claims_t   claims;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_waha_module);

    rc = ngx_http_waha_jwt_verify(r->pool, &wlcf->auth->jwt, token,
                                  ngx_time(), &claims, &reason);

    /* a signature cannot be guessed: an expired token does not count */

    auth->counted = !claims.verified;

    if (rc == NGX_DECLINED) {
        return ngx_http_waha_auth_reject(r, auth, reason);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    auth->kind = "jwt";
    auth->name = claims.subject;

    if (claims.operator) {
        auth->principal.operator = 1;
        auth->principal.read = 1;
        auth->principal.write = 1;

        return NGX_OK;
    }

    return ngx_http_waha_auth_check_organization(r, auth, &claims.organization);
}


static ngx_int_t
ngx_http_waha_auth_check_variable(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth, ngx_http_waha_auth_conf_t *conf)
{
    ngx_str_t                   name;
    const char                 *doubt;
    ngx_http_variable_value_t  *vv;

    vv = ngx_http_get_flushed_variable(r, conf->variable);

    if (vv == NULL || vv->not_found || vv->len == 0) {
        return ngx_http_waha_auth_reject(r, auth,
                                     "the variable of \"waha_organization\" "
                                     "is empty");
    }

    doubt = ngx_http_waha_auth_find_doubt(r, conf);

    if (doubt) {
        return ngx_http_waha_auth_reject(r, auth, doubt);
    }

    auth->ambient = 1;

    name.len = vv->len;
    name.data = vv->data;

    auth->kind = "variable";
    auth->name = name;

    return ngx_http_waha_auth_check_organization(r, auth, &name);
}


/* NULL, or why the value may be what the client says */

static const char *
ngx_http_waha_auth_find_doubt(ngx_http_request_t *r,
    ngx_http_waha_auth_conf_t *conf)
{
    ngx_str_t                   verified;
    ngx_http_variable_value_t  *vv;

    switch (conf->proof) {

    case NGX_HTTP_WAHA_PROOF_CERTIFICATE:
        vv = ngx_http_get_flushed_variable(r, conf->verify);

        if (vv == NULL || vv->not_found) {
            return "there is no client certificate";
        }

        verified.data = vv->data;
        verified.len = vv->len;

        return ngx_http_waha_string_is(&verified, "SUCCESS")
               ? NULL : "the client certificate is not verified";

    case NGX_HTTP_WAHA_PROOF_BASIC:
        return ngx_http_waha_auth_has_basic(r)
               ? NULL : "\"auth_basic\" does not verify $remote_user here";

    default: /* NGX_HTTP_WAHA_PROOF_NONE */
        return NULL;
    }
}


/*
 * whether ngx_http_auth_basic_module has checked the user before us: its
 * configuration begins with two pointers or lengths, the realm and the file
 * of users, which are zero where it is not configured
 */

static ngx_uint_t
ngx_http_waha_auth_has_basic(ngx_http_request_t *r)
{
    void                      **conf;
    ngx_str_t                   realm;
    ngx_uint_t                  i;
    ngx_module_t              **modules;
    ngx_http_core_loc_conf_t   *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->satisfy != NGX_HTTP_SATISFY_ALL) {
        return 0;
    }

    modules = ((ngx_cycle_t *) ngx_cycle)->modules;

    for (i = 0; modules[i]; i++) {

        if (ngx_strcmp(modules[i]->name, "ngx_http_auth_basic_module") == 0) {
            break;
        }
    }

    if (modules[i] == NULL) {
        return 0;
    }

    conf = ngx_http_get_module_loc_conf(r, (*modules[i]));

    if (conf[0] == NULL || conf[1] == NULL
        || ngx_http_complex_value(r, conf[0], &realm) != NGX_OK)
    {
        return 0;
    }

    return !ngx_http_waha_string_is(&realm, "off");
}


static ngx_int_t
ngx_http_waha_auth_check_organization(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth, ngx_str_t *name)
{
    if (!ngx_http_waha_value_is_slug(name)) {
        return ngx_http_waha_auth_reject(r, auth,
                                         "the organization is unknown");
    }

    auth->statement = NGX_HTTP_WAHA_FIND_ORGANIZATION;
    auth->text = *name;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_waha_auth_find_principal(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth)
{
    ngx_int_t                     rc;
    ngx_http_waha_ctx_t          *ctx;
    ngx_http_waha_auth_lookup_t  *lookup;

    rc = ngx_http_waha_auth_lookup(r, &auth->lookups, auth->statement,
                                   &auth->text, &lookup);
    if (rc != NGX_OK) {
        return rc;
    }

    if (lookup->error) {
        auth->error = lookup->error;
        return NGX_DECLINED;
    }

    if (!lookup->record.found) {

        if (lookup->waits) {
            /* another request with the same credentials was charged */
            auth->counted = 0;
        }

        return ngx_http_waha_auth_reject(r, auth,
                          auth->statement == NGX_HTTP_WAHA_AUTHENTICATE ?
                              "the API key is unknown"
                              : "the organization is unknown");
    }

    auth->principal = lookup->record.principal;
    auth->principal.ambient = auth->ambient;

    ctx = ngx_http_waha_request_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->organization = auth->principal.organization.slug;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_auth_tell_actor(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth)
{
    ngx_str_t  *actor;

    actor = &auth->principal.actor;

    actor->len = sizeof("operator variable ") - 1 + auth->name.len;

    actor->data = ngx_pnalloc(r->pool, actor->len);
    if (actor->data == NULL) {
        return NGX_ERROR;
    }

    actor->len = ngx_sprintf(actor->data, "%s %s %V",
                             auth->principal.operator ? "operator" : "tenant",
                             auth->kind, &auth->name)
                 - actor->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_auth_reject(ngx_http_request_t *r,
    ngx_http_waha_auth_t *auth, const char *reason)
{
    if (auth->counted) {

        switch (ngx_http_waha_auth_limit_charge(r)) {

        case NGX_OK:
            break;

        case NGX_DECLINED:
            auth->error = NGX_HTTP_WAHA_ERR_TOO_MANY_ATTEMPTS;
            return NGX_DECLINED;

        default:
            return NGX_ERROR;
        }
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "waha: credentials are refused: %s", reason);

    auth->error = NGX_HTTP_WAHA_ERR_UNAUTHORIZED;

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_waha_auth_find_organization(ngx_http_request_t *r, ngx_str_t *name,
    ngx_http_waha_organization_t *organization, ngx_http_waha_error_e *error)
{
    ngx_int_t                     rc;
    ngx_http_waha_auth_t         *auth;
    ngx_http_waha_auth_lookup_t  *lookup;

    auth = ngx_http_waha_auth_get_ctx(r);
    if (auth == NULL) {
        return NGX_ERROR;
    }

    *error = NGX_HTTP_WAHA_ERR_UNKNOWN_ORGANIZATION;

    if (!ngx_http_waha_value_is_slug(name)) {
        return NGX_DECLINED;
    }

    rc = ngx_http_waha_auth_lookup(r, &auth->lookups,
                                   NGX_HTTP_WAHA_FIND_ORGANIZATION, name,
                                   &lookup);
    if (rc != NGX_OK) {
        return rc;
    }

    if (lookup->error) {
        *error = lookup->error;
        return NGX_DECLINED;
    }

    if (!lookup->record.found) {
        return NGX_DECLINED;
    }

    *organization = lookup->record.principal.organization;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_auth_challenge(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    static const char  value[] = "Bearer realm=\"waha\"";

    h = r->headers_out.www_authenticate;

    if (h && h->value.data == (u_char *) value) {
        /* the location of the error page has "waha_auth", too */
        return NGX_OK;
    }

    h = ngx_http_waha_answer_header(r, "WWW-Authenticate", value);
    if (h == NULL) {
        return NGX_ERROR;
    }

    r->headers_out.www_authenticate = h;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_auth_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_uint_t                  status;
    ngx_http_waha_error_e       error;
    ngx_http_waha_principal_t  *principal;

    rc = ngx_http_waha_auth(r, &principal, &error);

    if (rc == NGX_OK || rc == NGX_AGAIN) {
        return rc;
    }

    if (rc != NGX_DECLINED || ngx_http_waha_error_note(r, error) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    status = ngx_http_waha_error_status(error);

    if (status == NGX_HTTP_UNAUTHORIZED
        && ngx_http_waha_auth_challenge(r) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return status;
}
