/* SPDX-License-Identifier: Apache-2.0
 *
 * cursor: the samples of a selection's series. The places that have some of them are merged, from
 * old to new, into columns: the partitions one after the other, with them what the heads have of
 * the same times.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/head_columns.h"
#include "tsdb/selection_int.h"

#define CURSOR_MAGIC 0x7e5dc0c0u
/* Places in heads of which views are taken each time the store's lock is taken: at most, for what a
 * reader says that it will seek; so many when it goes from series to series, few when it jumps. */
#define VIEWS_MAX 256
#define VIEWS_FOLLOWING 64
#define VIEWS_MIN 4
/* Series whose chunks are on their way from memory. */
#define FETCH_AHEAD 4
/* The same for the rows of those that are viewed. */
#define VIEW_AHEAD 12
#define CACHE_LINE_BYTES 64
/* Of a chunk that has an older one's place: its size is in memory that is not there yet. */
#define OLDER_BYTES 64

struct cursor {
    struct tsdb_cursor base;
    unsigned magic;
    struct tsdb_db_selection *selection;
    const struct tsdb_selected *series;
    struct tsdb_cut cut; /* what is gone of it */
    struct tsdb_hints hints;
    enum tsdb_want want; /* of downsampled samples */
    int64_t start_ms, end_ms;
    struct tsdb_partition_reader **readers; /* by partition, opened when first needed */
    uint32_t next_part;                     /* of the series' partitions */
    struct tsdb_partition_reader *reader;   /* the current one */
    struct tsdb_projection projection;      /* of downsampled samples */
    struct tsdb_buckets samples;            /* others beside them */
    struct tsdb_column pending;             /* from it, not yet handed out; count 0 = none */
    /* Views of the heads' places of the series from first_viewed up to limit_viewed, in their
     * order. */
    struct tsdb_head_view *views;
    unsigned char *rooms; /* for what they hold, close together */
    size_t view_capacity, view_goal;
    size_t first_viewed, limit_viewed, view_count;
    size_t first_expected, limit_expected; /* series */
    uint32_t *first_views;                 /* by series, from first_viewed on */
    const struct tsdb_head_view *at;       /* of the first place in a head of the current series */
    /* All the heads have in the range: as columns, when they have it in order and nothing of it is
     * gone; else as points. */
    bool has_columns;
    struct tsdb_head_columns columns;
    struct tsdb_points head;
    size_t head_at; /* handed out before */
    struct tsdb_points gathered, merged;
    /* Series with native histograms: the heads' samples of all kinds instead of `head`, and what is
     * to be handed out next, kind after kind. */
    bool is_mixed;
    struct tsdb_mixed mixed_head, mixed_gathered, mixed_merged, mixed_out;
    size_t mixed_head_at, mixed_out_at; /* handed out before */
    struct tsdb_mixed_columns mixed_columns;
    struct tw_arena *histograms; /* of the heads; NULL until there are some */
    double *weights;
    int64_t *times_ms; /* what is handed out when it is no partition's own column */
    double *values;
    size_t capacity;
};

enum tw_code tsdb_db_cursor_open(struct tsdb_selection *base, struct tsdb_cursor **ret_cursor,
                                 struct tw_err *err)
{
    (void)err;
    struct tsdb_db_selection *selection = (struct tsdb_db_selection *)base;
    TW_CHECK_MAGIC(selection, TSDB_SELECTION_MAGIC);
    struct cursor *cursor = calloc(1, sizeof *cursor);
    TW_ASSERT(cursor != NULL);
    cursor->base.ops = &tsdb_db_ops;
    cursor->magic = CURSOR_MAGIC;
    cursor->selection = selection;
    cursor->hints = selection->hints;
    cursor->want = selection->want;
    cursor->readers = calloc(selection->partition_count + 1, sizeof *cursor->readers);
    TW_ASSERT(cursor->readers != NULL);
    *ret_cursor = &cursor->base;
    return TW_OK;
}

