
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_JSON_H_INCLUDED_
#define _NGX_HTTP_WAHA_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>


#define NGX_HTTP_WAHA_JSON_DEPTH  64
#define NGX_HTTP_WAHA_JSON_NODES  20000


/* JSON under construction; the functions below keep "failed" */

typedef struct {
    ngx_pool_t  *pool;
    u_char      *start;
    u_char      *pos;
    u_char      *end;

    unsigned     comma:1;
    unsigned     failed:1;
} ngx_http_waha_json_out_t;


/*
 * Makes bytes fit for a parser and for PostgreSQL: bad UTF-8, NUL (raw or
 * as an escape), lone surrogates and a "\u" without its digits become
 * U+FFFD, and *replaced is set.  text is changed to a new buffer of pool
 * only when something had to be replaced.  NGX_DECLINED: nested deeper or
 * with more values than above.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_json_clean(ngx_pool_t *pool, ngx_str_t *text,
    ngx_uint_t *replaced);

/*
 * Parses clean bytes, all of them, into a tree of pool (never to be given
 * to cJSON_Delete()).  NGX_DECLINED: not JSON.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_json_parse(ngx_pool_t *pool, ngx_str_t *text,
    cJSON **json);

/*
 * A member by its exact name; of several with that name the first counts.
 * NULL for NULL, for what is not an object and for JSON null.
 */
cJSON *ngx_http_waha_json_get(const cJSON *object, const char *name);

/* The same for a string: an empty ngx_str_t with data NULL if it is none. */
ngx_str_t ngx_http_waha_json_string(const cJSON *object, const char *name);


/* Starts JSON of about that size in pool; nothing can fail before end(). */
void ngx_http_waha_json_start(ngx_http_waha_json_out_t *out,
    ngx_pool_t *pool, size_t size);

/* Opens and closes an object or an array; name is NULL for an element. */
void ngx_http_waha_json_open(ngx_http_waha_json_out_t *out, const char *name,
    u_char bracket);
void ngx_http_waha_json_close(ngx_http_waha_json_out_t *out, u_char bracket);

/* Writes a string of valid UTF-8; one whose data is NULL is left out. */
void ngx_http_waha_json_put(ngx_http_waha_json_out_t *out, const char *name,
    const ngx_str_t *value);

/* The same for a string that ends with NUL. */
void ngx_http_waha_json_text(ngx_http_waha_json_out_t *out, const char *name,
    const char *value);

/* Writes what is JSON already. */
void ngx_http_waha_json_raw(ngx_http_waha_json_out_t *out, const char *name,
    const ngx_str_t *json);

/* Writes a finite number, to 15 digits. */
void ngx_http_waha_json_number(ngx_http_waha_json_out_t *out,
    const char *name, double value);

/* Writes true or false. */
void ngx_http_waha_json_flag(ngx_http_waha_json_out_t *out, const char *name,
    ngx_uint_t value);

/* Writes null. */
void ngx_http_waha_json_null(ngx_http_waha_json_out_t *out,
    const char *name);

/* Writes a parsed value with all that is in it. */
void ngx_http_waha_json_item(ngx_http_waha_json_out_t *out, const char *name,
    const cJSON *item);

/* The same for a member of a parsed object, under its own name. */
void ngx_http_waha_json_member(ngx_http_waha_json_out_t *out,
    const cJSON *item);

/* Gives the text, which is of the pool.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_waha_json_end(ngx_http_waha_json_out_t *out,
    ngx_str_t *text);


#endif /* _NGX_HTTP_WAHA_JSON_H_INCLUDED_ */
