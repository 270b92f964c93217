/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/mix.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autoscaler/integer_program.h"
#include "base/assert.h"

#define STEPS_MAX 50000 /* of the solver: some ten milliseconds */
#define SLACK 1e-9      /* limits are sums of doubles */

const char *scale_mix_verdict_name(enum scale_mix_verdict verdict)
{
    static const char *const names[] = {
#define SCALE_MIX_TEXT(name, text) text,
        SCALE_MIX_TABLE(SCALE_MIX_TEXT)
#undef SCALE_MIX_TEXT
    };
    TW_ASSERT((size_t)verdict < sizeof names / sizeof *names);
    return names[verdict];
}

struct problem {
    const struct scale_mix_type *types;
    const struct scale_mix_limits *limits;
    size_t count;
    int64_t replicas;
    int64_t lower[SCALE_POOLS_MAX], upper[SCALE_POOLS_MAX];
    double hair; /* cost of stopping one: decides between mixes of the same price */
};

static void pose(struct problem *problem, const struct scale_mix_type *types, size_t count,
                 const struct scale_mix_limits *limits, int64_t replicas)
{
    TW_ASSERT(count > 0 && count <= SCALE_POOLS_MAX && replicas >= 0);
    bool all_out = true;
    *problem = (struct problem){types, limits, count, replicas, {0}, {0}, 0};
    double highest = 0;
    for (size_t i = 0; i < count; i++) {
        all_out = all_out && types[i].out;
        highest = fmax(highest, types[i].cost);
    }
    problem->hair = 1e-6 * (highest > 0 ? highest : 1);
    for (size_t i = 0; i < count; i++) {
        const struct scale_mix_type *type = &types[i];
        TW_ASSERT(type->carries > 0 && 0 <= type->min && type->min <= type->max);
        if (type->out && !all_out)
            continue;
        int64_t useful = (replicas + type->carries - 1) / type->carries;
        problem->lower[i] = type->min;
        problem->upper[i] = useful < type->min   ? type->min
                            : useful > type->max ? type->max
                                                 : useful;
    }
}

struct use {
    double cpu, memory, count;
};

static struct use use_of(const struct problem *problem, const int64_t *counts)
{
    struct use use = {0, 0, 0};
    for (size_t i = 0; i < problem->count; i++) {
        use.cpu += (double)counts[i] * problem->types[i].cpu;
        use.memory += (double)counts[i] * problem->types[i].memory;
        use.count += (double)counts[i];
    }
    return use;
}

static bool fits(const struct problem *problem, const int64_t *counts)
{
    struct use use = use_of(problem, counts);
    return use.cpu <= problem->limits->cpu * (1 + SLACK) &&
           use.memory <= problem->limits->memory * (1 + SLACK) &&
           use.count <= (double)problem->limits->count;
}

static int64_t carried_by(const struct problem *problem, const int64_t *counts)
{
    int64_t carried = 0;
    for (size_t i = 0; i < problem->count; i++)
        carried += counts[i] * problem->types[i].carries;
    return carried;
}

/* What is made least: the cost, and what the change costs. */
static double price_of(const struct problem *problem, const int64_t *counts)
{
    double price = 0;
    for (size_t i = 0; i < problem->count; i++) {
        const struct scale_mix_type *type = &problem->types[i];
        double more = (double)(counts[i] - type->before);
        price += (double)counts[i] * type->cost;
        price += more > 0 ? more * (type->switch_cost + problem->hair) : -more * problem->hair;
    }
    return price;
}

/* ---- greedily: the cheapest per replica first ---- */

static int64_t room(const struct problem *problem, const int64_t *counts, size_t i)
{
    const struct scale_mix_type *type = &problem->types[i];
    struct use use = use_of(problem, counts);
    double most =
        fmin((double)(problem->upper[i] - counts[i]), (double)problem->limits->count - use.count);
    if (type->cpu > 0)
        most = fmin(most, (problem->limits->cpu - use.cpu) / type->cpu + SLACK);
    if (type->memory > 0)
        most = fmin(most, (problem->limits->memory - use.memory) / type->memory + SLACK);
    return most > 0 ? (int64_t)floor(most) : 0;
}

