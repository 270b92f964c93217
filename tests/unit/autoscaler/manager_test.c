/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/manager.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "autoscaler/budget.h"
#include "base/json.h"
#include "base/log.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"
#include "tests/unit/autoscaler/fake_engine.h"
#include "tests/unit/autoscaler/sink.h"

#define DAY_MS 86400000
static const int64_t monday = 1767571200000;

/* The world: queries `load`, `replicas`, `ready`; replicas follow the webhook when `obedient`. */
static struct world {
    struct tsdb_storage *storage;
    struct tsdb_state *state;
    struct tw_clock *clock;
    struct query_engine *engine;
    struct scale_manager *manager;
    struct sink *sink;
    atomic_int code;           /* of the load query */
    atomic_llong silent_since; /* ms; samples end there */
    atomic_llong replicas;
} world;

static double office(int64_t time_ms)
{
    double minute = (double)(time_ms % DAY_MS) / 60000;
    double rise = fmin(fmax((minute - 540) / 10, 0), 1),
           fall = fmin(fmax((minute - 1020) / 10, 0), 1);
    return 100 + 800 * (rise - fall);
}

static enum tw_code answer(void *user, struct tw_str text, int64_t time_ms, int64_t lookback_ms,
                           double *ret)
{
    (void)user;
    if (tw_str_is(text, "replicas")) {
        *ret = (double)world.replicas;
        return world.replicas < 0 ? TW_NOT_FOUND : TW_OK;
    }
    if (world.code != TW_OK)
        return (enum tw_code)world.code;
    if (time_ms - lookback_ms >= world.silent_since)
        return TW_NOT_FOUND;
    *ret = office(time_ms < world.silent_since ? time_ms : world.silent_since);
    return TW_OK;
}

static void open_manager(void)
{
    struct tw_err err = {0};
    unit_assert_ok(tsdb_state_open(unit_folder(), &world.state, &err), &err);
    struct scale_options options = {world.engine, world.storage, world.state, world.clock, NULL};
    world.manager = scale_manager_new(&options);
}

static void close_manager(void)
{
    world.manager = scale_manager_free(world.manager);
    world.state = tsdb_state_close(world.state);
}

static void begin(int64_t wall_ms)
{
    world.storage = memory_storage_new();
    world.clock = tw_clock_manual_new(wall_ms);
    world.code = TW_OK;
    world.silent_since = INT64_MAX / 2;
    world.replicas = -1;
    fake_engine_set(answer, NULL);
    world.engine = query_engine_new(world.storage, NULL);
    world.sink = sink_new();
    tw_log_set_level(TW_LOG_ERROR);
    open_manager();
}

static void end(void)
{
    close_manager();
    world.sink = sink_free(world.sink);
    world.engine = query_engine_free(world.engine);
    world.storage = memory_storage_free(world.storage);
    world.clock = tw_clock_manual_free(world.clock);
}

static enum tw_code load(const char *more, struct tw_err *err)
{
    char text[2048], target[256] = "";
    if (!strstr(more, "pools:") && !strstr(more, "types:"))
        snprintf(target, sizeof target,
                 ", target: {webhook: {url: 'http://127.0.0.1:%d/scale', timeout: 2s, headers: "
                 "{X-Key: secret}}}",
                 sink_port(world.sink));
    snprintf(text, sizeof text,
             "scalers:\n  - {name: web, load: load, capacity_per_replica: 100, min: 2, max: 50, "
             "history: 7d%s%s}\n",
             target, more);
    struct tw_arena *arena = tw_arena_new(1024);
    struct tw_yaml *root = NULL;
    enum tw_code code = tw_yaml_parse(arena, "t.yml", tw_str(text), &root, err);
    if (code == TW_OK)
        code = scale_manager_load(world.manager, "t.yml", tw_yaml_member(root, "scalers"), err);
    tw_arena_free(arena);
    return code;
}

