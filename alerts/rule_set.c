/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/rule_set.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "alerts/labelset.h"
#include "base/assert.h"
#include "base/file.h"

#define RULE_FILES_MAX 10000

#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum tw_code try_code_ = (expression);                                                     \
        if (try_code_ != TW_OK)                                                                    \
            return try_code_;                                                                      \
    } while (0)

/* ---- which files ---- */

static enum tw_code add_file(struct alert_rule_set *set, const char *path, struct tw_err *err)
{
    for (size_t i = 0; i < set->file_count; i++)
        if (tw_str_is(set->files[i]->name, path))
            return TW_OK; /* two patterns may name the same file */
    if (set->file_count >= RULE_FILES_MAX)
        return tw_err_set(err, TW_LIMIT, "more than %d rule files", RULE_FILES_MAX);
    TRY(alert_rule_file_read(path, &set->files[set->file_count], err));
    set->file_count++;
    return TW_OK;
}

static bool is_pattern(const char *path)
{
    return strpbrk(path, "*?[") != NULL;
}

/* A name without wildcards must be there; a pattern may match nothing, as in Prometheus. */
static enum tw_code add_pattern(struct alert_rule_set *set, const char *path, struct tw_err *err)
{
    if (!is_pattern(path))
        return add_file(set, path, err);
    glob_t found = {0};
    int result = glob(path, 0, NULL, &found);
    enum tw_code code = TW_OK;
    for (size_t i = 0; result == 0 && code == TW_OK && i < found.gl_pathc; i++)
        code = add_file(set, found.gl_pathv[i], err);
    if (result != 0 && result != GLOB_NOMATCH)
        code = tw_err_set(err, TW_IO, "cannot list the files of '%s'", path);
    globfree(&found);
    return code;
}

static enum tw_code read_files(struct alert_rule_set *set, const struct alert_settings *settings,
                               struct tw_err *err)
{
    const struct tw_yaml *list = NULL;
    if (settings->config == NULL)
        return TW_OK;
    TRY(tw_yaml_get_node(settings->config_name, settings->config, "rule_files", TW_YAML_SEQUENCE,
                         &list, err));
    if (list != NULL)
        set->files = TW_ARENA_ARRAY(set->arena, struct alert_rule_file *, RULE_FILES_MAX);
    for (size_t i = 0; list != NULL && i < list->count; i++) {
        if (list->items[i]->kind != TW_YAML_SCALAR || list->items[i]->text.size == 0)
            return tw_yaml_error(settings->config_name, list->items[i], err,
                                 "rule_files wants paths");
        char *name = tw_arena_cstr(set->arena, list->items[i]->text);
        char *path = name[0] == '/' || settings->config_folder == NULL
                         ? strdup(name)
                         : tw_file_join(settings->config_folder, name);
        enum tw_code code = add_pattern(set, path, err);
        free(path);
        if (code != TW_OK)
            return code;
    }
    return TW_OK;
}

/* ---- the set ---- */

static void init_group(struct alert_rule_set *set, struct alert_group_run *run,
                       const struct alert_rule_group *group, const struct alert_settings *settings)
{
    struct tw_str key =
        tw_arena_format(set->arena, "%.*s;%.*s", TW_STR_ARG(group->file), TW_STR_ARG(group->name));
    int64_t interval =
        settings->interval_ms > 0 ? settings->interval_ms : ALERT_INTERVAL_MS_DEFAULT;
    run->group = group;
    run->id = tw_hash128(key.data, key.size);
    run->interval_ms = group->interval_ms > 0 ? group->interval_ms : interval;
    run->query_offset_ms =
        group->query_offset_ms >= 0 ? group->query_offset_ms : settings->query_offset_ms;
    run->evaluated_ms = ALERT_TIME_NONE;
    run->seen_saved_ms = ALERT_TIME_NONE;
    run->rules = TW_ARENA_ARRAY(set->arena, struct alert_rule_run, group->count + 1);
    for (size_t i = 0; i < group->count; i++) {
        run->rules[i].rule = &group->rules[i];
        run->rules[i].evaluated_ms = ALERT_TIME_NONE;
    }
}

