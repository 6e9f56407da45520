
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#ifndef _NGX_HTTP_WAHA_QR_H_INCLUDED_
#define _NGX_HTTP_WAHA_QR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_waha_api.h>


/*
 * Operations that link a phone to a session, for the route table.  Where the
 * status of the session does not allow them they end with "no_qr" at once.
 */

/* the picture as JSON or, by "Accept", as it is; "format=raw": the text */
ngx_int_t ngx_http_waha_qr(ngx_http_waha_api_t *api);

/* the picture for whoever has the signed path, see ngx_http_waha_qr_link.h */
ngx_int_t ngx_http_waha_qr_shared(ngx_http_waha_api_t *api);

/* the code to type in at the phone that "phoneNumber" names */
ngx_int_t ngx_http_waha_qr_pairing_code(ngx_http_waha_api_t *api);

/* what the phone asks for, and what the browser answers; WAHA's JSON */
ngx_int_t ngx_http_waha_qr_challenge(ngx_http_waha_api_t *api);
ngx_int_t ngx_http_waha_qr_passkey(ngx_http_waha_api_t *api);
ngx_int_t ngx_http_waha_qr_confirmation(ngx_http_waha_api_t *api);
ngx_int_t ngx_http_waha_qr_confirm(ngx_http_waha_api_t *api);


/*
 * Ends a plan about a session: answers with it and, if there is one, its QR
 * code.
 */
ngx_int_t ngx_http_waha_qr_add(ngx_http_waha_step_t *step);


#endif /* _NGX_HTTP_WAHA_QR_H_INCLUDED_ */
