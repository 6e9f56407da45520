
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * What else pure functions need of nginx's strings.
 */


#include <ngx_config.h>
#include <ngx_core.h>


ngx_int_t
ngx_strncasecmp(u_char *s1, u_char *s2, size_t n)
{
    return strncasecmp((char *) s1, (char *) s2, n);
}
