/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_head: the native histograms of a head, beside its floats: series that have none cost
 * nothing. A series' histograms are a chain of steps (histogram.h), newest first, each pointing to
 * the one appended before it; every so often a full one, so that reading can begin in the middle.
 *
 *   I1  A step never changes and never moves: a view (a pointer to the newest) stays right while
 *       more are appended.
 *   I2  Steps are appended in the order in which tsdb_histogram_head_log made them: log order.
 *
 * Threads: under the lock that guards the head; views may be read by all who hold the head.
 */
#ifndef TW_TSDB_HISTOGRAM_HEAD_H
#define TW_TSDB_HISTOGRAM_HEAD_H

#include "tsdb/histogram.h"

struct tsdb_histogram_head;
struct tsdb_histogram_step; /* appended to a series */

struct tsdb_histogram_head *tsdb_histogram_head_new(void);
struct tsdb_histogram_head *tsdb_histogram_head_free(struct tsdb_histogram_head *head); /* NULL */
size_t tsdb_histogram_head_bytes(const struct tsdb_histogram_head *head);

/* Appends to ret the step that the log is to hold for the series' next histogram. */
void tsdb_histogram_head_log(struct tsdb_histogram_head *head, uint32_t series,
                             const struct wire_histogram *histogram, struct tw_buf *ret);
/* The same at replay: the step becomes what the next one is told against. False when no writer
 * makes it. */
bool tsdb_histogram_head_replay(struct tsdb_histogram_head *head, uint32_t series, int64_t time_ms,
                                struct tw_str step);
/* Adds a step that is durable now. */
void tsdb_histogram_head_append(struct tsdb_histogram_head *head, uint32_t series, int64_t time_ms,
                                struct tw_str step);

/* ---- reading ---- */
struct tsdb_histogram_view {
    const struct tsdb_histogram_step *newest; /* NULL = the series has none */
    int64_t last_ms;                          /* newest time; INT64_MIN without any */
    bool ordered;                             /* all came in ascending time */
};
/* head may be NULL. */
struct tsdb_histogram_view tsdb_histogram_head_view(const struct tsdb_histogram_head *head,
                                                    uint32_t series);
/* Appends the view's histograms in [start_ms, end_ms] to ret, settled among themselves, in the
 * arena. ret is empty before. */
void tsdb_histogram_view_read(const struct tsdb_histogram_view *view, int64_t start_ms,
                              int64_t end_ms, struct tw_arena *arena, struct tsdb_mixed *ret);

#endif
