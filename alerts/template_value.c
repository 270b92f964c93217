/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/template_value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/number.h"

#define NS_PER_S INT64_C(1000000000)
/* Go's %g and %v of the shortest digits go over to an exponent from 1e+06 on. */
#define SHORTEST_EXPONENT_MAX 6

bool alert_value_truth(const struct alert_value *value)
{
    switch (value->kind) {
    case ALERT_VALUE_NIL:
        return false;
    case ALERT_VALUE_BOOL:
        return value->boolean;
    case ALERT_VALUE_INT:
    case ALERT_VALUE_DURATION:
        return value->integer != 0;
    case ALERT_VALUE_FLOAT:
        return value->number != 0;
    case ALERT_VALUE_STRING:
        return value->string.size > 0;
    case ALERT_VALUE_LABELS:
        return value->labels.count > 0;
    case ALERT_VALUE_ARGS:
        return value->args.count > 0;
    case ALERT_VALUE_SAMPLES:
        return value->samples.count > 0;
    case ALERT_VALUE_SAMPLE:
    case ALERT_VALUE_ROOT:
    case ALERT_VALUE_TIME:
        return true;
    }
    TW_UNREACHABLE("a value has a kind");
}

const char *alert_value_type(const struct alert_value *value)
{
    switch (value->kind) {
    case ALERT_VALUE_NIL:
        return "<nil>";
    case ALERT_VALUE_BOOL:
        return "bool";
    case ALERT_VALUE_INT:
        return "int";
    case ALERT_VALUE_FLOAT:
        return "float64";
    case ALERT_VALUE_STRING:
        return "string";
    case ALERT_VALUE_LABELS:
        return "map[string]string";
    case ALERT_VALUE_ARGS:
        return "map[string]interface {}";
    case ALERT_VALUE_SAMPLES:
        return "[]sample";
    case ALERT_VALUE_SAMPLE:
        return "sample";
    case ALERT_VALUE_ROOT:
        return "the alert's data (.Labels, .ExternalLabels, .ExternalURL, .Value)";
    case ALERT_VALUE_TIME:
        return "time.Time";
    case ALERT_VALUE_DURATION:
        return "time.Duration";
    }
    TW_UNREACHABLE("a value has a kind");
}

/* ---- floats as Go writes them ---- */

/* The shortest decimal digits of |number|, without leading and trailing zeros, and the position of
 * the point: 0.d1d2d3... x 10^exponent. number is finite and not 0. */
static size_t shortest_digits(double number, char *ret_digits, int *ret_exponent)
{
    char text[64];
    double back = 0;
    for (int precision = 0; precision <= 16; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, fabs(number));
        if (tw_double_parse(tw_str(text), &back) && back == fabs(number))
            break;
    }
    size_t count = 0;
    const char *at = text;
    for (; *at != 'e'; at++)
        if (*at != '.')
            ret_digits[count++] = *at;
    *ret_exponent = atoi(at + 1) + 1;
    return count;
}

static void append_exponent(double number, const char *digits, size_t count, int exponent,
                            struct tw_buf *out)
{
    if (signbit(number))
        tw_buf_append_char(out, '-');
    tw_buf_append_char(out, digits[0]);
    if (count > 1) {
        tw_buf_append_char(out, '.');
        tw_buf_append(out, digits + 1, count - 1);
    }
    tw_buf_appendf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
}

void alert_float_format(double number, char format, int precision, struct tw_buf *out)
{
    if (isnan(number) || isinf(number)) {
        tw_buf_append_cstr(out, isnan(number) ? "NaN" : number < 0 ? "-Inf" : "+Inf");
        return;
    }
    if (precision >= 0) {
        /* C and Go agree here: at least two digits of exponent, %g without trailing zeros. */
        if (format == 'e')
            tw_buf_appendf(out, "%.*e", precision, number);
        else if (format == 'f')
            tw_buf_appendf(out, "%.*f", precision, number);
        else
            tw_buf_appendf(out, "%.*g", precision, number);
        return;
    }
    char digits[TW_DOUBLE_BYTES];
    int point = 1;
    size_t count = 1;
    digits[0] = '0';
    if (number != 0)
        count = shortest_digits(number, digits, &point);
    int exponent = point - 1;
    if (format == 'e' || (format == 'g' && (exponent < -4 || exponent >= SHORTEST_EXPONENT_MAX))) {
        append_exponent(number, digits, count, exponent, out);
        return;
    }
    if (signbit(number))
        tw_buf_append_char(out, '-');
    for (int i = 0; i < point || i < (int)count || i == 0; i++) {
        if (i == 0 && point <= 0)
            tw_buf_append_cstr(out, "0");
        if (i == (point > 0 ? point : 0))
            tw_buf_append_char(out, '.');
        for (int zeros = point; i == 0 && zeros < 0; zeros++)
            tw_buf_append_char(out, '0');
        tw_buf_append_char(out, i < (int)count ? digits[i] : '0');
    }
}

/* ---- times and durations ---- */

void alert_time_print(int64_t ns, struct tw_buf *out)
{
    int64_t second = tw_floor_div(ns, NS_PER_S);
    int64_t fraction = ns - second * NS_PER_S;
    struct tm tm;
    int ms = 0;
    tw_clock_utc(second * 1000, &tm, &ms);
    tw_buf_appendf(out, "%04d-%02d-%02d %02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                   tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (fraction != 0) {
        char digits[16];
        int size = snprintf(digits, sizeof digits, "%09lld", (long long)fraction);
        while (size > 0 && digits[size - 1] == '0')
            size--;
        tw_buf_append_char(out, '.');
        tw_buf_append(out, digits, (size_t)size);
    }
    tw_buf_append_cstr(out, " +0000 UTC");
}

