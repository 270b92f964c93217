/* SPDX-License-Identifier: Apache-2.0
 *
 * forecast_bench: what a forecast costs. Run by hand: `make tests/bench/forecast_bench` and start
 * it; prints one line a shape of series: time for a fit, for an appended value, for a prediction.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "forecast/model.h"

enum { ROUNDS = 20, APPENDS = 1000, QUANTILES = 5 };

static double noise(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) / (double)(UINT64_C(1) << 53) * 2 - 1;
}

static void die(const struct tw_err *err)
{
    fprintf(stderr, "forecast_bench: %s\n", err->message);
    exit(1);
}

static void measure(const char *name, size_t count, int64_t step_ms, size_t horizon)
{
    static const double probabilities[QUANTILES] = {0.05, 0.5, 0.9, 0.95, 0.99};
    struct forecast_options options = {.step_ms = step_ms, .horizon = horizon};
    double *values = calloc(count + APPENDS, sizeof *values);
    double *quantiles = calloc(horizon * QUANTILES, sizeof *quantiles), peak[QUANTILES];
    uint64_t seed = 1;
    struct forecast_model *model = NULL;
    struct tw_err err = {0};
    if (!values || !quantiles)
        abort();
    for (size_t i = 0; i < count + APPENDS; i++)
        values[i] =
            100 + 50 * sin(2 * M_PI * (double)i * (double)step_ms / 86400000.0) + 5 * noise(&seed);
    int64_t started = tw_clock_thread_cpu_ns();
    for (int round = 0; round < ROUNDS; round++) {
        model = forecast_model_free(model);
        if (forecast_model_new(values, count, &options, &model, &err) != TW_OK)
            die(&err);
    }
    double fit_ms = (double)(tw_clock_thread_cpu_ns() - started) / 1e6 / ROUNDS;
    started = tw_clock_thread_cpu_ns();
    for (size_t i = 0; i < APPENDS; i++)
        forecast_model_append(model, values[count + i]);
    double append_us = (double)(tw_clock_thread_cpu_ns() - started) / 1e3 / APPENDS;
    struct forecast_band band = {NULL, quantiles, 0, peak};
    started = tw_clock_thread_cpu_ns();
    for (int round = 0; round < 100; round++)
        if (forecast_model_predict(model, horizon, probabilities, QUANTILES, &band, &err) != TW_OK)
            die(&err);
    double predict_us = (double)(tw_clock_thread_cpu_ns() - started) / 1e3 / 100;
    printf("%-24s %7zu values, %3zu leads: fit %6.2f ms, append %5.2f us, predict %6.1f us, "
           "%5zu bytes\n",
           name, count, horizon, fit_ms, append_us, predict_us, forecast_model_size(model));
    forecast_model_free(model);
    free(values);
    free(quantiles);
}

int main(void)
{
    measure("7 days of minutes", 7 * 1440, 60000, 60);
    measure("14 days of minutes", 14 * 1440, 60000, 60);
    measure("21 days of 5 minutes", 21 * 288, 300000, 12);
    measure("42 days of hours", 42 * 24, 3600000, 48);
    measure("30 minutes of minutes", 30, 60000, 60);
    return 0;
}
