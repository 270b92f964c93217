/* SPDX-License-Identifier: Apache-2.0
 *
 * partition_reader: samples of one series after the other out of a partition.
 *
 * A lane is one run in one window. What was read of a lane is kept (partition_cache.h), for the
 * series that come after have their samples beside this one's. The lanes of a window are merged,
 * the higher run is the newer.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "tsdb/block.h"
#include "tsdb/buckets.h"
#include "tsdb/codec.h"
#include "tsdb/db.h"
#include "tsdb/histogram_chunk.h"
#include "tsdb/partition_cache.h"
#include "tsdb/partition_int.h"
#include "tsdb/points.h"

#define READER_MAGIC 0x7e5d4eafu
#define NO_COLUMN UINT32_MAX
/* One series of so many is a large share of a partition: they lie in most of its blocks. */
#define LARGE_SHARE 8
/* Most that is asked from the disk at once; what lies behind it is fetched as it is read. */
#define FETCH_BYTES_MAX ((size_t)64 << 20)

/* The column of timestamps that was used last; it lies in the cache. */
struct times {
    const int64_t *items;
    uint32_t count, column;
};

struct lane {
    int64_t window;
    uint64_t run;
    uint32_t series_limit; /* no id from here on is in the run */
    struct tsdb_cache cache;
    struct times times;
};

struct tsdb_partition_reader {
    unsigned magic;
    struct tsdb_env *env;
    struct tsdb_env_txn *txn;
    struct tsdb_cache_source source;
    int64_t day;
    uint32_t generation;
    struct lane *lanes; /* ascending by window, run */
    size_t lane_count, lane_capacity;
    /* What was sought. */
    struct tsdb_partition_place place;
    int64_t start_ms, end_ms;
    size_t next_lane;
    bool reads_most; /* and nothing was fetched yet */
    /* Downsampled windows. */
    int64_t step_ms;
    struct tsdb_buckets buckets, newer_buckets, merged_buckets;
    struct tsdb_buckets late; /* samples beside downsampled ones */
    bool lane_is_late;        /* newer_buckets are such */
    uint64_t closed;          /* samples left out since it was asked */
    const struct tsdb_erasure *erasures;
    size_t erasure_count;
    int64_t *kept_times; /* of a lane of which some samples are gone */
    size_t kept_capacity;
    /* What is handed out: a run of one lane, or several merged. */
    uint64_t *values;
    size_t value_capacity;
    struct tsdb_points older, newer, merged;
    int64_t *merged_times;
    size_t merged_capacity;
    /* A window with native histograms, which is handed out kind after kind. */
    bool is_mixed;
    struct tsdb_mixed mixed, mixed_newer, mixed_merged;
    size_t mixed_at; /* handed out before */
    struct tsdb_mixed_columns mixed_columns;
    struct tw_arena *histograms; /* NULL until the first such window */
};

/* ---- opening ---- */

static void add_lane(struct tsdb_partition_reader *reader, int64_t window, uint64_t run)
{
    if (reader->lane_count == reader->lane_capacity) {
        reader->lane_capacity = reader->lane_capacity ? reader->lane_capacity * 2 : 16;
        reader->lanes = realloc(reader->lanes, reader->lane_capacity * sizeof *reader->lanes);
        TW_ASSERT(reader->lanes != NULL);
    }
    struct lane *lane = &reader->lanes[reader->lane_count++];
    *lane = (struct lane){
        .window = window, .run = run, .series_limit = UINT32_MAX, .times = {.column = NO_COLUMN}};
    tsdb_cache_init(&lane->cache, window, run);
}

/* One seek a lane: from a lane's last possible key to the first of the next. */
static enum tw_code list_lanes(struct tsdb_partition_reader *reader, struct tw_err *err)
{
    unsigned char wanted[TSDB_BLOCK_KEY_BYTES] = {0};
    struct tw_str key = {(const char *)wanted, 1};
    enum tw_code code;
    while ((code = tsdb_env_cursor_move(reader->source.blocks, TSDB_ENV_AT_OR_AFTER, &key, NULL,
                                        err)) == TW_OK) {
        if (key.size != TSDB_BLOCK_KEY_BYTES)
            return tsdb_partition_corrupt(reader->env, "block: a key", err);
        add_lane(reader, tsdb_env_key_get_i64(key.data), tsdb_env_key_get_u64(key.data + 8));
        memcpy(wanted, key.data, 16);
        memset(wanted + 16, 0xff, 8);
        key = (struct tw_str){(const char *)wanted, sizeof wanted};
    }
    return code == TW_NOT_FOUND ? TW_OK : code;
}

