/* SPDX-License-Identifier: Apache-2.0
 *
 * operator: the running form of a query: a tree of operators that pull tiles from each other.
 *
 *   grid   the evaluation times: start, start + step, ...
 *   tile   some series x all steps of the grid: a row of values and a row of presence bits for
 *          each. Streaming operators give at most QUERY_TILE_SERIES at a time, those that had to
 *          materialise give all at once
 *
 *          values   [series 0: step 0 1 2 ...][series 1: ...]...     stride = steps
 *          present  [series 0: bits of 64 steps a word][series 1 ...]  words = (steps + 63) / 64
 *
 * A series may have native histograms, at all steps or at some: a tile with any has pointers to
 * them beside its floats. What knows floats only sees nothing at those steps, and leaves the
 * histograms out by giving a tile without them.
 *
 *          histograms  NULL, or a pointer for each value: NULL where there is none    stride =
 * steps
 *
 *   I1  At a step a series has a float or a histogram, not both: where a histogram is, the presence
 *       bit is not set.
 *   I2  Histograms live as long as their tile: in the side arena of the operator that gives it,
 *       which is emptied when the next batch begins. They are never changed.
 *
 * Life: open(grid) learns the series (their labels, in order), next() gives their tiles in that
 * order until count is 0, close() gives back what is not memory of the run. open() may be called
 * again, with the next slice of steps; the memory of the slice before is gone by then.
 *
 * A tile belongs to its operator until the next next(); whoever pulled it may change it in place,
 * so that functions of single values need no buffer of their own. Values at absent steps are
 * meaningless but defined. Bits behind the last step are zero.
 *
 * Memory comes from the run's arena by query_exec_alloc, which keeps the budget; that of histograms
 * in side arenas counts against the same budget (query_op_side_check).
 *
 * Threads: one run, one thread.
 */
#ifndef TW_QUERY_OPERATOR_H
#define TW_QUERY_OPERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/context.h"
#include "query/annotation.h"
#include "query/ast.h"
#include "query/histogram_value.h"
#include "query/running.h"
#include "query/tally.h"
#include "tsdb/storage.h"

#define QUERY_TILE_SERIES 64
/* A tile's values stay near the caches: with many steps it has fewer series. */
#define QUERY_TILE_VALUES ((size_t)1 << 18)

/* Models that one query may learn: about a minute's work. */
#define QUERY_FITS_MAX 20000

struct query_grid {
    int64_t start_ms, step_ms;
    size_t steps; /* >= 1 */
};

static inline int64_t query_grid_time(const struct query_grid *grid, size_t step)
{
    return grid->start_ms + (int64_t)step * grid->step_ms;
}

struct query_tile {
    size_t first, count; /* series of the operator; count 0 = the end */
    size_t stride, words;
    double *values;
    uint64_t *present;
    const struct query_histogram **histograms; /* NULL: there are none */
};

static inline const struct query_histogram *query_tile_histogram(const struct query_tile *tile,
                                                                 size_t row, size_t step)
{
    return tile->histograms ? tile->histograms[row * tile->stride + step] : NULL;
}

/* What one run shares. */
struct forecast_holidays;
struct query_helpers;
struct query_kept;
struct query_selections;
struct query_batch;
struct query_exec {
    struct tsdb_storage *storage;
    const struct tw_context *context;
    const struct query_ast *ast;
    struct tw_arena *arena;              /* of the slice */
    const struct tw_arena *result_arena; /* NULL: there is no result here */
    struct query_ticket *ticket;
    struct query_annotations *annotations;
    struct query_tally *tally;           /* NULL: nobody asks */
    struct query_selections *selections; /* look-ups that selectors share; NULL: none do */
    struct query_batch *batch;           /* that the query is one of; NULL: of none */
    struct query_kept *kept;             /* models that stay; NULL: none do */
    size_t renews_max;                   /* of a run that only learns kept models anew; else 0 */
    struct query_helpers *helpers;       /* threads beside the run's own; NULL: none */
    int64_t start_ms, end_ms;            /* of the whole query, for @ start() and @ end() */
    int64_t step_ms;                     /* of the whole query; 0 = instant */
    int64_t deadline_mono_ns;            /* the engine's own; the context may have an earlier one */
    int64_t lookback_ms, subquery_step_ms;
    int64_t now_ms; /* by the wall clock, when the query began */
    uint64_t samples_read, samples_max;
    uint64_t bytes_max;  /* of the arena, the side arenas and the result */
    uint64_t side_bytes; /* of the side arenas */
    uint64_t work;       /* samples since the context was asked last */
    uint64_t slice;      /* number of the one that is run, from 1 */
    uint64_t fits;       /* models learned, of at most QUERY_FITS_MAX */
    bool instant;
    bool delays_names; /* names are dropped at the end of the query (labelset.h) */
    bool reads_types;  /* __type__ tells what is a counter, rather than the name's end */
    bool has_starts;   /* start_timestamp() gives something */
    bool out_of_bytes; /* a smaller slice may do */

