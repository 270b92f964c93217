/* SPDX-License-Identifier: Apache-2.0
 *
 * Arithmetic and comparison between two vectors. The "one" side is materialised and found by
 * signature (the labels that must match); the "many" side streams.
 *
 * A row is a pair of series that match; each gives one output series. Rows whose labels are equal
 * are laid together by the merge operator behind (they may not meet at a step; that is checked
 * here, for Prometheus's sentences).
 *
 * Matching is by step: two series of one signature are fine as long as they do not meet.
 *
 * fill: where a side has no series of a signature at a step, a number stands for it. Then each
 * series of the many side has one more row, against the number, and each of the one side has one,
 * behind all others, since only then it is known where the many side has nothing.
 */
#include "config.h"

#include "query/operators.h"

#include <string.h>

#include "base/assert.h"
#include "query/arithmetic.h"
#include "query/histogram_binary.h"
#include "query/labelset.h"

#define NONE UINT32_MAX

struct pair {
    uint32_t many, one;         /* NONE: the number that is filled in */
    uint32_t signature, output; /* output: number of its label set */
};

struct join {
    struct query_op op;
    struct query_op *left, *right;
    struct query_op *many, *one;
    struct query_matrix side; /* the one side */
    uint64_t *side_bits;      /* where it has a number or a histogram */
    uint64_t *result_bits;    /* of one row, when there are histograms */
    uint64_t *fill_bits;      /* steps at which one row is filled in */
    bool fills_many, fills_one, pulled_all;
    double *fill_many, *fill_one; /* rows of the number filled in */
    uint64_t *many_any, *one_any; /* by signature: steps at which the side has any point */
    uint32_t *signature_of_many;  /* by series of the many side; NONE: not on the one side */
    uint32_t *signature_of_one;   /* by series of the one side */
    uint32_t *first_one;          /* by signature: its newest series of the one side */
    uint32_t *next_one;           /* by series: the one before with the same signature */
    size_t signature_count;
    struct pair *pairs;
    size_t pair_count, output_count;
    struct query_tile tile;     /* of the many side */
    uint64_t *many_seen;        /* steps at which the many side has any point */
    uint64_t *duplicate_steps;  /* steps at which two series of the one side meet */
    uint32_t duplicate[2];      /* the first two of them */
    uint64_t *matched;          /* by signature: steps that have a result (one-to-one) */
    uint64_t *output_seen;      /* by output: the same, when outputs are fewer than pairs */
    uint32_t *output_signature; /* by output: the signature that came last */
};

static const struct query_matching *matching_of(const struct join *join)
{
    return &join->op.node->binary.matching;
}

static enum tw_code alloc_u32(struct query_exec *exec, size_t count, uint32_t **ret,
                              struct tw_err *err)
{
    void *memory;
    enum tw_code code = query_exec_alloc(exec, count, sizeof **ret, &memory, err);
    if (!code)
        *ret = memory;
    return code;
}

static enum tw_code alloc_bits(struct query_exec *exec, size_t count, size_t words, uint64_t **ret,
                               struct tw_err *err)
{
    void *memory;
    enum tw_code code = query_exec_alloc(exec, count, words * sizeof **ret, &memory, err);
    if (!code)
        *ret = memory;
    return code;
}

/* ---- labels of the result ---- */
static struct wire_labels result_labels(const struct join *join, struct query_exec *exec,
                                        struct wire_labels many, struct wire_labels one)
{
    const struct query_node *node = join->op.node;
    const struct query_matching *matching = matching_of(join);
    struct tw_arena *arena = exec->arena;
    bool drop_name = query_binary_drops_name(node);
    struct wire_labels labels = many;
    if (matching->card == QUERY_ONE_TO_ONE)
        labels = matching->on ? query_labels_keep(arena, labels, &matching->labels)
                              : query_labels_drop(arena, labels, &matching->labels, true);
    /* As in Prometheus: what a filter lets through has its name again, what was calculated of two
     * vectors has none from here on, even where names are removed late. */
    if (drop_name && !query_token_is_comparison(node->binary.op))
        labels = query_labels_without_name(arena, query_labels_save_name(labels));
    else
        labels = drop_name ? query_labels_lose_name(exec, labels) : query_labels_save_name(labels);
    for (size_t i = 0; i < matching->include.count; i++)
        labels = query_labels_set(arena, labels, matching->include.items[i],
                                  wire_labels_get(one, matching->include.items[i]));
    return labels;
}

