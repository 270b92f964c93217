/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/lib/memory_storage.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/lock.h"

#define LABELS_MAX 64

struct stored {
    struct wire_labels labels;
    int64_t *times_ms;
    double *values;
    const struct wire_histogram **histograms; /* NULL: a float */
    size_t count, capacity;
    struct wire_exemplar *exemplars; /* ascending */
    size_t exemplar_count;
};

struct memory_storage {
    struct tsdb_storage base;
    struct tw_lock lock;
    struct tw_arena *arena; /* labels and metadata */
    struct stored *series;  /* sorted by labels */
    size_t count, capacity;
    struct tsdb_metadata *metadata; /* sorted by metric */
    size_t metadata_count;
    size_t column_max;
    atomic_int fail_select, fail_append; /* enum tw_code; set while others read and write */
};

struct memory_selection {
    struct tsdb_selection base;
    struct tw_arena *arena;
    struct stored *series; /* copies */
    size_t count;
    size_t column_max;
};

struct memory_cursor {
    struct tsdb_cursor base;
    struct memory_selection *selection;
    size_t series, at, limit;
};

static void *grow(void *old, size_t bytes)
{
    void *new = realloc(old, bytes);
    TW_ASSERT(new != NULL);
    return new;
}

/* ---- writing ---- */
static struct stored *find_or_insert(struct memory_storage *storage, struct wire_labels labels)
{
    size_t low = 0, high = storage->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = wire_labels_compare(storage->series[middle].labels, labels);
        if (order == 0)
            return &storage->series[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (storage->count == storage->capacity) {
        storage->capacity = storage->capacity ? storage->capacity * 2 : 16;
        storage->series = grow(storage->series, storage->capacity * sizeof *storage->series);
    }
    memmove(storage->series + low + 1, storage->series + low,
            (storage->count - low) * sizeof *storage->series);
    storage->count++;
    storage->series[low] = (struct stored){.labels = wire_labels_copy(storage->arena, labels)};
    return &storage->series[low];
}

/* histogram NULL: a float; it lives as long as the storage. */
static void store_sample(struct stored *series, int64_t time_ms, double value,
                         const struct wire_histogram *histogram)
{
    size_t at = series->count;
    while (at > 0 && series->times_ms[at - 1] > time_ms)
        at--;
    if (at > 0 && series->times_ms[at - 1] == time_ms) {
        series->values[at - 1] = value;
        series->histograms[at - 1] = histogram;
        return;
    }
    if (series->count == series->capacity) {
        series->capacity = series->capacity ? series->capacity * 2 : 16;
        series->times_ms = grow(series->times_ms, series->capacity * sizeof(int64_t));
        series->values = grow(series->values, series->capacity * sizeof(double));
        series->histograms =
            grow(series->histograms, series->capacity * sizeof *series->histograms);
    }
    memmove(series->times_ms + at + 1, series->times_ms + at,
            (series->count - at) * sizeof(int64_t));
    memmove(series->values + at + 1, series->values + at, (series->count - at) * sizeof(double));
    memmove(series->histograms + at + 1, series->histograms + at,
            (series->count - at) * sizeof *series->histograms);
    series->times_ms[at] = time_ms;
    series->values[at] = value;
    series->histograms[at] = histogram;
    series->count++;
}

static enum tw_code check_append(const struct memory_storage *storage, struct tw_err *err)
{
    enum tw_code fail = (enum tw_code)storage->fail_append;
    return fail == TW_OK ? TW_OK : tw_err_set(err, fail, "appending was made to fail");
}

static enum tw_code append(struct tsdb_storage *base, const struct tw_context *context,
                           const struct tsdb_sample *samples, size_t count, struct tw_err *err)
{
    struct memory_storage *storage = (struct memory_storage *)base;
    (void)context;
    enum tw_code code = check_append(storage, err);
    if (code != TW_OK)
        return code;
    tw_lock_take(&storage->lock);
    for (size_t i = 0; i < count; i++)
        store_sample(find_or_insert(storage, samples[i].labels), samples[i].time_ms,
                     samples[i].value, NULL);
    tw_lock_release(&storage->lock);
    return TW_OK;
}

/* The first refused item is the one to tell; the others are taken. */
static enum tw_code note_refused(enum tw_code before, const struct tw_err *why, struct tw_err *err)
{
    if (before == TW_OK && err)
        *err = *why;
    return TW_BAD_DATA;
}

static enum tw_code append_histograms(struct tsdb_storage *base, const struct tw_context *context,
                                      const struct tsdb_histogram_sample *samples, size_t count,
                                      struct tw_err *err)
{
    struct memory_storage *storage = (struct memory_storage *)base;
    (void)context;
    enum tw_code code = check_append(storage, err);
    if (code != TW_OK)
        return code;
    tw_lock_take(&storage->lock);
    for (size_t i = 0; i < count; i++) {
        struct tw_err why;
        if (wire_histogram_check(samples[i].histogram, &why) != TW_OK) {
            code = note_refused(code, &why, err);
            continue;
        }
        store_sample(find_or_insert(storage, samples[i].labels), samples[i].histogram->time_ms, 0,
                     wire_histogram_copy(storage->arena, samples[i].histogram));
    }
    tw_lock_release(&storage->lock);
    return code;
}

static void store_exemplar(struct memory_storage *storage, struct stored *series,
                           const struct wire_exemplar *exemplar)
{
    size_t at = series->exemplar_count;
    while (at > 0 && wire_exemplar_compare(&series->exemplars[at - 1], exemplar) > 0)
        at--;
    if (at > 0 && wire_exemplar_equal(&series->exemplars[at - 1], exemplar))
        return;
    series->exemplars =
        grow(series->exemplars, (series->exemplar_count + 1) * sizeof *series->exemplars);
    memmove(series->exemplars + at + 1, series->exemplars + at,
            (series->exemplar_count - at) * sizeof *series->exemplars);
    series->exemplars[at] = *exemplar;
    series->exemplars[at].labels = wire_labels_copy(storage->arena, exemplar->labels);
    series->exemplar_count++;
}

static enum tw_code append_exemplars(struct tsdb_storage *base, const struct tw_context *context,
                                     const struct tsdb_exemplar_sample *samples, size_t count,
                                     struct tw_err *err)
{
    struct memory_storage *storage = (struct memory_storage *)base;
    (void)context;
    enum tw_code code = check_append(storage, err);
    if (code != TW_OK)
        return code;
    tw_lock_take(&storage->lock);
    for (size_t i = 0; i < count; i++) {
        struct tw_err why;
        if (wire_exemplar_check(&samples[i].exemplar, &why) == TW_OK) {
            store_exemplar(storage, find_or_insert(storage, samples[i].labels),
                           &samples[i].exemplar);
            continue;
        }
        code = note_refused(code, &why, err);
    }
    tw_lock_release(&storage->lock);
    return code;
}

static enum tw_code append_metadata(struct tsdb_storage *base, const struct tw_context *context,
                                    const struct tsdb_metadata *items, size_t count,
                                    struct tw_err *err)
{
    struct memory_storage *storage = (struct memory_storage *)base;
    (void)context;
    (void)err;
    tw_lock_take(&storage->lock);
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < storage->metadata_count &&
               tw_str_compare(storage->metadata[at].metric, items[i].metric) < 0)
            at++;
        if (at == storage->metadata_count ||
            !tw_str_equal(storage->metadata[at].metric, items[i].metric)) {
            storage->metadata =
                grow(storage->metadata, (storage->metadata_count + 1) * sizeof *storage->metadata);
            memmove(storage->metadata + at + 1, storage->metadata + at,
                    (storage->metadata_count - at) * sizeof *storage->metadata);
            storage->metadata_count++;
        }
        storage->metadata[at] =
            (struct tsdb_metadata){.metric = tw_arena_str(storage->arena, items[i].metric),
                                   .type = tw_arena_str(storage->arena, items[i].type),
                                   .help = tw_arena_str(storage->arena, items[i].help),
                                   .unit = tw_arena_str(storage->arena, items[i].unit)};
    }
    tw_lock_release(&storage->lock);
    return TW_OK;
}

