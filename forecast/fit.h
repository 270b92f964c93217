/* SPDX-License-Identifier: Apache-2.0
 *
 * fit: from a history to what forecasts are made with: for each of some leads a mixture of the
 * simple forecasts and the distribution of its errors, and the same for the peak over a span.
 */
#ifndef TW_FORECAST_FIT_H
#define TW_FORECAST_FIT_H

#include "forecast/calibration.h"
#include "forecast/series.h"
#include "forecast/stack.h"

/* Leads with a mixture of their own; between them it is interpolated. */
#define FORECAST_NODES_MAX 48

/* A lead that has been fitted. */
struct forecast_node {
    size_t lead;
    struct forecast_stack stack;
    struct forecast_calibration calibration;
};

struct forecast_fit {
    size_t node_count;                              /* 0: too little is known for any mixture */
    struct forecast_node nodes[FORECAST_NODES_MAX]; /* by lead */
    struct forecast_node peak;
    bool has_peak;
    double widen; /* intervals are stretched by this while little is known */
    double loss;  /* mean pinball loss (0.5, 0.95) of the first node's held-out rows; NaN */
};

/* How many leads would be fitted for this horizon. */
size_t forecast_fit_leads(size_t horizon, size_t *ret_leads);
/* The series with its seasons. peak_span: at most horizon. */
void forecast_fit(const struct forecast_series *series, size_t horizon, size_t peak_span,
                  struct forecast_fit *ret_fit);
/* Mean of the pinball losses at 0.5 and 0.95. */
double forecast_fit_loss(double value, double q50, double q95);

#endif
