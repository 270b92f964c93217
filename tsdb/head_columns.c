/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/head_columns.h"

#include <stdlib.h>

#include "base/assert.h"

void tsdb_head_columns_fini(struct tsdb_head_columns *columns)
{
    free(columns->times_ms);
    free(columns->values);
    free(columns->spans);
    free(columns->chunks);
    *columns = (struct tsdb_head_columns){0};
}

void tsdb_head_columns_begin(struct tsdb_head_columns *columns, int64_t start_ms, int64_t end_ms)
{
    if (!columns->is_whole) /* what was read last is neither one series' nor the other's */
        columns->span_count = 0;
    columns->is_same = columns->start_ms == start_ms && columns->end_ms == end_ms;
    columns->is_whole = false;
    columns->start_ms = start_ms;
    columns->end_ms = end_ms;
    columns->count = columns->span_at = columns->chunk_count = 0;
    columns->span.count = 0;
}

static void reserve(struct tsdb_head_columns *columns, size_t more)
{
    if (columns->count + more <= columns->capacity)
        return;
    while (columns->count + more > columns->capacity)
        columns->capacity = columns->capacity ? columns->capacity * 2 : TSDB_HEAD_CHUNK_MAX;
    columns->times_ms = realloc(columns->times_ms, columns->capacity * sizeof *columns->times_ms);
    columns->values = realloc(columns->values, columns->capacity * sizeof *columns->values);
    TW_ASSERT(columns->times_ms != NULL && columns->values != NULL);
}

/* The newest span is whole. */
static void end_span(struct tsdb_head_columns *columns)
{
    if (columns->span.count == 0)
        return;
    if (columns->span_at == columns->span_capacity) {
        columns->span_capacity = columns->span_capacity ? columns->span_capacity * 2 : 8;
        columns->spans = realloc(columns->spans, columns->span_capacity * sizeof *columns->spans);
        TW_ASSERT(columns->spans != NULL);
    }
    columns->is_same =
        columns->is_same && columns->spans[columns->span_at].count == columns->span.count;
    columns->spans[columns->span_at++] = columns->span;
    columns->span.count = 0;
}

/* Moves to the place behind so many times. Only parts that hold some of them are looked at. */
static void move_next(struct tsdb_head_columns *columns, size_t count)
{
    for (;;) {
        size_t here = (size_t)(columns->next_part->capacity - columns->next_place);
        if (count <= here)
            break;
        count -= here;
        columns->next_part = columns->next_part->next;
        columns->next_place = 0;
    }
    columns->next_place = (uint8_t)(columns->next_place + count);
}

/* Notes the next times. Whether they are there already, from the series before. Chunks end where
 * their values fill them, and so differ from series to series: what goes on where the one before
 * ended belongs to its span. */
static bool add_times(struct tsdb_head_columns *columns, const struct tsdb_head_times *part,
                      uint8_t place, size_t count)
{
    struct tsdb_head_span *span = &columns->span;
    bool goes_on = span->count > 0 && part && span->part && part == columns->next_part &&
                   place == columns->next_place;
    if (!goes_on) {
        end_span(columns);
        *span = (struct tsdb_head_span){.part = part, .place = place};
        columns->next_part = part;
        columns->next_place = place;
    }
    span->count += (uint32_t)count;
    if (part)
        move_next(columns, count);
    const struct tsdb_head_span *before = &columns->spans[columns->span_at];
    columns->is_same = columns->is_same && columns->span_at < columns->span_count && part &&
                       before->part == span->part && before->place == span->place &&
                       before->count >= span->count;
    return columns->is_same;
}

static void add_chunk(struct tsdb_head_columns *columns, const struct tsdb_head_chunk *chunk,
                      struct tsdb_head_extent extent)
{
    reserve(columns, extent.count);
    int64_t *times_ms = columns->times_ms + columns->count;
    uint64_t *values = columns->values + columns->count;
    columns->count += extent.count;
    if (!chunk->shared) {
        add_times(columns, NULL, 0, extent.count);
        tsdb_head_chunk_read(chunk, extent, times_ms, values);
        return;
    }
    if (!add_times(columns, chunk->part, chunk->place, extent.count))
        tsdb_head_times_read(chunk->part, chunk->place, times_ms, extent.count);
    tsdb_head_chunk_read_values(chunk, extent, times_ms, columns->start_ms, values);
}

