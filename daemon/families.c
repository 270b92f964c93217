/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/families.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/number.h"
#include "base/regex.h"

struct families {
    struct tw_json_writer *writer;
    struct tw_arena *arena;
    const struct tw_regex *wanted; /* NULL: all */
    struct tw_str name;            /* of the family that is open; empty: none */
    bool in_histogram;             /* its metric is open, with its buckets */
    double sum;
};

/* Doubles that JSON cannot say are texts, as Protocol Buffers have it. */
static void member_double(struct tw_json_writer *writer, const char *key, double value)
{
    if (isnan(value))
        tw_json_member_cstr(writer, key, "NaN");
    else if (isinf(value))
        tw_json_member_cstr(writer, key, value > 0 ? "Infinity" : "-Infinity");
    else
        tw_json_member_number(writer, key, value);
}

/* Whole numbers of 64 bits are texts. */
static void member_count(struct tw_json_writer *writer, const char *key, double value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, (uint64_t)value);
    tw_json_member_cstr(writer, key, text);
}

/* The next of `name="value",...`, with the escapes of the text format undone. */
static bool next_label(struct tw_arena *arena, struct tw_str *rest, struct tw_http_pair *ret)
{
    size_t equals = tw_str_find(*rest, TW_STR("=\""));
    if (equals == SIZE_MAX)
        return false;
    ret->name = tw_str_slice(*rest, 0, equals);
    char *value = tw_arena_alloc(arena, rest->size + 1);
    size_t size = 0, at = equals + 2;
    for (; at < rest->size && rest->data[at] != '"'; at++) {
        if (rest->data[at] == '\\' && at + 1 < rest->size)
            at++;
        bool newline = rest->data[at] == 'n' && rest->data[at - 1] == '\\';
        value[size++] = newline ? '\n' : rest->data[at];
    }
    ret->value = (struct tw_str){value, size};
    *rest = tw_str_slice(*rest, at + 2 < rest->size ? at + 2 : rest->size, rest->size);
    return true;
}

/* All, or all but the bound of a bucket. */
static void write_labels(struct families *families, const char *labels, bool but_bound)
{
    struct tw_json_writer *writer = families->writer;
    struct tw_str rest = tw_str(labels);
    struct tw_http_pair label;
    bool begun = false;
    while (next_label(families->arena, &rest, &label)) {
        if (but_bound && tw_str_is(label.name, "le"))
            continue;
        if (!begun) {
            tw_json_key(writer, TW_STR("label"));
            tw_json_begin_array(writer);
            begun = true;
        }
        tw_json_begin_object(writer);
        tw_json_member_str(writer, "name", label.name);
        tw_json_member_str(writer, "value", label.value);
        tw_json_end_object(writer);
    }
    if (begun)
        tw_json_end_array(writer);
}

static double bound_of(struct tw_arena *arena, const char *labels)
{
    double bound;
    struct tw_str rest = tw_str(labels);
    struct tw_http_pair label;
    while (next_label(arena, &rest, &label))
        if (tw_str_is(label.name, "le") && tw_double_parse(label.value, &bound))
            return bound;
    return INFINITY;
}

static void end_family(struct families *families)
{
    if (families->name.size == 0)
        return;
    tw_json_end_array(families->writer);
    tw_json_end_object(families->writer);
    families->name.size = 0;
}

static void begin_family(struct families *families, struct tw_str name, const char *help,
                         enum tw_metric_type type)
{
    static const char *const types[] = {"COUNTER", "GAUGE", "HISTOGRAM"};
    struct tw_json_writer *writer = families->writer;
    if (tw_str_equal(name, families->name))
        return;
    end_family(families);
    families->name = tw_arena_format(families->arena, "%.*s", TW_STR_ARG(name));
    tw_json_begin_object(writer);
    tw_json_member_str(writer, "name", families->name);
    tw_json_member_cstr(writer, "help", help);
    tw_json_member_cstr(writer, "type", types[type]);
    tw_json_key(writer, TW_STR("metric"));
    tw_json_begin_array(writer);
}

static void write_simple(struct families *families, const char *labels, enum tw_metric_type type,
                         double value)
{
    struct tw_json_writer *writer = families->writer;
    tw_json_begin_object(writer);
    write_labels(families, labels, false);
    tw_json_key(writer, type == TW_METRIC_COUNTER ? TW_STR("counter") : TW_STR("gauge"));
    tw_json_begin_object(writer);
    member_double(writer, "value", value);
    tw_json_end_object(writer);
    tw_json_end_object(writer);
}

/* A histogram comes as its buckets, its sum, its count. */
static void write_part(struct families *families, struct tw_str part, const char *labels,
                       double value)
{
    struct tw_json_writer *writer = families->writer;
    if (tw_str_is(part, "_sum")) {
        families->sum = value;
        return;
    }
    if (tw_str_is(part, "_count")) {
        tw_json_end_array(writer);
        member_count(writer, "sampleCount", value);
        member_double(writer, "sampleSum", families->sum);
        tw_json_end_object(writer);
        tw_json_end_object(writer);
        families->in_histogram = false;
        return;
    }
    if (!families->in_histogram) {
        tw_json_begin_object(writer);
        write_labels(families, labels, true);
        tw_json_key(writer, TW_STR("histogram"));
        tw_json_begin_object(writer);
        tw_json_key(writer, TW_STR("bucket"));
        tw_json_begin_array(writer);
        families->in_histogram = true;
    }
    tw_json_begin_object(writer);
    member_count(writer, "cumulativeCount", value);
    member_double(writer, "upperBound", bound_of(families->arena, labels));
    tw_json_end_object(writer);
}

static void visit(void *user, const char *name, const char *labels, const char *help,
                  enum tw_metric_type type, double value)
{
    static const char *const parts[] = {"_bucket", "_sum", "_count"};
    struct families *families = user;
    struct tw_str family = tw_str(name), part = {0};
    for (size_t i = 0; type == TW_METRIC_HISTOGRAM && i < 3; i++) {
        if (!tw_str_ends(family, tw_str(parts[i])))
            continue;
        part = tw_str(parts[i]);
        family.size -= part.size;
        break;
    }
    if (families->wanted && !tw_regex_match(families->wanted, family))
        return;
    begin_family(families, family, help, type);
    if (type == TW_METRIC_HISTOGRAM)
        write_part(families, part, labels, value);
    else
        write_simple(families, labels, type, value);
}

static enum tw_http_verdict handle(void *user, struct tw_http_exchange *exchange)
{
    struct tw_str pattern;
    struct tw_regex *wanted = NULL;
    struct tw_json_writer writer;
    struct tw_err err;
    if (tw_http_parameter(&exchange->request, "metric_name_pattern", &pattern) &&
        pattern.size > 0 && tw_regex_new(pattern, true, &wanted, &err) != TW_OK) {
        (void)tw_err_wrap(&err, "invalid parameter \"metric_name_pattern\"");
        err.code = TW_BAD_DATA;
        tw_http_error_api(exchange, &err);
        return TW_HTTP_DONE;
    }
    struct families families = {.writer = &writer, .arena = exchange->arena, .wanted = wanted};
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_array(&writer);
    tw_metrics_each(user, visit, &families);
    end_family(&families);
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    tw_regex_free(wanted);
    return TW_HTTP_DONE;
}

void daemon_families_route(struct tw_http_router *router, struct tw_metrics *metrics)
{
    tw_http_route(router, TW_HTTP_GET, "/api/v1/status/self_metrics", TW_HTTP_WORKER, handle,
                  metrics);
}
