/* SPDX-License-Identifier: Apache-2.0
 *
 * script_runner: runs query scripts in the language of Prometheus's own query tests, over a store
 * in memory, and says TAP.
 *
 *   clear
 *   features all-promql
 *   load 5m
 *       requests{job="a"} 0+10x20 _ stale 3x4
 *       durations {{schema:0 sum:5 count:4 buckets:[1 2 1]}}x3       (histogram_text.h)
 *   eval instant at 50m sum(requests)
 *       {} 100
 *   eval range from 0 to 10m step 5m requests
 *       requests{job="a"} 0 10 20
 *   eval instant at 0 1 +
 *       expect fail msg: 1:4: parse error: unexpected end of input
 *
 * features: names as of --enable-feature, for the rest of the script; at its start all that change
 * no query which is valid without them.
 *
 * expect lines: fail, warn, info (each alone, with msg: text or with regex: pattern), ordered,
 * no_warn, no_info, string "text", range vector from 0 to 1m step 15s (the samples of a matrix).
 * Instant results are compared in any order unless ordered; each instant evaluation without
 * `ordered` is repeated in slices of columns of three samples.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/context.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/number.h"
#include "base/regex.h"
#include "query/engine.h"
#include "query/parser.h"
#include "tests/lib/histogram_text.h"
#include "tests/lib/memory_storage.h"

#define LINES_MAX 100000
#define EXPECTED_MAX 512
#define VALUES_MAX 2048

struct expected_series {
    struct wire_labels labels;
    double values[VALUES_MAX];
    bool present[VALUES_MAX];
    const struct query_histogram *histograms[VALUES_MAX]; /* NULL: a number */
    size_t count;
};

/* One eval with what it expects. */
struct evaluation {
    bool range, fail, ordered, is_scalar, has_string;
    int64_t start_ms, end_ms, step_ms;
    struct tw_str text, message, pattern, string;
    const char *wants_warning, *wants_info;      /* "yes", "no" or NULL */
    struct tw_str warning, info;                 /* the only one that is wanted; empty: any */
    struct tw_str warning_pattern, info_pattern; /* what one of them matches; empty: any */
    int64_t points_ms, points_step_ms;           /* when the expected points are */
    double scalar;
    struct expected_series *series;
    size_t count;
};

struct script {
    const char *path;
    struct tw_str lines[LINES_MAX];
    size_t line_count, at;
    struct tsdb_storage *storage;
    struct query_engine *engine;
    struct tw_arena *arena;
    struct tw_context context;
    size_t cases, failures;
};

static _Noreturn void die(const struct script *script, size_t line, const char *what)
{
    printf("Bail out! %s:%zu: %s\n", script->path, line + 1, what);
    exit(1);
}

/* ---- words and values ---- */
static struct tw_str next_word(struct tw_str *rest)
{
    size_t at = 0;
    *rest = tw_str_trim(*rest);
    while (at < rest->size && rest->data[at] != ' ' && rest->data[at] != '\t')
        at++;
    struct tw_str word = {rest->data, at};
    *rest = tw_str_trim((struct tw_str){rest->data + at, rest->size - at});
    return word;
}

static int64_t parse_time(const struct script *script, struct tw_str word)
{
    int64_t ms;
    struct tw_err err;
    bool negative = word.size > 0 && word.data[0] == '-';
    struct tw_str digits = {word.data + negative, word.size - negative};
    double seconds;
    if (tw_duration_parse(digits, &ms, &err) != TW_OK) {
        if (!tw_double_parse(digits, &seconds))
            die(script, script->at, "not a time");
        ms = (int64_t)(seconds * 1000);
    }
    return negative ? -ms : ms;
}

