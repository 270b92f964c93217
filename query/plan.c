/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/plan.h"

#include "base/assert.h"
#include "query/batch.h"
#include "query/labelset.h"
#include "query/operators.h"
#include "query/parallel.h"
#include "query/range_kernel.h"
#include "query/selections.h"
#include "query/sharing.h"
#include "wire/labels.h"

struct builder {
    struct query_plan *plan;
    struct tw_arena *arena;
    const struct query_exec *exec;
};

struct span {
    int64_t start_ms, end_ms;
    bool invariant;                   /* below a broadcast: evaluated once anyway */
    bool is_repeated;                 /* below a place of what another place works out */
    bool is_inner;                    /* below a subquery */
    const struct query_loan *lent;    /* the nearest that a batch lends; NULL: none */
    const struct query_shared *above; /* the nearest subtree above that is shared; NULL: none */
};

static struct query_op *build(struct builder *builder, const struct query_node *node,
                              struct span span);

static struct query_op *own(struct builder *builder, const struct query_node *node,
                            struct query_op *op)
{
    op->sibling = builder->plan->newest;
    builder->plan->newest = op;
    if (!op->node)
        op->node = node;
    return op;
}

/* ---- what does not depend on the evaluation time ---- */
static bool is_invariant(const struct query_node *node)
{
    const struct query_node *child;
    if (node->type == QUERY_NODE_SELECTOR)
        return node->selector.modifiers.at != QUERY_AT_NONE;
    if (node->type == QUERY_NODE_SUBQUERY)
        return node->subquery.modifiers.at != QUERY_AT_NONE;
    if (node->type == QUERY_NODE_CALL && node->call.function->needs_time)
        return false;
    for (size_t i = 0; (child = query_node_child(node, i)); i++)
        if (!(node->type == QUERY_NODE_CALL && child == node->call.info) && !is_invariant(child))
            return false;
    return true;
}

void query_modifiers_apply(const struct query_modifiers *modifiers, const struct query_exec *exec,
                           int64_t *start_ms, int64_t *end_ms)
{
    if (modifiers->at == QUERY_AT_TIME)
        *start_ms = *end_ms = modifiers->at_ms;
    else if (modifiers->at == QUERY_AT_START)
        *start_ms = *end_ms = exec->start_ms;
    else if (modifiers->at == QUERY_AT_END)
        *start_ms = *end_ms = exec->end_ms;
    *start_ms -= modifiers->offset_ms;
    *end_ms -= modifiers->offset_ms;
}

/* ---- nodes ---- */
/* ---- reading the store by several threads ---- */
static size_t lane_count(const struct builder *builder)
{
    const struct query_helpers *helpers = builder->exec->helpers;
    size_t count = helpers ? helpers->count + 1 : 1;
    return count < QUERY_LANES_MAX ? count : QUERY_LANES_MAX;
}

static struct query_op *join_lanes(struct builder *builder, const struct query_node *node,
                                   struct query_op *const *lanes, size_t count)
{
    return own(builder, node,
               count == 1
                   ? lanes[0]
                   : query_parallel_op(builder->arena, node, builder->exec->helpers, lanes, count));
}

static enum query_tallied tallied_of(const struct span *span)
{
    return span->is_inner    ? QUERY_TALLIED_NOT
           : span->invariant ? QUERY_TALLIED_EVERY_STEP
                             : QUERY_TALLIED_STEP;
}

static void add_reader(struct builder *builder, const struct query_node *selector,
                       const struct span *span)
{
    if (!span->is_repeated)
        query_selections_add(builder->plan->selections, selector, span->start_ms, span->end_ms);
}

static struct query_op *build_selector(struct builder *builder, const struct query_node *node,
                                       struct span span, enum query_selected selected)
{
    query_modifiers_apply(&node->selector.modifiers, builder->exec, &span.start_ms, &span.end_ms);
    if (node->selector.extension == QUERY_SMOOTHED)
        span.end_ms += builder->exec->lookback_ms;
    struct query_op *lanes[QUERY_LANES_MAX];
    size_t count = lane_count(builder);
    enum query_tallied tallied = tallied_of(&span);
    span.start_ms -= builder->exec->lookback_ms;
    add_reader(builder, node, &span);
    for (size_t i = 0; i < count; i++)
        lanes[i] = query_selector_op(builder->arena, node, span.start_ms, span.end_ms, selected);
    lanes[0]->tallied = tallied;
    return join_lanes(builder, node, lanes, count);
}

