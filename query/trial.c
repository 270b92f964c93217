/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/trial.h"

#include <math.h>

#include "query/learner.h"

/* A naive forecast that never misses (a constant) makes every ratio infinite: misses below this
 * share of the value count as this. */
#define NAIVE_LEAST 1e-9

static double pinball(double value, double quantile, double probability)
{
    return value >= quantile ? (value - quantile) * probability
                             : (quantile - value) * (1 - probability);
}

static void take(double *mean, double value, double share)
{
    *mean += (value - *mean) * share;
}

static void judge(struct query_trial_horizon *horizon, double value)
{
    horizon->weight = fmin(horizon->weight + 1, QUERY_TRIAL_MEMORY);
    double share = 1 / horizon->weight;
    take(&horizon->miss, fabs(value - horizon->middle), share);
    take(&horizon->naive, fabs(value - horizon->last) + NAIVE_LEAST * fabs(value), share);
    double loss = pinball(value, horizon->low, 0.05) + pinball(value, horizon->middle, 0.5) +
                  pinball(value, horizon->high, 0.95);
    take(&horizon->loss, loss / 3, share);
    take(&horizon->covered, value >= horizon->low && value <= horizon->high ? 1 : 0, share);
}

void query_trial_judge(struct query_trial *trial, int64_t end_ms, int64_t step_ms, double value)
{
    for (size_t k = 0; k < QUERY_TRIAL_HORIZONS; k++) {
        struct query_trial_horizon *horizon = &trial->horizons[k];
        if (horizon->target_ms == 0 || end_ms < horizon->target_ms - step_ms / 2)
            continue;
        /* Behind a hole nothing is said of the bucket that was forecast. */
        if (end_ms <= horizon->target_ms + step_ms / 2 && isfinite(value))
            judge(horizon, value);
        horizon->target_ms = 0;
    }
}

void query_trial_ask(struct query_trial *trial, const struct query_learned *learned, double value)
{
    static const double probabilities[3] = {0.05, 0.5, 0.95};
    for (size_t k = 0; k < QUERY_TRIAL_HORIZONS; k++) {
        struct query_trial_horizon *horizon = &trial->horizons[k];
        size_t lead = k == 0 ? 1 : learned->leads;
        double quantiles[3];
        struct tw_err err;
        if (horizon->target_ms != 0 || !isfinite(value) ||
            forecast_model_predict_lead(learned->model, lead, probabilities, 3, NULL, quantiles,
                                        &err) != TW_OK)
            continue;
        horizon->ahead_ms = (int64_t)lead * learned->step_ms;
        horizon->target_ms = query_learned_end_ms(learned) + horizon->ahead_ms;
        horizon->low = quantiles[0];
        horizon->middle = quantiles[1];
        horizon->high = quantiles[2];
        horizon->last = value;
    }
}

bool query_trial_error(const struct query_trial_horizon *horizon, struct query_trial_error *ret)
{
    if (!(horizon->weight > 0))
        return false;
    double naive = fmax(horizon->naive, 1e-300);
    *ret = (struct query_trial_error){.ahead_ms = horizon->ahead_ms,
                                      .mase = fmin(horizon->miss / naive, 1e9),
                                      .pinball = fmin(horizon->loss / naive, 1e9),
                                      .coverage = horizon->covered};
    return true;
}
