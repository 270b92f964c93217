/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/rightsizing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autoscaler/decaying.h"
#include "base/arena.h"
#include "base/assert.h"

#define HALF_LIFE_MS (24 * INT64_C(3600000))
#define DAY_MS (24 * INT64_C(3600000))
#define CHUNK_MS                                                                                   \
    DAY_MS /* one range query a day: bounded memory, and a day's peak is in one answer */
#define CPU_FIRST 0.01
#define MEMORY_FIRST 1e7
#define RATIO 1.05
#define LOWER_QUANTILE 0.5
#define UPPER_QUANTILE 0.95

enum resource { CPU, MEMORY, RESOURCES };

struct usage {
    struct scale_decaying histogram;
    double request; /* that it has now; NaN = not known */
    int64_t first_ms, last_ms;
};

struct group {
    struct tw_str name;
    struct usage of[RESOURCES];
    size_t instances;
};

struct groups {
    struct tw_arena *arena;
    struct group **items; /* by name */
    size_t count, capacity;
};

void scale_sizing_question_init(struct scale_sizing_question *question)
{
    *question = (struct scale_sizing_question){.margin = 0.15,
                                               .cpu_quantile = 0.9,
                                               .memory_quantile = 0.95,
                                               .history_ms = SCALE_SIZING_HISTORY_MS,
                                               .step_ms = SCALE_SIZING_STEP_MS};
}

/* ---- groups ---- */

static struct group *group_new(struct tw_arena *arena, struct tw_str name)
{
    struct group *group = TW_ARENA_NEW(arena, struct group);
    group->name = tw_arena_str(arena, name);
    for (int r = 0; r < RESOURCES; r++) {
        scale_decaying_init(&group->of[r].histogram, r == CPU ? CPU_FIRST : MEMORY_FIRST, RATIO,
                            HALF_LIFE_MS);
        group->of[r].request = NAN;
    }
    return group;
}

/* NULL when there are too many. */
static struct group *find(struct groups *groups, struct tw_str name)
{
    size_t low = 0, high = groups->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = tw_str_compare(groups->items[middle]->name, name);
        if (order == 0)
            return groups->items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (groups->count == SCALE_SIZING_GROUPS_MAX)
        return NULL;
    if (groups->count == groups->capacity) {
        groups->capacity = groups->capacity ? 2 * groups->capacity : 16;
        groups->items = realloc(groups->items, groups->capacity * sizeof(struct group *));
        TW_ASSERT(groups->items != NULL);
    }
    memmove(groups->items + low + 1, groups->items + low,
            (groups->count - low) * sizeof(struct group *));
    groups->items[low] = group_new(groups->arena, name);
    groups->count++;
    return groups->items[low];
}

static struct tw_str name_of(const struct scale_sizing_question *question,
                             const struct query_series *series)
{
    for (size_t i = 0; question->by.size && i < series->labels.count; i++)
        if (tw_str_equal(series->labels.items[i].name, question->by))
            return series->labels.items[i].value;
    return question->name;
}

/* ---- samples ---- */

/* Of memory a day's peak is one sample, as one that is too much ends the program: what it is
 * usually does not help. */
static void take(struct usage *usage, enum resource resource, const struct query_series *series)
{
    double peak = -1;
    int64_t peak_ms = 0;
    for (size_t i = 0; i < series->count; i++) {
        double value = series->points[i].value;
        int64_t time_ms = series->points[i].time_ms;
        if (!isfinite(value) || value < 0)
            continue;
        if (!usage->histogram.samples && !usage->last_ms)
            usage->first_ms = time_ms;
        usage->last_ms = time_ms > usage->last_ms ? time_ms : usage->last_ms;
        if (resource == CPU)
            scale_decaying_add(&usage->histogram, time_ms, value, 1);
        else if (value > peak) {
            peak = value;
            peak_ms = time_ms;
        }
    }
    if (peak >= 0)
        scale_decaying_add(&usage->histogram, peak_ms, peak, 1);
}

static enum tw_code too_many(struct tw_err *err)
{
    return tw_err_set(err, TW_LIMIT, "there are more than %d groups: group by another label",
                      SCALE_SIZING_GROUPS_MAX);
}

