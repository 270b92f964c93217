/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/stack.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "forecast/sort.h"

enum { SIZE_MAX_ = FORECAST_LANES_SIZE_MAX }; /* columns, the intercept, the target */
_Static_assert(FORECAST_STACK_COLUMNS_MAX + 2 <= SIZE_MAX_, "room for all columns");
enum { ALL = FORECAST_STACK_BLOCKS }; /* the system that leaves no block out */
#define LOSS_POWER 4.0  /* prior weight = loss^-4: the good ones share, the bad ones vanish */
#define HUBER_SHARE 0.4 /* errors beyond this many median errors count linearly */
/* How far a mixture may lie outside its columns, in shares of their spread. Beyond 0 it follows
 * trends a little sooner, and runs away after shifts of level. */
#define CONFINE_SLACK 0.0f
#define ROBUST_ROUNDS 2
#define ROBUST_RIDGE 0.01
#define MEDIAN_STEP 3 /* the usual error is told from every third */
/* Fits with several ridges are blended, each by what it makes likely, were the errors Laplace's:
 * loss^-n for n independent rows, with less trust than that since one loss chose among many. */
enum { RIDGE_COUNT = 5 };
#define RIDGE_FALL 16.0
#define RIDGE_TRUST 0.25

/* Sums of products of the deviations from the prior; rows of `size` floats, lower triangle. The
 * columns are those of the rows, then 1 for the intercept, then the target. */
struct fit {
    const struct forecast_rows *rows;
    size_t size; /* all columns */
    float *deviation, *weight, *error, *trial;
    float *held_out; /* [RIDGE_COUNT][stride] */
    float blocks[FORECAST_STACK_BLOCKS][SIZE_MAX_ * SIZE_MAX_];
    float sum[SIZE_MAX_ * SIZE_MAX_];
    /* System k, and its solution, is the mixture that all blocks but k want. */
    struct forecast_lanes_systems systems;
    float delta[FORECAST_LANES_SYSTEMS][SIZE_MAX_];
};

size_t forecast_stack_work(size_t stride, size_t columns)
{
    return stride * (columns + 5 + RIDGE_COUNT);
}

static void find_prior(float *prior, const struct forecast_rows *rows)
{
    double loss[FORECAST_STACK_COLUMNS_MAX], least = INFINITY, sum = 0;
    for (size_t c = 0; c < rows->columns; c++) {
        loss[c] = forecast_lanes_distance(rows->y, rows->x + c * rows->stride, rows->weight,
                                          rows->stride);
        least = fmin(least, loss[c]);
    }
    for (size_t c = 0; c < rows->columns; c++) {
        double weight = least > 0 ? pow(loss[c] / least, -LOSS_POWER) : loss[c] <= 0;
        prior[c] = (float)weight;
        sum += weight;
    }
    for (size_t c = 0; c < rows->columns; c++)
        prior[c] = (float)((double)prior[c] / sum);
}

static void gather(struct fit *fit)
{
    size_t cells = fit->size * fit->size;
    memset(fit->sum, 0, cells * sizeof *fit->sum);
    for (size_t k = 0; k < FORECAST_STACK_BLOCKS; k++) {
        size_t first = fit->rows->first[k];
        forecast_lanes_gram(fit->deviation, fit->rows->stride, fit->size, fit->weight, first,
                            fit->rows->first[k + 1] - first, fit->blocks[k]);
        for (size_t i = 0; i < fit->size; i++)
            for (size_t j = 0; j <= i; j++)
                fit->sum[i * fit->size + j] += fit->blocks[k][i * fit->size + j];
    }
    forecast_lanes_without(fit->sum, fit->blocks[0], FORECAST_STACK_BLOCKS, fit->size,
                           &fit->systems);
}

static const float *target_of(const struct fit *fit)
{
    return fit->deviation + (fit->size - 1) * fit->rows->stride;
}

/* Errors above the usual one count linearly from now on (iteratively reweighted least squares). */
static void tame(struct fit *fit, double ridge)
{
    size_t stride = fit->rows->stride, count = 0;
    forecast_lanes_solve(&fit->systems, ALL / 4, ridge, fit->delta);
    forecast_lanes_mix(fit->deviation, stride, fit->size - 1, fit->delta[ALL], 0, stride,
                       fit->trial);
    forecast_lanes_apart(target_of(fit), fit->trial, stride, fit->error);
    double mean = 0;
    for (size_t r = 0; r < stride; r += MEDIAN_STEP)
        if (fit->rows->weight[r] > 0) {
            mean += (double)fit->error[r];
            fit->trial[count++] = fit->error[r];
        }
    if (!count) /* of few rows none was looked at: nothing is tamed */
        return;
    mean /= (double)count;
    double median = forecast_select(fit->trial, count, count / 2);
    forecast_lanes_tame(fit->error, fit->rows->weight,
                        (float)fmax(HUBER_SHARE * median, 0.05 * mean), stride, fit->weight);
}

