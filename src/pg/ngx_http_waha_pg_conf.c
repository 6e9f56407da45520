
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_pg_host.h>


/* of each worker */

#define NGX_HTTP_WAHA_PG_CONNECTIONS  100


typedef struct {
    const char                       *keyword;
    const char                       *value;
} ngx_http_waha_pg_setting_t;


typedef struct {
    const char                       *keyword;

    /* the allowed values, terminated by NULL; NULL: none is allowed */
    const char                      **allowed;

    /* logged with other values; NULL: other functions read the keyword */
    const char                       *message;
} ngx_http_waha_pg_rule_t;


typedef struct {
    ngx_conf_t                       *cf;
    ngx_http_waha_pg_conf_t          *conf;
    PQconninfoOption                 *options;

    ngx_array_t                       keywords;   /* const char * */
    ngx_array_t                       values;     /* const char * */
} ngx_http_waha_pg_parse_t;


static size_t ngx_http_waha_pg_conf_error_length(const char *error);
static char *ngx_http_waha_pg_conf_parse_parameters(ngx_conf_t *cf,
    ngx_http_waha_pg_conf_t *conf);
static ngx_int_t ngx_http_waha_pg_conf_parse_number(ngx_str_t *value,
    const char *name, ngx_uint_t *n);
static ngx_int_t ngx_http_waha_pg_conf_parse_time(ngx_str_t *value,
    const char *name, ngx_msec_t *msec);
static char *ngx_http_waha_pg_conf_parse_conninfo(
    ngx_http_waha_pg_parse_t *parse);
static char *ngx_http_waha_pg_conf_add_option(ngx_http_waha_pg_parse_t *parse,
    PQconninfoOption *option);
static ngx_http_waha_pg_rule_t *ngx_http_waha_pg_conf_find_rule(
    const char *keyword);
static ngx_uint_t ngx_http_waha_pg_conf_is_listed(const char **list,
    const char *value);
static const char *ngx_http_waha_pg_conf_full_name(ngx_conf_t *cf,
    const char *value);
static const char *ngx_http_waha_pg_conf_find_option(
    ngx_http_waha_pg_parse_t *parse, const char *keyword);
static ngx_int_t ngx_http_waha_pg_conf_add_keyword(
    ngx_http_waha_pg_parse_t *parse, const char *keyword, const char *value);
static ngx_int_t ngx_http_waha_pg_conf_add_settings(
    ngx_http_waha_pg_parse_t *parse);
static ngx_int_t ngx_http_waha_pg_conf_add_setting(
    ngx_http_waha_pg_parse_t *parse, const char *keyword, const char *value);
static ngx_int_t ngx_http_waha_pg_conf_add_host_keywords(
    ngx_http_waha_pg_parse_t *parse);
static const char *ngx_http_waha_pg_conf_format_options(ngx_pool_t *pool,
    ngx_http_waha_pg_conf_t *conf);
static char *ngx_http_waha_pg_conf_copy(ngx_pool_t *pool, const char *s);


static const char  *ngx_http_waha_pg_conf_sslmodes[] = {
    "disable", "require", "verify-ca", "verify-full", NULL
};

static const char  *ngx_http_waha_pg_conf_encodings[] = {
    "UTF8", "utf8", "UTF-8", "utf-8", NULL
};

static const char  *ngx_http_waha_pg_conf_gssencmodes[] = {
    "disable", NULL
};

static const char  *ngx_http_waha_pg_conf_session_attrs[] = {
    "any", "read-write", "primary", NULL
};


/* keywords that are not handed to libpq as they are given */

static ngx_http_waha_pg_rule_t  ngx_http_waha_pg_conf_rules[] = {

    { "sslmode", ngx_http_waha_pg_conf_sslmodes,
      "use disable, require, verify-ca or verify-full" },

    { "client_encoding", ngx_http_waha_pg_conf_encodings,
      "it is always UTF8" },

    { "gssencmode", ngx_http_waha_pg_conf_gssencmodes,
      "it is always disable" },

    { "target_session_attrs", ngx_http_waha_pg_conf_session_attrs,
      "a server that takes writes is always chosen" },

    { "connect_timeout", NULL,
      "use the parameter \"connect_timeout=\" of the directive" },

    { "service", NULL,
      "give what the service file says instead" },

    { "replication", NULL,
      "leave it out" },

    /* read by other functions */

    { "host", NULL, NULL },
    { "hostaddr", NULL, NULL },
    { "port", NULL, NULL },
    { "channel_binding", NULL, NULL },
    { "options", NULL, NULL },

    { NULL, NULL, NULL }
};