static struct query_op *merge(struct builder *builder, const struct query_node *node,
                              struct query_op *op, bool strict)
{
    return own(builder, node, query_merge_op(builder->arena, node, own(builder, node, op), strict));
}

static struct query_op *build_argument(struct builder *builder, const struct query_node *node,
                                       size_t index, struct span span)
{
    return index < node->call.count ? build(builder, node->call.arguments[index], span) : NULL;
}

int64_t query_plan_reach(const struct query_exec *exec, const struct query_node *call,
                         int64_t range_ms, int64_t start_ms)
{
    enum query_function_id function = call->call.function->id;
    int64_t reach_ms = range_ms + query_range_reach(function, range_ms);
    int64_t ahead_ms = start_ms - exec->now_ms;
    return query_range_forecasts(function) && ahead_ms > 0 ? reach_ms + ahead_ms : reach_ms;
}

/* The operator over a range argument, with the scalar arguments beside it. */
static struct query_op *build_range(struct builder *builder, const struct query_node *node,
                                    struct span span)
{
    const struct query_node *matrix = NULL;
    struct query_op *parameters[2] = {NULL, NULL}, *subquery = NULL;
    size_t parameter_count = 0;
    for (size_t i = 0; i < node->call.count; i++) {
        if (node->call.arguments[i]->value_type == QUERY_TYPE_MATRIX)
            matrix = query_node_unwrap(node->call.arguments[i]);
        else
            parameters[parameter_count++] = build_argument(builder, node, i, span);
    }
    TW_ASSERT(matrix != NULL);
    struct span inner = span;
    if (matrix->type == QUERY_NODE_SUBQUERY) {
        query_modifiers_apply(&matrix->subquery.modifiers, builder->exec, &inner.start_ms,
                              &inner.end_ms);
        inner.start_ms -=
            query_plan_reach(builder->exec, node, matrix->subquery.range_ms, inner.start_ms);
        inner.invariant = false;
        inner.is_inner = true;
        subquery = build(builder, matrix->subquery.inner, inner);
    } else {
        query_modifiers_apply(&matrix->matrix.selector->selector.modifiers, builder->exec,
                              &inner.start_ms, &inner.end_ms);
        enum query_extension extension = matrix->matrix.selector->selector.extension;
        inner.start_ms -=
            query_plan_reach(builder->exec, node, matrix->matrix.range_ms, inner.start_ms);
        if (extension != QUERY_EXTENSION_NONE)
            inner.start_ms -= builder->exec->lookback_ms;
        if (extension == QUERY_SMOOTHED)
            inner.end_ms += builder->exec->lookback_ms;
        if (!query_range_forecasts(node->call.function->id)) /* which may read less */
            add_reader(builder, matrix->matrix.selector, &inner);
    }
    struct query_op *lanes[QUERY_LANES_MAX];
    size_t count = subquery ? 1 : lane_count(builder);
    for (size_t i = 0; i < count; i++)
        lanes[i] = query_range_op(builder->arena, node, matrix, subquery, inner.start_ms,
                                  inner.end_ms, parameters[0], parameters[1]);
    lanes[0]->tallied = tallied_of(&span);
    return join_lanes(builder, node, lanes, count);
}

/* Whether a function is taken over ranges of series of one metric. */
static bool is_one_metric(const struct query_node *call)
{
    for (size_t i = 0; i < call->call.count; i++) {
        const struct query_node *argument = query_node_unwrap(call->call.arguments[i]);
        if (argument->type == QUERY_NODE_MATRIX)
            return query_selector_metric(argument->matrix.selector).size > 0;
    }
    return false;
}

static struct query_op *build_mapping(struct builder *builder, const struct query_node *node,
                                      struct span span)
{
    struct query_op *inner = node->call.count > 0
                                 ? build_argument(builder, node, 0, span)
                                 : own(builder, node, query_time_op(builder->arena));
    return merge(builder, node,
                 query_mapping_op(builder->arena, node, node->call.function->id, inner,
                                  build_argument(builder, node, 1, span),
                                  build_argument(builder, node, 2, span)),
                 false);
}

