/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/rewriter.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/buckets.h"
#include "tsdb/db.h"
#include "tsdb/partition_int.h"
#include "tsdb/run.h"

#define WINDOWS_A_DAY (TSDB_DAY_MS / TSDB_WINDOW_MS)
/* Series between two looks at whether the rewrite is to end. */
#define CANCEL_STRIDE 1024

/* A series of the old partition, and where it is in the new one. */
struct moved {
    struct tsdb_partition_place place; /* in the old one; what it leads to is in the arena */
    uint32_t to_metric, to;
    uint32_t first_erasure, erasure_count;
    int64_t step_ms; /* 0 = not downsampled */
    struct tsdb_bucket_carry carry;
};

struct rewriter {
    struct tsdb_partitions *partitions;
    const struct tsdb_rewrite *rewrite;
    struct tsdb_partition *old;
    struct tsdb_partition_reader *reader;
    struct tsdb_erasers *erasers;
    struct tsdb_erasures erasures; /* of the moved series */
    struct tsdb_index *index;      /* of the new one */
    struct tw_arena *arena;
    struct moved *moved; /* in the order in which blocks are written */
    size_t moved_count;
    uint32_t *identity, *metrics; /* by series of the new one */
    struct tsdb_run_row *rows;    /* the runs that are in the new one */
    size_t row_count;
    char *path;
    struct tsdb_env *env;
    struct tsdb_run_builder *builder;
    uint64_t samples, blocks;
    uint64_t closed; /* samples left out, of steps that were downsampled before they came */
};

static enum tw_code check_cancelled(const struct rewriter *rewriter, struct tw_err *err)
{
    const struct tsdb_rewrite *rewrite = rewriter->rewrite;
    if (rewrite->cancelled && rewrite->cancelled(rewrite->user))
        return tw_err_set(err, TW_CANCELLED, "the rewrite of '%s' was ended",
                          tsdb_env_path(rewriter->old->env));
    return TW_OK;
}

/* ---- series ---- */

static uint32_t metric_string(const struct tsdb_index *index, uint32_t series)
{
    uint32_t names[WIRE_LABELS_COUNT_MAX], values[WIRE_LABELS_COUNT_MAX];
    size_t count = tsdb_index_label_ids(index, series, names, values);
    for (size_t i = 0; i < count; i++)
        if (tw_str_is(tsdb_index_string(index, names[i]), WIRE_METRIC_NAME))
            return values[i];
    return 0;
}

