/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/rule.h"

#include <stdlib.h>
#include <string.h>

#include "alerts/place.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/utf8.h"
#include "base/yaml.h"
#include "query/engine.h"

#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum tw_code try_code_ = (expression);                                                     \
        if (try_code_ != TW_OK)                                                                    \
            return try_code_;                                                                      \
    } while (0)

struct reader {
    const char *name; /* of the file, as it is named in messages */
    struct tw_str text;
    struct alert_rule_file *file;
    struct tw_err *err;
};

static enum tw_code expect_kind(struct reader *r, const struct tw_yaml *node,
                                enum tw_yaml_kind kind, const char *what)
{
    static const char *const kinds[] = {"a scalar", "a list", "a mapping"};
    if (node->kind == kind)
        return TW_OK;
    return tw_yaml_error(r->name, node, r->err, "%s must be %s", what, kinds[kind]);
}

/* ---- labels and annotations ---- */

static int compare_texts(const void *a, const void *b)
{
    const struct alert_text *left = a, *right = b;
    return tw_str_compare(left->name, right->name);
}

static enum tw_code check_name(struct reader *r, const struct tw_yaml *key, bool is_label)
{
    if (key->text.size == 0 || !tw_utf8_valid(key->text))
        return tw_yaml_error(r->name, key, r->err, "invalid %s name \"%.*s\"",
                             is_label ? "label" : "annotation", TW_STR_ARG(key->text));
    if (is_label && tw_str_is(key->text, WIRE_METRIC_NAME))
        return tw_yaml_error(r->name, key, r->err,
                             "a rule cannot set the label __name__; use record");
    return TW_OK;
}

static enum tw_code read_text(struct reader *r, const struct tw_yaml_pair *pair, bool is_label,
                              bool is_template, struct alert_text *ret)
{
    TRY(check_name(r, pair->key, is_label));
    TRY(expect_kind(r, pair->value, TW_YAML_SCALAR, is_label ? "a label" : "an annotation"));
    ret->name = pair->key->text;
    ret->text = tw_yaml_is_null(pair->value) ? TW_STR("") : pair->value->text;
    if (!tw_utf8_valid(ret->text) ||
        (is_label && !is_template && ret->text.size > WIRE_LABEL_VALUE_BYTES_MAX))
        return tw_yaml_error(r->name, pair->value, r->err, "invalid label value");
    if (!is_template)
        return TW_OK;
    if (alert_template_parse(r->file->arena, ret->text, &ret->template, r->err) == TW_OK)
        return TW_OK;
    return alert_place_error(r->name, r->text, pair->value, "template", r->err);
}

/* Appends the members of a mapping to *texts, replacing those of the same name; keeps the order. */
static enum tw_code read_texts(struct reader *r, const struct tw_yaml *mapping, bool is_label,
                               bool is_template, struct alert_text **texts, size_t *count)
{
    if (mapping == NULL)
        return TW_OK;
    struct alert_text *all =
        TW_ARENA_ARRAY(r->file->arena, struct alert_text, *count + mapping->count + 1);
    if (*count > 0)
        memcpy(all, *texts, *count * sizeof *all);
    size_t total = *count;
    for (size_t i = 0; i < mapping->count; i++) {
        struct alert_text text = {0};
        TRY(read_text(r, &mapping->pairs[i], is_label, is_template, &text));
        size_t at = 0;
        while (at < total && !tw_str_equal(all[at].name, text.name))
            at++;
        all[at] = text;
        total += at == total;
    }
    qsort(all, total, sizeof *all, compare_texts);
    *texts = all;
    *count = total;
    return TW_OK;
}

/* ---- rules ---- */

static enum tw_code check_record_name(struct reader *r, const struct tw_yaml *node)
{
    if (node->text.size == 0 || !tw_utf8_valid(node->text))
        return tw_yaml_error(r->name, node, r->err, "invalid recording rule name: '%.*s'",
                             TW_STR_ARG(node->text));
    for (size_t i = 0; i < node->text.size; i++)
        if (node->text.data[i] == '{' || node->text.data[i] == '}')
            return tw_yaml_error(r->name, node, r->err,
                                 "braces in the recording rule name '%.*s'; should it be in expr?",
                                 TW_STR_ARG(node->text));
    return TW_OK;
}

static enum tw_code refuse_in_record(struct reader *r, const struct tw_yaml *node)
{
    static const char *const only_alerts[] = {"for", "keep_firing_for", "annotations"};
    for (size_t i = 0; i < sizeof only_alerts / sizeof *only_alerts; i++) {
        const struct tw_yaml *member = tw_yaml_member(node, only_alerts[i]);
        if (!tw_yaml_is_null(member))
            return tw_yaml_error(r->name, member, r->err, "%s is not for recording rules",
                                 only_alerts[i]);
    }
    return TW_OK;
}