void tsdb_db_cursor_hint(struct tsdb_cursor *base, const struct tsdb_hints *hints)
{
    struct cursor *cursor = (struct cursor *)base;
    TW_CHECK_MAGIC(cursor, CURSOR_MAGIC);
    cursor->hints = *hints;
    cursor->hints.function = TW_STR(""); /* the caller's, as is the grouping */
    cursor->hints.grouping = NULL;
    cursor->want = tsdb_want_of(hints);
}

void tsdb_db_cursor_close(struct tsdb_cursor *base)
{
    struct cursor *cursor = (struct cursor *)base;
    TW_CHECK_MAGIC(cursor, CURSOR_MAGIC);
    for (size_t i = 0; i < cursor->selection->partition_count; i++)
        tsdb_partition_reader_close(cursor->readers[i]);
    free(cursor->readers);
    free(cursor->views);
    free(cursor->rooms);
    free(cursor->first_views);
    tsdb_head_columns_fini(&cursor->columns);
    tsdb_points_fini(&cursor->head);
    tsdb_points_fini(&cursor->gathered);
    tsdb_points_fini(&cursor->merged);
    tsdb_projection_fini(&cursor->projection);
    tsdb_buckets_fini(&cursor->samples);
    tsdb_mixed_fini(&cursor->mixed_head);
    tsdb_mixed_fini(&cursor->mixed_gathered);
    tsdb_mixed_fini(&cursor->mixed_merged);
    tsdb_mixed_fini(&cursor->mixed_out);
    tsdb_mixed_columns_fini(&cursor->mixed_columns);
    tw_arena_free(cursor->histograms);
    free(cursor->times_ms);
    free(cursor->values);
    free(cursor->weights);
    cursor->magic = 0;
    free(cursor);
}

/* ---- views of what the heads have ---- */

static size_t count_head_parts(const struct tsdb_db_selection *selection, size_t series_index)
{
    const struct tsdb_selected *series = &selection->series[series_index];
    size_t count = 0;
    for (uint32_t i = series->part_count; i-- > 0; count++)
        if (!tsdb_part_is_head(selection, &selection->parts[series->first_part + i]))
            break;
    return count;
}

/* How many series from `first` on, up to `end`, are viewed at once, and how many views that takes.
 */
static size_t plan_views(const struct cursor *cursor, size_t first, size_t end, size_t *ret_views)
{
    const struct tsdb_db_selection *selection = cursor->selection;
    size_t views = 0, limit = first;
    while (limit < end && limit - first < VIEWS_MAX) {
        size_t more = count_head_parts(selection, limit);
        if (limit > first && views + more > cursor->view_goal)
            break;
        views += more;
        limit++;
    }
    *ret_views = views;
    return limit - first;
}

static void reserve_views(struct cursor *cursor, size_t count)
{
    if (count <= cursor->view_capacity)
        return;
    free(cursor->views);
    free(cursor->rooms);
    cursor->views = malloc(count * sizeof *cursor->views);
    cursor->rooms = malloc(count * TSDB_HEAD_TAIL_BYTES);
    TW_ASSERT(cursor->views != NULL && cursor->rooms != NULL);
    cursor->view_capacity = count;
}

/* The newest place of a series if that is a head, else NULL. */
static const struct tsdb_part *find_head_part(const struct tsdb_db_selection *selection,
                                              size_t series_index)
{
    const struct tsdb_selected *series = &selection->series[series_index];
    if (series->part_count == 0)
        return NULL;
    const struct tsdb_part *part = &selection->parts[series->first_part + series->part_count - 1];
    return tsdb_part_is_head(selection, part) ? part : NULL;
}

/* What the views of the series some way ahead need comes from memory meanwhile. */
static void fetch_views(const struct tsdb_db_selection *selection, size_t series_index,
                        size_t limit)
{
    if (series_index + 2 * VIEW_AHEAD >= limit)
        return;
    const struct tsdb_part *soon = find_head_part(selection, series_index + VIEW_AHEAD);
    const struct tsdb_part *later = find_head_part(selection, series_index + 2 * VIEW_AHEAD);
    if (soon && later && soon->source == later->source)
        tsdb_head_fetch(tsdb_part_head(selection, soon), soon->series, later->series);
}

