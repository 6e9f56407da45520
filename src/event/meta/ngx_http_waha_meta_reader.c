
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_meta_reader.h>
#include <ngx_http_waha_string.h>
#include <ngx_http_waha_value.h>


#define NGX_HTTP_WAHA_META_ID_MAX     512
#define NGX_HTTP_WAHA_META_NODE_MAX   32

/* digits of a phone number by E.164 */

#define NGX_HTTP_WAHA_META_PHONE_MIN  5
#define NGX_HTTP_WAHA_META_PHONE_MAX  15

/* letters and digits of a user id behind its dots */
#define NGX_HTTP_WAHA_META_BSUID_MAX  128


static ngx_uint_t ngx_http_waha_meta_reader_is_bsuid(ngx_str_t *id);
static ngx_int_t ngx_http_waha_meta_reader_find_contact(
    ngx_http_waha_meta_reader_t *reader, ngx_str_t *id);
static ngx_int_t ngx_http_waha_meta_reader_sort_contacts(
    ngx_http_waha_meta_reader_t *reader);
static int ngx_libc_cdecl ngx_http_waha_meta_reader_compare(const void *one,
    const void *two);
static int ngx_http_waha_meta_reader_compare_ids(const ngx_str_t *one,
    const ngx_str_t *two);
static void ngx_http_waha_meta_reader_read_contact(
    ngx_http_waha_meta_reader_t *reader);


ngx_uint_t
ngx_http_waha_meta_reader_is_id(ngx_str_t *id)
{
    return id->len <= NGX_HTTP_WAHA_META_ID_MAX
           && ngx_http_waha_string_is_printable(id);
}


ngx_uint_t
ngx_http_waha_meta_reader_is_node(ngx_str_t *id)
{
    return ngx_http_waha_value_is_digits(id, 1, NGX_HTTP_WAHA_META_NODE_MAX);
}


ngx_str_t
ngx_http_waha_meta_reader_phone(const cJSON *object, const char *name)
{
    ngx_str_t  phone;

    phone = ngx_http_waha_json_get_string(object, name);

    if (!ngx_http_waha_value_is_digits(&phone, NGX_HTTP_WAHA_META_PHONE_MIN,
                                       NGX_HTTP_WAHA_META_PHONE_MAX))
    {
        ngx_str_null(&phone);
    }

    return phone;
}


ngx_str_t
ngx_http_waha_meta_reader_bsuid(const cJSON *object, const char *name)
{
    ngx_str_t  bsuid;

    bsuid = ngx_http_waha_json_get_string(object, name);

    if (!ngx_http_waha_meta_reader_is_bsuid(&bsuid)) {
        ngx_str_null(&bsuid);
    }

    return bsuid;
}


/* ^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$ */

static ngx_uint_t
ngx_http_waha_meta_reader_is_bsuid(ngx_str_t *id)
{
    u_char  *p, *last;

    if (id->len < sizeof("BR.x") - 1) {
        return 0;
    }

    p = id->data;
    last = p + id->len;

    if (p[0] < 'A' || p[0] > 'Z' || p[1] < 'A' || p[1] > 'Z' || p[2] != '.') {
        return 0;
    }

    p += 3;

    if (last - p > 4 && ngx_strncmp(p, "ENT.", 4) == 0) {
        p += 4;
    }

    if (last - p > NGX_HTTP_WAHA_META_BSUID_MAX) {
        return 0;
    }

    for ( /* void */ ; p < last; p++) {

        if ((*p < '0' || *p > '9')
            && (*p < 'A' || *p > 'Z')
            && (*p < 'a' || *p > 'z'))
        {
            return 0;
        }
    }

    return 1;
}


ngx_str_t
ngx_http_waha_meta_reader_username(const cJSON *object)
{
    ngx_str_t  username;

    username = ngx_http_waha_json_get_string(object, "username");

    return ngx_http_waha_field_display_name(&username);
}


ngx_int_t
ngx_http_waha_meta_reader_ignore(ngx_http_waha_meta_reader_t *reader,
    const char *reason)
{
    reader->event->reason.data = (u_char *) reason;
    reader->event->reason.len = ngx_strlen(reason);

    return NGX_DONE;
}