static void configure(const char *more)
{
    struct tw_err err = {0};
    unit_assert_ok(load(more, &err), &err);
}

/* Runs the rounds that are due until the clock shows this time. */
static void run_until(int64_t wall_ms)
{
    for (;;) {
        int64_t due = scale_manager_round(world.manager), now = tw_clock_wall_ms(world.clock);
        if (due > wall_ms || now >= wall_ms) {
            if (wall_ms > now)
                tw_clock_manual_advance(world.clock, wall_ms - now);
            return;
        }
        tw_clock_manual_advance(world.clock, due > now ? due - now : 1);
    }
}

/* GET a path; the parsed answer, freed at the next call. */
static const struct tw_json *get(const char *path, int status)
{
    static struct tw_json *root;
    struct tw_http_router *router = tw_http_router_new();
    struct tw_http_exchange *exchange = NULL;
    struct tw_err err = {0};
    scale_api_route(router, world.manager);
    unit_assert_ok(tw_http_exchange_new(TW_HTTP_GET, tw_str(path), NULL, 0, (struct tw_str){0},
                                        world.clock, &exchange, &err),
                   &err);
    tw_http_exchange_run(router, exchange);
    ck_assert_int_eq(exchange->response.status ? exchange->response.status : 200, status);
    tw_json_free(root);
    root = NULL;
    unit_assert_ok(tw_json_parse(tw_buf_str(&exchange->response.body), &root, &err), &err);
    tw_http_exchange_free(exchange);
    tw_http_router_free(router);
    return root;
}

static const struct tw_json *newest_decision(void)
{
    const struct tw_json *root = get("/api/v1/scalers/web/decisions?limit=1", 200);
    return tw_json_item(tw_json_member(tw_json_member(root, "data"), "decisions"), 0);
}

static struct tw_str text_of(const struct tw_json *value, const char *key)
{
    return tw_json_string(tw_json_member(value, key), (struct tw_str){0});
}

START_TEST(observes_and_calls_nobody)
{
    begin(monday);
    configure("");
    run_until(monday + 10 * 3600000);
    ck_assert_uint_eq(sink_count(world.sink), 0);
    const struct tw_json *decision = newest_decision();
    ck_assert_int_ge(tw_json_int(tw_json_member(decision, "to"), -1), 9);
    ck_assert_uint_gt(memory_storage_sample_count(world.storage), 2000 * 5);
    end();
}
END_TEST

START_TEST(acts_ahead_of_the_morning)
{
    begin(monday);
    configure(", mode: act");
    run_until(monday + 9 * 3600000 - 60000);
    /* A minute before nine: with two minutes to start, the rise is being prepared. */
    ck_assert_uint_ge(sink_count(world.sink), 1);
    const struct tw_json *decision = newest_decision();
    ck_assert_int_ge(tw_json_int(tw_json_member(decision, "to"), -1), 3);
    run_until(monday + 20 * 3600000);
    size_t count = sink_count(world.sink);
    const char *last = sink_request(world.sink, count - 1);
    unit_assert_contains(last, "POST /scale ");
    unit_assert_contains(last, "Idempotency-Key: web-");
    unit_assert_contains(last, "X-Key: secret");
    unit_assert_contains(last, "{\"scaler\":\"web\",\"from\":");
    unit_assert_contains(last, "\"to\":2,");
    /* No key twice. */
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            ck_assert_ptr_null(strstr(strstr(sink_request(world.sink, i), "\r\n\r\n"),
                                      strstr(sink_request(world.sink, j), "\"idempotency_key\"")));
    end();
}
END_TEST

START_TEST(restart_sends_nothing_twice)
{
    begin(monday + 9 * 3600000);
    configure(", mode: act");
    run_until(monday + 10 * 3600000);
    size_t sent = sink_count(world.sink);
    ck_assert_uint_ge(sent, 1);
    close_manager();
    open_manager();
    configure(", mode: act");
    run_until(monday + 10 * 3600000 + 60000);
    ck_assert_uint_eq(sink_count(world.sink), sent);
    unit_assert_str(text_of(newest_decision(), "data"), "ok");
    end();
}
END_TEST

