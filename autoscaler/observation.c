/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/observation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

#define QUERY_TIMEOUT_NS (10 * INT64_C(1000000000))
#define COVERAGE_LEAST 0.05       /* of less, a sum is not made up for */
#define HISTORY_CHUNK_MS 86400000 /* one range query a day of history: bounded memory */

static void begin(struct tw_context *context, struct tw_clock *clock)
{
    tw_context_init(context, clock);
    context->deadline_mono_ns = tw_clock_mono_ns(clock) + QUERY_TIMEOUT_NS;
    context->principal = TW_STR("autoscaler");
}

/* One number out of a query: TW_NOT_FOUND when it gives none. */
static enum tw_code ask(struct query_engine *engine, struct tw_clock *clock, struct tw_str text,
                        int64_t now_ms, double *ret, struct tw_err *err)
{
    struct tw_context context;
    begin(&context, clock);
    struct query_result *result = NULL;
    enum tw_code code = query_instant(engine, &context, text, now_ms, &result, err);
    if (code != TW_OK)
        return code;
    if (result->type != QUERY_SCALAR && result->type != QUERY_VECTOR)
        code = tw_err_set(err, TW_EXECUTION, "the query gives neither a vector nor a scalar");
    else if (result->count > 1)
        code = tw_err_set(err, TW_EXECUTION,
                          "the query gives %zu series: put sum(...) around it, or max(...)",
                          result->count);
    else if (result->count == 1 && result->series[0].histogram_count > 0)
        code = tw_err_set(err, TW_EXECUTION,
                          "the query gives a native histogram: put histogram_quantile(0.9, ...) "
                          "around it, or histogram_count(...)");
    else if (result->count == 0 || result->series[0].count == 0 ||
             tw_double_is_stale(result->series[0].points[0].value))
        code = tw_err_set(err, TW_NOT_FOUND, "the query gives nothing");
    else
        *ret = result->series[0].points[0].value;
    query_result_free(result);
    return code;
}

static int64_t ask_replicas(const struct scale_source *source, struct tw_str text, int64_t now_ms)
{
    double value = NAN;
    struct tw_err err;
    if (!text.size || ask(source->fresh, source->clock, text, now_ms, &value, &err) != TW_OK)
        return -1;
    return value >= 0 && value <= SCALE_REPLICAS_MAX ? (int64_t)llround(value) : -1;
}

/* NaN when it is not asked for, or not known. */
static double ask_number(const struct scale_source *source, struct tw_str text, int64_t now_ms)
{
    double value = NAN;
    struct tw_err err;
    if (!text.size || ask(source->fresh, source->clock, text, now_ms, &value, &err) != TW_OK)
        return NAN;
    return value;
}

/* Says in error_text (of SCALE_ERROR_BYTES) why it is not known. */
static enum scale_data ask_load(const struct scale_source *source,
                                const struct scale_settings *settings, struct tw_str query,
                                int64_t now_ms, double *ret, char *error_text)
{
    struct tw_err err = {0}, late_err;
    double late;
    *ret = NAN;
    enum tw_code code = ask(source->fresh, source->clock, query, now_ms, ret, &err);
    if (code == TW_OK && isfinite(*ret) && *ret >= 0)
        return SCALE_DATA_OK;
    if (code == TW_OK) {
        snprintf(error_text, SCALE_ERROR_BYTES, "the load is %g, which no load can be", *ret);
        *ret = NAN;
        return SCALE_DATA_MISSING;
    }
    if (code == TW_NOT_FOUND &&
        ask(source->engine, source->clock, query, now_ms, &late, &late_err) == TW_OK) {
        snprintf(error_text, SCALE_ERROR_BYTES,
                 "the newest samples are older than %lld s (late_after)",
                 (long long)(settings->late_ms / 1000));
        return SCALE_DATA_LATE;
    }
    snprintf(error_text, SCALE_ERROR_BYTES, "%.*s", SCALE_ERROR_BYTES - 1, err.message);
    return code == TW_NOT_FOUND ? SCALE_DATA_MISSING : SCALE_DATA_ERROR;
}

/* The highest of the loads that are known. */
static void take_leader(const struct scale_demand *demand, struct scale_observation *observation)
{
    size_t leader = scale_demand_leader(demand, observation->parts);
    bool known = leader < demand->count;
    observation->load = known ? observation->parts[leader] : NAN;
    observation->leader = known ? demand->parts[leader].name : (struct tw_str){0};
}

/* All of several loads: one that is missing makes the whole partial, and a failing query makes it
 * an error, for the highest is then not known. */
static void ask_parts(const struct scale_source *source, const struct scale_settings *settings,
                      int64_t now_ms, struct scale_observation *ret, char *error_text)
{
    const struct scale_demand *demand = &settings->demand;
    char text[SCALE_ERROR_BYTES];
    size_t missing = 0;
    bool failed = false;
    for (size_t i = 0; i < demand->count; i++) {
        double load;
        text[0] = 0;
        enum scale_data data =
            ask_load(source, settings, demand->parts[i].query, now_ms, &load, text);
        ret->parts[i] = scale_demand_convert(demand, i, load);
        if (data == SCALE_DATA_OK)
            continue;
        missing++;
        if (missing == 1 || (data == SCALE_DATA_ERROR && !failed)) {
            ret->data = data;
            snprintf(error_text, SCALE_ERROR_BYTES, "load '%.*s': %.*s",
                     TW_STR_ARG(demand->parts[i].name), SCALE_ERROR_BYTES / 2, text);
        }
        failed = failed || data == SCALE_DATA_ERROR;
    }
    if (missing && missing < demand->count && !failed)
        ret->data = SCALE_DATA_PARTIAL;
    if (missing > 1) {
        size_t used = strlen(error_text);
        snprintf(error_text + used, SCALE_ERROR_BYTES - used, " (%zu loads are missing)", missing);
    }
    take_leader(demand, ret);
}

