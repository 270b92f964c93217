/* SPDX-License-Identifier: Apache-2.0
 *
 * decision: what a scaler decided at one moment, with everything that it decided from: a record
 * that can be stored, shown and explained. Its bytes are drawn in docs/format/state-scaler.md.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_DECISION_H
#define TW_AUTOSCALER_DECISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "autoscaler/allocation.h"
#include "autoscaler/budget.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#define SCALE_GUARDS_MAX 16
#define SCALE_GUARD_TEXT_BYTES 160
#define SCALE_REASON_BYTES 512
#define SCALE_ERROR_BYTES 256
#define SCALE_KEY_BYTES 192

/* SCALE_DATA(name, text): what the observation was worth. */
#define SCALE_DATA_TABLE(SCALE_DATA)                                                               \
    SCALE_DATA(OK, "ok")                                                                           \
    SCALE_DATA(MISSING, "missing") /* the query gave nothing */                                    \
    SCALE_DATA(LATE, "late")       /* too old */                                                   \
    SCALE_DATA(PARTIAL, "partial") /* some of the sources are not there */                         \
    SCALE_DATA(SUSPECT, "suspect") /* it cannot well be true */                                    \
    SCALE_DATA(FROZEN, "frozen")   /* it stands still, which it never did */                       \
    SCALE_DATA(ERROR, "error")     /* the query failed */                                          \
    SCALE_DATA(RESET, "reset")     /* a raw counter, which was reset */
enum scale_data {
#define SCALE_DATA_ENUM(name, text) SCALE_DATA_##name,
    SCALE_DATA_TABLE(SCALE_DATA_ENUM)
#undef SCALE_DATA_ENUM
        SCALE_DATA_KINDS
};

/* In the order in which they act. */
#define SCALE_GUARD_TABLE(SCALE_GUARD)                                                             \
    SCALE_GUARD(TOLERANCE, "tolerance") /* too small a change */                                   \
    SCALE_GUARD(TREND, "trend")         /* the load rises faster than was forecast */              \
    SCALE_GUARD(SEASON, "season")       /* it rose sharply at this time of earlier periods */      \
    SCALE_GUARD(FLOOR, "floor")         /* what the present load needs */                          \
    SCALE_GUARD(DATA, "data")           /* no scale-in on bad data */                              \
    SCALE_GUARD(FORECAST, "forecast")   /* needed again soon */                                    \
    SCALE_GUARD(STABILISATION, "stabilisation") /* needed a short while ago */                     \
    SCALE_GUARD(REVERSAL, "reversal")           /* in, right after out */                          \
    SCALE_GUARD(RATE, "rate")                   /* change per time */                              \
    SCALE_GUARD(BUDGET, "budget")               /* money; after min and max */                     \
    SCALE_GUARD(MIN, "min")                                                                        \
    SCALE_GUARD(MAX, "max")                                                                        \
    SCALE_GUARD(PAUSE, "pause")           /* somebody stopped it, or said how many */              \
    SCALE_GUARD(CONFIDENCE, "confidence") /* poor forecasts: acts before all others */
enum scale_guard {
#define SCALE_GUARD_ENUM(name, text) SCALE_GUARD_##name,
    SCALE_GUARD_TABLE(SCALE_GUARD_ENUM)
#undef SCALE_GUARD_ENUM
        SCALE_GUARD_KINDS
};

/* What became of it. */
#define SCALE_ACTION_TABLE(SCALE_ACTION)                                                           \
    SCALE_ACTION(NONE, "none")                                                                     \
    SCALE_ACTION(OBSERVED, "observed")                                                             \
    SCALE_ACTION(PENDING, "pending")                                                               \
    SCALE_ACTION(DELIVERED, "delivered")                                                           \
    SCALE_ACTION(FAILED, "failed")                                                                 \
    SCALE_ACTION(SUPERSEDED, "superseded")
enum scale_action {
#define SCALE_ACTION_ENUM(name, text) SCALE_ACTION_##name,
    SCALE_ACTION_TABLE(SCALE_ACTION_ENUM)
#undef SCALE_ACTION_ENUM
};

struct scale_guard_act {
    enum scale_guard guard;
    int64_t before, after; /* replicas */
    char text[SCALE_GUARD_TEXT_BYTES];
};

struct scale_decision {
    int64_t time_ms, since_ms; /* since: the first of this outcome */
    uint32_t count;            /* decisions of this outcome that this record stands for */
    /* inputs; replicas -1 and numbers NaN where not known */
    enum scale_data data;
    double load, capacity;
    int64_t load_ms, replicas, ready, startup_ms, min, max;
    /* forecast of the highest load within the horizon */
    int64_t horizon_ms;
    double quantile, q50, q95, used;
    /* outcome */
    int64_t from, to, wanted, reactive; /* wanted: by the forecast alone */
    int64_t recalled; /* what this time of earlier periods needed; 0 = nothing to recall */
    int64_t later; /* what may be wanted within the time to settle, by the forecast; -1 not known */
    struct scale_guard_act guards[SCALE_GUARDS_MAX];
    size_t guard_count;
    char reason[SCALE_REASON_BYTES];
    struct scale_allocation allocation; /* over pools or types */
    struct scale_budget_state budget;
    /* action */
    enum scale_action action;
    uint32_t attempts;
    int http_status; /* 0 = none yet */
    int64_t action_ms;
    char error[SCALE_ERROR_BYTES];
    char key[SCALE_KEY_BYTES]; /* of idempotency; empty when nothing is to be sent */
};

/* Neither the load nor the replicas are known: `to` is only a place to start from, and nobody is
 * told of it, for it might be far below what runs. */
bool scale_decision_is_blind(const struct scale_decision *decision);

const char *scale_data_name(enum scale_data data);
const char *scale_guard_name(enum scale_guard guard);
const char *scale_action_name(enum scale_action action);

/* Notes that a guard changed the replicas; does nothing when it did not. */
void scale_decision_note(struct scale_decision *decision, enum scale_guard guard, int64_t before,
                         int64_t after, const char *format, ...) TW_PRINTF(5, 6);
/* Whether b is but a repetition of a: same outcome, same guards, same quality of data, nothing
 * sent. */
bool scale_decision_same(const struct scale_decision *a, const struct scale_decision *b);
/* outcome: NULL when there is none yet. */
struct scale_effect;
void scale_decision_write_json(const struct scale_decision *decision,
                               const struct scale_effect *outcome, struct tw_json_writer *writer);

/* As a record (format version 1). Decoding checks everything: TW_CORRUPT for what was not written
 * so, TW_UNSUPPORTED for a later version. */
void scale_decision_encode(const struct scale_decision *decision, struct tw_buf *ret_bytes);
TW_MUST_CHECK enum tw_code scale_decision_decode(struct tw_str bytes, struct scale_decision *ret,
                                                 struct tw_err *err);

#endif
