/* SPDX-License-Identifier: Apache-2.0
 *
 * head_times: the times of a scrape, once for all series that were scraped together. They stand in
 * parts, each pointing to the next; a series that shares them knows the part and the place of its
 * next time there. Whoever of them comes first with a time adds it, the others find it.
 *
 * A series begins to share when the sample that was appended before its own, of another series, has
 * the same time. So what is scraped together finds itself, whatever the labels are, and a series
 * with times of its own never leaves a part to itself for long.
 *
 * A part is never moved, and what it holds never changes: it is read without a lock up to the place
 * that was known under the lock.
 */
#ifndef TW_TSDB_HEAD_TIMES_H
#define TW_TSDB_HEAD_TIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tsdb/head_memory.h"

#define TSDB_HEAD_TIMES_MAX 60 /* of a part */

struct tsdb_head_times {
    struct tsdb_head_times *next; /* once this one is full */
    uint16_t count, capacity;
    int64_t items[];
};

/* What was appended last, of all series. Zero: nothing yet. */
struct tsdb_head_times_hint {
    struct tsdb_head_times *shared; /* where its time was added or found, if it shares */
    int64_t time_ms;
    uint32_t series;
    bool any;
};

/* Whether the time at (*part, *place) is time_ms, or can become it as the newest there; then goes
 * on to the next place. */
bool tsdb_head_times_follow(struct tsdb_head_memory *memory, struct tsdb_head_times **part,
                            uint8_t *place, int64_t time_ms);
/* Whether a series may share from this time on; *ret_part, *ret_place: of the next. */
bool tsdb_head_times_join(struct tsdb_head_memory *memory, struct tsdb_head_times_hint *hint,
                          uint32_t series, int64_t time_ms, struct tsdb_head_times **ret_part,
                          uint8_t *ret_place);
/* Those that begin at a place, which the caller knows to be there. */
void tsdb_head_times_read(const struct tsdb_head_times *part, uint8_t place, int64_t *ret_times,
                          size_t count);

#endif
