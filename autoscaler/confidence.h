/* SPDX-License-Identifier: Apache-2.0
 *
 * confidence: whether the forecasts of late were worth more than none.
 *
 * Each forecast of the highest load within the horizon is held against what came, by the loss that
 * its quantile minimises, beside the same loss of the present load carried on. Forecasts that lose
 * clearly more than that are not used until they are better again; a service whose load has left
 * all that its past could teach is then scaled by its present load.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_CONFIDENCE_H
#define TW_AUTOSCALER_CONFIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCALE_CONFIDENCE_HEADROOM 1.1 /* that the present load is carried on with */
#define SCALE_CONFIDENCE_PENDING 64   /* forecasts whose time is not over */

struct scale_confidence {
    struct {
        int64_t due_ms;
        double forecast, plain, highest; /* highest: that came so far */
    } pending[SCALE_CONFIDENCE_PENDING]; /* ascending in due_ms */
    size_t pending_count;
    double forecast_loss, plain_loss; /* of late, forgetting */
    unsigned outcomes;                /* known, at most as many as it takes to tell */
    bool poor;
};

void scale_confidence_init(struct scale_confidence *confidence);
/* What is awaited is forgotten (the clock was set), what was learned stays. */
void scale_confidence_forget(struct scale_confidence *confidence);
/* A good observation, in ascending time, and the forecast (at probability quantile) of the highest
 * load until due_ms; NaN: none was made. */
void scale_confidence_observe(struct scale_confidence *confidence, int64_t time_ms, double load,
                              double quantile, double forecast, int64_t due_ms);
/* Whether the forecasts were poor; how many times the loss of the plain ones theirs is, if asked.
 */
bool scale_confidence_is_poor(const struct scale_confidence *confidence, double *ret_times);

#endif