static int compare_moved(const void *a, const void *b)
{
    const struct moved *x = a, *y = b;
    if (x->to_metric != y->to_metric)
        return x->to_metric < y->to_metric ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

/* Calls visit for each series of the partition, in one transaction. */
typedef enum tw_code series_visit(void *user, uint32_t series, uint32_t metric, uint64_t hash,
                                  struct wire_labels labels, struct tw_err *err);
static enum tw_code visit_series(struct tsdb_env *env, struct tsdb_env_txn *txn,
                                 series_visit *visit, void *user, struct tw_err *err)
{
    struct tw_arena *arena = tw_arena_new(65536);
    struct tsdb_partition_view view;
    struct tsdb_series_entry entry;
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    enum tw_code code = tsdb_partition_view_init(&view, env, txn, arena, err);
    for (uint32_t id = 0; code == TW_OK && id < view.counts.series; id++) {
        uint32_t metric = 0;
        code = tsdb_partition_view_series(&view, id, &entry, err);
        if (code == TW_OK)
            code = tsdb_partition_view_labels(&view, &entry, items, err);
        if (code != TW_OK)
            break;
        for (uint32_t i = 0; i < entry.label_count; i++)
            if (tw_str_is(items[i].name, WIRE_METRIC_NAME))
                metric = entry.values[i];
        code = visit(user, id, metric, entry.hash, (struct wire_labels){items, entry.label_count},
                     err);
    }
    tsdb_partition_view_fini(&view);
    tw_arena_free(arena);
    return code;
}

struct move_list {
    struct rewriter *rewriter;
    size_t capacity;
};

/* Whether the series has a sample at the place that is to stay, in spite of what is gone of it. */
static enum tw_code has_samples(struct rewriter *rewriter, const struct tsdb_partition_place *place,
                                const struct tsdb_erasure *erasures, size_t count, bool *ret,
                                struct tw_err *err)
{
    int64_t start_ms = rewriter->old->day * TSDB_DAY_MS, end_ms = start_ms + TSDB_DAY_MS - 1;
    struct tsdb_column column;
    *ret = !tsdb_erasure_covers(erasures, count, rewriter->rows[rewriter->row_count - 1].number,
                                start_ms, end_ms);
    if (count == 0 || !*ret)
        return TW_OK;
    tsdb_partition_reader_erase(rewriter->reader, erasures, count);
    enum tw_code code = tsdb_partition_reader_seek(rewriter->reader, place, start_ms, end_ms, err);
    if (code == TW_OK)
        code = tsdb_partition_reader_next(rewriter->reader, &column, err);
    *ret = code == TW_OK && column.count > 0;
    return code;
}

static int64_t step_of(const struct rewriter *rewriter, struct wire_labels labels)
{
    const struct tsdb_rewrite *rewrite = rewriter->rewrite;
    return rewrite->step ? rewrite->step(rewrite->user, rewrite->day, rewrite->now_ms, labels) : 0;
}

/* A label set that was met before, under a lower id: series are met in ascending order. */
static void move_again(struct rewriter *rewriter, struct moved *moved, uint32_t series,
                       uint32_t metric)
{
    struct tsdb_partition_place *older = tw_arena_alloc(rewriter->arena, sizeof *older);
    *older = moved->place;
    moved->place =
        (struct tsdb_partition_place){.series = series, .metric = metric, .older = older};
}

static enum tw_code move_series(void *user, uint32_t series, uint32_t metric, uint64_t hash,
                                struct wire_labels labels, struct tw_err *err)
{
    struct move_list *list = user;
    struct rewriter *rewriter = list->rewriter;
    if (series % CANCEL_STRIDE == 0) {
        enum tw_code cancelled = check_cancelled(rewriter, err);
        if (cancelled != TW_OK)
            return cancelled;
    }
    uint32_t known = tsdb_index_find(rewriter->index, labels, hash);
    if (known != TSDB_NO_SERIES) { /* not sorted yet: it stands where its id says */
        move_again(rewriter, &rewriter->moved[known], series, metric);
        return TW_OK;
    }
    const struct tsdb_partition_place place = {.series = series, .metric = metric};
    size_t first = rewriter->erasures.count;
    int64_t day_ms = rewriter->old->day * TSDB_DAY_MS;
    if (rewriter->erasers)
        tsdb_erasers_collect(rewriter->erasers, labels, rewriter->rewrite->now_ms, day_ms,
                             day_ms + TSDB_DAY_MS - 1, &rewriter->erasures);
    size_t erasure_count = rewriter->erasures.count - first;
    bool stays;
    enum tw_code code =
        has_samples(rewriter, &place, rewriter->erasures.items + first, erasure_count, &stays, err);
    if (code != TW_OK || !stays) {
        rewriter->erasures.count = first;
        return code;
    }
    if (rewriter->moved_count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 1024;
        rewriter->moved = realloc(rewriter->moved, list->capacity * sizeof *rewriter->moved);
        TW_ASSERT(rewriter->moved != NULL);
    }
    uint32_t to = tsdb_index_append(rewriter->index, labels, hash);
    rewriter->moved[rewriter->moved_count++] =
        (struct moved){.place = place,
                       .to_metric = metric_string(rewriter->index, to),
                       .to = to,
                       .first_erasure = (uint32_t)first,
                       .erasure_count = (uint32_t)erasure_count,
                       .step_ms = step_of(rewriter, labels)};
    return TW_OK;
}

/* The new index, complete before the first sample is written: ids are final then, and the order of
 * blocks is known. */
static enum tw_code move_all_series(struct rewriter *rewriter, struct tw_err *err)
{
    struct move_list list = {.rewriter = rewriter};
    rewriter->index = tsdb_index_new();
    rewriter->arena = tw_arena_new(4096);
    enum tw_code code = visit_series(
        rewriter->old->env, tsdb_partition_reader_txn(rewriter->reader), move_series, &list, err);
    if (code != TW_OK)
        return code;
    size_t count = rewriter->moved_count;
    rewriter->identity = malloc((count + 1) * sizeof *rewriter->identity);
    rewriter->metrics = malloc((count + 1) * sizeof *rewriter->metrics);
    TW_ASSERT(rewriter->identity != NULL && rewriter->metrics != NULL);
    for (size_t i = 0; i < count; i++) {
        rewriter->identity[i] = (uint32_t)i;
        rewriter->metrics[rewriter->moved[i].to] = rewriter->moved[i].to_metric;
    }
    if (count)
        qsort(rewriter->moved, count, sizeof *rewriter->moved, compare_moved);
    while ((code = tsdb_partition_write_index(rewriter->env, rewriter->index,
                                              rewriter->rows[rewriter->row_count - 1].number,
                                              err)) == TW_BUSY)
        if ((code = tsdb_env_grow(rewriter->env, err)) != TW_OK)
            break;
    return code;
}

/* ---- samples ---- */

static enum tw_code write_slice(struct rewriter *rewriter, struct tw_err *err)
{
    struct tsdb_run run = {.number = rewriter->rows[rewriter->row_count - 1].number,
                           .index = rewriter->index};
    size_t blocks = 0;
    tsdb_run_builder_take(rewriter->builder, &run);
    if (run.chunk_count == 0)
        return TW_OK;
    enum tw_code code;
    while ((code = tsdb_partition_write_slice(rewriter->env, &run, rewriter->identity,
                                              rewriter->metrics, &blocks, err)) == TW_BUSY)
        if ((code = tsdb_env_grow(rewriter->env, err)) != TW_OK)
            break;
    rewriter->blocks += blocks;
    tsdb_run_builder_drain(rewriter->builder);
    return code;
}

struct copied {
    struct tw_arena *histograms; /* NULL until there are some */
    struct tsdb_mixed mixed;
    struct tsdb_buckets items, folded;
};

static void copied_fini(struct copied *copied)
{
    tsdb_buckets_fini(&copied->items);
    tsdb_buckets_fini(&copied->folded);
    tw_arena_free(copied->histograms);
    tsdb_mixed_fini(&copied->mixed);
}

/* Columns of several kinds become one chunk of the window; what they refer to is gone with the
 * next column. */
static void collect(struct copied *copied, const struct tsdb_column *column)
{
    size_t at = copied->mixed.count;
    if (!copied->histograms)
        copied->histograms = tw_arena_new(65536);
    tsdb_mixed_append_column(&copied->mixed, column);
    for (; at < copied->mixed.count; at++)
        if (copied->mixed.items[at].histogram)
            copied->mixed.items[at].histogram =
                wire_histogram_copy(copied->histograms, copied->mixed.items[at].histogram);
}

/* Downsampled samples, or those that are to be. Without a step they stay as they are. */
static void fold(struct copied *copied, const struct tsdb_column *column, int64_t step_ms,
                 struct tsdb_bucket_carry *carry)
{
    copied->items.count = copied->folded.count = 0;
    if (column->kind == TSDB_KIND_BUCKETS)
        tsdb_buckets_append(&copied->items, column->buckets, column->count);
    else
        tsdb_buckets_append_samples(&copied->items, column->times_ms, column->values,
                                    column->count);
    tsdb_buckets_fold(copied->items.items, copied->items.count, step_ms, carry, &copied->folded);
}

/* What the reader, which was pointed at a series and a window, has there. moved: NULL for samples
 * that stay what they are. */
static enum tw_code copy_samples(struct tsdb_partition_reader *reader,
                                 struct tsdb_run_builder *builder, uint32_t to, int64_t window,
                                 struct moved *moved, uint64_t *ret_samples, struct tw_err *err)
{
    struct copied copied = {.histograms = NULL};
    struct tsdb_column column = {0};
    enum tw_code code;
    *ret_samples = 0;
    while ((code = tsdb_partition_reader_next(reader, &column, err)) == TW_OK && column.count > 0) {
        *ret_samples += column.count;
        if (tsdb_partition_reader_is_mixed(reader)) {
            collect(&copied, &column);
        } else if (moved && (moved->step_ms > 0 || column.kind == TSDB_KIND_BUCKETS)) {
            int64_t step_ms =
                moved->step_ms > 0 ? moved->step_ms : tsdb_partition_reader_step(reader);
            fold(&copied, &column, step_ms, &moved->carry);
            *ret_samples += copied.folded.count - column.count;
            tsdb_run_builder_add_buckets(builder, to, window, copied.folded.items,
                                         copied.folded.count);
        } else {
            tsdb_run_builder_add(builder, to, window, column.times_ms,
                                 (const uint64_t *)(const void *)column.values, column.count);
        }
    }
    if (code == TW_OK && copied.mixed.count > 0)
        tsdb_run_builder_add_mixed(builder, to, window, copied.mixed.items, copied.mixed.count);
    copied_fini(&copied);
    return code;
}

static enum tw_code move_window(struct rewriter *rewriter, int64_t window, struct tw_err *err)
{
    int64_t start_ms = window * TSDB_WINDOW_MS, end_ms = start_ms + TSDB_WINDOW_MS - 1;
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < rewriter->moved_count && code == TW_OK; i++) {
        struct moved *moved = &rewriter->moved[i];
        uint64_t samples = 0;
        if (i % CANCEL_STRIDE == 0)
            code = check_cancelled(rewriter, err);
        tsdb_partition_reader_erase(rewriter->reader,
                                    rewriter->erasures.items + moved->first_erasure,
                                    moved->erasure_count);
        if (code == TW_OK)
            code =
                tsdb_partition_reader_seek(rewriter->reader, &moved->place, start_ms, end_ms, err);
        if (code == TW_OK)
            code = copy_samples(rewriter->reader, rewriter->builder, moved->to, window, moved,
                                &samples, err);
        rewriter->samples += samples;
        if (code == TW_OK && tsdb_run_builder_bytes(rewriter->builder) >= TSDB_REWRITE_SLICE_BYTES)
            code = write_slice(rewriter, err);
    }
    if (code == TW_OK)
        code = write_slice(rewriter, err);
    rewriter->closed += tsdb_partition_reader_take_closed(rewriter->reader);
    tsdb_run_builder_clear(rewriter->builder);
    return code;
}

