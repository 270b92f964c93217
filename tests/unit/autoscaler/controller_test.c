/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/controller.h"

#include <math.h>
#include <stdlib.h>

#include "tests/lib/unit.h"

#define DAY_MS 86400000
#define MINUTE_MS 60000
static const int64_t monday = 1767571200000; /* any midnight UTC */
static struct scale_settings settings;
static struct scale_controller *controller;

static double noise(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) / (double)(UINT64_C(1) << 53) * 2 - 1;
}

/* Office hours: 900 from 9:00 to 17:00 with ramps of ten minutes, else 100. */
static double office(int64_t time_ms)
{
    double minute = (double)(time_ms % DAY_MS) / MINUTE_MS;
    double rise = fmin(fmax((minute - 540) / 10, 0), 1),
           fall = fmin(fmax((minute - 1020) / 10, 0), 1);
    return 100 + 800 * (rise - fall);
}

static void begin(bool history)
{
    scale_settings_init(&settings);
    settings.name = TW_STR("web");
    settings.capacity = 100;
    settings.max = 50;
    controller = scale_controller_free(controller);
    controller = scale_controller_new(&settings, 60);
    if (!history)
        return;
    size_t count = 7 * 1440;
    double *values = calloc(count, sizeof *values);
    uint64_t seed = 1;
    for (size_t i = 0; i < count; i++)
        values[i] = office(monday - 7 * (int64_t)DAY_MS + (int64_t)i * MINUTE_MS) *
                    (1 + 0.02 * noise(&seed));
    scale_controller_history(controller, monday - 7 * (int64_t)DAY_MS, MINUTE_MS, values, count);
    free(values);
}

static struct scale_observation observe(int64_t now_ms, double load, int64_t replicas)
{
    return (struct scale_observation){.now_ms = now_ms,
                                      .data = SCALE_DATA_OK,
                                      .load = load,
                                      .load_ms = now_ms,
                                      .replicas = replicas,
                                      .ready = -1,
                                      .utilisation = NAN,
                                      .latency = NAN,
                                      .queue = NAN,
                                      .coverage = NAN};
}

static struct scale_decision decide(int64_t now_ms, double load, int64_t replicas)
{
    struct scale_decision decision;
    struct scale_observation observation = observe(now_ms, load, replicas);
    scale_controller_decide(controller, &observation, &decision);
    return decision;
}

START_TEST(is_there_before_the_morning)
{
    begin(true);
    int64_t replicas = 2;
    uint64_t seed = 2;
    for (int64_t t = monday; t < monday + 10 * 3600000; t += 15000) {
        double load = office(t) * (1 + 0.02 * noise(&seed));
        replicas = decide(t, load, replicas).to;
        /* What is there now must carry what comes when a start-up time has passed. */
        if (t > monday + 3600000)
            ck_assert_double_ge((double)replicas * settings.capacity,
                                office(t + settings.startup_ms) * 0.97);
        /* And not be there hours ahead. */
        if (t < monday + 8 * 3600000)
            ck_assert_int_le(replicas, 3);
    }
    ck_assert_int_ge(replicas, 9);
    ck_assert_int_le(replicas, 11);
}
END_TEST

START_TEST(works_from_the_first_observation)
{
    begin(false);
    struct scale_decision decision = decide(monday, 950, -1);
    ck_assert_int_eq(decision.from, -1);
    ck_assert_int_ge(decision.to, 10);
    decision = decide(monday + 15000, 960, -1);
    ck_assert_int_eq(decision.from, decision.to);
}
END_TEST

START_TEST(gap_holds_and_never_scales_in) /* I2 */
{
    begin(true);
    int64_t replicas = 2, t = monday;
    for (; t < monday + 12 * 3600000; t += 15000)
        replicas = decide(t, office(t), replicas).to;
    ck_assert_int_ge(replicas, 9);
    int64_t before = replicas;
    for (; t < monday + 20 * 3600000; t += 15000) { /* beyond the evening's fall */
        struct scale_observation observation = observe(t, NAN, replicas);
        observation.data = SCALE_DATA_MISSING;
        struct scale_decision decision;
        scale_controller_decide(controller, &observation, &decision);
        ck_assert_int_ge(decision.to, before);
        ck_assert_int_eq(decision.data, SCALE_DATA_MISSING);
        replicas = decision.to;
    }
    for (; t < monday + 21 * 3600000; t += 15000) /* back: now it may */
        replicas = decide(t, office(t), replicas).to;
    ck_assert_int_le(replicas, 3);
}
END_TEST

