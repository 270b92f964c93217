/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/pressure.h"

#include <math.h>

#define QUEUE_SHARE_MIN 0.02 /* growth of a queue, against what the replicas do, that counts */
#define QUEUE_TICKS_MAX 4    /* between two looks at it */
#define FULL_SHARE 0.8       /* of what they carry, from which replicas are in full use */
#define LATENCY_STRAINED 2.0 /* times the usual one */
#define LATENCY_RATE 0.02
#define LATENCY_CAPPED 2.0 /* what strains counts no more than this towards the usual */

void scale_pressure_init(struct scale_pressure *pressure)
{
    *pressure = (struct scale_pressure){.queue = NAN, .latency = NAN};
}

static double by_queue(struct scale_pressure *pressure,
                       const struct scale_pressure_reading *reading)
{
    double before = pressure->queue;
    int64_t took = reading->now_ms - pressure->queue_ms;
    pressure->queue = reading->queue;
    pressure->queue_ms = reading->now_ms;
    if (isnan(before) || !(reading->queue > before) || !(reading->carried > 0) || took <= 0 ||
        took > QUEUE_TICKS_MAX * reading->tick_ms)
        return reading->load;
    double grown = (reading->queue - before) * 1000 / (double)took;
    return grown > QUEUE_SHARE_MIN * reading->done ? reading->done + grown : reading->load;
}

/* Only the look at which latency leaves its usual range tells anything: one that stays high may
 * have other reasons, which replicas do not cure. */
static double by_latency(struct scale_pressure *pressure,
                         const struct scale_pressure_reading *reading)
{
    bool before = pressure->strained;
    pressure->strained = false;
    if (!(reading->latency > 0) || !isfinite(reading->latency) ||
        !(reading->load > FULL_SHARE * reading->carried) || !(reading->carried > 0))
        return reading->load;
    if (isnan(pressure->latency)) {
        pressure->latency = reading->latency;
        return reading->load;
    }
    double usual = pressure->latency;
    pressure->strained = reading->latency > LATENCY_STRAINED * usual;
    pressure->latency += LATENCY_RATE * (fmin(reading->latency, LATENCY_CAPPED * usual) - usual);
    return pressure->strained && !before ? reading->done : reading->load;
}

double scale_pressure_observe(struct scale_pressure *pressure,
                              const struct scale_pressure_reading *reading)
{
    double queued = by_queue(pressure, reading), late = by_latency(pressure, reading);
    return fmax(reading->load, fmax(queued, late));
}
