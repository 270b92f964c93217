/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "query/parser.h"
#include "query/printer.h"
#include "query/propagation.h"
#include "query/sharing.h"

#define BATCH_MAGIC 0x62617463u
#define BUCKETS 256

/* The value at the batch's time: a row for each series that has a point. */
struct value {
    struct wire_labels *labels;
    double *numbers;
    const struct query_histogram **histograms; /* NULL: there are none */
    size_t count;
};

struct query_loan {
    struct query_loan *next; /* of the bucket */
    struct tw_str text;
    uint64_t hash;
    size_t queries;           /* that it stands in */
    size_t last_query;        /* that was counted */
    bool has_value, is_apart; /* of this time; apart: each place works it out */
    struct value value;
};

struct query_batch {
    unsigned magic;
    struct tw_arena *arena;  /* of the batch */
    struct tw_arena *values; /* of this time; NULL between two */
    int64_t time_ms;
    struct query_loan *buckets[BUCKETS];
    const struct tw_str *written; /* while it is made */
    size_t written_count;
    struct tw_buf text;
    uint64_t lent;
};

/* ---- what stands in several queries ---- */

static struct query_loan *find(struct query_batch *batch, struct tw_str text, uint64_t hash)
{
    struct query_loan *loan = batch->buckets[hash % BUCKETS];
    while (loan && (loan->hash != hash || !tw_str_equal(loan->text, text)))
        loan = loan->next;
    return loan;
}

static bool print(struct query_batch *batch, const struct query_node *node)
{
    tw_buf_clear(&batch->text);
    query_print(node, &batch->text);
    return !batch->text.overflow;
}

static void note(struct query_batch *batch, const struct query_node *node, size_t query)
{
    if (!print(batch, node))
        return;
    struct tw_str text = tw_buf_str(&batch->text);
    uint64_t hash = tw_hash64(text.data, text.size);
    struct query_loan *loan = find(batch, text, hash);
    if (loan && loan->last_query == query)
        return;
    if (!loan) {
        loan = TW_ARENA_NEW(batch->arena, struct query_loan);
        loan->text = tw_arena_str(batch->arena, text);
        loan->hash = hash;
        loan->next = batch->buckets[hash % BUCKETS];
        batch->buckets[hash % BUCKETS] = loan;
    }
    loan->queries++;
    loan->last_query = query;
}

/* Whether a selector may give series of the metric. */
static bool may_read(const struct query_node *selector, struct tw_str metric)
{
    for (size_t i = 0; i < selector->selector.matcher_count; i++) {
        const struct tsdb_matcher *matcher = &selector->selector.matchers[i];
        if (tw_str_is(matcher->name, WIRE_METRIC_NAME) && !tsdb_matcher_matches(matcher, metric))
            return false;
    }
    return true;
}

/* Notes node and what is below it. Whether it reads nothing that the batch writes. */
static bool search(struct query_batch *batch, const struct query_node *node, size_t query,
                   bool is_inner)
{
    bool is_safe = true;
    const struct query_node *child;
    for (size_t i = 0; node->type == QUERY_NODE_SELECTOR && i < batch->written_count; i++)
        is_safe = is_safe && !may_read(node, batch->written[i]);
    is_inner = is_inner || node->type == QUERY_NODE_SUBQUERY;
    for (size_t i = 0; (child = query_node_child(node, i)); i++)
        is_safe = search(batch, child, query,
                         is_inner || node->type == QUERY_NODE_MATRIX ||
                             (i > 0 && node->type == QUERY_NODE_CALL && node->call.info)) &&
                  is_safe;
    if (is_safe && !is_inner && query_sharing_may(node))
        note(batch, node, query);
    return is_safe;
}

static size_t count_lendable(const struct query_batch *batch)
{
    size_t count = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        for (const struct query_loan *at = batch->buckets[i]; at; at = at->next)
            count += at->queries > 1;
    return count;
}

