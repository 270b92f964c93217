/* SPDX-License-Identifier: Apache-2.0
 *
 * keeping: how one run of forecast, forecast_quantile or anomaly_score uses models that are kept
 * (query/kept.h). It does when all of its steps have one basis: instant queries, and ranges that
 * lie wholly in the future.
 *
 * A rule must not be held up for long by models that are missing or late: one run learns at most
 * QUERY_LEARNS_PER_RUN of them. All others are left to the keeper, and meanwhile forecast by
 * sketches: models of the newest samples alone.
 *
 * Threads: one run, one thread; runs that share an operator copy its keeping.
 */
#ifndef TW_QUERY_KEEPING_H
#define TW_QUERY_KEEPING_H

#include "query/kept.h"
#include "query/operator.h"

#define QUERY_LEARNS_PER_RUN 64

/* What passes between a kernel and what is kept, for one series. */
struct query_keepsake {
    struct query_learned learned; /* model NULL: learn; then the model comes back here */
    struct query_trial trial;
    bool was_kept;   /* the samples begin where its knowledge ends */
    bool at_newest;  /* learn from all up to the newest sample */
    bool sketches;   /* learn from the newest samples alone; it will not be kept */
    bool is_unready; /* set when the kept model cannot answer */
};

struct query_keeping_run {
    struct query_kept *kept; /* NULL: nothing is kept for this run */
    struct query_subject *subject;
    enum query_keeping how;
    int64_t basis_ms, now_ms;
    size_t learns_left; /* models that the run may yet learn */
    bool is_short;      /* the input begins so late that there is nothing to learn from */
};

/* horizon: in seconds, of the last step; last_end_ms: where its window ends. */
void query_keeping_begin(struct query_keeping_run *run, const struct query_exec *exec,
                         const struct query_node *call, const struct query_node *matrix,
                         int64_t range_ms, int64_t first_end_ms, int64_t last_end_ms,
                         double horizon);
void query_keeping_end(struct query_keeping_run *run);

enum query_keeping_take {
    QUERY_KEEPING_GO_ON,   /* with *ret, from *ret_from_ms on */
    QUERY_KEEPING_WITHOUT, /* see query_keeping_begin_anew, if the series has not ended */
    QUERY_KEEPING_SKIP,    /* the run is not about this series */
};
enum query_keeping_take query_keeping_take(struct query_keeping_run *run, struct wire_labels labels,
                                           struct query_keepsake *ret, int64_t *ret_from_ms);
/* Without a kept model, or after one that could not answer (is_unready). */
enum query_keeping_anew {
    QUERY_KEEPING_LEARN,  /* from all of the series' samples */
    QUERY_KEEPING_SKETCH, /* from the newest ones */
    QUERY_KEEPING_NOTHING,
};
enum query_keeping_anew query_keeping_begin_anew(struct query_keeping_run *run,
                                                 struct wire_labels labels,
                                                 struct query_keepsake *ret);
/* Takes what the keepsake holds. */
void query_keeping_give(struct query_keeping_run *run, struct wire_labels labels,
                        struct query_keepsake *keepsake);

#endif
