/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch query`: an expression evaluated by a server, printed as promtool prints it, as CSV, or
 * as the API's JSON.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/number.h"
#include "daemon/cli_client.h"

#define ANSWER_BYTES_MAX ((size_t)1 << 30)
#define POINTS_DEFAULT 250 /* of a range without --step */

static const char *server, *time_text, *start_text, *end_text, *step_text, *output, *timeout_text;
static bool json, explain;

static const struct cli_option options[] = {
    {"server", 's', &server, NULL, "URL",
     "The server; default $TIDEWATCH_URL or " CLI_SERVER_DEFAULT "."},
    {"time", 't', &time_text, NULL, "TIME",
     "When to evaluate: Unix seconds, RFC 3339, now, or -1h. Default now."},
    {"start", 0, &start_text, NULL, "TIME", "First step of a range query."},
    {"end", 0, &end_text, NULL, "TIME", "Last step of a range query; default now."},
    {"step", 0, &step_text, NULL, "DURATION",
     "Between steps; default a 250th of the range, 1s at least."},
    {"timeout", 0, &timeout_text, NULL, "DURATION", "Longest time to wait; default 2m."},
    {"output", 'o', &output, NULL, "FORMAT",
     "table (as promtool prints), csv, or json (the API's answer)."},
    {"json", 0, NULL, &json, "", "The same as --output json."},
    {"explain", 0, NULL, &explain, "",
     "Does not run it: what it would read and hold, and what its plan shares."},
};

static const struct cli_command command = {
    .name = "query",
    .arguments = "EXPRESSION",
    .help = "Evaluates a PromQL expression now, at --time, or over --start to --end.\n"
            "Exit status: 0 answered, 1 refused or unreachable, 2 wrong use.",
    .options = options,
    .option_count = sizeof options / sizeof options[0]};

/* "now", "-1h", Unix seconds or RFC 3339. */
static bool parse_time(const char *text, int64_t *ret_ms)
{
    int64_t now_ms = tw_clock_wall_ms(tw_clock_system()), ago_ms;
    struct tw_err err;
    *ret_ms = now_ms;
    if (!strcmp(text, "now"))
        return true;
    if (tw_time_parse_parameter(tw_str(text), ret_ms, &err) == TW_OK)
        return true;
    if (text[0] != '-' || tw_duration_parse(tw_str(text + 1), &ago_ms, &err) != TW_OK)
        return false;
    *ret_ms = now_ms - ago_ms;
    return true;
}

static void append_seconds(struct tw_buf *form, const char *name, int64_t ms)
{
    char text[TW_DOUBLE_BYTES];
    size_t length = tw_double_format_fixed((double)ms / 1000, text);
    cli_append_encoded(form, name, (struct tw_str){text, length});
}

/* The form of the request, and whether it is a range. False after a mistake that has been told. */
static bool make_form(const char *expression, struct tw_buf *form, bool *ret_range)
{
    int64_t time_ms = 0, start_ms = 0, end_ms = 0, step_ms = 0;
    struct tw_err err;
    *ret_range = start_text || end_text || step_text;
    cli_append_encoded(form, "query", tw_str(expression));
    if (*ret_range && (time_text || !start_text)) {
        cli_fail(&command, CLI_USAGE, "a range query takes --start, --end and --step, not --time");
        return false;
    }
    if (!*ret_range) {
        if (!parse_time(time_text ? time_text : "now", &time_ms)) {
            cli_fail(&command, CLI_USAGE, "--time '%s' is no time", time_text);
            return false;
        }
        append_seconds(form, "time", time_ms);
        return true;
    }
    if (!parse_time(start_text, &start_ms) || !parse_time(end_text ? end_text : "now", &end_ms)) {
        cli_fail(&command, CLI_USAGE, "--start or --end is no time");
        return false;
    }
    step_ms = (end_ms - start_ms) / POINTS_DEFAULT / 1000 * 1000;
    step_ms = step_ms < 1000 ? 1000 : step_ms;
    if (step_text && tw_duration_parse_parameter(tw_str(step_text), &step_ms, &err) != TW_OK) {
        cli_fail(&command, CLI_USAGE, "--step: %s", err.message);
        return false;
    }
    append_seconds(form, "start", start_ms);
    append_seconds(form, "end", end_ms);
    append_seconds(form, "step", step_ms);
    return true;
}

/* ---- printing ---- */

static struct tw_str text_of(const struct tw_json *value)
{
    return tw_json_string(value, (struct tw_str){0});
}

static void print_quoted(struct tw_str s)
{
    putchar('"');
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == '"' || s.data[i] == '\\')
            putchar('\\');
        if (s.data[i] == '\n')
            fputs("\\n", stdout);
        else
            putchar(s.data[i]);
    }
    putchar('"');
}

static bool is_legacy_name(struct tw_str s)
{
    for (size_t i = 0; i < s.size; i++) {
        char c = s.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
              (i > 0 && c >= '0' && c <= '9')))
            return false;
    }
    return s.size > 0;
}

/* name{a="b"}, as Prometheus prints a series. */
static void print_labels(const struct tw_json *labels)
{
    struct tw_str key, name = text_of(tw_json_member(labels, "__name__"));
    const struct tw_json *value;
    bool outside = is_legacy_name(name);
    if (outside)
        printf("%.*s", TW_STR_ARG(name));
    size_t shown = 0;
    if (name.size > 0 && !outside) {
        putchar('{');
        print_quoted(name);
        shown++;
    }
    for (size_t i = 0; tw_json_member_at(labels, i, &key, &value); i++) {
        if (tw_str_is(key, "__name__"))
            continue;
        fputs(shown++ ? ", " : "{", stdout);
        if (is_legacy_name(key))
            printf("%.*s", TW_STR_ARG(key));
        else
            print_quoted(key);
        putchar('=');
        print_quoted(text_of(value));
    }
    if (shown)
        putchar('}');
    else if (name.size == 0)
        fputs("{}", stdout);
}

/* A native histogram as PromQL prints it: {count:3, sum:5, (1,2]:3}. In the arena. */
static struct tw_str histogram_text(struct tw_arena *arena, const struct tw_json *histogram)
{
    static const char *const openers[] = {"(", "[", "(", "["};
    static const char *const closers[] = {"]", ")", ")", "]"};
    const struct tw_json *buckets = tw_json_member(histogram, "buckets");
    struct tw_str text = tw_arena_format(arena, "{count:%.*s, sum:%.*s",
                                         TW_STR_ARG(text_of(tw_json_member(histogram, "count"))),
                                         TW_STR_ARG(text_of(tw_json_member(histogram, "sum"))));
    for (size_t i = 0; i < tw_json_count(buckets); i++) {
        const struct tw_json *bucket = tw_json_item(buckets, i);
        size_t rule = (size_t)tw_json_int(tw_json_item(bucket, 0), 0) & 3;
        text = tw_arena_format(arena, "%.*s, %s%.*s,%.*s%s:%.*s", TW_STR_ARG(text), openers[rule],
                               TW_STR_ARG(text_of(tw_json_item(bucket, 1))),
                               TW_STR_ARG(text_of(tw_json_item(bucket, 2))), closers[rule],
                               TW_STR_ARG(text_of(tw_json_item(bucket, 3))));
    }
    return tw_arena_format(arena, "%.*s}", TW_STR_ARG(text));
}

/* The value of a [time, "value"] pair; it may be a histogram. */
static struct tw_str value_text(struct tw_arena *arena, const struct tw_json *point)
{
    const struct tw_json *value = tw_json_item(point, 1);
    return tw_json_type(value) == TW_JSON_OBJECT ? histogram_text(arena, value) : text_of(value);
}

/* A [time, "value"] pair. */
static void print_point(const struct tw_json *point)
{
    struct tw_arena *arena = tw_arena_new(1024);
    char time[TW_DOUBLE_BYTES];
    tw_double_format_fixed(tw_json_number(tw_json_item(point, 0), 0), time);
    printf("%.*s @[%s]", TW_STR_ARG(value_text(arena, point)), time);
    tw_arena_free(arena);
}

/* Of an instant result. */
static const struct tw_json *only_point(const struct tw_json *series)
{
    const struct tw_json *point = tw_json_member(series, "value");
    return point ? point : tw_json_member(series, "histogram");
}

static void print_table(struct tw_str type, const struct tw_json *result)
{
    if (tw_str_is(type, "scalar") || tw_str_is(type, "string")) {
        printf("%.*s: ", TW_STR_ARG(type));
        print_point(result);
        putchar('\n');
        return;
    }
    for (size_t i = 0; i < tw_json_count(result); i++) {
        const struct tw_json *series = tw_json_item(result, i);
        const struct tw_json *points = tw_json_member(series, "values");
        const struct tw_json *histograms = tw_json_member(series, "histograms");
        print_labels(tw_json_member(series, "metric"));
        fputs(points || histograms ? " =>\n" : " => ", stdout);
        if (!points && !histograms) {
            print_point(only_point(series));
            putchar('\n');
        }
        for (size_t j = 0; j < tw_json_count(points) + tw_json_count(histograms); j++) {
            size_t floats = tw_json_count(points);
            print_point(j < floats ? tw_json_item(points, j)
                                   : tw_json_item(histograms, j - floats));
            putchar('\n');
        }
    }
}

static void print_csv_field(struct tw_str s)
{
    bool quote = false;
    for (size_t i = 0; i < s.size; i++)
        quote |= strchr(",\"\r\n", s.data[i]) != NULL;
    if (!quote) {
        printf("%.*s", TW_STR_ARG(s));
        return;
    }
    putchar('"');
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == '"')
            putchar('"');
        putchar(s.data[i]);
    }
    putchar('"');
}

static int compare_strings(const void *a, const void *b)
{
    return tw_str_compare(*(const struct tw_str *)a, *(const struct tw_str *)b);
}

/* Names of all labels of the result, sorted. */
static struct tw_str *label_names(struct tw_arena *arena, const struct tw_json *result,
                                  size_t *ret_count)
{
    size_t count = 0, capacity = 0;
    struct tw_str *names = NULL, key;
    const struct tw_json *value;
    for (size_t i = 0; i < tw_json_count(result); i++) {
        const struct tw_json *labels = tw_json_member(tw_json_item(result, i), "metric");
        for (size_t j = 0; tw_json_member_at(labels, j, &key, &value); j++) {
            size_t k = 0;
            while (k < count && !tw_str_equal(names[k], key))
                k++;
            if (k < count)
                continue;
            if (count == capacity) {
                size_t larger = capacity ? capacity * 2 : 16;
                names =
                    tw_arena_grow(arena, names, capacity * sizeof *names, larger * sizeof *names);
                capacity = larger;
            }
            names[count++] = key;
        }
    }
    if (count > 0)
        qsort(names, count, sizeof *names, compare_strings);
    *ret_count = count;
    return names;
}

static void print_csv_row(const struct tw_json *labels, const struct tw_str *names,
                          size_t name_count, const struct tw_json *point)
{
    char time[TW_DOUBLE_BYTES];
    tw_double_format_fixed(tw_json_number(tw_json_item(point, 0), 0), time);
    printf("%s,", time);
    struct tw_arena *arena = tw_arena_new(1024);
    print_csv_field(value_text(arena, point));
    tw_arena_free(arena);
    for (size_t i = 0; i < name_count; i++) {
        struct tw_str key;
        const struct tw_json *value;
        putchar(',');
        for (size_t j = 0; tw_json_member_at(labels, j, &key, &value); j++)
            if (tw_str_equal(key, names[i]))
                print_csv_field(text_of(value));
    }
    putchar('\n');
}

static void print_csv(struct tw_str type, const struct tw_json *result)
{
    struct tw_arena *arena = tw_arena_new(4096);
    bool single = tw_str_is(type, "scalar") || tw_str_is(type, "string");
    size_t name_count = 0;
    struct tw_str *names = single ? NULL : label_names(arena, result, &name_count);
    fputs("time,value", stdout);
    for (size_t i = 0; i < name_count; i++) {
        putchar(',');
        print_csv_field(names[i]);
    }
    putchar('\n');
    if (single)
        print_csv_row(NULL, NULL, 0, result);
    for (size_t i = 0; !single && i < tw_json_count(result); i++) {
        const struct tw_json *series = tw_json_item(result, i);
        const struct tw_json *labels = tw_json_member(series, "metric");
        const struct tw_json *points = tw_json_member(series, "values");
        const struct tw_json *histograms = tw_json_member(series, "histograms");
        if (!points && !histograms)
            print_csv_row(labels, names, name_count, only_point(series));
        for (size_t j = 0; j < tw_json_count(points); j++)
            print_csv_row(labels, names, name_count, tw_json_item(points, j));
        for (size_t j = 0; j < tw_json_count(histograms); j++)
            print_csv_row(labels, names, name_count, tw_json_item(histograms, j));
    }
    tw_arena_free(arena);
}

static void print_remarks(const struct tw_json *answer, const char *key, const char *word)
{
    const struct tw_json *list = tw_json_member(answer, key);
    for (size_t i = 0; i < tw_json_count(list); i++)
        fprintf(stderr, "%s: %.*s\n", word, TW_STR_ARG(text_of(tw_json_item(list, i))));
}

static long long whole(const struct tw_json *object, const char *key)
{
    return (long long)tw_json_number(tw_json_member(object, key), 0);
}

/* The answer of query_cost. */
static void print_plan(const struct tw_json *data)
{
    const struct tw_json *limits = tw_json_member(data, "limits");
    const struct tw_json *list = tw_json_member(data, "selectors");
    printf("%lld series, %lld of %lld samples, %lld of %lld bytes, %lld steps\n",
           whole(data, "series"), whole(data, "samples"), whole(limits, "samples"),
           whole(data, "bytes"), whole(limits, "bytes"), whole(data, "steps"));
    for (size_t i = 0; i < tw_json_count(list); i++) {
        const struct tw_json *item = tw_json_item(list, i);
        printf("reads   %.*s: %lld series, %lld samples\n",
               TW_STR_ARG(text_of(tw_json_member(item, "readAs"))), whole(item, "series"),
               whole(item, "samples"));
    }
    list = tw_json_member(data, "shared");
    for (size_t i = 0; i < tw_json_count(list); i++) {
        const struct tw_json *item = tw_json_item(list, i);
        printf("shares  %.*s: once for %lld places\n",
               TW_STR_ARG(text_of(tw_json_member(item, "expression"))), whole(item, "places"));
    }
    list = tw_json_member(data, "together");
    for (size_t i = 0; i < tw_json_count(list); i++) {
        const struct tw_json *item = tw_json_item(list, i);
        printf("finds   %.*s: once for %lld places\n",
               TW_STR_ARG(text_of(tw_json_member(item, "selector"))), whole(item, "places"));
    }
    list = tw_json_member(data, "exceeds");
    for (size_t i = 0; i < tw_json_count(list); i++)
        printf("exceeds the limit of %.*s\n", TW_STR_ARG(text_of(tw_json_item(list, i))));
}

static int print_answer(struct tw_str body, int status)
{
    struct tw_json *answer;
    struct tw_err err;
    if (tw_json_parse(body, &answer, &err) != TW_OK) {
        struct tw_str start = tw_str_trim(tw_str_slice(body, 0, 300));
        return cli_fail(&command, CLI_FAILED, "the server answered status %d and no JSON: %.*s",
                        status, TW_STR_ARG(start));
    }
    int result = CLI_OK;
    if (!tw_str_is(text_of(tw_json_member(answer, "status")), "success")) {
        result = cli_fail(&command, CLI_FAILED, "%.*s: %.*s",
                          TW_STR_ARG(text_of(tw_json_member(answer, "errorType"))),
                          TW_STR_ARG(text_of(tw_json_member(answer, "error"))));
    } else {
        const struct tw_json *data = tw_json_member(answer, "data");
        struct tw_str type = text_of(tw_json_member(data, "resultType"));
        if (!strcmp(output, "json"))
            printf("%.*s\n", TW_STR_ARG(tw_str_trim(body)));
        else if (explain)
            print_plan(data);
        else if (!strcmp(output, "csv"))
            print_csv(type, tw_json_member(data, "result"));
        else
            print_table(type, tw_json_member(data, "result"));
        print_remarks(answer, "warnings", "warning");
        print_remarks(answer, "infos", "info");
        if (fflush(stdout) != 0)
            result = cli_fail(&command, CLI_FAILED, "cannot write the result");
    }
    tw_json_free(answer);
    return result;
}

static int ask(struct tw_str form, bool range, int64_t timeout_ms)
{
    struct tw_http_pair header = {.name = TW_STR_INIT("Content-Type"),
                                  .value = TW_STR_INIT("application/x-www-form-urlencoded")};
    struct tw_buf url, answer;
    struct tw_err err;
    int status = 0, result;
    tw_buf_init(&url, 65536);
    tw_buf_init(&answer, ANSWER_BYTES_MAX);
    struct tw_str base = tw_str(server);
    while (tw_str_ends(base, TW_STR("/")))
        base.size--;
    const char *path = explain ? "query_cost" : range ? "query_range" : "query";
    tw_buf_appendf(&url, "%.*s/api/v1/%s", TW_STR_ARG(base), path);
    struct tw_http_call call = {.method = TW_HTTP_POST,
                                .url = tw_buf_cstr(&url),
                                .headers = &header,
                                .header_count = 1,
                                .body = form,
                                .timeout_ms = timeout_ms,
                                .answer_bytes_max = ANSWER_BYTES_MAX,
                                .ret_answer = &answer};
    struct tw_http_client *client = tw_http_client_new("tidewatch/" VERSION);
    if (tw_http_client_call(client, &call, &status, NULL, &err) != TW_OK)
        result = cli_fail(&command, CLI_FAILED, "%s", err.message);
    else
        result = print_answer(tw_buf_str(&answer), status);
    tw_http_client_free(client);
    tw_buf_fini(&url);
    tw_buf_fini(&answer);
    return result;
}

int cli_query(int argc, char **argv)
{
    int count, status;
    bool range;
    int64_t timeout_ms = 120000;
    struct tw_err err;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (count != 1)
        return cli_fail(&command, CLI_USAGE,
                        count ? "one expression, please; put it into quotes"
                              : "what expression? see tidewatch query --help");
    if (json)
        output = "json";
    if (!output)
        output = "table";
    if (strcmp(output, "json") != 0 && strcmp(output, "csv") != 0 && strcmp(output, "table") != 0)
        return cli_fail(&command, CLI_USAGE, "--output takes table, csv or json, not '%s'", output);
    if (timeout_text && tw_duration_parse(tw_str(timeout_text), &timeout_ms, &err) != TW_OK)
        return cli_fail(&command, CLI_USAGE, "--timeout: %s", err.message);
    server = cli_server(server);
    struct tw_buf form;
    tw_buf_init(&form, 1 << 20);
    status =
        make_form(argv[1], &form, &range) ? ask(tw_buf_str(&form), range, timeout_ms) : CLI_USAGE;
    tw_buf_fini(&form);
    return status;
}
