/* SPDX-License-Identifier: Apache-2.0
 *
 * allocation: how the replicas of a decision are spread over pools or types of instances, and why:
 * the part of a decision's record that a scaler with a fleet has.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_ALLOCATION_H
#define TW_AUTOSCALER_ALLOCATION_H

#include "autoscaler/member.h"
#include "base/buf.h"
#include "base/json.h"

#define SCALE_SHARE_WHY_BYTES 120
#define SCALE_ALLOCATION_TEXT_BYTES 200

struct scale_share {
    char name[SCALE_POOL_NAME_BYTES_MAX + 1];
    int64_t before, after;   /* asked for; before -1 = not known */
    int64_t replicas, ready; /* as the target says; -1 = not known */
    char why[SCALE_SHARE_WHY_BYTES];
};

struct scale_allocation {
    enum scale_fleet_kind kind; /* NONE: the scaler has one target, and nothing else here counts */
    size_t count;
    struct scale_share shares[SCALE_POOLS_MAX];
    int64_t placed;                         /* replicas that the shares carry */
    double cost_per_hour;                   /* of the shares; NaN = not known */
    char text[SCALE_ALLOCATION_TEXT_BYTES]; /* of the whole; may be empty */
};

/* Same shares, for the same reasons. */
bool scale_allocation_same(const struct scale_allocation *a, const struct scale_allocation *b);
/* The member "allocation": null without a fleet. */
void scale_allocation_write_json(const struct scale_allocation *allocation,
                                 struct tw_json_writer *writer);
/* Part of a decision's bytes (docs/format/state-scaler.md). */
void scale_allocation_encode(const struct scale_allocation *allocation, struct tw_buf *ret_bytes);
/* Takes it off the front of *rest; false when it was not written so. */
bool scale_allocation_decode(struct tw_str *rest, struct scale_allocation *ret);

#endif