static size_t round_up(size_t bytes)
{
    return (bytes + TSDB_HEAD_TAIL_GRAIN - 1) / TSDB_HEAD_TAIL_GRAIN * TSDB_HEAD_TAIL_GRAIN;
}

/* Takes the views of the series and of those that will probably be sought next. */
static void take_views(struct cursor *cursor, size_t first)
{
    const struct tsdb_db_selection *selection = cursor->selection;
    bool follows = first == cursor->limit_viewed;
    bool is_expected = first >= cursor->first_expected && first < cursor->limit_expected;
    cursor->view_goal = is_expected                               ? VIEWS_MAX
                        : !follows                                ? VIEWS_MIN
                        : cursor->view_goal < VIEWS_FOLLOWING / 2 ? cursor->view_goal * 2
                                                                  : VIEWS_FOLLOWING;
    size_t limit = is_expected ? cursor->limit_expected : selection->series_count;
    size_t view_count, count = plan_views(cursor, first, limit, &view_count), at = 0;
    unsigned char *room;
    reserve_views(cursor, view_count + 1);
    room = cursor->rooms;
    cursor->first_viewed = first;
    cursor->limit_viewed = first + count;
    cursor->view_count = view_count;
    if (!cursor->first_views)
        cursor->first_views = malloc(VIEWS_MAX * sizeof *cursor->first_views);
    TW_ASSERT(cursor->first_views != NULL);
    if (view_count > 0)
        tw_lock_take(&selection->db->lock);
    for (size_t i = 0; i < count; i++) {
        const struct tsdb_selected *series = &selection->series[first + i];
        const struct tsdb_part *end = &selection->parts[series->first_part + series->part_count];
        cursor->first_views[i] = (uint32_t)at;
        fetch_views(selection, first + i, limit);
        for (const struct tsdb_part *part = end - count_head_parts(selection, first + i);
             part < end; part++, at++) {
            cursor->views[at] = tsdb_head_view(tsdb_part_head(selection, part), part->series, room);
            room += round_up(cursor->views[at].tail.size);
        }
    }
    if (view_count > 0)
        tw_lock_release(&selection->db->lock);
}

static void fetch_bytes(const void *memory, size_t count)
{
    for (size_t at = 0; at < count; at += CACHE_LINE_BYTES)
        __builtin_prefetch((const char *)memory + at);
}

/* Chunks lie anywhere in memory, each pointing to the one before: those of the series that come
 * next are fetched while this one is worked on, another step back each time, as far back as the
 * series before had to be read. */
static void fetch_ahead(const struct cursor *cursor)
{
    const struct tsdb_db_selection *selection = cursor->selection;
    size_t series = (size_t)(cursor->series - selection->series);
    size_t depth = cursor->columns.chunk_count;
    for (size_t ahead = depth < FETCH_AHEAD ? FETCH_AHEAD + 1 - depth : 1;
         ahead <= FETCH_AHEAD && series + ahead < cursor->limit_viewed; ahead++) {
        size_t at = cursor->first_views[series + ahead - cursor->first_viewed];
        const struct tsdb_head_view *view = cursor->views + at;
        if (at == cursor->view_count || !view->newest || view->extent.last_ms < cursor->start_ms)
            continue;
        const struct tsdb_head_chunk *chunk = view->newest;
        for (size_t back = FETCH_AHEAD - ahead; back > 0 && chunk; back--)
            chunk = chunk->older;
        if (chunk == view->newest)
            fetch_bytes(chunk, sizeof *chunk + view->extent.size);
        else if (chunk)
            fetch_bytes(chunk, sizeof *chunk + OLDER_BYTES);
    }
}

