/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/exemplar_ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/lock.h"
#include "base/number.h"
#include "tsdb/codec.h"

#define SLOTS_MIN 256
/* Slots that a reader looks at before it lets others in. */
#define SLICE_SLOTS 1024

struct entry {
    struct series *series;
    struct entry *later; /* in order of arrival */
    struct entry *newer; /* of the series */
    uint64_t number, segment;
    int64_t time_ms;
    uint32_t blob_bytes;
    char blob[];
};

struct series {
    struct series *next; /* of the slot */
    uint64_t hash;
    struct wire_labels labels;
    struct entry *oldest, *newest; /* never NULL while it is in the table */
    struct wire_label items[];     /* then their bytes */
};

struct tsdb_exemplar_ring {
    /* Guards all that follows. */
    struct tw_lock lock;
    struct entry *first, *last; /* in order of arrival */
    size_t count, count_max;
    uint64_t next, overwritten, changes;
    struct series **slots; /* by hash of the labels */
    size_t slot_mask, series_count;
    struct tw_buf scratch; /* one blob */
};

/* ---- life ---- */

struct tsdb_exemplar_ring *tsdb_exemplar_ring_new(size_t count_max)
{
    struct tsdb_exemplar_ring *ring = calloc(1, sizeof *ring);
    TW_ASSERT(ring != NULL);
    ring->slots = calloc(SLOTS_MIN, sizeof *ring->slots);
    TW_ASSERT(ring->slots != NULL);
    ring->count_max = count_max;
    ring->next = 1;
    ring->slot_mask = SLOTS_MIN - 1;
    tw_buf_init(&ring->scratch, (size_t)1 << 20);
    tw_lock_init(&ring->lock, TW_RANK_STATE, "tsdb.exemplars");
    return ring;
}

static void remove_first(struct tsdb_exemplar_ring *ring);

struct tsdb_exemplar_ring *tsdb_exemplar_ring_free(struct tsdb_exemplar_ring *ring)
{
    if (!ring)
        return NULL;
    while (ring->first)
        remove_first(ring);
    TW_ASSERT(ring->series_count == 0);
    tw_lock_fini(&ring->lock);
    tw_buf_fini(&ring->scratch);
    free(ring->slots);
    free(ring);
    return NULL;
}

void tsdb_exemplar_ring_count(struct tsdb_exemplar_ring *ring, struct tsdb_exemplar_counts *ret)
{
    tw_lock_take(&ring->lock);
    *ret = (struct tsdb_exemplar_counts){.exemplars = ring->count,
                                         .series = ring->series_count,
                                         .exemplars_max = ring->count_max,
                                         .overwritten = ring->overwritten,
                                         .oldest_ms = ring->first ? ring->first->time_ms : 0,
                                         .changes = ring->changes};
    tw_lock_release(&ring->lock);
}

/* ---- series ---- */

static size_t labels_bytes(struct wire_labels labels)
{
    size_t bytes = labels.count * sizeof *labels.items;
    for (size_t i = 0; i < labels.count; i++)
        bytes += labels.items[i].name.size + labels.items[i].value.size;
    return bytes;
}

static struct tw_str put_text(char **at, struct tw_str text)
{
    struct tw_str copy = {*at, text.size};
    if (text.size)
        memcpy(*at, text.data, text.size);
    *at += text.size;
    return copy;
}

static struct series **find_link(struct tsdb_exemplar_ring *ring, struct wire_labels labels,
                                 uint64_t hash)
{
    struct series **link = &ring->slots[hash & ring->slot_mask];
    while (*link && ((*link)->hash != hash || !wire_labels_equal((*link)->labels, labels)))
        link = &(*link)->next;
    return link;
}

static void widen(struct tsdb_exemplar_ring *ring)
{
    size_t mask = ring->slot_mask * 2 + 1;
    struct series **slots = calloc(mask + 1, sizeof *slots);
    TW_ASSERT(slots != NULL);
    for (size_t i = 0; i <= ring->slot_mask; i++)
        for (struct series *series = ring->slots[i], *next; series; series = next) {
            next = series->next;
            series->next = slots[series->hash & mask];
            slots[series->hash & mask] = series;
        }
    free(ring->slots);
    ring->slots = slots;
    ring->slot_mask = mask;
}