/* value / scale with up to `width` decimals, none of them a trailing zero. */
static void append_fraction(uint64_t value, uint64_t scale, struct tw_buf *out)
{
    tw_buf_appendf(out, "%llu", (unsigned long long)(value / scale));
    uint64_t rest = value % scale;
    if (rest == 0)
        return;
    tw_buf_append_char(out, '.');
    for (scale /= 10; rest != 0; scale /= 10) {
        tw_buf_append_char(out, (char)('0' + rest / scale));
        rest %= scale;
    }
}

void alert_duration_print(int64_t ns, struct tw_buf *out)
{
    uint64_t value = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    if (ns < 0)
        tw_buf_append_char(out, '-');
    if (value < (uint64_t)NS_PER_S) {
        uint64_t scale = value >= 1000000 ? 1000000 : value >= 1000 ? 1000 : 1;
        append_fraction(value, scale, out);
        tw_buf_append_cstr(out, value == 0 ? "s" : scale == 1 ? "ns" : scale == 1000 ? "µs" : "ms");
        return;
    }
    uint64_t second = (uint64_t)NS_PER_S;
    uint64_t hours = value / (3600 * second), minutes = value / (60 * second) % 60;
    if (hours > 0)
        tw_buf_appendf(out, "%lluh", (unsigned long long)hours);
    if (hours > 0 || minutes > 0)
        tw_buf_appendf(out, "%llum", (unsigned long long)minutes);
    append_fraction(value % (60 * second), second, out);
    tw_buf_append_char(out, 's');
}

/* ---- %v ---- */

static void print_labels(struct wire_labels labels, struct tw_buf *out)
{
    tw_buf_append_cstr(out, "map[");
    for (size_t i = 0; i < labels.count; i++) {
        if (i > 0)
            tw_buf_append_char(out, ' ');
        tw_buf_append_str(out, labels.items[i].name);
        tw_buf_append_char(out, ':');
        tw_buf_append_str(out, labels.items[i].value);
    }
    tw_buf_append_char(out, ']');
}

static void print_sample(const struct alert_sample *sample, struct tw_buf *out)
{
    tw_buf_append_char(out, '{');
    print_labels(sample->labels, out);
    tw_buf_append_char(out, ' ');
    alert_float_format(sample->value, 'g', -1, out);
    tw_buf_append_char(out, '}');
}

static void print_root(const struct alert_template_data *root, struct tw_buf *out)
{
    tw_buf_append_char(out, '{');
    print_labels(root->labels, out);
    tw_buf_append_char(out, ' ');
    print_labels(root->external_labels, out);
    tw_buf_append_char(out, ' ');
    tw_buf_append_str(out, root->external_url);
    tw_buf_append_char(out, ' ');
    if (root->histogram.size > 0)
        tw_buf_append_str(out, root->histogram);
    else
        alert_float_format(root->value, 'g', -1, out);
    tw_buf_append_char(out, '}');
}

void alert_value_print(const struct alert_value *value, struct tw_buf *out)
{
    switch (value->kind) {
    case ALERT_VALUE_NIL:
        tw_buf_append_cstr(out, "<nil>");
        return;
    case ALERT_VALUE_BOOL:
        tw_buf_append_cstr(out, value->boolean ? "true" : "false");
        return;
    case ALERT_VALUE_INT:
        tw_buf_appendf(out, "%lld", (long long)value->integer);
        return;
    case ALERT_VALUE_FLOAT:
        alert_float_format(value->number, 'g', -1, out);
        return;
    case ALERT_VALUE_STRING:
        tw_buf_append_str(out, value->string);
        return;
    case ALERT_VALUE_LABELS:
        print_labels(value->labels, out);
        return;
    case ALERT_VALUE_ARGS:
        tw_buf_append_cstr(out, "map[");
        for (size_t i = 0; i < value->args.count; i++) {
            tw_buf_appendf(out, "%sarg%zu:", i > 0 ? " " : "", i);
            alert_value_print(&value->args.items[i], out);
        }
        tw_buf_append_char(out, ']');
        return;
    case ALERT_VALUE_SAMPLES:
        tw_buf_append_char(out, '[');
        for (size_t i = 0; i < value->samples.count; i++) {
            if (i > 0)
                tw_buf_append_char(out, ' ');
            print_sample(&value->samples.items[i], out);
        }
        tw_buf_append_char(out, ']');
        return;
    case ALERT_VALUE_SAMPLE:
        print_sample(value->sample, out);
        return;
    case ALERT_VALUE_ROOT:
        print_root(value->root, out);
        return;
    case ALERT_VALUE_TIME:
        alert_time_print(value->integer, out);
        return;
    case ALERT_VALUE_DURATION:
        alert_duration_print(value->integer, out);
        return;
    }
    TW_UNREACHABLE("a value has a kind");
}

void alert_value_sprint(const struct alert_value *values, size_t count, struct tw_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && values[i].kind != ALERT_VALUE_STRING &&
            values[i - 1].kind != ALERT_VALUE_STRING)
            tw_buf_append_char(out, ' ');
        alert_value_print(&values[i], out);
    }
}

void alert_value_sprintln(const struct alert_value *values, size_t count, struct tw_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            tw_buf_append_char(out, ' ');
        alert_value_print(&values[i], out);
    }
}
