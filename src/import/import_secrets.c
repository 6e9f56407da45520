
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * Reads numbers of a CRM that followed one of the integration guides, as CSV
 * or separated by tabs, and writes SQL for psql that connects them, with
 * their tokens sealed as the module seals them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <ngx_http_waha_secret.h>
#include "import_legacy.h"
#include "import_nginx.h"


#define IMPORT_INPUT     (64 * 1024 * 1024)
#define IMPORT_FILE      4096

#define IMPORT_FIELDS    5
#define IMPORT_SLUG      255
#define IMPORT_DIGITS    32

/* random bytes of the id of a connection, which is a part of a URL */

#define IMPORT_ID        24


typedef struct {
    ngx_str_t                organization;
    ngx_str_t                number;
    ngx_str_t                account;
    ngx_str_t                verify_token;
    ngx_str_t                sealed;
} import_row_t;


typedef struct {
    ngx_http_waha_secrets_t  ring;
    ngx_str_t                passphrase;

    u_char                  *pos;
    u_char                  *last;
    u_char                   separator;

    ngx_uint_t               rows;
    ngx_uint_t               written;
} import_t;


static ngx_str_t import_read_secret(const char *name);
static ngx_str_t import_read_input(void);
static void import_add_key(ngx_pool_t *pool, import_t *import, char *id,
    ngx_str_t *material);
static void import_run(import_t *import);
static ngx_uint_t import_next_row(import_t *import, ngx_str_t *fields);
static ngx_str_t import_next_field(import_t *import);
static const char *import_write_row(import_t *import, ngx_pool_t *pool,
    import_row_t *row);
static const char *import_check_row(import_row_t *row);
static ngx_uint_t import_is_number(ngx_str_t *text);
static ngx_str_t import_make_id(ngx_pool_t *pool);
static void import_put(ngx_str_t *text);
static void import_put_hash(ngx_str_t *text);


int
main(int argc, char **argv)
{
    import_t     import;
    ngx_str_t    material, input;
    ngx_pool_t  *pool;

    if (argc != 4) {
        fputs("usage: import-secrets KEY-ID KEY-FILE PASSPHRASE-FILE"
              " < rows.csv > rows.sql\n", stderr);
        return 2;
    }

    ngx_memzero(&import, sizeof(import_t));

    pool = ngx_create_pool(0, NULL);

    material = import_read_secret(argv[2]);
    import_add_key(pool, &import, argv[1], &material);

    import.passphrase = import_read_secret(argv[3]);

    while (import.passphrase.len
           && strchr("\r\n",
                     import.passphrase.data[import.passphrase.len - 1]))
    {
        import.passphrase.len--;
    }

    if (import.passphrase.len == 0) {
        import_say("\"%s\" is empty", argv[3]);
        return 2;
    }

    input = import_read_input();

    import.pos = input.data;
    import.last = input.data + input.len;

    import_run(&import);

    OPENSSL_cleanse(input.data, input.len);
    OPENSSL_cleanse(material.data, IMPORT_FILE);
    OPENSSL_cleanse(import.passphrase.data, IMPORT_FILE);

    ngx_destroy_pool(pool);

    import_say("%lu of %lu rows written", (unsigned long) import.written,
               (unsigned long) import.rows);

    if (fflush(stdout) != 0) {
        import_say("cannot write: %s", strerror(errno));
        return 2;
    }

    return import.written == import.rows ? 0 : 1;
}


static ngx_str_t
import_read_secret(const char *name)
{
    int          fd;
    ssize_t      n;
    ngx_str_t    text;
    struct stat  st;

    fd = open(name, O_RDONLY);

    if (fd == -1 || fstat(fd, &st) == -1) {
        import_say("cannot read \"%s\": %s", name, strerror(errno));
        exit(2);
    }

    if (st.st_mode & 0027) {
        import_say("\"%s\" holds a secret, but others can read or change it: "
                   "run \"chmod 600 %s\"", name, name);
        exit(2);
    }

    text.data = import_alloc(IMPORT_FILE);

    n = read(fd, text.data, IMPORT_FILE);

    if (n == -1) {
        import_say("cannot read \"%s\": %s", name, strerror(errno));
        exit(2);
    }

    if (n == IMPORT_FILE) {
        import_say("\"%s\" is too long", name);
        exit(2);
    }

    text.len = n;

    close(fd);

    return text;
}