static struct series *add_series(struct tsdb_exemplar_ring *ring, struct wire_labels labels,
                                 uint64_t hash)
{
    if (ring->series_count > ring->slot_mask)
        widen(ring);
    struct series *series = malloc(sizeof *series + labels_bytes(labels));
    TW_ASSERT(series != NULL);
    struct series **slot = &ring->slots[hash & ring->slot_mask];
    *series = (struct series){.next = *slot, .hash = hash};
    char *at = (char *)(series->items + labels.count);
    for (size_t i = 0; i < labels.count; i++)
        series->items[i] = (struct wire_label){put_text(&at, labels.items[i].name),
                                               put_text(&at, labels.items[i].value)};
    series->labels = (struct wire_labels){series->items, labels.count};
    *slot = series;
    ring->series_count++;
    return series;
}

static void remove_series(struct tsdb_exemplar_ring *ring, struct series *series)
{
    *find_link(ring, series->labels, series->hash) = series->next;
    ring->series_count--;
    free(series);
}

/* What came first of all came first of its series too. */
static void remove_first(struct tsdb_exemplar_ring *ring)
{
    struct entry *entry = ring->first;
    struct series *series = entry->series;
    TW_ASSERT(series->oldest == entry && ring->count > 0);
    ring->first = entry->later;
    if (!ring->first)
        ring->last = NULL;
    ring->count--;
    series->oldest = entry->newer;
    if (!series->oldest)
        remove_series(ring, series);
    free(entry);
}

/* ---- adding ---- */

static void read_entry(const struct entry *entry, struct wire_label *items,
                       struct wire_exemplar *ret)
{
    bool good = tsdb_exemplar_read((struct tw_str){entry->blob, entry->blob_bytes}, entry->time_ms,
                                   items, ret);
    TW_ASSERT(good); /* made by this file */
}

static enum tsdb_exemplar_fate judge(const struct tsdb_exemplar_ring *ring,
                                     const struct series *series,
                                     const struct wire_exemplar *exemplar)
{
    if (ring->count_max == 0)
        return TSDB_EXEMPLAR_OFF;
    if (!series || series->newest->time_ms < exemplar->time_ms)
        return TSDB_EXEMPLAR_KEPT;
    struct wire_label items[WIRE_EXEMPLAR_LABELS_MAX];
    struct wire_exemplar newest;
    read_entry(series->newest, items, &newest);
    if (wire_exemplar_equal(&newest, exemplar))
        return TSDB_EXEMPLAR_DUPLICATE;
    return wire_exemplar_follows(&newest, exemplar) ? TSDB_EXEMPLAR_KEPT
                                                    : TSDB_EXEMPLAR_OUT_OF_ORDER;
}

/* series: NULL for a new one with these labels. */
static void append(struct tsdb_exemplar_ring *ring, struct series *series,
                   struct wire_labels labels, uint64_t hash, const struct wire_exemplar *exemplar,
                   uint64_t segment)
{
    tw_buf_clear(&ring->scratch);
    tsdb_exemplar_append(exemplar, &ring->scratch);
    TW_ASSERT(!ring->scratch.overflow);
    if (!series)
        series = add_series(ring, labels, hash);
    struct entry *entry = malloc(sizeof *entry + ring->scratch.size);
    TW_ASSERT(entry != NULL);
    *entry = (struct entry){.series = series,
                            .number = ring->next++,
                            .segment = segment,
                            .time_ms = exemplar->time_ms,
                            .blob_bytes = (uint32_t)ring->scratch.size};
    memcpy(entry->blob, ring->scratch.data, ring->scratch.size);
    *(series->newest ? &series->newest->newer : &series->oldest) = entry;
    series->newest = entry;
    *(ring->last ? &ring->last->later : &ring->first) = entry;
    ring->last = entry;
    ring->count++;
    ring->changes++;
    /* Afterwards, so that the series does not go and come. */
    if (ring->count > ring->count_max) {
        ring->overwritten++;
        remove_first(ring);
    }
}

void tsdb_exemplar_ring_resize(struct tsdb_exemplar_ring *ring, size_t count_max)
{
    tw_lock_take(&ring->lock);
    ring->count_max = count_max;
    for (; ring->count > count_max; ring->changes++, ring->overwritten++)
        remove_first(ring);
    tw_lock_release(&ring->lock);
}

enum tsdb_exemplar_fate tsdb_exemplar_ring_test(struct tsdb_exemplar_ring *ring,
                                                struct wire_labels labels,
                                                const struct wire_exemplar *exemplar)
{
    tw_lock_take(&ring->lock);
    const struct series *series = *find_link(ring, labels, wire_labels_hash(labels));
    enum tsdb_exemplar_fate fate = judge(ring, series, exemplar);
    tw_lock_release(&ring->lock);
    return fate;
}

