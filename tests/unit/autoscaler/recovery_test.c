/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/recovery.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/unit.h"

#define TICK_MS 15000
#define ALLOWED_MS 180000

static struct world {
    struct scale_recovery recovery;
    struct scale_settings settings;
    struct scale_recovery_news news;
    int64_t now_ms;
    char names[200][8];
    bool well[200], heard[200];
    size_t count;
    unsigned replaced, overdue, given_up, observed, acts;
    char last[SCALE_PATIENT_NAME_BYTES]; /* acted upon */
} world;

static void begin(size_t count)
{
    world = (struct world){.count = count, .now_ms = INT64_C(1767571200000)};
    scale_settings_init(&world.settings);
    world.settings.name = TW_STR("web");
    world.settings.recovery.instances = TW_STR("up");
    world.settings.recovery.mode = SCALE_ACT;
    for (size_t i = 0; i < count; i++) {
        snprintf(world.names[i], sizeof world.names[i], "i%zu", i);
        world.well[i] = world.heard[i] = true;
    }
}

static void tick(void)
{
    struct scale_instance instances[200];
    size_t count = 0;
    for (size_t i = 0; i < world.count; i++)
        if (world.heard[i])
            instances[count++] = (struct scale_instance){tw_str(world.names[i]), world.well[i]};
    scale_recovery_look(&world.recovery, &world.settings, world.now_ms, instances, count, -1,
                        ALLOWED_MS, &world.news);
    world.replaced += world.news.replaced;
    world.overdue += world.news.overdue;
    world.given_up += world.news.given_up;
    world.observed += world.news.observed;
    if (world.news.act >= 0) {
        world.acts++;
        memcpy(world.last, world.recovery.patients[world.news.act].name, sizeof world.last);
    }
    world.now_ms += TICK_MS;
}

static void run_for(int64_t span_ms)
{
    for (int64_t until = world.now_ms + span_ms; world.now_ms < until;)
        tick();
}

START_TEST(one_that_fails_is_replaced_after_a_while)
{
    begin(10);
    run_for(60000);
    world.well[3] = false;
    run_for(105000);
    ck_assert_uint_eq(world.acts, 0); /* it may yet come back */
    run_for(45000);
    ck_assert_uint_eq(world.acts, 1);
    ck_assert_str_eq(world.last, "i3");
    ck_assert_uint_eq(world.news.replaced, 0);
    world.well[3] = true;
    run_for(30000);
    ck_assert_uint_eq(world.replaced, 1);
    ck_assert_uint_eq(world.recovery.patient_count, 0);
    run_for(3600000);
    ck_assert_uint_eq(world.acts, 1);
}
END_TEST

START_TEST(one_that_comes_back_by_itself_is_left_alone)
{
    begin(10);
    world.well[3] = false;
    run_for(60000);
    world.well[3] = true;
    run_for(30000);
    world.well[3] = false; /* and fails anew: its time begins anew */
    run_for(105000);
    ck_assert_uint_eq(world.acts, 0);
}
END_TEST

START_TEST(another_name_takes_its_place)
{
    begin(11);
    world.heard[10] = false;
    world.well[3] = false;
    run_for(150000);
    ck_assert_uint_eq(world.acts, 1);
    world.heard[3] = false; /* the pod is gone */
    run_for(60000);
    ck_assert_uint_eq(world.replaced, 0);
    world.heard[10] = true; /* its successor serves */
    run_for(15000);
    ck_assert_uint_eq(world.replaced, 1);
}
END_TEST

START_TEST(never_more_than_a_share_at_once)
{
    begin(20);
    for (size_t i = 0; i < 8; i++)
        world.well[i] = false;
    run_for(300000 - TICK_MS);
    ck_assert_uint_eq(world.acts, 4); /* a fifth of twenty, and none of them is back */
    unit_assert_contains(world.recovery.held, "max_share");
    for (size_t i = 0; i < 4; i++)
        world.well[i] = true;
    world.settings.recovery.max_per_hour = 5;
    run_for(60000);
    ck_assert_uint_eq(world.acts, 5);
    unit_assert_contains(world.recovery.held, "max_per_hour");
    run_for(3600000);
    ck_assert_uint_gt(world.acts, 5);
}
END_TEST

