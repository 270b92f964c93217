/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/cardinality.h"

#include "base/json.h"
#include "base/number.h"
#include "query/engine.h"
#include "tsdb/cardinality.h"

#define TOP_DEFAULT 20

static enum tw_code read_top(struct tw_http_exchange *exchange, size_t *ret, struct tw_err *err)
{
    struct tw_str text;
    int64_t top = TOP_DEFAULT;
    if (tw_http_parameter(&exchange->request, "top", &text) &&
        (!tw_int64_parse(text, &top) || top < 1 || top > TSDB_CARDINALITY_TOP_MAX))
        return tw_err_set(err, TW_BAD_DATA, "invalid parameter 'top': it is a number from 1 to %d",
                          TSDB_CARDINALITY_TOP_MAX);
    *ret = (size_t)top;
    return TW_OK;
}

static enum tw_code read_match(struct tw_http_exchange *exchange, struct tsdb_matcher **ret,
                               size_t *ret_count, struct tw_err *err)
{
    struct tw_str text;
    if (!tw_http_parameter(&exchange->request, "match[]", &text))
        return TW_OK;
    if (tw_http_parameter_at(&exchange->request, "match[]", 1, &text))
        return tw_err_set(err, TW_BAD_DATA, "match[] can be given once");
    (void)tw_http_parameter(&exchange->request, "match[]", &text);
    if (query_parse_selector(text, exchange->arena, ret, ret_count, err) != TW_OK)
        return tw_err_wrap(err, "invalid parameter 'match[]'");
    return TW_OK;
}

/* ---- the answer ---- */

static void begin_list(struct tw_json_writer *writer, const char *key)
{
    tw_json_key(writer, tw_str(key));
    tw_json_begin_array(writer);
}

static void write_metrics(struct tw_json_writer *writer, const struct tsdb_cardinality *found)
{
    begin_list(writer, "metrics");
    for (size_t i = 0; i < found->metrics.count; i++) {
        const struct tsdb_cardinality_item *item = &found->metrics.items[i];
        tw_json_begin_object(writer);
        tw_json_member_str(writer, "name", item->name);
        tw_json_member_int(writer, "series", (int64_t)item->series);
        if (found->has_yesterday) {
            tw_json_member_int(writer, "yesterday", (int64_t)item->yesterday);
            tw_json_member_int(writer, "growth", (int64_t)item->series - (int64_t)item->yesterday);
        }
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
}

static void write_names(struct tw_json_writer *writer, const struct tsdb_cardinality_top *names)
{
    begin_list(writer, "labels");
    for (size_t i = 0; i < names->count; i++) {
        tw_json_begin_object(writer);
        tw_json_member_str(writer, "name", names->items[i].name);
        tw_json_member_int(writer, "values", (int64_t)names->items[i].values);
        tw_json_member_int(writer, "series", (int64_t)names->items[i].series);
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
}

static void write_twofold(struct tw_json_writer *writer, const char *key, const char *name,
                          const char *value, const struct tsdb_cardinality_top *top)
{
    begin_list(writer, key);
    for (size_t i = 0; i < top->count; i++) {
        tw_json_begin_object(writer);
        tw_json_member_str(writer, name, top->items[i].name);
        tw_json_member_str(writer, value, top->items[i].value);
        tw_json_member_int(writer, "series", (int64_t)top->items[i].series);
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
}

static void write_days(struct tw_json_writer *writer, const struct tsdb_cardinality *found)
{
    begin_list(writer, "days");
    for (size_t i = 0; i < found->day_count; i++) {
        char day[TW_CLOCK_RFC3339_BYTES];
        tw_clock_format_rfc3339(found->days[i].start_ms, day);
        tw_json_begin_object(writer);
        tw_json_member_str(writer, "day", tw_str_slice(tw_str(day), 0, 10));
        tw_json_member_int(writer, "series", (int64_t)found->days[i].series);
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
}

static void write_answer(struct tw_http_exchange *exchange, const struct tsdb_cardinality *found)
{
    struct tw_json_writer writer;
    exchange->response.status = 200;
    tw_http_add_header(&exchange->response, "Content-Type", TW_STR("application/json"));
    tw_json_writer_init(&writer, &exchange->response.body);
    tw_json_begin_object(&writer);
    tw_json_member_cstr(&writer, "status", "success");
    tw_json_key(&writer, TW_STR("data"));
    tw_json_begin_object(&writer);
    tw_json_member_int(&writer, "active", (int64_t)found->active);
    tw_json_member_int(&writer, "limit", (int64_t)found->limit);
    tw_json_member_int(&writer, "sourceLimit", (int64_t)found->source_limit);
    tw_json_member_int(&writer, "matched", (int64_t)found->matched);
    tw_json_key(&writer, TW_STR("totals"));
    tw_json_begin_object(&writer);
    tw_json_member_int(&writer, "metrics", (int64_t)found->metrics.total);
    tw_json_member_int(&writer, "labels", (int64_t)found->names.total);
    tw_json_member_int(&writer, "pairs", (int64_t)found->pairs.total);
    tw_json_member_int(&writer, "sources", (int64_t)found->sources.total);
    tw_json_end_object(&writer);
    write_metrics(&writer, found);
    write_names(&writer, &found->names);
    write_twofold(&writer, "pairs", "name", "value", &found->pairs);
    write_twofold(&writer, "sources", "job", "instance", &found->sources);
    write_days(&writer, found);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
}

static enum tw_http_verdict handle(void *user, struct tw_http_exchange *exchange)
{
    struct tsdb_cardinality found;
    struct tsdb_matcher *matchers = NULL;
    size_t matcher_count = 0, top = 0;
    struct tw_err err;
    enum tw_code code = read_top(exchange, &top, &err);
    if (code == TW_OK)
        code = read_match(exchange, &matchers, &matcher_count, &err);
    if (code == TW_OK)
        code = tsdb_db_cardinality(user, &exchange->context, matchers, matcher_count, top,
                                   exchange->arena, &found, &err);
    for (size_t i = 0; i < matcher_count; i++)
        tsdb_matcher_fini(&matchers[i]);
    if (code == TW_OK)
        write_answer(exchange, &found);
    else
        tw_http_error_api(exchange, &err);
    return TW_HTTP_DONE;
}

void daemon_cardinality_route(struct tw_http_router *router, struct tsdb_db *db)
{
    tw_http_route(router, TW_HTTP_GET, "/api/v1/cardinality", TW_HTTP_WORKER, handle, db);
}