static enum tw_code read_expr(struct reader *r, const struct tw_yaml *node, struct alert_rule *rule)
{
    const struct tw_yaml *expr = tw_yaml_member(node, "expr");
    if (tw_yaml_is_null(expr) || (expr->kind == TW_YAML_SCALAR && expr->text.size == 0))
        return tw_yaml_error(r->name, expr != NULL ? expr : node, r->err,
                             "expr is missing in rule '%.*s'", TW_STR_ARG(rule->name));
    TRY(expect_kind(r, expr, TW_YAML_SCALAR, "expr"));
    rule->expr = tw_str_trim(expr->text);
    if (query_check(expr->text, r->err) == TW_OK)
        return TW_OK;
    return alert_place_error(r->name, r->text, expr, "expr", r->err);
}

static enum tw_code read_kind(struct reader *r, const struct tw_yaml *node, struct alert_rule *rule)
{
    const struct tw_yaml *record = tw_yaml_member(node, "record"),
                         *alert = tw_yaml_member(node, "alert");
    bool has_record = !tw_yaml_is_null(record), has_alert = !tw_yaml_is_null(alert);
    if (has_record && has_alert)
        return tw_yaml_error(r->name, alert, r->err, "only one of record and alert can be set");
    if (!has_record && !has_alert)
        return tw_yaml_error(r->name, node, r->err, "one of record and alert must be set");
    const struct tw_yaml *name = has_record ? record : alert;
    TRY(expect_kind(r, name, TW_YAML_SCALAR, has_record ? "record" : "alert"));
    rule->kind = has_record ? ALERT_RULE_RECORD : ALERT_RULE_ALERT;
    rule->name = name->text;
    if (has_record)
        return check_record_name(r, name);
    if (name->text.size == 0)
        return tw_yaml_error(r->name, name, r->err, "the name of the alert is empty");
    return TW_OK;
}

/* What makes the rule the same one after a restart or an edit. */
static void set_id(const struct alert_rule_group *group, struct alert_rule *rule, size_t ordinal)
{
    struct tw_buf text;
    tw_buf_init(&text, ALERT_RULE_FILE_BYTES_MAX);
    const struct tw_str head[] = {group->file, group->name, rule->name};
    for (size_t i = 0; i < 3; i++) {
        tw_buf_append_str(&text, head[i]);
        tw_buf_append_char(&text, '\0');
    }
    for (size_t i = 0; i < rule->label_count; i++) {
        tw_buf_append_str(&text, rule->labels[i].name);
        tw_buf_append_char(&text, '\0');
        tw_buf_append_str(&text, rule->labels[i].text);
        tw_buf_append_char(&text, '\0');
    }
    tw_buf_appendf(&text, "%d/%zu", (int)rule->kind, ordinal);
    rule->id = tw_hash128(text.data, text.size);
    tw_buf_fini(&text);
}

