/* SPDX-License-Identifier: Apache-2.0
 *
 * stack: the mixture of simple forecasts that would have been best. Robust ridge regression, shrunk
 * not towards zero but towards weights by inverse loss, blended over how strongly, and honest about
 * itself: it also tells what each row would have been forecast as by a mixture fitted without that
 * row's part of the past. Leaving a part out costs a subtraction of its sums, not another pass over
 * the rows.
 */
#ifndef TW_FORECAST_STACK_H
#define TW_FORECAST_STACK_H

#include <stddef.h>

#include "forecast/lanes.h"

/* Columns that one mixture may have. */
#define FORECAST_STACK_COLUMNS_MAX 32
/* Parts of the past that are left out in turn. */
#define FORECAST_STACK_BLOCKS 6

struct forecast_stack {
    size_t columns;
    float weights[FORECAST_STACK_COLUMNS_MAX]; /* sum to 1 */
    float intercept;
};

/* Columns of `stride` floats; block k holds the rows from first[k] to first[k + 1] - 1, both
 * multiples of FORECAST_LANES. */
struct forecast_rows {
    const float *x;      /* [columns][stride] */
    const float *y;      /* what came */
    const float *weight; /* importance; 0: the row says nothing or is padding */
    size_t first[FORECAST_STACK_BLOCKS + 1];
    size_t stride, columns;
    const float *judge; /* importance when ridges are compared */
    double worth;       /* independent rows that would tell as much */
    double ridge;       /* the firmest one; the others fall from it by powers of 16 */
};

/* Floats of work space for a fit. */
size_t forecast_stack_work(size_t stride, size_t columns);
/* ret_held_out: stride forecasts, each by a mixture that has not seen its block. At least one row
 * has to have a weight. */
void forecast_stack_fit(struct forecast_stack *stack, const struct forecast_rows *rows, float *work,
                        float *ret_held_out);
/* row: one value a column. */
float forecast_stack_predict(const struct forecast_stack *stack, const float *row);

#endif
