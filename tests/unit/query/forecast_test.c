/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <math.h>
#include <stdio.h>

#include "query/engine.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define NOW (20 * DAY + 7 * HOUR + 13 * MINUTE)

static struct tsdb_storage *storage;
static struct tw_clock *now_clock;
static struct query_engine *engine;
static struct tw_context context;
static struct tw_err err;

static double load_at(int64_t time_ms)
{
    double day = (double)time_ms / DAY;
    /* Nearly noise: enough that no model is perfect. */
    double wobble = fmod(day * 7919.13, 1.0) - 0.5;
    return 100 + 60 * sin(2 * M_PI * day) + 8 * wobble;
}

static void add(int64_t from_ms, int64_t to_ms, double bias)
{
    for (int64_t t = from_ms; t <= to_ms; t += 5 * MINUTE)
        memory_storage_add(storage, t, load_at(t) + bias, "__name__", "load", "job", "web", NULL);
}

static void begin(void)
{
    storage = memory_storage_new();
    now_clock = tw_clock_manual_new(NOW);
    tw_context_init(&context, now_clock);
    engine = query_engine_new(storage, NULL);
}

static void end(void)
{
    query_engine_free(engine);
    tw_clock_manual_free(now_clock);
    memory_storage_free(storage);
}

static struct query_result *range(const char *text, int64_t start_ms, int64_t end_ms,
                                  int64_t step_ms)
{
    struct query_result *result;
    unit_assert_ok(
        query_range(engine, &context, tw_str(text), start_ms, end_ms, step_ms, &result, &err),
        &err);
    return result;
}

/* NaN: nothing. */
static double instant(const char *text, int64_t time_ms)
{
    struct query_result *result;
    unit_assert_ok(query_instant(engine, &context, tw_str(text), time_ms, &result, &err), &err);
    double value = result->count ? result->series[0].points[0].value : NAN;
    query_result_free(result);
    return value;
}

/* A past step is what it was, whatever came later. */
START_TEST(nothing_behind_a_step_counts)
{
    static const char *const texts[] = {
        "forecast(load[7d], 2h)", "forecast_quantile(0.95, load[7d], 30m)",
        "anomaly_score(load[7d])", "forecast(avg_over_time(load[10m])[5d:5m], 1h)"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        begin();
        add(0, 15 * DAY, 0);
        struct query_result *before = range(texts[i], 14 * DAY, 15 * DAY, 17 * MINUTE);
        add(15 * DAY + 5 * MINUTE, NOW, 1000);
        struct query_result *after = range(texts[i], 14 * DAY, 16 * DAY, 17 * MINUTE);
        ck_assert_uint_eq(before->count, 1);
        ck_assert_uint_eq(after->count, 1);
        ck_assert_uint_gt(before->series[0].count, 80);
        ck_assert_uint_gt(after->series[0].count, before->series[0].count);
        for (size_t k = 0; k < before->series[0].count; k++)
            ck_assert_double_eq(before->series[0].points[k].value,
                                after->series[0].points[k].value);
        query_result_free(before);
        query_result_free(after);
        end();
    }
}
END_TEST

/* The same at any step of any query, sliced or not. */
START_TEST(steps_do_not_depend_on_each_other)
{
    begin();
    add(0, NOW, 0);
    struct query_result *all = range("forecast(load[7d], 2h)", 18 * DAY, 20 * DAY, HOUR);
    ck_assert_uint_eq(all->series[0].count, 49);
    for (size_t k = 0; k < 49; k += 6)
        ck_assert_double_eq(instant("forecast(load[7d], 2h)", all->series[0].points[k].time_ms),
                            all->series[0].points[k].value);
    query_result_free(all);
    end();
}
END_TEST

START_TEST(future_goes_on_from_now)
{
    begin();
    add(0, NOW, 0);
    struct query_result *band =
        range("forecast(load[7d], 0)", NOW - 2 * HOUR, NOW + 22 * HOUR, 15 * MINUTE);
    ck_assert_uint_eq(band->series[0].count, 97);
    double worst = 0;
    for (size_t k = 0; k < 97; k++) {
        int64_t time_ms = band->series[0].points[k].time_ms;
        double value = band->series[0].points[k].value;
        ck_assert(isfinite(value));
        double off = fabs(value - load_at(time_ms));
        worst = off > worst ? off : worst;
    }
    ck_assert_double_lt(worst, 25);
    query_result_free(band);
    /* A step in the future adds its way to the horizon; the range ends now, not there. */
    ck_assert_double_eq(instant("forecast(load[7d], 1h)", NOW + 5 * HOUR),
                        instant("forecast(load[7d], 6h)", NOW));
    ck_assert_double_eq(instant("forecast(load[2d], 0)", NOW + 3 * DAY),
                        instant("forecast(load[2d], 3d)", NOW));
    ck_assert_double_eq(instant("forecast(avg_over_time(load[10m])[4d:5m], 0)", NOW + 2 * HOUR),
                        instant("forecast(avg_over_time(load[10m])[4d:5m], 2h)", NOW));
    /* The highest value of the coming day. */
    double peak = instant("max_over_time(forecast(load[7d], 0)[1d:15m] offset -1d)", NOW);
    ck_assert_double_gt(peak, 145);
    ck_assert_double_lt(peak, 175);
    ck_assert(isnan(instant("anomaly_score(load[7d])", NOW + HOUR)));
    end();
}
END_TEST

