/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/stack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "forecast/calibration.h"

enum { SIZE_MAX_ = FORECAST_STACK_COLUMNS_MAX + 1 }; /* columns and the intercept */
#define LOSS_POWER 4.0  /* prior weight = loss^-4: the good ones share, the bad ones vanish */
#define HUBER_SHARE 0.4 /* errors beyond this many median errors count linearly */
#define ROBUST_ROUNDS 4
static const double ridge_candidates[] = {0.001, 0.01, 0.1, 1.0};
enum { RIDGE_COUNT = sizeof ridge_candidates / sizeof *ridge_candidates };

struct gram {
    double a[SIZE_MAX_][SIZE_MAX_]; /* lower triangle */
    double b[SIZE_MAX_];
};

static double prior_of(const struct forecast_stack *prior, const float *row)
{
    double sum = 0;
    for (size_t c = 0; c < prior->columns; c++)
        sum += prior->weights[c] * (double)row[c];
    return sum;
}

static void find_prior(struct forecast_stack *prior, const struct forecast_rows *rows)
{
    double loss[FORECAST_STACK_COLUMNS_MAX] = {0}, least = INFINITY, sum = 0;
    for (size_t r = 0; r < rows->count; r++)
        for (size_t c = 0; c < rows->columns; c++)
            loss[c] +=
                rows->weight[r] * fabs((double)rows->y[r] - (double)rows->x[r * rows->columns + c]);
    for (size_t c = 0; c < rows->columns; c++)
        least = fmin(least, loss[c]);
    for (size_t c = 0; c < rows->columns; c++) {
        prior->weights[c] = least > 0 ? pow(loss[c] / least, -LOSS_POWER) : loss[c] <= 0;
        sum += prior->weights[c];
    }
    prior->columns = rows->columns;
    for (size_t c = 0; c < rows->columns; c++)
        prior->weights[c] /= sum;
}

/* Adds a row to a block's sums: deviations of the columns from the prior, and 1 for the intercept.
 */
static void add_row(struct gram *gram, const double *deviation, size_t size, double target,
                    double weight)
{
    for (size_t i = 0; i < size; i++) {
        double wd = weight * deviation[i];
        for (size_t j = 0; j <= i; j++)
            gram->a[i][j] += wd * deviation[j];
        gram->b[i] += wd * target;
    }
}

/* Cholesky; the ridge makes the matrix positive definite. size <= SIZE_MAX_. */
static void solve(struct gram *gram, size_t size, double ridge, double *ret)
{
    double trace = 0;
    for (size_t i = 0; i + 1 < size; i++)
        trace += gram->a[i][i];
    double add = ridge * trace / (double)(size - 1) + 1e-9 * (gram->a[size - 1][size - 1] + 1e-30);
    for (size_t i = 0; i < size; i++)
        gram->a[i][i] += add;
    for (size_t i = 0; i < size; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = gram->a[i][j];
            for (size_t k = 0; k < j; k++)
                sum -= gram->a[i][k] * gram->a[j][k];
            gram->a[i][j] = i == j ? sqrt(fmax(sum, 1e-30)) : sum / gram->a[j][j];
        }
    }
    for (size_t i = 0; i < size; i++) {
        double sum = gram->b[i];
        for (size_t k = 0; k < i; k++)
            sum -= gram->a[i][k] * ret[k];
        ret[i] = sum / gram->a[i][i];
    }
    for (size_t i = size; i-- > 0;) {
        double sum = ret[i];
        for (size_t k = i + 1; k < size; k++)
            sum -= gram->a[k][i] * ret[k];
        ret[i] = sum / gram->a[i][i];
    }
}

struct fit {
    const struct forecast_rows *rows;
    size_t size;       /* columns and intercept */
    double *deviation; /* [rows][size] */
    double *target;    /* y - prior */
    double *weight;    /* importance, tamed where the error was large */
    struct gram *blocks, *sum, *work;
};

static void gather(struct fit *fit)
{
    memset(fit->blocks, 0, FORECAST_STACK_BLOCKS * sizeof *fit->blocks);
    memset(fit->sum, 0, sizeof *fit->sum);
    for (size_t r = 0; r < fit->rows->count; r++)
        add_row(&fit->blocks[fit->rows->block[r]], fit->deviation + r * fit->size, fit->size,
                fit->target[r], fit->weight[r]);
    for (size_t k = 0; k < FORECAST_STACK_BLOCKS; k++)
        for (size_t i = 0; i < fit->size; i++) {
            for (size_t j = 0; j <= i; j++)
                fit->sum->a[i][j] += fit->blocks[k].a[i][j];
            fit->sum->b[i] += fit->blocks[k].b[i];
        }
}