static void choose_greedily(const struct problem *problem, int64_t *ret_counts)
{
    memcpy(ret_counts, problem->lower, problem->count * sizeof *ret_counts);
    for (;;) {
        int64_t left = problem->replicas - carried_by(problem, ret_counts), best_room = 0;
        size_t best = problem->count;
        double best_cost = INFINITY;
        for (size_t i = 0; left > 0 && i < problem->count; i++) {
            const struct scale_mix_type *type = &problem->types[i];
            int64_t carries = type->carries < left ? type->carries : left;
            int64_t most = room(problem, ret_counts, i);
            double cost = (type->cost + (ret_counts[i] >= type->before ? type->switch_cost : 0)) /
                          (double)carries;
            if (most > 0 && cost < best_cost) {
                best = i;
                best_cost = cost;
                best_room = most;
            }
        }
        if (best == problem->count)
            return;
        int64_t whole = left / problem->types[best].carries;
        int64_t more = whole > 1 ? whole : 1;
        /* What runs already is cheaper than what has to be started: no further than that at once.
         */
        int64_t there = problem->types[best].before - ret_counts[best];
        if (there > 0 && more > there)
            more = there;
        ret_counts[best] += more < best_room ? more : best_room;
    }
}

/* ---- as an integer programme ---- */

/* Variables: the counts, those started, those stopped. at_least: replicas to carry. For the most
 * replicas (instead of the least cost): most. */
static enum scale_program_verdict solve(const struct problem *problem, int64_t at_least, bool most,
                                        int64_t *ret_counts)
{
    static const struct scale_program empty;
    struct scale_program program = empty;
    size_t n = problem->count, rows = 0;
    double values[SCALE_PROGRAM_COLUMNS_MAX];
    program.columns = most ? n : 3 * n;
    struct scale_program_row *carry = most ? NULL : &program.row[rows++];
    struct scale_program_row *cpu = isinf(problem->limits->cpu) ? NULL : &program.row[rows++];
    struct scale_program_row *memory = isinf(problem->limits->memory) ? NULL : &program.row[rows++];
    struct scale_program_row *count = &program.row[rows++];
    count->bound = (double)problem->limits->count;
    if (carry)
        *carry = (struct scale_program_row){.at_least = true, .bound = (double)at_least};
    if (cpu)
        cpu->bound = problem->limits->cpu;
    if (memory)
        memory->bound = 1; /* bytes are too large a number beside the others */
    for (size_t i = 0; i < n; i++) {
        const struct scale_mix_type *type = &problem->types[i];
        program.lower[i] = (double)problem->lower[i];
        program.upper[i] = (double)problem->upper[i];
        program.whole[i] = true;
        program.cost[i] = most ? -(double)type->carries : type->cost;
        count->of[i] = 1;
        if (carry)
            carry->of[i] = (double)type->carries;
        if (cpu)
            cpu->of[i] = type->cpu;
        if (memory)
            memory->of[i] = type->memory / problem->limits->memory;
        if (most)
            continue;
        program.whole[n + i] = program.whole[2 * n + i] = true;
        program.cost[n + i] = type->switch_cost + problem->hair;
        program.cost[2 * n + i] = problem->hair;
        program.upper[n + i] = program.upper[2 * n + i] = INFINITY;
        /* count - started <= before; count + stopped >= before */
        struct scale_program_row *started = &program.row[rows++], *stopped = &program.row[rows++];
        started->of[i] = stopped->of[i] = 1;
        started->of[n + i] = -1;
        stopped->of[2 * n + i] = 1;
        started->bound = stopped->bound = (double)type->before;
        stopped->at_least = true;
    }
    program.rows = rows;
    enum scale_program_verdict verdict = scale_program_solve(&program, STEPS_MAX, values);
    if (verdict != SCALE_PROGRAM_OPTIMAL && verdict != SCALE_PROGRAM_FEASIBLE)
        return verdict;
    for (size_t i = 0; i < n; i++) {
        ret_counts[i] = (int64_t)llround(values[i]);
        if (ret_counts[i] < problem->lower[i] || ret_counts[i] > problem->upper[i])
            return SCALE_PROGRAM_UNSOLVED;
    }
    /* What a library says is believed when it is so. */
    return fits(problem, ret_counts) && (most || carried_by(problem, ret_counts) >= at_least)
               ? verdict
               : SCALE_PROGRAM_UNSOLVED;
}