static struct query_op *build_timestamp(struct builder *builder, const struct query_node *node,
                                        struct span span)
{
    const struct query_node *argument = query_node_unwrap(node->call.arguments[0]);
    if (argument->type == QUERY_NODE_SELECTOR)
        return own(builder, node,
                   query_merge_op(builder->arena, node,
                                  build_selector(builder, argument, span, QUERY_SELECT_TIMESTAMP),
                                  false));
    return merge(builder, node,
                 query_timestamp_op(builder->arena, node, build_argument(builder, node, 0, span)),
                 false);
}

static struct query_op *build_evaluation(struct builder *builder, const struct query_node *node)
{
    const struct query_exec *exec = builder->exec;
    enum query_function_id id = node->call.function->id;
    int64_t ms = id == QUERY_FN_EVALUATION_START  ? exec->start_ms
                 : id == QUERY_FN_EVALUATION_END  ? exec->end_ms
                 : id == QUERY_FN_EVALUATION_STEP ? exec->step_ms
                                                  : exec->end_ms - exec->start_ms;
    return own(builder, node, query_number_op(builder->arena, (double)ms / 1000));
}

static struct query_op *build_info(struct builder *builder, const struct query_node *node,
                                   struct span span)
{
    struct query_node *selector = node->call.info;
    query_info_reference(node, &selector->selector.modifiers);
    struct query_op *base = build_argument(builder, node, 0, span);
    return merge(builder, node,
                 query_info_op(builder->arena, node, base,
                               build_selector(builder, selector, span, QUERY_SELECT_TIMES)),
                 false);
}

/* vector: index of the argument that is one; first, count: the scalar ones. */
static struct query_op *build_histogram(struct builder *builder, const struct query_node *node,
                                        struct span span, size_t vector, size_t first, size_t count)
{
    struct query_op **parameters = TW_ARENA_ARRAY(builder->arena, struct query_op *, count);
    for (size_t i = 0; i < count; i++)
        parameters[i] = build_argument(builder, node, first + i, span);
    return merge(builder, node,
                 query_histogram_op(builder->arena, node,
                                    build_argument(builder, node, vector, span), parameters, count),
                 false);
}

static struct query_op *build_call(struct builder *builder, const struct query_node *node,
                                   struct span span)
{
    struct tw_arena *arena = builder->arena;
    struct query_op *op;
    switch (node->call.function->kind) {
    case QUERY_KIND_RANGE:
        op = build_range(builder, node, span);
        if (is_one_metric(node))
            return op; /* without their name the series are still different */
        return own(builder, node, query_merge_op(arena, node, op, true));
    case QUERY_KIND_ABSENT_OVER_TIME:
        op = build_range(builder, node, span);
        return own(builder, node, query_absent_op(arena, node, node->call.arguments[0], op));
    case QUERY_KIND_ABSENT:
        op = build_argument(builder, node, 0, span);
        return own(builder, node, query_absent_op(arena, node, node->call.arguments[0], op));
    case QUERY_KIND_MAP:
    case QUERY_KIND_DATE:
        return build_mapping(builder, node, span);
    case QUERY_KIND_TIME:
        return own(builder, node, query_time_op(arena));
    case QUERY_KIND_PI:
        return own(builder, node, query_number_op(arena, 3.141592653589793));
    case QUERY_KIND_EVALUATION:
        return build_evaluation(builder, node);
    case QUERY_KIND_OF_TWO:
        return own(builder, node,
                   query_of_two_op(arena, node, build_argument(builder, node, 0, span),
                                   build_argument(builder, node, 1, span)));
    case QUERY_KIND_SCALAR:
        return own(builder, node,
                   query_scalar_op(arena, node, build_argument(builder, node, 0, span)));
    case QUERY_KIND_VECTOR:
        return build_argument(builder, node, 0, span);
    case QUERY_KIND_TIMESTAMP:
        return build_timestamp(builder, node, span);
    case QUERY_KIND_LABEL_REPLACE:
    case QUERY_KIND_LABEL_JOIN:
        return merge(builder, node,
                     query_label_op(arena, node, build_argument(builder, node, 0, span)), true);
    case QUERY_KIND_SORT:
        return own(builder, node,
                   query_sort_op(arena, node, build_argument(builder, node, 0, span)));
    case QUERY_KIND_INFO:
        return build_info(builder, node, span);
    case QUERY_KIND_HISTOGRAM_QUANTILE:
    case QUERY_KIND_HISTOGRAM_FRACTION:
        return build_histogram(builder, node, span, node->call.count - 1, 0, node->call.count - 1);
    case QUERY_KIND_HISTOGRAM_QUANTILES:
        return build_histogram(builder, node, span, 0, 2, node->call.count - 2);
    case QUERY_KIND_HISTOGRAM_NATIVE:
        return merge(
            builder, node,
            query_histogram_function_op(arena, node, build_argument(builder, node, 0, span)),
            false);
    case QUERY_KIND_START_TIMESTAMP:
        return merge(
            builder, node,
            query_start_timestamp_op(builder->arena, node, build_argument(builder, node, 0, span),
                                     builder->exec->has_starts &&
                                         query_node_unwrap(node->call.arguments[0])->type ==
                                             QUERY_NODE_SELECTOR),
            false);
        break;
    }
    TW_UNREACHABLE("a kind of function");
}