/* ---- reading ---- */
static bool matches(struct wire_labels labels, const struct tsdb_matcher *matchers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!tsdb_matcher_matches(&matchers[i], wire_labels_get(labels, matchers[i].name)))
            return false;
    return true;
}

/* Range [first, limit) of the samples in the closed interval. */
static void find_range(const struct stored *series, int64_t start_ms, int64_t end_ms,
                       size_t *ret_first, size_t *ret_limit)
{
    size_t first = 0, limit = series->count;
    while (first < limit && series->times_ms[first] < start_ms)
        first++;
    while (limit > first && series->times_ms[limit - 1] > end_ms)
        limit--;
    *ret_first = first;
    *ret_limit = limit;
}

static bool is_selected(const struct stored *series, const struct tw_context *context,
                        const struct tsdb_matcher *matchers, size_t matcher_count, int64_t start_ms,
                        int64_t end_ms)
{
    size_t first, limit;
    find_range(series, start_ms, end_ms, &first, &limit);
    return first < limit && matches(series->labels, matchers, matcher_count) &&
           matches(series->labels, context->scope, context->scope_count);
}

static void selection_close(struct tsdb_selection *base)
{
    struct memory_selection *selection = (struct memory_selection *)base;
    tw_arena_free(selection->arena);
    free(selection);
}

