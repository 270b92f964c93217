/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/observation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"

#define QUERY_TIMEOUT_NS (10 * INT64_C(1000000000))
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
    struct tw_err err = {0}, late_err;
    double late;
    enum tw_code code = ask(source->fresh, source->clock, settings->load, now_ms, &ret->load, &err);
    if (code == TW_NOT_FOUND) {
        ret->data = SCALE_DATA_MISSING;
        if (ask(source->engine, source->clock, settings->load, now_ms, &late, &late_err) == TW_OK) {
            ret->data = SCALE_DATA_LATE;
            snprintf(error_text, SCALE_ERROR_BYTES,
                     "the newest samples are older than %lld s (late_after)",
                     (long long)(settings->late_ms / 1000));
        } else {
            snprintf(error_text, SCALE_ERROR_BYTES, "%.*s", SCALE_ERROR_BYTES - 1, err.message);
        }
    } else if (code != TW_OK) {
        ret->data = SCALE_DATA_ERROR;
        snprintf(error_text, SCALE_ERROR_BYTES, "%.*s", SCALE_ERROR_BYTES - 1, err.message);
    } else if (!isfinite(ret->load) || ret->load < 0) {
        ret->data = SCALE_DATA_MISSING;
        snprintf(error_text, SCALE_ERROR_BYTES, "the load is %g, which no load can be", ret->load);
        ret->load = NAN;
    }
    ret->replicas = ask_replicas(source, settings->replicas, now_ms);
    ret->ready = ask_replicas(source, settings->ready, now_ms);
    ret->utilisation = ask_number(source, settings->utilisation, now_ms);
    ret->latency = ask_number(source, settings->latency, now_ms);
    ret->queue = ask_number(source, settings->queue, now_ms);
    ret->coverage = ask_number(source, settings->coverage, now_ms);
}

void scale_observe_sources(const struct scale_source *source, struct scale_sources *sources,
                           struct tw_str query, bool sums, struct scale_observation *observation,
                           char *error_text)
{
    if (!query.size || observation->data != SCALE_DATA_OK || !isnan(observation->coverage))
        return;
    struct tw_context context;
    struct tw_err err;
    struct query_result *result = NULL;
    begin(&context, source->clock);
    if (query_instant(source->fresh, &context, query, observation->now_ms, &result, &err) != TW_OK)
        return; /* the load itself is known: this only adds to it */
    uint64_t *hashes =
        result->count <= SCALE_SOURCES_MAX ? calloc(result->count + 1, sizeof *hashes) : NULL;
    if (hashes) {
        for (size_t i = 0; i < result->count; i++)
            hashes[i] = wire_labels_hash(result->series[i].labels);
        int64_t replicas = observation->ready >= 0 ? observation->ready : observation->replicas;
        size_t known, heard = result->count;
        observation->coverage =
            scale_sources_hear(sources, observation->now_ms, hashes, heard, replicas, &known);
        observation->whole = !sums;
        if (heard < known)
            snprintf(error_text, SCALE_ERROR_BYTES, "%zu of its %zu sources are silent",
                     known - heard, known);
        free(hashes);
    }
    query_result_free(result);
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
