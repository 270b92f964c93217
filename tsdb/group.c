/* SPDX-License-Identifier: Apache-2.0
 *
 * group: which group of an aggregation each series of a selection belongs to, without a look at the
 * texts of its labels: a series of an index is the pairs that are kept of it, as numbers. Texts are
 * compared once for each group and index; series of partitions have theirs anyway.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "tsdb/index_int.h"
#include "tsdb/label_order.h"
#include "tsdb/selection_int.h"

#define SLOTS_MIN 64
#define NO_GROUP UINT32_MAX

/* ---- a table from hashes to numbers ---- */

struct slots {
    uint32_t *items; /* number + 1 */
    uint64_t *hashes;
    size_t mask;
    uint32_t count, capacity; /* of the numbers */
};

static void slots_init(struct slots *slots)
{
    slots->mask = SLOTS_MIN - 1;
    slots->capacity = SLOTS_MIN / 2;
    slots->items = calloc(SLOTS_MIN, sizeof *slots->items);
    slots->hashes = malloc(slots->capacity * sizeof *slots->hashes);
    TW_ASSERT(slots->items != NULL && slots->hashes != NULL);
}

static void slots_fini(struct slots *slots)
{
    free(slots->items);
    free(slots->hashes);
}

static void slots_put(struct slots *slots, uint32_t number)
{
    size_t at = slots->hashes[number] & slots->mask;
    while (slots->items[at])
        at = (at + 1) & slots->mask;
    slots->items[at] = number + 1;
}

/* The next number, with this hash. */
static uint32_t slots_add(struct slots *slots, uint64_t hash)
{
    if (slots->count == slots->capacity) {
        slots->capacity *= 2;
        slots->mask = slots->mask * 2 + 1;
        free(slots->items);
        slots->items = calloc(slots->mask + 1, sizeof *slots->items);
        slots->hashes = realloc(slots->hashes, slots->capacity * sizeof *slots->hashes);
        TW_ASSERT(slots->items != NULL && slots->hashes != NULL);
        for (uint32_t i = 0; i < slots->count; i++)
            slots_put(slots, i);
    }
    slots->hashes[slots->count] = hash;
    slots_put(slots, slots->count);
    return slots->count++;
}

/* ---- groups by their labels ---- */

struct groups {
    struct slots slots;
    struct wire_labels *labels; /* by number; as many as the slots have room for */
    uint32_t capacity;
    struct tw_arena *arena;
};

static uint32_t find_or_add_labels(struct groups *groups, struct wire_labels labels)
{
    struct slots *slots = &groups->slots;
    uint64_t hash = wire_labels_hash(labels);
    for (size_t at = hash & slots->mask; slots->items[at]; at = (at + 1) & slots->mask) {
        uint32_t number = slots->items[at] - 1;
        if (slots->hashes[number] == hash && wire_labels_equal(groups->labels[number], labels))
            return number;
    }
    uint32_t number = slots_add(slots, hash);
    if (number >= groups->capacity) {
        groups->capacity = slots->capacity;
        groups->labels = realloc(groups->labels, groups->capacity * sizeof *groups->labels);
        TW_ASSERT(groups->labels != NULL);
    }
    struct wire_label *kept = tw_arena_alloc(groups->arena, labels.count * sizeof *kept);
    if (labels.count)
        memcpy(kept, labels.items, labels.count * sizeof *kept);
    groups->labels[number] = (struct wire_labels){kept, labels.count};
    return number;
}

static bool keeps(const struct tsdb_grouping *grouping, struct tw_str name)
{
    for (size_t i = 0; i < grouping->count; i++)
        if (tw_str_equal(grouping->names[i], name))
            return !grouping->without;
    return grouping->without && !tw_str_is(name, WIRE_METRIC_NAME);
}

static struct wire_labels keep_labels(const struct tsdb_grouping *grouping,
                                      struct wire_labels labels, struct wire_label *items)
{
    size_t count = 0;
    for (size_t i = 0; i < labels.count; i++)
        if (keeps(grouping, labels.items[i].name))
            items[count++] = labels.items[i];
    return (struct wire_labels){items, count};
}

/* ---- groups of one index, by their pairs ---- */

struct local {
    const struct tsdb_index *index;
    uint32_t *names; /* string ids */
    size_t name_count;
    bool without;
    struct slots slots;
    uint32_t *pairs; /* of all groups, one after the other */
    size_t pair_count, pair_capacity;
    size_t *starts;   /* by local number; the end is the next one's start */
    uint32_t *groups; /* by local number */
    uint32_t capacity;
    uint32_t *of_pair; /* by one label: the group by its pair; NO_GROUP: not known yet */
    uint32_t of_pair_count;
    uint32_t last[WIRE_LABELS_COUNT_MAX]; /* pairs of the series before */
    size_t last_count;
    uint32_t last_group; /* NO_GROUP: there was none */
};

