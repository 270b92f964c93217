/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/member.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"

#define REPLICAS_MAX 1000000 /* as SCALE_REPLICAS_MAX */
#define PATIENCE_MS_MAX (60 * 60000)

void scale_fleet_settings_init(struct scale_fleet_settings *settings)
{
    *settings = (struct scale_fleet_settings){.cpu_max = INFINITY,
                                              .memory_max = INFINITY,
                                              .count_max = REPLICAS_MAX,
                                              .switch_cost = NAN,
                                              .rules = {3, 0, 120000}};
}

struct scale_fleet_settings scale_fleet_settings_copy(const struct scale_fleet_settings *settings,
                                                      struct tw_arena *arena)
{
    struct scale_fleet_settings copy = *settings;
    copy.members = TW_ARENA_ARRAY(arena, struct scale_member, settings->count);
    for (size_t i = 0; i < settings->count; i++) {
        copy.members[i] = settings->members[i];
        copy.members[i].name = tw_arena_str(arena, settings->members[i].name);
        copy.members[i].target = scale_target_copy(&settings->members[i].target, arena);
    }
    return copy;
}

bool scale_fleet_settings_read(const struct scale_fleet_settings *settings)
{
    for (size_t i = 0; i < settings->count; i++)
        if (!scale_target_reads(&settings->members[i].target))
            return false;
    return settings->count > 0;
}

/* ---- reading ---- */

struct reading {
    struct tw_arena *arena;
    const char *file;
    struct tw_err *err;
    double cpu, memory; /* that a replica requests; NaN = not told */
};

/* A number of at least min (more than it when above); NaN stays when the key is not there. */
static enum tw_code read_number(struct reading *in, const struct tw_yaml *map, const char *key,
                                double min, bool above, double max, double *ret)
{
    double value = *ret;
    if (tw_yaml_is_null(tw_yaml_member(map, key)))
        return TW_OK;
    enum tw_code code = tw_yaml_get_double(in->file, map, key, &value, in->err);
    if (code == TW_OK && (!(value >= min && value <= max) || (above && value <= min)))
        code = tw_yaml_error(in->file, tw_yaml_member(map, key), in->err,
                             "%s has to be %s %g and at most %g", key,
                             above ? "more than" : "at least", min, max);
    if (code == TW_OK)
        *ret = value;
    return code;
}

static enum tw_code read_memory(struct reading *in, const struct tw_yaml *map, double *ret)
{
    uint64_t bytes = 0;
    if (tw_yaml_is_null(tw_yaml_member(map, "memory")))
        return TW_OK;
    enum tw_code code = tw_yaml_get_bytes(in->file, map, "memory", &bytes, in->err);
    if (code == TW_OK && bytes == 0)
        code = tw_yaml_error(in->file, tw_yaml_member(map, "memory"), in->err,
                             "memory has to be more than 0: as in 512MiB or 16GiB");
    if (code == TW_OK)
        *ret = (double)bytes;
    return code;
}

/* {cpu: , memory: } of requests and limits; count only where ret_count is given. */
static enum tw_code read_resources(struct reading *in, const struct tw_yaml *map, const char *key,
                                   double *ret_cpu, double *ret_memory, int64_t *ret_count)
{
    static const char *const with_count[] = {"cpu", "memory", "count", NULL};
    static const char *const without[] = {"cpu", "memory", NULL};
    const struct tw_yaml *node = NULL;
    enum tw_code code = tw_yaml_get_node(in->file, map, key, TW_YAML_MAPPING, &node, in->err);
    if (code != TW_OK || !node)
        return code;
    code = tw_yaml_check_keys(in->file, node, ret_count ? with_count : without, in->err);
    if (code == TW_OK)
        code = read_number(in, node, "cpu", 0, true, 1e9, ret_cpu);
    if (code == TW_OK)
        code = read_memory(in, node, ret_memory);
    if (code == TW_OK && ret_count)
        code = tw_yaml_get_int(in->file, node, "count", 1, REPLICAS_MAX, ret_count, in->err);
    return code;
}