static const ngx_http_waha_pg_setting_t  ngx_http_waha_pg_conf_settings[] = {

    { "client_encoding", "UTF8" },
    { "gssencmode", "disable" },
    { "fallback_application_name", "nginx-waha" },

    /* an idle connection, too, notices within 25 s that its peer is gone */

    { "keepalives_idle", "10" },
    { "keepalives_interval", "5" },
    { "keepalives_count", "3" },

    { NULL, NULL }
};


/* names of files, relative to the directory of nginx.conf */

static const char  *ngx_http_waha_pg_conf_paths[] = {
    "passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir",
    NULL
};


static const char  *ngx_http_waha_pg_conf_host_keywords[] = {
    [NGX_HTTP_WAHA_PG_HOST] = "host",
    [NGX_HTTP_WAHA_PG_HOSTADDR] = "hostaddr",
    [NGX_HTTP_WAHA_PG_PORT] = "port",
    [NGX_HTTP_WAHA_PG_SSLMODE] = "sslmode",
    [NGX_HTTP_WAHA_PG_CHANNEL_BINDING] = "channel_binding",
    [NGX_HTTP_WAHA_PG_OPTIONS] = "options"
};


char *
ngx_http_waha_pg_conf(ngx_conf_t *cf, ngx_http_waha_pg_conf_t *conf)
{
    char                      *rv, *error;
    size_t                     len;
    ngx_str_t                 *value;
    ngx_http_waha_pg_parse_t   parse;

    value = cf->args->elts;

    if (ngx_http_waha_pg_conf_parse_parameters(cf, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&parse, sizeof(ngx_http_waha_pg_parse_t));

    conf->file_name = cf->conf_file->file.name.data;
    conf->line = cf->conf_file->line;

    parse.cf = cf;
    parse.conf = conf;
    parse.options = PQconninfoParse((char *) value[1].data, &error);

    if (parse.options == NULL) {
        len = error ? ngx_http_waha_pg_conf_error_length(error) : 0;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid connection string in \"%V\": %*s",
                           &value[0], len, error);
        PQfreemem(error);
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_waha_pg_conf_parse_conninfo(&parse);

    PQconninfoFree(parse.options);

    return rv;
}


/* libpq ends its message with the URI, which may hold a password: cut off */

static size_t
ngx_http_waha_pg_conf_error_length(const char *error)
{
    const char  *end;

    end = strstr(error, ": \"");

    return end ? (size_t) (end - error) : strcspn(error, "\n");
}


static char *
ngx_http_waha_pg_conf_parse_parameters(ngx_conf_t *cf,
    ngx_http_waha_pg_conf_t *conf)
{
    ngx_int_t   rc;
    ngx_str_t  *value;
    ngx_uint_t  i;

    value = cf->args->elts;

    conf->queue = 1024;
    conf->timeout = 1500;
    conf->connect_timeout = 1000;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "for=", 4) == 0) {
            continue;
        }

        rc = ngx_http_waha_pg_conf_parse_number(&value[i], "connections=",
                                                &conf->connections);

        if (rc == NGX_DECLINED) {
            rc = ngx_http_waha_pg_conf_parse_number(&value[i], "queue=",
                                                    &conf->queue);
        }

        if (rc == NGX_DECLINED) {
            rc = ngx_http_waha_pg_conf_parse_time(&value[i], "timeout=",
                                                  &conf->timeout);
        }

        if (rc == NGX_DECLINED) {
            rc = ngx_http_waha_pg_conf_parse_time(&value[i], "connect_timeout=",
                                                  &conf->connect_timeout);
        }

        if (rc != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\", it takes "
                               "connections=, queue=, timeout= and "
                               "connect_timeout=, all above zero, and for=",
                               &value[i], &value[0]);
            return NGX_CONF_ERROR;
        }
    }

    if (conf->connections > NGX_HTTP_WAHA_PG_CONNECTIONS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"connections=%ui\" in \"%V\" is too much: each "
                           "worker opens so many, up to %d, and a few are "
                           "enough", conf->connections, &value[0],
                           NGX_HTTP_WAHA_PG_CONNECTIONS);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_waha_pg_conf_parse_number(ngx_str_t *value, const char *name,
    ngx_uint_t *n)
{
    size_t     len;
    ngx_int_t  number;

    len = ngx_strlen(name);

    if (value->len < len || ngx_strncmp(value->data, name, len) != 0) {
        return NGX_DECLINED;
    }

    number = ngx_atoi(value->data + len, value->len - len);
    if (number == NGX_ERROR || number == 0) {
        return NGX_ERROR;
    }

    *n = number;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_pg_conf_parse_time(ngx_str_t *value, const char *name,
    ngx_msec_t *msec)
{
    size_t     len;
    ngx_int_t  ms;
    ngx_str_t  s;

    len = ngx_strlen(name);

    if (value->len < len || ngx_strncmp(value->data, name, len) != 0) {
        return NGX_DECLINED;
    }

    s.len = value->len - len;
    s.data = value->data + len;

    ms = ngx_parse_time(&s, 0);
    if (ms == NGX_ERROR || ms == 0) {
        return NGX_ERROR;
    }

    *msec = ms;

    return NGX_OK;
}


static char *
ngx_http_waha_pg_conf_parse_conninfo(ngx_http_waha_pg_parse_t *parse)
{
    ngx_pool_t        *pool;
    PQconninfoOption  *option;

    pool = parse->cf->pool;

    if (ngx_array_init(&parse->keywords, pool, 32, sizeof(char *)) != NGX_OK
        || ngx_array_init(&parse->values, pool, 32, sizeof(char *))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (option = parse->options; option->keyword; option++) {

        if (option->val == NULL || option->val[0] == '\0') {
            continue;
        }

        if (ngx_http_waha_pg_conf_add_option(parse, option) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_waha_pg_conf_add_settings(parse) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_waha_pg_host_parse(parse->cf, parse->conf,
            ngx_http_waha_pg_conf_find_option(parse, "host"),
            ngx_http_waha_pg_conf_find_option(parse, "hostaddr"),
            ngx_http_waha_pg_conf_find_option(parse, "port"))
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_waha_pg_conf_find_option(parse, "user") == NULL) {
        /* libpq would connect as the user that the worker runs as */

        ngx_conf_log_error(NGX_LOG_EMERG, parse->cf, 0,
                           "no \"user\" in \"waha_database\", it names the "
                           "role to connect as");
        return NGX_CONF_ERROR;
    }

    if (ngx_http_waha_pg_conf_add_host_keywords(parse) != NGX_OK
        || ngx_http_waha_pg_conf_add_keyword(parse, NULL, NULL) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    parse->conf->keywords = parse->keywords.elts;
    parse->conf->values = parse->values.elts;

    parse->conf->options = parse->conf->values[parse->conf->common
                                               + NGX_HTTP_WAHA_PG_OPTIONS];

    return NGX_CONF_OK;
}


static char *
ngx_http_waha_pg_conf_add_option(ngx_http_waha_pg_parse_t *parse,
    PQconninfoOption *option)
{
    const char               *value;
    ngx_http_waha_pg_rule_t  *rule;

    rule = ngx_http_waha_pg_conf_find_rule(option->keyword);

    if (rule && rule->message
        && !ngx_http_waha_pg_conf_is_listed(rule->allowed, option->val))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, parse->cf, 0,
                           "\"%s=%s\" is not possible in \"waha_database\", "
                           "%s", option->keyword, option->val,
                           rule->message);
        return NGX_CONF_ERROR;
    }

    if (rule) {
        return NGX_CONF_OK;
    }

    if (ngx_http_waha_pg_conf_is_listed(ngx_http_waha_pg_conf_paths,
                                        option->keyword))
    {
        value = ngx_http_waha_pg_conf_full_name(parse->cf, option->val);

    } else {
        value = ngx_http_waha_pg_conf_copy(parse->cf->pool, option->val);
    }

    if (value == NULL
        || ngx_http_waha_pg_conf_add_keyword(parse, option->keyword, value)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_http_waha_pg_rule_t *
ngx_http_waha_pg_conf_find_rule(const char *keyword)
{
    ngx_http_waha_pg_rule_t  *rule;

    for (rule = ngx_http_waha_pg_conf_rules; rule->keyword; rule++) {
        if (ngx_strcmp(rule->keyword, keyword) == 0) {
            return rule;
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_http_waha_pg_conf_is_listed(const char **list, const char *value)
{
    for ( /* void */ ; list && *list; list++) {
        if (ngx_strcmp(*list, value) == 0) {
            return 1;
        }
    }

    return 0;
}


static const char *
ngx_http_waha_pg_conf_full_name(ngx_conf_t *cf, const char *value)
{
    ngx_str_t  name;

    name.len = ngx_strlen(value);
    name.data = (u_char *) ngx_http_waha_pg_conf_copy(cf->pool, value);

    if (name.data == NULL) {
        return NULL;
    }

    /* "system" and "engine:..." are not files */

    if (ngx_strcmp(value, "system") == 0 || ngx_strchr(value, ':')) {
        return (const char *) name.data;
    }

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
        return NULL;
    }

    return (const char *) name.data;
}


static const char *
ngx_http_waha_pg_conf_find_option(ngx_http_waha_pg_parse_t *parse,
    const char *keyword)
{
    PQconninfoOption  *option;

    for (option = parse->options; option->keyword; option++) {

        if (option->val && option->val[0] != '\0'
            && ngx_strcmp(option->keyword, keyword) == 0)
        {
            return option->val;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_waha_pg_conf_add_keyword(ngx_http_waha_pg_parse_t *parse,
    const char *keyword, const char *value)
{
    const char  **k, **v;

    k = ngx_array_push(&parse->keywords);
    v = ngx_array_push(&parse->values);

    if (k == NULL || v == NULL) {
        return NGX_ERROR;
    }

    *k = NULL;

    if (keyword) {
        *k = ngx_http_waha_pg_conf_copy(parse->cf->pool, keyword);

        if (*k == NULL) {
            return NGX_ERROR;
        }
    }

    *v = value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_waha_pg_conf_add_settings(ngx_http_waha_pg_parse_t *parse)
{
    u_char                             user_timeout[NGX_INT_T_LEN + 1];
    const ngx_http_waha_pg_setting_t  *setting;

    for (setting = ngx_http_waha_pg_conf_settings;
         setting->keyword;
         setting++)
    {
        if (ngx_http_waha_pg_conf_add_setting(parse, setting->keyword,
                                              setting->value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    (void) ngx_sprintf(user_timeout, "%M%Z", parse->conf->timeout);

    return ngx_http_waha_pg_conf_add_setting(parse, "tcp_user_timeout",
                                             (char *) user_timeout);
}


static ngx_int_t
ngx_http_waha_pg_conf_add_setting(ngx_http_waha_pg_parse_t *parse,
    const char *keyword, const char *value)
{
    const char  *copy;

    if (ngx_http_waha_pg_conf_find_rule(keyword) == NULL
        && ngx_http_waha_pg_conf_find_option(parse, keyword))
    {
        return NGX_OK;
    }

    copy = ngx_http_waha_pg_conf_copy(parse->cf->pool, value);

    if (copy == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_waha_pg_conf_add_keyword(parse, keyword, copy);
}


static ngx_int_t
ngx_http_waha_pg_conf_add_host_keywords(ngx_http_waha_pg_parse_t *parse)
{
    ngx_uint_t   i;
    const char  *keyword, *value;

    parse->conf->common = parse->keywords.nelts;

    for (i = 0; i < NGX_HTTP_WAHA_PG_HOST_KEYWORDS; i++) {
        keyword = ngx_http_waha_pg_conf_host_keywords[i];
        value = ngx_http_waha_pg_conf_find_option(parse, keyword);

        value = ngx_http_waha_pg_conf_copy(parse->cf->pool,
                                           value ? value : "");

        if (value == NULL
            || ngx_http_waha_pg_conf_add_keyword(parse, keyword, value)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_waha_pg_conf_limit(ngx_conf_t *cf, ngx_http_waha_pg_conf_t *conf,
    ngx_msec_t timeout)
{
    size_t        n;
    const char  **values, *options;

    conf->statement_timeout = ngx_max(timeout, 1);

    options = ngx_http_waha_pg_conf_format_options(cf->pool, conf);

    n = conf->common + NGX_HTTP_WAHA_PG_HOST_KEYWORDS + 1;
    values = ngx_palloc(cf->pool, n * sizeof(char *));

    if (options == NULL || values == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(values, conf->values, n * sizeof(char *));

    values[conf->common + NGX_HTTP_WAHA_PG_OPTIONS] = options;

    conf->values = values;

    return NGX_OK;
}


/*
 * statement_timeout ends a statement before the pool's own timeout, so that
 * its outcome is known (a commit is never ended by it); lock_timeout leaves a
 * batch the time to run again without the record that waited for the lock.
 * The last of equal options counts: of these, only synchronous_commit can be
 * overridden.
 */

static const char *
ngx_http_waha_pg_conf_format_options(ngx_pool_t *pool,
    ngx_http_waha_pg_conf_t *conf)
{
    size_t   len;
    u_char  *p;

    static const char  format[] =
        "-c synchronous_commit=on %s"
        " -c statement_timeout=%M -c lock_timeout=%M"
        " -c idle_in_transaction_session_timeout=%M"
        " -c default_transaction_isolation=read\\ committed"
        " -c default_transaction_deferrable=off"
        " -c row_security=on -c standard_conforming_strings=on%Z";

    len = ngx_strlen(conf->options) + sizeof(format) + 3 * NGX_INT_T_LEN;

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NULL;
    }

    (void) ngx_snprintf(p, len, format, conf->options,
                        conf->statement_timeout,
                        ngx_max(conf->timeout / 5, 1), conf->timeout);

    return (const char *) p;
}


static char *
ngx_http_waha_pg_conf_copy(ngx_pool_t *pool, const char *s)
{
    char    *copy;
    size_t   size;

    size = ngx_strlen(s) + 1;

    copy = ngx_pnalloc(pool, size);
    if (copy) {
        ngx_memcpy(copy, s, size);
    }

    return copy;
}
