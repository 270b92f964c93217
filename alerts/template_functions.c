/* SPDX-License-Identifier: Apache-2.0
 *
 * template_functions: what Prometheus adds to Go's templates. Each prints as Prometheus 3 does; the
 * tests hold a table of templates with the answers of a real one.
 */
#include "config.h"

#include "alerts/template_tree.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alerts/letter.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/regex.h"
#include "base/utf8.h"

#define NS_PER_S 1e9
#define NS_PER_MS INT64_C(1000000)

static enum tw_code give_text(const struct alert_call *call, const char *text,
                              struct alert_value *ret)
{
    *ret = alert_value_string(tw_arena_str(call->arena, tw_str(text)));
    return TW_OK;
}

#define CALL_BODY(name)                                                                            \
    static enum tw_code call_##name(const struct alert_call *call, struct alert_value *ret,        \
                                    struct tw_err *err)

/* ---- vectors ---- */

static enum tw_code argument_samples(const struct alert_call *call, size_t i,
                                     struct alert_value *ret, struct tw_err *err)
{
    if (call->arguments[i].kind != ALERT_VALUE_SAMPLES)
        return tw_err_set(err, TW_EXECUTION, "expected []sample; got %s",
                          alert_value_type(&call->arguments[i]));
    *ret = call->arguments[i];
    return TW_OK;
}

static enum tw_code argument_sample(const struct alert_call *call, size_t i,
                                    const struct alert_sample **ret, struct tw_err *err)
{
    if (call->arguments[i].kind != ALERT_VALUE_SAMPLE)
        return tw_err_set(err, TW_EXECUTION, "expected sample; got %s",
                          alert_value_type(&call->arguments[i]));
    *ret = call->arguments[i].sample;
    return TW_OK;
}

CALL_BODY(query)
{
    struct tw_str text;
    enum tw_code code = alert_call_string(call, 0, &text, err);
    if (code != TW_OK)
        return code;
    if (call->data->query == NULL)
        return tw_err_set(err, TW_UNAVAILABLE, "there is nothing to query here");
    struct alert_value value = {.kind = ALERT_VALUE_SAMPLES};
    code = call->data->query(call->data->query_user, text, call->arena, &value.samples.items,
                             &value.samples.count, err);
    if (code == TW_OK)
        *ret = value;
    return code;
}

CALL_BODY(first)
{
    struct alert_value vector = {.kind = ALERT_VALUE_SAMPLES};
    enum tw_code code = argument_samples(call, 0, &vector, err);
    if (code != TW_OK)
        return code;
    if (vector.samples.count == 0)
        return tw_err_set(err, TW_EXECUTION, "first() called on vector with no elements");
    *ret = (struct alert_value){.kind = ALERT_VALUE_SAMPLE, .sample = vector.samples.items};
    return TW_OK;
}

CALL_BODY(label)
{
    struct tw_str name;
    const struct alert_sample *sample = NULL;
    enum tw_code code = alert_call_string(call, 0, &name, err);
    if (code == TW_OK)
        code = argument_sample(call, 1, &sample, err);
    if (code == TW_OK)
        *ret = alert_value_string(wire_labels_get(sample->labels, name));
    return code;
}

CALL_BODY(value)
{
    const struct alert_sample *sample = NULL;
    enum tw_code code = argument_sample(call, 0, &sample, err);
    if (code == TW_OK)
        *ret = alert_value_float(sample->value);
    return code;
}

/* The text of a vector made by label_replace(..., "__value__", ...). */
CALL_BODY(strvalue)
{
    const struct alert_sample *sample = NULL;
    enum tw_code code = argument_sample(call, 0, &sample, err);
    if (code == TW_OK)
        *ret = alert_value_string(wire_labels_get(sample->labels, TW_STR("__value__")));
    return code;
}

struct sort_item {
    struct tw_str key;
    struct alert_sample sample;
    size_t index; /* keeps the sort stable */
};

static int compare_items(const void *a, const void *b)
{
    const struct sort_item *left = a, *right = b;
    int order = tw_str_compare(left->key, right->key);
    return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
}