/* All that the heads have of the series in the range, if columns can be made of it. */
static bool gather_columns(struct cursor *cursor)
{
    const struct tsdb_db_selection *selection = cursor->selection;
    size_t count = count_head_parts(selection, (size_t)(cursor->series - selection->series));
    cursor->head.count = 0;
    cursor->head_at = 0;
    if (cursor->cut.count > 0)
        return false;
    tsdb_head_columns_begin(&cursor->columns, cursor->start_ms, cursor->end_ms);
    for (size_t i = 0; i < count; i++)
        if (cursor->at[i].histograms.newest ||
            !tsdb_head_columns_add(&cursor->columns, &cursor->at[i]))
            return false;
    tsdb_head_columns_end(&cursor->columns);
    return true;
}

/* The columns become points, for merging. */
static void point_columns(struct cursor *cursor)
{
    if (!cursor->has_columns)
        return;
    cursor->has_columns = false;
    const struct tsdb_head_columns *columns = &cursor->columns;
    struct tsdb_point *points = tsdb_points_reserve(&cursor->head, columns->limit - columns->first);
    for (size_t i = columns->first; i < columns->limit; i++)
        *points++ = (struct tsdb_point){columns->times_ms[i], columns->values[i]};
    cursor->head.count = columns->limit - columns->first;
}

/* The same as points, settled, in any case. */
static void gather_points(struct cursor *cursor)
{
    const struct tsdb_db_selection *selection = cursor->selection;
    const struct tsdb_head_view *view = cursor->at;
    for (uint32_t i = 0; i < cursor->series->part_count; i++) {
        const struct tsdb_part *part = &selection->parts[cursor->series->first_part + i];
        if (!tsdb_part_is_head(selection, part))
            continue;
        struct tsdb_points *to = cursor->head.count ? &cursor->gathered : &cursor->head;
        tsdb_head_view_points(view++, cursor->start_ms, cursor->end_ms, to);
        if (cursor->cut.count > 0)
            to->count = tsdb_erasure_cut_points(
                selection->erasures.items + cursor->cut.first_erasure, cursor->cut.count,
                tsdb_head_number(tsdb_part_head(selection, part)), to->items, to->count);
        if (to == &cursor->head || to->count == 0)
            continue;
        tsdb_points_merge(cursor->head.items, cursor->head.count, to->items, to->count,
                          &cursor->merged);
        struct tsdb_points swapped = cursor->head;
        cursor->head = cursor->merged;
        cursor->merged = swapped;
    }
}

/* The numbers of the heads that were not handed out yet become mixed points. */
static void mix_head(struct cursor *cursor)
{
    TW_ASSERT(!cursor->is_mixed);
    point_columns(cursor);
    cursor->is_mixed = true;
    cursor->mixed_head.count = cursor->mixed_head_at = 0;
    tsdb_mixed_append_floats(&cursor->mixed_head, cursor->head.items + cursor->head_at,
                             cursor->head.count - cursor->head_at);
    cursor->head_at = cursor->head.count;
}

static void merge_mixed_head(struct cursor *cursor, const struct tsdb_mixed *newer)
{
    tsdb_mixed_merge(cursor->mixed_head.items, cursor->mixed_head.count, newer->items, newer->count,
                     &cursor->mixed_merged);
    struct tsdb_mixed swapped = cursor->mixed_head;
    cursor->mixed_head = cursor->mixed_merged;
    cursor->mixed_merged = swapped;
}

/* The histograms of the heads beside their numbers; kinds may be gathered apart (histogram.h). */
static void gather_histograms(struct cursor *cursor)
{
    const struct tsdb_db_selection *selection = cursor->selection;
    const struct tsdb_head_view *at = cursor->at;
    if (cursor->histograms)
        tw_arena_reset(cursor->histograms);
    for (uint32_t i = 0; i < cursor->series->part_count; i++) {
        const struct tsdb_part *part = &selection->parts[cursor->series->first_part + i];
        if (!tsdb_part_is_head(selection, part))
            continue;
        const struct tsdb_histogram_view *view = &(at++)->histograms;
        if (!view->newest)
            continue;
        if (!cursor->histograms)
            cursor->histograms = tw_arena_new(65536);
        cursor->mixed_gathered.count = 0;
        tsdb_histogram_view_read(view, cursor->start_ms, cursor->end_ms, cursor->histograms,
                                 &cursor->mixed_gathered);
        tsdb_mixed_erase(&cursor->mixed_gathered,
                         selection->erasures.items + cursor->cut.first_erasure, cursor->cut.count,
                         tsdb_head_number(tsdb_part_head(selection, part)));
        if (!cursor->is_mixed)
            mix_head(cursor);
        merge_mixed_head(cursor, &cursor->mixed_gathered);
    }
}

