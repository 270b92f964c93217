/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/sources.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "autoscaler/observation.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"

#define HOUR_MS 3600000
static struct scale_sources sources;
static size_t known;

static const char *query_of(const char *load, bool *ret_sums)
{
    static char text[1024];
    struct tw_arena *arena = tw_arena_new(1024);
    struct tw_str query = scale_sources_query(tw_str(load), arena, ret_sums);
    snprintf(text, sizeof text, "%.*s", (int)query.size, query.data);
    tw_arena_free(arena);
    return text;
}

#define GROUP "group by (job, instance, host, pod) "

START_TEST(what_is_summed_up)
{
    bool sums;
    ck_assert_str_eq(query_of("sum(rate(a_total{app=\"x\"}[1m]))", &sums),
                     GROUP "(rate(a_total{app=\"x\"}[1m]))");
    ck_assert(sums);
    ck_assert_str_eq(query_of("avg(cpu) * 100", &sums), GROUP "(cpu)");
    ck_assert(!sums);
    ck_assert_str_eq(query_of("(sum by (app) (a) + sum(b))", &sums), GROUP "(a) or " GROUP "(b)");
    ck_assert(!sums); /* what is missing of which part is not known */
    ck_assert_str_eq(query_of("max(sum by (host) (a / b))", &sums), GROUP "(a / b)");
    ck_assert_str_eq(query_of("quantile_over_time(0.9, sum(rate(a[1m]))[5m:])", &sums),
                     GROUP "(rate(a[1m]))");
    ck_assert_str_eq(query_of("up", &sums), "");
    ck_assert_str_eq(query_of("vector(1) + 2", &sums), "");
    ck_assert_str_eq(query_of("sum(", &sums), "");
}
END_TEST

/* The share heard when sources first to first + count - 1 are. */
static double hear(int64_t now_ms, uint64_t first, size_t count, int64_t replicas)
{
    uint64_t hashes[64];
    for (size_t i = 0; i < count; i++)
        hashes[i] = (first + count - 1 - i) * 1000003;
    return scale_sources_hear(&sources, now_ms, hashes, count, replicas, &known);
}

START_TEST(silent_ones_are_missed)
{
    scale_sources_init(&sources);
    ck_assert_double_eq(hear(0, 1, 10, 10), 1);
    ck_assert_double_eq(hear(15000, 1, 5, 10), 0.5);
    ck_assert_uint_eq(known, 10);
    ck_assert_double_eq(hear(HOUR_MS - 1, 1, 5, 10), 0.5);
    ck_assert_double_eq(hear(HOUR_MS, 1, 5, 10), 1); /* gone for good */
    ck_assert_double_eq(hear(HOUR_MS + 15000, 1, 10, 10), 1);
    scale_sources_fini(&sources);
}
END_TEST

START_TEST(scaled_in_ones_are_not)
{
    scale_sources_init(&sources);
    ck_assert_double_eq(hear(0, 1, 20, 20), 1);
    ck_assert_double_eq(hear(15000, 1, 10, 10), 1);
    ck_assert_double_eq(hear(30000, 1, 9, 10), 0.9);
    ck_assert_double_eq(hear(45000, 11, 10, 10), 1); /* others in their place */
    ck_assert(isnan(hear(60000, 1, 0, 0)));
    scale_sources_fini(&sources);
}
END_TEST

START_TEST(without_replicas_they_are_missed_for_a_while)
{
    scale_sources_init(&sources);
    ck_assert_double_eq(hear(0, 1, 20, -1), 1);
    ck_assert_double_eq(hear(299999, 1, 10, -1), 0.5);
    ck_assert_double_eq(hear(300000, 1, 10, -1), 1);
    scale_sources_fini(&sources);
}
END_TEST

START_TEST(clock_set_back)
{
    scale_sources_init(&sources);
    ck_assert_double_eq(hear(10 * HOUR_MS, 1, 4, 4), 1);
    ck_assert_double_eq(hear(0, 1, 2, 4), 0.5);
    ck_assert_double_eq(hear(HOUR_MS + 1, 1, 2, 4), 1); /* and is forgotten in the new time */
    scale_sources_fini(&sources);
}
END_TEST

START_TEST(too_many_are_not_watched)
{
    scale_sources_init(&sources);
    uint64_t *hashes = calloc(SCALE_SOURCES_MAX + 1, sizeof *hashes);
    for (size_t i = 0; i <= SCALE_SOURCES_MAX; i++)
        hashes[i] = i * 1000003;
    ck_assert(isnan(scale_sources_hear(&sources, 0, hashes, SCALE_SOURCES_MAX + 1, -1, &known)));
    ck_assert_double_eq(scale_sources_hear(&sources, 0, hashes, SCALE_SOURCES_MAX, -1, &known), 1);
    ck_assert_double_eq_tol(hear(15000, 1, 3, -1), 3.0 / SCALE_SOURCES_MAX, 1e-9);
    ck_assert(isnan(hear(30000, 1, 3, -1)) == 0);
    free(hashes);
    scale_sources_fini(&sources);
}
END_TEST

/* Half of the hosts stop sending: the sum halves, and it is known why. */
START_TEST(observed_through_the_store)
{
    const int64_t now = 1767571200000;
    struct tsdb_storage *storage = memory_storage_new();
    struct scale_settings settings;
    scale_settings_init(&settings);
    settings.load = TW_STR("sum(rate(requests_total[1m]))");
    struct query_options options = {.lookback_ms = settings.late_ms};
    struct scale_source source = {query_engine_new(storage, NULL),
                                  query_engine_new(storage, &options), tw_clock_system()};
    const char *hosts[] = {"a", "b", "c", "d"};
    for (int64_t t = now - 300000; t <= now + 120000; t += 15000)
        for (int h = 0; h < 4; h++)
            if (h < 2 || t <= now)
                memory_storage_add(storage, t, (double)(t - now) / 1000 * 10 + 1e6, "__name__",
                                   "requests_total", "host", hosts[h], NULL);
    struct tw_arena *arena = tw_arena_new(1024);
    struct scale_listener listener = {.sums = false};
    listener.query = scale_sources_query(settings.load, arena, &listener.sums);
    char error_text[SCALE_ERROR_BYTES];
    struct scale_observation observation;
    double lowest = 1;
    for (int64_t t = now; t <= now + 120000; t += 15000) {
        scale_observe(&source, &settings, t, &observation, error_text);
        observation.ready = 4;
        scale_observe_sources(&source, &settings, &listener, &observation, error_text);
        ck_assert_int_eq(observation.data, SCALE_DATA_OK);
        ck_assert(!observation.whole);
        /* Rates run out within their minute; what is made of their sum stays near the truth. */
        ck_assert_double_ge(observation.load / observation.coverage, 30);
        ck_assert_double_le(observation.load / observation.coverage, 41);
        lowest = fmin(lowest, observation.coverage);
    }
    ck_assert_double_eq(lowest, 0.5);
    ck_assert_str_eq(error_text, "2 of its 4 sources are silent");
    scale_sources_fini(&listener.sources);
    tw_arena_free(arena);
    query_engine_free(source.engine);
    query_engine_free(source.fresh);
    memory_storage_free(storage);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(what_is_summed_up),
        UNIT_CASE(silent_ones_are_missed),
        UNIT_CASE(scaled_in_ones_are_not),
        UNIT_CASE(without_replicas_they_are_missed_for_a_while),
        UNIT_CASE(clock_set_back),
        UNIT_CASE(too_many_are_not_watched),
        UNIT_CASE(observed_through_the_store),
        {0},
    };
    return unit_run("autoscaler/sources", cases);
}
