/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_annotation: the warnings and infos about native histograms, in Prometheus's words.
 *
 * Threads: one run, one thread.
 */
#ifndef TW_QUERY_HISTOGRAM_ANNOTATION_H
#define TW_QUERY_HISTOGRAM_ANNOTATION_H

#include "query/operator.h"

/* Each names the metric, when the labels have one. */
void query_annotate_mixed_schemas(struct query_exec *exec, const struct query_node *node,
                                  struct wire_labels labels);
void query_annotate_mixed_kinds(struct query_exec *exec, const struct query_node *node,
                                struct wire_labels labels);
void query_annotate_ignored_in_range(struct query_exec *exec, const struct query_node *node,
                                     struct wire_labels labels);
void query_annotate_not_counter(struct query_exec *exec, const struct query_node *node,
                                struct wire_labels labels);
void query_annotate_not_gauge(struct query_exec *exec, const struct query_node *node,
                              struct wire_labels labels);
void query_annotate_classic_and_native(struct query_exec *exec, const struct query_node *node,
                                       struct wire_labels labels);
void query_annotate_nan_result(struct query_exec *exec, const struct query_node *node,
                               struct wire_labels labels);
void query_annotate_nan_skew(struct query_exec *exec, const struct query_node *node,
                             struct wire_labels labels);
void query_annotate_nan_fraction(struct query_exec *exec, const struct query_node *node,
                                 struct wire_labels labels);

/* operation: addition, subtraction or aggregation. */
void query_annotate_collision(struct query_exec *exec, const struct query_node *node,
                              const char *operation);
void query_annotate_reconciled(struct query_exec *exec, const struct query_node *node,
                               const char *operation);

#endif
