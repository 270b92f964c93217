/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/fleet.h"

#include <math.h>
#include <stdio.h>

#include "tests/lib/unit.h"

#define TICK_MS 15000
static struct tw_arena *arena;
static struct scale_settings *settings;
static struct scale_fleet *fleet;
static int64_t now;
static struct scale_decision decision, last_order;
static struct tw_err err;

static enum tw_code parse(const char *more)
{
    char text[2048];
    struct tw_yaml *root = NULL;
    size_t count = 0;
    tw_arena_free(arena);
    arena = tw_arena_new(4096);
    snprintf(text, sizeof text,
             "scalers: [{name: web, load: load, capacity_per_replica: 100, max: 50, %s}]\n", more);
    unit_assert_ok(tw_yaml_parse(arena, "t.yml", tw_str(text), &root, &err), &err);
    return scale_settings_parse(arena, "t.yml", tw_yaml_member(root, "scalers"), &settings, &count,
                                &err);
}

static void begin(const char *more)
{
    unit_assert_ok(parse(more), &err);
    scale_fleet_free(fleet);
    fleet = scale_fleet_new(settings);
    ck_assert_ptr_nonnull(fleet);
    now = 1000000000;
    memset(&last_order, 0, sizeof last_order);
}

static void decide(int64_t from, int64_t to)
{
    now += TICK_MS;
    memset(&decision, 0, sizeof decision);
    decision = (struct scale_decision){
        .time_ms = now, .from = from, .to = to, .load = 100 * (double)to, .replicas = from};
    scale_fleet_order(fleet, &decision);
    if (decision.key[0])
        last_order = decision;
}

/* What a member's target is asked and answers at this moment: an attempt or a look. */
static bool call(size_t member, enum scale_outcome outcome, int64_t replicas, int64_t ready)
{
    struct scale_attempt *attempt = scale_fleet_attempt(fleet, member, NULL, &last_order, now);
    if (!attempt)
        return false;
    attempt->outcome = outcome;
    if (outcome != SCALE_DONE)
        scale_attempt_fail(attempt, outcome, "it burns");
    attempt->replicas = replicas;
    attempt->ready = ready;
    ck_assert_uint_eq(scale_fleet_find(fleet, attempt->scaler), member);
    scale_fleet_settle(fleet, member, attempt, now, &last_order);
    scale_attempt_free(attempt);
    return true;
}

static int64_t share(size_t member)
{
    return decision.allocation.shares[member].after;
}

#define TWO                                                                                        \
    "mode: act, drain: {tries: 3, patience: 60s, probe: 60s}, pools: ["                            \
    "{name: east, weight: 3, max: 20, target: {exec: {set: [s], get: [g]}}, cost_per_hour: 2},"    \
    "{name: west, weight: 1, max: 20, target: {exec: {set: [s], get: [g]}}, cost_per_hour: 1}]"

START_TEST(each_pool_is_told_once)
{
    begin(TWO);
    decide(0, 8);
    ck_assert_int_eq(decision.action, SCALE_ACTION_PENDING);
    ck_assert_int_eq(share(0), 6);
    ck_assert_int_eq(share(1), 2);
    ck_assert_double_eq(decision.allocation.cost_per_hour, 14);
    ck_assert(call(0, SCALE_DONE, 6, 0));
    ck_assert_int_eq(last_order.action, SCALE_ACTION_PENDING);
    ck_assert(call(1, SCALE_DONE, 2, 0));
    ck_assert_int_eq(last_order.action, SCALE_ACTION_DELIVERED);
    decide(8, 8);
    ck_assert_int_eq(decision.action, SCALE_ACTION_NONE);
    ck_assert(call(0, SCALE_DONE, 6, 6));
    ck_assert(call(1, SCALE_DONE, 2, 2));
    ck_assert(!call(0, SCALE_DONE, 6, 6)); /* it was looked at this very moment */
    struct scale_observation observation = {.now_ms = now, .replicas = -1, .ready = -1};
    scale_fleet_fill(fleet, &observation);
    ck_assert_int_eq(observation.replicas, 8);
    ck_assert_int_eq(observation.ready, 8);
    /* Only the pool whose share changes hears of it. */
    decide(8, 9);
    ck_assert_int_eq(share(0), 7);
    ck_assert_int_eq(share(1), 2);
    ck_assert_int_eq(fleet->members[0].action, SCALE_ACTION_PENDING);
    ck_assert_int_eq(fleet->members[1].action, SCALE_ACTION_DELIVERED);
}
END_TEST

