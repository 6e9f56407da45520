
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * What pure functions need of nginx's log: the lines are kept in memory.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_shim.h"


static ngx_log_t   ngx_shim_log_file = { .log_level = NGX_LOG_DEBUG };
ngx_log_t         *ngx_shim_log = &ngx_shim_log_file;

char               ngx_shim_lines[4096];


/* the formats %V and %s only */

void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    char        *p, *last;
    va_list      args;
    ngx_str_t   *text;
    const char  *word;

    last = ngx_shim_lines + sizeof(ngx_shim_lines) - 2;

    p = ngx_shim_lines + strlen(ngx_shim_lines);

    va_start(args, fmt);

    for ( /* void */ ; *fmt; fmt++) {

        if (*fmt != '%') {
            p += snprintf(p, last - p, "%c", *fmt);

        } else if (*++fmt == 'V') {
            text = va_arg(args, ngx_str_t *);
            p += snprintf(p, last - p, "%.*s", (int) text->len, text->data);

        } else if (*fmt == 's') {
            word = va_arg(args, const char *);
            p += snprintf(p, last - p, "%s", word);

        } else {
            abort();
        }

        if (p >= last) {
            abort();
        }
    }

    va_end(args);

    *p++ = '\n';
    *p = '\0';
}
