
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_STATEMENTS_H_INCLUDED_
#define _NGX_HTTP_WAHA_STATEMENTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_pg.h>


/*
 * The functions of schema "waha" that the API calls: NGX_HTTP_WAHA_<id>, the
 * name, the number of arguments.  Each returns one row: the code of an error
 * or null, and JSON.  One that is "acted" leaves a row in waha.audit: it has a
 * parameter more, with the actor, see ngx_http_waha_query.h.
 */

#define NGX_HTTP_WAHA_STATEMENTS(statement, acted)                            \
    statement(AUTHENTICATE, authenticate, 2)                                  \
    statement(FIND_ORGANIZATION, find_organization, 1)                        \
    acted(ENSURE_ORGANIZATION, ensure_organization, 1)                        \
    acted(ENABLE_ORGANIZATION, enable_organization, 1)                        \
                                                                              \
    statement(LIST_SESSIONS, list_sessions, 1)                                \
    statement(FIND_SESSION, find_session, 2)                                  \
    acted(RESERVE_SESSION, reserve_session, 5)                                \
    statement(RECORD_SESSION_CHECK, record_session_check, 6)                  \
    acted(BEGIN_OPERATION, begin_operation, 4)                                \
    acted(END_OPERATION, end_operation, 7)                                    \
    statement(CHARGE_OPERATION, charge_operation, 5)                          \
    statement(MOVE_SESSION, move_session, 3)                                  \
    statement(DISCONNECT_SESSION, disconnect_session, 2)                      \
    statement(DELETE_SESSION, delete_session, 2)                              \
    statement(EXPECT_NUMBER, expect_number, 3)                                \
    statement(FIND_NUMBER, find_number, 2)                                    \
    acted(CONNECT_NUMBER, connect_number, 4)                                  \
    acted(DISCONNECT_NUMBER, disconnect_number, 2)                            \
    statement(SHOW_NUMBER, show_number, 2)                                    \
    statement(RECORD_NUMBER_CHECK, record_number_check, 3)                    \
    acted(NOTE_OPERATION, note_operation, 3)                                  \
    statement(LIST_AUDIT, list_audit, 3)                                      \
                                                                              \
    statement(LIST_CONTACTS, list_contacts, 4)                                \
    statement(FIND_CONTACT, find_contact, 2)                                  \
    statement(LIST_ACTIVITIES, list_activities, 7)                            \
    statement(LIST_ACTIVITY_ROWS, list_activity_rows, 7)                      \
    statement(LIST_CONVERSATIONS, list_conversations, 5)                      \
    statement(LIST_MESSAGES, list_messages, 4)                                \
    statement(READ_CONVERSATION, read_conversation, 2)                        \
    statement(FIND_MEDIA, find_media, 2)                                      \
                                                                              \
    statement(LIST_ORGANIZATIONS, list_organizations, 2)                      \
    statement(SHOW_ORGANIZATION, show_organization, 1)                        \
    acted(PUT_ORGANIZATION, put_organization, 4)                              \
    acted(DELETE_ORGANIZATION, delete_organization, 1)                        \
    acted(CREATE_API_KEY, create_api_key, 4)                                  \
    statement(LIST_API_KEYS, list_api_keys, 1)                                \
    acted(DELETE_API_KEY, delete_api_key, 2)                                  \
    acted(ERASE_CONTACT, erase_contact, 2)                                    \
    acted(EXPORT_CONTACT, export_contact, 4)                                  \
    acted(EXPORT_ORGANIZATION, export_organization, 3)                        \
    statement(LIST_SECRETS, list_secrets, 3)                                  \
    acted(REPLACE_SECRET, replace_secret, 4)


#define NGX_HTTP_WAHA_STATEMENT_ARGS  7     /* the most that one has */


#define ngx_http_waha_statement_id(id, name, nargs)  NGX_HTTP_WAHA_##id,

typedef enum {
    NGX_HTTP_WAHA_STATEMENTS(ngx_http_waha_statement_id,
                             ngx_http_waha_statement_id)
    NGX_HTTP_WAHA_NSTATEMENTS,

    /* of webhooks, whose pool has it after those of ingest */
    NGX_HTTP_WAHA_FIND_CONNECTION = NGX_HTTP_WAHA_NSTATEMENTS
} ngx_http_waha_statement_e;


/* from here on, statements are for operators only */

#define NGX_HTTP_WAHA_OPERATORS_FIRST  NGX_HTTP_WAHA_LIST_ORGANIZATIONS


/* both indexed by the enum; nargs: without the actor */

extern const ngx_http_waha_pg_statement_t  ngx_http_waha_statements[];
extern const ngx_int_t                     ngx_http_waha_statement_nargs[];


#endif /* _NGX_HTTP_WAHA_STATEMENTS_H_INCLUDED_ */
