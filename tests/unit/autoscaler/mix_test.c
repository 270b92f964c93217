/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/mix.h"

#include <math.h>

#include "autoscaler/integer_program.h"
#include "tests/lib/unit.h"

static const struct scale_mix_limits free_limits = {INFINITY, INFINITY, 1000000};
static uint64_t seed = 7;

static uint64_t chance(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

START_TEST(a_programme)
{
    /* most 5x + 4y, 6x + 4y <= 24, x + 2y <= 6: the real best is (3, 1.5), the whole one (4, 0) */
    struct scale_program program = {.columns = 2,
                                    .rows = 2,
                                    .cost = {-5, -4},
                                    .upper = {INFINITY, INFINITY},
                                    .whole = {true, true},
                                    .row = {{{6, 4}, false, 24}, {{1, 2}, false, 6}}};
    double values[SCALE_PROGRAM_COLUMNS_MAX];
    ck_assert_int_eq(scale_program_solve(&program, 1000, values), SCALE_PROGRAM_OPTIMAL);
    ck_assert_double_eq_tol(values[0], 4, 1e-6);
    ck_assert_double_eq_tol(values[1], 0, 1e-6);
    program.whole[0] = program.whole[1] = false;
    ck_assert_int_eq(scale_program_solve(&program, 1000, values), SCALE_PROGRAM_OPTIMAL);
    ck_assert_double_eq_tol(values[1], 1.5, 1e-6);
    program.row[1] = (struct scale_program_row){{1, 0}, true, 5};
    ck_assert_int_eq(scale_program_solve(&program, 1000, values), SCALE_PROGRAM_INFEASIBLE);
}
END_TEST

START_TEST(the_cheapest_mix)
{
    /* 2 replicas for 3, 5 for 7: 11 replicas are cheapest as 3 x 2 and 1 x 5. */
    const struct scale_mix_type types[] = {{.cost = 3, .carries = 2, .max = 100},
                                           {.cost = 7, .carries = 5, .max = 100}};
    struct scale_mix mix;
    scale_mix_choose(types, 2, &free_limits, 11, &mix);
    ck_assert_int_eq(mix.verdict, SCALE_MIX_OPTIMAL);
    ck_assert_int_eq(mix.counts[0], 3);
    ck_assert_int_eq(mix.counts[1], 1);
    ck_assert_int_eq(mix.carried, 11);
    ck_assert_double_eq_tol(mix.cost, 16, 1e-9);
    ck_assert_str_eq(mix.text, "");
    scale_mix_choose(types, 2, &free_limits, 0, &mix);
    ck_assert_int_eq(mix.counts[0] + mix.counts[1], 0);
}
END_TEST

START_TEST(limits_that_carry_less)
{
    const struct scale_mix_type types[] = {
        {.cost = 3, .carries = 2, .max = 100, .cpu = 2, .memory = 8e9},
        {.cost = 9, .carries = 5, .max = 100, .cpu = 4, .memory = 32e9}};
    const struct scale_mix_limits limits = {10, 64e9, 3};
    struct scale_mix mix;
    scale_mix_choose(types, 2, &limits, 30, &mix);
    ck_assert_int_eq(mix.verdict, SCALE_MIX_SHORT);
    ck_assert_int_eq(mix.carried, 10); /* 2 large fill the memory; 1 large and 2 small carry 9 */
    ck_assert_int_eq(mix.counts[1], 2);
    unit_assert_contains(mix.text, "10 of 30");
    const struct scale_mix_type floors[] = {{.cost = 1, .carries = 1, .min = 4, .max = 5}};
    scale_mix_choose(floors, 1, &limits, 2, &mix);
    ck_assert_int_eq(mix.verdict, SCALE_MIX_MINIMUM);
    ck_assert_int_eq(mix.counts[0], 4);
}
END_TEST

START_TEST(switching_has_its_price)
{
    struct scale_mix_type types[] = {
        {.cost = 1.0, .switch_cost = 0.5, .carries = 1, .max = 100, .before = 10},
        {.cost = 0.9, .switch_cost = 0.5, .carries = 1, .max = 100}};
    struct scale_mix mix;
    scale_mix_choose(types, 2, &free_limits, 10, &mix);
    ck_assert_int_eq(mix.counts[0], 10); /* a tenth cheaper is not worth starting ten others */
    scale_mix_choose(types, 2, &free_limits, 12, &mix);
    ck_assert_int_eq(mix.counts[0], 10);
    ck_assert_int_eq(mix.counts[1], 2);
    types[1].cost = 0.4;
    scale_mix_choose(types, 2, &free_limits, 10, &mix);
    ck_assert_int_eq(mix.counts[1], 10);
    /* Of the same price: what is there stays. */
    types[1].cost = 1.0;
    types[0].switch_cost = types[1].switch_cost = 0;
    types[0].before = 3;
    types[1].before = 7;
    scale_mix_choose(types, 2, &free_limits, 10, &mix);
    ck_assert_int_eq(mix.counts[0], 3);
    ck_assert_int_eq(mix.counts[1], 7);
    types[0].out = true;
    scale_mix_choose(types, 2, &free_limits, 10, &mix);
    ck_assert_int_eq(mix.counts[0], 0);
    ck_assert_int_eq(mix.counts[1], 10);
}
END_TEST

/* ---- against all mixes there are ---- */

struct search {
    const struct scale_mix_type *types;
    const struct scale_mix_limits *limits;
    size_t count;
    int64_t replicas, counts[SCALE_POOLS_MAX];
    int64_t carried; /* the most, up to the replicas */
    double price;
};

static void weigh(struct search *search)
{
    double cpu = 0, memory = 0, price = 0;
    int64_t instances = 0, carried = 0;
    for (size_t i = 0; i < search->count; i++) {
        const struct scale_mix_type *type = &search->types[i];
        double n = (double)search->counts[i], more = n - (double)type->before;
        cpu += n * type->cpu;
        memory += n * type->memory;
        price += n * type->cost + (more > 0 ? more * type->switch_cost : 0);
        instances += search->counts[i];
        carried += search->counts[i] * type->carries;
    }
    if (cpu > search->limits->cpu + 1e-9 || memory > search->limits->memory + 1e-9 ||
        instances > search->limits->count)
        return;
    if (carried > search->replicas)
        carried = search->replicas;
    if (carried > search->carried || (carried == search->carried && price < search->price)) {
        search->carried = carried;
        search->price = price;
    }
}

static void try_all(struct search *search, size_t i)
{
    if (i == search->count) {
        weigh(search);
        return;
    }
    for (int64_t n = search->types[i].min; n <= search->types[i].max; n++) {
        search->counts[i] = n;
        try_all(search, i + 1);
    }
}

static double price(const struct scale_mix_type *types, size_t count, const int64_t *counts)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double more = (double)(counts[i] - types[i].before);
        sum += (double)counts[i] * types[i].cost + (more > 0 ? more * types[i].switch_cost : 0);
    }
    return sum;
}