struct query_batch *query_batch_new(const struct tw_str *texts, size_t count,
                                    const struct tw_str *written, size_t written_count,
                                    unsigned features)
{
    struct query_batch *batch = calloc(1, sizeof *batch);
    TW_ASSERT(batch != NULL);
    batch->magic = BATCH_MAGIC;
    batch->arena = tw_arena_new(4096);
    batch->written = written;
    batch->written_count = written_count;
    tw_buf_init(&batch->text, 2 * QUERY_SHARED_TEXT_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct query_ast *ast;
        if (texts[i].size > QUERY_SHARING_TEXT_BYTES_MAX ||
            query_parse(texts[i], features, &ast, NULL) != TW_OK)
            continue;
        if (query_ast_resolve(ast, 0, 0, NULL) == TW_OK) {
            query_propagate(ast);
            (void)search(batch, ast->root, i + 1, false);
        }
        query_ast_free(ast);
    }
    batch->written = NULL;
    return count_lendable(batch) > 0 ? batch : query_batch_free(batch);
}

struct query_batch *query_batch_free(struct query_batch *batch)
{
    if (batch) {
        TW_CHECK_MAGIC(batch, BATCH_MAGIC);
        tw_buf_fini(&batch->text);
        query_batch_end(batch);
        tw_arena_free(batch->arena);
        batch->magic = 0;
        free(batch);
    }
    return NULL;
}

void query_batch_begin(struct query_batch *batch, int64_t time_ms)
{
    query_batch_end(batch);
    if (!batch)
        return;
    batch->values = tw_arena_new(4096);
    batch->time_ms = time_ms;
}

void query_batch_end(struct query_batch *batch)
{
    if (!batch)
        return;
    TW_CHECK_MAGIC(batch, BATCH_MAGIC);
    batch->values = tw_arena_free(batch->values);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct query_loan *at = batch->buckets[i]; at; at = at->next)
            at->has_value = at->is_apart = false;
}

uint64_t query_batch_lent(const struct query_batch *batch)
{
    return batch ? batch->lent : 0;
}

struct query_loan *query_batch_find(struct query_batch *batch, const struct query_node *node,
                                    const struct query_loan *above)
{
    if (!query_sharing_may(node) || !print(batch, node))
        return NULL;
    struct tw_str text = tw_buf_str(&batch->text);
    struct query_loan *loan = find(batch, text, tw_hash64(text.data, text.size));
    return loan && loan->queries > (above ? above->queries : 1) ? loan : NULL;
}

/* ---- running ---- */

struct lender {
    struct query_op op;
    struct query_op *inner;
    struct query_batch *batch;
    struct query_loan *loan;
    bool passes; /* what the inner operator gives is handed on */
};

/* As if the lender were not there. */
static enum tw_code open_alone(struct lender *lender, struct query_exec *exec,
                               struct query_grid grid, struct tw_err *err)
{
    struct query_op *op = &lender->op, *inner = lender->inner;
    lender->passes = true;
    inner->grouped_by = op->grouped_by;
    enum tw_code code = query_op_open(inner, exec, grid, err);
    op->groups = inner->groups;
    if (!code)
        code = query_op_begin(op, exec, inner->series_count, false, err);
    if (!code && !inner->groups.group_of && inner->series_count)
        memcpy(op->labels, inner->labels, inner->series_count * sizeof *inner->labels);
    return code;
}

static void keep_row(struct lender *lender, const struct query_tile *tile, size_t row)
{
    struct tw_arena *arena = lender->batch->values;
    struct value *value = &lender->loan->value;
    const struct query_histogram *histogram = query_tile_histogram(tile, row, 0);
    if (!histogram && !query_bit(tile->present + row * tile->words, 0))
        return;
    if (histogram && !value->histograms)
        value->histograms =
            TW_ARENA_ARRAY(arena, const struct query_histogram *, lender->inner->series_count);
    if (histogram)
        value->histograms[value->count] = query_histogram_copy(arena, histogram, NULL, NULL);
    value->labels[value->count] = wire_labels_copy(arena, lender->inner->labels[tile->first + row]);
    value->numbers[value->count++] = tile->values[row * tile->stride];
}

/* Works the value out, once for this time; it is apart when there is too much of it, or when there
 * was something to say. */
