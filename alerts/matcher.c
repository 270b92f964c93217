/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/matcher.h"

#include <stdlib.h>
#include <string.h>

#define MATCHERS_MAX 256 /* of one route or rule */

#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum tw_code try_code_ = (expression);                                                     \
        if (try_code_ != TW_OK)                                                                    \
            return try_code_;                                                                      \
    } while (0)

struct reader {
    const char *file;
    struct tw_arena *arena;
    struct alert_matchers *matchers;
    struct tw_err *err;
};

static enum tw_code add(struct reader *r, const struct tw_yaml *node, enum tsdb_match_op op,
                        struct tw_str name, struct tw_str value)
{
    if (r->matchers->count >= MATCHERS_MAX)
        return tw_yaml_error(r->file, node, r->err, "more than %d matchers", MATCHERS_MAX);
    if (name.size == 0)
        return tw_yaml_error(r->file, node, r->err, "a matcher needs the name of a label");
    struct tw_err inner;
    struct tsdb_matcher *matcher = &r->matchers->items[r->matchers->count];
    if (tsdb_matcher_init(matcher, op, tw_arena_str(r->arena, name), tw_arena_str(r->arena, value),
                          &inner) != TW_OK)
        return tw_yaml_error(r->file, node, r->err, "%s", inner.message);
    r->matchers->count++;
    return TW_OK;
}

/* ---- one matcher as text ---- */

static bool is_name_end(char c)
{
    return c == '=' || c == '!' || c == '~' || c == ',' || c == '{' || c == '}' || c == ' ';
}

/* A word in quotes (with escapes) or up to a delimiter. False for an unclosed quote. */
static bool take_word(struct tw_str text, size_t *at, bool is_value, struct tw_buf *ret)
{
    if (*at < text.size && text.data[*at] == '"') {
        for ((*at)++; *at < text.size; (*at)++) {
            char c = text.data[*at];
            if (c == '"') {
                (*at)++;
                return true;
            }
            if (c == '\\' && *at + 1 < text.size) {
                c = text.data[++*at];
                if (c != 'n' && c != '"' && c != '\\')
                    tw_buf_append_char(ret, '\\');
                c = c == 'n' ? '\n' : c;
            }
            tw_buf_append_char(ret, c);
        }
        return false;
    }
    while (*at < text.size) {
        char c = text.data[*at];
        if (is_value ? c == ',' || c == '"' : is_name_end(c))
            break;
        tw_buf_append_char(ret, c);
        (*at)++;
    }
    while (ret->size > 0 && ret->data[ret->size - 1] == ' ')
        ret->size--;
    return true;
}

static void skip_space(struct tw_str text, size_t *at)
{
    while (*at < text.size && (text.data[*at] == ' ' || text.data[*at] == '\t'))
        (*at)++;
}

static bool take_operator(struct tw_str text, size_t *at, enum tsdb_match_op *ret)
{
    static const struct {
        const char *spelling;
        enum tsdb_match_op op;
    } operators[] = {{"=~", TSDB_MATCH_REGEX},
                     {"!~", TSDB_MATCH_NOT_REGEX},
                     {"!=", TSDB_MATCH_NOT_EQUAL},
                     {"=", TSDB_MATCH_EQUAL}};
    struct tw_str rest = tw_str_slice(text, *at, text.size);
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!tw_str_starts(rest, tw_str(operators[i].spelling)))
            continue;
        *ret = operators[i].op;
        *at += strlen(operators[i].spelling);
        return true;
    }
    return false;
}

static enum tw_code bad_matcher(struct reader *r, const struct tw_yaml *node)
{
    return tw_yaml_error(r->file, node, r->err,
                         "bad matcher format: %.*s (wanted: label=\"value\", label!=\"value\", "
                         "label=~\"regex\" or label!~\"regex\")",
                         TW_STR_ARG(node->text));
}

static enum tw_code parse_one(struct reader *r, const struct tw_yaml *node, struct tw_str text,
                              size_t *at)
{
    struct tw_buf name, value;
    enum tsdb_match_op op = TSDB_MATCH_EQUAL;
    tw_buf_init(&name, WIRE_LABEL_NAME_BYTES_MAX);
    tw_buf_init(&value, WIRE_LABELS_BYTES_MAX);
    skip_space(text, at);
    bool good = take_word(text, at, false, &name);
    skip_space(text, at);
    good = good && take_operator(text, at, &op);
    skip_space(text, at);
    good = good && take_word(text, at, true, &value) && !name.overflow && !value.overflow;
    enum tw_code code =
        good ? add(r, node, op, tw_buf_str(&name), tw_buf_str(&value)) : bad_matcher(r, node);
    tw_buf_fini(&name);
    tw_buf_fini(&value);
    return code;
}