/* Forecasts each row without its block, as deviation from the prior; returns the weighted sum of
 * errors. */
static double hold_out(struct fit *fit, double ridge, float *ret)
{
    size_t stride = fit->rows->stride;
    forecast_lanes_solve(&fit->systems, 0, ridge, fit->delta);
    forecast_lanes_solve(&fit->systems, 1, ridge, fit->delta);
    for (size_t k = 0; k < FORECAST_STACK_BLOCKS; k++) {
        size_t first = fit->rows->first[k];
        forecast_lanes_mix(fit->deviation, stride, fit->size - 1, fit->delta[k], first,
                           fit->rows->first[k + 1] - first, ret);
    }
    return forecast_lanes_distance(target_of(fit), ret, fit->rows->judge, stride);
}

/* Weights, and forecasts of rows without their block, of the ridges by their merit. */
static void blend_ridges(struct fit *fit, float *ret_delta, float *ret_held_out)
{
    size_t stride = fit->rows->stride;
    float deltas[RIDGE_COUNT][SIZE_MAX_], shares[RIDGE_COUNT];
    double loss[RIDGE_COUNT], least = INFINITY, sum = 0;
    double ridge = fit->rows->ridge;
    for (size_t k = 0; k < RIDGE_COUNT; k++, ridge /= RIDGE_FALL) {
        loss[k] = hold_out(fit, ridge, fit->held_out + k * stride);
        memcpy(deltas[k], fit->delta[ALL], sizeof deltas[k]);
        least = fmin(least, loss[k]);
    }
    for (size_t k = 0; k < RIDGE_COUNT; k++)
        sum += loss[k] =
            least > 0 ? pow(loss[k] / least, -RIDGE_TRUST * fit->rows->worth) : loss[k] <= 0;
    for (size_t k = 0; k < RIDGE_COUNT; k++) {
        shares[k] = (float)(loss[k] / sum);
        for (size_t c = 0; c + 1 < fit->size; c++)
            ret_delta[c] += shares[k] * deltas[k][c];
    }
    forecast_lanes_mix(fit->held_out, stride, RIDGE_COUNT, shares, 0, stride, ret_held_out);
}

static void lay_deviations(struct fit *fit, const float *prior)
{
    const struct forecast_rows *rows = fit->rows;
    size_t stride = rows->stride;
    float *base = fit->error, *target = fit->deviation + (fit->size - 1) * stride;
    forecast_lanes_mix(rows->x, stride, rows->columns, prior, 0, stride, base);
    for (size_t c = 0; c < rows->columns; c++)
        forecast_lanes_minus(rows->x + c * stride, base, stride, fit->deviation + c * stride);
    for (size_t r = 0; r < stride; r++)
        fit->deviation[rows->columns * stride + r] = 1;
    forecast_lanes_minus(rows->y, base, stride, target);
    memcpy(fit->weight, rows->weight, stride * sizeof *fit->weight);
}

void forecast_stack_fit(struct forecast_stack *stack, const struct forecast_rows *rows, float *work,
                        float *ret_held_out)
{
    TW_ASSERT(rows->columns > 0 && rows->columns <= FORECAST_STACK_COLUMNS_MAX);
    size_t stride = rows->stride;
    float prior[FORECAST_STACK_COLUMNS_MAX], delta[SIZE_MAX_] = {0}, total = 0;
    struct fit fit;
    fit.rows = rows;
    fit.size = rows->columns + 2;
    fit.deviation = work;
    fit.weight = work + fit.size * stride;
    fit.error = fit.weight + stride;
    fit.trial = fit.error + stride;
    fit.held_out = fit.trial + stride;
    find_prior(prior, rows);
    lay_deviations(&fit, prior);
    gather(&fit);
    for (int round = 0; round < ROBUST_ROUNDS; round++) {
        tame(&fit, ROBUST_RIDGE);
        gather(&fit);
    }
    blend_ridges(&fit, delta, ret_held_out);
    /* Held out so far: the deviation from the prior, which is y - target. */
    const float *target = target_of(&fit);
    for (size_t r = 0; r < stride; r++)
        ret_held_out[r] += rows->y[r] - target[r];
    forecast_lanes_confine(rows->x, stride, rows->columns, CONFINE_SLACK, ret_held_out);
    for (size_t c = 0; c < rows->columns; c++)
        total += delta[c];
    stack->columns = rows->columns;
    for (size_t c = 0; c < rows->columns; c++)
        stack->weights[c] = prior[c] * (1 - total) + delta[c];
    stack->intercept = delta[rows->columns];
}

float forecast_stack_predict(const struct forecast_stack *stack, const float *row)
{
    float sum = stack->intercept, low = row[0], high = row[0];
    for (size_t c = 0; c < stack->columns; c++) {
        sum += stack->weights[c] * row[c];
        low = fminf(low, row[c]);
        high = fmaxf(high, row[c]);
    }
    float more = CONFINE_SLACK * (high - low);
    return fminf(fmaxf(sum, low - more), high + more);
}
