/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/label_order.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Fewer sets than this are compared as they are. */
#define RANKED_MIN 2048
/* A place in the label sets where more texts differ is not ranked: what is left is compared. */
#define DISTINCT_MAX 32768
#define SLOTS (4 * DISTINCT_MAX)
#define KEY_BITS_MAX 44
#define DIGIT_BITS 11

struct item {
    uint64_t key;
    uint32_t set;
};

/* Labels that stand at one place of the sets, each once by its address. */
struct distinct {
    struct wire_label label;
    uint32_t number; /* in the order in which they were met */
};

struct ranks {
    const struct wire_labels *sets;
    uint32_t count;
    struct item *items, *room;
    struct distinct *distinct; /* DISTINCT_MAX */
    uint32_t *slots;           /* distinct + 1, by the addresses of the texts */
    uint32_t *ranks;           /* by the number of the distinct */
    unsigned bits;             /* of the keys that are made up */
};

/* ---- ranks ---- */

static uint32_t slot_of(const struct ranks *ranks, struct wire_label label)
{
    uint64_t mixed = ((uint64_t)(uintptr_t)label.value.data * 31 + (uintptr_t)label.name.data) *
                     UINT64_C(0x9e3779b97f4a7c15);
    uint32_t at = (uint32_t)(mixed >> 40) & (SLOTS - 1);
    for (; ranks->slots[at]; at = (at + 1) & (SLOTS - 1)) {
        const struct wire_label *there = &ranks->distinct[ranks->slots[at] - 1].label;
        if (there->value.data == label.value.data && there->name.data == label.name.data &&
            there->value.size == label.value.size && there->name.size == label.name.size)
            break;
    }
    return at;
}

static int compare_distinct(const void *a, const void *b)
{
    const struct distinct *x = a, *y = b;
    int order = tw_str_compare(x->label.name, y->label.name);
    return order ? order : tw_str_compare(x->label.value, y->label.value);
}

/* All labels at a place; the number of them, SIZE_MAX when they are too many. Each set's is noted
 * in room, as number + 1. */
static size_t collect(struct ranks *ranks, size_t place)
{
    size_t count = 0;
    struct wire_label before = {0};
    uint32_t number = 0;
    memset(ranks->slots, 0, SLOTS * sizeof *ranks->slots);
    for (uint32_t i = 0; i < ranks->count; i++) {
        ranks->room[i].set = 0;
        if (ranks->sets[i].count <= place)
            continue;
        struct wire_label label = ranks->sets[i].items[place];
        bool alike = number && label.value.data == before.value.data &&
                     label.name.data == before.name.data && label.value.size == before.value.size &&
                     label.name.size == before.name.size;
        if (!alike) {
            uint32_t at = slot_of(ranks, label);
            if (!ranks->slots[at]) {
                if (count == DISTINCT_MAX)
                    return SIZE_MAX;
                ranks->distinct[count] =
                    (struct distinct){.label = label, .number = (uint32_t)count};
                ranks->slots[at] = (uint32_t)++count;
            }
            number = ranks->slots[at];
            before = label;
        }
        ranks->room[i].set = number;
    }
    return count;
}

/* Appends the ranks at a place to the keys: 0 where the set has ended. False when it cannot be. */
static bool rank_place(struct ranks *ranks, size_t place)
{
    size_t count = collect(ranks, place);
    if (count == 0 || count == SIZE_MAX)
        return false;
    qsort(ranks->distinct, count, sizeof *ranks->distinct, compare_distinct);
    uint32_t rank = 0;
    for (size_t i = 0; i < count; i++) {
        rank += i == 0 || compare_distinct(&ranks->distinct[i - 1], &ranks->distinct[i]) != 0;
        ranks->ranks[ranks->distinct[i].number] = rank;
    }
    unsigned bits = 32 - (unsigned)__builtin_clz(rank);
    if (ranks->bits + bits > KEY_BITS_MAX)
        return false;
    for (uint32_t i = 0; i < ranks->count; i++) {
        uint32_t number = ranks->room[i].set;
        ranks->items[i].key = ranks->items[i].key << bits | (number ? ranks->ranks[number - 1] : 0);
    }
    ranks->bits += bits;
    return true;
}

/* ---- sorting ---- */

/* Stable, by all bits of the keys, the lowest digit first. */
static void sort_by_key(struct ranks *ranks)
{
    for (unsigned shift = 0; shift < ranks->bits; shift += DIGIT_BITS) {
        uint32_t starts[1 << DIGIT_BITS] = {0};
        for (uint32_t i = 0; i < ranks->count; i++)
            starts[ranks->items[i].key >> shift & ((1 << DIGIT_BITS) - 1)]++;
        for (uint32_t i = 0, sum = 0; i < 1 << DIGIT_BITS; i++) {
            uint32_t size = starts[i];
            starts[i] = sum;
            sum += size;
        }
        for (uint32_t i = 0; i < ranks->count; i++)
            ranks->room[starts[ranks->items[i].key >> shift & ((1 << DIGIT_BITS) - 1)]++] =
                ranks->items[i];
        struct item *swapped = ranks->items;
        ranks->items = ranks->room;
        ranks->room = swapped;
    }
}

/* Merge sort by the labels themselves; room has as many. */
static void sort_by_labels(const struct wire_labels *sets, struct item *items, uint32_t count,
                           struct item *room)
{
    if (count < 2)
        return;
    uint32_t half = count / 2;
    sort_by_labels(sets, items, half, room);
    sort_by_labels(sets, items + half, count - half, room);
    if (wire_labels_compare(sets[items[half - 1].set], sets[items[half].set]) <= 0)
        return;
    memcpy(room, items, half * sizeof *items);
    for (uint32_t left = 0, right = half, to = 0; left < half;)
        if (right < count && wire_labels_compare(sets[items[right].set], sets[room[left].set]) < 0)
            items[to++] = items[right++];
        else
            items[to++] = room[left++];
}

static void rank_all(struct ranks *ranks)
{
    ranks->distinct = malloc(DISTINCT_MAX * sizeof *ranks->distinct);
    ranks->slots = malloc(SLOTS * sizeof *ranks->slots);
    ranks->ranks = malloc(DISTINCT_MAX * sizeof *ranks->ranks);
    TW_ASSERT(ranks->distinct != NULL && ranks->slots != NULL && ranks->ranks != NULL);
    for (size_t place = 0; place < WIRE_LABELS_COUNT_MAX && rank_place(ranks, place); place++)
        continue;
    sort_by_key(ranks);
    free(ranks->distinct);
    free(ranks->slots);
    free(ranks->ranks);
}

void tsdb_label_order(const struct wire_labels *sets, uint32_t count, uint32_t *ret_order)
{
    struct ranks ranks = {.sets = sets, .count = count};
    ranks.items = malloc(((size_t)count + 1) * sizeof *ranks.items);
    ranks.room = malloc(((size_t)count + 1) * sizeof *ranks.room);
    TW_ASSERT(ranks.items != NULL && ranks.room != NULL);
    for (uint32_t i = 0; i < count; i++)
        ranks.items[i] = (struct item){.key = 0, .set = i};
    if (count >= RANKED_MIN)
        rank_all(&ranks);
    for (uint32_t first = 0, limit; first < count; first = limit) {
        limit = first + 1;
        while (limit < count && ranks.items[limit].key == ranks.items[first].key)
            limit++;
        sort_by_labels(sets, ranks.items + first, limit - first, ranks.room);
    }
    for (uint32_t i = 0; i < count; i++)
        ret_order[i] = ranks.items[i].set;
    free(ranks.items);
    free(ranks.room);
}
