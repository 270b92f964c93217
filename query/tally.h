/* SPDX-License-Identifier: Apache-2.0
 *
 * tally: how many samples each step of a query looks at, as Prometheus counts its queryable
 * samples: one for each series that a selector gives at a step, all of a window for a function of
 * ranges, the points of a subquery but not what it reads itself; a histogram for as many as it is
 * large. What is evaluated once counts at every step. What stands several times and is worked out
 * once counts once.
 *
 * Threads: one run, one thread; where samples are tallied, no other thread works for the run.
 */
#ifndef TW_QUERY_TALLY_H
#define TW_QUERY_TALLY_H

#include <stddef.h>
#include <stdint.h>

struct tw_arena;
struct query_exec;
struct query_op;
struct query_samples;
struct query_tile;
struct query_windows;

/* What an operator's samples count for. */
enum query_tallied {
    QUERY_TALLIED_NOT,        /* below a subquery */
    QUERY_TALLIED_STEP,       /* at the step they are looked at */
    QUERY_TALLIED_EVERY_STEP, /* what does not depend on the time */
};

struct query_tally {
    int64_t start_ms, step_ms; /* step_ms 0 = instant, one step */
    uint64_t *steps;
    size_t count;
    uint64_t total;
    uint64_t series_peak; /* the most samples of one series that were held at once */
};

struct query_tally *query_tally_new(struct tw_arena *arena, int64_t start_ms, int64_t end_ms,
                                    int64_t step_ms);
/* exec->tally NULL: nothing is done. A tile of samples, one for each step at most. */
void query_tally_tile(struct query_exec *exec, const struct query_op *op,
                      const struct query_tile *tile);
/* The windows of one series. */
void query_tally_windows(struct query_exec *exec, const struct query_op *op,
                         const struct query_windows *windows, const struct query_samples *samples,
                         int64_t first_end_ms, int64_t end_step_ms, int64_t range_ms);
/* Samples that are the answer themselves. */
void query_tally_raw(struct query_exec *exec, size_t samples);

#endif
