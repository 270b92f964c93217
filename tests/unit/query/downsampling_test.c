/* SPDX-License-Identifier: Apache-2.0
 *
 * downsampling_test: the same queries over samples and over what downsampling keeps of them: equal
 * where that can be, near where it cannot.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/number.h"
#include "query/engine.h"
#include "tests/lib/unit.h"
#include "tsdb/buckets.h"
#include "tsdb/db.h"
#include "tsdb/verify.h"

#define DAY TSDB_DAY_MS
#define MINUTE (INT64_C(60) * 1000)
#define HOUR (60 * MINUTE)
#define INTERVAL (INT64_C(15) * 1000)
#define FIRST (10 * DAY)
#define SAMPLES 7200 /* 30 hours: day 10 is downsampled, day 11 is not */

static struct tw_clock *test_clock;
static struct tw_metrics *test_metrics;
static struct tw_err err;
static struct tsdb_db *raw, *sampled;

static struct tsdb_db *open_db(const char *name, const struct tsdb_downsampling *levels,
                               size_t count)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", unit_folder(), name);
    struct tsdb_db_options options = {.folder = path,
                                      .clock = test_clock,
                                      .metrics = test_metrics,
                                      .manual = true,
                                      .downsamplings = levels,
                                      .downsampling_count = count};
    struct tsdb_db *db;
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
    return db;
}

static double gauge(int i)
{
    return (double)((i * 7919) % 1000) - 300;
}

/* Falls back now and then, sometimes to more than before within minutes, sometimes twice. */
static double counter(int i)
{
    int at = i % 1700;
    if (at > 1690)
        at -= 1691; /* twice within minutes */
    return at < 1000 ? at * 3 : (at - 1000) * 50;
}

static void fill(struct tsdb_db *db)
{
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    struct wire_label labels[3][1] = {{{TW_STR(WIRE_METRIC_NAME), TW_STR("g")}},
                                      {{TW_STR(WIRE_METRIC_NAME), TW_STR("c_total")}},
                                      {{TW_STR(WIRE_METRIC_NAME), TW_STR("gone")}}};
    static struct tsdb_sample samples[SAMPLES * 3];
    size_t count = 0;
    for (int i = 0; i < SAMPLES; i++) {
        int64_t time_ms = FIRST + i * INTERVAL;
        samples[count++] = (struct tsdb_sample){{labels[0], 1}, time_ms, gauge(i)};
        samples[count++] = (struct tsdb_sample){{labels[1], 1}, time_ms, counter(i)};
        if (i <= 1000 && i % 100 < 70)
            samples[count++] = (struct tsdb_sample){
                {labels[2], 1}, time_ms, i == 1000 ? tw_double_from_bits(TW_STALE_BITS) : i};
        if (i % 1500 == 1499 || i == SAMPLES - 1) {
            unit_assert_ok(tsdb_append(tsdb_db_storage(db), &context, samples, count, &err), &err);
            unit_assert_ok(tsdb_db_flush(db, &err), &err);
            count = 0;
        }
    }
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
}

static struct query_result *ask(struct tsdb_db *db, const char *text, int64_t start_ms,
                                int64_t end_ms, int64_t step_ms)
{
    struct tw_context context;
    struct query_result *result;
    tw_context_init(&context, tw_clock_system());
    struct query_engine *engine = query_engine_new(tsdb_db_storage(db), NULL);
    unit_assert_ok(
        query_range(engine, &context, tw_str(text), start_ms, end_ms, step_ms, &result, &err),
        &err);
    query_engine_free(engine);
    return result;
}

/* tolerance: relative to the value, and to 1 below it. */
static void assert_agrees(const char *text, int64_t start_ms, int64_t end_ms, int64_t step_ms,
                          double tolerance)
{
    struct query_result *a = ask(raw, text, start_ms, end_ms, step_ms);
    struct query_result *b = ask(sampled, text, start_ms, end_ms, step_ms);
    ck_assert_msg(a->count > 0 && a->count == b->count, "%s: %zu series, not %zu", text, b->count,
                  a->count);
    for (size_t i = 0; i < a->count; i++) {
        ck_assert_msg(a->series[i].count == b->series[i].count, "%s: %zu points, not %zu", text,
                      b->series[i].count, a->series[i].count);
        for (size_t k = 0; k < a->series[i].count; k++) {
            struct query_point x = a->series[i].points[k], y = b->series[i].points[k];
            ck_assert_int_eq(x.time_ms, y.time_ms);
            ck_assert_msg(fabs(x.value - y.value) <= tolerance * fmax(1, fabs(x.value)),
                          "%s at %lld: %.17g, not %.17g", text,
                          (long long)(x.time_ms - FIRST) / 1000, y.value, x.value);
        }
    }
    query_result_free(a);
    query_result_free(b);
}

