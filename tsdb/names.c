/* SPDX-License-Identifier: Apache-2.0
 *
 * names: which label names and values there are, over heads and partitions.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "tsdb/db_int.h"

/* A set of strings, copied into the arena when they are new. */
struct set {
    struct tw_arena *arena;
    struct tw_str *slots; /* data NULL = empty */
    size_t mask, count;
};

static void set_init(struct set *set, struct tw_arena *arena)
{
    *set = (struct set){.arena = arena, .mask = 63};
    set->slots = calloc(set->mask + 1, sizeof *set->slots);
    TW_ASSERT(set->slots != NULL);
}

static struct tw_str *find_slot(struct tw_str *slots, size_t mask, struct tw_str text)
{
    size_t at = tw_hash64(text.data, text.size) & mask;
    while (slots[at].data && !tw_str_equal(slots[at], text))
        at = (at + 1) & mask;
    return &slots[at];
}

static void set_add(void *user, struct tw_str text)
{
    struct set *set = user;
    struct tw_str *slot = find_slot(set->slots, set->mask, text);
    if (slot->data)
        return;
    *slot = tw_arena_str(set->arena, text);
    if (++set->count * 2 <= set->mask)
        return;
    size_t mask = set->mask * 2 + 1;
    struct tw_str *slots = calloc(mask + 1, sizeof *slots);
    TW_ASSERT(slots != NULL);
    for (size_t i = 0; i <= set->mask; i++)
        if (set->slots[i].data)
            *find_slot(slots, mask, set->slots[i]) = set->slots[i];
    free(set->slots);
    set->slots = slots;
    set->mask = mask;
}

static int compare_strings(const void *a, const void *b)
{
    return tw_str_compare(*(const struct tw_str *)a, *(const struct tw_str *)b);
}

static void set_take(struct set *set, size_t limit, struct tsdb_strings *ret)
{
    struct tw_str *items = TW_ARENA_ARRAY(set->arena, struct tw_str, set->count ? set->count : 1);
    size_t count = 0;
    for (size_t i = 0; i <= set->mask; i++)
        if (set->slots[i].data)
            items[count++] = set->slots[i];
    if (count)
        qsort(items, count, sizeof *items, compare_strings);
    bool truncated = limit && count > limit;
    *ret = (struct tsdb_strings){
        .items = items, .count = truncated ? limit : count, .truncated = truncated};
}

/* All names (name empty) or all values of a name, without looking at single series. */
static enum tw_code visit_all(struct tsdb_db *db, struct tw_str name, int64_t start_ms,
                              int64_t end_ms, struct set *set, struct tw_err *err)
{
    const struct tsdb_index *visited = NULL; /* generations share it */
    tw_lock_take(&db->lock);
    for (struct tsdb_generation *at = db->oldest; at; at = at->newer) {
        int64_t first_ms, last_ms;
        if (!tsdb_head_range(at->head, &first_ms, &last_ms) || first_ms > end_ms ||
            last_ms < start_ms)
            continue;
        if (tsdb_head_index(at->head) == visited)
            continue;
        visited = tsdb_head_index(at->head);
        if (name.size)
            tsdb_index_values(tsdb_head_index(at->head), name, set_add, set);
        else
            tsdb_index_names(tsdb_head_index(at->head), set_add, set);
    }
    tw_lock_release(&db->lock);
    struct tsdb_partition **partitions;
    size_t count;
    enum tw_code code =
        tsdb_partitions_list(db->partitions, start_ms, end_ms, &partitions, &count, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < count && code == TW_OK; i++)
        code = name.size ? tsdb_partition_values(partitions[i], name, set_add, set, err)
                         : tsdb_partition_names(partitions[i], set_add, set, err);
    tsdb_partitions_unlist(db->partitions, partitions, count);
    return code;
}

static enum tw_code visit_selected(struct tsdb_storage *storage, const struct tw_context *context,
                                   struct tw_str name, const struct tsdb_selector *selector,
                                   int64_t start_ms, int64_t end_ms, struct set *set,
                                   struct tw_err *err)
{
    struct tsdb_selection *selection;
    enum tw_code code = tsdb_select(storage, context, selector->matchers, selector->count, start_ms,
                                    end_ms, &(struct tsdb_hints){0}, &selection, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < tsdb_selection_count(selection); i++) {
        struct wire_labels labels = tsdb_selection_labels(selection, i);
        for (size_t j = 0; j < labels.count; j++)
            if (!name.size)
                set_add(set, labels.items[j].name);
            else if (tw_str_equal(labels.items[j].name, name))
                set_add(set, labels.items[j].value);
    }
    tsdb_selection_close(selection);
    return TW_OK;
}

static enum tw_code collect(struct tsdb_storage *storage, const struct tw_context *context,
                            struct tw_str name, const struct tsdb_selector *selectors,
                            size_t selector_count, int64_t start_ms, int64_t end_ms, size_t limit,
                            struct tw_arena *arena, struct tsdb_strings *ret, struct tw_err *err)
{
    enum tw_code code = tsdb_db_check_tenant(context, err);
    if (code != TW_OK)
        return code;
    struct set set;
    set_init(&set, arena);
    static const struct tsdb_selector everything = {0};
    if (selector_count == 0 && context->scope_count == 0)
        code = visit_all((struct tsdb_db *)storage, name, start_ms, end_ms, &set, err);
    else if (selector_count == 0)
        code = visit_selected(storage, context, name, &everything, start_ms, end_ms, &set, err);
    for (size_t i = 0; i < selector_count && code == TW_OK; i++)
        code = visit_selected(storage, context, name, &selectors[i], start_ms, end_ms, &set, err);
    if (code == TW_OK)
        set_take(&set, limit, ret);
    free(set.slots);
    return code;
}

enum tw_code tsdb_db_label_names(struct tsdb_storage *storage, const struct tw_context *context,
                                 const struct tsdb_selector *selectors, size_t selector_count,
                                 int64_t start_ms, int64_t end_ms, size_t limit,
                                 struct tw_arena *arena, struct tsdb_strings *ret,
                                 struct tw_err *err)
{
    return collect(storage, context, TW_STR(""), selectors, selector_count, start_ms, end_ms, limit,
                   arena, ret, err);
}

enum tw_code tsdb_db_label_values(struct tsdb_storage *storage, const struct tw_context *context,
                                  struct tw_str name, const struct tsdb_selector *selectors,
                                  size_t selector_count, int64_t start_ms, int64_t end_ms,
                                  size_t limit, struct tw_arena *arena, struct tsdb_strings *ret,
                                  struct tw_err *err)
{
    if (name.size == 0)
        return tw_err_set(err, TW_BAD_DATA, "the name of the label is empty");
    return collect(storage, context, name, selectors, selector_count, start_ms, end_ms, limit,
                   arena, ret, err);
}
