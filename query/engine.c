/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver: parses, plans, pulls the plan's tiles and collects the result. When what operators
 * hold does not fit the budget, the steps are run in slices, a quarter as many at a time.
 */
#include "config.h"

#include "query/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "query/kept.h"
#include "query/operator.h"
#include "query/parallel.h"
#include "query/parser.h"
#include "query/plan.h"
#include "query/propagation.h"
#include "query/samples.h"
#include "query/subquery.h"

#define ENGINE_MAGIC 0x71656e67u
#define LOOKBACK_MS_DEFAULT (5 * 60 * 1000)
#define TIMEOUT_MS_DEFAULT (2 * 60 * 1000)
#define SAMPLES_MAX_DEFAULT 50000000u
#define BYTES_MAX_DEFAULT (UINT64_C(1) << 30)

struct query_engine {
    unsigned magic;
    struct tsdb_storage *storage;
    struct query_options options;
    struct query_helpers *helpers; /* NULL: none */
    bool is_copy;                  /* the helpers are another's */
    struct tw_metric *queries, *failures, *samples, *seconds;
};

/* A result with what it stands on. */
struct owned_result {
    struct query_result result;
    struct tw_arena *arena;
    struct query_running *running; /* where bytes are accounted for until the result is freed */
    uint64_t bytes;
};

/* A text of labels that was copied into the result: the store gives each text once, so its address
 * tells it. */
#define KEPT_TEXTS 256
struct kept_text {
    const char *from;
    struct tw_str copy;
};

/* One query on its way. */
struct run {
    struct query_engine *engine;
    struct query_ast *ast;
    struct query_exec exec;
    struct query_ticket ticket;
    struct query_annotations annotations;
    struct tw_arena *plan_arena, *slice_arena;
    struct owned_result *owned;
    struct query_series *series; /* of all slices so far */
    size_t count, capacity;
    struct kept_text *kept; /* of the slice that is run */
    struct query_timings timings;
    int64_t begun_ns; /* when it began to evaluate */
};

struct query_engine *query_engine_new(struct tsdb_storage *storage,
                                      const struct query_options *options)
{
    static const double bounds[] = {0.001, 0.01, 0.1, 1, 10, 60};
    struct query_engine *engine = calloc(1, sizeof *engine);
    TW_ASSERT(engine != NULL && storage != NULL);
    engine->magic = ENGINE_MAGIC;
    engine->storage = storage;
    if (options)
        engine->options = *options;
    struct query_options *set = &engine->options;
    set->lookback_ms = set->lookback_ms ? set->lookback_ms : LOOKBACK_MS_DEFAULT;
    set->timeout_ms = set->timeout_ms ? set->timeout_ms : TIMEOUT_MS_DEFAULT;
    set->samples_max = set->samples_max ? set->samples_max : SAMPLES_MAX_DEFAULT;
    set->bytes_max = set->bytes_max ? set->bytes_max : BYTES_MAX_DEFAULT;
    if (set->metrics) {
        engine->queries = tw_metrics_counter(set->metrics, "tidewatch_query_queries_total", "",
                                             "Queries that were run.");
        engine->failures = tw_metrics_counter(set->metrics, "tidewatch_query_failures_total", "",
                                              "Queries that ended in an error.");
        engine->samples = tw_metrics_counter(set->metrics, "tidewatch_query_samples_total", "",
                                             "Samples that queries read from the store.");
        engine->seconds =
            tw_metrics_histogram(set->metrics, "tidewatch_query_duration_seconds", "",
                                 "Time from parsing a query to its result.", bounds, 6);
    }
    struct tw_err err;
    if (set->parallelism > 1 &&
        query_helpers_new(set->parallelism - 1, &engine->helpers, &err) != TW_OK)
        engine->helpers = NULL; /* without threads to spare, queries run on their own */
    return engine;
}

struct query_engine *query_engine_with_lookback(struct query_engine *engine, int64_t lookback_ms)
{
    TW_CHECK_MAGIC(engine, ENGINE_MAGIC);
    TW_ASSERT(lookback_ms > 0);
    struct query_engine *other = malloc(sizeof *other);
    TW_ASSERT(other != NULL);
    *other = *engine;
    other->options.lookback_ms = lookback_ms;
    other->options.kept = NULL; /* what subqueries give depends on the look-back */
    other->is_copy = true;
    return other;
}

