/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/settings.h"

#include <math.h>
#include <string.h>

#include "autoscaler/manager.h"
#include "autoscaler/lease.h"
#include "base/number.h"
#include "base/utf8.h"
#include "query/engine.h"

#define TICK_MS_MIN 5000
#define TICK_MS_MAX (5 * 60000)
#define STEP_MS_MIN 5000
#define STEP_MS_MAX 3600000
#define HISTORY_STEPS_MAX 100000
#define STARTUP_MS_MAX (60 * 60000)

/* The file and the item being read, which every message names. */
struct reading {
    struct tw_arena *arena;
    const char *file;
    struct tw_err *err;
};

/* ---- behavior: the words of the HPA v2 ---- */

static enum tw_code parse_seconds(struct reading *in, const struct tw_yaml *map, const char *key,
                                  int64_t min, int64_t max_ms, int64_t *ret_ms)
{
    int64_t seconds = *ret_ms / 1000;
    enum tw_code code = tw_yaml_get_int(in->file, map, key, min, max_ms / 1000, &seconds, in->err);
    if (code == TW_OK)
        *ret_ms = seconds * 1000;
    return code;
}

static enum tw_code parse_limit(struct reading *in, const struct tw_yaml *node,
                                struct scale_limit *ret)
{
    static const char *const known[] = {"type", "value", "periodSeconds", NULL};
    if (node->kind != TW_YAML_MAPPING)
        return tw_yaml_error(in->file, node, in->err,
                             "a policy is {type: Pods or Percent, value: N, periodSeconds: N}");
    enum tw_code code = tw_yaml_check_keys(in->file, node, known, in->err);
    struct tw_str type = {0};
    struct scale_limit limit = {false, 0, 0};
    if (code == TW_OK)
        code = tw_yaml_get_str(in->file, node, "type", &type, in->err);
    if (code == TW_OK && !tw_str_is(type, "Pods") && !tw_str_is(type, "Percent"))
        code = tw_yaml_error(in->file, node, in->err,
                             "the policy's type is '%.*s': use Pods or Percent", TW_STR_ARG(type));
    if (code == TW_OK)
        code =
            tw_yaml_get_int(in->file, node, "value", 1, SCALE_REPLICAS_MAX, &limit.value, in->err);
    if (code == TW_OK)
        code = parse_seconds(in, node, "periodSeconds", 1, SCALE_PERIOD_MS_MAX, &limit.period_ms);
    if (code == TW_OK && (!limit.value || !limit.period_ms))
        code = tw_yaml_error(in->file, node, in->err, "a policy needs value and periodSeconds");
    limit.percent = tw_str_is(type, "Percent");
    if (code == TW_OK)
        *ret = limit;
    return code;
}

static enum tw_code parse_direction(struct reading *in, const struct tw_yaml *behavior,
                                    const char *key, struct scale_direction *direction)
{
    static const char *const known[] = {"stabilizationWindowSeconds", "selectPolicy", "policies",
                                        "tolerance", NULL};
    const struct tw_yaml *node = NULL, *policies = NULL;
    enum tw_code code = tw_yaml_get_node(in->file, behavior, key, TW_YAML_MAPPING, &node, in->err);
    if (code != TW_OK || !node)
        return code;
    code = tw_yaml_check_keys(in->file, node, known, in->err);
    if (code == TW_OK)
        code = parse_seconds(in, node, "stabilizationWindowSeconds", 0, SCALE_WINDOW_MS_MAX,
                             &direction->window_ms);
    if (tw_yaml_member(node, "stabilizationWindowSeconds"))
        direction->window_given = true;
    if (code == TW_OK)
        code = tw_yaml_get_double(in->file, node, "tolerance", &direction->tolerance, in->err);
    if (code == TW_OK && !(direction->tolerance >= 0 && direction->tolerance < 1))
        code = tw_yaml_error(in->file, tw_yaml_member(node, "tolerance"), in->err,
                             "tolerance is a share: from 0 to less than 1");
    struct tw_str select = TW_STR_INIT("Max");
    if (code == TW_OK)
        code = tw_yaml_get_str(in->file, node, "selectPolicy", &select, in->err);
    direction->select_min = tw_str_is(select, "Min");
    direction->disabled = tw_str_is(select, "Disabled");
    if (code == TW_OK && !direction->select_min && !direction->disabled &&
        !tw_str_is(select, "Max"))
        code =
            tw_yaml_error(in->file, tw_yaml_member(node, "selectPolicy"), in->err,
                          "selectPolicy is '%.*s': use Max, Min or Disabled", TW_STR_ARG(select));
    if (code == TW_OK)
        code = tw_yaml_get_node(in->file, node, "policies", TW_YAML_SEQUENCE, &policies, in->err);
    if (code != TW_OK || !policies)
        return code;
    if (policies->count > SCALE_LIMITS_MAX)
        return tw_yaml_error(in->file, policies, in->err,
                             "%zu policies are given, at most %d are taken", policies->count,
                             SCALE_LIMITS_MAX);
    direction->limit_count = policies->count;
    for (size_t k = 0; k < policies->count && code == TW_OK; k++)
        code = parse_limit(in, policies->items[k], &direction->limits[k]);
    return code;
}

