/* SPDX-License-Identifier: Apache-2.0
 *
 * selection: the read side. A selection holds references to all that may have samples in its range
 * (generations' heads, partitions), the series that match, each once, and for each of them where
 * its samples are. A cursor merges these places, from old to new, into columns.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/buckets.h"
#include "tsdb/db_int.h"
#include "tsdb/label_order.h"

#define SELECTION_MAGIC 0x7e5d5e1eu
#define CURSOR_MAGIC 0x7e5dc0c0u
/* Series of a head that are looked at each time the store's lock is taken. */
#define VIEWS_MAX 1024

/* One place that has samples of a series. */
struct part {
    uint32_t series; /* its id there, or the index of its view */
    uint32_t metric; /* of a partition */
    uint32_t source; /* partitions come first, then heads from old to new */
};

struct series {
    struct wire_labels labels;
    uint32_t first_part, part_count;
    uint32_t first_erasure, erasure_count; /* what of it is gone */
};

struct selection {
    struct tsdb_selection base;
    unsigned magic;
    struct tsdb_db *db;
    struct tw_arena *arena;
    int64_t start_ms, end_ms;
    struct tsdb_hints hints;
    enum tsdb_want want; /* of downsampled samples */
    struct tsdb_partition **partitions;
    size_t partition_count;
    struct tsdb_head **heads;
    size_t head_count;
    struct tsdb_head_view *views;
    size_t view_count, view_capacity;
    struct series *series;
    size_t series_count;
    struct part *parts;
    struct tsdb_erasers *erasers;
    struct tsdb_erasures erasures;
};