START_TEST(of_a_few_one_at_a_time)
{
    begin(3);
    world.well[0] = false;
    run_for(180000);
    ck_assert_uint_eq(world.acts, 1);
}
END_TEST

START_TEST(when_most_fail_it_is_not_they)
{
    begin(10);
    for (size_t i = 0; i < 6; i++)
        world.well[i] = false;
    run_for(3600000);
    ck_assert_uint_eq(world.acts, 0);
    unit_assert_contains(world.recovery.held, "max_failing");
    world.well[0] = true;
    run_for(15000);
    ck_assert_uint_eq(world.acts, 1);
}
END_TEST

START_TEST(nothing_is_taken_out_while_few_are_well)
{
    begin(4);
    world.settings.recovery.min_healthy = 4;
    world.well[0] = false;
    run_for(3600000);
    ck_assert_uint_eq(world.acts, 0);
    unit_assert_contains(world.recovery.held, "min_healthy");
}
END_TEST

START_TEST(who_is_not_heard_of_does_not_fail)
{
    begin(10);
    for (size_t i = 0; i < 10; i++)
        world.heard[i] = false;
    run_for(3600000);
    world.heard[0] = true;
    run_for(3600000);
    ck_assert_uint_eq(world.acts, 0);
    ck_assert_int_eq(world.recovery.failing, 0);
}
END_TEST

START_TEST(replacements_that_do_not_serve_are_given_up)
{
    begin(10);
    world.well[3] = false;
    run_for(7200000);
    ck_assert_uint_eq(world.acts, 3);
    ck_assert_uint_eq(world.overdue, 3);
    ck_assert_uint_eq(world.given_up, 1);
    ck_assert_int_eq(world.recovery.patients[0].state, SCALE_PATIENT_GIVEN_UP);
    world.well[3] = true; /* somebody looked */
    run_for(15000);
    ck_assert_uint_eq(world.recovery.patient_count, 0);
}
END_TEST

START_TEST(a_target_that_refuses_is_asked_with_pauses)
{
    begin(10);
    world.well[3] = false;
    run_for(120000 + TICK_MS);
    ck_assert_uint_eq(world.acts, 1);
    scale_recovery_fail(&world.recovery, "i3");
    run_for(45000);
    ck_assert_uint_eq(world.acts, 1);
    run_for(30000);
    ck_assert_uint_eq(world.acts, 2);
    scale_recovery_fail(&world.recovery, "i3");
    run_for(75000);
    ck_assert_uint_eq(world.acts, 3);
    scale_recovery_fail(&world.recovery, "i3");
    run_for(3600000);
    ck_assert_uint_eq(world.acts, 3);
    ck_assert_uint_eq(world.given_up, 1);
}
END_TEST

START_TEST(who_observes_does_nothing_and_says_so_once)
{
    begin(10);
    world.settings.recovery.mode = SCALE_OBSERVE;
    world.well[3] = world.well[4] = false;
    run_for(3600000);
    ck_assert_uint_eq(world.acts, 0);
    ck_assert_uint_eq(world.observed, 2);
}
END_TEST

START_TEST(more_than_can_be_told_at_once_is_told_later)
{
    begin(200);
    world.settings.recovery.mode = SCALE_OBSERVE;
    for (size_t i = 0; i < 100; i++)
        world.well[i] = false;
    run_for(120000);
    tick();
    ck_assert_uint_eq(world.news.audit_count, SCALE_RECOVERY_NOTES_MAX);
    run_for(600000);
    ck_assert_uint_eq(world.observed, 100);
}
END_TEST

START_TEST(a_restart_waits_for_what_was_done)
{
    struct tw_err err = {0};
    struct tsdb_state *state = NULL;
    unit_assert_ok(tsdb_state_open(unit_folder(), &state, &err), &err);
    begin(10);
    world.well[3] = false;
    run_for(150000);
    ck_assert_uint_eq(world.acts, 1);
    unit_assert_ok(scale_recovery_write(state, world.settings.name, &world.recovery, NULL, 0, &err),
                   &err);
    memset(&world.recovery, 0xff, sizeof world.recovery);
    unit_assert_ok(scale_recovery_read(state, world.settings.name, &world.recovery, &err), &err);
    ck_assert_int_eq(world.recovery.patients[0].state, SCALE_PATIENT_UNDER_WAY);
    ck_assert_uint_eq(world.recovery.act_count, 1);
    run_for(60000);
    ck_assert_uint_eq(world.acts, 1);
    world.well[3] = true;
    tick();
    ck_assert_uint_eq(world.replaced, 1);
    unit_assert_ok(scale_recovery_read(state, TW_STR("nobody"), &world.recovery, &err), &err);
    ck_assert_uint_eq(world.recovery.patient_count, 0);
    state = tsdb_state_close(state);
}
END_TEST