/* Which ids there were when the lanes were written: both are ascending by run. A lane without a row
 * (of a file that was mended) may have any. */
static enum tw_code limit_lanes(struct tsdb_partition_reader *reader, struct tw_err *err)
{
    struct tsdb_run_row *rows;
    size_t count;
    enum tw_code code = tsdb_partition_list_runs(reader->env, reader->txn, &rows, &count, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0, row = 0; i < reader->lane_count; i++) {
        struct lane *lane = &reader->lanes[i];
        if (i > 0 && lane[-1].window != lane->window)
            row = 0;
        while (row < count && rows[row].number < lane->run)
            row++;
        if (row < count && rows[row].number == lane->run)
            lane->series_limit = rows[row].series_limit;
    }
    free(rows);
    return TW_OK;
}

enum tw_code tsdb_partition_reader_open(struct tsdb_partition *partition,
                                        struct tsdb_partition_reader **ret_reader,
                                        struct tw_err *err)
{
    struct tsdb_partition_reader *reader = calloc(1, sizeof *reader);
    TW_ASSERT(reader != NULL);
    reader->magic = READER_MAGIC;
    reader->env = partition->env;
    reader->day = partition->day;
    reader->generation = partition->generation;
    reader->source.env = partition->env;
    enum tw_code code = tsdb_env_begin(partition->env, false, &reader->txn, err);
    if (code == TW_OK)
        code = tsdb_env_cursor_open(reader->txn, TSDB_TABLE_BLOCKS, &reader->source.blocks, err);
    if (code == TW_OK)
        code = tsdb_env_cursor_open(reader->txn, TSDB_TABLE_COLUMNS, &reader->source.columns, err);
    if (code == TW_OK)
        code = tsdb_partition_read_step(partition->env, reader->txn, &reader->step_ms, err);
    if (code == TW_OK)
        code = list_lanes(reader, err);
    if (code == TW_OK)
        code = limit_lanes(reader, err);
    if (code != TW_OK) {
        tsdb_partition_reader_close(reader);
        return code;
    }
    *ret_reader = reader;
    return TW_OK;
}

struct tsdb_partition_reader *tsdb_partition_reader_close(struct tsdb_partition_reader *reader)
{
    if (!reader)
        return NULL;
    TW_CHECK_MAGIC(reader, READER_MAGIC);
    for (size_t i = 0; i < reader->lane_count; i++) {
        tsdb_cache_fini(&reader->lanes[i].cache);
    }
    tsdb_cache_source_fini(&reader->source);
    free(reader->lanes);
    free(reader->values);
    free(reader->kept_times);
    tsdb_buckets_fini(&reader->buckets);
    tsdb_buckets_fini(&reader->newer_buckets);
    tsdb_buckets_fini(&reader->merged_buckets);
    tsdb_buckets_fini(&reader->late);
    free(reader->merged_times);
    tsdb_points_fini(&reader->older);
    tsdb_points_fini(&reader->newer);
    tsdb_points_fini(&reader->merged);
    tsdb_mixed_fini(&reader->mixed);
    tsdb_mixed_fini(&reader->mixed_newer);
    tsdb_mixed_fini(&reader->mixed_merged);
    tsdb_mixed_columns_fini(&reader->mixed_columns);
    tw_arena_free(reader->histograms);
    tsdb_env_cursor_close(reader->source.blocks);
    tsdb_env_cursor_close(reader->source.columns);
    tsdb_env_abort(reader->txn);
    reader->magic = 0;
    free(reader);
    return NULL;
}

/* ---- fetching ahead ---- */

enum tw_code tsdb_partition_reader_expect(struct tsdb_partition_reader *reader, size_t series,
                                          bool in_order, struct tw_err *err)
{
    TW_CHECK_MAGIC(reader, READER_MAGIC);
    struct tsdb_partition_counts counts;
    enum tw_code code = tsdb_partition_read_counts(reader->txn, &counts, err);
    if (code == TW_OK)
        reader->reads_most = series >= counts.series / LARGE_SHARE;
    reader->source.in_order = in_order;
    return code;
}