static void copy_series(struct memory_selection *selection, const struct stored *source,
                        int64_t start_ms, int64_t end_ms)
{
    struct stored *target = &selection->series[selection->count++];
    size_t first, limit;
    find_range(source, start_ms, end_ms, &first, &limit);
    target->labels = wire_labels_copy(selection->arena, source->labels);
    target->count = limit - first;
    target->times_ms = TW_ARENA_ARRAY(selection->arena, int64_t, target->count);
    target->values = TW_ARENA_ARRAY(selection->arena, double, target->count);
    memcpy(target->times_ms, source->times_ms + first, target->count * sizeof(int64_t));
    memcpy(target->values, source->values + first, target->count * sizeof(double));
    target->histograms =
        TW_ARENA_ARRAY(selection->arena, const struct wire_histogram *, target->count);
    for (size_t i = 0; i < target->count; i++)
        if (source->histograms[first + i])
            target->histograms[i] =
                wire_histogram_copy(selection->arena, source->histograms[first + i]);
}

static enum tw_code open_selection(struct tsdb_storage *base, const struct tw_context *context,
                                   const struct tsdb_matcher *matchers, size_t matcher_count,
                                   int64_t start_ms, int64_t end_ms, const struct tsdb_hints *hints,
                                   struct tsdb_selection **ret_selection, struct tw_err *err)
{
    struct memory_storage *storage = (struct memory_storage *)base;
    (void)hints;
    enum tw_code fail = (enum tw_code)storage->fail_select;
    if (fail)
        return tw_err_set(err, fail, "selecting was made to fail");
    struct memory_selection *selection = calloc(1, sizeof *selection);
    TW_ASSERT(selection != NULL);
    selection->base.ops = base->ops;
    selection->arena = tw_arena_new(4096);
    tw_lock_take(&storage->lock);
    selection->column_max = storage->column_max;
    selection->series = TW_ARENA_ARRAY(selection->arena, struct stored, storage->count);
    for (size_t i = 0; i < storage->count; i++)
        if (is_selected(&storage->series[i], context, matchers, matcher_count, start_ms, end_ms))
            copy_series(selection, &storage->series[i], start_ms, end_ms);
    tw_lock_release(&storage->lock);
    if (context->limits.query_series_max && selection->count > context->limits.query_series_max) {
        selection_close(&selection->base);
        return tw_err_set(err, TW_LIMIT, "the selector matches more than %llu series",
                          (unsigned long long)context->limits.query_series_max);
    }
    *ret_selection = &selection->base;
    return TW_OK;
}

static size_t selection_count(const struct tsdb_selection *base)
{
    return ((const struct memory_selection *)base)->count;
}

static struct wire_labels selection_labels(const struct tsdb_selection *base, size_t index)
{
    return ((const struct memory_selection *)base)->series[index].labels;
}