static void local_init(struct local *local, struct tsdb_db *db, const struct tsdb_index *index,
                       const struct tsdb_grouping *grouping)
{
    *local = (struct local){
        .index = index, .without = grouping->without, .last_group = NO_GROUP, .pair_capacity = 256};
    slots_init(&local->slots);
    local->capacity = local->slots.capacity;
    local->names = malloc((grouping->count + 1) * sizeof *local->names);
    local->pairs = malloc(local->pair_capacity * sizeof *local->pairs);
    local->starts = malloc((local->capacity + 1) * sizeof *local->starts);
    local->groups = malloc(local->capacity * sizeof *local->groups);
    TW_ASSERT(local->names && local->pairs && local->starts && local->groups);
    local->starts[0] = 0;
    tw_lock_take(&db->lock);
    for (size_t i = 0; i < grouping->count; i++)
        if (tsdb_index_find_string(index, grouping->names[i], &local->names[local->name_count]))
            local->name_count++;
    if (grouping->without &&
        tsdb_index_find_string(index, TW_STR(WIRE_METRIC_NAME), &local->names[local->name_count]))
        local->name_count++;
    tw_lock_release(&db->lock);
}

static void local_fini(struct local *local)
{
    slots_fini(&local->slots);
    free(local->names);
    free(local->pairs);
    free(local->starts);
    free(local->groups);
    free(local->of_pair);
}

/* The place for the group of a pair. */
static uint32_t *group_of_pair(struct local *local, uint32_t pair)
{
    if (pair >= local->of_pair_count) {
        uint32_t count = pair + pair / 2 + 64;
        local->of_pair = realloc(local->of_pair, count * sizeof *local->of_pair);
        TW_ASSERT(local->of_pair != NULL);
        for (uint32_t i = local->of_pair_count; i < count; i++)
            local->of_pair[i] = NO_GROUP;
        local->of_pair_count = count;
    }
    return &local->of_pair[pair];
}

/* The pairs of a series that are kept; how many. */
static size_t keep_pairs(const struct local *local, uint32_t series, uint32_t *ret_pairs)
{
    size_t count = 0, met = 0;
    if (!local->without && local->name_count == 0)
        return 0;
    for (const struct tsdb_index_entry *entry = tsdb_index_entries(local->index, series);;
         entry++) {
        uint32_t pair = tsdb_entry_pair(entry),
                 name = tsdb_index_pair_row(local->index, pair)->name;
        bool named = false;
        for (size_t i = 0; i < local->name_count && !named; i++)
            named = local->names[i] == name;
        met += named;
        if (named != local->without)
            ret_pairs[count++] = pair;
        if (tsdb_entry_is_last(entry) || (!local->without && met == local->name_count))
            return count;
    }
}

static bool has_pairs(const struct local *local, uint32_t number, const uint32_t *pairs,
                      size_t count)
{
    return local->starts[number + 1] - local->starts[number] == count &&
           memcmp(local->pairs + local->starts[number], pairs, count * sizeof *pairs) == 0;
}

static uint32_t local_add(struct local *local, uint64_t hash, const uint32_t *pairs, size_t count,
                          uint32_t group)
{
    uint32_t number = slots_add(&local->slots, hash);
    if (number >= local->capacity) {
        local->capacity = local->slots.capacity;
        local->starts = realloc(local->starts, (local->capacity + 1) * sizeof *local->starts);
        local->groups = realloc(local->groups, local->capacity * sizeof *local->groups);
        TW_ASSERT(local->starts != NULL && local->groups != NULL);
    }
    if (local->pair_count + count > local->pair_capacity) {
        local->pair_capacity = (local->pair_count + count) * 2;
        local->pairs = realloc(local->pairs, local->pair_capacity * sizeof *local->pairs);
        TW_ASSERT(local->pairs != NULL);
    }
    memcpy(local->pairs + local->pair_count, pairs, count * sizeof *pairs);
    local->pair_count += count;
    local->starts[number + 1] = local->pair_count;
    return local->groups[number] = group;
}

