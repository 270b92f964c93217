/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree is walked with the span of time that each node is evaluated over; selectors know from it
 * what they read.
 */
#include "config.h"

#include "query/cost.h"

#include "base/assert.h"
#include "query/parser.h"
#include "query/plan.h"
#include "query/printer.h"
#include "query/propagation.h"
#include "query/range_kernel.h"
#include "query/selections.h"
#include "query/sharing.h"

struct walk {
    struct tsdb_storage *storage;
    const struct tw_context *context;
    const struct query_ast *ast;
    struct query_exec exec; /* start_ms, end_ms, now_ms, lookback_ms and subquery_step_ms only */
    struct tw_arena *arena;
    struct query_cost *cost;
    struct query_cost_selector *selectors;
    uint64_t label_bytes;
};

/* ---- one selector ---- */

static uint64_t label_bytes(struct wire_labels labels)
{
    uint64_t bytes = sizeof labels + labels.count * sizeof *labels.items;
    for (size_t i = 0; i < labels.count; i++)
        bytes += labels.items[i].name.size + labels.items[i].value.size;
    return bytes;
}

/* The samples of one series, as far as the room goes; *ret_part of its time was covered. */
static enum tw_code count_series(struct walk *walk, struct tsdb_cursor *cursor, size_t index,
                                 const struct query_cost_selector *selector, uint64_t room,
                                 uint64_t *ret_samples, double *ret_part, struct tw_err *err)
{
    struct tsdb_column column = {0};
    int64_t start_ms = selector->start_ms + 1;
    *ret_samples = 0;
    *ret_part = 1;
    tsdb_cursor_seek(cursor, index, start_ms, selector->end_ms);
    for (;;) {
        enum tw_code code = tw_context_check(walk->context, err);
        if (!code)
            code = tsdb_cursor_next(cursor, &column, err);
        if (code || column.count == 0)
            return code;
        *ret_samples += column.count;
        if (*ret_samples < room)
            continue;
        double all = (double)selector->end_ms - (double)start_ms + 1;
        *ret_part = ((double)column.times_ms[column.count - 1] - (double)start_ms + 1) / all;
        return TW_OK;
    }
}

static enum tw_code count_samples(struct walk *walk, struct tsdb_selection *selection,
                                  struct query_cost_selector *selector, struct tw_err *err)
{
    struct tsdb_cursor *cursor = NULL;
    size_t count = selector->series;
    size_t probes = count < QUERY_COST_SERIES_READ ? count : QUERY_COST_SERIES_READ, done = 0;
    uint64_t read = 0, bytes = 0;
    double sum = 0;
    enum tw_code code = tsdb_cursor_open(selection, &cursor, err);
    for (; !code && done < probes && read < QUERY_COST_SAMPLES_READ; done++) {
        size_t index = done * count / probes;
        uint64_t samples = 0;
        double part = 1;
        bytes += label_bytes(tsdb_selection_labels(selection, index));
        code = count_series(walk, cursor, index, selector, QUERY_COST_SAMPLES_READ - read, &samples,
                            &part, err);
        read += samples;
        sum += (double)samples / part;
    }
    if (!code && done > 0) {
        selector->samples = (uint64_t)(sum / (double)done * (double)count);
        walk->label_bytes += bytes / done * count;
    }
    tsdb_cursor_close(cursor);
    return code;
}

static struct tw_str print(struct walk *walk, const struct query_node *node)
{
    struct tw_buf text;
    tw_buf_init(&text, QUERY_TEXT_BYTES_MAX);
    query_print(node, &text);
    struct tw_str printed = tw_arena_str(walk->arena, tw_buf_str(&text));
    tw_buf_fini(&text);
    return printed;
}

/* Where a node stands: when it is evaluated, how often, and the call whose argument it is. */
struct spot {
    int64_t start_ms, end_ms;
    uint64_t steps;
    const struct query_node *call; /* NULL: it is none's */
};