START_TEST(a_failing_pool_is_drained_and_comes_back)
{
    begin(TWO);
    decide(0, 8);
    ck_assert(call(1, SCALE_DONE, 2, 2));
    for (int k = 0; k < 3; k++) {
        now += 60000;
        ck_assert(call(0, SCALE_AGAIN, -1, -1));
    }
    ck_assert_int_eq(fleet->members[0].health.state, SCALE_POOL_OUT);
    (void)call(1, SCALE_DONE, 2, 2);
    decide(2, 8);
    ck_assert_int_eq(share(0), 0);
    ck_assert_int_eq(share(1), 8);
    unit_assert_contains(decision.allocation.shares[0].why, "out: it burns");
    unit_assert_contains(scale_fleet_error(fleet), "it burns");
    ck_assert(call(1, SCALE_DONE, 8, 8));
    (void)call(0, SCALE_AGAIN, -1, -1);
    /* The sum is known without it. */
    struct scale_observation observation = {.now_ms = now, .replicas = -1, .ready = -1};
    scale_fleet_fill(fleet, &observation);
    ck_assert_int_eq(observation.replicas, 2 + 6 * (fleet->members[1].seen.replicas == 8));
    /* A minute later it is probed with one replica, beside what is needed. */
    now += 60000;
    (void)call(1, SCALE_DONE, 8, 8);
    (void)call(1, SCALE_DONE, 8, 8);
    decide(8, 8);
    ck_assert_int_eq(fleet->members[0].health.state, SCALE_POOL_PROBING);
    ck_assert_int_eq(share(0), 1);
    ck_assert_int_eq(share(1), 8);
    ck_assert(call(0, SCALE_DONE, 1, 0));
    now += 1000;
    ck_assert(call(0, SCALE_DONE, 1, 1));
    ck_assert_int_eq(fleet->members[0].health.state, SCALE_POOL_PROBING);
    now += TICK_MS;
    ck_assert(call(0, SCALE_DONE, 1, 1));
    ck_assert_int_eq(fleet->members[0].health.state, SCALE_POOL_SERVING);
    decide(8, 8);
    ck_assert_int_eq(share(0), 6);
    ck_assert_int_eq(share(1), 2);
    ck_assert_str_eq(scale_fleet_error(fleet), "");
}
END_TEST

START_TEST(what_serves_there_stays_until_the_others_came_up)
{
    begin(TWO);
    decide(0, 8);
    ck_assert(call(0, SCALE_DONE, 6, 4));
    ck_assert(call(1, SCALE_DONE, 2, 2));
    /* Four of the six come up, and no more. */
    for (int k = 0; k < 40 && fleet->members[0].health.state == SCALE_POOL_SERVING; k++) {
        decide(8, 8);
        while (call(0, SCALE_DONE, 6, 4) || call(1, SCALE_DONE, 2, 2))
            ;
    }
    ck_assert_int_eq(fleet->members[0].health.state, SCALE_POOL_OUT);
    decide(8, 8);
    ck_assert_int_eq(share(0), 4);
    ck_assert_int_eq(share(1), 8);
    while (call(0, SCALE_DONE, 4, 4) || call(1, SCALE_DONE, 8, 8))
        ;
    now += 1000;
    (void)call(1, SCALE_DONE, 8, 8);
    decide(8, 8);
    ck_assert_int_eq(share(0), 0);
}
END_TEST

