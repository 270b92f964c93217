/* SPDX-License-Identifier: Apache-2.0
 *
 * selection: the read side. A selection holds references to all that may have samples in its range
 * (generations' heads, partitions), the series that match, each once, and for each of them where
 * its samples are (cursor.c reads them).
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/label_order.h"
#include "tsdb/selection_int.h"

/* Series of a head that are looked at each time the store's lock is taken. */
#define VIEWS_MAX 1024

/* ---- matching ---- */

/* A series of one source that matches. */
struct match {
    uint64_t hash;
    struct wire_labels labels;
    struct tsdb_part part;
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
static size_t take_views(struct tsdb_db_selection *selection, const struct tsdb_head *head,
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

static void match_head(struct tsdb_db_selection *selection, uint32_t source, struct tsdb_head *head,
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
            match->part = (struct tsdb_part){(uint32_t)selection->view_count++, 0, source};
        }
    }
}

/* Takes references to the heads that overlap the range in one go; with each the plan of its index,
 * NULL when it is the one of the head before. */
static struct tsdb_index_plan **list_heads(struct tsdb_db_selection *selection,
                                           const struct tsdb_matcher *matchers,
                                           size_t matcher_count)
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
static void match_heads(struct tsdb_db_selection *selection, const struct tsdb_matcher *matchers,
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
static void order_series(struct tsdb_db_selection *selection)
{
    size_t count = selection->series_count;
    struct wire_labels *sets = malloc(count * sizeof *sets);
    uint32_t *order = malloc(count * sizeof *order);
    TW_ASSERT(sets != NULL && order != NULL);
    for (size_t i = 0; i < count; i++)
        sets[i] = selection->series[i].labels;
    tsdb_label_order(sets, (uint32_t)count, order);
    free(sets);
    struct tsdb_selected *ordered = tw_arena_alloc(selection->arena, count * sizeof *ordered);
    for (size_t i = 0; i < count; i++)
        ordered[i] = selection->series[order[i]];
    selection->series = ordered;
    free(order);
}

/* Whether nothing can be left of the series in one place. run: the newest there. */
static bool is_part_gone(const struct tsdb_db_selection *selection,
                         const struct tsdb_selected *series, const struct tsdb_part *part,
                         uint64_t run)
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

static bool is_gone(const struct tsdb_db_selection *selection, const struct tsdb_selected *series,
                    const uint64_t *newest_runs)
{
    if (series->erasure_count == 0)
        return false;
    for (uint32_t i = 0; i < series->part_count; i++) {
        const struct tsdb_part *part = &selection->parts[series->first_part + i];
        if (!is_part_gone(selection, series, part, newest_runs[part->source]))
            return false;
    }
    return true;
}

/* The newest run of each place. */
static enum tw_code list_newest_runs(struct tsdb_db_selection *selection, uint64_t **ret_runs,
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
static enum tw_code find_erasures(struct tsdb_db_selection *selection, struct tw_err *err)
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
        struct tsdb_selected *series = &selection->series[i];
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
static void join(struct tsdb_db_selection *selection, struct matches *matches)
{
    if (matches->count > 1 && selection->partition_count + selection->head_count > 1)
        qsort(matches->items, matches->count, sizeof *matches->items, compare_matches);
    selection->series =
        tw_arena_alloc(selection->arena, matches->count * sizeof *selection->series);
    selection->parts = tw_arena_alloc(selection->arena, matches->count * sizeof *selection->parts);
    for (size_t i = 0; i < matches->count; i++) {
        const struct match *match = &matches->items[i];
        selection->parts[i] = match->part;
        if (i > 0 && match[-1].hash == match->hash &&
            wire_labels_equal(match[-1].labels, match->labels)) {
            selection->series[selection->series_count - 1].part_count++;
            continue;
        }
        selection->series[selection->series_count++] = (struct tsdb_selected){
            .labels = match->labels, .first_part = (uint32_t)i, .part_count = 1};
    }
    if (selection->series_count > 1)
        order_series(selection);
}

static enum tw_code match_partitions(struct tsdb_db_selection *selection,
                                     const struct tw_context *context,
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
            match->part = (struct tsdb_part){found[j].series, found[j].metric, (uint32_t)i};
        }
    }
    return code;
}

static enum tw_code fill(struct tsdb_db_selection *selection, const struct tw_context *context,
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
    struct tsdb_db_selection *selection = (struct tsdb_db_selection *)base;
    TW_CHECK_MAGIC(selection, TSDB_SELECTION_MAGIC);
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
    struct tsdb_db_selection *selection = calloc(1, sizeof *selection);
    TW_ASSERT(selection != NULL);
    selection->base.ops = &tsdb_db_ops;
    selection->magic = TSDB_SELECTION_MAGIC;
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
    return ((const struct tsdb_db_selection *)base)->series_count;
}

static struct wire_labels selection_labels(const struct tsdb_selection *base, size_t index)
{
    const struct tsdb_db_selection *selection = (const struct tsdb_db_selection *)base;
    TW_ASSERT(index < selection->series_count);
    return selection->series[index].labels;
}

const struct tsdb_storage_ops tsdb_db_ops = {
    .select = tsdb_db_select,
    .selection_close = close_selection,
    .selection_count = selection_count,
    .selection_labels = selection_labels,
    .cursor_open = tsdb_db_cursor_open,
    .cursor_close = tsdb_db_cursor_close,
    .cursor_seek = tsdb_db_cursor_seek,
    .cursor_next = tsdb_db_cursor_next,
    .label_names = tsdb_db_label_names,
    .label_values = tsdb_db_label_values,
    .metadata_list = tsdb_db_metadata_list,
    .append = tsdb_db_append,
    .append_metadata = tsdb_db_append_metadata,
    .append_histograms = tsdb_db_append_histograms,
};
