/* SPDX-License-Identifier: Apache-2.0
 *
 * stack: the mixture of simple forecasts that would have been best. Robust ridge regression, shrunk
 * not towards zero but towards weights by inverse loss, and honest about itself: it also tells what
 * each row would have been forecast as by a mixture fitted without that row's part of the past.
 */
#ifndef TW_FORECAST_STACK_H
#define TW_FORECAST_STACK_H

#include <stddef.h>
#include <stdint.h>

/* Columns that one mixture may have. */
#define FORECAST_STACK_COLUMNS_MAX 32
/* Parts of the past that are left out in turn. */
#define FORECAST_STACK_BLOCKS 6

struct forecast_stack {
    size_t columns;
    double weights[FORECAST_STACK_COLUMNS_MAX]; /* sum to 1 */
    double intercept;
};

struct forecast_rows {
    const float *x;       /* [count][columns] */
    const float *y;       /* what came */
    const double *weight; /* importance, > 0 */
    const uint8_t *block; /* part of the past, 0 to FORECAST_STACK_BLOCKS - 1 */
    size_t count, columns;
};

/* ret_held_out: count forecasts, each by a mixture that has not seen its block. */
void forecast_stack_fit(struct forecast_stack *stack, const struct forecast_rows *rows,
                        double *ret_held_out);
double forecast_stack_predict(const struct forecast_stack *stack, const float *row);

#endif
