/* SPDX-License-Identifier: Apache-2.0
 *
 * batch: queries that are asked one after the other for the same time, as the rules of a group are:
 * what stands in several of them is worked out once and lent to the others.
 *
 *   alert: High      expr: sum by (job) (rate(errors_total[5m])) / sum by (job)
 * (rate(all_total[5m])) > 0.05 alert: VeryHigh  expr: sum by (job) (rate(errors_total[5m])) / sum
 * by (job) (rate(all_total[5m])) > 0.2
 *                          '----------------------- once -------------------------------------'
 *
 *   I1  Expressions are equal when they print alike, matchers that were added to them included, and
 *       are evaluated at the batch's time: not below a subquery.
 *   I2  What may read a metric that the batch's own queries write is not lent: the next query is to
 *       see it.
 *   I3  What has anything to say (warnings, infos) is not lent: each place says it of itself.
 *   I4  Values that are lent are as of the first query that worked them out; samples that come
 *       between two queries of the batch may be missing.
 *   I5  They take at most QUERY_BATCH_BYTES_MAX; what does not fit is worked out at each place.
 *
 * Threads: one at a time.
 */
#ifndef TW_QUERY_BATCH_H
#define TW_QUERY_BATCH_H

#include "query/operator.h"

#define QUERY_BATCH_BYTES_MAX ((size_t)32 << 20)

struct query_batch;
/* An expression that stands in several queries of the batch, and its value. */
struct query_loan;

/* texts: of the queries that will be asked; written: names of the metrics that they write. Texts
 * that are no queries are left out. NULL when nothing stands in two of them. */
struct query_batch *query_batch_new(const struct tw_str *texts, size_t count,
                                    const struct tw_str *written, size_t written_count,
                                    unsigned features);
struct query_batch *query_batch_free(struct query_batch *batch); /* returns NULL */
/* Queries for this time follow; NULL is fine, as it is below. */
void query_batch_begin(struct query_batch *batch, int64_t time_ms);
/* All values are forgotten. */
void query_batch_end(struct query_batch *batch);
/* How often a value was lent since the batch was made. */
uint64_t query_batch_lent(const struct query_batch *batch);

/* ---- for the plan ---- */
/* NULL: none. above: of the nearest expression above, NULL = none; what stands in no more queries
 * than that is lent with it. */
struct query_loan *query_batch_find(struct query_batch *batch, const struct query_node *node,
                                    const struct query_loan *above);
struct query_op *query_loan_op(struct tw_arena *arena, const struct query_node *node,
                               struct query_batch *batch, struct query_loan *loan,
                               struct query_op *inner);

#endif