static void setup(const struct tsdb_downsampling *levels, size_t count)
{
    test_clock = tw_clock_manual_new(FIRST + 30 * HOUR);
    raw = open_db("raw", NULL, 0);
    sampled = open_db("sampled", levels, count);
    fill(raw);
    tw_clock_manual_advance(test_clock, 4 * HOUR);
    fill(sampled);
}

static void teardown(void)
{
    char path[4096];
    tsdb_db_close(raw);
    tsdb_db_close(sampled);
    snprintf(path, sizeof path, "%s/sampled", unit_folder());
    struct tsdb_verify_report report;
    const struct tsdb_verify_options options = {.folder = path, .in_process = true};
    unit_assert_ok(tsdb_verify_run(&options, &report, &err), &err);
    ck_assert_uint_eq(report.damaged, 0);
    ck_assert_uint_gt(report.samples, 0);
    tsdb_verify_report_fini(&report);
    tw_clock_manual_free(test_clock);
}

static void assert_all_agree(int64_t step_ms)
{
    int64_t start_ms = FIRST + 4 * HOUR, end_ms = FIRST + 29 * HOUR;
    assert_agrees("max_over_time(g[2h])", start_ms, end_ms, step_ms, 0);
    assert_agrees("min_over_time(g[2h])", start_ms, end_ms, step_ms, 0);
    assert_agrees("sum_over_time(g[2h])", start_ms, end_ms, step_ms, 0);
    assert_agrees("count_over_time(g[2h])", start_ms, end_ms, step_ms, 0);
    assert_agrees("avg_over_time(g[2h])", start_ms, end_ms, step_ms, 1e-12);
    assert_agrees("last_over_time(g[2h])", start_ms, end_ms, step_ms, 0);
    assert_agrees("count_over_time(gone[2h])", start_ms, start_ms + HOUR, step_ms, 0);
    /* One look-up, and of each bucket what each function wants. */
    assert_agrees("max_over_time(g[2h]) - min_over_time(g[2h])", start_ms, end_ms, step_ms, 0);
    assert_agrees("sum_over_time(g[2h]) / count_over_time(g[1h]) + last_over_time(g[90m])",
                  start_ms, end_ms, step_ms, 1e-12);
    assert_agrees("g - g offset 1h + max_over_time(g[1h])", start_ms, end_ms, step_ms, 0);
    assert_agrees("g", start_ms, end_ms, step_ms, 0);
    assert_agrees("c_total", start_ms, end_ms, step_ms, 0);
    /* Extrapolation sees other first samples: of a window, about a step's part is uncertain. */
    assert_agrees("increase(c_total[20h])", FIRST + 21 * HOUR, end_ms, step_ms, 0.05);
}

START_TEST(five_minutes)
{
    const struct tsdb_downsampling levels[] = {{.after_ms = HOUR, .step_ms = 5 * MINUTE}};
    setup(levels, 1);
    assert_all_agree(5 * MINUTE);
    /* of ranges that are as long as a bucket or shorter there is an answer too */
    int64_t start_ms = FIRST + 4 * HOUR, end_ms = FIRST + 23 * HOUR;
    struct query_result *result = ask(sampled, "rate(c_total[5m])", start_ms, end_ms, MINUTE);
    ck_assert_uint_eq(result->count, 1);
    ck_assert_uint_eq(result->series[0].count, 19 * 60 + 1);
    query_result_free(result);
    assert_agrees("max_over_time(g[5m])", start_ms, end_ms, 5 * MINUTE, 0);
    assert_agrees("sum_over_time(g[5m])", start_ms, end_ms, 5 * MINUTE, 1e-9);
    teardown();
}
END_TEST

START_TEST(two_levels)
{
    const struct tsdb_downsampling levels[] = {{.after_ms = HOUR, .step_ms = 5 * MINUTE},
                                               {.after_ms = 20 * DAY, .step_ms = HOUR}};
    setup(levels, 2);
    tw_clock_manual_advance(test_clock, 20 * DAY);
    unit_assert_ok(tsdb_db_keep(sampled, &err), &err);
    assert_all_agree(HOUR);
    /* the value is held for the length of a bucket, beyond the look-back */
    struct query_result *result =
        ask(sampled, "g", FIRST + 4 * HOUR, FIRST + 23 * HOUR, 7 * MINUTE);
    ck_assert_uint_eq(result->count, 1);
    ck_assert_uint_eq(result->series[0].count, 19 * 60 / 7 + 1);
    query_result_free(result);
    teardown();
}
END_TEST

