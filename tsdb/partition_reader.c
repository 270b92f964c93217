/* SPDX-License-Identifier: Apache-2.0
 *
 * partition_reader: samples of one series after the other out of a partition.
 *
 * A lane is one run in one window. Blocks of a lane stand in the order of their series, so a lane
 * keeps the block it read last, which most often has the next series too; the same holds for its
 * column of timestamps. The lanes of a window are merged, the higher run is the newer.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "tsdb/block.h"
#include "tsdb/codec.h"
#include "tsdb/db.h"
#include "tsdb/partition_int.h"
#include "tsdb/points.h"

#define READER_MAGIC 0x7e5d4eafu
#define NO_COLUMN UINT32_MAX

/* A decoded column of timestamps. */
struct times {
    int64_t *items;
    uint32_t count, capacity, column;
};

struct lane {
    int64_t window;
    uint64_t run;
    bool has_block;
    struct tsdb_block block;
    struct times times;
};

struct tsdb_partition_reader {
    unsigned magic;
    struct tsdb_env *env;
    struct tsdb_env_txn *txn;
    struct tsdb_env_cursor *blocks, *columns;
    int64_t day;
    uint32_t generation;
    struct lane *lanes; /* ascending by window, run */
    size_t lane_count, lane_capacity;
    /* What was sought. */
    uint32_t metric, series;
    int64_t start_ms, end_ms;
    size_t next_lane;
    /* What is handed out: a run of one lane, or several merged. */
    uint64_t *values;
    size_t value_capacity;
    struct tsdb_points older, newer, merged;
    int64_t *merged_times;
    size_t merged_capacity;
};

/* ---- opening ---- */

static struct lane *add_lane(struct tsdb_partition_reader *reader)
{
    if (reader->lane_count == reader->lane_capacity) {
        reader->lane_capacity = reader->lane_capacity ? reader->lane_capacity * 2 : 16;
        reader->lanes = realloc(reader->lanes, reader->lane_capacity * sizeof *reader->lanes);
        TW_ASSERT(reader->lanes != NULL);
    }
    struct lane *lane = &reader->lanes[reader->lane_count++];
    memset(lane, 0, sizeof *lane);
    tsdb_block_init(&lane->block);
    lane->times.column = NO_COLUMN;
    return lane;
}

/* One seek a lane: from a lane's last possible key to the first of the next. */
static enum tw_code list_lanes(struct tsdb_partition_reader *reader, struct tw_err *err)
{
    unsigned char wanted[TSDB_BLOCK_KEY_BYTES] = {0};
    struct tw_str key = {(const char *)wanted, 1};
    enum tw_code code;
    while ((code = tsdb_env_cursor_move(reader->blocks, TSDB_ENV_AT_OR_AFTER, &key, NULL, err)) ==
           TW_OK) {
        if (key.size != TSDB_BLOCK_KEY_BYTES)
            return tsdb_partition_corrupt(reader->env, "block: a key", err);
        struct lane *lane = add_lane(reader);
        lane->window = tsdb_env_key_get_i64(key.data);
        lane->run = tsdb_env_key_get_u64(key.data + 8);
        memcpy(wanted, key.data, 16);
        memset(wanted + 16, 0xff, 8);
        key = (struct tw_str){(const char *)wanted, sizeof wanted};
    }
    return code == TW_NOT_FOUND ? TW_OK : code;
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
    enum tw_code code = tsdb_env_begin(partition->env, false, &reader->txn, err);
    if (code == TW_OK)
        code = tsdb_env_cursor_open(reader->txn, TSDB_TABLE_BLOCKS, &reader->blocks, err);
    if (code == TW_OK)
        code = tsdb_env_cursor_open(reader->txn, TSDB_TABLE_COLUMNS, &reader->columns, err);
    if (code == TW_OK)
        code = list_lanes(reader, err);
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
        tsdb_block_fini(&reader->lanes[i].block);
        free(reader->lanes[i].times.items);
    }
    free(reader->lanes);
    free(reader->values);
    free(reader->merged_times);
    tsdb_points_fini(&reader->older);
    tsdb_points_fini(&reader->newer);
    tsdb_points_fini(&reader->merged);
    tsdb_env_cursor_close(reader->blocks);
    tsdb_env_cursor_close(reader->columns);
    tsdb_env_abort(reader->txn);
    reader->magic = 0;
    free(reader);
    return NULL;
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
        tsdb_block_fini(&reader->lanes[i].block);
        free(reader->lanes[i].times.items);
    }
    reader->lane_count = kept;
}

