/* SPDX-License-Identifier: Apache-2.0
 *
 * calibration: errors that were made out of sample become quantiles. The usual size of an error is
 * modelled from what was known when it was made (how restless the series is now, and at that time
 * of day, how far the forecast departs from the last value); errors divided by it are alike enough
 * to be put in one distribution, whose weighted quantiles scale back to the present moment.
 */
#ifndef TW_FORECAST_CALIBRATION_H
#define TW_FORECAST_CALIBRATION_H

#include <stddef.h>

#include "forecast/column.h"

/* Points at which the distribution of scaled errors is kept. */
#define FORECAST_CALIBRATION_POINTS 101

struct forecast_calibration {
    double size[FORECAST_SIGNS]; /* log size of the error = size . signs */
    double low[FORECAST_SIGNS],
        high[FORECAST_SIGNS];                   /* signs seen; beyond them nothing is assumed */
    double points[FORECAST_CALIBRATION_POINTS]; /* of the scaled errors, ascending */
    double mean;
};

/* error, weight: count of each; signs: [count][FORECAST_SIGNS]. Reorders nothing. */
void forecast_calibration_fit(struct forecast_calibration *calibration, const double *error,
                              const double *signs, const double *weight, size_t count);
/* How large an error is usual, given the signs. */
double forecast_calibration_size(const struct forecast_calibration *calibration,
                                 const double *signs);
/* Scaled error that is not exceeded with this probability. */
double forecast_calibration_point(const struct forecast_calibration *calibration,
                                  double probability);

/* Ascending; finite values. */
void forecast_sort(double *values, size_t count);

#endif
