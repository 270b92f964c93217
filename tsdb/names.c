/* SPDX-License-Identifier: Apache-2.0
 *
 * names: which label names and values there are, over heads and partitions.
 *
 * Values are found without looking at series wherever that gives the same: all values of a name are
 * its pairs and postings, and so are those that match when nothing but the name itself is asked
 * about ({__name__=~".*cpu.*"}, what completion sends). Else the series that match are gone
 * through, source by source, and of each only what was not seen before is taken. No series is
 * compared with another, none is sorted.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "tsdb/db_int.h"
#include "tsdb/text_order.h"

/* Series of a head that are looked at each time the store's lock is taken. */
#define LOOKED_AT_MAX 1024

/* A set of strings. They are borrowed: of indexes that are held, or in the arena. */
struct set {
    struct tw_str *slots; /* data NULL = empty */
    size_t mask, count;
};

struct listing {
    struct tsdb_db *db;
    const struct tw_context *context;
    struct tw_str name; /* empty = names are listed, else its values */
    int64_t start_ms, end_ms;
    struct tw_arena *arena; /* of what is needed until the end */
    /* Those that overlap the range, from old to new, with a reference to each. */
    struct tsdb_head **heads;
    size_t head_count;
    struct tsdb_partition **partitions;
    size_t partition_count;
    struct tsdb_erasers *erasers;
    const struct tsdb_selector *filter; /* of the values themselves; NULL = all are wanted */
    struct set set;
};

/* ---- the set ---- */

