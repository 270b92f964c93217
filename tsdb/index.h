/* SPDX-License-Identifier: Apache-2.0
 *
 * index: series in memory: label set -> series id, and matchers -> series ids. The heads of
 * successive generations share one, as long as most of its series are still written to (db_int.h).
 *
 * Strings are kept once, and so are pairs (name, value). A series is a row of entries, one per
 * label in canonical order: the pair, and the series before it that has the same pair. So the
 * posting list of a pair is a chain through the entries, newest series first, without memory of its
 * own; and walking it yields ids in descending order.
 *
 *   I1  Ids are given in ascending order and never used again; nothing is removed or moved. When
 *       too much of an index is dead, the next generation begins a new one.
 *   I2  String id 0 is the empty string, pair id 0 is none.
 *   I3  An id may be a hole: the log named a later one, the series itself ended before (restore).
 *
 * Memory: about 40 bytes a series, 8 a label, and the strings that only it has.
 *
 * Threads: adding, finding and planning under the owner's lock. What concerns a series that was
 * published under that lock (labels, hash), and running a plan, needs no lock.
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
/* Ids of series, pairs and strings are below. */
#define TSDB_INDEX_ID_MAX ((uint32_t)1 << 28)

struct tsdb_index;

struct tsdb_index *tsdb_index_new(void);
/* number: under which segments of the log name the index; never given twice. */
struct tsdb_index *tsdb_index_new_numbered(uint64_t number);
void tsdb_index_ref(struct tsdb_index *index); /* any thread */
/* Drops a reference (the one of new included); any thread; frees with the last. Returns NULL. */
struct tsdb_index *tsdb_index_free(struct tsdb_index *index);
uint64_t tsdb_index_number(const struct tsdb_index *index);
/* Which index it is: never 0, and no other of the process had it or will. */
uint64_t tsdb_index_identity(const struct tsdb_index *index);
/* One more than the highest id of a series; any thread. */
size_t tsdb_index_count(const struct tsdb_index *index);
size_t tsdb_index_bytes(const struct tsdb_index *index);
/* Whether it is so large that nothing is to be added any more: some hundred million series. */
bool tsdb_index_is_full(const struct tsdb_index *index);

/* labels canonical; hash = wire_labels_hash(labels). TSDB_NO_SERIES if it is not there. */
uint32_t tsdb_index_find(const struct tsdb_index *index, struct wire_labels labels, uint64_t hash);
/* labels must not be there yet. */
uint32_t tsdb_index_append(struct tsdb_index *index, struct wire_labels labels, uint64_t hash);
bool tsdb_index_equal(const struct tsdb_index *index, uint32_t id, struct wire_labels labels);
uint64_t tsdb_index_hash(const struct tsdb_index *index, uint32_t id);
/* False for a hole. */
bool tsdb_index_has(const struct tsdb_index *index, uint32_t id);
/* Which series followed this one in the last request; TSDB_NO_SERIES at first. Under the lock, as
 * the one below. */
uint32_t *tsdb_index_next(struct tsdb_index *index, uint32_t id);
/* Of the bytes by which a request named the series last (tsdb_ingest_known); 0 = none. */
uint64_t *tsdb_index_fingerprint(struct tsdb_index *index, uint32_t id);
/* The series that followed this one, when its fingerprint is this one (not 0); else
 * TSDB_NO_SERIES. */
uint32_t tsdb_index_foresee(const struct tsdb_index *index, uint32_t id, uint64_t fingerprint);

/* Labels of a series. items holds WIRE_LABELS_COUNT_MAX; the strings live as long as the index. */
struct wire_labels tsdb_index_labels(const struct tsdb_index *index, uint32_t id,
                                     struct wire_label *items);
/* The same as string ids, for whoever writes each string once: ret_names and ret_values hold
 * WIRE_LABELS_COUNT_MAX. Returns the count. */
size_t tsdb_index_label_ids(const struct tsdb_index *index, uint32_t id, uint32_t *ret_names,
                            uint32_t *ret_values);
size_t tsdb_index_string_count(const struct tsdb_index *index);
struct tw_str tsdb_index_string(const struct tsdb_index *index, uint32_t string_id);
/* The same as pair ids; ret_pairs holds WIRE_LABELS_COUNT_MAX. */
size_t tsdb_index_pair_ids(const struct tsdb_index *index, uint32_t id, uint32_t *ret_pairs);
size_t tsdb_index_pair_count(const struct tsdb_index *index);
/* String ids of a pair. */
void tsdb_index_pair(const struct tsdb_index *index, uint32_t pair_id, uint32_t *ret_name,
                     uint32_t *ret_value);

/* ---- matching ---- */

/* Appends the ids of the series that match all matchers, ascending. Under the lock. */
void tsdb_index_match(const struct tsdb_index *index, const struct tsdb_matcher *matchers,
                      size_t matcher_count, struct tsdb_ids *ret_ids);

/* The same in two steps, so that the lock is held for the short one only. The matchers and the
 * index (a reference) stay until the plan is run. */
struct tsdb_index_plan;
struct tsdb_index_plan *tsdb_index_plan(const struct tsdb_index *index,
                                        const struct tsdb_matcher *matchers, size_t matcher_count);
/* Appends the series that were there when the plan was made; frees the plan. No lock. */
void tsdb_index_run(struct tsdb_index_plan *plan, struct tsdb_ids *ret_ids);

/* What was planned, but for running it. */
void tsdb_index_plan_free(struct tsdb_index_plan *plan);

/* Each label name. The strings live as long as the index. Under the lock. */
typedef void tsdb_index_visit(void *user, struct tw_str text);
void tsdb_index_names(const struct tsdb_index *index, tsdb_index_visit *visit, void *user);
/* String id of a label's name, 0 = no series has it; and the newest of its pairs. Under the lock.
 */
uint32_t tsdb_index_find_name(const struct tsdb_index *index, struct tw_str name,
                              uint32_t *ret_pair);
/* The pair of the same name that is one older; 0 = there is none. No lock. */
uint32_t tsdb_index_older_pair(const struct tsdb_index *index, uint32_t pair);
/* The newest series that has the pair, and the next older one after a series that has it;
 * TSDB_NO_SERIES = there is none. No lock. */
uint32_t tsdb_index_newest_of(const struct tsdb_index *index, uint32_t pair);
uint32_t tsdb_index_older_of(const struct tsdb_index *index, uint32_t pair, uint32_t id);
/* The pair of a series that has the name; 0 = it has none. No lock. */
uint32_t tsdb_index_pair_of(const struct tsdb_index *index, uint32_t id, uint32_t name);

/* ---- restoring what the log says: ids are given, in any order ---- */

/* False when the id is out of range or stands for something else already. The references must be
 * there. */
bool tsdb_index_restore_string(struct tsdb_index *index, uint32_t id, struct tw_str text);
bool tsdb_index_restore_pair(struct tsdb_index *index, uint32_t id, uint32_t name, uint32_t value);
bool tsdb_index_restore_series(struct tsdb_index *index, uint32_t id, uint64_t hash,
                               const uint32_t *pairs, size_t pair_count);
bool tsdb_index_has_string(const struct tsdb_index *index, uint32_t id);
bool tsdb_index_has_pair(const struct tsdb_index *index, uint32_t id);
/* Once after all was restored and before anything is found, matched or appended. False when a label
 * set, a pair or a string is there twice. */
bool tsdb_index_finish_restore(struct tsdb_index *index);

#endif