/* What the lanes of the range have, in their order. */
static enum tw_code fetch_range(struct tsdb_partition_reader *reader, struct tw_err *err)
{
    int64_t last_window = tw_floor_div(reader->end_ms, TSDB_WINDOW_MS);
    size_t left = FETCH_BYTES_MAX;
    reader->reads_most = false;
    for (size_t i = reader->next_lane;
         i < reader->lane_count && reader->lanes[i].window <= last_window && left > 0; i++) {
        enum tw_code code = tsdb_cache_fetch(&reader->lanes[i].cache, &reader->source, &left, err);
        if (code != TW_OK)
            return code;
    }
    return TW_OK;
}

/* ---- for a rewrite ---- */

struct tsdb_env_txn *tsdb_partition_reader_txn(struct tsdb_partition_reader *reader)
{
    TW_CHECK_MAGIC(reader, READER_MAGIC);
    return reader->txn;
}

bool tsdb_partition_reader_has(const struct tsdb_partition_reader *reader, int64_t window)
{
    for (size_t i = 0; i < reader->lane_count; i++)
        if (reader->lanes[i].window == window)
            return true;
    return false;
}

void tsdb_partition_reader_restrict(struct tsdb_partition_reader *reader, uint64_t run)
{
    size_t kept = 0;
    for (size_t i = 0; i < reader->lane_count; i++) {
        if (reader->lanes[i].run == run) {
            reader->lanes[kept++] = reader->lanes[i];
            continue;
        }
        tsdb_cache_fini(&reader->lanes[i].cache);
    }
    reader->lane_count = kept;
}

/* ---- one lane ---- */

/* The series' entry in the lane, or NULL. */
static enum tw_code find_entry(struct tsdb_partition_reader *reader, struct lane *lane,
                               const struct tsdb_block_entry **ret_entry, struct tw_err *err)
{
    const struct tsdb_partition_place *place = &reader->place;
    while (place && place->series >= lane->series_limit)
        place = place->older;
    if (!place) {
        *ret_entry = NULL;
        return TW_OK;
    }
    return tsdb_cache_find(&lane->cache, &reader->source, place->metric, place->series, ret_entry,
                           err);
}

static enum tw_code load_times(struct tsdb_partition_reader *reader, struct lane *lane,
                               const struct tsdb_block_entry *entry, struct tw_err *err)
{
    if (lane->times.column != entry->column) {
        struct tsdb_cached_times times;
        enum tw_code code =
            tsdb_cache_times(&lane->cache, &reader->source, entry->column, &times, err);
        if (code != TW_OK)
            return code;
        lane->times = (struct times){times.items, times.count, entry->column};
    }
    return lane->times.count == entry->count
               ? TW_OK
               : tsdb_partition_corrupt(reader->env, "column: of another length", err);
}

/* What is kept for later is dropped when it is too much; nothing of it was handed out. */
static void forget(struct tsdb_partition_reader *reader)
{
    for (size_t i = 0; i < reader->lane_count; i++) {
        tsdb_cache_forget(&reader->lanes[i].cache, &reader->source);
        reader->lanes[i].times = (struct times){.column = NO_COLUMN};
    }
}

static size_t find_time(const int64_t *times, size_t count, int64_t time_ms)
{
    size_t first = 0, limit = count;
    while (first < limit) {
        size_t middle = first + (limit - first) / 2;
        if (times[middle] < time_ms)
            first = middle + 1;
        else
            limit = middle;
    }
    return first;
}

static void reserve_values(struct tsdb_partition_reader *reader, size_t count)
{
    if (reader->value_capacity >= count)
        return;
    reader->values = realloc(reader->values, count * sizeof *reader->values);
    TW_ASSERT(reader->values != NULL);
    reader->value_capacity = count;
}

/* The lane's samples of the series in the range, in reader->values and the lane's times. */
static enum tw_code read_lane(struct tsdb_partition_reader *reader, struct lane *lane,
                              const struct tsdb_block_entry *entry, size_t *ret_first,
                              size_t *ret_count, struct tw_err *err)
{
    enum tw_code code = load_times(reader, lane, entry, err);
    if (code != TW_OK)
        return code;
    const int64_t *times = lane->times.items;
    size_t first = find_time(times, entry->count, reader->start_ms);
    size_t limit = reader->end_ms == INT64_MAX ? entry->count
                                               : find_time(times, entry->count, reader->end_ms + 1);
    *ret_first = first;
    *ret_count = limit > first ? limit - first : 0;
    if (*ret_count == 0)
        return TW_OK;
    reserve_values(reader, entry->count);
    if (!tsdb_codec_decode_part(entry->values, reader->values, entry->count, first, limit))
        return tsdb_partition_corrupt(reader->env, "block: values", err);
    return TW_OK;
}

