/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/hpa.h"

#include <math.h>
#include <stdbool.h>

#include "base/assert.h"

#define TOLERANCE 0.1
#define DOWN_WINDOW_MS 300000
#define UP_PERIOD_MS 15000
#define UP_REPLICAS 4

void scale_hpa_init(struct scale_hpa *hpa, int64_t min, int64_t max)
{
    TW_ASSERT(min <= max);
    *hpa = (struct scale_hpa){.min = min, .max = max};
    for (size_t i = 0; i < SCALE_HPA_WINDOW; i++)
        hpa->wanted[i].time_ms = hpa->changes[i].time_ms = INT64_MIN;
}

static bool is_near(double ratio)
{
    return ratio >= 1 - TOLERANCE && ratio <= 1 + TOLERANCE;
}

static int64_t propose(int64_t replicas, int64_t measured, double ratio)
{
    int64_t unmeasured = replicas - measured;
    if (unmeasured <= 0 || ratio <= 1)
        return is_near(ratio) ? replicas : (int64_t)ceil(ratio * (double)measured - 1e-9);
    /* Those that start count as idle: they may be all that is missing. */
    double again = ratio * (double)measured / (double)replicas;
    if (is_near(again) || again < 1)
        return replicas;
    int64_t proposed = (int64_t)ceil(again * (double)replicas - 1e-9);
    return proposed < replicas ? replicas : proposed;
}

/* Replicas of now without what changed in the last period. */
static int64_t base_of(const struct scale_hpa *hpa, int64_t now_ms, int64_t replicas)
{
    for (size_t i = 0; i < SCALE_HPA_WINDOW; i++)
        if (hpa->changes[i].time_ms > now_ms - UP_PERIOD_MS)
            replicas -= hpa->changes[i].replicas;
    return replicas;
}

int64_t scale_hpa_decide(struct scale_hpa *hpa, int64_t now_ms, int64_t replicas, int64_t measured,
                         double value, double target)
{
    TW_ASSERT(target > 0);
    if (!isfinite(value) || measured < 1 || replicas < 1)
        return replicas;
    int64_t proposed = propose(replicas, measured, value / target), highest = proposed;
    for (size_t i = 0; i < SCALE_HPA_WINDOW; i++)
        if (hpa->wanted[i].time_ms > now_ms - DOWN_WINDOW_MS && hpa->wanted[i].replicas > highest)
            highest = hpa->wanted[i].replicas;
    hpa->wanted[hpa->wanted_next].time_ms = now_ms;
    hpa->wanted[hpa->wanted_next].replicas = proposed;
    hpa->wanted_next = (hpa->wanted_next + 1) % SCALE_HPA_WINDOW;
    int64_t result = replicas;
    if (proposed > replicas) {
        int64_t base = base_of(hpa, now_ms, replicas);
        int64_t reach = base + (base > UP_REPLICAS ? base : UP_REPLICAS);
        reach = reach > replicas ? reach : replicas;
        result = proposed < reach ? proposed : reach;
    } else if (highest < replicas) {
        result = highest;
    }
    result = result < hpa->min ? hpa->min : result > hpa->max ? hpa->max : result;
    if (result != replicas) {
        hpa->changes[hpa->change_next].time_ms = now_ms;
        hpa->changes[hpa->change_next].replicas = result - replicas;
        hpa->change_next = (hpa->change_next + 1) % SCALE_HPA_WINDOW;
    }
    return result;
}
