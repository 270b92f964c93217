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
#define LOOKED_AT_MAX 1024
#define NO_SERIES UINT32_MAX
#define METRIC_DIGIT_BITS 11

/* ---- matching: the parts, source by source ---- */

static struct tsdb_part *reserve_parts(struct tsdb_db_selection *selection, size_t more)
{
    size_t needed = selection->part_count + more;
    if (needed > selection->part_capacity) {
        size_t wider = selection->part_capacity * 2;
        selection->part_capacity = wider > needed ? wider : needed;
        selection->parts =
            realloc(selection->parts, selection->part_capacity * sizeof *selection->parts);
        TW_ASSERT(selection->parts != NULL);
    }
    return selection->parts + selection->part_count;
}

/* The series of one index, in all heads from first to limit that share it; those without samples in
 * the range are left out. The parts of a series follow each other. The lock is held for moments
 * only, however many there are. */
static void match_index(struct tsdb_db_selection *selection, size_t first, size_t limit,
                        const struct tsdb_ids *ids)
{
    struct tsdb_part *parts = reserve_parts(selection, ids->count * (limit - first));
    size_t count = 0;
    for (size_t at = 0; at < ids->count; at += LOOKED_AT_MAX) {
        size_t end = ids->count - at < LOOKED_AT_MAX ? ids->count : at + LOOKED_AT_MAX;
        tw_lock_take(&selection->db->lock);
        for (size_t i = at; i < end; i++)
            for (size_t h = first; h < limit; h++) {
                /* INT64_MIN: no sample at all, whatever the range. */
                int64_t last_ms = tsdb_head_last_ms(selection->heads[h], ids->items[i]);
                if (last_ms >= selection->start_ms && last_ms != INT64_MIN)
                    parts[count++] = (struct tsdb_part){ids->items[i], 0, (uint32_t)h, 0};
            }
        tw_lock_release(&selection->db->lock);
    }
    selection->part_count += count;
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

static void match_heads(struct tsdb_db_selection *selection, const struct tsdb_matcher *matchers,
                        size_t matcher_count)
{
    struct tsdb_index_plan **plans = list_heads(selection, matchers, matcher_count);
    struct tsdb_ids ids = {0};
    for (size_t first = 0, limit; first < selection->head_count; first = limit) {
        limit = first + 1;
        while (limit < selection->head_count && !plans[limit])
            limit++;
        ids.count = 0;
        tsdb_index_run(plans[first], &ids);
        match_index(selection, first, limit, &ids);
    }
    tsdb_ids_fini(&ids);
}

/* By metric, and as before within each: a pass for each digit in which the metrics differ. */
static void sort_by_metric(struct tsdb_part *parts, size_t count, uint32_t differing)
{
    struct tsdb_part *room = malloc(count * sizeof *room), *from = parts, *to = room;
    TW_ASSERT(room != NULL);
    for (unsigned shift = 0; shift < 32; shift += METRIC_DIGIT_BITS) {
        const uint32_t digits = (1u << METRIC_DIGIT_BITS) - 1;
        size_t starts[1 << METRIC_DIGIT_BITS] = {0};
        if (!(differing >> shift & digits))
            continue;
        for (size_t i = 0; i < count; i++)
            starts[from[i].metric >> shift & digits]++;
        for (size_t i = 0, sum = 0; i <= digits; i++) {
            size_t size = starts[i];
            starts[i] = sum;
            sum += size;
        }
        for (size_t i = 0; i < count; i++)
            to[starts[from[i].metric >> shift & digits]++] = from[i];
        struct tsdb_part *swapped = from;
        from = to;
        to = swapped;
    }
    if (from != parts)
        memcpy(parts, from, count * sizeof *parts);
    free(room);
}

/* Of ascending series: when the order is free, it is that of the blocks, so that a reader meets
 * each of them once. */
static void order_as_stored(struct tsdb_part *parts, size_t count)
{
    uint32_t differing = 0;
    for (size_t i = 1; i < count; i++)
        differing |= parts[i].metric ^ parts[0].metric;
    if (differing)
        sort_by_metric(parts, count, differing);
}

static enum tw_code match_partitions(struct tsdb_db_selection *selection,
                                     const struct tw_context *context,
                                     const struct tsdb_matcher *matchers, size_t matcher_count,
                                     struct tw_err *err)
{
    selection->matches =
        TW_ARENA_ARRAY(selection->arena, struct tsdb_partition_match *, selection->partition_count);
    selection->match_counts = TW_ARENA_ARRAY(selection->arena, size_t, selection->partition_count);
    for (size_t i = 0; i < selection->partition_count; i++) {
        struct tsdb_partition_match *found;
        size_t count;
        enum tw_code code = tw_context_check(context, err);
        if (code == TW_OK)
            code = tsdb_partition_match(selection->partitions[i], matchers, matcher_count,
                                        selection->arena, &found, &count, err);
        if (code != TW_OK)
            return code;
        struct tsdb_part *parts = reserve_parts(selection, count);
        for (size_t j = 0; j < count; j++)
            parts[j] = (struct tsdb_part){found[j].place.series, found[j].place.metric, (uint32_t)i,
                                          (uint32_t)j};
        if (selection->hints.grouping)
            order_as_stored(parts, count);
        selection->part_count += count;
        selection->matches[i] = found;
        selection->match_counts[i] = count;
    }
    return TW_OK;
}

struct wire_labels tsdb_part_labels(const struct tsdb_db_selection *selection,
                                    const struct tsdb_part *part, struct wire_label *items)
{
    if (!tsdb_part_is_head(selection, part))
        return selection->matches[part->source][part->match].labels;
    return tsdb_index_labels(tsdb_head_index(tsdb_part_head(selection, part)), part->series, items);
}

static uint64_t part_hash(const struct tsdb_db_selection *selection, const struct tsdb_part *part)
{
    if (!tsdb_part_is_head(selection, part))
        return selection->matches[part->source][part->match].hash;
    return tsdb_index_hash(tsdb_head_index(tsdb_part_head(selection, part)), part->series);
}

/* ---- joining: parts of one label set become one series ---- */

/* Whether two parts that follow each other are of the same series of the same index. */
static bool is_next_head(const struct tsdb_db_selection *selection, const struct tsdb_part *part)
{
    return part > selection->parts && part[-1].series == part->series &&
           tsdb_part_is_head(selection, part) && tsdb_part_is_head(selection, &part[-1]) &&
           part[-1].source < part->source &&
           tsdb_head_index(tsdb_part_head(selection, part)) ==
               tsdb_head_index(tsdb_part_head(selection, &part[-1]));
}

/* With one source nothing is to be compared. */
static void take_as_they_are(struct tsdb_db_selection *selection)
{
    for (size_t i = 0; i < selection->part_count; i++) {
        if (is_next_head(selection, &selection->parts[i]))
            selection->series[selection->series_count - 1].part_count++;
        else
            selection->series[selection->series_count++] = (struct tsdb_selected){(uint32_t)i, 1};
    }
}

struct join {
    const struct tsdb_db_selection *selection;
    uint32_t *slots; /* series + 1 */
    size_t mask;
    uint64_t *hashes;  /* by series */
    uint32_t *firsts;  /* by series: one of its parts */
    uint32_t *numbers; /* by part: its series */
    uint32_t count;
};

static bool same_labels(const struct tsdb_db_selection *selection, const struct tsdb_part *a,
                        const struct tsdb_part *b)
{
    struct wire_label a_items[WIRE_LABELS_COUNT_MAX], b_items[WIRE_LABELS_COUNT_MAX];
    return wire_labels_equal(tsdb_part_labels(selection, a, a_items),
                             tsdb_part_labels(selection, b, b_items));
}

/* The series of a part, a new one when there is none with its labels. */
static uint32_t find_or_add(struct join *join, uint32_t part)
{
    const struct tsdb_part *parts = join->selection->parts;
    uint64_t hash = part_hash(join->selection, &parts[part]);
    size_t at = hash & join->mask;
    for (; join->slots[at]; at = (at + 1) & join->mask) {
        uint32_t series = join->slots[at] - 1;
        if (join->hashes[series] == hash &&
            same_labels(join->selection, &parts[join->firsts[series]], &parts[part]))
            return series;
    }
    join->hashes[join->count] = hash;
    join->firsts[join->count] = part;
    join->slots[at] = ++join->count;
    return join->count - 1;
}

/* Numbers the series in the order in which they are met, and counts their parts. */
static void number_parts(struct join *join, struct tsdb_selected *series, size_t first,
                         size_t limit)
{
    for (size_t i = first; i < limit; i++) {
        bool next = i > first && is_next_head(join->selection, &join->selection->parts[i]);
        join->numbers[i] = next ? join->numbers[i - 1] : find_or_add(join, (uint32_t)i);
        series[join->numbers[i]].part_count++;
    }
}

/* Puts the parts of each series together, in the order in which they come. */
static void place_parts(struct tsdb_db_selection *selection, const struct join *join,
                        struct tsdb_part *to, size_t first, size_t limit)
{
    for (size_t i = first; i < limit; i++) {
        struct tsdb_selected *series = &selection->series[join->numbers[i]];
        to[series->first_part + series->part_count++] = selection->parts[i];
    }
}

/* head_parts: how many, in front, are of heads. Partitions come before heads in a series. */
static void join_parts(struct tsdb_db_selection *selection, size_t head_parts)
{
    size_t count = selection->part_count, slots = 64;
    while (slots < count * 2)
        slots *= 2;
    struct join join = {.selection = selection, .mask = slots - 1};
    join.slots = calloc(slots, sizeof *join.slots);
    join.hashes = malloc((count + 1) * sizeof *join.hashes);
    join.firsts = malloc((count + 1) * sizeof *join.firsts);
    join.numbers = malloc((count + 1) * sizeof *join.numbers);
    struct tsdb_part *placed = malloc((count + 1) * sizeof *placed);
    TW_ASSERT(join.slots && join.hashes && join.firsts && join.numbers && placed);
    number_parts(&join, selection->series, head_parts, count);
    number_parts(&join, selection->series, 0, head_parts);
    selection->series_count = join.count;
    for (uint32_t i = 0, at = 0; i < join.count; i++) {
        selection->series[i].first_part = at;
        at += selection->series[i].part_count;
        selection->series[i].part_count = 0;
    }
    place_parts(selection, &join, placed, head_parts, count);
    place_parts(selection, &join, placed, 0, head_parts);
    free(selection->parts);
    selection->parts = placed;
    free(join.slots);
    free(join.hashes);
    free(join.firsts);
    free(join.numbers);
}

/* Whether all heads share one index. */
static bool is_one_index(const struct tsdb_db_selection *selection)
{
    for (size_t i = 1; i < selection->head_count; i++)
        if (tsdb_head_index(selection->heads[i]) != tsdb_head_index(selection->heads[0]))
            return false;
    return true;
}

static void join(struct tsdb_db_selection *selection, size_t head_parts)
{
    TW_ASSERT(selection->part_count < NO_SERIES);
    selection->series = calloc(selection->part_count + 1, sizeof *selection->series);
    TW_ASSERT(selection->series != NULL);
    bool heads_alone = head_parts == selection->part_count && is_one_index(selection);
    bool partition_alone = head_parts == 0 && selection->partition_count == 1;
    if (heads_alone || partition_alone)
        take_as_they_are(selection);
    else
        join_parts(selection, head_parts);
}

/* ---- what is gone ---- */

/* Whether nothing can be left of the series in one place. run: the newest there. */
static bool is_part_gone(const struct tsdb_db_selection *selection, const struct tsdb_cut *cut,
                         const struct tsdb_part *part, uint64_t run)
{
    int64_t first_ms = selection->start_ms, last_ms = selection->end_ms;
    if (!tsdb_part_is_head(selection, part)) {
        int64_t day_ms = tsdb_partition_day(selection->partitions[part->source]) * TSDB_DAY_MS;
        first_ms = first_ms > day_ms ? first_ms : day_ms;
        last_ms = last_ms < day_ms + TSDB_DAY_MS - 1 ? last_ms : day_ms + TSDB_DAY_MS - 1;
    }
    return tsdb_erasure_covers(selection->erasures.items + cut->first_erasure, cut->count, run,
                               first_ms, last_ms);
}

static bool is_gone(const struct tsdb_db_selection *selection, const struct tsdb_selected *series,
                    const struct tsdb_cut *cut, const uint64_t *newest_runs)
{
    if (cut->count == 0)
        return false;
    for (uint32_t i = 0; i < series->part_count; i++) {
        const struct tsdb_part *part = &selection->parts[series->first_part + i];
        if (!is_part_gone(selection, cut, part, newest_runs[part->source]))
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
    selection->cuts = TW_ARENA_ARRAY(selection->arena, struct tsdb_cut, selection->series_count);
    size_t kept = 0;
    for (size_t i = 0; i < selection->series_count; i++) {
        struct wire_label items[WIRE_LABELS_COUNT_MAX];
        const struct tsdb_selected *series = &selection->series[i];
        struct tsdb_cut cut = {.first_erasure = (uint32_t)selection->erasures.count};
        tsdb_erasers_collect(
            selection->erasers,
            tsdb_part_labels(selection, &selection->parts[series->first_part], items), now_ms,
            selection->start_ms, selection->end_ms, &selection->erasures);
        cut.count = (uint32_t)selection->erasures.count - cut.first_erasure;
        if (is_gone(selection, series, &cut, newest_runs))
            continue;
        selection->cuts[kept] = cut;
        selection->series[kept++] = *series;
    }
    selection->series_count = kept;
    return TW_OK;
}

/* ---- labels, and the order by them ---- */

/* The texts stay where they are (the selection holds the source); the array is copied. */
static struct wire_labels keep_labels(struct tsdb_db_selection *selection,
                                      const struct tsdb_part *part)
{
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    struct wire_labels labels = tsdb_part_labels(selection, part, items);
    if (labels.items != items)
        return labels;
    struct wire_label *kept = tw_arena_alloc(selection->arena, labels.count * sizeof *kept);
    if (labels.count)
        memcpy(kept, items, labels.count * sizeof *kept);
    return (struct wire_labels){kept, labels.count};
}

static void order_series(struct tsdb_db_selection *selection)
{
    size_t count = selection->series_count;
    struct wire_labels *sets = malloc((count + 1) * sizeof *sets);
    uint32_t *order = malloc((count + 1) * sizeof *order);
    struct tsdb_selected *series = malloc((count + 1) * sizeof *series);
    TW_ASSERT(sets != NULL && order != NULL && series != NULL);
    for (size_t i = 0; i < count; i++)
        sets[i] = keep_labels(selection, &selection->parts[selection->series[i].first_part]);
    tsdb_label_order(sets, (uint32_t)count, order);
    selection->labels = malloc((count + 1) * sizeof *selection->labels);
    TW_ASSERT(selection->labels != NULL);
    for (size_t i = 0; i < count; i++) {
        selection->labels[i] = sets[order[i]];
        series[i] = selection->series[order[i]];
    }
    if (selection->cuts) {
        struct tsdb_cut *cuts = TW_ARENA_ARRAY(selection->arena, struct tsdb_cut, count);
        for (size_t i = 0; i < count; i++)
            cuts[i] = selection->cuts[order[i]];
        selection->cuts = cuts;
    }
    free(selection->series);
    selection->series = series;
    free(sets);
    free(order);
}

/* ---- life ---- */

static enum tw_code fill(struct tsdb_db_selection *selection, const struct tw_context *context,
                         const struct tsdb_matcher *matchers, size_t matcher_count,
                         struct tw_err *err)
{
    /* What is gone before all else: a deletion that is carried out leaves the list, and what was
     * taken before that still has its samples. */
    selection->erasers = tsdb_tombstones_list(selection->db->tombstones);
    /* Heads first: what is flushed between the two steps is then seen twice, which the merge
     * settles; the other way round it would be missed. */
    match_heads(selection, matchers, matcher_count);
    size_t head_parts = selection->part_count;
    enum tw_code code =
        tsdb_partitions_list(selection->db->partitions, selection->start_ms, selection->end_ms,
                             &selection->partitions, &selection->partition_count, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < head_parts; i++)
        selection->parts[i].source += (uint32_t)selection->partition_count;
    code = match_partitions(selection, context, matchers, matcher_count, err);
    if (code != TW_OK)
        return code;
    join(selection, head_parts);
    code = find_erasures(selection, err);
    if (code != TW_OK)
        return code;
    uint64_t limit = context->limits.query_series_max;
    if (limit && selection->series_count > limit)
        return tw_err_set(err, TW_LIMIT,
                          "the selector matches %zu series, the limit of a query is %llu: narrow "
                          "it with more matchers",
                          selection->series_count, (unsigned long long)limit);
    if (selection->hints.grouping)
        tsdb_selection_make_groups(selection, selection->hints.grouping);
    else
        order_series(selection);
    selection->hints.grouping = NULL; /* the caller's */
    return TW_OK;
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
    free(selection->parts);
    free(selection->series);
    free(selection->labels);
    free(selection->group_of);
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
    TW_ASSERT(selection->labels != NULL); /* made, unless groups were asked for */
    return selection->labels[index];
}

static bool selection_groups(const struct tsdb_selection *base, struct tsdb_groups *ret)
{
    const struct tsdb_db_selection *selection = (const struct tsdb_db_selection *)base;
    if (!selection->group_of)
        return false;
    *ret =
        (struct tsdb_groups){selection->group_of, selection->group_labels, selection->group_count};
    return true;
}

const struct tsdb_storage_ops tsdb_db_ops = {
    .select = tsdb_db_select,
    .selection_close = close_selection,
    .selection_count = selection_count,
    .selection_labels = selection_labels,
    .selection_groups = selection_groups,
    .cursor_open = tsdb_db_cursor_open,
    .cursor_close = tsdb_db_cursor_close,
    .cursor_hint = tsdb_db_cursor_hint,
    .cursor_expect = tsdb_db_cursor_expect,
    .cursor_seek = tsdb_db_cursor_seek,
    .cursor_next = tsdb_db_cursor_next,
    .label_names = tsdb_db_label_names,
    .label_values = tsdb_db_label_values,
    .metadata_list = tsdb_db_metadata_list,
    .append = tsdb_db_append,
    .append_metadata = tsdb_db_append_metadata,
    .append_histograms = tsdb_db_append_histograms,
    .append_exemplars = tsdb_db_append_exemplars,
    .exemplars_select = tsdb_exemplars_read,
};