static ngx_str_t
import_read_input(void)
{
    size_t     n;
    ngx_str_t  input;

    input.data = import_alloc(IMPORT_INPUT);
    input.len = 0;

    while ((n = fread(input.data + input.len, 1, IMPORT_INPUT - input.len,
                      stdin))
           > 0)
    {
        input.len += n;
    }

    if (ferror(stdin)) {
        import_say("cannot read the rows: %s", strerror(errno));
        exit(2);
    }

    if (input.len == IMPORT_INPUT) {
        import_say("the rows are longer than 64 MB: divide them");
        exit(2);
    }

    input.data[input.len] = '\0';

    return input;
}


static void
import_add_key(ngx_pool_t *pool, import_t *import, char *id,
    ngx_str_t *material)
{
    ngx_str_t    name;
    const char  *reason;

    name.data = (u_char *) id;
    name.len = ngx_strlen(id);

    if (ngx_http_waha_secret_add_key(pool, &import->ring, &name, material,
                                     &reason)
        != NGX_OK)
    {
        import_say("the key \"%s\" cannot be used: %s", id, reason);
        exit(2);
    }
}


static void
import_run(import_t *import)
{
    ngx_str_t    fields[IMPORT_FIELDS];
    ngx_uint_t   n, line;
    ngx_pool_t  *pool;
    const char  *fault;

    if (import->last - import->pos >= 3
        && ngx_memcmp(import->pos, "\xef\xbb\xbf", 3) == 0)
    {
        import->pos += 3;
    }

    /* the first line says what separates fields */

    n = strcspn((char *) import->pos, "\t\n");

    import->separator = (import->pos[n] == '\t') ? '\t' : ',';

    puts("set client_encoding = 'UTF8';\n"
         "set standard_conforming_strings = on;");

    for (line = 1; import->pos < import->last; line++) {

        n = import_next_row(import, fields);

        if (n == 1 && fields[0].len == 0) {
            continue;
        }

        if (line == 1 && n == IMPORT_FIELDS && !import_is_number(&fields[1])) {
            /* names of columns */
            continue;
        }

        import->rows++;

        pool = ngx_create_pool(0, NULL);

        fault = (n == IMPORT_FIELDS)
                    ? import_write_row(import, pool, (import_row_t *) fields)
                    : "it has not five columns: organization, phone number "
                      "id, account id, verify token, encrypted token";

        ngx_destroy_pool(pool);

        if (fault) {
            import_say("row %lu is left out: %s", (unsigned long) line, fault);
            continue;
        }

        import->written++;
    }
}


/* the number of fields, of which the first ones are kept */

static ngx_uint_t
import_next_row(import_t *import, ngx_str_t *fields)
{
    ngx_str_t   field;
    ngx_uint_t  n;

    for (n = 0; /* void */ ; /* void */ ) {
        field = import_next_field(import);

        if (n < IMPORT_FIELDS) {
            fields[n] = field;
        }

        n++;

        if (import->pos == import->last) {
            return n;
        }

        if (*import->pos++ == LF) {
            return n;
        }
    }
}


/* RFC 4180; the text is unquoted where it stands */

static ngx_str_t
import_next_field(import_t *import)
{
    u_char      *p, *dst;
    ngx_str_t    field;
    ngx_uint_t   quoted;

    p = import->pos;
    dst = p;
    quoted = 0;

    field.data = dst;

    for ( /* void */ ; p < import->last; p++) {

        if (*p == '"' && (quoted || p == import->pos)) {

            if (quoted && p + 1 < import->last && p[1] == '"') {
                *dst++ = *p++;
                continue;
            }

            quoted = !quoted;
            continue;
        }

        if (!quoted && (*p == import->separator || *p == LF)) {
            break;
        }

        *dst++ = *p;
    }

    import->pos = p;

    field.len = dst - field.data;

    if (field.len && field.data[field.len - 1] == CR
        && (p == import->last || *p == LF))
    {
        field.len--;
    }

    return field;
}