    /* Held until the query ends; NULL: there are none. */
    struct forecast_holidays *holidays;
};

/* Zeroed memory of the slice. */
TW_MUST_CHECK enum tw_code query_exec_alloc(struct query_exec *exec, size_t count,
                                            size_t item_bytes, void **ret, struct tw_err *err);
/* Is there room for so many bytes more, of whatever lifetime? */
TW_MUST_CHECK enum tw_code query_exec_room(struct query_exec *exec, size_t bytes,
                                           struct tw_err *err);
/* Counts samples or values that were worked on; asks now and then for deadline, cancellation and
 * memory. Every loop that can grow with the query or the data counts what it does. */
TW_MUST_CHECK enum tw_code query_exec_worked(struct query_exec *exec, size_t values,
                                             struct tw_err *err);
/* The same for label sets that were made or looked up: their labels and the bytes of new texts. */
TW_MUST_CHECK enum tw_code query_exec_labelled(struct query_exec *exec, size_t labels,
                                               size_t text_bytes, struct tw_err *err);
/* Counts samples read from the store against the limit. */
TW_MUST_CHECK enum tw_code query_exec_read(struct query_exec *exec, size_t samples,
                                           struct tw_err *err);
/* An error of execution at a node. */
enum tw_code query_exec_fail(struct query_exec *exec, const struct query_node *node,
                             struct tw_err *err, const char *format, ...) TW_PRINTF(4, 5);
enum tw_code query_exec_same_labels(struct query_exec *exec, const struct query_node *node,
                                    struct tw_err *err);

/* The warning about a quantile outside [0, 1]. */
void query_exec_check_quantile(struct query_exec *exec, const struct query_node *node, double q);

struct query_op;
struct query_op_ops {
    const char *name;
    enum tw_code (*open)(struct query_op *op, struct query_exec *exec, struct query_grid grid,
                         struct tw_err *err);
    enum tw_code (*next)(struct query_op *op, struct query_exec *exec, struct query_tile *ret_tile,
                         struct tw_err *err);
    void (*close)(
        struct query_op *op); /* NULL: nothing but memory; children are the plan's business */
};

/* First member of each operator. */
struct query_op {
    const struct query_op_ops *ops;
    const struct query_node *node;
    struct query_op *sibling; /* list of all operators of the plan, to close them */
    /* Of operators that read the store, so that several threads may (parallel.h): makes op, another
     * thread's, read what `from` has opened. Grid, labels, groups and tile are set. */
    enum tw_code (*share)(struct query_op *op, const struct query_op *from, struct query_exec *exec,
                          struct tw_err *err);
    void (*stop)(struct query_op *op); /* no other thread works for it any more; NULL: none does */
    /* The aggregation that takes this operator's series and nothing of their labels but its groups;
     * NULL: the labels are wanted. An operator may then leave labels NULL and set groups. */
    const struct query_node *grouped_by;
    enum query_tallied tallied; /* of operators that read samples */
    struct query_grid grid;
    struct wire_labels *labels; /* of each series */
    struct tsdb_groups groups;  /* group_of NULL: none were made */
    size_t series_count;
    size_t given; /* series given out so far */
    struct query_tile tile;
    struct tw_arena *side; /* of the tile's histograms; NULL until the first one */
    uint64_t side_bytes;   /* as counted in exec */
};

TW_MUST_CHECK enum tw_code query_op_open(struct query_op *op, struct query_exec *exec,
                                         struct query_grid grid, struct tw_err *err);
TW_MUST_CHECK enum tw_code query_op_next(struct query_op *op, struct query_exec *exec,
                                         struct query_tile *ret_tile, struct tw_err *err);

/* For operators: sets the number of series and makes room for their labels, unless groups are set
 * (and a tile of their own). */
