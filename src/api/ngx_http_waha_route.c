
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_activity_media.h>
#include <ngx_http_waha_api.h>
#include <ngx_http_waha_numbers.h>
#include <ngx_http_waha_qr.h>
#include <ngx_http_waha_route.h>
#include <ngx_http_waha_secrets.h>
#include <ngx_http_waha_sessions.h>


#define NGX_HTTP_WAHA_READ                                                    \
    NGX_HTTP_WAHA_ROUTE_READ
#define NGX_HTTP_WAHA_WRITE                                                   \
    NGX_HTTP_WAHA_ROUTE_WRITE
#define NGX_HTTP_WAHA_BRIDGE_CONNECT                                          \
    NGX_HTTP_WAHA_ROUTE_WRITE|NGX_HTTP_WAHA_ROUTE_PAIRING                     \
    |NGX_HTTP_WAHA_ROUTE_RESTART|NGX_HTTP_WAHA_ROUTE_NUMBER                   \
    |NGX_HTTP_WAHA_ROUTE_QR
#define NGX_HTTP_WAHA_OPERATOR_READ                                           \
    NGX_HTTP_WAHA_ROUTE_READ|NGX_HTTP_WAHA_ROUTE_OPERATOR
#define NGX_HTTP_WAHA_OPERATOR_WRITE                                          \
    NGX_HTTP_WAHA_ROUTE_WRITE|NGX_HTTP_WAHA_ROUTE_OPERATOR
#define NGX_HTTP_WAHA_GLOBAL_READ                                             \
    NGX_HTTP_WAHA_OPERATOR_READ|NGX_HTTP_WAHA_ROUTE_GLOBAL
#define NGX_HTTP_WAHA_GLOBAL_WRITE                                            \
    NGX_HTTP_WAHA_OPERATOR_WRITE|NGX_HTTP_WAHA_ROUTE_GLOBAL


static ngx_uint_t ngx_http_waha_route_match(const char *template,
    ngx_str_t *path, ngx_str_t *params);


/* of a session: its id comes first, then names for its label */

