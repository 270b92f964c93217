/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/flusher.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "tsdb/db.h"
#include "tsdb/run.h"

#define WINDOWS_A_DAY (TSDB_DAY_MS / TSDB_WINDOW_MS)

struct flush {
    struct tsdb_run_builder *builder;
    int64_t *times;
    uint64_t *values;
    size_t capacity;
};

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
    tsdb_run_builder_add(flush->builder, series, window, flush->times, flush->values, count);
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

/* A series with native histograms: its numbers and its histograms as one. */
static void cut_mixed(struct flush *flush, uint32_t series, const struct tsdb_points *points,
                      const struct tsdb_histogram_view *view)
{
    struct tw_arena *arena = tw_arena_new(65536);
    struct tsdb_mixed numbers = {0}, histograms = {0}, all = {0};
    tsdb_mixed_append_floats(&numbers, points->items, points->count);
    tsdb_histogram_view_read(view, INT64_MIN, INT64_MAX, arena, &histograms);
    tsdb_mixed_merge(numbers.items, numbers.count, histograms.items, histograms.count, &all);
    for (size_t i = 0; i < all.count;) {
        int64_t window = tw_floor_div(all.items[i].time_ms, TSDB_WINDOW_MS);
        size_t limit = i + 1;
        while (limit < all.count &&
               tw_floor_div(all.items[limit].time_ms, TSDB_WINDOW_MS) == window)
            limit++;
        tsdb_run_builder_add_mixed(flush->builder, series, window, all.items + i, limit - i);
        i = limit;
    }
    tsdb_mixed_fini(&numbers);
    tsdb_mixed_fini(&histograms);
    tsdb_mixed_fini(&all);
    tw_arena_free(arena);
}

static void gather(struct flush *flush, struct tsdb_head *head)
{
    struct tsdb_points points = {0};
    unsigned char room[TSDB_HEAD_TAIL_BYTES];
    uint32_t limit = tsdb_head_series_limit(head);
    for (uint32_t id = 0; id < limit; id++) {
        struct tsdb_head_view view = tsdb_head_view(head, id, room);
        tsdb_head_view_points(&view, INT64_MIN, INT64_MAX, &points);
        if (view.histograms.newest)
            cut_mixed(flush, id, &points, &view.histograms);
        else
            cut_series(flush, id, &points);
    }
    tsdb_points_fini(&points);
}

/* ---- days ---- */

static int64_t day_of(int64_t window)
{
    return tw_floor_div(window, WINDOWS_A_DAY);
}

static enum tw_code write_days(struct flush *flush, struct tsdb_head *head,
                               struct tsdb_partitions *partitions, struct tsdb_flush_result *ret,
                               struct tw_err *err)
{
    struct tsdb_run all;
    tsdb_run_builder_take(flush->builder, &all);
    enum tw_code code = TW_OK;
    for (size_t i = 0, column = 0; i < all.chunk_count && code == TW_OK;) {
        int64_t day = day_of(all.chunks[i].window);
        struct tsdb_run run = {.number = tsdb_head_number(head),
                               .index = tsdb_head_index(head),
                               .chunks = all.chunks + i,
                               .columns = all.columns + column};
        for (; i < all.chunk_count && day_of(all.chunks[i].window) == day; i++)
            run.chunk_count++;
        for (; column < all.column_count && day_of(all.columns[column].window) == day; column++)
            run.column_count++;
        size_t blocks = 0;
        code = tsdb_partitions_write(partitions, day, &run, &blocks, err);
        ret->partitions++;
        ret->blocks += blocks;
    }
    return code;
}

enum tw_code tsdb_flusher_run(struct tsdb_partitions *partitions, struct tsdb_head *head,
                              struct tsdb_flush_result *ret, struct tw_err *err)
{
    struct flush flush = {.builder = tsdb_run_builder_new()};
    struct tsdb_flush_result result = {0};
    gather(&flush, head);
    enum tw_code code = write_days(&flush, head, partitions, &result, err);
    result.samples = tsdb_run_builder_samples(flush.builder);
    tsdb_run_builder_free(flush.builder);
    free(flush.times);
    free(flush.values);
    if (code == TW_OK)
        *ret = result;
    return code;
}
