/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/keeping.h"

#include <math.h>

#include "base/buf.h"
#include "query/printer.h"

static bool all_have_one_basis(const struct query_exec *exec, int64_t first_end_ms,
                               int64_t last_end_ms)
{
    return first_end_ms == last_end_ms || first_end_ms >= exec->now_ms;
}

static enum query_keeping how_of(const struct query_exec *exec)
{
    const struct tw_context *context = exec->context;
    if (exec->renews_max > 0)
        return QUERY_KEEPING_RENEWS;
    /* Rules, scalers and pins have a name and come from within. */
    return context->origin.size == 0 && context->principal.size > 0 ? QUERY_KEEPING_KEEPS
                                                                    : QUERY_KEEPING_READS;
}

void query_keeping_begin(struct query_keeping_run *run, const struct query_exec *exec,
                         const struct query_node *call, const struct query_node *matrix,
                         int64_t range_ms, int64_t first_end_ms, int64_t last_end_ms,
                         double horizon)
{
    *run = (struct query_keeping_run){0};
    /* Matchers that only this request has are not in the argument's text. */
    if (!exec->kept || !all_have_one_basis(exec, first_end_ms, last_end_ms) ||
        exec->context->scope_count > 0)
        return;
    bool scores = call->call.function->id == QUERY_FN_ANOMALY_SCORE;
    int64_t ahead_ms = last_end_ms - exec->now_ms;
    int64_t widest_ms = (ahead_ms > 0 ? ahead_ms : 0) + (int64_t)(horizon * 1000);
    struct tw_buf text;
    tw_buf_init(&text, QUERY_SUBJECT_BYTES_MAX);
    query_print(matrix, &text);
    const struct query_subject_key key = {
        .text = tw_buf_str(&text),
        .scores = scores,
        .is_subquery = matrix->type == QUERY_NODE_SUBQUERY,
        .range_ms = range_ms,
        .horizon_ms = scores ? 0 : query_horizon_class(range_ms, widest_ms),
        .holidays = forecast_holidays_hash(exec->holidays),
    };
    run->how = how_of(exec);
    run->now_ms = exec->now_ms;
    run->basis_ms = first_end_ms < exec->now_ms ? first_end_ms : exec->now_ms;
    run->learns_left = run->how == QUERY_KEEPING_RENEWS  ? exec->renews_max
                       : run->how == QUERY_KEEPING_KEEPS ? QUERY_LEARNS_PER_RUN
                                                         : SIZE_MAX;
    if (!text.overflow)
        run->subject =
            query_kept_hold(exec->kept, &key, run->how == QUERY_KEEPING_KEEPS, exec->now_ms);
    run->kept = run->subject ? exec->kept : NULL;
    tw_buf_fini(&text);
}

void query_keeping_end(struct query_keeping_run *run)
{
    if (run->kept)
        query_kept_drop(run->kept, run->subject);
    *run = (struct query_keeping_run){0};
}

static enum query_keeping_take find_due(const struct query_keeping_run *run,
                                        struct wire_labels labels, struct query_keepsake *ret)
{
    enum query_due due = query_kept_due(run->kept, run->subject, labels, run->basis_ms);
    if (due == QUERY_DUE_NOT || run->learns_left == 0)
        return QUERY_KEEPING_SKIP;
    ret->at_newest = due == QUERY_DUE_DRIFT;
    return QUERY_KEEPING_WITHOUT;
}

enum query_keeping_take query_keeping_take(struct query_keeping_run *run, struct wire_labels labels,
                                           struct query_keepsake *ret, int64_t *ret_from_ms)
{
    *ret = (struct query_keepsake){.learned = {.score = NAN}};
    if (run->how == QUERY_KEEPING_RENEWS)
        return find_due(run, labels, ret);
    if (!query_kept_take(run->kept, run->subject, labels, run->basis_ms,
                         run->how == QUERY_KEEPING_READS, &ret->learned, &ret->trial))
        return QUERY_KEEPING_WITHOUT;
    ret->was_kept = true;
    *ret_from_ms = query_learned_end_ms(&ret->learned) - ret->learned.step_ms;
    return QUERY_KEEPING_GO_ON;
}

enum query_keeping_anew query_keeping_begin_anew(struct query_keeping_run *run,
                                                 struct wire_labels labels,
                                                 struct query_keepsake *ret)
{
    bool keeps = run->how == QUERY_KEEPING_KEEPS;
    /* Of young series there is little to learn, and nothing to keep. */
    bool is_young = keeps && query_kept_is_young(run->kept, run->subject, labels, run->basis_ms);
    ret->was_kept = ret->is_unready = false;
    if (!run->is_short && (is_young || run->learns_left > 0)) {
        run->learns_left -= !is_young;
        return QUERY_KEEPING_LEARN;
    }
    if (!keeps)
        return QUERY_KEEPING_NOTHING;
    query_kept_want(run->kept, run->subject, labels, run->basis_ms);
    ret->sketches = true;
    /* How unusual a value is cannot be said without knowing what is usual. */
    return query_subject_key(run->subject)->scores ? QUERY_KEEPING_NOTHING : QUERY_KEEPING_SKETCH;
}

void query_keeping_give(struct query_keeping_run *run, struct wire_labels labels,
                        struct query_keepsake *keepsake)
{
    if (run->how == QUERY_KEEPING_READS || keepsake->sketches)
        keepsake->learned.model = forecast_model_free(keepsake->learned.model);
    else
        query_kept_give(run->kept, run->subject, labels, &keepsake->learned, &keepsake->trial,
                        !keepsake->was_kept, run->now_ms);
}
