/* SPDX-License-Identifier: Apache-2.0
 *
 * policy: from the replicas that a forecast asks for to those that are decided: the guards, in
 * order, each of which may change the number and says so in the decision.
 *
 * I1  On data that is not good the result is never below the replicas there are.
 * I2  Never below what the present load needs, never outside [min, max] (which come last: a
 *     contradiction is resolved in favour of the limits that the user set).
 * I3  A scale-in needs the forecast to agree for the time to settle; without a forecast, or where
 *     the window was set, every moment of the stabilisation window.
 *
 * I4  A pause comes after all of that: who paused, or said how many, is heeded even against limits.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_POLICY_H
#define TW_AUTOSCALER_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "autoscaler/decision.h"
#include "autoscaler/settings.h"

/* A window of an hour at the shortest tick; past that the oldest are forgotten. */
#define SCALE_WINDOW_ENTRIES_MAX 1024

struct scale_moment {
    int64_t time_ms, replicas;
};

struct scale_policy {
    /* What was wanted lately, oldest first; up for the scale-out window, down for the scale-in one.
     */
    struct scale_moment wanted[SCALE_WINDOW_ENTRIES_MAX];
    size_t wanted_count;
    /* Changes decided lately (replicas: the difference), for the rate limits. */
    struct scale_moment changes[SCALE_WINDOW_ENTRIES_MAX];
    size_t change_count;
    /* What people said (pause.h); not remembered with the rest. */
    bool hold_in, hold_out, is_set;
    int64_t set_replicas;
};

void scale_policy_init(struct scale_policy *policy);
/* The clock was set back: what it says of times after now is forgotten. */
void scale_policy_rewind(struct scale_policy *policy, int64_t now_ms);
/* decision: inputs, min, max, wanted and reactive are set, `trend` replicas are what the rise of
 * the load asks for (0 = nothing). Sets guards, from, to. */
void scale_policy_decide(struct scale_policy *policy, const struct scale_settings *settings,
                         int64_t trend, struct scale_decision *decision);

#endif