/* shown: the range around the selector, or itself; it reads so far before the spot's start. */
static enum tw_code visit_selector(struct walk *walk, const struct query_node *node,
                                   const struct query_node *shown, int64_t reach_ms,
                                   struct spot spot, struct tw_err *err)
{
    struct query_cost_selector *selector = &walk->selectors[walk->cost->selector_count++];
    struct tsdb_selection *selection = NULL;
    if (node->selector.extension == QUERY_SMOOTHED)
        spot.end_ms += walk->exec.lookback_ms;
    *selector = (struct query_cost_selector){
        .text = tw_arena_str(walk->arena, (struct tw_str){walk->ast->text.data + shown->start,
                                                          shown->end - shown->start}),
        .read_as = print(walk, shown),
        .start_ms = spot.start_ms - reach_ms,
        .end_ms = spot.end_ms,
        .steps = spot.steps};
    enum tw_code code = tsdb_select(walk->storage, walk->context, node->selector.matchers,
                                    node->selector.matcher_count, selector->start_ms + 1,
                                    spot.end_ms, NULL, &selection, err);
    if (code)
        return code;
    selector->series = tsdb_selection_count(selection);
    code = count_samples(walk, selection, selector, err);
    tsdb_selection_close(selection);
    walk->cost->series += selector->series;
    walk->cost->samples += selector->samples;
    return code;
}

/* ---- the tree ---- */

static void apply_modifiers(const struct walk *walk, const struct query_modifiers *modifiers,
                            struct spot *spot)
{
    query_modifiers_apply(modifiers, &walk->exec, &spot->start_ms, &spot->end_ms);
    if (modifiers->at != QUERY_AT_NONE)
        spot->steps = 1;
}

static enum tw_code visit_matrix(struct walk *walk, const struct query_node *node, struct spot spot,
                                 struct tw_err *err)
{
    const struct query_node *selector = node->matrix.selector;
    int64_t reach_ms = node->matrix.range_ms;
    apply_modifiers(walk, &selector->selector.modifiers, &spot);
    if (spot.call)
        reach_ms = query_plan_reach(&walk->exec, spot.call, reach_ms, spot.start_ms);
    if (selector->selector.extension != QUERY_EXTENSION_NONE)
        reach_ms += walk->exec.lookback_ms;
    return visit_selector(walk, selector, node, reach_ms, spot, err);
}

/* What is below a subquery is evaluated on a grid of its own. */
static struct spot enter_subquery(struct walk *walk, const struct query_node *node,
                                  struct spot spot)
{
    int64_t step_ms = node->subquery.step_ms ? node->subquery.step_ms : walk->exec.subquery_step_ms;
    int64_t reach_ms = node->subquery.range_ms;
    apply_modifiers(walk, &node->subquery.modifiers, &spot);
    if (spot.call)
        reach_ms = query_plan_reach(&walk->exec, spot.call, reach_ms, spot.start_ms);
    spot.start_ms -= reach_ms;
    spot.steps = ((uint64_t)spot.end_ms - (uint64_t)spot.start_ms) / (uint64_t)step_ms + 1;
    spot.call = NULL;
    return spot;
}

static enum tw_code visit(struct walk *walk, const struct query_node *node, struct spot spot,
                          struct tw_err *err)
{
    const struct query_node *child;
    enum tw_code code = TW_OK;
    switch (node->type) {
    case QUERY_NODE_SELECTOR:
        apply_modifiers(walk, &node->selector.modifiers, &spot);
        return visit_selector(walk, node, node, walk->exec.lookback_ms, spot, err);
    case QUERY_NODE_MATRIX:
        return visit_matrix(walk, node, spot, err);
    case QUERY_NODE_SUBQUERY:
        spot = enter_subquery(walk, node, spot);
        break;
    case QUERY_NODE_CALL:
        spot.call = node;
        break;
    case QUERY_NODE_PAREN:
        break;
    default:
        spot.call = NULL;
        break;
    }
    for (size_t i = 0; !code && (child = query_node_child(node, i)); i++)
        code = visit(walk, child, spot, err);
    return code;
}

/* Values and presence bits of what is widest, series x steps, and all labels. */
static uint64_t estimate_bytes(const struct walk *walk)
{
    double widest = 0;
    for (size_t i = 0; i < walk->cost->selector_count; i++) {
        const struct query_cost_selector *selector = &walk->selectors[i];
        double words = (double)(selector->steps / 64 + 1);
        double bytes = (double)selector->series * 8 * ((double)selector->steps + words);
        widest = bytes > widest ? bytes : widest;
    }
    return walk->label_bytes + (widest < 0x1p62 ? (uint64_t)widest : UINT64_C(1) << 62);
}