/* The labels of what is filled in for the series that it stands against. */
static struct wire_labels filled_labels(const struct join *join, struct tw_arena *arena,
                                        struct wire_labels other)
{
    return query_labels_signature(arena, other, matching_of(join));
}

/* ---- open ---- */
static enum tw_code index_sides(struct join *join, struct query_exec *exec,
                                struct query_label_index *index, struct tw_err *err)
{
    size_t count = join->one->series_count, many_count = join->many->series_count;
    size_t signatures_max = count + (join->fills_one ? many_count : 0);
    enum tw_code code = query_label_index_init(index, exec, signatures_max, err);
    if (!code)
        code = alloc_u32(exec, count, &join->signature_of_one, err);
    if (!code)
        code = alloc_u32(exec, many_count, &join->signature_of_many, err);
    if (!code)
        code = alloc_u32(exec, count, &join->next_one, err);
    if (!code)
        code = alloc_u32(exec, signatures_max, &join->first_one, err);
    if (code)
        return code;
    memset(join->first_one, 0xff, signatures_max * sizeof *join->first_one);
    for (size_t i = 0; i < count; i++) {
        struct wire_labels signature =
            query_labels_signature(exec->arena, join->one->labels[i], matching_of(join));
        size_t number = query_label_index_add(index, signature);
        join->signature_of_one[i] = (uint32_t)number;
        join->next_one[i] = join->first_one[number];
        join->first_one[number] = (uint32_t)i;
        code = query_exec_labelled(exec, signature.count, 0, err);
        if (code)
            return code;
    }
    for (size_t i = 0; !code && i < many_count; i++) {
        struct wire_labels signature =
            query_labels_signature(exec->arena, join->many->labels[i], matching_of(join));
        size_t number = join->fills_one ? query_label_index_add(index, signature)
                                        : query_label_index_find(index, signature);
        join->signature_of_many[i] = number == SIZE_MAX ? NONE : (uint32_t)number;
        code = query_exec_labelled(exec, signature.count, 0, err);
    }
    join->signature_count = index->count;
    return code;
}

static enum tw_code count_pairs(const struct join *join, struct query_exec *exec, size_t *ret_count,
                                struct tw_err *err)
{
    size_t many_count = join->many->series_count, one_count = join->one->series_count;
    uint32_t *ones; /* by signature: series of the one side */
    enum tw_code code = alloc_u32(exec, join->signature_count, &ones, err);
    if (code)
        return code;
    *ret_count = (join->fills_one ? many_count : 0) + (join->fills_many ? one_count : 0);
    for (size_t i = 0; i < one_count; i++)
        ones[join->signature_of_one[i]]++;
    for (size_t i = 0; i < many_count; i++)
        if (join->signature_of_many[i] != NONE)
            *ret_count += ones[join->signature_of_many[i]];
    return TW_OK;
}

static enum tw_code add_pair(struct join *join, struct query_exec *exec,
                             struct query_label_index *outputs, uint32_t many, uint32_t one,
                             uint32_t signature, struct tw_err *err)
{
    struct wire_labels many_labels = many == NONE
                                         ? filled_labels(join, exec->arena, join->one->labels[one])
                                         : join->many->labels[many];
    struct wire_labels one_labels =
        one == NONE ? filled_labels(join, exec->arena, many_labels) : join->one->labels[one];
    struct wire_labels labels = result_labels(join, exec, many_labels, one_labels);
    join->op.labels[join->pair_count] = labels;
    join->pairs[join->pair_count++] =
        (struct pair){many, one, signature, (uint32_t)query_label_index_add(outputs, labels)};
    return query_exec_labelled(exec, labels.count, 0, err);
}

