
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_shim.h"


/* ends the run with the input kept when what must hold does not */

#define fuzz_check(condition)                                                \
    if (!(condition)) {                                                      \
        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);      \
        abort();                                                             \
    }


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* Valid UTF-8 without NUL, by another way than the code under test. */

static inline ngx_uint_t
fuzz_utf8(ngx_str_t *text)
{
    u_char    *p, *last;
    size_t     n;
    uint32_t   code;

    static const uint32_t  least[] = { 0x1, 0x80, 0x800, 0x10000 };

    if (text->len == 0) {
        return 1;
    }

    last = text->data + text->len;

    for (p = text->data; p < last; p++) {

        n = (*p < 0x80) ? 0 : (*p >> 5 == 6) ? 1 : (*p >> 4 == 14) ? 2
            : (*p >> 3 == 30) ? 3 : 9;

        if (n == 9 || (size_t) (last - p) <= n) {
            return 0;
        }

        code = n ? *p & (0x3f >> n) : *p;

        if (n >= 1) {
            code = code << 6 | (p[1] ^ 0x80);
        }

        if (n >= 2) {
            code = (p[1] ^ 0x80) > 0x3f ? 0 : code << 6 | (p[2] ^ 0x80);
        }

        if (n >= 3) {
            code = (p[2] ^ 0x80) > 0x3f ? 0 : code << 6 | (p[3] ^ 0x80);
        }

        if (n && (p[n] ^ 0x80) > 0x3f) {
            return 0;
        }

        if (code < least[n] || code > 0x10ffff
            || (code >= 0xd800 && code <= 0xdfff))
        {
            return 0;
        }

        p += n;
    }

    return 1;
}


#endif /* _FUZZ_H_INCLUDED_ */