/* One item of a value list; appends to values. */
static void parse_item(const struct script *script, struct tw_str word, double *values,
                       bool *present, size_t *count)
{
    size_t times_at = SIZE_MAX, repeat = 0;
    double start = 0, delta = 0;
    for (size_t i = 1; i < word.size; i++)
        if (word.data[i] == 'x')
            times_at = i;
    uint64_t times = 0;
    if (times_at != SIZE_MAX &&
        tw_uint64_parse(tw_str_slice(word, times_at + 1, word.size), &times))
        word = tw_str_slice(word, 0, times_at);
    repeat = times;
    bool missing = tw_str_is(word, "_"), stale = tw_str_is(word, "stale");
    bool progression = false;
    if (!missing && !stale && !tw_double_parse(word, &start)) {
        size_t sign = 1;
        while (sign < word.size && !((word.data[sign] == '+' || word.data[sign] == '-') &&
                                     word.data[sign - 1] != 'e' && word.data[sign - 1] != 'E'))
            sign++;
        if (sign >= word.size || !tw_double_parse(tw_str_slice(word, 0, sign), &start) ||
            !tw_double_parse(tw_str_slice(word, sign, word.size), &delta))
            die(script, script->at, "not a value");
        progression = true;
    }
    size_t total = missing ? (repeat ? repeat : 1) : repeat + 1;
    (void)progression;
    for (size_t i = 0; i < total; i++) {
        if (*count >= VALUES_MAX)
            die(script, script->at, "too many values");
        values[*count] = stale ? tw_double_from_bits(TW_STALE_BITS) : start + delta * (double)i;
        present[(*count)++] = !missing;
    }
}

/* A list of numbers and histograms. */
static void parse_values(const struct script *script, struct tw_str line,
                         struct expected_series *ret)
{
    ret->count = 0;
    while (line.size > 0) {
        const struct query_histogram **histograms;
        size_t count, before = ret->count;
        if (!tw_str_starts(line, TW_STR("{{"))) {
            parse_item(script, next_word(&line), ret->values, ret->present, &ret->count);
            for (size_t i = before; i < ret->count; i++)
                ret->histograms[i] = NULL;
            continue;
        }
        if (!histogram_text_take(script->arena, &line, &histograms, &count))
            die(script, script->at, "not a histogram");
        for (size_t i = 0; i < count; i++) {
            if (ret->count >= VALUES_MAX)
                die(script, script->at, "too many values");
            ret->present[ret->count] = true;
            ret->histograms[ret->count++] = histograms[i];
        }
    }
}

/* name{a="b"} at the start of text, as a label set; the rest follows. */
static struct wire_labels parse_metric(struct script *script, struct tw_str *text)
{
    size_t at = 0;
    char quote = 0;
    bool braces = false;
    for (; at < text->size; at++) {
        char c = text->data[at];
        if (quote) {
            if (c == '\\')
                at++;
            else if (c == quote)
                quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '{') {
            braces = true;
        } else if (c == '}') {
            braces = false;
        } else if ((c == ' ' || c == '\t') && !braces) {
            break;
        }
    }
    struct tw_str head = {text->data, at};
    *text = tw_str_trim((struct tw_str){text->data + at, text->size - at});
    if (tw_str_is(head, "{}"))
        return (struct wire_labels){0};
    struct tsdb_matcher *matchers;
    size_t count;
    struct tw_err err;
    /* A label set reads like a selector of equality matchers; one that may match nothing gets help.
     */
    if (query_parse_selector(head, script->arena, &matchers, &count, &err))
        die(script, script->at, err.message);
    struct wire_label *items = TW_ARENA_ARRAY(script->arena, struct wire_label, count);
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct wire_label){matchers[i].name, matchers[i].value};
        tsdb_matcher_fini(&matchers[i]);
    }
    if (wire_labels_canonical(items, &count, &err))
        die(script, script->at, err.message);
    return (struct wire_labels){items, count};
}

/* ---- load ---- */
static bool is_indented(struct tw_str line)
{
    return line.size > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
}

static bool is_blank(struct tw_str line)
{
    struct tw_str text = tw_str_trim(line);
    return text.size == 0 || text.data[0] == '#';
}

static void store_value(struct script *script, struct wire_labels labels, int64_t time_ms,
                        const struct expected_series *list, size_t i)
{
    struct tw_err err;
    enum tw_code code;
    if (list->histograms[i]) {
        const struct tsdb_histogram_sample sample = {
            labels, query_histogram_to_wire(script->arena, list->histograms[i], time_ms)};
        code = tsdb_append_histograms(script->storage, &script->context, &sample, 1, &err);
    } else {
        const struct tsdb_sample sample = {labels, time_ms, list->values[i]};
        code = tsdb_append(script->storage, &script->context, &sample, 1, &err);
    }
    if (code)
        die(script, script->at, err.message);
}

