/* SPDX-License-Identifier: Apache-2.0
 *
 * keeping: how one run of forecast, forecast_quantile or anomaly_score uses models that are kept
 * (query/kept.h). It does when all of its steps have one basis: instant queries, and ranges that
 * lie wholly in the future.
 *
 * Threads: one run, one thread; runs that share an operator copy its keeping.
 */
#ifndef TW_QUERY_KEEPING_H
#define TW_QUERY_KEEPING_H

#include "query/kept.h"
#include "query/operator.h"

/* What passes between a kernel and what is kept, for one series. */
struct query_keepsake {
    struct query_learned learned; /* model NULL: learn; then the model comes back here */
    struct query_trial trial;
    bool was_kept;   /* the samples begin where its knowledge ends */
    bool at_newest;  /* learn from all up to the newest sample */
    bool is_unready; /* set when the kept model cannot answer */
};

struct query_keeping_run {
    struct query_kept *kept; /* NULL: nothing is kept for this run */
    struct query_subject *subject;
    enum query_keeping how;
    int64_t basis_ms, now_ms;
    size_t learns_left; /* of a run that renews */
    bool is_short;      /* the subquery began where the models' knowledge ends */
};

/* horizon: in seconds, of the last step; last_end_ms: where its window ends. */
void query_keeping_begin(struct query_keeping_run *run, const struct query_exec *exec,
                         const struct query_node *call, const struct query_node *matrix,
                         int64_t range_ms, int64_t first_end_ms, int64_t last_end_ms,
                         double horizon);
void query_keeping_end(struct query_keeping_run *run);

enum query_keeping_verdict {
    QUERY_KEEPING_LEARN, /* from all of the series' samples */
    QUERY_KEEPING_GO_ON, /* with *ret, from *ret_from_ms on */
    QUERY_KEEPING_SKIP,  /* the run is not about this series */
};
enum query_keeping_verdict query_keeping_take(struct query_keeping_run *run,
                                              struct wire_labels labels, struct query_keepsake *ret,
                                              int64_t *ret_from_ms);
/* Takes what the keepsake holds. */
void query_keeping_give(struct query_keeping_run *run, struct wire_labels labels,
                        struct query_keepsake *keepsake);

#endif
