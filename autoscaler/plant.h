/* SPDX-License-Identifier: Apache-2.0
 *
 * plant: a service under a load, as a model: replicas that take their time to start, and carry so
 * much each. What backtests act upon instead of a target.
 *
 *   order -> replicas that start (log-normal about startup) -> serve -> load / what they can do
 *         -> share that has to wait longer than the objective allows
 *
 * A replica is so many workers that each take service_ms for a piece of work, M/M/c: it can do
 * capacity / utilisation, and at `capacity` it just meets the objective. What is more than all
 * can do waits in a queue, first come, first served; who would wait longer than timeout_ms goes.
 * Scale-in ends replicas that still start first, those with longest to go before others.
 *
 * Numbers are pseudo-random from a seed: the same orders give the same end.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_PLANT_H
#define TW_AUTOSCALER_PLANT_H

#include <stddef.h>
#include <stdint.h>

struct scale_plant_settings {
    double capacity;    /* load that one replica carries within the objective */
    double utilisation; /* busy share that it then has */
    unsigned workers;   /* of a replica */
    double service_ms, objective_ms, timeout_ms;
    double startup_ms, spread; /* median; standard deviation of its logarithm */
};

/* 8 workers, 100 ms, 500 ms, 5 s, 2 minutes, 0.12. */
void scale_plant_settings_init(struct scale_plant_settings *settings, double capacity,
                               double utilisation);
/* Replicas that carry the load within the objective. */
int64_t scale_plant_need(const struct scale_plant_settings *settings, double load);

struct scale_plant;

/* Begins with so many replicas that serve. settings are copied. */
struct scale_plant *scale_plant_new(const struct scale_plant_settings *settings, int64_t replicas,
                                    uint64_t seed);
struct scale_plant *scale_plant_free(struct scale_plant *plant); /* returns NULL */

/* There shall be so many replicas, >= 0. */
void scale_plant_order(struct scale_plant *plant, int64_t now_ms, int64_t replicas);

struct scale_plant_step {
    double arrived, violated; /* load times seconds; violated: of what arrived */
    double busy;              /* share of the serving replicas */
    double queue;             /* at its end, load times seconds */
    double waiting_ms;        /* of who comes last */
    int64_t asked, ready;
};
/* From now_ms on for span_ms under that load. Times ascend. */
void scale_plant_step(struct scale_plant *plant, int64_t now_ms, int64_t span_ms, double load,
                      struct scale_plant_step *ret);
/* Replicas that have served since then. */
int64_t scale_plant_ready_since(const struct scale_plant *plant, int64_t since_ms);

#endif