static void run_load(struct script *script, struct tw_str rest)
{
    static struct expected_series list;
    int64_t step_ms = parse_time(script, next_word(&rest));
    for (script->at++; script->at < script->line_count && is_indented(script->lines[script->at]);
         script->at++) {
        struct tw_str line = tw_str_trim(script->lines[script->at]);
        if (is_blank(line))
            continue;
        struct wire_labels labels = parse_metric(script, &line);
        parse_values(script, line, &list);
        for (size_t i = 0; i < list.count; i++)
            if (list.present[i])
                store_value(script, labels, (int64_t)i * step_ms, &list, i);
    }
}

/* ---- expectations ---- */
/* from 0 to 1m step 15s */
static void parse_steps(const struct script *script, struct tw_str *rest, int64_t *ret_start_ms,
                        int64_t *ret_end_ms, int64_t *ret_step_ms)
{
    (void)next_word(rest); /* from */
    *ret_start_ms = parse_time(script, next_word(rest));
    (void)next_word(rest);
    *ret_end_ms = parse_time(script, next_word(rest));
    (void)next_word(rest);
    *ret_step_ms = parse_time(script, next_word(rest));
}

static void parse_expect(struct script *script, struct evaluation *evaluation, struct tw_str rest)
{
    struct tw_str what = next_word(&rest), kind = {0};
    int64_t end_ms; /* as many points as there are */
    struct tw_str detail = rest;
    if (detail.size > 0)
        kind = next_word(&detail);
    if (tw_str_is(what, "fail")) {
        evaluation->fail = true;
        if (tw_str_is(kind, "msg:"))
            evaluation->message = detail;
        else if (tw_str_is(kind, "regex:"))
            evaluation->pattern = detail;
    } else if (tw_str_is(what, "ordered")) {
        evaluation->ordered = true;
    } else if (tw_str_is(what, "warn")) {
        evaluation->wants_warning = "yes";
        if (tw_str_is(kind, "msg:"))
            evaluation->warning = detail;
        else if (tw_str_is(kind, "regex:"))
            evaluation->warning_pattern = detail;
    } else if (tw_str_is(what, "info")) {
        evaluation->wants_info = "yes";
        if (tw_str_is(kind, "msg:"))
            evaluation->info = detail;
        else if (tw_str_is(kind, "regex:"))
            evaluation->info_pattern = detail;
    } else if (tw_str_is(what, "no_warn")) {
        evaluation->wants_warning = "no";
    } else if (tw_str_is(what, "no_info")) {
        evaluation->wants_info = "no";
    } else if (tw_str_is(what, "range") && tw_str_is(kind, "vector")) {
        parse_steps(script, &detail, &evaluation->points_ms, &end_ms, &evaluation->points_step_ms);
    } else if (tw_str_is(what, "string")) {
        evaluation->has_string = true;
        evaluation->string = tw_str_slice(rest, 1, rest.size - 1);
    } else {
        die(script, script->at, "unknown expectation");
    }
}

static void parse_expected(struct script *script, struct evaluation *evaluation)
{
    evaluation->series = TW_ARENA_ARRAY(script->arena, struct expected_series, EXPECTED_MAX);
    for (script->at++; script->at < script->line_count && is_indented(script->lines[script->at]);
         script->at++) {
        struct tw_str line = tw_str_trim(script->lines[script->at]);
        if (is_blank(line))
            continue;
        if (tw_str_starts(line, TW_STR("expect "))) {
            line = tw_str_slice(line, 7, line.size);
            parse_expect(script, evaluation, line);
            continue;
        }
        if (tw_double_parse(line, &evaluation->scalar)) {
            evaluation->is_scalar = true;
            continue;
        }
        if (evaluation->count == EXPECTED_MAX)
            die(script, script->at, "too many expected series");
        struct expected_series *series = &evaluation->series[evaluation->count++];
        series->labels = parse_metric(script, &line);
        parse_values(script, line, series);
    }
}

/* ---- comparing ---- */
static bool same_value(double a, double b)
{
    if ((isnan(a) && isnan(b)) || a == b)
        return true;
    return fabs(a - b) <= 1e-6 * (fabs(a) + fabs(b));
}

static bool same_points(const struct evaluation *evaluation, const struct expected_series *wanted,
                        const struct query_series *got)
{
    size_t at = 0, native = 0;
    for (size_t i = 0; i < wanted->count; i++) {
        if (!wanted->present[i])
            continue;
        int64_t time_ms = evaluation->points_ms + (int64_t)i * evaluation->points_step_ms;
        if (wanted->histograms[i]) {
            if (native == got->histogram_count || got->histograms[native].time_ms != time_ms ||
                !histogram_text_same(got->histograms[native].histogram, wanted->histograms[i]))
                return false;
            native++;
            continue;
        }
        if (at == got->count || got->points[at].time_ms != time_ms ||
            !same_value(got->points[at].value, wanted->values[i]))
            return false;
        at++;
    }
    return at == got->count && native == got->histogram_count;
}