static const ngx_http_waha_argument_t  ngx_http_waha_args_session[] = {
    { "session", NGX_HTTP_WAHA_ARG_SESSION, 1 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_new_session[] = {
    { "id", NGX_HTTP_WAHA_ARG_SESSION, 0 },
    { "label", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "name", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_session_id[] = {
    { "sessionId", NGX_HTTP_WAHA_ARG_SESSION, 1 },
    { "sessionName", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_contacts[] = {
    { "search", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "after", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "size", NGX_HTTP_WAHA_ARG_SIZE, 0 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_contact[] = {
    { "id", NGX_HTTP_WAHA_ARG_ID, 1 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_history[] = {
    { "id", NGX_HTTP_WAHA_ARG_ID, 1 },
    { "type", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "session", NGX_HTTP_WAHA_ARG_SESSION, 0 },
    { "after", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "skip", NGX_HTTP_WAHA_ARG_COUNT, 0 },
    { "size", NGX_HTTP_WAHA_ARG_SIZE, 0 },
    { NULL, 0, 0 }
};


/* the same with "offset" and "limit", which existing clients send */

static const ngx_http_waha_argument_t  ngx_http_waha_args_history_guide[] = {
    { "id", NGX_HTTP_WAHA_ARG_ID, 1 },
    { "type", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "session", NGX_HTTP_WAHA_ARG_SESSION, 0 },
    { "after", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "offset", NGX_HTTP_WAHA_ARG_COUNT, 0 },
    { "limit", NGX_HTTP_WAHA_ARG_SIZE, 0 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_conversations[] = {
    { "session", NGX_HTTP_WAHA_ARG_SESSION, 0 },
    { "unread", NGX_HTTP_WAHA_ARG_FLAG, 0 },
    { "after", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "size", NGX_HTTP_WAHA_ARG_SIZE, 0 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_conversation[] = {
    { "id", NGX_HTTP_WAHA_ARG_TEXT, 1 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_messages[] = {
    { "id", NGX_HTTP_WAHA_ARG_TEXT, 1 },
    { "after", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "size", NGX_HTTP_WAHA_ARG_SIZE, 0 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_export_contact[] = {
    { "id", NGX_HTTP_WAHA_ARG_ID, 1 },
    { "after", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "size", NGX_HTTP_WAHA_ARG_SIZE, 0 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_page[] = {
    { "after", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "size", NGX_HTTP_WAHA_ARG_SIZE, 0 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_slug[] = {
    { "slug", NGX_HTTP_WAHA_ARG_SLUG, 1 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_organization[] = {
    { "slug", NGX_HTTP_WAHA_ARG_SLUG, 1 },
    { "name", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "country_code", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "enabled", NGX_HTTP_WAHA_ARG_FLAG, 0 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_export[] = {
    { "slug", NGX_HTTP_WAHA_ARG_SLUG, 1 },
    { "after", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "size", NGX_HTTP_WAHA_ARG_SIZE, 0 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_new_key[] = {
    { "slug", NGX_HTTP_WAHA_ARG_SLUG, 1 },
    { "label", NGX_HTTP_WAHA_ARG_TEXT, 0 },
    { "scopes", NGX_HTTP_WAHA_ARG_WORDS, 0 },
    { "expires_in", NGX_HTTP_WAHA_ARG_COUNT, 0 },
    { NULL, 0, 0 }
};


static const ngx_http_waha_argument_t  ngx_http_waha_args_key[] = {
    { "slug", NGX_HTTP_WAHA_ARG_SLUG, 1 },
    { "key", NGX_HTTP_WAHA_ARG_TEXT, 1 },
    { NULL, 0, 0 }
};


/* {organization} is checked for every route, {slug} is for operators */

static const ngx_http_waha_route_t  ngx_http_waha_routes[] = {

    /* sessions */

    { NGX_HTTP_GET, "/api/whatsapp/sessions",
      NGX_HTTP_WAHA_READ, ngx_http_waha_sessions_list,
      0, NULL, NGX_HTTP_WAHA_VIEW_DATA },

    { NGX_HTTP_POST, "/api/whatsapp/sessions",
      NGX_HTTP_WAHA_WRITE|NGX_HTTP_WAHA_ROUTE_PROVIDER,
      ngx_http_waha_sessions_connect,
      0, ngx_http_waha_args_new_session, NGX_HTTP_WAHA_VIEW_DATA },

    { NGX_HTTP_GET, "/api/whatsapp/sessions/{session}",
      NGX_HTTP_WAHA_READ, ngx_http_waha_sessions_show,
      0, ngx_http_waha_args_session, NGX_HTTP_WAHA_VIEW_DATA },

    { NGX_HTTP_DELETE, "/api/whatsapp/sessions/{session}",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_sessions_delete,
      0, ngx_http_waha_args_session, NGX_HTTP_WAHA_VIEW_DATA },

    { NGX_HTTP_POST, "/api/whatsapp/sessions/{session}/connect",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_sessions_connect_found,
      0, ngx_http_waha_args_session, NGX_HTTP_WAHA_VIEW_DATA },

    { NGX_HTTP_POST, "/api/whatsapp/sessions/{session}/start",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_sessions_start,
      0, ngx_http_waha_args_session, NGX_HTTP_WAHA_VIEW_DATA },

    { NGX_HTTP_POST, "/api/whatsapp/sessions/{session}/stop",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_sessions_stop,
      0, ngx_http_waha_args_session, NGX_HTTP_WAHA_VIEW_DATA },

    { NGX_HTTP_POST, "/api/whatsapp/sessions/{session}/restart",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_sessions_restart,
      0, ngx_http_waha_args_session, NGX_HTTP_WAHA_VIEW_DATA },

    { NGX_HTTP_POST, "/api/whatsapp/sessions/{session}/logout",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_sessions_logout,
      0, ngx_http_waha_args_session, NGX_HTTP_WAHA_VIEW_DATA },

    /* who links a phone can read and write its messages */

    { NGX_HTTP_GET, "/api/whatsapp/sessions/{session}/qr",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_qr,
      0, ngx_http_waha_args_session, NGX_HTTP_WAHA_VIEW_DATA },

    { NGX_HTTP_POST, "/api/whatsapp/sessions/{session}/pairing-code",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_qr_pairing_code,
      0, ngx_http_waha_args_session, NGX_HTTP_WAHA_VIEW_DATA },

    { NGX_HTTP_GET, "/api/whatsapp/sessions/{session}/passkey/challenge",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_qr_challenge,
      0, ngx_http_waha_args_session, NGX_HTTP_WAHA_VIEW_DATA },

    { NGX_HTTP_POST, "/api/whatsapp/sessions/{session}/passkey",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_qr_passkey,
      0, ngx_http_waha_args_session, NGX_HTTP_WAHA_VIEW_DATA },

    { NGX_HTTP_GET, "/api/whatsapp/sessions/{session}/passkey/confirmation",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_qr_confirmation,
      0, ngx_http_waha_args_session, NGX_HTTP_WAHA_VIEW_DATA },

    { NGX_HTTP_POST, "/api/whatsapp/sessions/{session}/passkey/confirm",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_qr_confirm,
      0, ngx_http_waha_args_session, NGX_HTTP_WAHA_VIEW_DATA },

    /* the only session of an organization, or its primary one */

    { NGX_HTTP_GET, "/api/whatsapp/session",
      NGX_HTTP_WAHA_READ|NGX_HTTP_WAHA_ROUTE_OPTIONAL,
      ngx_http_waha_sessions_show,
      0, NULL, NGX_HTTP_WAHA_VIEW_WAHA },

    { NGX_HTTP_POST, "/api/whatsapp/session",
      NGX_HTTP_WAHA_WRITE|NGX_HTTP_WAHA_ROUTE_RESTART,
      ngx_http_waha_sessions_connect,
      0, NULL, NGX_HTTP_WAHA_VIEW_WAHA },

    { NGX_HTTP_DELETE, "/api/whatsapp/session",
      NGX_HTTP_WAHA_WRITE|NGX_HTTP_WAHA_ROUTE_OPTIONAL,
      ngx_http_waha_sessions_logout,
      0, NULL, NGX_HTTP_WAHA_VIEW_WAHA },

    { NGX_HTTP_GET, "/api/whatsapp/qr",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_qr,
      0, NULL, NGX_HTTP_WAHA_VIEW_WAHA },

    { NGX_HTTP_GET, "/api/whatsapp/qr/{link}",
      NGX_HTTP_WAHA_READ|NGX_HTTP_WAHA_ROUTE_SIGNED,
      ngx_http_waha_qr_shared,
      0, NULL, 0 },

    { NGX_HTTP_POST, "/api/tenants/{organization}/whatsapp/connect",
      NGX_HTTP_WAHA_WRITE|NGX_HTTP_WAHA_ROUTE_PAIRING
                         |NGX_HTTP_WAHA_ROUTE_RESTART,
      ngx_http_waha_sessions_connect,
      0, NULL, NGX_HTTP_WAHA_VIEW_FLAT },

    { NGX_HTTP_GET, "/api/tenants/{organization}/whatsapp/status",
      NGX_HTTP_WAHA_READ|NGX_HTTP_WAHA_ROUTE_OPTIONAL,
      ngx_http_waha_sessions_show,
      0, NULL, NGX_HTTP_WAHA_VIEW_FLAT },

    { NGX_HTTP_POST, "/api/tenants/{organization}/whatsapp/disconnect",
      NGX_HTTP_WAHA_WRITE|NGX_HTTP_WAHA_ROUTE_OPTIONAL,
      ngx_http_waha_sessions_logout,
      0, NULL, NGX_HTTP_WAHA_VIEW_FLAT },

    { NGX_HTTP_POST, "/api/whatsapp/sessions/{organization}/initialize",
      NGX_HTTP_WAHA_WRITE|NGX_HTTP_WAHA_ROUTE_PAIRING
                         |NGX_HTTP_WAHA_ROUTE_RESTART
                         |NGX_HTTP_WAHA_ROUTE_CREATE,
      ngx_http_waha_sessions_connect,
      0, NULL, NGX_HTTP_WAHA_VIEW_FLAT },

    /* numbers of Meta's Cloud API */

    { NGX_HTTP_POST, "/api/integrations/whatsapp/connect",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_numbers_connect,
      0, NULL, 0 },

    { NGX_HTTP_POST, "/api/integrations/whatsapp/signup",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_numbers_signup,
      0, NULL, 0 },

    { NGX_HTTP_POST, "/api/integrations/whatsapp/disconnect",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_numbers_disconnect,
      0, NULL, 0 },

    { NGX_HTTP_GET, "/api/integrations/whatsapp/status",
      NGX_HTTP_WAHA_READ, ngx_http_waha_numbers_status,
      0, NULL, 0 },

    /* the client chooses the id of a session */

    { NGX_HTTP_POST, "/connect",
      NGX_HTTP_WAHA_BRIDGE_CONNECT,
      ngx_http_waha_sessions_connect,
      0, ngx_http_waha_args_session_id, NGX_HTTP_WAHA_VIEW_BRIDGE },

    { NGX_HTTP_POST, "/disconnect",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_sessions_logout,
      0, ngx_http_waha_args_session_id, NGX_HTTP_WAHA_VIEW_BRIDGE },

    { NGX_HTTP_POST, "/reconnect",
      NGX_HTTP_WAHA_BRIDGE_CONNECT,
      ngx_http_waha_sessions_reconnect,
      0, ngx_http_waha_args_session_id, NGX_HTTP_WAHA_VIEW_BRIDGE },

    { NGX_HTTP_GET, "/session-status/{sessionId}",
      NGX_HTTP_WAHA_READ|NGX_HTTP_WAHA_ROUTE_QR, ngx_http_waha_sessions_show,
      0, ngx_http_waha_args_session_id, NGX_HTTP_WAHA_VIEW_BRIDGE },

    { NGX_HTTP_GET, "/sessions",
      NGX_HTTP_WAHA_READ, ngx_http_waha_sessions_list,
      0, NULL, NGX_HTTP_WAHA_VIEW_BRIDGE },

    /* reading */

    { NGX_HTTP_GET, "/api/whatsapp/contacts",
      NGX_HTTP_WAHA_READ, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_LIST_CONTACTS, ngx_http_waha_args_contacts, 0 },

    { NGX_HTTP_GET, "/api/whatsapp/contacts/{id}",
      NGX_HTTP_WAHA_READ, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_FIND_CONTACT, ngx_http_waha_args_contact, 0 },

    { NGX_HTTP_GET, "/api/whatsapp/contacts/{id}/activities",
      NGX_HTTP_WAHA_READ, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_LIST_ACTIVITIES, ngx_http_waha_args_history, 0 },

    { NGX_HTTP_GET, "/api/contacts/{id}/activities",
      NGX_HTTP_WAHA_READ|NGX_HTTP_WAHA_ROUTE_MEMBERS,
      ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_LIST_ACTIVITY_ROWS, ngx_http_waha_args_history_guide, 0 },

    { NGX_HTTP_GET, "/api/whatsapp/conversations",
      NGX_HTTP_WAHA_READ, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_LIST_CONVERSATIONS, ngx_http_waha_args_conversations, 0 },

    { NGX_HTTP_GET, "/api/whatsapp/conversations/{id}/messages",
      NGX_HTTP_WAHA_READ, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_LIST_MESSAGES, ngx_http_waha_args_messages, 0 },

    { NGX_HTTP_POST, "/api/whatsapp/conversations/{id}/read",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_READ_CONVERSATION, ngx_http_waha_args_conversation, 0 },

    { NGX_HTTP_GET, "/api/whatsapp/media/{activity}",
      NGX_HTTP_WAHA_READ, ngx_http_waha_activity_media,
      0, NULL, 0 },

    /* it names the people who work with the API */

    { NGX_HTTP_GET, "/api/whatsapp/audit",
      NGX_HTTP_WAHA_WRITE, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_LIST_AUDIT, ngx_http_waha_args_page, 0 },

    /* operators */

    { NGX_HTTP_GET, "/api/whatsapp/contacts/{id}/export",
      NGX_HTTP_WAHA_OPERATOR_READ, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_EXPORT_CONTACT, ngx_http_waha_args_export_contact, 0 },

    { NGX_HTTP_DELETE, "/api/whatsapp/contacts/{id}",
      NGX_HTTP_WAHA_OPERATOR_WRITE, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_ERASE_CONTACT, ngx_http_waha_args_contact, 0 },

    { NGX_HTTP_GET, "/api/whatsapp/organizations",
      NGX_HTTP_WAHA_GLOBAL_READ, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_LIST_ORGANIZATIONS, ngx_http_waha_args_page, 0 },

    { NGX_HTTP_GET, "/api/whatsapp/organizations/{slug}",
      NGX_HTTP_WAHA_GLOBAL_READ, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_SHOW_ORGANIZATION, ngx_http_waha_args_slug, 0 },

    { NGX_HTTP_PUT, "/api/whatsapp/organizations/{slug}",
      NGX_HTTP_WAHA_GLOBAL_WRITE, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_PUT_ORGANIZATION, ngx_http_waha_args_organization, 0 },

    { NGX_HTTP_DELETE, "/api/whatsapp/organizations/{slug}",
      NGX_HTTP_WAHA_GLOBAL_WRITE, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_DELETE_ORGANIZATION, ngx_http_waha_args_slug, 0 },

    { NGX_HTTP_GET, "/api/whatsapp/organizations/{slug}/export",
      NGX_HTTP_WAHA_GLOBAL_READ, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_EXPORT_ORGANIZATION, ngx_http_waha_args_export, 0 },

    { NGX_HTTP_GET, "/api/whatsapp/organizations/{slug}/api-keys",
      NGX_HTTP_WAHA_GLOBAL_READ, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_LIST_API_KEYS, ngx_http_waha_args_slug, 0 },

    { NGX_HTTP_POST, "/api/whatsapp/organizations/{slug}/api-keys",
      NGX_HTTP_WAHA_GLOBAL_WRITE, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_CREATE_API_KEY, ngx_http_waha_args_new_key, 0 },

    { NGX_HTTP_DELETE, "/api/whatsapp/organizations/{slug}/api-keys/{key}",
      NGX_HTTP_WAHA_GLOBAL_WRITE, ngx_http_waha_api_statement,
      NGX_HTTP_WAHA_DELETE_API_KEY, ngx_http_waha_args_key, 0 },

    { NGX_HTTP_POST, "/api/whatsapp/secrets/rotate",
      NGX_HTTP_WAHA_GLOBAL_WRITE, ngx_http_waha_secrets_rotate,
      0, NULL, 0 },

    { 0, NULL, 0, NULL, 0, NULL, 0 }
};


ngx_int_t
ngx_http_waha_route_find(ngx_uint_t method, ngx_str_t *path,
    const ngx_http_waha_route_t **route, ngx_str_t *params,
    ngx_uint_t *methods)
{
    const ngx_http_waha_route_t  *rt;

    *methods = 0;

    for (rt = ngx_http_waha_routes; rt->path; rt++) {

        if (!ngx_http_waha_route_match(rt->path, path, params)) {
            continue;
        }

        if (rt->method == method
            || (rt->method == NGX_HTTP_GET && method == NGX_HTTP_HEAD))
        {
            *route = rt;
            return NGX_OK;
        }

        *methods |= rt->method;
    }

    return *methods ? NGX_ABORT : NGX_DECLINED;
}


/* "{name}" stands for one segment that is not empty */

static ngx_uint_t
ngx_http_waha_route_match(const char *template, ngx_str_t *path,
    ngx_str_t *params)
{
    u_char      *p, *last;
    const char  *t;

    p = path->data;
    last = p + path->len;

    for (t = template; *t; t++) {

        if (*t != '{') {

            if (p == last || *p++ != (u_char) *t) {
                return 0;
            }

            continue;
        }

        params->data = p;

        while (p < last && *p != '/') {
            p++;
        }

        params->len = p - params->data;

        if (params->len == 0) {
            return 0;
        }

        params++;
        t = strchr(t, '}');
    }

    return p == last;
}