struct query_engine *query_engine_free(struct query_engine *engine)
{
    if (engine) {
        TW_CHECK_MAGIC(engine, ENGINE_MAGIC);
        if (!engine->is_copy)
            query_helpers_free(engine->helpers);
        engine->magic = 0;
        free(engine);
    }
    return NULL;
}

struct query_helpers *query_engine_helpers(const struct query_engine *engine)
{
    TW_CHECK_MAGIC(engine, ENGINE_MAGIC);
    return engine->helpers;
}

struct tsdb_storage *query_engine_storage(struct query_engine *engine)
{
    TW_CHECK_MAGIC(engine, ENGINE_MAGIC);
    return engine->storage;
}

struct query_running *query_engine_running(struct query_engine *engine)
{
    TW_CHECK_MAGIC(engine, ENGINE_MAGIC);
    return engine->options.running;
}

const struct query_options *query_engine_options(const struct query_engine *engine)
{
    TW_CHECK_MAGIC(engine, ENGINE_MAGIC);
    return &engine->options;
}

struct query_result *query_result_free(struct query_result *result)
{
    if (result) {
        struct owned_result *owned = (struct owned_result *)result;
        query_running_return(owned->running, owned->bytes);
        tw_arena_free(owned->arena);
    }
    return NULL;
}

unsigned query_features_parse(struct tw_str names)
{
    static const struct {
        const char *name;
        unsigned features;
    } table[] = {
        {"all-promql", QUERY_FEATURES_ALL & ~QUERY_FEATURE_TYPE_LABELS},
        {"promql-experimental-functions", QUERY_FEATURE_EXPERIMENTAL_FUNCTIONS},
        {"promql-binop-fill-modifiers", QUERY_FEATURE_FILL},
        {"promql-extended-range-selectors", QUERY_FEATURE_EXTENDED_RANGES},
        {"promql-delayed-name-removal", QUERY_FEATURE_DELAYED_NAME_REMOVAL},
        {"type-and-unit-labels", QUERY_FEATURE_TYPE_LABELS},
        {"use-start-timestamps", QUERY_FEATURE_START_TIMESTAMPS},
        {"promql-per-step-stats", QUERY_FEATURE_STEP_STATS},
    };
    unsigned features = 0;
    struct tw_str name;
    while (tw_str_split(&names, ',', &name)) {
        name = tw_str_trim(name);
        for (size_t i = 0; i < sizeof table / sizeof *table; i++)
            if (tw_str_is(name, table[i].name))
                features |= table[i].features;
    }
    return features;
}

/* ---- collecting ---- */
/* Room for more bytes of the result. When it alone is the larger part of what the query holds,
 * smaller slices do not help. */
static enum tw_code reserve_bytes(struct run *run, size_t bytes, struct tw_err *err)
{
    enum tw_code code = query_exec_room(&run->exec, bytes, err);
    if (!code || tw_arena_bytes(run->owned->arena) + bytes <= run->exec.bytes_max / 2)
        return code;
    run->exec.out_of_bytes = false;
    return tw_err_set(err, TW_LIMIT,
                      "the result needs more than the limit of %llu bytes of memory; ask for "
                      "fewer series, a shorter range or larger steps",
                      (unsigned long long)run->exec.bytes_max);
}

static enum tw_code reserve_series(struct run *run, size_t more, size_t bytes, struct tw_err *err)
{
    struct tw_arena *arena = run->owned->arena;
    size_t capacity = run->count + more > run->capacity ? (run->count + more) * 2 : run->capacity;
    if (capacity > run->capacity)
        bytes += capacity * sizeof *run->series;
    enum tw_code code = reserve_bytes(run, bytes, err);
    if (!code && capacity > run->capacity) {
        run->series = tw_arena_grow(arena, run->series, run->capacity * sizeof *run->series,
                                    capacity * sizeof *run->series);
        run->capacity = capacity;
    }
    return code;
}

