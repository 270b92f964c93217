/* SPDX-License-Identifier: Apache-2.0
 *
 * column: the simple forecasts, made at time t for lead h, side by side as one row. None is fitted;
 * each is right for some kind of series, and the stack finds out which.
 *
 *   last value; averages over 3, 10, 30, 100 steps
 *   per season: the same phase a period ago: as it was, smoothed, smoothed and moved by how the
 * level (10 or 100 steps) changed since; the slow profile alone and moved by its recent error (3,
 * 10, 100)
 */
#ifndef TW_FORECAST_COLUMN_H
#define TW_FORECAST_COLUMN_H

#include "forecast/series.h"

#define FORECAST_COLUMNS_MAX (1 + FORECAST_SPANS + 8 * FORECAST_SEASONS_MAX)

size_t forecast_column_count(const struct forecast_series *series);
/* First t at which every column can be made for this lead. */
size_t forecast_column_first(const struct forecast_series *series, size_t lead);
/* Writes forecast_column_count values; t < series->count. Reads nothing that was not known at t. */
void forecast_column_row(const struct forecast_series *series, size_t t, size_t lead,
                         float *ret_row);

/* What the size of the error may depend on, known at t. */
#define FORECAST_SIGNS 6
void forecast_column_signs(const struct forecast_series *series, size_t t, size_t lead,
                           double prediction, double *ret_signs);

#endif