static void configure_pools(void)
{
    char text[1024];
    int port = sink_port(world.sink);
    snprintf(text, sizeof text,
             ", mode: act, pools: [{name: east, weight: 3, target: {webhook: {url: "
             "'http://127.0.0.1:%d/east', timeout: 2s}}}, {name: west, min: 1, target: {webhook: "
             "{url: 'http://127.0.0.1:%d/west', timeout: 2s}}}]",
             port, port);
    configure(text);
}

/* The newest number that went to a path; -1 when none did. */
static int64_t told(const char *path)
{
    int64_t last = -1;
    for (size_t i = 0; i < sink_count(world.sink); i++) {
        const char *request = sink_request(world.sink, i), *to = strstr(request, "\"to\":");
        if (strstr(request, path) && to)
            last = strtoll(to + 5, NULL, 10);
    }
    return last;
}

START_TEST(pools_share_what_is_decided)
{
    begin(monday + 9 * 3600000);
    configure_pools();
    run_until(monday + 12 * 3600000);
    const struct tw_json *decision = newest_decision();
    int64_t to = tw_json_int(tw_json_member(decision, "to"), -1);
    ck_assert_int_ge(to, 9);
    ck_assert_int_eq(told("POST /east") + told("POST /west"), to);
    ck_assert_int_eq(told("POST /east"), (3 * to + 2) / 4);
    unit_assert_contains(sink_request(world.sink, 0), "\"scaler\":\"web\",\"pool\":\"");
    const struct tw_json *shares = tw_json_member(tw_json_member(decision, "allocation"), "shares");
    ck_assert_uint_eq(tw_json_count(shares), 2);
    unit_assert_str(text_of(tw_json_item(shares, 0), "name"), "east");
    ck_assert_int_eq(tw_json_int(tw_json_member(tw_json_item(shares, 1), "after"), -1),
                     told("POST /west"));
    unit_assert_str(text_of(tw_json_item(shares, 0), "why"), "weight 3 of 4");
    const struct tw_json *pools =
        tw_json_member(tw_json_member(get("/api/v1/scalers/web", 200), "data"), "pools");
    unit_assert_str(text_of(tw_json_item(pools, 1), "state"), "serving");
    /* A restart says nothing that was said already. */
    size_t sent = sink_count(world.sink);
    close_manager();
    open_manager();
    configure_pools();
    run_until(monday + 12 * 3600000 + 60000);
    ck_assert_uint_eq(sink_count(world.sink), sent);
    /* Nor does a reload. */
    configure_pools();
    run_until(monday + 12 * 3600000 + 120000);
    ck_assert_uint_eq(sink_count(world.sink), sent);
    end();
}
END_TEST