static enum tw_code move_samples(struct rewriter *rewriter, struct tw_err *err)
{
    int64_t first = rewriter->old->day * WINDOWS_A_DAY;
    enum tw_code code = TW_OK;
    for (int64_t window = first; window < first + WINDOWS_A_DAY && code == TW_OK; window++)
        if (tsdb_partition_reader_has(rewriter->reader, window))
            code = move_window(rewriter, window, err);
    return code;
}

/* ---- runs ---- */

/* The last tombstone that has nothing more to do here: those behind it may meet runs that are not
 * flushed yet. */
static uint64_t erased_up_to(const struct rewriter *rewriter)
{
    uint64_t id = 0;
    size_t count = rewriter->erasers ? tsdb_erasers_tombstone_count(rewriter->erasers) : 0;
    for (size_t i = 0; i < count; i++) {
        struct tsdb_tombstone tombstone = tsdb_erasers_tombstone(rewriter->erasers, i);
        if (tombstone.erasure.run_max > rewriter->rewrite->flushed)
            break;
        id = tombstone.id;
    }
    return id;
}

static enum tw_code write_runs(struct rewriter *rewriter, struct tw_err *err)
{
    size_t last = rewriter->row_count - 1;
    struct tsdb_partition_info info = {
        .rewritten_ms = rewriter->rewrite->now_ms,
        .base_run = rewriter->rows[last].number,
        .base_samples = rewriter->samples,
        .erased = erased_up_to(rewriter),
        .step_ms = rewriter->rewrite->step_ms > tsdb_partition_reader_step(rewriter->reader)
                       ? rewriter->rewrite->step_ms
                       : tsdb_partition_reader_step(rewriter->reader),
    };
    for (size_t i = 0; i < last; i++)
        rewriter->rows[i] = (struct tsdb_run_row){.number = rewriter->rows[i].number};
    rewriter->rows[last].samples = rewriter->samples;
    rewriter->rows[last].blocks = rewriter->blocks;
    rewriter->rows[last].series_limit = (uint32_t)rewriter->moved_count;
    enum tw_code code;
    while ((code = tsdb_partition_write_runs(rewriter->env, rewriter->rows, rewriter->row_count,
                                             &info, err)) == TW_BUSY)
        if ((code = tsdb_env_grow(rewriter->env, err)) != TW_OK)
            break;
    return code;
}