START_TEST(gap_in_the_morning_still_scales_out)
{
    begin(true);
    int64_t replicas = 2, t = monday;
    for (; t < monday + 8 * 3600000 + 1800000; t += 15000)
        replicas = decide(t, office(t), replicas).to;
    ck_assert_int_le(replicas, 3);
    for (; t < monday + 9 * 3600000 + 1800000; t += 15000)
        replicas = decide(t, NAN, replicas).to;
    ck_assert_int_ge(replicas, 8);
}
END_TEST

START_TEST(false_zero_is_not_believed)
{
    begin(true);
    int64_t replicas = 2, t = monday;
    for (; t < monday + 12 * 3600000; t += 15000)
        replicas = decide(t, office(t), replicas).to;
    int64_t before = replicas;
    for (; t < monday + 12 * 3600000 + 15 * MINUTE_MS; t += 15000) {
        struct scale_decision decision = decide(t, 0, replicas);
        ck_assert_int_eq(decision.data, SCALE_DATA_SUSPECT);
        replicas = decision.to;
        ck_assert_int_ge(replicas, before);
    }
    for (; t < monday + 13 * 3600000; t += 15000) /* it lasts: it is true */
        replicas = decide(t, 0, replicas).to;
    ck_assert_int_lt(replicas, before);
}
END_TEST

START_TEST(one_spike_is_not_believed)
{
    begin(true);
    int64_t replicas = 2, t = monday;
    for (; t < monday + 3 * 3600000; t += 15000)
        replicas = decide(t, office(t), replicas).to;
    struct scale_decision decision = decide(t, 20 * office(t), replicas);
    ck_assert_int_eq(decision.data, SCALE_DATA_SUSPECT);
    ck_assert_int_le(decision.to, replicas + 1);
    for (int k = 1; k <= 3; k++)
        decision = decide(t + k * 15000, 20 * office(t), decision.to);
    ck_assert_int_ge(decision.to, 8); /* seen again and again, and as fast as behavior allows */
}
END_TEST

START_TEST(partial_coverage_is_made_up_for)
{
    begin(true);
    int64_t replicas = 2, t = monday;
    for (; t < monday + 12 * 3600000; t += 15000)
        replicas = decide(t, office(t), replicas).to;
    int64_t before = replicas;
    for (; t < monday + 13 * 3600000; t += 15000) {
        struct scale_observation observation = observe(t, office(t) / 2, replicas);
        observation.coverage = 0.5;
        struct scale_decision decision;
        scale_controller_decide(controller, &observation, &decision);
        ck_assert_int_eq(decision.data, SCALE_DATA_PARTIAL);
        ck_assert_int_ge(decision.to, before);
        replicas = decision.to;
    }
    ck_assert_int_le(replicas, before + 3);
}
END_TEST

START_TEST(a_flash_crowd_is_followed)
{
    begin(true);
    int64_t replicas = 2, t = monday;
    for (; t < monday + 3 * 3600000; t += 15000)
        replicas = decide(t, office(t), replicas).to;
    bool trend = false;
    for (int k = 0; k < 12; k++, t += 15000) { /* fourfold within three minutes */
        struct scale_decision decision = decide(t, 100 + 25.0 * k, replicas);
        replicas = decision.to;
        for (size_t g = 0; g < decision.guard_count; g++)
            trend = trend || decision.guards[g].guard == SCALE_GUARD_TREND;
    }
    ck_assert_int_ge(replicas, 5);
    ck_assert(trend);
}
END_TEST

START_TEST(start_up_time_is_learned)
{
    begin(false);
    bool learned;
    ck_assert_int_eq(scale_controller_startup_ms(controller, &learned), 120000);
    ck_assert(!learned);
    struct scale_decision decision;
    for (int k = 0; k < 4; k++) {
        int64_t t = monday + k * 3600000;
        struct scale_observation observation = observe(t, 100, 2);
        observation.ready = 2;
        scale_controller_decide(controller, &observation, &decision);
        observation = observe(t + 15000, 100, 4);
        observation.ready = 2;
        scale_controller_decide(controller, &observation, &decision);
        observation = observe(t + 15000 + 45000, 100, 4);
        observation.ready = 4;
        scale_controller_decide(controller, &observation, &decision);
    }
    ck_assert_int_eq(scale_controller_startup_ms(controller, &learned), 45000);
    ck_assert(learned);
}
END_TEST

