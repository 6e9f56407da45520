
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * ngx_http_waha_secret_open(): opens what was sealed for the same place, byte
 * for byte, and nothing else.  Input: a byte of choices, two for an
 * alteration, then a sealed text, or a plain one that is sealed first.
 */


#include "fuzz.h"
#include "ngx_http_waha_secret.h"


#define FUZZ_SEALED   0x01
#define FUZZ_ALTERED  0x02
#define FUZZ_SHORT    0x04
#define FUZZ_LONG     0x08
#define FUZZ_MOVED    0x10
#define FUZZ_OTHER    0x20
#define FUZZ_BINARY   0x40


static ngx_http_waha_secrets_t  fuzz_ring, fuzz_other;


static const ngx_http_waha_secret_place_t  fuzz_places[] = {
    { ngx_string("connections"), ngx_string("acme"), ngx_string("row"),
      ngx_string("access_token") },
    { ngx_string("connections"), ngx_string("acme"), ngx_string("row"),
      ngx_string("app_secret") },
    { ngx_string("connections"), ngx_string("acmer"), ngx_string("ow"),
      ngx_string("access_token") },
    { ngx_string("connection"), ngx_string("sacme"), ngx_string("row"),
      ngx_string("access_token") }
};


static void
fuzz_add_key(ngx_http_waha_secrets_t *ring, const char *id, const char *key)
{
    ngx_str_t           name, material;
    const char         *reason;

    static ngx_pool_t  *pool;

    if (pool == NULL) {
        pool = ngx_create_pool(4096, ngx_shim_log);
    }

    name.data = (u_char *) id;
    name.len = strlen(id);

    material.data = (u_char *) key;
    material.len = strlen(key);

    fuzz_check(ngx_http_waha_secret_add_key(pool, ring, &name, &material,
                                            &reason)
               == NGX_OK);
}


static void
fuzz_start(void)
{
    static ngx_uint_t  started;

    if (started) {
        return;
    }

    started = 1;

    fuzz_add_key(&fuzz_ring, "k", "the first of two keys, 32 bytes.");
    fuzz_add_key(&fuzz_ring, "old", "the second of them, 32 bytes too");
    fuzz_add_key(&fuzz_other, "k", "another key of the same name: 32");
}


/* a key file of any content: NGX_OK or a reason */

static void
fuzz_key(ngx_pool_t *pool, ngx_str_t *material)
{
    ngx_int_t                 rc;
    ngx_str_t                 id;
    const char               *reason;
    ngx_http_waha_secrets_t   ring;

    ring.keys = NULL;
    reason = NULL;

    ngx_str_set(&id, "k");

    rc = ngx_http_waha_secret_add_key(pool, &ring, &id, material, &reason);

    fuzz_check(rc == NGX_OK ? ring.keys != NULL && reason == NULL
                            : rc == NGX_DECLINED && reason != NULL
                              && ring.keys == NULL);

    fuzz_check(material->len != NGX_HTTP_WAHA_GCM_KEY || rc == NGX_OK
               || memcmp(material->data, material->data + 1,
                         NGX_HTTP_WAHA_GCM_KEY - 1)
                  == 0);
}


static ngx_str_t
fuzz_alter(ngx_pool_t *pool, const uint8_t *data, ngx_str_t *sealed)
{
    ngx_str_t  text;

    text.len = sealed->len;

    if (data[0] & FUZZ_SHORT) {
        text.len -= data[1] % (text.len + 1);

    } else if (data[0] & FUZZ_LONG) {
        text.len++;
    }

    /* nothing behind it, so that a sanitizer sees its end */

    text.data = ngx_pnalloc(pool, text.len);

    memcpy(text.data, sealed->data, ngx_min(text.len, sealed->len));

    if (text.len > sealed->len) {
        text.data[sealed->len] = data[2];
    }

    if ((data[0] & FUZZ_ALTERED) && text.len) {
        text.data[(data[1] << 3) % text.len] = data[2];
    }

    return text;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t                            rc;
    ngx_str_t                            given, sealed, text, plain;
    ngx_uint_t                           good;
    ngx_pool_t                          *pool;
    const ngx_http_waha_secret_place_t  *place;

    if (size < 3) {
        return 0;
    }

    fuzz_start();

    pool = ngx_create_pool(4096, ngx_shim_log);

    given.len = size - 3;
    given.data = ngx_pnalloc(pool, given.len);
    memcpy(given.data, data + 3, given.len);

    sealed = given;
    good = 0;

    if (data[0] & FUZZ_SEALED) {
        rc = ngx_http_waha_secret_seal(pool, (data[0] & FUZZ_OTHER)
                                                 ? &fuzz_other : &fuzz_ring,
                                       &fuzz_places[0], &given, &sealed);
        fuzz_check(rc == NGX_OK);

        good = !(data[0] & FUZZ_OTHER);

    } else if (data[0] & FUZZ_BINARY) {
        fuzz_key(pool, &given);
    }

    text = fuzz_alter(pool, data, &sealed);
    place = &fuzz_places[(data[0] & FUZZ_MOVED) ? data[1] & 3 : 0];

    if (place != &fuzz_places[0]
        || text.len != sealed.len
        || memcmp(text.data, sealed.data, text.len) != 0)
    {
        good = 0;
    }

    ngx_shim_lines[0] = '\0';

    rc = ngx_http_waha_secret_open(pool, &fuzz_ring, place, &text, &plain);

    fuzz_check(rc == (good ? NGX_OK : NGX_DECLINED));

    if (good) {
        fuzz_check(plain.len == given.len);
        fuzz_check(memcmp(plain.data, given.data, plain.len) == 0);
        fuzz_check(ngx_shim_lines[0] == '\0');

    } else {
        fuzz_check(plain.data == NULL && plain.len == 0);
        fuzz_check(strchr(ngx_shim_lines, '\n')
                   == ngx_shim_lines + strlen(ngx_shim_lines) - 1);
    }

    ngx_destroy_pool(pool);

    return 0;
}
