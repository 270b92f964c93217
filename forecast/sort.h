/* SPDX-License-Identifier: Apache-2.0
 *
 * sort: order among numbers, for those who need it thousands of times in a fit.
 */
#ifndef TW_FORECAST_SORT_H
#define TW_FORECAST_SORT_H

#include <stddef.h>
#include <stdint.h>

/* The value that would stand at index `rank` if they were ascending; reorders them. Finite values,
 * count > rank. */
float forecast_select(float *values, size_t count, size_t rank);
/* Ascending; finite values. */
void forecast_sort(double *values, size_t count);
/* ret_order: the indices of the values, ascending by value; equal values keep their order. work:
 * count more. Finite values. */
void forecast_order(const float *values, size_t count, uint32_t *ret_order, uint32_t *work);

#endif
