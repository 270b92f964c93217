/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>

#include "query/batch.h"
#include "query/engine.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"

#define SERIES 30
#define TIME_MS 600000

static struct tsdb_storage *storage;
static struct query_engine *engine;
static struct tw_context context;
static struct tw_err err;

static void begin(void)
{
    storage = memory_storage_new();
    tw_context_init(&context, tw_clock_system());
    for (int i = 0; i < SERIES; i++) {
        char series[16], group[16];
        snprintf(series, sizeof series, "%d", i);
        snprintf(group, sizeof group, "%d", i % 3);
        for (int s = 0; s <= 40; s++)
            memory_storage_add(storage, s * 15000, s * (i + 1), "__name__", "m_total", "i", series,
                               "g", group, NULL);
        for (int s = 2; s <= 3; s++)
            memory_storage_add(storage, TIME_MS - s * 60000, i, "__name__", "gauge", "i", series,
                               "g", group, NULL);
        memory_storage_add(storage, TIME_MS, i, "__name__", "gauge", "i", series, "g", group, NULL);
    }
    engine = query_engine_new(storage, NULL);
}

static void end(void)
{
    query_engine_free(engine);
    memory_storage_free(storage);
}

static struct query_result *ask(struct query_batch *batch, const char *text, int64_t time_ms)
{
    struct query_result *result;
    const struct query_request request = {
        .text = tw_str(text), .start_ms = time_ms, .end_ms = time_ms, .batch = batch};
    unit_assert_ok(query_run(engine, &context, &request, &result, &err), &err);
    return result;
}

/* In the order in which it comes: sort() is a query's own. */
static void assert_same(const struct query_result *a, const struct query_result *b)
{
    ck_assert_uint_eq(a->count, b->count);
    ck_assert_uint_eq(a->warning_count, b->warning_count);
    ck_assert_uint_eq(a->info_count, b->info_count);
    for (size_t i = 0; i < a->info_count; i++)
        ck_assert(tw_str_equal(a->infos[i], b->infos[i]));
    for (size_t i = 0; i < a->count; i++) {
        ck_assert(wire_labels_equal(a->series[i].labels, b->series[i].labels));
        ck_assert_int_eq(a->series[i].points[0].time_ms, b->series[i].points[0].time_ms);
        ck_assert(a->series[i].points[0].value == b->series[i].points[0].value);
    }
}

/* Asks all one after the other, twice; how many values were lent in each round. */
static uint64_t check(const char *const *texts, size_t count, const char *written)
{
    struct tw_str list[16], names[1] = {tw_str(written)};
    for (size_t i = 0; i < count; i++)
        list[i] = tw_str(texts[i]);
    struct query_batch *batch = query_batch_new(list, count, names, 1, 0);
    uint64_t lent = 0;
    for (int64_t round = 0; round < 2; round++) {
        int64_t time_ms = TIME_MS - round * 60000;
        uint64_t before = query_batch_lent(batch);
        query_batch_begin(batch, time_ms);
        for (size_t i = 0; i < count; i++) {
            struct query_result *alone = ask(NULL, texts[i], time_ms);
            struct query_result *one = ask(batch, texts[i], time_ms);
            assert_same(alone, one);
            query_result_free(alone);
            query_result_free(one);
        }
        query_batch_end(batch);
        if (round > 0)
            ck_assert_uint_eq(query_batch_lent(batch) - before, lent);
        lent = query_batch_lent(batch) - before;
    }
    query_batch_free(batch);
    return lent;
}

START_TEST(what_stands_in_several_is_lent)
{
    static const char *const thresholds[] = {
        "sum by (g) (rate(m_total[5m])) > 1",
        "sum by (g) (rate(m_total[5m])) > 10",
        "sum by (g) (rate(m_total[5m])) / on () group_left () sum(rate(m_total[5m])) > 0.2",
    };
    static const char *const ordered[] = {"sort_desc(gauge)", "topk(3, sort_desc(gauge))",
                                          "sort_desc(gauge) > 3", "absent(nosuch) or gauge",
                                          "absent(nosuch) or gauge"};
    static const char *const nested[] = {
        "max(sum by (g) (gauge)) + 1", "max(sum by (g) (gauge)) + 2",
        "min(sum by (g) (gauge))", /* the inner one stands in more queries than the outer one */
    };
    begin();
    ck_assert_uint_eq(check(thresholds, 3, "other"), 2);
    ck_assert_uint_eq(check(ordered, 5, "other"), 4); /* gauge is not looked at once more */
    ck_assert_uint_eq(check(nested, 3, "other"), 2);
    end();
}
END_TEST