void tsdb_partition_reader_erase(struct tsdb_partition_reader *reader,
                                 const struct tsdb_erasure *items, size_t count)
{
    TW_CHECK_MAGIC(reader, READER_MAGIC);
    reader->erasures = items;
    reader->erasure_count = count;
}

static void reserve_kept_times(struct tsdb_partition_reader *reader, size_t count)
{
    if (reader->kept_capacity >= count)
        return;
    free(reader->kept_times);
    reader->kept_times = malloc(count * sizeof *reader->kept_times);
    TW_ASSERT(reader->kept_times != NULL);
    reader->kept_capacity = count;
}

/* Leaves out what is gone. *times: the lane's, which other series share; a copy when that changes
 * them. The values are moved together. */
static void erase(struct tsdb_partition_reader *reader, uint64_t run, const int64_t **times,
                  uint64_t *values, size_t *count)
{
    if (*count == 0 || !tsdb_erasure_touches(reader->erasures, reader->erasure_count, run,
                                             (*times)[0], (*times)[*count - 1]))
        return;
    reserve_kept_times(reader, *count);
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        if (tsdb_erasure_has(reader->erasures, reader->erasure_count, run, (*times)[i]))
            continue;
        reader->kept_times[kept] = (*times)[i];
        values[kept++] = values[i];
    }
    *times = reader->kept_times;
    *count = kept;
}

/* ---- windows ---- */

enum tw_code tsdb_partition_reader_seek(struct tsdb_partition_reader *reader,
                                        const struct tsdb_partition_place *place, int64_t start_ms,
                                        int64_t end_ms, struct tw_err *err)
{
    TW_CHECK_MAGIC(reader, READER_MAGIC);
    if (tsdb_cache_is_large(&reader->source))
        forget(reader);
    reader->place = *place;
    reader->start_ms = start_ms;
    reader->end_ms = end_ms;
    reader->is_mixed = false;
    reader->mixed.count = reader->mixed_at = 0;
    reader->next_lane = 0;
    int64_t first_window = tw_floor_div(start_ms, TSDB_WINDOW_MS);
    while (reader->next_lane < reader->lane_count &&
           reader->lanes[reader->next_lane].window < first_window)
        reader->next_lane++;
    return reader->reads_most ? fetch_range(reader, err) : TW_OK;
}

static void append_points(struct tsdb_points *points, const int64_t *times, const uint64_t *values,
                          size_t count)
{
    struct tsdb_point *to = tsdb_points_reserve(points, count);
    for (size_t i = 0; i < count; i++)
        to[i] = (struct tsdb_point){times[i], values[i]};
    points->count += count;
}

/* A lane beside one or more before it: what was gathered so far and its samples become one. */
static void merge_lane(struct tsdb_partition_reader *reader, const int64_t *times,
                       const uint64_t *values, size_t count)
{
    reader->newer.count = 0;
    append_points(&reader->newer, times, values, count);
    tsdb_points_merge(reader->older.items, reader->older.count, reader->newer.items,
                      reader->newer.count, &reader->merged);
    struct tsdb_points swapped = reader->older;
    reader->older = reader->merged;
    reader->merged = swapped;
}

static void hand_out_merged(struct tsdb_partition_reader *reader, struct tsdb_column *ret_column)
{
    size_t count = reader->older.count;
    if (reader->merged_capacity < count) {
        reader->merged_times = realloc(reader->merged_times, count * sizeof *reader->merged_times);
        TW_ASSERT(reader->merged_times != NULL);
        reader->merged_capacity = count;
    }
    reserve_values(reader, count);
    for (size_t i = 0; i < count; i++) {
        reader->merged_times[i] = reader->older.items[i].time_ms;
        reader->values[i] = reader->older.items[i].bits;
    }
    *ret_column = (struct tsdb_column){.kind = TSDB_KIND_FLOAT,
                                       .count = count,
                                       .times_ms = reader->merged_times,
                                       .values = (const double *)(const void *)reader->values};
}