/* Samples in the future (a host's clock is ahead) count when their time has come. */
START_TEST(samples_ahead_of_the_clock_wait)
{
    begin();
    add(0, NOW, 0);
    double before = instant("forecast(load[7d], 1h)", NOW + 10 * MINUTE);
    add(NOW + MINUTE, NOW + 9 * MINUTE, 5000);
    ck_assert_double_eq(before, instant("forecast(load[7d], 1h)", NOW + 10 * MINUTE));
    end();
}
END_TEST

START_TEST(ended_series_are_not_forecast)
{
    begin();
    add(0, NOW - 10 * HOUR, 0);
    ck_assert(!isnan(instant("forecast(load[7d], 1h)", NOW))); /* 7 d / 16 = 10.5 h */
    ck_assert(isnan(instant("forecast(load[6d], 1h)", NOW)));
    ck_assert(isnan(instant("forecast(load[7d], 1h)", NOW + 3 * DAY)) ==
              isnan(instant("forecast(load[7d], 1h)", NOW)));
    end();
}
END_TEST

static void assert_warned(const char *text, const char *part)
{
    struct query_result *result;
    unit_assert_ok(query_instant(engine, &context, tw_str(text), NOW, &result, &err), &err);
    ck_assert_uint_eq(result->count, 0);
    ck_assert_uint_eq(result->warning_count, 1);
    ck_assert_msg(tw_str_find(result->warnings[0], tw_str(part)) != SIZE_MAX, "%.*s",
                  TW_STR_ARG(result->warnings[0]));
    query_result_free(result);
}

static void assert_refused(const char *text, const char *part, size_t start)
{
    struct query_result *result;
    enum tw_code code = query_instant(engine, &context, tw_str(text), NOW, &result, &err);
    ck_assert_int_ne(code, TW_OK);
    ck_assert_msg(strstr(err.message, part) != NULL, "%s", err.message);
    ck_assert_uint_eq(err.start, start);
}

START_TEST(absurd_questions_are_answered)
{
    begin();
    add(0, NOW, 0);
    assert_warned("forecast(load[1d], 90d)", "more than 2000 steps of the model");
    assert_refused("1 + forecast(load[1d], -5)", "invalid forecast horizon", 4);
    assert_refused("1 + forecast(load[1d], 1e300)", "invalid forecast horizon", 4);
    assert_refused("1 + forecast_quantile(0.5, load[1d], NaN)", "invalid forecast horizon", 4);
    ck_assert(isinf(instant("forecast_quantile(2, load[1d], 60)", NOW)));
    ck_assert(!isnan(instant("forecast(load[1ms], 10m)", 20 * DAY)));
    ck_assert(!isnan(instant("forecast(load[100y], 1h)", NOW)));
    ck_assert(isnan(instant("forecast(load[7d], 1h)", INT64_C(9000000000000000))) ==
              isnan(instant("forecast(load[7d], 1h)", NOW + 9000 * DAY)));
    end();
}
END_TEST

/* Holes, NaN, infinities and huge values do not make NaN. */
START_TEST(bad_samples_make_no_nan)
{
    begin();
    for (int i = 0; i < 2000; i++) {
        double value = i % 7 == 0    ? NAN
                       : i % 11 == 0 ? INFINITY
                       : i % 13 == 0 ? 1e300
                                     : load_at(i * 5 * MINUTE);
        memory_storage_add(storage, NOW - (2000 - i) * 5 * MINUTE + i % 3, value, "__name__",
                           "load", NULL);
    }
    struct query_result *result =
        range("forecast_quantile(0.9, load[3d], 1h)", NOW - 3 * DAY, NOW + DAY, 31 * MINUTE);
    ck_assert_uint_eq(result->count, 1);
    for (size_t k = 0; k < result->series[0].count; k++)
        ck_assert(isfinite(result->series[0].points[k].value));
    query_result_free(result);
    end();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(nothing_behind_a_step_counts),  UNIT_CASE(steps_do_not_depend_on_each_other),
        UNIT_CASE(future_goes_on_from_now),       UNIT_CASE(samples_ahead_of_the_clock_wait),
        UNIT_CASE(ended_series_are_not_forecast), UNIT_CASE(absurd_questions_are_answered),
        UNIT_CASE(bad_samples_make_no_nan),       {0}};
    return unit_run("query/forecast", cases);
}
