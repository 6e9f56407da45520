
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_field.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_string.h>


#define NGX_HTTP_WAHA_NAME_MAX  255

/* in seconds: 2009-01-01, before WhatsApp, and 2100-01-01 */

#define NGX_HTTP_WAHA_TIME_MIN  1230768000.0
#define NGX_HTTP_WAHA_TIME_MAX  4102444800.0


typedef struct {
    uint32_t                    first;
    uint32_t                    last;
} ngx_http_waha_field_range_t;


static double ngx_http_waha_field_seconds(const cJSON *value);
static double ngx_http_waha_field_date(const char *text);
static ngx_uint_t ngx_http_waha_field_is_blank(ngx_str_t *name);


/* code points that show nothing: the names of some people have no others */

static ngx_http_waha_field_range_t  ngx_http_waha_field_blanks[] = {
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


int64_t
ngx_http_waha_field_time(const cJSON *value)
{
    double      seconds;
    ngx_uint_t  i;

    seconds = ngx_http_waha_field_seconds(value);

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
ngx_http_waha_field_seconds(const cJSON *value)
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
                          : ngx_http_waha_field_date(value->valuestring);
}


/* "2026-11-25T23:40:00.5Z", "2026-11-26T01:40:00+02:00" */

static double
ngx_http_waha_field_date(const char *text)
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


ngx_str_t
ngx_http_waha_field_display_name(ngx_str_t *name)
{
    ngx_str_t  none;

    if (ngx_http_waha_field_is_blank(name)) {
        ngx_str_null(&none);
        return none;
    }

    return ngx_http_waha_string_cut(name, NGX_HTTP_WAHA_NAME_MAX);
}


static ngx_uint_t
ngx_http_waha_field_is_blank(ngx_str_t *name)
{
    u_char                        *p, *last;
    uint32_t                       c;
    ngx_http_waha_field_range_t  *blank;

    if (name->len == 0) {
        return 1;
    }

    p = name->data;
    last = p + name->len;

    while (p < last) {

        c = (*p < 0x80) ? *p++ : ngx_utf8_decode(&p, last - p);

        for (blank = ngx_http_waha_field_blanks; blank->last; blank++) {

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