void tsdb_db_cursor_expect(struct tsdb_cursor *base, size_t first, size_t limit)
{
    struct cursor *cursor = (struct cursor *)base;
    TW_CHECK_MAGIC(cursor, CURSOR_MAGIC);
    TW_ASSERT(first <= limit && limit <= cursor->selection->series_count);
    cursor->first_expected = first;
    cursor->limit_expected = limit;
}

void tsdb_db_cursor_seek(struct tsdb_cursor *base, size_t series_index, int64_t start_ms,
                         int64_t end_ms)
{
    struct cursor *cursor = (struct cursor *)base;
    TW_CHECK_MAGIC(cursor, CURSOR_MAGIC);
    TW_ASSERT(series_index < cursor->selection->series_count);
    cursor->series = &cursor->selection->series[series_index];
    cursor->cut =
        cursor->selection->cuts ? cursor->selection->cuts[series_index] : (struct tsdb_cut){0};
    if (series_index < cursor->first_viewed || series_index >= cursor->limit_viewed)
        take_views(cursor, series_index);
    cursor->at = cursor->views + cursor->first_views[series_index - cursor->first_viewed];
    cursor->start_ms = start_ms;
    cursor->end_ms = end_ms;
    cursor->next_part = 0;
    cursor->reader = NULL;
    cursor->pending.count = 0;
    cursor->is_mixed = false;
    cursor->mixed_out.count = cursor->mixed_out_at = 0;
    fetch_ahead(cursor);
    cursor->has_columns = gather_columns(cursor);
    if (cursor->has_columns)
        return;
    gather_points(cursor);
    gather_histograms(cursor);
}

/* Whether a time's step has one of the buckets; *at moves on with ascending times. */
static bool is_closed(const struct tsdb_column *column, int64_t step_ms, int64_t time_ms,
                      size_t *at)
{
    int64_t step = tsdb_bucket_step(time_ms, step_ms);
    while (*at < column->count && (column->buckets[*at].count == 0 ||
                                   tsdb_bucket_step(column->buckets[*at].time_ms, step_ms) < step))
        ++*at;
    return *at < column->count && tsdb_bucket_step(column->buckets[*at].time_ms, step_ms) == step;
}

/* What the heads have of steps that have a bucket came too late for it (buckets.h); histograms do
 * anywhere among buckets. */
static void drop_closed(struct cursor *cursor, const struct tsdb_column *column)
{
    struct tsdb_points *head = &cursor->head;
    struct tsdb_mixed *mixed = &cursor->mixed_head;
    point_columns(cursor);
    int64_t step_ms = cursor->projection.step_ms;
    size_t kept = cursor->head_at, at = 0;
    for (size_t i = cursor->head_at; i < head->count; i++)
        if (!is_closed(column, step_ms, head->items[i].time_ms, &at))
            head->items[kept++] = head->items[i];
    head->count = kept;
    if (!cursor->is_mixed)
        return;
    kept = cursor->mixed_head_at;
    at = 0;
    int64_t last_ms = column->times_ms[column->count - 1];
    for (size_t i = cursor->mixed_head_at; i < mixed->count; i++) {
        const struct tsdb_mixed_point *point = &mixed->items[i];
        bool is_beside =
            point->histogram && point->time_ms >= column->times_ms[0] && point->time_ms <= last_ms;
        if (!is_closed(column, step_ms, point->time_ms, &at) && !is_beside)
            mixed->items[kept++] = *point;
    }
    mixed->count = kept;
}

