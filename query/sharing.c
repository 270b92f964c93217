/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/sharing.h"

#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "query/printer.h"

/* With fewer steps than this, reading twice is as cheap as fetching labels that nobody wants. */
#define STEPS_FOR_LABELS 8

struct tap {
    struct query_op op;
    struct query_op *inner;
    struct query_shared *shared;
    struct tap *next; /* of the same subtree */
    bool passes;      /* this slice: what the inner operator gives is handed on */
};

struct query_shared {
    struct query_shared *next; /* in the order of the text */
    struct tw_str text;
    uint64_t hash;
    const struct query_node *within; /* the subquery that it stands in, NULL = none */
    struct tw_str within_text;
    size_t places;
    bool is_planned;
    struct tap *taps;
    /* Of the slice that is being run. */
    uint64_t slice; /* 0 = none yet */
    struct tap *source;
    bool is_made, has_spoken;
    struct query_matrix matrix;
};

struct place {
    const struct query_node *node;
    struct query_shared *shared;
};

struct query_sharing {
    struct query_shared *first, **end;
    struct place *places;
    size_t count, capacity;
};

/* ---- what stands twice ---- */

struct search {
    struct tw_arena *arena;
    struct query_sharing *sharing;
    struct tw_buf text;
    const struct query_node *within;
    struct tw_str within_text;
};

bool query_sharing_may(const struct query_node *node)
{
    if (node->value_type != QUERY_TYPE_VECTOR ||
        node->end - node->start > QUERY_SHARED_TEXT_BYTES_MAX)
        return false;
    return node->type == QUERY_NODE_SELECTOR || node->type == QUERY_NODE_CALL ||
           node->type == QUERY_NODE_AGGREGATE || node->type == QUERY_NODE_BINARY;
}

static struct tw_str print(struct search *search, const struct query_node *node)
{
    tw_buf_clear(&search->text);
    query_print(node, &search->text);
    return tw_buf_str(&search->text);
}

static void add_place(struct search *search, const struct query_node *node)
{
    struct query_sharing *sharing = search->sharing;
    struct tw_str text = print(search, node);
    if (search->text.overflow)
        return;
    uint64_t hash = tw_hash64(text.data, text.size);
    struct query_shared *shared = sharing->first;
    while (shared && (shared->hash != hash || !tw_str_equal(shared->text, text) ||
                      !tw_str_equal(shared->within_text, search->within_text)))
        shared = shared->next;
    if (!shared) {
        shared = TW_ARENA_NEW(search->arena, struct query_shared);
        shared->text = tw_arena_str(search->arena, text);
        shared->hash = hash;
        shared->within = search->within;
        shared->within_text = search->within_text;
        *sharing->end = shared;
        sharing->end = &shared->next;
    }
    shared->places++;
    if (sharing->count == sharing->capacity) {
        size_t old = sharing->capacity;
        sharing->capacity = old ? 2 * old : 32;
        sharing->places =
            tw_arena_grow(search->arena, sharing->places, old * sizeof *sharing->places,
                          sharing->capacity * sizeof *sharing->places);
    }
    sharing->places[sharing->count++] = (struct place){node, shared};
}

static void search_node(struct search *search, const struct query_node *node);

static void search_subquery(struct search *search, const struct query_node *node)
{
    struct search inner = *search;
    inner.within = node;
    inner.within_text = tw_arena_str(search->arena, print(search, node));
    search_node(&inner, node->subquery.inner);
    search->text = inner.text;
}

/* Whether a node's children are worked out by themselves, each where it stands. */
static bool has_operands(const struct query_node *node)
{
    if (node->type == QUERY_NODE_MATRIX)
        return false;
    return node->type != QUERY_NODE_CALL || node->call.function->kind != QUERY_KIND_TIMESTAMP ||
           query_node_unwrap(node->call.arguments[0])->type != QUERY_NODE_SELECTOR;
}

static void search_node(struct search *search, const struct query_node *node)
{
    const struct query_node *child;
    if (query_sharing_may(node))
        add_place(search, node);
    if (node->type == QUERY_NODE_SUBQUERY) {
        search_subquery(search, node);
        return;
    }
    for (size_t i = 0; has_operands(node) && (child = query_node_child(node, i)); i++)
        if (node->type != QUERY_NODE_CALL || child != node->call.info)
            search_node(search, child);
}

