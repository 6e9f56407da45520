
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_event.h>


ngx_str_t  ngx_http_waha_event_kinds[] = {
    [NGX_HTTP_WAHA_MESSAGE] = ngx_string("message"),
    [NGX_HTTP_WAHA_STATUS] = ngx_string("status"),
    [NGX_HTTP_WAHA_REACTION] = ngx_string("reaction"),
    [NGX_HTTP_WAHA_VOTE] = ngx_string("vote"),
    [NGX_HTTP_WAHA_EDIT] = ngx_string("edit"),
    [NGX_HTTP_WAHA_REVOKE] = ngx_string("revoke"),
    [NGX_HTTP_WAHA_SESSION] = ngx_string("session"),
    [NGX_HTTP_WAHA_CALL] = ngx_string("call"),
    [NGX_HTTP_WAHA_USER] = ngx_string("user"),
    [NGX_HTTP_WAHA_ACCOUNT] = ngx_string("account"),
    [NGX_HTTP_WAHA_OTHER] = ngx_string("other")
};


ngx_str_t  ngx_http_waha_event_chats[] = {
    [NGX_HTTP_WAHA_PERSON] = ngx_string("person"),
    [NGX_HTTP_WAHA_GROUP] = ngx_string("group"),
    [NGX_HTTP_WAHA_STORY] = ngx_string("status"),
    [NGX_HTTP_WAHA_NEWSLETTER] = ngx_string("newsletter"),
    [NGX_HTTP_WAHA_BROADCAST] = ngx_string("broadcast"),
    [NGX_HTTP_WAHA_BOT] = ngx_string("bot")
};
