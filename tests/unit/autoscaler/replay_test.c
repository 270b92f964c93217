/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/replay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autoscaler/hpa.h"
#include "tests/lib/unit.h"

#define MINUTES (3 * 1440)
#define START_MS INT64_C(1767225600000)

static struct scale_plant_settings plant_settings(void)
{
    struct scale_plant_settings settings;
    scale_plant_settings_init(&settings, 64, 0.8);
    settings.spread = 0;
    return settings;
}

/* ---- plant ---- */

START_TEST(replicas_serve_after_their_start_up)
{
    struct scale_plant_settings settings = plant_settings();
    struct scale_plant *plant = scale_plant_new(&settings, 2, 1);
    struct scale_plant_step step;
    scale_plant_order(plant, 0, 5);
    scale_plant_step(plant, 119000, 1000, 64, &step);
    ck_assert_int_eq(step.asked, 5);
    ck_assert_int_eq(step.ready, 2);
    scale_plant_step(plant, 120000, 1000, 64, &step);
    ck_assert_int_eq(step.ready, 5);
    ck_assert_int_eq(scale_plant_ready_since(plant, 119999), 2);
    ck_assert_int_eq(scale_plant_ready_since(plant, 120000), 5);
    scale_plant_free(plant);
}
END_TEST

START_TEST(scale_in_takes_those_first_that_still_start)
{
    struct scale_plant_settings settings = plant_settings();
    struct scale_plant *plant = scale_plant_new(&settings, 3, 1);
    struct scale_plant_step step;
    scale_plant_order(plant, 0, 6);
    scale_plant_order(plant, 5000, 4);
    scale_plant_step(plant, 5000, 1000, 1, &step);
    ck_assert_int_eq(step.asked, 4);
    ck_assert_int_eq(step.ready, 3);
    scale_plant_order(plant, 6000, 1);
    scale_plant_step(plant, 6000, 1000, 1, &step);
    ck_assert_int_eq(step.asked, 1);
    ck_assert_int_eq(step.ready, 1);
    scale_plant_free(plant);
}
END_TEST

START_TEST(at_capacity_the_objective_is_just_met)
{
    struct scale_plant_settings settings = plant_settings();
    struct scale_plant *plant = scale_plant_new(&settings, 10, 1);
    struct scale_plant_step step;
    scale_plant_step(plant, 0, 5000, 640, &step);
    ck_assert_double_lt(step.violated, 0.001 * step.arrived);
    ck_assert_double_gt(step.violated, 0.0001 * step.arrived);
    ck_assert_double_eq_tol(step.busy, 0.8, 1e-9);
    ck_assert_int_eq(scale_plant_need(&settings, 640), 10);
    ck_assert_int_eq(scale_plant_need(&settings, 640.1), 11);
    ck_assert_int_eq(scale_plant_need(&settings, 0), 0);
    scale_plant_free(plant);
}
END_TEST

START_TEST(what_is_too_much_waits_and_then_goes)
{
    struct scale_plant_settings settings = plant_settings();
    struct scale_plant *plant = scale_plant_new(&settings, 10, 1); /* do 800 */
    struct scale_plant_step step;
    scale_plant_step(plant, 0, 5000, 900, &step);
    ck_assert_double_eq_tol(step.queue, 500, 1e-9);
    ck_assert_double_eq_tol(step.waiting_ms, 625, 1e-9);
    ck_assert_double_eq_tol(step.busy, 1, 1e-9);
    for (int i = 1; i < 20; i++)
        scale_plant_step(plant, 5000 * i, 5000, 900, &step);
    ck_assert_double_eq_tol(step.queue, 4000, 1e-6); /* as much as is done within the time-out */
    ck_assert_double_eq_tol(step.violated, step.arrived, 1e-6);
    scale_plant_step(plant, 100000, 5000, 100, &step);
    ck_assert_double_eq_tol(step.queue, 500, 1e-6); /* and drains */
    scale_plant_free(plant);
}
END_TEST