/* The mixture that all blocks but one want; without = FORECAST_STACK_BLOCKS leaves none out. */
static void solve_without(struct fit *fit, size_t without, double ridge, double *ret)
{
    *fit->work = *fit->sum;
    if (without < FORECAST_STACK_BLOCKS)
        for (size_t i = 0; i < fit->size; i++) {
            for (size_t j = 0; j <= i; j++)
                fit->work->a[i][j] -= fit->blocks[without].a[i][j];
            fit->work->b[i] -= fit->blocks[without].b[i];
        }
    solve(fit->work, fit->size, ridge, ret);
}

static double dot(const double *a, const double *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Errors above the usual one count linearly from now on (iteratively reweighted least squares). */
static void tame(struct fit *fit, double ridge)
{
    double delta[SIZE_MAX_];
    solve_without(fit, FORECAST_STACK_BLOCKS, ridge, delta);
    size_t count = fit->rows->count;
    double *error = calloc(2 * count, sizeof *error), *sorted = error + count;
    TW_ASSERT(error != NULL);
    for (size_t r = 0; r < count; r++) {
        error[r] = fabs(fit->target[r] - dot(delta, fit->deviation + r * fit->size, fit->size));
        sorted[r] = error[r];
    }
    forecast_sort(sorted, count);
    double mean = 0;
    for (size_t r = 0; r < count; r++)
        mean += sorted[r] / (double)count;
    double usual = fmax(HUBER_SHARE * sorted[count / 2], 0.05 * mean);
    for (size_t r = 0; r < count; r++)
        fit->weight[r] = fit->rows->weight[r] * (error[r] > usual ? usual / error[r] : 1.0);
    free(error);
}

/* Forecasts each row without its block; returns the weighted mean error. */
static double hold_out(struct fit *fit, double ridge, double *ret)
{
    double delta[FORECAST_STACK_BLOCKS][SIZE_MAX_], loss = 0;
    for (size_t k = 0; k < FORECAST_STACK_BLOCKS; k++)
        solve_without(fit, k, ridge, delta[k]);
    for (size_t r = 0; r < fit->rows->count; r++) {
        double add = dot(delta[fit->rows->block[r]], fit->deviation + r * fit->size, fit->size);
        ret[r] = (double)fit->rows->y[r] - fit->target[r] + add;
        loss += fit->rows->weight[r] * fabs(fit->target[r] - add);
    }
    return loss;
}

void forecast_stack_fit(struct forecast_stack *stack, const struct forecast_rows *rows,
                        double *ret_held_out)
{
    TW_ASSERT(rows->count > 0 && rows->columns > 0 && rows->columns <= FORECAST_STACK_COLUMNS_MAX);
    struct forecast_stack prior = {0};
    find_prior(&prior, rows);
    size_t size = rows->columns + 1, count = rows->count;
    struct fit fit = {.rows = rows, .size = size};
    fit.deviation = calloc(count * (size + 3), sizeof(double));
    fit.blocks = calloc(FORECAST_STACK_BLOCKS + 2, sizeof *fit.blocks);
    TW_ASSERT(fit.deviation != NULL && fit.blocks != NULL);
    fit.target = fit.deviation + count * size;
    fit.weight = fit.target + count;
    double *trial = fit.weight + count;
    fit.sum = fit.blocks + FORECAST_STACK_BLOCKS;
    fit.work = fit.sum + 1;
    for (size_t r = 0; r < count; r++) {
        const float *row = rows->x + r * rows->columns;
        double base = prior_of(&prior, row);
        for (size_t c = 0; c < rows->columns; c++)
            fit.deviation[r * size + c] = (double)row[c] - base;
        fit.deviation[r * size + rows->columns] = 1.0;
        fit.target[r] = (double)rows->y[r] - base;
        fit.weight[r] = rows->weight[r];
    }
    gather(&fit);
    for (int round = 0; round < ROBUST_ROUNDS; round++) {
        tame(&fit, 0.01);
        gather(&fit);
    }
    double least = INFINITY, ridge = ridge_candidates[RIDGE_COUNT - 1];
    for (size_t k = RIDGE_COUNT; k-- > 0;) {
        double loss = hold_out(&fit, ridge_candidates[k], trial);
        if (loss < least * 0.999) {
            least = loss;
            ridge = ridge_candidates[k];
            memcpy(ret_held_out, trial, count * sizeof *trial);
        }
    }
    double delta[SIZE_MAX_], total = 0;
    solve_without(&fit, FORECAST_STACK_BLOCKS, ridge, delta);
    for (size_t c = 0; c < rows->columns; c++)
        total += delta[c];
    stack->columns = rows->columns;
    for (size_t c = 0; c < rows->columns; c++)
        stack->weights[c] = prior.weights[c] * (1.0 - total) + delta[c];
    stack->intercept = delta[rows->columns];
    free(fit.deviation);
    free(fit.blocks);
}

double forecast_stack_predict(const struct forecast_stack *stack, const float *row)
{
    return prior_of(stack, row) + stack->intercept;
}
