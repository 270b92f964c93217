/* SPDX-License-Identifier: Apache-2.0
 *
 * pressure: what the present moment says of the load, where averages still speak of the past.
 *
 * Rates are averages over a while and arrive late; requests that wait and answers that come late
 * tell an overload in the moment that it begins:
 *   - a queue that grows: replicas do all they can, and what they cannot do waits;
 *   - latency that leaves what is usual for replicas in full use: they do all they can, and the
 *     load is at least that.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_PRESSURE_H
#define TW_AUTOSCALER_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

struct scale_pressure {
    double queue; /* at the last look; NaN = not known */
    int64_t queue_ms;
    double latency; /* usual, of replicas in full use; NaN = not known */
    bool strained;  /* it was far above that at the last look */
};

struct scale_pressure_reading {
    int64_t now_ms, tick_ms;
    double load;           /* the newest average */
    double queue, latency; /* NaN = not known */
    double carried;        /* load that the serving replicas carry; not above 0 = not known */
    double done;           /* load at which they do all they can */
};

void scale_pressure_init(struct scale_pressure *pressure);
/* The load, or what queue and latency say when that is clearly more. */
double scale_pressure_observe(struct scale_pressure *pressure,
                              const struct scale_pressure_reading *reading);

#endif
