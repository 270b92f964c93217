/* SPDX-License-Identifier: Apache-2.0
 *
 * evaluator_int: what the files of the evaluator share: evaluator.c (schedule), evaluation.c (one
 * rule), evaluator_state.c (storing and restoring).
 */
#ifndef TW_ALERTS_EVALUATOR_INT_H
#define TW_ALERTS_EVALUATOR_INT_H

#include "alerts/evaluator.h"
#include "base/arena.h"
#include "base/context.h"
#include "base/lock.h"

struct alert_evaluator {
    unsigned magic;
    struct alert_evaluator_options options;
    struct tw_lock running; /* one evaluation or replacement at a time; guards set, writes to it */
    struct tw_lock view;    /* readers of the set against the moment of a change */
    struct alert_rule_set *set;
    struct tw_context context;
    struct tw_arena *arena; /* of one rule's evaluation */
    struct {
        struct tw_metric *evaluations, *failures, *iterations, *missed, *state_failures;
        struct tw_metric *dropped_states, *template_failures, *lent;
        struct tw_metric *pending, *firing;
    } metrics;
};

/* evaluation.c: evaluates one rule at the timestamp; an error is its health. */
void alert_evaluation_run(struct alert_evaluator *evaluator, struct alert_group_run *group,
                          struct alert_rule_run *run, int64_t time_ms);
/* Appends samples; counts a failure. */
TW_MUST_CHECK enum tw_code alert_evaluation_append(struct alert_evaluator *evaluator,
                                                   const struct tsdb_sample *samples, size_t count,
                                                   struct tw_err *err);
/* Ends the series that a rule wrote last. */
void alert_evaluation_end_series(struct alert_evaluator *evaluator, struct alert_rule_run *run,
                                 int64_t time_ms);

/* evaluator_state.c: stores what is marked in the rule's alerts, with the outbox, and notifies. */
void alert_evaluator_publish(struct alert_evaluator *evaluator, const struct alert_group_run *group,
                             struct alert_rule_run *run);
/* Tells the notifier all that fires: what it has besides belongs to rules that are gone. */
void alert_evaluator_announce(struct alert_evaluator *evaluator);
/* Drops the stored states of a rule that is gone. */
void alert_evaluator_forget(struct alert_evaluator *evaluator, struct alert_rule_run *run);
void alert_evaluator_save_seen(struct alert_evaluator *evaluator, struct alert_group_run *group,
                               int64_t time_ms);
TW_MUST_CHECK enum tw_code alert_evaluator_restore(struct alert_evaluator *evaluator,
                                                   struct alert_rule_set *set, struct tw_err *err);

#endif
