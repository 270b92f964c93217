/* SPDX-License-Identifier: Apache-2.0
 *
 * points: samples of one series as an array of (time, bits), and the one rule by which samples at
 * the same time become one:
 *
 *   the newest wins, except that a number beats a stale marker whichever came first.
 *
 * So the winner is the newest number, or a stale marker if there is no number; the rule may be
 * applied in any grouping, as long as the order from old to new is kept.
 *
 * Threads: plain data.
 */
#ifndef TW_TSDB_POINTS_H
#define TW_TSDB_POINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/number.h"

struct tsdb_point {
    int64_t time_ms;
    uint64_t bits; /* of the double */
};

/* A growing array. Zero is an empty one. */
struct tsdb_points {
    struct tsdb_point *items;
    size_t count, capacity;
};

/* Room for more behind count; the caller fills it and adds to count. */
struct tsdb_point *tsdb_points_reserve(struct tsdb_points *points, size_t more);
void tsdb_points_fini(struct tsdb_points *points);
/* Into ascending times, each once. Items of equal time stand in the order in which they came. */
void tsdb_points_settle(struct tsdb_points *points);
/* Both settled; newer came after older. ret is another array, overwritten. */
void tsdb_points_merge(const struct tsdb_point *older, size_t older_count,
                       const struct tsdb_point *newer, size_t newer_count, struct tsdb_points *ret);
/* Index of the first item at or after time_ms in settled points. */
size_t tsdb_points_find(const struct tsdb_point *items, size_t count, int64_t time_ms);

/* The rule, for two samples at one time. */
static inline uint64_t tsdb_point_winner(uint64_t older, uint64_t newer)
{
    return newer == TW_STALE_BITS ? older : newer;
}

#endif
