/* SPDX-License-Identifier: Apache-2.0
 *
 * topk, bottomk, limitk: at each step the k first series of each group. Memory is groups x k x
 * steps, where k is at most the number of a group's series; the heap is ordered as Go's
 * container/heap orders it, so that ties fall as Prometheus's.
 */
#include "config.h"

#include "query/operators.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "query/grouping.h"
#include "query/histogram_aggregation.h"

struct ranked {
    double value;
    uint32_t series;
};

struct rank {
    struct query_op op;
    struct query_op *inner, *parameter;
    struct query_grouping grouping;
    uint32_t *limits;           /* k by step */
    const double *limit_values; /* as given */
    size_t limit_max;           /* the largest of them */
    uint32_t *rooms;            /* by group: of each of its heaps, one for each step */
    size_t *firsts;             /* by group: rooms of the groups before it */
    size_t room;                /* of all groups, for one step */
    uint32_t *sizes;            /* by group and step */
    struct ranked *heaps;
    /* limitk: as the heaps; NULL until there is one. */
    const struct query_histogram **histograms;
    struct query_matrix matrix;
    uint32_t *row_of; /* instant queries: series in the order of their rank */
    bool done;
};

/* ---- Go's heap ---- */
static bool is_less(const struct ranked *a, const struct ranked *b, bool top)
{
    if (isnan(a->value))
        return true;
    return top ? a->value < b->value : a->value > b->value;
}

static void swap(struct ranked *a, struct ranked *b)
{
    struct ranked other = *a;
    *a = *b;
    *b = other;
}

static void sift_up(struct ranked *heap, size_t at, bool top)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!is_less(&heap[at], &heap[parent], top))
            return;
        swap(&heap[at], &heap[parent]);
        at = parent;
    }
}

static void sift_down(struct ranked *heap, size_t count, bool top)
{
    for (size_t at = 0;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && is_less(&heap[child + 1], &heap[child], top))
            child++;
        if (!is_less(&heap[child], &heap[at], top))
            return;
        swap(&heap[at], &heap[child]);
        at = child;
    }
}

/* ---- open ---- */
static bool is_count(double value)
{
    return value >= -0x1p63 && value <= 0x1p63;
}

static enum tw_code read_limits(struct rank *rank, struct query_exec *exec, struct tw_err *err)
{
    const double *row;
    void *memory;
    enum tw_code code = query_op_row(rank->parameter, exec, rank->op.grid, &row, err);
    if (!code)
        code = query_exec_alloc(exec, rank->op.grid.steps, sizeof *rank->limits, &memory, err);
    if (code)
        return code;
    rank->limits = memory;
    rank->limit_values = row;
    rank->limit_max = 0;
    for (size_t s = 0; s < rank->op.grid.steps; s++) {
        /* What is no number of series is an error once there is a series to rank (offer). */
        size_t limit = is_count(row[s]) && row[s] >= 1 ? rank->inner->series_count : 0;
        if (is_count(row[s]) && row[s] >= 1 && row[s] < (double)limit)
            limit = (size_t)row[s];
        rank->limits[s] = (uint32_t)limit;
        if (limit > rank->limit_max)
            rank->limit_max = limit;
    }
    return TW_OK;
}

/* Where a heap begins. */
static size_t place_of(const struct rank *rank, size_t group, size_t step)
{
    return rank->firsts[group] * rank->op.grid.steps + step * rank->rooms[group];
}

/* A heap holds no more than its group has series. */
static enum tw_code make_room(struct rank *rank, struct query_exec *exec, struct tw_err *err)
{
    size_t count = rank->grouping.count, series_count = rank->inner->series_count;
    void *rooms, *firsts, *sizes, *heaps;
    enum tw_code code = query_exec_alloc(exec, count, sizeof *rank->rooms, &rooms, err);
    if (!code)
        code = query_exec_alloc(exec, count, sizeof *rank->firsts, &firsts, err);
    if (code)
        return code;
    rank->rooms = rooms;
    rank->firsts = firsts;
    rank->room = 0;
    for (size_t i = 0; i < series_count; i++)
        rank->rooms[rank->grouping.group_of[i]]++;
    for (size_t g = 0; g < count; g++) {
        if (rank->rooms[g] > rank->limit_max)
            rank->rooms[g] = (uint32_t)rank->limit_max;
        rank->firsts[g] = rank->room;
        rank->room += rank->rooms[g];
    }
    code = query_exec_alloc(exec, count * rank->op.grid.steps, sizeof *rank->sizes, &sizes, err);
    if (!code)
        code = query_exec_alloc(exec, rank->room, rank->op.grid.steps * sizeof *rank->heaps, &heaps,
                                err);
    if (code)
        return code;
    rank->sizes = sizes;
    rank->heaps = heaps;
    return TW_OK;
}

