/* SPDX-License-Identifier: Apache-2.0
 *
 * propagation: what one side of a binary operation demands of a label, the other side's selectors
 * demand as well, where that changes nothing in the answer:
 *
 *   a{x="1"} / on (x) b        b is read as b{x="1"}: other series of b meet none of a
 *
 *   I1  A matcher is handed on only along labels on which both sides must agree.
 *   I2  It is handed on only where leaving series out cannot take an error away: the side that may
 *       have one series only for each match must be known to, from the query alone.
 *   I3  Only into selectors of one metric, through what works on each series or group by itself,
 * and not below a rate whose metric has no counter's name, which would say so.
 *
 * Series that are not read can warn of nothing: of histograms among numbers, for one.
 */
#ifndef TW_QUERY_PROPAGATION_H
#define TW_QUERY_PROPAGATION_H

#include "query/ast.h"

/* More than this are not added to one selector. */
#define QUERY_PROPAGATED_MAX 16

/* Once, before the tree is planned. Added matchers stand behind a selector's own and borrow their
 * regexes (query/ast.h). */
void query_propagate(struct query_ast *ast);

#endif