struct carry {
    struct tsdb_partition_reader *reader;
    struct tsdb_index *index;
    struct tsdb_run_builder *builder;
    int64_t first_window;
};

static enum tw_code carry_series(void *user, uint32_t series, uint32_t metric, uint64_t hash,
                                 struct wire_labels labels, struct tw_err *err)
{
    struct carry *carry = user;
    uint32_t to = TSDB_NO_SERIES;
    const struct tsdb_partition_place place = {.series = series, .metric = metric};
    enum tw_code code = TW_OK;
    for (int64_t window = carry->first_window;
         window < carry->first_window + WINDOWS_A_DAY && code == TW_OK; window++) {
        int64_t start_ms = window * TSDB_WINDOW_MS;
        uint64_t samples = 0;
        /* The id it gets if it has any sample. */
        uint32_t id = to == TSDB_NO_SERIES ? (uint32_t)tsdb_index_count(carry->index) : to;
        if (!tsdb_partition_reader_has(carry->reader, window))
            continue;
        code = tsdb_partition_reader_seek(carry->reader, &place, start_ms,
                                          start_ms + TSDB_WINDOW_MS - 1, err);
        if (code == TW_OK)
            code = copy_samples(carry->reader, carry->builder, id, window, NULL, &samples, err);
        if (samples > 0 && to == TSDB_NO_SERIES)
            to = tsdb_index_append(carry->index, labels, hash);
    }
    return code;
}

