/* SPDX-License-Identifier: Apache-2.0
 *
 * rule_set: all rule files in force, each group and rule with what is known from its evaluations.
 * A reload makes a new set, which takes over the states of the rules that are still there.
 *
 * Threads: built by one thread; once in force it belongs to the evaluator (evaluator.h).
 */
#ifndef TW_ALERTS_RULE_SET_H
#define TW_ALERTS_RULE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alerts/active.h"
#include "alerts/manager.h"
#include "alerts/rule.h"
#include "query/batch.h"

enum alert_health { ALERT_HEALTH_UNKNOWN, ALERT_HEALTH_OK, ALERT_HEALTH_ERROR };

struct alert_rule_run {
    const struct alert_rule *rule;
    struct alert_actives actives;
    struct wire_labels *written; /* series of the last evaluation, by wire_labels_compare */
    size_t written_count;
    enum alert_health health;
    char *error;          /* of the last evaluation, NULL when it went well */
    int64_t evaluated_ms; /* ALERT_TIME_NONE: never */
    double seconds;
};

struct alert_group_run {
    const struct alert_rule_group *group;
    struct tw_hash128 id;
    int64_t interval_ms, query_offset_ms;
    int64_t next_ms;       /* timestamp of the next evaluation; 0: not yet scheduled */
    int64_t evaluated_ms;  /* wall time of the last, ALERT_TIME_NONE: never */
    int64_t seen_saved_ms; /* what the table alerts.seen says */
    double seconds;
    struct alert_rule_run *rules;
    struct query_batch *batch; /* of the rules' queries; NULL: they share nothing, or not run yet */
    bool has_batch;            /* it was looked for */
};

struct alert_rule_set {
    struct tw_arena *arena;
    struct alert_rule_file **files;
    size_t file_count;
    struct alert_group_run *groups; /* in the order of the files */
    size_t group_count;
    struct wire_labels external_labels;
    struct tw_str external_url;
};

/* Reads rule_files of the settings: paths and patterns (*, ?, [...]), relative to config_folder. */
TW_MUST_CHECK enum tw_code alert_rule_set_read(const struct alert_settings *settings,
                                               struct alert_rule_set **ret_set, struct tw_err *err);
struct alert_rule_set *alert_rule_set_free(struct alert_rule_set *set); /* returns NULL */
/* NULL if there is none. */
struct alert_rule_run *alert_rule_set_find(struct alert_rule_set *set, struct tw_hash128 rule);
/* Moves states, series and times of equal rules and groups from the old set to the new one. */
void alert_rule_set_take(struct alert_rule_set *set, struct alert_rule_set *old);

#endif