static struct tw_str keep_text(struct run *run, struct tw_str text)
{
    uint64_t mixed = (uint64_t)(uintptr_t)text.data * UINT64_C(0x9e3779b97f4a7c15);
    struct kept_text *kept = &run->kept[mixed >> 56];
    if (text.size == 0)
        return TW_STR("");
    if (kept->from != text.data || kept->copy.size != text.size)
        *kept = (struct kept_text){text.data, tw_arena_str(run->owned->arena, text)};
    return kept->copy;
}

/* Labels of a hundred thousand series have few different texts. */
static struct wire_labels keep_labels(struct run *run, struct wire_labels labels)
{
    struct wire_label *items = TW_ARENA_ARRAY(run->owned->arena, struct wire_label, labels.count);
    for (size_t i = 0; i < labels.count; i++) {
        items[i].name = keep_text(run, labels.items[i].name);
        items[i].value = keep_text(run, labels.items[i].value);
    }
    return (struct wire_labels){items, labels.count};
}

/* Steps that share a histogram share its copy, and neighbours of one layout their numbers. */
static void collect_histograms(struct run *run, const struct query_op *op,
                               const struct query_tile *tile, size_t row, size_t count,
                               struct query_series *series)
{
    struct tw_arena *arena = run->owned->arena;
    struct query_histogram_point *points = tw_arena_alloc(arena, count * sizeof *points);
    const struct query_histogram *source = NULL, *copy = NULL;
    size_t at = 0;
    for (size_t s = 0; s < tile->stride; s++) {
        const struct query_histogram *histogram = query_tile_histogram(tile, row, s);
        if (!histogram)
            continue;
        if (histogram != source)
            copy = query_histogram_copy(arena, histogram, source, copy);
        source = histogram;
        points[at++] = (struct query_histogram_point){query_grid_time(&op->grid, s), copy};
    }
    series->histograms = points;
    series->histogram_count = count;
}

static enum tw_code collect_row(struct run *run, const struct query_op *op,
                                const struct query_tile *tile, size_t row, struct tw_err *err)
{
    const uint64_t *present = tile->present + row * tile->words;
    const double *values = tile->values + row * tile->stride;
    size_t count = 0;
    size_t histograms = 0;
    for (size_t w = 0; w < tile->words; w++)
        count += (size_t)__builtin_popcountll(present[w]);
    for (size_t s = 0; tile->histograms && s < tile->stride; s++)
        histograms += query_tile_histogram(tile, row, s) != NULL;
    if (count + histograms == 0)
        return TW_OK;
    enum tw_code code = reserve_series(run, 1,
                                       count * sizeof(struct query_point) +
                                           histograms * sizeof(struct query_histogram_point),
                                       err);
    if (code)
        return code;
    struct query_point *points = tw_arena_alloc(run->owned->arena, count * sizeof *points);
    size_t at = 0;
    QUERY_EACH_STEP(s, present, tile->stride)
    points[at++] = (struct query_point){query_grid_time(&op->grid, s), values[s]};
    struct query_series *series = &run->series[run->count++];
    *series = (struct query_series){.labels = keep_labels(run, op->labels[tile->first + row]),
                                    .points = points,
                                    .count = count};
    if (histograms > 0)
        collect_histograms(run, op, tile, row, histograms, series);
    return TW_OK;
}

static enum tw_code run_slice(struct run *run, struct query_plan *plan, struct query_grid grid,
                              struct tw_err *err)
{
    struct query_tile tile = {.count = 1};
    tw_arena_reset(run->slice_arena);
    run->exec.out_of_bytes = false;
    run->exec.slice++;
    memset(run->kept, 0, KEPT_TEXTS * sizeof *run->kept); /* its texts may be gone */
    enum tw_code code = query_op_open(plan->root, &run->exec, grid, err);
    while (!code && tile.count > 0) {
        code = query_op_next(plan->root, &run->exec, &tile, err);
        for (size_t row = 0; !code && row < tile.count; row++)
            code = collect_row(run, plan->root, &tile, row, err);
    }
    query_plan_stop(plan); /* the slice's memory is used again */
    return code;
}

/* Into so many slices steps are parted that do not fit. Each trial may be long: few are better than
 * slices that just fit. */
