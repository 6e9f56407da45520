
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_BOUNDED_H_INCLUDED_
#define _NGX_HTTP_WAHA_BOUNDED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_json.h>


/* bytes that are kept of most strings */

#define NGX_HTTP_WAHA_BOUNDED_STRING  1024


/*
 * JSON that is written from what somebody has sent: of each value a bounded
 * part is kept, and "truncated" tells if that was not all.
 */

typedef struct {
    ngx_http_waha_json_out_t    json;
    unsigned                    truncated:1;
} ngx_http_waha_bounded_t;


/* a member to be copied, and the name that it gets */

typedef struct {
    const char                 *name;
    const char                 *member;
} ngx_http_waha_bounded_member_t;


/* Writes at most max bytes of a string; nothing if its data is NULL. */
void ngx_http_waha_bounded_put(ngx_http_waha_bounded_t *out,
    const char *name, ngx_str_t *value, size_t max);

/* Copies a member that is a string. */
void ngx_http_waha_bounded_copy_string(ngx_http_waha_bounded_t *out,
    const cJSON *object, const char *name);

/*
 * Copies the members that are strings and not empty, in an object of that
 * name if there are any; name NULL: into the one that is open.  The list ends
 * with a name that is NULL.
 */
void ngx_http_waha_bounded_copy_members(ngx_http_waha_bounded_t *out,
    const char *name, const cJSON *object,
    const ngx_http_waha_bounded_member_t *members);

/* Writes a value that is true or false. */
void ngx_http_waha_bounded_put_bool(ngx_http_waha_bounded_t *out,
    const char *name, const cJSON *value);

/*
 * Writes a latitude or longitude as a string, also where it came as a number,
 * which is between -180 and 180.
 */
void ngx_http_waha_bounded_put_degrees(ngx_http_waha_bounded_t *out,
    const char *name, const cJSON *item);

/*
 * Writes any value with all its members, or nothing if it takes more than max
 * bytes; one that is NULL is not written.
 */
void ngx_http_waha_bounded_put_item(ngx_http_waha_bounded_t *out,
    const char *name, const cJSON *item, size_t max);


#endif /* _NGX_HTTP_WAHA_BOUNDED_H_INCLUDED_ */
