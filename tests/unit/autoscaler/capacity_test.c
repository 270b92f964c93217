/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/capacity.h"

#include <math.h>

#include "tests/lib/unit.h"

static struct scale_capacity capacity;

static void see(double load, double utilisation, int64_t ready)
{
    struct scale_capacity_reading reading = {.load = load,
                                             .utilisation = utilisation,
                                             .utilisation_max = 0.8,
                                             .latency = NAN,
                                             .objective = NAN,
                                             .ready = ready,
                                             .tick_ms = 15000};
    scale_capacity_observe(&capacity, &reading);
}

static void answer_in(double load, double latency, int64_t ready)
{
    struct scale_capacity_reading reading = {.load = load,
                                             .utilisation = NAN,
                                             .utilisation_max = 0.8,
                                             .latency = latency,
                                             .objective = 0.5,
                                             .ready = ready,
                                             .tick_ms = 15000};
    scale_capacity_observe(&capacity, &reading);
}

START_TEST(learned_from_nothing)
{
    scale_capacity_init(&capacity, NAN);
    see(400, 0.5, 10); /* the first look cannot tell whether replicas come or go */
    ck_assert(isnan(capacity.value));
    see(400, 0.5, 10); /* 80 each when wholly busy, 64 in time */
    ck_assert_double_eq_tol(capacity.value, 64, 1e-9);
}
END_TEST

START_TEST(a_release_is_followed_at_once)
{
    scale_capacity_init(&capacity, 64);
    for (int k = 0; k < 20; k++)
        see(400, 0.5, 10);
    ck_assert_double_eq_tol(capacity.value, 64, 0.1);
    for (int k = 0; k < 3; k++)
        see(400, 0.7, 10); /* each request 40 % dearer */
    ck_assert_double_eq_tol(capacity.value, 64 / 1.4, 0.1);
    for (int k = 0; k < 3; k++)
        see(400, 0.5, 10); /* taken back */
    ck_assert_double_eq_tol(capacity.value, 64, 0.1);
}
END_TEST

START_TEST(one_strange_reading_moves_little)
{
    scale_capacity_init(&capacity, 64);
    for (int k = 0; k < 20; k++)
        see(400, 0.5, 10);
    see(400, 0.94, 10);
    ck_assert_double_ge(capacity.value, 62);
}
END_TEST

START_TEST(replicas_that_come_and_go_tell_nothing)
{
    scale_capacity_init(&capacity, 64);
    for (int k = 0; k < 50; k++)
        see(400, 0.9, k % 2 ? 10 : 15);
    ck_assert_double_eq(capacity.value, 64);
    see(400, 0.9, -1);
    see(NAN, 0.9, 10);
    see(400, NAN, 10);
    see(400, 0.01, 10);
    ck_assert_double_eq(capacity.value, 64);
}
END_TEST

START_TEST(what_was_told_bounds_it)
{
    scale_capacity_init(&capacity, 64);
    for (int k = 0; k < 500; k++)
        see(4000, 0.5, 10);
    ck_assert_double_le(capacity.value, 1.2 * 64 + 1e-9);
}
END_TEST

START_TEST(saturated_replicas_do_less)
{
    scale_capacity_init(&capacity, 64);
    for (int k = 0; k < 10; k++)
        see(700, 1, 10);
    ck_assert_double_lt(capacity.value, 56 + 1e-9);
}
END_TEST

START_TEST(learned_from_latency)
{
    scale_capacity_init(&capacity, NAN);
    /* A replica carries 50 in time. */
    for (int k = 0; k < 400; k++) {
        double each = 30 + k % 40;
        for (int again = 0; again < 4; again++)
            answer_in(each * 10, each <= 50 ? 0.2 : 0.9, 10);
    }
    ck_assert_double_ge(capacity.value, 42);
    ck_assert_double_le(capacity.value, 52);
    for (int k = 0; k < 40; k++) /* now 30 */
        answer_in(40 * 10, 0.9, 10);
    ck_assert_double_le(capacity.value, 40);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(learned_from_nothing),
        UNIT_CASE(a_release_is_followed_at_once),
        UNIT_CASE(one_strange_reading_moves_little),
        UNIT_CASE(replicas_that_come_and_go_tell_nothing),
        UNIT_CASE(what_was_told_bounds_it),
        UNIT_CASE(saturated_replicas_do_less),
        UNIT_CASE(learned_from_latency),
        {0},
    };
    return unit_run("autoscaler/capacity", cases);
}