START_TEST(a_budget_holds_over_a_restart)
{
    static const char *const money =
        ", mode: act, cost_per_hour: 1, budget: {per_day: 17.5, at_cap: hold}";
    begin(monday);
    configure(money);
    run_until(monday + 8 * 3600000);
    const struct tw_json *budget = tw_json_member(newest_decision(), "budget");
    unit_assert_str(text_of(budget, "at_cap"), "none");
    const struct tw_json *day = tw_json_member(budget, "day");
    ck_assert_double_eq_tol(tw_json_number(tw_json_member(day, "spent"), 0), 16, 0.3);
    ck_assert_double_ge(tw_json_number(tw_json_member(day, "forecast"), 0), 40);
    run_until(monday + 10 * 3600000);
    const struct tw_json *decision = newest_decision();
    ck_assert_int_eq(tw_json_int(tw_json_member(decision, "to"), -1), 2);
    ck_assert_int_ge(tw_json_int(tw_json_member(decision, "wanted"), -1), 9);
    unit_assert_str(text_of(tw_json_member(decision, "budget"), "at_cap"), "hold");
    const struct tw_json *guards = tw_json_member(decision, "guards");
    const struct tw_json *guard = tw_json_item(guards, tw_json_count(guards) - 1);
    unit_assert_str(text_of(guard, "guard"), "budget");
    unit_assert_contains(tw_json_string(tw_json_member(guard, "text"), TW_STR("")).data,
                         "17.5 of the day are spent");
    ck_assert_int_le(told("POST /scale"), 2);
    close_manager();
    open_manager();
    configure(money);
    run_until(monday + 11 * 3600000);
    decision = newest_decision();
    ck_assert_int_eq(tw_json_int(tw_json_member(decision, "to"), -1), 2);
    day = tw_json_member(tw_json_member(decision, "budget"), "day");
    ck_assert_double_eq_tol(tw_json_number(tw_json_member(day, "spent"), 0), 22, 0.3);
    /* Only saying so changes nothing; and a new day is a new budget. */
    configure(", mode: act, cost_per_hour: 1, budget: {per_day: 17.5, at_cap: alert}");
    run_until(monday + 11 * 3600000 + 60000);
    decision = newest_decision();
    ck_assert_int_ge(tw_json_int(tw_json_member(decision, "to"), -1), 9);
    unit_assert_str(text_of(tw_json_member(decision, "budget"), "at_cap"), "alert");
    run_until(monday + 24 * 3600000 + 30000);
    unit_assert_str(text_of(tw_json_member(newest_decision(), "budget"), "at_cap"), "none");
    end();
}
END_TEST

START_TEST(the_higher_priority_is_served_first)
{
    static const char text[] =
        "scalers:\n"
        "  - {name: low, load: load, capacity_per_replica: 100, min: 2, max: 50, history: 7d, "
        "cost_per_hour: 2, budget: {shared: shop, priority: 1}}\n"
        "  - {name: high, load: load, capacity_per_replica: 100, min: 1, max: 50, history: 7d, "
        "cost_per_hour: 2, budget: {shared: shop, priority: 5}}\n";
    const struct scale_shared_budget shop = {
        .name = TW_STR("shop"),
        .per_hour = 26,
        .replicas = INT64_MAX,
        .caps = {.caps = {INFINITY, INFINITY}},
    };
    begin(monday + 9 * 3600000);
    struct tw_arena *arena = tw_arena_new(1024);
    struct tw_yaml *root = NULL;
    struct tw_err err = {0};
    unit_assert_ok(tw_yaml_parse(arena, "t.yml", tw_str(text), &root, &err), &err);
    unit_assert_ok(
        scale_manager_load(world.manager, "t.yml", tw_yaml_member(root, "scalers"), &err), &err);
    scale_manager_set_budgets(world.manager, &shop, 1);
    tw_arena_free(arena);
    run_until(monday + 12 * 3600000);
    const struct tw_json *budgets =
        tw_json_member(tw_json_member(get("/api/v1/budgets", 200), "data"), "budgets");
    const struct tw_json *scalers = tw_json_member(tw_json_item(budgets, 0), "scalers");
    ck_assert_uint_eq(tw_json_count(scalers), 2);
    int64_t granted[2], need[2];
    for (size_t i = 0; i < 2; i++) {
        granted[i] = tw_json_int(tw_json_member(tw_json_item(scalers, i), "granted"), -1);
        need[i] = tw_json_int(tw_json_member(tw_json_item(scalers, i), "need"), -1);
        ck_assert_int_ge(need[i], 8);
    }
    ck_assert_int_eq(granted[1], need[1]);
    ck_assert_int_eq(granted[0], 13 - need[1]);
    const struct tw_json *low =
        tw_json_member(tw_json_member(get("/api/v1/scalers/low", 200), "data"), "decision");
    ck_assert_int_eq(tw_json_int(tw_json_member(low, "to"), -1), granted[0]);
    unit_assert_contains(tw_json_string(tw_json_member(low, "reason"), TW_STR("")).data,
                         "Money: budget shop allows");
    /* It is gone: so is its limit. */
    scale_manager_set_budgets(world.manager, NULL, 0);
    run_until(monday + 12 * 3600000 + 60000);
    low = tw_json_member(tw_json_member(get("/api/v1/scalers/low", 200), "data"), "decision");
    ck_assert_int_ge(tw_json_int(tw_json_member(low, "to"), -1), 8);
    end();
}
END_TEST

