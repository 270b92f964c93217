/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch backtest forecast`: how well a series' past would have been forecast. From origins
 * spread over the later part of the history, each time with a model that was fitted on what lay
 * before, and beside it three methods that anybody has: the last value, the value a season ago, a
 * straight line.
 *
 * Misses are scaled by the mean miss of the value a season ago within the history (MASE), so that
 * series can be compared; the pinball loss of the 5th, 25th, 50th, 75th and 95th percentile
 * likewise. The simple methods get their percentiles from their own earlier misses.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/number.h"
#include "daemon/cli_client.h"
#include "daemon/cli_series.h"
#include "forecast/model.h"

#define HORIZON_DEFAULT 60
#define ORIGINS_DEFAULT 40
#define ORIGINS_MAX 100000
#define HISTORY_MS_DEFAULT (INT64_C(14) * 86400000)
#define DAY_MS (INT64_C(24) * 3600000)
/* Values before the first origin. */
#define TRAIN_MIN 16
/* Earlier misses that a simple method's percentiles come from. */
#define MISSES_MAX 300
#define LINE_STEPS_MIN 12

static const char *horizon_text, *step_text, *server, *history_text, *origins_text, *calendar;
static bool json, quiet;

static const struct cli_option options[] = {
    {"horizon", 0, &horizon_text, NULL, "STEPS", "How far to forecast, in steps; default 60."},
    {"step", 0, &step_text, NULL, "DURATION",
     "Between values, in seconds or as 5m; default the usual distance of the input."},
    {"origins", 0, &origins_text, NULL, "COUNT", "Moments to forecast from; default 40."},
    {"calendar", 0, &calendar, NULL, "FILE", "Holidays, as of tidewatch forecast."},
    {"history", 0, &history_text, NULL, "DURATION",
     "Of an EXPRESSION: how much of the past; default 14d."},
    {"server", 's', &server, NULL, "URL", "Of an EXPRESSION: " CLI_SERVER_HELP "."},
    {"json", 0, NULL, &json, "", "The result as JSON, one line a series."},
    {"quiet", 'q', NULL, &quiet, "", "No progress on standard error."},
};

static const struct cli_command command = {
    .name = "backtest",
    .arguments = "forecast [EXPRESSION]",
    .help =
        "Says how well the series that EXPRESSION gives on a server, or that comes as CSV\n"
        "`timestamp,value` on standard input, would have been forecast: from moments of its later\n"
        "half, each time from what lay before. By lead: MASE (1 = as good as the value a season\n"
        "ago), pinball loss scaled alike, and how many values lay between the 5th and 95th\n"
        "percentile (at best 90 %); beside the last value (naive), the value a season ago\n"
        "(seasonal), and a straight line (linear).\n"
        "Exit status: 0 done, 1 too little history or no answer, 2 wrong use.",
    .options = options,
    .option_count = sizeof options / sizeof options[0]};

enum { QUANTILES = 5, GROUPS_MAX = 12 };
static const double probabilities[QUANTILES] = {0.05, 0.25, 0.5, 0.75, 0.95};

enum method { MODEL, NAIVE, SEASONAL, LINEAR, METHODS };
static const char *const method_names[METHODS] = {"tidewatch", "naive", "seasonal", "linear"};

struct score {
    double miss, loss, covered;
    size_t count;
};

struct backtest {
    const struct cli_series *series;
    const struct forecast_holidays *holidays; /* NULL: none */
    size_t horizon, origins, season;          /* season: steps */
    double scale;
    size_t group_limits[GROUPS_MAX]; /* leads up to here belong to it */
    size_t group_count;
    struct score scores[GROUPS_MAX][METHODS];
    double cpu_ms; /* of the models */
    size_t fits, failed;
};

/* ---- methods ---- */

/* The newest value at or before at; NaN when there is none. */
static double known_before(const struct cli_series *series, size_t at)
{
    for (size_t i = at + 1; i-- > 0;)
        if (isfinite(series->values[i]))
            return series->values[i];
    return NAN;
}

/* Least squares through the last values; as Prometheus's predict_linear over so many steps. */
static double line_at(const struct cli_series *series, size_t origin, size_t lead, size_t steps)
{
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (size_t i = 0; i < steps && i <= origin; i++) {
        double x = -(double)i, y = series->values[origin - i];
        if (!isfinite(y))
            continue;
        n++;
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
    }
    double spread = n * sxx - sx * sx;
    if (n < 2 || spread <= 0)
        return known_before(series, origin);
    double slope = (n * sxy - sx * sy) / spread;
    return (sy - slope * sx) / n + slope * (double)lead;
}

static double point_of(const struct backtest *test, enum method method, size_t origin, size_t lead)
{
    const struct cli_series *series = test->series;
    if (method == LINEAR)
        return line_at(series, origin, lead,
                       test->horizon > LINE_STEPS_MIN ? test->horizon : LINE_STEPS_MIN);
    if (method == SEASONAL) {
        size_t back = (lead + test->season - 1) / test->season * test->season;
        if (origin + lead >= back)
            return known_before(series, origin + lead - back);
    }
    return known_before(series, origin);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A simple method's percentiles: its point, and its own misses at that lead until then. */
static bool simple_quantiles(const struct backtest *test, enum method method, size_t origin,
                             size_t lead, double *ret)
{
    double misses[MISSES_MAX], point = point_of(test, method, origin, lead);
    size_t count = 0, room = origin > lead ? origin - lead : 0;
    size_t stride = room / MISSES_MAX + 1;
    for (size_t i = 0; i < room && count < MISSES_MAX; i += stride) {
        size_t at = origin - lead - i;
        double miss = test->series->values[at + lead] - point_of(test, method, at, lead);
        if (isfinite(miss))
            misses[count++] = miss;
    }
    if (!isfinite(point))
        return false;
    qsort(misses, count, sizeof *misses, compare_doubles);
    for (size_t q = 0; q < QUANTILES; q++) {
        size_t rank = (size_t)(probabilities[q] * (double)count);
        ret[q] = count ? point + misses[rank < count ? rank : count - 1] : point;
    }
    ret[2] = point;
    for (size_t q = 3; q < QUANTILES; q++) /* the point is not always within its misses */
        ret[q] = fmax(ret[q], point);
    ret[1] = fmin(ret[1], point);
    ret[0] = fmin(ret[0], ret[1]);
    return true;
}

/* ---- scoring ---- */

static size_t group_of(const struct backtest *test, size_t lead)
{
    size_t group = 0;
    while (group + 1 < test->group_count && lead > test->group_limits[group])
        group++;
    return group;
}

static void judge(struct backtest *test, enum method method, size_t lead, double value,
                  const double *quantiles)
{
    struct score *score = &test->scores[group_of(test, lead)][method];
    double loss = 0;
    for (size_t q = 0; q < QUANTILES; q++) {
        double off = value - quantiles[q];
        loss += off >= 0 ? off * probabilities[q] : off * (probabilities[q] - 1);
    }
    score->miss += fabs(value - quantiles[2]);
    score->loss += 2 * loss / QUANTILES;
    score->covered += value >= quantiles[0] && value <= quantiles[QUANTILES - 1];
    score->count++;
}

static void take_back(const struct backtest *test, const struct forecast_shape *shape,
                      size_t origin, double *memory)
{
    const struct cli_series *series = test->series;
    for (size_t lead = 1; lead <= test->horizon; lead++) {
        int64_t end_ms =
            series->last_ms - (int64_t)(series->count - 1 - origin - lead) * series->step_ms;
        double ratio = forecast_shape_ratio(shape, test->holidays, end_ms, series->step_ms);
        for (size_t q = 0; q < QUANTILES; q++)
            memory[(lead - 1) * QUANTILES + q] *= ratio;
    }
}

static bool judge_origin(struct backtest *test, size_t origin, double *memory)
{
    const struct cli_series *series = test->series;
    struct forecast_model *model;
    struct tw_err err;
    struct forecast_options fit = {.step_ms = series->step_ms, .horizon = test->horizon};
    double lowest = INFINITY, quantiles[QUANTILES];
    for (size_t i = 0; i <= origin; i++)
        lowest = fmin(lowest, series->values[i]);
    fit.lower_bound = lowest >= 0 ? 0 : -INFINITY;
    int64_t started_ns = tw_clock_thread_cpu_ns();
    struct forecast_shape shape;
    double *ordinary =
        test->holidays ? cli_series_ordinary(series, origin + 1, test->holidays, &shape) : NULL;
    enum tw_code code =
        forecast_model_new(ordinary ? ordinary : series->values, origin + 1, &fit, &model, &err);
    free(ordinary);
    if (code != TW_OK)
        return false;
    struct forecast_band band = {.quantiles = memory};
    bool done = forecast_model_predict(model, test->horizon, probabilities, QUANTILES, &band,
                                       &err) == TW_OK;
    test->cpu_ms += (double)(tw_clock_thread_cpu_ns() - started_ns) / 1e6;
    test->fits++;
    forecast_model_free(model);
    if (done && test->holidays)
        take_back(test, &shape, origin, memory);
    for (size_t lead = 1; done && lead <= test->horizon; lead++) {
        double value = series->values[origin + lead];
        if (!isfinite(value))
            continue;
        judge(test, MODEL, lead, value, memory + (lead - 1) * QUANTILES);
        for (enum method method = NAIVE; method < METHODS; method++)
            if (simple_quantiles(test, method, origin, lead, quantiles))
                judge(test, method, lead, value, quantiles);
    }
    return done;
}

static void show_progress(size_t done, size_t all)
{
    if (!quiet && isatty(STDERR_FILENO))
        fprintf(stderr, "\r%zu of %zu origins%s", done, all, done == all ? "\n" : "");
}

/* ---- one series ---- */

/* Leads in groups that double: 1, 2, 3-4, 5-8, ... */
static void make_groups(struct backtest *test)
{
    size_t first = 1;
    while (test->horizon > first << (GROUPS_MAX - 1))
        first *= 2;
    for (size_t limit = first; test->group_count < GROUPS_MAX; limit *= 2) {
        test->group_limits[test->group_count++] = limit < test->horizon ? limit : test->horizon;
        if (limit >= test->horizon)
            break;
    }
}

/* The season that the model finds in the first half, or a day, or none. */
static size_t find_season(const struct cli_series *series, size_t horizon)
{
    size_t periods[FORECAST_SEASONS_MAX], season = 1, half = series->count / 2;
    struct forecast_options fit = {
        .step_ms = series->step_ms, .horizon = horizon, .lower_bound = -INFINITY};
    struct forecast_model *model;
    struct tw_err err;
    if (series->step_ms < DAY_MS && (size_t)(DAY_MS / series->step_ms) * 2 <= half)
        season = (size_t)(DAY_MS / series->step_ms);
    if (forecast_model_new(series->values, half + 1, &fit, &model, &err) == TW_OK) {
        if (season == 1 && forecast_model_seasons(model, periods) > 0)
            season = periods[0];
        forecast_model_free(model);
    }
    return season;
}

static double find_scale(const struct backtest *test)
{
    double sum = 0, count = 0;
    for (size_t i = test->season; i < test->series->count; i++) {
        double off = test->series->values[i] - test->series->values[i - test->season];
        if (!isfinite(off))
            continue;
        sum += fabs(off);
        count++;
    }
    /* A constant: misses stay in the series' unit. */
    return count > 0 && sum > 0 ? sum / count : 1;
}

static int run(struct backtest *test)
{
    size_t count = test->series->count;
    size_t first = count / 2 > TRAIN_MIN ? count / 2 : TRAIN_MIN;
    if (count < first + test->horizon + 1)
        return cli_fail(&command, CLI_FAILED,
                        "%s%s%zu values are too few to forecast %zu steps from their later half; "
                        "at least %zu are needed",
                        test->series->name ? test->series->name : "",
                        test->series->name ? ": " : "", count, test->horizon,
                        2 * test->horizon + TRAIN_MIN + 2);
    size_t last = count - 1 - test->horizon, span = last - first;
    size_t origins = test->origins < span + 1 ? test->origins : span + 1;
    double *memory = calloc(test->horizon * QUANTILES, sizeof *memory);
    if (!memory)
        abort();
    make_groups(test);
    test->season = find_season(test->series, test->horizon);
    test->scale = find_scale(test);
    for (size_t i = 0; i < origins; i++) {
        size_t origin = origins > 1 ? first + span * i / (origins - 1) : last;
        test->failed += !judge_origin(test, origin, memory);
        show_progress(i + 1, origins);
    }
    test->origins = origins;
    free(memory);
    return CLI_OK;
}

/* ---- printing ---- */

static struct score total_of(const struct backtest *test, enum method method)
{
    struct score total = {0};
    for (size_t g = 0; g < test->group_count; g++) {
        total.miss += test->scores[g][method].miss;
        total.loss += test->scores[g][method].loss;
        total.covered += test->scores[g][method].covered;
        total.count += test->scores[g][method].count;
    }
    return total;
}

static struct score mean_of(const struct backtest *test, struct score sum)
{
    double count = sum.count > 0 ? (double)sum.count : 1;
    return (struct score){sum.miss / count / test->scale, sum.loss / count / test->scale,
                          sum.covered / count, sum.count};
}

static void print_row(const char *leads, const struct score *means)
{
    printf("%-10s", leads);
    for (size_t m = 0; m < METHODS; m++)
        printf("  %8.3f %8.3f %4.0f%%", means[m].miss, means[m].loss, 100 * means[m].covered);
    putchar('\n');
}

static void print_table(const struct backtest *test)
{
    struct score means[METHODS];
    char leads[48];
    if (test->series->name)
        puts(test->series->name);
    printf("%zu values, step %gs, season %zu steps, %zu origins, %zu leads, %.2f ms CPU a forecast",
           test->series->count, (double)test->series->step_ms / 1000, test->season, test->origins,
           test->horizon, test->fits ? test->cpu_ms / (double)test->fits : 0);
    if (test->failed)
        printf(", %zu FAILED", test->failed);
    printf("\n%-10s", "");
    for (size_t m = 0; m < METHODS; m++)
        printf("  %-23s", method_names[m]);
    printf("\n%-10s", "leads");
    for (size_t m = 0; m < METHODS; m++)
        printf("  %8s %8s %5s", "MASE", "pinball", "cover");
    putchar('\n');
    size_t first = 1;
    for (size_t g = 0; g < test->group_count; first = test->group_limits[g++] + 1) {
        for (size_t m = 0; m < METHODS; m++)
            means[m] = mean_of(test, test->scores[g][m]);
        if (first == test->group_limits[g])
            snprintf(leads, sizeof leads, "%zu", first);
        else
            snprintf(leads, sizeof leads, "%zu-%zu", first, test->group_limits[g]);
        print_row(leads, means);
    }
    for (size_t m = 0; m < METHODS; m++)
        means[m] = mean_of(test, total_of(test, (enum method)m));
    print_row("all", means);
}

static void write_scores(struct tw_json_writer *writer, const struct backtest *test, size_t group)
{
    for (size_t m = 0; m < METHODS; m++) {
        struct score mean =
            mean_of(test, group < test->group_count ? test->scores[group][m]
                                                    : total_of(test, (enum method)m));
        tw_json_key(writer, tw_str(method_names[m]));
        tw_json_begin_object(writer);
        tw_json_member_number(writer, "mase", mean.miss);
        tw_json_member_number(writer, "pinball", mean.loss);
        tw_json_member_number(writer, "coverage90", mean.covered);
        tw_json_member_int(writer, "count", (int64_t)mean.count);
        tw_json_end_object(writer);
    }
}

static void print_json(const struct backtest *test)
{
    struct tw_buf text;
    struct tw_json_writer writer;
    size_t first = 1;
    tw_buf_init(&text, 1 << 20);
    tw_json_writer_init(&writer, &text);
    tw_json_begin_object(&writer);
    if (test->series->name)
        tw_json_member_cstr(&writer, "series", test->series->name);
    tw_json_member_int(&writer, "values", (int64_t)test->series->count);
    tw_json_member_number(&writer, "step", (double)test->series->step_ms / 1000);
    tw_json_member_int(&writer, "season", (int64_t)test->season);
    tw_json_member_int(&writer, "origins", (int64_t)test->origins);
    tw_json_member_int(&writer, "horizon", (int64_t)test->horizon);
    tw_json_member_int(&writer, "failed", (int64_t)test->failed);
    tw_json_member_number(&writer, "cpuMilliseconds",
                          test->fits ? test->cpu_ms / (double)test->fits : 0);
    tw_json_key(&writer, TW_STR("all"));
    tw_json_begin_object(&writer);
    write_scores(&writer, test, test->group_count);
    tw_json_end_object(&writer);
    tw_json_key(&writer, TW_STR("leads"));
    tw_json_begin_array(&writer);
    for (size_t g = 0; g < test->group_count; first = test->group_limits[g++] + 1) {
        tw_json_begin_object(&writer);
        tw_json_member_int(&writer, "from", (int64_t)first);
        tw_json_member_int(&writer, "to", (int64_t)test->group_limits[g]);
        write_scores(&writer, test, g);
        tw_json_end_object(&writer);
    }
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    printf("%.*s\n", TW_STR_ARG(tw_buf_str(&text)));
    tw_buf_fini(&text);
}

/* ---- the command ---- */

static int parse_count(const char *option, const char *text, int64_t max, int64_t *ret)
{
    if (text && (!tw_int64_parse(tw_str(text), ret) || *ret < 1 || *ret > max))
        return cli_fail(&command, CLI_USAGE, "--%s '%s': give a whole number from 1 to %lld",
                        option, text, (long long)max);
    return CLI_OK;
}

int cli_backtest(int argc, char **argv)
{
    int count, status;
    int64_t horizon = HORIZON_DEFAULT, origins = ORIGINS_DEFAULT, step_ms = 0;
    int64_t history_ms = HISTORY_MS_DEFAULT;
    struct cli_series_list list = {0};
    if (argc > 1 && !strcmp(argv[1], "scaler"))
        return cli_backtest_scaler(argc - 1, argv + 1);
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (count < 1 || strcmp(argv[1], "forecast") != 0 || count > 2)
        return cli_fail(
            &command, CLI_USAGE,
            "say what to test: tidewatch backtest forecast [EXPRESSION], or scaler [NAME]");
    status = parse_count("horizon", horizon_text, FORECAST_HORIZON_MAX, &horizon);
    if (status == CLI_OK)
        status = parse_count("origins", origins_text, ORIGINS_MAX, &origins);
    if (status == CLI_OK && (!cli_series_duration(&command, "step", step_text, &step_ms) ||
                             !cli_series_duration(&command, "history", history_text, &history_ms)))
        status = CLI_USAGE;
    if (status == CLI_OK)
        status = count == 2 ? cli_series_ask(&command, server, argv[2], history_ms, step_ms, &list)
                            : cli_series_read(&command, step_ms, &list);
    struct forecast_holidays *holidays = NULL;
    if (status == CLI_OK && !cli_series_calendar(&command, calendar, &holidays))
        status = CLI_USAGE;
    for (size_t i = 0; status == CLI_OK && i < list.count; i++) {
        struct backtest test = {.series = &list.items[i],
                                .holidays = holidays,
                                .horizon = (size_t)horizon,
                                .origins = (size_t)origins};
        status = run(&test);
        if (status == CLI_OK)
            (json ? print_json : print_table)(&test);
    }
    if (fflush(stdout) != 0 && status == CLI_OK)
        status = cli_fail(&command, CLI_FAILED, "cannot write to standard output");
    cli_series_free(&list);
    forecast_holidays_unref(holidays);
    return status;
}