static enum tw_code read_name(struct reading *in, const struct tw_yaml *node, struct tw_str *ret)
{
    struct tw_str name = {0};
    enum tw_code code = tw_yaml_get_str(in->file, node, "name", &name, in->err);
    if (code != TW_OK)
        return code;
    if (!name.size)
        return tw_yaml_error(in->file, node, in->err, "name is missing");
    if (name.size > SCALE_POOL_NAME_BYTES_MAX || !tw_utf8_valid(name) ||
        memchr(name.data, '/', name.size) || memchr(name.data, 0, name.size))
        return tw_yaml_error(in->file, tw_yaml_member(node, "name"), in->err,
                             "this name cannot be taken: 1 to %d bytes of UTF-8 without '/'",
                             SCALE_POOL_NAME_BYTES_MAX);
    *ret = tw_arena_str(in->arena, name);
    return TW_OK;
}

/* Replicas that one instance of the type carries: told, or what its resources hold of requests. */
static enum tw_code read_carries(struct reading *in, const struct tw_yaml *node,
                                 struct scale_member *member)
{
    member->carries = 0;
    enum tw_code code =
        tw_yaml_get_int(in->file, node, "replicas", 1, REPLICAS_MAX, &member->carries, in->err);
    if (code != TW_OK || member->carries > 0)
        return code;
    double holds = INFINITY;
    if (!isnan(in->cpu) && !isnan(member->cpu))
        holds = fmin(holds, floor(member->cpu / in->cpu + 1e-9));
    if (!isnan(in->memory) && !isnan(member->memory))
        holds = fmin(holds, floor(member->memory / in->memory + 1e-9));
    if (isinf(holds))
        return tw_yaml_error(in->file, node, in->err,
                             "say how many replicas an instance of type '%.*s' carries: replicas: "
                             "N, or its cpu and memory beside the scaler's requests: {cpu: , "
                             "memory: }",
                             TW_STR_ARG(member->name));
    if (holds < 1)
        return tw_yaml_error(in->file, node, in->err,
                             "an instance of type '%.*s' is too small for one replica's requests",
                             TW_STR_ARG(member->name));
    member->carries = (int64_t)fmin(holds, REPLICAS_MAX);
    return TW_OK;
}

static enum tw_code read_member(struct reading *in, const struct tw_yaml *node, bool is_type,
                                struct scale_member *member)
{
    static const char *const of_pool[] = {"name",          "weight", "min", "max",
                                          "cost_per_hour", "target", NULL};
    static const char *const of_type[] = {"name", "cpu",           "memory", "replicas", "min",
                                          "max",  "cost_per_hour", "target", NULL};
    const struct tw_yaml *target = NULL;
    if (node->kind != TW_YAML_MAPPING)
        return tw_yaml_error(in->file, node, in->err, "a %s is a mapping with name, %s and target",
                             is_type ? "type" : "pool", is_type ? "cost_per_hour" : "weight");
    *member = (struct scale_member){.weight = 1,
                                    .max = REPLICAS_MAX,
                                    .cost_per_hour = NAN,
                                    .cpu = NAN,
                                    .memory = NAN,
                                    .carries = 1};
    enum tw_code code = tw_yaml_check_keys(in->file, node, is_type ? of_type : of_pool, in->err);
    if (code == TW_OK)
        code = read_name(in, node, &member->name);
    if (code == TW_OK)
        code = read_number(in, node, "weight", 0, false, 1e6, &member->weight);
    if (code == TW_OK)
        code = read_number(in, node, "cost_per_hour", 0, false, SCALE_COST_MAX,
                           &member->cost_per_hour);
    if (code == TW_OK)
        code = tw_yaml_get_int(in->file, node, "min", 0, REPLICAS_MAX, &member->min, in->err);
    if (code == TW_OK)
        code = tw_yaml_get_int(in->file, node, "max", 0, REPLICAS_MAX, &member->max, in->err);
    if (code == TW_OK && member->min > member->max)
        code = tw_yaml_error(in->file, tw_yaml_member(node, "min"), in->err,
                             "min (%lld) is more than max (%lld)", (long long)member->min,
                             (long long)member->max);
    if (code == TW_OK && is_type)
        code = read_number(in, node, "cpu", 0, true, 1e9, &member->cpu);
    if (code == TW_OK && is_type)
        code = read_memory(in, node, &member->memory);
    if (code == TW_OK && is_type)
        code = read_carries(in, node, member);
    if (code == TW_OK && is_type && isnan(member->cost_per_hour))
        code = tw_yaml_error(in->file, node, in->err,
                             "cost_per_hour is missing: without it no mix is the cheapest");
    if (code == TW_OK)
        code = tw_yaml_get_node(in->file, node, "target", TW_YAML_MAPPING, &target, in->err);
    return code == TW_OK ? scale_target_parse(in->arena, in->file, target, &member->target, in->err)
                         : code;
}