enum tw_code alert_rule_set_read(const struct alert_settings *settings,
                                 struct alert_rule_set **ret_set, struct tw_err *err)
{
    struct alert_rule_set *set = calloc(1, sizeof *set);
    TW_ASSERT(set != NULL);
    set->arena = tw_arena_new(16 * 1024);
    enum tw_code code = read_files(set, settings, err);
    if (code != TW_OK) {
        alert_rule_set_free(set);
        return code;
    }
    for (size_t i = 0; i < set->file_count; i++)
        set->group_count += set->files[i]->count;
    set->groups = TW_ARENA_ARRAY(set->arena, struct alert_group_run, set->group_count + 1);
    struct alert_group_run *run = set->groups;
    for (size_t i = 0; i < set->file_count; i++)
        for (size_t k = 0; k < set->files[i]->count; k++)
            init_group(set, run++, &set->files[i]->groups[k], settings);
    set->external_labels = wire_labels_copy(set->arena, settings->external_labels);
    set->external_url = tw_arena_str(set->arena, settings->external_url);
    *ret_set = set;
    return TW_OK;
}

static void free_rule(struct alert_rule_run *run)
{
    alert_actives_fini(&run->actives);
    for (size_t i = 0; i < run->written_count; i++)
        alert_labelset_free(run->written[i]);
    free(run->written);
    free(run->error);
}

struct alert_rule_set *alert_rule_set_free(struct alert_rule_set *set)
{
    if (set == NULL)
        return NULL;
    for (size_t i = 0; i < set->group_count; i++) {
        for (size_t k = 0; k < set->groups[i].group->count; k++)
            free_rule(&set->groups[i].rules[k]);
        query_batch_free(set->groups[i].batch);
    }
    for (size_t i = 0; i < set->file_count; i++)
        alert_rule_file_free(set->files[i]);
    tw_arena_free(set->arena);
    free(set);
    return NULL;
}

struct alert_rule_run *alert_rule_set_find(struct alert_rule_set *set, struct tw_hash128 rule)
{
    for (size_t i = 0; i < set->group_count; i++)
        for (size_t k = 0; k < set->groups[i].group->count; k++) {
            const struct alert_rule *candidate = set->groups[i].rules[k].rule;
            if (candidate->id.low == rule.low && candidate->id.high == rule.high)
                return &set->groups[i].rules[k];
        }
    return NULL;
}

static void take_group(struct alert_group_run *run, const struct alert_group_run *old)
{
    run->seen_saved_ms = old->seen_saved_ms;
    run->evaluated_ms = old->evaluated_ms;
    run->seconds = old->seconds;
    if (run->interval_ms == old->interval_ms)
        run->next_ms = old->next_ms;
}

void alert_rule_set_take(struct alert_rule_set *set, struct alert_rule_set *old)
{
    for (size_t i = 0; i < set->group_count; i++) {
        struct alert_group_run *run = &set->groups[i];
        for (size_t g = 0; g < old->group_count; g++) {
            struct alert_group_run *before = &old->groups[g];
            if (before->id.low != run->id.low || before->id.high != run->id.high)
                continue;
            take_group(run, before);
            /* Ids contain file and group, so equal rules are in equal groups. */
            for (size_t k = 0; k < run->group->count; k++)
                for (size_t o = 0; o < before->group->count; o++) {
                    struct tw_hash128 a = run->rules[k].rule->id, b = before->rules[o].rule->id;
                    if (a.low != b.low || a.high != b.high)
                        continue;
                    const struct alert_rule *rule = run->rules[k].rule;
                    run->rules[k] = before->rules[o];
                    run->rules[k].rule = rule;
                    const struct alert_rule *gone = before->rules[o].rule;
                    before->rules[o] = (struct alert_rule_run){.rule = gone};
                }
        }
    }
}