static enum tw_code parse_behavior(struct reading *in, const struct tw_yaml *map,
                                   struct scale_settings *settings)
{
    static const char *const known[] = {"scaleUp", "scaleDown", NULL};
    const struct tw_yaml *node = NULL;
    enum tw_code code =
        tw_yaml_get_node(in->file, map, "behavior", TW_YAML_MAPPING, &node, in->err);
    if (code != TW_OK || !node)
        return code;
    code = tw_yaml_check_keys(in->file, node, known, in->err);
    if (code == TW_OK)
        code = parse_direction(in, node, "scaleUp", &settings->up);
    return code == TW_OK ? parse_direction(in, node, "scaleDown", &settings->down) : code;
}

/* ---- target ---- */

static enum tw_code parse_target(struct reading *in, const struct tw_yaml *map,
                                 struct scale_settings *settings)
{
    const struct tw_yaml *node = NULL;
    enum tw_code code = tw_yaml_get_node(in->file, map, "target", TW_YAML_MAPPING, &node, in->err);
    return code == TW_OK ? scale_target_parse(in->arena, in->file, node, &settings->target, in->err)
                         : code;
}

/* What replicas cost, and how much that may be. */
static enum tw_code parse_cost(struct reading *in, const struct tw_yaml *map,
                               struct scale_settings *settings)
{
    const struct tw_yaml *node = tw_yaml_member(map, "cost_per_hour");
    bool fleet = settings->fleet.kind != SCALE_FLEET_NONE, costs = fleet;
    enum tw_code code =
        tw_yaml_get_double(in->file, map, "cost_per_hour", &settings->cost_per_hour, in->err);
    if (code == TW_OK && !tw_yaml_is_null(node) &&
        !(settings->cost_per_hour >= 0 && settings->cost_per_hour <= SCALE_COST_MAX))
        code = tw_yaml_error(in->file, node, in->err,
                             "cost_per_hour is an amount: 0 or more, without a currency's sign");
    if (code == TW_OK && !tw_yaml_is_null(node) && fleet)
        code = tw_yaml_error(in->file, node, in->err,
                             "each of the pools or types has its own cost_per_hour");
    for (size_t i = 0; i < settings->fleet.count; i++)
        costs = costs && !isnan(settings->fleet.members[i].cost_per_hour);
    return code == TW_OK ? scale_budget_parse(in->arena, in->file, map,
                                              costs || !isnan(settings->cost_per_hour),
                                              &settings->budget, in->err)
                         : code;
}

/* ---- one scaler ---- */

static enum tw_code parse_query(struct reading *in, const struct tw_yaml *map, const char *key,
                                struct tw_str *ret)
{
    struct tw_str text = {0};
    enum tw_code code = tw_yaml_get_str(in->file, map, key, &text, in->err);
    if (code != TW_OK || !text.size)
        return code;
    struct tw_err query_err = {0};
    if (query_check(text, &query_err) != TW_OK)
        return tw_yaml_error(in->file, tw_yaml_member(map, key), in->err, "%s: %s", key,
                             query_err.message);
    *ret = tw_arena_str(in->arena, text);
    return TW_OK;
}

/* One load, or several. */
static enum tw_code parse_load(struct reading *in, const struct tw_yaml *map,
                               struct scale_settings *settings)
{
    enum tw_code code =
        scale_demand_parse(in->arena, in->file, map, &settings->demand, &settings->load, in->err);
    if (code != TW_OK || settings->demand.count)
        return code;
    if (tw_yaml_is_null(tw_yaml_member(map, "load")))
        return tw_yaml_error(in->file, map, in->err,
                             "load is missing: the PromQL query of what has to be carried");
    return parse_query(in, map, "load", &settings->load);
}