static void set_init(struct set *set)
{
    *set = (struct set){.mask = 63};
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

static void set_add(struct set *set, struct tw_str text)
{
    struct tw_str *slot = find_slot(set->slots, set->mask, text);
    if (slot->data)
        return;
    *slot = text;
    if (++set->count * 2 <= set->mask)
        return;
    size_t mask = set->mask * 4 + 3;
    struct tw_str *slots = calloc(mask + 1, sizeof *slots);
    TW_ASSERT(slots != NULL);
    for (size_t i = 0; i <= set->mask; i++)
        if (set->slots[i].data)
            *find_slot(slots, mask, set->slots[i]) = set->slots[i];
    free(set->slots);
    set->slots = slots;
    set->mask = mask;
}

/* Sorted; only what is given out is copied. */
static void set_take(struct set *set, size_t limit, struct tw_arena *arena,
                     struct tsdb_strings *ret)
{
    size_t count = 0;
    for (size_t i = 0; i <= set->mask; i++)
        if (set->slots[i].data)
            set->slots[count++] = set->slots[i];
    bool truncated = limit && count > limit;
    size_t wanted = truncated ? limit : count;
    tsdb_text_order(set->slots, count, wanted);
    struct tw_str *items = TW_ARENA_ARRAY(arena, struct tw_str, wanted ? wanted : 1);
    for (size_t i = 0; i < wanted; i++)
        items[i] = tw_arena_str(arena, set->slots[i]);
    *ret = (struct tsdb_strings){.items = items, .count = wanted, .truncated = truncated};
}

static void take_text(void *user, struct tw_str text)
{
    struct listing *listing = user;
    const struct tsdb_selector *filter = listing->filter;
    for (size_t i = 0; filter && i < filter->count; i++)
        if (!tsdb_matcher_matches(&filter->matchers[i], text))
            return;
    set_add(&listing->set, text);
}

/* ---- heads ---- */

/* Under the lock. Heads before partitions: what is flushed in between is seen twice, not missed. */
static void list_heads(struct listing *listing)
{
    size_t count = 0;
    for (struct tsdb_generation *at = listing->db->oldest; at; at = at->newer)
        count++;
    listing->heads = TW_ARENA_ARRAY(listing->arena, struct tsdb_head *, count + 1);
    for (struct tsdb_generation *at = listing->db->oldest; at; at = at->newer) {
        int64_t first_ms, last_ms;
        if (!tsdb_head_range(at->head, &first_ms, &last_ms) || first_ms > listing->end_ms ||
            last_ms < listing->start_ms)
            continue;
        tsdb_head_ref(at->head);
        listing->heads[listing->head_count++] = at->head;
    }
}

/* One more than the last of the heads from first on that share an index. */
static size_t sharing_limit(const struct listing *listing, size_t first)
{
    size_t limit = first + 1;
    while (limit < listing->head_count &&
           tsdb_head_index(listing->heads[limit]) == tsdb_head_index(listing->heads[first]))
        limit++;
    return limit;
}

static void take_pair(struct listing *listing, const struct tsdb_index *index, uint32_t pair)
{
    uint32_t name, value;
    tsdb_index_pair(index, pair, &name, &value);
    take_text(listing, tsdb_index_string(index, listing->name.size ? value : name));
}

/* Whether one of the heads has a sample of the series in the range. Under the lock. */
static bool is_alive(const struct listing *listing, size_t first, size_t limit, uint32_t series)
{
    for (size_t h = first; h < limit; h++) {
        int64_t last_ms = tsdb_head_last_ms(listing->heads[h], series);
        if (last_ms >= listing->start_ms && last_ms != INT64_MIN)
            return true;
    }
    return false;
}

/* Whether any series that has the pair is. Most often the newest is. */
static bool is_pair_alive(const struct listing *listing, size_t first, size_t limit,
                          const struct tsdb_index *index, uint32_t pair)
{
    uint32_t series = tsdb_index_newest_of(index, pair);
    while (series != TSDB_NO_SERIES && !is_alive(listing, first, limit, series))
        series = tsdb_index_older_of(index, pair, series);
    return series != TSDB_NO_SERIES;
}

/* The values of a name that are alive in the heads from first to limit, which share an index; of
 * the name itself one is enough to tell. The lock is held for moments only; pairs that come
 * meanwhile are newer than the first that is looked at. */
static enum tw_code visit_pairs(struct listing *listing, size_t first, size_t limit,
                                struct tw_str name, struct tw_err *err)
{
    const struct tsdb_index *index = tsdb_head_index(listing->heads[first]);
    uint32_t pair = 0, alive[LOOKED_AT_MAX];
    enum tw_code code = TW_OK;
    tw_lock_take(&listing->db->lock);
    (void)tsdb_index_find_name(index, name, &pair);
    tw_lock_release(&listing->db->lock);
    while (pair && (code = tw_context_check(listing->context, err)) == TW_OK) {
        size_t count = 0, enough = listing->name.size ? LOOKED_AT_MAX : 1;
        tw_lock_take(&listing->db->lock);
        for (size_t i = 0; i < LOOKED_AT_MAX && pair && count < enough; i++) {
            if (is_pair_alive(listing, first, limit, index, pair))
                alive[count++] = pair;
            pair = tsdb_index_older_pair(index, pair);
        }
        tw_lock_release(&listing->db->lock);
        for (size_t i = 0; i < count; i++)
            take_pair(listing, index, alive[i]);
        if (count && !listing->name.size)
            break;
    }
    return code;
}

struct name_list {
    struct tw_arena *arena;
    struct tw_str *items;
    size_t count, capacity;
};

static void note_name(void *user, struct tw_str text)
{
    struct name_list *list = user;
    if (list->count == list->capacity) {
        size_t old = list->capacity;
        list->capacity = old ? 2 * old : 64;
        list->items = tw_arena_grow(list->arena, list->items, old * sizeof *list->items,
                                    list->capacity * sizeof *list->items);
    }
    list->items[list->count++] = text;
}

/* All values of the name, or all names. */
static enum tw_code visit_index(struct listing *listing, size_t first, size_t limit,
                                struct tw_err *err)
{
    if (listing->name.size)
        return visit_pairs(listing, first, limit, listing->name, err);
    struct name_list list = {.arena = listing->arena};
    tw_lock_take(&listing->db->lock);
    tsdb_index_names(tsdb_head_index(listing->heads[first]), note_name, &list);
    tw_lock_release(&listing->db->lock);
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < list.count && code == TW_OK; i++)
        code = visit_pairs(listing, first, limit, list.items[i], err);
    return code;
}

struct walk {
    const struct tsdb_index *index;
    size_t first, limit; /* of the heads that share it */
    uint32_t name;       /* string id of the name whose values are listed */
    unsigned char *seen; /* by pair id */
    size_t pair_count;
};