static enum tw_code fill_heaps(struct rank *rank, struct query_exec *exec, struct tw_err *err);

static enum tw_code rank_open(struct query_op *op, struct query_exec *exec, struct query_grid grid,
                              struct tw_err *err)
{
    struct rank *rank = (struct rank *)op;
    enum tw_code code = query_op_open(rank->inner, exec, grid, err);
    if (!code)
        code = query_grouping_init(&rank->grouping, exec, op->node, rank->inner, err);
    if (!code)
        code = read_limits(rank, exec, err);
    if (!code)
        code = make_room(rank, exec, err);
    if (code)
        return code;
    rank->done = false;
    op->labels = rank->inner->labels;
    op->series_count = rank->inner->series_count;
    return fill_heaps(rank, exec, err);
}

/* ---- filling ---- */
static void offer(struct rank *rank, size_t group, size_t step, struct ranked entry)
{
    struct ranked *heap = rank->heaps + place_of(rank, group, step);
    enum query_token_type kind = rank->op.node->aggregate.op;
    uint32_t *size = &rank->sizes[group * rank->op.grid.steps + step];
    bool top = kind == QUERY_TOKEN_TOPK;
    if (*size < rank->limits[step]) {
        heap[(*size)++] = entry;
        if (kind != QUERY_TOKEN_LIMITK)
            sift_up(heap, *size - 1u, top);
        return;
    }
    if (rank->limits[step] == 0 || kind == QUERY_TOKEN_LIMITK)
        return;
    bool better = top ? heap[0].value < entry.value : heap[0].value > entry.value;
    if (better || (isnan(heap[0].value) && !isnan(entry.value))) {
        heap[0] = entry;
        sift_down(heap, *size, top);
    }
}

/* Rank order of one heap, best first, NaN last; stable by series. */
static int compare_top(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (isnan(x->value) || isnan(y->value))
        return isnan(x->value) - isnan(y->value);
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return (x->series > y->series) - (x->series < y->series);
}