static enum tw_code make_pairs(struct join *join, struct query_exec *exec, struct tw_err *err)
{
    size_t count;
    void *memory;
    struct query_label_index outputs;
    enum tw_code code = count_pairs(join, exec, &count, err);
    if (!code)
        code = query_exec_alloc(exec, count, sizeof *join->pairs, &memory, err);
    join->pairs = memory;
    if (!code)
        code = query_label_index_init(&outputs, exec, count, err);
    if (!code)
        code = query_op_begin(&join->op, exec, count, true, err);
    if (code)
        return code;
    join->pair_count = 0;
    for (uint32_t i = 0; !code && i < join->many->series_count; i++) {
        uint32_t signature = join->signature_of_many[i];
        uint32_t one = signature == NONE ? NONE : join->first_one[signature];
        for (; !code && one != NONE; one = join->next_one[one])
            code = add_pair(join, exec, &outputs, i, one, signature, err);
        if (!code && join->fills_one)
            code = add_pair(join, exec, &outputs, i, NONE, signature, err);
    }
    for (uint32_t i = 0; !code && join->fills_many && i < join->one->series_count; i++)
        code = add_pair(join, exec, &outputs, NONE, i, join->signature_of_one[i], err);
    join->output_count = outputs.count;
    return code;
}

/* Where two series of one signature meet on the one side: an error once the many side has points
 * there. */
static enum tw_code find_duplicates(struct join *join, struct query_exec *exec, struct tw_err *err)
{
    size_t words = join->side.words;
    enum tw_code code = alloc_bits(exec, join->signature_count, words, &join->one_any, err);
    if (!code)
        code = alloc_bits(exec, 1, words, &join->duplicate_steps, err);
    if (!code)
        code = alloc_bits(exec, 1, words, &join->many_seen, err);
    if (code)
        return code;
    if (join->fills_many) /* then all of the one side is used */
        query_bits_fill(join->many_seen, join->side.stride);
    join->duplicate[0] = join->duplicate[1] = NONE;
    for (uint32_t i = 0; i < join->side.count; i++) {
        uint64_t *bits = join->one_any + join->signature_of_one[i] * words;
        const uint64_t *present = join->side_bits + i * words;
        for (size_t w = 0; w < words; w++) {
            uint64_t both = bits[w] & present[w];
            join->duplicate_steps[w] |= both;
            bits[w] |= present[w];
            if (!both || join->duplicate[0] != NONE)
                continue;
            size_t step = w * 64 + (size_t)__builtin_ctzll(both);
            uint32_t other = join->next_one[i];
            while (other != NONE && !query_bit(join->side_bits + other * words, step))
                other = join->next_one[other];
            join->duplicate[0] = i;
            join->duplicate[1] = other;
        }
    }
    return TW_OK;
}

/* Rows of the numbers that are filled in, and where the many side has points. */
static enum tw_code prepare_fills(struct join *join, struct query_exec *exec, struct tw_err *err)
{
    const struct query_matching *matching = matching_of(join);
    size_t steps = join->op.grid.steps;
    void *many, *one;
    enum tw_code code =
        alloc_bits(exec, join->signature_count, query_words(steps), &join->many_any, err);
    if (!code)
        code = query_exec_alloc(exec, steps, sizeof(double), &many, err);
    if (!code)
        code = query_exec_alloc(exec, steps, sizeof(double), &one, err);
    if (code)
        return code;
    join->fill_many = many;
    join->fill_one = one;
    for (size_t s = 0; s < steps; s++) {
        join->fill_many[s] = matching->fill_left;
        join->fill_one[s] = matching->fill_right;
    }
    return TW_OK;
}