CALL_BODY(sort_by_label)
{
    struct tw_str name;
    struct alert_value vector = {.kind = ALERT_VALUE_SAMPLES};
    enum tw_code code = alert_call_string(call, 0, &name, err);
    if (code == TW_OK)
        code = argument_samples(call, 1, &vector, err);
    if (code != TW_OK)
        return code;
    size_t count = vector.samples.count;
    struct sort_item *items = TW_ARENA_ARRAY(call->arena, struct sort_item, count + 1);
    struct alert_sample *sorted = TW_ARENA_ARRAY(call->arena, struct alert_sample, count + 1);
    for (size_t i = 0; i < count; i++)
        items[i] = (struct sort_item){wire_labels_get(vector.samples.items[i].labels, name),
                                      vector.samples.items[i], i};
    qsort(items, count, sizeof *items, compare_items);
    for (size_t i = 0; i < count; i++)
        sorted[i] = items[i].sample;
    vector.samples.items = sorted;
    *ret = vector;
    return TW_OK;
}

CALL_BODY(args)
{
    (void)err;
    *ret = (struct alert_value){.kind = ALERT_VALUE_ARGS, .args = {call->arguments, call->count}};
    return TW_OK;
}

/* ---- numbers ---- */

/* Go's "%.4g" and a unit. */
static enum tw_code give_4g(const struct alert_call *call, double number, const char *prefix,
                            const char *unit, struct alert_value *ret)
{
    struct tw_buf text;
    tw_buf_init(&text, 64);
    alert_float_format(number, 'g', 4, &text);
    *ret = alert_value_string(
        tw_arena_format(call->arena, "%s%s%s", tw_buf_cstr(&text), prefix, unit));
    tw_buf_fini(&text);
    return TW_OK;
}

static const char *const small_prefixes[] = {"m", "u", "n", "p", "f", "a", "z", "y", NULL};

/* Scales |number| < 1 up to 1 or more. */
static const char *scale_up(double *number)
{
    const char *prefix = "";
    for (size_t i = 0; small_prefixes[i] != NULL && fabs(*number) < 1; i++) {
        prefix = small_prefixes[i];
        *number *= 1000;
    }
    return prefix;
}

static const char *scale_down(double *number, double base, const char *const *prefixes)
{
    const char *prefix = "";
    for (size_t i = 0; prefixes[i] != NULL && fabs(*number) >= base; i++) {
        prefix = prefixes[i];
        *number /= base;
    }
    return prefix;
}

CALL_BODY(humanize)
{
    static const char *const prefixes[] = {"k", "M", "G", "T", "P", "E", "Z", "Y", NULL};
    double number = 0;
    enum tw_code code = alert_call_number(call, 0, &number, err);
    if (code != TW_OK)
        return code;
    const char *prefix = "";
    if (number != 0 && isfinite(number))
        prefix = fabs(number) >= 1 ? scale_down(&number, 1000, prefixes) : scale_up(&number);
    return give_4g(call, number, prefix, "", ret);
}

CALL_BODY(humanize1024)
{
    static const char *const prefixes[] = {"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi", NULL};
    double number = 0;
    enum tw_code code = alert_call_number(call, 0, &number, err);
    if (code != TW_OK)
        return code;
    const char *prefix = "";
    if (fabs(number) > 1 && isfinite(number))
        prefix = scale_down(&number, 1024, prefixes);
    return give_4g(call, number, prefix, "", ret);
}

CALL_BODY(humanize_duration)
{
    double number = 0;
    enum tw_code code = alert_call_number(call, 0, &number, err);
    if (code != TW_OK)
        return code;
    if (!isfinite(number))
        return give_4g(call, number, "", "", ret);
    if (number == 0)
        return give_4g(call, number, "", "s", ret);
    if (fabs(number) < 1) {
        const char *prefix = scale_up(&number);
        return give_4g(call, number, prefix, "s", ret);
    }
    const char *sign = number < 0 ? "-" : "";
    double whole = fmin(fabs(number), 9.2e18);
    uint64_t total = (uint64_t)whole;
    unsigned long long seconds = total % 60, minutes = total / 60 % 60, hours = total / 3600 % 24,
                       days = total / 86400;
    char text[96];
    if (days != 0)
        snprintf(text, sizeof text, "%s%llud %lluh %llum %llus", sign, days, hours, minutes,
                 seconds);
    else if (hours != 0)
        snprintf(text, sizeof text, "%s%lluh %llum %llus", sign, hours, minutes, seconds);
    else if (minutes != 0)
        snprintf(text, sizeof text, "%s%llum %llus", sign, minutes, seconds);
    else
        return give_4g(call, number, "", "s", ret);
    return give_text(call, text, ret);
}

