/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/storage.h"

#include "base/arena.h"
#include "base/duration.h"
#include "query/engine.h"

static void fini_matchers(const struct tsdb_matcher *matchers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct tsdb_matcher matcher = matchers[i];
        tsdb_matcher_fini(&matcher);
    }
}

const char *const daemon_storage_keys[] = {
    "external",   "retention_size", "disk_reserve",          "memory_max",    "retention_rules",
    "series_max", "downsampling",   "series_max_per_source", "exemplars_max", NULL};

void daemon_storage_fini(struct daemon_storage *storage)
{
    if (!storage->arena)
        return;
    for (size_t i = 0; i < storage->rule_count; i++)
        fini_matchers(storage->rules[i].matchers, storage->rules[i].matcher_count);
    for (size_t i = 0; i < storage->downsampling_count; i++)
        fini_matchers(storage->downsamplings[i].matchers, storage->downsamplings[i].matcher_count);
    tw_arena_free(storage->arena);
    *storage = (struct daemon_storage){0};
}

static enum tw_code read_match(const char *name, const struct tw_yaml *mapping,
                               struct tw_arena *arena, const struct tsdb_matcher **ret_matchers,
                               size_t *ret_count, struct tw_err *err)
{
    const struct tw_yaml *node = tw_yaml_member(mapping, "match");
    if (tw_yaml_is_null(node) || node->kind != TW_YAML_SCALAR)
        return tw_yaml_error(name, node ? node : mapping, err,
                             "'match' is a selector, such as '{job=\"debug\"}'");
    struct tw_err reason;
    struct tsdb_matcher *matchers;
    enum tw_code code = query_parse_selector(node->text, arena, &matchers, ret_count, &reason);
    if (code != TW_OK)
        return tw_yaml_error(name, node, err, "match: %s", reason.message);
    *ret_matchers = matchers;
    return TW_OK;
}

/* "off" keeps for ever: 0. */
static enum tw_code read_keep(const char *name, const struct tw_yaml *mapping, int64_t *ret_ms,
                              struct tw_err *err)
{
    const struct tw_yaml *node = tw_yaml_member(mapping, "keep");
    struct tw_err reason;
    *ret_ms = 0;
    if (!tw_yaml_is_null(node) && node->kind == TW_YAML_SCALAR && tw_str_is(node->text, "off"))
        return TW_OK;
    if (tw_yaml_is_null(node) || node->kind != TW_YAML_SCALAR ||
        tw_duration_parse(node->text, ret_ms, &reason) != TW_OK || *ret_ms <= 0)
        return tw_yaml_error(name, node ? node : mapping, err,
                             "'keep' is a duration above 0, such as 3d, or off (for ever)");
    return TW_OK;
}

static enum tw_code read_rule(const char *name, const struct tw_yaml *node,
                              struct daemon_storage *storage, struct tw_err *err)
{
    static const char *const known[] = {"match", "keep", NULL};
    struct tsdb_retention_rule rule = {0};
    if (node->kind != TW_YAML_MAPPING)
        return tw_yaml_error(name, node, err, "a rule is a mapping: {match: SELECTOR, keep: 3d}");
    enum tw_code code = tw_yaml_check_keys(name, node, known, err);
    if (code == TW_OK)
        code = read_keep(name, node, &rule.keep_ms, err);
    if (code == TW_OK)
        code = read_match(name, node, storage->arena, &rule.matchers, &rule.matcher_count, err);
    if (code == TW_OK)
        storage->rules[storage->rule_count++] = rule;
    return code;
}

static enum tw_code read_rules(const char *name, const struct tw_yaml *section,
                               struct daemon_storage *storage, struct tw_err *err)
{
    const struct tw_yaml *rules = NULL;
    enum tw_code code =
        tw_yaml_get_node(name, section, "retention_rules", TW_YAML_SEQUENCE, &rules, err);
    if (code != TW_OK || !rules)
        return code;
    if (rules->count > DAEMON_RETENTION_RULES_MAX)
        return tw_yaml_error(name, rules, err, "more than %d retention_rules",
                             DAEMON_RETENTION_RULES_MAX);
    storage->rules = TW_ARENA_ARRAY(storage->arena, struct tsdb_retention_rule, rules->count + 1);
    for (size_t i = 0; i < rules->count && code == TW_OK; i++)
        code = read_rule(name, rules->items[i], storage, err);
    return code;
}

/* ---- downsampling ---- */

static enum tw_code read_duration(const char *name, const struct tw_yaml *mapping, const char *key,
                                  int64_t *ret_ms, struct tw_err *err)
{
    const struct tw_yaml *node = tw_yaml_member(mapping, key);
    struct tw_err reason;
    if (tw_yaml_is_null(node) || node->kind != TW_YAML_SCALAR ||
        tw_duration_parse(node->text, ret_ms, &reason) != TW_OK || *ret_ms <= 0)
        return tw_yaml_error(name, node ? node : mapping, err,
                             "'%s' is a duration above 0: {after: 30d, step: 5m}", key);
    return TW_OK;
}

