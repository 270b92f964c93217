/* SPDX-License-Identifier: Apache-2.0
 *
 * parallel: one operator that reads series of the store, worked on by several threads.
 *
 *              next()                    lanes: the operator, once for each thread, over one
 *                |                              selection, each with cursor and memory of its own
 *        slots [ 4 | 5 | 6 | . ]         slots: tiles that wait to be given out, in order
 *          ^       ^       ^
 *        lane 0  lane 1  lane 0  ...     who is free takes the next batch of series
 *
 * Lane 0 belongs to the thread that runs the query: it works on batches while the one that it is to
 * give next is not ready. What comes out is the same, bit for bit and in the same order, as that of
 * the operator alone.
 *
 * Series with native histograms do not go through slots: from the first such batch on, lane 0 works
 * alone.
 *
 * Helpers are threads of the engine. An operator gets as many as are idle when it is opened, or
 * none.
 *
 * Threads: the operator belongs to its run's; helpers see their lanes only.
 */
#ifndef TW_QUERY_PARALLEL_H
#define TW_QUERY_PARALLEL_H

#include <stdatomic.h>

#include "base/workers.h"
#include "query/operator.h"

#define QUERY_LANES_MAX 8

struct query_helpers {
    struct tw_workers *workers;
    size_t count;
    atomic_size_t idle;
};

/* count: threads; NULL for 0. */
TW_MUST_CHECK enum tw_code query_helpers_new(size_t count, struct query_helpers **ret_helpers,
                                             struct tw_err *err);
struct query_helpers *query_helpers_free(struct query_helpers *helpers); /* returns NULL */

/* Has a helper, if one is idle, do a job, at whose end it says that it leaves. False: none did. */
bool query_helpers_call(struct query_helpers *helpers, void (*job)(void *argument), void *argument);
void query_helpers_leave(struct query_helpers *helpers);

/* lanes: the same operator count times, none of which is the plan's; they can share. */
struct query_op *query_parallel_op(struct tw_arena *arena, const struct query_node *node,
                                   struct query_helpers *helpers, struct query_op *const *lanes,
                                   size_t count);

#endif
