/* SPDX-License-Identifier: Apache-2.0
 *
 * Observations through the real query engine, over a store in memory.
 */
#include "config.h"

#include "autoscaler/observation.h"

#include <math.h>
#include <stdlib.h>

#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"

static const int64_t now = 1767571200000;
static struct tsdb_storage *storage;
static struct scale_settings settings;
static struct scale_source source;
static struct scale_observation observation;
static char error_text[SCALE_ERROR_BYTES];

static void begin(const char *load)
{
    storage = memory_storage_new();
    scale_settings_init(&settings);
    settings.name = TW_STR("web");
    settings.load = tw_str(load);
    settings.late_ms = 60000;
    struct query_options options = {.lookback_ms = settings.late_ms};
    source = (struct scale_source){query_engine_new(storage, NULL),
                                   query_engine_new(storage, &options), tw_clock_system()};
}

static void end(void)
{
    query_engine_free(source.engine);
    query_engine_free(source.fresh);
    storage = memory_storage_free(storage);
}

static void add(const char *host, int64_t time_ms, double value)
{
    memory_storage_add(storage, time_ms, value, "__name__", "requests_total", "host", host, NULL);
}

static void observe(void)
{
    scale_observe(&source, &settings, now, &observation, error_text);
}

START_TEST(sum_of_rates)
{
    begin("sum(rate(requests_total[1m]))");
    for (int64_t t = now - 300000; t <= now; t += 15000) {
        add("a", t, (double)(t - now) / 1000 * 30 + 1e6);
        add("b", t, (double)(t - now) / 1000 * 50 + 1e6);
    }
    observe();
    ck_assert_int_eq(observation.data, SCALE_DATA_OK);
    ck_assert_double_eq_tol(observation.load, 80, 1e-6);
    ck_assert_int_eq(observation.replicas, -1);
    end();
}
END_TEST

START_TEST(replicas_and_utilisation)
{
    begin("10");
    settings.replicas = TW_STR("scalar(vector(4))");
    settings.ready = TW_STR("nothing_there");
    settings.utilisation = TW_STR("vector(0.5)");
    observe();
    ck_assert_int_eq(observation.data, SCALE_DATA_OK);
    ck_assert_double_eq(observation.load, 10);
    ck_assert_int_eq(observation.replicas, 4);
    ck_assert_int_eq(observation.ready, -1);
    ck_assert_double_eq(observation.utilisation, 0.5);
    end();
}
END_TEST

START_TEST(nothing_is_missing)
{
    begin("sum(requests_total)");
    observe();
    ck_assert_int_eq(observation.data, SCALE_DATA_MISSING);
    ck_assert(isnan(observation.load));
    unit_assert_contains(observation.error, "gives nothing");
    end();
}
END_TEST

START_TEST(old_is_late)
{
    begin("sum(requests_total)");
    add("a", now - 90000, 5);
    observe();
    ck_assert_int_eq(observation.data, SCALE_DATA_LATE);
    ck_assert(isnan(observation.load));
    unit_assert_contains(observation.error, "older than 60 s");
    settings.late_ms = 120000;
    end();
}
END_TEST

START_TEST(several_series_are_an_error)
{
    begin("requests_total");
    add("a", now, 5);
    add("b", now, 5);
    observe();
    ck_assert_int_eq(observation.data, SCALE_DATA_ERROR);
    unit_assert_contains(observation.error, "gives 2 series: put sum(...)");
    end();
}
END_TEST

START_TEST(a_failing_store_is_an_error)
{
    begin("sum(requests_total)");
    add("a", now, 5);
    memory_storage_fail(storage, TW_IO, TW_OK);
    observe();
    ck_assert_int_eq(observation.data, SCALE_DATA_ERROR);
    end();
}
END_TEST

START_TEST(no_load_is_negative_or_nan)
{
    begin("requests_total - 10");
    add("a", now, 5);
    observe();
    ck_assert_int_eq(observation.data, SCALE_DATA_MISSING);
    unit_assert_contains(observation.error, "-5");
    end();
    begin("requests_total / 0");
    add("a", now, 0);
    observe();
    ck_assert_int_eq(observation.data, SCALE_DATA_MISSING);
    end();
}
END_TEST

START_TEST(history_is_read_with_its_holes)
{
    enum { STEPS = 3000 }; /* more than a day of minutes: several queries */
    begin("sum(requests_total)");
    for (int i = 0; i < STEPS; i++)
        if (i < 1000 || i >= 1100)
            add("a", now - (int64_t)(STEPS - 1 - i) * 60000, i);
    double *values = calloc(STEPS, sizeof *values);
    struct tw_err err = {0};
    unit_assert_ok(scale_observe_history(&source, &settings, now - (STEPS - 1) * (int64_t)60000,
                                         STEPS, values, &err),
                   &err);
    for (int i = 0; i < STEPS; i++) {
        if (i < 1000 || i >= 1100)
            ck_assert_double_eq(values[i], i);
        else if (i > 1005) /* the look-back fills five minutes */
            ck_assert(isnan(values[i]));
    }
    memory_storage_fail(storage, TW_IO, TW_OK);
    ck_assert_int_ne(scale_observe_history(&source, &settings, now, 1, values, &err), TW_OK);
    ck_assert(isnan(values[0]));
    free(values);
    end();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(sum_of_rates),
        UNIT_CASE(replicas_and_utilisation),
        UNIT_CASE(nothing_is_missing),
        UNIT_CASE(old_is_late),
        UNIT_CASE(several_series_are_an_error),
        UNIT_CASE(a_failing_store_is_an_error),
        UNIT_CASE(no_load_is_negative_or_nan),
        UNIT_CASE(history_is_read_with_its_holes),
        {0},
    };
    return unit_run("autoscaler/observation", cases);
}