START_TEST(no_replica_serves_nobody)
{
    struct scale_plant_settings settings = plant_settings();
    struct scale_plant *plant = scale_plant_new(&settings, 0, 1);
    struct scale_plant_step step;
    scale_plant_step(plant, 0, 5000, 10, &step);
    ck_assert_double_eq_tol(step.violated, step.arrived, 1e-9);
    ck_assert_double_eq_tol(step.queue, 0, 1e-9);
    scale_plant_free(plant);
}
END_TEST

/* ---- HPA ---- */

START_TEST(hpa_keeps_to_its_documentation)
{
    struct scale_hpa hpa;
    scale_hpa_init(&hpa, 1, 50);
    ck_assert_int_eq(scale_hpa_decide(&hpa, 0, 10, 10, 0.76, 0.7), 10); /* within 10 % */
    ck_assert_int_eq(scale_hpa_decide(&hpa, 15000, 10, 10, 0.84, 0.7), 12);
    ck_assert_int_eq(scale_hpa_decide(&hpa, 30000, 10, 10, NAN, 0.7), 10); /* nothing known */
    /* Those that start are idle: 8 of 12 at 0.84 are 0.56 of 12. */
    ck_assert_int_eq(scale_hpa_decide(&hpa, 45000, 12, 8, 0.84, 0.7), 12);
    ck_assert_int_eq(scale_hpa_decide(&hpa, 600000, 3, 3, 7, 0.7), 7);     /* +4 in 15 s */
    ck_assert_int_eq(scale_hpa_decide(&hpa, 900000, 10, 10, 7, 0.7), 20);  /* or twice */
    ck_assert_int_eq(scale_hpa_decide(&hpa, 1800000, 40, 40, 7, 0.7), 50); /* at most max */
    /* In only to what nobody needed for 5 minutes. */
    scale_hpa_init(&hpa, 1, 50);
    ck_assert_int_eq(scale_hpa_decide(&hpa, 0, 20, 20, 0.7, 0.7), 20);
    ck_assert_int_eq(scale_hpa_decide(&hpa, 150000, 20, 20, 0.35, 0.7), 20);
    ck_assert_int_eq(scale_hpa_decide(&hpa, 299000, 20, 20, 0.07, 0.7), 20);
    ck_assert_int_eq(scale_hpa_decide(&hpa, 301000, 20, 20, 0.07, 0.7), 10);
    ck_assert_int_eq(scale_hpa_decide(&hpa, 700000, 10, 10, 0, 0.7), 1); /* at least min */
}
END_TEST

/* ---- replay ---- */