#define SLICES 4

static enum tw_code run_plan(struct run *run, const struct query_node *node, struct query_grid grid,
                             struct tw_err *err)
{
    struct query_plan plan;
    size_t done = 0, slice = grid.steps;
    enum tw_code code = TW_OK;
    query_plan_init(&plan, run->plan_arena, &run->exec, node, grid.start_ms,
                    query_grid_time(&grid, grid.steps - 1));
    run->exec.selections = plan.selections;
    while (!code && done < grid.steps) {
        struct query_grid part = {query_grid_time(&grid, done), grid.step_ms,
                                  slice < grid.steps - done ? slice : grid.steps - done};
        size_t before = run->count;
        code = run_slice(run, &plan, part, err);
        if (code == TW_LIMIT && run->exec.out_of_bytes && part.steps > 1) {
            run->count = before;
            slice = (part.steps + SLICES - 1) / SLICES;
            code = TW_OK;
        } else {
            done += part.steps;
        }
    }
    query_plan_fini(&plan);
    run->exec.selections = NULL;
    return code;
}

/* ---- ordering ---- */
static int64_t first_time(const struct query_series *series)
{
    if (series->histogram_count == 0)
        return series->points[0].time_ms;
    if (series->count == 0 || series->histograms[0].time_ms < series->points[0].time_ms)
        return series->histograms[0].time_ms;
    return series->points[0].time_ms;
}

static int compare_series(const void *left, const void *right)
{
    const struct query_series *a = left, *b = right;
    int order = wire_labels_compare(a->labels, b->labels);
    if (order)
        return order;
    int64_t first = first_time(a), second = first_time(b);
    return (first > second) - (first < second);
}

/* The slices of one series as one. */
static enum tw_code join_slices(struct run *run, const struct query_series *slices,
                                size_t slice_count, struct query_series *ret, struct tw_err *err)
{
    struct query_series joined = slices[0];
    joined.count = joined.histogram_count = 0;
    for (size_t i = 0; i < slice_count; i++) {
        joined.count += slices[i].count;
        joined.histogram_count += slices[i].histogram_count;
    }
    enum tw_code code =
        reserve_bytes(run,
                      joined.count * sizeof(struct query_point) +
                          joined.histogram_count * sizeof(struct query_histogram_point),
                      err);
    if (code)
        return code;
    struct query_point *points =
        TW_ARENA_ARRAY(run->owned->arena, struct query_point, joined.count);
    struct query_histogram_point *histograms =
        TW_ARENA_ARRAY(run->owned->arena, struct query_histogram_point, joined.histogram_count);
    joined.points = points;
    joined.histograms = histograms;
    for (size_t i = 0; i < slice_count; i++) {
        if (slices[i].count)
            memcpy(points, slices[i].points, slices[i].count * sizeof *points);
        if (slices[i].histogram_count)
            memcpy(histograms, slices[i].histograms,
                   slices[i].histogram_count * sizeof *histograms);
        points += slices[i].count;
        histograms += slices[i].histogram_count;
    }
    *ret = joined;
    return TW_OK;
}

/* Sorts by labels and joins the slices of one series. */
static enum tw_code sort_and_join(struct run *run, struct tw_err *err)
{
    size_t kept = 0;
    enum tw_code code = TW_OK;
    if (run->count == 0)
        return TW_OK;
    qsort(run->series, run->count, sizeof *run->series, compare_series);
    for (size_t first = 0, limit; first < run->count; first = limit) {
        for (limit = first + 1; limit < run->count && wire_labels_equal(run->series[first].labels,
                                                                        run->series[limit].labels);)
            limit++;
        struct query_series joined = run->series[first];
        if (limit > first + 1)
            code = join_slices(run, run->series + first, limit - first, &joined, err);
        if (code)
            return code;
        run->series[kept++] = joined;
    }
    run->count = kept;
    return TW_OK;
}

static enum tw_code order_matrix(struct run *run, struct tw_err *err)
{
    int64_t started_ns = tw_clock_mono_ns(run->exec.context->clock);
    enum tw_code code = sort_and_join(run, err);
    run->timings.sort_ns = tw_clock_mono_ns(run->exec.context->clock) - started_ns;
    return code;
}

