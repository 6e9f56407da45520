
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _IMPORT_NGINX_H_INCLUDED_
#define _IMPORT_NGINX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Prints a line that begins with "import-secrets: " to the standard error. */
void import_say(const char *fmt, ...) __attribute__ ((format (printf, 1, 2)));

/* Allocates memory; the program ends when there is none. */
void *import_alloc(size_t size);


#endif /* _IMPORT_NGINX_H_INCLUDED_ */
