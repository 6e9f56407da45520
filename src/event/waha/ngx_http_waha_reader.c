
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_person.h>
#include <ngx_http_waha_reader.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_ID_MAX         255
#define NGX_HTTP_WAHA_NAME_MAX       255

/* in seconds: 2009-01-01, before WhatsApp, and 2100-01-01 */

#define NGX_HTTP_WAHA_TIME_MIN       1230768000.0
#define NGX_HTTP_WAHA_TIME_MAX       4102444800.0


typedef struct {
    uint32_t                    first;
    uint32_t                    last;
} ngx_http_waha_reader_range_t;


/* a message id in parts, as engines keep it in "_data" */

typedef struct {
    const char                 *parent;
    const char                 *chat;
    const char                 *id;
    const char                 *participant;
    const char                 *from_me;
} ngx_http_waha_reader_key_t;


static double ngx_http_waha_reader_seconds(const cJSON *value);
static double ngx_http_waha_reader_date(const char *text);
static ngx_int_t ngx_http_waha_reader_read_id(ngx_http_waha_reader_t *reader,
    ngx_str_t *id);
static ngx_int_t ngx_http_waha_reader_read_key(
    ngx_http_waha_reader_t *reader, const cJSON *object,
    ngx_http_waha_reader_key_t *key);
static ngx_int_t ngx_http_waha_reader_read_parts(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_reader_find_ids(
    ngx_http_waha_reader_t *reader);
static void ngx_http_waha_reader_find_participant(
    ngx_http_waha_reader_t *reader);
static ngx_int_t ngx_http_waha_reader_join_id(ngx_http_waha_reader_t *reader);
static void ngx_http_waha_reader_find_name(ngx_http_waha_reader_t *reader);
static ngx_uint_t ngx_http_waha_reader_is_blank(ngx_str_t *name);


static ngx_http_waha_reader_key_t  ngx_http_waha_reader_keys[] = {
    { "id", "remote", "id", "participant", "fromMe" },
    { "key", "remoteJid", "id", "participant", "fromMe" },
    { "Info", "Chat", "ID", "Sender", "IsFromMe" },
    { NULL, NULL, NULL, NULL, NULL }
};


/* code points that show nothing: the names of some people have no others */

static ngx_http_waha_reader_range_t  ngx_http_waha_reader_blanks[] = {
    { 0x0000, 0x0020 },
    { 0x007f, 0x00a0 },
    { 0x00ad, 0x00ad },
    { 0x034f, 0x034f },
    { 0x061c, 0x061c },
    { 0x115f, 0x1160 },
    { 0x1680, 0x1680 },
    { 0x17b4, 0x17b5 },
    { 0x180b, 0x180f },
    { 0x2000, 0x200f },
    { 0x2028, 0x202f },
    { 0x205f, 0x206f },
    { 0x2800, 0x2800 },
    { 0x3000, 0x3000 },
    { 0x3164, 0x3164 },
    { 0xfe00, 0xfe0f },
    { 0xfeff, 0xfeff },
    { 0xffa0, 0xffa0 },
    { 0xe0000, 0xe0fff },
    { 0, 0 }
};


ngx_uint_t
ngx_http_waha_reader_is_id(ngx_str_t *id)
{
    return id->len <= NGX_HTTP_WAHA_ID_MAX
           && ngx_http_waha_string_is_printable(id);
}


ngx_int_t
ngx_http_waha_reader_ignore(ngx_http_waha_reader_t *reader,
    const char *reason)
{
    reader->event->reason.data = (u_char *) reason;
    reader->event->reason.len = ngx_strlen(reason);

    return NGX_DONE;
}


ngx_int_t
ngx_http_waha_reader_miss(ngx_http_waha_reader_t *reader, const char *member)
{
    reader->event->missing.data = (u_char *) member;
    reader->event->missing.len = ngx_strlen(member);

    return NGX_DECLINED;
}


int64_t
ngx_http_waha_reader_time(const cJSON *value)
{
    double      seconds;
    ngx_uint_t  i;

    seconds = ngx_http_waha_reader_seconds(value);

    /* milliseconds, microseconds, nanoseconds */

    for (i = 0; i < 3 && seconds > NGX_HTTP_WAHA_TIME_MAX; i++) {
        seconds /= 1000;
    }

    /* written so that NaN is refused, too */

    if (!(seconds >= NGX_HTTP_WAHA_TIME_MIN
          && seconds <= NGX_HTTP_WAHA_TIME_MAX))
    {
        return 0;
    }

    return (int64_t) (seconds * 1000 + 0.5);
}


static double
ngx_http_waha_reader_seconds(const cJSON *value)
{
    char    *end;
    cJSON   *low, *high;
    double   seconds;

    if (cJSON_IsNumber(value)) {
        return value->valuedouble;
    }

    if (cJSON_IsObject(value)) {
        low = ngx_http_waha_json_get(value, "low");
        high = ngx_http_waha_json_get(value, "high");

        if (!cJSON_IsNumber(low)) {
            return 0;
        }

        /* the lower half may have come with a sign */

        seconds = low->valuedouble;
        seconds += (seconds < 0) ? 4294967296.0 : 0;

        return seconds + (cJSON_IsNumber(high) ? high->valuedouble : 0)
                         * 4294967296.0;
    }

    if (!cJSON_IsString(value)
        || value->valuestring[0] < '0' || value->valuestring[0] > '9')
    {
        return 0;
    }

    seconds = strtod(value->valuestring, &end);

    return (*end == '\0') ? seconds
                          : ngx_http_waha_reader_date(value->valuestring);
}


/* "2026-11-25T23:40:00.5Z", "2026-11-26T01:40:00+02:00" */

static double
ngx_http_waha_reader_date(const char *text)
{
    int      year, month, day, hour, min, n, zone_hour, zone_min;
    char     sign;
    double   sec, days;

    static const int  before[] = {
        306, 337, 0, 31, 61, 92, 122, 153, 184, 214, 245, 275
    };

    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%lf%n", &year, &month, &day, &hour,
               &min, &sec, &n) != 6
        || month < 1 || month > 12)
    {
        return 0;
    }

    /* the year begins in March, so that a leap day is the last one */

    year -= (month < 3);

    days = 365.0 * year + year / 4 - year / 100 + year / 400
           + before[month - 1] + day - 1 - 719468;

    sec += ((days * 24 + hour) * 60 + min) * 60;

    if (sscanf(text + n, "%c%2d:%2d", &sign, &zone_hour, &zone_min) == 3) {
        zone_min += zone_hour * 60;
        sec += (sign == '-') ? zone_min * 60 : zone_min * -60;
    }

    return sec;
}