/* ---- ranges as results: a range selector or subquery asked for at one time ---- */
static void collect_samples(struct run *run, const struct query_samples *samples,
                            struct wire_labels labels)
{
    struct tw_arena *arena = run->owned->arena;
    struct query_point *points = TW_ARENA_ARRAY(arena, struct query_point, samples->count);
    struct query_histogram_point *histograms =
        TW_ARENA_ARRAY(arena, struct query_histogram_point, samples->histogram_count);
    const struct query_histogram *source = NULL, *copy = NULL;
    for (size_t k = 0; k < samples->count; k++)
        points[k] = (struct query_point){samples->times_ms[k], samples->values[k]};
    for (size_t k = 0; k < samples->histogram_count; k++) {
        copy = query_histogram_copy(arena, samples->histograms[k], source, copy);
        source = samples->histograms[k];
        histograms[k] = (struct query_histogram_point){samples->histogram_times_ms[k], copy};
    }
    run->series[run->count++] = (struct query_series){.labels = wire_labels_copy(arena, labels),
                                                      .points = points,
                                                      .count = samples->count,
                                                      .histograms = histograms,
                                                      .histogram_count = samples->histogram_count};
}

static enum tw_code run_raw(struct run *run, const struct query_node *node, int64_t time_ms,
                            struct tw_err *err)
{
    const struct query_node *selector = node->matrix.selector;
    struct query_source source = {0};
    struct query_op holder = {0}; /* of the histograms, series by series */
    const struct query_samples *samples = &source.samples;
    int64_t start_ms = time_ms, end_ms = time_ms;
    query_modifiers_apply(&selector->selector.modifiers, &run->exec, &start_ms, &end_ms);
    start_ms = end_ms - node->matrix.range_ms;
    const struct tsdb_hints hints = {.range_ms = node->matrix.range_ms};
    enum tw_code code =
        query_source_open(&source, &run->exec, selector, start_ms, end_ms, &hints, err);
    size_t count = code ? 0 : tsdb_selection_count(source.selection);
    for (size_t i = 0; !code && i < count; i++) {
        query_op_side_reset(&holder);
        code = query_source_read(&source, &holder, &run->exec, i, start_ms, end_ms, false, err);
        if (code || samples->count + samples->histogram_count == 0)
            continue;
        code = reserve_series(run, 1,
                              samples->count * sizeof(struct query_point) +
                                  samples->histogram_count * sizeof(struct query_histogram_point),
                              err);
        query_tally_raw(&run->exec, samples->count + samples->histogram_count);
        if (!code)
            collect_samples(run, samples, tsdb_selection_labels(source.selection, i));
    }
    query_source_close(&source);
    query_op_side_fini(&holder);
    return code;
}

static enum tw_code run_subquery(struct run *run, const struct query_node *node, int64_t time_ms,
                                 struct tw_err *err)
{
    struct query_grid grid;
    int64_t start_ms = time_ms, end_ms = time_ms;
    query_modifiers_apply(&node->subquery.modifiers, &run->exec, &start_ms, &end_ms);
    if (!query_subquery_grid(node, run->exec.subquery_step_ms, end_ms, end_ms, &grid))
        return TW_OK;
    run->exec.instant = false;
    return run_plan(run, node->subquery.inner, grid, err);
}

/* ---- a whole query ---- */
static uint64_t smaller_limit(uint64_t a, uint64_t b)
{
    return b && b < a ? b : a;
}

