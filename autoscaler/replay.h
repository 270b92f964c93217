/* SPDX-License-Identifier: Apache-2.0
 *
 * replay: what a scaler would have done with a load of the past, and what would have come of it,
 * beside others: the same controller as the server's acts on a plant (plant.h) under that load.
 *
 *   load of the past -> plant -> what would have been measured (mean of 30 s, 15 s old)
 *                         ^        -> scaler, or another one -> replicas
 *                         +-------------------------------------------+
 *
 * What lies before the scored part is the scaler's history; an hour of it is run through, unscored,
 * so that nobody begins cold. Where the past has holes, the scaler sees that nothing is known, and
 * the plant gets the load on the straight line across.
 *
 * Threads: each run is the caller's.
 */
#ifndef TW_AUTOSCALER_REPLAY_H
#define TW_AUTOSCALER_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "autoscaler/plant.h"
#include "autoscaler/settings.h"
#include "base/err.h"

#define SCALE_REPLAY_VALUES_MAX 1000000
#define SCALE_FLAP_MS 600000 /* a change back within this time is a flap */

/* SCALE_CONTENDER(name, text) */
#define SCALE_CONTENDER_TABLE(SCALE_CONTENDER)                                                     \
    SCALE_CONTENDER(SCALER, "scaler")     /* the settings given */                                 \
    SCALE_CONTENDER(HPA_LOAD, "hpa-load") /* HPA v2 on the load per replica */                     \
    SCALE_CONTENDER(HPA_CPU, "hpa-cpu")   /* HPA v2 on the busy share of the replicas */           \
    SCALE_CONTENDER(FIXED, "fixed")       /* a fleet for the peak, all the time */                 \
    SCALE_CONTENDER(ORACLE, "oracle")     /* who knows what comes: the least that suffices */
enum scale_contender {
#define SCALE_CONTENDER_ENUM(name, text) SCALE_CONTENDER_##name,
    SCALE_CONTENDER_TABLE(SCALE_CONTENDER_ENUM)
#undef SCALE_CONTENDER_ENUM
        SCALE_CONTENDERS
};
const char *scale_contender_name(enum scale_contender contender);

struct scale_replay {
    const struct scale_settings *settings;
    struct scale_plant_settings plant;
    const double *load;   /* values[i] speaks of the step that ends at its time; NaN = missing */
    size_t count, scored; /* scored: of the newest, fewer than count */
    int64_t last_ms, step_ms;
    double hpa_target; /* busy share that the HPA aims at */
    bool all_known;    /* the scaler sees utilisation and queue although no query gives them */
    uint64_t seed;
    /* May be NULL; called now and then. */
    void (*progress)(void *user, double share);
    void *user;
};

struct scale_replay_score {
    double violated_percent;  /* of the load: waited longer than the objective */
    int64_t violated_minutes; /* with more than 1 % of their load violated */
    double under_minutes;     /* with fewer replicas serving than the load needs */
    double over_percent;      /* serving replicas beyond need, mean */
    double replica_hours;
    int64_t changes, flaps, peak;
    double recovery_s;       /* longest time until less than 5 % were violated again */
    int64_t decisions, held; /* held: without usable data */
    double decision_us;      /* CPU time, mean */
    double minutes;          /* that were scored */
};

/* TW_BAD_DATA with the cure for what cannot be run. */
TW_MUST_CHECK enum tw_code scale_replay_run(const struct scale_replay *replay,
                                            enum scale_contender contender,
                                            struct scale_replay_score *ret, struct tw_err *err);

#endif