struct cursor {
    struct tsdb_cursor base;
    unsigned magic;
    struct selection *selection;
    const struct series *series;
    int64_t start_ms, end_ms;
    struct tsdb_partition_reader **readers; /* by partition, opened when first needed */
    uint32_t next_part;                     /* of the series' partitions */
    struct tsdb_partition_reader *reader;   /* the current one */
    struct tsdb_projection projection;      /* of downsampled samples */
    struct tsdb_buckets samples;            /* others beside them */
    struct tsdb_column pending;             /* from it, not yet handed out; count 0 = none */
    struct tsdb_points head;                /* all the heads have in the range */
    size_t head_at;                         /* handed out before */
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

/* ---- matching ---- */

/* A series of one source that matches. */
struct match {
    uint64_t hash;
    struct wire_labels labels;
    struct part part;
};

struct matches {
    struct match *items;
    size_t count, capacity;
};

static struct match *add_match(struct matches *matches)
{
    if (matches->count == matches->capacity) {
        matches->capacity = matches->capacity ? matches->capacity * 2 : 64;
        matches->items = realloc(matches->items, matches->capacity * sizeof *matches->items);
        TW_ASSERT(matches->items != NULL);
    }
    return &matches->items[matches->count++];
}

/* The strings stay where they are (the selection holds the source); the array is copied. */
static struct wire_labels keep_labels(struct tw_arena *arena, struct wire_labels labels)
{
    struct wire_label *items = tw_arena_alloc(arena, labels.count * sizeof *items);
    if (labels.count)
        memcpy(items, labels.items, labels.count * sizeof *items);
    return (struct wire_labels){items, labels.count};
}

/* Views of up to VIEWS_MAX series of a head, taken under the lock; those without samples in the
 * range are left out. ret_ids gets the others; how many. */
static size_t take_views(struct selection *selection, const struct tsdb_head *head,
                         const uint32_t *ids, size_t count, uint32_t *ret_ids)
{
    size_t kept = 0;
    while (selection->view_count + count > selection->view_capacity) {
        selection->view_capacity = selection->view_capacity ? selection->view_capacity * 2 : 64;
        selection->views =
            realloc(selection->views, selection->view_capacity * sizeof *selection->views);
        TW_ASSERT(selection->views != NULL);
    }
    tw_lock_take(&selection->db->lock);
    for (size_t i = 0; i < count; i++) {
        void *room = tw_arena_alloc(selection->arena, tsdb_head_tail_bytes(head, ids[i]));
        struct tsdb_head_view view = tsdb_head_view(head, ids[i], room);
        if (view.last_ms < selection->start_ms)
            continue; /* also without any sample */
        selection->views[selection->view_count + kept] = view;
        ret_ids[kept++] = ids[i];
    }
    tw_lock_release(&selection->db->lock);
    return kept;
}

static void match_head(struct selection *selection, uint32_t source, struct tsdb_head *head,
                       const struct tsdb_ids *ids, struct matches *matches)
{
    const struct tsdb_index *index = tsdb_head_index(head);
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    uint32_t kept[VIEWS_MAX];
    for (size_t first = 0; first < ids->count; first += VIEWS_MAX) {
        size_t count = ids->count - first < VIEWS_MAX ? ids->count - first : VIEWS_MAX;
        count = take_views(selection, head, ids->items + first, count, kept);
        for (size_t i = 0; i < count; i++) {
            struct match *match = add_match(matches);
            match->hash = tsdb_index_hash(index, kept[i]);
            match->labels = keep_labels(selection->arena, tsdb_index_labels(index, kept[i], items));
            match->part = (struct part){(uint32_t)selection->view_count++, 0, source};
        }
    }
}

/* Takes references to the heads that overlap the range in one go; with each the plan of its index,
 * NULL when it is the one of the head before. */
static struct tsdb_index_plan **
list_heads(struct selection *selection, const struct tsdb_matcher *matchers, size_t matcher_count)
{
    struct tsdb_db *db = selection->db;
    tw_lock_take(&db->lock);
    size_t count = 0;
    for (struct tsdb_generation *at = db->oldest; at; at = at->newer)
        count++;
    selection->heads = TW_ARENA_ARRAY(selection->arena, struct tsdb_head *, count + 1);
    struct tsdb_index_plan **plans =
        TW_ARENA_ARRAY(selection->arena, struct tsdb_index_plan *, count + 1);
    const struct tsdb_index *before = NULL;
    for (struct tsdb_generation *at = db->oldest; at; at = at->newer) {
        int64_t first_ms, last_ms;
        if (!tsdb_head_range(at->head, &first_ms, &last_ms) || first_ms > selection->end_ms ||
            last_ms < selection->start_ms)
            continue;
        const struct tsdb_index *index = tsdb_head_index(at->head);
        tsdb_head_ref(at->head);
        selection->heads[selection->head_count] = at->head;
        if (index != before)
            plans[selection->head_count] = tsdb_index_plan(index, matchers, matcher_count);
        selection->head_count++;
        before = index;
    }
    tw_lock_release(&db->lock);
    return plans;
}

/* The lock is held for moments only, however many series match. */
static void match_heads(struct selection *selection, const struct tsdb_matcher *matchers,
                        size_t matcher_count, struct matches *matches)
{
    struct tsdb_index_plan **plans = list_heads(selection, matchers, matcher_count);
    struct tsdb_ids ids = {0};
    for (size_t i = 0; i < selection->head_count; i++) {
        if (plans[i]) {
            ids.count = 0;
            tsdb_index_run(plans[i], &ids);
        }
        match_head(selection, (uint32_t)i, selection->heads[i], &ids, matches);
    }
    tsdb_ids_fini(&ids);
}

static int compare_matches(const void *a, const void *b)
{
    const struct match *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    int order = wire_labels_compare(x->labels, y->labels); /* decides only when hashes collide */
    if (order != 0)
        return order;
    return (x->part.source > y->part.source) - (x->part.source < y->part.source);
}

/* By their labels. */
static void order_series(struct selection *selection)
{
    size_t count = selection->series_count;
    struct wire_labels *sets = malloc(count * sizeof *sets);
    uint32_t *order = malloc(count * sizeof *order);
    TW_ASSERT(sets != NULL && order != NULL);
    for (size_t i = 0; i < count; i++)
        sets[i] = selection->series[i].labels;
    tsdb_label_order(sets, (uint32_t)count, order);
    free(sets);
    struct series *ordered = tw_arena_alloc(selection->arena, count * sizeof *ordered);
    for (size_t i = 0; i < count; i++)
        ordered[i] = selection->series[order[i]];
    selection->series = ordered;
    free(order);
}

/* Whether nothing can be left of the series in one place. run: the newest there. */
static bool is_part_gone(const struct selection *selection, const struct series *series,
                         const struct part *part, uint64_t run)
{
    int64_t first_ms = selection->start_ms, last_ms = selection->end_ms;
    if (part->source < selection->partition_count) {
        int64_t day_ms = tsdb_partition_day(selection->partitions[part->source]) * TSDB_DAY_MS;
        first_ms = first_ms > day_ms ? first_ms : day_ms;
        last_ms = last_ms < day_ms + TSDB_DAY_MS - 1 ? last_ms : day_ms + TSDB_DAY_MS - 1;
    }
    return tsdb_erasure_covers(selection->erasures.items + series->first_erasure,
                               series->erasure_count, run, first_ms, last_ms);
}

static bool is_gone(const struct selection *selection, const struct series *series,
                    const uint64_t *newest_runs)
{
    if (series->erasure_count == 0)
        return false;
    for (uint32_t i = 0; i < series->part_count; i++) {
        const struct part *part = &selection->parts[series->first_part + i];
        if (!is_part_gone(selection, series, part, newest_runs[part->source]))
            return false;
    }
    return true;
}

/* The newest run of each place. */
static enum tw_code list_newest_runs(struct selection *selection, uint64_t **ret_runs,
                                     struct tw_err *err)
{
    uint64_t *runs = TW_ARENA_ARRAY(selection->arena, uint64_t,
                                    selection->partition_count + selection->head_count + 1);
    for (size_t i = 0; i < selection->partition_count; i++) {
        enum tw_code code = tsdb_partition_newest_run(selection->partitions[i], &runs[i], err);
        if (code != TW_OK)
            return code;
    }
    for (size_t i = 0; i < selection->head_count; i++)
        runs[selection->partition_count + i] = tsdb_head_number(selection->heads[i]);
    *ret_runs = runs;
    return TW_OK;
}

/* What of each series is gone. Series of which nothing is left are not part of the selection. */
static enum tw_code find_erasures(struct selection *selection, struct tw_err *err)
{
    int64_t now_ms = tw_clock_wall_ms(selection->db->clock);
    if (!tsdb_erasers_touch(selection->erasers, now_ms, selection->start_ms, selection->end_ms))
        return TW_OK;
    uint64_t *newest_runs;
    enum tw_code code = list_newest_runs(selection, &newest_runs, err);
    if (code != TW_OK)
        return code;
    size_t kept = 0;
    for (size_t i = 0; i < selection->series_count; i++) {
        struct series *series = &selection->series[i];
        size_t first = selection->erasures.count;
        tsdb_erasers_collect(selection->erasers, series->labels, now_ms, selection->start_ms,
                             selection->end_ms, &selection->erasures);
        series->first_erasure = (uint32_t)first;
        series->erasure_count = (uint32_t)(selection->erasures.count - first);
        if (!is_gone(selection, series, newest_runs))
            selection->series[kept++] = *series;
    }
    selection->series_count = kept;
    return TW_OK;
}

/* Matches of one label set become one series. */
static void join(struct selection *selection, struct matches *matches)
{
    if (matches->count > 1 && selection->partition_count + selection->head_count > 1)
        qsort(matches->items, matches->count, sizeof *matches->items, compare_matches);
    selection->series =
        tw_arena_alloc(selection->arena, matches->count * sizeof *selection->series);
    selection->parts =
        tw_arena_alloc(selection->arena, matches->count * sizeof *selection->parts);
    for (size_t i = 0; i < matches->count; i++) {
        const struct match *match = &matches->items[i];
        selection->parts[i] = match->part;
        if (i > 0 && match[-1].hash == match->hash &&
            wire_labels_equal(match[-1].labels, match->labels)) {
            selection->series[selection->series_count - 1].part_count++;
            continue;
        }
        selection->series[selection->series_count++] =
            (struct series){.labels = match->labels, .first_part = (uint32_t)i, .part_count = 1};
    }
    if (selection->series_count > 1)
        order_series(selection);
}

static enum tw_code match_partitions(struct selection *selection, const struct tw_context *context,
                                     const struct tsdb_matcher *matchers, size_t matcher_count,
                                     struct matches *matches, struct tw_err *err)
{
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < selection->partition_count && code == TW_OK; i++) {
        struct tsdb_partition_match *found;
        size_t count;
        code = tw_context_check(context, err);
        if (code == TW_OK)
            code = tsdb_partition_match(selection->partitions[i], matchers, matcher_count,
                                        selection->arena, &found, &count, err);
        for (size_t j = 0; code == TW_OK && j < count; j++) {
            struct match *match = add_match(matches);
            match->hash = found[j].hash;
            match->labels = found[j].labels;
            match->part = (struct part){found[j].series, found[j].metric, (uint32_t)i};
        }
    }
    return code;
}

