/* SPDX-License-Identifier: Apache-2.0
 *
 * settings: what a scaler is told, read from the `scalers:` list of the configuration.
 *
 *   scalers:
 *     - name: web
 *       load: sum(rate(http_requests_total{app="web"}[1m]))      # or loads: demand.h
 *       capacity_per_replica: 80      # in the load's unit; or: learn
 *       min: 2
 *       max: 60
 *       mode: observe                 # or: act
 *       target: {webhook: {url: "http://deployer/scale"}}      # target.h has the others
 *       replicas: sum(kube_deployment_spec_replicas{deployment="web"})     # asked for
 *       ready: sum(kube_deployment_status_replicas_ready{deployment="web"})
 *       utilisation: avg(...)         # busy share of a replica, 0 to 1
 *       max_utilisation: 0.8
 *       startup: 2m                   # until enough scale-outs were seen
 *       quantile: 0.75
 *       settle: 10m
 *       tick: 15s
 *       step: 1m
 *       history: 14d
 *       late_after: 1m
 *       latency: histogram_quantile(0.95, ...)            # with latency_objective: 0.5, to learn
 * from queue: sum(...)               # requests that wait: tells an overload at once coverage:
 * avg(up{app="web"})  # share of the sources that are heard activation: 0                 # with
 * min: 0, the load that starts the first replica schedules: [{name: office, days: [mon], start:
 * "08:00", end: "18:00", min: 10}] behavior: {scaleUp: {...}, scaleDown: {...}}      # as in the
 * HPA's v2
 *
 * Ownership: texts live in the arena given.
 */
#ifndef TW_AUTOSCALER_SETTINGS_H
#define TW_AUTOSCALER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "autoscaler/budget.h"
#include "autoscaler/demand.h"
#include "autoscaler/member.h"
#include "autoscaler/rightsizing.h"
#include "autoscaler/schedule.h"
#include "autoscaler/target.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/yaml.h"

#define SCALE_NAME_BYTES_MAX 128
#define SCALE_REPLICAS_MAX 1000000
#define SCALE_LIMITS_MAX 8 /* rate limits per direction */
#define SCALE_SCHEDULE_NAME_BYTES_MAX 64
#define SCALE_HEADERS_MAX 8              /* extra headers of a webhook */
#define SCALE_PERIOD_MS_MAX (30 * 60000) /* of a rate limit, as in the HPA */
#define SCALE_WINDOW_MS_MAX (60 * 60000) /* of a stabilisation window, as in the HPA */

/* At most value replicas, or value per cent of them, per period. */
struct scale_limit {
    bool percent;
    int64_t value, period_ms;
};

struct scale_direction {
    int64_t window_ms; /* stabilisation */
    bool window_given; /* it was set: then it holds beside the forecast */
    double tolerance;  /* changes up to this share are not worth it */
    struct scale_limit limits[SCALE_LIMITS_MAX];
    size_t limit_count;
    bool select_min,
        disabled; /* which limit holds when there are several: the widest, else the narrowest */
};

enum scale_mode { SCALE_OBSERVE, SCALE_ACT };

/* What recovery.h says; instances empty = none. */
struct scale_recovery_settings {
    struct tw_str instances, label;
    enum scale_mode mode;
    int64_t for_ms, min_healthy, max_per_hour, attempts;
    double max_share, max_failing;
};

struct scale_settings {
    struct tw_str name, load, replicas, ready, utilisation; /* queries; empty = not given */
    struct tw_str latency, queue, coverage;
    struct scale_demand demand; /* several loads, of which `load` is the expression */
    double latency_objective;   /* in the latency query's unit; NaN = none */
    double activation;          /* a load up to it needs no replica, where min allows none */
    double capacity;            /* per replica; NaN = learn */
    double utilisation_max;
    int64_t min, max;
    enum scale_mode mode;
    struct scale_target target;
    struct scale_fleet_settings fleet; /* in place of the one target */
    double cost_per_hour;              /* of a replica; NaN = not told */
    struct scale_budget_settings budget;
    struct scale_sizing_question sizing; /* of what a replica uses; when it is asked for */
    bool sizes;
    int64_t startup_ms, tick_ms, step_ms, history_ms, late_ms;
    int64_t settle_ms; /* for so long a scale-in has to be right, and follows no scale-out */
    double quantile;
    struct scale_direction up, down;
    struct scale_schedule schedules[SCALE_SCHEDULES_MAX];
    size_t schedule_count;
    struct scale_recovery_settings recovery;
};

/* The `schedules:` list of a scaler; settings->max is known by then. */
TW_MUST_CHECK enum tw_code scale_schedules_parse(struct tw_arena *arena, const char *file,
                                                 const struct tw_yaml *map,
                                                 struct scale_settings *settings,
                                                 struct tw_err *err);
/* The `recovery:` member of a scaler; target and mode are known by then. */
TW_MUST_CHECK enum tw_code scale_recovery_parse(struct tw_arena *arena, const char *file,
                                                const struct tw_yaml *map,
                                                struct scale_settings *settings,
                                                struct tw_err *err);
/* Whether the target, or each of those of the fleet, says how many replicas there are. */
bool scale_settings_read(const struct scale_settings *settings);
/* Everything that has a default. */
void scale_settings_init(struct scale_settings *settings);
/* The whole list; scalers NULL or empty gives none. Mistakes are TW_CONFIG (TW_UNSUPPORTED for what
 * is known but not there yet) with file, line, column and cure. */
TW_MUST_CHECK enum tw_code scale_settings_parse(struct tw_arena *arena, const char *file,
                                                const struct tw_yaml *scalers,
                                                struct scale_settings **ret_items,
                                                size_t *ret_count, struct tw_err *err);

#endif
