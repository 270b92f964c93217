/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/tally.h"

#include "query/operator.h"
#include "query/samples.h"
#include "query/windows.h"

struct query_tally *query_tally_new(struct tw_arena *arena, int64_t start_ms, int64_t end_ms,
                                    int64_t step_ms)
{
    struct query_tally *tally = TW_ARENA_NEW(arena, struct query_tally);
    tally->start_ms = start_ms;
    tally->step_ms = step_ms;
    tally->count = step_ms ? (size_t)((end_ms - start_ms) / step_ms) + 1 : 1;
    tally->steps = TW_ARENA_ARRAY(arena, uint64_t, tally->count);
    return tally;
}

/* At a step of an operator's grid, which may be a slice of the query's. */
static void add(struct query_tally *tally, const struct query_op *op, size_t step, uint64_t samples)
{
    size_t first =
        op->tallied == QUERY_TALLIED_EVERY_STEP ? 0
        : tally->step_ms
            ? (size_t)((query_grid_time(&op->grid, step) - tally->start_ms) / tally->step_ms)
            : 0;
    size_t limit = op->tallied == QUERY_TALLIED_EVERY_STEP ? tally->count : first + 1;
    for (size_t i = first; i < limit && i < tally->count; i++) {
        tally->steps[i] += samples;
        tally->total += samples;
    }
}

static bool counts(const struct query_exec *exec, const struct query_op *op)
{
    /* What is evaluated once is so in each slice of the steps: the first one counts. */
    return exec->tally && op->tallied != QUERY_TALLIED_NOT &&
           (op->tallied != QUERY_TALLIED_EVERY_STEP || op->grid.start_ms == exec->tally->start_ms);
}

static void note_series(struct query_tally *tally, uint64_t samples)
{
    tally->series_peak = samples > tally->series_peak ? samples : tally->series_peak;
}

void query_tally_tile(struct query_exec *exec, const struct query_op *op,
                      const struct query_tile *tile)
{
    if (!counts(exec, op))
        return;
    for (size_t row = 0; row < tile->count; row++) {
        QUERY_EACH_STEP(s, tile->present + row * tile->words, tile->stride)
        add(exec->tally, op, s, 1);
        for (size_t s = 0; tile->histograms && s < tile->stride; s++) {
            const struct query_histogram *histogram = query_tile_histogram(tile, row, s);
            if (histogram)
                add(exec->tally, op, s, query_histogram_weight(histogram));
        }
    }
    note_series(exec->tally, tile->count ? 1 : 0);
}

void query_tally_windows(struct query_exec *exec, const struct query_op *op,
                         const struct query_windows *windows, const struct query_samples *samples,
                         int64_t first_end_ms, int64_t end_step_ms, int64_t range_ms)
{
    if (!counts(exec, op))
        return;
    uint64_t held = 0;
    size_t low = 0, high = 0; /* of the histograms */
    for (size_t s = 0; s < op->grid.steps; s++) {
        int64_t end_ms = first_end_ms + (int64_t)s * end_step_ms;
        uint64_t count = samples->count && windows->high[s] > windows->low[s]
                             ? windows->high[s] - windows->low[s]
                             : 0;
        while (high < samples->histogram_count && samples->histogram_times_ms[high] <= end_ms)
            high++;
        while (low < high && samples->histogram_times_ms[low] <= end_ms - range_ms)
            low++;
        for (size_t i = low; i < high; i++)
            count += samples->histograms[i] ? query_histogram_weight(samples->histograms[i]) : 0;
        if (count > 0)
            add(exec->tally, op, s, count);
        held = count > held ? count : held;
    }
    note_series(exec->tally, held);
}

void query_tally_raw(struct query_exec *exec, size_t samples)
{
    if (!exec->tally)
        return;
    exec->tally->total += samples;
    exec->tally->steps[0] += samples;
    note_series(exec->tally, samples);
}