/* ---- one lane ---- */

static bool block_covers(const struct lane *lane, uint32_t metric, uint32_t series)
{
    if (!lane->has_block)
        return false;
    const struct tsdb_block_entry *first = &lane->block.entries[0];
    const struct tsdb_block_entry *last = &lane->block.entries[lane->block.count - 1];
    return (first->metric < metric || (first->metric == metric && first->series <= series)) &&
           (last->metric > metric || (last->metric == metric && last->series >= series));
}

static void lane_key(const struct lane *lane, unsigned char *ret_key)
{
    tsdb_env_key_i64(ret_key, lane->window);
    tsdb_env_key_u64(ret_key + 8, lane->run);
}

/* The series' entry in the lane, or NULL. */
static enum tw_code find_entry(struct tsdb_partition_reader *reader, struct lane *lane,
                               const struct tsdb_block_entry **ret_entry, struct tw_err *err)
{
    *ret_entry = NULL;
    if (!block_covers(lane, reader->metric, reader->series)) {
        unsigned char wanted[TSDB_BLOCK_KEY_BYTES];
        lane_key(lane, wanted);
        tsdb_env_key_u32(wanted + 16, reader->metric);
        tsdb_env_key_u32(wanted + 20, reader->series);
        struct tw_str key = {(const char *)wanted, sizeof wanted}, value;
        enum tw_code code =
            tsdb_env_cursor_move(reader->blocks, TSDB_ENV_AT_OR_BEFORE, &key, &value, err);
        if (code == TW_NOT_FOUND)
            return TW_OK;
        if (code != TW_OK)
            return code;
        if (key.size != TSDB_BLOCK_KEY_BYTES || memcmp(key.data, wanted, 16) != 0)
            return TW_OK; /* before the lane's first */
        lane->has_block = tsdb_block_parse(&lane->block, value);
        if (!lane->has_block)
            return tsdb_partition_corrupt(reader->env, "block", err);
    }
    *ret_entry = tsdb_block_find(&lane->block, reader->metric, reader->series);
    return TW_OK;
}

static enum tw_code find_column(struct tsdb_partition_reader *reader, const struct lane *lane,
                                uint32_t column, struct tw_str *ret_times, uint64_t *ret_count,
                                struct tw_err *err)
{
    unsigned char wanted[TSDB_COLUMN_KEY_BYTES];
    lane_key(lane, wanted);
    tsdb_env_key_u32(wanted + 16, column);
    struct tw_str key = {(const char *)wanted, sizeof wanted}, page;
    enum tw_code code =
        tsdb_env_cursor_move(reader->columns, TSDB_ENV_AT_OR_BEFORE, &key, &page, err);
    if (code != TW_OK && code != TW_NOT_FOUND)
        return code;
    if (code == TW_NOT_FOUND || key.size != TSDB_COLUMN_KEY_BYTES ||
        memcmp(key.data, wanted, 16) != 0)
        return tsdb_partition_corrupt(reader->env, "column: it is missing", err);
    uint32_t at = column - tsdb_env_key_get_u32(key.data + 16);
    struct tsdb_reader bytes = tsdb_reader(page);
    uint64_t count = tsdb_read_varint(&bytes), skip = 0, size = 0, items = 0;
    if (!bytes.ok || at >= count)
        return tsdb_partition_corrupt(reader->env, "column: it is missing", err);
    for (uint64_t i = 0; i < count && bytes.ok; i++) {
        uint64_t item_count = tsdb_read_varint(&bytes), item_size = tsdb_read_varint(&bytes);
        if (item_size > page.size)
            bytes.ok = false;
        if (i < at)
            skip += item_size;
        if (i == at)
            items = item_count, size = item_size;
    }
    (void)tsdb_read_bytes(&bytes, skip);
    *ret_times = tsdb_read_bytes(&bytes, size);
    *ret_count = items;
    return bytes.ok ? TW_OK : tsdb_partition_corrupt(reader->env, "column", err);
}