static enum tw_code read_members(struct reading *in, const struct tw_yaml *list, bool is_type,
                                 struct scale_fleet_settings *ret)
{
    const char *what = is_type ? "types" : "pools";
    if (list->count == 0 || list->count > SCALE_POOLS_MAX)
        return tw_yaml_error(in->file, list, in->err, "%zu %s are given: 1 to %d are taken",
                             list->count, what, SCALE_POOLS_MAX);
    ret->kind = is_type ? SCALE_FLEET_TYPES : SCALE_FLEET_POOLS;
    ret->count = list->count;
    ret->members = TW_ARENA_ARRAY(in->arena, struct scale_member, list->count);
    double weights = 0;
    for (size_t i = 0; i < list->count; i++) {
        enum tw_code code = read_member(in, list->items[i], is_type, &ret->members[i]);
        if (code != TW_OK)
            return code;
        weights += ret->members[i].weight;
        for (size_t j = 0; j < i; j++)
            if (tw_str_equal(ret->members[i].name, ret->members[j].name))
                return tw_yaml_error(in->file, tw_yaml_member(list->items[i], "name"), in->err,
                                     "there are two %s of the name '%.*s'", what,
                                     TW_STR_ARG(ret->members[i].name));
        if ((ret->members[i].target.kind == SCALE_TARGET_NONE) !=
            (ret->members[0].target.kind == SCALE_TARGET_NONE))
            return tw_yaml_error(in->file, list->items[i], in->err,
                                 "some %s have a target and some have none", what);
    }
    if (!(weights > 0))
        return tw_yaml_error(in->file, list, in->err, "at least one pool needs a weight above 0");
    return TW_OK;
}

static enum tw_code read_switching(struct reading *in, const struct tw_yaml *map,
                                   struct scale_fleet_settings *ret)
{
    static const char *const known[] = {"cost", NULL};
    const struct tw_yaml *node = NULL;
    enum tw_code code =
        tw_yaml_get_node(in->file, map, "switching", TW_YAML_MAPPING, &node, in->err);
    if (code != TW_OK || !node)
        return code;
    code = tw_yaml_check_keys(in->file, node, known, in->err);
    return code == TW_OK
               ? read_number(in, node, "cost", 0, false, SCALE_COST_MAX, &ret->switch_cost)
               : code;
}

static enum tw_code read_drain(struct reading *in, const struct tw_yaml *map,
                               struct scale_pool_rules *rules)
{
    static const char *const known[] = {"tries", "patience", "probe", NULL};
    const struct tw_yaml *node = NULL;
    int64_t tries = rules->tries;
    enum tw_code code = tw_yaml_get_node(in->file, map, "drain", TW_YAML_MAPPING, &node, in->err);
    if (code != TW_OK || !node)
        return code;
    code = tw_yaml_check_keys(in->file, node, known, in->err);
    if (code == TW_OK)
        code = tw_yaml_get_int(in->file, node, "tries", 1, 100, &tries, in->err);
    rules->tries = (unsigned)tries;
    if (code == TW_OK)
        code = tw_yaml_get_duration(in->file, node, "patience", &rules->patience_ms, in->err);
    if (code == TW_OK && tw_yaml_member(node, "patience") &&
        (rules->patience_ms < 5000 || rules->patience_ms > PATIENCE_MS_MAX))
        code = tw_yaml_error(in->file, tw_yaml_member(node, "patience"), in->err,
                             "patience has to be from 5s to 1h");
    if (code == TW_OK)
        code = tw_yaml_get_duration(in->file, node, "probe", &rules->probe_ms, in->err);
    if (code == TW_OK && (rules->probe_ms < 5000 || rules->probe_ms > SCALE_PROBE_MS_MAX))
        code = tw_yaml_error(in->file, tw_yaml_member(node, "probe"), in->err,
                             "probe has to be from 5s to 30m");
    return code;
}

