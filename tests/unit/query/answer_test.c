/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <math.h>

#include "base/http.h"
#include "query/answer.h"
#include "query/answer_text.h"
#include "query/histogram_value.h"
#include "query/parallel.h"
#include "base/number.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"

#define POINTS 3000

static struct wire_label labels_a[] = {{TW_STR("__name__"), TW_STR("a\"b")},
                                       {TW_STR("x"), TW_STR("1")}};
static struct query_point points[POINTS];
static const struct query_histogram histogram = {.count = 3, .sum = 5.5};
static const struct query_histogram_point histograms[] = {{1000, &histogram}, {2000, &histogram}};

static void fill_points(void)
{
    int64_t time_ms = 1795183860000;
    for (size_t i = 0; i < POINTS; i++, time_ms += i % 7 ? 60000 : 1230)
        points[i] = (struct query_point){time_ms, i % 3 ? (double)i / 7 : 2};
}

static void write_all(const struct query_answer_text *text, size_t bytes, struct tw_buf *ret)
{
    struct query_answer_place from = {0}, to = {0};
    tw_buf_init(ret, (size_t)64 << 20);
    do {
        to = query_answer_next(text, from, bytes);
        ck_assert(query_answer_is_end(text, to) || to.series > from.series ||
                  to.point > from.point);
        query_answer_write(text, from, to, ret);
        from = to;
    } while (!query_answer_is_end(text, to));
    ck_assert(!ret->overflow);
}

static void assert_text(const struct query_result *result, size_t series_max, const char *wanted)
{
    struct query_answer_text text =
        query_answer_text(result, &(struct query_answer_options){.series_max = series_max});
    for (size_t bytes = 1; bytes < 1000; bytes *= 5) {
        struct tw_buf got;
        write_all(&text, bytes, &got);
        unit_assert_str(tw_buf_str(&got), wanted);
        tw_buf_fini(&got);
    }
}

