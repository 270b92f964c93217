/* SPDX-License-Identifier: Apache-2.0
 *
 * selections: selectors that match alike are looked up in the store once.
 *
 *   rate(m[5m]) / increase(m[1h])      one look-up of m over the last hour: two readers of it, each
 *                                      with a cursor of its own over its own span of time
 *
 * Looking up (postings, labels, their order or groups) is about half of what an instant query over
 * many series costs; the samples themselves each reader reads for itself, since holding them for
 * another one costs more than decoding them again.
 *
 *   I1  Selectors are looked up together when their matchers, added ones included, are the same,
 * and their spans touch the same days, which are the store's partitions, or are nearly the same:
 *       then the wider span finds hardly any series that the narrow ones would not.
 *   I2  Only readers that want the same groups (or all want labels) share a selection.
 *   I3  What some readers need less of changes nothing but that series without a sample are among
 *       theirs, which the store never excludes. Where more series are found than a query may
 *       select, each reader looks up its own.
 *
 * A narrower selector beside a wider one (m{a="1"} beside m) is looked up by itself: it costs what
 * its own series cost, and picking them among the wider one's costs the same again.
 *
 * Threads: one run, one thread. Other threads' cursors may read what is open.
 */
#ifndef TW_QUERY_SELECTIONS_H
#define TW_QUERY_SELECTIONS_H

#include "query/operator.h"

struct query_selections;

/* Lives in the arena; ended by query_selections_close. */
struct query_selections *query_selections_new(struct tw_arena *arena);
/* A reader of (start_ms, end_ms]; before any is opened. */
void query_selections_add(struct query_selections *selections, const struct query_node *selector,
                          int64_t start_ms, int64_t end_ms);
/* The selection that a reader of (start_ms, end_ms] shares with others; *ret_selection NULL: with
 * none, it opens its own. It stays the pool's. */
TW_MUST_CHECK enum tw_code
query_selections_open(struct query_selections *selections, struct query_exec *exec,
                      const struct query_node *selector, int64_t start_ms, int64_t end_ms,
                      const struct tsdb_hints *hints, struct tsdb_selection **ret_selection,
                      struct tw_err *err);
/* After all cursors are closed. */
void query_selections_close(struct query_selections *selections);

struct query_selections_shared {
    const struct query_node *selector; /* the first of them */
    size_t places;
    int64_t start_ms, end_ms;
};
/* Those that are looked up together, in the order of the text. Returns how many there are; index
 * beyond: nothing is set. */
size_t query_selections_describe(const struct query_selections *selections, size_t index,
                                 struct query_selections_shared *ret);

#endif