/* NULL: it is written; else the reason why not */

static const char *
import_write_row(import_t *import, ngx_pool_t *pool, import_row_t *row)
{
    ngx_str_t                      id, plain, sealed;
    const char                    *fault;
    ngx_http_waha_secret_place_t   place;

    fault = import_check_row(row);
    if (fault) {
        return fault;
    }

    if (import_legacy_open(pool, &import->passphrase, &row->sealed, &plain)
        != NGX_OK)
    {
        return "its token cannot be opened: the passphrase is another one, or "
               "the token is in another form";
    }

    if (plain.len == 0) {
        return "its token is empty";
    }

    id = import_make_id(pool);

    ngx_str_set(&place.table, "connections");
    ngx_str_set(&place.column, "access_token");
    place.organization = row->organization;
    place.row = id;

    if (ngx_http_waha_secret_seal(pool, &import->ring, &place, &plain, &sealed)
        != NGX_OK)
    {
        return "its token cannot be sealed: it is too long";
    }

    fputs("select ", stdout);
    import_put(&row->organization);
    fputs(" as organization, ", stdout);
    import_put(&row->number);
    fputs(" as number, waha.import_number(", stdout);
    import_put(&row->organization);
    fputs(", ", stdout);
    import_put(&row->number);
    printf(", '%.*s', '{\"account\":\"%.*s\",\"access_token\":\"%.*s\"",
           (int) id.len, id.data, (int) row->account.len, row->account.data,
           (int) sealed.len, sealed.data);

    if (row->verify_token.len) {
        fputs(",\"verify_token_hash\":\"", stdout);
        import_put_hash(&row->verify_token);
        fputs("\"", stdout);
    }

    puts("}') as result;");

    return NULL;
}


static const char *
import_check_row(import_row_t *row)
{
    size_t      i;
    ngx_str_t  *slug;

    slug = &row->organization;

    if (slug->len == 0 || slug->len > IMPORT_SLUG) {
        return "its organization has not 1 to 255 bytes";
    }

    for (i = 0; i < slug->len; i++) {
        if (slug->data[i] < ' ' || slug->data[i] == 0x7f) {
            return "its organization has a control character";
        }
    }

    if (!import_is_number(&row->number)) {
        return "its phone number id is not 1 to 32 digits";
    }

    if (!import_is_number(&row->account)) {
        return "its account id is not 1 to 32 digits";
    }

    return NULL;
}


static ngx_uint_t
import_is_number(ngx_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < '0' || text->data[i] > '9') {
            return 0;
        }
    }

    return text->len > 0 && text->len <= IMPORT_DIGITS;
}


static ngx_str_t
import_make_id(ngx_pool_t *pool)
{
    u_char     bytes[IMPORT_ID];
    ngx_str_t  id, random;

    if (RAND_bytes(bytes, IMPORT_ID) != 1) {
        import_say("no random numbers");
        exit(2);
    }

    random.data = bytes;
    random.len = IMPORT_ID;

    id.data = ngx_pnalloc(pool, ngx_base64_encoded_length(IMPORT_ID));

    ngx_encode_base64url(&id, &random);

    return id;
}


/* as an SQL literal */

static void
import_put(ngx_str_t *text)
{
    size_t  i;

    putchar('\'');

    for (i = 0; i < text->len; i++) {

        if (text->data[i] == '\'') {
            putchar('\'');
        }

        putchar(text->data[i]);
    }

    putchar('\'');
}


/* SHA-256 in hex */

static void
import_put_hash(ngx_str_t *text)
{
    u_char      hash[SHA256_DIGEST_LENGTH];
    ngx_uint_t  i;

    SHA256(text->data, text->len, hash);

    for (i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        printf("%02x", hash[i]);
    }
}