START_TEST(what_is_not_the_same_is_not_lent)
{
    static const char *const different[] = {
        "sum(m_total)",          "sum(m_total offset 1m)", "sum(m_total @ 60)",
        "sum(m_total{g=\"1\"})", "sum by (g) (m_total)",   "max_over_time(sum(m_total)[5m:1m])"};
    static const char *const grouped[] = {"sum by (g) (m_total)", "max by (i) (m_total)"};
    static const char *const says[] = {"rate(gauge[5m]) > 1", "rate(gauge[5m]) > 2"};
    begin();
    ck_assert_uint_eq(check(different, 6, "other"), 0);
    ck_assert_uint_eq(check(grouped, 2, "other"), 0);
    ck_assert_uint_eq(check(says, 2, "other"), 0);
    end();
}
END_TEST

START_TEST(what_the_batch_writes_is_read_anew)
{
    static const char *const names[] = {"gauge > 1", "gauge > 2"};
    static const char *const patterns[] = {"{__name__=~\"g.*\"} > 1", "{__name__=~\"g.*\"} > 2",
                                           "{i=\"1\"} > 3", "{i=\"1\"} > 4"};
    struct tw_str texts[] = {tw_str("sum(gauge) + 0"), tw_str("sum(gauge) + 1")};
    struct tw_str written[] = {tw_str("m_total")};
    struct query_result *result;
    begin();
    ck_assert_uint_eq(check(names, 2, "gauge"), 0);
    ck_assert_uint_eq(check(names, 2, "m_total"), 1);
    ck_assert_uint_eq(check(patterns, 4, "gauge"), 0);
    ck_assert_uint_eq(check(patterns, 4, "m_total"), 1); /* {i="1"} may read it, too */

    /* A value is of its time, and of the query that worked it out. */
    struct query_batch *batch = query_batch_new(texts, 2, written, 1, 0);
    query_batch_begin(batch, TIME_MS);
    query_result_free(ask(batch, "sum(gauge) + 0", TIME_MS));
    memory_storage_add(storage, TIME_MS, 1000, "__name__", "gauge", "i", "new", NULL);
    result = ask(batch, "sum(gauge) + 1", TIME_MS);
    ck_assert(result->series[0].points[0].value == 29 * 30 / 2 + 1);
    query_result_free(result);
    result = ask(batch, "sum(gauge) + 1", TIME_MS + 1); /* not the batch's time */
    ck_assert(result->series[0].points[0].value == 29 * 30 / 2 + 1001);
    query_result_free(result);
    query_batch_begin(batch, TIME_MS);
    result = ask(batch, "sum(gauge) + 1", TIME_MS);
    ck_assert(result->series[0].points[0].value == 29 * 30 / 2 + 1001);
    query_result_free(result);
    query_batch_free(batch);
    end();
}
END_TEST

START_TEST(what_is_wrong_stays_wrong)
{
    struct tw_str texts[] = {tw_str("gauge + on (g) gauge > 1"), tw_str("gauge + on (g) gauge > 2"),
                             tw_str("sum("), tw_str("")};
    struct query_result *result;
    begin();
    struct query_batch *batch = query_batch_new(texts, 4, NULL, 0, 0);
    query_batch_begin(batch, TIME_MS);
    for (size_t i = 0; i < 2; i++) {
        const struct query_request request = {
            .text = texts[i], .start_ms = TIME_MS, .end_ms = TIME_MS, .batch = batch};
        unit_assert_code(query_run(engine, &context, &request, &result, &err), TW_EXECUTION);
    }
    ck_assert_uint_eq(query_batch_lent(batch), 0);
    query_batch_free(batch);
    ck_assert_ptr_null(query_batch_new(texts + 2, 2, NULL, 0, 0));
    query_batch_begin(NULL, TIME_MS);
    query_batch_end(NULL);
    end();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(what_stands_in_several_is_lent),
                                      UNIT_CASE(what_is_not_the_same_is_not_lent),
                                      UNIT_CASE(what_the_batch_writes_is_read_anew),
                                      UNIT_CASE(what_is_wrong_stays_wrong),
                                      {0}};
    return unit_run("query/batch", cases);
}
