/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_partition: what a partition promises beyond its checksums, and reading one of which parts
 * are missing.
 */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "tsdb/db.h"
#include "tsdb/partition_int.h"
#include "tsdb/verify_int.h"

#define LOST UINT32_MAX

struct series {
    uint32_t id, metric; /* metric LOST: its labels cannot be read */
    uint32_t label_count, postings;
    size_t first_label; /* of check->names and values */
};

struct check {
    struct tsdb_verify_file *file;
    struct tsdb_partition partition;
    struct tsdb_env_txn *txn;
    struct tw_arena *arena;
    struct tsdb_partition_view view;
    struct series *series;
    uint64_t *hashes;              /* of their label sets */
    struct tsdb_ids names, values; /* of their labels, one series after the other */
    uint32_t lost_count;
    uint64_t run_samples;
};

static int64_t day_of(const char *path)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    return strncmp(name, "day-", 4) == 0 ? strtoll(name + 4, NULL, 10) : 0;
}

static bool open_check(struct check *check, const char *path, struct tsdb_verify_file *file)
{
    struct tw_err err;
    *check = (struct check){.file = file, .partition = {.day = day_of(path)}};
    enum tw_code code =
        tsdb_env_open(path, &tsdb_partition_format, TSDB_ENV_OPEN, &check->partition.env, &err);
    if (code == TW_OK)
        code = tsdb_env_begin(check->partition.env, false, &check->txn, &err);
    check->arena = tw_arena_new(1 << 16);
    if (code == TW_OK)
        code = tsdb_partition_view_init(&check->view, check->partition.env, check->txn,
                                        check->arena, &err);
    if (code != TW_OK) {
        tsdb_verify_find(file, "%s", err.message);
        return false;
    }
    check->series = calloc((size_t)check->view.counts.series + 1, sizeof *check->series);
    check->hashes = calloc((size_t)check->view.counts.series + 1, sizeof *check->hashes);
    TW_ASSERT(check->series != NULL && check->hashes != NULL);
    return true;
}

static void close_check(struct check *check)
{
    free(check->series);
    free(check->hashes);
    tsdb_ids_fini(&check->names);
    tsdb_ids_fini(&check->values);
    tsdb_partition_view_fini(&check->view);
    tw_arena_free(check->arena);
    tsdb_env_abort(check->txn);
    tsdb_env_close(check->partition.env);
}

/* ---- series ---- */

static bool read_labels(struct check *check, uint32_t id, struct tsdb_series_entry *entry,
                        struct wire_label *items, struct wire_labels *ret, struct tw_err *err)
{
    if (tsdb_partition_view_series(&check->view, id, entry, err) != TW_OK ||
        tsdb_partition_view_labels(&check->view, entry, items, err) != TW_OK)
        return false;
    *ret = (struct wire_labels){items, entry->label_count};
    return true;
}

