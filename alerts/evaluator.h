/* SPDX-License-Identifier: Apache-2.0
 *
 * evaluator: runs the rules of a set when they are due and keeps their states.
 *
 * I1  A group's rules run in order at one timestamp; each rule's results are appended, and so are
 *     visible to the next one, before that runs.
 * I2  Groups are spread over their interval by a hash of file and name; an evaluation that takes
 *     longer than the interval leaves out the timestamps that it missed, and they are counted.
 * I3  A change of state is stored, together with what the notifier shall send, in one transaction
 *     before the notifier hears of it. If it cannot be stored, the notifier hears of it all the
 *     same (a full disk must not silence alerts), the failure is counted and storing tried again.
 * I4  An evaluation that fails changes no state: what fires goes on firing.
 *
 * Threads: step and replace hold one lock for the time of a group's evaluation; the view lock, held
 * only while results are put in place, is what readers of the set take.
 */
#ifndef TW_ALERTS_EVALUATOR_H
#define TW_ALERTS_EVALUATOR_H

#include "alerts/notice.h"
#include "alerts/rule_set.h"

struct alert_evaluator;

/* Takes over the list of notices. complete: it is all that fires; whatever else was taken to fire
 * has ended. */
typedef void alert_evaluator_notify(void *user, struct alert_notice *notices, bool complete);

struct alert_evaluator_options {
    struct query_engine *engine;
    struct tsdb_storage *storage;
    struct tsdb_state *state; /* may be NULL */
    struct tw_clock *clock;
    struct tw_metrics *metrics; /* may be NULL */
    alert_evaluator_notify *notify;
    void *notify_user;
};

struct alert_evaluator *alert_evaluator_new(const struct alert_evaluator_options *options);
struct alert_evaluator *alert_evaluator_free(struct alert_evaluator *evaluator); /* returns NULL */

/* Puts a set in force; it takes the set over. The first time it restores what is stored. */
TW_MUST_CHECK enum tw_code alert_evaluator_replace(struct alert_evaluator *evaluator,
                                                   struct alert_rule_set *set, struct tw_err *err);
/* Evaluates one group that is due, if any. Returns when the next one is due; INT64_MAX: none. */
int64_t alert_evaluator_step(struct alert_evaluator *evaluator);
/* Breaks off a running query; step returns soon. */
void alert_evaluator_cancel(struct alert_evaluator *evaluator);

/* The set in force, to be read between view and unview only. NULL before the first replace. */
const struct alert_rule_set *alert_evaluator_view(struct alert_evaluator *evaluator);
void alert_evaluator_unview(struct alert_evaluator *evaluator);

#endif
