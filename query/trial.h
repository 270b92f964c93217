/* SPDX-License-Identifier: Apache-2.0
 *
 * trial: a model on trial. What it forecast for the next bucket and for its whole horizon is held
 * against what came, beside the forecast that nothing changes; one forecast a horizon is out at a
 * time. Means forget over TRIAL_MEMORY outcomes.
 *
 * Threads: plain data.
 */
#ifndef TW_QUERY_TRIAL_H
#define TW_QUERY_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QUERY_TRIAL_HORIZONS = 2 }; /* the next bucket, the horizon */
#define QUERY_TRIAL_MEMORY 200.0

struct query_trial_horizon {
    int64_t ahead_ms;  /* 0: none yet */
    int64_t target_ms; /* of the forecast that is out; 0: none is */
    double low, middle, high, last;
    double weight; /* of the means; 0: no outcome yet */
    double miss, naive, loss, covered;
};

struct query_trial {
    struct query_trial_horizon horizons[QUERY_TRIAL_HORIZONS];
};

struct query_learned;
/* What came in the bucket that ends at end_ms, before the model is told. */
void query_trial_judge(struct query_trial *trial, int64_t end_ms, int64_t step_ms, double value);
/* Lets the model, which was told value as its last, forecast what it is to be judged by. */
void query_trial_ask(struct query_trial *trial, const struct query_learned *learned, double value);

/* False: no outcome yet. */
struct query_trial_error {
    int64_t ahead_ms;
    double mase;     /* mean miss of the median, to that of the last value */
    double pinball;  /* mean pinball loss of the 5th, 50th and 95th percentile, to the same */
    double coverage; /* share of outcomes between the 5th and 95th percentile, at best 0.9 */
};
bool query_trial_error(const struct query_trial_horizon *horizon, struct query_trial_error *ret);

#endif
