/* SPDX-License-Identifier: Apache-2.0
 *
 * operators: how each operator is made. All live in the plan's arena; `children` are operators of
 * the same plan. The node is what errors and annotations point at.
 */
#ifndef TW_QUERY_OPERATORS_H
#define TW_QUERY_OPERATORS_H

#include "query/operator.h"

/* ---- leaf.c: scalars ---- */
struct query_op *query_number_op(struct tw_arena *arena, double value);
struct query_op *query_time_op(struct tw_arena *arena);
/* Evaluates inner at the first step and repeats it: what does not depend on the time. */
struct query_op *query_broadcast_op(struct tw_arena *arena, struct query_op *inner);

/* ---- selector.c ---- */
enum query_selected {
    QUERY_SELECT_VALUES,
    QUERY_SELECT_TIMES,     /* of the samples, in seconds */
    QUERY_SELECT_TIMESTAMP, /* the same of series without their name: timestamp() */
};
/* Samples in [start_ms, end_ms] are all that any step of the run will ask for. */
struct query_op *query_selector_op(struct tw_arena *arena, const struct query_node *node,
                                   int64_t start_ms, int64_t end_ms, enum query_selected selected);

/* ---- range.c ---- */
/* A function over a range selector (subquery NULL) or over the points of a subquery's inner
 * operator. first, second: scalar parameters or NULL. */
struct query_op *query_range_op(struct tw_arena *arena, const struct query_node *node,
                                const struct query_node *range, struct query_op *subquery,
                                int64_t start_ms, int64_t end_ms, struct query_op *first,
                                struct query_op *second);

/* ---- merge.c ---- */
/* Series that became equal by losing labels: one series when they do not meet, else an error; when
 * strict, an error as soon as both have any point. */
struct query_op *query_merge_op(struct tw_arena *arena, const struct query_node *node,
                                struct query_op *inner, bool strict);

/* ---- mapping.c ---- */
struct query_op *query_mapping_op(struct tw_arena *arena, const struct query_node *node,
                                  enum query_function_id function, struct query_op *inner,
                                  struct query_op *first, struct query_op *second);
struct query_op *query_negate_op(struct tw_arena *arena, const struct query_node *node,
                                 struct query_op *inner, bool keep_name);
/* timestamp() of anything but a selector, vector(), scalar(). */
/* start_timestamp() of samples; nothing where it is not known what they are (known false). */
struct query_op *query_start_timestamp_op(struct tw_arena *arena, const struct query_node *node,
                                          struct query_op *inner, bool known);
struct query_op *query_timestamp_op(struct tw_arena *arena, const struct query_node *node,
                                    struct query_op *inner);
struct query_op *query_scalar_op(struct tw_arena *arena, const struct query_node *node,
                                 struct query_op *inner);

/* ---- absence.c ---- */
/* argument: of absent() or absent_over_time(), for its labels. */
struct query_op *query_absent_op(struct tw_arena *arena, const struct query_node *node,
                                 const struct query_node *argument, struct query_op *inner);

/* ---- naming.c ---- */
struct query_op *query_naming_op(struct tw_arena *arena, struct query_op *inner);

/* ---- labelling.c ---- */
struct query_op *query_label_op(struct tw_arena *arena, const struct query_node *node,
                                struct query_op *inner);

/* ---- info.c ---- */
/* side: gives the times of the info series' samples. */
struct query_op *query_info_op(struct tw_arena *arena, const struct query_node *node,
                               struct query_op *base, struct query_op *side);

/* ---- ordering.c ---- */
struct query_op *query_sort_op(struct tw_arena *arena, const struct query_node *node,
                               struct query_op *inner);

/* ---- binary.c ---- */
struct query_op *query_scalar_binary_op(struct tw_arena *arena, const struct query_node *node,
                                        struct query_op *left, struct query_op *right);
/* One side is a scalar. */
struct query_op *query_vector_scalar_op(struct tw_arena *arena, const struct query_node *node,
                                        struct query_op *vector, struct query_op *scalar,
                                        bool scalar_left);
/* min_of() and max_of(). */
struct query_op *query_of_two_op(struct tw_arena *arena, const struct query_node *node,
                                 struct query_op *left, struct query_op *right);
/* ---- join.c ---- */
struct query_op *query_join_op(struct tw_arena *arena, const struct query_node *node,
                               struct query_op *left, struct query_op *right);
/* ---- setop.c ---- */
/* Two sides; of `or`, two and more that match alike. */
struct query_op *query_set_op(struct tw_arena *arena, const struct query_node *node,
                              struct query_op *const *sides, size_t count);

/* ---- aggregation.c, aggregation_rank.c, aggregation_ratio.c, aggregation_values.c ---- */
struct query_op *query_aggregation_op(struct tw_arena *arena, const struct query_node *node,
                                      struct query_op *inner);
struct query_op *query_rank_op(struct tw_arena *arena, const struct query_node *node,
                               struct query_op *inner, struct query_op *parameter);
struct query_op *query_ratio_op(struct tw_arena *arena, const struct query_node *node,
                                struct query_op *inner, struct query_op *parameter);
struct query_op *query_quantile_op(struct tw_arena *arena, const struct query_node *node,
                                   struct query_op *inner, struct query_op *parameter);
struct query_op *query_count_values_op(struct tw_arena *arena, const struct query_node *node,
                                       struct query_op *inner);

/* ---- histogram_function.c ---- */
struct query_op *query_histogram_function_op(struct tw_arena *arena, const struct query_node *node,
                                             struct query_op *inner);

/* ---- histogram.c ---- */
/* parameters: the quantiles, or a fraction's bounds. */
struct query_op *query_histogram_op(struct tw_arena *arena, const struct query_node *node,
                                    struct query_op *inner, struct query_op **parameters,
                                    size_t parameter_count);

#endif