static enum tw_code fill(struct selection *selection, const struct tw_context *context,
                         const struct tsdb_matcher *matchers, size_t matcher_count,
                         struct tw_err *err)
{
    struct matches matches = {0};
    /* What is gone before all else: a deletion that is carried out leaves the list, and what was
     * taken before that still has its samples. */
    selection->erasers = tsdb_tombstones_list(selection->db->tombstones);
    /* Heads first: what is flushed between the two steps is then seen twice, which the merge
     * settles; the other way round it would be missed. */
    match_heads(selection, matchers, matcher_count, &matches);
    enum tw_code code =
        tsdb_partitions_list(selection->db->partitions, selection->start_ms, selection->end_ms,
                             &selection->partitions, &selection->partition_count, err);
    if (code == TW_OK) {
        for (size_t i = 0; i < matches.count; i++)
            matches.items[i].part.source += (uint32_t)selection->partition_count;
        code = match_partitions(selection, context, matchers, matcher_count, &matches, err);
    }
    if (code == TW_OK) {
        join(selection, &matches);
        code = find_erasures(selection, err);
    }
    free(matches.items);
    uint64_t limit = context->limits.query_series_max;
    if (code == TW_OK && limit && selection->series_count > limit)
        code = tw_err_set(err, TW_LIMIT,
                          "the selector matches %zu series, the limit of a query is %llu: narrow "
                          "it with more matchers",
                          selection->series_count, (unsigned long long)limit);
    return code;
}

