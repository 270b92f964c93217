/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/pool.h"

#include <math.h>

#include "autoscaler/pool_health.h"
#include "tests/lib/unit.h"

#define POOL(weight, min, max)                                                                     \
    {                                                                                              \
        (weight), (min), (max), 0, false                                                           \
    }

static uint64_t seed = 1;

static uint64_t chance(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

static void expect(const struct scale_pool *pools, size_t count, int64_t replicas,
                   const int64_t *wanted)
{
    int64_t shares[SCALE_POOLS_MAX];
    (void)scale_pool_share(pools, count, replicas, shares);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(shares[i] == wanted[i], "pool %zu of %lld replicas has %lld, not %lld", i,
                      (long long)replicas, (long long)shares[i], (long long)wanted[i]);
}

START_TEST(by_weight_and_largest_remainder)
{
    const struct scale_pool pools[] = {POOL(3, 0, 100), POOL(1, 0, 100)};
    expect(pools, 2, 8, (const int64_t[]){6, 2});
    expect(pools, 2, 10, (const int64_t[]){8, 2}); /* 7.5 and 2.5: the first */
    expect(pools, 2, 7, (const int64_t[]){5, 2});  /* 5.25 and 1.75 */
    expect(pools, 2, 0, (const int64_t[]){0, 0});
    /* The textbook's: 100 seats by 47, 16, 15.9, 12, 6, 3.1 thousand votes, 10 to give. */
    const struct scale_pool votes[] = {POOL(47, 0, 99), POOL(16, 0, 99), POOL(15.9, 0, 99),
                                       POOL(12, 0, 99), POOL(6, 0, 99),  POOL(3.1, 0, 99)};
    expect(votes, 6, 10, (const int64_t[]){5, 2, 1, 1, 1, 0});
}
END_TEST

START_TEST(what_does_not_fit_goes_to_the_others)
{
    const struct scale_pool pools[] = {POOL(8, 0, 5), POOL(1, 0, 100), POOL(3, 0, 100)};
    expect(pools, 3, 21, (const int64_t[]){5, 4, 12});
    const struct scale_pool floors[] = {POOL(98, 0, 100), POOL(1, 4, 100), POOL(1, 0, 100)};
    expect(floors, 3, 103, (const int64_t[]){98, 4, 1});
    const struct scale_pool spare[] = {POOL(1, 0, 5), POOL(0, 0, 3), POOL(0, 1, 9)};
    expect(spare, 3, 6, (const int64_t[]){5, 0, 1});
    expect(spare, 3, 8, (const int64_t[]){5, 2, 1});
    expect(spare, 3, 12, (const int64_t[]){5, 3, 4});
    expect(spare, 3, 99, (const int64_t[]){5, 3, 9});
}
END_TEST

START_TEST(ties_stay_where_they_are)
{
    struct scale_pool pools[] = {POOL(1, 0, 9), POOL(1, 0, 9)};
    expect(pools, 2, 3, (const int64_t[]){2, 1});
    pools[1].before = 2;
    pools[0].before = 1;
    expect(pools, 2, 3, (const int64_t[]){1, 2});
}
END_TEST

START_TEST(one_that_is_out_gets_nothing)
{
    struct scale_pool pools[] = {POOL(1, 2, 9), POOL(1, 0, 9), POOL(2, 0, 9)};
    pools[0].out = true;
    expect(pools, 3, 9, (const int64_t[]){0, 3, 6});
    pools[1].out = pools[2].out = true;
    expect(pools, 3, 8, (const int64_t[]){2, 2, 4});
}
END_TEST

/* I1 to I4 on random pools; the exact shares come from halving. */
START_TEST(properties)
{
    for (int round = 0; round < 20000; round++) {
        struct scale_pool pools[SCALE_POOLS_MAX];
        int64_t shares[SCALE_POOLS_MAX], again[SCALE_POOLS_MAX], sum = 0, least = 0, most = 0;
        size_t count = 1 + chance(SCALE_POOLS_MAX);
        for (size_t i = 0; i < count; i++) {
            int64_t min = chance(3) ? 0 : (int64_t)chance(5);
            pools[i] = (struct scale_pool){0.01 * (double)(1 + chance(chance(2) ? 1000 : 10)), min,
                                           min + (int64_t)chance(chance(4) ? 1000 : 6),
                                           (int64_t)chance(20), chance(8) == 0};
        }
        pools[0].out = false;
        for (size_t i = 0; i < count; i++) {
            least += pools[i].out ? 0 : pools[i].min;
            most += pools[i].out ? 0 : pools[i].max;
        }
        int64_t replicas = (int64_t)chance(chance(2) ? 20 : 2000);
        int64_t placed = scale_pool_share(pools, count, replicas, shares);
        double low = 0, high = 1e9;
        int64_t fits = replicas < least ? least : replicas > most ? most : replicas;
        for (int k = 0; k < 200; k++) {
            double level = (low + high) / 2, held = 0;
            for (size_t i = 0; i < count; i++)
                held += pools[i].out ? 0
                                     : fmin(fmax(level * pools[i].weight, (double)pools[i].min),
                                            (double)pools[i].max);
            if (held < (double)fits)
                low = level;
            else
                high = level;
        }
        for (size_t i = 0; i < count; i++) {
            sum += shares[i];
            if (pools[i].out) {
                ck_assert_int_eq(shares[i], 0);
                continue;
            }
            ck_assert_int_ge(shares[i], pools[i].min);
            ck_assert_int_le(shares[i], pools[i].max);
            double quota =
                fmin(fmax(high * pools[i].weight, (double)pools[i].min), (double)pools[i].max);
            ck_assert_msg(fabs((double)shares[i] - quota) < 1 + 1e-6,
                          "round %d: pool %zu has %lld, exactly %g", round, i, (long long)shares[i],
                          quota);
        }
        ck_assert_int_eq(sum, placed);
        ck_assert_int_eq(placed, fits);
        /* What was decided once stays so. */
        for (size_t i = 0; i < count; i++)
            pools[i].before = shares[i];
        (void)scale_pool_share(pools, count, replicas, again);
        ck_assert_mem_eq(shares, again, count * sizeof *shares);
    }
}
END_TEST

/* ---- health ---- */

static const struct scale_pool_rules rules = {3, 60000, 120000};

START_TEST(out_after_tries_and_back_after_a_probe)
{
    struct scale_pool_health health = {0};
    int64_t now = 1000000;
    scale_pool_health_attempt(&health, &rules, now, "refused");
    scale_pool_health_attempt(&health, &rules, now, "refused");
    scale_pool_health_attempt(&health, &rules, now, NULL); /* forgets them */
    for (int k = 0; k < 3; k++) {
        ck_assert_int_eq(health.state, SCALE_POOL_SERVING);
        scale_pool_health_attempt(&health, &rules, now, "refused again");
    }
    ck_assert_int_eq(health.state, SCALE_POOL_OUT);
    ck_assert_str_eq(health.why, "refused again");
    scale_pool_health_tick(&health, &rules, now + rules.probe_ms - 1);
    ck_assert_int_eq(health.state, SCALE_POOL_OUT);
    scale_pool_health_tick(&health, &rules, now += rules.probe_ms);
    ck_assert_int_eq(health.state, SCALE_POOL_PROBING);
    scale_pool_health_attempt(&health, &rules, now, "still");
    ck_assert_int_eq(health.state, SCALE_POOL_OUT);
    ck_assert_int_eq(health.probe_ms, now + 2 * rules.probe_ms);
    scale_pool_health_tick(&health, &rules, now += 2 * rules.probe_ms);
    /* A look at what was told before the probe says nothing of it. */
    scale_pool_health_look(&health, &rules, now, 1, now - 1, 1);
    ck_assert_int_eq(health.state, SCALE_POOL_PROBING);
    scale_pool_health_look(&health, &rules, now + 10, 1, now + 5, 0);
    ck_assert_int_eq(health.state, SCALE_POOL_PROBING);
    scale_pool_health_look(&health, &rules, now + 20, 1, now + 5, 1);
    ck_assert_int_eq(health.state, SCALE_POOL_PROBING); /* it may die again */
    scale_pool_health_look(&health, &rules, now + 20 + rules.patience_ms / 4, 1, now + 5, 1);
    ck_assert_int_eq(health.state, SCALE_POOL_SERVING);
    ck_assert_uint_eq(health.failures, 0);
}
END_TEST

START_TEST(replicas_that_do_not_come_up)
{
    struct scale_pool_health health = {0};
    int64_t now = 1000000, asked = now;
    for (; now < asked + 3 * rules.patience_ms; now += 5000) {
        ck_assert_int_eq(health.state, SCALE_POOL_SERVING);
        scale_pool_health_look(&health, &rules, now, 5, asked, 2);
    }
    scale_pool_health_look(&health, &rules, now, 5, asked, 2);
    ck_assert_int_eq(health.state, SCALE_POOL_OUT);
    unit_assert_contains(health.why, "2 of 5 replicas");
    /* One that gets on, however slowly, is left alone. */
    struct scale_pool_health slow = {0};
    for (int k = 0; k < 50; k++)
        scale_pool_health_look(&slow, &rules, now + k * 50000, 100, now, k);
    ck_assert_int_eq(slow.state, SCALE_POOL_SERVING);
    ck_assert_uint_eq(slow.failures, 0);
}
END_TEST

START_TEST(replicas_that_die_again)
{
    struct scale_pool_health health = {0};
    int64_t now = 1000000;
    for (int k = 0; k < 3; k++) {
        ck_assert_int_eq(health.state, SCALE_POOL_SERVING);
        int64_t asked_ms = now;
        scale_pool_health_look(&health, &rules, now, 6, asked_ms, 6); /* in the same moment */
        scale_pool_health_look(&health, &rules, now += 5000, 6, asked_ms, 1);
        scale_pool_health_attempt(&health, &rules, now += 5000, NULL); /* told again */
    }
    ck_assert_int_eq(health.state, SCALE_POOL_OUT);
    unit_assert_contains(health.why, "1 of 6 replicas are left");
    /* One of many that dies now and then is asked for again, and that is all. */
    struct scale_pool_health usual = {0};
    for (int k = 0; k < 100; k++)
        scale_pool_health_look(&usual, &rules, now + k * 5000, 6, now - 1, k % 3 ? 6 : 5);
    ck_assert_int_eq(usual.state, SCALE_POOL_SERVING);
    ck_assert_uint_eq(usual.failures, 0);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(by_weight_and_largest_remainder),
                                      UNIT_CASE(what_does_not_fit_goes_to_the_others),
                                      UNIT_CASE(ties_stay_where_they_are),
                                      UNIT_CASE(one_that_is_out_gets_nothing),
                                      UNIT_CASE(properties),
                                      UNIT_CASE(out_after_tries_and_back_after_a_probe),
                                      UNIT_CASE(replicas_that_do_not_come_up),
                                      UNIT_CASE(replicas_that_die_again),
                                      {0}};
    return unit_run("autoscaler/pool", cases);
}