START_TEST(what_serves_there_stays_while_nobody_can_ask)
{
    begin(TWO);
    decide(0, 8);
    ck_assert(call(0, SCALE_DONE, 6, 6));
    ck_assert(call(1, SCALE_DONE, 2, 2));
    now += 1000;
    ck_assert(call(0, SCALE_DONE, 6, 6));
    /* The target of the first cannot be reached; its replicas go on. */
    for (int k = 0; k < 3; k++) {
        now += TICK_MS;
        ck_assert(call(0, SCALE_AGAIN, -1, -1));
    }
    ck_assert_int_eq(fleet->members[0].health.state, SCALE_POOL_OUT);
    (void)call(1, SCALE_DONE, 2, 2);
    decide(8, 8);
    ck_assert_int_eq(share(0), 6);
    ck_assert_int_eq(share(1), 8);
    struct scale_observation observation = {.now_ms = now, .replicas = -1, .ready = -1};
    scale_fleet_fill(fleet, &observation);
    ck_assert_int_eq(observation.replicas, 8);
    ck_assert_int_eq(observation.ready, 8);
    ck_assert(!fleet->members[0].under_way && fleet->members[0].to == 6);
    ck_assert_int_eq(fleet->members[0].action, SCALE_ACTION_DELIVERED);
    /* Nor does a probe take them away, as long as the others' have not come up. */
    ck_assert(call(1, SCALE_DONE, 8, 2));
    now += 31000;
    (void)call(1, SCALE_DONE, 8, 2);
    decide(8, 8);
    ck_assert_int_eq(fleet->members[0].health.state, SCALE_POOL_PROBING);
    ck_assert_int_eq(share(0), 6);
    now += 1000;
    ck_assert(call(1, SCALE_DONE, 8, 8));
    decide(8, 8);
    ck_assert_int_eq(share(0), 1);
}
END_TEST

START_TEST(a_restart_goes_on)
{
    begin(TWO);
    decide(0, 8);
    ck_assert(call(0, SCALE_DONE, 6, 6));
    ck_assert(call(1, SCALE_AGAIN, -1, -1));
    ck_assert(fleet->changed);
    struct tw_buf bytes;
    tw_buf_init(&bytes, 65536);
    scale_fleet_encode(fleet, &bytes);
    ck_assert(!fleet->changed);
    char key[SCALE_KEY_BYTES];
    memcpy(key, fleet->members[1].key, sizeof key);
    scale_fleet_free(fleet);
    fleet = scale_fleet_new(settings);
    for (size_t size = 0; size < bytes.size; size++) {
        struct scale_fleet *other = scale_fleet_new(settings);
        ck_assert(!scale_fleet_decode(other, tw_str_slice(tw_buf_str(&bytes), 0, size), now));
        scale_fleet_free(other);
    }
    ck_assert(scale_fleet_decode(fleet, tw_buf_str(&bytes), now));
    tw_buf_fini(&bytes);
    ck_assert_int_eq(fleet->members[0].action, SCALE_ACTION_DELIVERED);
    ck_assert_int_eq(fleet->members[1].action, SCALE_ACTION_PENDING);
    ck_assert_str_eq(fleet->members[1].key, key);
    ck_assert_int_eq(scale_fleet_due(fleet), now);
    decide(6, 8); /* the same shares: nothing new is said */
    ck_assert_int_eq(decision.action, SCALE_ACTION_NONE);
}
END_TEST

START_TEST(types_are_mixed)
{
    begin(
        "mode: act, requests: {cpu: 1.5, memory: 6GiB}, limits: {cpu: 40, count: 9}, types: ["
        "{name: small, cpu: 4, memory: 16GiB, cost_per_hour: 0.17, target: {exec: {set: [s], get: "
        "[g]}}}, {name: large, cpu: 16, memory: 64GiB, cost_per_hour: 0.61, target: {exec: {set: "
        "[s], get: [g]}}}]");
    ck_assert_int_eq(settings->fleet.members[0].carries, 2);
    ck_assert_int_eq(settings->fleet.members[1].carries, 10);
    decide(0, 13);
    ck_assert_int_eq(share(0), 2); /* 0.95 an hour; two large ones are 1.22 */
    ck_assert_int_eq(share(1), 1);
    ck_assert_int_eq(decision.allocation.placed, 14);
    ck_assert_double_eq_tol(decision.allocation.cost_per_hour, 0.95, 1e-9);
    unit_assert_contains(decision.allocation.text, "no cheaper mix carries 13");
    unit_assert_contains(decision.allocation.shares[1].why, "10 replicas each, 0.061 per");
    ck_assert(call(0, SCALE_DONE, 2, 2));
    ck_assert(call(1, SCALE_DONE, 1, 0));
    now += 1000;
    ck_assert(call(0, SCALE_DONE, 2, 2));
    ck_assert(call(1, SCALE_DONE, 1, 0));
    struct scale_observation observation = {.now_ms = now, .replicas = -1, .ready = -1};
    scale_fleet_fill(fleet, &observation);
    ck_assert_int_eq(observation.replicas,
                     13); /* what instances carry beyond it was not asked for */
    ck_assert_int_eq(observation.ready, 4);
    /* The limits hold, and are named. */
    decide(13, 40);
    ck_assert_int_eq(decision.allocation.placed, 24);
    unit_assert_contains(decision.allocation.text, "24 of 40");
    /* One that fails is left out. */
    for (int k = 0; k < 3; k++) {
        now += 60000;
        (void)call(1, SCALE_AGAIN, -1, -1);
    }
    decide(13, 13);
    ck_assert_int_eq(share(0), 7);
    ck_assert_int_eq(share(1), 0);
}
END_TEST

