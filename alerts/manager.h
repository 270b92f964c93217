/* SPDX-License-Identifier: Apache-2.0
 *
 * manager: rules, alert states and notifications as one thing that the daemon starts and stops.
 *
 *   rule files -> evaluation (scheduler thread) -> alert states -> outbox -> groups by route
 *                     |                              |              |          (notifier thread)
 *                     v tsdb_append                  v tsdb_state   v tsdb_state -> webhooks,
 *                  results, ALERTS                                                  Alertmanagers
 *
 * A file or setting that is wrong is refused as a whole, with its place; what ran before goes on.
 * State is durable before anything acts on it: a restart neither loses the progress of `for` nor
 * sends again what was delivered; what was not delivered is sent after the restart.
 *
 * Threads: all functions may be called from any thread, except that new, start, stop and free
 * belong to the owner. The manager borrows everything in its options; they outlive it.
 */
#ifndef TW_ALERTS_MANAGER_H
#define TW_ALERTS_MANAGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/http.h"
#include "base/metrics.h"
#include "base/str.h"
#include "base/yaml.h"
#include "query/engine.h"
#include "tsdb/state.h"
#include "tsdb/storage.h"
#include "wire/labels.h"

#define ALERT_INTERVAL_MS_DEFAULT (60 * 1000) /* of groups that name none, as Prometheus has it */

struct alert_manager;
struct alert_transport;

struct alert_manager_options {
    struct query_engine *engine;
    struct tsdb_storage *storage; /* results of rules are appended here */
    struct tsdb_state *state;     /* NULL: nothing survives a restart */
    struct tw_clock *clock;
    struct tw_metrics *metrics; /* may be NULL */
    struct alert_transport
        *transport; /* how notifications leave (alerts/transport.h); NULL = HTTP */
};

/* The members of the configuration file's top level that belong to this module; NULL-terminated,
 * for tw_yaml_check_keys: rule_files, route, receivers, inhibit_rules, time_intervals,
 * mute_time_intervals, templates, alertmanagers, alertmanager_config. */
extern const char *const alert_config_keys[];

/* What a (re)load takes; borrowed during the call only. */
struct alert_settings {
    const char *config_name;      /* the file's name in messages */
    const char *config_folder;    /* relative paths of files are relative to it; NULL = "." */
    const struct tw_yaml *config; /* the whole root mapping, or NULL: no rules, no receivers */
    struct tw_str external_url;   /* "http://host:9090[/prefix]", without a slash at the end */
    struct wire_labels external_labels;
    int64_t interval_ms;     /* evaluation_interval of groups that name none; 0 = the default */
    int64_t query_offset_ms; /* rule_query_offset of groups that name none */
};

TW_MUST_CHECK enum tw_code alert_manager_new(const struct alert_manager_options *options,
                                             struct alert_manager **ret_manager,
                                             struct tw_err *err);
/* Stops first if it runs. Returns NULL. */
struct alert_manager *alert_manager_free(struct alert_manager *manager);

/* Reads the settings and the rule files and puts them in force; the first time and at each reload.
 * All or nothing: after an error the old ones stay. States of rules that are still there (same
 * file, group, name and labels) are kept; those of rules that are gone resolve. */
TW_MUST_CHECK enum tw_code alert_manager_reload(struct alert_manager *manager,
                                                const struct alert_settings *settings,
                                                struct tw_err *err);
TW_MUST_CHECK enum tw_code alert_manager_start(struct alert_manager *manager, struct tw_err *err);
/* Ends both threads; a delivery under way is finished or given up within its timeout. */
void alert_manager_stop(struct alert_manager *manager);
/* Without threads (tests, simulation): does all that is due at the clock's time; returns when the
 * next thing is due, INT64_MAX if nothing is. */
int64_t alert_manager_step(struct alert_manager *manager);

/* /api/v1/rules, /api/v1/alerts, /api/v1/alertmanagers. */
void alert_api_route(struct tw_http_router *router, struct alert_manager *manager);

/* For `tidewatch check`: reads without putting in force. */
struct alert_check {
    size_t group_count, alert_count, record_count;
};
TW_MUST_CHECK enum tw_code alert_check_rules(const char *path, struct alert_check *ret,
                                             struct tw_err *err);
/* Routes, receivers and every rule file that the settings name; adds up. */
TW_MUST_CHECK enum tw_code alert_check_settings(const struct alert_settings *settings,
                                                struct alert_check *ret, struct tw_err *err);

#endif