ngx_int_t
ngx_http_waha_meta_reader_miss(ngx_http_waha_meta_reader_t *reader,
    const char *member)
{
    u_char     *p;
    ngx_str_t  *missing;

    missing = &reader->event->missing;

    missing->len = ngx_strlen(reader->list) + 1 + ngx_strlen(member);

    p = ngx_pnalloc(reader->pool, missing->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    missing->data = p;

    p = ngx_cpymem(p, reader->list, ngx_strlen(reader->list));
    *p++ = '.';
    ngx_memcpy(p, member, ngx_strlen(member));

    return NGX_DECLINED;
}


int64_t
ngx_http_waha_meta_reader_time(ngx_http_waha_meta_reader_t *reader,
    const cJSON *object)
{
    int64_t  ms;

    ms = ngx_http_waha_field_time(ngx_http_waha_json_get(object, "timestamp"));

    if (ms) {
        return ms;
    }

    reader->time_guessed = 1;

    return reader->time ? reader->time : (int64_t) ngx_time() * 1000;
}


ngx_int_t
ngx_http_waha_meta_reader_read_person(ngx_http_waha_meta_reader_t *reader,
    const cJSON *object, const ngx_http_waha_meta_person_t *members)
{
    ngx_http_waha_event_t  *event;

    event = reader->event;

    event->phone = ngx_http_waha_meta_reader_phone(object, members->phone);
    event->bsuid = ngx_http_waha_meta_reader_bsuid(object, members->bsuid);
    event->parent_bsuid = ngx_http_waha_meta_reader_bsuid(object,
                                                  members->parent_bsuid);

    if (ngx_http_waha_meta_reader_find_contact(reader, &event->phone) != NGX_OK
        || (reader->contact == NULL
            && ngx_http_waha_meta_reader_find_contact(reader, &event->bsuid)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    ngx_http_waha_meta_reader_read_contact(reader);

    return (event->phone.data || event->bsuid.data) ? NGX_OK : NGX_DECLINED;
}


/* a notification may have as many contacts as messages, in any order */

static ngx_int_t
ngx_http_waha_meta_reader_find_contact(ngx_http_waha_meta_reader_t *reader,
    ngx_str_t *id)
{
    int         rc;
    ngx_uint_t  low, high, middle;

    if (id->data == NULL) {
        return NGX_OK;
    }

    if (reader->people == NULL
        && ngx_http_waha_meta_reader_sort_contacts(reader) != NGX_OK)
    {
        return NGX_ERROR;
    }

    low = 0;
    high = reader->npeople;

    while (low < high) {
        middle = low + (high - low) / 2;

        rc = ngx_http_waha_meta_reader_compare_ids(id,
                                                  &reader->people[middle].id);
        if (rc > 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    if (low < reader->npeople
        && ngx_http_waha_string_is_equal(id, &reader->people[low].id))
    {
        reader->contact = reader->people[low].contact;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_meta_reader_sort_contacts(ngx_http_waha_meta_reader_t *reader)
{
    cJSON                         *contact;
    ngx_str_t                      id;
    ngx_uint_t                     i, n;
    ngx_http_waha_meta_contact_t  *person;

    static const char  *names[] = { "wa_id", "user_id" };

    n = 0;

    if (cJSON_IsArray(reader->contacts)) {
        n = 2 * (ngx_uint_t) cJSON_GetArraySize(reader->contacts);
    }

    person = ngx_palloc(reader->tree,
                        (n + 1) * sizeof(ngx_http_waha_meta_contact_t));
    if (person == NULL) {
        return NGX_ERROR;
    }

    reader->people = person;

    for (contact = n ? reader->contacts->child : NULL;
         contact;
         contact = contact->next)
    {
        for (i = 0; i < 2; i++) {

            id = ngx_http_waha_json_get_string(contact, names[i]);

            if (id.len) {
                person->id = id;
                person->contact = contact;
                person->place = person - reader->people;
                person++;
            }
        }
    }

    reader->npeople = person - reader->people;

    ngx_qsort(reader->people, reader->npeople,
              sizeof(ngx_http_waha_meta_contact_t),
              ngx_http_waha_meta_reader_compare);

    return NGX_OK;
}


/* of two contacts with the same id the first one counts */

static int ngx_libc_cdecl
ngx_http_waha_meta_reader_compare(const void *one, const void *two)
{
    int                                  rc;
    const ngx_http_waha_meta_contact_t  *a, *b;

    a = one;
    b = two;

    rc = ngx_http_waha_meta_reader_compare_ids(&a->id, &b->id);

    return rc ? rc : (a->place > b->place) - (a->place < b->place);
}


static int
ngx_http_waha_meta_reader_compare_ids(const ngx_str_t *one,
    const ngx_str_t *two)
{
    if (one->len != two->len) {
        return (one->len > two->len) ? 1 : -1;
    }

    return ngx_memcmp(one->data, two->data, one->len);
}


static void
ngx_http_waha_meta_reader_read_contact(ngx_http_waha_meta_reader_t *reader)
{
    cJSON                  *contact, *profile;
    ngx_str_t               name;
    ngx_http_waha_event_t  *event;

    event = reader->event;
    contact = reader->contact;

    if (contact == NULL) {
        return;
    }

    if (event->phone.data == NULL) {
        event->phone = ngx_http_waha_meta_reader_phone(contact, "wa_id");
    }

    if (event->bsuid.data == NULL) {
        event->bsuid = ngx_http_waha_meta_reader_bsuid(contact, "user_id");
    }

    if (event->parent_bsuid.data == NULL) {
        event->parent_bsuid = ngx_http_waha_meta_reader_bsuid(contact,
                                                             "parent_user_id");
    }

    profile = ngx_http_waha_json_get(contact, "profile");

    event->username = ngx_http_waha_meta_reader_username(profile);

    if (!event->outbound) {
        name = ngx_http_waha_json_get_string(profile, "name");
        event->name = ngx_http_waha_field_display_name(&name);
    }
}


ngx_uint_t
ngx_http_waha_meta_reader_is_self(ngx_http_waha_meta_reader_t *reader)
{
    return reader->number.len
           && ngx_http_waha_string_is_equal(&reader->event->phone,
                                            &reader->number);
}