/* One run of the old partition into the new one, as a flush would write it. */
static enum tw_code carry_run(struct rewriter *rewriter, uint64_t number, struct tw_err *err)
{
    struct carry carry = {.first_window = rewriter->old->day * WINDOWS_A_DAY};
    enum tw_code code = tsdb_partition_reader_open(rewriter->old, &carry.reader, err);
    if (code != TW_OK)
        return code;
    tsdb_partition_reader_restrict(carry.reader, number);
    carry.index = tsdb_index_new();
    carry.builder = tsdb_run_builder_new();
    code = visit_series(rewriter->old->env, tsdb_partition_reader_txn(carry.reader), carry_series,
                        &carry, err);
    if (code == TW_OK) {
        struct tsdb_run run = {.number = number, .index = carry.index};
        size_t blocks;
        tsdb_run_builder_take(carry.builder, &run);
        while ((code = tsdb_partition_write_run(rewriter->env, &run, NULL, &blocks, err)) ==
               TW_BUSY)
            if ((code = tsdb_env_grow(rewriter->env, err)) != TW_OK)
                break;
    }
    tsdb_run_builder_free(carry.builder);
    tsdb_index_free(carry.index);
    tsdb_partition_reader_close(carry.reader);
    return code;
}

static enum tw_code list_runs(const struct rewriter *rewriter, struct tsdb_run_row **ret_rows,
                              size_t *ret_count, struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    enum tw_code code = tsdb_env_begin(rewriter->old->env, false, &txn, err);
    if (code != TW_OK)
        return code;
    code = tsdb_partition_list_runs(rewriter->old->env, txn, ret_rows, ret_count, err);
    tsdb_env_abort(txn);
    return code;
}

static bool has_run(const struct rewriter *rewriter, uint64_t number)
{
    for (size_t i = rewriter->row_count; i-- > 0;) /* the last are the likely ones */
        if (rewriter->rows[i].number <= number)
            return rewriter->rows[i].number == number;
    return false;
}

/* What was flushed since the rewrite looked. */
static enum tw_code carry_new_runs(struct rewriter *rewriter, struct tw_err *err)
{
    struct tsdb_run_row *rows;
    size_t count;
    enum tw_code code = list_runs(rewriter, &rows, &count, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < count && code == TW_OK; i++)
        if (!has_run(rewriter, rows[i].number))
            code = carry_run(rewriter, rows[i].number, err);
    free(rewriter->rows);
    rewriter->rows = rows;
    rewriter->row_count = count;
    return code;
}

/* ---- the whole ---- */

