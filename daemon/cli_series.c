/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/cli_series.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/number.h"
#include "daemon/cli_client.h"
#include "forecast/model.h"

#define INPUT_BYTES_MAX ((size_t)256 << 20)
/* A range query gives at most so many points a series. */
#define POINTS_MAX 11000
#define STEP_MS_MIN 1000
/* The year 5138: what is above is milliseconds, most likely. */
#define SECONDS_MAX 1e11
#define SHOWN_MAX 64
/* Of a usual step, what distances may be off from it. */
#define SNAP_PARTS 50

struct point {
    int64_t time_ms;
    double value;
    size_t order; /* of the input: the later line wins */
};

struct input {
    struct point *points;
    size_t count, capacity;
};

void cli_series_free(struct cli_series_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
        free(list->items[i].values);
    }
    free(list->items);
    *list = (struct cli_series_list){0};
}

bool cli_series_duration(const struct cli_command *command, const char *option, const char *text,
                         int64_t *ret_ms)
{
    struct tw_err err;
    if (!text || (tw_duration_parse_parameter(tw_str(text), ret_ms, &err) == TW_OK && *ret_ms > 0))
        return true;
    (void)cli_fail(command, CLI_USAGE, "--%s '%s': give seconds or a duration such as 5m", option,
                   text);
    return false;
}

bool cli_series_calendar(const struct cli_command *command, const char *path,
                         struct forecast_holidays **ret)
{
    struct tw_err err;
    *ret = NULL;
    if (!path || forecast_holidays_read(path, ret, &err) == TW_OK)
        return true;
    (void)cli_fail(command, CLI_USAGE, "--calendar: %s", err.message);
    return false;
}

double *cli_series_ordinary(const struct cli_series *series, size_t count,
                            const struct forecast_holidays *holidays,
                            struct forecast_shape *ret_shape)
{
    int64_t step_ms = series->step_ms;
    int64_t last_ms = series->last_ms - (int64_t)(series->count - count) * step_ms;
    double *values = malloc((count + 1) * sizeof *values);
    if (!values)
        abort();
    forecast_shape_learn(ret_shape, holidays, series->values, count, last_ms, step_ms);
    for (size_t i = 0; i < count; i++)
        values[i] = series->values[i] /
                    forecast_shape_ratio(ret_shape, holidays,
                                         last_ms - (int64_t)(count - 1 - i) * step_ms, step_ms);
    return values;
}

/* ---- CSV ---- */

