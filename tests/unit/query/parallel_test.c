/* SPDX-License-Identifier: Apache-2.0
 *
 * What several threads give is what one gives: bit for bit, in the same order, with the same
 * annotations and errors; also in slices, with histograms among the series, and when broken off.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "query/engine.h"
#include "query/histogram_value.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"

#define SERIES 3000
#define MINUTES 40

static struct tsdb_storage *storage;
static struct tw_context context;
static struct tw_err err;

static void fill(bool with_histograms)
{
    storage = memory_storage_new();
    tw_context_init(&context, tw_clock_system());
    for (int i = 0; i < SERIES; i++) {
        char name[16], group[16];
        snprintf(name, sizeof name, "%04d", i);
        snprintf(group, sizeof group, "%d", i % 7);
        for (int m = 0; m < MINUTES; m++)
            memory_storage_add(storage, m * 60000 + i % 3, (m * (i % 50 + 1)) % 97 + 0.1 * i,
                               "__name__", i % 2 ? "a" : "b_total", "i", name, "g", group, NULL);
    }
    for (int i = 0; with_histograms && i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "%04d", i * 149);
        const struct wire_label labels[] = {{TW_STR("__name__"), TW_STR("a")},
                                            {TW_STR("h"), TW_STR("1")},
                                            {TW_STR("i"), tw_str(name)}};
        for (int m = 0; m < MINUTES; m++) {
            const struct wire_histogram histogram = {.time_ms = m * 60000,
                                                     .sum = m,
                                                     .zero_count = {.integer = (uint64_t)m},
                                                     .count = {.integer = (uint64_t)m}};
            const struct tsdb_histogram_sample sample = {{labels, 3}, &histogram};
            unit_assert_ok(tsdb_append_histograms(storage, &context, &sample, 1, &err), &err);
        }
    }
}

static enum tw_code ask(const struct query_options *options, const char *text, int64_t end_ms,
                        struct query_result **ret)
{
    struct query_engine *engine = query_engine_new(storage, options);
    enum tw_code code = query_range(engine, &context, tw_str(text), 0, end_ms, 60000, ret, &err);
    query_engine_free(engine);
    return code;
}

static void assert_same_strings(const struct tw_str *a, size_t a_count, const struct tw_str *b,
                                size_t b_count)
{
    ck_assert_uint_eq(a_count, b_count);
    for (size_t i = 0; i < a_count; i++)
        ck_assert(tw_str_equal(a[i], b[i]));
}

static void assert_same(const struct query_result *a, const struct query_result *b)
{
    ck_assert_uint_eq(a->count, b->count);
    ck_assert_uint_eq(a->samples_read, b->samples_read);
    for (size_t i = 0; i < a->count; i++) {
        ck_assert(wire_labels_equal(a->series[i].labels, b->series[i].labels));
        ck_assert_uint_eq(a->series[i].count, b->series[i].count);
        ck_assert_uint_eq(a->series[i].histogram_count, b->series[i].histogram_count);
        for (size_t k = 0; k < a->series[i].count; k++) {
            ck_assert_int_eq(a->series[i].points[k].time_ms, b->series[i].points[k].time_ms);
            ck_assert_uint_eq(tw_double_bits(a->series[i].points[k].value),
                              tw_double_bits(b->series[i].points[k].value));
        }
    }
    assert_same_strings(a->warnings, a->warning_count, b->warnings, b->warning_count);
    assert_same_strings(a->infos, a->info_count, b->infos, b->info_count);
}

static const char *const texts[] = {
    "a",
    "rate(b_total[5m])",
    "sum by (g) (rate(a[5m]))",
    "avg(b_total) by (g)",
    "topk(3, a) + on () group_left () sum(b_total)",
    "quantile_over_time(1.5, b_total[3m])",
    "max_over_time(sum(b_total)[10m:1m])",
    "count by (g) (a > 40 or b_total)",
    "sum({__name__=~\"a|b_total\"}) + sum(a @ 1200)",
};

static void compare_all(uint64_t bytes_max)
{
    const struct query_options one = {.bytes_max = bytes_max};
    const struct query_options many = {.bytes_max = bytes_max, .parallelism = 4};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (int64_t end_ms = 0; end_ms <= MINUTES * 60000; end_ms += MINUTES * 20000) {
            struct query_result *a = NULL, *b = NULL;
            unit_assert_ok(ask(&one, texts[i], end_ms, &a), &err);
            unit_assert_ok(ask(&many, texts[i], end_ms, &b), &err);
            assert_same(a, b);
            query_result_free(a);
            query_result_free(b);
        }
    }
}

START_TEST(same_as_one_thread)
{
    fill(false);
    compare_all(0);
    memory_storage_free(storage);
}
END_TEST

START_TEST(same_with_histograms_among_them)
{
    fill(true);
    compare_all(0);
    memory_storage_free(storage);
}
END_TEST

START_TEST(same_in_slices)
{
    struct query_result *whole, *sliced;
    fill(false);
    const struct query_options small = {.bytes_max = 3 << 20, .parallelism = 3};
    for (size_t i = 2; i < 4; i++) {
        unit_assert_ok(ask(NULL, texts[i], MINUTES * 60000, &whole), &err);
        enum tw_code code = ask(&small, texts[i], MINUTES * 60000, &sliced);
        ck_assert(code == TW_OK || code == TW_LIMIT);
        if (code == TW_OK) {
            ck_assert_uint_eq(whole->count, sliced->count);
            query_result_free(sliced);
        }
        query_result_free(whole);
    }
    memory_storage_free(storage);
}
END_TEST

START_TEST(errors_are_the_same)
{
    struct query_result *result;
    fill(false);
    const struct query_options few = {.samples_max = 30000, .parallelism = 4};
    for (int i = 0; i < 20; i++) {
        unit_assert_code(ask(&few, "sum(rate(a[5m]))", MINUTES * 60000, &result), TW_LIMIT);
        unit_assert_contains(err.message, "too many samples");
    }
    const struct query_options many = {.parallelism = 4};
    context.deadline_mono_ns = 1;
    unit_assert_code(ask(&many, "sum(rate(a[5m])) + sum(a)", MINUTES * 60000, &result), TW_TIMEOUT);
    context.deadline_mono_ns = INT64_MAX;
    tw_context_cancel(&context);
    unit_assert_code(ask(&many, "sum(rate(a[5m])) + sum(a)", MINUTES * 60000, &result),
                     TW_CANCELLED);
    memory_storage_free(storage);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE_SLOW(same_as_one_thread, 120),
                                      UNIT_CASE_SLOW(same_with_histograms_among_them, 120),
                                      UNIT_CASE_SLOW(same_in_slices, 120),
                                      UNIT_CASE_SLOW(errors_are_the_same, 120),
                                      {0}};
    return unit_run("query/parallel", cases);
}