static double *days(double (*load)(double minute))
{
    double *values = calloc(MINUTES, sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (size_t i = 0; i < MINUTES; i++)
        values[i] = load((double)i);
    return values;
}

static double wave(double minute)
{
    return 1000 - 800 * cos(minute / 1440 * 2 * M_PI) + 7 * sin(minute * 1.7);
}

static double restless(double minute)
{
    return wave(minute) * (1 + 0.15 * sin(minute * minute * 0.37));
}

/* Office hours: at nine it is four times as much. */
static double office(double minute)
{
    double of_day = fmod(minute, 1440);
    return (of_day >= 540 && of_day < 1020 ? 2000 : 500) + 5 * sin(minute * 1.3);
}

static struct scale_replay replay_of(const struct scale_settings *settings, const double *load)
{
    return (struct scale_replay){.settings = settings,
                                 .plant = plant_settings(),
                                 .load = load,
                                 .count = MINUTES,
                                 .scored = 1440,
                                 .last_ms = START_MS + MINUTES * INT64_C(60000),
                                 .step_ms = 60000,
                                 .hpa_target = 0.7,
                                 .all_known = true,
                                 .seed = 1};
}

static struct scale_settings settings_of(void)
{
    struct scale_settings settings;
    scale_settings_init(&settings);
    settings.capacity = 64;
    settings.max = 100;
    return settings;
}

static struct scale_replay_score score_of(const struct scale_replay *replay,
                                          enum scale_contender contender)
{
    struct scale_replay_score score;
    struct tw_err err;
    ck_assert_int_eq(scale_replay_run(replay, contender, &score, &err), TW_OK);
    return score;
}

START_TEST(a_wave_is_followed_at_less_cost_than_by_the_hpa)
{
    double *load = days(wave);
    struct scale_settings settings = settings_of();
    struct scale_replay replay = replay_of(&settings, load);
    struct scale_replay_score own = score_of(&replay, SCALE_CONTENDER_SCALER);
    struct scale_replay_score hpa = score_of(&replay, SCALE_CONTENDER_HPA_LOAD);
    struct scale_replay_score fixed = score_of(&replay, SCALE_CONTENDER_FIXED);
    struct scale_replay_score oracle = score_of(&replay, SCALE_CONTENDER_ORACLE);
    ck_assert_double_eq_tol(own.minutes, 1440, 1e-6);
    ck_assert_double_lt(own.violated_percent, 0.1);
    ck_assert_double_lt(own.replica_hours, hpa.replica_hours);
    ck_assert_double_lt(oracle.replica_hours, own.replica_hours);
    ck_assert_double_lt(oracle.violated_percent, 0.1);
    ck_assert_double_eq_tol(fixed.replica_hours, 24 * (double)fixed.peak, 1e-6);
    ck_assert_int_eq(fixed.changes, 0);
    ck_assert_int_eq(own.held, 0);
    ck_assert_int_eq(own.decisions, 5760);
    free(load);
}
END_TEST

START_TEST(who_reacts_is_short_of_replicas_at_nine)
{
    double *load = days(office);
    struct scale_settings settings = settings_of();
    struct scale_replay replay = replay_of(&settings, load);
    struct scale_replay_score own = score_of(&replay, SCALE_CONTENDER_SCALER);
    struct scale_replay_score hpa = score_of(&replay, SCALE_CONTENDER_HPA_CPU);
    ck_assert_double_gt(hpa.violated_percent, 0.5);
    ck_assert_int_gt(hpa.violated_minutes, 3);
    ck_assert_double_gt(hpa.under_minutes, 3);
    ck_assert_double_gt(hpa.recovery_s, 120);
    ck_assert_double_lt(own.violated_percent, hpa.violated_percent / 4);
    /* Twice the start-up time hurts who reacts. */
    replay.plant.startup_ms *= 2;
    struct scale_replay_score slow = score_of(&replay, SCALE_CONTENDER_HPA_CPU);
    ck_assert_double_gt(slow.violated_percent, hpa.violated_percent);
    free(load);
}
END_TEST

START_TEST(more_certainty_costs_replicas)
{
    double *load = days(restless);
    struct scale_settings settings = settings_of();
    struct scale_replay replay = replay_of(&settings, load);
    settings.quantile = 0.5;
    struct scale_replay_score half = score_of(&replay, SCALE_CONTENDER_SCALER);
    settings.quantile = 0.999;
    struct scale_replay_score sure = score_of(&replay, SCALE_CONTENDER_SCALER);
    ck_assert_double_gt(sure.replica_hours, half.replica_hours);
    ck_assert_double_le(sure.under_minutes, half.under_minutes);
    free(load);
}
END_TEST

START_TEST(the_same_run_gives_the_same_end)
{
    double *load = days(office);
    struct scale_settings settings = settings_of();
    struct scale_replay replay = replay_of(&settings, load);
    replay.plant.spread = 0.3;
    struct scale_replay_score a = score_of(&replay, SCALE_CONTENDER_SCALER);
    struct scale_replay_score b = score_of(&replay, SCALE_CONTENDER_SCALER);
    a.decision_us = b.decision_us = 0;
    ck_assert_mem_eq(&a, &b, sizeof a);
    free(load);
}
END_TEST

START_TEST(holes_are_seen_and_nothing_is_scaled_in_for_them)
{
    double *load = days(wave);
    for (size_t i = 0; i < 45; i++) /* on the way up */
        load[MINUTES - 1440 + 400 + i] = NAN;
    struct scale_settings settings = settings_of();
    struct scale_replay replay = replay_of(&settings, load);
    struct scale_replay_score own = score_of(&replay, SCALE_CONTENDER_SCALER);
    ck_assert_int_ge(own.held, 178);
    ck_assert_int_le(own.held, 182);
    ck_assert_double_lt(own.violated_percent, 0.1);
    free(load);
}
END_TEST

static size_t calls;
static double last_share;
static void count_call(void *user, double share)
{
    (void)user;
    ck_assert_double_ge(share, last_share);
    last_share = share;
    calls++;
}

START_TEST(tells_how_far_it_is)
{
    double *load = days(wave);
    struct scale_settings settings = settings_of();
    struct scale_replay replay = replay_of(&settings, load);
    replay.progress = count_call;
    calls = 0;
    last_share = 0;
    score_of(&replay, SCALE_CONTENDER_FIXED);
    ck_assert_uint_gt(calls, 10);
    ck_assert_double_eq_tol(last_share, 1, 1e-12);
    free(load);
}
END_TEST

START_TEST(refuses_what_tells_nothing)
{
    double *load = days(wave);
    struct scale_settings settings = settings_of();
    struct scale_replay replay = replay_of(&settings, load);
    struct scale_replay_score score;
    struct tw_err err;
    replay.scored = replay.count;
    ck_assert_int_eq(scale_replay_run(&replay, SCALE_CONTENDER_SCALER, &score, &err), TW_BAD_DATA);
    replay = replay_of(&settings, load);
    replay.plant.capacity = NAN;
    ck_assert_int_eq(scale_replay_run(&replay, SCALE_CONTENDER_SCALER, &score, &err), TW_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(err.message, "capacity"));
    replay = replay_of(&settings, load);
    for (size_t i = 0; i < MINUTES - 100; i++)
        load[i] = NAN;
    ck_assert_int_eq(scale_replay_run(&replay, SCALE_CONTENDER_SCALER, &score, &err), TW_BAD_DATA);
    free(load);
}
END_TEST

/* Values that are far apart, a tick that no second divides, a past shorter than an hour before. */
START_TEST(odd_steps_run)
{
    double *load = days(wave);
    struct scale_settings settings = settings_of();
    settings.tick_ms = 7001;
    struct scale_replay replay = replay_of(&settings, load);
    replay.step_ms = 300000;
    replay.count = 400;
    replay.scored = 395;
    replay.last_ms = START_MS;
    for (int i = 0; i < SCALE_CONTENDERS; i++) {
        struct scale_replay_score score = score_of(&replay, (enum scale_contender)i);
        ck_assert_double_eq_tol(score.minutes, 395 * 5, 2);
        ck_assert_ptr_nonnull(scale_contender_name((enum scale_contender)i));
    }
    free(load);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(replicas_serve_after_their_start_up),
        UNIT_CASE(scale_in_takes_those_first_that_still_start),
        UNIT_CASE(at_capacity_the_objective_is_just_met),
        UNIT_CASE(what_is_too_much_waits_and_then_goes),
        UNIT_CASE(no_replica_serves_nobody),
        UNIT_CASE(hpa_keeps_to_its_documentation),
        UNIT_CASE(a_wave_is_followed_at_less_cost_than_by_the_hpa),
        UNIT_CASE(who_reacts_is_short_of_replicas_at_nine),
        UNIT_CASE(more_certainty_costs_replicas),
        UNIT_CASE(the_same_run_gives_the_same_end),
        UNIT_CASE(holes_are_seen_and_nothing_is_scaled_in_for_them),
        UNIT_CASE(tells_how_far_it_is),
        UNIT_CASE(refuses_what_tells_nothing),
        UNIT_CASE(odd_steps_run),
        {0},
    };
    return unit_run("autoscaler/replay", cases);
}
