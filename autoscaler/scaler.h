/* SPDX-License-Identifier: Apache-2.0
 *
 * scaler: one scaler of the server, between its queries and its target. Private to the manager and
 * the API.
 *
 * Locks: what stands under "published" is guarded by the manager's lock; the rest belongs to
 * whoever holds the manager's round (one at a time).
 */
#ifndef TW_AUTOSCALER_SCALER_H
#define TW_AUTOSCALER_SCALER_H

#include "autoscaler/actuator.h"
#include "autoscaler/controller.h"
#include "autoscaler/fleet.h"
#include "autoscaler/journal.h"
#include "autoscaler/ledger.h"
#include "autoscaler/observation.h"
#include "autoscaler/pause.h"
#include "autoscaler/recovery.h"
#include "autoscaler/verification.h"

struct scaler {
    uint64_t id; /* never used again by another */
    struct scale_settings settings;
    struct query_engine *fresh; /* look-back = late_after */
    struct tw_arena *arena;     /* behind settings */
    /* Of the one load, or of each of several. */
    struct scale_listener listeners[SCALE_PARTS_MAX];
    char quantile_text[24]; /* of the label */
    int64_t due_ms;         /* of the next decision */
    bool begun;             /* history and memory have been read */
    /* ---- published ---- */
    struct scale_controller *controller;
    struct scale_ledger ledger;
    int64_t need, need_min;         /* before its budget; -1 = not known yet */
    struct scale_fleet *fleet;      /* NULL: there is one target */
    struct scale_decision decision; /* the last one; count 0 = none yet */
    struct scale_decision order;    /* the last one that was to be sent; key empty = none */
    bool followed;                  /* the target was seen to have done the order */
    bool standby;                   /* somebody else holds the lease, or nobody yet */
    bool takes_over; /* it leads from now on: the target may have been told anything */
    char leader[SCALE_ERROR_BYTES];
    bool under_way;  /* an attempt or a look is running */
    int64_t look_ms; /* when the target may be looked at next */
    struct {
        int64_t time_ms, replicas, ready; /* as the target itself said; -1 = not known */
        char error[SCALE_ERROR_BYTES];    /* why it could not; empty = it could */
    } seen;
    struct scale_pauses pauses;
    struct scale_verification verification; /* of the order */
    struct scale_recovery *recovery;        /* NULL: none is wanted */
    char replace[SCALE_PATIENT_NAME_BYTES]; /* the instance to replace next; empty = none */
    struct scale_watch watch;               /* of the last change */
    int64_t attempt_ms;                     /* when the next attempt is due; INT64_MAX = none */
};

/* parsed: its texts are copied. */
struct scaler *scaler_new(uint64_t id, const struct scale_settings *parsed,
                          struct query_engine *engine);
struct scaler *scaler_free(struct scaler *scaler); /* returns NULL */

/* What the decision means for the target, given what was sent before: sets action and key of the
 * decision, and makes it the scaler's order when it is to be sent. ret_superseded: an older order
 * that ended by it, to be recorded (key empty: none). */
void scaler_order(struct scaler *scaler, struct scale_decision *decision,
                  struct scale_decision *ret_superseded);
/* Whether the target is asked for its replicas, as no query says them. */
bool scaler_looks(const struct scaler *scaler);
/* What the target said lately takes the place of queries that are not given. */
void scaler_fill(const struct scaler *scaler, struct scale_observation *observation);
/* "starting", "ok", "hold", "standby" or "failed"; *ret_error says why, in the scaler's memory. */
const char *scaler_health(const struct scaler *scaler, const char **ret_error);

#endif