static uint32_t metric_of(struct wire_labels labels, const struct tsdb_series_entry *entry)
{
    for (uint32_t i = 0; i < entry->label_count; i++)
        if (tw_str_is(labels.items[i].name, WIRE_METRIC_NAME))
            return entry->values[i];
    return 0;
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Only a partition that says so may have label sets under several ids. */
static void check_repeated(struct check *check)
{
    uint32_t count = check->view.counts.series - check->lost_count, repeated = 0;
    if (check->view.counts.repeated)
        return;
    qsort(check->hashes, count, sizeof *check->hashes, compare_hashes);
    for (uint32_t i = 1; i < count; i++)
        repeated += check->hashes[i] == check->hashes[i - 1];
    if (repeated > 0)
        tsdb_verify_find(check->file, "%" PRIu32 " label sets are there twice", repeated);
}

/* All series into check->series; findings for those that are wrong. */
static void load_series(struct check *check)
{
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    struct tsdb_series_entry entry;
    struct tw_err err;
    for (uint32_t id = 0; id < check->view.counts.series; id++) {
        struct series *series = &check->series[id];
        struct wire_labels labels;
        *series = (struct series){.id = id, .metric = LOST, .first_label = check->names.count};
        if (!read_labels(check, id, &entry, items, &labels, &err)) {
            tsdb_verify_find(check->file, "series %" PRIu32 ": %s", id, err.message);
            check->lost_count++;
            continue;
        }
        series->metric = metric_of(labels, &entry);
        series->label_count = entry.label_count;
        for (uint32_t i = 0; i < entry.label_count; i++) {
            tsdb_ids_append(&check->names, entry.names[i]);
            tsdb_ids_append(&check->values, entry.values[i]);
        }
        check->hashes[check->file->series++] = entry.hash;
        if (wire_labels_check(labels, &err) != TW_OK)
            tsdb_verify_find(check->file, "series %" PRIu32 ": %s", id, err.message);
    }
    check_repeated(check);
}

static int compare_series(const void *a, const void *b)
{
    const struct series *x = a, *y = b;
    if (x->metric != y->metric)
        return x->metric < y->metric ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* ---- postings ---- */

static bool has_label(const struct check *check, uint32_t id, uint32_t name, uint32_t value)
{
    const struct series *series = &check->series[id];
    for (size_t i = series->first_label; i < series->first_label + series->label_count; i++)
        if (check->names.items[i] == name)
            return check->values.items[i] == value;
    return false;
}

static void check_posting(void *user, uint32_t name, uint32_t hash, uint32_t value,
                          const struct tsdb_ids *ids)
{
    struct check *check = user;
    struct tw_str text, name_text;
    struct tw_err err;
    if (tsdb_partition_view_string(&check->view, name, &name_text, &err) != TW_OK ||
        tsdb_partition_view_string(&check->view, value, &text, &err) != TW_OK) {
        tsdb_verify_find(check->file, "postings name a string that is not there");
        return;
    }
    if (hash != (uint32_t)tw_hash64(text.data, text.size))
        tsdb_verify_find(check->file, "postings of '%.*s': wrong hash", TW_STR_ARG(text));
    for (size_t i = 0; i < ids->count; i++) {
        uint32_t id = ids->items[i];
        check->series[id].postings++;
        if (!has_label(check, id, name, value))
            tsdb_verify_find(check->file, "postings say that series %" PRIu32 " has '%.*s'", id,
                             TW_STR_ARG(text));
    }
}

/* How many strings the series use, the empty one included. */
static uint32_t count_used_strings(const struct check *check)
{
    uint32_t strings = check->view.counts.strings, used = strings > 0;
    unsigned char *seen = calloc((size_t)strings + 1, 1);
    TW_ASSERT(seen != NULL);
    const struct tsdb_ids *lists[] = {&check->names, &check->values};
    for (size_t list = 0; list < 2; list++)
        for (size_t i = 0; i < lists[list]->count; i++) {
            uint32_t id = lists[list]->items[i];
            used += id != 0 && id < strings && !seen[id];
            seen[id < strings ? id : strings] = 1;
        }
    free(seen);
    return used;
}

/* series is in the order of ids here. */
static void check_postings(struct check *check)
{
    struct tw_err err;
    if (check->lost_count > 0)
        return; /* told already */
    uint32_t used = count_used_strings(check);
    if (used != check->view.counts.strings && check->view.counts.series > 0)
        tsdb_verify_find(check->file, "%" PRIu32 " strings are counted, the series use %" PRIu32,
                         check->view.counts.strings, used);
    if (tsdb_partition_view_postings(&check->view, check_posting, check, &err) != TW_OK)
        tsdb_verify_find(check->file, "%s", err.message);
    for (uint32_t id = 0; id < check->view.counts.series; id++)
        if (check->series[id].postings != check->series[id].label_count)
            tsdb_verify_find(check->file,
                             "series %" PRIu32 " has %" PRIu32 " labels, postings know %" PRIu32,
                             id, check->series[id].label_count, check->series[id].postings);
}

/* ---- samples ---- */

static bool is_in_day(const struct check *check, const struct tsdb_column *column)
{
    for (size_t i = 0; i < column->count; i++)
        if (tw_floor_div(column->times_ms[i], TSDB_DAY_MS) != check->partition.day ||
            (i > 0 && column->times_ms[i] <= column->times_ms[i - 1]))
            return false;
    return true;
}

/* The series' samples in the range; false with err when something of it cannot be read. */
static bool read_range(struct check *check, struct tsdb_partition_reader *reader,
                       const struct series *series, int64_t start_ms, int64_t end_ms,
                       struct wire_labels labels, struct tsdb_verify_sink *sink, struct tw_err *err)
{
    struct tsdb_column column;
    const struct tsdb_partition_place place = {.series = series->id, .metric = series->metric};
    if (tsdb_partition_reader_seek(reader, &place, start_ms, end_ms, err) != TW_OK)
        return false;
    for (;;) {
        if (tsdb_partition_reader_next(reader, &column, err) != TW_OK)
            return false;
        if (column.count == 0)
            return true;
        if (!is_in_day(check, &column)) {
            tw_err_set(err, TW_CORRUPT, "samples outside of the day, or out of order");
            return false;
        }
        check->run_samples += column.count;
        tsdb_verify_give(check->file, sink, labels, &column);
    }
}

static void check_run(struct check *check, const struct tsdb_run_row *row)
{
    struct tsdb_partition_reader *reader;
    struct tw_err err;
    if (tsdb_partition_reader_open(&check->partition, &reader, &err) != TW_OK) {
        tsdb_verify_find(check->file, "run %" PRIu64 ": %s", row->number, err.message);
        return;
    }
    if (row->series_limit > check->view.counts.series)
        tsdb_verify_find(check->file, "run %" PRIu64 " counts series that are not there",
                         row->number);
    tsdb_partition_reader_restrict(reader, row->number);
    check->run_samples = 0;
    uint64_t found = check->file->finding_count;
    for (uint32_t i = 0; i < check->view.counts.series; i++) {
        const struct series *series = &check->series[i];
        if (series->metric != LOST && !read_range(check, reader, series, INT64_MIN, INT64_MAX,
                                                  (struct wire_labels){0}, NULL, &err))
            tsdb_verify_find(check->file, "run %" PRIu64 ", series %" PRIu32 ": %s", row->number,
                             series->id, err.message);
    }
    if (found == check->file->finding_count && check->run_samples != row->samples)
        tsdb_verify_find(check->file,
                         "run %" PRIu64 " has %" PRIu64 " samples, its row says %" PRIu64,
                         row->number, check->run_samples, row->samples);
    tsdb_partition_reader_close(reader);
}

/* series is in the order of blocks here. */
static void check_runs(struct check *check)
{
    struct tsdb_run_row *rows;
    size_t count;
    struct tw_err err;
    if (tsdb_partition_list_runs(check->partition.env, check->txn, &rows, &count, &err) != TW_OK) {
        tsdb_verify_find(check->file, "%s", err.message);
        return;
    }
    uint64_t blocks = 0, there = 0;
    for (size_t i = 0; i < count; i++) {
        blocks += rows[i].blocks;
        check_run(check, &rows[i]);
    }
    free(rows);
    struct tsdb_env_cursor *cursor;
    struct tw_str key = {0};
    enum tw_code code = tsdb_env_cursor_open(check->txn, TSDB_TABLE_BLOCKS, &cursor, &err);
    if (code != TW_OK)
        return;
    while (tsdb_env_cursor_move(cursor, TSDB_ENV_NEXT, &key, NULL, &err) == TW_OK)
        there++;
    tsdb_env_cursor_close(cursor);
    if (there != blocks)
        tsdb_verify_find(check->file, "%" PRIu64 " blocks are there, the runs count %" PRIu64,
                         there, blocks);
}

void tsdb_verify_partition(const char *path, struct tsdb_verify_file *file)
{
    struct check check;
    if (open_check(&check, path, file)) {
        load_series(&check);
        check_postings(&check);
        qsort(check.series, check.view.counts.series, sizeof *check.series, compare_series);
        check_runs(&check);
    }
    close_check(&check);
}

/* ---- what is left ---- */

static void read_series(struct check *check, struct tsdb_partition_reader *reader,
                        const struct series *series, struct tsdb_verify_sink *sink)
{
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    struct wire_labels labels;
    struct tsdb_series_entry entry;
    struct tw_err err;
    if (!read_labels(check, series->id, &entry, items, &labels, &err))
        return;
    /* Window by window: what is lost of one is not lost of the others. */
    int64_t start_ms = check->partition.day * TSDB_DAY_MS;
    for (int64_t at = start_ms; at < start_ms + TSDB_DAY_MS; at += TSDB_WINDOW_MS)
        if (!read_range(check, reader, series, at, at + TSDB_WINDOW_MS - 1, labels, sink, &err))
            tsdb_verify_find(check->file, "series %" PRIu32 ": %s", series->id, err.message);
}

void tsdb_verify_read_partition(const char *path, struct tsdb_verify_file *file,
                                struct tsdb_verify_sink *sink)
{
    struct check check;
    struct tsdb_partition_reader *reader;
    struct tw_err err;
    if (open_check(&check, path, file)) {
        load_series(&check);
        qsort(check.series, check.view.counts.series, sizeof *check.series, compare_series);
        if (tsdb_partition_reader_open(&check.partition, &reader, &err) == TW_OK) {
            for (uint32_t i = 0; i < check.view.counts.series; i++)
                if (check.series[i].metric != LOST)
                    read_series(&check, reader, &check.series[i], sink);
            tsdb_partition_reader_close(reader);
        } else {
            tsdb_verify_find(file, "%s", err.message);
        }
    }
    close_check(&check);
}
