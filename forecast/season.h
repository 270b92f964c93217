/* SPDX-License-Identifier: Apache-2.0
 *
 * season: which periods a series repeats itself with. The day and the week are looked at whenever
 * the values reach back far enough, since people and jobs live by them; any other period has to
 * show itself as a peak of the autocorrelation (by FFT, Wiener-Khinchin) that the day does not
 * explain.
 */
#ifndef TW_FORECAST_SEASON_H
#define TW_FORECAST_SEASON_H

#include <stdbool.h>

#include "forecast/series.h"

struct forecast_period {
    size_t period;   /* steps */
    bool weekly;     /* gets lags only */
    double strength; /* autocorrelation at this lag, of the series without its slow drift */
};

/* At most FORECAST_SEASONS_MAX, shortest first; leads: how far forecasts will look. */
size_t forecast_season_find(const struct forecast_series *series, size_t leads,
                            struct forecast_period *ret_periods);

#endif
