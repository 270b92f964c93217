/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/flusher.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "tsdb/codec.h"
#include "tsdb/db.h"

#define SLOTS_MIN 256
#define CODE_BYTES_MAX ((size_t)1 << 30)
#define WINDOWS_A_DAY (TSDB_DAY_MS / TSDB_WINDOW_MS)

/* A column while it is being shared: found by the hash of its times. */
struct column {
    struct tsdb_run_column run;
    uint64_t hash;
};

struct flush {
    struct tw_arena *arena; /* encoded bytes */
    struct tsdb_run_chunk *chunks;
    size_t chunk_count, chunk_capacity;
    struct column *columns;
    size_t column_count, column_capacity;
    uint32_t *slots; /* column + 1 by hash */
    size_t slot_mask;
    int64_t *times;
    uint64_t *values;
    size_t capacity;
    struct tw_buf scratch;
    uint64_t sample_count;
};

static void *grow(void *items, size_t *capacity, size_t count, size_t item_bytes)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 64;
    items = realloc(items, *capacity * item_bytes);
    TW_ASSERT(items != NULL);
    return items;
}

/* ---- columns ---- */

static void rehash(struct flush *flush)
{
    size_t mask = flush->slot_mask ? flush->slot_mask * 2 + 1 : SLOTS_MIN - 1;
    free(flush->slots);
    flush->slots = calloc(mask + 1, sizeof *flush->slots);
    TW_ASSERT(flush->slots != NULL);
    flush->slot_mask = mask;
    for (size_t i = 0; i < flush->column_count; i++) {
        size_t at = flush->columns[i].hash & mask;
        while (flush->slots[at])
            at = (at + 1) & mask;
        flush->slots[at] = (uint32_t)i + 1;
    }
}

/* Finds the column in flush->times, or makes it; its index in flush->columns. Numbers within the
 * window are given once all columns are known. */
static size_t share_column(struct flush *flush, int64_t window, size_t count)
{
    uint64_t hash = tw_hash64_seeded(flush->times, count * sizeof *flush->times, (uint64_t)window);
    tw_buf_clear(&flush->scratch);
    tsdb_codec_encode_times(flush->times, count, &flush->scratch);
    struct tw_str bytes = tw_buf_str(&flush->scratch);
    if (!flush->slot_mask || flush->column_count * 2 > flush->slot_mask)
        rehash(flush);
    size_t at = hash & flush->slot_mask;
    for (; flush->slots[at]; at = (at + 1) & flush->slot_mask) {
        const struct column *column = &flush->columns[flush->slots[at] - 1];
        if (column->hash == hash && column->run.window == window && column->run.count == count &&
            tw_str_equal(column->run.times, bytes))
            return flush->slots[at] - 1;
    }
    flush->columns =
        grow(flush->columns, &flush->column_capacity, flush->column_count, sizeof *flush->columns);
    flush->columns[flush->column_count] =
        (struct column){.run = {.window = window,
                                .count = (uint32_t)count,
                                .times = tw_arena_str(flush->arena, bytes)},
                        .hash = hash};
    flush->slots[at] = (uint32_t)++flush->column_count;
    return flush->column_count - 1;
}

/* ---- chunks ---- */

static void add_chunk(struct flush *flush, uint32_t series, int64_t window,
                      const struct tsdb_point *points, size_t count)
{
    if (count > flush->capacity) {
        flush->times = realloc(flush->times, count * sizeof *flush->times);
        flush->values = realloc(flush->values, count * sizeof *flush->values);
        TW_ASSERT(flush->times != NULL && flush->values != NULL);
        flush->capacity = count;
    }
    for (size_t i = 0; i < count; i++) {
        flush->times[i] = points[i].time_ms;
        flush->values[i] = points[i].bits;
    }
    size_t column = share_column(flush, window, count);
    tw_buf_clear(&flush->scratch);
    tsdb_codec_encode_values(flush->values, count, &flush->scratch);
    TW_ASSERT(!flush->scratch.overflow);
    flush->chunks =
        grow(flush->chunks, &flush->chunk_capacity, flush->chunk_count, sizeof *flush->chunks);
    flush->chunks[flush->chunk_count++] =
        (struct tsdb_run_chunk){.window = window,
                                .series = series,
                                .column = (uint32_t)column,
                                .count = (uint32_t)count,
                                .kind = TSDB_KIND_FLOAT,
                                .values = tw_arena_str(flush->arena, tw_buf_str(&flush->scratch))};
    flush->sample_count += count;
}

