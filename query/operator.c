/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/operator.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/number.h"

/* How many values are worked on between two looks at the clock. */
#define WORK_PER_CHECK 65536
/* Labels are looked up, compared and hashed: so many values' work. */
#define WORK_PER_LABEL_SET 16
#define WORK_PER_LABEL 8
/* Smaller pieces of memory are told to the account with the work done in them. */
#define BYTES_PER_REPORT 65536

/* What the query holds, its result included. */
static uint64_t held_bytes(const struct query_exec *exec)
{
    return tw_arena_bytes(exec->arena) + exec->side_bytes +
           (exec->result_arena ? tw_arena_bytes(exec->result_arena) : 0);
}

static enum tw_code report(struct query_exec *exec, struct tw_err *err)
{
    return query_ticket_report(exec->ticket, exec->samples_read, held_bytes(exec), err);
}

static enum tw_code fail_bytes(struct query_exec *exec, struct tw_err *err)
{
    exec->out_of_bytes = true;
    return tw_err_set(err, TW_LIMIT,
                      "the query needs more than its limit of %llu bytes of memory; ask for "
                      "fewer series, a shorter range or larger steps",
                      (unsigned long long)exec->bytes_max);
}

enum tw_code query_exec_room(struct query_exec *exec, size_t bytes, struct tw_err *err)
{
    uint64_t held = held_bytes(exec);
    return held > exec->bytes_max || bytes > exec->bytes_max - held ? fail_bytes(exec, err) : TW_OK;
}

static enum tw_code check_bytes(struct query_exec *exec, struct tw_err *err)
{
    return query_exec_room(exec, 0, err);
}

enum tw_code query_exec_alloc(struct query_exec *exec, size_t count, size_t item_bytes, void **ret,
                              struct tw_err *err)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, item_bytes, &bytes))
        return fail_bytes(exec, err);
    enum tw_code code = query_exec_room(exec, bytes, err);
    if (code)
        return code;
    *ret = tw_arena_alloc_zero(exec->arena, bytes);
    return bytes < BYTES_PER_REPORT ? TW_OK : report(exec, err);
}

enum tw_code query_exec_worked(struct query_exec *exec, size_t values, struct tw_err *err)
{
    exec->work += values;
    if (exec->work < WORK_PER_CHECK)
        return TW_OK;
    exec->work = 0;
    enum tw_code code = tw_context_check(exec->context, err);
    if (code == TW_CANCELLED)
        return tw_err_set(err, code, "query was canceled in expression evaluation");
    if (code == TW_TIMEOUT || tw_clock_mono_ns(exec->context->clock) >= exec->deadline_mono_ns)
        return tw_err_set(err, TW_TIMEOUT, "query timed out in expression evaluation");
    if (!code)
        code = check_bytes(exec, err);
    return code ? code : report(exec, err);
}

enum tw_code query_exec_labelled(struct query_exec *exec, size_t labels, size_t text_bytes,
                                 struct tw_err *err)
{
    return query_exec_worked(
        exec, WORK_PER_LABEL_SET + labels * WORK_PER_LABEL + text_bytes / sizeof(double), err);
}

enum tw_code query_exec_read(struct query_exec *exec, size_t samples, struct tw_err *err)
{
    exec->samples_read += samples;
    if (exec->samples_read > exec->samples_max)
        return tw_err_set(err, TW_LIMIT,
                          "query processing would load too many samples into memory in query "
                          "execution (limit %llu)",
                          (unsigned long long)exec->samples_max);
    return query_exec_worked(exec, samples, err);
}