/* Under the lock: pairs of a series that were not seen; it is asked for samples only then. */
static void visit_series(struct listing *listing, struct walk *walk, uint32_t series)
{
    uint32_t pairs[WIRE_LABELS_COUNT_MAX];
    size_t count = 1;
    if (walk->name)
        pairs[0] = tsdb_index_pair_of(walk->index, series, walk->name);
    else
        count = tsdb_index_pair_ids(walk->index, series, pairs);
    bool alive = false;
    for (size_t i = 0; i < count; i++) {
        if (pairs[i] == 0 || pairs[i] >= walk->pair_count || walk->seen[pairs[i]])
            continue;
        if (!alive && !is_alive(listing, walk->first, walk->limit, series))
            return;
        alive = true;
        walk->seen[pairs[i]] = 1;
        take_pair(listing, walk->index, pairs[i]);
    }
}

static enum tw_code visit_matching(struct listing *listing, size_t first, size_t limit,
                                   const struct tsdb_matcher *matchers, size_t matcher_count,
                                   struct tw_err *err)
{
    const struct tsdb_index *index = tsdb_head_index(listing->heads[first]);
    struct walk walk = {.index = index, .first = first, .limit = limit};
    uint32_t pair = 0;
    tw_lock_take(&listing->db->lock);
    struct tsdb_index_plan *plan = tsdb_index_plan(index, matchers, matcher_count);
    walk.pair_count = tsdb_index_pair_count(index);
    if (listing->name.size)
        walk.name = tsdb_index_find_name(index, listing->name, &pair);
    tw_lock_release(&listing->db->lock);
    if (listing->name.size && !walk.name) {
        tsdb_index_plan_free(plan);
        return TW_OK;
    }
    struct tsdb_ids ids = {0};
    tsdb_index_run(plan, &ids);
    walk.seen = calloc(walk.pair_count + 1, 1);
    TW_ASSERT(walk.seen != NULL);
    enum tw_code code = TW_OK;
    for (size_t at = 0; at < ids.count && code == TW_OK; at += LOOKED_AT_MAX) {
        size_t end = ids.count - at < LOOKED_AT_MAX ? ids.count : at + LOOKED_AT_MAX;
        code = tw_context_check(listing->context, err);
        tw_lock_take(&listing->db->lock);
        for (size_t i = at; i < end && code == TW_OK; i++)
            visit_series(listing, &walk, ids.items[i]);
        tw_lock_release(&listing->db->lock);
    }
    free(walk.seen);
    tsdb_ids_fini(&ids);
    return code;
}

/* ---- all sources ---- */

static enum tw_code visit_all(struct listing *listing, const struct tsdb_matcher *matchers,
                              size_t matcher_count, struct tw_err *err)
{
    enum tw_code code = TW_OK;
    for (size_t first = 0, limit; first < listing->head_count && code == TW_OK; first = limit) {
        limit = sharing_limit(listing, first);
        code = matcher_count ? visit_matching(listing, first, limit, matchers, matcher_count, err)
                             : visit_index(listing, first, limit, err);
    }
    for (size_t i = 0; i < listing->partition_count && code == TW_OK; i++) {
        code = tw_context_check(listing->context, err);
        if (code == TW_OK)
            code = tsdb_partition_list(listing->partitions[i], listing->name, matchers,
                                       matcher_count, listing->arena, take_text, listing, err);
    }
    return code;
}

/* Where something may have been deleted: the series one by one, as a query sees them. */
static enum tw_code visit_selected(struct listing *listing, const struct tsdb_matcher *matchers,
                                   size_t matcher_count, struct tw_err *err)
{
    struct tsdb_selection *selection;
    enum tw_code code =
        tsdb_select(&listing->db->storage, listing->context, matchers, matcher_count,
                    listing->start_ms, listing->end_ms, &(struct tsdb_hints){0}, &selection, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < tsdb_selection_count(selection); i++) {
        struct wire_labels labels = tsdb_selection_labels(selection, i);
        for (size_t j = 0; j < labels.count; j++)
            if (!listing->name.size)
                take_text(listing, tw_arena_str(listing->arena, labels.items[j].name));
            else if (tw_str_equal(labels.items[j].name, listing->name))
                take_text(listing, tw_arena_str(listing->arena, labels.items[j].value));
    }
    tsdb_selection_close(selection);
    return TW_OK;
}

/* Whether a selector asks about nothing but the name whose values are listed. */
static bool is_about_values(const struct listing *listing, const struct tsdb_selector *selector)
{
    for (size_t i = 0; i < selector->count; i++)
        if (!tw_str_equal(selector->matchers[i].name, listing->name))
            return false;
    return listing->name.size > 0;
}