/* A scaler that takes steps asks for where it goes: its part stays the same. */
START_TEST(a_shared_part_is_steady)
{
    static const char text[] =
        "scalers:\n"
        "  - {name: big, load: load, capacity_per_replica: 10, max: 50, history: 7d, "
        "behavior: {scaleUp: {policies: [{type: Pods, value: 1, periodSeconds: 15}]}}, "
        "cost_per_hour: 1, budget: {shared: shop}}\n"
        "  - {name: small, load: load, capacity_per_replica: 10, max: 5, history: 7d, "
        "cost_per_hour: 1, budget: {shared: shop}}\n";
    const struct scale_shared_budget shop = {
        .name = TW_STR("shop"),
        .per_hour = INFINITY,
        .replicas = 30,
        .caps = {.caps = {INFINITY, INFINITY}},
    };
    begin(monday + 11 * 3600000);
    struct tw_arena *arena = tw_arena_new(1024);
    struct tw_yaml *root = NULL;
    struct tw_err err = {0};
    unit_assert_ok(tw_yaml_parse(arena, "t.yml", tw_str(text), &root, &err), &err);
    unit_assert_ok(
        scale_manager_load(world.manager, "t.yml", tw_yaml_member(root, "scalers"), &err), &err);
    scale_manager_set_budgets(world.manager, &shop, 1);
    tw_arena_free(arena);
    for (int k = 0; k < 20; k++) {
        run_until(monday + 12 * 3600000 + k * 15000);
        const struct tw_json *big =
            tw_json_member(tw_json_member(get("/api/v1/scalers/big", 200), "data"), "decision");
        ck_assert_int_eq(tw_json_int(tw_json_member(big, "to"), -1), 27);
    }
    end();
}
END_TEST

START_TEST(restart_sends_what_was_not_delivered_with_its_key)
{
    begin(monday + 12 * 3600000);
    sink_set_status(world.sink, 503);
    configure(", mode: act");
    run_until(monday + 12 * 3600000 + 5000);
    size_t sent = sink_count(world.sink);
    ck_assert_uint_ge(sent, 1);
    char key[128] = {0};
    sscanf(strstr(sink_request(world.sink, 0), "Idempotency-Key: "), "Idempotency-Key: %127s", key);
    close_manager();
    open_manager();
    sink_set_status(world.sink, 200);
    configure(", mode: act");
    run_until(monday + 12 * 3600000 + 30000);
    ck_assert_uint_eq(sink_count(world.sink), sent + 1);
    unit_assert_contains(sink_request(world.sink, sent), key);
    end();
}
END_TEST

START_TEST(retries_with_growing_pauses_then_delivers)
{
    begin(monday + 12 * 3600000);
    sink_set_status(world.sink, 500);
    configure(", mode: act");
    run_until(monday + 12 * 3600000 + 60000);
    size_t tried = sink_count(world.sink);
    ck_assert_uint_ge(tried, 5); /* after 0, 1, 3, 7, 15, 31 s */
    ck_assert_uint_le(tried, 8);
    const struct tw_json *root = get("/api/v1/scalers/web", 200);
    unit_assert_str(text_of(tw_json_member(root, "data"), "health"), "failed");
    sink_set_status(world.sink, 200);
    run_until(monday + 12 * 3600000 + 180000);
    ck_assert_uint_eq(sink_count(world.sink), tried + 1);
    root = get("/api/v1/scalers/web", 200);
    unit_assert_str(text_of(tw_json_member(root, "data"), "health"), "ok");
    end();
}
END_TEST

