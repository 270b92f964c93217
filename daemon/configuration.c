/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/configuration.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/file.h"
#include "daemon/forecast_settings.h"
#include "daemon/storage.h"
#include "daemon/yaml_text.h"

#define SECRET_BYTES_MAX 65536
#define KEYS_MAX 64

static const char *const own_keys[] = {"global",  "scalers",  "budgets", "forward",
                                       "storage", "forecast", NULL};

/* Keys of Prometheus's and Alertmanager's files that have another place here. */
static const struct {
    const char *key, *cure;
} moved_keys[] = {
    {"scrape_configs", "the agent scrapes: put scrape_configs into agent.yml"},
    {"scrape_config_files", "the agent scrapes: put scrape_configs into agent.yml"},
    {"alerting", "name Alertmanagers under alertmanagers: [{url: ...}]"},
    {"remote_write", "passing samples on to another engine is not supported yet"},
    {"remote_read", "reading from another engine is not supported yet"},
    {"otlp", "OTLP is not supported yet"},
    {"tracing", "tracing is not supported"},
};

struct daemon_configuration *daemon_configuration_free(struct daemon_configuration *configuration)
{
    if (configuration) {
        forecast_holidays_unref(configuration->forecast.holidays);
        tw_arena_free(configuration->arena);
    }
    return NULL;
}

/* ---- ${NAME} and <key>_file ---- */

struct filled {
    struct filled *next;
    const struct tw_yaml *node;
};

struct fill {
    struct tw_arena *arena;
    const char *name, *folder;
    struct tw_err *err;
    struct filled *filled; /* aliases share nodes: none is filled twice */
};

static bool starts_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The name in "${NAME}" at text[at], or an empty one. "${1}" of relabelling stays as it is. */
static struct tw_str variable_at(struct tw_str text, size_t at)
{
    struct tw_str none = {0};
    if (at + 2 >= text.size || text.data[at] != '$' || text.data[at + 1] != '{' ||
        !starts_name(text.data[at + 2]))
        return none;
    size_t end = at + 2;
    while (end < text.size &&
           (starts_name(text.data[end]) || (text.data[end] >= '0' && text.data[end] <= '9')))
        end++;
    return end < text.size && text.data[end] == '}' ? tw_str_slice(text, at + 2, end) : none;
}

static enum tw_code fill_scalar(struct fill *fill, struct tw_yaml *node)
{
    struct tw_str text = node->text;
    if (tw_str_find(text, TW_STR("${")) == SIZE_MAX)
        return TW_OK;
    for (const struct filled *at = fill->filled; at; at = at->next)
        if (at->node == node)
            return TW_OK;
    struct filled *mark = TW_ARENA_NEW(fill->arena, struct filled);
    *mark = (struct filled){.next = fill->filled, .node = node};
    fill->filled = mark;
    struct tw_buf filled;
    tw_buf_init(&filled, DAEMON_CONFIGURATION_BYTES_MAX);
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < text.size && code == TW_OK;) {
        bool escaped = text.data[i] == '$' && variable_at(text, i + 1).size > 0;
        struct tw_str variable = variable_at(text, i + escaped);
        if (variable.size == 0) {
            tw_buf_append_char(&filled, text.data[i++]);
            continue;
        }
        const char *value = getenv(tw_arena_cstr(fill->arena, variable));
        if (escaped)
            tw_buf_appendf(&filled, "${%.*s}", TW_STR_ARG(variable));
        else if (value)
            tw_buf_append_cstr(&filled, value);
        else
            code = tw_yaml_error(fill->name, node, fill->err,
                                 "environment variable '%.*s' is not set (write $${%.*s} for the "
                                 "text itself)",
                                 TW_STR_ARG(variable), TW_STR_ARG(variable));
        i += variable.size + 3 + escaped;
    }
    if (code == TW_OK && filled.overflow)
        code = tw_yaml_error(fill->name, node, fill->err, "too long with its variables filled in");
    if (code == TW_OK)
        node->text = tw_arena_str(fill->arena, tw_buf_str(&filled));
    tw_buf_fini(&filled);
    return code;
}

