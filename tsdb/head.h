/* SPDX-License-Identifier: Apache-2.0
 *
 * head: the newest samples, in memory, series after series. A head belongs to one segment of the
 * log (log.h): it holds exactly what is committed there, and lives until its samples are in
 * partitions; then both go. So no sample is ever collected piece by piece. Which series an id
 * stands for, the index says, which a head may share with the one before it (index.h).
 *
 *   I1  A series' samples are a tail, as they came (head_tail.h), and packed chunks
 *       (head_chunk.h), each pointing to the one packed before it.
 *   I2  Samples are kept in the order of arrival between chunks; within a chunk they are settled
 *       (points.h). `ordered` says that all came in ascending time, so that nothing overlaps.
 *   I3  A view (the tail copied, a pointer to the newest chunk and how far that went) stays right
 *       while samples are added: whoever takes one holds a reference to the head.
 *   I4  Times are those of the scrape, once for its series (head_times.h), as long as a series has
 *       no others; from the first other one on its tail has its own, and when that has happened a
 *       few times, the series for good.
 *
 * Threads: all functions under the owner's lock, except those that take a view, for which a
 * reference to the head is enough. A sealed head (nothing is added any more) may be read by all.
 */
#ifndef TW_TSDB_HEAD_H
#define TW_TSDB_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tsdb/head_chunk.h"
#include "tsdb/head_tail.h"
#include "tsdb/histogram_head.h"
#include "tsdb/index.h"
#include "tsdb/points.h"

/* What the copy of a tail takes. */
#define TSDB_HEAD_TAIL_BYTES TSDB_HEAD_TAIL_BYTES_MAX

struct tsdb_head;

/* number: of the head and its segment, ascending. One reference is the caller's. */
struct tsdb_head *tsdb_head_new(uint64_t number);
/* With this index (a reference is taken) instead of an empty one of its own. */
struct tsdb_head *tsdb_head_new_sharing(uint64_t number, struct tsdb_index *index);
void tsdb_head_ref(struct tsdb_head *head);   /* any thread */
void tsdb_head_unref(struct tsdb_head *head); /* any thread; frees with the last one */

uint64_t tsdb_head_number(const struct tsdb_head *head);
struct tsdb_index *tsdb_head_index(struct tsdb_head *head);
uint64_t tsdb_head_sample_count(const struct tsdb_head *head);
/* Memory of the samples; the index is not counted. */
size_t tsdb_head_bytes(const struct tsdb_head *head);
/* Series that have samples here; one more than the highest id of them. */
size_t tsdb_head_series_count(const struct tsdb_head *head);
uint32_t tsdb_head_series_limit(const struct tsdb_head *head);
/* Closed range that holds all samples; false when there are none. */
bool tsdb_head_range(const struct tsdb_head *head, int64_t *ret_first_ms, int64_t *ret_last_ms);

/* What a sample was to those that the series had: late is older than the newest; a duplicate and an
 * overwriting one have the time of another, and its value or not. Looked for in the tail and the
 * newest chunks: of what came long before, a repetition counts as late. */
enum tsdb_head_arrival {
    TSDB_ARRIVED_NEWEST,
    TSDB_ARRIVED_LATE,
    TSDB_ARRIVED_DUPLICATE,
    TSDB_ARRIVED_OVERWRITING,
    TSDB_ARRIVED_COUNT
};

/* As tsdb_index_append. */
uint32_t tsdb_head_add_series(struct tsdb_head *head, struct wire_labels labels, uint64_t hash);
/* series: an id of the index. */
enum tsdb_head_arrival tsdb_head_append(struct tsdb_head *head, uint32_t series, int64_t time_ms,
                                        uint64_t bits);
/* A sample of the series is appended soon: the memory that it goes to is fetched meanwhile. later:
 * one that is appended after as many again. */
void tsdb_head_expect(const struct tsdb_head *head, uint32_t series, uint32_t later);

/* Native histograms stand beside the floats (histogram_head.h): log makes the step that the record
 * holds, in the order of the log; append adds it once it is durable; replay does both. */
void tsdb_head_log_histogram(struct tsdb_head *head, uint32_t series,
                             const struct wire_histogram *histogram, struct tw_buf *ret_step);
void tsdb_head_append_histogram(struct tsdb_head *head, uint32_t series, int64_t time_ms,
                                struct tw_str step);
bool tsdb_head_replay_histogram(struct tsdb_head *head, uint32_t series, int64_t time_ms,
                                struct tw_str step);

/* ---- reading ---- */
struct tsdb_head_view {
    const struct tsdb_head_chunk *newest;
    struct tsdb_head_extent extent;  /* of the newest, then */
    struct tsdb_head_tail_view tail; /* in the room given */
    bool ordered;
    int64_t last_ms; /* newest time of a number or histogram; INT64_MIN without samples */
    struct tsdb_histogram_view histograms;
};
/* Views of them are taken soon, of `later` after as many again: see tsdb_head_expect. */
void tsdb_head_fetch(const struct tsdb_head *head, uint32_t series, uint32_t later);
/* The view's last_ms alone. */
int64_t tsdb_head_last_ms(const struct tsdb_head *head, uint32_t series);
/* room: TSDB_HEAD_TAIL_BYTES that live as long as the view. */
struct tsdb_head_view tsdb_head_view(const struct tsdb_head *head, uint32_t series, void *room);
/* What the view knows of a chunk, which has more by now if it is the newest. */
static inline struct tsdb_head_extent tsdb_head_view_extent(const struct tsdb_head_view *view,
                                                            const struct tsdb_head_chunk *chunk)
{
    return chunk == view->newest ? view->extent : chunk->extent;
}
/* Settled numbers of the view in [start_ms, end_ms]; ret is overwritten. */
void tsdb_head_view_points(const struct tsdb_head_view *view, int64_t start_ms, int64_t end_ms,
                           struct tsdb_points *ret);

#endif
