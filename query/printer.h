/* SPDX-License-Identifier: Apache-2.0
 *
 * printer: a query as canonical text, as Prometheus's format_query prints it, and as the JSON tree
 * of its parse_query. What is printed parses to the same tree.
 *
 * Threads: any; the tree is only read.
 */
#ifndef TW_QUERY_PRINTER_H
#define TW_QUERY_PRINTER_H

#include "base/buf.h"
#include "query/ast.h"

/* Longer expressions are broken into lines. */
#define QUERY_PRINT_LINE_BYTES 100

/* On one line. A buffer that overflows says so. */
void query_print(const struct query_node *node, struct tw_buf *out);
/* With lines of at most QUERY_PRINT_LINE_BYTES, where expressions can be broken. */
void query_print_pretty(const struct query_node *node, struct tw_buf *out);
void query_print_json(const struct query_node *node, struct tw_buf *out);

#endif