START_TEST(capacity_is_learned)
{
    begin(false);
    settings.capacity = NAN;
    controller = scale_controller_free(controller);
    controller = scale_controller_new(&settings, 0);
    struct scale_decision decision = decide(monday, 500, 6);
    ck_assert_int_eq(decision.to, 6); /* nothing is known: hold */
    for (int k = 1; k < 200; k++) {
        struct scale_observation observation = observe(monday + k * 15000, 500, 10);
        observation.ready = 10;
        observation.utilisation = 0.5;
        scale_controller_decide(controller, &observation, &decision);
    }
    /* 50 each at half of what they can do, of which 0.8 may be used */
    ck_assert_double_eq_tol(scale_controller_capacity(controller), 80, 0.5);
    ck_assert_int_eq(decision.to, 7);
}
END_TEST

START_TEST(a_load_that_never_moved_is_believed)
{
    begin(true);
    int64_t replicas = 2;
    for (int64_t t = monday; t < monday + 3 * 3600000; t += 15000) {
        struct scale_decision decision = decide(t, 830, replicas);
        ck_assert_int_eq(decision.data, SCALE_DATA_OK);
        replicas = decision.to;
    }
}
END_TEST

START_TEST(a_load_that_stands_still_is_not_believed)
{
    begin(true);
    int64_t replicas = 2, t = monday;
    uint64_t seed = 3;
    for (; t < monday + 12 * 3600000; t += 15000)
        replicas = decide(t, office(t) * (1 + 0.02 * noise(&seed)), replicas).to;
    int64_t before = replicas;
    bool frozen = false;
    for (; t < monday + 18 * 3600000; t += 15000) { /* beyond the evening's fall */
        struct scale_decision decision = decide(t, 123.456, replicas);
        if (t > monday + 12 * 3600000 + 6 * MINUTE_MS) {
            ck_assert_int_eq(decision.data, SCALE_DATA_FROZEN);
            ck_assert_int_ge(decision.to, replicas);
            frozen = true;
        }
        replicas = decision.to;
    }
    ck_assert(frozen);
    ck_assert_int_le(replicas, before);
    struct scale_decision decision = decide(t, 101, replicas); /* it moves again */
    ck_assert_int_eq(decision.data, SCALE_DATA_OK);
}
END_TEST

/* Somebody gave a counter as the load; the process that counts is started anew. */
START_TEST(a_counter_reset_scales_nothing_in)
{
    begin(false);
    int64_t replicas = 1, t = monday;
    double counter = 100;
    for (; t < monday + 2 * 3600000; t += 15000)
        replicas = decide(t, counter += 2, replicas).to;
    int64_t before = replicas;
    ck_assert_int_ge(before, 10);
    for (int restart = 0; restart < 2; restart++) {
        counter = 0;
        for (int64_t until = t + 3600000; t < until; t += 15000) {
            struct scale_decision decision = decide(t, counter += 2, replicas);
            ck_assert_int_ge(decision.to, before);
            ck_assert_int_ne(decision.data, SCALE_DATA_OK);
            replicas = decision.to;
        }
        struct scale_decision decision = decide(t, counter += 2, replicas);
        ck_assert_int_eq(decision.data, SCALE_DATA_RESET);
        unit_assert_contains(decision.reason, "put rate(...) around it");
        t += 15000;
    }
    /* It falls as only a load does: it was one, and is believed in time. */
    for (int64_t until = t + 3600000; t < until; t += 15000)
        replicas = decide(t, 150 + (double)(t / 15000 % 3), replicas).to;
    ck_assert_int_lt(replicas, before);
}
END_TEST

