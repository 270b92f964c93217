/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/index.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

#define INDEX_MAGIC 0x7e5d1d01u
#define TABLE_SLOTS_MIN 64

struct string {
    const char *data;
    uint32_t size;
    uint32_t first_pair; /* of the pairs that have it as their name; 0 = none */
};

struct pair {
    uint32_t name, value;
    uint32_t newest; /* entry + 1; 0 = none */
    uint32_t count;
    uint32_t next_of_name;
};

struct entry {
    uint32_t pair;
    uint32_t older; /* entry + 1 of an older series with the same pair */
};

struct series {
    uint64_t hash;
    uint32_t first_entry;
    uint32_t entry_count;
};

/* Open addressing, ids + 1, at most half full. */
struct slots {
    uint32_t *items;
    size_t mask; /* slots - 1; 0 = none yet */
    size_t used;
};

struct tsdb_index {
    unsigned magic;
    struct tw_arena *arena; /* the strings' bytes */
    struct string *strings;
    struct pair *pairs;
    struct entry *entries;
    uint32_t *entry_series; /* which series an entry is of */
    struct series *series;
    uint32_t *names; /* string ids that are names of labels */
    size_t string_count, string_capacity, pair_count, pair_capacity, entry_count, entry_capacity,
        series_count, series_capacity, name_count, name_capacity;
    struct slots string_slots, pair_slots, series_slots;
};

/* ---- growing arrays ---- */

static void *grow(void *items, size_t *capacity, size_t wanted, size_t item_bytes)
{
    if (wanted <= *capacity)
        return items;
    size_t more = *capacity ? *capacity * 2 : 64;
    while (more < wanted)
        more *= 2;
    items = realloc(items, more * item_bytes);
    TW_ASSERT(items != NULL);
    *capacity = more;
    return items;
}

