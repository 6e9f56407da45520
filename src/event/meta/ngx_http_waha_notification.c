
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <stddef.h>
#include <ngx_http_waha_meta_message.h>
#include <ngx_http_waha_meta_metadata.h>
#include <ngx_http_waha_meta_status.h>
#include <ngx_http_waha_meta_user.h>
#include <ngx_http_waha_notification.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


#define NGX_HTTP_WAHA_NOTIFICATION_FIELD  64

/* bytes that the frame around an item takes */
#define NGX_HTTP_WAHA_NOTIFICATION_FRAME  512


/* a list in the value of a field, what reads its items, or why none does */

typedef struct {
    const char                     *field;
    const char                     *name;
    ngx_http_waha_meta_reader_pt    read;
    const char                     *reason;
} ngx_http_waha_notification_list_t;


static ngx_int_t ngx_http_waha_notification_read(
    ngx_http_waha_meta_reader_t *reader, ngx_str_t *text);
static ngx_int_t ngx_http_waha_notification_add_nothing(
    ngx_http_waha_meta_reader_t *reader, ngx_str_t *text,
    ngx_uint_t has_entries);
static ngx_int_t ngx_http_waha_notification_walk(
    ngx_http_waha_meta_reader_t *reader, ngx_str_t *text,
    const cJSON *entries);
static ngx_int_t ngx_http_waha_notification_walk_entry(
    ngx_http_waha_meta_reader_t *reader, ngx_str_t *text, const cJSON *entry);
static ngx_int_t ngx_http_waha_notification_start_change(
    ngx_http_waha_meta_reader_t *reader, ngx_str_t *text, const cJSON *entry,
    const cJSON *change);
static int ngx_http_waha_notification_place(const cJSON *object,
    const char *name);
static ngx_int_t ngx_http_waha_notification_copy(ngx_pool_t *pool,
    ngx_str_t *value);
static ngx_int_t ngx_http_waha_notification_walk_change(
    ngx_http_waha_meta_reader_t *reader, const cJSON *change);
static ngx_uint_t ngx_http_waha_notification_is_news(ngx_str_t *field);
static ngx_int_t ngx_http_waha_notification_start_value(
    ngx_http_waha_meta_reader_t *reader, const cJSON *value);
static ngx_int_t ngx_http_waha_notification_walk_value(
    ngx_http_waha_meta_reader_t *reader, const cJSON *value);
static ngx_int_t ngx_http_waha_notification_walk_list(
    ngx_http_waha_meta_reader_t *reader, const cJSON *value,
    const ngx_http_waha_notification_list_t *list);
static ngx_int_t ngx_http_waha_notification_walk_chunk(
    ngx_http_waha_meta_reader_t *reader, const cJSON *chunk);
static ngx_http_waha_event_t *ngx_http_waha_notification_add(
    ngx_http_waha_meta_reader_t *reader, const cJSON *item);
static ngx_int_t ngx_http_waha_notification_add_unread(
    ngx_http_waha_meta_reader_t *reader, const char *member);
static ngx_int_t ngx_http_waha_notification_add_ignored(
    ngx_http_waha_meta_reader_t *reader, const char *reason);
static ngx_int_t ngx_http_waha_notification_add_news(
    ngx_http_waha_meta_reader_t *reader, const cJSON *value);
static ngx_int_t ngx_http_waha_notification_add_item(
    ngx_http_waha_meta_reader_t *reader,
    const ngx_http_waha_notification_list_t *list, cJSON *item);
static ngx_int_t ngx_http_waha_notification_read_item(
    ngx_http_waha_meta_reader_t *reader, ngx_http_waha_meta_reader_pt read);
static ngx_uint_t ngx_http_waha_notification_has_replacement(
    const cJSON *item);
static ngx_int_t ngx_http_waha_notification_keep(
    ngx_http_waha_meta_reader_t *reader);
static void ngx_http_waha_notification_put(ngx_http_waha_json_out_t *out,
    ngx_http_waha_meta_change_t *change, const char *name, int place);
static void ngx_http_waha_notification_put_value(
    ngx_http_waha_json_out_t *out, ngx_http_waha_meta_origin_t *origin);
static void ngx_http_waha_notification_put_list(
    ngx_http_waha_json_out_t *out, ngx_http_waha_meta_origin_t *origin);