/* The store groups by the labels that it has: by the name only where that is not dropped. */
static bool groups_in_store(const struct builder *builder, const struct query_node *node)
{
    const struct query_names *names = &node->aggregate.grouping;
    bool named = query_node_unwrap(node->aggregate.inner)->type == QUERY_NODE_SELECTOR;
    if (!named && builder->exec->reads_types)
        return false; /* annotations want each series' type */
    for (size_t i = 0; !named && i < names->count; i++)
        if (query_label_is_reserved(names->items[i]))
            return false;
    return true;
}

static struct query_op *build_aggregate(struct builder *builder, const struct query_node *node,
                                        struct span span)
{
    struct query_op *inner = build(builder, node->aggregate.inner, span);
    switch (node->aggregate.op) {
    case QUERY_TOKEN_TOPK:
    case QUERY_TOKEN_BOTTOMK:
    case QUERY_TOKEN_LIMITK:
        return own(builder, node,
                   query_rank_op(builder->arena, node, inner,
                                 build(builder, node->aggregate.parameter, span)));
    case QUERY_TOKEN_LIMIT_RATIO:
        return own(builder, node,
                   query_ratio_op(builder->arena, node, inner,
                                  build(builder, node->aggregate.parameter, span)));
    case QUERY_TOKEN_QUANTILE:
        inner->grouped_by = groups_in_store(builder, node) ? node : NULL;
        return own(builder, node,
                   query_quantile_op(builder->arena, node, inner,
                                     build(builder, node->aggregate.parameter, span)));
    case QUERY_TOKEN_COUNT_VALUES:
        return own(builder, node, query_count_values_op(builder->arena, node, inner));
    default:
        inner->grouped_by = groups_in_store(builder, node) ? node : NULL;
        return own(builder, node, query_aggregation_op(builder->arena, node, inner));
    }
}

/* Whether node is an `or` that takes part in the chain of root. */
static bool is_of_chain(const struct builder *builder, const struct query_node *node,
                        const struct query_node *root, const struct span *span)
{
    if (node == root)
        return true;
    return node->type == QUERY_NODE_BINARY && node->binary.op == QUERY_TOKEN_OR &&
           node->binary.matching.on == root->binary.matching.on &&
           query_names_equal(&node->binary.matching.labels, &root->binary.matching.labels) &&
           !query_sharing_find(builder->plan->sharing, node, span->above);
}

/* The sides of an `or` and of those below it that match alike, in the order of the text. sides
 * NULL: they are only counted. */
static size_t gather_sides(struct builder *builder, const struct query_node *node,
                           const struct query_node *root, const struct span *span,
                           struct query_op **sides, size_t count)
{
    const struct query_node *inner = query_node_unwrap(node);
    if (is_of_chain(builder, inner, root, span)) {
        count = gather_sides(builder, inner->binary.left, root, span, sides, count);
        return gather_sides(builder, inner->binary.right, root, span, sides, count);
    }
    if (sides)
        sides[count] = build(builder, node, *span);
    return count + 1;
}

static struct query_op *build_set(struct builder *builder, const struct query_node *node,
                                  struct span span)
{
    struct query_op *both[2], **sides = both;
    size_t count = 2;
    if (node->binary.op == QUERY_TOKEN_OR) {
        count = gather_sides(builder, node, node, &span, NULL, 0);
        sides = TW_ARENA_ARRAY(builder->arena, struct query_op *, count);
        gather_sides(builder, node, node, &span, sides, 0);
    } else {
        both[0] = build(builder, node->binary.left, span);
        both[1] = build(builder, node->binary.right, span);
    }
    return merge(builder, node, query_set_op(builder->arena, node, sides, count), false);
}

