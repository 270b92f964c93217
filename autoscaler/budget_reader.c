/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <math.h>
#include <string.h>

#include "autoscaler/budget.h"
#include "autoscaler/schedule.h"
#include "base/utf8.h"

#define COST_MAX 1e12
#define PRIORITY_MAX 1000000

void scale_budget_settings_init(struct scale_budget_settings *settings)
{
    *settings = (struct scale_budget_settings){.caps = {INFINITY, INFINITY}};
}

static enum tw_code read_cost(const char *file, const struct tw_yaml *map, const char *key,
                              double *ret, struct tw_err *err)
{
    double value = *ret;
    if (tw_yaml_is_null(tw_yaml_member(map, key)))
        return TW_OK;
    enum tw_code code = tw_yaml_get_double(file, map, key, &value, err);
    if (code == TW_OK && !(value > 0 && value <= COST_MAX))
        code = tw_yaml_error(file, tw_yaml_member(map, key), err,
                             "%s is an amount: more than 0, without a currency's sign", key);
    if (code == TW_OK)
        *ret = value;
    return code;
}

/* per_day, per_month, at_cap, utc_offset. */
static enum tw_code read_caps(const char *file, const struct tw_yaml *map,
                              struct scale_budget_settings *ret, struct tw_err *err)
{
    enum tw_code code = read_cost(file, map, "per_day", &ret->caps[SCALE_PERIOD_DAY], err);
    if (code == TW_OK)
        code = read_cost(file, map, "per_month", &ret->caps[SCALE_PERIOD_MONTH], err);
    if (code == TW_OK)
        code = scale_offset_parse(file, map, &ret->offset_ms, err);
    struct tw_str word = {0};
    if (code == TW_OK)
        code = tw_yaml_get_str(file, map, "at_cap", &word, err);
    if (code != TW_OK)
        return code;
    bool capped = !isinf(ret->caps[SCALE_PERIOD_DAY]) || !isinf(ret->caps[SCALE_PERIOD_MONTH]);
    if (capped != (word.size > 0))
        return tw_yaml_error(
            file, map, err,
            capped ? "say what happens when the cap is reached: at_cap: hold (no scale-out), "
                     "minimum (down to min) or alert (nothing but saying so)"
                   : "at_cap goes with per_day or per_month");
    if (!capped)
        return TW_OK;
    for (int k = SCALE_AT_CAP_ALERT; k <= SCALE_AT_CAP_MINIMUM; k++)
        if (tw_str_is(word, scale_at_cap_name((enum scale_at_cap)k))) {
            ret->at_cap = (enum scale_at_cap)k;
            return TW_OK;
        }
    return tw_yaml_error(file, tw_yaml_member(map, "at_cap"), err,
                         "at_cap is '%.*s': use hold, minimum or alert", TW_STR_ARG(word));
}

enum tw_code scale_budget_parse(struct tw_arena *arena, const char *file, const struct tw_yaml *map,
                                bool costs, struct scale_budget_settings *ret, struct tw_err *err)
{
    static const char *const known[] = {"per_day",  "per_month",  "at_cap", "shared",
                                        "priority", "utc_offset", NULL};
    const struct tw_yaml *node = NULL;
    struct scale_budget_settings settings;
    scale_budget_settings_init(&settings);
    enum tw_code code = tw_yaml_get_node(file, map, "budget", TW_YAML_MAPPING, &node, err);
    if (code != TW_OK || !node)
        return code;
    settings.given = true;
    code = tw_yaml_check_keys(file, node, known, err);
    if (code == TW_OK)
        code = read_caps(file, node, &settings, err);
    if (code == TW_OK)
        code = tw_yaml_get_str(file, node, "shared", &settings.shared, err);
    if (code == TW_OK)
        code = tw_yaml_get_int(file, node, "priority", -PRIORITY_MAX, PRIORITY_MAX,
                               &settings.priority, err);
    if (code == TW_OK && tw_yaml_member(node, "priority") && !settings.shared.size)
        code = tw_yaml_error(file, tw_yaml_member(node, "priority"), err,
                             "priority goes with shared: the name of a budget of `budgets`");
    if (code == TW_OK && settings.at_cap == SCALE_AT_CAP_NONE && !settings.shared.size)
        code = tw_yaml_error(file, node, err,
                             "the budget is empty: give per_day, per_month or "
                             "shared");
    if (code == TW_OK && !costs)
        code = tw_yaml_error(file, node, err,
                             "what does it cost? Give cost_per_hour, of a replica, or of each pool "
                             "or type");
    if (code == TW_OK) {
        *ret = settings;
        if (settings.shared.size)
            ret->shared = tw_arena_str(arena, settings.shared);
    }
    return code;
}

