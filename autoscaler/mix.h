/* SPDX-License-Identifier: Apache-2.0
 *
 * mix: how many instances of each type carry so many replicas at the least cost:
 *
 *   least  sum n_i cost_i + sum started_i switch_i + sum stopped_i * a hair
 *   with   sum n_i carries_i >= replicas
 *          sum n_i cpu_i <= cpu, sum n_i memory_i <= memory, sum n_i <= count
 *          min_i <= n_i <= max_i, n_i whole;  started_i >= n_i - before_i, stopped_i >= before_i -
 * n_i
 *
 * an integer programme (all of its variables are whole: lp_solve 5.5 drops branches that it needs
 * where real ones have a cost). Where the limits do not allow the replicas, as many as they allow
 * are carried, at the least cost. What the solver cannot answer in its time, a greedy choice does,
 * and says so; it keeps to the limits, but may cost more.
 *
 * I1  No limit is ever broken, except that a type's min comes first: where the mins alone break a
 *     limit, they are what is chosen.
 * I2  The same input gives the same mix, unless the solver ran out of time.
 * I3  Where two mixes cost the same, the one that starts and stops fewer instances is taken.
 *
 * Threads: plain data, pure functions.
 */
#ifndef TW_AUTOSCALER_MIX_H
#define TW_AUTOSCALER_MIX_H

#include "autoscaler/pool.h"

#define SCALE_MIX_TEXT_BYTES 160

struct scale_mix_type {
    double cost, switch_cost; /* of one for an hour; of starting one */
    double cpu, memory;       /* of one; 0 where no limit asks */
    int64_t carries, min, max;
    int64_t before; /* instances that there are */
    bool out;       /* gets none, unless all are */
};

struct scale_mix_limits {
    double cpu, memory; /* infinite = none */
    int64_t count;
};

/* SCALE_MIX(name, text) */
#define SCALE_MIX_TABLE(SCALE_MIX)                                                                 \
    SCALE_MIX(OPTIMAL, "optimal") /* nothing is cheaper */                                         \
    SCALE_MIX(SHORT, "short") /* the limits carry fewer replicas than wanted: the most of them */  \
    SCALE_MIX(GREEDY, "greedy")   /* the solver did not come to its end */                         \
    SCALE_MIX(MINIMUM, "minimum") /* the mins alone break the limits */
enum scale_mix_verdict {
#define SCALE_MIX_ENUM(name, text) SCALE_MIX_##name,
    SCALE_MIX_TABLE(SCALE_MIX_ENUM)
#undef SCALE_MIX_ENUM
};

struct scale_mix {
    enum scale_mix_verdict verdict;
    int64_t counts[SCALE_POOLS_MAX];
    int64_t carried;                 /* replicas */
    double cost;                     /* per hour */
    char text[SCALE_MIX_TEXT_BYTES]; /* empty when optimal */
};

const char *scale_mix_verdict_name(enum scale_mix_verdict verdict);
void scale_mix_choose(const struct scale_mix_type *types, size_t count,
                      const struct scale_mix_limits *limits, int64_t replicas,
                      struct scale_mix *ret);
/* The greedy choice alone, as when the solver gives no answer. */
void scale_mix_choose_greedily(const struct scale_mix_type *types, size_t count,
                               const struct scale_mix_limits *limits, int64_t replicas,
                               struct scale_mix *ret);

#endif