static bool ids_equal(struct tw_hash128 a, struct tw_hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

static enum tw_code read_rule(struct reader *r, const struct tw_yaml *node,
                              struct alert_rule_group *group, const struct tw_yaml *group_labels)
{
    static const char *const known[] = {"record",          "alert",  "expr",        "for",
                                        "keep_firing_for", "labels", "annotations", NULL};
    struct alert_rule *rule = &group->rules[group->count];
    const struct tw_yaml *labels = NULL, *annotations = NULL;
    TRY(expect_kind(r, node, TW_YAML_MAPPING, "a rule"));
    TRY(tw_yaml_check_keys(r->name, node, known, r->err));
    TRY(read_kind(r, node, rule));
    bool is_alert = rule->kind == ALERT_RULE_ALERT;
    if (!is_alert)
        TRY(refuse_in_record(r, node));
    TRY(read_expr(r, node, rule));
    TRY(tw_yaml_get_duration(r->name, node, "for", &rule->for_ms, r->err));
    TRY(tw_yaml_get_duration(r->name, node, "keep_firing_for", &rule->keep_firing_ms, r->err));
    TRY(tw_yaml_get_node(r->name, node, "labels", TW_YAML_MAPPING, &labels, r->err));
    TRY(tw_yaml_get_node(r->name, node, "annotations", TW_YAML_MAPPING, &annotations, r->err));
    TRY(read_texts(r, group_labels, true, is_alert, &rule->labels, &rule->label_count));
    TRY(read_texts(r, labels, true, is_alert, &rule->labels, &rule->label_count));
    TRY(read_texts(r, annotations, false, true, &rule->annotations, &rule->annotation_count));
    if (rule->label_count > WIRE_LABELS_COUNT_MAX / 2)
        return tw_yaml_error(r->name, node, r->err, "more than %d labels",
                             WIRE_LABELS_COUNT_MAX / 2);
    set_id(group, rule, 0);
    size_t ordinal = 0;
    for (size_t i = 0; i < group->count; i++)
        if (ids_equal(group->rules[i].id, rule->id))
            set_id(group, rule, ++ordinal);
    group->count++;
    return TW_OK;
}

/* ---- groups ---- */

static enum tw_code read_offset(struct reader *r, const struct tw_yaml *node,
                                struct alert_rule_group *group)
{
    int64_t offset = -1;
    TRY(tw_yaml_get_duration(r->name, node, "query_offset", &offset, r->err));
    group->query_offset_ms = offset;
    return TW_OK;
}

static enum tw_code read_interval(struct reader *r, const struct tw_yaml *node,
                                  struct alert_rule_group *group)
{
    TRY(tw_yaml_get_duration(r->name, node, "interval", &group->interval_ms, r->err));
    if (group->interval_ms != 0 && group->interval_ms < ALERT_INTERVAL_MS_MIN)
        return tw_yaml_error(r->name, tw_yaml_member(node, "interval"), r->err,
                             "interval must be at least %d ms", ALERT_INTERVAL_MS_MIN);
    return TW_OK;
}

static enum tw_code check_group_name(struct reader *r, const struct tw_yaml *node,
                                     const struct alert_rule_group *group)
{
    const struct tw_yaml *name = tw_yaml_member(node, "name");
    if (group->name.size == 0)
        return tw_yaml_error(r->name, name != NULL ? name : node, r->err,
                             "the name of a group must not be empty");
    for (const struct alert_rule_group *g = r->file->groups; g < group; g++)
        if (tw_str_equal(g->name, group->name))
            return tw_yaml_error(r->name, name, r->err,
                                 "group name \"%.*s\" is repeated in the same file",
                                 TW_STR_ARG(group->name));
    return TW_OK;
}

static enum tw_code read_group(struct reader *r, const struct tw_yaml *node, size_t *rule_total)
{
    static const char *const known[] = {"name",   "interval", "limit", "query_offset",
                                        "labels", "rules",    NULL};
    struct alert_rule_group *group = &r->file->groups[r->file->count];
    const struct tw_yaml *labels = NULL, *rules = NULL;
    TRY(expect_kind(r, node, TW_YAML_MAPPING, "a group"));
    TRY(tw_yaml_check_keys(r->name, node, known, r->err));
    group->file = r->file->name;
    TRY(tw_yaml_get_str(r->name, node, "name", &group->name, r->err));
    TRY(check_group_name(r, node, group));
    TRY(read_interval(r, node, group));
    TRY(read_offset(r, node, group));
    TRY(tw_yaml_get_int(r->name, node, "limit", 0, INT32_MAX, &group->limit, r->err));
    TRY(tw_yaml_get_node(r->name, node, "labels", TW_YAML_MAPPING, &labels, r->err));
    TRY(tw_yaml_get_node(r->name, node, "rules", TW_YAML_SEQUENCE, &rules, r->err));
    size_t count = rules != NULL ? rules->count : 0;
    *rule_total += count;
    if (*rule_total > ALERT_RULES_MAX)
        return tw_yaml_error(r->name, node, r->err, "more than %d rules in one file",
                             ALERT_RULES_MAX);
    group->rules = TW_ARENA_ARRAY(r->file->arena, struct alert_rule, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(read_rule(r, rules->items[i], group, labels));
    r->file->count++;
    return TW_OK;
}

static enum tw_code read_file(struct reader *r)
{
    static const char *const known[] = {"groups", NULL};
    struct tw_yaml *root = NULL;
    const struct tw_yaml *groups = NULL;
    TRY(tw_yaml_parse(r->file->arena, r->name, r->text, &root, r->err));
    if (root == NULL)
        return TW_OK;
    TRY(expect_kind(r, root, TW_YAML_MAPPING, "a rule file"));
    TRY(tw_yaml_check_keys(r->name, root, known, r->err));
    TRY(tw_yaml_get_node(r->name, root, "groups", TW_YAML_SEQUENCE, &groups, r->err));
    size_t count = groups != NULL ? groups->count : 0, rule_total = 0;
    r->file->groups = TW_ARENA_ARRAY(r->file->arena, struct alert_rule_group, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(read_group(r, groups->items[i], &rule_total));
    return TW_OK;
}

enum tw_code alert_rule_file_parse(const char *name, struct tw_str text,
                                   struct alert_rule_file **ret_file, struct tw_err *err)
{
    struct alert_rule_file *file = calloc(1, sizeof *file);
    TW_ASSERT(file != NULL);
    file->arena = tw_arena_new(16 * 1024);
    file->name = tw_arena_str(file->arena, tw_str(name));
    struct reader r = {name, tw_arena_str(file->arena, text), file, err};
    enum tw_code code = read_file(&r);
    if (code != TW_OK) {
        alert_rule_file_free(file);
        return code;
    }
    *ret_file = file;
    return TW_OK;
}

enum tw_code alert_rule_file_read(const char *path, struct alert_rule_file **ret_file,
                                  struct tw_err *err)
{
    struct tw_buf text;
    tw_buf_init(&text, ALERT_RULE_FILE_BYTES_MAX);
    enum tw_code code = tw_file_read(path, &text, err);
    if (code == TW_OK)
        code = alert_rule_file_parse(path, tw_buf_str(&text), ret_file, err);
    else if (err != NULL)
        tw_err_wrap(err, "reading rule file '%s'", path);
    tw_buf_fini(&text);
    return code;
}

struct alert_rule_file *alert_rule_file_free(struct alert_rule_file *file)
{
    if (file == NULL)
        return NULL;
    tw_arena_free(file->arena);
    free(file);
    return NULL;
}
