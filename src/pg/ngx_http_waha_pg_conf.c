
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_pg.h>


#define NGX_HTTP_WAHA_PG_PORT         "5432"

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

    /* a host that is not this machine, or NULL */
    const char                       *remote;

    /* keywords and values that all hosts have in common */
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
static const char *ngx_http_waha_pg_conf_format_options(ngx_pool_t *pool,
    ngx_http_waha_pg_conf_t *conf);
static char *ngx_http_waha_pg_conf_parse_hosts(ngx_http_waha_pg_parse_t *parse);
static ngx_int_t ngx_http_waha_pg_conf_split(ngx_http_waha_pg_parse_t *parse,
    const char *keyword, ngx_array_t *parts);
static char *ngx_http_waha_pg_conf_parse_host(ngx_http_waha_pg_parse_t *parse,
    const char *host, const char *addr, const char *port);
static char *ngx_http_waha_pg_conf_resolve_host(ngx_http_waha_pg_parse_t *parse,
    const char *host, const char *port);
static ngx_int_t ngx_http_waha_pg_conf_add_host(ngx_http_waha_pg_parse_t *parse,
    const char *host, const char *addr, const char *port,
    struct sockaddr *sa);
static char *ngx_http_waha_pg_conf_check_security(
    ngx_http_waha_pg_parse_t *parse);
static const char *ngx_http_waha_pg_conf_format_host_name(ngx_pool_t *pool,
    const char *host, const char *addr, const char *port);
static ngx_uint_t ngx_http_waha_pg_conf_has_password(
    ngx_http_waha_pg_parse_t *parse);
static ngx_uint_t ngx_http_waha_pg_conf_is_loopback(struct sockaddr *sa);
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


/* keywords whose values differ from host to host; always the last */