static void begin(struct run *run, const struct tw_context *context, int64_t start_ms,
                  int64_t end_ms, int64_t step_ms)
{
    struct query_engine *engine = run->engine;
    struct tw_arena *arena = tw_arena_new(4096);
    run->owned = TW_ARENA_NEW(arena, struct owned_result);
    run->owned->arena = arena;
    run->plan_arena = tw_arena_new(4096);
    run->slice_arena = tw_arena_new(65536);
    run->kept = TW_ARENA_ARRAY(run->plan_arena, struct kept_text, KEPT_TEXTS);
    query_annotations_init(&run->annotations, arena, run->ast->text);
    int64_t now_ns = run->begun_ns = tw_clock_mono_ns(context->clock);
    run->exec = (struct query_exec){
        .storage = engine->storage,
        .context = context,
        .ast = run->ast,
        .arena = run->slice_arena,
        .result_arena = arena,
        .kept = engine->options.kept,
        .holidays = engine->options.kept ? query_kept_holidays(engine->options.kept) : NULL,
        .renews_max = engine->options.renews_max,
        .helpers = engine->helpers,
        .ticket = &run->ticket,
        .annotations = &run->annotations,
        .start_ms = start_ms,
        .end_ms = end_ms,
        .step_ms = step_ms,
        .delays_names = engine->options.features & QUERY_FEATURE_DELAYED_NAME_REMOVAL,
        .reads_types = engine->options.features & QUERY_FEATURE_TYPE_LABELS,
        .has_starts = engine->options.features & QUERY_FEATURE_START_TIMESTAMPS,
        .deadline_mono_ns = now_ns + engine->options.timeout_ms * 1000000,
        .lookback_ms = engine->options.lookback_ms,
        .now_ms = tw_clock_wall_ms(context->clock),
        .subquery_step_ms = QUERY_SUBQUERY_STEP_MS,
        .samples_max =
            smaller_limit(engine->options.samples_max, context->limits.query_samples_max),
        .bytes_max = smaller_limit(engine->options.bytes_max, context->limits.query_bytes_max),
    };
    query_ticket_begin(&run->ticket, engine->options.running,
                       &(struct query_account){.text = run->ast->text,
                                               .origin = context->origin.size ? context->origin
                                                                              : context->principal,
                                               .start_ms = start_ms,
                                               .end_ms = end_ms,
                                               .step_ms = step_ms});
}

static void finish(struct run *run, enum query_result_type type)
{
    struct query_result *result = &run->owned->result;
    struct query_annotation_list *lists = run->annotations.lists;
    result->type = type;
    result->series = run->series;
    result->count = run->count;
    result->warnings = lists[QUERY_WARNING].items;
    result->warning_count = lists[QUERY_WARNING].count;
    result->infos = lists[QUERY_INFO].items;
    result->info_count = lists[QUERY_INFO].count;
    result->truncated = lists[QUERY_WARNING].dropped + lists[QUERY_INFO].dropped;
    result->samples_read = run->exec.samples_read;
    result->tally = run->exec.tally;
    if (!result->tally)
        return;
    result->peak_samples = result->tally->series_peak;
    for (size_t i = 0; i < run->count; i++)
        result->peak_samples += run->series[i].count + run->series[i].histogram_count;
}

static enum tw_code end(struct run *run, enum tw_code code, int64_t started_ns,
                        struct query_result **ret_result)
{
    struct query_engine *engine = run->engine;
    if (run->owned) {
        /* For the account; it is too late to refuse. */
        (void)!query_ticket_report(
            &run->ticket, run->exec.samples_read,
            tw_arena_bytes(run->slice_arena) + tw_arena_bytes(run->owned->arena), NULL);
        tw_metric_add(engine->samples, run->exec.samples_read);
        tw_metric_observe(engine->seconds,
                          (double)(tw_clock_mono_ns(run->exec.context->clock) - started_ns) / 1e9);
        forecast_holidays_unref(run->exec.holidays);
        tw_arena_free(run->plan_arena);
        tw_arena_free(run->slice_arena);
        struct owned_result *owned = run->owned;
        owned->running = engine->options.running;
        owned->bytes = code ? 0 : tw_arena_bytes(owned->arena);
        query_ticket_end(&run->ticket, code, owned->bytes);
        int64_t now_ns = tw_clock_mono_ns(run->exec.context->clock);
        owned->result.timings = (struct query_timings){
            .prepare_ns = run->begun_ns - started_ns,
            .evaluate_ns = now_ns - run->begun_ns - run->timings.sort_ns,
            .sort_ns = run->timings.sort_ns,
        };
        if (!code)
            *ret_result = &owned->result;
        else
            tw_arena_free(owned->arena);
    }
    query_ast_free(run->ast);
    tw_metric_add(engine->queries, 1);
    if (code)
        tw_metric_add(engine->failures, 1);
    return code;
}

