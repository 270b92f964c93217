/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/text_order.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define KEY_BYTES 8
/* Fewer are put in order by insertion. */
#define INSERTED_MAX 16

/* The eight bytes from some depth on, the first the highest, zeros behind the end; size tells a
 * text that ends there from one that goes on with zeros. */
struct item {
    uint64_t key;
    struct tw_str text;
};

static uint64_t key_of(struct tw_str text, size_t depth)
{
    unsigned char bytes[KEY_BYTES] = {0};
    if (text.size > depth)
        memcpy(bytes, text.data + depth,
               text.size - depth < KEY_BYTES ? text.size - depth : KEY_BYTES);
    uint64_t key;
    memcpy(&key, bytes, sizeof key);
    return __builtin_bswap64(key);
}

static int compare_items(const struct item *a, const struct item *b)
{
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return tw_str_compare(a->text, b->text);
}

static void insert_all(struct item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct item moved = items[i];
        size_t to = i;
        for (; to > 0 && compare_items(&moved, &items[to - 1]) < 0; to--)
            items[to] = items[to - 1];
        items[to] = moved;
    }
}

static void swap_items(struct item *a, struct item *b)
{
    struct item kept = *a;
    *a = *b;
    *b = kept;
}

static uint64_t median_key(const struct item *items, size_t count)
{
    uint64_t a = items[0].key, b = items[count / 2].key, c = items[count - 1].key;
    if (a > b) {
        uint64_t kept = a;
        a = b;
        b = kept;
    }
    if (c <= a)
        return a;
    return c < b ? c : b;
}

/* Those of the pivot's key, one of the items: which go on alike for eight bytes more. Ends when
 * none has bytes left, for texts that differ only in zeros at their end the comparison decides. */
static bool deepen(struct item *items, size_t count, size_t depth)
{
    bool goes_on = false;
    for (size_t i = 0; i < count; i++) {
        items[i].key = key_of(items[i].text, depth);
        goes_on = goes_on || items[i].text.size > depth;
    }
    return goes_on;
}

static int compare_texts(const void *a, const void *b)
{
    return tw_str_compare(((const struct item *)a)->text, ((const struct item *)b)->text);
}

/* Quicksort in three parts: below, of, and above the pivot's key. The smaller parts by recursion,
 * so that the stack stays small; levels bounds what a hostile order can do. */
static void sort_items(struct item *items, size_t count, size_t depth, size_t wanted,
                       unsigned levels)
{
    while (count > INSERTED_MAX && wanted > 0) {
        if (levels-- == 0) {
            qsort(items, count, sizeof *items, compare_texts);
            return;
        }
        uint64_t pivot = median_key(items, count);
        size_t below = 0, above = count;
        for (size_t at = 0; at < above;)
            if (items[at].key < pivot)
                swap_items(&items[at++], &items[below++]);
            else if (items[at].key > pivot)
                swap_items(&items[at], &items[--above]);
            else
                at++;
        sort_items(items, below, depth, wanted, levels);
        if (wanted > below && deepen(items + below, above - below, depth + KEY_BYTES))
            sort_items(items + below, above - below, depth + KEY_BYTES, wanted - below, levels);
        else if (wanted > below)
            qsort(items + below, above - below, sizeof *items, compare_texts);
        wanted -= wanted < above ? wanted : above;
        items += above;
        count -= above;
    }
    if (wanted > 0)
        insert_all(items, count);
}

void tsdb_text_order(struct tw_str *texts, size_t count, size_t wanted)
{
    TW_ASSERT(wanted <= count);
    if (count < 2 || wanted == 0)
        return;
    struct item *items = malloc(count * sizeof *items);
    TW_ASSERT(items != NULL);
    for (size_t i = 0; i < count; i++)
        items[i] = (struct item){key_of(texts[i], 0), texts[i]};
    /* Each level takes at least the pivot away or goes eight bytes deeper; twice the depth of a
     * good split, and as deep as usual names are long, is enough of them. */
    sort_items(items, count, 0, wanted, 128);
    for (size_t i = 0; i < count; i++)
        texts[i] = items[i].text;
    free(items);
}