static const ngx_http_waha_notification_list_t
    ngx_http_waha_notification_lists[] =
{
    { "messages", "messages", ngx_http_waha_meta_message_read, NULL },
    { "messages", "statuses", ngx_http_waha_meta_status_read, NULL },
    { "messages", "errors", NULL, "errors" },
    { "messages", "user_actions", NULL, "user_actions" },

    /* typed on the phone; sent by another app of the business */

    { "smb_message_echoes", "message_echoes",
      ngx_http_waha_meta_message_read_echo, NULL },

    { "message_echoes", "message_echoes",
      ngx_http_waha_meta_message_read_echo, NULL },

    /* chunks of what the phone had before; files of it, which follow */

    { "history", "history", NULL, NULL },
    { "history", "messages", ngx_http_waha_meta_message_read_history, NULL },
    { "history", "errors", NULL, "errors" },

    { "smb_app_state_sync", "state_sync",
      ngx_http_waha_meta_user_read_sync, NULL },

    { "user_id_update", "user_id_update",
      ngx_http_waha_meta_user_read_update, NULL },

    { "user_preferences", "user_preferences",
      ngx_http_waha_meta_user_read_preference, NULL },

    { "calls", "calls", ngx_http_waha_meta_status_read_call, NULL },

    { "calls", "statuses",
      ngx_http_waha_meta_status_read_call_status, NULL },

    { "calls", "errors", NULL, "errors" },

    { NULL, NULL, NULL, NULL }
};


/* of a chunk of the history: why it is not shared; of a thread in it */

static const ngx_http_waha_notification_list_t
    ngx_http_waha_notification_declined =
{
    "history", "errors", NULL, "errors"
};


static const ngx_http_waha_notification_list_t
    ngx_http_waha_notification_thread =
{
    "history", "messages", ngx_http_waha_meta_message_read_history, NULL
};


/* fields that tell of an account, its numbers and its templates */

static const char  *ngx_http_waha_notification_news[] = {
    "account_alerts",
    "account_offboarded",
    "account_reconnected",
    "account_review_update",
    "account_settings_update",
    "account_update",
    "business_capability_update",
    "business_status_update",
    "flows",
    "message_template_components_update",
    "message_template_quality_update",
    "message_template_status_update",
    "partner_solutions",
    "payment_configuration_update",
    "phone_number_name_update",
    "phone_number_quality_update",
    "security",
    "template_category_update",
    "template_correct_category_detection",
    NULL
};


/* strings of an event that may stand in the tree; others are constants */

static const size_t  ngx_http_waha_notification_strings[] = {
    offsetof(ngx_http_waha_event_t, message_id),
    offsetof(ngx_http_waha_event_t, target_id),
    offsetof(ngx_http_waha_event_t, chat_id),
    offsetof(ngx_http_waha_event_t, phone),
    offsetof(ngx_http_waha_event_t, bsuid),
    offsetof(ngx_http_waha_event_t, parent_bsuid),
    offsetof(ngx_http_waha_event_t, username),
    offsetof(ngx_http_waha_event_t, name),
    offsetof(ngx_http_waha_event_t, previous_phone),
    offsetof(ngx_http_waha_event_t, previous_bsuid),
    offsetof(ngx_http_waha_event_t, text)
};


ngx_int_t
ngx_http_waha_notification_parse(ngx_pool_t *pool, ngx_str_t *body,
    ngx_array_t *events)
{
    ngx_int_t                    rc;
    ngx_str_t                    text;
    ngx_uint_t                   replaced;
    ngx_http_waha_meta_reader_t  reader;

    text = *body;

    if (text.len > NGX_MAX_INT32_VALUE) {
        return NGX_ABORT;
    }

    rc = ngx_http_waha_json_clean_up_to(pool, &text,
                                        NGX_HTTP_WAHA_NOTIFICATION_VALUES,
                                        &replaced);
    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_ABORT : rc;
    }

    ngx_memzero(&reader, sizeof(ngx_http_waha_meta_reader_t));

    reader.pool = pool;
    reader.events = events;
    reader.replaced = replaced ? 1 : 0;

    /* 256 clients may wait for the database: what they wait with is small */

    reader.tree = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, pool->log);
    if (reader.tree == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_waha_notification_read(&reader, &text);

    ngx_destroy_pool(reader.tree);

    if (rc == NGX_ERROR) {
        events->nelts = 0;
    }

    return rc;
}


