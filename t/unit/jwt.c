
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * Lets a script call src/tenant's reader of tokens: reads "command length\n"
 * and as many bytes from standard input, writes one line of JSON for each.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/err.h>
#include "ngx_http_waha_json.h"
#include "ngx_http_waha_jwt.h"
#include "ngx_shim.h"


#define UNIT_KEYS  8


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
static void unit_kid(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_operator(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_forget(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_verify(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_fail(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);
static void unit_time(ngx_pool_t *pool, ngx_str_t *arg,
    ngx_http_waha_json_out_t *out);


static unit_command_t  unit_commands[] = {
    { "key", unit_key },                /* one more, of the set "alg" */
    { "kid", unit_kid },                /* of the last key */
    { "operator", unit_operator },      /* the last key is an operator's */
    { "forget", unit_forget },          /* all keys */
    { "verify", unit_verify },          /* a token */
    { "fail", unit_fail },              /* let an allocation fail */
    { "time", unit_time },              /* ns to verify a token */
    { NULL, NULL }
};

static ngx_str_t                 unit_alg, unit_now;
static ngx_uint_t                unit_fail_next;
static ngx_pool_t               *unit_pool;
static ngx_http_waha_jwt_key_t   unit_key_list[UNIT_KEYS];
static ngx_array_t               unit_keys = {
    unit_key_list, 0, sizeof(ngx_http_waha_jwt_key_t), UNIT_KEYS, NULL
};
static ngx_http_waha_jwt_conf_t  unit_conf = { .keys = &unit_keys };


static unit_setting_t  unit_settings[] = {
    { "alg", &unit_alg },
    { "now", &unit_now },
    { "issuer", &unit_conf.issuer },
    { "audience", &unit_conf.audience },
    { "claim", &unit_conf.claim },
    { "operator_claim", &unit_conf.operator_claim },
    { "operator_value", &unit_conf.operator_value },
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


static ngx_str_t
unit_keep(ngx_str_t *arg)
{
    ngx_str_t  copy;

    /* with a pool of its own, as a configuration has */

    copy.len = arg->len;
    copy.data = ngx_pnalloc(unit_pool, arg->len + 1);

    if (copy.data == NULL) {
        abort();
    }

    ngx_memcpy(copy.data, arg->data, arg->len);
    copy.data[copy.len] = '\0';

    return copy;
}


static void
unit_result(ngx_http_waha_json_out_t *out, ngx_int_t rc, const char *reason)
{
    unit_put(out, "rc", rc == NGX_OK ? "ok"
                        : rc == NGX_ERROR ? "error"
                        : rc == NGX_DECLINED ? "declined" : "?");

    if (rc == NGX_DECLINED) {
        unit_put(out, "reason", reason);
    }

    ngx_http_waha_json_put_bool(out, "errors", ERR_peek_error() != 0);
    ERR_clear_error();
}


static void
unit_key(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    ngx_int_t                 rc;
    ngx_str_t                 material;
    const char               *reason;
    ngx_http_waha_jwt_key_t  *key;

    reason = NULL;
    material = unit_keep(arg);

    /* memory of a pool is not cleared */

    key = &unit_key_list[unit_keys.nelts];
    ngx_memset(key, 0xff, sizeof(ngx_http_waha_jwt_key_t));

    ngx_shim_fail = unit_fail_next;

    rc = ngx_http_waha_jwt_key_parse(unit_pool, &unit_alg, &material, key,
                                     &reason);

    ngx_shim_fail = 0;
    unit_fail_next = 0;

    unit_result(out, rc, reason);

    if (rc == NGX_OK && ++unit_keys.nelts == UNIT_KEYS) {
        abort();
    }
}


static void
unit_kid(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    unit_key_list[unit_keys.nelts - 1].kid = unit_keep(arg);

    unit_result(out, ngx_http_waha_jwt_key_is_id(arg) ? NGX_OK : NGX_DECLINED,
                "malformed");
}


static void
unit_operator(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    unit_key_list[unit_keys.nelts - 1].operator = 1;
}


static void
unit_forget(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    unit_setting_t  *setting;

    unit_keys.nelts = 0;

    for (setting = unit_settings; setting->name; setting++) {
        ngx_str_null(setting->value);
    }

    ngx_destroy_pool(unit_pool);
    unit_pool = ngx_create_pool(4096, NULL);
}


static void
unit_verify(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    time_t                       now;
    ngx_int_t                    rc;
    ngx_str_t                    token;
    const char                  *reason;
    ngx_http_waha_jwt_claims_t   claims;

    reason = NULL;
    now = atoll((char *) unit_now.data);

    /* without the byte behind it, so that a sanitizer sees its end */

    token.len = arg->len;
    token.data = malloc(arg->len);

    if (token.data == NULL) {
        abort();
    }

    ngx_memcpy(token.data, arg->data, arg->len);

    ngx_shim_allocated = 0;
    ngx_shim_fail = unit_fail_next;

    rc = ngx_http_waha_jwt_verify(pool, &unit_conf, &token, now, &claims,
                                  &reason);

    ngx_shim_fail = 0;
    unit_fail_next = 0;

    free(token.data);

    unit_result(out, rc, reason);
    ngx_http_waha_json_put_number(out, "allocated", ngx_shim_allocated);

    if (rc == NGX_OK) {
        ngx_http_waha_json_put(out, "organization", &claims.organization);
        ngx_http_waha_json_put_bool(out, "operator", claims.operator);
    }
}


static void
unit_fail(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    unit_fail_next = atoi((char *) arg->data);
}


static void
unit_time(ngx_pool_t *pool, ngx_str_t *arg, ngx_http_waha_json_out_t *out)
{
    double                       ns, best;
    time_t                       now;
    ngx_int_t                    rc;
    ngx_uint_t                   i, j, n;
    const char                  *reason;
    ngx_pool_t                  *temp;
    struct timespec              start, end;
    ngx_http_waha_jwt_claims_t   claims;

    best = 1e18;
    n = 200;
    rc = NGX_ERROR;
    reason = NULL;
    now = atoll((char *) unit_now.data);

    for (i = 0; i < 10; i++) {
        clock_gettime(CLOCK_MONOTONIC, &start);

        for (j = 0; j < n; j++) {
            temp = ngx_create_pool(4096, NULL);
            rc = ngx_http_waha_jwt_verify(temp, &unit_conf, arg, now, &claims,
                                          &reason);
            ngx_destroy_pool(temp);
        }

        clock_gettime(CLOCK_MONOTONIC, &end);

        ns = (end.tv_sec - start.tv_sec) * 1e9 + end.tv_nsec - start.tv_nsec;
        best = ngx_min(best, ns / n);
    }

    unit_result(out, rc, reason);
    ngx_http_waha_json_put_number(out, "ns", best);
}


static void
unit_run(const char *name, ngx_str_t *arg)
{
    ngx_str_t                  line;
    ngx_pool_t                *pool, *own;
    unit_setting_t            *setting;
    unit_command_t            *command;
    ngx_http_waha_json_out_t   out;

    pool = ngx_create_pool(4096, NULL);
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
            *setting->value = unit_keep(arg);
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
