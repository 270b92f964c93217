/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/lanes.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"

#if !TW_SANITIZED && defined __x86_64__ && defined __GNUC__ && !defined __clang__
#define CLONES                                                                                     \
    __attribute__((target_clones("arch=x86-64-v3", "default"),                                     \
                   optimize("O3", "no-math-errno", "no-trapping-math", "no-signed-zeros",          \
                            "associative-math")))
#else
#define CLONES
#endif

typedef float lanes __attribute__((vector_size(FORECAST_LANES * sizeof(float))));

/* May lie anywhere and be any floats: what a load is made of. */
typedef float loose_lanes
    __attribute__((vector_size(FORECAST_LANES * sizeof(float)), aligned(4), may_alias));

#define LOAD(from) (*(const loose_lanes *)(from))
#define SUM(v) (((v)[0] + (v)[4]) + ((v)[1] + (v)[5]) + (((v)[2] + (v)[6]) + ((v)[3] + (v)[7])))

CLONES void forecast_lanes_gram(const float *columns, size_t stride, size_t size,
                                const float *weight, size_t first, size_t count, float *ret_sums)
{
    TW_ASSERT(count <= FORECAST_LANES_RANGE_MAX && count % FORECAST_LANES == 0);
    lanes weighted[FORECAST_LANES_RANGE_MAX / FORECAST_LANES];
    for (size_t i = 0; i < size; i++) {
        const float *a = columns + i * stride + first;
        for (size_t r = 0; r < count; r += FORECAST_LANES)
            weighted[r / FORECAST_LANES] = LOAD(a + r) * LOAD(weight + first + r);
        size_t j = 0;
        for (; j + 4 <= i + 1; j += 4) {
            const float *b = columns + j * stride + first;
            lanes s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
            for (size_t r = 0; r < count; r += FORECAST_LANES) {
                lanes w = weighted[r / FORECAST_LANES];
                s0 += w * LOAD(b + r);
                s1 += w * LOAD(b + stride + r);
                s2 += w * LOAD(b + 2 * stride + r);
                s3 += w * LOAD(b + 3 * stride + r);
            }
            ret_sums[i * size + j] = SUM(s0);
            ret_sums[i * size + j + 1] = SUM(s1);
            ret_sums[i * size + j + 2] = SUM(s2);
            ret_sums[i * size + j + 3] = SUM(s3);
        }
        for (; j <= i; j++) {
            const float *b = columns + j * stride + first;
            lanes s = {0};
            for (size_t r = 0; r < count; r += FORECAST_LANES)
                s += weighted[r / FORECAST_LANES] * LOAD(b + r);
            ret_sums[i * size + j] = SUM(s);
        }
    }
}

CLONES void forecast_lanes_mean(const float *values, size_t width, size_t count, float *ret)
{
    /* In pieces that stay in the nearest cache while they are passed over `width` times. */
    enum { CHUNK = 1024 };
    for (size_t first = 0; first < count; first += CHUNK) {
        size_t size = count - first < CHUNK ? count - first : CHUNK;
        float *sum = ret + first;
        memcpy(sum, values + first, size * sizeof *sum);
        for (size_t j = 1; j < width; j++)
            for (size_t i = 0; i < size; i++)
                sum[i] += values[first + i + j];
        for (size_t i = 0; i < size; i++)
            sum[i] /= (float)width;
    }
}

CLONES void forecast_lanes_mix(const float *columns, size_t stride, size_t size,
                               const float *factors, size_t first, size_t count, float *ret)
{
    for (size_t r = first; r < first + count; r++)
        ret[r] = factors[0] * columns[r];
    for (size_t c = 1; c < size; c++) {
        const float *column = columns + c * stride;
        float factor = factors[c];
        for (size_t r = first; r < first + count; r++)
            ret[r] += factor * column[r];
    }
}

CLONES void forecast_lanes_confine(const float *columns, size_t stride, size_t size, float slack,
                                   float *ret)
{
    enum { CHUNK = 64 };
    float low[CHUNK], high[CHUNK];
    for (size_t first = 0; first < stride; first += CHUNK) {
        size_t rows = stride - first < CHUNK ? stride - first : CHUNK;
        memcpy(low, columns + first, rows * sizeof *low);
        memcpy(high, columns + first, rows * sizeof *high);
        for (size_t c = 1; c < size; c++) {
            const float *column = columns + c * stride + first;
            for (size_t r = 0; r < rows; r++) {
                low[r] = column[r] < low[r] ? column[r] : low[r];
                high[r] = column[r] > high[r] ? column[r] : high[r];
            }
        }
        for (size_t r = 0; r < rows; r++) {
            float more = slack * (high[r] - low[r]), value = ret[first + r];
            value = value < low[r] - more ? low[r] - more : value;
            ret[first + r] = value > high[r] + more ? high[r] + more : value;
        }
    }
}

CLONES double forecast_lanes_distance(const float *a, const float *b, const float *weight,
                                      size_t count)
{
    float sum = 0;
    for (size_t r = 0; r < count; r++)
        sum += weight[r] * fabsf(a[r] - b[r]);
    return sum;
}

CLONES void forecast_lanes_apart(const float *a, const float *b, size_t count, float *ret)
{
    for (size_t r = 0; r < count; r++)
        ret[r] = fabsf(a[r] - b[r]);
}

CLONES void forecast_lanes_minus(const float *a, const float *b, size_t count, float *ret)
{
    for (size_t r = 0; r < count; r++)
        ret[r] = a[r] - b[r];
}