/* A smooth rise, then a fall that lasts: no counter. */
START_TEST(a_fall_after_a_long_rise_is_no_reset)
{
    begin(false);
    int64_t replicas = 1, t = monday;
    double load = 100;
    for (; t < monday + 2 * 3600000; t += 15000)
        replicas = decide(t, load += 2, replicas).to;
    int64_t before = replicas;
    for (int64_t until = t + 3600000; t < until; t += 15000) {
        struct scale_decision decision = decide(t, 50 + (double)(t / 15000 % 2), replicas);
        ck_assert_int_ne(decision.data, SCALE_DATA_RESET);
        replicas = decision.to;
    }
    ck_assert_int_lt(replicas, before);
}
END_TEST

START_TEST(a_steady_load_is_not_frozen)
{
    begin(false);
    for (int k = 0; k < 1000; k++)
        ck_assert_int_eq(decide(monday + k * 15000, 300 + (k / 100) % 2, 4).data, SCALE_DATA_OK);
}
END_TEST

START_TEST(a_clock_set_back_scales_nothing_in)
{
    begin(true);
    int64_t replicas = 2, t = monday;
    uint64_t seed = 3;
    for (; t < monday + 12 * 3600000; t += 15000)
        replicas = decide(t, office(t) * (1 + 0.02 * noise(&seed)), replicas).to;
    int64_t before = replicas;
    for (int k = 0; k < 40; k++) { /* two hours back, the load is what it was */
        int64_t now = t - 2 * 3600000 + k * 15000;
        replicas = decide(now, office(t) * (1 + 0.02 * noise(&seed)), replicas).to;
        ck_assert_int_ge(replicas, before - 1);
    }
}
END_TEST

START_TEST(no_replica_up_to_the_activation_load)
{
    begin(false);
    settings.min = 0;
    settings.activation = 5;
    int64_t replicas = 2;
    for (int k = 0; k < 100; k++)
        replicas = decide(monday + k * 15000, 3, replicas).to;
    ck_assert_int_eq(replicas, 0);
    replicas = decide(monday + 100 * 15000, 3, replicas).to;
    ck_assert_int_eq(replicas, 0);
    replicas = decide(monday + 101 * 15000, 6, replicas).to;
    ck_assert_int_ge(replicas, 1);
}
END_TEST

START_TEST(a_schedule_lifts_min_in_time)
{
    begin(false);
    settings.schedules[0] = (struct scale_schedule){.name = TW_STR("sale"),
                                                    .dated = true,
                                                    .from_ms = monday + 600000,
                                                    .to_ms = monday + 1200000,
                                                    .min = 20,
                                                    .max = -1};
    settings.schedule_count = 1;
    int64_t replicas = 2;
    for (int k = 0; k < 28; k++)
        replicas = decide(monday + k * 15000, 100, replicas).to;
    ck_assert_int_le(replicas, 3);
    for (int k = 28; k < 40; k++)
        replicas = decide(monday + k * 15000, 100, replicas).to;
    ck_assert_int_eq(replicas, 20); /* when it begins they serve */
    for (int k = 40; k < 160; k++)
        replicas = decide(monday + k * 15000, 100, replicas).to;
    ck_assert_int_le(replicas, 3);
}
END_TEST

START_TEST(a_queue_tells_an_overload)
{
    struct scale_decision decision;
    for (int round = 0; round < 2; round++) {
        begin(false);
        settings.capacity = 80;
        for (int k = 0; k < 20; k++) {
            struct scale_observation observation = observe(monday + k * 15000, 390, 5);
            observation.ready = 5;
            observation.queue = k == 19 && round ? 1500 : 0; /* 100 a second more than is done */
            scale_controller_decide(controller, &observation, &decision);
        }
        if (!round)
            ck_assert_int_le(decision.reactive, 5);
        else
            ck_assert_int_ge(decision.reactive, 7);
    }
}
END_TEST

START_TEST(same_input_same_decisions) /* I1 */
{
    static int64_t first[4000];
    for (int round = 0; round < 2; round++) {
        begin(true);
        uint64_t seed = 4;
        int64_t replicas = 2;
        for (int k = 0; k < 4000; k++) {
            int64_t t = monday + 6 * 3600000 + k * 15000;
            replicas = decide(t, office(t) * (1 + 0.1 * noise(&seed)), replicas).to;
            if (!round)
                first[k] = replicas;
            ck_assert_int_eq(first[k], replicas);
        }
    }
}
END_TEST

/* The Kubernetes HPA on requests per replica: utilisation target 70 of 80 that a replica carries at
 * most, tolerance 10 %, doubling or four more per tick, the highest of five minutes for a
 * scale-in. */