static enum tw_code visit_selector(struct listing *listing, const struct tsdb_selector *selector,
                                   struct tw_err *err)
{
    const struct tw_context *context = listing->context;
    int64_t now_ms = tw_clock_wall_ms(listing->db->clock);
    if (tsdb_erasers_touch(listing->erasers, now_ms, listing->start_ms, listing->end_ms))
        return visit_selected(listing, selector->matchers, selector->count, err);
    if (context->scope_count == 0 && is_about_values(listing, selector)) {
        listing->filter = selector;
        enum tw_code code = visit_all(listing, NULL, 0, err);
        listing->filter = NULL;
        return code;
    }
    size_t total = selector->count + context->scope_count;
    struct tsdb_matcher *all = TW_ARENA_ARRAY(listing->arena, struct tsdb_matcher, total + 1);
    if (selector->count)
        memcpy(all, selector->matchers, selector->count * sizeof *all);
    if (context->scope_count)
        memcpy(all + selector->count, context->scope, context->scope_count * sizeof *all);
    return visit_all(listing, all, total, err);
}

static enum tw_code visit_sources(struct listing *listing, const struct tsdb_selector *selectors,
                                  size_t selector_count, struct tw_err *err)
{
    static const struct tsdb_selector everything = {0};
    struct tsdb_db *db = listing->db;
    listing->erasers =
        tsdb_tombstones_list(db->tombstones); /* before all else, as in a selection */
    tw_lock_take(&db->lock);
    list_heads(listing);
    tw_lock_release(&db->lock);
    enum tw_code code = tsdb_partitions_list(db->partitions, listing->start_ms, listing->end_ms,
                                             &listing->partitions, &listing->partition_count, err);
    if (code == TW_OK && selector_count == 0 && listing->context->scope_count == 0)
        code = visit_all(listing, NULL, 0, err);
    else if (code == TW_OK && selector_count == 0)
        code = visit_selector(listing, &everything, err);
    for (size_t i = 0; i < selector_count && code == TW_OK; i++)
        code = visit_selector(listing, &selectors[i], err);
    return code;
}

static enum tw_code collect(struct listing *listing, const struct tsdb_selector *selectors,
                            size_t selector_count, size_t limit, struct tw_arena *arena,
                            struct tsdb_strings *ret, struct tw_err *err)
{
    enum tw_code code = tsdb_db_check_tenant(listing->context, err);
    if (code != TW_OK)
        return code;
    set_init(&listing->set);
    listing->arena = tw_arena_new(4096);
    code = visit_sources(listing, selectors, selector_count, err);
    if (code == TW_OK)
        set_take(&listing->set, limit, arena, ret);
    for (size_t i = 0; i < listing->head_count; i++)
        tsdb_head_unref(listing->heads[i]);
    tsdb_partitions_unlist(listing->db->partitions, listing->partitions, listing->partition_count);
    tsdb_erasers_unref(listing->erasers);
    free(listing->set.slots);
    tw_arena_free(listing->arena);
    return code;
}

enum tw_code tsdb_db_label_names(struct tsdb_storage *storage, const struct tw_context *context,
                                 const struct tsdb_selector *selectors, size_t selector_count,
                                 int64_t start_ms, int64_t end_ms, size_t limit,
                                 struct tw_arena *arena, struct tsdb_strings *ret,
                                 struct tw_err *err)
{
    struct listing listing = {.db = (struct tsdb_db *)storage,
                              .context = context,
                              .start_ms = start_ms,
                              .end_ms = end_ms};
    return collect(&listing, selectors, selector_count, limit, arena, ret, err);
}

enum tw_code tsdb_db_label_values(struct tsdb_storage *storage, const struct tw_context *context,
                                  struct tw_str name, const struct tsdb_selector *selectors,
                                  size_t selector_count, int64_t start_ms, int64_t end_ms,
                                  size_t limit, struct tw_arena *arena, struct tsdb_strings *ret,
                                  struct tw_err *err)
{
    if (name.size == 0)
        return tw_err_set(err, TW_BAD_DATA, "the name of the label is empty");
    struct listing listing = {.db = (struct tsdb_db *)storage,
                              .context = context,
                              .name = name,
                              .start_ms = start_ms,
                              .end_ms = end_ms};
    return collect(&listing, selectors, selector_count, limit, arena, ret, err);
}