static void close_selection(struct tsdb_selection *base)
{
    struct selection *selection = (struct selection *)base;
    TW_CHECK_MAGIC(selection, SELECTION_MAGIC);
    for (size_t i = 0; i < selection->head_count; i++)
        tsdb_head_unref(selection->heads[i]);
    tsdb_partitions_unlist(selection->db->partitions, selection->partitions,
                           selection->partition_count);
    tsdb_erasers_unref(selection->erasers);
    tsdb_erasures_fini(&selection->erasures);
    free(selection->views);
    tw_arena_free(selection->arena);
    selection->magic = 0;
    free(selection);
}

enum tw_code tsdb_db_select(struct tsdb_storage *storage, const struct tw_context *context,
                            const struct tsdb_matcher *matchers, size_t matcher_count,
                            int64_t start_ms, int64_t end_ms, const struct tsdb_hints *hints,
                            struct tsdb_selection **ret_selection, struct tw_err *err)
{
    enum tw_code code = tsdb_db_check_tenant(context, err);
    if (code != TW_OK)
        return code;
    struct selection *selection = calloc(1, sizeof *selection);
    TW_ASSERT(selection != NULL);
    selection->base.ops = &tsdb_db_ops;
    selection->magic = SELECTION_MAGIC;
    selection->hints = *hints;
    selection->hints.function = TW_STR(""); /* the caller's text */
    selection->want = tsdb_want_of(hints);
    selection->db = (struct tsdb_db *)storage;
    selection->arena = tw_arena_new(4096);
    selection->start_ms = start_ms;
    selection->end_ms = end_ms;
    size_t total = matcher_count + context->scope_count;
    struct tsdb_matcher *all =
        TW_ARENA_ARRAY(selection->arena, struct tsdb_matcher, total ? total : 1);
    if (matcher_count)
        memcpy(all, matchers, matcher_count * sizeof *all);
    if (context->scope_count)
        memcpy(all + matcher_count, context->scope, context->scope_count * sizeof *all);
    code = fill(selection, context, all, total, err);
    if (code != TW_OK) {
        close_selection(&selection->base);
        return code;
    }
    *ret_selection = &selection->base;
    return TW_OK;
}