struct hpa {
    int64_t wanted[20];
    size_t count;
};

static int64_t hpa_decide(struct hpa *hpa, double load, int64_t ready, int64_t replicas)
{
    double ratio = load / (double)ready / (0.7 * 125);
    int64_t want = ratio > 0.9 && ratio < 1.1 ? replicas : (int64_t)ceil(ratio * (double)ready);
    hpa->wanted[hpa->count++ % 20] = want;
    int64_t highest = want;
    for (size_t i = 0; i < 20 && i < hpa->count; i++)
        highest = hpa->wanted[i] > highest ? hpa->wanted[i] : highest;
    int64_t most = replicas * 2 > replicas + 4 ? replicas * 2 : replicas + 4;
    if (want > replicas)
        return want < most ? want : most;
    return highest < replicas ? highest : replicas;
}

/* Load times a tick that was not carried, and replicas times a tick. */
struct service {
    int64_t replicas, ready, coming[9]; /* coming: in so many ticks */
    double missed, spent;
};

static void live(struct service *service, double load, int64_t replicas)
{
    int64_t more = replicas - service->replicas;
    service->ready += service->coming[0];
    for (int i = 0; i < 8; i++)
        service->coming[i] = service->coming[i + 1];
    service->coming[8] = more > 0 ? more : 0;
    for (int i = 8; more < 0 && i >= 0; i--) {
        int64_t dropped = service->coming[i] < -more ? service->coming[i] : -more;
        service->coming[i] -= dropped;
        more += dropped;
    }
    service->ready += more < 0 ? more : 0;
    service->replicas = replicas;
    service->missed += fmax(0, load - 100 * (double)service->ready);
    service->spent += (double)replicas;
}

static double walk(int shape, int64_t t, double *level, uint64_t *seed)
{
    double hours = (double)(t - monday) / 3600000;
    *level += 0.2 * (noise(seed) - *level);
    switch (shape) {
    case 0:
        return (2000 + 1500 * sin(hours / 24 * 2 * M_PI)) * (1 + 0.05 * *level);
    case 1:
        return hours < 4 ? 1000 + 10 * noise(seed) : 3000 + 30 * noise(seed); /* a step */
    case 2:
        return 1500 * (1 + 0.5 * *level); /* restless */
    case 3:
        return fmod(hours, 2) < 1 ? 800 : 2400; /* on and off */
    default:
        return 300 + 250 * hours; /* it only grows */
    }
}

START_TEST(without_history_no_worse_than_hpa)
{
    for (int shape = 0; shape < 5; shape++) {
        begin(false);
        settings.max = 500;
        struct service ours = {.replicas = 40, .ready = 40}, theirs = ours;
        struct hpa hpa = {.count = 0};
        uint64_t seed = 7;
        double level = 0, total = 0;
        for (int64_t t = monday; t < monday + 10 * 3600000; t += 15000) {
            double load = walk(shape, t, &level, &seed);
            struct scale_observation observation = observe(t, load, ours.replicas);
            struct scale_decision decision;
            observation.ready = ours.ready;
            scale_controller_decide(controller, &observation, &decision);
            live(&ours, load, decision.to);
            live(&theirs, load, hpa_decide(&hpa, load, theirs.ready, theirs.replicas));
            total += load;
        }
        /* Less is missed, or nothing to speak of; a step that nobody could know of takes both the
         * same time, from the HPA's idle seventh on its side. */
        ck_assert_msg(ours.missed <= 1.15 * theirs.missed || ours.missed < 0.001 * total,
                      "shape %d: %g of %g missed, the HPA %g", shape, ours.missed, total,
                      theirs.missed);
        ck_assert_msg(ours.spent < 1.15 * theirs.spent, "shape %d: %g spent, the HPA %g", shape,
                      ours.spent, theirs.spent);
    }
}
END_TEST

