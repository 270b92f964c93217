/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch forecast`: series in, from CSV or a server; their forecasts out, as CSV, table, JSON
 * or a drawing. CSV needs no server.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/number.h"
#include "daemon/cli_client.h"
#include "daemon/cli_series.h"
#include "forecast/model.h"

#define HORIZON_DEFAULT 60
#define QUANTILES_DEFAULT "0.5,0.9,0.95,0.99"
#define QUANTILES_DRAWN "0.05,0.5,0.95"
#define HISTORY_MS_DEFAULT (INT64_C(7) * 86400000)
#define PLOT_COLUMNS 96
#define PLOT_ROWS 16

static const char *horizon_text, *step_text, *quantiles_text, *server, *history_text, *output,
    *calendar;
static bool json;

static const struct cli_option options[] = {
    {"horizon", 0, &horizon_text, NULL, "STEPS",
     "How far to forecast, in steps or as 4h; default 60 steps."},
    {"step", 0, &step_text, NULL, "DURATION",
     "Between values, in seconds or as 5m; default the usual distance of the input."},
    {"quantiles", 0, &quantiles_text, NULL, "LIST",
     "Probabilities, ascending; default " QUANTILES_DEFAULT " (plot: " QUANTILES_DRAWN ")."},
    {"output", 'o', &output, NULL, "FORMAT", "csv, table, json, or plot; default csv."},
    {"json", 0, NULL, &json, "", "The same as --output json."},
    {"calendar", 0, &calendar, NULL, "FILE",
     "Holidays, one a line: \"2026-12-25\", \"2026-12-24 like saturday\"."},
    {"history", 0, &history_text, NULL, "DURATION",
     "Of an EXPRESSION: how much of the past to learn from; default 7d."},
    {"server", 's', &server, NULL, "URL", "Of an EXPRESSION: " CLI_SERVER_HELP "."},
};

static const struct cli_command command = {
    .name = "forecast",
    .arguments = "[EXPRESSION]",
    .help =
        "Forecasts the series that EXPRESSION gives on a server; without one, the series that\n"
        "comes as CSV `timestamp,value` (Unix seconds or RFC 3339) on standard input. Prints "
        "`timestamp,mean,\n"
        "q50,...`, then a row `peak`: the distribution of the highest value within the horizon.\n"
        "Lines may be in any order; values that are missing, empty, NaN or infinite are holes,\n"
        "and within a --step the mean counts. A series that is never negative is not forecast to\n"
        "be.\n"
        "Exit status: 0 done, 1 nothing to forecast from or no answer, 2 wrong use.",
    .options = options,
    .option_count = sizeof options / sizeof options[0]};

enum format { FORMAT_CSV, FORMAT_TABLE, FORMAT_JSON, FORMAT_PLOT };

struct request {
    int64_t step_ms, history_ms, horizon_ms; /* step and horizon 0: not given so */
    size_t horizon, quantile_count;
    double quantiles[FORECAST_QUANTILES_MAX];
    enum format format;
    struct forecast_holidays *holidays; /* NULL: none */
};

struct outlook {
    const struct cli_series *series;
    const struct request *request;
    size_t horizon;
    struct forecast_band band;
    double *memory, peak[FORECAST_QUANTILES_MAX];
};

/* ---- options ---- */