START_TEST(refusal_is_final_but_not_forgotten)
{
    begin(monday + 12 * 3600000);
    sink_set_status(world.sink, 403);
    configure(", mode: act");
    run_until(monday + 12 * 3600000 + 10000);
    ck_assert_uint_eq(sink_count(world.sink), 1);
    run_until(monday + 12 * 3600000 + 50000);
    ck_assert_uint_eq(sink_count(world.sink), 1);
    sink_set_status(world.sink, 200);
    run_until(monday + 12 * 3600000 + 200000); /* a new decision, a new key */
    ck_assert_uint_ge(sink_count(world.sink), 1);
    end();
}
END_TEST

START_TEST(a_target_that_does_not_follow_is_told_again)
{
    begin(monday + 12 * 3600000);
    world.replicas = 2;
    configure(", mode: act, replicas: replicas");
    run_until(monday + 12 * 3600000 + 120000);
    size_t sent = sink_count(world.sink);
    ck_assert_uint_ge(sent, 1);
    ck_assert_uint_le(sent, 4); /* as fast as behavior allows, each number once */
    run_until(monday + 12 * 3600000 + 600000);
    ck_assert_uint_gt(sink_count(world.sink), sent);
    ck_assert_uint_le(sink_count(world.sink), sent + 4);
    end();
}
END_TEST

START_TEST(missing_and_failing_data_hold)
{
    begin(monday);
    configure(", mode: act");
    run_until(monday + 12 * 3600000);
    int64_t before = tw_json_int(tw_json_member(newest_decision(), "to"), -1);
    size_t sent = sink_count(world.sink);
    world.code = TW_EXECUTION;
    run_until(monday + 14 * 3600000);
    const struct tw_json *decision = newest_decision();
    unit_assert_str(text_of(decision, "data"), "error");
    ck_assert_int_ge(tw_json_int(tw_json_member(decision, "to"), -1), before);
    ck_assert_int_eq(tw_json_type(tw_json_member(decision, "load")), TW_JSON_NULL);
    world.code = TW_OK;
    world.silent_since = monday + 14 * 3600000;
    run_until(monday + 14 * 3600000 + 150000);
    unit_assert_str(text_of(newest_decision(), "data"), "late");
    run_until(monday + 20 * 3600000);
    decision = newest_decision();
    unit_assert_str(text_of(decision, "data"), "missing");
    ck_assert_int_ge(tw_json_int(tw_json_member(decision, "to"), -1), before);
    ck_assert_uint_ge(sink_count(world.sink), sent);
    end();
}
END_TEST

START_TEST(without_any_knowledge_nobody_is_told)
{
    begin(monday + 12 * 3600000);
    world.silent_since = 0;
    configure(", mode: act");
    run_until(monday + 12 * 3600000 + 300000);
    ck_assert_uint_eq(sink_count(world.sink), 0);
    const struct tw_json *decision = newest_decision();
    unit_assert_str(text_of(tw_json_member(decision, "action"), "status"), "none");
    /* The first load that comes is acted upon: 900 are there, the minimum is 2. */
    world.silent_since = INT64_MAX / 2;
    run_until(monday + 12 * 3600000 + 400000);
    ck_assert_uint_eq(sink_count(world.sink), 1);
    unit_assert_contains(sink_request(world.sink, 0), "\"from\":null");
    ck_assert_int_ge(tw_json_int(tw_json_member(newest_decision(), "to"), -1), 9);
    end();
}
END_TEST

START_TEST(nothing_is_sent_that_is_not_stored) /* I1 */
{
    begin(monday + 12 * 3600000);
    configure(", mode: act");
    memory_storage_fail(world.storage, TW_OK, TW_NO_SPACE); /* series are lost, decisions are not */
    run_until(monday + 12 * 3600000 + 60000);
    ck_assert_uint_ge(sink_count(world.sink), 1);
    end();
}
END_TEST