/* With histograms on the one side, its presence is more than the bits of its numbers. */
static enum tw_code note_side(struct join *join, struct query_exec *exec, struct tw_err *err)
{
    const struct query_matrix *side = &join->side;
    join->side_bits = side->present;
    if (!side->histograms)
        return TW_OK;
    enum tw_code code = alloc_bits(exec, side->count, side->words, &join->side_bits, err);
    if (code)
        return code;
    memcpy(join->side_bits, side->present, side->count * side->words * sizeof *join->side_bits);
    for (size_t i = 0; i < side->count; i++)
        query_bits_add_histograms(join->side_bits + i * side->words,
                                  side->histograms + i * side->stride, side->stride);
    return TW_OK;
}

static enum tw_code pull(struct join *join, struct query_exec *exec, struct tw_err *err);

static enum tw_code join_open(struct query_op *op, struct query_exec *exec, struct query_grid grid,
                              struct tw_err *err)
{
    struct join *join = (struct join *)op;
    struct query_label_index index;
    join->tile = (struct query_tile){0};
    join->pulled_all = false;
    enum tw_code code = query_op_open(join->one, exec, grid, err);
    if (!code)
        code = query_op_open(join->many, exec, grid, err);
    if (!code)
        code = index_sides(join, exec, &index, err);
    if (!code)
        code = query_op_materialise(join->one, exec, &join->side, err);
    if (!code)
        code = note_side(join, exec, err);
    if (!code)
        code = alloc_bits(exec, 1, query_words(grid.steps), &join->result_bits, err);
    if (!code)
        code = alloc_bits(exec, 1, query_words(grid.steps), &join->fill_bits, err);
    if (!code)
        code = find_duplicates(join, exec, err);
    if (!code && (join->fills_many || join->fills_one))
        code = prepare_fills(join, exec, err);
    /* Then the first tile nearly always tells that it is an error, before pairs are made that are
     * as many as the square of the series. */
    if (!code && join->duplicate[0] != NONE)
        code = pull(join, exec, err);
    if (!code)
        code = make_pairs(join, exec, err);
    size_t words = query_words(grid.steps);
    if (!code && matching_of(join)->card == QUERY_ONE_TO_ONE)
        code = alloc_bits(exec, join->signature_count, words, &join->matched, err);
    if (!code && join->output_count < join->pair_count) {
        code = alloc_bits(exec, join->output_count, words, &join->output_seen, err);
        if (!code)
            code = alloc_u32(exec, join->output_count, &join->output_signature, err);
    } else {
        join->output_seen = NULL;
    }
    return code;
}

/* ---- next ---- */
static enum tw_code check_duplicates(struct join *join, struct query_exec *exec, struct tw_err *err)
{
    bool met = false;
    for (size_t w = 0; w < join->side.words; w++)
        met = met || (join->duplicate_steps[w] & join->many_seen[w]);
    if (!met)
        return TW_OK;
    struct wire_labels a = join->one->labels[join->duplicate[0]];
    struct wire_labels b = join->one->labels[join->duplicate[1]];
    struct wire_labels group = query_labels_signature(exec->arena, a, matching_of(join));
    struct tw_str group_text = query_labels_text(exec->arena, group);
    struct tw_str a_text = query_labels_text(exec->arena, a),
                  b_text = query_labels_text(exec->arena, b);
    return query_exec_fail(exec, join->op.node, err,
                           "found duplicate series for the match group %.*s on the %s hand-side of "
                           "the operation: [%.*s, %.*s];many-to-many matching not allowed: "
                           "matching labels must be unique on one side",
                           TW_STR_ARG(group_text),
                           matching_of(join)->card == QUERY_ONE_TO_MANY ? "left" : "right",
                           TW_STR_ARG(a_text), TW_STR_ARG(b_text));
}

