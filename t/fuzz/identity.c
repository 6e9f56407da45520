
/*
 * Copyright (C) the ngx_http_waha_module authors
 *
 * ngx_http_waha_identity_parse_*(): parts lie within what
 * was given, and nothing of a message id gets lost.
 */


#include "fuzz.h"
#include "ngx_http_waha_identity.h"


static ngx_uint_t
fuzz_within(ngx_str_t *part, ngx_str_t *whole)
{
    return part->data == NULL
           || (part->data >= whole->data
               && part->data + part->len <= whole->data + whole->len);
}


static void
fuzz_digits(ngx_str_t *text, size_t max)
{
    size_t  i;

    fuzz_check(text->len >= 1 && text->len <= max);
    fuzz_check(text->data[0] != '0');

    for (i = 0; i < text->len; i++) {
        fuzz_check(isdigit(text->data[i]));
    }
}


static void
fuzz_jid(ngx_str_t *given)
{
    ngx_http_waha_jid_t  jid;

    if (ngx_http_waha_identity_parse_jid(given, &jid) != NGX_OK) {
        return;
    }

    fuzz_check(memchr(given->data, '@', given->len));
    fuzz_check(fuzz_within(&jid.phone, given) && fuzz_within(&jid.lid, given));

    if (jid.chat != NGX_HTTP_WAHA_PERSON) {
        fuzz_check(jid.phone.data == NULL && jid.lid.data == NULL);
        return;
    }

    fuzz_check((jid.phone.data == NULL) != (jid.lid.data == NULL));

    if (jid.phone.data) {
        fuzz_check(jid.phone.data == given->data);
        fuzz_digits(&jid.phone, 15);

    } else {
        fuzz_check(jid.lid.data == given->data);
        fuzz_digits(&jid.lid, 20);
    }
}


static void
fuzz_message_id(ngx_str_t *given)
{
    size_t                       len;
    ngx_str_t                    tail;
    ngx_http_waha_message_id_t   id;

    if (ngx_http_waha_identity_parse_message_id(given, &id) != NGX_OK) {
        fuzz_check(id.id.data == given->data && id.id.len == given->len);
        fuzz_check(id.chat.data == NULL && id.participant.data == NULL);
        fuzz_check(id.outbound == 0);
        return;
    }

    fuzz_check(fuzz_within(&id.chat, given));
    fuzz_check(fuzz_within(&id.id, given));
    fuzz_check(fuzz_within(&id.participant, given));
    fuzz_check(id.id.len > 0);
    fuzz_check(memchr(id.chat.data, '@', id.chat.len));
    fuzz_check(!memchr(id.chat.data, '_', id.chat.len));

    /* "true_" chat "_" id, and what may follow */

    len = id.outbound ? 5 : 6;

    fuzz_check(memcmp(given->data, id.outbound ? "true_" : "false_", len)
               == 0);
    fuzz_check(id.chat.data == given->data + len);
    fuzz_check(id.id.data == id.chat.data + id.chat.len + 1);
    fuzz_check(id.id.data[-1] == '_');

    tail.data = id.id.data + id.id.len;
    tail.len = given->data + given->len - tail.data;

    if (tail.len == 0) {
        fuzz_check(id.participant.data == NULL);
        return;
    }

    fuzz_check(*tail.data == '_');

    if (id.participant.data) {
        fuzz_check(id.participant.data == tail.data + 1);
        fuzz_check(id.participant.len == tail.len - 1);
        fuzz_check(memchr(tail.data, '@', tail.len));
        return;
    }

    fuzz_check((tail.len == 3 && memcmp(tail.data, "_in", 3) == 0)
               || (tail.len == 4 && memcmp(tail.data, "_out", 4) == 0));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t  given;

    given.data = (u_char *) data;
    given.len = size;

    fuzz_jid(&given);
    fuzz_message_id(&given);

    return 0;
}