struct query_sharing *query_sharing_new(struct tw_arena *arena, const struct query_node *root)
{
    if (root->end - root->start > QUERY_SHARING_TEXT_BYTES_MAX)
        return NULL;
    struct query_sharing *sharing = TW_ARENA_NEW(arena, struct query_sharing);
    sharing->end = &sharing->first;
    struct search search = {.arena = arena, .sharing = sharing, .within_text = TW_STR("")};
    tw_buf_init(&search.text, 2 * QUERY_SHARING_TEXT_BYTES_MAX);
    search_node(&search, root);
    tw_buf_fini(&search.text);
    for (const struct query_shared *at = sharing->first; at; at = at->next)
        if (at->places > 1)
            return sharing;
    return NULL;
}

struct query_shared *query_sharing_find(struct query_sharing *sharing,
                                        const struct query_node *node,
                                        const struct query_shared *above)
{
    for (size_t i = 0; sharing && i < sharing->count; i++) {
        struct query_shared *shared = sharing->places[i].shared;
        if (sharing->places[i].node != node)
            continue;
        if (shared->places < 2 || (above && shared->places <= above->places))
            return NULL;
        shared->is_planned = true;
        return shared;
    }
    return NULL;
}

bool query_shared_is_built(const struct query_shared *shared)
{
    return shared->taps != NULL;
}

size_t query_sharing_describe(const struct query_sharing *sharing, size_t index,
                              struct tw_str *ret_text, size_t *ret_places)
{
    size_t count = 0;
    for (const struct query_shared *at = sharing ? sharing->first : NULL; at; at = at->next) {
        if (!at->is_planned)
            continue;
        if (count++ == index) {
            *ret_text = at->text;
            *ret_places = at->places;
        }
    }
    return count;
}

/* ---- running ---- */

static bool same_grid(const struct query_grid *a, const struct query_grid *b)
{
    return a->start_ms == b->start_ms && a->step_ms == b->step_ms && a->steps == b->steps;
}

static bool same_grouping(const struct query_node *a, const struct query_node *b)
{
    return a->aggregate.without == b->aggregate.without &&
           query_names_equal(&a->aggregate.grouping, &b->aggregate.grouping);
}

/* The aggregation whose groups all places want; NULL when some want labels. *ret_differ: when all
 * want groups, but not the same. */
static const struct query_node *common_grouping(const struct query_shared *shared, bool *ret_differ)
{
    const struct query_node *common = shared->taps->op.grouped_by;
    *ret_differ = false;
    for (const struct tap *tap = shared->taps; tap; tap = tap->next) {
        if (!tap->op.grouped_by) {
            *ret_differ = false;
            return NULL;
        }
        *ret_differ =
            *ret_differ || !same_grouping(tap->op.grouped_by, shared->taps->op.grouped_by);
    }
    return *ret_differ ? NULL : common;
}

static enum tw_code take_over(struct tap *tap, struct query_exec *exec, const struct query_op *from,
                              bool own_tile, struct tw_err *err)
{
    tap->op.groups = from->groups;
    enum tw_code code = query_op_begin(&tap->op, exec, from->series_count, own_tile, err);
    if (!code && !from->groups.group_of && from->series_count)
        memcpy(tap->op.labels, from->labels, from->series_count * sizeof *from->labels);
    return code;
}

/* The tap's own operator, as if the tap were not there. */
static enum tw_code open_alone(struct tap *tap, struct query_exec *exec, struct query_grid grid,
                               struct tw_err *err)
{
    tap->passes = true;
    tap->inner->grouped_by = tap->op.grouped_by;
    enum tw_code code = query_op_open(tap->inner, exec, grid, err);
    return code ? code : take_over(tap, exec, tap->inner, false, err);
}