enum tw_code query_exec_fail(struct query_exec *exec, const struct query_node *node,
                             struct tw_err *err, const char *format, ...)
{
    char sentence[TW_ERR_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    enum tw_code code = tw_err_set(err, TW_EXECUTION, "%s", sentence);
    if (err && node) {
        query_position(exec->ast->text, node->start, &err->line, &err->column);
        err->start = node->start;
        err->end = node->end;
    }
    return code;
}

enum tw_code query_exec_same_labels(struct query_exec *exec, const struct query_node *node,
                                    struct tw_err *err)
{
    return query_exec_fail(exec, node, err, "vector cannot contain metrics with the same labelset");
}

void query_exec_check_quantile(struct query_exec *exec, const struct query_node *node, double q)
{
    if (q >= 0 && q <= 1)
        return;
    char text[TW_DOUBLE_BYTES];
    tw_double_format_general(q, text);
    query_annotate(exec->annotations, QUERY_WARNING, node,
                   "quantile value should be between 0 and 1, got %s", text);
}

enum tw_code query_op_open(struct query_op *op, struct query_exec *exec, struct query_grid grid,
                           struct tw_err *err)
{
    TW_ASSERT(grid.steps >= 1);
    op->grid = grid;
    op->labels = NULL;
    op->groups = (struct tsdb_groups){0};
    op->series_count = op->given = 0;
    op->tile = (struct query_tile){0};
    query_op_side_reset(op);
    return op->ops->open(op, exec, grid, err);
}

enum tw_code query_op_next(struct query_op *op, struct query_exec *exec,
                           struct query_tile *ret_tile, struct tw_err *err)
{
    enum tw_code code = op->ops->next(op, exec, ret_tile, err);
    if (code)
        return code;
    TW_ASSERT(ret_tile->count == 0 || ret_tile->stride == op->grid.steps);
    return query_exec_worked(exec, ret_tile->count * ret_tile->stride, err);
}

enum tw_code query_op_begin(struct query_op *op, struct query_exec *exec, size_t series_count,
                            bool own_tile, struct tw_err *err)
{
    size_t steps = op->grid.steps;
    void *memory;
    op->series_count = series_count;
    op->given = 0;
    enum tw_code code = TW_OK;
    if (!op->groups.group_of)
        code = query_exec_alloc(exec, series_count, sizeof(struct wire_labels), &memory, err);
    if (code)
        return code;
    op->labels = op->groups.group_of ? NULL : memory;
    op->tile = (struct query_tile){.stride = steps, .words = query_words(steps)};
    if (!own_tile)
        return TW_OK;
    size_t rows = QUERY_TILE_VALUES / steps;
    rows = rows < 1 ? 1 : rows > QUERY_TILE_SERIES ? QUERY_TILE_SERIES : rows;
    rows = rows > series_count ? series_count : rows;
    code = query_exec_alloc(exec, rows * steps, sizeof(double), &memory, err);
    if (code)
        return code;
    op->tile.values = memory;
    code = query_exec_alloc(exec, rows * op->tile.words, sizeof(uint64_t), &memory, err);
    if (code)
        return code;
    op->tile.present = memory;
    op->tile.count = rows; /* as the capacity, until the first batch */
    return TW_OK;
}

struct query_tile query_op_batch(struct query_op *op)
{
    struct query_tile tile = op->tile;
    size_t left = op->series_count - op->given;
    tile.histograms = NULL;
    query_op_side_reset(op);
    tile.first = op->given;
    tile.count = tile.count < left ? tile.count : left;
    op->given += tile.count;
    if (tile.count > 0)
        memset(tile.present, 0, tile.count * tile.words * sizeof *tile.present);
    return tile;
}

/* ---- histograms ---- */

/* A tile ends when its histograms have more than this. */
#define SIDE_BYTES_PER_TILE ((size_t)8 << 20)

struct tw_arena *query_op_side(struct query_op *op)
{
    if (!op->side)
        op->side = tw_arena_new(4096);
    return op->side;
}

void query_op_side_reset(struct query_op *op)
{
    if (op->side)
        tw_arena_reset(op->side);
}

void query_op_side_fini(struct query_op *op)
{
    op->side = tw_arena_free(op->side);
}

enum tw_code query_op_side_check(struct query_op *op, struct query_exec *exec, struct tw_err *err)
{
    uint64_t bytes = op->side ? tw_arena_bytes(op->side) : 0;
    exec->side_bytes += bytes - op->side_bytes;
    op->side_bytes = bytes;
    return check_bytes(exec, err);
}

bool query_op_side_is_full(const struct query_op *op)
{
    return op->side && tw_arena_bytes(op->side) > SIDE_BYTES_PER_TILE;
}

void query_op_cut(struct query_op *op, struct query_tile *tile, size_t rows)
{
    TW_ASSERT(rows >= 1 && rows <= tile->count);
    op->given -= tile->count - rows;
    tile->count = rows;
}

enum tw_code query_op_add_histograms(struct query_op *op, struct query_exec *exec,
                                     struct query_tile *tile, struct tw_err *err)
{
    size_t bytes = tile->stride * sizeof(const struct query_histogram *);
    TW_ASSERT(!tile->histograms);
    if (!op->tile.histograms || op->tile.count < tile->count) {
        void *memory;
        size_t rows = op->tile.count > tile->count ? op->tile.count : tile->count;
        enum tw_code code = query_exec_alloc(exec, rows, bytes, &memory, err);
        if (code)
            return code;
        op->tile.histograms = memory;
        op->tile.count = rows;
    }
    tile->histograms = op->tile.histograms;
    memset(tile->histograms, 0, tile->count * bytes);
    return TW_OK;
}

bool query_tile_any_histogram(const struct query_tile *tile)
{
    for (size_t i = 0; tile->histograms && i < tile->count * tile->stride; i++)
        if (tile->histograms[i])
            return true;
    return false;
}

void query_bits_add_histograms(uint64_t *bits, const struct query_histogram *const *row,
                               size_t steps)
{
    for (size_t s = 0; row && s < steps; s++)
        if (row[s])
            query_bit_set(bits, s);
}

enum tw_code query_matrix_take_histograms(struct query_matrix *matrix, struct query_exec *exec,
                                          size_t to, const struct query_tile *tile, size_t row,
                                          struct tw_err *err)
{
    const struct query_histogram *source = NULL, *copy = NULL;
    if (!tile->histograms)
        return TW_OK;
    for (size_t s = 0; s < tile->stride; s++) {
        const struct query_histogram *histogram = tile->histograms[row * tile->stride + s];
        void *memory;
        if (!histogram)
            continue;
        if (!matrix->histograms) {
            enum tw_code code = query_exec_alloc(exec, matrix->count,
                                                 matrix->stride * sizeof histogram, &memory, err);
            if (code)
                return code;
            matrix->histograms = memory;
        }
        if (histogram != source) {
            copy = query_histogram_copy(exec->arena, histogram, source, copy);
            source = histogram;
        }
        matrix->histograms[to * matrix->stride + s] = copy;
    }
    return check_bytes(exec, err); /* passed by a row at most */
}

struct query_tile query_matrix_tile(const struct query_matrix *matrix)
{
    return (struct query_tile){.count = matrix->count,
                               .stride = matrix->stride,
                               .words = matrix->words,
                               .values = matrix->values,
                               .present = matrix->present,
                               .histograms = matrix->histograms};
}

enum tw_code query_matrix_init(struct query_matrix *matrix, struct query_exec *exec, size_t count,
                               size_t steps, struct tw_err *err)
{
    void *values, *present;
    size_t words = query_words(steps);
    enum tw_code code = query_exec_alloc(exec, count, steps * sizeof(double), &values, err);
    if (!code)
        code = query_exec_alloc(exec, count, words * sizeof(uint64_t), &present, err);
    if (code)
        return code;
    *matrix = (struct query_matrix){
        .count = count, .stride = steps, .words = words, .values = values, .present = present};
    return TW_OK;
}

enum tw_code query_op_materialise(struct query_op *op, struct query_exec *exec,
                                  struct query_matrix *ret, struct tw_err *err)
{
    struct query_matrix matrix;
    enum tw_code code = query_matrix_init(&matrix, exec, op->series_count, op->grid.steps, err);
    while (!code) {
        struct query_tile tile;
        code = query_op_next(op, exec, &tile, err);
        if (code || tile.count == 0)
            break;
        memcpy(matrix.values + tile.first * matrix.stride, tile.values,
               tile.count * tile.stride * sizeof(double));
        memcpy(matrix.present + tile.first * matrix.words, tile.present,
               tile.count * tile.words * sizeof(uint64_t));
        for (size_t row = 0; tile.histograms && !code && row < tile.count; row++)
            code = query_matrix_take_histograms(&matrix, exec, tile.first + row, &tile, row, err);
    }
    if (!code)
        *ret = matrix;
    return code;
}

enum tw_code query_op_row(struct query_op *op, struct query_exec *exec, struct query_grid grid,
                          const double **ret_row, struct tw_err *err)
{
    struct query_tile tile;
    enum tw_code code = query_op_open(op, exec, grid, err);
    if (!code)
        code = query_op_next(op, exec, &tile, err);
    if (code)
        return code;
    TW_ASSERT(tile.count == 1);
    *ret_row = tile.values;
    return TW_OK;
}

bool query_bits_any(const uint64_t *present, size_t words)
{
    for (size_t i = 0; i < words; i++)
        if (present[i])
            return true;
    return false;
}

void query_bits_fill(uint64_t *present, size_t steps)
{
    memset(present, 0xff, steps / 64 * sizeof *present);
    if (steps % 64)
        present[steps / 64] = (UINT64_C(1) << (steps % 64)) - 1;
}