static int parse_quantiles(struct request *request)
{
    const char *usual = request->format == FORMAT_PLOT ? QUANTILES_DRAWN : QUANTILES_DEFAULT;
    struct tw_str list = tw_str(quantiles_text ? quantiles_text : usual), part;
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

static int parse_horizon(struct request *request)
{
    int64_t horizon = HORIZON_DEFAULT;
    bool is_count = !horizon_text || tw_int64_parse(tw_str(horizon_text), &horizon);
    if (!is_count && !cli_series_duration(&command, "horizon", horizon_text, &request->horizon_ms))
        return CLI_USAGE;
    if (is_count && (horizon < 1 || horizon > FORECAST_HORIZON_MAX))
        return cli_fail(&command, CLI_USAGE,
                        "--horizon '%s': give a whole number of steps from 1 to %d, or a duration "
                        "such as 4h",
                        horizon_text, FORECAST_HORIZON_MAX);
    request->horizon = (size_t)horizon;
    return CLI_OK;
}

static int parse_request(struct request *request)
{
    static const char *const formats[] = {"csv", "table", "json", "plot"};
    const char *wanted = json ? "json" : output ? output : "csv";
    size_t format = 0;
    while (format < 4 && strcmp(formats[format], wanted) != 0)
        format++;
    if (format == 4)
        return cli_fail(&command, CLI_USAGE, "--output '%s': give csv, table, json or plot",
                        wanted);
    request->format = (enum format)format;
    request->history_ms = HISTORY_MS_DEFAULT;
    if (!cli_series_duration(&command, "step", step_text, &request->step_ms) ||
        !cli_series_duration(&command, "history", history_text, &request->history_ms))
        return CLI_USAGE;
    int status = parse_horizon(request);
    return status == CLI_OK ? parse_quantiles(request) : status;
}

/* ---- printing ---- */

static int64_t time_of(const struct outlook *outlook, size_t lead)
{
    return outlook->series->last_ms + (int64_t)lead * outlook->series->step_ms;
}

static void print_csv_row(const double *mean, const double *quantiles, size_t count)
{
    printf(",%.9g", *mean);
    for (size_t q = 0; q < count; q++)
        printf(",%.9g", quantiles[q]);
    putchar('\n');
}

static void print_csv(const struct outlook *outlook)
{
    size_t quantiles = outlook->request->quantile_count;
    printf("timestamp,mean");
    for (size_t q = 0; q < quantiles; q++)
        printf(",q%.6g", 100 * outlook->request->quantiles[q]);
    putchar('\n');
    for (size_t h = 0; h < outlook->horizon; h++) {
        int64_t ms = time_of(outlook, h + 1);
        if (ms % 1000)
            printf("%.3f", (double)ms / 1000);
        else
            printf("%lld", (long long)(ms / 1000));
        print_csv_row(&outlook->band.mean[h], outlook->band.quantiles + h * quantiles, quantiles);
    }
    printf("peak");
    print_csv_row(&outlook->band.peak_mean, outlook->peak, quantiles);
}

static void print_table(const struct outlook *outlook)
{
    size_t quantiles = outlook->request->quantile_count;
    char time[TW_CLOCK_RFC3339_BYTES];
    printf("%-20s %12s", "time", "mean");
    for (size_t q = 0; q < quantiles; q++) {
        char head[24];
        snprintf(head, sizeof head, "q%.6g", 100 * outlook->request->quantiles[q]);
        printf(" %12s", head);
    }
    putchar('\n');
    for (size_t h = 0; h <= outlook->horizon; h++) {
        bool peak = h == outlook->horizon;
        const double *row = peak ? outlook->peak : outlook->band.quantiles + h * quantiles;
        tw_clock_format_rfc3339(time_of(outlook, h + 1), time);
        time[19] = 'Z'; /* to the second */
        time[20] = 0;
        printf("%-20s %12.6g", peak ? "peak" : time,
               peak ? outlook->band.peak_mean : outlook->band.mean[h]);
        for (size_t q = 0; q < quantiles; q++)
            printf(" %12.6g", row[q]);
        putchar('\n');
    }
}

static void write_row(struct tw_json_writer *writer, const struct outlook *outlook, double mean,
                      const double *quantiles)
{
    tw_json_member_number(writer, "mean", mean);
    tw_json_key(writer, TW_STR("quantiles"));
    tw_json_begin_object(writer);
    for (size_t q = 0; q < outlook->request->quantile_count; q++) {
        char key[32];
        snprintf(key, sizeof key, "%.9g", outlook->request->quantiles[q]);
        tw_json_member_number(writer, key, quantiles[q]);
    }
    tw_json_end_object(writer);
}

/* One line a series. */
static void print_json(const struct outlook *outlook)
{
    struct tw_buf text;
    struct tw_json_writer writer;
    tw_buf_init(&text, (size_t)64 << 20);
    tw_json_writer_init(&writer, &text);
    tw_json_begin_object(&writer);
    if (outlook->series->name)
        tw_json_member_cstr(&writer, "series", outlook->series->name);
    tw_json_member_number(&writer, "step", (double)outlook->series->step_ms / 1000);
    tw_json_key(&writer, TW_STR("forecast"));
    tw_json_begin_array(&writer);
    for (size_t h = 0; h < outlook->horizon; h++) {
        tw_json_begin_object(&writer);
        tw_json_member_number(&writer, "timestamp", (double)time_of(outlook, h + 1) / 1000);
        write_row(&writer, outlook, outlook->band.mean[h],
                  outlook->band.quantiles + h * outlook->request->quantile_count);
        tw_json_end_object(&writer);
    }
    tw_json_end_array(&writer);
    tw_json_key(&writer, TW_STR("peak"));
    tw_json_begin_object(&writer);
    write_row(&writer, outlook, outlook->band.peak_mean, outlook->peak);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    printf("%.*s\n", TW_STR_ARG(tw_buf_str(&text)));
    tw_buf_fini(&text);
}

/* ---- drawing ---- */

struct plot {
    const struct outlook *outlook;
    size_t past, columns; /* values shown: so many of the past, then the horizon */
    double low, high;
};

/* The lowest and highest of what a column stands for: the past, or a quantile of the forecast. */
static bool column_of(const struct plot *plot, size_t column, size_t quantile, double *ret_low,
                      double *ret_high)
{
    const struct outlook *outlook = plot->outlook;
    size_t all = plot->past + outlook->horizon;
    size_t first = column * all / plot->columns, limit = (column + 1) * all / plot->columns;
    *ret_low = INFINITY;
    *ret_high = -INFINITY;
    for (size_t i = first; i < (limit > first ? limit : first + 1) && i < all; i++) {
        double value =
            i < plot->past
                ? outlook->series->values[outlook->series->count - plot->past + i]
                : outlook->band
                      .quantiles[(i - plot->past) * outlook->request->quantile_count + quantile];
        *ret_low = fmin(*ret_low, value);
        *ret_high = fmax(*ret_high, value);
    }
    return *ret_low <= *ret_high;
}

static size_t row_of(const struct plot *plot, double value)
{
    double share = (value - plot->low) / (plot->high - plot->low);
    return (size_t)lround(fmin(fmax(share, 0), 1) * (PLOT_ROWS - 1));
}

static void fill_column(const struct plot *plot, size_t column,
                        unsigned char canvas[PLOT_ROWS][PLOT_COLUMNS])
{
    size_t last = plot->outlook->request->quantile_count - 1;
    bool past = (column + 1) * (plot->past + plot->outlook->horizon) <= plot->past * plot->columns;
    double low, high, least, most;
    if (!column_of(plot, column, 0, &low, &high))
        return;
    if (past) {
        for (size_t row = row_of(plot, low); row <= row_of(plot, high); row++)
            canvas[row][column] = 1;
        return;
    }
    if (column_of(plot, column, last, &least, &most))
        for (size_t row = row_of(plot, low); row <= row_of(plot, most); row++)
            canvas[row][column] = 2;
    if (column_of(plot, column, last / 2, &low, &high))
        canvas[row_of(plot, (low + high) / 2)][column] = 3;
}

/* The past, and the band from the first to the last quantile with the middle one in it. */
static void print_plot(const struct outlook *outlook)
{
    static const char *const marks[] = {" ", "\xc2\xb7", "\xe2\x96\x91", "\xe2\x94\x80"};
    unsigned char canvas[PLOT_ROWS][PLOT_COLUMNS] = {{0}};
    size_t past = 2 * outlook->horizon;
    double low, high;
    past = past < outlook->series->count ? past : outlook->series->count;
    struct plot plot = {outlook, past, past + outlook->horizon, INFINITY, -INFINITY};
    plot.columns = plot.columns < PLOT_COLUMNS ? plot.columns : PLOT_COLUMNS;
    for (size_t c = 0; c < plot.columns; c++)
        for (size_t q = 0; q < outlook->request->quantile_count; q++)
            if (column_of(&plot, c, q, &low, &high)) {
                plot.low = fmin(plot.low, low);
                plot.high = fmax(plot.high, high);
            }
    if (!(plot.low < plot.high))
        plot.high = plot.low + fmax(1, fabs(plot.low));
    for (size_t c = 0; c < plot.columns; c++)
        fill_column(&plot, c, canvas);
    for (size_t row = PLOT_ROWS; row-- > 0;) {
        double value = plot.low + (plot.high - plot.low) * (double)row / (PLOT_ROWS - 1);
        printf("%11.5g |", value);
        for (size_t c = 0; c < plot.columns; c++)
            fputs(marks[canvas[row][c]], stdout);
        putchar('\n');
    }
    char from[TW_CLOCK_RFC3339_BYTES], to[TW_CLOCK_RFC3339_BYTES];
    tw_clock_format_rfc3339(
        outlook->series->last_ms - ((int64_t)past - 1) * outlook->series->step_ms, from);
    tw_clock_format_rfc3339(time_of(outlook, outlook->horizon), to);
    printf("%11s  %.16s .. %.16s UTC; band q%.6g to q%.6g\n", "", from, to,
           100 * outlook->request->quantiles[0],
           100 * outlook->request->quantiles[outlook->request->quantile_count - 1]);
}

/* ---- holidays ---- */

/* Steps of holidays, and the peak by how much the highest expected step changed. */
static void take_back(struct outlook *outlook, const struct forecast_shape *shape)
{
    size_t quantiles = outlook->request->quantile_count;
    double before = -INFINITY, after = -INFINITY;
    for (size_t h = 0; h < outlook->horizon; h++) {
        double ratio = forecast_shape_ratio(shape, outlook->request->holidays,
                                            time_of(outlook, h + 1), outlook->series->step_ms);
        before = fmax(before, outlook->band.mean[h]);
        outlook->band.mean[h] *= ratio;
        after = fmax(after, outlook->band.mean[h]);
        for (size_t q = 0; q < quantiles; q++)
            outlook->band.quantiles[h * quantiles + q] *= ratio;
    }
    if (!(before > 0) || !(after >= 0))
        return;
    outlook->band.peak_mean *= after / before;
    for (size_t q = 0; q < quantiles; q++)
        outlook->peak[q] *= after / before;
}

/* ---- forecast ---- */

static int choose_horizon(const struct request *request, int64_t step_ms, size_t *ret)
{
    *ret = request->horizon;
    if (!request->horizon_ms)
        return CLI_OK;
    int64_t steps = -tw_floor_div(-request->horizon_ms, step_ms);
    if (steps > FORECAST_HORIZON_MAX)
        return cli_fail(&command, CLI_USAGE,
                        "--horizon '%s' is %lld steps, at most %d are forecast: give a longer "
                        "--step",
                        horizon_text, (long long)steps, FORECAST_HORIZON_MAX);
    *ret = (size_t)steps;
    return CLI_OK;
}

static void print_outlook(const struct outlook *outlook)
{
    bool as_json = outlook->request->format == FORMAT_JSON;
    if (outlook->series->name && !as_json)
        printf("%s%s\n", outlook->request->format == FORMAT_CSV ? "# " : "", outlook->series->name);
    switch (outlook->request->format) {
    case FORMAT_CSV:
        print_csv(outlook);
        break;
    case FORMAT_TABLE:
        print_table(outlook);
        break;
    case FORMAT_JSON:
        print_json(outlook);
        break;
    case FORMAT_PLOT:
        print_plot(outlook);
        break;
    }
    if (outlook->series->name && !as_json)
        putchar('\n');
}

static int forecast_series(const struct request *request, const struct cli_series *series)
{
    struct outlook outlook = {.series = series, .request = request};
    struct forecast_model *model = NULL;
    struct tw_err err;
    int status = choose_horizon(request, series->step_ms, &outlook.horizon);
    if (status != CLI_OK)
        return status;
    struct forecast_options fit = {.step_ms = series->step_ms,
                                   .horizon = outlook.horizon,
                                   .lower_bound = series->lowest >= 0 ? 0 : -INFINITY};
    struct forecast_shape shape;
    double *ordinary = request->holidays
                           ? cli_series_ordinary(series, series->count, request->holidays, &shape)
                           : NULL;
    enum tw_code code =
        forecast_model_new(ordinary ? ordinary : series->values, series->count, &fit, &model, &err);
    free(ordinary);
    if (code != TW_OK)
        return cli_fail(&command, CLI_FAILED, "%s%s%s", series->name ? series->name : "",
                        series->name ? ": " : "", err.message);
    outlook.memory =
        calloc(outlook.horizon * (request->quantile_count + 1), sizeof *outlook.memory);
    if (!outlook.memory)
        abort();
    outlook.band = (struct forecast_band){.mean = outlook.memory,
                                          .quantiles = outlook.memory + outlook.horizon};
    outlook.band.peak = outlook.peak;
    if (forecast_model_predict(model, outlook.horizon, request->quantiles, request->quantile_count,
                               &outlook.band, &err) != TW_OK)
        status = cli_fail(&command, CLI_FAILED, "%s", err.message);
    if (status == CLI_OK && request->holidays)
        take_back(&outlook, &shape);
    if (status == CLI_OK)
        print_outlook(&outlook);
    free(outlook.memory);
    forecast_model_free(model);
    return status;
}

int cli_forecast(int argc, char **argv)
{
    int count, status;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (count > 1)
        return cli_fail(&command, CLI_USAGE, "takes one expression, or a series on standard input");
    struct request request = {0};
    struct cli_series_list list = {0};
    status = parse_request(&request);
    if (status == CLI_OK && !cli_series_calendar(&command, calendar, &request.holidays))
        status = CLI_USAGE;
    if (status == CLI_OK)
        status = count ? cli_series_ask(&command, server, argv[1], request.history_ms,
                                        request.step_ms, &list)
                       : cli_series_read(&command, request.step_ms, &list);
    for (size_t i = 0; status == CLI_OK && i < list.count; i++)
        status = forecast_series(&request, &list.items[i]);
    if (fflush(stdout) != 0 && status == CLI_OK)
        status = cli_fail(&command, CLI_FAILED, "cannot write to standard output");
    cli_series_free(&list);
    forecast_holidays_unref(request.holidays);
    return status;
}
