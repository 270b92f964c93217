/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/histogram_annotation.h"

#include "wire/labels.h"

/* Go's %q of the metric's name. */
static void quote_name(struct wire_labels labels, char *ret_text, size_t capacity)
{
    query_quote(wire_labels_get(labels, TW_STR(WIRE_METRIC_NAME)), 128, ret_text, capacity);
}

static void annotate(struct query_exec *exec, enum query_annotation_level level,
                     const struct query_node *node, const char *sentence, struct wire_labels labels)
{
    char name[256];
    quote_name(labels, name, sizeof name);
    query_annotate(exec->annotations, level, node, "%s %s", sentence, name);
}

void query_annotate_mixed_schemas(struct query_exec *exec, const struct query_node *node,
                                  struct wire_labels labels)
{
    annotate(exec, QUERY_WARNING, node,
             "vector contains a mix of histograms with exponential and custom buckets schemas for "
             "metric name",
             labels);
}

void query_annotate_mixed_kinds(struct query_exec *exec, const struct query_node *node,
                                struct wire_labels labels)
{
    annotate(exec, QUERY_WARNING, node,
             "encountered a mix of histograms and floats for metric name", labels);
}

void query_annotate_ignored_in_range(struct query_exec *exec, const struct query_node *node,
                                     struct wire_labels labels)
{
    annotate(exec, QUERY_INFO, node,
             "ignored histograms in a range containing both floats and histograms for metric name",
             labels);
}

void query_annotate_not_counter(struct query_exec *exec, const struct query_node *node,
                                struct wire_labels labels)
{
    annotate(exec, QUERY_WARNING, node, "this native histogram metric is not a counter:", labels);
}

void query_annotate_not_gauge(struct query_exec *exec, const struct query_node *node,
                              struct wire_labels labels)
{
    annotate(exec, QUERY_WARNING, node, "this native histogram metric is not a gauge:", labels);
}

void query_annotate_classic_and_native(struct query_exec *exec, const struct query_node *node,
                                       struct wire_labels labels)
{
    annotate(exec, QUERY_WARNING, node,
             "vector contains a mix of classic and native histograms for metric name", labels);
}

void query_annotate_nan_result(struct query_exec *exec, const struct query_node *node,
                               struct wire_labels labels)
{
    annotate(exec, QUERY_INFO, node,
             "input to histogram_quantile has NaN observations, result is NaN for metric name",
             labels);
}

void query_annotate_nan_skew(struct query_exec *exec, const struct query_node *node,
                             struct wire_labels labels)
{
    annotate(exec, QUERY_INFO, node,
             "input to histogram_quantile has NaN observations, result is skewed higher for metric "
             "name",
             labels);
}

void query_annotate_nan_fraction(struct query_exec *exec, const struct query_node *node,
                                 struct wire_labels labels)
{
    annotate(exec, QUERY_INFO, node,
             "input to histogram_fraction has NaN observations, which are excluded from all "
             "fractions for metric name",
             labels);
}

void query_annotate_collision(struct query_exec *exec, const struct query_node *node,
                              const char *operation)
{
    query_annotate(exec->annotations, QUERY_WARNING, node,
                   "conflicting counter resets during histogram %s", operation);
}

void query_annotate_reconciled(struct query_exec *exec, const struct query_node *node,
                               const char *operation)
{
    query_annotate(exec->annotations, QUERY_INFO, node,
                   "mismatched custom buckets were reconciled during %s", operation);
}
