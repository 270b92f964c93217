/* SPDX-License-Identifier: Apache-2.0
 *
 * Several loads as one, through the real query engine, over a store in memory.
 */
#include "config.h"

#include "autoscaler/demand.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autoscaler/observation.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"

#define TICK_MS 15000
static const int64_t begin_ms = 1767571200000;
static struct tw_arena *arena;
static struct scale_settings *items;
static struct tw_err err;
static struct tsdb_storage *storage;
static struct scale_source source;
static struct scale_listener listeners[SCALE_PARTS_MAX];
static struct scale_observation observation;
static char error_text[SCALE_ERROR_BYTES];

/* ---- settings ---- */

static enum tw_code parse(const char *scaler)
{
    static char text[65536];
    struct tw_yaml *root = NULL;
    size_t count;
    tw_arena_free(arena);
    arena = tw_arena_new(4096);
    memset(&err, 0, sizeof err);
    snprintf(text, sizeof text, "scalers:\n  - {name: web, max: 50, late_after: 1m, %s}\n", scaler);
    unit_assert_ok(tw_yaml_parse(arena, "t.yml", tw_str(text), &root, &err), &err);
    return scale_settings_parse(arena, "t.yml", tw_yaml_member(root, "scalers"), &items, &count,
                                &err);
}

static void refused(const char *scaler, const char *because)
{
    ck_assert_int_eq(parse(scaler), TW_CONFIG);
    unit_assert_contains(err.message, "t.yml:2:");
    unit_assert_contains(err.message, because);
}

#define REQUESTS "{name: requests, query: sum(requests), capacity: 100}"
#define JOBS "{name: jobs, query: sum(jobs), capacity: 4}"

START_TEST(settings_are_read)
{
    unit_assert_ok(parse("loads: [" REQUESTS ", " JOBS "]"), &err);
    ck_assert_uint_eq(items->demand.count, 2);
    unit_assert_str(items->demand.parts[1].name, "jobs");
    unit_assert_str(items->demand.parts[1].query, "sum(jobs)");
    ck_assert_double_eq(items->demand.parts[1].capacity, 4);
    ck_assert_double_eq(items->capacity, 100);
    ck_assert_double_eq(scale_demand_convert(&items->demand, 1, 8), 200);
    unit_assert_ok(query_check(items->load, &err), &err);
    unit_assert_ok(parse("load: x, capacity_per_replica: 1"), &err);
    ck_assert_uint_eq(items->demand.count, 0);
    unit_assert_str(items->load, "x");
}
END_TEST

START_TEST(contradictions_are_refused)
{
    refused("load: x, loads: [" JOBS "]", "both given: leave out one");
    refused("loads: [" JOBS "], capacity_per_replica: 3", "its own capacity: leave this out");
    refused("loads: [" JOBS "], utilisation: u", "none can be learned: leave it out");
    refused("loads: [" JOBS ", {name: b, query: y, capacity: learn}]", "give a number");
    refused("loads: [" JOBS ", " JOBS "]", "two loads of the name 'jobs'");
    refused("loads: []", "give 1 to 8");
    refused("loads: [1, 2, 3, 4, 5, 6, 7, 8, 9]", "9 loads are given: give 1 to 8");
    refused("loads: [x]", "{name: NAME, query: PROMQL, capacity: N}");
    refused("loads: x", "loads");
    refused("loads: [{query: x, capacity: 1}]", "needs a name");
    refused("loads: [{name: a, capacity: 1}]", "load 'a' has no query");
    refused("loads: [{name: a, query: x}]", "load 'a' has no capacity");
    refused("loads: [{name: a, query: x, capacity: 0}]", "more than 0");
    refused("loads: [{name: a, query: 'sum(', capacity: 1}]", "query: ");
    refused("loads: [{name: a, query: 'x[5m]', capacity: 1}]", "a load is one number");
    refused("loads: [{name: a, query: x, capacity: 1, unit: s}]", "unit");
    static char text[45000];
    snprintf(text, sizeof text, "loads: [{name: a, capacity: 1, query: 'x{a=\"%040000d\"}'}]", 0);
    refused(text, "too long: keep some of them as recording rules");
}
END_TEST

/* ---- what is observed ---- */