static const char  *ngx_http_waha_pg_conf_host_keywords[] = {
    "host", "hostaddr", "port", "sslmode", "channel_binding", "options", NULL
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
    const char       **keyword, *options;
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

    if (ngx_http_waha_pg_conf_parse_hosts(parse) != NGX_CONF_OK
        || ngx_http_waha_pg_conf_check_security(parse) != NGX_CONF_OK)
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

    for (keyword = ngx_http_waha_pg_conf_host_keywords; *keyword; keyword++) {
        if (ngx_http_waha_pg_conf_add_keyword(parse, *keyword, "") != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_waha_pg_conf_add_keyword(parse, NULL, NULL) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    parse->conf->keywords = parse->keywords.elts;

    options = ngx_http_waha_pg_conf_find_option(parse, "options");

    parse->conf->options = ngx_http_waha_pg_conf_copy(pool,
                                                      options ? options : "");

    return parse->conf->options ? NGX_CONF_OK : NGX_CONF_ERROR;
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


ngx_int_t
ngx_http_waha_pg_conf_limit(ngx_conf_t *cf, ngx_http_waha_pg_conf_t *conf,
    ngx_msec_t timeout)
{
    size_t                     n;
    ngx_uint_t                 i;
    const char               **values, *options;
    ngx_array_t                hosts;
    ngx_http_waha_pg_host_t   *host, *copy;

    conf->statement_timeout = ngx_max(timeout, 1);

    options = ngx_http_waha_pg_conf_format_options(cf->pool, conf);

    if (options == NULL
        || ngx_array_init(&hosts, cf->pool, conf->hosts.nelts,
                          sizeof(ngx_http_waha_pg_host_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (n = 0; conf->keywords[n]; n++) { /* void */ }

    host = conf->hosts.elts;

    for (i = 0; i < conf->hosts.nelts; i++) {

        copy = ngx_array_push(&hosts);
        values = ngx_palloc(cf->pool, (n + 1) * sizeof(char *));

        if (copy == NULL || values == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(values, host[i].values, (n + 1) * sizeof(char *));

        /* the last keyword */
        values[n - 1] = options;

        *copy = host[i];
        copy->values = values;
    }

    conf->hosts = hosts;

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
ngx_http_waha_pg_conf_parse_hosts(ngx_http_waha_pg_parse_t *parse)
{
    ngx_uint_t    i, n;
    ngx_conf_t   *cf;
    const char   *host, *addr, *port, **elt;
    ngx_array_t   hosts, addrs, ports;

    cf = parse->cf;

    if (ngx_http_waha_pg_conf_split(parse, "host", &hosts) != NGX_OK
        || ngx_http_waha_pg_conf_split(parse, "hostaddr", &addrs) != NGX_OK
        || ngx_http_waha_pg_conf_split(parse, "port", &ports) != NGX_OK
        || ngx_array_init(&parse->conf->hosts, cf->pool, 2,
                          sizeof(ngx_http_waha_pg_host_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    n = ngx_max(ngx_max(hosts.nelts, addrs.nelts), 1);

    if ((hosts.nelts && hosts.nelts != n)
        || (addrs.nelts && addrs.nelts != n)
        || (ports.nelts > 1 && ports.nelts != n))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"waha_database\" has %ui hosts, %ui hostaddrs "
                           "and %ui ports, which do not match",
                           hosts.nelts, addrs.nelts, ports.nelts);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < n; i++) {
        elt = hosts.elts;
        host = hosts.nelts ? elt[i] : "";

        elt = addrs.elts;
        addr = addrs.nelts ? elt[i] : "";

        elt = ports.elts;
        port = ports.nelts ? elt[ports.nelts == 1 ? 0 : i] : "";

        if (*port == '\0') {
            port = NGX_HTTP_WAHA_PG_PORT;
        }

        if (ngx_http_waha_pg_conf_parse_host(parse, host, addr, port)
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_waha_pg_conf_split(ngx_http_waha_pg_parse_t *parse,
    const char *keyword, ngx_array_t *parts)
{
    char        *s, *comma, **part;
    const char  *list;
    ngx_pool_t  *pool;

    pool = parse->cf->pool;

    if (ngx_array_init(parts, pool, 2, sizeof(char *)) != NGX_OK) {
        return NGX_ERROR;
    }

    list = ngx_http_waha_pg_conf_find_option(parse, keyword);

    if (list == NULL) {
        return NGX_OK;
    }

    s = ngx_http_waha_pg_conf_copy(pool, list);

    while (s) {
        part = ngx_array_push(parts);
        if (part == NULL) {
            return NGX_ERROR;
        }

        *part = s;

        comma = strchr(s, ',');

        if (comma == NULL) {
            return NGX_OK;
        }

        *comma = '\0';
        s = comma + 1;
    }

    return NGX_ERROR;
}


static char *
ngx_http_waha_pg_conf_parse_host(ngx_http_waha_pg_parse_t *parse,
    const char *host, const char *addr, const char *port)
{
    ngx_int_t         n;
    ngx_addr_t        parsed;
    struct sockaddr  *sa;

    n = ngx_atoi((u_char *) port, ngx_strlen(port));

    if (n < 1 || n > 65535) {
        ngx_conf_log_error(NGX_LOG_EMERG, parse->cf, 0,
                           "invalid port \"%s\" in \"waha_database\"", port);
        return NGX_CONF_ERROR;
    }

    sa = NULL;

    if (*addr != '\0') {

        if (ngx_parse_addr(parse->cf->pool, &parsed, (u_char *) addr,
                           ngx_strlen(addr))
            != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, parse->cf, 0,
                               "invalid hostaddr \"%s\" in "
                               "\"waha_database\"", addr);
            return NGX_CONF_ERROR;
        }

        sa = parsed.sockaddr;

    } else if (*host != '\0' && *host != '/' && *host != '@') {
        return ngx_http_waha_pg_conf_resolve_host(parse, host, port);
    }

    if (ngx_http_waha_pg_conf_add_host(parse, host, addr, port, sa)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* a name is resolved here, since libpq would block the worker with it */

static char *
ngx_http_waha_pg_conf_resolve_host(ngx_http_waha_pg_parse_t *parse,
    const char *host, const char *port)
{
    u_char      *addr;
    size_t       len;
    ngx_url_t    u;
    ngx_uint_t   i;
    ngx_pool_t  *pool;

    pool = parse->cf->pool;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.host.len = ngx_strlen(host);
    u.host.data = (u_char *) host;

    if (ngx_inet_resolve_host(pool, &u) != NGX_OK) {

        if (u.err) {
            ngx_conf_log_error(NGX_LOG_EMERG, parse->cf, 0,
                               "%s in \"waha_database\": \"%s\"",
                               u.err, host);
        }

        return NGX_CONF_ERROR;
    }

    for (i = 0; i < u.naddrs; i++) {

        addr = ngx_pnalloc(pool, NGX_SOCKADDR_STRLEN + 1);
        if (addr == NULL) {
            return NGX_CONF_ERROR;
        }

        len = ngx_sock_ntop(u.addrs[i].sockaddr, u.addrs[i].socklen, addr,
                            NGX_SOCKADDR_STRLEN, 0);
        addr[len] = '\0';

        if (ngx_http_waha_pg_conf_add_host(parse, host, (char *) addr, port,
                                           u.addrs[i].sockaddr)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_waha_pg_conf_add_host(ngx_http_waha_pg_parse_t *parse,
    const char *host, const char *addr, const char *port,
    struct sockaddr *sa)
{
    size_t                    n;
    const char              **v, *sslmode, *binding;
    ngx_pool_t               *pool;
    ngx_http_waha_pg_host_t  *h;

    pool = parse->cf->pool;

    h = ngx_array_push(&parse->conf->hosts);
    if (h == NULL) {
        return NGX_ERROR;
    }

    n = parse->values.nelts;

    v = ngx_pcalloc(pool, n * sizeof(char *)
                          + sizeof(ngx_http_waha_pg_conf_host_keywords));
    if (v == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(v, parse->values.elts, n * sizeof(char *));

    sslmode = ngx_http_waha_pg_conf_find_option(parse, "sslmode");
    binding = ngx_http_waha_pg_conf_find_option(parse, "channel_binding");

    if (sa && !ngx_http_waha_pg_conf_is_loopback(sa)) {
        parse->remote = *host ? host : addr;

        if (sslmode == NULL) {
            sslmode = "verify-full";
        }

        if (binding == NULL
            && ngx_strcmp(sslmode, "require") == 0
            && ngx_http_waha_pg_conf_has_password(parse))
        {
            /* a server that is not verified must not get the password */
            binding = "require";
        }
    }

    if (sslmode == NULL) {
        sslmode = "disable";
    }

    /* in the order of ngx_http_waha_pg_conf_host_keywords */

    v[n] = host;
    v[n + 1] = addr;
    v[n + 2] = ngx_http_waha_pg_conf_copy(pool, port);
    v[n + 3] = ngx_http_waha_pg_conf_copy(pool, sslmode);
    v[n + 4] = ngx_http_waha_pg_conf_copy(pool, binding ? binding : "");

    h->values = v;
    h->name = ngx_http_waha_pg_conf_format_host_name(pool, host, addr, port);

    if (v[n + 2] == NULL || v[n + 3] == NULL || v[n + 4] == NULL
        || h->name == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_waha_pg_conf_has_password(ngx_http_waha_pg_parse_t *parse)
{
    return ngx_http_waha_pg_conf_find_option(parse, "password")
           || ngx_http_waha_pg_conf_find_option(parse, "passfile");
}


static char *
ngx_http_waha_pg_conf_check_security(ngx_http_waha_pg_parse_t *parse)
{
    const char  *sslmode, *binding;

    if (parse->remote == NULL) {
        return NGX_CONF_OK;
    }

    sslmode = ngx_http_waha_pg_conf_find_option(parse, "sslmode");
    binding = ngx_http_waha_pg_conf_find_option(parse, "channel_binding");

    if (sslmode == NULL
        && ngx_http_waha_pg_conf_find_option(parse, "sslrootcert") == NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, parse->cf, 0,
                           "\"%s\" in \"waha_database\" is another machine, "
                           "whose certificate has to be verified: name the "
                           "file of its authority with \"sslrootcert=\", or "
                           "choose another \"sslmode=\"", parse->remote);
        return NGX_CONF_ERROR;
    }

    if (sslmode == NULL || ngx_strncmp(sslmode, "verify", 6) == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(sslmode, "require") == 0
        && (binding ? ngx_strcmp(binding, "require") == 0
                    : ngx_http_waha_pg_conf_has_password(parse)))
    {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_WARN, parse->cf, 0,
                       "\"sslmode=%s\" in \"waha_database\" lets whoever "
                       "answers as \"%s\" have the password and the data: "
                       "use \"sslmode=verify-full sslrootcert=...\", or "
                       "\"sslmode=require channel_binding=require\"",
                       sslmode, parse->remote);

    return NGX_CONF_OK;
}


static const char *
ngx_http_waha_pg_conf_format_host_name(ngx_pool_t *pool, const char *host,
    const char *addr, const char *port)
{
    size_t   len;
    u_char  *p;

    len = ngx_strlen(host) + ngx_strlen(addr) + ngx_strlen(port)
          + sizeof("local socket: ()");

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NULL;
    }

    if (*host == '\0') {
        (void) ngx_sprintf(p, "%s:%s%Z", *addr ? addr : "local socket",
                           port);

    } else if (*addr == '\0' || ngx_strcmp(host, addr) == 0) {
        (void) ngx_sprintf(p, "%s:%s%Z", host, port);

    } else {
        (void) ngx_sprintf(p, "%s:%s (%s)%Z", host, port, addr);
    }

    return (const char *) p;
}


static ngx_uint_t
ngx_http_waha_pg_conf_is_loopback(struct sockaddr *sa)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    switch (sa->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;
        return IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr) ? 1 : 0;
#endif

    default: /* AF_INET */
        sin = (struct sockaddr_in *) sa;
        return (ntohl(sin->sin_addr.s_addr) >> 24) == 127;
    }
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