/* "<key>_file: path" of a secret becomes "<key>: <first line of the file>". */
static enum tw_code fill_from_file(struct fill *fill, struct tw_yaml *mapping,
                                   struct tw_yaml_pair *pair)
{
    struct tw_str key = pair->key->text, suffix = TW_STR("_file");
    if (!tw_str_ends(key, suffix) || pair->value->kind != TW_YAML_SCALAR)
        return TW_OK;
    key = tw_str_slice(key, 0, key.size - suffix.size);
    if (!daemon_yaml_is_secret(key) && !tw_str_is(key, "url"))
        return TW_OK;
    const char *plain = tw_arena_cstr(fill->arena, key);
    if (tw_yaml_member(mapping, plain))
        return tw_yaml_error(fill->name, pair->key, fill->err, "either '%s' or '%s_file', not both",
                             plain, plain);
    struct tw_str path = pair->value->text;
    if (!tw_str_starts(path, TW_STR("/")))
        path = tw_arena_format(fill->arena, "%s/%.*s", fill->folder, TW_STR_ARG(path));
    struct tw_buf content;
    struct tw_err reason;
    tw_buf_init(&content, SECRET_BYTES_MAX);
    enum tw_code code = tw_file_read(tw_arena_cstr(fill->arena, path), &content, &reason);
    if (code != TW_OK)
        tw_yaml_error(fill->name, pair->value, fill->err, "%s", reason.message);
    if (code == TW_OK) {
        struct tw_yaml *new_key = TW_ARENA_NEW(fill->arena, struct tw_yaml);
        struct tw_yaml *new_value = TW_ARENA_NEW(fill->arena, struct tw_yaml);
        *new_key = *pair->key;
        new_key->text = key;
        *new_value = *pair->value;
        new_value->quoted = true;
        new_value->text = tw_arena_str(fill->arena, tw_str_trim(tw_buf_str(&content)));
        *pair = (struct tw_yaml_pair){.key = new_key, .value = new_value};
    }
    tw_buf_fini(&content);
    return code == TW_OK ? TW_OK : TW_CONFIG;
}

static enum tw_code fill_node(struct fill *fill, struct tw_yaml *node)
{
    enum tw_code code = TW_OK;
    if (node->kind == TW_YAML_SCALAR)
        return fill_scalar(fill, node);
    if (node->kind == TW_YAML_SEQUENCE) {
        for (size_t i = 0; i < node->count && code == TW_OK; i++)
            code = fill_node(fill, node->items[i]);
        return code;
    }
    for (size_t i = 0; i < node->count && code == TW_OK; i++) {
        code = fill_node(fill, node->pairs[i].value);
        if (code == TW_OK)
            code = fill_from_file(fill, node, &node->pairs[i]);
    }
    return code;
}

/* ---- sections ---- */

static enum tw_code check_top(const struct daemon_configuration *configuration, struct tw_err *err)
{
    const struct tw_yaml *root = configuration->root;
    const char *known[KEYS_MAX];
    size_t count = 0;
    for (size_t i = 0; own_keys[i]; i++)
        known[count++] = own_keys[i];
    for (size_t i = 0; alert_config_keys[i]; i++) {
        TW_ASSERT(count + 1 < KEYS_MAX);
        known[count++] = alert_config_keys[i];
    }
    known[count] = NULL;
    if (root->kind != TW_YAML_MAPPING)
        return tw_yaml_error(configuration->name, root, err,
                             "a mapping (key: value) is expected here");
    for (size_t i = 0; i < root->count; i++)
        for (size_t k = 0; k < sizeof moved_keys / sizeof moved_keys[0]; k++)
            if (tw_str_is(root->pairs[i].key->text, moved_keys[k].key))
                return tw_yaml_error(configuration->name, root->pairs[i].key, err, "'%s': %s",
                                     moved_keys[k].key, moved_keys[k].cure);
    return tw_yaml_check_keys(configuration->name, root, known, err);
}

static enum tw_code refuse_unsupported(const struct daemon_configuration *configuration,
                                       struct tw_err *err)
{
    const char *name = configuration->name;
    const struct tw_yaml *storage, *forward = tw_yaml_member(configuration->root, "forward");
    if (!tw_yaml_is_null(forward) && (forward->kind == TW_YAML_SCALAR || forward->count > 0))
        return tw_yaml_error(
            name, forward, err,
            "'forward' (passing samples on to other engines) is not supported yet");
    enum tw_code code =
        tw_yaml_get_node(name, configuration->root, "storage", TW_YAML_MAPPING, &storage, err);
    if (code == TW_OK)
        code = tw_yaml_check_keys(name, storage, daemon_storage_keys, err);
    if (code != TW_OK)
        return code;
    const struct tw_yaml *external = tw_yaml_member(storage, "external");
    if (!tw_yaml_is_null(external))
        return tw_yaml_error(name, external, err,
                             "'storage.external' (running over another engine) is not supported "
                             "yet; samples are stored under --data");
    struct daemon_storage checked;
    code = daemon_storage_read(name, storage, &checked, err);
    if (code == TW_OK)
        daemon_storage_fini(&checked);
    return code;
}

static enum tw_code read_external_labels(struct daemon_configuration *configuration,
                                         const struct tw_yaml *labels, struct tw_err *err)
{
    const char *name = configuration->name;
    struct wire_label *items =
        TW_ARENA_ARRAY(configuration->arena, struct wire_label, labels ? labels->count : 0);
    size_t count = 0;
    for (; labels && count < labels->count; count++) {
        const struct tw_yaml_pair *pair = &labels->pairs[count];
        if (pair->value->kind != TW_YAML_SCALAR)
            return tw_yaml_error(name, pair->value, err, "a label's value is a text");
        if (pair->key->text.size == 0 || tw_str_is(pair->key->text, WIRE_METRIC_NAME))
            return tw_yaml_error(name, pair->key, err, "'%.*s' is no name for an external label",
                                 TW_STR_ARG(pair->key->text));
        items[count] = (struct wire_label){.name = pair->key->text, .value = pair->value->text};
    }
    struct tw_err reason;
    if (wire_labels_canonical(items, &count, &reason) != TW_OK)
        return tw_yaml_error(name, labels, err, "external_labels: %s", reason.message);
    configuration->external_labels = (struct wire_labels){.items = items, .count = count};
    return TW_OK;
}