static enum tw_code read_shared(struct tw_arena *arena, const char *file, const struct tw_yaml *map,
                                struct scale_shared_budget *ret, struct tw_err *err)
{
    static const char *const known[] = {"name",      "per_hour", "replicas",   "per_day",
                                        "per_month", "at_cap",   "utc_offset", NULL};
    if (map->kind != TW_YAML_MAPPING)
        return tw_yaml_error(file, map, err, "a budget is a mapping with name and its limits");
    *ret = (struct scale_shared_budget){.per_hour = INFINITY, .replicas = INT64_MAX};
    scale_budget_settings_init(&ret->caps);
    struct tw_str name = {0};
    enum tw_code code = tw_yaml_check_keys(file, map, known, err);
    if (code == TW_OK)
        code = tw_yaml_get_str(file, map, "name", &name, err);
    if (code == TW_OK && (!name.size || name.size > SCALE_BUDGET_NAME_BYTES_MAX ||
                          !tw_utf8_valid(name) || memchr(name.data, 0, name.size)))
        code = tw_yaml_error(file, map, err, "a budget needs a name of 1 to %d bytes of UTF-8",
                             SCALE_BUDGET_NAME_BYTES_MAX);
    if (code == TW_OK)
        code = read_cost(file, map, "per_hour", &ret->per_hour, err);
    if (code == TW_OK)
        code = tw_yaml_get_int(file, map, "replicas", 1, 1000000, &ret->replicas, err);
    if (code == TW_OK)
        code = read_caps(file, map, &ret->caps, err);
    if (code == TW_OK && isinf(ret->per_hour) && ret->replicas == INT64_MAX &&
        ret->caps.at_cap == SCALE_AT_CAP_NONE)
        code = tw_yaml_error(file, map, err,
                             "budget '%.*s' limits nothing: give per_hour, replicas, per_day or "
                             "per_month",
                             TW_STR_ARG(name));
    if (code == TW_OK)
        ret->name = tw_arena_str(arena, name);
    return code;
}

/* Every budget that a scaler names is there, and not too many share it. What is wrong with scalers
 * otherwise is not said here.
 */
static enum tw_code check_names(const char *file, const struct tw_yaml *scalers,
                                const struct scale_shared_budget *items, size_t count,
                                struct tw_err *err)
{
    size_t sharers[SCALE_BUDGETS_MAX] = {0};
    for (size_t i = 0; scalers && scalers->kind == TW_YAML_SEQUENCE && i < scalers->count; i++) {
        const struct tw_yaml *scaler = scalers->items[i];
        const struct tw_yaml *budget =
            scaler->kind == TW_YAML_MAPPING ? tw_yaml_member(scaler, "budget") : NULL;
        const struct tw_yaml *shared =
            budget && budget->kind == TW_YAML_MAPPING ? tw_yaml_member(budget, "shared") : NULL;
        if (tw_yaml_is_null(shared))
            continue;
        size_t k = 0;
        while (k < count && !tw_str_equal(items[k].name, shared->text))
            k++;
        if (k == count)
            return tw_yaml_error(file, shared, err, "there is no budget '%.*s' in `budgets`",
                                 TW_STR_ARG(shared->text));
        if (++sharers[k] > SCALE_BUDGET_SHARERS_MAX)
            return tw_yaml_error(file, shared, err,
                                 "more than %d scalers share budget '%.*s': make two of it",
                                 SCALE_BUDGET_SHARERS_MAX, TW_STR_ARG(shared->text));
    }
    return TW_OK;
}

enum tw_code scale_shared_budgets_parse(struct tw_arena *arena, const char *file,
                                        const struct tw_yaml *budgets,
                                        const struct tw_yaml *scalers,
                                        struct scale_shared_budget **ret_items, size_t *ret_count,
                                        struct tw_err *err)
{
    size_t count = 0;
    struct scale_shared_budget *items = NULL;
    if (!tw_yaml_is_null(budgets)) {
        if (budgets->kind != TW_YAML_SEQUENCE)
            return tw_yaml_error(file, budgets, err,
                                 "budgets is a list: put '- name: ...' below it");
        count = budgets->count;
        if (count > SCALE_BUDGETS_MAX)
            return tw_yaml_error(file, budgets, err, "%zu budgets are given, at most %d are taken",
                                 count, SCALE_BUDGETS_MAX);
        items = TW_ARENA_ARRAY(arena, struct scale_shared_budget, count);
    }
    for (size_t i = 0; i < count; i++) {
        enum tw_code code = read_shared(arena, file, budgets->items[i], &items[i], err);
        if (code != TW_OK)
            return code;
        for (size_t k = 0; k < i; k++)
            if (tw_str_equal(items[k].name, items[i].name))
                return tw_yaml_error(file, budgets->items[i], err,
                                     "there are two budgets of the name '%.*s'",
                                     TW_STR_ARG(items[i].name));
    }
    enum tw_code code = check_names(file, scalers, items, count, err);
    if (code != TW_OK)
        return code;
    *ret_items = items;
    *ret_count = count;
    return TW_OK;
}