void scale_observe(const struct scale_source *source, const struct scale_settings *settings,
                   int64_t now_ms, struct scale_observation *ret, char *error_text)
{
    *ret = (struct scale_observation){.now_ms = now_ms,
                                      .data = SCALE_DATA_OK,
                                      .load = NAN,
                                      .load_ms = now_ms,
                                      .utilisation = NAN,
                                      .latency = NAN,
                                      .queue = NAN,
                                      .coverage = NAN,
                                      .error = error_text};
    error_text[0] = 0;
    if (settings->demand.count)
        ask_parts(source, settings, now_ms, ret, error_text);
    else
        ret->data = ask_load(source, settings, settings->load, now_ms, &ret->load, error_text);
    ret->replicas = ask_replicas(source, settings->replicas, now_ms);
    ret->ready = ask_replicas(source, settings->ready, now_ms);
    ret->utilisation = ask_number(source, settings->utilisation, now_ms);
    ret->latency = ask_number(source, settings->latency, now_ms);
    ret->queue = ask_number(source, settings->queue, now_ms);
    ret->coverage = ask_number(source, settings->coverage, now_ms);
}

/* The share of the sources that is heard, NaN when it cannot be told; *ret_silent: how many of
 * *ret_known are not. */
static double hear(const struct scale_source *source, struct scale_listener *listener,
                   const struct scale_observation *observation, size_t *ret_silent,
                   size_t *ret_known)
{
    struct tw_context context;
    struct tw_err err;
    struct query_result *result = NULL;
    double coverage = NAN;
    *ret_silent = *ret_known = 0;
    begin(&context, source->clock);
    if (!listener->query.size || query_instant(source->fresh, &context, listener->query,
                                               observation->now_ms, &result, &err) != TW_OK)
        return NAN; /* the load itself is known: this only adds to it */
    uint64_t *hashes =
        result->count <= SCALE_SOURCES_MAX ? calloc(result->count + 1, sizeof *hashes) : NULL;
    if (hashes) {
        for (size_t i = 0; i < result->count; i++)
            hashes[i] = wire_labels_hash(result->series[i].labels);
        int64_t replicas = observation->ready >= 0 ? observation->ready : observation->replicas;
        coverage = scale_sources_hear(&listener->sources, observation->now_ms, hashes,
                                      result->count, replicas, ret_known);
        if (*ret_known > result->count)
            *ret_silent = *ret_known - result->count;
        free(hashes);
    }
    query_result_free(result);
    return coverage;
}

void scale_observe_sources(const struct scale_source *source, const struct scale_settings *settings,
                           struct scale_listener *listeners, struct scale_observation *observation,
                           char *error_text)
{
    const struct scale_demand *demand = &settings->demand;
    if (observation->data != SCALE_DATA_OK || !isnan(observation->coverage))
        return;
    for (size_t i = 0; i < (demand->count ? demand->count : 1); i++) {
        size_t silent, known;
        double coverage = hear(source, &listeners[i], observation, &silent, &known);
        bool lowest = isnan(observation->coverage) || coverage < observation->coverage;
        if (!isnan(coverage) && lowest) {
            observation->coverage = coverage;
            observation->whole = !listeners[i].sums;
            if (silent && demand->count)
                snprintf(error_text, SCALE_ERROR_BYTES,
                         "%zu of the %zu sources of load '%.*s' are silent", silent, known,
                         TW_STR_ARG(demand->parts[i].name));
            else if (silent)
                snprintf(error_text, SCALE_ERROR_BYTES, "%zu of its %zu sources are silent", silent,
                         known);
        }
        if (demand->count && listeners[i].sums && coverage < 1)
            observation->parts[i] /= fmax(coverage, COVERAGE_LEAST);
    }
    if (demand->count) {
        observation->whole = true; /* what is missing was made up for above, of each by itself */
        take_leader(demand, observation);
    }
}

static void place(const struct query_result *result, int64_t first_ms, int64_t step_ms,
                  size_t count, double *ret_values)
{
    for (size_t s = 0; s < result->count; s++)
        for (size_t p = 0; p < result->series[s].count; p++) {
            const struct query_point *point = &result->series[s].points[p];
            int64_t index = (point->time_ms - first_ms) / step_ms;
            if (point->time_ms >= first_ms && (size_t)index < count && isfinite(point->value))
                ret_values[index] = point->value;
        }
}

enum tw_code scale_observe_history(const struct scale_source *source,
                                   const struct scale_settings *settings, int64_t first_ms,
                                   size_t count, double *ret_values, struct tw_err *err)
{
    int64_t step = settings->step_ms, end = first_ms + (int64_t)(count - 1) * step;
    enum tw_code result_code = TW_OK;
    for (size_t i = 0; i < count; i++)
        ret_values[i] = NAN;
    int64_t chunk = HISTORY_CHUNK_MS / step * step;
    for (int64_t start = first_ms; start <= end; start += chunk) {
        int64_t last = start + chunk - step < end ? start + chunk - step : end;
        struct tw_context context;
        begin(&context, source->clock);
        struct query_result *result = NULL;
        enum tw_code code =
            query_range(source->engine, &context, settings->load, start, last, step, &result, err);
        if (code != TW_OK) {
            result_code = code;
            continue;
        }
        if (result->type == QUERY_MATRIX && result->count <= 1)
            place(result, first_ms, step, count, ret_values);
        query_result_free(result);
    }
    return result_code;
}
