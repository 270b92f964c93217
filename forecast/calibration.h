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
#include <stdint.h>

#include "forecast/column.h"

/* Points at which the distribution of scaled errors is kept: exactly where quantiles are usually
 * asked for, and closer together towards both ends, where decisions are made. */
#define FORECAST_CALIBRATION_POINTS 47
/* The probability of each, from 0 to 1. */
double forecast_calibration_position(size_t point);

struct forecast_calibration {
    float size[FORECAST_SIGNS]; /* log size of the error = size . signs */
    float low[FORECAST_SIGNS],
        high[FORECAST_SIGNS];                  /* signs seen; beyond them nothing is assumed */
    float points[FORECAST_CALIBRATION_POINTS]; /* of the scaled errors, ascending */
    float mean;
};

/* Rows that a fit takes at most. */
#define FORECAST_ROWS_MAX 1536

/* Errors and what they were made under: columns of `count` floats, a multiple of FORECAST_LANES;
 * rows of weight 0 say nothing. */
struct forecast_errors {
    const float *error, *weight;
    float *signs; /* [FORECAST_SIGNS + 1][count]; the last column is work space */
    size_t count;
    double overlap; /* neighbouring rows that tell of the same moments: so many count as one */
};

/* work: 2 * count floats. */
void forecast_calibration_fit(struct forecast_calibration *calibration,
                              const struct forecast_errors *errors, float *work);
/* How large an error is usual, given the signs. */
float forecast_calibration_size(const struct forecast_calibration *calibration, const float *signs);
/* The same for all rows of signs. */
void forecast_calibration_sizes(const struct forecast_calibration *calibration, const float *signs,
                                size_t count, float *ret);
/* Scaled error that is not exceeded with this probability. */
float forecast_calibration_point(const struct forecast_calibration *calibration,
                                 double probability);

#endif
