/* SPDX-License-Identifier: Apache-2.0
 *
 * forecast, forecast_quantile, anomaly_score: what query/learner.h makes of each series, step by
 * step.
 *
 * A step in the past is answered as it would have been then. A step in the future has now as its
 * basis, and the way to it is added to the horizon: so a graph may end in the future. All steps in
 * the future are answered by one model, whose horizon is that of the last of them.
 */
#include "config.h"

#include "query/range_kernel.h"

#include <math.h>

#include "query/keeping.h"
#include "query/learner.h"

/* What learning one value costs, in values of other functions. */
#define WORK_PER_VALUE 500

int64_t query_range_reach(enum query_function_id function, int64_t range_ms)
{
    switch (function) {
    case QUERY_FN_FORECAST:
    case QUERY_FN_FORECAST_QUANTILE:
        return query_learner_reach(range_ms, false);
    case QUERY_FN_ANOMALY_SCORE:
        return query_learner_reach(range_ms, true);
    default:
        return 0;
    }
}

bool query_range_forecasts(enum query_function_id function)
{
    return query_range_reach(function, 0) > 0;
}

static int64_t basis_of(const struct query_range_row *row, int64_t end_ms)
{
    return end_ms < row->exec->now_ms ? end_ms : row->exec->now_ms;
}

/* What was learned since counts as work, and each model against the limit. */
static bool account(const struct query_range_row *row, struct query_learner *learner,
                    uint64_t *fits_seen, uint64_t *learns_seen)
{
    struct query_exec *exec = row->exec;
    exec->fits += learner->fits - *fits_seen;
    uint64_t work = (learner->learns - *learns_seen) * WORK_PER_VALUE;
    *fits_seen = learner->fits;
    *learns_seen = learner->learns;
    if (exec->fits > QUERY_FITS_MAX)
        *row->failed = query_exec_fail(
            exec, row->node, row->err,
            "more than %d models would have to be learned: forecast fewer series, or a shorter "
            "span of time in relation to the range (a model serves a sixteenth of the range)",
            QUERY_FITS_MAX);
    else if (work > 0)
        *row->failed = query_exec_worked(exec, work, row->err);
    return *row->failed == TW_OK;
}

static void begin(struct query_learner *learner, const struct query_range_row *row, bool scores)
{
    struct query_keepsake *keepsake = row->keepsake;
    query_learner_init(learner, row->range_ms, row->exec->lookback_ms, scores);
    learner->holidays = row->exec->holidays;
    query_learner_begin(learner, row->times_ms, row->values, row->count);
    if (keepsake)
        query_learner_give(learner, &keepsake->learned,
                           keepsake->was_kept ? &keepsake->trial : NULL);
    learner->at_newest = keepsake && keepsake->at_newest;
    learner->sketches = keepsake && keepsake->sketches;
}

static void end(struct query_learner *learner, const struct query_range_row *row)
{
    if (row->keepsake)
        query_learner_take(learner, &row->keepsake->learned);
    query_learner_fini(learner);
}

static void note_unready(const struct query_range_row *row, enum query_outlook outlook)
{
    if (row->keepsake && outlook == QUERY_OUTLOOK_UNREADY)
        row->keepsake->is_unready = true;
}

/* The longest way from now to what the query's last step asks for. */
static int64_t widest_of(const struct query_range_row *row, double horizon)
{
    int64_t last_ms =
        row->first_end_ms + (row->end_step_ms ? row->exec->end_ms - row->grid.start_ms : 0);
    int64_t ahead_ms = last_ms - row->exec->now_ms;
    return (ahead_ms > 0 ? ahead_ms : 0) + (int64_t)(horizon * 1000);
}

/* quantile NULL: the median. */
static void forecast(const struct query_range_row *row, const double *quantile,
                     const double *horizon)
{
    struct query_learner learner;
    uint64_t fits = 0, learns = 0;
    bool too_far = false;
    begin(&learner, row, false);
    for (size_t s = 0; s < row->steps && *row->failed == TW_OK; s++) {
        int64_t end_ms = row->first_end_ms + (int64_t)s * row->end_step_ms;
        int64_t basis_ms = basis_of(row, end_ms), ahead_ms = (int64_t)(horizon[s] * 1000);
        int64_t widest_ms = basis_ms < end_ms ? widest_of(row, horizon[row->steps - 1]) : ahead_ms;
        if (widest_ms < end_ms - basis_ms + ahead_ms)
            widest_ms = end_ms - basis_ms + ahead_ms;
        enum query_outlook outlook =
            query_learner_forecast(&learner, basis_ms, end_ms + ahead_ms, widest_ms,
                                   quantile ? quantile[s] : 0.5, &row->out[s]);
        if (outlook == QUERY_OUTLOOK_THERE)
            query_bit_set(row->present, s);
        note_unready(row, outlook);
        too_far = too_far || outlook == QUERY_OUTLOOK_TOO_FAR;
        if (!account(row, &learner, &fits, &learns))
            break;
    }
    if (too_far)
        query_annotate(row->exec->annotations, QUERY_WARNING, row->node,
                       "the horizon is more than %d steps of the model: give a longer range",
                       FORECAST_HORIZON_MAX);
    end(&learner, row);
}

void query_kernel_forecast(const struct query_range_row *row)
{
    forecast(row, NULL, row->first);
}

void query_kernel_forecast_quantile(const struct query_range_row *row)
{
    forecast(row, row->first, row->second);
}

void query_kernel_anomaly_score(const struct query_range_row *row)
{
    struct query_learner learner;
    uint64_t fits = 0, learns = 0;
    begin(&learner, row, true);
    for (size_t s = 0; s < row->steps && *row->failed == TW_OK; s++) {
        int64_t end_ms = row->first_end_ms + (int64_t)s * row->end_step_ms;
        /* What has not come yet cannot be unusual. */
        enum query_outlook outlook = end_ms > row->exec->now_ms
                                         ? QUERY_OUTLOOK_NONE
                                         : query_learner_score(&learner, end_ms, &row->out[s]);
        if (outlook == QUERY_OUTLOOK_THERE)
            query_bit_set(row->present, s);
        note_unready(row, outlook);
        if (!account(row, &learner, &fits, &learns))
            break;
    }
    end(&learner, row);
}