static uint32_t group_of_series(struct local *local, struct groups *groups, uint32_t series)
{
    uint32_t pairs[WIRE_LABELS_COUNT_MAX];
    size_t count = keep_pairs(local, series, pairs);
    uint32_t *of_pair = count == 1 ? group_of_pair(local, pairs[0]) : NULL;
    if (of_pair && *of_pair != NO_GROUP)
        return *of_pair;
    if (local->last_group != NO_GROUP && count == local->last_count &&
        memcmp(pairs, local->last, count * sizeof *pairs) == 0)
        return local->last_group;
    const struct slots *slots = &local->slots;
    uint64_t hash = tw_hash64(pairs, count * sizeof *pairs);
    uint32_t group = NO_GROUP;
    for (size_t at = hash & slots->mask; slots->items[at] && group == NO_GROUP;
         at = (at + 1) & slots->mask) {
        uint32_t number = slots->items[at] - 1;
        if (slots->hashes[number] == hash && has_pairs(local, number, pairs, count))
            group = local->groups[number];
    }
    if (group == NO_GROUP) {
        struct wire_label items[WIRE_LABELS_COUNT_MAX];
        for (size_t i = 0; i < count; i++) {
            const struct tsdb_index_pair *pair = tsdb_index_pair_row(local->index, pairs[i]);
            items[i] = (struct wire_label){tsdb_index_text(local->index, pair->name),
                                           tsdb_index_text(local->index, pair->value)};
        }
        group = local_add(local, hash, pairs, count,
                          find_or_add_labels(groups, (struct wire_labels){items, count}));
    }
    memcpy(local->last, pairs, count * sizeof *pairs);
    local->last_count = count;
    if (of_pair)
        *of_pair = group;
    return local->last_group = group;
}

/* ---- all series ---- */

/* One for each index; those that share one have the same. *ret_of: by head. */
static struct local *make_locals(const struct tsdb_db_selection *selection,
                                 const struct tsdb_grouping *grouping, struct local ***ret_of)
{
    struct local *locals = calloc(selection->head_count + 1, sizeof *locals);
    struct local **of = calloc(selection->head_count + 1, sizeof(struct local *));
    TW_ASSERT(locals != NULL && of != NULL);
    for (size_t i = 0; i < selection->head_count; i++) {
        const struct tsdb_index *index = tsdb_head_index(selection->heads[i]);
        for (size_t j = 0; j < i && !of[i]; j++)
            if (of[j]->index == index)
                of[i] = of[j];
        if (of[i])
            continue;
        of[i] = &locals[i];
        local_init(&locals[i], selection->db, index, grouping);
    }
    *ret_of = of;
    return locals;
}

/* By labels: so the order of the groups does not depend on where their series are. */
static void order_groups(struct tsdb_db_selection *selection, struct groups *groups)
{
    uint32_t count = groups->slots.count;
    uint32_t *order = malloc((count + 1) * sizeof *order),
             *rank = malloc((count + 1) * sizeof *rank);
    TW_ASSERT(order != NULL && rank != NULL);
    tsdb_label_order(groups->labels, count, order);
    selection->group_labels = TW_ARENA_ARRAY(selection->arena, struct wire_labels, count);
    selection->group_count = count;
    for (uint32_t i = 0; i < count; i++) {
        selection->group_labels[i] = groups->labels[order[i]];
        rank[order[i]] = i;
    }
    for (size_t i = 0; i < selection->series_count; i++)
        selection->group_of[i] = rank[selection->group_of[i]];
    free(order);
    free(rank);
}

void tsdb_selection_make_groups(struct tsdb_db_selection *selection,
                                const struct tsdb_grouping *grouping)
{
    struct groups groups = {.arena = selection->arena};
    struct local **of;
    struct local *locals = make_locals(selection, grouping, &of);
    slots_init(&groups.slots);
    selection->group_of = malloc((selection->series_count + 1) * sizeof *selection->group_of);
    TW_ASSERT(selection->group_of != NULL);
    bool one_group = !grouping->without && grouping->count == 0;
    for (size_t i = 0; i < selection->series_count; i++) {
        if (one_group && i > 0) {
            selection->group_of[i] = selection->group_of[0];
            continue;
        }
        const struct tsdb_part *part = &selection->parts[selection->series[i].first_part];
        if (tsdb_part_is_head(selection, part)) {
            selection->group_of[i] = group_of_series(of[part->source - selection->partition_count],
                                                     &groups, part->series);
            continue;
        }
        struct wire_label items[WIRE_LABELS_COUNT_MAX];
        struct wire_labels labels = selection->matches[part->source][part->match].labels;
        selection->group_of[i] = find_or_add_labels(&groups, keep_labels(grouping, labels, items));
    }
    order_groups(selection, &groups);
    for (size_t i = 0; i < selection->head_count; i++)
        if (locals[i].index)
            local_fini(&locals[i]);
    free(locals);
    free(of);
    slots_fini(&groups.slots);
    free(groups.labels);
}