static enum tw_code read_global(struct daemon_configuration *configuration, struct tw_err *err)
{
    static const char *const known[] = {"evaluation_interval", "rule_query_offset",
                                        "external_labels", NULL};
    const char *name = configuration->name;
    const struct tw_yaml *global, *labels = NULL;
    enum tw_code code =
        tw_yaml_get_node(name, configuration->root, "global", TW_YAML_MAPPING, &global, err);
    if (code == TW_OK)
        code = tw_yaml_check_keys(name, global, known, err);
    if (code == TW_OK)
        code = tw_yaml_get_duration(name, global, "evaluation_interval",
                                    &configuration->evaluation_interval_ms, err);
    if (code == TW_OK)
        code = tw_yaml_get_duration(name, global, "rule_query_offset",
                                    &configuration->query_offset_ms, err);
    if (code == TW_OK)
        code = tw_yaml_get_node(name, global, "external_labels", TW_YAML_MAPPING, &labels, err);
    if (code == TW_OK)
        code = read_external_labels(configuration, labels, err);
    return code;
}

static enum tw_code read_tree(struct daemon_configuration *configuration, struct tw_str text,
                              struct tw_err *err)
{
    struct tw_yaml *root;
    enum tw_code code = tw_yaml_parse(configuration->arena, configuration->name, text, &root, err);
    if (code != TW_OK || !root)
        return code;
    configuration->root = root;
    struct tw_buf shown;
    tw_buf_init(&shown, 2 * DAEMON_CONFIGURATION_BYTES_MAX);
    daemon_yaml_write(root, &shown);
    configuration->shown = tw_arena_str(configuration->arena, tw_buf_str(&shown));
    tw_buf_fini(&shown);
    struct fill fill = {.arena = configuration->arena,
                        .name = configuration->name,
                        .folder = configuration->folder,
                        .err = err};
    code = fill_node(&fill, root);
    if (code == TW_OK)
        code = check_top(configuration, err);
    if (code == TW_OK)
        code = refuse_unsupported(configuration, err);
    if (code == TW_OK)
        code = read_global(configuration, err);
    if (code == TW_OK)
        code = daemon_forecast_read(configuration->name, configuration->folder,
                                    tw_yaml_member(root, "forecast"), QUERY_FEATURES_ALL,
                                    configuration->arena, &configuration->forecast, err);
    if (code == TW_OK)
        configuration->scalers = tw_yaml_member(root, "scalers");
    if (code == TW_OK)
        code = scale_shared_budgets_parse(
            configuration->arena, configuration->name, tw_yaml_member(root, "budgets"),
            configuration->scalers, &configuration->budgets, &configuration->budget_count, err);
    return code;
}

enum tw_code daemon_configuration_read(const char *path, struct daemon_configuration **ret,
                                       struct tw_err *err)
{
    struct tw_arena *arena = tw_arena_new(4096);
    struct daemon_configuration *configuration = TW_ARENA_NEW(arena, struct daemon_configuration);
    configuration->arena = arena;
    configuration->name = "";
    configuration->folder = ".";
    enum tw_code code = TW_OK;
    if (path && *path) {
        struct tw_str full = tw_str(path);
        const char *slash = strrchr(path, '/');
        configuration->name = tw_arena_cstr(arena, full);
        if (slash)
            configuration->folder = tw_arena_cstr(
                arena, slash == path ? TW_STR("/") : tw_str_slice(full, 0, (size_t)(slash - path)));
        struct tw_buf text;
        tw_buf_init(&text, DAEMON_CONFIGURATION_BYTES_MAX);
        code = tw_file_read(path, &text, err);
        if (code == TW_OK)
            code = read_tree(configuration, tw_buf_str(&text), err);
        tw_buf_fini(&text);
    }
    if (code != TW_OK)
        daemon_configuration_free(configuration);
    else
        *ret = configuration;
    return code;
}

struct alert_settings daemon_configuration_alerts(const struct daemon_configuration *configuration,
                                                  const char *external_url)
{
    return (struct alert_settings){.config_name = configuration->name,
                                   .config_folder = configuration->folder,
                                   .config = configuration->root,
                                   .external_url = tw_str(external_url),
                                   .external_labels = configuration->external_labels,
                                   .interval_ms = configuration->evaluation_interval_ms,
                                   .query_offset_ms = configuration->query_offset_ms};
}