START_TEST(the_clock_is_set_back)
{
    begin(10);
    world.well[3] = false;
    run_for(90000);
    world.now_ms -= 86400000;
    run_for(105000);
    ck_assert_uint_eq(world.acts, 0);
    run_for(45000);
    ck_assert_uint_eq(world.acts, 1);
    world.now_ms -= 86400000;
    run_for(ALLOWED_MS + TICK_MS);
    ck_assert_uint_eq(world.overdue, 1);
}
END_TEST

/* ---- the configuration ---- */

static enum tw_code parse(const char *recovery, const char *target, struct tw_err *err)
{
    char text[1024];
    struct tw_arena *arena = tw_arena_new(1024);
    struct tw_yaml *root = NULL;
    struct scale_settings *items;
    size_t count;
    snprintf(text, sizeof text,
             "scalers: [{name: web, load: x, capacity_per_replica: 1, max: 9%s, recovery: %s}]",
             target, recovery);
    enum tw_code code = tw_yaml_parse(arena, "t.yml", tw_str(text), &root, err);
    if (code == TW_OK)
        code = scale_settings_parse(arena, "t.yml", tw_yaml_member(root, "scalers"), &items, &count,
                                    err);
    tw_arena_free(arena);
    return code;
}

START_TEST(mistakes_are_named_with_their_cure)
{
    static const struct {
        const char *recovery, *word;
    } cases[] = {
        {"{}", "recovery needs instances"},
        {"{instances: '!'}", "instances:"},
        {"{instances: up, label: ''}", "label names"},
        {"{instances: up, mode: dry}", "use observe or act"},
        {"{instances: up, mode: act}", "a target is needed"},
        {"{instances: up, for: 2d}", "0s to 1d"},
        {"{instances: up, max_share: 0}", "max_share is a share"},
        {"{instances: up, max_failing: 1.5}", "max_failing is a share"},
        {"{instances: up, max_per_hour: 61}", "max_per_hour"},
        {"{instances: up, attempts: 0}", "attempts"},
        {"{instances: up, max_shares: 1}", "max_share"},
        {"3", "recovery"},
    };
    struct tw_err err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(parse(cases[i].recovery, "", &err), TW_CONFIG);
        unit_assert_contains(err.message, cases[i].word);
        unit_assert_contains(err.message, "t.yml:1:");
    }
    const char *target = ", target: {exec: {set: [a]}}";
    ck_assert_int_eq(parse("{instances: up, mode: act}", target, &err), TW_CONFIG);
    unit_assert_contains(err.message, "replace: [program");
    target = ", target: {exec: {set: [a], replace: [b, '{instance}']}}";
    unit_assert_ok(parse("{instances: up, mode: act}", target, &err), &err);
    unit_assert_ok(parse("{instances: up}", "", &err), &err);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(one_that_fails_is_replaced_after_a_while),
        UNIT_CASE(one_that_comes_back_by_itself_is_left_alone),
        UNIT_CASE(another_name_takes_its_place),
        UNIT_CASE(never_more_than_a_share_at_once),
        UNIT_CASE(of_a_few_one_at_a_time),
        UNIT_CASE(when_most_fail_it_is_not_they),
        UNIT_CASE(nothing_is_taken_out_while_few_are_well),
        UNIT_CASE(who_is_not_heard_of_does_not_fail),
        UNIT_CASE(replacements_that_do_not_serve_are_given_up),
        UNIT_CASE(a_target_that_refuses_is_asked_with_pauses),
        UNIT_CASE(who_observes_does_nothing_and_says_so_once),
        UNIT_CASE(more_than_can_be_told_at_once_is_told_later),
        UNIT_CASE(a_restart_waits_for_what_was_done),
        UNIT_CASE(the_clock_is_set_back),
        UNIT_CASE(mistakes_are_named_with_their_cure),
        {0},
    };
    return unit_run("autoscaler/recovery", cases);
}
