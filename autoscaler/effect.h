/* SPDX-License-Identifier: Apache-2.0
 *
 * effect: what became of a change of replicas: was the load above what the replicas carry, and
 * did they serve? Found out after the time that the decision was made for, and kept beside it
 * (docs/format/state-scaler.md).
 *
 * A change outwards is judged from when its replicas should serve, one inwards at once; each until
 * the time to settle is over, or another change takes its place. While a scaler only observes, it
 * is judged as if there were as many replicas as it wished.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_EFFECT_H
#define TW_AUTOSCALER_EFFECT_H

#include <stdbool.h>
#include <stdint.h>

#include "autoscaler/decision.h"
#include "base/err.h"
#include "tsdb/state.h"

/* SCALE_VERDICT(name, text) */
#define SCALE_VERDICT_TABLE(SCALE_VERDICT)                                                         \
    SCALE_VERDICT(UNKNOWN, "unknown")       /* no usable look, or replaced too soon */             \
    SCALE_VERDICT(CARRIED, "carried")       /* the load stayed below what they carry */            \
    SCALE_VERDICT(OVERLOADED, "overloaded") /* it did not, although they served */                 \
    SCALE_VERDICT(MISSING, "missing")       /* fewer served than were asked for */
enum scale_verdict {
#define SCALE_VERDICT_ENUM(name, text) SCALE_VERDICT_##name,
    SCALE_VERDICT_TABLE(SCALE_VERDICT_ENUM)
#undef SCALE_VERDICT_ENUM
        SCALE_VERDICTS
};
const char *scale_verdict_name(enum scale_verdict verdict);

struct scale_effect {
    enum scale_verdict verdict;
    int64_t from_ms, until_ms; /* that was looked at */
    int64_t looks, over;       /* usable ones; with the load above the capacity */
    int64_t serving;           /* at the end; -1 = not known */
    double load, capacity;     /* at the moment when there was least to spare; NaN = none */
};

struct scale_watch {
    bool open, acted;
    int64_t since_ms; /* names the decision */
    int64_t to, due_ms, short_looks;
    struct scale_effect outcome;
};

/* decision: a change that was just made. */
void scale_watch_begin(struct scale_watch *watch, const struct scale_decision *decision,
                       int64_t settle_ms);
/* A decision's inputs, as a look at what became of the one watched. Returns whether its time is
 * over. */
bool scale_watch_look(struct scale_watch *watch, const struct scale_decision *decision);
/* Closes it; false when nothing was watched. */
bool scale_watch_end(struct scale_watch *watch, int64_t now_ms, struct scale_effect *ret);

TW_MUST_CHECK enum tw_code scale_effect_write(struct tsdb_state *state, struct tw_str scaler,
                                               int64_t since_ms,
                                               const struct scale_effect *outcome,
                                               struct tw_err *err);
/* Inside any transaction. TW_NOT_FOUND when there is none yet. */
TW_MUST_CHECK enum tw_code scale_effect_read(struct tsdb_state_txn *txn, struct tw_str scaler,
                                              int64_t since_ms, struct scale_effect *ret,
                                              struct tw_err *err);
/* The decision is forgotten. */
TW_MUST_CHECK enum tw_code scale_effect_delete(struct tsdb_state_txn *txn, struct tw_str key,
                                                struct tw_err *err);
/* The member "outcome"; NULL: null. */
void scale_effect_write_json(const struct scale_effect *outcome, struct tw_json_writer *writer);

#endif