static enum tw_code read_usage(struct query_engine *engine, const struct tw_context *context,
                               const struct scale_sizing_question *question, enum resource resource,
                               int64_t now_ms, struct groups *groups, struct tw_err *err)
{
    struct tw_str text = resource == CPU ? question->cpu : question->memory;
    int64_t step = question->step_ms, end = tw_floor_div(now_ms, step) * step;
    int64_t first = end - question->history_ms;
    enum tw_code code = TW_OK;
    for (int64_t at = first; code == TW_OK && text.size && at <= end;) {
        /* Days are those of the calendar, whenever it is asked. */
        int64_t next = (tw_floor_div(at, CHUNK_MS) + 1) * CHUNK_MS;
        int64_t last = next - 1 < end ? next - 1 : end;
        struct query_result *result = NULL;
        code = query_range(engine, context, text, at, last, step, &result, err);
        if (code != TW_OK)
            return code;
        for (size_t s = 0; result->type == QUERY_MATRIX && s < result->count; s++) {
            struct group *group = find(groups, name_of(question, &result->series[s]));
            if (!group) {
                code = too_many(err);
                break;
            }
            take(&group->of[resource], resource, &result->series[s]);
            group->instances += last == end && (resource == CPU || !question->cpu.size);
        }
        query_result_free(result);
        at += (last - at) / step * step + step;
    }
    return code;
}

/* The highest of a group, where instances differ. */
static enum tw_code read_requests(struct query_engine *engine, const struct tw_context *context,
                                  const struct scale_sizing_question *question,
                                  enum resource resource, int64_t now_ms, struct groups *groups,
                                  struct tw_err *err)
{
    struct tw_str text = resource == CPU ? question->cpu_request : question->memory_request;
    struct query_result *result = NULL;
    if (!text.size)
        return TW_OK;
    enum tw_code code = query_instant(engine, context, text, now_ms, &result, err);
    if (code != TW_OK)
        return code;
    bool scalar = result->type == QUERY_SCALAR;
    for (size_t s = 0; s < result->count; s++) {
        const struct query_series *series = &result->series[s];
        if (!series->count || !isfinite(series->points[0].value))
            continue;
        for (size_t g = 0; g < groups->count; g++) {
            double *request = &groups->items[g]->of[resource].request;
            if ((scalar || tw_str_equal(groups->items[g]->name, name_of(question, series))) &&
                !(*request >= series->points[0].value))
                *request = series->points[0].value;
        }
    }
    query_result_free(result);
    return TW_OK;
}

/* ---- advice ---- */

static void write_resource(const struct scale_sizing_question *question, enum resource resource,
                           const struct usage *usage, struct tw_json_writer *writer)
{
    const struct scale_decaying *histogram = &usage->histogram;
    double quantile = resource == CPU ? question->cpu_quantile : question->memory_quantile;
    double margin = 1 + question->margin;
    double request = scale_decaying_quantile(histogram, quantile) * margin;
    tw_json_key(writer, resource == CPU ? TW_STR("cpu") : TW_STR("memory"));
    if (!histogram->samples) {
        tw_json_write_null(writer);
        return;
    }
    double days = (double)(usage->last_ms - usage->first_ms) / (double)DAY_MS;
    tw_json_begin_object(writer);
    tw_json_member_number(writer, "advised", request);
    tw_json_member_number(writer, "requested", usage->request);
    tw_json_member_number(writer, "change", request / usage->request - 1);
    tw_json_member_number(writer, "lower",
                          scale_decaying_quantile(histogram, LOWER_QUANTILE) * margin);
    tw_json_member_number(writer, "upper",
                          scale_decaying_quantile(histogram, UPPER_QUANTILE) * margin);
    tw_json_member_number(writer, "quantile", quantile);
    tw_json_member_number(writer, "highest", histogram->highest);
    tw_json_member_int(writer, "samples", (int64_t)histogram->samples);
    tw_json_member_number(writer, "days", days);
    /* Less than a day says nothing about nights, and less than three little about days. */
    tw_json_member_cstr(writer, "confidence", days < 1 ? "low" : days < 3 ? "medium" : "high");
    tw_json_end_object(writer);
}

enum tw_code scale_sizing_answer(struct query_engine *engine, const struct tw_context *context,
                                 const struct scale_sizing_question *question,
                                 struct tw_json_writer *writer, struct tw_err *err)
{
    struct groups groups = {.arena = tw_arena_new(65536)};
    int64_t now = tw_clock_wall_ms(context->clock);
    enum tw_code code = TW_OK;
    for (int r = 0; code == TW_OK && r < RESOURCES; r++)
        code = read_usage(engine, context, question, (enum resource)r, now, &groups, err);
    for (int r = 0; code == TW_OK && r < RESOURCES; r++)
        code = read_requests(engine, context, question, (enum resource)r, now, &groups, err);
    if (code == TW_OK) {
        for (size_t i = 0; i < groups.count; i++) {
            const struct group *group = groups.items[i];
            tw_json_begin_object(writer);
            tw_json_member_str(writer, "workload", question->name);
            tw_json_member_str(writer, "name", group->name);
            tw_json_member_int(writer, "instances", (int64_t)group->instances);
            for (int r = 0; r < RESOURCES; r++)
                write_resource(question, (enum resource)r, &group->of[r], writer);
            tw_json_end_object(writer);
        }
    }
    free(groups.items);
    tw_arena_free(groups.arena);
    return code;
}