CALL_BODY(humanize_percentage)
{
    double number = 0;
    enum tw_code code = alert_call_number(call, 0, &number, err);
    return code == TW_OK ? give_4g(call, number * 100, "%", "", ret) : code;
}

/* Seconds to nanoseconds, whole milliseconds as Prometheus's times are. */
static enum tw_code to_time(double seconds, int64_t *ret_ns, struct tw_err *err)
{
    double ns = seconds * NS_PER_S;
    if (!(ns >= -9223372036854775808.0 && ns < 9223372036854775808.0)) {
        struct tw_buf text;
        tw_buf_init(&text, 64);
        alert_float_format(seconds, 'g', -1, &text);
        tw_err_set(err, TW_EXECUTION,
                   "%s cannot be represented as a nanoseconds timestamp since it overflows int64",
                   tw_buf_cstr(&text));
        tw_buf_fini(&text);
        return TW_EXECUTION;
    }
    *ret_ns = (int64_t)ns / NS_PER_MS * NS_PER_MS;
    return TW_OK;
}

CALL_BODY(humanize_timestamp)
{
    double seconds = 0;
    int64_t ns = 0;
    enum tw_code code = alert_call_number(call, 0, &seconds, err);
    if (code != TW_OK)
        return code;
    if (!isfinite(seconds))
        return give_4g(call, seconds, "", "", ret);
    code = to_time(seconds, &ns, err);
    if (code != TW_OK)
        return code;
    struct tw_buf text;
    tw_buf_init(&text, 128);
    alert_time_print(ns, &text);
    return alert_call_return(call, &text, ret, err);
}

CALL_BODY(to_time)
{
    double seconds = 0;
    struct alert_value time = {.kind = ALERT_VALUE_TIME};
    enum tw_code code = alert_call_number(call, 0, &seconds, err);
    if (code == TW_OK)
        code = to_time(seconds, &time.integer, err);
    if (code == TW_OK)
        *ret = time;
    return code;
}

CALL_BODY(to_duration)
{
    double seconds = 0;
    enum tw_code code = alert_call_number(call, 0, &seconds, err);
    if (code != TW_OK)
        return code;
    double ns = seconds * NS_PER_S;
    if (!(ns >= -9223372036854775808.0 && ns < 9223372036854775808.0))
        return tw_err_set(err, TW_EXECUTION, "%g s is too long for a duration", seconds);
    *ret = (struct alert_value){.kind = ALERT_VALUE_DURATION, .integer = (int64_t)ns};
    return TW_OK;
}

CALL_BODY(now)
{
    (void)err;
    *ret = alert_value_float((double)call->data->time_ms / 1000);
    return TW_OK;
}

CALL_BODY(parse_duration)
{
    struct tw_str text;
    int64_t ms = 0;
    enum tw_code code = alert_call_string(call, 0, &text, err);
    if (code != TW_OK)
        return code;
    if (tw_duration_parse(text, &ms, NULL) != TW_OK)
        return tw_err_set(err, TW_EXECUTION, "not a valid duration string: \"%.*s\"",
                          TW_STR_ARG(text));
    *ret = alert_value_float((double)ms / 1000);
    return TW_OK;
}

/* ---- strings ---- */