static struct query_op *build_binary(struct builder *builder, const struct query_node *node,
                                     struct span span)
{
    struct tw_arena *arena = builder->arena;
    if (query_token_is_set(node->binary.op))
        return build_set(builder, node, span);
    struct query_op *left = build(builder, node->binary.left, span);
    struct query_op *right = build(builder, node->binary.right, span);
    bool left_scalar = node->binary.left->value_type == QUERY_TYPE_SCALAR;
    bool right_scalar = node->binary.right->value_type == QUERY_TYPE_SCALAR;
    if (left_scalar && right_scalar)
        return own(builder, node, query_scalar_binary_op(arena, node, left, right));
    if (left_scalar || right_scalar)
        return merge(builder, node,
                     query_vector_scalar_op(arena, node, left_scalar ? right : left,
                                            left_scalar ? left : right, left_scalar),
                     false);
    return merge(builder, node, query_join_op(arena, node, left, right), false);
}

static struct query_op *build_varying(struct builder *builder, const struct query_node *node,
                                      struct span span)
{
    switch (node->type) {
    case QUERY_NODE_NUMBER:
        return own(builder, node, query_number_op(builder->arena, node->number));
    case QUERY_NODE_SELECTOR:
        return build_selector(builder, node, span, QUERY_SELECT_VALUES);
    case QUERY_NODE_PAREN:
        return build(builder, node->paren, span);
    case QUERY_NODE_UNARY: {
        struct query_op *inner = build(builder, node->unary.inner, span);
        if (!node->unary.negative)
            return inner;
        return merge(builder, node, query_negate_op(builder->arena, node, inner, false), true);
    }
    case QUERY_NODE_BINARY:
        return build_binary(builder, node, span);
    case QUERY_NODE_AGGREGATE:
        return build_aggregate(builder, node, span);
    case QUERY_NODE_CALL:
        return build_call(builder, node, span);
    case QUERY_NODE_STRING:
    case QUERY_NODE_MATRIX:
    case QUERY_NODE_SUBQUERY:
        break;
    }
    TW_UNREACHABLE("strings and ranges are no operators of their own");
}

static struct query_op *build(struct builder *builder, const struct query_node *node,
                              struct span span)
{
    bool once = !span.invariant && node->type != QUERY_NODE_NUMBER && is_invariant(node);
    span.invariant = span.invariant || once;
    struct query_shared *shared = query_sharing_find(builder->plan->sharing, node, span.above);
    if (shared) {
        span.above = shared;
        span.is_repeated = span.is_repeated || query_shared_is_built(shared);
    }
    struct query_loan *loan = builder->exec->batch && !span.is_inner
                                  ? query_batch_find(builder->exec->batch, node, span.lent)
                                  : NULL;
    if (loan)
        span.lent = loan;
    struct query_op *op = build_varying(builder, node, span);
    if (loan)
        op =
            own(builder, node, query_loan_op(builder->arena, node, builder->exec->batch, loan, op));
    if (shared)
        op = own(builder, node, query_tap_op(builder->arena, node, shared, op));
    return once ? own(builder, node, query_broadcast_op(builder->arena, op)) : op;
}

void query_plan_init(struct query_plan *plan, struct tw_arena *arena, const struct query_exec *exec,
                     const struct query_node *node, int64_t start_ms, int64_t end_ms)
{
    struct builder builder = {plan, arena, exec};
    plan->newest = NULL;
    plan->sharing = exec->ast->selector_count > 1 ? query_sharing_new(arena, node) : NULL;
    plan->selections = query_selections_new(arena);
    plan->root = build(&builder, node, (struct span){.start_ms = start_ms, .end_ms = end_ms});
    if (exec->delays_names && node->value_type == QUERY_TYPE_VECTOR)
        plan->root = merge(&builder, node, query_naming_op(arena, plan->root), false);
}

void query_plan_stop(struct query_plan *plan)
{
    for (struct query_op *op = plan->newest; op; op = op->sibling)
        if (op->stop)
            op->stop(op);
}

void query_plan_fini(struct query_plan *plan)
{
    for (struct query_op *op = plan->newest; op; op = op->sibling) {
        if (op->ops->close)
            op->ops->close(op);
        query_op_side_fini(op);
    }
    query_selections_close(plan->selections);
    plan->newest = plan->root = NULL;
}