/* True without a pattern, false for one that is none. */
static bool any_matches(struct tw_str pattern, const struct tw_str *texts, size_t count)
{
    struct tw_regex *regex;
    struct tw_err ignored;
    bool found = pattern.size == 0;
    if (found || tw_regex_new(pattern, false, &regex, &ignored) != TW_OK)
        return found;
    for (size_t i = 0; i < count && !found; i++)
        found = tw_regex_match(regex, texts[i]);
    tw_regex_free(regex);
    return found;
}

static const char *compare(const struct evaluation *evaluation, const struct query_result *result)
{
    if (evaluation->wants_warning &&
        (result->warning_count > 0) != (evaluation->wants_warning[0] == 'y'))
        return "warnings differ";
    if (evaluation->wants_info && (result->info_count > 0) != (evaluation->wants_info[0] == 'y'))
        return "infos differ";
    if (evaluation->warning.size &&
        (result->warning_count != 1 || !tw_str_equal(result->warnings[0], evaluation->warning)))
        return "another warning";
    if (evaluation->info.size &&
        (result->info_count != 1 || !tw_str_equal(result->infos[0], evaluation->info)))
        return "another info";
    if (!any_matches(evaluation->warning_pattern, result->warnings, result->warning_count))
        return "no such warning";
    if (!any_matches(evaluation->info_pattern, result->infos, result->info_count))
        return "no such info";
    if (evaluation->has_string)
        return tw_str_equal(result->string, evaluation->string) ? NULL : "another string";
    if (evaluation->is_scalar && !evaluation->range)
        return result->type == QUERY_SCALAR &&
                       same_value(result->series[0].points[0].value, evaluation->scalar)
                   ? NULL
                   : "another scalar";
    if (result->count != evaluation->count)
        return "another number of series";
    for (size_t i = 0; i < evaluation->count; i++) {
        const struct query_series *found = NULL;
        for (size_t k = 0; k < result->count && !found; k++)
            if (wire_labels_equal(result->series[k].labels, evaluation->series[i].labels))
                found = &result->series[k];
        if (!found)
            return "a series is missing";
        if (evaluation->ordered && found != &result->series[i])
            return "another order";
        if (!same_points(evaluation, &evaluation->series[i], found))
            return "other values";
    }
    return NULL;
}

static void print_result(const struct query_result *result)
{
    for (size_t i = 0; i < result->count && i < 20; i++) {
        struct tw_buf text;
        tw_buf_init(&text, 1 << 16);
        wire_labels_format(result->series[i].labels, &text);
        for (size_t k = 0; k < result->series[i].count && k < 20; k++)
            tw_buf_appendf(&text, " %.17g@%lld", result->series[i].points[k].value,
                           (long long)result->series[i].points[k].time_ms);
        for (size_t k = 0; k < result->series[i].histogram_count && k < 20; k++) {
            tw_buf_append_char(&text, ' ');
            query_histogram_print(result->series[i].histograms[k].histogram, &text);
        }
        printf("#   got %s\n", tw_buf_cstr(&text));
        tw_buf_fini(&text);
    }
    for (size_t i = 0; i < result->warning_count; i++)
        printf("#   warning %.*s\n", TW_STR_ARG(result->warnings[i]));
    for (size_t i = 0; i < result->info_count; i++)
        printf("#   info %.*s\n", TW_STR_ARG(result->infos[i]));
}

static const char *check_failure(const struct evaluation *evaluation, const struct tw_err *err)
{
    struct tw_str message = tw_str(err->message);
    if (evaluation->message.size && !tw_str_equal(message, evaluation->message))
        return "another message";
    if (evaluation->pattern.size) {
        struct tw_regex *regex;
        struct tw_err bad;
        if (tw_regex_new(evaluation->pattern, false, &regex, &bad))
            return bad.message[0] ? "the expected pattern is none" : NULL;
        bool matches = tw_regex_match(regex, message);
        tw_regex_free(regex);
        return matches ? NULL : "the message does not match";
    }
    return NULL;
}