/* The same column cut in the same way has the same id, whichever series it is read for. */
static uint64_t times_id(const struct tsdb_partition_reader *reader, const struct lane *lane,
                         size_t first, size_t count)
{
    const uint64_t parts[] = {(uint64_t)reader->day,
                              reader->generation,
                              (uint64_t)lane->window,
                              lane->run,
                              lane->times.column,
                              first,
                              count};
    uint64_t id = tw_hash64(parts, sizeof parts);
    return id ? id : 1;
}

/* ---- windows of which all lanes are gathered ---- */

/* Reads the series' entry in one lane. */
typedef enum tw_code read_lane_fn(struct tsdb_partition_reader *reader, struct lane *lane,
                                  const struct tsdb_block_entry *entry, struct tw_err *err);
/* Takes over what was read of a lane, of this run. */
typedef void join_lane_fn(struct tsdb_partition_reader *reader, uint64_t run);

/* The lanes of the next window, from old to new; the next lane is then one of another. */
static enum tw_code read_lanes(struct tsdb_partition_reader *reader, read_lane_fn *read,
                               join_lane_fn *join, struct tw_err *err)
{
    int64_t window = reader->lanes[reader->next_lane].window;
    for (; reader->next_lane < reader->lane_count &&
           reader->lanes[reader->next_lane].window == window;
         reader->next_lane++) {
        struct lane *lane = &reader->lanes[reader->next_lane];
        const struct tsdb_block_entry *entry;
        enum tw_code code = find_entry(reader, lane, &entry, err);
        if (code == TW_OK && entry)
            code = read(reader, lane, entry, err);
        if (code != TW_OK)
            return code;
        if (entry)
            join(reader, lane->run);
    }
    return TW_OK;
}

/* ---- windows with native histograms ---- */

/* The lane's samples of the series in the range, in reader->mixed_newer. */
static enum tw_code read_mixed_lane(struct tsdb_partition_reader *reader, struct lane *lane,
                                    const struct tsdb_block_entry *entry, struct tw_err *err)
{
    struct tsdb_mixed *to = &reader->mixed_newer;
    size_t first = 0, count = 0;
    to->count = 0;
    if (entry->kind == TSDB_KIND_FLOAT) {
        enum tw_code code = read_lane(reader, lane, entry, &first, &count, err);
        if (code != TW_OK || count == 0)
            return code;
        const double *values = (const double *)(const void *)(reader->values + first);
        tsdb_mixed_append_column(to, &(struct tsdb_column){.kind = TSDB_KIND_FLOAT,
                                                           .count = count,
                                                           .times_ms = lane->times.items + first,
                                                           .values = values});
        return TW_OK;
    }
    enum tw_code code = load_times(reader, lane, entry, err);
    if (code != TW_OK)
        return code;
    if (!tsdb_histogram_chunk_decode(entry->values, lane->times.items, entry->count,
                                     reader->histograms, to))
        return tsdb_partition_corrupt(reader->env, "block: histograms", err);
    first = tsdb_mixed_find(to->items, to->count, reader->start_ms);
    if (reader->end_ms != INT64_MAX)
        to->count = tsdb_mixed_find(to->items, to->count, reader->end_ms + 1);
    to->count = to->count > first ? to->count - first : 0;
    memmove(to->items, to->items + first, to->count * sizeof *to->items);
    return TW_OK;
}

static void take_mixed(struct tsdb_partition_reader *reader, struct tsdb_column *ret_column)
{
    reader->mixed_at +=
        tsdb_mixed_columns_take(&reader->mixed_columns, reader->mixed.items + reader->mixed_at,
                                reader->mixed.count - reader->mixed_at, ret_column);
}

/* What a lane gave, without what is gone, joins what the lanes before gave. */
static void join_mixed(struct tsdb_partition_reader *reader, uint64_t run)
{
    tsdb_mixed_erase(&reader->mixed_newer, reader->erasures, reader->erasure_count, run);
    if (reader->mixed_newer.count == 0)
        return;
    tsdb_mixed_merge(reader->mixed.items, reader->mixed.count, reader->mixed_newer.items,
                     reader->mixed_newer.count, &reader->mixed_merged);
    struct tsdb_mixed swapped = reader->mixed;
    reader->mixed = reader->mixed_merged;
    reader->mixed_merged = swapped;
}