static int compare_bottom(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (!isnan(x->value) && !isnan(y->value) && x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return compare_top(a, b);
}

/* An instant query shows each group by rank: the series are given out in that order. */
static enum tw_code order_series(struct rank *rank, struct query_exec *exec, struct tw_err *err)
{
    size_t count = rank->inner->series_count, kept = 0;
    void *labels_memory, *rows_memory;
    enum tw_code code =
        query_exec_alloc(exec, count, sizeof(struct wire_labels), &labels_memory, err);
    if (!code)
        code = query_exec_alloc(exec, count, sizeof *rank->row_of, &rows_memory, err);
    if (code)
        return code;
    struct wire_labels *labels = labels_memory;
    rank->row_of = rows_memory;
    for (size_t group = 0; group < rank->grouping.count; group++) {
        struct ranked *heap = rank->heaps + place_of(rank, group, 0);
        if (rank->op.node->aggregate.op != QUERY_TOKEN_LIMITK)
            qsort(heap, rank->sizes[group], sizeof *heap,
                  rank->op.node->aggregate.op == QUERY_TOKEN_TOPK ? compare_top : compare_bottom);
        for (size_t i = 0; i < rank->sizes[group]; i++) {
            labels[kept] = rank->inner->labels[heap[i].series];
            rank->row_of[heap[i].series] = (uint32_t)kept++;
        }
    }
    rank->op.labels = labels;
    rank->op.series_count = kept;
    return TW_OK;
}

static enum tw_code fail_limit(const struct rank *rank, struct query_exec *exec, double limit,
                               struct tw_err *err)
{
    char text[TW_DOUBLE_BYTES];
    tw_double_format_general(limit, text);
    return query_exec_fail(exec, rank->op.node, err, "Scalar value %s overflows int64", text);
}

/* limitk takes histograms as it takes numbers; the others only say that they ignore them. */
static enum tw_code offer_histograms(struct rank *rank, struct query_exec *exec,
                                     const struct query_tile *tile, size_t row, struct tw_err *err)
{
    size_t series = tile->first + row, group = rank->grouping.group_of[series];
    if (rank->op.node->aggregate.op != QUERY_TOKEN_LIMITK) {
        query_histogram_annotate_ignored(exec, rank->op.node, tile, row);
        return TW_OK;
    }
    for (size_t s = 0; s < tile->stride; s++) {
        const struct query_histogram *histogram = query_tile_histogram(tile, row, s);
        size_t slot = group * rank->op.grid.steps + s;
        if (!histogram)
            continue;
        if (!is_count(rank->limit_values[s]))
            return fail_limit(rank, exec, rank->limit_values[s], err);
        if (rank->sizes[slot] >= rank->limits[s])
            continue;
        if (!rank->histograms) {
            void *memory;
            enum tw_code code = query_exec_alloc(exec, rank->room,
                                                 rank->op.grid.steps * sizeof memory, &memory, err);
            if (code)
                return code;
            rank->histograms = memory;
        }
        rank->histograms[place_of(rank, group, s) + rank->sizes[slot]] =
            query_histogram_copy(exec->arena, histogram, NULL, NULL);
        offer(rank, group, s, (struct ranked){0, (uint32_t)series});
    }
    return query_op_side_check(&rank->op, exec, err);
}

static enum tw_code fill_heaps(struct rank *rank, struct query_exec *exec, struct tw_err *err)
{
    struct query_tile tile = {.count = 1};
    rank->histograms = NULL;
    while (tile.count > 0) {
        enum tw_code code = query_op_next(rank->inner, exec, &tile, err);
        if (code)
            return code;
        for (size_t row = 0; row < tile.count; row++) {
            size_t series = tile.first + row, group = rank->grouping.group_of[series];
            QUERY_EACH_STEP(s, tile.present + row * tile.words, tile.stride)
            {
                if (!is_count(rank->limit_values[s]))
                    return fail_limit(rank, exec, rank->limit_values[s], err);
                offer(rank, group, s,
                      (struct ranked){tile.values[row * tile.stride + s], (uint32_t)series});
            }
            code = tile.histograms ? offer_histograms(rank, exec, &tile, row, err) : TW_OK;
            if (!code)
                code = query_exec_worked(exec, tile.stride, err);
            if (code)
                return code;
        }
    }
    rank->row_of = NULL;
    return exec->instant && rank->op.grid.steps == 1 ? order_series(rank, exec, err) : TW_OK;
}

/* Into the rows of its series. */
static void lay_heap(struct rank *rank, size_t group, size_t step)
{
    size_t place = place_of(rank, group, step);
    for (size_t i = 0; i < rank->sizes[group * rank->op.grid.steps + step]; i++) {
        const struct ranked *entry = &rank->heaps[place + i];
        size_t row = rank->row_of ? rank->row_of[entry->series] : entry->series;
        const struct query_histogram *histogram =
            rank->histograms ? rank->histograms[place + i] : NULL;
        if (histogram) {
            rank->matrix.histograms[row * rank->matrix.stride + step] = histogram;
            continue;
        }
        rank->matrix.values[row * rank->matrix.stride + step] = entry->value;
        query_bit_set(rank->matrix.present + row * rank->matrix.words, step);
    }
}

static enum tw_code rank_next(struct query_op *op, struct query_exec *exec,
                              struct query_tile *ret_tile, struct tw_err *err)
{
    struct rank *rank = (struct rank *)op;
    *ret_tile = (struct query_tile){0};
    if (rank->done)
        return TW_OK;
    rank->done = true;
    enum tw_code code =
        query_matrix_init(&rank->matrix, exec, op->series_count, op->grid.steps, err);
    void *memory;
    if (!code && rank->histograms) {
        code =
            query_exec_alloc(exec, op->series_count, op->grid.steps * sizeof memory, &memory, err);
        rank->matrix.histograms = memory;
    }
    if (code)
        return code;
    for (size_t group = 0; !code && group < rank->grouping.count; group++) {
        for (size_t step = 0; step < op->grid.steps; step++)
            lay_heap(rank, group, step);
        code = query_exec_worked(exec, op->grid.steps * (rank->rooms[group] + 1), err);
    }
    if (code)
        return code;
    *ret_tile = query_matrix_tile(&rank->matrix);
    return TW_OK;
}

static const struct query_op_ops rank_ops = {"rank", rank_open, rank_next, NULL};

struct query_op *query_rank_op(struct tw_arena *arena, const struct query_node *node,
                               struct query_op *inner, struct query_op *parameter)
{
    struct rank *rank = TW_ARENA_NEW(arena, struct rank);
    rank->op.ops = &rank_ops;
    rank->op.node = node;
    rank->inner = inner;
    rank->parameter = parameter;
    return &rank->op;
}
