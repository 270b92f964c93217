/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/admin.h"

#include "base/duration.h"
#include "base/json.h"
#include "tsdb/snapshot.h"
#include "tsdb/verify_live.h"

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
    return code == TW_OK ? code
                         : tw_err_wrap(err, "invalid parameter \"%s\": invalid time value for '%s'",
                                       name, name);
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
            return tw_err_wrap(err, "invalid parameter \"match[]\"");
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

/* ---- snapshots ---- */

static void begin_answer(struct tw_http_exchange *exchange, struct tw_json_writer *json)
{
    exchange->response.status = 200;
    tw_http_add_header(&exchange->response, "Content-Type", TW_STR("application/json"));
    tw_json_writer_init(json, &exchange->response.body);
    tw_json_begin_object(json);
    tw_json_member_cstr(json, "status", "success");
    tw_json_key(json, TW_STR("data"));
}

static void write_snapshot(struct tw_json_writer *json, const struct tsdb_snapshot *snapshot)
{
    tw_json_begin_object(json);
    tw_json_member_cstr(json, "name", snapshot->name);
    tw_json_member_int(json, "bytes", (int64_t)snapshot->bytes);
    tw_json_end_object(json);
}

static enum tw_http_verdict take_snapshot(void *user, struct tw_http_exchange *exchange)
{
    const struct tsdb_admin *admin = user;
    struct tsdb_snapshot snapshot;
    struct tw_json_writer json;
    struct tw_str skip = TW_STR("false");
    struct tw_err err;
    if (!admin->enabled)
        return refuse_disabled(exchange);
    (void)tw_http_parameter(&exchange->request, "skip_head", &skip);
    if (skip.size > 0 && !tw_str_is(skip, "true") && !tw_str_is(skip, "false")) {
        (void)tw_err_set(&err, TW_BAD_DATA, "invalid parameter \"skip_head\": true or false");
        return refuse(exchange, &err);
    }
    if (tsdb_snapshot_take(admin->db, admin->state, tw_str_is(skip, "true"), &snapshot, &err) !=
        TW_OK)
        return refuse(exchange, &err);
    begin_answer(exchange, &json);
    write_snapshot(&json, &snapshot);
    tw_json_end_object(&json);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict list_snapshots(void *user, struct tw_http_exchange *exchange)
{
    const struct tsdb_admin *admin = user;
    struct tsdb_snapshot snapshots[TSDB_SNAPSHOTS_MAX];
    size_t count;
    struct tw_json_writer json;
    struct tw_err err;
    if (!admin->enabled)
        return refuse_disabled(exchange);
    if (tsdb_snapshot_list(admin->db, snapshots, &count, &err) != TW_OK)
        return refuse(exchange, &err);
    begin_answer(exchange, &json);
    tw_json_begin_array(&json);
    for (size_t i = 0; i < count; i++)
        write_snapshot(&json, &snapshots[i]);
    tw_json_end_array(&json);
    tw_json_end_object(&json);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict remove_snapshot(void *user, struct tw_http_exchange *exchange)
{
    const struct tsdb_admin *admin = user;
    struct tw_err err;
    if (!admin->enabled)
        return refuse_disabled(exchange);
    if (tsdb_snapshot_remove(admin->db, tw_http_capture(&exchange->request, "name"), &err) != TW_OK)
        return refuse(exchange, &err);
    exchange->response.status = 204;
    return TW_HTTP_DONE;
}

static enum tw_http_verdict compact(void *user, struct tw_http_exchange *exchange)
{
    const struct tsdb_admin *admin = user;
    uint64_t before, after;
    struct tw_json_writer json;
    struct tw_err err;
    if (!admin->enabled)
        return refuse_disabled(exchange);
    if (tsdb_db_compact(admin->db, &before, &after, &err) != TW_OK)
        return refuse(exchange, &err);
    begin_answer(exchange, &json);
    tw_json_begin_object(&json);
    tw_json_member_int(&json, "bytesBefore", (int64_t)before);
    tw_json_member_int(&json, "bytesAfter", (int64_t)after);
    tw_json_end_object(&json);
    tw_json_end_object(&json);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict verify(void *user, struct tw_http_exchange *exchange)
{
    const struct tsdb_admin *admin = user;
    struct tsdb_verify_report report;
    struct tw_json_writer json;
    struct tw_err err;
    if (!admin->enabled)
        return refuse_disabled(exchange);
    if (tsdb_verify_live_run(admin->db, admin->state, &exchange->context, &report, &err) != TW_OK)
        return refuse(exchange, &err);
    begin_answer(exchange, &json);
    tsdb_verify_report_write(&report, &json);
    tw_json_end_object(&json);
    tsdb_verify_report_fini(&report);
    return TW_HTTP_DONE;
}

void tsdb_admin_route(struct tw_http_router *router, struct tsdb_admin *admin)
{
    tw_http_route(router, TW_HTTP_POST | TW_HTTP_PUT, "/api/v1/admin/tsdb/delete_series",
                  TW_HTTP_WORKER, delete_series, admin);
    tw_http_route(router, TW_HTTP_POST | TW_HTTP_PUT, "/api/v1/admin/tsdb/clean_tombstones",
                  TW_HTTP_WORKER, clean_tombstones, admin);
    tw_http_route(router, TW_HTTP_POST | TW_HTTP_PUT, "/api/v1/admin/tsdb/snapshot", TW_HTTP_WORKER,
                  take_snapshot, admin);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/admin/tsdb/snapshots", TW_HTTP_WORKER,
                  list_snapshots, admin);
    tw_http_route(router, TW_HTTP_DELETE, "/api/v1/admin/tsdb/snapshots/:name", TW_HTTP_WORKER,
                  remove_snapshot, admin);
    tw_http_route(router, TW_HTTP_POST | TW_HTTP_PUT, "/api/v1/admin/tsdb/compact", TW_HTTP_WORKER,
                  compact, admin);
    tw_http_route(router, TW_HTTP_POST | TW_HTTP_PUT, "/api/v1/admin/tsdb/verify", TW_HTTP_WORKER,
                  verify, admin);
}
