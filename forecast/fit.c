/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define ROWS_USED 640 /* moments of the past that a mixture is fitted on */
#define ROWS_MIN 16   /* fewer do not make a regression */
#define LEADS_ALL 12  /* horizons up to this, and from LEADS_MANY to the most, fit each lead */
#define LEADS_MANY 24
#define LEADS_GROWTH 1.45                 /* otherwise leads grow by this */
#define MEMORY_MS (2 * (int64_t)86400000) /* age at which a row counts 1/e, */
#define MEMORY_STEPS 500.0                /* or this many steps, whichever is longer; */
#define MEMORY_STEPS_FAR 4000.0           /* of values that lie far apart there are few, */
#define FAR_MS (15 * (int64_t)60000)      /* and all are needed */
#define RIDGE 30.0
#define RIDGE_FAR 1000.0
#define JUDGE_LEAST 0.05 /* what a row counts that shares its target with another block */

/* Moments of the past, the same for all leads, so that a peak over leads can be made up from them;
 * and the work space of a fit. */
struct sample {
    const struct forecast_series *series;
    struct forecast_moments moments;
    uint32_t *at;
    size_t first[FORECAST_STACK_BLOCKS + 1]; /* of the blocks */
    size_t count;                            /* without padding */
    double distance;                         /* usual one between rows, in steps */
    float *importance;                       /* 0: padding */
    float *apart;                            /* steps to the nearest row of another block */
    float *x, *y, *weight, *judge, *error, *signs, *work;
    float *held_out; /* [node][stride] */
    void *memory;
};

size_t forecast_fit_leads(size_t horizon, size_t *ret_leads)
{
    size_t count = 0;
    if (horizon <= LEADS_ALL || (horizon > LEADS_MANY && horizon <= FORECAST_NODES_MAX)) {
        for (size_t h = 1; h <= horizon; h++)
            ret_leads[count++] = h;
        return count;
    }
    double lead = 1;
    while ((size_t)lead < horizon && count + 1 < FORECAST_NODES_MAX) {
        ret_leads[count++] = (size_t)lead;
        lead = fmax(lead + 1, lead * LEADS_GROWTH);
    }
    ret_leads[count++] = horizon;
    return count;
}

/* Rows between the first moment that has all columns and the newest whose whole horizon is known.
 */
static size_t count_rows(const struct forecast_series *series, size_t horizon, size_t *ret_span)
{
    size_t first = forecast_column_first(series, horizon), last = series->count - 1;
    if (first < 4)
        first = 4;
    if (last < first + horizon + ROWS_MIN)
        return 0;
    *ret_span = last - horizon + 1 - first;
    return *ret_span < ROWS_USED ? *ret_span : ROWS_USED;
}

/* Each block is padded to whole lanes with rows that weigh nothing. */
static size_t padded_block(size_t count, size_t block)
{
    size_t rows =
        (block + 1) * count / FORECAST_STACK_BLOCKS - block * count / FORECAST_STACK_BLOCKS;
    return (rows + FORECAST_LANES - 1) / FORECAST_LANES * FORECAST_LANES;
}

/* Ages of the rows, newest first: as dense as the square root of what a row of that age counts, so
 * that the newest part, on which most depends, is looked at most closely; never twice the same. */
static void lay_ages(uint32_t *ret_age, size_t count, size_t span, double memory)
{
    double reach = 1 - exp(-(double)span / (2 * memory));
    for (size_t r = 0; r < count; r++) {
        double age = -2 * memory * log1p(-reach * (double)r / (double)count);
        ret_age[r] = (uint32_t)fmin(age, (double)span - 1);
        if (r && ret_age[r] <= ret_age[r - 1])
            ret_age[r] = ret_age[r - 1] + 1;
    }
    for (size_t r = count; r-- > 0 && ret_age[r] > span - (count - r);)
        ret_age[r] = (uint32_t)(span - (count - r));
}

/* The newest row of a block before its padding; blocks may be empty of rows only all at once. */
static float newest_of(const struct sample *sample, size_t block)
{
    size_t row = sample->first[block + 1] - 1;
    while (row > sample->first[block] && sample->importance[row] <= 0)
        row--;
    return (float)sample->at[row];
}

static void lay_gaps(struct sample *sample)
{
    for (size_t block = 0; block < FORECAST_STACK_BLOCKS; block++) {
        float before = block ? newest_of(sample, block - 1) : -INFINITY;
        bool last = block + 1 == FORECAST_STACK_BLOCKS;
        float after = last ? INFINITY : (float)sample->at[sample->first[block + 1]];
        for (size_t r = sample->first[block]; r < sample->first[block + 1]; r++)
            sample->apart[r] = fminf((float)sample->at[r] - before, after - (float)sample->at[r]);
    }
}

