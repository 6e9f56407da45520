
/*
 * Copyright (C) the ngx_http_waha_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_waha.h>
#include <ngx_http_waha_answer.h>
#include <ngx_http_waha_argument.h>
#include <ngx_http_waha_json.h>
#include <ngx_http_waha_secret.h>
#include <ngx_http_waha_secrets.h>


/* secrets of a page; when a request has seen so many, or pages, it ends */

#define NGX_HTTP_WAHA_SECRETS_PAGE   "50"
#define NGX_HTTP_WAHA_SECRETS_MOST   100
#define NGX_HTTP_WAHA_SECRETS_PAGES  10


typedef struct {
    /* of the page, still to be done */
    cJSON         *secret;

    /* the next page; data is NULL: there is none */
    ngx_str_t      next;

    ngx_uint_t     pages;
    ngx_uint_t     rotated;
    ngx_uint_t     refused;

    /* by somebody else, while this request had them */
    ngx_uint_t     changed;
} ngx_http_waha_secrets_rotation_t;


static ngx_int_t ngx_http_waha_secrets_list(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_secrets_on_page(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_secrets_go_on(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_secrets_seal_again(ngx_http_waha_step_t *step,
    cJSON *secret, ngx_str_t *args);
static ngx_int_t ngx_http_waha_secrets_read_place(cJSON *secret,
    ngx_http_waha_secret_place_t *place, ngx_str_t *sealed);
static ngx_int_t ngx_http_waha_secrets_write_place(ngx_pool_t *pool,
    ngx_http_waha_secret_place_t *place, ngx_str_t *json);
static ngx_int_t ngx_http_waha_secrets_on_replaced(ngx_http_waha_step_t *step);
static ngx_int_t ngx_http_waha_secrets_done(ngx_http_waha_step_t *step);
static ngx_http_waha_secrets_rotation_t *ngx_http_waha_secrets_rotation(
    ngx_http_waha_step_t *step);
static ngx_http_waha_secrets_t *ngx_http_waha_secrets_ring(
    ngx_http_waha_step_t *step);


ngx_int_t
ngx_http_waha_secrets_rotate(ngx_http_waha_api_t *api)
{
    ngx_http_request_t                *r;
    ngx_http_waha_secrets_rotation_t  *rotation;

    r = api->step.request;

    if (ngx_http_waha_secrets_ring(&api->step) == NULL) {
        return ngx_http_waha_error_send(r, NGX_HTTP_WAHA_ERR_NO_SECRET_KEY);
    }

    rotation = ngx_pcalloc(r->pool, sizeof(ngx_http_waha_secrets_rotation_t));
    if (rotation == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    switch (ngx_http_waha_argument_get(api, "after", NGX_HTTP_WAHA_ARG_TEXT,
                                       &rotation->next))
    {
    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_http_waha_argument_refuse(api, "after");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    api->data = rotation;
    api->step.done = ngx_http_waha_secrets_done;

    return ngx_http_waha_secrets_list(&api->step);
}


static ngx_int_t
ngx_http_waha_secrets_list(ngx_http_waha_step_t *step)
{
    ngx_str_t                          args[3];
    ngx_http_waha_secrets_rotation_t  *rotation;

    rotation = ngx_http_waha_secrets_rotation(step);

    rotation->pages++;

    args[0] = ngx_http_waha_secrets_ring(step)->keys->id;
    args[1] = rotation->next;
    ngx_str_set(&args[2], NGX_HTTP_WAHA_SECRETS_PAGE);

    return ngx_http_waha_step_query(step, NGX_HTTP_WAHA_LIST_SECRETS, args,
                                    ngx_http_waha_secrets_on_page);
}


static ngx_int_t
ngx_http_waha_secrets_on_page(ngx_http_waha_step_t *step)
{
    cJSON                             *json, *list;
    ngx_http_waha_secrets_rotation_t  *rotation;

    rotation = ngx_http_waha_secrets_rotation(step);

    if (ngx_http_waha_json_parse(step->request->pool, &step->query.reply,
                                 &json)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    list = ngx_http_waha_json_get(json, "secrets");

    if (!cJSON_IsArray(list)) {
        return ngx_http_waha_step_end(step, NGX_HTTP_WAHA_ERR_DATABASE_SETUP);
    }

    rotation->secret = list->child;
    rotation->next = ngx_http_waha_json_get_string(json, "next");

    return ngx_http_waha_secrets_go_on(step);
}


static ngx_int_t
ngx_http_waha_secrets_go_on(ngx_http_waha_step_t *step)
{
    cJSON                             *secret;
    ngx_int_t                          rc;
    ngx_str_t                          args[4];
    ngx_http_waha_secrets_rotation_t  *rotation;

    rotation = ngx_http_waha_secrets_rotation(step);

    while (rotation->secret) {
        secret = rotation->secret;
        rotation->secret = secret->next;

        rc = ngx_http_waha_secrets_seal_again(step, secret, args);

        if (rc == NGX_DECLINED) {
            rotation->refused++;
            continue;
        }

        if (rc == NGX_ABORT) {
            return ngx_http_waha_step_end(step,
                                          NGX_HTTP_WAHA_ERR_DATABASE_SETUP);
        }

        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_waha_step_query(step, NGX_HTTP_WAHA_REPLACE_SECRET,
                                        args,
                                        ngx_http_waha_secrets_on_replaced);
    }

    if (rotation->next.data == NULL
        || rotation->pages == NGX_HTTP_WAHA_SECRETS_PAGES
        || rotation->rotated + rotation->refused + rotation->changed
           >= NGX_HTTP_WAHA_SECRETS_MOST)
    {
        return ngx_http_waha_step_succeed(step);
    }

    return ngx_http_waha_secrets_list(step);
}


/* NGX_DECLINED: it cannot be opened; NGX_ABORT: it is no item of the list */

static ngx_int_t
ngx_http_waha_secrets_seal_again(ngx_http_waha_step_t *step, cJSON *secret,
    ngx_str_t *args)
{
    ngx_int_t                      rc;
    ngx_str_t                      plain, column;
    ngx_pool_t                    *pool;
    ngx_http_waha_secrets_t       *ring;
    ngx_http_waha_secret_place_t   place;

    pool = step->request->pool;
    ring = ngx_http_waha_secrets_ring(step);

    column = ngx_http_waha_json_get_string(secret, "column");

    if (column.data == NULL
        || ngx_http_waha_secrets_read_place(secret, &place, &args[2])
           != NGX_OK)
    {
        return NGX_ABORT;
    }

    rc = ngx_http_waha_secret_open(pool, ring, &place, &args[2], &plain);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_waha_secret_seal(pool, ring, &place, &plain, &args[3]);
    if (rc != NGX_OK) {
        return rc;
    }

    args[0] = place.organization;
    place.column = column;

    return ngx_http_waha_secrets_write_place(pool, &place, &args[1]);
}


static ngx_int_t
ngx_http_waha_secrets_read_place(cJSON *secret,
    ngx_http_waha_secret_place_t *place, ngx_str_t *sealed)
{
    place->table = ngx_http_waha_json_get_string(secret, "table");
    place->organization = ngx_http_waha_json_get_string(secret,
                                                        "organization");
    place->row = ngx_http_waha_json_get_string(secret, "row");
    place->column = ngx_http_waha_json_get_string(secret, "sealed_for");
    *sealed = ngx_http_waha_json_get_string(secret, "sealed");

    return (place->table.data && place->organization.data && place->row.data
            && place->column.data && sealed->data)
               ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_waha_secrets_write_place(ngx_pool_t *pool,
    ngx_http_waha_secret_place_t *place, ngx_str_t *json)
{
    ngx_http_waha_json_out_t  out;

    ngx_http_waha_json_start(&out, pool, 128);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put(&out, "table", &place->table);
    ngx_http_waha_json_put(&out, "row", &place->row);
    ngx_http_waha_json_put(&out, "column", &place->column);
    ngx_http_waha_json_close(&out, '}');

    return ngx_http_waha_json_end(&out, json);
}


static ngx_int_t
ngx_http_waha_secrets_on_replaced(ngx_http_waha_step_t *step)
{
    cJSON                             *json;
    ngx_http_waha_secrets_rotation_t  *rotation;

    rotation = ngx_http_waha_secrets_rotation(step);

    if (ngx_http_waha_json_parse(step->request->pool, &step->query.reply,
                                 &json)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (cJSON_IsTrue(ngx_http_waha_json_get(json, "replaced"))) {
        rotation->rotated++;

    } else {
        rotation->changed++;
    }

    return ngx_http_waha_secrets_go_on(step);
}


static ngx_int_t
ngx_http_waha_secrets_done(ngx_http_waha_step_t *step)
{
    ngx_str_t                          data;
    ngx_http_waha_json_out_t           out;
    ngx_http_waha_secrets_rotation_t  *rotation;

    if (step->error) {
        return ngx_http_waha_api_error(step);
    }

    rotation = ngx_http_waha_secrets_rotation(step);

    ngx_http_waha_json_start(&out, step->request->pool, 256);
    ngx_http_waha_json_open(&out, NULL, '{');
    ngx_http_waha_json_put_number(&out, "rotated", rotation->rotated);
    ngx_http_waha_json_put_number(&out, "refused", rotation->refused);
    ngx_http_waha_json_put_bool(&out, "remaining",
                                rotation->next.data || rotation->changed);

    if (rotation->next.data) {
        ngx_http_waha_json_put(&out, "next", &rotation->next);

    } else {
        ngx_http_waha_json_put_null(&out, "next");
    }

    ngx_http_waha_json_close(&out, '}');

    if (ngx_http_waha_json_end(&out, &data) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_waha_answer_data(step->request, &data);
}


static ngx_http_waha_secrets_rotation_t *
ngx_http_waha_secrets_rotation(ngx_http_waha_step_t *step)
{
    ngx_http_waha_api_t *api = step->data;

    return (ngx_http_waha_secrets_rotation_t *) api->data;
}


static ngx_http_waha_secrets_t *
ngx_http_waha_secrets_ring(ngx_http_waha_step_t *step)
{
    ngx_http_waha_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(step->request, ngx_http_waha_module);

    return wmcf->secrets;
}