static void open_store(const char *scaler)
{
    unit_assert_ok(parse(scaler), &err);
    storage = memory_storage_new();
    struct query_options options = {.lookback_ms = items->late_ms};
    source = (struct scale_source){query_engine_new(storage, NULL),
                                   query_engine_new(storage, &options), tw_clock_system()};
    for (size_t i = 0; i < items->demand.count; i++)
        listeners[i].query =
            scale_sources_query(items->demand.parts[i].query, arena, &listeners[i].sums);
}

static void close_store(void)
{
    query_engine_free(source.engine);
    query_engine_free(source.fresh);
    storage = memory_storage_free(storage);
    for (size_t i = 0; i < SCALE_PARTS_MAX; i++)
        scale_sources_fini(&listeners[i].sources);
    arena = tw_arena_free(arena);
}

static void add(const char *name, const char *host, int64_t time_ms, double value)
{
    memory_storage_add(storage, time_ms, value, "__name__", name, "host", host, NULL);
}

static void observe(int64_t now_ms)
{
    scale_observe(&source, items, now_ms, &observation, error_text);
    scale_observe_sources(&source, items, listeners, &observation, error_text);
}

START_TEST(the_highest_leads)
{
    open_store("loads: [" REQUESTS ", " JOBS
               ", {name: fixed, query: '2 # at least', capacity: 1}]");
    add("requests", "a", begin_ms, 500);
    add("jobs", "a", begin_ms, 8);
    add("requests", "a", begin_ms + 300000, 500);
    add("jobs", "a", begin_ms + 300000, 28);
    observe(begin_ms);
    ck_assert_int_eq(observation.data, SCALE_DATA_OK);
    ck_assert_double_eq(observation.load, 500);
    unit_assert_str(observation.leader, "requests");
    observe(begin_ms + 300000);
    ck_assert_double_eq(observation.load, 700); /* seven replicas */
    unit_assert_str(observation.leader, "jobs");
    ck_assert_double_eq(observation.parts[2], 200);
    close_store();
}
END_TEST

START_TEST(a_missing_one_is_named)
{
    open_store("loads: [" REQUESTS ", " JOBS "]");
    add("requests", "a", begin_ms, 500);
    observe(begin_ms);
    ck_assert_int_eq(observation.data, SCALE_DATA_PARTIAL);
    ck_assert_double_eq(observation.load, 500);
    unit_assert_contains(error_text, "load 'jobs': the query gives nothing");
    add("jobs", "a", begin_ms, 1);
    add("jobs", "b", begin_ms, -6); /* their sum is no load */
    observe(begin_ms);
    ck_assert_int_eq(observation.data, SCALE_DATA_PARTIAL);
    unit_assert_contains(error_text, "load 'jobs': the load is -5");
    observe(begin_ms + 90000);
    ck_assert_int_eq(observation.data, SCALE_DATA_LATE);
    ck_assert(isnan(observation.load));
    unit_assert_contains(error_text, "load 'requests': the newest");
    unit_assert_contains(error_text, "(2 loads are missing)");
    memory_storage_fail(storage, TW_IO, TW_OK);
    observe(begin_ms);
    ck_assert_int_eq(observation.data, SCALE_DATA_ERROR);
    close_store();
}
END_TEST

START_TEST(several_series_of_one_are_an_error)
{
    open_store("loads: [" REQUESTS ", {name: jobs, query: jobs, capacity: 4}]");
    add("requests", "a", begin_ms, 500);
    add("jobs", "a", begin_ms, 1);
    add("jobs", "b", begin_ms, 1);
    observe(begin_ms);
    ck_assert_int_eq(observation.data, SCALE_DATA_ERROR);
    unit_assert_contains(error_text, "load 'jobs': the query gives 2 series");
    close_store();
}
END_TEST

/* Half of the hosts of one load are silent: that one is made up for, and said. */
START_TEST(silent_sources_of_one)
{
    open_store("loads: [" REQUESTS ", " JOBS "]");
    static const char *const hosts[] = {"a", "b"};
    for (int64_t t = 0; t <= 240000; t += TICK_MS) {
        for (int h = 0; h < 2; h++) {
            add("requests", hosts[h], begin_ms + t, 250);
            if (h == 0 || t == 0)
                add("jobs", hosts[h], begin_ms + t, 8);
        }
        if (t % 120000 == 0)
            observe(begin_ms + t);
        if (t == 120000)
            break;
    }
    ck_assert_int_eq(observation.data, SCALE_DATA_OK);
    ck_assert_double_eq(observation.coverage, 0.5);
    ck_assert_double_eq(observation.parts[0], 500);
    ck_assert_double_eq(observation.parts[1], 400);
    ck_assert(observation.whole);
    ck_assert_str_eq(error_text, "1 of the 2 sources of load 'jobs' are silent");
    close_store();
}
END_TEST