static enum tw_code open_source(struct tap *tap, struct query_exec *exec, struct query_grid grid,
                                struct tw_err *err)
{
    struct query_shared *shared = tap->shared;
    bool differ;
    const struct query_node *grouped_by = common_grouping(shared, &differ);
    shared->slice = exec->slice;
    shared->source = NULL;
    shared->is_made = shared->has_spoken = false;
    if (differ && grid.steps < STEPS_FOR_LABELS)
        return open_alone(tap, exec, grid, err);
    uint64_t before = exec->annotations->said;
    size_t bytes;
    tap->inner->grouped_by = grouped_by;
    enum tw_code code = query_op_open(tap->inner, exec, grid, err);
    if (code)
        return code;
    size_t row = grid.steps * sizeof(double) + query_words(grid.steps) * sizeof(uint64_t);
    if (__builtin_mul_overflow(tap->inner->series_count, row, &bytes) ||
        bytes > QUERY_SHARED_BYTES_MAX || bytes > exec->bytes_max / 8) {
        tap->passes = true;
        return take_over(tap, exec, tap->inner, false, err);
    }
    shared->source = tap;
    shared->has_spoken = exec->annotations->said != before;
    return take_over(tap, exec, tap->inner, true, err);
}

static enum tw_code tap_open(struct query_op *op, struct query_exec *exec, struct query_grid grid,
                             struct tw_err *err)
{
    struct tap *tap = (struct tap *)op;
    struct query_shared *shared = tap->shared;
    tap->passes = false;
    if (shared->slice != exec->slice)
        return open_source(tap, exec, grid, err);
    if (!shared->source || !same_grid(&shared->source->inner->grid, &grid))
        return open_alone(tap, exec, grid, err);
    return take_over(tap, exec, shared->source->inner, true, err);
}

/* The matrix, once; and what the subtree has to say, at each place (I2). */
static enum tw_code make(struct tap *tap, struct query_exec *exec, struct tw_err *err)
{
    struct query_shared *shared = tap->shared;
    enum tw_code code = TW_OK;
    if (!shared->is_made) {
        uint64_t before = exec->annotations->said;
        code = query_op_materialise(shared->source->inner, exec, &shared->matrix, err);
        shared->is_made = true;
        shared->has_spoken = shared->has_spoken || exec->annotations->said != before;
    }
    if (code || tap == shared->source || !shared->has_spoken)
        return code;
    struct query_tile tile = {.count = 1};
    tap->inner->grouped_by = shared->source->inner->grouped_by;
    code = query_op_open(tap->inner, exec, tap->op.grid, err);
    while (!code && tile.count > 0)
        code = query_op_next(tap->inner, exec, &tile, err);
    return code;
}

static enum tw_code tap_next(struct query_op *op, struct query_exec *exec,
                             struct query_tile *ret_tile, struct tw_err *err)
{
    struct tap *tap = (struct tap *)op;
    if (tap->passes)
        return query_op_next(tap->inner, exec, ret_tile, err);
    enum tw_code code = op->given == 0 ? make(tap, exec, err) : TW_OK;
    if (code)
        return code;
    const struct query_matrix *matrix = &tap->shared->matrix;
    *ret_tile = query_op_batch(op);
    size_t first = ret_tile->first, count = ret_tile->count;
    if (count == 0)
        return TW_OK;
    memcpy(ret_tile->values, matrix->values + first * matrix->stride,
           count * matrix->stride * sizeof(double));
    memcpy(ret_tile->present, matrix->present + first * matrix->words,
           count * matrix->words * sizeof(uint64_t));
    if (matrix->histograms) {
        code = query_op_add_histograms(op, exec, ret_tile, err);
        if (!code)
            memcpy(ret_tile->histograms, matrix->histograms + first * matrix->stride,
                   count * matrix->stride * sizeof *matrix->histograms);
    }
    return code ? code : query_exec_worked(exec, count * matrix->stride, err);
}

static const struct query_op_ops tap_ops = {"tap", tap_open, tap_next, NULL};

struct query_op *query_tap_op(struct tw_arena *arena, const struct query_node *node,
                              struct query_shared *shared, struct query_op *inner)
{
    struct tap *tap = TW_ARENA_NEW(arena, struct tap);
    tap->op.ops = &tap_ops;
    tap->op.node = node;
    tap->inner = inner;
    tap->shared = shared;
    tap->next = shared->taps;
    shared->taps = tap;
    return &tap->op;
}
