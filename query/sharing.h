/* SPDX-License-Identifier: Apache-2.0
 *
 * sharing: a subtree that stands several times in a query is worked out once.
 *
 *        join                     taps: one operator for each place, which has the subtree's own
 *       /    \                          operator below it
 *     tap    sum                  source: the tap that is opened first; it alone runs its subtree,
 *      |      |                           into a matrix from which all taps give tiles
 *      |     tap
 *      |      :                   the others' operators below are not even opened
 *   rate(a)  rate(a)
 *
 *   I1  Subtrees are equal when they print alike, matchers that were added to them included, and
 *       are evaluated at the same times: below the same subquery, and grids are compared when they
 *       are opened.
 *   I2  What a shared subtree says (warnings, infos) it says at each of its places: when the source
 *       said anything, the others run theirs as well, and their tiles are thrown away.
 *   I3  The matrix is shared only while it is small (QUERY_SHARED_BYTES_MAX); else each tap hands
 * on what its own operator gives, as if it were not there.
 */
#ifndef TW_QUERY_SHARING_H
#define TW_QUERY_SHARING_H

#include "query/operator.h"

#define QUERY_SHARED_BYTES_MAX ((size_t)32 << 20)
/* Only expressions whose text is this short are looked for, in queries that are this short. */
#define QUERY_SHARED_TEXT_BYTES_MAX 4096
#define QUERY_SHARING_TEXT_BYTES_MAX 16384

/* A subtree and its places. */
struct query_shared;
/* All that stand more than once. */
struct query_sharing;

/* Whether a node is of a kind that is worth being worked out once. */
bool query_sharing_may(const struct query_node *node);
/* Looks at the tree below root. NULL when nothing stands twice. Lives in the arena. */
struct query_sharing *query_sharing_new(struct tw_arena *arena, const struct query_node *root);
/* The subtree that node is a place of, NULL for others. above: that of the nearest node above which
 * is shared, NULL = none; what stands no more often than that is shared with it. */
struct query_shared *query_sharing_find(struct query_sharing *sharing,
                                        const struct query_node *node,
                                        const struct query_shared *above);
/* Whether one of its places has its tap already. */
bool query_shared_is_built(const struct query_shared *shared);
/* In the order of the text: the canonical text and the number of places of those that a plan
 * shares. Returns how many there are; index beyond: nothing is set. */
size_t query_sharing_describe(const struct query_sharing *sharing, size_t index,
                              struct tw_str *ret_text, size_t *ret_places);

/* One place; inner is the plan's. */
struct query_op *query_tap_op(struct tw_arena *arena, const struct query_node *node,
                              struct query_shared *shared, struct query_op *inner);

#endif