static enum tw_code work_out(struct lender *lender, struct query_exec *exec, struct query_grid grid,
                             struct tw_err *err)
{
    struct query_loan *loan = lender->loan;
    struct tw_arena *arena = lender->batch->values;
    struct query_tile tile = {.count = 1};
    uint64_t before = exec->annotations->said;
    lender->inner->grouped_by = NULL;
    enum tw_code code = query_op_open(lender->inner, exec, grid, err);
    if (code)
        return code;
    size_t count = lender->inner->series_count;
    loan->is_apart = count > QUERY_BATCH_BYTES_MAX / 256;
    loan->value = (struct value){.labels = TW_ARENA_ARRAY(arena, struct wire_labels, count),
                                 .numbers = TW_ARENA_ARRAY(arena, double, count)};
    while (!code && !loan->is_apart && tile.count > 0) {
        code = query_op_next(lender->inner, exec, &tile, err);
        for (size_t row = 0; !code && row < tile.count; row++)
            keep_row(lender, &tile, row);
        loan->is_apart = loan->is_apart || tw_arena_bytes(arena) > QUERY_BATCH_BYTES_MAX ||
                         exec->annotations->said != before;
    }
    loan->has_value = !code && !loan->is_apart;
    return code;
}

static enum tw_code borrow(struct lender *lender, struct query_exec *exec, struct tw_err *err)
{
    const struct value *value = &lender->loan->value;
    enum tw_code code = query_op_begin(&lender->op, exec, value->count, true, err);
    if (!code && value->count)
        memcpy(lender->op.labels, value->labels, value->count * sizeof *value->labels);
    return code;
}

/* Whether the store makes the groups that are wanted: that is as cheap as all labels are once. */
static bool is_grouped(const struct query_op *op)
{
    return op->grouped_by && (op->node->type == QUERY_NODE_SELECTOR ||
                              (op->node->type == QUERY_NODE_CALL &&
                               op->node->call.function->kind == QUERY_KIND_RANGE));
}

static enum tw_code lender_open(struct query_op *op, struct query_exec *exec,
                                struct query_grid grid, struct tw_err *err)
{
    struct lender *lender = (struct lender *)op;
    struct query_loan *loan = lender->loan;
    if (!lender->batch->values || lender->batch->time_ms != grid.start_ms || grid.steps != 1 ||
        loan->is_apart || (is_grouped(op) && !loan->has_value))
        return open_alone(lender, exec, grid, err);
    lender->passes = false;
    lender->batch->lent += loan->has_value;
    enum tw_code code = loan->has_value ? TW_OK : work_out(lender, exec, grid, err);
    if (code)
        return code;
    return loan->has_value ? borrow(lender, exec, err) : open_alone(lender, exec, grid, err);
}

static enum tw_code lender_next(struct query_op *op, struct query_exec *exec,
                                struct query_tile *ret_tile, struct tw_err *err)
{
    struct lender *lender = (struct lender *)op;
    const struct value *value = &lender->loan->value;
    if (lender->passes)
        return query_op_next(lender->inner, exec, ret_tile, err);
    *ret_tile = query_op_batch(op);
    enum tw_code code = TW_OK;
    if (ret_tile->count > 0 && value->histograms)
        code = query_op_add_histograms(op, exec, ret_tile, err);
    for (size_t row = 0; !code && row < ret_tile->count; row++) {
        size_t at = ret_tile->first + row;
        ret_tile->values[row] = value->numbers[at];
        if (value->histograms && value->histograms[at])
            ret_tile->histograms[row] = value->histograms[at];
        else
            query_bit_set(ret_tile->present + row * ret_tile->words, 0);
    }
    return code;
}

static const struct query_op_ops lender_ops = {"lender", lender_open, lender_next, NULL};

struct query_op *query_loan_op(struct tw_arena *arena, const struct query_node *node,
                               struct query_batch *batch, struct query_loan *loan,
                               struct query_op *inner)
{
    struct lender *lender = TW_ARENA_NEW(arena, struct lender);
    TW_CHECK_MAGIC(batch, BATCH_MAGIC);
    lender->op.ops = &lender_ops;
    lender->op.node = node;
    lender->batch = batch;
    lender->loan = loan;
    lender->inner = inner;
    return &lender->op;
}