static enum tw_code cursor_open(struct tsdb_selection *base, struct tsdb_cursor **ret_cursor,
                                struct tw_err *err)
{
    (void)err;
    struct memory_cursor *cursor = calloc(1, sizeof *cursor);
    TW_ASSERT(cursor != NULL);
    cursor->base.ops = base->ops;
    cursor->selection = (struct memory_selection *)base;
    *ret_cursor = &cursor->base;
    return TW_OK;
}

static void cursor_close(struct tsdb_cursor *cursor)
{
    free(cursor);
}

static void cursor_seek(struct tsdb_cursor *base, size_t series_index, int64_t start_ms,
                        int64_t end_ms)
{
    struct memory_cursor *cursor = (struct memory_cursor *)base;
    TW_ASSERT(series_index < cursor->selection->count);
    cursor->series = series_index;
    find_range(&cursor->selection->series[series_index], start_ms, end_ms, &cursor->at,
               &cursor->limit);
}

static enum tsdb_kind kind_at(const struct stored *series, size_t at)
{
    const struct wire_histogram *histogram = series->histograms[at];
    return !histogram            ? TSDB_KIND_FLOAT
           : histogram->is_float ? TSDB_KIND_FLOAT_HISTOGRAM
                                 : TSDB_KIND_HISTOGRAM;
}

static enum tw_code cursor_next(struct tsdb_cursor *base, struct tsdb_column *ret_column,
                                struct tw_err *err)
{
    struct memory_cursor *cursor = (struct memory_cursor *)base;
    const struct stored *series = &cursor->selection->series[cursor->series];
    (void)err;
    size_t count = cursor->limit - cursor->at;
    if (cursor->selection->column_max && count > cursor->selection->column_max)
        count = cursor->selection->column_max;
    enum tsdb_kind kind = count ? kind_at(series, cursor->at) : TSDB_KIND_FLOAT;
    for (size_t i = 1; i < count; i++)
        if (kind_at(series, cursor->at + i) != kind)
            count = i;
    bool is_float = kind == TSDB_KIND_FLOAT;
    *ret_column =
        (struct tsdb_column){.kind = kind,
                             .count = count,
                             .times_ms = series->times_ms + cursor->at,
                             .values = is_float ? series->values + cursor->at : NULL,
                             .histograms = is_float ? NULL : series->histograms + cursor->at};
    cursor->at += count;
    return TW_OK;
}

/* ---- names ---- */
static int compare_strings(const void *a, const void *b)
{
    return tw_str_compare(*(const struct tw_str *)a, *(const struct tw_str *)b);
}

/* Sorted, unique, cut at limit. */
static void finish_strings(struct tw_str *items, size_t count, size_t limit,
                           struct tsdb_strings *ret)
{
    qsort(items, count, sizeof *items, compare_strings);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || !tw_str_equal(items[kept - 1], items[i]))
            items[kept++] = items[i];
    ret->truncated = limit && kept > limit;
    ret->count = ret->truncated ? limit : kept;
    ret->items = items;
}

static void collect(struct memory_storage *storage, const struct tw_context *context,
                    const struct tw_str *value_of, const struct tsdb_selector *selectors,
                    size_t selector_count, int64_t start_ms, int64_t end_ms, size_t limit,
                    struct tw_arena *arena, struct tsdb_strings *ret)
{
    tw_lock_take(&storage->lock);
    struct tw_str *items = TW_ARENA_ARRAY(
        arena, struct tw_str, storage->count * (value_of ? 1 : WIRE_LABELS_COUNT_MAX) + 1);
    size_t count = 0;
    for (size_t i = 0; i < storage->count; i++) {
        const struct stored *series = &storage->series[i];
        bool wanted =
            selector_count == 0 && is_selected(series, context, NULL, 0, start_ms, end_ms);
        for (size_t s = 0; s < selector_count && !wanted; s++)
            wanted = is_selected(series, context, selectors[s].matchers, selectors[s].count,
                                 start_ms, end_ms);
        if (!wanted)
            continue;
        for (size_t l = 0; l < series->labels.count; l++) {
            const struct wire_label *label = &series->labels.items[l];
            if (!value_of)
                items[count++] = tw_arena_str(arena, label->name);
            else if (tw_str_equal(label->name, *value_of))
                items[count++] = tw_arena_str(arena, label->value);
        }
    }
    tw_lock_release(&storage->lock);
    finish_strings(items, count, limit, ret);
}

