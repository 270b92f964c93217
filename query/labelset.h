/* SPDX-License-Identifier: Apache-2.0
 *
 * labelset: what operators do to the labels of series: drop, keep, set; and telling equal ones.
 * Sets made here are canonical and live in the arena given; names and values are borrowed.
 */
#ifndef TW_QUERY_LABELSET_H
#define TW_QUERY_LABELSET_H

#include "query/operator.h"

/* What goes when a metric loses its name: __name__, and __type__ and __unit__ with it. */
bool query_label_is_reserved(struct tw_str name);
/* Without them. Shares the items when none is there or they come first. */
struct wire_labels query_labels_without_name(struct tw_arena *arena, struct wire_labels labels);
/* ---- delayed removal of names ----
 *
 * Where an operation drops the name, and names are removed at the end of the query only
 * (promql-delayed-name-removal), the set keeps it and is *doomed*: it gets one more label, whose
 * name is no UTF-8, so that it comes last and no series has it. Setting the name saves the set. */
/* Drops the name, type and unit, or dooms them. */
struct wire_labels query_labels_lose_name(struct query_exec *exec, struct wire_labels labels);
bool query_labels_doomed(struct wire_labels labels);
/* With the name it would have lost, as a set that is not doomed. */
struct wire_labels query_labels_save_name(struct wire_labels labels);
/* At the end: a doomed set without its name. */
struct wire_labels query_labels_settle(struct tw_arena *arena, struct wire_labels labels);

/* Only, or all but, the names. The second drops __name__ too unless keep_name. */
struct wire_labels query_labels_keep(struct tw_arena *arena, struct wire_labels labels,
                                     const struct query_names *names);
struct wire_labels query_labels_drop(struct tw_arena *arena, struct wire_labels labels,
                                     const struct query_names *names, bool keep_name);
/* With name set to value (empty: removed). Setting __name__ saves a doomed set. */
struct wire_labels query_labels_set(struct tw_arena *arena, struct wire_labels labels,
                                    struct tw_str name, struct tw_str value);

/* {__name__="up", job="api"}: as errors print a set. */
struct tw_str query_labels_text(struct tw_arena *arena, struct wire_labels labels);
/* The labels by which vector matching finds the other side's series. */
struct wire_labels query_labels_signature(struct tw_arena *arena, struct wire_labels labels,
                                          const struct query_matching *matching);

/* Label sets numbered in the order they are first seen. */
struct query_label_index {
    struct query_exec *exec;
    uint32_t *slots; /* number + 1; 0 = free */
    size_t slot_count;
    struct wire_labels *labels; /* by number */
    uint64_t *hashes;
    size_t count, capacity;
};

/* At most `capacity` different sets will be added. */
TW_MUST_CHECK enum tw_code query_label_index_init(struct query_label_index *index,
                                                  struct query_exec *exec, size_t capacity,
                                                  struct tw_err *err);
/* The number of the set, which is added if new. */
size_t query_label_index_add(struct query_label_index *index, struct wire_labels labels);
/* Its number, or SIZE_MAX. */
size_t query_label_index_find(const struct query_label_index *index, struct wire_labels labels);

#endif