/* A partition with downsampled samples: the column as what is wanted of it. */
static void project(struct cursor *cursor)
{
    const struct tsdb_column *column = &cursor->pending;
    struct tsdb_projection *projection = &cursor->projection;
    if (column->count == 0) {
        tsdb_projection_end(projection);
    } else if (column->kind == TSDB_KIND_BUCKETS) {
        drop_closed(cursor, column);
        tsdb_projection_add(projection, column->buckets, column->count);
    } else {
        cursor->samples.count = 0;
        tsdb_buckets_append_samples(&cursor->samples, column->times_ms, column->values,
                                    column->count);
        tsdb_projection_add(projection, cursor->samples.items, cursor->samples.count);
    }
    cursor->pending = (struct tsdb_column){.kind = TSDB_KIND_FLOAT,
                                           .count = projection->count,
                                           .times_ms = projection->times,
                                           .values = projection->values,
                                           .weights = projection->weights};
}

/* The next column of the current partition; at its end count is 0 and there is no current one. */
static enum tw_code next_from_reader(struct cursor *cursor, struct tw_err *err)
{
    bool more = true;
    while (more) {
        enum tw_code code = tsdb_partition_reader_next(cursor->reader, &cursor->pending, err);
        if (code != TW_OK)
            return code;
        more = cursor->pending.count > 0;
        bool is_number =
            cursor->pending.kind == TSDB_KIND_FLOAT || cursor->pending.kind == TSDB_KIND_BUCKETS;
        if (tsdb_partition_reader_step(cursor->reader) > 0 && is_number)
            project(cursor);
        if (cursor->pending.count > 0)
            break;
    }
    if (!more)
        cursor->reader = NULL;
    return TW_OK;
}

/* A bucket that ends behind the range may reach into it, too. */
static int64_t projection_reach(const struct cursor *cursor, int64_t step_ms)
{
    return cursor->end_ms > INT64_MAX - step_ms ? INT64_MAX : cursor->end_ms + step_ms;
}

/* Points the reader at the series; of downsampled samples one more is read before the range, from
 * which something may reach into it. */
static enum tw_code seek_reader(struct cursor *cursor, const struct tsdb_part *part,
                                struct tw_err *err)
{
    struct tsdb_partition_reader *reader = cursor->readers[part->source];
    int64_t step_ms = tsdb_partition_reader_step(reader), start_ms = cursor->start_ms;
    const struct tsdb_db_selection *selection = cursor->selection;
    if (step_ms > 0) {
        int64_t day_ms = tsdb_partition_day(selection->partitions[part->source]) * TSDB_DAY_MS;
        int64_t last_ms = day_ms + TSDB_DAY_MS - 1;
        tsdb_projection_begin(&cursor->projection, &cursor->hints, step_ms, start_ms,
                              last_ms < cursor->end_ms ? last_ms : cursor->end_ms);
        cursor->projection.want = cursor->want;
        start_ms = start_ms < INT64_MIN + 2 * step_ms ? INT64_MIN : start_ms - 2 * step_ms;
    }
    tsdb_partition_reader_erase(reader, selection->erasures.items + cursor->cut.first_erasure,
                                cursor->cut.count);
    return tsdb_partition_reader_seek(reader, &selection->matches[part->source][part->match].place,
                                      start_ms, projection_reach(cursor, step_ms), err);
}

/* Fills cursor->pending from the partitions; count stays 0 at their end. */
static enum tw_code next_from_partitions(struct cursor *cursor, struct tw_err *err)
{
    const struct tsdb_db_selection *selection = cursor->selection;
    for (;;) {
        if (cursor->reader) {
            enum tw_code code = next_from_reader(cursor, err);
            if (code != TW_OK || cursor->pending.count > 0)
                return code;
        }
        if (cursor->reader)
            continue;
        if (cursor->next_part == cursor->series->part_count)
            return TW_OK;
        const struct tsdb_part *part =
            &selection->parts[cursor->series->first_part + cursor->next_part++];
        if (tsdb_part_is_head(selection, part))
            continue;
        struct tsdb_partition_reader **reader = &cursor->readers[part->source];
        if (!*reader) {
            enum tw_code code =
                tsdb_partition_reader_open(selection->partitions[part->source], reader, err);
            if (code == TW_OK)
                code = tsdb_partition_reader_expect(*reader, selection->match_counts[part->source],
                                                    selection->group_of != NULL, err);
            if (code != TW_OK)
                return code;
        }
        enum tw_code code = seek_reader(cursor, part, err);
        if (code != TW_OK)
            return code;
        cursor->reader = *reader;
    }
}

