/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/run.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "tsdb/buckets.h"
#include "tsdb/codec.h"
#include "tsdb/histogram_chunk.h"

#define SLOTS_MIN 256
#define CODE_BYTES_MAX ((size_t)1 << 30)
#define ARENA_BYTES 65536

/* A column while it is being shared: found by the hash of its times. */
struct column {
    struct tsdb_run_column run;
    uint64_t hash;
};

struct window {
    int64_t window;
    uint32_t column_count;
};

struct tsdb_run_builder {
    struct tw_arena *chunk_arena, *column_arena; /* encoded bytes */
    struct tsdb_run_chunk *chunks;
    size_t chunk_count, chunk_capacity;
    struct column *columns;
    size_t column_count, column_capacity, columns_drained;
    struct tsdb_run_column *taken;
    uint32_t *slots; /* column + 1 by hash */
    size_t slot_mask;
    struct window *windows; /* ascending */
    size_t window_count, window_capacity, window_last;
    struct tw_buf scratch;
    size_t byte_count;
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

struct tsdb_run_builder *tsdb_run_builder_new(void)
{
    struct tsdb_run_builder *builder = calloc(1, sizeof *builder);
    TW_ASSERT(builder != NULL);
    builder->chunk_arena = tw_arena_new(ARENA_BYTES);
    builder->column_arena = tw_arena_new(ARENA_BYTES);
    tw_buf_init(&builder->scratch, CODE_BYTES_MAX);
    return builder;
}

struct tsdb_run_builder *tsdb_run_builder_free(struct tsdb_run_builder *builder)
{
    if (!builder)
        return NULL;
    tw_arena_free(builder->chunk_arena);
    tw_arena_free(builder->column_arena);
    tw_buf_fini(&builder->scratch);
    free(builder->chunks);
    free(builder->columns);
    free(builder->taken);
    free(builder->slots);
    free(builder->windows);
    free(builder);
    return NULL;
}

/* ---- columns ---- */

static void rehash(struct tsdb_run_builder *builder)
{
    size_t mask = builder->slot_mask ? builder->slot_mask * 2 + 1 : SLOTS_MIN - 1;
    free(builder->slots);
    builder->slots = calloc(mask + 1, sizeof *builder->slots);
    TW_ASSERT(builder->slots != NULL);
    builder->slot_mask = mask;
    for (size_t i = 0; i < builder->column_count; i++) {
        size_t at = builder->columns[i].hash & mask;
        while (builder->slots[at])
            at = (at + 1) & mask;
        builder->slots[at] = (uint32_t)i + 1;
    }
}

static struct window *find_window(struct tsdb_run_builder *builder, int64_t window)
{
    if (builder->window_count && builder->windows[builder->window_last].window == window)
        return &builder->windows[builder->window_last];
    size_t first = 0, limit = builder->window_count;
    while (first < limit) {
        size_t middle = first + (limit - first) / 2;
        if (builder->windows[middle].window < window)
            first = middle + 1;
        else
            limit = middle;
    }
    builder->window_last = first;
    if (first < builder->window_count && builder->windows[first].window == window)
        return &builder->windows[first];
    builder->windows = grow(builder->windows, &builder->window_capacity, builder->window_count,
                            sizeof *builder->windows);
    memmove(builder->windows + first + 1, builder->windows + first,
            (builder->window_count++ - first) * sizeof *builder->windows);
    builder->windows[first] = (struct window){.window = window};
    return &builder->windows[first];
}

/* Finds the column with these times, or makes it; its number within the window. */
static uint32_t share_column(struct tsdb_run_builder *builder, int64_t window, const int64_t *times,
                             size_t count)
{
    uint64_t hash = tw_hash64_seeded(times, count * sizeof *times, (uint64_t)window);
    tw_buf_clear(&builder->scratch);
    tsdb_codec_encode_times(times, count, &builder->scratch);
    struct tw_str bytes = tw_buf_str(&builder->scratch);
    if (!builder->slot_mask || builder->column_count * 2 > builder->slot_mask)
        rehash(builder);
    size_t at = hash & builder->slot_mask;
    for (; builder->slots[at]; at = (at + 1) & builder->slot_mask) {
        const struct column *column = &builder->columns[builder->slots[at] - 1];
        if (column->hash == hash && column->run.window == window && column->run.count == count &&
            tw_str_equal(column->run.times, bytes))
            return column->run.column;
    }
    builder->columns = grow(builder->columns, &builder->column_capacity, builder->column_count,
                            sizeof *builder->columns);
    uint32_t number = find_window(builder, window)->column_count++;
    builder->columns[builder->column_count] =
        (struct column){.run = {.window = window,
                                .column = number,
                                .count = (uint32_t)count,
                                .times = tw_arena_str(builder->column_arena, bytes)},
                        .hash = hash};
    builder->slots[at] = (uint32_t)++builder->column_count;
    builder->byte_count += bytes.size;
    return number;
}

/* ---- chunks ---- */

/* The scratch buffer holds the encoded values. */
static void add_chunk(struct tsdb_run_builder *builder, uint32_t series, int64_t window,
                      uint32_t column, enum tsdb_kind kind, size_t count)
{
    TW_ASSERT(!builder->scratch.overflow);
    builder->chunks = grow(builder->chunks, &builder->chunk_capacity, builder->chunk_count,
                           sizeof *builder->chunks);
    struct tw_str values = tw_arena_str(builder->chunk_arena, tw_buf_str(&builder->scratch));
    builder->chunks[builder->chunk_count++] = (struct tsdb_run_chunk){.window = window,
                                                                      .series = series,
                                                                      .column = column,
                                                                      .count = (uint32_t)count,
                                                                      .kind = kind,
                                                                      .values = values};
    builder->byte_count += values.size + sizeof *builder->chunks;
    builder->sample_count += count;
}

void tsdb_run_builder_add(struct tsdb_run_builder *builder, uint32_t series, int64_t window,
                          const int64_t *times, const uint64_t *bits, size_t count)
{
    TW_ASSERT(count > 0 && count <= UINT32_MAX);
    uint32_t column = share_column(builder, window, times, count);
    tw_buf_clear(&builder->scratch);
    tsdb_codec_encode_values(bits, count, &builder->scratch);
    add_chunk(builder, series, window, column, TSDB_KIND_FLOAT, count);
}

void tsdb_run_builder_add_mixed(struct tsdb_run_builder *builder, uint32_t series, int64_t window,
                                const struct tsdb_mixed_point *points, size_t count)
{
    TW_ASSERT(count > 0 && count <= UINT32_MAX);
    enum tsdb_kind kind = tsdb_histogram_chunk_kind(points, count);
    int64_t *times = malloc(count * sizeof *times);
    uint64_t *bits = malloc(count * sizeof *bits);
    TW_ASSERT(times != NULL && bits != NULL);
    for (size_t i = 0; i < count; i++) {
        times[i] = points[i].time_ms;
        bits[i] = points[i].bits;
    }
    if (kind == TSDB_KIND_FLOAT) {
        tsdb_run_builder_add(builder, series, window, times, bits, count);
    } else {
        uint32_t column = share_column(builder, window, times, count);
        tw_buf_clear(&builder->scratch);
        tsdb_histogram_chunk_encode(points, count, &builder->scratch);
        add_chunk(builder, series, window, column, kind, count);
    }
    free(times);
    free(bits);
}

void tsdb_run_builder_add_buckets(struct tsdb_run_builder *builder, uint32_t series, int64_t window,
                                  const struct tsdb_bucket *buckets, size_t count)
{
    TW_ASSERT(count > 0 && count <= UINT32_MAX);
    int64_t *times = malloc(count * sizeof *times);
    TW_ASSERT(times != NULL);
    for (size_t i = 0; i < count; i++)
        times[i] = buckets[i].time_ms;
    uint32_t column = share_column(builder, window, times, count);
    free(times);
    tw_buf_clear(&builder->scratch);
    tsdb_buckets_encode(buckets, count, &builder->scratch);
    add_chunk(builder, series, window, column, TSDB_KIND_BUCKETS, count);
}

size_t tsdb_run_builder_bytes(const struct tsdb_run_builder *builder)
{
    return builder->byte_count;
}

uint64_t tsdb_run_builder_samples(const struct tsdb_run_builder *builder)
{
    return builder->sample_count;
}

/* ---- handing over ---- */

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
    if (x->window != y->window)
        return x->window < y->window ? -1 : 1;
    return (x->column > y->column) - (x->column < y->column);
}