/* What belongs to a fleet only is refused without one. */
static enum tw_code check_alone(struct reading *in, const struct tw_yaml *map,
                                const struct tw_yaml *pools, const struct tw_yaml *types)
{
    static const char *const of_types[] = {"requests", "limits", "switching", NULL};
    if (pools && types)
        return tw_yaml_error(in->file, types, in->err,
                             "a scaler has pools or types: both are given");
    if ((pools || types) && !tw_yaml_is_null(tw_yaml_member(map, "target")))
        return tw_yaml_error(in->file, tw_yaml_member(map, "target"), in->err,
                             "each of the %s has its own target: this one would not be used",
                             pools ? "pools" : "types");
    for (size_t i = 0; of_types[i] && !types; i++)
        if (!tw_yaml_is_null(tw_yaml_member(map, of_types[i])))
            return tw_yaml_error(in->file, tw_yaml_member(map, of_types[i]), in->err,
                                 "%s goes with types: there are none", of_types[i]);
    if (!pools && !types && !tw_yaml_is_null(tw_yaml_member(map, "drain")))
        return tw_yaml_error(in->file, tw_yaml_member(map, "drain"), in->err,
                             "drain goes with pools or types: there are none");
    return TW_OK;
}

enum tw_code scale_fleet_parse(struct tw_arena *arena, const char *file, const struct tw_yaml *map,
                               int64_t max, struct scale_fleet_settings *ret, struct tw_err *err)
{
    struct tw_err own = {0};
    struct reading in = {arena, file, err ? err : &own, NAN, NAN};
    struct scale_fleet_settings fleet;
    const struct tw_yaml *pools = NULL, *types = NULL;
    scale_fleet_settings_init(&fleet);
    enum tw_code code = tw_yaml_get_node(file, map, "pools", TW_YAML_SEQUENCE, &pools, in.err);
    if (code == TW_OK)
        code = tw_yaml_get_node(file, map, "types", TW_YAML_SEQUENCE, &types, in.err);
    if (code == TW_OK)
        code = check_alone(&in, map, pools, types);
    if (code == TW_OK)
        code = read_resources(&in, map, "requests", &in.cpu, &in.memory, NULL);
    if (code == TW_OK && types)
        code =
            read_resources(&in, map, "limits", &fleet.cpu_max, &fleet.memory_max, &fleet.count_max);
    if (code == TW_OK)
        code = read_switching(&in, map, &fleet);
    if (code == TW_OK)
        code = read_drain(&in, map, &fleet.rules);
    if (code == TW_OK && (pools || types))
        code = read_members(&in, pools ? pools : types, types != NULL, &fleet);
    double least = 0, most = 0;
    for (size_t i = 0; code == TW_OK && i < fleet.count; i++) {
        const struct scale_member *member = &fleet.members[i];
        least += (double)(member->min * member->carries);
        most += (double)member->max * (double)member->carries;
        if (!isinf(fleet.cpu_max) && isnan(member->cpu))
            code = tw_yaml_error(file, types->items[i], in.err,
                                 "limits name cpu: say the cpu of an instance, too");
        else if (!isinf(fleet.memory_max) && isnan(member->memory))
            code = tw_yaml_error(file, types->items[i], in.err,
                                 "limits name memory: say the memory of an instance, too");
    }
    if (code == TW_OK && fleet.count && most < 1)
        code = tw_yaml_error(file, pools ? pools : types, in.err, "nothing fits: every max is 0");
    if (code == TW_OK && pools && least > (double)max)
        code = tw_yaml_error(file, pools, in.err,
                             "the pools' min add up to %.0f, more than the scaler's max (%lld)",
                             least, (long long)max);
    if (code == TW_OK)
        *ret = fleet;
    return code;
}
