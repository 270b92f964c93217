/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/thread.h"
#include "tsdb/index_int.h"

#define INDEX_MAGIC 0x7e5d1d01u
#define TABLE_SLOTS_MIN 64
/* Rows whose slots are fetched ahead while a table is built. */
#define BATCH 32
/* A restored index of so many series is finished by two threads. */
#define PARALLEL_SERIES_MIN 20000
#define TAG_SHIFT 56 /* the bits of a hash that no table is so wide to use */

static_assert(sizeof(struct tsdb_index_pair) == 20 && sizeof(struct tsdb_index_series) == 24 &&
                  sizeof(struct tsdb_index_entry) == 8 && sizeof(struct tsdb_index_string) == 8,
              "there are millions of them");

/* ---- sets of ids ---- */

void tsdb_ids_append(struct tsdb_ids *ids, uint32_t id)
{
    if (ids->count == ids->capacity) {
        ids->capacity = ids->capacity ? ids->capacity * 2 : 64;
        ids->items = realloc(ids->items, ids->capacity * sizeof *ids->items);
        TW_ASSERT(ids->items != NULL);
    }
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

/* ---- hashes ---- */

static uint64_t hash_of_text(struct tw_str text)
{
    return tw_hash64(text.data, text.size);
}

static uint64_t hash_of_pair(uint32_t name, uint32_t value)
{
    uint64_t mixed = ((uint64_t)name << 32 | value) * UINT64_C(0x9e3779b97f4a7c15);
    return mixed ^ mixed >> 29;
}

/* Of a row; false for a hole. */
typedef bool hash_row(const struct tsdb_index *index, uint32_t id, uint64_t *ret_hash);

static bool hash_string(const struct tsdb_index *index, uint32_t id, uint64_t *ret_hash)
{
    if (!tsdb_index_string_row(index, id)->text)
        return false;
    *ret_hash = hash_of_text(tsdb_index_text(index, id));
    return true;
}

static bool hash_pair(const struct tsdb_index *index, uint32_t id, uint64_t *ret_hash)
{
    const struct tsdb_index_pair *pair = tsdb_index_pair_row(index, id);
    *ret_hash = hash_of_pair(pair->name, pair->value);
    return pair->name != 0;
}

static bool hash_series(const struct tsdb_index *index, uint32_t id, uint64_t *ret_hash)
{
    const struct tsdb_index_series *series = tsdb_index_series_row(index, id);
    *ret_hash = series->hash;
    return series->first_entry != 0;
}

/* ---- tables ---- */

/* Whether two rows of equal hash are the same; NULL when no row can be there twice. */
typedef bool same_row(const struct tsdb_index *index, uint32_t a, uint32_t b);

/* False when a row is there twice. Beside the slots stand some bits of each row's hash, so that
 * only rows that are likely to be the same are looked at: they lie anywhere in memory. */
static bool fill_slots(struct tsdb_index_slots *slots, const struct tsdb_index *index,
                       uint32_t row_count, hash_row *hash, same_row *same)
{
    uint8_t *tags = same ? malloc(slots->mask + 1) : NULL;
    bool unique = true;
    TW_ASSERT(tags != NULL || !same);
    for (uint32_t first = 0; first < row_count && unique; first += BATCH) {
        uint32_t ids[BATCH];
        uint64_t hashes[BATCH];
        size_t count = 0;
        for (uint32_t id = first; id < row_count && id < first + BATCH; id++)
            if (hash(index, id, &hashes[count])) {
                __builtin_prefetch(&slots->items[hashes[count] & slots->mask], 1);
                if (tags)
                    __builtin_prefetch(&tags[hashes[count] & slots->mask], 1);
                ids[count++] = id;
            }
        for (size_t i = 0; i < count && unique; i++) {
            size_t at = hashes[i] & slots->mask;
            uint8_t tag = (uint8_t)(hashes[i] >> TAG_SHIFT);
            for (; slots->items[at] && unique; at = (at + 1) & slots->mask)
                unique = !tags || tags[at] != tag || !same(index, slots->items[at] - 1, ids[i]);
            slots->items[at] = ids[i] + 1;
            slots->used++;
            if (tags)
                tags[at] = tag;
        }
    }
    free(tags);
    return unique;
}

/* As wide as row_count rows need: at most 5/8 full. */
static bool build_slots(struct tsdb_index_slots *slots, const struct tsdb_index *index,
                        uint32_t row_count, size_t wanted, hash_row *hash, same_row *same)
{
    size_t width = TABLE_SLOTS_MIN;
    while (width / 8 * 5 < wanted)
        width *= 2;
    free(slots->items);
    slots->items = calloc(width, sizeof *slots->items);
    TW_ASSERT(slots->items != NULL);
    slots->mask = width - 1;
    slots->used = 0;
    return fill_slots(slots, index, row_count, hash, same);
}

/* Makes room for one more row. */
static void reserve_slot(struct tsdb_index_slots *slots, const struct tsdb_index *index,
                         uint32_t row_count, hash_row *hash)
{
    if (!slots->mask || slots->used >= (slots->mask + 1) / 8 * 5)
        (void)build_slots(slots, index, row_count, slots->used + 1, hash, NULL);
}

static void put_slot(struct tsdb_index_slots *slots, uint64_t hash, uint32_t id)
{
    size_t at = hash & slots->mask;
    while (slots->items[at])
        at = (at + 1) & slots->mask;
    slots->items[at] = id + 1;
    slots->used++;
}

/* ---- strings and pairs ---- */

struct tw_str tsdb_index_text(const struct tsdb_index *index, uint32_t string_id)
{
    uint32_t text = tsdb_index_string_row(index, string_id)->text;
    const unsigned char *bytes = tsdb_rows_at(&index->texts, text - 1, 1);
    size_t size = *bytes++;
    if (size & 0x80)
        size = (size & 0x7f) | (size_t)*bytes++ << 7;
    return (struct tw_str){(const char *)bytes, size};
}

#define TEXT_BYTES_MAX ((size_t)1 << 15) /* lengths are written in 15 bits */
static_assert(WIRE_LABEL_VALUE_BYTES_MAX < TEXT_BYTES_MAX &&
                  WIRE_LABEL_NAME_BYTES_MAX < TEXT_BYTES_MAX,
              "every text fits");

/* `size` rows that follow each other in memory, from *end on or later; the first of them. */
static uint32_t reserve_contiguous(struct tsdb_rows *rows, uint32_t *end, size_t size,
                                   size_t row_bytes)
{
    while (tsdb_rows_left(*end) < size)
        *end += (uint32_t)tsdb_rows_left(*end);
    uint32_t first = *end;
    TW_ASSERT(first <= UINT32_MAX - size); /* tsdb_index_is_full comes long before */
    tsdb_rows_make(rows, first, row_bytes);
    *end += (uint32_t)size;
    return first;
}

static void set_text(struct tsdb_index *index, uint32_t id, struct tw_str text)
{
    size_t head = text.size < 0x80 ? 1 : 2;
    TW_ASSERT(text.size < TEXT_BYTES_MAX);
    uint32_t at = reserve_contiguous(&index->texts, &index->text_bytes, head + text.size, 1);
    char *bytes = tsdb_rows_at(&index->texts, at, 1);
    bytes[0] = (char)(head == 1 ? text.size : (text.size & 0x7f) | 0x80);
    if (head == 2)
        bytes[1] = (char)(text.size >> 7);
    if (text.size)
        memcpy(bytes + head, text.data, text.size);
    struct tsdb_index_string *string =
        tsdb_rows_make(&index->strings, id, sizeof(struct tsdb_index_string));
    string->text = at + 1;
}

bool tsdb_index_find_string(const struct tsdb_index *index, struct tw_str text, uint32_t *ret_id)
{
    const struct tsdb_index_slots *slots = &index->string_slots;
    for (size_t at = hash_of_text(text) & slots->mask; slots->items[at];
         at = (at + 1) & slots->mask)
        if (tw_str_equal(tsdb_index_text(index, slots->items[at] - 1), text)) {
            *ret_id = slots->items[at] - 1;
            return true;
        }
    return false;
}

static uint32_t intern_string(struct tsdb_index *index, struct tw_str text)
{
    uint32_t id;
    reserve_slot(&index->string_slots, index, index->string_count, hash_string);
    if (tsdb_index_find_string(index, text, &id))
        return id;
    id = index->string_count;
    TW_ASSERT(id < TSDB_INDEX_ID_MAX);
    set_text(index, id, text);
    index->string_count++;
    put_slot(&index->string_slots, hash_of_text(text), id);
    return id;
}

uint32_t tsdb_index_find_pair(const struct tsdb_index *index, uint32_t name, uint32_t value)
{
    const struct tsdb_index_slots *slots = &index->pair_slots;
    for (size_t at = hash_of_pair(name, value) & slots->mask; slots->items[at];
         at = (at + 1) & slots->mask) {
        const struct tsdb_index_pair *pair = tsdb_index_pair_row(index, slots->items[at] - 1);
        if (pair->name == name && pair->value == value)
            return slots->items[at] - 1;
    }
    return 0;
}

static void add_name(struct tsdb_index *index, uint32_t name)
{
    if (index->name_count == index->name_capacity) {
        index->name_capacity = index->name_capacity ? index->name_capacity * 2 : 16;
        index->names = realloc(index->names, index->name_capacity * sizeof *index->names);
        TW_ASSERT(index->names != NULL);
    }
    index->names[index->name_count++] = name;
}

/* Puts a pair into the list of its name. */
static void link_pair(struct tsdb_index *index, uint32_t id)
{
    struct tsdb_index_pair *pair = tsdb_index_pair_row(index, id);
    struct tsdb_index_string *name = tsdb_index_string_row(index, pair->name);
    if (name->first_pair == 0)
        add_name(index, pair->name);
    pair->next_of_name = name->first_pair;
    name->first_pair = id;
}

static uint32_t intern_pair(struct tsdb_index *index, uint32_t name, uint32_t value)
{
    reserve_slot(&index->pair_slots, index, index->pair_count, hash_pair);
    uint32_t id = tsdb_index_find_pair(index, name, value);
    if (id)
        return id;
    id = index->pair_count++;
    TW_ASSERT(id < TSDB_INDEX_ID_MAX);
    struct tsdb_index_pair *pair = tsdb_rows_make(&index->pairs, id, sizeof *pair);
    pair->name = name;
    pair->value = value;
    link_pair(index, id);
    put_slot(&index->pair_slots, hash_of_pair(name, value), id);
    return id;
}

/* ---- life ---- */

static atomic_uint_fast64_t newest_identity;

struct tsdb_index *tsdb_index_new_numbered(uint64_t number)
{
    struct tsdb_index *index = calloc(1, sizeof *index);
    TW_ASSERT(index != NULL);
    index->magic = INDEX_MAGIC;
    index->number = number;
    index->identity = atomic_fetch_add(&newest_identity, 1) + 1;
    index->last_series = TSDB_NO_SERIES;
    atomic_init(&index->references, 1);
    uint32_t empty = intern_string(index, TW_STR(""));
    TW_ASSERT(empty == 0); /* I2 */
    tsdb_rows_make(&index->pairs, 0, sizeof(struct tsdb_index_pair));
    index->pair_count = 1;
    reserve_slot(&index->pair_slots, index, 0, hash_pair);
    reserve_slot(&index->series_slots, index, 0, hash_series);
    return index;
}

struct tsdb_index *tsdb_index_new(void)
{
    return tsdb_index_new_numbered(1);
}

void tsdb_index_ref(struct tsdb_index *index)
{
    TW_CHECK_MAGIC(index, INDEX_MAGIC);
    atomic_fetch_add_explicit(&index->references, 1, memory_order_relaxed);
}

struct tsdb_index *tsdb_index_free(struct tsdb_index *index)
{
    if (!index)
        return NULL;
    TW_CHECK_MAGIC(index, INDEX_MAGIC);
    if (atomic_fetch_sub_explicit(&index->references, 1, memory_order_acq_rel) != 1)
        return NULL;
    tsdb_rows_fini(&index->texts, 1);
    tsdb_rows_fini(&index->strings, sizeof(struct tsdb_index_string));
    tsdb_rows_fini(&index->pairs, sizeof(struct tsdb_index_pair));
    tsdb_rows_fini(&index->entries, sizeof(struct tsdb_index_entry));
    tsdb_rows_fini(&index->series, sizeof(struct tsdb_index_series));
    free(index->names);
    free(index->string_slots.items);
    free(index->pair_slots.items);
    free(index->series_slots.items);
    index->magic = 0;
    free(index);
    return NULL;
}

uint64_t tsdb_index_number(const struct tsdb_index *index)
{
    return index->number;
}

uint64_t tsdb_index_identity(const struct tsdb_index *index)
{
    return index->identity;
}

size_t tsdb_index_count(const struct tsdb_index *index)
{
    return atomic_load_explicit(&index->series_count, memory_order_acquire);
}

size_t tsdb_index_bytes(const struct tsdb_index *index)
{
    return index->text_bytes + index->string_count * sizeof(struct tsdb_index_string) +
           index->pair_count * sizeof(struct tsdb_index_pair) +
           index->entry_count * sizeof(struct tsdb_index_entry) +
           tsdb_index_count(index) * sizeof(struct tsdb_index_series) +
           (index->string_slots.mask + index->pair_slots.mask + index->series_slots.mask + 3) *
               sizeof(uint32_t);
}

bool tsdb_index_is_full(const struct tsdb_index *index)
{
    return tsdb_index_count(index) >= TSDB_INDEX_ID_MAX / 2 ||
           index->string_count >= TSDB_INDEX_ID_MAX / 2 ||
           index->pair_count >= TSDB_INDEX_ID_MAX / 2 || index->text_bytes >= UINT32_MAX / 2 ||
           index->entry_count >= UINT32_MAX / 2;
}

/* ---- series ---- */

bool tsdb_index_has(const struct tsdb_index *index, uint32_t id)
{
    return id < tsdb_index_count(index) && tsdb_index_series_row(index, id)->first_entry != 0;
}

static const struct tsdb_index_entry *entries_of(const struct tsdb_index *index, uint32_t id)
{
    TW_ASSERT(id < tsdb_index_count(index));
    const struct tsdb_index_entry *entries = tsdb_index_entries(index, id);
    TW_ASSERT(entries != NULL);
    return entries;
}

bool tsdb_index_equal(const struct tsdb_index *index, uint32_t id, struct wire_labels labels)
{
    const struct tsdb_index_entry *entries = entries_of(index, id);
    size_t count = 1;
    while (!tsdb_entry_is_last(&entries[count - 1]))
        count++;
    if (count != labels.count)
        return false;
    /* Values before names and the last label first: that is where series differ. */
    for (size_t i = count; i-- > 0;) {
        const struct tsdb_index_pair *pair =
            tsdb_index_pair_row(index, tsdb_entry_pair(&entries[i]));
        if (!tw_str_equal(tsdb_index_text(index, pair->value), labels.items[i].value) ||
            !tw_str_equal(tsdb_index_text(index, pair->name), labels.items[i].name))
            return false;
    }
    return true;
}

uint32_t tsdb_index_find(const struct tsdb_index *index, struct wire_labels labels, uint64_t hash)
{
    TW_CHECK_MAGIC(index, INDEX_MAGIC);
    const struct tsdb_index_slots *slots = &index->series_slots;
    for (size_t at = hash & slots->mask; slots->items[at]; at = (at + 1) & slots->mask) {
        uint32_t id = slots->items[at] - 1;
        if (tsdb_index_series_row(index, id)->hash == hash && tsdb_index_equal(index, id, labels))
            return id;
    }
    return TSDB_NO_SERIES;
}

/* The pair of a label; `like` is the pair that the series before has in its place, or 0: new series
 * come in swarms that differ in one or two labels. */
static uint32_t pair_of_label(struct tsdb_index *index, struct wire_label label, uint32_t like)
{
    const struct tsdb_index_pair *before = like ? tsdb_index_pair_row(index, like) : NULL;
    if (before && tw_str_equal(tsdb_index_text(index, before->name), label.name)) {
        if (tw_str_equal(tsdb_index_text(index, before->value), label.value))
            return like;
        return intern_pair(index, before->name, intern_string(index, label.value));
    }
    uint32_t name = intern_string(index, label.name);
    return intern_pair(index, name, intern_string(index, label.value));
}

/* Makes the series the newest of its pairs. */
static void link_entries(struct tsdb_index *index, uint32_t id, struct tsdb_index_entry *entries)
{
    for (struct tsdb_index_entry *entry = entries;; entry++) {
        struct tsdb_index_pair *pair = tsdb_index_pair_row(index, tsdb_entry_pair(entry));
        entry->older = atomic_load_explicit(&pair->newest, memory_order_relaxed);
        /* Whoever runs a plan meets the series through this; the row must be complete. */
        atomic_store_explicit(&pair->newest, id + 1, memory_order_release);
        atomic_store_explicit(&pair->count,
                              atomic_load_explicit(&pair->count, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        if (tsdb_entry_is_last(entry))
            break;
    }
}

static struct tsdb_index_entry *add_row(struct tsdb_index *index, uint32_t id, uint64_t hash,
                                        const uint32_t *pairs, size_t count)
{
    uint32_t first = reserve_contiguous(&index->entries, &index->entry_count, count,
                                        sizeof(struct tsdb_index_entry));
    struct tsdb_index_entry *entries =
        tsdb_rows_at(&index->entries, first, sizeof(struct tsdb_index_entry));
    for (size_t i = 0; i < count; i++)
        entries[i].pair = pairs[i];
    entries[count - 1].pair |= TSDB_ENTRY_LAST;
    struct tsdb_index_series *series = tsdb_rows_make(&index->series, id, sizeof *series);
    series->hash = hash;
    series->next = TSDB_NO_SERIES;
    series->first_entry = first + 1;
    return entries;
}

uint32_t tsdb_index_append(struct tsdb_index *index, struct wire_labels labels, uint64_t hash)
{
    TW_CHECK_MAGIC(index, INDEX_MAGIC);
    uint32_t id = atomic_load_explicit(&index->series_count, memory_order_relaxed);
    TW_ASSERT(id < TSDB_INDEX_ID_MAX && labels.count > 0 && labels.count <= WIRE_LABELS_COUNT_MAX);
    reserve_slot(&index->series_slots, index, id, hash_series);
    uint32_t pairs[WIRE_LABELS_COUNT_MAX];
    const struct tsdb_index_entry *like =
        index->last_series == TSDB_NO_SERIES ? NULL : tsdb_index_entries(index, index->last_series);
    for (size_t i = 0; i < labels.count; i++) {
        pairs[i] = pair_of_label(index, labels.items[i], like ? tsdb_entry_pair(like) : 0);
        like = like && !tsdb_entry_is_last(like) ? like + 1 : NULL;
    }
    struct tsdb_index_entry *entries = add_row(index, id, hash, pairs, labels.count);
    link_entries(index, id, entries);
    put_slot(&index->series_slots, hash, id);
    index->last_series = id;
    atomic_store_explicit(&index->series_count, id + 1, memory_order_release);
    return id;
}

uint64_t tsdb_index_hash(const struct tsdb_index *index, uint32_t id)
{
    TW_ASSERT(id < tsdb_index_count(index));
    return tsdb_index_series_row(index, id)->hash;
}

uint32_t *tsdb_index_next(struct tsdb_index *index, uint32_t id)
{
    return &tsdb_index_series_row(index, id)->next;
}

uint64_t *tsdb_index_fingerprint(struct tsdb_index *index, uint32_t id)
{
    return &tsdb_index_series_row(index, id)->fingerprint;
}

uint32_t tsdb_index_foresee(const struct tsdb_index *index, uint32_t id, uint64_t fingerprint)
{
    uint32_t next = tsdb_index_series_row(index, id)->next;
    return next != TSDB_NO_SERIES && tsdb_index_series_row(index, next)->fingerprint == fingerprint
               ? next
               : TSDB_NO_SERIES;
}

struct wire_labels tsdb_index_labels(const struct tsdb_index *index, uint32_t id,
                                     struct wire_label *items)
{
    const struct tsdb_index_entry *entries = entries_of(index, id);
    for (size_t i = 0;; i++) {
        const struct tsdb_index_pair *pair =
            tsdb_index_pair_row(index, tsdb_entry_pair(&entries[i]));
        items[i] = (struct wire_label){tsdb_index_text(index, pair->name),
                                       tsdb_index_text(index, pair->value)};
        if (tsdb_entry_is_last(&entries[i]))
            return (struct wire_labels){items, i + 1};
    }
}

size_t tsdb_index_pair_ids(const struct tsdb_index *index, uint32_t id, uint32_t *ret_pairs)
{
    const struct tsdb_index_entry *entries = entries_of(index, id);
    for (size_t i = 0;; i++) {
        ret_pairs[i] = tsdb_entry_pair(&entries[i]);
        if (tsdb_entry_is_last(&entries[i]))
            return i + 1;
    }
}

size_t tsdb_index_label_ids(const struct tsdb_index *index, uint32_t id, uint32_t *ret_names,
                            uint32_t *ret_values)
{
    size_t count = tsdb_index_pair_ids(index, id, ret_names);
    for (size_t i = 0; i < count; i++)
        tsdb_index_pair(index, ret_names[i], &ret_names[i], &ret_values[i]);
    return count;
}

size_t tsdb_index_string_count(const struct tsdb_index *index)
{
    return index->string_count;
}

struct tw_str tsdb_index_string(const struct tsdb_index *index, uint32_t string_id)
{
    return tsdb_index_text(index, string_id);
}

size_t tsdb_index_pair_count(const struct tsdb_index *index)
{
    return index->pair_count;
}

void tsdb_index_pair(const struct tsdb_index *index, uint32_t pair_id, uint32_t *ret_name,
                     uint32_t *ret_value)
{
    const struct tsdb_index_pair *pair = tsdb_index_pair_row(index, pair_id);
    *ret_name = pair->name;
    *ret_value = pair->value;
}

/* ---- restoring ---- */

bool tsdb_index_has_string(const struct tsdb_index *index, uint32_t id)
{
    return id < index->string_count && tsdb_index_string_row(index, id)->text != 0;
}

bool tsdb_index_has_pair(const struct tsdb_index *index, uint32_t id)
{
    return id < index->pair_count && tsdb_index_pair_row(index, id)->name != 0;
}

/* Makes all parts up to a row, so that holes may be read. */
static void make_through(struct tsdb_rows *rows, uint32_t id, size_t row_bytes)
{
    for (unsigned part = 0; part <= tsdb_rows_part(id); part++)
        if (!rows->parts[part])
            tsdb_rows_make_part(rows, part, row_bytes);
}

bool tsdb_index_restore_string(struct tsdb_index *index, uint32_t id, struct tw_str text)
{
    if (tsdb_index_has_string(index, id))
        return tw_str_equal(tsdb_index_text(index, id), text);
    if (id == 0 || id >= TSDB_INDEX_ID_MAX || text.size == 0 || text.size >= TEXT_BYTES_MAX)
        return false;
    make_through(&index->strings, id, sizeof(struct tsdb_index_string));
    set_text(index, id, text);
    if (id >= index->string_count)
        index->string_count = id + 1;
    return true;
}

bool tsdb_index_restore_pair(struct tsdb_index *index, uint32_t id, uint32_t name, uint32_t value)
{
    if (tsdb_index_has_pair(index, id)) {
        const struct tsdb_index_pair *pair = tsdb_index_pair_row(index, id);
        return pair->name == name && pair->value == value;
    }
    if (id == 0 || id >= TSDB_INDEX_ID_MAX || name == 0 || value == 0)
        return false;
    make_through(&index->pairs, id, sizeof(struct tsdb_index_pair));
    struct tsdb_index_pair *pair = tsdb_index_pair_row(index, id);
    pair->name = name;
    pair->value = value;
    if (id >= index->pair_count)
        index->pair_count = id + 1;
    return true;
}

bool tsdb_index_restore_series(struct tsdb_index *index, uint32_t id, uint64_t hash,
                               const uint32_t *pairs, size_t pair_count)
{
    if (id >= TSDB_INDEX_ID_MAX || pair_count == 0 || pair_count > WIRE_LABELS_COUNT_MAX)
        return false;
    if (tsdb_index_has(index, id)) {
        const struct tsdb_index_entry *entries = tsdb_index_entries(index, id);
        for (size_t i = 0; i < pair_count; i++)
            if (tsdb_entry_pair(&entries[i]) != pairs[i] ||
                tsdb_entry_is_last(&entries[i]) != (i + 1 == pair_count))
                return false;
        return tsdb_index_series_row(index, id)->hash == hash;
    }
    make_through(&index->series, id, sizeof(struct tsdb_index_series));
    add_row(index, id, hash, pairs, pair_count);
    if (id >= tsdb_index_count(index))
        atomic_store_explicit(&index->series_count, id + 1, memory_order_release);
    return true;
}

static bool same_string(const struct tsdb_index *index, uint32_t a, uint32_t b)
{
    return tw_str_equal(tsdb_index_text(index, a), tsdb_index_text(index, b));
}

static bool same_pair(const struct tsdb_index *index, uint32_t a, uint32_t b)
{
    const struct tsdb_index_pair *x = tsdb_index_pair_row(index, a);
    const struct tsdb_index_pair *y = tsdb_index_pair_row(index, b);
    return x->name == y->name && x->value == y->value;
}

static bool same_series(const struct tsdb_index *index, uint32_t a, uint32_t b)
{
    if (tsdb_index_series_row(index, a)->hash != tsdb_index_series_row(index, b)->hash)
        return false;
    const struct tsdb_index_entry *x = entries_of(index, a), *y = entries_of(index, b);
    for (; x->pair == y->pair; x++, y++)
        if (tsdb_entry_is_last(x))
            return true;
    return false;
}

/* The two halves of what is left to do share nothing that either writes. */
struct finishing {
    struct tsdb_index *index;
    bool unique;
};

static void finish_texts(void *argument)
{
    struct finishing *finishing = argument;
    struct tsdb_index *index = finishing->index;
    finishing->unique = build_slots(&index->string_slots, index, index->string_count,
                                    index->string_count + 1, hash_string, same_string) &&
                        build_slots(&index->pair_slots, index, index->pair_count,
                                    index->pair_count + 1, hash_pair, same_pair);
}

static bool finish_series(struct tsdb_index *index)
{
    uint32_t series_count = (uint32_t)tsdb_index_count(index);
    for (uint32_t id = 1; id < index->pair_count; id++)
        if (tsdb_index_pair_row(index, id)->name)
            link_pair(index, id);
    for (uint32_t id = 0; id < series_count; id++) {
        struct tsdb_index_entry *entries = tsdb_index_entries(index, id);
        if (entries)
            link_entries(index, id, entries);
    }
    return build_slots(&index->series_slots, index, series_count, (size_t)series_count + 1,
                       hash_series, same_series);
}

bool tsdb_index_finish_restore(struct tsdb_index *index)
{
    TW_CHECK_MAGIC(index, INDEX_MAGIC);
    struct finishing texts = {.index = index};
    struct tw_thread thread = {.running = false};
    struct tw_err err;
    bool beside = tsdb_index_count(index) >= PARALLEL_SERIES_MIN &&
                  tw_thread_start(&thread, "tsdb-index", finish_texts, &texts, &err) == TW_OK;
    if (!beside)
        finish_texts(&texts);
    bool unique = finish_series(index);
    tw_thread_join(&thread);
    return unique && texts.unique;
}

/* ---- names ---- */

void tsdb_index_names(const struct tsdb_index *index, tsdb_index_visit *visit, void *user)
{
    for (size_t i = 0; i < index->name_count; i++)
        visit(user, tsdb_index_text(index, index->names[i]));
}

uint32_t tsdb_index_find_name(const struct tsdb_index *index, struct tw_str name,
                              uint32_t *ret_pair)
{
    uint32_t id;
    if (!tsdb_index_find_string(index, name, &id) || id == 0)
        return 0;
    *ret_pair = tsdb_index_string_row(index, id)->first_pair;
    return *ret_pair ? id : 0;
}

uint32_t tsdb_index_older_pair(const struct tsdb_index *index, uint32_t pair)
{
    return tsdb_index_pair_row(index, pair)->next_of_name;
}

uint32_t tsdb_index_newest_of(const struct tsdb_index *index, uint32_t pair)
{
    /* 0 wraps round to TSDB_NO_SERIES. */
    return atomic_load_explicit(&tsdb_index_pair_row(index, pair)->newest, memory_order_acquire) -
           1;
}

uint32_t tsdb_index_older_of(const struct tsdb_index *index, uint32_t pair, uint32_t id)
{
    const struct tsdb_index_entry *entry = tsdb_index_entries(index, id);
    while (tsdb_entry_pair(entry) != pair)
        entry++;
    return entry->older - 1;
}

uint32_t tsdb_index_pair_of(const struct tsdb_index *index, uint32_t id, uint32_t name)
{
    const struct tsdb_index_entry *entry = tsdb_index_entries(index, id);
    for (; entry; entry++) {
        uint32_t pair = tsdb_entry_pair(entry);
        if (tsdb_index_pair_row(index, pair)->name == name)
            return pair;
        if (tsdb_entry_is_last(entry))
            break;
    }
    return 0;
}
