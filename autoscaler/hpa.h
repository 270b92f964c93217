/* SPDX-License-Identifier: Apache-2.0
 *
 * hpa: the Kubernetes HorizontalPodAutoscaler v2 with its default behaviour, as its documentation
 * describes it, to compare with in backtests: the ratio of the metric to its target, 10 %
 * tolerance, replicas not yet measured counted as idle on the way out, 5 minutes' stabilisation on
 * the way in, at most 4 or 100 % more in 15 s.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_HPA_H
#define TW_AUTOSCALER_HPA_H

#include <stddef.h>
#include <stdint.h>

#define SCALE_HPA_WINDOW 64 /* recommendations and changes that are remembered */

struct scale_hpa {
    int64_t min, max;
    struct {
        int64_t time_ms, replicas;
    } wanted[SCALE_HPA_WINDOW], changes[SCALE_HPA_WINDOW]; /* rings; changes: the difference */
    size_t wanted_next, change_next;
};

void scale_hpa_init(struct scale_hpa *hpa, int64_t min, int64_t max);
/* value: of the metric, the mean over the `measured` replicas (NaN: not known); target: what it is
 * to be. Returns the replicas that there shall be. */
int64_t scale_hpa_decide(struct scale_hpa *hpa, int64_t now_ms, int64_t replicas, int64_t measured,
                         double value, double target);

#endif