enum tsdb_exemplar_fate tsdb_exemplar_ring_add(struct tsdb_exemplar_ring *ring,
                                               struct wire_labels labels,
                                               const struct wire_exemplar *exemplar,
                                               uint64_t segment)
{
    uint64_t hash = wire_labels_hash(labels);
    tw_lock_take(&ring->lock);
    struct series *series = *find_link(ring, labels, hash);
    enum tsdb_exemplar_fate fate = judge(ring, series, exemplar);
    if (fate == TSDB_EXEMPLAR_KEPT) {
        TW_ASSERT(!ring->last || ring->last->segment <= segment);
        append(ring, series, labels, hash, exemplar, segment);
    }
    tw_lock_release(&ring->lock);
    return fate;
}

bool tsdb_exemplar_ring_restore(struct tsdb_exemplar_ring *ring, uint64_t number,
                                struct wire_labels labels, const struct wire_exemplar *exemplar)
{
    uint64_t hash = wire_labels_hash(labels);
    tw_lock_take(&ring->lock);
    struct series *series = *find_link(ring, labels, hash);
    enum tsdb_exemplar_fate fate = judge(ring, series, exemplar);
    bool good = number >= ring->next && (fate == TSDB_EXEMPLAR_KEPT || fate == TSDB_EXEMPLAR_OFF);
    if (good) {
        ring->next = number;
        if (fate == TSDB_EXEMPLAR_KEPT)
            append(ring, series, labels, hash, exemplar, 0);
        else
            ring->next++;
    }
    tw_lock_release(&ring->lock);
    return good;
}

/* ---- reading ---- */

static bool matches(struct wire_labels labels, const struct tsdb_matcher *matchers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!tsdb_matcher_matches(&matchers[i], wire_labels_get(labels, matchers[i].name)))
            return false;
    return true;
}

/* What is asked for, and found so far. */
struct reading {
    const struct tw_context *context;
    const struct tsdb_selector *selectors;
    size_t selector_count;
    int64_t start_ms, end_ms;
    struct tw_arena *arena;
    struct tsdb_exemplars *items;
    size_t count, capacity;
};

static bool is_chosen(const struct reading *reading, const struct series *series)
{
    if (series->oldest->time_ms > reading->end_ms || series->newest->time_ms < reading->start_ms ||
        !matches(series->labels, reading->context->scope, reading->context->scope_count))
        return false;
    bool chosen = reading->selector_count == 0;
    for (size_t i = 0; i < reading->selector_count && !chosen; i++)
        chosen =
            matches(series->labels, reading->selectors[i].matchers, reading->selectors[i].count);
    return chosen;
}

static struct wire_exemplar copy_entry(struct tw_arena *arena, const struct entry *entry)
{
    struct wire_label items[WIRE_EXEMPLAR_LABELS_MAX];
    struct wire_exemplar exemplar;
    read_entry(entry, items, &exemplar);
    exemplar.labels = wire_labels_copy(arena, exemplar.labels);
    return exemplar;
}

static void read_series(struct reading *reading, const struct series *series)
{
    size_t count = 0;
    for (const struct entry *at = series->oldest; at; at = at->newer)
        count += at->time_ms >= reading->start_ms && at->time_ms <= reading->end_ms;
    if (count == 0)
        return;
    struct wire_exemplar *items = TW_ARENA_ARRAY(reading->arena, struct wire_exemplar, count);
    count = 0;
    for (const struct entry *at = series->oldest; at; at = at->newer)
        if (at->time_ms >= reading->start_ms && at->time_ms <= reading->end_ms)
            items[count++] = copy_entry(reading->arena, at);
    if (reading->count == reading->capacity) {
        size_t wider = reading->capacity ? reading->capacity * 2 : 64;
        reading->items = tw_arena_grow(reading->arena, reading->items,
                                       reading->capacity * sizeof *reading->items,
                                       wider * sizeof *reading->items);
        reading->capacity = wider;
    }
    reading->items[reading->count++] =
        (struct tsdb_exemplars){wire_labels_copy(reading->arena, series->labels), items, count};
}

static int compare_series(const void *a, const void *b)
{
    return wire_labels_compare(((const struct tsdb_exemplars *)a)->labels,
                               ((const struct tsdb_exemplars *)b)->labels);
}

/* The lock is released between slices: matching a hundred thousand series by a regular expression
 * must not hold up the committer. When the table grew meanwhile, all is read again. */
