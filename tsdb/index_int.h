/* SPDX-License-Identifier: Apache-2.0
 *
 * index_int: the inside of an index, for index.c (life, strings, pairs, series) and index_match.c.
 *
 * Fields marked atomic change after their row was published; all others are written once, before.
 */
#ifndef TW_TSDB_INDEX_INT_H
#define TW_TSDB_INDEX_INT_H

#include <stdatomic.h>

#include "tsdb/index.h"
#include "tsdb/rows.h"

struct tsdb_index_string {
    uint32_t text;       /* where in texts its length stands, + 1; 0 = a hole */
    uint32_t first_pair; /* of the pairs that have it as their name; 0 = none. Under the lock */
};

struct tsdb_index_pair {
    uint32_t name, value;    /* name 0 = a hole, or pair 0 */
    _Atomic uint32_t newest; /* series + 1; 0 = none */
    _Atomic uint32_t count;  /* of the series that have it */
    uint32_t next_of_name;
};

#define TSDB_ENTRY_LAST UINT32_C(0x80000000) /* of a series' entries, in pair */
struct tsdb_index_entry {
    uint32_t pair;
    uint32_t older; /* series + 1 of an older one with the same pair; 0 = none */
};

struct tsdb_index_series {
    uint64_t hash;
    uint64_t fingerprint; /* under the lock, as next */
    uint32_t first_entry; /* + 1; 0 = a hole. Entries of a series follow each other in memory */
    uint32_t next;
};

/* Open addressing, ids + 1. */
struct tsdb_index_slots {
    uint32_t *items;
    size_t mask; /* slots - 1; 0 = none yet */
    size_t used;
};

struct tsdb_index {
    unsigned magic;
    atomic_uint references;
    uint64_t number, identity;
    struct tsdb_rows texts, strings, pairs, entries, series;
    uint32_t text_bytes, string_count, pair_count, entry_count;
    _Atomic uint32_t series_count;
    uint32_t last_series; /* appended last: the next one is likely to be alike */
    uint32_t *names;      /* string ids that are names of labels */
    size_t name_count, name_capacity;
    struct tsdb_index_slots string_slots, pair_slots, series_slots;
};

static inline struct tsdb_index_string *tsdb_index_string_row(const struct tsdb_index *index,
                                                              uint32_t id)
{
    return tsdb_rows_at(&index->strings, id, sizeof(struct tsdb_index_string));
}

static inline struct tsdb_index_pair *tsdb_index_pair_row(const struct tsdb_index *index,
                                                          uint32_t id)
{
    return tsdb_rows_at(&index->pairs, id, sizeof(struct tsdb_index_pair));
}

static inline struct tsdb_index_series *tsdb_index_series_row(const struct tsdb_index *index,
                                                              uint32_t id)
{
    return tsdb_rows_at(&index->series, id, sizeof(struct tsdb_index_series));
}

/* NULL for a hole. */
static inline struct tsdb_index_entry *tsdb_index_entries(const struct tsdb_index *index,
                                                          uint32_t id)
{
    uint32_t first = tsdb_index_series_row(index, id)->first_entry;
    return first ? tsdb_rows_at(&index->entries, first - 1, sizeof(struct tsdb_index_entry)) : NULL;
}

static inline uint32_t tsdb_entry_pair(const struct tsdb_index_entry *entry)
{
    return entry->pair & ~TSDB_ENTRY_LAST;
}

static inline bool tsdb_entry_is_last(const struct tsdb_index_entry *entry)
{
    return entry->pair & TSDB_ENTRY_LAST;
}

struct tw_str tsdb_index_text(const struct tsdb_index *index, uint32_t string_id);
bool tsdb_index_find_string(const struct tsdb_index *index, struct tw_str text, uint32_t *ret_id);
/* 0 if it is not there. */
uint32_t tsdb_index_find_pair(const struct tsdb_index *index, uint32_t name, uint32_t value);

#endif