static const char *evaluate(struct script *script, const struct evaluation *evaluation,
                            bool verbose)
{
    struct query_result *result;
    struct tw_err err = {0};
    enum tw_code code =
        evaluation->range
            ? query_range(script->engine, &script->context, evaluation->text, evaluation->start_ms,
                          evaluation->end_ms, evaluation->step_ms, &result, &err)
            : query_instant(script->engine, &script->context, evaluation->text,
                            evaluation->start_ms, &result, &err);
    if (code) {
        const char *problem = evaluation->fail ? check_failure(evaluation, &err) : "it fails";
        if (problem && verbose)
            printf("#   error: %s\n", err.message);
        return problem;
    }
    const char *problem = evaluation->fail ? "it does not fail" : compare(evaluation, result);
    if (problem && verbose)
        print_result(result);
    query_result_free(result);
    return problem;
}

static void run_eval(struct script *script, struct tw_str rest, bool fails, bool ordered)
{
    struct evaluation evaluation = {.fail = fails, .ordered = ordered, .step_ms = 1};
    size_t line = script->at;
    struct tw_str kind = next_word(&rest);
    evaluation.range = tw_str_is(kind, "range");
    if (evaluation.range) {
        parse_steps(script, &rest, &evaluation.start_ms, &evaluation.end_ms, &evaluation.step_ms);
    } else {
        (void)next_word(&rest); /* at */
        evaluation.start_ms = evaluation.end_ms = parse_time(script, next_word(&rest));
    }
    evaluation.points_ms = evaluation.start_ms;
    evaluation.points_step_ms = evaluation.step_ms;
    evaluation.text = rest;
    parse_expected(script, &evaluation);
    memory_storage_set_column_max(script->storage, 0);
    const char *problem = evaluate(script, &evaluation, true);
    memory_storage_set_column_max(script->storage, 3);
    if (!problem)
        problem = evaluate(script, &evaluation, true);
    script->cases++;
    script->failures += problem != NULL;
    printf("%s %zu - %s:%zu %.*s%s%s\n", problem ? "not ok" : "ok", script->cases, script->path,
           line + 1, TW_STR_ARG(rest), problem ? ": " : "", problem ? problem : "");
}

static void set_features(struct script *script, unsigned features)
{
    const struct query_options options = {.features = features};
    query_engine_free(script->engine);
    script->engine = query_engine_new(script->storage, &options);
}

static void run_script(struct script *script)
{
    set_features(script, QUERY_FEATURES_SYNTAX);
    while (script->at < script->line_count) {
        struct tw_str rest = script->lines[script->at];
        if (is_blank(rest)) {
            script->at++;
            continue;
        }
        struct tw_str command = next_word(&rest);
        if (tw_str_is(command, "clear")) {
            memory_storage_clear(script->storage);
            script->at++;
        } else if (tw_str_is(command, "features")) {
            set_features(script, query_features_parse(next_word(&rest)));
            script->at++;
        } else if (tw_str_is(command, "load")) {
            run_load(script, rest);
        } else if (tw_str_is(command, "eval")) {
            run_eval(script, rest, false, false);
        } else if (tw_str_is(command, "eval_fail")) {
            run_eval(script, rest, true, false);
        } else if (tw_str_is(command, "eval_ordered")) {
            run_eval(script, rest, false, true);
        } else {
            die(script, script->at, "unknown command");
        }
    }
}

int main(int argc, char **argv)
{
    static struct script script;
    script.storage = memory_storage_new();
    script.arena = tw_arena_new(1 << 16);
    tw_context_init(&script.context, tw_clock_system());
    for (int i = 1; i < argc; i++) {
        struct tw_buf text;
        struct tw_err err;
        struct tw_str rest, line;
        tw_buf_init(&text, 16 << 20);
        script.path = strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i];
        script.line_count = script.at = 0;
        if (tw_file_read(argv[i], &text, &err))
            die(&script, 0, err.message);
        rest = tw_buf_str(&text);
        while (tw_str_split(&rest, '\n', &line)) {
            TW_ASSERT(script.line_count < LINES_MAX);
            script.lines[script.line_count++] = line;
        }
        memory_storage_clear(script.storage);
        run_script(&script);
        tw_arena_reset(script.arena);
        tw_buf_fini(&text);
    }
    printf("1..%zu\n", script.cases);
    query_engine_free(script.engine);
    memory_storage_free(script.storage);
    tw_arena_free(script.arena);
    return script.failures ? 1 : 0;
}