enum tw_code tsdb_exemplar_ring_select(struct tsdb_exemplar_ring *ring,
                                       const struct tw_context *context,
                                       const struct tsdb_selector *selectors, size_t selector_count,
                                       int64_t start_ms, int64_t end_ms, struct tw_arena *arena,
                                       struct tsdb_exemplars **ret_items, size_t *ret_count,
                                       struct tw_err *err)
{
    struct reading reading = {.context = context,
                              .selectors = selectors,
                              .selector_count = selector_count,
                              .start_ms = start_ms,
                              .end_ms = end_ms,
                              .arena = arena};
    size_t mask = 0, slot = 0;
    bool more = true;
    while (more) {
        enum tw_code code = tw_context_check(context, err);
        if (code != TW_OK)
            return code;
        tw_lock_take(&ring->lock);
        if (mask != ring->slot_mask) {
            mask = ring->slot_mask;
            slot = reading.count = 0;
        }
        for (size_t i = 0; i < SLICE_SLOTS && slot <= mask; i++, slot++)
            for (const struct series *series = ring->slots[slot]; series; series = series->next)
                if (is_chosen(&reading, series))
                    read_series(&reading, series);
        tw_lock_release(&ring->lock);
        more = slot <= mask;
    }
    if (reading.count > 0)
        qsort(reading.items, reading.count, sizeof *reading.items, compare_series);
    *ret_items = reading.items;
    *ret_count = reading.count;
    return TW_OK;
}

void tsdb_exemplar_ring_visit(struct tsdb_exemplar_ring *ring, uint64_t segment_max,
                              tsdb_exemplar_visit *visit, void *user)
{
    tw_lock_take(&ring->lock);
    for (const struct entry *at = ring->first; at && at->segment <= segment_max; at = at->later)
        visit(user, at->number, at->series->labels, at->time_ms,
              (struct tw_str){at->blob, at->blob_bytes});
    tw_lock_release(&ring->lock);
}

/* ---- erasing ---- */

/* The lists are made anew of what stays; series that lost all are removed. */
size_t tsdb_exemplar_ring_erase(struct tsdb_exemplar_ring *ring, tsdb_exemplar_judge *is_gone,
                                void *user)
{
    size_t erased = 0;
    tw_lock_take(&ring->lock);
    for (size_t i = 0; i <= ring->slot_mask; i++)
        for (struct series *series = ring->slots[i]; series; series = series->next)
            series->oldest = series->newest = NULL;
    struct entry **link = &ring->first;
    ring->last = NULL;
    while (*link) {
        struct entry *entry = *link;
        struct series *series = entry->series;
        if (is_gone(user, series->labels, entry->time_ms)) {
            *link = entry->later;
            free(entry);
            erased++;
            continue;
        }
        entry->newer = NULL;
        *(series->newest ? &series->newest->newer : &series->oldest) = entry;
        series->newest = entry;
        ring->last = entry;
        link = &entry->later;
    }
    ring->count -= erased;
    ring->changes += erased > 0;
    for (size_t i = 0; i <= ring->slot_mask && erased > 0; i++)
        for (struct series *series = ring->slots[i], *next; series; series = next) {
            next = series->next;
            if (!series->newest)
                remove_series(ring, series);
        }
    tw_lock_release(&ring->lock);
    return erased;
}

/* ---- bytes ---- */

void tsdb_exemplar_append(const struct wire_exemplar *exemplar, struct tw_buf *ret)
{
    tsdb_append_u64(ret, tw_double_bits(exemplar->value));
    for (size_t i = 0; i < exemplar->labels.count; i++) {
        const struct wire_label *label = &exemplar->labels.items[i];
        tsdb_varint_append(ret, label->name.size);
        tw_buf_append_str(ret, label->name);
        tsdb_varint_append(ret, label->value.size);
        tw_buf_append_str(ret, label->value);
    }
}

bool tsdb_exemplar_read(struct tw_str blob, int64_t time_ms, struct wire_label *items,
                        struct wire_exemplar *ret)
{
    struct tsdb_reader reader = tsdb_reader(blob);
    double value = tw_double_from_bits(tsdb_read_u64(&reader));
    size_t count = 0;
    while (reader.ok && tsdb_reader_left(&reader) > 0) {
        if (count == WIRE_EXEMPLAR_LABELS_MAX)
            return false;
        items[count].name = tsdb_read_bytes(&reader, tsdb_read_varint(&reader));
        items[count].value = tsdb_read_bytes(&reader, tsdb_read_varint(&reader));
        if (count > 0 && tw_str_compare(items[count - 1].name, items[count].name) >= 0)
            return false;
        count++;
    }
    *ret = (struct wire_exemplar){{items, count}, value, time_ms};
    return reader.ok && wire_exemplar_check(ret, NULL) == TW_OK;
}