static void cut_series(struct flush *flush, uint32_t series, const struct tsdb_points *points)
{
    for (size_t i = 0; i < points->count;) {
        int64_t window = tw_floor_div(points->items[i].time_ms, TSDB_WINDOW_MS);
        size_t limit = i + 1;
        while (limit < points->count &&
               tw_floor_div(points->items[limit].time_ms, TSDB_WINDOW_MS) == window)
            limit++;
        add_chunk(flush, series, window, points->items + i, limit - i);
        i = limit;
    }
}

static void gather(struct flush *flush, struct tsdb_head *head)
{
    struct tsdb_points points = {0};
    struct tsdb_point room[TSDB_HEAD_TAIL_MAX];
    size_t count = tsdb_index_count(tsdb_head_index(head));
    for (uint32_t id = 0; id < count; id++) {
        struct tsdb_head_view view = tsdb_head_view(head, id, room);
        tsdb_head_view_points(&view, INT64_MIN, INT64_MAX, &points);
        cut_series(flush, id, &points);
    }
    tsdb_points_fini(&points);
}

/* ---- days ---- */

static int compare_chunks(const void *a, const void *b)
{
    const struct tsdb_run_chunk *x = a, *y = b;
    if (x->window != y->window)
        return x->window < y->window ? -1 : 1;
    return (x->series > y->series) - (x->series < y->series);
}

static int compare_columns(const void *a, const void *b)
{
    const struct tsdb_run_column *x = a, *y = b;
    return (x->window > y->window) - (x->window < y->window);
}

/* The columns ordered by window, numbered within it; chunks get the new numbers. free() it. */
static struct tsdb_run_column *number_columns(struct flush *flush)
{
    struct tsdb_run_column *columns = malloc((flush->column_count + 1) * sizeof *columns);
    uint32_t *numbers = malloc((flush->column_count + 1) * sizeof *numbers);
    TW_ASSERT(columns != NULL && numbers != NULL);
    for (size_t i = 0; i < flush->column_count; i++) {
        columns[i] = flush->columns[i].run;
        columns[i].column = (uint32_t)i; /* its place before the sort, until it is numbered below */
    }
    qsort(columns, flush->column_count, sizeof *columns, compare_columns);
    for (size_t i = 0; i < flush->column_count; i++) {
        uint32_t number =
            i > 0 && columns[i].window == columns[i - 1].window ? columns[i - 1].column + 1 : 0;
        numbers[columns[i].column] = number;
        columns[i].column = number;
    }
    for (size_t i = 0; i < flush->chunk_count; i++)
        flush->chunks[i].column = numbers[flush->chunks[i].column];
    free(numbers);
    return columns;
}

static int64_t day_of(int64_t window)
{
    return tw_floor_div(window, WINDOWS_A_DAY);
}

static enum tw_code write_days(struct flush *flush, struct tsdb_head *head,
                               struct tsdb_partitions *partitions, struct tsdb_flush_result *ret,
                               struct tw_err *err)
{
    struct tsdb_run_column *columns = number_columns(flush);
    if (flush->chunk_count)
        qsort(flush->chunks, flush->chunk_count, sizeof *flush->chunks, compare_chunks);
    enum tw_code code = TW_OK;
    for (size_t i = 0, column = 0; i < flush->chunk_count && code == TW_OK;) {
        int64_t day = day_of(flush->chunks[i].window);
        struct tsdb_run run = {.number = tsdb_head_number(head),
                               .index = tsdb_head_index(head),
                               .chunks = flush->chunks + i,
                               .columns = columns + column};
        for (; i < flush->chunk_count && day_of(flush->chunks[i].window) == day; i++)
            run.chunk_count++;
        for (; column < flush->column_count && day_of(columns[column].window) == day; column++)
            run.column_count++;
        size_t blocks = 0;
        code = tsdb_partitions_write(partitions, day, &run, &blocks, err);
        ret->partitions++;
        ret->blocks += blocks;
    }
    free(columns);
    return code;
}

enum tw_code tsdb_flusher_run(struct tsdb_partitions *partitions, struct tsdb_head *head,
                              struct tsdb_flush_result *ret, struct tw_err *err)
{
    struct flush flush = {.arena = tw_arena_new(65536)};
    struct tsdb_flush_result result = {0};
    tw_buf_init(&flush.scratch, CODE_BYTES_MAX);
    gather(&flush, head);
    enum tw_code code = write_days(&flush, head, partitions, &result, err);
    result.samples = flush.sample_count;
    tw_buf_fini(&flush.scratch);
    free(flush.chunks);
    free(flush.columns);
    free(flush.slots);
    free(flush.times);
    free(flush.values);
    tw_arena_free(flush.arena);
    if (code == TW_OK)
        *ret = result;
    return code;
}
