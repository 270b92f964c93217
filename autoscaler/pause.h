/* SPDX-License-Identifier: Apache-2.0
 *
 * pause: what people say to a scaler while it runs: not in, not out, or "there shall be so many".
 * Each for a while or until it is taken back; it outlives restarts and reloads, and comes after all
 * other guards, limits included.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_PAUSE_H
#define TW_AUTOSCALER_PAUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "autoscaler/audit.h"
#include "autoscaler/policy.h"

#define SCALE_PAUSE_REASON_BYTES 256
#define SCALE_PAUSE_MS_MAX (INT64_C(366) * 86400000)

enum scale_pause_kind { SCALE_PAUSE_IN, SCALE_PAUSE_OUT, SCALE_PAUSE_SET, SCALE_PAUSE_KINDS };

struct scale_pause {
    bool holds;
    int64_t since_ms, until_ms; /* until INT64_MAX: until it is taken back */
    int64_t replicas;           /* of SET */
    char who[SCALE_WHO_BYTES];
    char reason[SCALE_PAUSE_REASON_BYTES];
};

struct scale_pauses {
    struct scale_pause items[SCALE_PAUSE_KINDS];
};

/* "scale-in", "scale-out", "the number of replicas" */
const char *scale_pause_name(enum scale_pause_kind kind);
/* Ends those whose time is over; a set bit for each. */
unsigned scale_pauses_expire(struct scale_pauses *pauses, int64_t now_ms);
/* What the policy has to heed. */
void scale_pauses_apply(const struct scale_pauses *pauses, struct scale_policy *policy);
/* The members "paused" and "set" of a scaler. */
void scale_pauses_write_json(const struct scale_pauses *pauses, struct tw_json_writer *writer);

/* TW_OK and none when there are none. */
TW_MUST_CHECK enum tw_code scale_pauses_read(struct tsdb_state *state, struct tw_str scaler,
                                             struct scale_pauses *ret, struct tw_err *err);
/* With the entries of the audit log that go with them, or not at all. */
TW_MUST_CHECK enum tw_code scale_pauses_write(struct tsdb_state *state, struct tw_str scaler,
                                              const struct scale_pauses *pauses,
                                              struct scale_audit *audits, size_t audit_count,
                                              struct tw_err *err);

#endif