int64_t
ngx_http_waha_reader_event_time(ngx_http_waha_reader_t *reader)
{
    int64_t  ms;

    ms = ngx_http_waha_reader_time(
             ngx_http_waha_json_get(reader->envelope, "timestamp"));

    if (ms) {
        return ms;
    }

    reader->time_guessed = 1;

    return (int64_t) ngx_time() * 1000;
}


int64_t
ngx_http_waha_reader_message_time(ngx_http_waha_reader_t *reader,
    const cJSON *message)
{
    cJSON       *times[6];
    int64_t      ms;
    ngx_uint_t   i;

    times[0] = ngx_http_waha_json_get(message, "timestamp");

    /* NOWEB, GOWS, WEBJS; calls of NOWEB and GOWS */

    times[1] = ngx_http_waha_json_get(reader->data, "messageTimestamp");
    times[2] = ngx_http_waha_json_get(
                   ngx_http_waha_json_get(reader->data, "Info"), "Timestamp");
    times[3] = ngx_http_waha_json_get(reader->data, "t");
    times[4] = ngx_http_waha_json_get(reader->data, "date");
    times[5] = ngx_http_waha_json_get(reader->data, "Timestamp");

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        ms = ngx_http_waha_reader_time(times[i]);

        if (ms) {
            return ms;
        }
    }

    reader->time_guessed = 1;

    return ngx_http_waha_reader_event_time(reader);
}


ngx_str_t
ngx_http_waha_reader_get_jid(ngx_http_waha_reader_t *reader,
    const cJSON *object, const char *name)
{
    cJSON      *item;
    u_char     *p;
    ngx_str_t   jid, user, server;

    item = ngx_http_waha_json_get(object, name);

    if (!cJSON_IsObject(item)) {
        jid = ngx_http_waha_json_get_string(object, name);
        goto done;
    }

    jid = ngx_http_waha_json_get_string(item, "_serialized");

    if (jid.len) {
        goto done;
    }

    user = ngx_http_waha_json_get_string(item, "user");
    server = ngx_http_waha_json_get_string(item, "server");

    if (!ngx_http_waha_reader_is_id(&user)
        || !ngx_http_waha_reader_is_id(&server))
    {
        ngx_str_null(&jid);
        return jid;
    }

    p = ngx_pnalloc(reader->pool, user.len + 1 + server.len);
    if (p == NULL) {
        reader->failed = 1;
        ngx_str_null(&jid);
        return jid;
    }

    jid.data = p;
    jid.len = user.len + 1 + server.len;

    p = ngx_cpymem(p, user.data, user.len);
    *p++ = '@';
    ngx_memcpy(p, server.data, server.len);

done:

    if (!ngx_http_waha_reader_is_id(&jid)) {
        ngx_str_null(&jid);
    }

    return jid;
}