START_TEST(against_all_mixes)
{
    unsigned optimal = 0, fell_short = 0;
    for (int round = 0; round < 400; round++) {
        struct scale_mix_type types[4];
        size_t count = 1 + chance(4);
        for (size_t i = 0; i < count; i++) {
            int64_t min = chance(3) ? 0 : (int64_t)chance(3);
            types[i] = (struct scale_mix_type){.cost = 0.01 * (double)(1 + chance(100)),
                                               .switch_cost = 0.01 * (double)chance(30),
                                               .cpu = (double)(1 + chance(8)),
                                               .memory = 1e9 * (double)(1 + chance(16)),
                                               .carries = 1 + (int64_t)chance(5),
                                               .min = min,
                                               .max = min + (int64_t)chance(8),
                                               .before = (int64_t)chance(6)};
        }
        const struct scale_mix_limits limits = {chance(2) ? (double)(5 + chance(60)) : INFINITY,
                                                chance(2) ? 1e9 * (double)(5 + chance(90))
                                                          : INFINITY,
                                                chance(2) ? 1 + (int64_t)chance(20) : 1000};
        struct search search = {.types = types,
                                .limits = &limits,
                                .count = count,
                                .replicas = (int64_t)chance(40),
                                .carried = -1,
                                .price = INFINITY};
        struct scale_mix mix, greedy;
        try_all(&search, 0);
        scale_mix_choose(types, count, &limits, search.replicas, &mix);
        scale_mix_choose_greedily(types, count, &limits, search.replicas, &greedy);
        if (search.carried < 0) {
            ck_assert_int_eq(mix.verdict, SCALE_MIX_MINIMUM);
            ck_assert_int_eq(greedy.verdict, SCALE_MIX_MINIMUM);
            continue;
        }
        int64_t carried = mix.carried < search.replicas ? mix.carried : search.replicas;
        ck_assert_msg(mix.verdict == SCALE_MIX_OPTIMAL || mix.verdict == SCALE_MIX_SHORT,
                      "round %d: %s", round, scale_mix_verdict_name(mix.verdict));
        ck_assert_int_eq(carried, search.carried);
        ck_assert_int_eq(mix.verdict == SCALE_MIX_SHORT, carried < search.replicas);
        ck_assert_msg(price(types, count, mix.counts) <= search.price + 1e-4,
                      "round %d: %g, the best is %g", round, price(types, count, mix.counts),
                      search.price);
        /* The greedy one keeps to the limits. */
        int64_t instances = 0;
        double cpu = 0;
        for (size_t i = 0; i < count; i++) {
            ck_assert_int_ge(greedy.counts[i], types[i].min);
            ck_assert_int_le(greedy.counts[i], types[i].max);
            instances += greedy.counts[i];
            cpu += (double)greedy.counts[i] * types[i].cpu;
        }
        ck_assert_int_le(instances, limits.count);
        ck_assert_double_le(cpu, limits.cpu + 1e-6);
        ck_assert_int_le(greedy.carried < search.replicas ? greedy.carried : search.replicas,
                         search.carried);
        optimal += mix.verdict == SCALE_MIX_OPTIMAL;
        fell_short += mix.verdict == SCALE_MIX_SHORT;
        /* What was chosen once stays chosen. */
        for (size_t i = 0; i < count; i++)
            types[i].before = mix.counts[i];
        struct scale_mix again;
        scale_mix_choose(types, count, &limits, search.replicas, &again);
        ck_assert_msg(price(types, count, again.counts) <= price(types, count, mix.counts) + 1e-4,
                      "round %d", round);
    }
    ck_assert_uint_gt(optimal, 100);
    ck_assert_uint_gt(fell_short, 30);
}
END_TEST

