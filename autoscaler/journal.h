/* SPDX-License-Identifier: Apache-2.0
 *
 * journal: decisions and what a scaler has learned, in the state store, so that a restart goes on
 * where the last tick ended. Layout: docs/format/state-scaler.md.
 *
 * Threads: any; each call is a transaction of its own.
 */
#ifndef TW_AUTOSCALER_JOURNAL_H
#define TW_AUTOSCALER_JOURNAL_H

#include "autoscaler/decision.h"
#include "autoscaler/effect.h"
#include "autoscaler/policy.h"
#include "autoscaler/settings.h"
#include "autoscaler/startup.h"
#include "tsdb/state.h"

/* Records kept of one scaler; the oldest go. */
#define SCALE_DECISIONS_KEPT 2000
#define SCALE_DECISION_KEY_BYTES (SCALE_NAME_BYTES_MAX + 1 + 8)

/* Of a decision, in the tables of decisions and of outcomes; bytes: SCALE_DECISION_KEY_BYTES. */
struct tw_str scale_journal_key(char *bytes, struct tw_str name, int64_t since_ms);

struct scale_entry {
    struct tw_str name;
    const struct scale_decision *decision;
    /* What it remembers beside the decision; NULL: leave as it is. */
    const struct scale_policy *policy;
    const struct scale_startup *startup;
    double capacity;
    struct tw_str fleet; /* scale_fleet_encode; empty: leave as it is */
    struct tw_str ledger; /* scale_ledger_encode; the same */
};

/* All entries in one durable transaction. A decision that goes on with the outcome of the one
 * before (same since_ms) takes its place. */
TW_MUST_CHECK enum tw_code scale_journal_write(struct tsdb_state *state,
                                               const struct scale_entry *entries, size_t count,
                                               struct tw_err *err);
/* TW_NOT_FOUND when there is none. */
TW_MUST_CHECK enum tw_code scale_journal_last(struct tsdb_state *state, struct tw_str name,
                                              struct scale_decision *ret, struct tw_err *err);
/* The newest decision that was to be sent (has a key); TW_NOT_FOUND. */
TW_MUST_CHECK enum tw_code scale_journal_last_order(struct tsdb_state *state, struct tw_str name,
                                                    struct scale_decision *ret, struct tw_err *err);
TW_MUST_CHECK enum tw_code scale_journal_memory(struct tsdb_state *state, struct tw_str name,
                                                struct scale_policy *ret_policy,
                                                struct scale_startup *ret_startup,
                                                double *ret_capacity, struct tw_err *err);
/* TW_NOT_FOUND without one. */
TW_MUST_CHECK enum tw_code scale_journal_fleet(struct tsdb_state *state, struct tw_str name,
                                               struct tw_buf *ret_bytes, struct tw_err *err);
TW_MUST_CHECK enum tw_code scale_journal_ledger(struct tsdb_state *state, struct tw_str name,
                                                struct tw_buf *ret_bytes, struct tw_err *err);
/* Newest first, until visit returns false. */
typedef bool scale_journal_visit(void *user, const struct scale_decision *decision,
                                 const struct scale_effect *outcome); /* NULL: not known yet */
TW_MUST_CHECK enum tw_code scale_journal_each(struct tsdb_state *state, struct tw_str name,
                                              scale_journal_visit *visit, void *user,
                                              struct tw_err *err);

#endif
