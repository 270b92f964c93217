/* SPDX-License-Identifier: Apache-2.0
 *
 * index: the series of one head in memory: label set -> series id, and matchers -> series ids.
 *
 * Strings are kept once, and so are pairs (name, value). A series is a row of entries, one per
 * label in canonical order: the pair and the entry before it, of an older series, with the same
 * pair. So the posting list of a pair is a chain through the entries, newest first, without memory
 * of its own; and walking it yields ids in descending order.
 *
 *   I1  Ids are 0, 1, 2 ... in the order in which series were added; nothing is ever removed (a
 * head lives until it is flushed, then the whole index goes). I2  String id 0 is the empty string,
 * pair id 0 is none.
 *
 * Memory: about 24 bytes a series, 8 a label, and the strings that only it has.
 * Threads: guarded by the owner's lock; once nothing is added any more, any thread may read.
 */
#ifndef TW_TSDB_INDEX_H
#define TW_TSDB_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tsdb/storage.h"

/* A set of series ids, ascending. */
struct tsdb_ids {
    uint32_t *items;
    size_t count, capacity;
};
void tsdb_ids_append(struct tsdb_ids *ids, uint32_t id); /* any order */
void tsdb_ids_sort(struct tsdb_ids *ids);                /* ascending, unique */
void tsdb_ids_fini(struct tsdb_ids *ids);

#define TSDB_NO_SERIES UINT32_MAX

struct tsdb_index;

struct tsdb_index *tsdb_index_new(void);
struct tsdb_index *tsdb_index_free(struct tsdb_index *index); /* returns NULL */
size_t tsdb_index_count(const struct tsdb_index *index);
size_t tsdb_index_bytes(const struct tsdb_index *index);

/* labels canonical; hash = wire_labels_hash(labels). TSDB_NO_SERIES if it is not there. */
uint32_t tsdb_index_find(const struct tsdb_index *index, struct wire_labels labels, uint64_t hash);
/* labels must not be there yet. */
uint32_t tsdb_index_append(struct tsdb_index *index, struct wire_labels labels, uint64_t hash);
bool tsdb_index_equal(const struct tsdb_index *index, uint32_t id, struct wire_labels labels);
uint64_t tsdb_index_hash(const struct tsdb_index *index, uint32_t id);

/* Labels of a series. items holds WIRE_LABELS_COUNT_MAX; the strings live as long as the index. */
struct wire_labels tsdb_index_labels(const struct tsdb_index *index, uint32_t id,
                                     struct wire_label *items);
/* The same as string ids, for whoever writes each string once: ret_names and ret_values hold
 * WIRE_LABELS_COUNT_MAX. Returns the count. */
size_t tsdb_index_label_ids(const struct tsdb_index *index, uint32_t id, uint32_t *ret_names,
                            uint32_t *ret_values);
size_t tsdb_index_string_count(const struct tsdb_index *index);
struct tw_str tsdb_index_string(const struct tsdb_index *index, uint32_t string_id);

/* Appends the ids of the series that match all matchers, ascending. */
void tsdb_index_match(const struct tsdb_index *index, const struct tsdb_matcher *matchers,
                      size_t matcher_count, struct tsdb_ids *ret_ids);

/* Each label name; each value of a name. The strings live as long as the index. */
typedef void tsdb_index_visit(void *user, struct tw_str text);
void tsdb_index_names(const struct tsdb_index *index, tsdb_index_visit *visit, void *user);
void tsdb_index_values(const struct tsdb_index *index, struct tw_str name, tsdb_index_visit *visit,
                       void *user);

#endif
