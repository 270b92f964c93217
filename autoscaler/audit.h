/* SPDX-License-Identifier: Apache-2.0
 *
 * audit: who changed what about scalers, and what was done to targets: an append-only log in the
 * state store, drawn in docs/format/state-scaler.md. Nothing in it is ever changed; past
 * SCALE_AUDIT_KEPT entries the oldest go.
 *
 * Threads: any.
 */
#ifndef TW_AUTOSCALER_AUDIT_H
#define TW_AUTOSCALER_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "autoscaler/settings.h"
#include "base/err.h"
#include "base/json.h"
#include "tsdb/state.h"

#define SCALE_AUDIT_KEPT 100000
#define SCALE_WHO_BYTES 192
#define SCALE_AUDIT_TEXT_BYTES 640
#define SCALE_SELF "tidewatchd" /* who, when nobody asked for it */

/* SCALE_AUDIT(name, text) */
#define SCALE_AUDIT_TABLE(SCALE_AUDIT)                                                             \
    SCALE_AUDIT(CONFIG, "config")       /* settings came into force */                             \
    SCALE_AUDIT(PAUSE, "pause")         /* a direction was stopped */                              \
    SCALE_AUDIT(RESUME, "resume")       /* it goes on, or its time was over */                     \
    SCALE_AUDIT(SET, "set")             /* somebody said how many there shall be */                \
    SCALE_AUDIT(DELIVERED, "delivered") /* the target took an order */                             \
    SCALE_AUDIT(FAILED, "failed")       /* an attempt did not succeed */                           \
    SCALE_AUDIT(VERIFIED, "verified")   /* the replicas came and serve */                          \
    SCALE_AUDIT(OVERDUE, "overdue")     /* they did not, in their time */                          \
    SCALE_AUDIT(ISOLATED, "isolated")   /* an instance was taken out */                            \
    SCALE_AUDIT(REPLACED, "replaced")   /* and another one serves */
enum scale_audit_kind {
#define SCALE_AUDIT_ENUM(name, text) SCALE_AUDIT_##name,
    SCALE_AUDIT_TABLE(SCALE_AUDIT_ENUM)
#undef SCALE_AUDIT_ENUM
        SCALE_AUDIT_KINDS
};
const char *scale_audit_name(enum scale_audit_kind kind);

struct scale_audit {
    uint64_t number; /* 1, 2, 3 ...; set by appending */
    int64_t time_ms;
    enum scale_audit_kind kind;
    char who[SCALE_WHO_BYTES];
    char scaler[SCALE_NAME_BYTES_MAX + 1]; /* or of a recovery; empty = none of them */
    char text[SCALE_AUDIT_TEXT_BYTES];
};

/* Fills all but the number; what is too long is cut. */
void scale_audit_make(struct scale_audit *audit, int64_t time_ms, enum scale_audit_kind kind,
                      const char *who, struct tw_str scaler, const char *format, ...)
    TW_PRINTF(6, 7);
/* Within a transaction of the caller's. */
TW_MUST_CHECK enum tw_code scale_audit_append(struct tsdb_state_txn *txn, struct scale_audit *audit,
                                              struct tw_err *err);
/* In a transaction of its own: durable when it returns TW_OK. */
TW_MUST_CHECK enum tw_code scale_audit_write(struct tsdb_state *state, struct scale_audit *audits,
                                             size_t count, struct tw_err *err);
/* Newest first, until visit returns false. */
typedef bool scale_audit_visit(void *user, const struct scale_audit *audit);
TW_MUST_CHECK enum tw_code scale_audit_each(struct tsdb_state *state, scale_audit_visit *visit,
                                            void *user, struct tw_err *err);
void scale_audit_write_json(const struct scale_audit *audit, struct tw_json_writer *writer);

#endif