/* The next tile of the many side; its points are remembered. */
static enum tw_code pull(struct join *join, struct query_exec *exec, struct tw_err *err)
{
    enum tw_code code = query_op_next(join->many, exec, &join->tile, err);
    if (code)
        return code;
    join->pulled_all = join->tile.count == 0;
    for (size_t i = 0; i < join->tile.count * join->tile.words; i++)
        join->many_seen[i % join->tile.words] |= join->tile.present[i];
    for (size_t row = 0; join->tile.histograms && row < join->tile.count; row++)
        query_bits_add_histograms(join->many_seen, join->tile.histograms + row * join->tile.stride,
                                  join->tile.stride);
    for (size_t i = 0; join->fills_many && i < join->tile.count; i++) {
        uint32_t signature = join->signature_of_many[join->tile.first + i];
        for (size_t w = 0; signature != NONE && w < join->tile.words; w++)
            join->many_any[signature * join->tile.words + w] |=
                join->tile.present[i * join->tile.words + w];
        if (signature != NONE && join->tile.histograms)
            query_bits_add_histograms(join->many_any + signature * join->tile.words,
                                      join->tile.histograms + i * join->tile.stride,
                                      join->tile.stride);
    }
    return check_duplicates(join, exec, err);
}

static bool add_bits(uint64_t *seen, const uint64_t *present, size_t words)
{
    bool met = false;
    for (size_t w = 0; w < words; w++) {
        met = met || (seen[w] & present[w]);
        seen[w] |= present[w];
    }
    return met;
}

static enum tw_code check_pair(struct join *join, struct query_exec *exec, const struct pair *pair,
                               const uint64_t *present, size_t words, struct tw_err *err)
{
    if (matching_of(join)->card == QUERY_ONE_TO_ONE) {
        if (add_bits(join->matched + pair->signature * words, present, words))
            return query_exec_fail(exec, join->op.node, err,
                                   "multiple matches for labels: many-to-one matching must be "
                                   "explicit (group_left/group_right)");
    } else if (join->output_seen) {
        if (add_bits(join->output_seen + pair->output * words, present, words) &&
            join->output_signature[pair->output] == pair->signature)
            return query_exec_fail(exec, join->op.node, err,
                                   "multiple matches for labels: grouping labels must ensure "
                                   "unique matches");
        join->output_signature[pair->output] = pair->signature;
    }
    return TW_OK;
}

/* One side of a pair: a series, or the number that stands for a missing one. */
struct pair_side {
    const double *values;
    const uint64_t *present;
    const struct query_histogram *const *histograms;
};

static struct pair_side side_of(const struct join *join, const struct pair *pair, bool many)
{
    size_t words = query_words(join->op.grid.steps), stride = join->op.grid.steps;
    uint32_t series = many ? pair->many : pair->one;
    if (series == NONE) {
        const uint64_t *any = (many ? join->many_any : join->one_any) + pair->signature * words;
        for (size_t w = 0; w < words; w++)
            join->fill_bits[w] = ~any[w];
        return (struct pair_side){many ? join->fill_many : join->fill_one, join->fill_bits, NULL};
    }
    if (many) {
        size_t row = series - join->tile.first;
        return (struct pair_side){
            join->tile.values + row * stride, join->tile.present + row * words,
            join->tile.histograms ? join->tile.histograms + row * stride : NULL};
    }
    return (struct pair_side){
        join->side.values + series * stride, join->side.present + series * words,
        join->side.histograms ? join->side.histograms + series * stride : NULL};
}

