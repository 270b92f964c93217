/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/sort.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Hoare's selection; the pivot is the middle one of three. */
float forecast_select(float *values, size_t count, size_t rank)
{
    TW_ASSERT(rank < count);
    size_t low = 0, high = count - 1;
    while (low < high) {
        float a = values[low], b = values[low + (high - low) / 2], c = values[high];
        float pivot = a < b ? (b < c ? b : (a < c ? c : a)) : (a < c ? a : (b < c ? c : b));
        size_t i = low, j = high;
        for (;;) {
            while (values[i] < pivot)
                i++;
            while (values[j] > pivot)
                j--;
            if (i >= j)
                break;
            float swap = values[i];
            values[i++] = values[j];
            values[j--] = swap;
        }
        /* [low, j] holds nothing above the pivot, [j + 1, high] nothing below. */
        if (i == j && values[i] < pivot)
            j = i;
        else if (i == j && values[i] > pivot)
            j = i - 1;
        if (rank <= j)
            high = j;
        else
            low = j + 1;
    }
    return values[rank];
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void forecast_sort(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
}

/* The bits of a float, moved so that they order as unsigned numbers do. */
static uint32_t ordered_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* Radix sort in three passes. */
void forecast_order(const float *values, size_t count, uint32_t *ret_order, uint32_t *work)
{
    enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, PASSES = 3 };
    uint32_t place[PASSES][DIGITS];
    memset(place, 0, sizeof place);
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = ordered_bits(values[i]);
        for (int p = 0; p < PASSES; p++)
            place[p][bits >> (p * DIGIT_BITS) & (DIGITS - 1)]++;
        work[i] = (uint32_t)i;
    }
    uint32_t *from = work, *to = ret_order;
    for (int p = 0; p < PASSES; p++) {
        uint32_t below = 0;
        for (size_t d = 0; d < DIGITS; d++) {
            uint32_t here = place[p][d];
            place[p][d] = below;
            below += here;
        }
        for (size_t i = 0; i < count; i++) {
            uint32_t bits = ordered_bits(values[from[i]]);
            to[place[p][bits >> (p * DIGIT_BITS) & (DIGITS - 1)]++] = from[i];
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    TW_ASSERT(from == ret_order);
}