static int read_all(const struct cli_command *command, struct tw_buf *text)
{
    for (;;) {
        char *room = tw_buf_reserve(text, 1 << 16);
        if (!room)
            return cli_fail(command, CLI_FAILED, "the input is larger than %zu MiB",
                            INPUT_BYTES_MAX >> 20);
        size_t got = fread(room, 1, 1 << 16, stdin);
        text->size += got;
        if (got == 0)
            return ferror(stdin) ? cli_fail(command, CLI_FAILED, "cannot read standard input")
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

static bool parse_time(struct tw_str field, int64_t *ret_ms)
{
    char text[64];
    double seconds;
    if (tw_double_parse(field, &seconds)) {
        if (!(fabs(seconds) <= SECONDS_MAX))
            return false;
        *ret_ms = (int64_t)llround(seconds * 1000);
        return true;
    }
    snprintf(text, sizeof text, "%.*s", TW_STR_ARG(field));
    return field.size < sizeof text && tw_clock_parse_rfc3339(text, ret_ms);
}

static int parse_line(const struct cli_command *command, struct tw_str line, size_t number,
                      struct input *input)
{
    struct tw_str time_field, value_field = {0};
    int64_t time_ms;
    double value = NAN;
    tw_str_split(&line, ',', &time_field);
    tw_str_split(&line, ',', &value_field);
    time_field = tw_str_trim(time_field);
    value_field = tw_str_trim(value_field);
    if (!parse_time(time_field, &time_ms)) {
        double seconds;
        if (number == 1 && !tw_double_parse(time_field, &seconds))
            return CLI_OK; /* a heading */
        time_field.size = time_field.size < SHOWN_MAX ? time_field.size : SHOWN_MAX;
        return cli_fail(command, CLI_FAILED,
                        "line %zu: '%.*s' is no time: give Unix seconds (not milliseconds), or "
                        "2026-11-21T10:00:00Z",
                        number, TW_STR_ARG(time_field));
    }
    if (value_field.size && !tw_double_parse(value_field, &value)) {
        value_field.size = value_field.size < SHOWN_MAX ? value_field.size : SHOWN_MAX;
        return cli_fail(command, CLI_FAILED, "line %zu: '%.*s' is no number", number,
                        TW_STR_ARG(value_field));
    }
    add_point(input, time_ms, value);
    return CLI_OK;
}

static int parse_lines(const struct cli_command *command, struct tw_str text, struct input *input)
{
    struct tw_str line, mark = TW_STR("\xef\xbb\xbf"); /* what spreadsheets begin a file with */
    int status = CLI_OK;
    if (tw_str_starts(text, mark))
        text = tw_str_slice(text, mark.size, text.size);
    for (size_t number = 1; status == CLI_OK && tw_str_split(&text, '\n', &line); number++) {
        line = tw_str_trim(line);
        if (line.size)
            status = parse_line(command, line, number, input);
    }
    if (status == CLI_OK && input->count == 0)
        status = cli_fail(command, CLI_FAILED, "there is no line `timestamp,value` in the input");
    return status;
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

/* Sorts by time; of lines with the same time the last one stays. Returns how many went. */
static size_t sort_points(struct input *input)
{
    size_t kept = 0, count = input->count;
    qsort(input->points, count, sizeof *input->points, compare_points);
    for (size_t i = 0; i < count; i++)
        if (i + 1 == count || input->points[i + 1].time_ms != input->points[i].time_ms)
            input->points[kept++] = input->points[i];
    input->count = kept;
    return count - kept;
}

/* Clocks jitter: distances that are about a usual step are it. */
static int64_t snap(int64_t step_ms)
{
    static const int64_t seconds[] = {1,   5,   10,   15,   20,   30,    60,    120,   300,
                                      600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400};
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        if (llabs(step_ms - seconds[i] * 1000) <= seconds[i] * 1000 / SNAP_PARTS)
            return seconds[i] * 1000;
    return step_ms;
}

/* The median distance between neighbours; 0: there is one point. */
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
    if (distances[0] != distances[count - 1])
        step = snap(step);
    free(distances);
    return step;
}

/* Steps from a point to the last one: the nearest, as times jitter; or that in which it lies, when
 * steps are so much longer than distances that several points meet. */
static int64_t steps_back(const struct input *input, size_t at, int64_t step_ms, bool gathers)
{
    int64_t back_ms = input->points[input->count - 1].time_ms - input->points[at].time_ms;
    return (back_ms + (gathers ? 0 : step_ms / 2)) / step_ms;
}

/* Puts the points on a regular grid that ends at the last one: their mean where several meet.
 * Returns how many are from before the longest grid. */
static size_t regular(const struct input *input, int64_t step_ms, double **ret_values,
                      size_t *ret_count)
{
    bool gathers = step_ms >= 2 * usual_step(input);
    int64_t span = steps_back(input, 0, step_ms, gathers);
    size_t count = span < FORECAST_VALUES_MAX ? (size_t)span + 1 : FORECAST_VALUES_MAX;
    double *values = calloc(count, sizeof *values);
    size_t at = 0, left_out;
    if (!values)
        abort();
    for (size_t i = 0; i < count; i++)
        values[i] = NAN;
    while (steps_back(input, at, step_ms, gathers) >= (int64_t)count)
        at++;
    for (left_out = at; at < input->count;) {
        int64_t back = steps_back(input, at, step_ms, gathers);
        double sum = 0, known = 0;
        for (; at < input->count && steps_back(input, at, step_ms, gathers) == back; at++)
            if (isfinite(input->points[at].value)) {
                sum += input->points[at].value;
                known++;
            }
        if (known > 0)
            values[count - 1 - (size_t)back] = sum / known;
    }
    *ret_values = values;
    *ret_count = count;
    return left_out;
}

static struct cli_series *add_series(struct cli_series_list *list)
{
    struct cli_series *items = realloc(list->items, (list->count + 1) * sizeof *items);
    if (!items)
        abort();
    list->items = items;
    items[list->count] = (struct cli_series){0};
    return &items[list->count++];
}

static size_t fill_series(struct cli_series *series, const struct input *input, int64_t step_ms)
{
    series->step_ms = step_ms;
    series->last_ms = input->points[input->count - 1].time_ms;
    size_t left_out = regular(input, step_ms, &series->values, &series->count);
    series->lowest = INFINITY;
    for (size_t i = 0; i < series->count; i++)
        series->lowest = fmin(series->lowest, series->values[i]); /* NaN is ignored */
    return left_out;
}

int cli_series_read(const struct cli_command *command, int64_t step_ms, struct cli_series_list *ret)
{
    struct tw_buf text;
    struct input input = {0};
    *ret = (struct cli_series_list){0};
    tw_buf_init(&text, INPUT_BYTES_MAX);
    int status = read_all(command, &text);
    if (status == CLI_OK)
        status = parse_lines(command, tw_buf_str(&text), &input);
    if (status == CLI_OK) {
        size_t doubles = sort_points(&input);
        if (doubles)
            (void)cli_fail(command, CLI_OK,
                           "note: %zu lines have the time of another one; the last of each counts",
                           doubles);
        if (!step_ms)
            step_ms = usual_step(&input);
        if (!step_ms)
            status =
                cli_fail(command, CLI_USAGE, "a single time does not tell the step: give --step");
    }
    if (status == CLI_OK) {
        size_t left_out = fill_series(add_series(ret), &input, step_ms);
        if (left_out)
            (void)cli_fail(command, CLI_OK,
                           "note: %zu lines are older than the %d steps that are learned from",
                           left_out, FORECAST_VALUES_MAX);
    }
    free(input.points);
    tw_buf_fini(&text);
    return status;
}

/* ---- a server ---- */

/* cli_ask shows its answer by a function without an argument of its own. */
static struct asked {
    struct cli_series_list *list;
    struct input *all; /* not NULL: one series in parts, whose points are gathered here */
    int64_t step_ms;
    size_t series; /* the most that came at once */
} asked;

static char *name_of(const struct tw_json *metric)
{
    struct tw_buf text;
    struct tw_str key, metric_name = TW_STR("__name__");
    const struct tw_json *value;
    bool first = true;
    tw_buf_init(&text, 65536);
    tw_buf_append_str(&text, tw_json_string(tw_json_member(metric, "__name__"), TW_STR("")));
    tw_buf_append_char(&text, '{');
    for (size_t i = 0; tw_json_member_at(metric, i, &key, &value); i++) {
        if (tw_str_equal(key, metric_name))
            continue;
        struct tw_str label = tw_json_string(value, TW_STR(""));
        tw_buf_appendf(&text, "%s%.*s=\"%.*s\"", first ? "" : ", ", TW_STR_ARG(key),
                       TW_STR_ARG(label));
        first = false;
    }
    tw_buf_append_char(&text, '}');
    char *name = tw_str_dup(tw_buf_str(&text));
    tw_buf_fini(&text);
    return name;
}

static void take_series(const struct tw_json *data)
{
    const struct tw_json *result = tw_json_member(data, "result");
    for (size_t i = 0; i < tw_json_count(result) && i < CLI_SERIES_MAX; i++) {
        const struct tw_json *item = tw_json_item(result, i);
        const struct tw_json *values = tw_json_member(item, "values");
        struct input own = {0}, *input = asked.all ? asked.all : &own;
        for (size_t k = 0; k < tw_json_count(values); k++) {
            const struct tw_json *point = tw_json_item(values, k);
            double value = NAN;
            (void)tw_double_parse(tw_json_string(tw_json_item(point, 1), TW_STR("NaN")), &value);
            add_point(input, (int64_t)llround(tw_json_number(tw_json_item(point, 0), 0) * 1000),
                      value);
        }
        if (own.count > 0) {
            struct cli_series *series = add_series(asked.list);
            series->name = name_of(tw_json_member(item, "metric"));
            (void)fill_series(series, &own, asked.step_ms);
        }
        free(own.points);
    }
    asked.series = tw_json_count(result) > asked.series ? tw_json_count(result) : asked.series;
}

static int ask_part(const struct cli_command *command, const char *server, const char *expression,
                    int64_t start_ms, int64_t end_ms)
{
    struct tw_buf path, form;
    tw_buf_init(&path, 1 << 20);
    tw_buf_init(&form, 1 << 20);
    cli_append_encoded(&form, "query", tw_str(expression));
    tw_buf_appendf(&form, "&start=%.3f&end=%.3f&step=%.3f", (double)start_ms / 1000,
                   (double)end_ms / 1000, (double)asked.step_ms / 1000);
    tw_buf_appendf(&path, "/api/v1/query_range?%s", tw_buf_cstr(&form));
    int status = cli_ask(command, server, TW_HTTP_GET, tw_buf_cstr(&path), false, take_series);
    tw_buf_fini(&path);
    tw_buf_fini(&form);
    return status;
}

int cli_series_ask(const struct cli_command *command, const char *server, const char *expression,
                   int64_t history_ms, int64_t step_ms, struct cli_series_list *ret)
{
    int64_t now_ms = tw_clock_wall_ms(tw_clock_system());
    *ret = (struct cli_series_list){0};
    if (!step_ms) {
        step_ms = (history_ms / POINTS_MAX + STEP_MS_MIN) / STEP_MS_MIN * STEP_MS_MIN;
        step_ms = step_ms < 60000 ? 60000 : (step_ms + 59999) / 60000 * 60000;
    }
    if (history_ms / step_ms >= POINTS_MAX)
        return cli_fail(command, CLI_USAGE,
                        "--history holds more than %d steps: give a longer --step", POINTS_MAX);
    int64_t end_ms = tw_floor_div(now_ms, step_ms) * step_ms;
    asked = (struct asked){.list = ret, .step_ms = step_ms};
    int status = ask_part(command, server, expression, end_ms - history_ms, end_ms);
    if (status == CLI_OK && ret->count == 0)
        status = cli_fail(command, CLI_FAILED, "the expression gives no series over the history");
    return status;
}

int cli_series_ask_long(const struct cli_command *command, const char *server,
                        const char *expression, int64_t history_ms, int64_t step_ms,
                        struct cli_series_list *ret)
{
    struct input all = {0};
    int64_t end_ms = tw_floor_div(tw_clock_wall_ms(tw_clock_system()), step_ms) * step_ms;
    int64_t part_ms = (POINTS_MAX - 1) * step_ms, start_ms = end_ms - history_ms;
    int status = CLI_OK;
    *ret = (struct cli_series_list){0};
    asked = (struct asked){.list = ret, .all = &all, .step_ms = step_ms};
    for (int64_t at = start_ms; at <= end_ms && status == CLI_OK; at += part_ms + step_ms)
        status = ask_part(command, server, expression, at,
                          at + part_ms < end_ms ? at + part_ms : end_ms);
    if (status == CLI_OK && asked.series > 1)
        status = cli_fail(command, CLI_FAILED,
                          "the expression gives %zu series: put sum(...) around it", asked.series);
    if (status == CLI_OK && all.count == 0)
        status = cli_fail(command, CLI_FAILED, "the expression gives no series over the history");
    if (status == CLI_OK)
        fill_series(add_series(ret), &all, step_ms);
    free(all.points);
    return status;
}