/* The steps of a pair at which either side has a histogram. */
static enum tw_code compute_histograms(struct join *join, struct query_exec *exec,
                                       const struct pair_side *left, const struct pair_side *right,
                                       struct query_tile *tile, size_t r, struct tw_err *err)
{
    struct query_op *op = &join->op;
    enum tw_code code = tile->histograms ? TW_OK : query_op_add_histograms(op, exec, tile, err);
    if (code)
        return code;
    const struct query_histogram_row row = {
        .left = left->values,
        .right = right->values,
        .left_present = left->present,
        .right_present = right->present,
        .left_histograms = left->histograms,
        .right_histograms = right->histograms,
        .out = tile->values + r * tile->stride,
        .present = tile->present + r * tile->words,
        .histograms = tile->histograms + r * tile->stride,
        .steps = tile->stride,
    };
    query_histogram_binary_row(exec, op->node, query_op_side(op), &row);
    /* What a comparison keeps may belong to a tile of the many side that is gone before this one.
     */
    for (size_t s = 0; query_token_is_comparison(op->node->binary.op) && s < tile->stride; s++)
        if (row.histograms[s])
            row.histograms[s] =
                query_histogram_copy(query_op_side(op), row.histograms[s], NULL, NULL);
    return query_op_side_check(op, exec, err);
}

static enum tw_code compute_pair(struct join *join, struct query_exec *exec,
                                 const struct pair *pair, struct query_tile *tile, size_t r,
                                 struct tw_err *err)
{
    size_t words = tile->words;
    uint64_t *present = tile->present + r * words;
    const struct pair_side many = side_of(join, pair, true), one = side_of(join, pair, false);
    bool swapped = join->many == join->right;
    for (size_t w = 0; w < words; w++)
        present[w] = many.present[w] & one.present[w];
    const struct query_binary_row operation = {
        .op = join->op.node->binary.op,
        .return_bool = join->op.node->binary.return_bool,
        .left = swapped ? one.values : many.values,
        .right = swapped ? many.values : one.values,
        .out = tile->values + r * tile->stride,
        .present = present,
        .steps = tile->stride,
    };
    query_binary_apply(&operation, exec, join->op.node);
    if (!many.histograms && !one.histograms)
        return check_pair(join, exec, pair, present, words, err);
    enum tw_code code = compute_histograms(join, exec, swapped ? &one : &many,
                                           swapped ? &many : &one, tile, r, err);
    if (code)
        return code;
    memcpy(join->result_bits, present, words * sizeof *present);
    query_bits_add_histograms(join->result_bits, tile->histograms + r * tile->stride, tile->stride);
    return check_pair(join, exec, pair, join->result_bits, words, err);
}

static enum tw_code join_next(struct query_op *op, struct query_exec *exec,
                              struct query_tile *ret_tile, struct tw_err *err)
{
    struct join *join = (struct join *)op;
    *ret_tile = query_op_batch(op);
    enum tw_code code = TW_OK;
    for (size_t r = 0; !code && r < ret_tile->count; r++) {
        const struct pair *pair = &join->pairs[ret_tile->first + r];
        while (!code && !join->pulled_all &&
               (pair->many == NONE || pair->many >= join->tile.first + join->tile.count)) {
            code = pull(join, exec, err);
            TW_ASSERT(code || pair->many == NONE || join->tile.count > 0);
        }
        if (!code)
            code = compute_pair(join, exec, pair, ret_tile, r, err);
        if (!code && query_op_side_is_full(op)) {
            query_op_cut(op, ret_tile, r + 1);
            break;
        }
    }
    if (code || ret_tile->count > 0)
        return code;
    while (!code && !join->pulled_all) /* what matches nothing decides about duplicates, too */
        code = pull(join, exec, err);
    return code;
}

static const struct query_op_ops join_ops = {"join", join_open, join_next, NULL};

struct query_op *query_join_op(struct tw_arena *arena, const struct query_node *node,
                               struct query_op *left, struct query_op *right)
{
    struct join *join = TW_ARENA_NEW(arena, struct join);
    bool swapped = node->binary.matching.card == QUERY_ONE_TO_MANY;
    join->op.ops = &join_ops;
    join->op.node = node;
    join->left = left;
    join->right = right;
    join->many = swapped ? right : left;
    join->one = swapped ? left : right;
    /* Prometheus's: with group_right, too, "left" is the many side. */
    join->fills_many = node->binary.matching.fills_left;
    join->fills_one = node->binary.matching.fills_right;
    return &join->op;
}