static enum tw_code parse_latency(struct reading *in, const struct tw_yaml *map,
                                  struct scale_settings *settings)
{
    enum tw_code code = parse_query(in, map, "latency", &settings->latency);
    if (code == TW_OK)
        code = tw_yaml_get_double(in->file, map, "latency_objective", &settings->latency_objective,
                                  in->err);
    bool objective = tw_yaml_member(map, "latency_objective") != NULL;
    if (code == TW_OK && objective != (settings->latency.size > 0))
        code = tw_yaml_error(in->file, map, in->err,
                             "latency and latency_objective go together: a query, and what its "
                             "answer must not exceed");
    if (code == TW_OK && objective &&
        !(settings->latency_objective > 0 && isfinite(settings->latency_objective)))
        code = tw_yaml_error(in->file, tw_yaml_member(map, "latency_objective"), in->err,
                             "latency_objective has to be more than 0");
    return code;
}

static enum tw_code parse_capacity(struct reading *in, const struct tw_yaml *map,
                                   struct scale_settings *settings)
{
    const struct tw_yaml *node = tw_yaml_member(map, "capacity_per_replica");
    if (settings->demand.count) {
        settings->capacity = settings->demand.parts[0].capacity;
        return TW_OK;
    }
    if (tw_yaml_is_null(node))
        return tw_yaml_error(
            in->file, map, in->err,
            "capacity_per_replica is missing: say how much load one replica carries, or learn");
    if (node->kind == TW_YAML_SCALAR && tw_str_is(node->text, "learn")) {
        if ((!settings->utilisation.size && !settings->latency.size) ||
            (!settings->replicas.size && !scale_settings_read(settings)))
            return tw_yaml_error(in->file, node, in->err,
                                 "to learn the capacity, the queries utilisation and replicas are "
                                 "needed (or latency, with latency_objective, and replicas)");
        return TW_OK;
    }
    enum tw_code code =
        tw_yaml_get_double(in->file, map, "capacity_per_replica", &settings->capacity, in->err);
    if (code == TW_OK && !(settings->capacity > 0 && isfinite(settings->capacity)))
        code = tw_yaml_error(in->file, node, in->err, "capacity_per_replica has to be more than 0");
    return code;
}

struct span {
    const char *key;
    int64_t *value_ms, min_ms, max_ms;
    const char *range;
};

static enum tw_code parse_spans(struct reading *in, const struct tw_yaml *map,
                                struct scale_settings *settings)
{
    const struct span spans[] = {
        {"startup", &settings->startup_ms, 0, STARTUP_MS_MAX, "0s to 1h"},
        {"tick", &settings->tick_ms, TICK_MS_MIN, TICK_MS_MAX, "5s to 5m"},
        {"step", &settings->step_ms, STEP_MS_MIN, STEP_MS_MAX, "5s to 1h"},
        {"history", &settings->history_ms, 600000, INT64_C(366) * 86400000, "10m to 1y"},
        {"settle", &settings->settle_ms, 0, 3600000, "0s to 1h"},
        {"late_after", &settings->late_ms, 5000, 3600000, "5s to 1h"},
    };
    for (size_t k = 0; k < sizeof spans / sizeof *spans; k++) {
        enum tw_code code =
            tw_yaml_get_duration(in->file, map, spans[k].key, spans[k].value_ms, in->err);
        if (code != TW_OK)
            return code;
        if (*spans[k].value_ms < spans[k].min_ms || *spans[k].value_ms > spans[k].max_ms)
            return tw_yaml_error(in->file, tw_yaml_member(map, spans[k].key), in->err,
                                 "%s has to be from %s", spans[k].key, spans[k].range);
    }
    if (settings->history_ms / settings->step_ms > HISTORY_STEPS_MAX)
        return tw_yaml_error(in->file, map, in->err,
                             "history is %lld steps long, at most %d are kept: use a longer step",
                             (long long)(settings->history_ms / settings->step_ms),
                             HISTORY_STEPS_MAX);
    if (settings->history_ms / settings->step_ms < 10)
        return tw_yaml_error(in->file, map, in->err, "history has to be at least ten steps long");
    return TW_OK;
}

