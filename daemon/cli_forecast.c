/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch forecast`: one series in as CSV, its forecast out as CSV. Works without a server.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/duration.h"
#include "base/number.h"
#include "daemon/cli.h"
#include "forecast/model.h"

#define INPUT_BYTES_MAX ((size_t)256 << 20)
#define HORIZON_DEFAULT 60
#define QUANTILES_DEFAULT "0.5,0.9,0.95,0.99"

static const char *horizon_text, *step_text, *quantiles_text;

static const struct cli_option options[] = {
    {"horizon", 0, &horizon_text, NULL, "STEPS", "How many steps to forecast; default 60."},
    {"step", 0, &step_text, NULL, "DURATION",
     "Between values, in seconds or as 5m; default the usual distance of the input."},
    {"quantiles", 0, &quantiles_text, NULL, "LIST",
     "Probabilities, ascending; default " QUANTILES_DEFAULT "."},
};

static const struct cli_command command = {
    .name = "forecast",
    .arguments = "",
    .help =
        "Reads a series as CSV `timestamp,value` (Unix seconds) from standard input and prints\n"
        "`timestamp,mean,q50,...`, then a row `peak`: the distribution of the highest value "
        "within\n"
        "the horizon. Lines may be in any order; values that are missing, empty or NaN are holes.\n"
        "A series that is never negative is not forecast to be.\n"
        "Exit status: 0 done, 1 nothing to forecast from, 2 wrong use.",
    .options = options,
    .option_count = sizeof options / sizeof options[0]};

struct point {
    int64_t time_ms;
    double value;
    size_t order; /* of the input: the later line wins */
};

struct input {
    struct point *points;
    size_t count, capacity;
};

struct request {
    int64_t step_ms;
    size_t horizon, quantile_count;
    double quantiles[FORECAST_QUANTILES_MAX];
};

/* ---- reading ---- */

static int read_all(struct tw_buf *text)
{
    for (;;) {
        char *room = tw_buf_reserve(text, 1 << 16);
        if (!room)
            return cli_fail(&command, CLI_FAILED, "the input is larger than %zu MiB",
                            INPUT_BYTES_MAX >> 20);
        size_t got = fread(room, 1, 1 << 16, stdin);
        text->size += got;
        if (got == 0)
            return ferror(stdin) ? cli_fail(&command, CLI_FAILED, "cannot read standard input")
                                 : CLI_OK;
    }
}

static void add_point(struct input *input, int64_t time_ms, double value)
{
    if (input->count == input->capacity) {
        input->capacity = input->capacity ? 2 * input->capacity : 4096;
        input->points = realloc(input->points, input->capacity * sizeof *input->points);
        if (!input->points)
            abort();
    }
    input->points[input->count] = (struct point){time_ms, value, input->count};
    input->count++;
}

static int parse_lines(struct tw_str text, struct input *input)
{
    struct tw_str line;
    for (size_t number = 1; tw_str_split(&text, '\n', &line); number++) {
        struct tw_str rest = tw_str_trim(line), time_field, value_field = {0};
        double seconds, value = NAN;
        if (!rest.size)
            continue;
        tw_str_split(&rest, ',', &time_field);
        tw_str_split(&rest, ',', &value_field);
        value_field = tw_str_trim(value_field);
        if (!tw_double_parse(tw_str_trim(time_field), &seconds) || !(fabs(seconds) < 9e15)) {
            if (number == 1)
                continue; /* a heading */
            return cli_fail(&command, CLI_FAILED, "line %zu: '%.*s' is no time in Unix seconds",
                            number, TW_STR_ARG(time_field));
        }
        if (value_field.size && !tw_double_parse(value_field, &value))
            return cli_fail(&command, CLI_FAILED, "line %zu: '%.*s' is no number", number,
                            TW_STR_ARG(value_field));
        add_point(input, (int64_t)llround(seconds * 1000), value);
    }
    return input->count
               ? CLI_OK
               : cli_fail(&command, CLI_FAILED, "there is no line `timestamp,value` in the input");
}

static int compare_points(const void *a, const void *b)
{
    const struct point *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static int compare_distances(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The median distance between neighbours. */
static int64_t usual_step(const struct input *input)
{
    size_t count = input->count - 1;
    if (!count)
        return 0;
    int64_t *distances = calloc(count, sizeof *distances);
    if (!distances)
        abort();
    for (size_t i = 0; i < count; i++)
        distances[i] = input->points[i + 1].time_ms - input->points[i].time_ms;
    qsort(distances, count, sizeof *distances, compare_distances);
    int64_t step = distances[count / 2];
    free(distances);
    return step;
}

/* ---- options ---- */

static int parse_quantiles(struct request *request)
{
    struct tw_str list = tw_str(quantiles_text ? quantiles_text : QUANTILES_DEFAULT), part;
    while (tw_str_split(&list, ',', &part)) {
        double *next = &request->quantiles[request->quantile_count];
        if (request->quantile_count == FORECAST_QUANTILES_MAX)
            return cli_fail(&command, CLI_USAGE, "more than %d quantiles are asked for",
                            FORECAST_QUANTILES_MAX);
        if (!tw_double_parse(tw_str_trim(part), next) || !(*next > 0 && *next < 1))
            return cli_fail(&command, CLI_USAGE, "quantile '%.*s': give numbers between 0 and 1",
                            TW_STR_ARG(part));
        if (request->quantile_count && *next < next[-1])
            return cli_fail(&command, CLI_USAGE, "quantiles have to ascend");
        request->quantile_count++;
    }
    return request->quantile_count ? CLI_OK
                                   : cli_fail(&command, CLI_USAGE, "no quantile is asked for");
}

static int parse_request(struct request *request)
{
    int64_t horizon = HORIZON_DEFAULT;
    struct tw_err err;
    if (horizon_text && (!tw_int64_parse(tw_str(horizon_text), &horizon) || horizon < 1 ||
                         horizon > FORECAST_HORIZON_MAX))
        return cli_fail(&command, CLI_USAGE, "--horizon '%s': give a whole number from 1 to %d",
                        horizon_text, FORECAST_HORIZON_MAX);
    request->horizon = (size_t)horizon;
    if (step_text &&
        (tw_duration_parse_parameter(tw_str(step_text), &request->step_ms, &err) != TW_OK ||
         request->step_ms < 1))
        return cli_fail(&command, CLI_USAGE, "--step '%s': give seconds or a duration such as 5m",
                        step_text);
    return parse_quantiles(request);
}

/* ---- forecast ---- */

/* Puts the points on a regular grid that ends at the last one. */
static int regular(const struct input *input, int64_t step_ms, double **ret_values,
                   size_t *ret_count)
{
    int64_t last = input->points[input->count - 1].time_ms;
    int64_t span = (last - input->points[0].time_ms + step_ms / 2) / step_ms;
    size_t count = span < FORECAST_VALUES_MAX ? (size_t)span + 1 : FORECAST_VALUES_MAX;
    double *values = calloc(count, sizeof *values);
    if (!values)
        abort();
    for (size_t i = 0; i < count; i++)
        values[i] = NAN;
    for (size_t i = 0; i < input->count; i++) {
        int64_t back = (last - input->points[i].time_ms + step_ms / 2) / step_ms;
        if (back < (int64_t)count && !isnan(input->points[i].value))
            values[count - 1 - (size_t)back] = input->points[i].value;
    }
    *ret_values = values;
    *ret_count = count;
    return CLI_OK;
}

static void print_row(const double *mean, const double *quantiles, size_t count)
{
    printf(",%.9g", *mean);
    for (size_t q = 0; q < count; q++)
        printf(",%.9g", quantiles[q]);
    putchar('\n');
}

static void print_time(int64_t ms)
{
    if (ms % 1000)
        printf("%.3f", (double)ms / 1000);
    else
        printf("%lld", (long long)(ms / 1000));
}

static int print_forecast(const struct request *request, const double *values, size_t count,
                          int64_t last_ms)
{
    double lowest = INFINITY;
    for (size_t i = 0; i < count; i++)
        lowest = fmin(lowest, values[i]); /* NaN is ignored */
    struct forecast_options fit = {.step_ms = request->step_ms,
                                   .horizon = request->horizon,
                                   .lower_bound = lowest >= 0 ? 0 : -INFINITY};
    struct forecast_model *model = NULL;
    struct tw_err err;
    if (forecast_model_new(values, count, &fit, &model, &err) != TW_OK)
        return cli_fail(&command, CLI_FAILED, "%s", err.message);
    size_t quantiles = request->quantile_count;
    double *mean = calloc(request->horizon * (quantiles + 1), sizeof *mean);
    if (!mean)
        abort();
    double peak[FORECAST_QUANTILES_MAX];
    struct forecast_band band = {mean, mean + request->horizon, 0, peak};
    int status = CLI_OK;
    if (forecast_model_predict(model, request->horizon, request->quantiles, quantiles, &band,
                               &err) != TW_OK)
        status = cli_fail(&command, CLI_FAILED, "%s", err.message);
    if (status == CLI_OK) {
        printf("timestamp,mean");
        for (size_t q = 0; q < quantiles; q++)
            printf(",q%.6g", 100 * request->quantiles[q]);
        putchar('\n');
        for (size_t h = 0; h < request->horizon; h++) {
            print_time(last_ms + (int64_t)(h + 1) * request->step_ms);
            print_row(&mean[h], band.quantiles + h * quantiles, quantiles);
        }
        printf("peak");
        print_row(&band.peak_mean, peak, quantiles);
        if (fflush(stdout) != 0)
            status = CLI_FAILED;
    }
    free(mean);
    forecast_model_free(model);
    return status;
}

int cli_forecast(int argc, char **argv)
{
    int count, status;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (count > 0)
        return cli_fail(&command, CLI_USAGE,
                        "takes no arguments; the series comes on standard input");
    struct request request = {0};
    struct tw_buf text;
    struct input input = {0};
    double *values = NULL;
    size_t value_count = 0;
    tw_buf_init(&text, INPUT_BYTES_MAX);
    status = parse_request(&request);
    if (status == CLI_OK)
        status = read_all(&text);
    if (status == CLI_OK)
        status = parse_lines(tw_buf_str(&text), &input);
    if (status == CLI_OK) {
        qsort(input.points, input.count, sizeof *input.points, compare_points);
        if (!request.step_ms)
            request.step_ms = usual_step(&input);
        if (!request.step_ms)
            status = cli_fail(&command, CLI_USAGE, "one line does not tell the step: give --step");
    }
    if (status == CLI_OK)
        status = regular(&input, request.step_ms, &values, &value_count);
    if (status == CLI_OK)
        status =
            print_forecast(&request, values, value_count, input.points[input.count - 1].time_ms);
    free(values);
    free(input.points);
    tw_buf_fini(&text);
    return status;
}