ngx_int_t
ngx_http_waha_reader_parse_target(const cJSON *id, ngx_str_t *target)
{
    ngx_str_t                   text;
    ngx_http_waha_message_id_t  parts;

    text = cJSON_IsObject(id) ? ngx_http_waha_content_get_string(id, "id")
                              : ngx_http_waha_content_get_string(id, "");

    if (!ngx_http_waha_reader_is_id(&text)) {
        return NGX_DECLINED;
    }

    (void) ngx_http_waha_identity_parse_message_id(&text, &parts);

    *target = parts.id;

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_reader_read_identity(ngx_http_waha_reader_t *reader,
    cJSON *message, const char *name)
{
    cJSON      *from_me;
    ngx_int_t   rc;

    reader->message = message;
    reader->data = ngx_http_waha_json_get(message, "_data");

    /* a poll vote, a revoke without message */

    if (reader->data == NULL) {
        reader->data = ngx_http_waha_json_get(reader->payload, "_data");
    }

    rc = ngx_http_waha_reader_find_ids(reader);

    if (rc != NGX_OK) {
        return (rc == NGX_ERROR) ? rc
                                 : ngx_http_waha_reader_miss(reader, name);
    }

    from_me = ngx_http_waha_json_get(message, "fromMe");

    if (cJSON_IsBool(from_me)) {
        reader->event->outbound = cJSON_IsTrue(from_me) ? 1 : 0;
    }

    ngx_http_waha_reader_find_participant(reader);

    rc = ngx_http_waha_person_read(reader);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_waha_reader_find_name(reader);

    return NGX_OK;
}


/* the id that WAHA gives, else what the engine says of it */

static ngx_int_t
ngx_http_waha_reader_find_ids(ngx_http_waha_reader_t *reader)
{
    cJSON                       *item;
    ngx_int_t                    rc;
    ngx_str_t                    id;
    ngx_http_waha_reader_key_t  *key;

    id = ngx_http_waha_json_get_string(reader->message, "id");

    if (ngx_http_waha_reader_read_id(reader, &id) == NGX_OK) {
        return NGX_OK;
    }

    item = ngx_http_waha_json_get(reader->message, "id");

    rc = ngx_http_waha_reader_read_key(reader, item,
                                       &ngx_http_waha_reader_keys[0]);

    for (key = ngx_http_waha_reader_keys;
         key->parent && rc == NGX_DECLINED;
         key++)
    {
        id = ngx_http_waha_json_get_string(reader->data, key->parent);

        if (ngx_http_waha_reader_read_id(reader, &id) == NGX_OK) {
            return NGX_OK;
        }

        item = ngx_http_waha_json_get(reader->data, key->parent);

        rc = ngx_http_waha_reader_read_key(reader, item, key);
    }

    return (rc == NGX_DECLINED) ? ngx_http_waha_reader_read_parts(reader) : rc;
}


static ngx_int_t
ngx_http_waha_reader_read_id(ngx_http_waha_reader_t *reader, ngx_str_t *id)
{
    ngx_http_waha_message_id_t  parts;

    if (!ngx_http_waha_reader_is_id(id)
        || ngx_http_waha_identity_parse_message_id(id, &parts) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    reader->id = *id;
    reader->chat = parts.chat;
    reader->participant = parts.participant;

    reader->event->message_id = parts.id;
    reader->event->outbound = parts.outbound;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_reader_read_key(ngx_http_waha_reader_t *reader,
    const cJSON *object, ngx_http_waha_reader_key_t *key)
{
    ngx_str_t  id, chat;

    id = ngx_http_waha_json_get_string(object, "_serialized");

    if (ngx_http_waha_reader_read_id(reader, &id) == NGX_OK) {
        return NGX_OK;
    }

    id = ngx_http_waha_json_get_string(object, key->id);
    chat = ngx_http_waha_reader_get_jid(reader, object, key->chat);

    if (chat.len == 0 || !ngx_http_waha_reader_is_id(&id)) {
        return NGX_DECLINED;
    }

    reader->chat = chat;
    reader->participant = ngx_http_waha_reader_get_jid(reader, object,
                                                       key->participant);
    reader->event->message_id = id;
    reader->event->outbound = cJSON_IsTrue(
                            ngx_http_waha_json_get(object, key->from_me));

    return ngx_http_waha_reader_join_id(reader);
}


/* a bare id, and the chat by sender and recipient */

static ngx_int_t
ngx_http_waha_reader_read_parts(ngx_http_waha_reader_t *reader)
{
    ngx_str_t  id, from, to;

    id = ngx_http_waha_json_get_string(reader->message, "id");
    from = ngx_http_waha_reader_get_jid(reader, reader->message, "from");
    to = ngx_http_waha_reader_get_jid(reader, reader->message, "to");

    if (!ngx_http_waha_reader_is_id(&id)
        || ngx_strncmp(id.data, "true_", 5) == 0
        || ngx_strncmp(id.data, "false_", 6) == 0)
    {
        return NGX_DECLINED;
    }

    reader->event->outbound = cJSON_IsTrue(
                            ngx_http_waha_json_get(reader->message, "fromMe"));

    /* some engines have the chat in "from", whoever wrote */

    reader->chat = (reader->event->outbound && to.len
                    && (ngx_http_waha_person_is_me(reader, &from)
                        || reader->nme == 0)) ? to : from;

    if (reader->chat.len == 0) {
        return NGX_DECLINED;
    }

    reader->event->message_id = id;
    ngx_str_null(&reader->participant);

    return ngx_http_waha_reader_join_id(reader);
}


static void
ngx_http_waha_reader_find_participant(ngx_http_waha_reader_t *reader)
{
    cJSON      *data, *info;
    ngx_str_t   places[5];
    ngx_uint_t  i;

    if (reader->participant.len) {
        return;
    }

    data = reader->data;
    info = ngx_http_waha_json_get(data, "Info");

    places[0] = ngx_http_waha_reader_get_jid(reader, reader->message,
                                             "participant");
    places[1] = ngx_http_waha_reader_get_jid(reader,
                                ngx_http_waha_json_get(data, "key"),
                                "participant");
    places[2] = ngx_http_waha_reader_get_jid(reader,
                                ngx_http_waha_json_get(data, "id"),
                                "participant");
    places[3] = ngx_http_waha_reader_get_jid(reader, data, "author");
    places[4] = ngx_http_waha_reader_get_jid(reader, info, "Sender");

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {

        if (places[i].len) {
            reader->participant = places[i];
            return;
        }
    }

    ngx_str_null(&reader->participant);
}


/* the id as WAHA would have written it, for its API */

static ngx_int_t
ngx_http_waha_reader_join_id(ngx_http_waha_reader_t *reader)
{
    u_char     *p;
    ngx_str_t  *id;

    id = &reader->event->message_id;

    reader->id.len = (reader->event->outbound ? 5 : 6) + reader->chat.len + 1
                     + id->len;

    p = ngx_pnalloc(reader->pool, reader->id.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    reader->id.data = p;

    p = reader->event->outbound ? ngx_cpymem(p, "true_", 5)
                                : ngx_cpymem(p, "false_", 6);
    p = ngx_cpymem(p, reader->chat.data, reader->chat.len);
    *p++ = '_';
    ngx_memcpy(p, id->data, id->len);

    return NGX_OK;
}


static void
ngx_http_waha_reader_find_name(ngx_http_waha_reader_t *reader)
{
    cJSON                  *data, *info;
    ngx_str_t               names[6];
    ngx_uint_t              i;
    ngx_http_waha_event_t  *event;

    event = reader->event;

    /* the name would be our own, or there is no person who could have it */

    if (event->outbound
        || (event->phone.data == NULL && event->lid.data == NULL))
    {
        return;
    }

    data = reader->data;
    info = ngx_http_waha_json_get(data, "Info");

    /* WEBJS */
    names[0] = ngx_http_waha_json_get_string(data, "notifyName");

    /* NOWEB */
    names[1] = ngx_http_waha_json_get_string(data, "pushName");
    names[2] = ngx_http_waha_json_get_string(data, "verifiedBizName");

    /* GOWS; the verified name is a string or in a certificate */
    names[3] = ngx_http_waha_json_get_string(info, "PushName");
    names[4] = ngx_http_waha_json_get_string(info, "VerifiedName");
    names[5] = ngx_http_waha_json_get_string(
                   ngx_http_waha_json_get(
                       ngx_http_waha_json_get(info, "VerifiedName"),
                       "Details"),
                   "verifiedName");

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        event->name = ngx_http_waha_reader_display_name(&names[i]);

        if (event->name.data) {
            return;
        }
    }
}


ngx_str_t
ngx_http_waha_reader_display_name(ngx_str_t *name)
{
    ngx_str_t  none;

    if (ngx_http_waha_reader_is_blank(name)) {
        ngx_str_null(&none);
        return none;
    }

    return ngx_http_waha_string_cut(name, NGX_HTTP_WAHA_NAME_MAX);
}


static ngx_uint_t
ngx_http_waha_reader_is_blank(ngx_str_t *name)
{
    u_char                        *p, *last;
    uint32_t                       c;
    ngx_http_waha_reader_range_t  *blank;

    if (name->len == 0) {
        return 1;
    }

    p = name->data;
    last = p + name->len;

    while (p < last) {

        c = (*p < 0x80) ? *p++ : ngx_utf8_decode(&p, last - p);

        for (blank = ngx_http_waha_reader_blanks; blank->last; blank++) {

            if (c >= blank->first && c <= blank->last) {
                break;
            }
        }

        if (blank->last == 0) {
            return 0;
        }
    }

    return 1;
}
