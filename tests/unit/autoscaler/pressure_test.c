/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/pressure.h"

#include <math.h>

#include "tests/lib/unit.h"

#define TICK_MS 15000
static struct scale_pressure pressure;

/* Ten replicas that carry 800, and do 1000 at most. */
static double look(int k, double load, double queue, double latency)
{
    struct scale_pressure_reading reading = {.now_ms = (int64_t)k * TICK_MS,
                                             .tick_ms = TICK_MS,
                                             .load = load,
                                             .queue = queue,
                                             .latency = latency,
                                             .carried = 800,
                                             .done = 1000};
    return scale_pressure_observe(&pressure, &reading);
}

START_TEST(a_growing_queue_adds_to_what_is_done)
{
    scale_pressure_init(&pressure);
    ck_assert_double_eq(look(0, 700, 0, NAN), 700);
    ck_assert_double_eq(look(1, 700, 3000, NAN), 1200); /* 200 a second are left to wait */
    ck_assert_double_eq(look(2, 900, 3000, NAN), 900);  /* it grows no more */
    ck_assert_double_eq(look(3, 900, 3100, NAN), 900);  /* hardly */
    ck_assert_double_eq(look(4, 900, NAN, NAN), 900);
    ck_assert_double_eq(look(5, 900, 90000, NAN), 900); /* since when, is not known */
}
END_TEST

START_TEST(an_old_look_at_the_queue_tells_nothing)
{
    scale_pressure_init(&pressure);
    (void)look(0, 700, 0, NAN);
    ck_assert_double_eq(look(5, 700, 90000, NAN), 700);
}
END_TEST

START_TEST(late_answers_tell_once)
{
    scale_pressure_init(&pressure);
    for (int k = 0; k < 100; k++)
        ck_assert_double_eq(look(k, 700, NAN, 0.2 + 0.01 * (k % 3)), 700);
    ck_assert_double_eq(look(100, 710, NAN, 0.9), 1000);
    ck_assert_double_eq(look(101, 720, NAN, 0.9), 720);
    ck_assert_double_eq(look(102, 700, NAN, 0.2), 700);
    ck_assert_double_eq(look(103, 700, NAN, 0.9), 1000);
}
END_TEST

START_TEST(idle_replicas_may_answer_late)
{
    scale_pressure_init(&pressure);
    for (int k = 0; k < 100; k++)
        (void)look(k, 700, NAN, 0.2);
    ck_assert_double_eq(look(100, 100, NAN, 5), 100); /* nobody waits for a replica there */
    ck_assert_double_eq(look(101, 1200, NAN, 5), 1200);
}
END_TEST

START_TEST(what_is_usual_is_learned_slowly)
{
    scale_pressure_init(&pressure);
    for (int k = 0; k < 100; k++)
        (void)look(k, 700, NAN, 0.2);
    /* A release that doubles and more what answers take: soon that is what is usual. */
    int strained = 0;
    for (int k = 100; k < 400; k++)
        strained += look(k, 700, NAN, k % 2 ? 0.5 : 0.2) > 700;
    ck_assert_int_ge(strained, 1);
    ck_assert_int_le(strained, 40);
}
END_TEST

START_TEST(strange_numbers_are_survived)
{
    const double strange[] = {NAN, INFINITY, -INFINITY, -1, 0, 1e300};
    scale_pressure_init(&pressure);
    for (int k = 0; k < 216; k++) {
        double seen = look(k, strange[k % 6], strange[k / 6 % 6], strange[k / 36]);
        (void)seen;
    }
    ck_assert_double_eq(look(1000, 700, NAN, NAN), 700);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(a_growing_queue_adds_to_what_is_done),
        UNIT_CASE(an_old_look_at_the_queue_tells_nothing),
        UNIT_CASE(late_answers_tell_once),
        UNIT_CASE(idle_replicas_may_answer_late),
        UNIT_CASE(what_is_usual_is_learned_slowly),
        UNIT_CASE(strange_numbers_are_survived),
        {0},
    };
    return unit_run("autoscaler/pressure", cases);
}