/* Sixteen types of nearly the same price per replica, which no bound tells apart quickly. */
START_TEST(a_hard_one_ends)
{
    struct scale_mix_type types[SCALE_POOLS_MAX];
    for (size_t i = 0; i < SCALE_POOLS_MAX; i++)
        types[i] =
            (struct scale_mix_type){.cost = 1.0001 * (double)(17 + 2 * i) + 0.001 * (double)i,
                                    .cpu = 3.1 * (double)(7 + i),
                                    .memory = 1e9 * (double)(29 - i),
                                    .carries = 17 + 2 * (int64_t)i,
                                    .max = 1000000,
                                    .before = (int64_t)i};
    const struct scale_mix_limits limits = {40000, 3e13, 3000};
    struct scale_mix mix;
    scale_mix_choose(types, SCALE_POOLS_MAX, &limits, 9973, &mix);
    ck_assert(mix.verdict == SCALE_MIX_OPTIMAL || mix.verdict == SCALE_MIX_GREEDY);
    ck_assert_int_ge(mix.carried, 9973);
    ck_assert_double_le(mix.cost, 1.01 * 9973 * 1.01);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(a_programme),
                                      UNIT_CASE(the_cheapest_mix),
                                      UNIT_CASE(limits_that_carry_less),
                                      UNIT_CASE(switching_has_its_price),
                                      UNIT_CASE(against_all_mixes),
                                      UNIT_CASE(a_hard_one_ends),
                                      {0}};
    return unit_run("autoscaler/mix", cases);
}
