/* SPDX-License-Identifier: Apache-2.0
 *
 * The manager's inside, for manager.c and api.c only.
 */
#ifndef TW_AUTOSCALER_MANAGER_INT_H
#define TW_AUTOSCALER_MANAGER_INT_H

#include "autoscaler/manager.h"
#include "autoscaler/scaler.h"
#include "autoscaler/trust.h"
#include "autoscaler/ward.h"
#include "base/lock.h"
#include "base/thread.h"
#include "base/workers.h"

struct scale_manager {
    unsigned magic;
    struct scale_options options;
    /* One round or one reload at a time; taken before `lock`. */
    struct tw_lock round;
    /* Guards the list of scalers and what they publish; never held over a query, a commit or a
     * call. */
    struct tw_lock lock;
    struct tw_cond wake; /* with `lock`: a stop, a reload or the end of an attempt */
    struct scaler **scalers;
    size_t scaler_count;
    uint64_t next_id;
    bool stopping, nudged;
    struct tw_thread thread;
    struct tw_workers *callers; /* run attempts; NULL before start: then the round does */
    struct scale_means *means;
    /* Budgets that scalers share; guarded by `lock`. */
    struct tw_arena *budget_arena;
    const struct scale_shared_budget *budgets;
    size_t budget_count;
    struct {
        struct tw_metric *decisions, *changes, *holds, *query_failures, *store_failures;
        struct tw_metric *attempts_ok, *attempts_failed, *looks_failed, *seconds;
        struct scale_trust_counted trust;
        struct tw_metric *fit_seconds;
        struct scale_ward_counted ward;
        struct tw_metric *budget_cuts;
    } counted;
};

/* Read-outs for other scalers (docs/scaling-readouts.md). */
void scale_readout_route(struct tw_http_router *router, struct scale_manager *manager);
/* docs/reliability.md */
void scale_reliability_route(struct tw_http_router *router, struct scale_manager *manager);

#endif