static ngx_int_t
ngx_http_waha_notification_read(ngx_http_waha_meta_reader_t *reader,
    ngx_str_t *text)
{
    cJSON      *json, *entries;
    ngx_int_t   rc;

    rc = ngx_http_waha_json_parse(reader->tree, text, &json);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_waha_json_locate(reader->tree, text, json) != NGX_OK) {
        return NGX_ERROR;
    }

    entries = ngx_http_waha_json_get(json, "entry");

    if (cJSON_IsArray(entries)) {
        reader->counting = 1;

        (void) ngx_http_waha_notification_walk(reader, text, entries);

        reader->counting = 0;
    }

    if (reader->nevents > NGX_HTTP_WAHA_NOTIFICATION_EVENTS) {
        return NGX_ABORT;
    }

    if (ngx_array_init(reader->events, reader->pool,
                       ngx_max(reader->nevents, 1),
                       sizeof(ngx_http_waha_event_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (reader->nevents) {
        return ngx_http_waha_notification_walk(reader, text, entries);
    }

    return ngx_http_waha_notification_add_nothing(reader, text,
                                                  cJSON_IsArray(entries));
}


/* the event of a notification without any */

static ngx_int_t
ngx_http_waha_notification_add_nothing(ngx_http_waha_meta_reader_t *reader,
    ngx_str_t *text, ngx_uint_t has_entries)
{
    ngx_int_t  rc;

    reader->change = ngx_pcalloc(reader->pool,
                                 sizeof(ngx_http_waha_meta_change_t));
    if (reader->change == NULL) {
        return NGX_ERROR;
    }

    reader->change->text = *text;

    ngx_str_null(&reader->account);
    ngx_str_null(&reader->field);
    ngx_str_null(&reader->session);

    if (has_entries) {
        return ngx_http_waha_notification_add_ignored(reader, "event");
    }

    rc = ngx_http_waha_notification_add_unread(reader, "entry");

    return (rc == NGX_OK) ? NGX_DECLINED : rc;
}


static ngx_int_t
ngx_http_waha_notification_walk(ngx_http_waha_meta_reader_t *reader,
    ngx_str_t *text, const cJSON *entries)
{
    const cJSON  *entry;

    for (entry = entries->child; entry; entry = entry->next) {

        if (ngx_http_waha_notification_walk_entry(reader, text, entry)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_notification_walk_entry(ngx_http_waha_meta_reader_t *reader,
    ngx_str_t *text, const cJSON *entry)
{
    cJSON  *changes, *change;

    changes = ngx_http_waha_json_get(entry, "changes");

    if (!cJSON_IsArray(changes) || changes->child == NULL) {

        if (ngx_http_waha_notification_start_change(reader, text, entry, NULL)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        /* entries of other products have other members */

        return cJSON_IsObject(entry)
               ? ngx_http_waha_notification_add_ignored(reader, "event")
               : ngx_http_waha_notification_add_unread(reader, "entry");
    }

    for (change = changes->child; change; change = change->next) {

        if (ngx_http_waha_notification_start_change(reader, text, entry,
                                                    change)
                != NGX_OK
            || ngx_http_waha_notification_walk_change(reader, change)
                != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* change is NULL for an entry that has none */

static ngx_int_t
ngx_http_waha_notification_start_change(ngx_http_waha_meta_reader_t *reader,
    ngx_str_t *text, const cJSON *entry, const cJSON *change)
{
    ngx_http_waha_meta_change_t  *start;

    reader->thread = NULL;
    reader->contacts = NULL;
    reader->people = NULL;
    reader->in_chunk = 0;

    ngx_str_null(&reader->session);
    ngx_str_null(&reader->number);

    reader->account = ngx_http_waha_json_get_string(entry, "id");
    reader->field = ngx_http_waha_json_get_string(change, "field");
    reader->time = ngx_http_waha_field_time(
                       ngx_http_waha_json_get(entry, "time"));

    if (reader->account.len > NGX_HTTP_WAHA_NOTIFICATION_FIELD
        || !ngx_http_waha_string_is_printable(&reader->account))
    {
        ngx_str_null(&reader->account);
    }

    if (reader->field.len > NGX_HTTP_WAHA_NOTIFICATION_FIELD
        || !ngx_http_waha_string_is_printable(&reader->field))
    {
        ngx_str_null(&reader->field);
    }

    if (reader->counting) {
        return NGX_OK;
    }

    start = ngx_pcalloc(reader->pool, sizeof(ngx_http_waha_meta_change_t));
    if (start == NULL) {
        return NGX_ERROR;
    }

    reader->change = start;

    start->text = *text;
    start->entry = entry->valueint;
    start->id = ngx_http_waha_notification_place(entry, "id");
    start->time = ngx_http_waha_notification_place(entry, "time");
    start->change = change ? change->valueint : 0;
    start->field = ngx_http_waha_notification_place(change, "field");

    if (ngx_http_waha_notification_copy(reader->pool, &reader->account)
            != NGX_OK
        || ngx_http_waha_notification_copy(reader->pool, &reader->field)
            != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static int
ngx_http_waha_notification_place(const cJSON *object, const char *name)
{
    cJSON  *item;

    item = ngx_http_waha_json_get(object, name);

    return item ? item->valueint : 0;
}


/* into a pool that stays */

static ngx_int_t
ngx_http_waha_notification_copy(ngx_pool_t *pool, ngx_str_t *value)
{
    u_char  *p;

    if (value->len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, value->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, value->data, value->len);
    value->data = p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_notification_walk_change(ngx_http_waha_meta_reader_t *reader,
    const cJSON *change)
{
    cJSON  *value;

    if (reader->field.len == 0) {
        return ngx_http_waha_notification_add_unread(reader, "changes.field");
    }

    value = ngx_http_waha_json_get(change, "value");

    if (!cJSON_IsObject(value)) {
        return ngx_http_waha_notification_add_unread(reader, "changes.value");
    }

    if (ngx_http_waha_notification_start_value(reader, value) != NGX_OK) {
        return NGX_ERROR;
    }

    /* the button in the dashboard of an app sends a sample of each field */

    if (ngx_http_waha_string_is(&reader->account, "0")) {
        return ngx_http_waha_notification_add_ignored(reader, "test");
    }

    if (ngx_http_waha_notification_is_news(&reader->field)) {
        return ngx_http_waha_notification_add_news(reader, value);
    }

    return ngx_http_waha_notification_walk_value(reader, value);
}


static ngx_uint_t
ngx_http_waha_notification_is_news(ngx_str_t *field)
{
    const char  **known;

    for (known = ngx_http_waha_notification_news; *known; known++) {

        if (ngx_http_waha_string_is(field, *known)) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_waha_notification_start_value(ngx_http_waha_meta_reader_t *reader,
    const cJSON *value)
{
    cJSON      *metadata;
    ngx_int_t   rc;

    metadata = ngx_http_waha_json_get(value, "metadata");

    reader->contacts = ngx_http_waha_json_get(value, "contacts");
    reader->session = ngx_http_waha_json_get_string(metadata,
                                                    "phone_number_id");

    if (!ngx_http_waha_meta_reader_is_node(&reader->session)) {
        ngx_str_null(&reader->session);
    }

    if (reader->counting) {
        return NGX_OK;
    }

    reader->change->metadata = metadata ? metadata->valueint : 0;
    reader->number = ngx_http_waha_json_get_string(metadata,
                                                   "display_phone_number");

    if (reader->number.len) {
        rc = ngx_http_waha_value_parse_phone(reader->tree, &reader->number);

        if (rc == NGX_ERROR) {
            return rc;
        }

        if (rc != NGX_OK) {
            ngx_str_null(&reader->number);
        }
    }

    return ngx_http_waha_notification_copy(reader->pool, &reader->session);
}


static ngx_int_t
ngx_http_waha_notification_walk_value(ngx_http_waha_meta_reader_t *reader,
    const cJSON *value)
{
    ngx_int_t                                 rc;
    ngx_uint_t                                found;
    const ngx_http_waha_notification_list_t  *list;

    found = 0;

    for (list = ngx_http_waha_notification_lists; list->field; list++) {

        if (!ngx_http_waha_string_is(&reader->field, list->field)) {
            continue;
        }

        rc = ngx_http_waha_notification_walk_list(reader, value, list);

        if (rc == NGX_ERROR) {
            return rc;
        }

        if (rc == NGX_OK) {
            found = 1;
        }
    }

    /* a field that is not used, or one that says nothing */

    return found ? NGX_OK
                 : ngx_http_waha_notification_add_ignored(reader, "event");
}


/* NGX_DECLINED: there are no items */

static ngx_int_t
ngx_http_waha_notification_walk_list(ngx_http_waha_meta_reader_t *reader,
    const cJSON *value, const ngx_http_waha_notification_list_t *list)
{
    cJSON      *item, *items;
    ngx_int_t   rc;

    items = ngx_http_waha_json_get(value, list->name);

    item = cJSON_IsArray(items) ? items->child : items;

    if (item == NULL) {
        return NGX_DECLINED;
    }

    for ( /* void */ ; item; item = cJSON_IsArray(items) ? item->next : NULL) {

        if (list->read || list->reason || !cJSON_IsObject(item)) {
            rc = ngx_http_waha_notification_add_item(reader, list, item);

        } else {
            rc = ngx_http_waha_notification_walk_chunk(reader, item);
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_notification_walk_chunk(ngx_http_waha_meta_reader_t *reader,
    const cJSON *chunk)
{
    cJSON      *threads, *thread;
    ngx_int_t   rc;

    reader->in_chunk = 1;

    rc = ngx_http_waha_notification_walk_list(reader, chunk,
                                         &ngx_http_waha_notification_declined);

    threads = ngx_http_waha_json_get(chunk, "threads");

    thread = cJSON_IsArray(threads) ? threads->child : NULL;

    for ( /* void */ ; thread && rc != NGX_ERROR; thread = thread->next) {

        reader->thread = thread;

        rc = ngx_http_waha_notification_walk_list(reader, thread,
                                           &ngx_http_waha_notification_thread);
    }

    reader->thread = NULL;
    reader->in_chunk = 0;

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/* item is NULL if the change as a whole is the event */

static ngx_http_waha_event_t *
ngx_http_waha_notification_add(ngx_http_waha_meta_reader_t *reader,
    const cJSON *item)
{
    cJSON                        *context;
    ngx_http_waha_event_t        *event;
    ngx_http_waha_meta_origin_t  *origin;

    event = ngx_array_push(reader->events);
    if (event == NULL) {
        return NULL;
    }

    ngx_memzero(event, sizeof(ngx_http_waha_event_t));

    origin = ngx_pcalloc(reader->pool, sizeof(ngx_http_waha_meta_origin_t));
    if (origin == NULL) {
        return NULL;
    }

    origin->change = reader->change;

    if (item) {
        origin->list = reader->list;
        origin->item = item->valueint;
        origin->in_chunk = reader->in_chunk;

        if (reader->thread) {
            context = ngx_http_waha_json_get(reader->thread, "context");

            origin->in_thread = 1;
            origin->thread_id = ngx_http_waha_notification_place(
                                    reader->thread, "id");
            origin->thread_context = context ? context->valueint : 0;
        }
    }

    event->kind = NGX_HTTP_WAHA_OTHER;
    event->event = reader->field;
    event->session = reader->session;
    event->account = reader->account;
    event->origin = origin;

    reader->event = event;
    reader->contact = NULL;
    reader->time_guessed = 0;

    return event;
}


static ngx_int_t
ngx_http_waha_notification_add_unread(ngx_http_waha_meta_reader_t *reader,
    const char *member)
{
    ngx_http_waha_event_t  *event;

    if (reader->counting) {
        reader->nevents++;
        return NGX_OK;
    }

    event = ngx_http_waha_notification_add(reader, NULL);
    if (event == NULL) {
        return NGX_ERROR;
    }

    event->missing.data = (u_char *) member;
    event->missing.len = ngx_strlen(member);

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_notification_add_ignored(ngx_http_waha_meta_reader_t *reader,
    const char *reason)
{
    if (reader->counting) {
        reader->nevents++;
        return NGX_OK;
    }

    if (ngx_http_waha_notification_add(reader, NULL) == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_http_waha_meta_reader_ignore(reader, reason);

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_notification_add_news(ngx_http_waha_meta_reader_t *reader,
    const cJSON *value)
{
    ngx_http_waha_event_t  *event;

    if (reader->counting) {
        reader->nevents++;
        return NGX_OK;
    }

    event = ngx_http_waha_notification_add(reader, NULL);
    if (event == NULL) {
        return NGX_ERROR;
    }

    if (!ngx_http_waha_meta_reader_is_node(&event->account)) {
        ngx_str_set(&event->missing, "entry.id");
        return NGX_OK;
    }

    event->kind = NGX_HTTP_WAHA_ACCOUNT;
    event->session = event->account;
    event->sent_at = ngx_http_waha_meta_reader_time(reader, value);

    return ngx_http_waha_meta_metadata_write_news(reader, value);
}


static ngx_int_t
ngx_http_waha_notification_add_item(ngx_http_waha_meta_reader_t *reader,
    const ngx_http_waha_notification_list_t *list, cJSON *item)
{
    ngx_http_waha_event_t  *event;

    if (reader->counting) {
        reader->nevents++;
        return NGX_OK;
    }

    reader->list = list->name;
    reader->item = item;

    event = ngx_http_waha_notification_add(reader, item);
    if (event == NULL) {
        return NGX_ERROR;
    }

    if (list->reason) {
        (void) ngx_http_waha_meta_reader_ignore(reader, list->reason);
        return NGX_OK;
    }

    if (event->session.data == NULL) {
        ngx_str_set(&event->missing, "metadata.phone_number_id");
        return NGX_OK;
    }

    if (!cJSON_IsObject(item)) {
        event->missing.data = (u_char *) list->name;
        event->missing.len = ngx_strlen(list->name);
        return NGX_OK;
    }

    return ngx_http_waha_notification_read_item(reader, list->read);
}


static ngx_int_t
ngx_http_waha_notification_read_item(ngx_http_waha_meta_reader_t *reader,
    ngx_http_waha_meta_reader_pt read)
{
    ngx_int_t                     rc;
    ngx_http_waha_event_t        *event, unread;
    ngx_http_waha_meta_origin_t  *origin;

    event = reader->event;
    unread = *event;

    if (reader->replaced
        && ngx_http_waha_notification_has_replacement(reader->item))
    {
        event->sanitised = 1;
    }

    rc = read(reader);

    if (rc == NGX_ERROR) {
        return rc;
    }

    if (reader->contact) {
        origin = event->origin;
        origin->contact = reader->contact->valueint;
    }

    if (rc == NGX_DONE) {
        unread.reason = event->reason;
        *event = unread;
        return NGX_OK;
    }

    if (rc == NGX_DECLINED) {
        unread.missing = event->missing;
        *event = unread;
        return NGX_OK;
    }

    if (event->sanitised && event->metadata.data == NULL) {
        ngx_str_set(&event->metadata, "{\"sanitised\":true}");
    }

    return ngx_http_waha_notification_keep(reader);
}


/* neighbours of the item may have been sound */

static ngx_uint_t
ngx_http_waha_notification_has_replacement(const cJSON *item)
{
    const cJSON  *child;

    if (cJSON_IsString(item)
        && ngx_strstr(item->valuestring, "\xef\xbf\xbd") != NULL)
    {
        return 1;
    }

    for (child = item->child; child; child = child->next) {

        if (ngx_http_waha_notification_has_replacement(child)) {
            return 1;
        }
    }

    return 0;
}


/* the tree is gone when the event is stored */

static ngx_int_t
ngx_http_waha_notification_keep(ngx_http_waha_meta_reader_t *reader)
{
    u_char      *p;
    size_t       size;
    ngx_str_t   *value;
    ngx_uint_t   i, n;

    n = sizeof(ngx_http_waha_notification_strings) / sizeof(size_t);
    size = 1;

    for (i = 0; i < n; i++) {
        value = (ngx_str_t *) ((u_char *) reader->event
                               + ngx_http_waha_notification_strings[i]);
        size += value->len;
    }

    p = ngx_pnalloc(reader->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        value = (ngx_str_t *) ((u_char *) reader->event
                               + ngx_http_waha_notification_strings[i]);

        if (value->data == NULL) {
            continue;
        }

        /* an empty one is not a missing one */

        ngx_memcpy(p, value->data, value->len);
        value->data = p;
        p += value->len;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_notification_raw(ngx_pool_t *pool, ngx_http_waha_event_t *event,
    ngx_str_t *raw)
{
    ngx_http_waha_json_out_t      out;
    ngx_http_waha_meta_change_t  *change;
    ngx_http_waha_meta_origin_t  *origin;

    origin = event->origin;
    change = origin->change;

    if (change->entry == 0) {
        *raw = change->text;
        return NGX_OK;
    }

    ngx_http_waha_json_start(&out, pool, NGX_HTTP_WAHA_NOTIFICATION_FRAME);

    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_text(&out, "object", "whatsapp_business_account");
    ngx_http_waha_json_open(&out, "entry", '[');

    if (change->change == 0) {
        ngx_http_waha_notification_put(&out, change, NULL, change->entry);

    } else {
        ngx_http_waha_json_open(&out, NULL, '{');
        ngx_http_waha_notification_put(&out, change, "id", change->id);
        ngx_http_waha_notification_put(&out, change, "time", change->time);
        ngx_http_waha_json_open(&out, "changes", '[');

        if (origin->list) {
            ngx_http_waha_json_open(&out, NULL, '{');
            ngx_http_waha_notification_put(&out, change, "field",
                                           change->field);
            ngx_http_waha_notification_put_value(&out, origin);
            ngx_http_waha_json_close(&out, '}');

        } else {
            ngx_http_waha_notification_put(&out, change, NULL, change->change);
        }

        ngx_http_waha_json_close(&out, ']');
        ngx_http_waha_json_close(&out, '}');
    }

    ngx_http_waha_json_close(&out, ']');
    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_json_end(&out, raw);
}


/* as it stands in the notification; nothing if it does not */

static void
ngx_http_waha_notification_put(ngx_http_waha_json_out_t *out,
    ngx_http_waha_meta_change_t *change, const char *name, int place)
{
    ngx_str_t  source;

    if (place == 0) {
        return;
    }

    source = ngx_http_waha_json_source(&change->text, place);

    ngx_http_waha_json_put_raw(out, name, &source);
}


static void
ngx_http_waha_notification_put_value(ngx_http_waha_json_out_t *out,
    ngx_http_waha_meta_origin_t *origin)
{
    ngx_http_waha_meta_change_t  *change;

    change = origin->change;

    ngx_http_waha_json_open(out, "value", '{');
    ngx_http_waha_json_put_text(out, "messaging_product", "whatsapp");
    ngx_http_waha_notification_put(out, change, "metadata", change->metadata);

    if (origin->contact) {
        ngx_http_waha_json_open(out, "contacts", '[');
        ngx_http_waha_notification_put(out, change, NULL, origin->contact);
        ngx_http_waha_json_close(out, ']');
    }

    if (!origin->in_chunk) {
        ngx_http_waha_notification_put_list(out, origin);
        ngx_http_waha_json_close(out, '}');
        return;
    }

    ngx_http_waha_json_open(out, "history", '[');
    ngx_http_waha_json_open(out, NULL, '{');

    if (origin->in_thread) {
        ngx_http_waha_json_open(out, "threads", '[');
        ngx_http_waha_json_open(out, NULL, '{');
        ngx_http_waha_notification_put(out, change, "id", origin->thread_id);
        ngx_http_waha_notification_put(out, change, "context",
                                       origin->thread_context);
        ngx_http_waha_notification_put_list(out, origin);
        ngx_http_waha_json_close(out, '}');
        ngx_http_waha_json_close(out, ']');

    } else {
        ngx_http_waha_notification_put_list(out, origin);
    }

    ngx_http_waha_json_close(out, '}');
    ngx_http_waha_json_close(out, ']');
    ngx_http_waha_json_close(out, '}');
}


static void
ngx_http_waha_notification_put_list(ngx_http_waha_json_out_t *out,
    ngx_http_waha_meta_origin_t *origin)
{
    ngx_http_waha_json_open(out, origin->list, '[');
    ngx_http_waha_notification_put(out, origin->change, NULL, origin->item);
    ngx_http_waha_json_close(out, ']');
}
