/* SPDX-License-Identifier: Apache-2.0
 *
 * eraser: which stored samples are not there any more, though their bytes may still be: those that
 * were deleted (tombstones), and those past the retention of their series (rules). Reads leave them
 * out at once; a rewrite of the partition frees their space.
 *
 *   tombstone  (selector, time range, highest run): what was there when it was made. Samples that
 *              are written later are in later runs, and stay.
 *   rule       (selector, how long): the first rule in the list that matches a series is the one
 *              that counts for it.
 *
 * A list of both is immutable and counted by references: whoever reads takes the current one.
 *
 * Threads: any.
 */
#ifndef TW_TSDB_ERASER_H
#define TW_TSDB_ERASER_H

#include "tsdb/points.h"
#include "tsdb/storage.h"

/* What is gone of one series: samples of runs up to run_max in the closed range. */
struct tsdb_erasure {
    int64_t start_ms, end_ms;
    uint64_t run_max;
};

/* A growing array. Zero is an empty one. */
struct tsdb_erasures {
    struct tsdb_erasure *items;
    size_t count, capacity;
};
void tsdb_erasures_fini(struct tsdb_erasures *erasures);

/* Whether a sample of the run in the closed range may be gone; whether all of them are. */
bool tsdb_erasure_touches(const struct tsdb_erasure *items, size_t count, uint64_t run,
                          int64_t first_ms, int64_t last_ms);
bool tsdb_erasure_covers(const struct tsdb_erasure *items, size_t count, uint64_t run,
                         int64_t first_ms, int64_t last_ms);
bool tsdb_erasure_has(const struct tsdb_erasure *items, size_t count, uint64_t run,
                      int64_t time_ms);
/* Leaves them out; returns how many points are left. */
size_t tsdb_erasure_cut_points(const struct tsdb_erasure *items, size_t count, uint64_t run,
                               struct tsdb_point *points, size_t point_count);

/* ---- lists ---- */
struct tsdb_erasers;

#define TSDB_KEEP_FOREVER INT64_MAX

/* Empty; one reference is the caller's. */
struct tsdb_erasers *tsdb_erasers_new(void);
struct tsdb_erasers *tsdb_erasers_ref(struct tsdb_erasers *erasers);
void tsdb_erasers_unref(struct tsdb_erasers *erasers); /* NULL is fine */
/* Only while nobody else has the list. The matchers are copied. */
TW_MUST_CHECK enum tw_code tsdb_erasers_add_rule(struct tsdb_erasers *erasers,
                                                 const struct tsdb_matcher *matchers, size_t count,
                                                 int64_t keep_ms, struct tw_err *err);

/* A tombstone; matchers are the list's and live as long as it. */
struct tsdb_tombstone {
    uint64_t id; /* ascending, never given twice */
    struct tsdb_erasure erasure;
    const struct tsdb_matcher *matchers;
    size_t matcher_count;
};
TW_MUST_CHECK enum tw_code tsdb_erasers_add_tombstone(struct tsdb_erasers *erasers,
                                                      const struct tsdb_tombstone *tombstone,
                                                      struct tw_err *err);
size_t tsdb_erasers_tombstone_count(const struct tsdb_erasers *erasers);
/* index counts from the oldest. */
struct tsdb_tombstone tsdb_erasers_tombstone(const struct tsdb_erasers *erasers, size_t index);
/* A new list of the same rules and the tombstones whose id is above. */
struct tsdb_erasers *tsdb_erasers_copy(const struct tsdb_erasers *erasers, uint64_t above);

/* A rule; matchers are the list's. */
struct tsdb_rule {
    int64_t keep_ms;
    const struct tsdb_matcher *matchers;
    size_t matcher_count;
};
size_t tsdb_erasers_rule_count(const struct tsdb_erasers *erasers);
struct tsdb_rule tsdb_erasers_rule(const struct tsdb_erasers *erasers, size_t index);

/* Whether a sample in the closed range may be gone, of any series. */
bool tsdb_erasers_touch(const struct tsdb_erasers *erasers, int64_t now_ms, int64_t start_ms,
                        int64_t end_ms);
/* Appends what is gone of the series within the closed range. */
void tsdb_erasers_collect(const struct tsdb_erasers *erasers, struct wire_labels labels,
                          int64_t now_ms, int64_t start_ms, int64_t end_ms,
                          struct tsdb_erasures *ret);

#endif