static void lay_moments(struct sample *sample, size_t limit, size_t span)
{
    const struct forecast_series *series = sample->series;
    double memory = fmax((double)MEMORY_MS / (double)series->step_ms,
                         series->step_ms < FAR_MS ? MEMORY_STEPS : MEMORY_STEPS_FAR);
    size_t count = sample->count, row = 0, next = count;
    uint32_t age[ROWS_USED];
    lay_ages(age, count, span, memory);
    sample->distance = (double)(age[count / 2] + 1) / (double)(count / 2 + 1);
    for (size_t block = 0; block < FORECAST_STACK_BLOCKS; block++) {
        size_t real =
            (block + 1) * count / FORECAST_STACK_BLOCKS - block * count / FORECAST_STACK_BLOCKS;
        size_t end = row + padded_block(count, block);
        sample->first[block] = row;
        for (size_t r = 0; row < end; row++, r++) {
            if (r >= real) {
                sample->at[row] = (uint32_t)(limit - 1);
                sample->importance[row] = 0;
                continue;
            }
            next--;
            size_t older = next + 1 < count ? next + 1 : next;
            size_t covered = older ? age[older] - age[older - 1] : 1;
            sample->at[row] = (uint32_t)(limit - 1 - age[next]);
            sample->importance[row] = (float)(exp(-(double)age[next] / memory) * (double)covered);
        }
    }
    sample->first[FORECAST_STACK_BLOCKS] = row;
    lay_gaps(sample);
}

/* False when the horizon leaves too few rows. */
static bool take_sample(struct sample *sample, const struct forecast_series *series, size_t horizon,
                        size_t nodes)
{
    size_t span;
    sample->series = series;
    sample->count = count_rows(series, horizon, &span);
    if (!sample->count)
        return false;
    size_t stride = 0, columns = forecast_column_count(series);
    for (size_t block = 0; block < FORECAST_STACK_BLOCKS; block++)
        stride += padded_block(sample->count, block);
    TW_ASSERT(stride <= FORECAST_ROWS_MAX);
    if (columns < FORECAST_PEAK_COLUMNS_MAX)
        columns = FORECAST_PEAK_COLUMNS_MAX;
    size_t work = forecast_stack_work(stride, columns);
    size_t floats = stride * (7 + columns + FORECAST_SIGNS + 1 + nodes) + work;
    float *next = sample->memory = malloc(floats * sizeof(float));
    TW_ASSERT(next != NULL);
    sample->at = (uint32_t *)next;
    sample->importance = next + stride;
    sample->y = next + 2 * stride;
    sample->weight = next + 3 * stride;
    sample->error = next + 4 * stride;
    sample->apart = next + 5 * stride;
    sample->judge = next + 6 * stride;
    sample->x = next + 7 * stride;
    sample->signs = sample->x + columns * stride;
    sample->held_out = sample->signs + (FORECAST_SIGNS + 1) * stride;
    sample->work = sample->held_out + nodes * stride;
    sample->moments = (struct forecast_moments){sample->at, stride};
    lay_moments(sample, series->count - horizon, span);
    return true;
}

double forecast_fit_loss(double value, double q50, double q95)
{
    double low = 0.5 * fabs(value - q50);
    double high = value >= q95 ? 0.95 * (value - q95) : 0.05 * (q95 - value);
    return 0.5 * (low + high);
}

/* What the held-out rows lost by the quantiles that they gave rise to. */
static double held_out_loss(const struct sample *sample, const struct forecast_node *node)
{
    double q50 = forecast_calibration_point(&node->calibration, 0.5), loss = 0, total = 0;
    double q95 = forecast_calibration_point(&node->calibration, 0.95);
    forecast_calibration_sizes(&node->calibration, sample->signs, sample->moments.stride,
                               sample->work);
    for (size_t r = 0; r < sample->moments.stride; r++) {
        double weight = sample->weight[r], size = sample->work[r];
        loss += weight * forecast_fit_loss(sample->error[r], q50 * size, q95 * size);
        total += weight;
    }
    return loss / total;
}

/* A row nearer to another block than its lead was in part seen by the fit that is to be judged by
 * it. */
static void lay_judgement(struct sample *sample, size_t lead)
{
    float whole = 1 / (float)lead;
    for (size_t r = 0; r < sample->moments.stride; r++) {
        float share = sample->apart[r] * whole;
        share = share < (float)JUDGE_LEAST ? (float)JUDGE_LEAST : share < 1 ? share : 1;
        sample->judge[r] = sample->weight[r] * share;
    }
}