static enum tw_code take_place(struct rewriter *rewriter, struct tsdb_rewrite_result *ret,
                               struct tw_err *err)
{
    enum tw_code code = carry_new_runs(rewriter, err);
    if (code != TW_OK)
        return code;
    tsdb_partitions_hold(rewriter->partitions);
    code = carry_new_runs(rewriter, err);
    if (code == TW_OK) {
        ret->bytes_before = tsdb_env_bytes(rewriter->old->env);
        ret->bytes_after = tsdb_env_bytes(rewriter->env);
        rewriter->env = tsdb_env_close(rewriter->env);
        code = tsdb_partitions_replace(rewriter->partitions, rewriter->old, err);
    }
    tsdb_partitions_release(rewriter->partitions);
    return code;
}

static enum tw_code read_old(struct rewriter *rewriter, struct tsdb_rewrite_result *ret,
                             struct tw_err *err)
{
    enum tw_code code = tsdb_partition_reader_open(rewriter->old, &rewriter->reader, err);
    if (code == TW_OK)
        code = tsdb_partition_list_runs(rewriter->old->env,
                                        tsdb_partition_reader_txn(rewriter->reader),
                                        &rewriter->rows, &rewriter->row_count, err);
    if (code == TW_OK && rewriter->row_count == 0)
        code = tw_err_set(err, TW_NOT_FOUND, "'%s' has no run", tsdb_env_path(rewriter->old->env));
    if (code == TW_OK && rewriter->rewrite->erasers)
        rewriter->erasers = rewriter->rewrite->erasers(rewriter->rewrite->user);
    for (size_t i = 0; code == TW_OK && i < rewriter->row_count; i++)
        ret->runs_before += rewriter->rows[i].blocks > 0;
    return code;
}

static enum tw_code rewrite_parts(struct rewriter *rewriter, struct tsdb_rewrite_result *ret,
                                  struct tw_err *err)
{
    enum tw_code code = read_old(rewriter, ret, err);
    if (code == TW_OK)
        code = tsdb_env_remove(rewriter->path, err);
    if (code == TW_OK)
        code = tsdb_env_open(rewriter->path, &tsdb_partition_format, TSDB_ENV_CREATE,
                             &rewriter->env, err);
    if (code == TW_OK)
        code = move_all_series(rewriter, err);
    if (code == TW_OK)
        code = move_samples(rewriter, err);
    if (code == TW_OK)
        code = write_runs(rewriter, err);
    rewriter->reader = tsdb_partition_reader_close(rewriter->reader);
    ret->samples = rewriter->samples;
    ret->closed = rewriter->closed;
    if (code == TW_OK)
        code = take_place(rewriter, ret, err);
    return code;
}

enum tw_code tsdb_rewriter_run(struct tsdb_partitions *partitions,
                               const struct tsdb_rewrite *rewrite, struct tsdb_rewrite_result *ret,
                               struct tw_err *err)
{
    struct rewriter rewriter = {.partitions = partitions, .rewrite = rewrite};
    struct tsdb_rewrite_result result = {0};
    enum tw_code code = tsdb_partitions_ref(partitions, rewrite->day, &rewriter.old, err);
    if (code != TW_OK)
        return code;
    rewriter.path = tsdb_partitions_next_path(partitions, rewriter.old);
    rewriter.builder = tsdb_run_builder_new();
    code = rewrite_parts(&rewriter, &result, err);
    tsdb_partition_reader_close(rewriter.reader);
    tsdb_env_close(rewriter.env);
    if (code != TW_OK) {
        struct tw_err ignored; /* the next try, or the next start, removes it */
        (void)(tsdb_env_remove(rewriter.path, &ignored) == TW_OK);
    }
    tsdb_partitions_unref(partitions, rewriter.old);
    tsdb_run_builder_free(rewriter.builder);
    tsdb_index_free(rewriter.index);
    tw_arena_free(rewriter.arena);
    tsdb_erasers_unref(rewriter.erasers);
    tsdb_erasures_fini(&rewriter.erasures);
    free(rewriter.moved);
    free(rewriter.identity);
    free(rewriter.metrics);
    free(rewriter.rows);
    free(rewriter.path);
    if (code == TW_OK)
        *ret = result;
    return code;
}