static enum tw_code read_downsampling(const char *name, const struct tw_yaml *node,
                                      struct daemon_storage *storage, struct tw_err *err)
{
    static const char *const known[] = {"after", "step", "match", NULL};
    struct tsdb_downsampling item = {0};
    if (node->kind != TW_YAML_MAPPING)
        return tw_yaml_error(name, node, err, "an entry is a mapping: {after: 30d, step: 5m}");
    enum tw_code code = tw_yaml_check_keys(name, node, known, err);
    if (code == TW_OK)
        code = read_duration(name, node, "after", &item.after_ms, err);
    if (code == TW_OK)
        code = read_duration(name, node, "step", &item.step_ms, err);
    if (code == TW_OK && TSDB_WINDOW_MS % item.step_ms != 0)
        code = tw_yaml_error(name, tw_yaml_member(node, "step"), err,
                             "'step' divides two hours evenly: 1m, 5m, 15m, 1h");
    if (code == TW_OK && !tw_yaml_is_null(tw_yaml_member(node, "match")))
        code = read_match(name, node, storage->arena, &item.matchers, &item.matcher_count, err);
    if (code == TW_OK)
        storage->downsamplings[storage->downsampling_count++] = item;
    return code;
}

static enum tw_code read_downsamplings(const char *name, const struct tw_yaml *section,
                                       struct daemon_storage *storage, struct tw_err *err)
{
    const struct tw_yaml *list = NULL;
    enum tw_code code =
        tw_yaml_get_node(name, section, "downsampling", TW_YAML_SEQUENCE, &list, err);
    if (code != TW_OK || !list)
        return code;
    if (list->count > DAEMON_DOWNSAMPLINGS_MAX)
        return tw_yaml_error(name, list, err, "more than %d entries of downsampling",
                             DAEMON_DOWNSAMPLINGS_MAX);
    storage->downsamplings =
        TW_ARENA_ARRAY(storage->arena, struct tsdb_downsampling, list->count + 1);
    for (size_t i = 0; i < list->count && code == TW_OK; i++)
        code = read_downsampling(name, list->items[i], storage, err);
    return code;
}

static enum tw_code read_size(const char *name, const struct tw_yaml *section,
                              struct daemon_storage *storage, struct tw_err *err)
{
    enum tw_code code = tw_yaml_get_bytes(name, section, "retention_size", &storage->size_max, err);
    if (code == TW_OK && storage->size_max && storage->size_max < DAEMON_RETENTION_SIZE_MIN)
        code = tw_yaml_error(name, tw_yaml_member(section, "retention_size"), err,
                             "retention_size is at least 64MiB (0 = no bound)");
    if (code == TW_OK && !tw_yaml_is_null(tw_yaml_member(section, "disk_reserve")))
        code = tw_yaml_get_bytes(name, section, "disk_reserve", &storage->disk_reserve, err);
    return code;
}

static enum tw_code read_memory(const char *name, const struct tw_yaml *section,
                                struct daemon_storage *storage, struct tw_err *err)
{
    enum tw_code code = tw_yaml_get_bytes(name, section, "memory_max", &storage->memory_max, err);
    if (code == TW_OK && storage->memory_max && storage->memory_max < DAEMON_MEMORY_MIN)
        code = tw_yaml_error(name, tw_yaml_member(section, "memory_max"), err,
                             "memory_max is at least 128MiB (0 = three quarters of the machine)");
    return code;
}

static enum tw_code read_limits(const char *name, const struct tw_yaml *section,
                                struct daemon_storage *storage, struct tw_err *err)
{
    enum tw_code code = tw_yaml_get_int(name, section, "series_max", 0, DAEMON_SERIES_MAX,
                                        &storage->series_max, err);
    if (code == TW_OK)
        code = tw_yaml_get_int(name, section, "series_max_per_source", 0, DAEMON_SERIES_MAX,
                               &storage->series_max_per_source, err);
    if (code == TW_OK)
        code = tw_yaml_get_int(name, section, "exemplars_max", 0, DAEMON_EXEMPLARS_MAX,
                               &storage->exemplars_max, err);
    return code;
}

enum tw_code daemon_storage_read(const char *name, const struct tw_yaml *section,
                                 struct daemon_storage *ret, struct tw_err *err)
{
    *ret = (struct daemon_storage){.arena = tw_arena_new(1024),
                                   .disk_reserve = TSDB_DISK_RESERVE_AUTO,
                                   .exemplars_max = TSDB_EXEMPLARS_MAX};
    enum tw_code code = section ? read_size(name, section, ret, err) : TW_OK;
    if (code == TW_OK && section)
        code = read_rules(name, section, ret, err);
    if (code == TW_OK && section)
        code = read_limits(name, section, ret, err);
    if (code == TW_OK && section)
        code = read_memory(name, section, ret, err);
    if (code == TW_OK && section)
        code = read_downsamplings(name, section, ret, err);
    if (code != TW_OK)
        daemon_storage_fini(ret);
    return code;
}

void daemon_storage_fill(const struct daemon_storage *storage, struct tsdb_db_options *options)
{
    options->size_max = storage->size_max;
    options->disk_reserve = storage->disk_reserve;
    options->series_max = (size_t)storage->series_max;
    options->series_max_per_source = (size_t)storage->series_max_per_source;
    options->exemplars_max = (size_t)storage->exemplars_max;
    options->exemplars_off = storage->exemplars_max == 0;
    options->retention_rules = storage->rules;
    options->retention_rule_count = storage->rule_count;
    options->downsamplings = storage->downsamplings;
    options->downsampling_count = storage->downsampling_count;
}