START_TEST(each_type_is_written)
{
    static const struct query_point one[] = {{1435781430781, 1.5}};
    static const struct query_point some[] = {
        {-1500, NAN}, {9999999, -0.0}, {10000050, 1e-7}, {99999999900, 1e21}};
    const struct query_series scalar = {.points = one, .count = 1};
    const struct query_series vector[] = {
        {.labels = {labels_a, 2}, .points = one, .count = 1},
        {.labels = {labels_a + 1, 1}, .histograms = histograms, .histogram_count = 1}};
    const struct query_series matrix[] = {
        {.labels = {labels_a + 1, 1}, .points = some, .count = 4},
        {.points = some, .count = 1, .histograms = histograms, .histogram_count = 2},
        {.histograms = histograms, .histogram_count = 2}};
    const struct tw_str said[] = {TW_STR("look out"), TW_STR("well")};
    assert_text(&(struct query_result){.type = QUERY_SCALAR, .series = &scalar, .count = 1}, 0,
                "{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":"
                "[1435781430.781,\"1.5\"]}}");
    assert_text(
        &(struct query_result){
            .type = QUERY_STRING, .series = &scalar, .count = 1, .string = TW_STR("a\\b")},
        1,
        "{\"status\":\"success\",\"data\":{\"resultType\":\"string\",\"result\":"
        "[1435781430.781,\"a\\\\b\"]}}");
    assert_text(&(struct query_result){.type = QUERY_MATRIX}, 0,
                "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}");
    assert_text(&(struct query_result){.type = QUERY_VECTOR, .series = vector, .count = 2}, 0,
                "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["
                "{\"metric\":{\"__name__\":\"a\\\"b\",\"x\":\"1\"},"
                "\"value\":[1435781430.781,\"1.5\"]},"
                "{\"metric\":{\"x\":\"1\"},"
                "\"histogram\":[1,{\"count\":\"3\",\"sum\":\"5.5\"}]}]}}");
    assert_text(&(struct query_result){.type = QUERY_MATRIX,
                                       .series = matrix,
                                       .count = 3,
                                       .warnings = said,
                                       .warning_count = 1,
                                       .infos = said,
                                       .info_count = 2},
                0,
                "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":["
                "{\"metric\":{\"x\":\"1\"},\"values\":[[-1.500,\"NaN\"],[9999.999,\"-0\"],"
                "[10000.050,\"1e-07\"],[99999999.900,\"1e+21\"]]},"
                "{\"metric\":{},\"values\":[[-1.500,\"NaN\"]],\"histograms\":["
                "[1,{\"count\":\"3\",\"sum\":\"5.5\"}],[2,{\"count\":\"3\",\"sum\":\"5.5\"}]]},"
                "{\"metric\":{},\"histograms\":["
                "[1,{\"count\":\"3\",\"sum\":\"5.5\"}],[2,{\"count\":\"3\",\"sum\":\"5.5\"}]]}]},"
                "\"warnings\":[\"look out\"],\"infos\":[\"look out\",\"well\"]}");
    assert_text(&(struct query_result){.type = QUERY_VECTOR, .series = vector, .count = 2}, 1,
                "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["
                "{\"metric\":{\"__name__\":\"a\\\"b\",\"x\":\"1\"},"
                "\"value\":[1435781430.781,\"1.5\"]}]},"
                "\"warnings\":[\"results truncated due to limit\"]}");
}
END_TEST

/* As many points as one by one, with times and values as they are written alone. */
START_TEST(points_are_written_as_alone)
{
    fill_points();
    const struct query_series series = {.points = points, .count = POINTS};
    const struct query_result result = {.type = QUERY_MATRIX, .series = &series, .count = 1};
    const struct query_answer_text text =
        query_answer_text(&result, &(struct query_answer_options){0});
    struct tw_buf got, wanted;
    write_all(&text, 7777, &got);
    tw_buf_init(&wanted, (size_t)1 << 20);
    tw_buf_append_cstr(&wanted, "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\","
                                "\"result\":[{\"metric\":{},\"values\":[");
    for (size_t i = 0; i < POINTS; i++) {
        char time[QUERY_ANSWER_TIME_BYTES], value[TW_DOUBLE_BYTES];
        size_t time_size = query_answer_time(points[i].time_ms, time);
        size_t value_size = query_answer_value(points[i].value, value);
        tw_buf_appendf(&wanted, "%s[%.*s,\"%.*s\"]", i ? "," : "", (int)time_size, time,
                       (int)value_size, value);
    }
    tw_buf_append_cstr(&wanted, "]}]}}");
    ck_assert_uint_eq(got.size, wanted.size);
    ck_assert_int_eq(memcmp(got.data, wanted.data, got.size), 0);
    tw_buf_fini(&got);
    tw_buf_fini(&wanted);
}
END_TEST

/* ---- streaming: what arrives is the text, whoever wrote it ---- */

static struct tsdb_storage *storage;

static struct query_result *ask(void)
{
    static const char text[] = "label_replace(vector(time() / 7), \"a\", \"1\", \"\", \"\") or "
                               "label_replace(vector(2), \"a\", \"2\", \"\", \"\") or "
                               "vector(time() * 1e30)";
    struct query_engine *engine = query_engine_new(storage, NULL);
    struct query_result *result;
    struct tw_context context;
    struct tw_err err;
    tw_context_init(&context, tw_clock_system());
    unit_assert_ok(query_range(engine, &context, tw_str(text), 0, 10000 * 997, 997, &result, &err),
                   &err);
    query_engine_free(engine);
    ck_assert_uint_eq(result->count, 3);
    return result;
}

/* limit: bytes after which the client hangs up; 0: never. */
static void receive(struct query_helpers *helpers, size_t limit)
{
    const struct query_answer_options options = {.helpers = helpers};
    struct query_result *result = ask();
    const struct query_answer_text text =
        query_answer_text(result, &(struct query_answer_options){0});
    struct tw_http_exchange exchange = {0};
    struct tw_buf wanted;
    size_t at = 0;
    char bytes[30000];
    ssize_t count;
    write_all(&text, 1000, &wanted);
    query_answer_give(&exchange, result, &options);
    ck_assert(exchange.response.produce != NULL);
    while ((count = exchange.response.produce(exchange.response.produce_user, bytes,
                                              sizeof bytes - at % 1000)) > 0) {
        ck_assert_uint_le(at + (size_t)count, wanted.size);
        ck_assert_int_eq(memcmp(bytes, wanted.data + at, (size_t)count), 0);
        at += (size_t)count;
        if (limit && at > limit)
            break;
    }
    ck_assert(limit || (count == 0 && at == wanted.size));
    exchange.response.produce_end(exchange.response.produce_user);
    tw_buf_fini(&wanted);
}

START_TEST(streams_alone_and_with_helpers)
{
    struct query_helpers *helpers;
    struct tw_err err;
    storage = memory_storage_new();
    receive(NULL, 0);
    receive(NULL, 100000);
    unit_assert_ok(query_helpers_new(2, &helpers, &err), &err);
    for (size_t i = 0; i < 5; i++) {
        receive(helpers, 0);
        receive(helpers, 100000 * i + 1);
        ck_assert_uint_eq(helpers->idle, 2);
    }
    query_helpers_free(helpers);
    memory_storage_free(storage);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(each_type_is_written),
                                      UNIT_CASE(points_are_written_as_alone),
                                      UNIT_CASE(streams_alone_and_with_helpers),
                                      {0}};
    return unit_run("query/answer", cases);
}