static void reserve_column(struct cursor *cursor, size_t count)
{
    if (count <= cursor->capacity)
        return;
    free(cursor->times_ms);
    free(cursor->values);
    cursor->times_ms = malloc(count * sizeof *cursor->times_ms);
    cursor->values = malloc(count * sizeof *cursor->values);
    TW_ASSERT(cursor->times_ms != NULL && cursor->values != NULL);
    cursor->capacity = count;
}

static void hand_out(struct cursor *cursor, const struct tsdb_point *points, size_t count,
                     struct tsdb_column *ret_column)
{
    reserve_column(cursor, count);
    for (size_t i = 0; i < count; i++) {
        cursor->times_ms[i] = points[i].time_ms;
        cursor->values[i] = tw_double_from_bits(points[i].bits);
    }
    *ret_column = (struct tsdb_column){.kind = TSDB_KIND_FLOAT,
                                       .count = count,
                                       .times_ms = cursor->times_ms,
                                       .values = cursor->values};
}

/* The weights of a column for the one that it was merged into; a head's samples weigh 1. */
static const double *weigh(struct cursor *cursor, const struct tsdb_column *column,
                           const struct tsdb_column *merged)
{
    cursor->weights = realloc(cursor->weights, merged->count * sizeof *cursor->weights);
    TW_ASSERT(cursor->weights != NULL);
    for (size_t i = 0, j = 0; i < merged->count; i++) {
        while (j < column->count && column->times_ms[j] < merged->times_ms[i])
            j++;
        bool same = j < column->count && column->times_ms[j] == merged->times_ms[i] &&
                    tw_double_bits(column->values[j]) == tw_double_bits(merged->values[i]);
        cursor->weights[i] = same ? column->weights[j] : 1;
    }
    return cursor->weights;
}

/* The pending column of a partition with the heads' points that fall into its span. */
static void hand_out_merged(struct cursor *cursor, size_t head_count,
                            struct tsdb_column *ret_column)
{
    const struct tsdb_column *column = &cursor->pending;
    cursor->gathered.count = 0;
    struct tsdb_point *points = tsdb_points_reserve(&cursor->gathered, column->count);
    for (size_t i = 0; i < column->count; i++)
        points[i] = (struct tsdb_point){column->times_ms[i], tw_double_bits(column->values[i])};
    tsdb_points_merge(points, column->count, cursor->head.items + cursor->head_at, head_count,
                      &cursor->merged);
    cursor->head_at += head_count;
    hand_out(cursor, cursor->merged.items, cursor->merged.count, ret_column);
    if (column->weights)
        ret_column->weights = weigh(cursor, column, ret_column);
}

static void take_mixed(struct cursor *cursor, struct tsdb_column *ret_column)
{
    cursor->mixed_out_at += tsdb_mixed_columns_take(
        &cursor->mixed_columns, cursor->mixed_out.items + cursor->mixed_out_at,
        cursor->mixed_out.count - cursor->mixed_out_at, ret_column);
}