void tsdb_ids_append(struct tsdb_ids *ids, uint32_t id)
{
    ids->items = grow(ids->items, &ids->capacity, ids->count + 1, sizeof *ids->items);
    ids->items[ids->count++] = id;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void tsdb_ids_sort(struct tsdb_ids *ids)
{
    bool ascending = true, descending = true;
    for (size_t i = 1; i < ids->count && (ascending || descending); i++) {
        ascending &= ids->items[i - 1] < ids->items[i];
        descending &= ids->items[i - 1] > ids->items[i];
    }
    if (ascending)
        return;
    if (descending) { /* one posting chain */
        for (size_t i = 0, j = ids->count - 1; i < j; i++, j--) {
            uint32_t swapped = ids->items[i];
            ids->items[i] = ids->items[j];
            ids->items[j] = swapped;
        }
        return;
    }
    qsort(ids->items, ids->count, sizeof *ids->items, compare_ids);
    size_t kept = 0;
    for (size_t i = 0; i < ids->count; i++)
        if (i == 0 || ids->items[i] != ids->items[i - 1])
            ids->items[kept++] = ids->items[i];
    ids->count = kept;
}

void tsdb_ids_fini(struct tsdb_ids *ids)
{
    free(ids->items);
    *ids = (struct tsdb_ids){0};
}

/* Makes room for one more; rehash gives the hash of an id. */
static void slots_reserve(struct slots *slots, const struct tsdb_index *index,
                          uint64_t (*rehash)(const struct tsdb_index *, uint32_t))
{
    size_t count = slots->mask ? slots->mask + 1 : 0;
    if (count && slots->used * 2 < count)
        return;
    size_t wider = count ? count * 2 : TABLE_SLOTS_MIN;
    uint32_t *items = calloc(wider, sizeof *items);
    TW_ASSERT(items != NULL);
    for (size_t i = 0; i < count; i++)
        if (slots->items[i]) {
            size_t at = rehash(index, slots->items[i] - 1) & (wider - 1);
            while (items[at])
                at = (at + 1) & (wider - 1);
            items[at] = slots->items[i];
        }
    free(slots->items);
    slots->items = items;
    slots->mask = wider - 1;
}

static void slots_put(struct slots *slots, uint64_t hash, uint32_t id)
{
    size_t at = hash & slots->mask;
    while (slots->items[at])
        at = (at + 1) & slots->mask;
    slots->items[at] = id + 1;
    slots->used++;
}

/* ---- strings and pairs ---- */

static uint64_t hash_string(const struct tsdb_index *index, uint32_t id)
{
    return tw_hash64(index->strings[id].data, index->strings[id].size);
}

static uint64_t hash_of_pair(uint32_t name, uint32_t value)
{
    uint64_t mixed = ((uint64_t)name << 32 | value) * UINT64_C(0x9e3779b97f4a7c15);
    return mixed ^ mixed >> 29;
}

static uint64_t hash_pair(const struct tsdb_index *index, uint32_t id)
{
    return hash_of_pair(index->pairs[id].name, index->pairs[id].value);
}

static uint64_t hash_series(const struct tsdb_index *index, uint32_t id)
{
    return index->series[id].hash;
}

static bool find_string(const struct tsdb_index *index, struct tw_str text, uint32_t *ret_id)
{
    const struct slots *slots = &index->string_slots;
    uint64_t hash = tw_hash64(text.data, text.size);
    for (size_t at = hash & slots->mask; slots->items[at]; at = (at + 1) & slots->mask) {
        const struct string *string = &index->strings[slots->items[at] - 1];
        if (string->size == text.size &&
            (text.size == 0 || memcmp(string->data, text.data, text.size) == 0)) {
            *ret_id = slots->items[at] - 1;
            return true;
        }
    }
    return false;
}

static uint32_t intern_string(struct tsdb_index *index, struct tw_str text)
{
    uint32_t id;
    slots_reserve(&index->string_slots, index, hash_string);
    if (find_string(index, text, &id))
        return id;
    index->strings = grow(index->strings, &index->string_capacity, index->string_count + 1,
                          sizeof *index->strings);
    id = (uint32_t)index->string_count++;
    struct tw_str copy = tw_arena_str(index->arena, text);
    index->strings[id] = (struct string){.data = copy.data, .size = (uint32_t)copy.size};
    slots_put(&index->string_slots, tw_hash64(copy.data, copy.size), id);
    return id;
}

static uint32_t find_pair(const struct tsdb_index *index, uint32_t name, uint32_t value)
{
    const struct slots *slots = &index->pair_slots;
    for (size_t at = hash_of_pair(name, value) & slots->mask; slots->items[at];
         at = (at + 1) & slots->mask) {
        const struct pair *pair = &index->pairs[slots->items[at] - 1];
        if (pair->name == name && pair->value == value)
            return slots->items[at] - 1;
    }
    return 0;
}

static uint32_t intern_pair(struct tsdb_index *index, uint32_t name, uint32_t value)
{
    slots_reserve(&index->pair_slots, index, hash_pair);
    uint32_t id = find_pair(index, name, value);
    if (id)
        return id;
    index->pairs =
        grow(index->pairs, &index->pair_capacity, index->pair_count + 1, sizeof *index->pairs);
    id = (uint32_t)index->pair_count++;
    struct string *string = &index->strings[name];
    if (string->first_pair == 0) {
        index->names =
            grow(index->names, &index->name_capacity, index->name_count + 1, sizeof *index->names);
        index->names[index->name_count++] = name;
    }
    index->pairs[id] =
        (struct pair){.name = name, .value = value, .next_of_name = string->first_pair};
    string->first_pair = id;
    slots_put(&index->pair_slots, hash_of_pair(name, value), id);
    return id;
}

/* ---- life ---- */

struct tsdb_index *tsdb_index_new(void)
{
    struct tsdb_index *index = calloc(1, sizeof *index);
    TW_ASSERT(index != NULL);
    index->magic = INDEX_MAGIC;
    index->arena = tw_arena_new(4096);
    slots_reserve(&index->series_slots, index, hash_series);
    slots_reserve(&index->pair_slots, index, hash_pair);
    uint32_t empty = intern_string(index, TW_STR(""));
    TW_ASSERT(empty == 0); /* I2 */
    index->pairs = grow(index->pairs, &index->pair_capacity, 1, sizeof *index->pairs);
    index->pairs[index->pair_count++] = (struct pair){0};
    return index;
}

struct tsdb_index *tsdb_index_free(struct tsdb_index *index)
{
    if (!index)
        return NULL;
    TW_CHECK_MAGIC(index, INDEX_MAGIC);
    tw_arena_free(index->arena);
    free(index->strings);
    free(index->pairs);
    free(index->entries);
    free(index->entry_series);
    free(index->series);
    free(index->names);
    free(index->string_slots.items);
    free(index->pair_slots.items);
    free(index->series_slots.items);
    index->magic = 0;
    free(index);
    return NULL;
}

size_t tsdb_index_count(const struct tsdb_index *index)
{
    return index->series_count;
}

size_t tsdb_index_bytes(const struct tsdb_index *index)
{
    return tw_arena_bytes(index->arena) + index->string_capacity * sizeof *index->strings +
           index->pair_capacity * sizeof *index->pairs +
           index->entry_capacity * (sizeof *index->entries + sizeof *index->entry_series) +
           index->series_capacity * sizeof *index->series +
           (index->string_slots.mask + index->pair_slots.mask + index->series_slots.mask + 3) *
               sizeof(uint32_t);
}

/* ---- series ---- */

static struct tw_str string_at(const struct tsdb_index *index, uint32_t id)
{
    return (struct tw_str){index->strings[id].data, index->strings[id].size};
}

static bool same(const struct string *string, struct tw_str text)
{
    return string->size == text.size && memcmp(string->data, text.data, text.size) == 0;
}

bool tsdb_index_equal(const struct tsdb_index *index, uint32_t id, struct wire_labels labels)
{
    TW_ASSERT(id < index->series_count);
    const struct series *series = &index->series[id];
    if (series->entry_count != labels.count)
        return false;
    /* Values before names and the last label first: that is where series differ. */
    for (size_t i = labels.count; i-- > 0;) {
        const struct pair *pair = &index->pairs[index->entries[series->first_entry + i].pair];
        if (!same(&index->strings[pair->value], labels.items[i].value) ||
            !same(&index->strings[pair->name], labels.items[i].name))
            return false;
    }
    return true;
}

uint32_t tsdb_index_find(const struct tsdb_index *index, struct wire_labels labels, uint64_t hash)
{
    TW_CHECK_MAGIC(index, INDEX_MAGIC);
    const struct slots *slots = &index->series_slots;
    for (size_t at = hash & slots->mask; slots->items[at]; at = (at + 1) & slots->mask) {
        uint32_t id = slots->items[at] - 1;
        if (index->series[id].hash == hash && tsdb_index_equal(index, id, labels))
            return id;
    }
    return TSDB_NO_SERIES;
}

uint32_t tsdb_index_append(struct tsdb_index *index, struct wire_labels labels, uint64_t hash)
{
    TW_CHECK_MAGIC(index, INDEX_MAGIC);
    TW_ASSERT(index->series_count < TSDB_NO_SERIES - 1 && labels.count <= WIRE_LABELS_COUNT_MAX);
    slots_reserve(&index->series_slots, index, hash_series);
    index->series = grow(index->series, &index->series_capacity, index->series_count + 1,
                         sizeof *index->series);
    size_t before = index->entry_capacity;
    index->entries = grow(index->entries, &index->entry_capacity, index->entry_count + labels.count,
                          sizeof *index->entries);
    if (index->entry_capacity != before) {
        index->entry_series =
            realloc(index->entry_series, index->entry_capacity * sizeof *index->entry_series);
        TW_ASSERT(index->entry_series != NULL);
    }
    uint32_t id = (uint32_t)index->series_count++;
    index->series[id] = (struct series){.hash = hash,
                                        .first_entry = (uint32_t)index->entry_count,
                                        .entry_count = (uint32_t)labels.count};
    for (size_t i = 0; i < labels.count; i++) {
        uint32_t name = intern_string(index, labels.items[i].name);
        uint32_t value = intern_string(index, labels.items[i].value);
        uint32_t pair_id = intern_pair(index, name, value);
        struct pair *pair = &index->pairs[pair_id];
        index->entries[index->entry_count] = (struct entry){.pair = pair_id, .older = pair->newest};
        index->entry_series[index->entry_count++] = id;
        pair->newest = (uint32_t)index->entry_count;
        pair->count++;
    }
    slots_put(&index->series_slots, hash, id);
    return id;
}

uint64_t tsdb_index_hash(const struct tsdb_index *index, uint32_t id)
{
    TW_ASSERT(id < index->series_count);
    return index->series[id].hash;
}

struct wire_labels tsdb_index_labels(const struct tsdb_index *index, uint32_t id,
                                     struct wire_label *items)
{
    TW_ASSERT(id < index->series_count);
    const struct series *series = &index->series[id];
    for (uint32_t i = 0; i < series->entry_count; i++) {
        const struct pair *pair = &index->pairs[index->entries[series->first_entry + i].pair];
        items[i] = (struct wire_label){string_at(index, pair->name), string_at(index, pair->value)};
    }
    return (struct wire_labels){items, series->entry_count};
}

size_t tsdb_index_label_ids(const struct tsdb_index *index, uint32_t id, uint32_t *ret_names,
                            uint32_t *ret_values)
{
    TW_ASSERT(id < index->series_count);
    const struct series *series = &index->series[id];
    for (uint32_t i = 0; i < series->entry_count; i++) {
        const struct pair *pair = &index->pairs[index->entries[series->first_entry + i].pair];
        ret_names[i] = pair->name;
        ret_values[i] = pair->value;
    }
    return series->entry_count;
}

size_t tsdb_index_string_count(const struct tsdb_index *index)
{
    return index->string_count;
}

struct tw_str tsdb_index_string(const struct tsdb_index *index, uint32_t string_id)
{
    TW_ASSERT(string_id < index->string_count);
    return string_at(index, string_id);
}

/* ---- matching ---- */

enum verdict { UNKNOWN, YES, NO };

/* A matcher against this index: which name it looks at, and what it says of each pair seen. */
struct probe {
    const struct tsdb_matcher *matcher;
    uint32_t name; /* string id; 0 = no series has the label */
    bool when_absent;
    unsigned char *verdicts; /* by pair id */
};

static bool pair_matches(const struct tsdb_index *index, struct probe *probe, uint32_t pair)
{
    if (probe->verdicts[pair] == UNKNOWN)
        probe->verdicts[pair] =
            tsdb_matcher_matches(probe->matcher, string_at(index, index->pairs[pair].value)) ? YES
                                                                                             : NO;
    return probe->verdicts[pair] == YES;
}

static bool series_matches(const struct tsdb_index *index, struct probe *probe, uint32_t id)
{
    if (!probe->name)
        return probe->when_absent;
    const struct series *series = &index->series[id];
    for (uint32_t i = 0; i < series->entry_count; i++) {
        uint32_t pair = index->entries[series->first_entry + i].pair;
        if (index->pairs[pair].name == probe->name)
            return pair_matches(index, probe, pair);
    }
    return probe->when_absent;
}

static void append_pair(const struct tsdb_index *index, uint32_t pair, struct tsdb_ids *ret_ids)
{
    for (uint32_t entry = index->pairs[pair].newest; entry; entry = index->entries[entry - 1].older)
        tsdb_ids_append(ret_ids, index->entry_series[entry - 1]);
}

/* Series that a probe which needs the label lets through: how many, and which. */
static size_t count_candidates(const struct tsdb_index *index, struct probe *probe)
{
    uint32_t value;
    if (!probe->name)
        return 0;
    if (probe->matcher->op == TSDB_MATCH_EQUAL) {
        uint32_t pair = find_string(index, probe->matcher->value, &value)
                            ? find_pair(index, probe->name, value)
                            : 0;
        return pair ? index->pairs[pair].count : 0;
    }
    size_t count = 0;
    for (uint32_t pair = index->strings[probe->name].first_pair; pair;
         pair = index->pairs[pair].next_of_name)
        if (pair_matches(index, probe, pair))
            count += index->pairs[pair].count;
    return count;
}

static void append_candidates(const struct tsdb_index *index, struct probe *probe,
                              struct tsdb_ids *ret_ids)
{
    uint32_t value;
    if (probe->matcher->op == TSDB_MATCH_EQUAL) {
        if (find_string(index, probe->matcher->value, &value))
            append_pair(index, find_pair(index, probe->name, value), ret_ids);
    } else {
        for (uint32_t pair = index->strings[probe->name].first_pair; pair;
             pair = index->pairs[pair].next_of_name)
            if (pair_matches(index, probe, pair))
                append_pair(index, pair, ret_ids);
    }
    tsdb_ids_sort(ret_ids);
}

/* The probe that leaves fewest candidates. Equality first: its count is at hand; other matchers are
 * evaluated over all values of their name only when no equality narrows. */
static struct probe *choose_probe(const struct tsdb_index *index, struct probe *probes,
                                  size_t count, size_t *ret_candidates)
{
    struct probe *best = NULL;
    for (int round = 0; round < 2 && !best; round++)
        for (size_t i = 0; i < count; i++) {
            if (probes[i].when_absent || (probes[i].matcher->op == TSDB_MATCH_EQUAL) != !round)
                continue;
            size_t candidates = count_candidates(index, &probes[i]);
            if (!best || candidates < *ret_candidates) {
                best = &probes[i];
                *ret_candidates = candidates;
            }
        }
    return best;
}

void tsdb_index_match(const struct tsdb_index *index, const struct tsdb_matcher *matchers,
                      size_t matcher_count, struct tsdb_ids *ret_ids)
{
    TW_CHECK_MAGIC(index, INDEX_MAGIC);
    struct probe *probes = calloc(matcher_count + 1, sizeof *probes);
    TW_ASSERT(probes != NULL);
    for (size_t i = 0; i < matcher_count; i++) {
        uint32_t name = 0;
        probes[i].matcher = &matchers[i];
        if (find_string(index, matchers[i].name, &name) && index->strings[name].first_pair)
            probes[i].name = name;
        probes[i].when_absent = tsdb_matcher_matches(&matchers[i], TW_STR(""));
        probes[i].verdicts = calloc(index->pair_count, 1);
        TW_ASSERT(probes[i].verdicts != NULL);
    }
    size_t candidates = 0;
    struct probe *chosen = choose_probe(index, probes, matcher_count, &candidates);
    struct tsdb_ids found = {0};
    if (chosen && candidates > 0)
        append_candidates(index, chosen, &found);
    size_t total = chosen ? found.count : index->series_count;
    for (size_t i = 0; i < total; i++) {
        uint32_t id = chosen ? found.items[i] : (uint32_t)i;
        bool match = true;
        for (size_t j = 0; j < matcher_count && match; j++)
            match = &probes[j] == chosen || series_matches(index, &probes[j], id);
        if (match)
            tsdb_ids_append(ret_ids, id);
    }
    tsdb_ids_fini(&found);
    for (size_t i = 0; i < matcher_count; i++)
        free(probes[i].verdicts);
    free(probes);
}

void tsdb_index_names(const struct tsdb_index *index, tsdb_index_visit *visit, void *user)
{
    for (size_t i = 0; i < index->name_count; i++)
        visit(user, string_at(index, index->names[i]));
}

void tsdb_index_values(const struct tsdb_index *index, struct tw_str name, tsdb_index_visit *visit,
                       void *user)
{
    uint32_t id;
    if (!find_string(index, name, &id))
        return;
    for (uint32_t pair = index->strings[id].first_pair; pair;
         pair = index->pairs[pair].next_of_name)
        visit(user, string_at(index, index->pairs[pair].value));
}