static void describe_shared(struct walk *walk, const struct query_sharing *sharing)
{
    struct tw_str text;
    size_t places, count = query_sharing_describe(sharing, SIZE_MAX, &text, &places);
    struct query_cost_shared *shared =
        TW_ARENA_ARRAY(walk->arena, struct query_cost_shared, count + 1);
    for (size_t i = 0; i < count; i++) {
        (void)query_sharing_describe(sharing, i, &text, &places);
        shared[i] = (struct query_cost_shared){tw_arena_str(walk->arena, text), places};
    }
    walk->cost->shared = shared;
    walk->cost->shared_count = count;
}

static void describe_together(struct walk *walk, const struct query_selections *selections)
{
    struct query_selections_shared one;
    size_t count = query_selections_describe(selections, SIZE_MAX, &one);
    struct query_cost_together *together =
        TW_ARENA_ARRAY(walk->arena, struct query_cost_together, count + 1);
    for (size_t i = 0; i < count; i++) {
        (void)query_selections_describe(selections, i, &one);
        struct query_node plain = *one.selector; /* offsets and @ are the readers' */
        plain.selector.modifiers = (struct query_modifiers){0};
        plain.selector.extension = QUERY_EXTENSION_NONE;
        together[i] =
            (struct query_cost_together){print(walk, &plain), one.start_ms, one.end_ms, one.places};
    }
    walk->cost->together = together;
    walk->cost->together_count = count;
}

/* What the plan shares; it is made and not run. */
static void describe_plan(struct walk *walk, const struct query_options *options, int64_t step_ms)
{
    const struct query_node *root = walk->ast->root;
    struct query_plan plan;
    if (root->value_type != QUERY_TYPE_VECTOR && root->value_type != QUERY_TYPE_SCALAR)
        return;
    struct query_exec exec = walk->exec;
    exec.ast = walk->ast;
    exec.step_ms = step_ms;
    exec.delays_names = options->features & QUERY_FEATURE_DELAYED_NAME_REMOVAL;
    query_plan_init(&plan, walk->ast->arena, &exec, root, exec.start_ms, exec.end_ms);
    describe_shared(walk, plan.sharing);
    describe_together(walk, plan.selections);
    query_plan_fini(&plan);
}

enum tw_code query_cost_estimate(struct query_engine *engine, const struct tw_context *context,
                                 struct tw_str text, int64_t start_ms, int64_t end_ms,
                                 int64_t step_ms, struct tw_arena *arena,
                                 struct query_cost *ret_cost, struct tw_err *err)
{
    const struct query_options *options = query_engine_options(engine);
    struct query_ast *ast;
    enum tw_code code = query_parse(text, options->features, &ast, err);
    if (!code && (code = query_ast_resolve(ast, step_ms, end_ms - start_ms, err)))
        query_ast_free(ast);
    if (code)
        return code;
    *ret_cost = (struct query_cost){
        .steps = step_ms ? (uint64_t)(end_ms - start_ms) / (uint64_t)step_ms + 1 : 1,
        .samples_max = options->samples_max,
        .bytes_max = options->bytes_max,
    };
    struct walk walk = {.storage = query_engine_storage(engine),
                        .context = context,
                        .ast = ast,
                        .exec = {.start_ms = start_ms,
                                 .end_ms = end_ms,
                                 .now_ms = tw_clock_wall_ms(context->clock),
                                 .lookback_ms = options->lookback_ms,
                                 .subquery_step_ms = QUERY_SUBQUERY_STEP_MS},
                        .arena = arena,
                        .cost = ret_cost,
                        .selectors =
                            TW_ARENA_ARRAY(arena, struct query_cost_selector, ast->selector_count)};
    query_propagate(ast);
    code =
        visit(&walk, ast->root,
              (struct spot){.start_ms = start_ms, .end_ms = end_ms, .steps = ret_cost->steps}, err);
    describe_plan(&walk, options, step_ms);
    ret_cost->bytes = estimate_bytes(&walk);
    ret_cost->selectors = walk.selectors;
    query_ast_free(ast);
    return code;
}