static enum tw_code load_times(struct tsdb_partition_reader *reader, struct lane *lane,
                               const struct tsdb_block_entry *entry, struct tw_err *err)
{
    struct times *times = &lane->times;
    if (times->column == entry->column)
        return times->count == entry->count
                   ? TW_OK
                   : tsdb_partition_corrupt(reader->env, "column: of another length", err);
    struct tw_str bytes = {0};
    uint64_t count = 0;
    enum tw_code code = find_column(reader, lane, entry->column, &bytes, &count, err);
    if (code != TW_OK)
        return code;
    if (count != entry->count)
        return tsdb_partition_corrupt(reader->env, "column: of another length", err);
    if (times->capacity < count) {
        times->items = realloc(times->items, count * sizeof *times->items);
        TW_ASSERT(times->items != NULL);
        times->capacity = (uint32_t)count;
    }
    times->column = NO_COLUMN;
    if (!tsdb_codec_decode_times(bytes, times->items, count))
        return tsdb_partition_corrupt(reader->env, "column", err);
    /* Order is what all that follows relies on. */
    for (uint64_t i = 0; i < count; i++)
        if (tw_floor_div(times->items[i], TSDB_WINDOW_MS) != lane->window ||
            (i > 0 && times->items[i] <= times->items[i - 1]))
            return tsdb_partition_corrupt(reader->env, "column: out of order", err);
    times->count = (uint32_t)count;
    times->column = entry->column;
    return TW_OK;
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
    if (reader->value_capacity < entry->count) {
        reader->values = realloc(reader->values, entry->count * sizeof *reader->values);
        TW_ASSERT(reader->values != NULL);
        reader->value_capacity = entry->count;
    }
    if (!tsdb_codec_decode_values(entry->values, reader->values, entry->count))
        return tsdb_partition_corrupt(reader->env, "block: values", err);
    return TW_OK;
}

/* ---- windows ---- */

enum tw_code tsdb_partition_reader_seek(struct tsdb_partition_reader *reader, uint32_t metric,
                                        uint32_t series, int64_t start_ms, int64_t end_ms,
                                        struct tw_err *err)
{
    (void)err;
    TW_CHECK_MAGIC(reader, READER_MAGIC);
    reader->metric = metric;
    reader->series = series;
    reader->start_ms = start_ms;
    reader->end_ms = end_ms;
    reader->next_lane = 0;
    int64_t first_window = tw_floor_div(start_ms, TSDB_WINDOW_MS);
    while (reader->next_lane < reader->lane_count &&
           reader->lanes[reader->next_lane].window < first_window)
        reader->next_lane++;
    return TW_OK;
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
    if (reader->value_capacity < count) {
        reader->values = realloc(reader->values, count * sizeof *reader->values);
        TW_ASSERT(reader->values != NULL);
        reader->value_capacity = count;
    }
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

/* All lanes of the next window; count 0 when none of them has samples in the range. */
static enum tw_code read_window(struct tsdb_partition_reader *reader,
                                struct tsdb_column *ret_column, struct tw_err *err)
{
    int64_t window = reader->lanes[reader->next_lane].window;
    size_t lanes_with_samples = 0;
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
        if (lanes_with_samples == 1) { /* its values are about to be overwritten: move them */
            reader->older.count = 0;
            append_points(&reader->older, ret_column->times_ms,
                          (const uint64_t *)(const void *)ret_column->values, ret_column->count);
        }
        code = read_lane(reader, lane, entry, &first, &count, err);
        if (code != TW_OK)
            return code;
        if (count == 0) {
            if (lanes_with_samples == 1)
                hand_out_merged(reader, ret_column);
            continue;
        }
        if (++lanes_with_samples > 1) {
            merge_lane(reader, lane->times.items + first, reader->values + first, count);
            continue;
        }
        *ret_column =
            (struct tsdb_column){.kind = entry->kind,
                                 .count = count,
                                 .times_ms = lane->times.items + first,
                                 .values = (const double *)(const void *)(reader->values + first),
                                 .times_id = times_id(reader, lane, first, count)};
    }
    if (lanes_with_samples > 1)
        hand_out_merged(reader, ret_column);
    return TW_OK;
}

enum tw_code tsdb_partition_reader_next(struct tsdb_partition_reader *reader,
                                        struct tsdb_column *ret_column, struct tw_err *err)
{
    TW_CHECK_MAGIC(reader, READER_MAGIC);
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