static enum tw_code run_instant(struct run *run, int64_t time_ms, struct tw_err *err)
{
    const struct query_node *root = query_node_unwrap(run->ast->root);
    enum tw_code code;
    run->exec.instant = true;
    switch (root->type) {
    case QUERY_NODE_STRING:
        run->owned->result.string = tw_arena_str(run->owned->arena, root->string);
        code = reserve_series(run, 1, 0, err);
        if (!code) {
            struct query_point *point = TW_ARENA_NEW(run->owned->arena, struct query_point);
            point->time_ms = time_ms;
            run->series[run->count++] = (struct query_series){.points = point, .count = 1};
            finish(run, QUERY_STRING);
        }
        return code;
    case QUERY_NODE_MATRIX:
    case QUERY_NODE_SUBQUERY:
        code = root->type == QUERY_NODE_MATRIX ? run_raw(run, root, time_ms, err)
                                               : run_subquery(run, root, time_ms, err);
        if (!code)
            code = order_matrix(run, err);
        if (!code)
            finish(run, QUERY_MATRIX);
        return code;
    default:
        code = run_plan(run, run->ast->root, (struct query_grid){time_ms, 1, 1}, err);
        if (!code)
            finish(run,
                   run->ast->root->value_type == QUERY_TYPE_SCALAR ? QUERY_SCALAR : QUERY_VECTOR);
        return code;
    }
}

static enum tw_code begin_tally(struct run *run, size_t steps, struct tw_err *err)
{
    size_t bytes;
    if (__builtin_mul_overflow(steps, sizeof(uint64_t), &bytes))
        bytes = SIZE_MAX / 2;
    enum tw_code code = reserve_bytes(run, bytes, err);
    if (!code)
        run->exec.tally = query_tally_new(run->owned->arena, run->exec.start_ms, run->exec.end_ms,
                                          run->exec.step_ms);
    return code;
}

static enum tw_code check_range_type(const struct query_ast *ast, struct tw_err *err)
{
    enum query_value_type type = ast->root->value_type;
    if (type == QUERY_TYPE_SCALAR || type == QUERY_TYPE_VECTOR)
        return TW_OK;
    return tw_err_set(err, TW_BAD_DATA,
                      "invalid expression type \"%s\" for range query, must be Scalar or instant "
                      "Vector",
                      query_value_type_name(type));
}

/* Parses, and works out durations that are expressions. */
static enum tw_code prepare(struct run *run, const struct tw_context *context,
                            const struct query_request *request, size_t steps, struct tw_err *err)
{
    uint64_t points_max = context->limits.query_points_max;
    enum tw_code code = query_parse(request->text, run->engine->options.features, &run->ast, err);
    if (!code && request->step_ms)
        code = check_range_type(run->ast, err);
    if (!code)
        code =
            query_ast_resolve(run->ast, request->step_ms, request->end_ms - request->start_ms, err);
    if (!code && points_max && request->step_ms && steps > points_max)
        code = tw_err_set(err, TW_LIMIT,
                          "%llu steps are more than the limit of %llu; use a larger step",
                          (unsigned long long)steps, (unsigned long long)points_max);
    return code;
}

static enum tw_code run_range(struct run *run, const struct query_request *request, size_t steps,
                              struct tw_err *err)
{
    enum tw_code code = run_plan(
        run, run->ast->root, (struct query_grid){request->start_ms, request->step_ms, steps}, err);
    if (!code)
        code = order_matrix(run, err);
    if (!code)
        finish(run, QUERY_MATRIX);
    return code;
}