static void add_tail(struct tsdb_head_columns *columns, const struct tsdb_head_tail_view *tail)
{
    if (tail->count == 0)
        return;
    reserve(columns, tail->count);
    int64_t *times_ms = columns->times_ms + columns->count;
    uint64_t *values = columns->values + columns->count;
    columns->count += tail->count;
    if (!tail->shared) {
        add_times(columns, NULL, 0, tail->count);
        tsdb_head_tail_read(tail, times_ms, values);
        return;
    }
    const struct tsdb_head_times *part = tsdb_head_tail_part(tail);
    if (!add_times(columns, part, tail->first_place, tail->count))
        tsdb_head_times_read(part, tail->first_place, times_ms, tail->count);
    tsdb_head_tail_read_values(tail, values);
}

/* Whether the tail goes back to the range's start, so that no chunk is touched. */
static bool suffices(const struct tsdb_head_tail_view *tail, int64_t start_ms)
{
    int64_t first_ms;
    if (tail->count == 0 || !tail->shared)
        return false;
    tsdb_head_times_read(tsdb_head_tail_part(tail), tail->first_place, &first_ms, 1);
    return first_ms <= start_ms;
}

/* Those that overlap the range, newest first; returns how many. What lies before the range is in
 * memory that nobody needs: it is not touched to learn that. */
static size_t list_chunks(struct tsdb_head_columns *columns, const struct tsdb_head_view *view)
{
    size_t count = 0;
    if (suffices(&view->tail, columns->start_ms))
        return 0;
    for (const struct tsdb_head_chunk *chunk = view->newest; chunk; chunk = chunk->older) {
        if (tsdb_head_view_extent(view, chunk).last_ms < columns->start_ms)
            break;
        int64_t first_ms = tsdb_head_chunk_first_ms(chunk);
        if (first_ms > columns->end_ms)
            continue;
        if (count == columns->chunk_capacity) {
            columns->chunk_capacity = count ? count * 2 : 16;
            columns->chunks =
                realloc(columns->chunks, columns->chunk_capacity * sizeof *columns->chunks);
            TW_ASSERT(columns->chunks != NULL);
        }
        columns->chunks[count++] = chunk;
        if (first_ms <= columns->start_ms)
            break;
    }
    columns->chunk_count += count;
    return count;
}

bool tsdb_head_columns_add(struct tsdb_head_columns *columns, const struct tsdb_head_view *view)
{
    if (!view->ordered)
        return false;
    size_t before = columns->count;
    for (size_t left = list_chunks(columns, view); left > 0; left--) {
        const struct tsdb_head_chunk *chunk = columns->chunks[left - 1];
        add_chunk(columns, chunk, tsdb_head_view_extent(view, chunk));
    }
    add_tail(columns, &view->tail);
    return before == 0 || before == columns->count ||
           columns->times_ms[before] > columns->times_ms[before - 1];
}

/* The first that is not before the time. guess: most series differ in where their chunks begin
 * only. */
static size_t find(const int64_t *times_ms, size_t count, int64_t time_ms, size_t guess)
{
    size_t first = 0, limit = count;
    if (guess <= count && (guess == 0 || times_ms[guess - 1] < time_ms) &&
        (guess == count || times_ms[guess] >= time_ms))
        return guess;
    while (first < limit) {
        size_t middle = first + (limit - first) / 2;
        if (times_ms[middle] < time_ms)
            first = middle + 1;
        else
            limit = middle;
    }
    return first;
}

void tsdb_head_columns_end(struct tsdb_head_columns *columns)
{
    end_span(columns);
    columns->is_whole = true;
    if (columns->is_same && columns->count > 0 && columns->span_at == columns->span_count)
        return; /* also in where the range begins and ends */
    columns->times_id++;
    columns->span_count = columns->span_at;
    size_t count = columns->count;
    columns->first =
        find(columns->times_ms, count, columns->start_ms, count - columns->behind_first);
    columns->limit =
        columns->end_ms == INT64_MAX
            ? count
            : find(columns->times_ms, count, columns->end_ms + 1, count - columns->behind_limit);
    if (columns->limit < columns->first)
        columns->limit = columns->first;
    columns->behind_first = count - columns->first;
    columns->behind_limit = count - columns->limit;
}