TW_MUST_CHECK enum tw_code query_op_begin(struct query_op *op, struct query_exec *exec,
                                          size_t series_count, bool own_tile, struct tw_err *err);
/* For operators with a tile of their own: the next batch of series, presence cleared; count 0 at
 * the end. */
struct query_tile query_op_batch(struct query_op *op);

/* ---- histograms of an operator's tile ---- */

/* Where they are made. */
struct tw_arena *query_op_side(struct query_op *op);
/* The histograms of the tile before are gone. query_op_batch calls it; operators that change other
 * operators' tiles do so themselves, before each tile. */
void query_op_side_reset(struct query_op *op);
/* After some were made: does the run still keep its budget? */
TW_MUST_CHECK enum tw_code query_op_side_check(struct query_op *op, struct query_exec *exec,
                                               struct tw_err *err);
/* Is the side arena so full that the tile had better end with this row? */
bool query_op_side_is_full(const struct query_op *op);
/* Ends a batch after so many of its rows. */
void query_op_cut(struct query_op *op, struct query_tile *tile, size_t rows);
/* Gives a tile, which has none yet, room for histograms: pointers that are NULL. */
TW_MUST_CHECK enum tw_code query_op_add_histograms(struct query_op *op, struct query_exec *exec,
                                                   struct query_tile *tile, struct tw_err *err);
/* Frees the side arena; for the plan. */
void query_op_side_fini(struct query_op *op);

/* Room for rows x steps, and the same filled with all that an opened operator gives. */
struct query_matrix {
    size_t count, stride, words;
    double *values;
    uint64_t *present;
    const struct query_histogram **histograms; /* as in a tile, but all are the run's */
};
TW_MUST_CHECK enum tw_code query_matrix_init(struct query_matrix *matrix, struct query_exec *exec,
                                             size_t count, size_t steps, struct tw_err *err);
/* Copies a tile's row of histograms to a row of the matrix, for the steps that have one. */
TW_MUST_CHECK enum tw_code query_matrix_take_histograms(struct query_matrix *matrix,
                                                        struct query_exec *exec, size_t to,
                                                        const struct query_tile *tile, size_t row,
                                                        struct tw_err *err);
/* All of a matrix as one tile. */
struct query_tile query_matrix_tile(const struct query_matrix *matrix);
TW_MUST_CHECK enum tw_code query_op_materialise(struct query_op *op, struct query_exec *exec,
                                                struct query_matrix *ret, struct tw_err *err);
/* Opens a scalar operator and gives its one row. */
TW_MUST_CHECK enum tw_code query_op_row(struct query_op *op, struct query_exec *exec,
                                        struct query_grid grid, const double **ret_row,
                                        struct tw_err *err);

/* Does the tile have any histogram? */
bool query_tile_any_histogram(const struct query_tile *tile);

/* ---- presence bits ---- */
static inline size_t query_words(size_t steps)
{
    return (steps + 63) / 64;
}

static inline bool query_bit(const uint64_t *present, size_t step)
{
    return present[step / 64] >> (step % 64) & 1;
}

static inline void query_bit_set(uint64_t *present, size_t step)
{
    present[step / 64] |= UINT64_C(1) << (step % 64);
}

static inline void query_bit_clear(uint64_t *present, size_t step)
{
    present[step / 64] &= ~(UINT64_C(1) << (step % 64));
}

bool query_bits_any(const uint64_t *present, size_t words);
/* Sets the bits of the steps at which the row has a histogram; row NULL: none. */
void query_bits_add_histograms(uint64_t *bits, const struct query_histogram *const *row,
                               size_t steps);
/* All steps present; bits behind the last stay zero. */
void query_bits_fill(uint64_t *present, size_t steps);

/* Steps that are present, in order: for (size_t s = query_bits_next(p, 0, steps); s < steps; s =
 * query_bits_next(p, s + 1, steps)) */
static inline size_t query_bits_next(const uint64_t *present, size_t from, size_t steps)
{
    while (from < steps) {
        uint64_t word = present[from / 64] >> (from % 64);
        if (word)
            return from + (size_t)__builtin_ctzll(word);
        from = (from / 64 + 1) * 64;
    }
    return steps;
}

#define QUERY_EACH_STEP(step, present, steps)                                                      \
    for (size_t step = query_bits_next((present), 0, (steps)); step < (steps);                     \
         step = query_bits_next((present), step + 1, (steps)))

#endif
