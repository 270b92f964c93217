/* SPDX-License-Identifier: Apache-2.0
 *
 * head: the newest samples, in memory, series after series. A head belongs to one segment of the
 * log (log.h): it holds exactly what is committed there, has an index of its own, and lives until
 * its samples are in partitions; then both go. So nothing is ever collected piece by piece, and
 * series that ended leave with their head.
 *
 *   I1  A series' samples are a tail of at most TSDB_HEAD_TAIL_MAX raw ones, and packed chunks,
 * each pointing to the one packed before it. A packed chunk never changes. I2  Samples are kept in
 * the order of arrival between chunks; within a chunk they are settled (points.h). `ordered` says
 * that all came in ascending time, so that nothing overlaps. I3  A view (the tail copied, a pointer
 * to the newest chunk) stays right while samples are added.
 *
 * Threads: all functions under the owner's lock, except those that take a view, for which a
 * reference to the head is enough. A sealed head (nothing is added any more) may be read by all.
 */
#ifndef TW_TSDB_HEAD_H
#define TW_TSDB_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tsdb/index.h"
#include "tsdb/points.h"

/* Raw samples a series keeps before they are packed: 512 bytes at most. */
#define TSDB_HEAD_TAIL_MAX 32

struct tsdb_head;
struct tsdb_head_chunk;

/* number: of the head and its segment, ascending. One reference is the caller's. */
struct tsdb_head *tsdb_head_new(uint64_t number);
void tsdb_head_ref(struct tsdb_head *head);   /* any thread */
void tsdb_head_unref(struct tsdb_head *head); /* any thread; frees with the last one */

uint64_t tsdb_head_number(const struct tsdb_head *head);
struct tsdb_index *tsdb_head_index(struct tsdb_head *head);
uint64_t tsdb_head_sample_count(const struct tsdb_head *head);
size_t tsdb_head_bytes(const struct tsdb_head *head);
/* Closed range that holds all samples; false when there are none. */
bool tsdb_head_range(const struct tsdb_head *head, int64_t *ret_first_ms, int64_t *ret_last_ms);

/* As tsdb_index_append, and room for the series' samples. */
uint32_t tsdb_head_add_series(struct tsdb_head *head, struct wire_labels labels, uint64_t hash);
void tsdb_head_append(struct tsdb_head *head, uint32_t series, int64_t time_ms, uint64_t bits);

/* What the log last wrote of a series' value (0 at first), and which series came after it in the
 * request before: the two guesses that make ingest cheap. */
uint64_t *tsdb_head_log_bits(struct tsdb_head *head, uint32_t series);
uint32_t *tsdb_head_next_series(struct tsdb_head *head, uint32_t series);

/* ---- reading ---- */
struct tsdb_head_view {
    const struct tsdb_head_chunk *newest;
    const struct tsdb_point *tail; /* into the room given */
    uint32_t tail_count;
    bool ordered;
    int64_t last_ms; /* newest time; INT64_MIN without samples */
};
/* room: TSDB_HEAD_TAIL_MAX points that live as long as the view. */
struct tsdb_head_view tsdb_head_view(const struct tsdb_head *head, uint32_t series,
                                     struct tsdb_point *room);
/* How many points of room tsdb_head_view uses. */
size_t tsdb_head_tail_count(const struct tsdb_head *head, uint32_t series);
/* Settled points of the view in [start_ms, end_ms]; ret is overwritten. */
void tsdb_head_view_points(const struct tsdb_head_view *view, int64_t start_ms, int64_t end_ms,
                           struct tsdb_points *ret);

#endif
