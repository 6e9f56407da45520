
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _IMPORT_LEGACY_H_INCLUDED_
#define _IMPORT_LEGACY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Opens a text of the integration guides: AES-256-GCM, whose key is derived
 * from a passphrase by PBKDF2 with SHA-256, 100,000 rounds and a salt for each
 * text.  Salt, IV (12 or 16 bytes), tag and ciphertext are four parts in any
 * order, in hex or base64, with ":" between them; or one part, salt (64, 32 or
 * 16 bytes) and IV first, then the tag before or behind the ciphertext.  plain
 * is allocated from pool and wiped with it.  NGX_DECLINED: it is no such text,
 * or the passphrase is another one.
 */
ngx_int_t import_legacy_open(ngx_pool_t *pool, ngx_str_t *passphrase,
    ngx_str_t *text, ngx_str_t *plain);


#endif /* _IMPORT_LEGACY_H_INCLUDED_ */