START_TEST(only_watching_tells_nobody)
{
    begin("pools: [{name: a, target: {exec: {set: [s], get: [g]}}}, {name: b, target: {exec: {set: "
          "[s], get: [g]}}}]");
    decide(4, 6);
    ck_assert_int_eq(decision.action, SCALE_ACTION_OBSERVED);
    ck_assert_int_eq(scale_fleet_due(fleet), INT64_MAX);
    ck_assert(call(0, SCALE_DONE, 4, 4)); /* a look */
    ck_assert_int_eq(fleet->members[0].seen.replicas, 4);
    ck_assert_int_eq(share(0), 3);
}
END_TEST

START_TEST(mistakes)
{
    static const char *const wrong[][2] = {
        {"pools: [{name: a, weight: -1}]", "weight has to be at least 0"},
        {"pools: [{name: a, weight: 0}]", "a weight above 0"},
        {"pools: [{name: a}, {name: a}]", "two pools of the name 'a'"},
        {"pools: [{name: a, cpu: 3}]", "cpu"},
        {"pools: []", "1 to 16"},
        {"pools: [{name: a, min: 60}]", "more than the scaler's max"},
        {"pools: [{name: a, min: 3, max: 2}]", "min (3) is more than max (2)"},
        {"pools: [{name: a}], target: {exec: {set: [x]}}", "its own target"},
        {"pools: [{name: a, target: {exec: {set: [x]}}}, {name: b}]", "some have none"},
        {"pools: [{name: a}], mode: act", "each pool or type needs a target"},
        {"pools: [{name: a}], limits: {cpu: 3}", "limits goes with types"},
        {"drain: {tries: 3}", "drain goes with pools or types"},
        {"pools: [{name: a}], drain: {tries: 0}", "tries"},
        {"pools: [{name: a}], types: [{name: b}]", "both are given"},
        {"types: [{name: a, replicas: 1}]", "cost_per_hour is missing"},
        {"types: [{name: a, cost_per_hour: 1}]", "how many replicas"},
        {"types: [{name: a, cost_per_hour: 1, cpu: 1}], requests: {cpu: 2}", "too small"},
        {"types: [{name: a, cost_per_hour: 1, replicas: 2}], limits: {cpu: 9}",
         "say the cpu of an instance"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        unit_assert_code(parse(wrong[i][0]), TW_CONFIG);
        unit_assert_contains(err.message, wrong[i][1]);
        unit_assert_contains(err.message, "t.yml:1:");
    }
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(each_pool_is_told_once),
                                      UNIT_CASE(a_failing_pool_is_drained_and_comes_back),
                                      UNIT_CASE(what_serves_there_stays_while_nobody_can_ask),
                                      UNIT_CASE(what_serves_there_stays_until_the_others_came_up),
                                      UNIT_CASE(a_restart_goes_on),
                                      UNIT_CASE(types_are_mixed),
                                      UNIT_CASE(only_watching_tells_nobody),
                                      UNIT_CASE(mistakes),
                                      {0}};
    return unit_run("autoscaler/fleet", cases);
}
