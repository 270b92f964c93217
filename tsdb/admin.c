/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/admin.h"

#include "base/duration.h"

static enum tw_http_verdict refuse(struct tw_http_exchange *exchange, const struct tw_err *err)
{
    tw_http_error_api(exchange, err);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict refuse_disabled(struct tw_http_exchange *exchange)
{
    struct tw_err err;
    (void)tw_err_set(&err, TW_UNAVAILABLE,
                     "admin APIs disabled; --enable-admin-api switches them on");
    return refuse(exchange, &err);
}

static enum tw_code read_time(const struct tw_http_exchange *exchange, const char *name,
                              int64_t *ret_ms, struct tw_err *err)
{
    struct tw_str text;
    if (!tw_http_parameter(&exchange->request, name, &text) || text.size == 0)
        return TW_OK;
    enum tw_code code = tw_time_parse_parameter(text, ret_ms, err);
    return code == TW_OK ? code : tw_err_wrap(err, "invalid parameter '%s'", name);
}

/* Into selectors, which has room for TSDB_DELETE_SELECTORS_MAX; *count of them are to be freed even
 * on an error. */
static enum tw_code read_selectors(const struct tsdb_admin *admin,
                                   struct tw_http_exchange *exchange,
                                   struct tsdb_selector *selectors, size_t *ret_count,
                                   struct tw_err *err)
{
    struct tw_str text;
    for (; tw_http_parameter_at(&exchange->request, "match[]", *ret_count, &text); ++*ret_count) {
        if (*ret_count == TSDB_DELETE_SELECTORS_MAX)
            return tw_err_set(err, TW_BAD_DATA, "more than %d selectors",
                              TSDB_DELETE_SELECTORS_MAX);
        struct tsdb_matcher *matchers;
        size_t count;
        enum tw_code code = admin->parse(text, exchange->arena, &matchers, &count, err);
        if (code != TW_OK)
            return tw_err_wrap(err, "invalid parameter 'match[]'");
        selectors[*ret_count] = (struct tsdb_selector){matchers, count};
    }
    return *ret_count ? TW_OK : tw_err_set(err, TW_BAD_DATA, "no match[] parameter provided");
}

static enum tw_http_verdict delete_series(void *user, struct tw_http_exchange *exchange)
{
    const struct tsdb_admin *admin = user;
    if (!admin->enabled)
        return refuse_disabled(exchange);
    struct tw_err err;
    struct tsdb_selector *selectors =
        TW_ARENA_ARRAY(exchange->arena, struct tsdb_selector, TSDB_DELETE_SELECTORS_MAX);
    size_t count = 0;
    int64_t start_ms = INT64_MIN, end_ms = INT64_MAX;
    enum tw_code code = read_time(exchange, "start", &start_ms, &err);
    if (code == TW_OK)
        code = read_time(exchange, "end", &end_ms, &err);
    if (code == TW_OK && end_ms < start_ms)
        code = tw_err_set(&err, TW_BAD_DATA, "end timestamp must not be before start time");
    if (code == TW_OK)
        code = read_selectors(admin, exchange, selectors, &count, &err);
    if (code == TW_OK)
        code =
            tsdb_db_delete(admin->db, &exchange->context, selectors, count, start_ms, end_ms, &err);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < selectors[i].count; j++) {
            struct tsdb_matcher matcher = selectors[i].matchers[j];
            tsdb_matcher_fini(&matcher);
        }
    if (code != TW_OK)
        return refuse(exchange, &err);
    exchange->response.status = 204;
    return TW_HTTP_DONE;
}

static enum tw_http_verdict clean_tombstones(void *user, struct tw_http_exchange *exchange)
{
    const struct tsdb_admin *admin = user;
    struct tw_err err;
    if (!admin->enabled)
        return refuse_disabled(exchange);
    if (tsdb_db_clean_tombstones(admin->db, &err) != TW_OK)
        return refuse(exchange, &err);
    exchange->response.status = 204;
    return TW_HTTP_DONE;
}

void tsdb_admin_route(struct tw_http_router *router, struct tsdb_admin *admin)
{
    tw_http_route(router, TW_HTTP_POST | TW_HTTP_PUT, "/api/v1/admin/tsdb/delete_series",
                  TW_HTTP_WORKER, delete_series, admin);
    tw_http_route(router, TW_HTTP_POST | TW_HTTP_PUT, "/api/v1/admin/tsdb/clean_tombstones",
                  TW_HTTP_WORKER, clean_tombstones, admin);
}