static enum tw_code label_names(struct tsdb_storage *base, const struct tw_context *context,
                                const struct tsdb_selector *selectors, size_t selector_count,
                                int64_t start_ms, int64_t end_ms, size_t limit,
                                struct tw_arena *arena, struct tsdb_strings *ret,
                                struct tw_err *err)
{
    (void)err;
    collect((struct memory_storage *)base, context, NULL, selectors, selector_count, start_ms,
            end_ms, limit, arena, ret);
    return TW_OK;
}

static enum tw_code label_values(struct tsdb_storage *base, const struct tw_context *context,
                                 struct tw_str name, const struct tsdb_selector *selectors,
                                 size_t selector_count, int64_t start_ms, int64_t end_ms,
                                 size_t limit, struct tw_arena *arena, struct tsdb_strings *ret,
                                 struct tw_err *err)
{
    (void)err;
    collect((struct memory_storage *)base, context, &name, selectors, selector_count, start_ms,
            end_ms, limit, arena, ret);
    return TW_OK;
}

static enum tw_code metadata_list(struct tsdb_storage *base, const struct tw_context *context,
                                  struct tw_str metric, struct tw_arena *arena,
                                  struct tsdb_metadata **ret_items, size_t *ret_count,
                                  struct tw_err *err)
{
    struct memory_storage *storage = (struct memory_storage *)base;
    (void)context;
    (void)err;
    tw_lock_take(&storage->lock);
    struct tsdb_metadata *items =
        TW_ARENA_ARRAY(arena, struct tsdb_metadata, storage->metadata_count);
    size_t count = 0;
    for (size_t i = 0; i < storage->metadata_count; i++) {
        const struct tsdb_metadata *source = &storage->metadata[i];
        if (metric.size == 0 || tw_str_equal(metric, source->metric))
            items[count++] = (struct tsdb_metadata){.metric = tw_arena_str(arena, source->metric),
                                                    .type = tw_arena_str(arena, source->type),
                                                    .help = tw_arena_str(arena, source->help),
                                                    .unit = tw_arena_str(arena, source->unit)};
    }
    tw_lock_release(&storage->lock);
    *ret_items = items;
    *ret_count = count;
    return TW_OK;
}

/* ---- exemplars ---- */
static bool is_chosen(const struct stored *series, const struct tw_context *context,
                      const struct tsdb_selector *selectors, size_t selector_count)
{
    if (!matches(series->labels, context->scope, context->scope_count))
        return false;
    bool chosen = selector_count == 0;
    for (size_t i = 0; i < selector_count && !chosen; i++)
        chosen = matches(series->labels, selectors[i].matchers, selectors[i].count);
    return chosen;
}

static enum tw_code exemplars_select(struct tsdb_storage *base, const struct tw_context *context,
                                     const struct tsdb_selector *selectors, size_t selector_count,
                                     int64_t start_ms, int64_t end_ms, struct tw_arena *arena,
                                     struct tsdb_exemplars **ret_items, size_t *ret_count,
                                     struct tw_err *err)
{
    struct memory_storage *storage = (struct memory_storage *)base;
    enum tw_code fail = (enum tw_code)storage->fail_select;
    if (fail)
        return tw_err_set(err, fail, "selecting was made to fail");
    tw_lock_take(&storage->lock);
    struct tsdb_exemplars *items = TW_ARENA_ARRAY(arena, struct tsdb_exemplars, storage->count);
    size_t count = 0;
    for (size_t i = 0; i < storage->count; i++) {
        const struct stored *series = &storage->series[i];
        if (!is_chosen(series, context, selectors, selector_count))
            continue;
        struct wire_exemplar *copies =
            TW_ARENA_ARRAY(arena, struct wire_exemplar, series->exemplar_count);
        size_t kept = 0;
        for (size_t j = 0; j < series->exemplar_count; j++) {
            const struct wire_exemplar *exemplar = &series->exemplars[j];
            if (exemplar->time_ms < start_ms || exemplar->time_ms > end_ms)
                continue;
            copies[kept] = *exemplar;
            copies[kept++].labels = wire_labels_copy(arena, exemplar->labels);
        }
        if (kept > 0)
            items[count++] =
                (struct tsdb_exemplars){wire_labels_copy(arena, series->labels), copies, kept};
    }
    tw_lock_release(&storage->lock);
    *ret_items = items;
    *ret_count = count;
    return TW_OK;
}