CLONES void forecast_lanes_tame(const float *error, const float *importance, float usual,
                                size_t count, float *ret_weight)
{
    for (size_t r = 0; r < count; r++) {
        float above = error[r] > usual ? error[r] : usual;
        ret_weight[r] = above > 0 ? importance[r] * (usual / above) : importance[r];
    }
}

/* log of the mantissa in [sqrt(1/2), sqrt(2)) by the series of atanh, and the exponent's share. */
static inline __attribute__((always_inline)) float log_of(float a)
{
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    uint32_t moved = bits - 0x3f3504f3u; /* sqrt(1/2) */
    int32_t exponent = (int32_t)moved >> 23;
    bits = (moved & 0x7fffffu) + 0x3f3504f3u;
    float m;
    memcpy(&m, &bits, sizeof m);
    float s = (m - 1) / (m + 1), s2 = s * s;
    float series = s * (2.0f + s2 * (0.666666667f + s2 * (0.4f + s2 * 0.285714286f)));
    return (float)exponent * 0.693147181f + series;
}

/* 2^n by the exponent's bits, e^rest by its series. */
static inline __attribute__((always_inline)) float exp_of(float a)
{
    a = a < -80 ? -80 : a > 80 ? 80 : a;
    float scaled = a * 1.44269504f;
    int32_t n = (int32_t)(scaled + (scaled < 0 ? -0.5f : 0.5f));
    float r = a - (float)n * 0.693147181f;
    float series =
        1 + r * (1 + r * (0.5f + r * (0.166666667f + r * (0.0416666667f + r * 0.00833333333f))));
    uint32_t bits = (uint32_t)(n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return series * power;
}

float forecast_log(float a)
{
    return log_of(a);
}

float forecast_exp(float a)
{
    return exp_of(a);
}

CLONES void forecast_lanes_log(const float *a, float floor, size_t count, float *ret)
{
    for (size_t r = 0; r < count; r++)
        ret[r] = log_of(fabsf(a[r]) + floor);
}

CLONES void forecast_lanes_exp(const float *a, size_t count, float *ret)
{
    for (size_t r = 0; r < count; r++)
        ret[r] = exp_of(a[r]);
}

CLONES void forecast_lanes_add_clamped(const float *a, float low, float high, float factor,
                                       size_t count, float *ret)
{
    for (size_t r = 0; r < count; r++) {
        float value = a[r] < low ? low : a[r];
        ret[r] += factor * (value > high ? high : value);
    }
}

CLONES void forecast_lanes_without(const float *sums, const float *parts, size_t part_count,
                                   size_t size, struct forecast_lanes_systems *ret)
{
    TW_ASSERT(size > 2 && size <= FORECAST_LANES_SIZE_MAX && part_count <= FORECAST_LANES_SYSTEMS);
    ret->size = size;
    size_t cell = 0, apart = FORECAST_LANES_SIZE_MAX * FORECAST_LANES_SIZE_MAX;
    for (size_t i = 0; i < size; i++)
        for (size_t j = 0; j <= i; j++, cell++) {
            const float *part = parts + i * size + j;
            for (size_t k = 0; k < FORECAST_LANES_SYSTEMS; k++)
                ret->cells[cell][k] = sums[i * size + j];
            for (size_t k = 0; k < part_count; k++)
                ret->cells[cell][k] -= part[k * apart];
        }
}

enum { HALF = FORECAST_LANES_SYSTEMS / 2 };
typedef double systems __attribute__((vector_size(HALF * sizeof(double))));

#define ROW(i) ((i) * ((i) + 1) / 2)

CLONES void forecast_lanes_solve(const struct forecast_lanes_systems *given, size_t half,
                                 double ridge,
                                 float ret[FORECAST_LANES_SYSTEMS][FORECAST_LANES_SIZE_MAX])
{
    size_t size = given->size, unknowns = size - 1;
    systems a[ROW(FORECAST_LANES_SIZE_MAX)], inverse[FORECAST_LANES_SIZE_MAX], add = {0};
    const systems *from = (const systems *)given->cells + half; /* every other one */
    for (size_t i = 0; i + 1 < unknowns; i++)
        add += from[2 * (ROW(i) + i)];
    add = add * (ridge / (double)(unknowns - 1)) + from[2 * (ROW(unknowns) - 1)] * 1e-9 + 1e-39;
    /* The last row is the right side: reducing it with the others solves the lower half. */
    for (size_t i = 0; i <= unknowns; i++) {
        systems *row = a + ROW(i);
        for (size_t j = 0; j < i; j++) {
            const systems *other = a + ROW(j);
            systems sum = from[2 * (ROW(i) + j)], more = {0};
            size_t k = 0;
            for (; k + 2 <= j; k += 2) {
                sum -= row[k] * other[k];
                more += row[k + 1] * other[k + 1];
            }
            if (k < j)
                sum -= row[k] * other[k];
            row[j] = (sum - more) * inverse[j];
        }
        if (i == unknowns)
            break;
        systems sum = from[2 * (ROW(i) + i)] + add;
        for (size_t k = 0; k < i; k++)
            sum -= row[k] * row[k];
        for (size_t s = 0; s < HALF; s++)
            inverse[i][s] = 1 / sqrt(sum[s] > 1e-30 ? sum[s] : 1e-30);
    }
    systems *x = a + ROW(unknowns);
    for (size_t i = unknowns; i-- > 0;) {
        x[i] *= inverse[i];
        for (size_t k = 0; k < i; k++)
            x[k] -= a[ROW(i) + k] * x[i];
        for (size_t s = 0; s < HALF; s++)
            ret[half * HALF + s][i] = (float)x[i][s];
    }
}