START_TEST(bad_reload_changes_nothing) /* I3 */
{
    struct tw_err err = {0};
    begin(monday);
    configure("");
    run_until(monday + 600000);
    unit_assert_code(load(", quantile: 7", &err), TW_CONFIG);
    unit_assert_contains(err.message, "t.yml:2:");
    const struct tw_json *root = get("/api/v1/scalers", 200);
    ck_assert_uint_eq(tw_json_count(tw_json_member(tw_json_member(root, "data"), "scalers")), 1);
    configure(", quantile: 0.99");
    root = get("/api/v1/scalers/web", 200);
    ck_assert_double_eq(tw_json_number(tw_json_member(tw_json_member(root, "data"), "quantile"), 0),
                        0.99);
    /* The past was taken along. */
    ck_assert_double_gt(
        tw_json_number(tw_json_member(tw_json_member(root, "data"), "history_seconds"), 0), 500000);
    unit_assert_ok(scale_manager_load(world.manager, "t.yml", NULL, &err), &err);
    root = get("/api/v1/scalers", 200);
    ck_assert_uint_eq(tw_json_count(tw_json_member(tw_json_member(root, "data"), "scalers")), 0);
    ck_assert_int_eq(scale_manager_round(world.manager), INT64_MAX);
    end();
}
END_TEST

START_TEST(api_shape)
{
    begin(monday + 12 * 3600000);
    configure("");
    const struct tw_json *data = tw_json_member(get("/api/v1/scalers/web", 200), "data");
    unit_assert_str(text_of(data, "health"), "starting");
    ck_assert_int_eq(tw_json_type(tw_json_member(data, "forecast")), TW_JSON_NULL);
    ck_assert_int_eq(tw_json_type(tw_json_member(data, "decision")), TW_JSON_NULL);
    run_until(monday + 13 * 3600000);
    data = tw_json_member(get("/api/v1/scalers/web", 200), "data");
    const struct tw_json *forecast = tw_json_member(data, "forecast");
    const struct tw_json *quantiles = tw_json_member(forecast, "quantiles");
    ck_assert_uint_eq(tw_json_count(tw_json_member(forecast, "times")), 60);
    ck_assert_uint_eq(tw_json_count(tw_json_member(forecast, "mean")), 60);
    ck_assert_uint_eq(tw_json_count(quantiles), 5);
    ck_assert_uint_eq(tw_json_count(tw_json_member(quantiles, "0.95")), 60);
    ck_assert_uint_eq(tw_json_count(tw_json_member(tw_json_member(data, "load"), "values")), 360);
    ck_assert_double_eq_tol(
        tw_json_number(tw_json_item(tw_json_member(forecast, "times"), 0), 0),
        tw_json_number(tw_json_item(tw_json_member(tw_json_member(data, "load"), "times"), 359),
                       0) +
            60,
        1e-6);
    unit_assert_str(text_of(data, "mode"), "observe");
    (void)get("/api/v1/scalers/nobody", 404);
    (void)get("/api/v1/scalers/nobody/decisions", 404);
    (void)get("/api/v1/scalers/web/decisions?limit=0", 400);
    (void)get("/api/v1/scalers/web/decisions?limit=x", 400);
    const struct tw_json *decisions = tw_json_member(
        tw_json_member(get("/api/v1/scalers/web/decisions", 200), "data"), "decisions");
    ck_assert_uint_ge(tw_json_count(decisions), 1);
    const struct tw_json *newest = tw_json_item(decisions, 0);
    ck_assert_double_ge(tw_json_number(tw_json_member(newest, "time"), 0),
                        tw_json_number(tw_json_member(newest, "since"), 0));
    ck_assert_uint_gt(text_of(newest, "reason").size, 20);
    end();
}
END_TEST