static size_t selection_count(const struct tsdb_selection *base)
{
    return ((const struct selection *)base)->series_count;
}

static struct wire_labels selection_labels(const struct tsdb_selection *base, size_t index)
{
    const struct selection *selection = (const struct selection *)base;
    TW_ASSERT(index < selection->series_count);
    return selection->series[index].labels;
}

/* ---- cursors ---- */

static enum tw_code open_cursor(struct tsdb_selection *base, struct tsdb_cursor **ret_cursor,
                                struct tw_err *err)
{
    (void)err;
    struct selection *selection = (struct selection *)base;
    TW_CHECK_MAGIC(selection, SELECTION_MAGIC);
    struct cursor *cursor = calloc(1, sizeof *cursor);
    TW_ASSERT(cursor != NULL);
    cursor->base.ops = &tsdb_db_ops;
    cursor->magic = CURSOR_MAGIC;
    cursor->selection = selection;
    cursor->readers = calloc(selection->partition_count + 1, sizeof *cursor->readers);
    TW_ASSERT(cursor->readers != NULL);
    *ret_cursor = &cursor->base;
    return TW_OK;
}

static void close_cursor(struct tsdb_cursor *base)
{
    struct cursor *cursor = (struct cursor *)base;
    TW_CHECK_MAGIC(cursor, CURSOR_MAGIC);
    for (size_t i = 0; i < cursor->selection->partition_count; i++)
        tsdb_partition_reader_close(cursor->readers[i]);
    free(cursor->readers);
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

/* All that the heads have of the series in the range, settled. */
static void gather_head(struct cursor *cursor)
{
    const struct selection *selection = cursor->selection;
    cursor->head.count = 0;
    cursor->head_at = 0;
    for (uint32_t i = 0; i < cursor->series->part_count; i++) {
        const struct part *part = &selection->parts[cursor->series->first_part + i];
        if (part->source < selection->partition_count)
            continue;
        struct tsdb_points *to = cursor->head.count ? &cursor->gathered : &cursor->head;
        tsdb_head_view_points(&selection->views[part->series], cursor->start_ms, cursor->end_ms,
                              to);
        to->count = tsdb_erasure_cut_points(
            selection->erasures.items + cursor->series->first_erasure,
            cursor->series->erasure_count,
            tsdb_head_number(selection->heads[part->source - selection->partition_count]),
            to->items, to->count);
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
    const struct selection *selection = cursor->selection;
    cursor->is_mixed = false;
    cursor->mixed_out.count = cursor->mixed_out_at = 0;
    if (cursor->histograms)
        tw_arena_reset(cursor->histograms);
    for (uint32_t i = 0; i < cursor->series->part_count; i++) {
        const struct part *part = &selection->parts[cursor->series->first_part + i];
        if (part->source < selection->partition_count)
            continue;
        const struct tsdb_histogram_view *view = &selection->views[part->series].histograms;
        if (!view->newest)
            continue;
        if (!cursor->histograms)
            cursor->histograms = tw_arena_new(65536);
        cursor->mixed_gathered.count = 0;
        tsdb_histogram_view_read(view, cursor->start_ms, cursor->end_ms, cursor->histograms,
                                 &cursor->mixed_gathered);
        tsdb_mixed_erase(
            &cursor->mixed_gathered, selection->erasures.items + cursor->series->first_erasure,
            cursor->series->erasure_count,
            tsdb_head_number(selection->heads[part->source - selection->partition_count]));
        if (!cursor->is_mixed)
            mix_head(cursor);
        merge_mixed_head(cursor, &cursor->mixed_gathered);
    }
}

static void seek_cursor(struct tsdb_cursor *base, size_t series_index, int64_t start_ms,
                        int64_t end_ms)
{
    struct cursor *cursor = (struct cursor *)base;
    TW_CHECK_MAGIC(cursor, CURSOR_MAGIC);
    TW_ASSERT(series_index < cursor->selection->series_count);
    cursor->series = &cursor->selection->series[series_index];
    cursor->start_ms = start_ms;
    cursor->end_ms = end_ms;
    cursor->next_part = 0;
    cursor->reader = NULL;
    cursor->pending.count = 0;
    gather_head(cursor);
    gather_histograms(cursor);
}

/* A partition with downsampled samples: the column as what is wanted of it. */
static void project(struct cursor *cursor)
{
    const struct tsdb_column *column = &cursor->pending;
    struct tsdb_projection *projection = &cursor->projection;
    if (column->count == 0) {
        tsdb_projection_end(projection);
    } else if (column->kind == TSDB_KIND_BUCKETS) {
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
static enum tw_code seek_reader(struct cursor *cursor, const struct part *part, struct tw_err *err)
{
    struct tsdb_partition_reader *reader = cursor->readers[part->source];
    int64_t step_ms = tsdb_partition_reader_step(reader), start_ms = cursor->start_ms;
    const struct selection *selection = cursor->selection;
    if (step_ms > 0) {
        int64_t day_ms = tsdb_partition_day(selection->partitions[part->source]) * TSDB_DAY_MS;
        int64_t last_ms = day_ms + TSDB_DAY_MS - 1;
        tsdb_projection_begin(&cursor->projection, &selection->hints, step_ms, start_ms,
                              last_ms < cursor->end_ms ? last_ms : cursor->end_ms);
        cursor->projection.want = selection->want;
        start_ms = start_ms < INT64_MIN + 2 * step_ms ? INT64_MIN : start_ms - 2 * step_ms;
    }
    tsdb_partition_reader_erase(reader, selection->erasures.items + cursor->series->first_erasure,
                                cursor->series->erasure_count);
    return tsdb_partition_reader_seek(reader, part->metric, part->series, start_ms,
                                      projection_reach(cursor, step_ms), err);
}

/* Fills cursor->pending from the partitions; count stays 0 at their end. */
static enum tw_code next_from_partitions(struct cursor *cursor, struct tw_err *err)
{
    const struct selection *selection = cursor->selection;
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
        const struct part *part =
            &selection->parts[cursor->series->first_part + cursor->next_part++];
        if (part->source >= selection->partition_count)
            continue;
        struct tsdb_partition_reader **reader = &cursor->readers[part->source];
        if (!*reader) {
            enum tw_code code =
                tsdb_partition_reader_open(selection->partitions[part->source], reader, err);
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
    } else {
        out->count = 0;
        *ret_column = *column;
    }
    cursor->pending.count = 0;
}

static enum tw_code next_column(struct tsdb_cursor *base, struct tsdb_column *ret_column,
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
    const struct tsdb_point *head = cursor->head.items + cursor->head_at;
    size_t left = cursor->head.count - cursor->head_at;
    const struct tsdb_column *column = &cursor->pending;
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

const struct tsdb_storage_ops tsdb_db_ops = {
    .select = tsdb_db_select,
    .selection_close = close_selection,
    .selection_count = selection_count,
    .selection_labels = selection_labels,
    .cursor_open = open_cursor,
    .cursor_close = close_cursor,
    .cursor_seek = seek_cursor,
    .cursor_next = next_column,
    .label_names = tsdb_db_label_names,
    .label_values = tsdb_db_label_values,
    .metadata_list = tsdb_db_metadata_list,
    .append = tsdb_db_append,
    .append_metadata = tsdb_db_append_metadata,
    .append_histograms = tsdb_db_append_histograms,
};
