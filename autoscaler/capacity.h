/* SPDX-License-Identifier: Apache-2.0
 *
 * capacity: the load that one replica carries and still meets its objective, learned from what
 * replicas do and following what a release changes.
 *
 *   by utilisation: load / (busy share * serving replicas) is what a replica does when wholly busy;
 *                   times the share at which it still answers in time.
 *   by latency:     the highest load per replica at which the objective was met; a load below it
 *                   that misses the objective takes it down, met ones above it lift it, and while
 *                   replicas run near it and meet the objective it is slowly probed upwards.
 *
 * A steady difference is followed slowly (noise), one that three readings in a row agree on at once
 * (a release). Readings while replicas come or go by more than a tenth tell nothing.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_CAPACITY_H
#define TW_AUTOSCALER_CAPACITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCALE_CAPACITY_READINGS 3
#define SCALE_CAPACITY_READY 4 /* looks at the serving replicas that a reading may reach back */

struct scale_capacity {
    double value;      /* per replica; NaN = not known yet */
    double configured; /* what was told; NaN = nothing */
    double readings[SCALE_CAPACITY_READINGS];
    size_t reading_count;
    int64_t ready[SCALE_CAPACITY_READY]; /* newest last */
    size_t ready_count;
    unsigned missed; /* objectives missed in a row */
};

struct scale_capacity_reading {
    double load, utilisation;  /* NaN = not known */
    double utilisation_max;    /* at which a replica still meets its objective */
    double latency, objective; /* same unit; NaN = not known */
    int64_t ready;             /* -1 = not known */
    int64_t tick_ms;
};

void scale_capacity_init(struct scale_capacity *capacity, double configured);
void scale_capacity_observe(struct scale_capacity *capacity,
                            const struct scale_capacity_reading *reading);

#endif
