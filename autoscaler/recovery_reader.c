/* SPDX-License-Identifier: Apache-2.0
 *
 * The `recovery:` member of a scaler's configuration.
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include "autoscaler/recovery.h"
#include "query/engine.h"

#define FOR_MS_MAX 86400000
#define ATTEMPTS_MAX 100

static enum tw_code read_query(const char *file, const struct tw_yaml *node, struct tw_arena *arena,
                               struct scale_recovery_settings *ret, struct tw_err *err)
{
    struct tw_str query = {0}, label = ret->label;
    struct tw_err query_err = {0};
    enum tw_code code = tw_yaml_get_str(file, node, "instances", &query, err);
    if (code == TW_OK && !query.size)
        code = tw_yaml_error(file, node, err,
                             "recovery needs instances: a query with a series for each, above 0 "
                             "while it is well, such as up{app=\"web\"}");
    if (code == TW_OK && query_check(query, &query_err) != TW_OK)
        code = tw_yaml_error(file, tw_yaml_member(node, "instances"), err, "instances: %s",
                             query_err.message);
    if (code == TW_OK)
        code = tw_yaml_get_str(file, node, "label", &label, err);
    if (code == TW_OK && !label.size)
        code = tw_yaml_error(file, tw_yaml_member(node, "label"), err,
                             "label names the instances to the target: it cannot be empty");
    if (code != TW_OK)
        return code;
    ret->instances = tw_arena_str(arena, query);
    ret->label = tw_arena_str(arena, label);
    return TW_OK;
}

static enum tw_code read_share(const char *file, const struct tw_yaml *node, const char *key,
                               double *ret, struct tw_err *err)
{
    enum tw_code code = tw_yaml_get_double(file, node, key, ret, err);
    if (code == TW_OK && !(*ret > 0 && *ret <= 1))
        code = tw_yaml_error(file, tw_yaml_member(node, key), err,
                             "%s is a share: more than 0, at most 1", key);
    return code;
}

static enum tw_code read_limits(const char *file, const struct tw_yaml *node,
                                struct scale_recovery_settings *ret, struct tw_err *err)
{
    enum tw_code code = tw_yaml_get_duration(file, node, "for", &ret->for_ms, err);
    if (code == TW_OK && (ret->for_ms < 0 || ret->for_ms > FOR_MS_MAX))
        code = tw_yaml_error(file, tw_yaml_member(node, "for"), err, "for has to be from 0s to 1d");
    if (code == TW_OK)
        code = read_share(file, node, "max_share", &ret->max_share, err);
    if (code == TW_OK)
        code = read_share(file, node, "max_failing", &ret->max_failing, err);
    if (code == TW_OK)
        code = tw_yaml_get_int(file, node, "min_healthy", 0, SCALE_REPLICAS_MAX, &ret->min_healthy,
                               err);
    if (code == TW_OK)
        code = tw_yaml_get_int(file, node, "max_per_hour", 1, SCALE_RECOVERY_ACTS_MAX,
                               &ret->max_per_hour, err);
    if (code == TW_OK)
        code = tw_yaml_get_int(file, node, "attempts", 1, ATTEMPTS_MAX, &ret->attempts, err);
    return code;
}

enum tw_code scale_recovery_parse(struct tw_arena *arena, const char *file,
                                  const struct tw_yaml *map, struct scale_settings *settings,
                                  struct tw_err *err)
{
    static const char *const known[] = {"instances", "label",       "for",         "mode",
                                        "max_share", "max_failing", "min_healthy", "max_per_hour",
                                        "attempts",  NULL};
    const struct tw_yaml *node = NULL;
    struct scale_recovery_settings *recovery = &settings->recovery;
    struct tw_str mode = TW_STR_INIT("observe");
    enum tw_code code = tw_yaml_get_node(file, map, "recovery", TW_YAML_MAPPING, &node, err);
    if (code != TW_OK || !node)
        return code;
    code = tw_yaml_check_keys(file, node, known, err);
    if (code == TW_OK)
        code = read_query(file, node, arena, recovery, err);
    if (code == TW_OK)
        code = read_limits(file, node, recovery, err);
    if (code == TW_OK)
        code = tw_yaml_get_str(file, node, "mode", &mode, err);
    if (code != TW_OK)
        return code;
    recovery->mode = tw_str_is(mode, "act") ? SCALE_ACT : SCALE_OBSERVE;
    if (recovery->mode == SCALE_OBSERVE && !tw_str_is(mode, "observe"))
        return tw_yaml_error(file, tw_yaml_member(node, "mode"), err,
                             "mode is '%.*s': use observe or act", TW_STR_ARG(mode));
    if (recovery->mode == SCALE_ACT && !scale_target_replaces(&settings->target))
        return tw_yaml_error(file, tw_yaml_member(node, "mode"), err,
                             "to act, a target is needed that can replace an instance; of kind "
                             "exec, give it replace: [program, \"{instance}\"]");
    return TW_OK;
}
