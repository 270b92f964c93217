/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/samples.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/number.h"
#include "base/vector.h"
#include "query/selections.h"

/* What a selection takes for each series, and a cursor: about so much, in memory of the store's
 * that counts as the query's. */
#define SELECTION_BYTES_PER_SERIES 256
#define SELECTION_BYTES_PER_GROUPED 64
#define CURSOR_BYTES 4096

/* Ids of columns, one behind the other, become that of all their times. */
#define TIMES_ID_FACTOR UINT64_C(0x9e3779b97f4a7c15)

void query_samples_fini(struct query_samples *samples)
{
    free(samples->own_times_ms);
    free(samples->own_values);
    free(samples->weights);
    free(samples->histogram_times_ms);
    free(samples->histograms);
    *samples = (struct query_samples){0};
}

void query_samples_reserve(struct query_samples *samples, size_t count)
{
    if (count <= samples->capacity)
        return;
    size_t capacity = samples->capacity ? samples->capacity : 1024;
    while (capacity < count)
        capacity *= 2;
    samples->own_times_ms =
        realloc(samples->own_times_ms, capacity * sizeof *samples->own_times_ms);
    samples->own_values = realloc(samples->own_values, capacity * sizeof *samples->own_values);
    if (samples->weights)
        samples->weights = realloc(samples->weights, capacity * sizeof *samples->weights);
    /* Bounded by the limit on samples. */
    TW_ASSERT(samples->own_times_ms && samples->own_values);
    samples->times_ms = samples->own_times_ms;
    samples->values = samples->own_values;
    samples->capacity = capacity;
}

void query_samples_clear(struct query_samples *samples)
{
    samples->times_ms = samples->own_times_ms;
    samples->values = samples->own_values;
    samples->count = samples->histogram_count = 0;
    samples->times_id = 0;
    samples->has_weights = false;
}

void query_samples_add_histogram(struct query_samples *samples, int64_t time_ms,
                                 const struct query_histogram *histogram)
{
    if (samples->histogram_count == samples->histogram_capacity) {
        size_t capacity = samples->histogram_capacity ? 2 * samples->histogram_capacity : 64;
        samples->histogram_times_ms =
            realloc(samples->histogram_times_ms, capacity * sizeof *samples->histogram_times_ms);
        samples->histograms = realloc(samples->histograms, capacity * sizeof *samples->histograms);
        TW_ASSERT(samples->histogram_times_ms && samples->histograms);
        samples->histogram_capacity = capacity;
    }
    samples->histogram_times_ms[samples->histogram_count] = time_ms;
    samples->histograms[samples->histogram_count++] = histogram;
}

/* Counts what was found, and looks whether the query may go on: a query can have very many
 * selectors.
 */
static enum tw_code count_selection(struct query_source *source, struct query_exec *exec,
                                    bool is_grouped, struct tw_err *err)
{
    size_t count = source->is_shared ? 0 : tsdb_selection_count(source->selection);
    size_t bytes = is_grouped ? SELECTION_BYTES_PER_GROUPED : SELECTION_BYTES_PER_SERIES;
    exec->side_bytes += count * bytes + CURSOR_BYTES;
    enum tw_code code = query_exec_room(exec, 0, err);
    exec->out_of_bytes = false; /* slices of the steps would find as many series */
    return code ? code : query_exec_labelled(exec, count, 0, err);
}

static enum tw_code open_cursor(struct query_source *source, struct tw_err *err)
{
    enum tw_code code = tsdb_cursor_open(source->selection, &source->cursor, err);
    if (!code)
        tsdb_cursor_hint(source->cursor, &source->hints);
    return code;
}

enum tw_code query_source_open(struct query_source *source, struct query_exec *exec,
                               const struct query_node *selector, int64_t start_ms, int64_t end_ms,
                               const struct tsdb_hints *hints, struct tw_err *err)
{
    if (source->selection)
        return TW_OK;
    enum tw_code code = TW_OK;
    if (exec->selections)
        code = query_selections_open(exec->selections, exec, selector, start_ms, end_ms, hints,
                                     &source->selection, err);
    source->is_shared = source->selection != NULL;
    if (!code && !source->is_shared)
        code = tsdb_select(exec->storage, exec->context, selector->selector.matchers,
                           selector->selector.matcher_count, start_ms + 1, end_ms, hints,
                           &source->selection, err);
    source->hints = *hints;
    source->hints.grouping = NULL;
    if (!code)
        code = count_selection(source, exec, hints->grouping != NULL, err);
    return code ? code : open_cursor(source, err);
}

enum tw_code query_source_share(struct query_source *source, const struct query_source *from,
                                struct tw_err *err)
{
    if (source->selection)
        return TW_OK;
    source->selection = from->selection;
    source->is_shared = true;
    source->hints = from->hints;
    return open_cursor(source, err);
}

void query_source_expect(struct query_source *source, const struct query_tile *tile)
{
    if (tile->count > 1)
        tsdb_cursor_expect(source->cursor, tile->first, tile->first + tile->count);
}

