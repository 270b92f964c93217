/* SPDX-License-Identifier: Apache-2.0
 *
 * recovery: instances that fail are taken out, replaced, and looked at until what replaces them
 * serves. Read from the `recovery:` member of a scaler:
 *
 *   recovery:
 *     instances: up{app="web"}    # one series each: above 0 is well, else it fails
 *     label: pod                  # that names an instance to the target
 *     for: 2m                     # it has failed so long
 *     mode: observe               # or: act
 *     max_share: 0.2              # under way at once, at least one
 *     max_failing: 0.5            # more than that fails at once: it is not the instances
 *     min_healthy: 1              # nothing is taken out while fewer are well
 *     max_per_hour: 6
 *     attempts: 3                 # for one instance, then people have to look
 *
 *   well -> failing -> (for, budgets) -> under way -> replaced      it is well, or gone and another
 *             |                              |                       one has come
 *             +--> well again by itself      +-> overdue -> again, or given up
 *
 * I1  An instance that nobody hears of does not fail: missing data takes nothing out.
 * I2  An act is durable before it is done; after a restart it is waited for, not done again.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_RECOVERY_H
#define TW_AUTOSCALER_RECOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "autoscaler/audit.h"
#include "autoscaler/settings.h"
#include "base/json.h"
#include "tsdb/state.h"

#define SCALE_PATIENTS_MAX 128 /* failing at once; of more none is touched */
#define SCALE_PATIENT_NAME_BYTES 254
#define SCALE_RECOVERY_HOUR_MS 3600000
#define SCALE_RECOVERY_ACTS_MAX 60    /* an hour */
#define SCALE_RECOVERY_NOTES_MAX 8    /* of a look; what is more waits for the next */
#define SCALE_RECOVERY_PAUSE_MS 60000 /* after the target did not take it */

enum scale_patient_state {
    SCALE_PATIENT_FAILING,
    SCALE_PATIENT_UNDER_WAY, /* its replacement was ordered */
    SCALE_PATIENT_GIVEN_UP
};

struct scale_patient {
    char name[SCALE_PATIENT_NAME_BYTES];
    enum scale_patient_state state;
    bool seen, observed;        /* seen: at this look; observed: told what would be done */
    int64_t since_ms, acted_ms; /* acted 0 = not yet */
    int64_t well_then;          /* instances that were well when it was acted */
    unsigned attempts;
};

struct scale_recovery {
    struct scale_patient patients[SCALE_PATIENTS_MAX];
    size_t patient_count;
    int64_t acts_ms[SCALE_RECOVERY_ACTS_MAX]; /* of the last hour, oldest first */
    size_t act_count;
    /* of the last look */
    int64_t known, well, failing; /* instances */
    char held[200]; /* why nothing is done about failing ones; empty = nothing holds */
};

struct scale_instance {
    struct tw_str name;
    bool well;
};

/* What a look asks for. */
struct scale_recovery_news {
    int64_t act;  /* index of the patient that is to be replaced now; -1 = none */
    bool changed; /* what is kept over restarts */
    struct scale_audit audits[SCALE_RECOVERY_NOTES_MAX];
    size_t audit_count;
    unsigned replaced, overdue, given_up, observed; /* patients */
};

/* instances: each once; count 0 = nothing is known (I1). wanted: replicas that there shall be, -1
 * not known. allowed_ms: until a replacement should serve. */
void scale_recovery_look(struct scale_recovery *recovery, const struct scale_settings *settings,
                         int64_t now_ms, const struct scale_instance *instances, size_t count,
                         int64_t wanted, int64_t allowed_ms, struct scale_recovery_news *ret);
/* The target did not take it: it is not under way. */
void scale_recovery_fail(struct scale_recovery *recovery, const char *name);
/* The member "recovery". */
void scale_recovery_write_json(const struct scale_recovery *recovery,
                               const struct scale_settings *settings,
                               struct tw_json_writer *writer);

TW_MUST_CHECK enum tw_code scale_recovery_read(struct tsdb_state *state, struct tw_str scaler,
                                               struct scale_recovery *ret, struct tw_err *err);
TW_MUST_CHECK enum tw_code scale_recovery_write(struct tsdb_state *state, struct tw_str scaler,
                                                const struct scale_recovery *recovery,
                                                struct scale_audit *audits, size_t audit_count,
                                                struct tw_err *err);

#endif