static const struct tsdb_storage_ops memory_ops = {
    .select = open_selection,
    .selection_close = selection_close,
    .selection_count = selection_count,
    .selection_labels = selection_labels,
    .cursor_open = cursor_open,
    .cursor_close = cursor_close,
    .cursor_seek = cursor_seek,
    .cursor_next = cursor_next,
    .label_names = label_names,
    .label_values = label_values,
    .metadata_list = metadata_list,
    .append = append,
    .append_metadata = append_metadata,
    .append_histograms = append_histograms,
    .append_exemplars = append_exemplars,
    .exemplars_select = exemplars_select,
};

/* ---- life ---- */
struct tsdb_storage *memory_storage_new(void)
{
    struct memory_storage *storage = calloc(1, sizeof *storage);
    TW_ASSERT(storage != NULL);
    storage->base.ops = &memory_ops;
    storage->arena = tw_arena_new(4096);
    tw_lock_init(&storage->lock, TW_RANK_STORE, "memory storage");
    return &storage->base;
}

void memory_storage_clear(struct tsdb_storage *base)
{
    struct memory_storage *storage = (struct memory_storage *)base;
    tw_lock_take(&storage->lock);
    for (size_t i = 0; i < storage->count; i++) {
        free(storage->series[i].times_ms);
        free(storage->series[i].values);
        free(storage->series[i].histograms);
        free(storage->series[i].exemplars);
    }
    storage->count = 0;
    storage->metadata_count = 0;
    tw_arena_reset(storage->arena);
    tw_lock_release(&storage->lock);
}

struct tsdb_storage *memory_storage_free(struct tsdb_storage *base)
{
    struct memory_storage *storage = (struct memory_storage *)base;
    if (!storage)
        return NULL;
    memory_storage_clear(base);
    tw_arena_free(storage->arena);
    tw_lock_fini(&storage->lock);
    free(storage->series);
    free(storage->metadata);
    free(storage);
    return NULL;
}

void memory_storage_set_column_max(struct tsdb_storage *storage, size_t samples)
{
    ((struct memory_storage *)storage)->column_max = samples;
}

void memory_storage_fail(struct tsdb_storage *base, enum tw_code select, enum tw_code append_code)
{
    struct memory_storage *storage = (struct memory_storage *)base;
    storage->fail_select = select;
    storage->fail_append = append_code;
}

uint64_t memory_storage_sample_count(struct tsdb_storage *base)
{
    struct memory_storage *storage = (struct memory_storage *)base;
    uint64_t count = 0;
    tw_lock_take(&storage->lock);
    for (size_t i = 0; i < storage->count; i++)
        count += storage->series[i].count;
    tw_lock_release(&storage->lock);
    return count;
}

void memory_storage_add(struct tsdb_storage *base, int64_t time_ms, double value, ...)
{
    struct memory_storage *storage = (struct memory_storage *)base;
    struct wire_label items[LABELS_MAX];
    size_t count = 0;
    va_list pairs;
    va_start(pairs, value);
    for (const char *name; (name = va_arg(pairs, const char *));) {
        TW_ASSERT(count < LABELS_MAX);
        items[count++] = (struct wire_label){tw_str(name), tw_str(va_arg(pairs, const char *))};
    }
    va_end(pairs);
    struct tw_err err;
    TW_ASSERT(wire_labels_canonical(items, &count, &err) == TW_OK);
    tw_lock_take(&storage->lock);
    store_sample(find_or_insert(storage, (struct wire_labels){items, count}), time_ms, value, NULL);
    tw_lock_release(&storage->lock);
}