/* All lanes of the next window, as points of any kind; the first columns of them. */
static enum tw_code read_mixed_window(struct tsdb_partition_reader *reader,
                                      struct tsdb_column *ret_column, struct tw_err *err)
{
    if (!reader->histograms)
        reader->histograms = tw_arena_new(65536);
    tw_arena_reset(reader->histograms);
    reader->is_mixed = true;
    reader->mixed.count = reader->mixed_at = 0;
    enum tw_code code = read_lanes(reader, read_mixed_lane, join_mixed, err);
    if (code == TW_OK)
        take_mixed(reader, ret_column);
    return code;
}

bool tsdb_partition_reader_is_mixed(const struct tsdb_partition_reader *reader)
{
    return reader->is_mixed;
}

/* ---- windows with downsampled samples ---- */

/* Those of the points that are numbers; returns how many are not. */
static size_t append_numbers(struct tsdb_buckets *to, const struct tsdb_mixed *points)
{
    size_t others = 0;
    for (size_t i = 0; i < points->count; i++) {
        const struct tsdb_mixed_point *point = &points->items[i];
        double value = tw_double_from_bits(point->bits);
        if (point->histogram)
            others++;
        else
            tsdb_buckets_append_samples(to, &point->time_ms, &value, 1);
    }
    return others;
}

/* The lane's of the series in the range, in reader->newer_buckets. Histograms beside them came
 * after the window was downsampled: of numbers, which they cannot join. */
static enum tw_code read_bucket_lane(struct tsdb_partition_reader *reader, struct lane *lane,
                                     const struct tsdb_block_entry *entry, struct tw_err *err)
{
    struct tsdb_buckets *to = &reader->newer_buckets;
    to->count = 0;
    reader->lane_is_late = entry->kind != TSDB_KIND_BUCKETS;
    if (entry->kind == TSDB_KIND_FLOAT) {
        size_t first = 0, count = 0;
        enum tw_code code = read_lane(reader, lane, entry, &first, &count, err);
        if (code == TW_OK)
            tsdb_buckets_append_samples(to, lane->times.items + first,
                                        (const double *)(const void *)(reader->values + first),
                                        count);
        return code;
    }
    if (entry->kind != TSDB_KIND_BUCKETS) {
        enum tw_code code = read_mixed_lane(reader, lane, entry, err);
        if (code == TW_OK)
            reader->closed += append_numbers(to, &reader->mixed_newer);
        return code;
    }
    enum tw_code code = load_times(reader, lane, entry, err);
    if (code != TW_OK)
        return code;
    if (!tsdb_buckets_decode(entry->values, lane->times.items, entry->count, to))
        return tsdb_partition_corrupt(reader->env, "block: buckets", err);
    return TW_OK;
}

/* What a lane gave, without what is outside of the range or gone, joins what the lanes before
 * gave: buckets the buckets, samples the samples. */
static void join_buckets(struct tsdb_partition_reader *reader, uint64_t run)
{
    struct tsdb_buckets *buckets = &reader->newer_buckets;
    struct tsdb_buckets *to = reader->lane_is_late ? &reader->late : &reader->buckets;
    size_t kept = 0;
    for (size_t i = 0; i < buckets->count; i++) {
        int64_t time_ms = buckets->items[i].time_ms;
        if (time_ms >= reader->start_ms && time_ms <= reader->end_ms &&
            !tsdb_erasure_has(reader->erasures, reader->erasure_count, run, time_ms))
            buckets->items[kept++] = buckets->items[i];
    }
    buckets->count = kept;
    if (kept == 0)
        return;
    tsdb_buckets_merge(to, buckets, &reader->merged_buckets);
    struct tsdb_buckets swapped = *to;
    *to = reader->merged_buckets;
    reader->merged_buckets = swapped;
}

/* The samples beside the buckets join them, but for those of steps that have one. */
static void join_late(struct tsdb_partition_reader *reader)
{
    if (reader->late.count == 0)
        return;
    reader->closed += tsdb_buckets_leave_open(&reader->buckets, &reader->late, reader->step_ms);
    tsdb_buckets_merge(&reader->buckets, &reader->late, &reader->merged_buckets);
    struct tsdb_buckets swapped = reader->buckets;
    reader->buckets = reader->merged_buckets;
    reader->merged_buckets = swapped;
}