START_TEST(clock_set_back_does_not_silence)
{
    begin(monday + 12 * 3600000);
    configure("");
    run_until(monday + 12 * 3600000 + 60000);
    close_manager();
    world.clock = tw_clock_manual_free(world.clock);
    world.clock = tw_clock_manual_new(monday + 10 * 3600000); /* two hours before what is stored */
    open_manager();
    configure("");
    int64_t due = scale_manager_round(world.manager);
    ck_assert_int_le(due, tw_clock_wall_ms(world.clock) + 15000);
    run_until(monday + 10 * 3600000 + 60000);
    const struct tw_json *data = tw_json_member(get("/api/v1/scalers/web", 200), "data");
    ck_assert_double_eq(tw_json_number(tw_json_member(tw_json_member(data, "decision"), "time"), 0),
                        (double)(monday / 1000 + 10 * 3600 + 60));
    end();
}
END_TEST

START_TEST(thread_starts_and_stops)
{
    begin(monday + 12 * 3600000);
    configure(", mode: act");
    struct tw_err err = {0};
    unit_assert_ok(scale_manager_start(world.manager, &err), &err);
    for (int i = 0; i < 100 && !sink_count(world.sink); i++) {
        (void)get("/api/v1/scalers/web", 200);
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    ck_assert_uint_ge(sink_count(world.sink), 1);
    configure(", mode: act, quantile: 0.9");
    scale_manager_stop(world.manager);
    scale_manager_stop(world.manager);
    unit_assert_ok(scale_manager_start(world.manager, &err), &err);
    end();
}
END_TEST

/* Pools are told by several threads, while the API looks and a reload comes. */
START_TEST(pools_on_threads)
{
    begin(monday + 12 * 3600000);
    configure_pools();
    struct tw_err err = {0};
    unit_assert_ok(scale_manager_start(world.manager, &err), &err);
    for (int i = 0; i < 200 && (told("POST /east") < 0 || told("POST /west") < 0); i++) {
        (void)get("/api/v1/scalers/web", 200);
        (void)get("/api/v1/budgets", 200);
        if (i == 1)
            configure_pools();
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    ck_assert_int_ge(told("POST /east"), 1);
    ck_assert_int_ge(told("POST /west"), 1);
    scale_manager_stop(world.manager);
    end();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE_SLOW(observes_and_calls_nobody, 120),
        UNIT_CASE_SLOW(acts_ahead_of_the_morning, 180),
        UNIT_CASE_SLOW(restart_sends_nothing_twice, 120),
        UNIT_CASE_SLOW(pools_share_what_is_decided, 120),
        UNIT_CASE_SLOW(a_budget_holds_over_a_restart, 180),
        UNIT_CASE_SLOW(the_higher_priority_is_served_first, 120),
        UNIT_CASE_SLOW(a_shared_part_is_steady, 120),
        UNIT_CASE_SLOW(restart_sends_what_was_not_delivered_with_its_key, 120),
        UNIT_CASE_SLOW(retries_with_growing_pauses_then_delivers, 120),
        UNIT_CASE_SLOW(refusal_is_final_but_not_forgotten, 120),
        UNIT_CASE_SLOW(a_target_that_does_not_follow_is_told_again, 120),
        UNIT_CASE_SLOW(missing_and_failing_data_hold, 180),
        UNIT_CASE(without_any_knowledge_nobody_is_told),
        UNIT_CASE_SLOW(nothing_is_sent_that_is_not_stored, 120),
        UNIT_CASE_SLOW(bad_reload_changes_nothing, 120),
        UNIT_CASE_SLOW(api_shape, 120),
        UNIT_CASE_SLOW(clock_set_back_does_not_silence, 120),
        UNIT_CASE_SLOW(thread_starts_and_stops, 120),
        UNIT_CASE_SLOW(pools_on_threads, 120),
        {0},
    };
    return unit_run("autoscaler/manager", cases);
}