static void finish(const struct problem *problem, enum scale_mix_verdict verdict,
                   const int64_t *counts, struct scale_mix *ret)
{
    *ret = (struct scale_mix){.verdict = verdict};
    memcpy(ret->counts, counts, problem->count * sizeof *counts);
    ret->carried = carried_by(problem, counts);
    for (size_t i = 0; i < problem->count; i++)
        ret->cost += (double)counts[i] * problem->types[i].cost;
    if (verdict == SCALE_MIX_MINIMUM)
        snprintf(ret->text, sizeof ret->text,
                 "the types' min alone are more than the limits allow: nothing is added");
    else if (verdict == SCALE_MIX_SHORT || ret->carried < problem->replicas)
        snprintf(ret->text, sizeof ret->text, "the limits carry %lld of %lld replicas%s",
                 (long long)ret->carried, (long long)problem->replicas,
                 verdict == SCALE_MIX_GREEDY ? " as far as was found within the solver's steps"
                                             : "");
    else if (verdict == SCALE_MIX_GREEDY)
        snprintf(ret->text, sizeof ret->text,
                 "the solver did not come to its end within its steps: the best that it or a "
                 "greedy choice found, which may cost more than it has to");
}

void scale_mix_choose_greedily(const struct scale_mix_type *types, size_t count,
                               const struct scale_mix_limits *limits, int64_t replicas,
                               struct scale_mix *ret)
{
    struct problem problem;
    int64_t counts[SCALE_POOLS_MAX];
    pose(&problem, types, count, limits, replicas);
    bool narrow = !fits(&problem, problem.lower);
    choose_greedily(&problem, counts);
    finish(&problem, narrow ? SCALE_MIX_MINIMUM : SCALE_MIX_GREEDY, narrow ? problem.lower : counts,
           ret);
}

void scale_mix_choose(const struct scale_mix_type *types, size_t count,
                      const struct scale_mix_limits *limits, int64_t replicas,
                      struct scale_mix *ret)
{
    struct problem problem;
    int64_t counts[SCALE_POOLS_MAX], greedy[SCALE_POOLS_MAX];
    pose(&problem, types, count, limits, replicas);
    if (!fits(&problem, problem.lower)) {
        finish(&problem, SCALE_MIX_MINIMUM, problem.lower, ret);
        return;
    }
    enum scale_mix_verdict verdict = SCALE_MIX_OPTIMAL;
    enum scale_program_verdict solved = solve(&problem, replicas, false, counts);
    if (solved == SCALE_PROGRAM_INFEASIBLE) {
        verdict = SCALE_MIX_SHORT;
        solved = solve(&problem, 0, true, counts);
        if (solved == SCALE_PROGRAM_OPTIMAL)
            solved = solve(&problem, carried_by(&problem, counts), false, counts);
    }
    if (solved == SCALE_PROGRAM_OPTIMAL) {
        finish(&problem, verdict, counts, ret);
        return;
    }
    choose_greedily(&problem, greedy);
    bool better = solved == SCALE_PROGRAM_FEASIBLE &&
                  carried_by(&problem, counts) >= carried_by(&problem, greedy) &&
                  price_of(&problem, counts) < price_of(&problem, greedy);
    finish(&problem, SCALE_MIX_GREEDY, better ? counts : greedy, ret);
}