static enum tw_code parse_numbers(struct reading *in, const struct tw_yaml *map,
                                  struct scale_settings *settings)
{
    enum tw_code code =
        tw_yaml_get_int(in->file, map, "min", 0, SCALE_REPLICAS_MAX, &settings->min, in->err);
    if (code == TW_OK)
        code =
            tw_yaml_get_int(in->file, map, "max", 1, SCALE_REPLICAS_MAX, &settings->max, in->err);
    if (code == TW_OK && settings->max < 0)
        code = tw_yaml_error(in->file, map, in->err,
                             "max is missing: say how many replicas there may be");
    if (code == TW_OK && settings->min > settings->max)
        code = tw_yaml_error(in->file, tw_yaml_member(map, "min"), in->err,
                             "min (%lld) is more than max (%lld)", (long long)settings->min,
                             (long long)settings->max);
    if (code == TW_OK)
        code = tw_yaml_get_double(in->file, map, "quantile", &settings->quantile, in->err);
    if (code == TW_OK && !(settings->quantile >= 0.5 && settings->quantile <= 0.999))
        code = tw_yaml_error(in->file, tw_yaml_member(map, "quantile"), in->err,
                             "quantile has to be from 0.5 to 0.999");
    if (code == TW_OK)
        code = tw_yaml_get_double(in->file, map, "activation", &settings->activation, in->err);
    if (code == TW_OK && !(settings->activation >= 0 && isfinite(settings->activation)))
        code = tw_yaml_error(in->file, tw_yaml_member(map, "activation"), in->err,
                             "activation is a load: 0 or more");
    if (code == TW_OK)
        code = tw_yaml_get_double(in->file, map, "max_utilisation", &settings->utilisation_max,
                                  in->err);
    if (code == TW_OK && !(settings->utilisation_max > 0 && settings->utilisation_max <= 1))
        code = tw_yaml_error(in->file, tw_yaml_member(map, "max_utilisation"), in->err,
                             "max_utilisation is a share: more than 0, at most 1");
    return code;
}

static enum tw_code parse_mode(struct reading *in, const struct tw_yaml *map,
                               struct scale_settings *settings)
{
    struct tw_str mode = TW_STR_INIT("observe");
    enum tw_code code = tw_yaml_get_str(in->file, map, "mode", &mode, in->err);
    if (code != TW_OK)
        return code;
    settings->mode = tw_str_is(mode, "act") ? SCALE_ACT : SCALE_OBSERVE;
    if (settings->mode == SCALE_OBSERVE && !tw_str_is(mode, "observe"))
        return tw_yaml_error(in->file, tw_yaml_member(map, "mode"), in->err,
                             "mode is '%.*s': use observe or act", TW_STR_ARG(mode));
    bool fleet = settings->fleet.kind != SCALE_FLEET_NONE;
    if (settings->mode == SCALE_ACT && (fleet ? settings->fleet.members[0].target.kind
                                              : settings->target.kind) == SCALE_TARGET_NONE)
        return tw_yaml_error(in->file, tw_yaml_member(map, "mode"), in->err,
                             "to act, %s: target: {webhook: {url: ...}}",
                             fleet ? "each pool or type needs a target" : "a target is needed");
    return TW_OK;
}

static enum tw_code parse_name(struct reading *in, const struct tw_yaml *map,
                               struct scale_settings *settings)
{
    struct tw_str name = {0};
    enum tw_code code = tw_yaml_get_str(in->file, map, "name", &name, in->err);
    if (code != TW_OK)
        return code;
    if (!name.size || name.size > SCALE_NAME_BYTES_MAX || !tw_utf8_valid(name) ||
        memchr(name.data, '/', name.size) || memchr(name.data, 0, name.size))
        return tw_yaml_error(in->file, name.size ? tw_yaml_member(map, "name") : map, in->err,
                             "a scaler needs a name of 1 to %d bytes without '/'",
                             SCALE_NAME_BYTES_MAX);
    settings->name = tw_arena_str(in->arena, name);
    return TW_OK;
}