/* The next column of a series with native histograms, in the same way as below. */
static void next_mixed_column(struct cursor *cursor, struct tsdb_column *ret_column)
{
    if (!cursor->is_mixed)
        mix_head(cursor);
    const struct tsdb_mixed_point *head = cursor->mixed_head.items + cursor->mixed_head_at;
    size_t left = cursor->mixed_head.count - cursor->mixed_head_at;
    const struct tsdb_column *column = &cursor->pending;
    size_t before = column->count == 0 ? left
                    : left             ? tsdb_mixed_find(head, left, column->times_ms[0])
                                       : 0;
    struct tsdb_mixed *out = &cursor->mixed_out;
    cursor->mixed_out_at = 0;
    if (before > 0 || column->count == 0) {
        tsdb_mixed_merge(NULL, 0, head, before, out);
        cursor->mixed_head_at += before;
        take_mixed(cursor, ret_column);
        return;
    }
    int64_t last_ms = column->times_ms[column->count - 1];
    size_t within = !left                  ? 0
                    : last_ms == INT64_MAX ? left
                                           : tsdb_mixed_find(head, left, last_ms + 1);
    if (within > 0) {
        cursor->mixed_gathered.count = 0;
        tsdb_mixed_append_column(&cursor->mixed_gathered, column);
        tsdb_mixed_merge(cursor->mixed_gathered.items, cursor->mixed_gathered.count, head, within,
                         out);
        cursor->mixed_head_at += within;
        take_mixed(cursor, ret_column);
        if (column->weights && ret_column->kind == TSDB_KIND_FLOAT)
            ret_column->weights = weigh(cursor, column, ret_column);
    } else {
        out->count = 0;
        *ret_column = *column;
    }
    cursor->pending.count = 0;
}

/* What the heads have comes behind all that partitions have: either's, as it is. */
static void hand_out_columns(struct cursor *cursor, struct tsdb_column *ret_column)
{
    struct tsdb_head_columns *columns = &cursor->columns;
    if (cursor->pending.count > 0) {
        *ret_column = cursor->pending;
        cursor->pending.count = 0;
        return;
    }
    *ret_column = (struct tsdb_column){
        .kind = TSDB_KIND_FLOAT,
        .count = columns->limit - columns->first,
        .times_ms = columns->times_ms + columns->first,
        .values = (const double *)(const void *)(columns->values + columns->first),
        .times_id = columns->times_id,
        .is_last = true};
    cursor->has_columns = false; /* nothing is left: the next column is the end */
}

enum tw_code tsdb_db_cursor_next(struct tsdb_cursor *base, struct tsdb_column *ret_column,
                                 struct tw_err *err)
{
    struct cursor *cursor = (struct cursor *)base;
    TW_CHECK_MAGIC(cursor, CURSOR_MAGIC);
    if (cursor->mixed_out_at < cursor->mixed_out.count) {
        take_mixed(cursor, ret_column);
        return TW_OK;
    }
    if (cursor->pending.count == 0) {
        enum tw_code code = next_from_partitions(cursor, err);
        if (code != TW_OK)
            return code;
    }
    if (cursor->is_mixed ||
        (cursor->pending.count > 0 && cursor->pending.kind != TSDB_KIND_FLOAT)) {
        next_mixed_column(cursor, ret_column);
        return TW_OK;
    }
    const struct tsdb_column *column = &cursor->pending;
    if (cursor->has_columns) {
        const struct tsdb_head_columns *columns = &cursor->columns;
        bool meet = columns->limit > columns->first && column->count > 0 &&
                    columns->times_ms[columns->first] <= column->times_ms[column->count - 1];
        if (!meet) {
            hand_out_columns(cursor, ret_column);
            return TW_OK;
        }
        point_columns(cursor);
    }
    const struct tsdb_point *head = cursor->head.items + cursor->head_at;
    size_t left = cursor->head.count - cursor->head_at;
    if (column->count == 0) {
        cursor->head_at = cursor->head.count;
        hand_out(cursor, head, left, ret_column);
        return TW_OK;
    }
    size_t before = left ? tsdb_points_find(head, left, column->times_ms[0]) : 0;
    if (before > 0) {
        cursor->head_at += before;
        hand_out(cursor, head, before, ret_column);
        return TW_OK;
    }
    int64_t last_ms = column->times_ms[column->count - 1];
    size_t within = !left                  ? 0
                    : last_ms == INT64_MAX ? left
                                           : tsdb_points_find(head, left, last_ms + 1);
    if (within > 0)
        hand_out_merged(cursor, within, ret_column);
    else
        *ret_column = *column;
    cursor->pending.count = 0;
    return TW_OK;
}