START_TEST(history_has_no_maximum_of_the_rest)
{
    enum { STEPS = 60 };
    open_store("loads: [" REQUESTS ", " JOBS "]");
    for (int i = 0; i < STEPS; i++) {
        add("requests", "a", begin_ms + i * 60000, 500);
        if (i < 20 || i >= 40)
            add("jobs", "a", begin_ms + i * 60000, i);
    }
    double values[STEPS];
    unit_assert_ok(scale_observe_history(&source, items, begin_ms, STEPS, values, &err), &err);
    for (int i = 0; i < STEPS; i++) {
        if (i < 20 || i >= 40)
            ck_assert_double_eq(values[i], fmax(500, 25 * i));
        else if (i > 25) /* the look-back fills five minutes */
            ck_assert(isnan(values[i]));
    }
    close_store();
}
END_TEST

/* ---- in simulated time ---- */

static struct scale_decision decision;

static void decide(struct scale_controller *controller, int64_t now_ms)
{
    observe(now_ms);
    observation.replicas = observation.ready = decision.to > 0 ? decision.to : 1;
    scale_controller_decide(controller, &observation, &decision);
}

/* Requests need three replicas all the time, jobs up to ten; then nothing is heard of the jobs,
 * while the requests rise in the end. */
START_TEST(replicas_follow_the_leader)
{
    open_store("loads: [" REQUESTS ", " JOBS "]");
    struct scale_controller *controller = scale_controller_new(items, 0);
    memset(&decision, 0, sizeof decision);
    int64_t t = begin_ms;
    double jobs = 4, requests = 300;
    for (; t < begin_ms + 3600000; t += TICK_MS) {
        jobs = fmin(40, jobs + 0.25);
        add("requests", "a", t, requests += t % 2 ? 1 : 0);
        add("jobs", "a", t, jobs + (t / TICK_MS % 2 ? 0.01 : 0));
        decide(controller, t);
        ck_assert_int_eq(decision.data, SCALE_DATA_OK);
    }
    int64_t most = decision.to;
    ck_assert_int_ge(most, 10);
    ck_assert_int_le(most, 12);
    unit_assert_contains(decision.reason, "led by jobs");
    ck_assert_double_eq_tol(decision.load, 1000, 1);

    for (int64_t until = t + 2 * 3600000; t < until; t += TICK_MS) {
        add("requests", "a", t, requests + (double)(t / TICK_MS % 2));
        decide(controller, t);
        ck_assert_int_ge(decision.to, most);
    }
    ck_assert_int_eq(decision.data, SCALE_DATA_PARTIAL);
    ck_assert_int_le(decision.to, most + 2);
    unit_assert_contains(decision.reason, "partial: load 'jobs'");

    for (int64_t until = t + 1800000; t < until; t += TICK_MS) { /* 20 replicas' worth */
        add("requests", "a", t, requests = fmin(2000, requests + 50));
        decide(controller, t);
    }
    ck_assert_int_eq(decision.data, SCALE_DATA_PARTIAL);
    ck_assert_int_ge(decision.to, 20);

    for (int64_t until = t + 2 * 3600000; t < until; t += TICK_MS) {
        add("requests", "a", t, 300 + (double)(t / TICK_MS % 2));
        add("jobs", "a", t, 4 + 0.01 * (double)(t / TICK_MS % 2));
        decide(controller, t);
    }
    ck_assert_int_eq(decision.data, SCALE_DATA_OK);
    ck_assert_int_le(decision.to, 5);
    unit_assert_contains(decision.reason, "led by requests");
    scale_controller_free(controller);
    close_store();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(settings_are_read),
        UNIT_CASE(contradictions_are_refused),
        UNIT_CASE(the_highest_leads),
        UNIT_CASE(a_missing_one_is_named),
        UNIT_CASE(several_series_of_one_are_an_error),
        UNIT_CASE(silent_sources_of_one),
        UNIT_CASE(history_has_no_maximum_of_the_rest),
        UNIT_CASE(replicas_follow_the_leader),
        {0},
    };
    return unit_run("autoscaler/demand", cases);
}
