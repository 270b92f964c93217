/* SPDX-License-Identifier: Apache-2.0
 *
 * cardinality: where the series of a store come from: how many are active, by metric, label name,
 * label and value, and source (job and instance), the largest first, and how that compares with
 * the day before.
 *
 * Threads: any; the store's lock is held for moments.
 */
#ifndef TW_TSDB_CARDINALITY_H
#define TW_TSDB_CARDINALITY_H

#include "tsdb/db.h"

#define TSDB_CARDINALITY_TOP_MAX 10000
#define TSDB_CARDINALITY_DAYS 8 /* today and a week */

struct tsdb_cardinality_item {
    struct tw_str name, value; /* value: of a pair; of a source name is job, value instance */
    uint64_t series;           /* active ones that have it */
    uint64_t values;           /* of a label name: different ones */
    uint64_t yesterday;        /* of a metric: series stored in the day before */
};

/* The largest, and of how many. */
struct tsdb_cardinality_top {
    struct tsdb_cardinality_item *items;
    size_t count;
    uint64_t total;
};

struct tsdb_cardinality_day {
    int64_t start_ms;
    uint64_t series; /* stored in its partition; of today without what is only in the head */
};

struct tsdb_cardinality {
    uint64_t active;  /* all, whatever the matchers */
    uint64_t matched; /* of these, what the matchers let through: the rest is about them */
    uint64_t limit, source_limit;
    struct tsdb_cardinality_top metrics, names, pairs, sources;
    struct tsdb_cardinality_day days[TSDB_CARDINALITY_DAYS]; /* of all series, newest first */
    size_t day_count;
    bool has_yesterday;
};

/* top: items of each list at most. All in the arena, nothing of the store is kept. */
TW_MUST_CHECK enum tw_code tsdb_db_cardinality(struct tsdb_db *db, const struct tw_context *context,
                                               const struct tsdb_matcher *matchers,
                                               size_t matcher_count, size_t top,
                                               struct tw_arena *arena, struct tsdb_cardinality *ret,
                                               struct tw_err *err);

#endif