static enum tw_code parse_scaler(struct reading *in, const struct tw_yaml *map,
                                 struct scale_settings *settings)
{
    static const char *const known[] = {"name",
                                        "load",
                                        "loads",
                                        "capacity_per_replica",
                                        "min",
                                        "max",
                                        "mode",
                                        "target",
                                        "replicas",
                                        "ready",
                                        "utilisation",
                                        "max_utilisation",
                                        "startup",
                                        "quantile",
                                        "settle",
                                        "latency",
                                        "latency_objective",
                                        "queue",
                                        "coverage",
                                        "activation",
                                        "schedules",
                                        "pools",
                                        "types",
                                        "requests",
                                        "limits",
                                        "switching",
                                        "drain",
                                        "cost_per_hour",
                                        "budget",
                                        "rightsizing",
                                        "tick",
                                        "step",
                                        "history",
                                        "late_after",
                                        "behavior",
                                        "recovery",
                                        "lease",
                                        NULL};
    if (map->kind != TW_YAML_MAPPING)
        return tw_yaml_error(in->file, map, in->err,
                             "a scaler is a mapping with name, load, capacity_per_replica, max");
    scale_settings_init(settings);
    enum tw_code code = tw_yaml_check_keys(in->file, map, known, in->err);
    if (code == TW_OK)
        code = parse_name(in, map, settings);
    if (code == TW_OK)
        code = parse_load(in, map, settings);
    if (code == TW_OK)
        code = parse_query(in, map, "replicas", &settings->replicas);
    if (code == TW_OK)
        code = parse_query(in, map, "ready", &settings->ready);
    if (code == TW_OK)
        code = parse_query(in, map, "utilisation", &settings->utilisation);
    if (code == TW_OK)
        code = parse_target(in, map, settings);
    if (code == TW_OK)
        code = parse_query(in, map, "queue", &settings->queue);
    if (code == TW_OK)
        code = parse_query(in, map, "coverage", &settings->coverage);
    if (code == TW_OK)
        code = parse_latency(in, map, settings);
    if (code == TW_OK)
        code = parse_numbers(in, map, settings);
    if (code == TW_OK)
        code =
            scale_fleet_parse(in->arena, in->file, map, settings->max, &settings->fleet, in->err);
    if (code == TW_OK)
        code = parse_cost(in, map, settings);
    if (code == TW_OK)
        code = scale_sizing_parse(in->arena, in->file, map, settings->name, &settings->sizing,
                                  &settings->sizes, in->err);
    if (code == TW_OK)
        code = parse_capacity(in, map, settings);
    if (code == TW_OK)
        code = scale_schedules_parse(in->arena, in->file, map, settings, in->err);
    if (code == TW_OK)
        code = parse_mode(in, map, settings);
    if (code == TW_OK)
        code = scale_recovery_parse(in->arena, in->file, map, settings, in->err);
    if (code == TW_OK)
        code = scale_lease_parse(in->arena, in->file, map, settings, in->err);
    if (code == TW_OK)
        code = parse_spans(in, map, settings);
    return code == TW_OK ? parse_behavior(in, map, settings) : code;
}

enum tw_code scale_settings_parse(struct tw_arena *arena, const char *file,
                                  const struct tw_yaml *scalers, struct scale_settings **ret_items,
                                  size_t *ret_count, struct tw_err *err)
{
    struct tw_err own = {0};
    struct reading in = {arena, file, err ? err : &own};
    size_t count = 0;
    struct scale_settings *items = NULL;
    if (!tw_yaml_is_null(scalers)) {
        if (scalers->kind != TW_YAML_SEQUENCE)
            return tw_yaml_error(file, scalers, in.err,
                                 "scalers is a list: put '- name: ...' below it");
        count = scalers->count;
        if (count > SCALE_SCALERS_MAX)
            return tw_yaml_error(file, scalers, in.err,
                                 "%zu scalers are given, at most %d are taken", count,
                                 SCALE_SCALERS_MAX);
        items = TW_ARENA_ARRAY(arena, struct scale_settings, count);
    }
    for (size_t i = 0; i < count; i++) {
        enum tw_code code = parse_scaler(&in, scalers->items[i], &items[i]);
        if (code != TW_OK)
            return code;
        for (size_t j = 0; j < i; j++)
            if (tw_str_equal(items[j].name, items[i].name))
                return tw_yaml_error(file, tw_yaml_member(scalers->items[i], "name"), in.err,
                                     "there are two scalers of the name '%.*s'",
                                     TW_STR_ARG(items[i].name));
    }
    *ret_items = items;
    *ret_count = count;
    return TW_OK;
}