/* One or more, between commas, with or without braces around all. */
static enum tw_code parse_text(struct reader *r, const struct tw_yaml *node)
{
    if (node->kind != TW_YAML_SCALAR)
        return tw_yaml_error(r->file, node, r->err, "a matcher must be a text");
    struct tw_str text = tw_str_trim(node->text);
    if (text.size >= 2 && text.data[0] == '{' && text.data[text.size - 1] == '}')
        text = tw_str_slice(text, 1, text.size - 1);
    for (size_t at = 0; at < text.size;) {
        TRY(parse_one(r, node, text, &at));
        skip_space(text, &at);
        if (at >= text.size)
            break;
        if (text.data[at] != ',')
            return bad_matcher(r, node);
        at++;
        skip_space(text, &at);
    }
    return TW_OK;
}

/* ---- the three spellings ---- */

static enum tw_code read_map(struct reader *r, const struct tw_yaml *mapping, const char *key,
                             enum tsdb_match_op op)
{
    const struct tw_yaml *node = NULL;
    TRY(tw_yaml_get_node(r->file, mapping, key, TW_YAML_MAPPING, &node, r->err));
    for (size_t i = 0; node != NULL && i < node->count; i++) {
        const struct tw_yaml_pair *pair = &node->pairs[i];
        if (pair->value->kind != TW_YAML_SCALAR)
            return tw_yaml_error(r->file, pair->value, r->err, "must be a text");
        TRY(add(r, pair->value, op, pair->key->text, pair->value->text));
    }
    return TW_OK;
}

static int compare(const void *a, const void *b)
{
    const struct tsdb_matcher *left = a, *right = b;
    int order = tw_str_compare(left->name, right->name);
    if (order == 0)
        order = tw_str_compare(left->value, right->value);
    return order != 0 ? order : (int)left->op - (int)right->op;
}

static enum tw_code read_all(struct reader *r, const struct tw_yaml *mapping,
                             const char *matchers_key, const char *match_key,
                             const char *match_re_key)
{
    const struct tw_yaml *list = tw_yaml_member(mapping, matchers_key);
    if (!tw_yaml_is_null(list) && list->kind == TW_YAML_SEQUENCE) {
        for (size_t i = 0; i < list->count; i++)
            TRY(parse_text(r, list->items[i]));
    } else if (!tw_yaml_is_null(list)) {
        TRY(parse_text(r, list));
    }
    TRY(read_map(r, mapping, match_key, TSDB_MATCH_EQUAL));
    return read_map(r, mapping, match_re_key, TSDB_MATCH_REGEX);
}

enum tw_code alert_matchers_read(const char *file, const struct tw_yaml *mapping,
                                 const char *matchers_key, const char *match_key,
                                 const char *match_re_key, struct tw_arena *arena,
                                 struct alert_matchers *ret, struct tw_err *err)
{
    struct alert_matchers matchers = {TW_ARENA_ARRAY(arena, struct tsdb_matcher, MATCHERS_MAX), 0};
    struct reader r = {file, arena, &matchers, err};
    enum tw_code code = read_all(&r, mapping, matchers_key, match_key, match_re_key);
    if (code != TW_OK) {
        alert_matchers_fini(&matchers);
        return code;
    }
    struct tsdb_matcher *exact = TW_ARENA_ARRAY(arena, struct tsdb_matcher, matchers.count + 1);
    memcpy(exact, matchers.items, matchers.count * sizeof *exact);
    matchers.items = exact;
    qsort(matchers.items, matchers.count, sizeof *matchers.items, compare);
    *ret = matchers;
    return TW_OK;
}

void alert_matchers_fini(struct alert_matchers *matchers)
{
    for (size_t i = 0; i < matchers->count; i++)
        tsdb_matcher_fini(&matchers->items[i]);
    matchers->count = 0;
}

bool alert_matchers_match(const struct alert_matchers *matchers, struct wire_labels labels)
{
    for (size_t i = 0; i < matchers->count; i++)
        if (!tsdb_matcher_matches(&matchers->items[i],
                                  wire_labels_get(labels, matchers->items[i].name)))
            return false;
    return true;
}

void alert_matchers_format(const struct alert_matchers *matchers, struct tw_buf *out)
{
    static const char *const operators[] = {"=", "!=", "=~", "!~"};
    tw_buf_append_char(out, '{');
    for (size_t i = 0; i < matchers->count; i++) {
        const struct tsdb_matcher *matcher = &matchers->items[i];
        if (i > 0)
            tw_buf_append_char(out, ',');
        tw_buf_append_str(out, matcher->name);
        tw_buf_append_cstr(out, operators[matcher->op]);
        tw_buf_append_char(out, '"');
        for (size_t k = 0; k < matcher->value.size; k++) {
            char c = matcher->value.data[k];
            if (c == '\\' || c == '"')
                tw_buf_append_char(out, '\\');
            if (c == '\n')
                tw_buf_append_cstr(out, "\\n");
            else
                tw_buf_append_char(out, c);
        }
        tw_buf_append_char(out, '"');
    }
    tw_buf_append_char(out, '}');
}