void tsdb_run_builder_take(struct tsdb_run_builder *builder, struct tsdb_run *ret)
{
    size_t count = builder->column_count - builder->columns_drained;
    free(builder->taken);
    builder->taken = malloc((count + 1) * sizeof *builder->taken);
    TW_ASSERT(builder->taken != NULL);
    for (size_t i = 0; i < count; i++)
        builder->taken[i] = builder->columns[builder->columns_drained + i].run;
    qsort(builder->taken, count, sizeof *builder->taken, compare_columns);
    if (builder->chunk_count)
        qsort(builder->chunks, builder->chunk_count, sizeof *builder->chunks, compare_chunks);
    ret->chunks = builder->chunks;
    ret->chunk_count = builder->chunk_count;
    ret->columns = builder->taken;
    ret->column_count = count;
}

void tsdb_run_builder_drain(struct tsdb_run_builder *builder)
{
    builder->chunk_count = 0;
    builder->byte_count = 0;
    builder->columns_drained = builder->column_count;
    tw_arena_free(builder->chunk_arena);
    builder->chunk_arena = tw_arena_new(ARENA_BYTES);
}

void tsdb_run_builder_clear(struct tsdb_run_builder *builder)
{
    tsdb_run_builder_drain(builder);
    builder->column_count = builder->columns_drained = 0;
    builder->window_count = builder->window_last = 0;
    builder->sample_count = 0;
    if (builder->slot_mask)
        memset(builder->slots, 0, (builder->slot_mask + 1) * sizeof *builder->slots);
    tw_arena_free(builder->column_arena);
    builder->column_arena = tw_arena_new(ARENA_BYTES);
}