/* All lanes of the next window, merged as buckets; a sample is one of its own. */
static enum tw_code read_bucket_window(struct tsdb_partition_reader *reader,
                                       struct tsdb_column *ret_column, struct tw_err *err)
{
    reader->buckets.count = reader->late.count = 0;
    if (!reader->histograms)
        reader->histograms = tw_arena_new(65536);
    tw_arena_reset(reader->histograms);
    enum tw_code code = read_lanes(reader, read_bucket_lane, join_buckets, err);
    if (code != TW_OK)
        return code;
    join_late(reader);
    size_t count = reader->buckets.count;
    reserve_kept_times(reader, count);
    for (size_t i = 0; i < count; i++)
        reader->kept_times[i] = reader->buckets.items[i].time_ms;
    *ret_column = (struct tsdb_column){.kind = TSDB_KIND_BUCKETS,
                                       .count = count,
                                       .times_ms = reader->kept_times,
                                       .buckets = reader->buckets.items};
    return TW_OK;
}

uint64_t tsdb_partition_reader_take_closed(struct tsdb_partition_reader *reader)
{
    uint64_t count = reader->closed;
    reader->closed = 0;
    return count;
}

int64_t tsdb_partition_reader_step(const struct tsdb_partition_reader *reader)
{
    return reader->step_ms;
}

/* ---- the next column ---- */

/* All lanes of the next window; count 0 when none of them has samples in the range. */
static enum tw_code read_window(struct tsdb_partition_reader *reader,
                                struct tsdb_column *ret_column, struct tw_err *err)
{
    size_t first_lane = reader->next_lane;
    int64_t window = reader->lanes[first_lane].window;
    size_t lanes_with_samples = 0;
    reader->is_mixed = false;
    *ret_column = (struct tsdb_column){.kind = TSDB_KIND_FLOAT};
    for (; reader->next_lane < reader->lane_count &&
           reader->lanes[reader->next_lane].window == window;
         reader->next_lane++) {
        struct lane *lane = &reader->lanes[reader->next_lane];
        const struct tsdb_block_entry *entry;
        size_t first = 0, count = 0;
        enum tw_code code = find_entry(reader, lane, &entry, err);
        if (code != TW_OK)
            return code;
        if (!entry)
            continue;
        if (entry->kind == TSDB_KIND_BUCKETS) {
            reader->next_lane = first_lane;
            return read_bucket_window(reader, ret_column, err);
        }
        if (entry->kind != TSDB_KIND_FLOAT) {
            reader->next_lane = first_lane;
            return read_mixed_window(reader, ret_column, err);
        }
        if (lanes_with_samples == 1) { /* its values are about to be overwritten: move them */
            reader->older.count = 0;
            append_points(&reader->older, ret_column->times_ms,
                          (const uint64_t *)(const void *)ret_column->values, ret_column->count);
        }
        code = read_lane(reader, lane, entry, &first, &count, err);
        if (code != TW_OK)
            return code;
        const int64_t *times = lane->times.items + first;
        size_t all = count;
        erase(reader, lane->run, &times, reader->values + first, &count);
        if (count == 0) {
            if (lanes_with_samples == 1)
                hand_out_merged(reader, ret_column);
            continue;
        }
        if (++lanes_with_samples > 1) {
            merge_lane(reader, times, reader->values + first, count);
            continue;
        }
        *ret_column = (struct tsdb_column){
            .kind = entry->kind,
            .count = count,
            .times_ms = times,
            .values = (const double *)(const void *)(reader->values + first),
            .times_id = count == all ? times_id(reader, lane, first, count) : 0};
    }
    if (lanes_with_samples > 1)
        hand_out_merged(reader, ret_column);
    return TW_OK;
}

enum tw_code tsdb_partition_reader_next(struct tsdb_partition_reader *reader,
                                        struct tsdb_column *ret_column, struct tw_err *err)
{
    TW_CHECK_MAGIC(reader, READER_MAGIC);
    if (reader->mixed_at < reader->mixed.count) {
        take_mixed(reader, ret_column);
        return TW_OK;
    }
    int64_t last_window = tw_floor_div(reader->end_ms, TSDB_WINDOW_MS);
    while (reader->next_lane < reader->lane_count &&
           reader->lanes[reader->next_lane].window <= last_window) {
        enum tw_code code = read_window(reader, ret_column, err);
        if (code != TW_OK || ret_column->count > 0)
            return code;
    }
    *ret_column = (struct tsdb_column){.kind = TSDB_KIND_FLOAT};
    return TW_OK;
}