void query_source_close(struct query_source *source)
{
    if (source->cursor)
        source->cursor = tsdb_cursor_close(source->cursor);
    if (source->selection && !source->is_shared)
        tsdb_selection_close(source->selection);
    source->selection = NULL;
    query_samples_fini(&source->samples);
}

/* Room for weights; what was gathered before weighs 1. */
static void begin_weights(struct query_samples *samples)
{
    if (samples->has_weights)
        return;
    if (!samples->weights)
        samples->weights = malloc(samples->capacity * sizeof *samples->weights);
    TW_ASSERT(samples->weights != NULL);
    samples->has_weights = true;
    for (size_t i = 0; i < samples->count; i++)
        samples->weights[i] = 1;
}

/* Of the column that is about to be appended. */
static void append_weights(struct query_samples *samples, const struct tsdb_column *column,
                           bool keep_stale)
{
    size_t count = samples->count;
    if (column->weights)
        begin_weights(samples);
    for (size_t i = 0; samples->has_weights && i < column->count; i++) {
        samples->weights[count] = column->weights ? column->weights[i] : 1;
        count += keep_stale || !tw_double_is_stale(column->values[i]);
    }
}

TW_VECTOR static bool has_stale(const double *values, size_t count)
{
    uint64_t found = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        found |= bits == TW_STALE_BITS;
    }
    return found;
}

static void append_all(struct query_samples *samples, const struct tsdb_column *column)
{
    bool has_ids = column->times_id && (samples->times_id || samples->count == 0);
    samples->times_id = has_ids ? samples->times_id * TIMES_ID_FACTOR + column->times_id : 0;
    memcpy(samples->own_times_ms + samples->count, column->times_ms,
           column->count * sizeof(int64_t));
    memcpy(samples->own_values + samples->count, column->values, column->count * sizeof(double));
    samples->count += column->count;
}

/* Appends a column without its stale markers. */
static void append_fresh(struct query_samples *samples, const struct tsdb_column *column)
{
    size_t count = samples->count;
    if (!has_stale(column->values, column->count)) {
        append_all(samples, column);
        return;
    }
    for (size_t i = 0; i < column->count; i++) {
        samples->own_times_ms[count] = column->times_ms[i];
        samples->own_values[count] = column->values[i];
        count += !tw_double_is_stale(column->values[i]);
    }
    samples->count = count;
    samples->times_id = 0;
}

/* All there is of the series, where it is. */
static void borrow(struct query_samples *samples, const struct tsdb_column *column)
{
    samples->times_ms = column->times_ms;
    samples->values = column->values;
    samples->count = column->count;
    samples->times_id = column->times_id;
}

/* Appends a column of histograms. */
static enum tw_code append_histograms(struct query_source *source, struct query_op *op,
                                      struct query_exec *exec, const struct tsdb_column *column,
                                      bool keep_stale, struct tw_err *err)
{
    struct query_samples *samples = &source->samples;
    const struct query_histogram *before = NULL;
    enum tw_code code = TW_OK;
    if (source->last_only)
        samples->histogram_count = 0;
    for (size_t i = source->last_only ? column->count - 1 : 0; !code && i < column->count; i++) {
        const struct wire_histogram *stored = column->histograms[i];
        if (wire_histogram_is_stale(stored)) {
            if (keep_stale)
                query_samples_add_histogram(samples, column->times_ms[i], NULL);
            continue;
        }
        before = query_histogram_from_wire(query_op_side(op), stored, before);
        query_samples_add_histogram(samples, column->times_ms[i], before);
        code = query_exec_read(exec, query_histogram_weight(before), err);
    }
    return code ? code : query_op_side_check(op, exec, err);
}

enum tw_code query_source_read(struct query_source *source, struct query_op *op,
                               struct query_exec *exec, size_t series, int64_t start_ms,
                               int64_t end_ms, bool keep_stale, struct tw_err *err)
{
    struct query_samples *samples = &source->samples;
    query_samples_clear(samples);
    if (end_ms <= start_ms)
        return TW_OK;
    tsdb_cursor_seek(source->cursor, series, start_ms + 1, end_ms);
    for (;;) {
        struct tsdb_column column;
        enum tw_code code = tsdb_cursor_next(source->cursor, &column, err);
        if (code || column.count == 0)
            return code;
        if (column.kind != TSDB_KIND_FLOAT) {
            code = append_histograms(source, op, exec, &column, keep_stale, err);
            if (code)
                return code;
            continue;
        }
        code = query_exec_read(exec, column.count, err);
        if (code)
            return code;
        if (column.is_last && samples->count == 0 && samples->histogram_count == 0 &&
            !column.weights && (keep_stale || !has_stale(column.values, column.count))) {
            borrow(samples, &column);
            return TW_OK;
        }
        query_samples_reserve(samples, samples->count + column.count);
        append_weights(samples, &column, keep_stale);
        if (keep_stale)
            append_all(samples, &column);
        else
            append_fresh(samples, &column);
    }
}
