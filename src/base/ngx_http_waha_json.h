
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


/* JSON that is being written; only json.c uses the members */

typedef struct {
    ngx_pool_t  *pool;
    u_char      *start;
    u_char      *pos;
    u_char      *end;

    unsigned     comma:1;           /* the next value needs one before it */
    unsigned     failed:1;          /* an allocation failed */
} ngx_http_waha_json_out_t;


/*
 * Makes bytes safe for cJSON and PostgreSQL: invalid UTF-8, NUL (raw or
 * escaped), unpaired surrogates and "\u" without four hex digits become
 * U+FFFD, and *replaced is set to 1.  text is set to a new buffer of pool
 * only if something was replaced.  NGX_DECLINED: nested deeper than the bound
 * above, or with more values than nodes.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_json_clean_up_to(ngx_pool_t *pool, ngx_str_t *text,
    ngx_int_t nodes, ngx_uint_t *replaced);

#define ngx_http_waha_json_clean(pool, text, replaced)                       \
    ngx_http_waha_json_clean_up_to(pool, text, NGX_HTTP_WAHA_JSON_NODES,      \
                                   replaced)

/*
 * Parses the whole text, which must be clean, into a tree allocated from
 * pool: never pass it to cJSON_Delete().  NGX_DECLINED: not JSON.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_json_parse(ngx_pool_t *pool, ngx_str_t *text,
    cJSON **json);

/*
 * Finds where the values of a tree stand in the text that it was parsed from,
 * of at most 2 GB: "valueint" of each becomes its offset, and put_item() will
 * write integers that a double rounds as the text has them; those digits are
 * allocated from pool.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_json_locate(ngx_pool_t *pool, const ngx_str_t *text,
    cJSON *json);

/* The text of the value that begins at such an offset. */
ngx_str_t ngx_http_waha_json_source(const ngx_str_t *text, size_t offset);

/*
 * The member of an object by its exact name, the first one if the name is
 * repeated.  NULL if there is none, if it is JSON null, or if object is NULL
 * or not an object.
 */
cJSON *ngx_http_waha_json_get(const cJSON *object, const char *name);

/*
 * The same for a string, which stays in the tree and ends with NUL; data is
 * NULL if the member is not a string.
 */
ngx_str_t ngx_http_waha_json_get_string(const cJSON *object,
    const char *name);

/*
 * The digits of an item that is an integer, of the tree json that was parsed
 * from text; those that a double would round are as text has them, without an
 * exponent or a fraction.  NGX_DECLINED: another item; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_waha_json_integer(ngx_pool_t *pool, const ngx_str_t *text,
    const cJSON *json, const cJSON *item, ngx_str_t *digits);


/*
 * The writer.  open() takes "{" or "[", close() their counterpart.  name is
 * NULL for an element of an array and for the outermost value; otherwise it
 * is written without escaping.  A failed allocation is kept for end().
 */

/* Starts JSON; size is a guess, in bytes, of what will be written. */
void ngx_http_waha_json_start(ngx_http_waha_json_out_t *out,
    ngx_pool_t *pool, size_t size);

void ngx_http_waha_json_open(ngx_http_waha_json_out_t *out, const char *name,
    u_char bracket);
void ngx_http_waha_json_close(ngx_http_waha_json_out_t *out, u_char bracket);

/* Writes a string of valid UTF-8; writes nothing if its data is NULL. */
void ngx_http_waha_json_put(ngx_http_waha_json_out_t *out, const char *name,
    const ngx_str_t *value);

/* Writes a string that ends with NUL. */
void ngx_http_waha_json_put_text(ngx_http_waha_json_out_t *out,
    const char *name, const char *value);

/* Writes a value that is JSON already. */
void ngx_http_waha_json_put_raw(ngx_http_waha_json_out_t *out,
    const char *name, const ngx_str_t *json);

/* Writes the members of an object that is JSON already, with its braces. */
void ngx_http_waha_json_put_members(ngx_http_waha_json_out_t *out,
    const ngx_str_t *object);

/* Writes a finite number with at most 15 significant digits. */
void ngx_http_waha_json_put_number(ngx_http_waha_json_out_t *out,
    const char *name, double value);

/* Writes true or false. */
void ngx_http_waha_json_put_bool(ngx_http_waha_json_out_t *out,
    const char *name, ngx_uint_t value);

/* Writes null. */
void ngx_http_waha_json_put_null(ngx_http_waha_json_out_t *out,
    const char *name);

/*
 * Writes a parsed value with all its members, so that it would be parsed as
 * the same again; NULL is written as null.
 */
void ngx_http_waha_json_put_item(ngx_http_waha_json_out_t *out,
    const char *name, const cJSON *item);

/* Writes a member of a parsed object under its own name, which is escaped. */
void ngx_http_waha_json_put_member(ngx_http_waha_json_out_t *out,
    const cJSON *item);

/* Returns the text, which is allocated from pool.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_waha_json_end(ngx_http_waha_json_out_t *out,
    ngx_str_t *text);


#endif /* _NGX_HTTP_WAHA_JSON_H_INCLUDED_ */