/* The bytes come back; hostile ones are refused. */
START_TEST(bytes)
{
    struct tsdb_bucket items[] = {{5, 1, 3, 7, 4, 2, 0},
                                  {9, -1, 8, 7.25, 4, 8, 100},
                                  {11, 0, 0, 0, 0, tw_double_from_bits(TW_STALE_BITS), 0}};
    int64_t times[] = {5, 9, 11};
    struct tsdb_buckets back = {0};
    struct tw_buf text;
    tw_buf_init(&text, 4096);
    tsdb_buckets_encode(items, 3, &text);
    ck_assert(tsdb_buckets_decode(tw_buf_str(&text), times, 3, &back));
    ck_assert_uint_eq(back.count, 3);
    ck_assert(memcmp(back.items, items, sizeof items) == 0);
    for (size_t size = 0; size < text.size; size++) {
        back.count = 0;
        ck_assert(!tsdb_buckets_decode((struct tw_str){text.data, size}, times, 3, &back));
    }
    tsdb_buckets_fini(&back);
    tw_buf_fini(&text);
}
END_TEST

static void put(struct tsdb_db *db, const char *name, int64_t time_ms, double value)
{
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    struct wire_label label = {TW_STR(WIRE_METRIC_NAME), tw_str(name)};
    const struct tsdb_sample sample = {{&label, 1}, time_ms, value};
    unit_assert_ok(tsdb_append(tsdb_db_storage(db), &context, &sample, 1, &err), &err);
}

static void put_histogram(struct tsdb_db *db, const char *name, int64_t time_ms)
{
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    struct wire_label label = {TW_STR(WIRE_METRIC_NAME), tw_str(name)};
    const struct wire_histogram histogram = {
        .time_ms = time_ms, .zero_count = {.integer = 3}, .count = {.integer = 3}};
    const struct tsdb_histogram_sample sample = {{&label, 1}, &histogram};
    unit_assert_ok(tsdb_append_histograms(tsdb_db_storage(db), &context, &sample, 1, &err), &err);
}

static double one_value(struct tsdb_db *db, const char *text, int64_t time_ms)
{
    struct query_result *result = ask(db, text, time_ms, time_ms, 1);
    ck_assert_uint_eq(result->count, 1);
    double value = result->series[0].points[0].value;
    query_result_free(result);
    return value;
}

/* What comes after a step was downsampled: sent again, changed, new in the step, a histogram; and
 * into a step where nothing was. */
START_TEST(downsampled_steps_are_final)
{
    static const struct tsdb_downsampling levels[] = {{.after_ms = DAY, .step_ms = 5 * MINUTE}};
    test_clock = tw_clock_manual_new(FIRST + 3 * DAY);
    struct tw_metrics *metrics = tw_metrics_new();
    test_metrics = metrics;
    struct tsdb_db *db = open_db("final", levels, 1);
    for (int i = 1; i <= 40; i++) /* ten minutes, then half an hour of nothing */
        put(db, "g", FIRST + HOUR + i * INTERVAL, i);
    put(db, "g", FIRST + 2 * HOUR - MINUTE, 100);
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    int64_t end_ms = FIRST + 2 * HOUR - 1;
    ck_assert(one_value(db, "count_over_time(g[1h])", end_ms) == 41);
    put(db, "g", FIRST + HOUR + 10 * INTERVAL, 10);      /* again */
    put(db, "g", FIRST + HOUR + 11 * INTERVAL, 1000);    /* changed */
    put(db, "g", FIRST + HOUR + 12 * INTERVAL + 7, 1e6); /* new */
    put(db, "g", FIRST + HOUR + 30 * MINUTE, 7);         /* where nothing was */
    put_histogram(db, "g", FIRST + HOUR + 40 * MINUTE);
    for (int round = 0; round < 3; round++) { /* in the head, in a run, rewritten */
        ck_assert(one_value(db, "count_over_time(g[1h])", end_ms) == 42);
        ck_assert(one_value(db, "max_over_time(g[1h])", end_ms) == 100);
        ck_assert(one_value(db, "sum_over_time(g[1h])", end_ms) == 41 * 20 + 100 + 7);
        uint64_t before, after;
        if (round == 0)
            unit_assert_ok(tsdb_db_flush(db, &err), &err);
        else if (round == 1)
            unit_assert_ok(tsdb_db_compact(db, &before, &after, &err), &err);
    }
    ck_assert(tw_metric_value(tw_metrics_counter(metrics, "tidewatch_tsdb_samples_dropped_total",
                                                 "reason=\"downsampled\"", "")) >= 4);
    tsdb_db_close(db);
    test_metrics = tw_metrics_free(metrics);
    tw_clock_manual_free(test_clock);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE_SLOW(five_minutes, 60),
                                      UNIT_CASE_SLOW(two_levels, 60),
                                      UNIT_CASE(bytes),
                                      UNIT_CASE(downsampled_steps_are_final),
                                      {0}};
    return unit_run("query/downsampling", cases);
}
