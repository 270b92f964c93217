/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch autoscale --stdio`: the scaler's mind behind newline-delimited JSON, one answer a
 * line, so that it can be tried against a simulator or driven by something else than the server.
 *
 *   -> {"type":"hello","version":1,"t":T,"tick_s":15,"min":1,"max":N,"unit_rps":80,"replicas":n,
 *       "history":{"t0":T0,"step_s":60,"rps":[...]}}            <- {"ok":true}
 *   ->
 * {"type":"tick","t":T,"replicas":n,"ready":r,"metrics":{"rps":x,"cpu":c,"coverage":s,"age_s":a}}
 *                                                               <- {"desired":n,"reason":"..."}
 *   -> {"type":"bye"}                                           the program ends
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autoscaler/controller.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/number.h"
#include "daemon/cli.h"

#define LINE_BYTES_MAX (16 << 20)
#define HISTORY_VALUES_MAX 200000
#define STEP_MS 60000

static bool stdio_wanted;
static const char *quantile_text;

static const struct cli_option options[] = {
    {"stdio", 0, NULL, &stdio_wanted, "",
     "Speak newline-delimited JSON on standard input and output."},
    {"quantile", 0, &quantile_text, NULL, "Q",
     "How sure to be that the load is carried; default 0.75."},
};

static const struct cli_command command = {
    .name = "autoscale",
    .arguments = "",
    .help =
        "Decides how many replicas a load needs, ahead of it, with the same mind as the server's\n"
        "scalers: observations in, one decision a line out. See docs/scaling.md.",
    .options = options,
    .option_count = sizeof options / sizeof options[0]};

struct dialogue {
    struct scale_settings settings;
    struct scale_controller *controller; /* NULL until hello */
    double quantile;                     /* 0: the default */
};

static int64_t milliseconds(const struct tw_json *seconds, double otherwise)
{
    return (int64_t)llround(tw_json_number(seconds, otherwise) * 1000);
}

/* History comes at its own step; the model's is filled by straight lines between its points. */
static enum tw_code take_history(struct dialogue *dialogue, const struct tw_json *history,
                                 struct tw_err *err)
{
    const struct tw_json *values = tw_json_member(history, "rps");
    size_t count = tw_json_count(values);
    if (!count)
        return TW_OK;
    int64_t start = milliseconds(tw_json_member(history, "t0"), 0);
    int64_t step = milliseconds(tw_json_member(history, "step_s"), 0);
    if (step < 1000 || step > 86400000 || count > HISTORY_VALUES_MAX)
        return tw_err_set(err, TW_BAD_DATA,
                          "history needs step_s from 1 to 86400 and at most %d values",
                          HISTORY_VALUES_MAX);
    int64_t stride = step < STEP_MS ? step : STEP_MS;
    size_t points = (size_t)(((int64_t)(count - 1) * step) / stride) + 1;
    double *filled = calloc(points, sizeof *filled);
    if (!filled)
        return tw_err_set(err, TW_MEMORY, "no memory for %zu values", points);
    for (size_t i = 0; i < points; i++) {
        int64_t at = (int64_t)i * stride;
        size_t before = (size_t)(at / step), after = before + 1 < count ? before + 1 : before;
        double a = tw_json_number(tw_json_item(values, before), NAN);
        double b = tw_json_number(tw_json_item(values, after), NAN);
        double f = (double)(at % step) / (double)step;
        filled[i] = f > 0 ? a + f * (b - a) : a;
    }
    scale_controller_history(dialogue->controller, start + stride, stride, filled, points);
    free(filled);
    return TW_OK;
}

static enum tw_code take_hello(struct dialogue *dialogue, const struct tw_json *hello,
                               struct tw_err *err)
{
    struct scale_settings *settings = &dialogue->settings;
    if (dialogue->controller)
        return tw_err_set(err, TW_BAD_DATA, "hello was said already");
    if (tw_json_int(tw_json_member(hello, "version"), 1) != 1)
        return tw_err_set(err, TW_UNSUPPORTED, "this program speaks version 1 of the protocol");
    scale_settings_init(settings);
    settings->name = TW_STR("stdio");
    settings->min = tw_json_int(tw_json_member(hello, "min"), 1);
    settings->max = tw_json_int(tw_json_member(hello, "max"), 100);
    settings->tick_ms = milliseconds(tw_json_member(hello, "tick_s"), 15);
    settings->step_ms = STEP_MS;
    if (dialogue->quantile > 0)
        settings->quantile = dialogue->quantile;
    double unit = tw_json_number(tw_json_member(hello, "unit_rps"), NAN);
    if (unit > 0)
        settings->capacity = unit * settings->utilisation_max;
    if (settings->min < 0 || settings->max < 1 || settings->min > settings->max ||
        settings->max > SCALE_REPLICAS_MAX || settings->tick_ms < 1000)
        return tw_err_set(err, TW_BAD_DATA, "hello needs 0 <= min <= max <= %d and tick_s >= 1",
                          SCALE_REPLICAS_MAX);
    dialogue->controller = scale_controller_new(settings, 0);
    scale_controller_learn_apart(dialogue->controller); /* the answer goes first */
    return take_history(dialogue, tw_json_member(hello, "history"), err);
}

static void take_tick(struct dialogue *dialogue, const struct tw_json *tick, struct tw_buf *answer)
{
    const struct tw_json *metrics = tw_json_member(tick, "metrics");
    struct scale_observation observation = {
        .now_ms = milliseconds(tw_json_member(tick, "t"), 0),
        .data = SCALE_DATA_OK,
        .load = tw_json_number(tw_json_member(metrics, "rps"), NAN),
        .replicas = tw_json_int(tw_json_member(tick, "replicas"), -1),
        .ready = tw_json_int(tw_json_member(tick, "ready"), -1),
        .utilisation = tw_json_number(tw_json_member(metrics, "cpu"), NAN),
        .latency = tw_json_number(tw_json_member(metrics, "latency_p95_ms"), NAN),
        .queue = tw_json_number(tw_json_member(metrics, "queue"), NAN),
        .coverage = tw_json_number(tw_json_member(metrics, "coverage"), NAN),
    };
    int64_t age = milliseconds(tw_json_member(metrics, "age_s"), 0);
    observation.load_ms = observation.now_ms - age;
    if (isnan(observation.load))
        observation.data = SCALE_DATA_MISSING;
    else if (age > dialogue->settings.late_ms)
        observation.data = SCALE_DATA_LATE;
    struct scale_decision decision;
    scale_controller_decide(dialogue->controller, &observation, &decision);
    struct tw_json_writer writer;
    tw_json_writer_init(&writer, answer);
    tw_json_begin_object(&writer);
    tw_json_member_int(&writer, "desired", decision.to);
    tw_json_member_cstr(&writer, "reason", decision.reason);
    tw_json_member_cstr(&writer, "data", scale_data_name(decision.data));
    tw_json_end_object(&writer);
}

static void answer_error(struct tw_buf *answer, const struct tw_err *err)
{
    struct tw_json_writer writer;
    tw_json_writer_init(&writer, answer);
    tw_json_begin_object(&writer);
    tw_json_member_cstr(&writer, "error", err->message);
    tw_json_end_object(&writer);
}

/* Answers one line; false when the dialogue is over. */
static bool take_line(struct dialogue *dialogue, struct tw_str line, struct tw_buf *answer)
{
    struct tw_json *root = NULL;
    struct tw_err err = {0};
    enum tw_code code = tw_json_parse(line, &root, &err);
    struct tw_str type = tw_json_string(tw_json_member(root, "type"), (struct tw_str){0});
    bool more = true;
    if (code == TW_OK && tw_str_is(type, "bye")) {
        more = false;
    } else if (code == TW_OK && tw_str_is(type, "hello")) {
        code = take_hello(dialogue, root, &err);
        if (code == TW_OK)
            tw_buf_append_cstr(answer, "{\"ok\":true}");
    } else if (code == TW_OK && tw_str_is(type, "tick") && dialogue->controller) {
        take_tick(dialogue, root, answer);
    } else if (code == TW_OK) {
        code = tw_err_set(&err, TW_BAD_DATA,
                          tw_str_is(type, "tick") ? "a tick came before hello"
                                                  : "type has to be hello, tick or bye");
    }
    if (code != TW_OK)
        answer_error(answer, &err);
    tw_json_free(root);
    return more;
}

static int run(double quantile)
{
    struct dialogue dialogue = {.quantile = quantile};
    struct tw_buf answer;
    tw_buf_init(&answer, LINE_BYTES_MAX);
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    int status = CLI_OK;
    while ((size = getline(&line, &capacity, stdin)) > 0) {
        if (size > LINE_BYTES_MAX) {
            fprintf(stderr, "tidewatch autoscale: a line is longer than %d bytes\n",
                    LINE_BYTES_MAX);
            status = CLI_FAILED;
            break;
        }
        tw_buf_clear(&answer);
        bool more = take_line(&dialogue, tw_str_trim((struct tw_str){line, (size_t)size}), &answer);
        if (!more)
            break;
        tw_buf_append_char(&answer, '\n');
        if (fwrite(answer.data, 1, answer.size, stdout) != answer.size || fflush(stdout) != 0) {
            status = CLI_FAILED;
            break;
        }
        if (dialogue.controller)
            scale_controller_learn(dialogue.controller);
    }
    free(line);
    tw_buf_fini(&answer);
    scale_controller_free(dialogue.controller);
    return status;
}

int cli_autoscale(int argc, char **argv)
{
    int count, status;
    double quantile = 0;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (quantile_text && (!tw_double_parse(tw_str(quantile_text), &quantile) ||
                          !(quantile >= 0.5 && quantile <= 0.999)))
        return cli_fail(&command, CLI_USAGE, "--quantile '%s': give a number from 0.5 to 0.999",
                        quantile_text);
    if (count > 0 || !stdio_wanted)
        return cli_fail(&command, CLI_USAGE, "say --stdio; it takes no arguments");
    return run(quantile);
}
