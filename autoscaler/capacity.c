/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/capacity.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"

#define RATE 0.05            /* of a reading, while it may be noise */
#define SHIFT_SHARE 0.08     /* readings that differ by more and agree are a shift */
#define ABOVE_CONFIGURED 1.2 /* what was told is at most exceeded so far */
#define BUSY_MIN 0.2         /* below, a reading is mostly idle cost */
#define BUSY_MAX 0.95        /* above, more is asked for than is done */
#define SATURATED_FALL 0.98  /* then a replica does less than was believed */
#define READY_CHANGE_MAX 0.1
#define MISSED_MIN 2        /* objectives missed in a row before it is believed */
#define MISSED_SHARE 0.95   /* of the load per replica at which it was missed */
#define PROBE_NEAR 0.9      /* of the capacity: replicas that busy may tell more */
#define PROBE_PER_HOUR 0.02 /* rise while they meet the objective */

void scale_capacity_init(struct scale_capacity *capacity, double configured)
{
    *capacity = (struct scale_capacity){.value = configured, .configured = configured};
}

/* Mean of the serving replicas over the span that rates look back on; 0 when they changed much. */
static double steady_ready(struct scale_capacity *capacity, int64_t ready)
{
    if (capacity->ready_count == SCALE_CAPACITY_READY) {
        memmove(capacity->ready, capacity->ready + 1,
                (SCALE_CAPACITY_READY - 1) * sizeof *capacity->ready);
        capacity->ready_count--;
    }
    capacity->ready[capacity->ready_count++] = ready;
    double sum = 0, lowest = INFINITY, highest = 0;
    /* What was measured ended before now: the newest look only shows that nothing changed. */
    size_t count = capacity->ready_count - 1;
    if (!count)
        return 0;
    for (size_t i = 0; i < capacity->ready_count; i++) {
        if (i < count)
            sum += (double)capacity->ready[i];
        lowest = fmin(lowest, (double)capacity->ready[i]);
        highest = fmax(highest, (double)capacity->ready[i]);
    }
    return lowest > 0 && highest - lowest <= READY_CHANGE_MAX * highest ? sum / (double)count : 0;
}

static double bounded(const struct scale_capacity *capacity, double value)
{
    return isnan(capacity->configured) ? value
                                       : fmin(value, ABOVE_CONFIGURED * capacity->configured);
}

static void follow(struct scale_capacity *capacity, double seen)
{
    if (isnan(capacity->value)) {
        capacity->value = seen;
        return;
    }
    if (capacity->reading_count == SCALE_CAPACITY_READINGS) {
        memmove(capacity->readings, capacity->readings + 1,
                (SCALE_CAPACITY_READINGS - 1) * sizeof *capacity->readings);
        capacity->reading_count--;
    }
    capacity->readings[capacity->reading_count++] = seen;
    double lowest = INFINITY, highest = 0;
    for (size_t i = 0; i < capacity->reading_count; i++) {
        lowest = fmin(lowest, capacity->readings[i]);
        highest = fmax(highest, capacity->readings[i]);
    }
    bool all = capacity->reading_count == SCALE_CAPACITY_READINGS;
    if (all && highest < (1 - SHIFT_SHARE) * capacity->value)
        capacity->value = highest;
    else if (all && lowest > (1 + SHIFT_SHARE) * capacity->value)
        capacity->value = lowest;
    else
        capacity->value += RATE * (seen - capacity->value);
}

static void by_utilisation(struct scale_capacity *capacity,
                           const struct scale_capacity_reading *reading, double ready)
{
    double busy = reading->utilisation;
    double seen = reading->load / (fmin(busy, 1) * ready) * reading->utilisation_max;
    if (busy < BUSY_MIN || !(seen > 0))
        return;
    if (busy < BUSY_MAX) {
        follow(capacity, bounded(capacity, seen));
        return;
    }
    if (isnan(capacity->value))
        capacity->value = bounded(capacity, seen);
    else
        capacity->value = fmin(SATURATED_FALL * capacity->value, seen);
    capacity->reading_count = 0;
}

static void by_latency(struct scale_capacity *capacity,
                       const struct scale_capacity_reading *reading, double ready)
{
    double each = reading->load / ready;
    bool met = reading->latency <= reading->objective;
    capacity->missed = met ? 0 : capacity->missed + 1;
    if (isnan(capacity->value)) {
        if (each > 0)
            capacity->value = bounded(capacity, met ? each : MISSED_SHARE * each);
    } else if (!met && capacity->missed >= MISSED_MIN && each < capacity->value) {
        capacity->value = fmax(MISSED_SHARE * each, 0.5 * capacity->value);
        capacity->missed = 0;
    } else if (met && each > capacity->value) {
        capacity->value = bounded(capacity, capacity->value + 0.5 * (each - capacity->value));
    } else if (met && isnan(reading->utilisation) && each > PROBE_NEAR * capacity->value) {
        double hours = (double)reading->tick_ms / 3600000;
        capacity->value = bounded(capacity, capacity->value * (1 + PROBE_PER_HOUR * hours));
    }
}

void scale_capacity_observe(struct scale_capacity *capacity,
                            const struct scale_capacity_reading *reading)
{
    if (reading->ready <= 0) {
        capacity->ready_count = 0;
        return;
    }
    double ready = steady_ready(capacity, reading->ready);
    if (!(ready > 0) || !(reading->load > 0) || !isfinite(reading->load))
        return;
    if (isfinite(reading->utilisation))
        by_utilisation(capacity, reading, ready);
    if (isfinite(reading->latency) && reading->objective > 0)
        by_latency(capacity, reading, ready);
    TW_ASSERT(isnan(capacity->value) || capacity->value > 0);
}