static enum tw_code change_case(const struct alert_call *call, bool upper, struct alert_value *ret,
                                struct tw_err *err)
{
    struct tw_str text;
    enum tw_code code = alert_call_string(call, 0, &text, err);
    if (code != TW_OK)
        return code;
    struct tw_buf made;
    tw_buf_init(&made, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    alert_letter_change_case(text, upper, &made);
    return alert_call_return(call, &made, ret, err);
}

CALL_BODY(to_upper)
{
    return change_case(call, true, ret, err);
}

CALL_BODY(to_lower)
{
    return change_case(call, false, ret, err);
}

CALL_BODY(title)
{
    struct tw_str text;
    enum tw_code code = alert_call_string(call, 0, &text, err);
    if (code != TW_OK)
        return code;
    struct tw_buf made;
    tw_buf_init(&made, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    alert_letter_title(text, &made);
    return alert_call_return(call, &made, ret, err);
}

/* Go's net.SplitHostPort: false for what is no host:port. */
static bool split_host_port(struct tw_str text, struct tw_str *ret_host, struct tw_str *ret_port)
{
    size_t colon = SIZE_MAX;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == ':')
            colon = i;
    if (colon == SIZE_MAX)
        return false;
    struct tw_str host = tw_str_slice(text, 0, colon);
    if (host.size > 0 && host.data[0] == '[') {
        if (host.data[host.size - 1] != ']')
            return false;
        host = tw_str_slice(host, 1, host.size - 1);
    } else if (tw_str_find(host, TW_STR(":")) != SIZE_MAX) {
        return false;
    }
    if (tw_str_find(host, TW_STR("[")) != SIZE_MAX || tw_str_find(host, TW_STR("]")) != SIZE_MAX)
        return false;
    *ret_host = host;
    *ret_port = tw_str_slice(text, colon + 1, text.size);
    return true;
}

CALL_BODY(strip_port)
{
    struct tw_str text, host, port;
    enum tw_code code = alert_call_string(call, 0, &text, err);
    if (code == TW_OK)
        *ret = alert_value_string(split_host_port(text, &host, &port) ? host : text);
    return code;
}

static bool is_address(struct tw_arena *arena, struct tw_str host)
{
    unsigned char bytes[16];
    char *text = tw_arena_cstr(arena, host);
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

CALL_BODY(strip_domain)
{
    struct tw_str text, host, port = TW_STR("");
    enum tw_code code = alert_call_string(call, 0, &text, err);
    if (code != TW_OK)
        return code;
    if (!split_host_port(text, &host, &port))
        host = text;
    if (is_address(call->arena, host)) {
        *ret = alert_value_string(text);
        return TW_OK;
    }
    size_t dot = tw_str_find(host, TW_STR("."));
    host = tw_str_slice(host, 0, dot);
    bool brackets = tw_str_find(host, TW_STR(":")) != SIZE_MAX;
    if (port.size > 0)
        host = tw_arena_format(call->arena, brackets ? "[%.*s]:%.*s" : "%.*s:%.*s",
                               TW_STR_ARG(host), TW_STR_ARG(port));
    *ret = alert_value_string(host);
    return TW_OK;
}

CALL_BODY(match)
{
    struct tw_str pattern, text;
    struct tw_regex *regex = NULL;
    enum tw_code code = alert_call_string(call, 0, &pattern, err);
    if (code == TW_OK)
        code = alert_call_string(call, 1, &text, err);
    if (code == TW_OK)
        code = tw_regex_new(pattern, false, &regex, err);
    if (code != TW_OK)
        return code;
    *ret = alert_value_bool(tw_regex_match(regex, text));
    tw_regex_free(regex);
    return TW_OK;
}

CALL_BODY(re_replace_all)
{
    struct tw_str pattern, replacement, text;
    struct tw_regex *regex = NULL;
    enum tw_code code = alert_call_string(call, 0, &pattern, err);
    if (code == TW_OK)
        code = alert_call_string(call, 1, &replacement, err);
    if (code == TW_OK)
        code = alert_call_string(call, 2, &text, err);
    if (code == TW_OK)
        code = tw_regex_new(pattern, false, &regex, err);
    if (code != TW_OK)
        return code;
    struct tw_buf made;
    tw_buf_init(&made, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    tw_regex_replace_all(regex, text, replacement, &made);
    tw_regex_free(regex);
    return alert_call_return(call, &made, ret, err);
}

/* ---- links ---- */

static enum tw_code give_link(const struct alert_call *call, int tab, struct alert_value *ret,
                              struct tw_err *err)
{
    struct tw_str text;
    enum tw_code code = alert_call_string(call, 0, &text, err);
    if (code != TW_OK)
        return code;
    struct tw_buf made;
    tw_buf_init(&made, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    tw_buf_append_cstr(&made, "/graph?g0.expr=");
    alert_query_escape(text, &made);
    tw_buf_appendf(&made, "&g0.tab=%d", tab);
    return alert_call_return(call, &made, ret, err);
}

CALL_BODY(graph_link)
{
    return give_link(call, 0, ret, err);
}

CALL_BODY(table_link)
{
    return give_link(call, 1, ret, err);
}

CALL_BODY(url_query_escape)
{
    struct tw_str text;
    enum tw_code code = alert_call_string(call, 0, &text, err);
    if (code != TW_OK)
        return code;
    struct tw_buf made;
    tw_buf_init(&made, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    alert_query_escape(text, &made);
    return alert_call_return(call, &made, ret, err);
}

CALL_BODY(external_url)
{
    (void)err;
    *ret = alert_value_string(call->data->external_url);
    return TW_OK;
}

CALL_BODY(path_prefix)
{
    (void)err;
    struct tw_str url = call->data->external_url;
    size_t scheme = tw_str_find(url, TW_STR("://"));
    struct tw_str rest = scheme == SIZE_MAX ? url : tw_str_slice(url, scheme + 3, url.size);
    size_t slash = tw_str_find(rest, TW_STR("/"));
    *ret =
        alert_value_string(slash == SIZE_MAX ? TW_STR("") : tw_str_slice(rest, slash, rest.size));
    return TW_OK;
}

CALL_BODY(safe_html)
{
    struct tw_str text;
    enum tw_code code = alert_call_string(call, 0, &text, err);
    if (code == TW_OK)
        *ret = alert_value_string(text);
    return code;
}

/* ---- the table ---- */

static const struct alert_function functions[] = {
    {"query", 1, 1, call_query},
    {"first", 1, 1, call_first},
    {"label", 2, 2, call_label},
    {"value", 1, 1, call_value},
    {"strvalue", 1, 1, call_strvalue},
    {"sortByLabel", 2, 2, call_sort_by_label},
    {"args", 0, SIZE_MAX, call_args},
    {"humanize", 1, 1, call_humanize},
    {"humanize1024", 1, 1, call_humanize1024},
    {"humanizeDuration", 1, 1, call_humanize_duration},
    {"humanizePercentage", 1, 1, call_humanize_percentage},
    {"humanizeTimestamp", 1, 1, call_humanize_timestamp},
    {"toTime", 1, 1, call_to_time},
    {"toDuration", 1, 1, call_to_duration},
    {"now", 0, 0, call_now},
    {"parseDuration", 1, 1, call_parse_duration},
    {"title", 1, 1, call_title},
    {"toUpper", 1, 1, call_to_upper},
    {"toLower", 1, 1, call_to_lower},
    {"stripPort", 1, 1, call_strip_port},
    {"stripDomain", 1, 1, call_strip_domain},
    {"match", 2, 2, call_match},
    {"reReplaceAll", 3, 3, call_re_replace_all},
    {"graphLink", 1, 1, call_graph_link},
    {"tableLink", 1, 1, call_table_link},
    {"urlQueryEscape", 1, 1, call_url_query_escape},
    {"externalURL", 0, 0, call_external_url},
    {"pathPrefix", 0, 0, call_path_prefix},
    {"safeHtml", 1, 1, call_safe_html},
};

const struct alert_function *alert_function_find(struct tw_str name)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (tw_str_is(name, functions[i].name))
            return &functions[i];
    for (const struct alert_function *f = alert_builtins; f->name != NULL; f++)
        if (tw_str_is(name, f->name))
            return f;
    return NULL;
}

bool alert_function_is_unsupported(struct tw_str name)
{
    return tw_str_is(name, "call") || tw_str_is(name, "tmpl");
}