enum tw_code query_run(struct query_engine *engine, const struct tw_context *context,
                       const struct query_request *request, struct query_result **ret_result,
                       struct tw_err *err)
{
    TW_CHECK_MAGIC(engine, ENGINE_MAGIC);
    TW_ASSERT(request->step_ms >= 0 && request->end_ms >= request->start_ms);
    struct run run = {.engine = engine};
    int64_t started_ns = tw_clock_mono_ns(context->clock);
    uint64_t steps = 1;
    if (request->step_ms)
        steps += (uint64_t)(request->end_ms - request->start_ms) / (uint64_t)request->step_ms;
    enum tw_code code = prepare(&run, context, request, steps, err);
    if (!code) {
        query_propagate(run.ast);
        begin(&run, context, request->start_ms, request->end_ms, request->step_ms);
        run.exec.batch = request->batch;
        if (request->is_tallied)
            code = begin_tally(&run, steps, err);
    }
    if (!code)
        code = request->step_ms ? run_range(&run, request, steps, err)
                                : run_instant(&run, request->end_ms, err);
    return end(&run, code, started_ns, ret_result);
}

enum tw_code query_instant(struct query_engine *engine, const struct tw_context *context,
                           struct tw_str text, int64_t time_ms, struct query_result **ret_result,
                           struct tw_err *err)
{
    const struct query_request request = {.text = text, .start_ms = time_ms, .end_ms = time_ms};
    return query_run(engine, context, &request, ret_result, err);
}

enum tw_code query_range(struct query_engine *engine, const struct tw_context *context,
                         struct tw_str text, int64_t start_ms, int64_t end_ms, int64_t step_ms,
                         struct query_result **ret_result, struct tw_err *err)
{
    const struct query_request request = {
        .text = text, .start_ms = start_ms, .end_ms = end_ms, .step_ms = step_ms};
    TW_ASSERT(step_ms > 0);
    return query_run(engine, context, &request, ret_result, err);
}

/* ---- without running ---- */
enum tw_code query_check(struct tw_str text, struct tw_err *err)
{
    struct query_ast *ast;
    enum tw_code code = query_parse(text, QUERY_FEATURES_ALL, &ast, err);
    if (!code)
        query_ast_free(ast);
    return code;
}

enum tw_code query_parse_any_selector(struct tw_str text, struct tw_arena *arena,
                                      struct tsdb_matcher **ret_matchers, size_t *ret_count,
                                      struct tw_err *err)
{
    struct query_ast *ast;
    enum tw_code code = query_parse_lone_selector(text, &ast, err);
    if (code)
        return code;
    const struct query_node *node = ast->root;
    size_t count = node->selector.matcher_count;
    struct tsdb_matcher *matchers = TW_ARENA_ARRAY(arena, struct tsdb_matcher, count);
    for (size_t i = 0; i < count; i++) {
        matchers[i] = node->selector.matchers[i];
        matchers[i].name = tw_arena_str(arena, matchers[i].name);
        matchers[i].value = tw_arena_str(arena, matchers[i].value);
        node->selector.matchers[i].regex = NULL; /* it is the caller's now */
    }
    query_ast_free(ast);
    *ret_matchers = matchers;
    *ret_count = count;
    return TW_OK;
}

static enum tw_code parse_restricting(struct tw_str text, struct tw_arena *arena,
                                      struct tsdb_matcher **ret_matchers, size_t *ret_count,
                                      const char *otherwise, struct tw_err *err)
{
    enum tw_code code = query_parse_any_selector(text, arena, ret_matchers, ret_count, err);
    if (code)
        return code;
    for (size_t i = 0; i < *ret_count; i++)
        if (!tsdb_matcher_matches(&(*ret_matchers)[i], (struct tw_str){0}))
            return TW_OK;
    for (size_t i = 0; i < *ret_count; i++)
        tsdb_matcher_fini(&(*ret_matchers)[i]);
    return tw_err_set(err, TW_SYNTAX, "%s", otherwise);
}

enum tw_code query_parse_selector(struct tw_str text, struct tw_arena *arena,
                                  struct tsdb_matcher **ret_matchers, size_t *ret_count,
                                  struct tw_err *err)
{
    return parse_restricting(
        text, arena, ret_matchers, ret_count,
        "1:1: parse error: vector selector must contain at least one non-empty matcher", err);
}

enum tw_code query_parse_match(struct tw_str text, struct tw_arena *arena,
                               struct tsdb_matcher **ret_matchers, size_t *ret_count,
                               struct tw_err *err)
{
    return parse_restricting(text, arena, ret_matchers, ret_count,
                             "match[] must contain at least one non-empty matcher", err);
}
