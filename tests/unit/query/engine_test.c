/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <math.h>
#include <stdio.h>

#include "query/api.h"
#include "query/engine.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"

#define SERIES 50
#define MINUTES 600

static struct tsdb_storage *storage;
static struct tw_context context;
static struct tw_err err;

static void fill(void)
{
    storage = memory_storage_new();
    tw_context_init(&context, tw_clock_system());
    for (int i = 0; i < SERIES; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        for (int m = 0; m < MINUTES; m++)
            memory_storage_add(storage, m * 60000, m * (i + 1), "__name__", "c_total", "i", name,
                               "g", i % 2 ? "odd" : "even", NULL);
    }
}

static enum tw_code ask(const struct query_options *options, const char *text,
                        struct query_result **ret)
{
    struct query_engine *engine = query_engine_new(storage, options);
    enum tw_code code =
        query_range(engine, &context, tw_str(text), 0, MINUTES * 60000, 60000, ret, &err);
    query_engine_free(engine);
    return code;
}

static void assert_same(const struct query_result *a, const struct query_result *b)
{
    ck_assert_uint_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        ck_assert(wire_labels_equal(a->series[i].labels, b->series[i].labels));
        ck_assert_uint_eq(a->series[i].count, b->series[i].count);
        for (size_t k = 0; k < a->series[i].count; k++) {
            ck_assert_int_eq(a->series[i].points[k].time_ms, b->series[i].points[k].time_ms);
            double left = a->series[i].points[k].value, right = b->series[i].points[k].value;
            ck_assert(left == right || (isnan(left) && isnan(right)));
        }
    }
}

START_TEST(slices_give_the_same)
{
    static const char *const texts[] = {
        "sum by (g) (rate(c_total[5m]))",
        "quantile by (g) (0.3, c_total)",
        "topk(3, c_total)",
        "c_total / on (i) c_total",
        "max_over_time(sum(c_total)[10m:1m])",
        "count_values(\"v\", c_total % 7)",
        "c_total @ 600 or c_total",
    };
    const struct query_options small = {.bytes_max = 640 << 10};
    fill();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct query_result *whole, *sliced;
        unit_assert_ok(ask(NULL, texts[i], &whole), &err);
        enum tw_code code = ask(&small, texts[i], &sliced);
        if (code == TW_OK) {
            assert_same(whole, sliced);
            query_result_free(sliced);
        } else {
            unit_assert_code(code, TW_LIMIT); /* the result itself is larger */
        }
        query_result_free(whole);
    }
    struct query_result *sliced;
    unit_assert_ok(ask(&small, "sum by (g) (rate(c_total[5m]))", &sliced), &err);
    query_result_free(sliced);
    memory_storage_free(storage);
}
END_TEST

START_TEST(limits_hold)
{
    struct query_result *result;
    const struct query_options few = {.samples_max = 1000}, tiny = {.bytes_max = 70000};
    fill();
    unit_assert_code(ask(&few, "c_total", &result), TW_LIMIT);
    unit_assert_contains(err.message, "too many samples");
    unit_assert_code(ask(&tiny, "c_total", &result), TW_LIMIT);
    context.limits.query_points_max = 100;
    unit_assert_code(ask(NULL, "c_total", &result), TW_LIMIT);
    context.limits.query_points_max = 0;
    unit_assert_code(ask(NULL, "count_over_time(vector(1)[100y:1ms])", &result), TW_LIMIT);
    context.deadline_mono_ns = 1;
    unit_assert_code(
        ask(NULL, "sum(c_total) + sum(c_total) + sum(c_total) + sum(c_total)", &result),
        TW_TIMEOUT);
    context.deadline_mono_ns = INT64_MAX;
    tw_context_cancel(&context);
    unit_assert_code(
        ask(NULL, "sum(c_total) + sum(c_total) + sum(c_total) + sum(c_total)", &result),
        TW_CANCELLED);
    memory_storage_free(storage);
}
END_TEST

START_TEST(a_failing_store_is_an_error)
{
    struct query_result *result;
    fill();
    memory_storage_fail(storage, TW_IO, TW_OK);
    unit_assert_code(ask(NULL, "sum(c_total) or up", &result), TW_IO);
    memory_storage_free(storage);
}
END_TEST

static void assert_answer(struct tw_http_router *router, const char *target, int status,
                          const char *body)
{
    struct tw_http_exchange *exchange;
    unit_assert_ok(tw_http_exchange_new(TW_HTTP_GET, tw_str(target), NULL, 0, (struct tw_str){0},
                                        tw_clock_system(), &exchange, &err),
                   &err);
    tw_http_exchange_run(router, exchange);
    ck_assert_int_eq(exchange->response.status, status);
    ck_assert_str_eq(tw_buf_cstr(&exchange->response.body), body);
    tw_http_exchange_free(exchange);
}

START_TEST(answers_in_prometheus_json)
{
    fill();
    struct query_engine *engine = query_engine_new(storage, NULL);
    struct tw_http_router *router = tw_http_router_new();
    query_api_route(router, engine);
    assert_answer(
        router, "/api/v1/query?query=1%2B1&time=4", 200,
        "{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[4,\"2\"]}}");
    assert_answer(
        router, "/api/v1/query?query=c_total%7Bi%3D%221%22%7D&time=60.5", 200,
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":"
        "{\"__name__\":\"c_total\",\"g\":\"odd\",\"i\":\"1\"},\"value\":[60.500,\"2\"]}]}}");
    assert_answer(router, "/api/v1/query_range?query=sum(nosuch)&start=0&end=60&step=30", 200,
                  "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}");
    assert_answer(
        router, "/api/v1/query?query=%22a%22&time=0", 200,
        "{\"status\":\"success\",\"data\":{\"resultType\":\"string\",\"result\":[0,\"a\"]}}");
    assert_answer(router, "/api/v1/query?query=c_total%7Bi%3D%221%22%7D&time=65&lookback_delta=4s",
                  200,
                  "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}");
    assert_answer(router, "/api/v1/query?query=1%2B", 400,
                  "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"invalid parameter "
                  "\\\"query\\\": 1:3: parse error: unexpected end of input\"}");
    tw_http_router_free(router);
    query_engine_free(engine);
    memory_storage_free(storage);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(slices_give_the_same),
                                      UNIT_CASE(limits_hold),
                                      UNIT_CASE(a_failing_store_is_an_error),
                                      UNIT_CASE(answers_in_prometheus_json),
                                      {0}};
    return unit_run("query/engine", cases);
}