/* What follows rows -> forecasts -> errors for one set of columns. False when too few rows count.
 */
static bool fit_node(struct forecast_node *node, struct sample *sample, size_t columns,
                     double overlap, float *held_out)
{
    size_t stride = sample->moments.stride, useful = 0;
    for (size_t r = 0; r < stride; r++)
        useful += sample->weight[r] > 0;
    if (useful < ROWS_MIN)
        return false;
    struct forecast_rows rows = {.x = sample->x,
                                 .y = sample->y,
                                 .weight = sample->weight,
                                 .stride = stride,
                                 .columns = columns,
                                 .judge = sample->judge,
                                 .worth = (double)useful / overlap,
                                 .ridge = sample->series->step_ms < FAR_MS ? RIDGE : RIDGE_FAR};
    lay_judgement(sample, node->lead);
    memcpy(rows.first, sample->first, sizeof rows.first);
    forecast_stack_fit(&node->stack, &rows, sample->work, held_out);
    forecast_lanes_minus(sample->y, held_out, stride, sample->error);
    forecast_sign_fill(sample->series, &sample->moments, node->lead, held_out, sample->signs);
    struct forecast_errors errors = {sample->error, sample->weight, sample->signs, stride, overlap};
    forecast_calibration_fit(&node->calibration, &errors, sample->work);
    return true;
}

static void fit_leads(struct forecast_fit *fit, struct sample *sample, const size_t *leads,
                      size_t count)
{
    const struct forecast_series *series = sample->series;
    size_t stride = sample->moments.stride, columns = forecast_column_count(series);
    for (size_t k = 0; k < count; k++) {
        struct forecast_node *node = &fit->nodes[fit->node_count];
        node->lead = leads[k];
        forecast_column_fill(series, &sample->moments, leads[k], sample->x);
        for (size_t r = 0; r < stride; r++) {
            size_t t = sample->at[r], then = t + leads[k];
            sample->y[r] = series->z[then];
            /* A row that stands on a hole, or ends in one, says nothing. */
            sample->weight[r] = series->known[t] && series->known[then] ? sample->importance[r] : 0;
        }
        if (!fit_node(node, sample, columns, fmax(1, (double)leads[k] / sample->distance),
                      sample->held_out + fit->node_count * stride))
            continue;
        if (fit->node_count++ == 0)
            fit->loss = held_out_loss(sample, node);
    }
}

static void fit_peak(struct forecast_fit *fit, struct sample *sample, size_t span)
{
    const struct forecast_series *series = sample->series;
    size_t stride = sample->moments.stride;
    float *path = sample->error, *held_out = sample->held_out + fit->node_count * stride;
    for (size_t r = 0; r < stride; r++) {
        size_t t = sample->at[r];
        path[r] = sample->held_out[r];
        for (size_t k = 1; k < fit->node_count && fit->nodes[k].lead <= span; k++)
            path[r] = fmaxf(path[r], sample->held_out[k * stride + r]);
        sample->weight[r] = sample->importance[r];
        sample->y[r] = series->z[t + 1];
        for (size_t h = 0; h <= span; h++) {
            if (!series->known[t + h])
                sample->weight[r] = 0;
            if (h && series->z[t + h] > sample->y[r])
                sample->y[r] = series->z[t + h];
        }
    }
    forecast_peak_fill(series, &sample->moments, span, path, sample->x);
    fit->peak.lead = span;
    fit->has_peak = fit_node(&fit->peak, sample, forecast_peak_count(series),
                             fmax(1, (double)span / sample->distance), held_out);
}

void forecast_fit(const struct forecast_series *series, size_t horizon, size_t peak_span,
                  struct forecast_fit *ret_fit)
{
    size_t leads[FORECAST_NODES_MAX], count = forecast_fit_leads(horizon, leads);
    struct sample sample = {0};
    ret_fit->node_count = 0;
    ret_fit->has_peak = false;
    ret_fit->widen = 1;
    ret_fit->loss = NAN;
    if (series->scale <= 0) /* a constant: there is nothing to learn from */
        return;
    /* With little history the far leads have no rows yet: the near ones stand in for them. */
    while (!take_sample(&sample, series, leads[count - 1], count + 1))
        if (--count == 0)
            return;
    fit_leads(ret_fit, &sample, leads, count);
    ret_fit->widen = 1.0 + 4.0 / (double)sample.count;
    if (ret_fit->node_count && ret_fit->nodes[ret_fit->node_count - 1].lead >= peak_span)
        fit_peak(ret_fit, &sample, peak_span);
    free(sample.memory);
}
