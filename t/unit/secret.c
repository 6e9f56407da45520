
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * Lets a script call src/base's secrets: reads "command length\n" and as many
 * bytes from standard input, writes one line of JSON for each.  Bytes in an
 * answer are in hex.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/err.h>
#include "ngx_http_waha_json.h"
#include "ngx_http_waha_secret.h"
#include "ngx_shim.h"


typedef struct {
    const char    *name;
    void         (*run)(ngx_pool_t *pool, ngx_str_t *arg,
                       ngx_http_waha_json_out_t *out);
} unit_command_t;


typedef struct {
    const char    *name;
    ngx_str_t     *value;
} unit_setting_t;


static void unit_key(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_forget(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_seal(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_open(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_encrypt(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_decrypt(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_fail(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);


static unit_command_t  unit_commands[] = {
    { "key", unit_key },                /* one more, with the set "id" */
    { "forget", unit_forget },          /* all keys and settings */
    { "seal", unit_seal },              /* a plain text */
    { "open", unit_open },              /* a sealed text */
    { "encrypt", unit_encrypt },        /* with the set "bytes", "nonce" */
    { "decrypt", unit_decrypt },
    { "fail", unit_fail },              /* let an allocation fail */
    { NULL, NULL }
};

static ngx_str_t                      unit_id, unit_bytes, unit_nonce,
                                      unit_aad;
static ngx_uint_t                     unit_fail_next;
static ngx_pool_t                    *unit_pool;
static ngx_http_waha_secrets_t        unit_ring;
static ngx_http_waha_secret_place_t   unit_place;


static unit_setting_t  unit_settings[] = {
    { "id", &unit_id },
    { "table", &unit_place.table },
    { "organization", &unit_place.organization },
    { "row", &unit_place.row },
    { "column", &unit_place.column },
    { "bytes", &unit_bytes },
    { "nonce", &unit_nonce },
    { "aad", &unit_aad },
    { NULL, NULL }
};


static void
unit_put(ngx_http_waha_json_out_t *out, const char *name, const char *value)
{
    ngx_str_t  text;

    text.data = (u_char *) value;
    text.len = ngx_strlen(value);

    ngx_http_waha_json_put(out, name, &text);
}


static void
unit_put_hex(ngx_http_waha_json_out_t *out, const char *name, ngx_str_t *bytes)
{
    char    *hex;
    size_t   i;

    hex = malloc(2 * bytes->len + 1);

    if (hex == NULL) {
        abort();
    }

    hex[0] = '\0';

    for (i = 0; i < bytes->len; i++) {
        sprintf(hex + 2 * i, "%02x", bytes->data[i]);
    }

    unit_put(out, name, hex);

    free(hex);
}


/* exactly so many bytes, so that a sanitizer sees their end */

static ngx_str_t
unit_copy(ngx_pool_t *pool, ngx_str_t *arg)
{
    ngx_str_t  copy;

    copy.len = arg->len;
    copy.data = ngx_pnalloc(pool, arg->len);

    if (arg->len) {
        ngx_memcpy(copy.data, arg->data, arg->len);
    }

    return copy;
}


static void
unit_result(ngx_http_waha_json_out_t *out, ngx_int_t rc)
{
    unit_put(out, "rc", rc == NGX_OK ? "ok"
                        : rc == NGX_ERROR ? "error"
                        : rc == NGX_DECLINED ? "declined" : "?");

    unit_put(out, "log", ngx_shim_lines);
    ngx_shim_lines[0] = '\0';

    ngx_http_waha_json_put_bool(out, "errors", ERR_peek_error() != 0);
    ERR_clear_error();
}


static void
unit_key(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    ngx_int_t    rc;
    ngx_str_t    material;
    const char  *reason;

    reason = NULL;
    material = unit_copy(pool, arg);

    ngx_shim_fail = unit_fail_next;

    rc = ngx_http_waha_secret_add_key(unit_pool, &unit_ring, &unit_id,
                                      &material, &reason);

    ngx_shim_fail = 0;
    unit_fail_next = 0;

    unit_result(out, rc);

    if (rc == NGX_DECLINED) {
        unit_put(out, "reason", reason);
    }
}


static void
unit_forget(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    ngx_uint_t                   i, wiped;
    unit_setting_t              *setting;
    ngx_pool_cleanup_t          *cln;
    ngx_http_waha_secret_key_t  *key;

    for (cln = unit_pool->cleanup; cln; cln = cln->next) {
        cln->handler(cln->data);
    }

    wiped = 1;

    for (key = unit_ring.keys; key; key = key->next) {
        for (i = 0; i < NGX_HTTP_WAHA_GCM_KEY; i++) {
            wiped &= (key->bytes[i] == 0);
        }
    }

    ngx_http_waha_json_put_bool(out, "wiped", wiped);

    for (setting = unit_settings; setting->name; setting++) {
        ngx_str_null(setting->value);
    }

    ngx_destroy_pool(unit_pool);
    unit_pool = ngx_create_pool(4096, NULL);

    unit_ring.keys = NULL;
}


static void
unit_seal(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    ngx_int_t  rc;
    ngx_str_t  plain, sealed;

    plain = unit_copy(pool, arg);

    ngx_shim_fail = unit_fail_next;

    rc = ngx_http_waha_secret_seal(pool, unit_ring.keys ? &unit_ring : NULL,
                                   &unit_place, &plain, &sealed);

    ngx_shim_fail = 0;
    unit_fail_next = 0;

    unit_result(out, rc);

    if (rc == NGX_OK) {
        ngx_http_waha_json_put(out, "sealed", &sealed);
    }
}


static void
unit_open(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    size_t               i;
    ngx_int_t            rc;
    ngx_str_t            plain, sealed;
    ngx_uint_t           wiped;
    ngx_pool_cleanup_t  *cln;

    sealed = unit_copy(pool, arg);

    ngx_shim_fail = unit_fail_next;

    rc = ngx_http_waha_secret_open(pool, unit_ring.keys ? &unit_ring : NULL,
                                   &unit_place, &sealed, &plain);

    ngx_shim_fail = 0;
    unit_fail_next = 0;

    unit_result(out, rc);

    if (rc != NGX_OK) {
        ngx_http_waha_json_put_bool(out, "null", plain.data == NULL
                                                 && plain.len == 0);
        return;
    }

    unit_put_hex(out, "plain", &plain);

    for (cln = pool->cleanup; cln; cln = cln->next) {
        cln->handler(cln->data);
    }

    wiped = 1;

    for (i = 0; i < plain.len; i++) {
        wiped &= (plain.data[i] == 0);
    }

    ngx_http_waha_json_put_bool(out, "wiped", wiped);
}


static void
unit_encrypt(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    ngx_int_t  rc;
    ngx_str_t  plain, text;

    plain = unit_copy(pool, arg);

    text.len = arg->len + NGX_HTTP_WAHA_GCM_TAG;
    text.data = ngx_pnalloc(pool, text.len);

    rc = ngx_http_waha_gcm_encrypt(unit_bytes.data, &unit_nonce, &unit_aad,
                                   &plain, text.data);

    unit_result(out, rc);
    unit_put_hex(out, "text", &text);
}


static void
unit_decrypt(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    ngx_int_t  rc;
    ngx_str_t  plain, text;

    text = unit_copy(pool, arg);

    plain.len = (text.len > NGX_HTTP_WAHA_GCM_TAG)
                    ? text.len - NGX_HTTP_WAHA_GCM_TAG : 0;
    plain.data = ngx_pnalloc(pool, plain.len);

    rc = ngx_http_waha_gcm_decrypt(unit_bytes.data, &unit_nonce, &unit_aad,
                                   &text, plain.data);

    unit_result(out, rc);
    unit_put_hex(out, "plain", &plain);
}


static void
unit_fail(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    unit_fail_next = atoi((char *) arg->data);
}


static void
unit_run(const char *name, ngx_str_t *arg)
{
    ngx_str_t                  line;
    ngx_pool_t                *pool, *own;
    unit_setting_t            *setting;
    unit_command_t            *command;
    ngx_http_waha_json_out_t   out;

    pool = ngx_create_pool(4096, ngx_shim_log);
    own = ngx_create_pool(4096, NULL);

    ngx_http_waha_json_start(&out, own, 1024);
    ngx_http_waha_json_open(&out, NULL, '{');

    for (command = unit_commands; command->name; command++) {

        if (ngx_strcmp(command->name, name) == 0) {
            command->run(pool, arg, &out);
        }
    }

    for (setting = unit_settings; setting->name; setting++) {

        if (ngx_strcmp(setting->name, name) == 0) {
            *setting->value = unit_copy(unit_pool, arg);
        }
    }

    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &line) != NGX_OK) {
        exit(2);
    }

    printf("%.*s\n", (int) line.len, line.data);
    fflush(stdout);

    ngx_destroy_pool(own);
    ngx_destroy_pool(pool);
}


int
main(void)
{
    char       name[16];
    ngx_str_t  arg;

    unit_pool = ngx_create_pool(4096, NULL);

    while (scanf("%15s %zu", name, &arg.len) == 2) {

        (void) getchar();

        arg.data = malloc(arg.len + 1);

        if (arg.data == NULL
            || fread(arg.data, 1, arg.len, stdin) != arg.len)
        {
            return 2;
        }

        arg.data[arg.len] = '\0';

        unit_run(name, &arg);

        free(arg.data);
    }

    ngx_destroy_pool(unit_pool);

    return 0;
}
