/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/forecast_settings.h"

#define INTERVAL_MS_MIN 1000

static enum tw_code read_pins(const char *name, const struct tw_yaml *section, unsigned features,
                              struct tw_arena *arena, struct query_keeper_settings *ret,
                              struct tw_err *err)
{
    const struct tw_yaml *pins;
    enum tw_code code = tw_yaml_get_node(name, section, "pins", TW_YAML_SEQUENCE, &pins, err);
    if (code != TW_OK || !pins)
        return code;
    if (pins->count > QUERY_PINS_MAX)
        return tw_yaml_error(name, pins, err, "there are %zu pins, at most %d are taken",
                             pins->count, QUERY_PINS_MAX);
    struct tw_str *texts = TW_ARENA_ARRAY(arena, struct tw_str, pins->count);
    for (size_t i = 0; i < pins->count; i++) {
        struct tw_err reason;
        if (pins->items[i]->kind != TW_YAML_SCALAR)
            return tw_yaml_error(name, pins->items[i], err, "a pin is an expression");
        texts[i] = pins->items[i]->text;
        if (query_pin_check(texts[i], features, &reason) != TW_OK)
            return tw_yaml_error(name, pins->items[i], err, "%s", reason.message);
    }
    ret->pins = texts;
    ret->pin_count = pins->count;
    return TW_OK;
}

static enum tw_code read_calendar(const char *name, const char *folder,
                                  const struct tw_yaml *section, struct tw_arena *arena,
                                  struct forecast_holidays **ret, struct tw_err *err)
{
    const struct tw_yaml *calendar;
    struct tw_err reason;
    enum tw_code code = tw_yaml_get_node(name, section, "calendar", TW_YAML_SCALAR, &calendar, err);
    if (code != TW_OK || !calendar)
        return code;
    struct tw_str path = calendar->text;
    if (!tw_str_starts(path, TW_STR("/")))
        path = tw_arena_format(arena, "%s/%.*s", folder, TW_STR_ARG(path));
    if (forecast_holidays_read(tw_arena_cstr(arena, path), ret, &reason) != TW_OK)
        return tw_yaml_error(name, calendar, err, "%s", reason.message);
    return TW_OK;
}

enum tw_code daemon_forecast_read(const char *name, const char *folder,
                                  const struct tw_yaml *section, unsigned features,
                                  struct tw_arena *arena, struct query_keeper_settings *ret,
                                  struct tw_err *err)
{
    static const char *const known[] = {"pins",   "interval", "models_max", "keep_unused",
                                        "errors", "calendar", NULL};
    struct query_keeper_settings settings = {.interval_ms = QUERY_KEEPER_INTERVAL_MS,
                                             .unused_ms = QUERY_KEPT_UNUSED_MS};
    int64_t models_max = QUERY_KEPT_MODELS_MAX;
    bool errors = true;
    if (tw_yaml_is_null(section)) {
        *ret = settings;
        return TW_OK;
    }
    if (section->kind != TW_YAML_MAPPING)
        return tw_yaml_error(name, section, err, "a mapping (key: value) is expected here");
    enum tw_code code = tw_yaml_check_keys(name, section, known, err);
    if (code == TW_OK)
        code = tw_yaml_get_duration(name, section, "interval", &settings.interval_ms, err);
    if (code == TW_OK)
        code = tw_yaml_get_duration(name, section, "keep_unused", &settings.unused_ms, err);
    if (code == TW_OK)
        code = tw_yaml_get_int(name, section, "models_max", 1, DAEMON_FORECAST_MODELS_MAX,
                               &models_max, err);
    if (code == TW_OK)
        code = tw_yaml_get_bool(name, section, "errors", &errors, err);
    if (code == TW_OK)
        code = read_pins(name, section, features, arena, &settings, err);
    if (code != TW_OK)
        return code;
    if (settings.interval_ms < INTERVAL_MS_MIN)
        return tw_yaml_error(name, tw_yaml_member(section, "interval"), err,
                             "the interval has to be 1s or more");
    if (settings.unused_ms < settings.interval_ms)
        return tw_yaml_error(name, tw_yaml_member(section, "keep_unused"), err,
                             "keep_unused has to be at least the interval");
    code = read_calendar(name, folder, section, arena, &settings.holidays, err);
    if (code != TW_OK)
        return code;
    settings.models_max = (size_t)models_max;
    settings.hides_errors = !errors;
    *ret = settings;
    return TW_OK;
}