START_TEST(learning_apart_decides_alike)
{
    int64_t replicas[2][400];
    for (int pass = 0; pass < 2; pass++) {
        begin(true);
        if (pass == 1)
            scale_controller_learn_apart(controller);
        uint64_t seed = 5;
        int64_t now = 10;
        size_t fits = 0;
        for (size_t i = 0; i < 400; i++) {
            int64_t t = monday + 8 * 3600000 + (int64_t)i * 15000;
            now = decide(t, office(t) * (1 + 0.02 * noise(&seed)), now).to;
            replicas[pass][i] = now;
            bool due = scale_controller_fit_due(controller);
            ck_assert(pass == 1 || !due);
            fits += due;
            scale_controller_learn(controller);
            ck_assert(!scale_controller_fit_due(controller));
        }
        ck_assert(pass == 0 || (fits >= 5 && fits <= 20)); /* once in a quarter of an hour */
    }
    ck_assert_mem_eq(replicas[0], replicas[1], sizeof replicas[0]);
}
END_TEST

START_TEST(strange_input_is_survived)
{
    const double loads[] = {0, -1, NAN, INFINITY, -INFINITY, 1e308, 1e-308, 5};
    begin(false);
    uint64_t seed = 9;
    for (int k = 0; k < 5000; k++) {
        int64_t t = monday + k * 15000 + (int64_t)(noise(&seed) * 1e7); /* back and forth */
        struct scale_observation observation =
            observe(t, loads[(size_t)(fabs(noise(&seed)) * 7.99)], (int64_t)(noise(&seed) * 40));
        observation.load_ms = t - (int64_t)(fabs(noise(&seed)) * 1e6);
        observation.utilisation = noise(&seed) * 2;
        observation.coverage = noise(&seed) * 2;
        observation.ready = (int64_t)(noise(&seed) * 40);
        if (observation.replicas < -1)
            observation.replicas = -1;
        struct scale_decision decision;
        scale_controller_decide(controller, &observation, &decision);
        ck_assert_int_ge(decision.to, settings.min);
        ck_assert_int_le(decision.to, settings.max);
    }
}
END_TEST

START_TEST(band_is_drawn)
{
    begin(true);
    (void)decide(monday, office(monday), 2);
    size_t steps = scale_controller_band_steps(controller);
    ck_assert_uint_eq(steps, 60);
    double mean[60], quantiles[60 * SCALE_BAND_QUANTILES], peak[SCALE_BAND_QUANTILES];
    int64_t first_ms;
    ck_assert_uint_eq(scale_controller_band(controller, mean, quantiles, peak, &first_ms), 60);
    ck_assert_int_ge(first_ms, monday);
    for (size_t h = 0; h < 60; h++)
        ck_assert_double_eq_tol(quantiles[h * SCALE_BAND_QUANTILES + 1], 100, 10);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE_SLOW(is_there_before_the_morning, 120),
        UNIT_CASE(works_from_the_first_observation),
        UNIT_CASE_SLOW(gap_holds_and_never_scales_in, 120),
        UNIT_CASE_SLOW(gap_in_the_morning_still_scales_out, 120),
        UNIT_CASE_SLOW(false_zero_is_not_believed, 120),
        UNIT_CASE_SLOW(one_spike_is_not_believed, 120),
        UNIT_CASE_SLOW(partial_coverage_is_made_up_for, 120),
        UNIT_CASE_SLOW(a_flash_crowd_is_followed, 120),
        UNIT_CASE(start_up_time_is_learned),
        UNIT_CASE(capacity_is_learned),
        UNIT_CASE_SLOW(a_load_that_never_moved_is_believed, 120),
        UNIT_CASE_SLOW(a_load_that_stands_still_is_not_believed, 120),
        UNIT_CASE(a_counter_reset_scales_nothing_in),
        UNIT_CASE(a_fall_after_a_long_rise_is_no_reset),
        UNIT_CASE(a_steady_load_is_not_frozen),
        UNIT_CASE_SLOW(a_clock_set_back_scales_nothing_in, 120),
        UNIT_CASE(no_replica_up_to_the_activation_load),
        UNIT_CASE(a_schedule_lifts_min_in_time),
        UNIT_CASE(a_queue_tells_an_overload),
        UNIT_CASE_SLOW(same_input_same_decisions, 120),
        UNIT_CASE_SLOW(without_history_no_worse_than_hpa, 120),
        UNIT_CASE_SLOW(learning_apart_decides_alike, 120),
        UNIT_CASE_SLOW(strange_input_is_survived, 120),
        UNIT_CASE(band_is_drawn),
        {0},
    };
    int status = unit_run("autoscaler/controller", cases);
    scale_controller_free(controller);
    return status;
}
