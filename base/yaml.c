/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree is built from libyaml's events by a recursion that TW_YAML_DEPTH_MAX bounds. An alias
 * shares the nodes of its anchor, but counts as many nodes as it stands for, since whoever walks
 * the tree walks them again.
 */
#include "config.h"

#include "base/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/assert.h"
#include "base/duration.h"
#include "base/number.h"

struct anchor {
    struct anchor *next;
    struct tw_str name;
    struct tw_yaml *node;
    size_t nodes; /* what an alias to it counts; 0 while it is still open */
    unsigned height;
};

struct reader {
    yaml_parser_t parser;
    struct tw_arena *arena;
    const char *name;
    struct tw_str text;
    struct tw_err *err;
    size_t nodes; /* so far, aliases expanded */
    struct anchor *anchors;
};

static enum tw_code set_error(const char *name, uint32_t line, uint32_t column, struct tw_err *err,
                              const char *format, va_list arguments)
{
    char sentence[TW_ERR_MESSAGE_BYTES];
    vsnprintf(sentence, sizeof sentence, format, arguments);
    tw_err_set(err, TW_CONFIG, "%s:%u:%u: %s", name, (unsigned)line, (unsigned)column, sentence);
    if (err) {
        err->line = line;
        err->column = column;
    }
    return TW_CONFIG;
}

enum tw_code tw_yaml_error(const char *name, const struct tw_yaml *node, struct tw_err *err,
                           const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_error(name, node ? node->line : 1, node ? node->column : 1, err, format, arguments);
    va_end(arguments);
    return TW_CONFIG;
}

static enum tw_code error_at(struct reader *reader, yaml_mark_t mark, const char *format, ...)
    TW_PRINTF(3, 4);

static enum tw_code error_at(struct reader *reader, yaml_mark_t mark, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_error(reader->name, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1, reader->err, format,
              arguments);
    va_end(arguments);
    return TW_CONFIG;
}

/* The library reads ahead of what it has parsed, so its mark is not where a wrong byte stands. */
static yaml_mark_t mark_of_offset(struct tw_str text, size_t offset)
{
    yaml_mark_t mark = {.index = offset};
    for (size_t i = 0; i < offset && i < text.size; i++) {
        mark.column++;
        if (text.data[i] == '\n') {
            mark.line++;
            mark.column = 0;
        }
    }
    return mark;
}

/* libyaml's sentence, and the construct that it was in. */
static enum tw_code parser_error(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem ? parser->problem : "not YAML";
    if (parser->error == YAML_MEMORY_ERROR)
        return tw_err_set(reader->err, TW_MEMORY, "%s: no memory", reader->name);
    if (parser->error == YAML_READER_ERROR)
        return error_at(reader, mark_of_offset(reader->text, parser->problem_offset), "%s",
                        problem);
    if (parser->context)
        return error_at(reader, parser->problem_mark, "%s (%s that starts at line %zu)", problem,
                        parser->context, parser->context_mark.line + 1);
    return error_at(reader, parser->problem_mark, "%s", problem);
}

static enum tw_code next_event(struct reader *reader, yaml_event_t *ret_event)
{
    if (!yaml_parser_parse(&reader->parser, ret_event))
        return parser_error(reader);
    return TW_OK;
}

static enum tw_code count_nodes(struct reader *reader, size_t more, yaml_mark_t mark)
{
    reader->nodes += more;
    if (reader->nodes > TW_YAML_NODES_MAX)
        return error_at(reader, mark, "more than %d values, with aliases written out",
                        TW_YAML_NODES_MAX);
    return TW_OK;
}

static struct tw_str text_of(const yaml_char_t *text)
{
    return tw_str((const char *)text);
}

/* Tags: the core ones that say what the value is anyway are fine; !!str makes it a text. */
static enum tw_code check_tag(struct reader *reader, const yaml_char_t *tag, yaml_mark_t mark,
                              bool *ret_is_text)
{
    static const char *const core[] = {"bool", "int", "float", "null", "map", "seq"};
    struct tw_str prefix = TW_STR("tag:yaml.org,2002:");
    *ret_is_text = false;
    if (!tag)
        return TW_OK;
    struct tw_str text = text_of(tag);
    if (tw_str_starts(text, prefix)) {
        struct tw_str kind = tw_str_slice(text, prefix.size, text.size);
        for (size_t i = 0; i < sizeof core / sizeof core[0]; i++)
            if (tw_str_is(kind, core[i]))
                return TW_OK;
        *ret_is_text = tw_str_is(kind, "str");
    } else {
        *ret_is_text = tw_str_is(text, "!");
    }
    return *ret_is_text ? TW_OK : error_at(reader, mark, "unknown tag '%.64s'", (const char *)tag);
}

static struct tw_yaml *new_node(struct reader *reader, enum tw_yaml_kind kind, yaml_mark_t mark)
{
    struct tw_yaml *node = TW_ARENA_NEW(reader->arena, struct tw_yaml);
    node->kind = kind;
    node->line = (uint32_t)mark.line + 1;
    node->column = (uint32_t)mark.column + 1;
    return node;
}

static struct anchor *open_anchor(struct reader *reader, const yaml_char_t *name,
                                  struct tw_yaml *node)
{
    if (!name)
        return NULL;
    struct anchor *anchor = TW_ARENA_NEW(reader->arena, struct anchor);
    anchor->name = tw_arena_str(reader->arena, text_of(name));
    anchor->node = node;
    anchor->next = reader->anchors;
    reader->anchors = anchor;
    return anchor;
}

static enum tw_code read_alias(struct reader *reader, const yaml_event_t *event, unsigned depth,
                               struct tw_yaml **ret_node, unsigned *ret_height)
{
    struct tw_str name = text_of(event->data.alias.anchor);
    for (const struct anchor *anchor = reader->anchors; anchor; anchor = anchor->next) {
        if (!tw_str_equal(anchor->name, name))
            continue;
        if (anchor->nodes == 0)
            return error_at(reader, event->start_mark, "alias '*%.*s' stands inside its own anchor",
                            TW_STR_ARG(name));
        if (depth + anchor->height > TW_YAML_DEPTH_MAX)
            return error_at(reader, event->start_mark, "nested deeper than %d levels",
                            TW_YAML_DEPTH_MAX);
        *ret_node = anchor->node;
        *ret_height = anchor->height;
        return count_nodes(reader, anchor->nodes, event->start_mark);
    }
    return error_at(reader, event->start_mark, "alias '*%.*s' has no anchor before it",
                    TW_STR_ARG(name));
}

static enum tw_code read_node(struct reader *reader, const yaml_event_t *event, unsigned depth,
                              struct tw_yaml **ret_node, unsigned *ret_height);

/* The next event's node; *ret_node NULL when the collection ends instead. */
static enum tw_code read_next(struct reader *reader, unsigned depth, struct tw_yaml **ret_node,
                              unsigned *ret_height)
{
    yaml_event_t event;
    enum tw_code code = next_event(reader, &event);
    if (code != TW_OK)
        return code;
    if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT)
        *ret_node = NULL;
    else
        code = read_node(reader, &event, depth, ret_node, ret_height);
    yaml_event_delete(&event);
    return code;
}

static enum tw_code read_scalar(struct reader *reader, const yaml_event_t *event,
                                struct tw_yaml *node)
{
    bool is_text;
    enum tw_code code = check_tag(reader, event->data.scalar.tag, event->start_mark, &is_text);
    if (code != TW_OK)
        return code;
    node->text = tw_arena_str(reader->arena, (struct tw_str){(const char *)event->data.scalar.value,
                                                             event->data.scalar.length});
    node->quoted = is_text || event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return TW_OK;
}

static enum tw_code read_sequence(struct reader *reader, struct tw_yaml *node, unsigned depth,
                                  unsigned *height)
{
    size_t capacity = 0;
    for (;;) {
        struct tw_yaml *item;
        unsigned item_height = 0;
        enum tw_code code = read_next(reader, depth + 1, &item, &item_height);
        if (code != TW_OK || !item)
            return code;
        if (node->count == capacity) {
            size_t larger = capacity ? capacity * 2 : 4;
            node->items = tw_arena_grow(reader->arena, node->items, capacity * sizeof(item),
                                        larger * sizeof(item));
            capacity = larger;
        }
        node->items[node->count++] = item;
        if (item_height >= *height)
            *height = item_height + 1;
    }
}

static int compare_keys(const void *a, const void *b)
{
    const struct tw_yaml *key_a = (*(struct tw_yaml_pair *const *)a)->key;
    const struct tw_yaml *key_b = (*(struct tw_yaml_pair *const *)b)->key;
    int order = tw_str_compare(key_a->text, key_b->text);
    if (order)
        return order;
    if (key_a->line != key_b->line)
        return key_a->line < key_b->line ? -1 : 1;
    return (key_a->column > key_b->column) - (key_a->column < key_b->column);
}

static enum tw_code check_unique(struct reader *reader, const struct tw_yaml *node)
{
    if (node->count < 2)
        return TW_OK;
    struct tw_yaml_pair **sorted = calloc(node->count, sizeof(struct tw_yaml_pair *));
    TW_ASSERT(sorted != NULL);
    for (size_t i = 0; i < node->count; i++)
        sorted[i] = &node->pairs[i];
    qsort(sorted, node->count, sizeof(struct tw_yaml_pair *), compare_keys);
    enum tw_code code = TW_OK;
    for (size_t i = 1; i < node->count && code == TW_OK; i++) {
        const struct tw_yaml *first = sorted[i - 1]->key, *second = sorted[i]->key;
        if (tw_str_equal(first->text, second->text))
            code = tw_yaml_error(reader->name, second, reader->err,
                                 "key '%.*s' stands here again, first on line %u",
                                 TW_STR_ARG(second->text), (unsigned)first->line);
    }
    free(sorted);
    return code;
}

static void append_pair(struct reader *reader, struct tw_yaml *node, size_t *capacity,
                        struct tw_yaml *key, struct tw_yaml *value)
{
    if (node->count == *capacity) {
        size_t larger = *capacity ? *capacity * 2 : 8;
        node->pairs =
            tw_arena_grow(reader->arena, node->pairs, *capacity * sizeof(struct tw_yaml_pair),
                          larger * sizeof(struct tw_yaml_pair));
        *capacity = larger;
    }
    node->pairs[node->count++] = (struct tw_yaml_pair){.key = key, .value = value};
}

/* The "<<" key: what the mapping lacks comes from the merged one. */
static enum tw_code merge_mapping(struct reader *reader, struct tw_yaml *node, size_t *capacity,
                                  const struct tw_yaml *key, const struct tw_yaml *source)
{
    if (source->kind != TW_YAML_MAPPING)
        return tw_yaml_error(reader->name, key, reader->err,
                             "'<<' takes a mapping, or a list of mappings");
    if (source->count > TW_YAML_NODES_MAX / 16 || node->count > TW_YAML_NODES_MAX / 16)
        return tw_yaml_error(reader->name, key, reader->err, "'<<' of too large a mapping");
    for (size_t i = 0; i < source->count; i++) {
        reader->nodes += 2;
        bool present = false;
        for (size_t j = 0; j < node->count && !present; j++)
            present = tw_str_equal(node->pairs[j].key->text, source->pairs[i].key->text);
        if (!present)
            append_pair(reader, node, capacity, source->pairs[i].key, source->pairs[i].value);
    }
    if (reader->nodes > TW_YAML_NODES_MAX)
        return tw_yaml_error(reader->name, key, reader->err,
                             "more than %d values, with aliases written out", TW_YAML_NODES_MAX);
    return TW_OK;
}

static enum tw_code merge(struct reader *reader, struct tw_yaml *node, size_t *capacity,
                          const struct tw_yaml *key, const struct tw_yaml *source)
{
    if (source->kind != TW_YAML_SEQUENCE)
        return merge_mapping(reader, node, capacity, key, source);
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < source->count && code == TW_OK; i++)
        code = merge_mapping(reader, node, capacity, key, source->items[i]);
    return code;
}

static enum tw_code read_mapping(struct reader *reader, struct tw_yaml *node, unsigned depth,
                                 unsigned *height)
{
    size_t capacity = 0;
    struct tw_yaml_pair merged = {0};
    for (;;) {
        struct tw_yaml *key, *value;
        unsigned key_height = 0, value_height = 0;
        enum tw_code code = read_next(reader, depth + 1, &key, &key_height);
        if (code != TW_OK)
            return code;
        if (!key)
            break;
        if (key->kind != TW_YAML_SCALAR)
            return tw_yaml_error(reader->name, key, reader->err, "a key must be a plain word");
        code = read_next(reader, depth + 1, &value, &value_height);
        if (code != TW_OK)
            return code;
        TW_ASSERT(value != NULL); /* libyaml gives a key's value, an empty one if need be */
        if (value_height >= *height)
            *height = value_height + 1;
        if (!key->quoted && tw_str_is(key->text, "<<")) {
            if (merged.key)
                return tw_yaml_error(reader->name, key, reader->err, "a second '<<'");
            merged = (struct tw_yaml_pair){.key = key, .value = value};
        } else {
            append_pair(reader, node, &capacity, key, value);
        }
    }
    enum tw_code code = check_unique(reader, node);
    if (code == TW_OK && merged.key)
        code = merge(reader, node, &capacity, merged.key, merged.value);
    return code;
}

static enum tw_code read_node(struct reader *reader, const yaml_event_t *event, unsigned depth,
                              struct tw_yaml **ret_node, unsigned *ret_height)
{
    if (event->type == YAML_ALIAS_EVENT)
        return read_alias(reader, event, depth, ret_node, ret_height);
    if (depth > TW_YAML_DEPTH_MAX)
        return error_at(reader, event->start_mark, "nested deeper than %d levels",
                        TW_YAML_DEPTH_MAX);
    size_t nodes_before = reader->nodes;
    enum tw_code code = count_nodes(reader, 1, event->start_mark);
    if (code != TW_OK)
        return code;
    struct tw_yaml *node;
    struct anchor *anchor;
    unsigned height = 1;
    bool is_text;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        node = new_node(reader, TW_YAML_SCALAR, event->start_mark);
        anchor = open_anchor(reader, event->data.scalar.anchor, node);
        code = read_scalar(reader, event, node);
        break;
    case YAML_SEQUENCE_START_EVENT:
        node = new_node(reader, TW_YAML_SEQUENCE, event->start_mark);
        anchor = open_anchor(reader, event->data.sequence_start.anchor, node);
        code = check_tag(reader, event->data.sequence_start.tag, event->start_mark, &is_text);
        if (code == TW_OK)
            code = read_sequence(reader, node, depth, &height);
        break;
    case YAML_MAPPING_START_EVENT:
        node = new_node(reader, TW_YAML_MAPPING, event->start_mark);
        anchor = open_anchor(reader, event->data.mapping_start.anchor, node);
        code = check_tag(reader, event->data.mapping_start.tag, event->start_mark, &is_text);
        if (code == TW_OK)
            code = read_mapping(reader, node, depth, &height);
        break;
    default:
        TW_UNREACHABLE("libyaml sends nodes between the events of a document");
    }
    if (code != TW_OK)
        return code;
    if (anchor) {
        anchor->nodes = reader->nodes - nodes_before;
        anchor->height = height;
    }
    *ret_node = node;
    *ret_height = height;
    return TW_OK;
}

static enum tw_code read_document(struct reader *reader, struct tw_yaml **ret_root)
{
    for (;;) {
        yaml_event_t event;
        enum tw_code code = next_event(reader, &event);
        if (code != TW_OK)
            return code;
        yaml_event_type_t type = event.type;
        if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT) {
            yaml_event_delete(&event);
            continue;
        }
        unsigned height;
        if (type == YAML_STREAM_END_EVENT)
            *ret_root = NULL;
        else
            code = read_node(reader, &event, 1, ret_root, &height);
        yaml_event_delete(&event);
        return code;
    }
}

enum tw_code tw_yaml_parse(struct tw_arena *arena, const char *name, struct tw_str text,
                           struct tw_yaml **ret_root, struct tw_err *err)
{
    struct reader reader = {.arena = arena, .name = name, .text = text, .err = err};
    if (!yaml_parser_initialize(&reader.parser))
        return tw_err_set(err, TW_MEMORY, "%s: no memory", name);
    yaml_parser_set_input_string(&reader.parser,
                                 (const unsigned char *)(text.data ? text.data : ""), text.size);
    struct tw_yaml *root;
    enum tw_code code = read_document(&reader, &root);
    yaml_parser_delete(&reader.parser);
    if (code == TW_OK)
        *ret_root = root && tw_yaml_is_null(root) ? NULL : root;
    return code;
}

/* ---- taking a mapping apart ---- */

const struct tw_yaml *tw_yaml_member(const struct tw_yaml *mapping, const char *key)
{
    if (!mapping || mapping->kind != TW_YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < mapping->count; i++)
        if (tw_str_is(mapping->pairs[i].key->text, key))
            return mapping->pairs[i].value;
    return NULL;
}

bool tw_yaml_is_null(const struct tw_yaml *node)
{
    if (!node)
        return true;
    if (node->kind != TW_YAML_SCALAR || node->quoted)
        return false;
    return node->text.size == 0 || tw_str_is(node->text, "~") || tw_str_is(node->text, "null") ||
           tw_str_is(node->text, "Null") || tw_str_is(node->text, "NULL");
}

#define WORD_BYTES_MAX 64

/* Edits (insert, drop, replace, swap neighbours) that make a into b. */
static unsigned edit_distance(struct tw_str a, struct tw_str b)
{
    unsigned rows[3][WORD_BYTES_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.size; j++)
        above[j] = (unsigned)j;
    for (size_t i = 1; i <= a.size; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.size; j++) {
            unsigned best = above[j - 1] + (a.data[i - 1] != b.data[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
                a.data[i - 2] == b.data[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        unsigned *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b.size];
}

const char *tw_yaml_nearest(struct tw_str word, const char *const *known)
{
    const char *nearest = NULL;
    unsigned least = 3;
    if (word.size == 0 || word.size > WORD_BYTES_MAX)
        return NULL;
    for (; *known; known++) {
        struct tw_str candidate = tw_str(*known);
        if (candidate.size > WORD_BYTES_MAX)
            continue;
        unsigned distance = edit_distance(word, candidate);
        /* Two edits make any two-letter word into any other. */
        if (distance < least && distance < word.size) {
            least = distance;
            nearest = *known;
        }
    }
    return nearest;
}

enum tw_code tw_yaml_check_keys(const char *name, const struct tw_yaml *mapping,
                                const char *const *known, struct tw_err *err)
{
    if (tw_yaml_is_null(mapping))
        return TW_OK;
    if (mapping->kind != TW_YAML_MAPPING)
        return tw_yaml_error(name, mapping, err, "a mapping (key: value) is expected here");
    for (size_t i = 0; i < mapping->count; i++) {
        const struct tw_yaml *key = mapping->pairs[i].key;
        size_t k = 0;
        while (known[k] && !tw_str_is(key->text, known[k]))
            k++;
        if (known[k])
            continue;
        const char *nearest = tw_yaml_nearest(key->text, known);
        if (nearest)
            return tw_yaml_error(name, key, err, "unknown key '%.*s'; did you mean '%s'?",
                                 TW_STR_ARG(key->text), nearest);
        char list[TW_ERR_MESSAGE_BYTES / 2] = "";
        size_t length = 0;
        for (k = 0; known[k] && length < sizeof list; k++)
            length += (size_t)snprintf(list + length, sizeof list - length, "%s%s", k ? ", " : "",
                                       known[k]);
        return tw_yaml_error(name, key, err, "unknown key '%.*s'; known here: %s",
                             TW_STR_ARG(key->text), list);
    }
    return TW_OK;
}

/* *ret_node NULL if the member is absent or null. */
static enum tw_code get_scalar(const char *name, const struct tw_yaml *mapping, const char *key,
                               const struct tw_yaml **ret_node, struct tw_err *err)
{
    const struct tw_yaml *node = tw_yaml_member(mapping, key);
    if (tw_yaml_is_null(node)) {
        *ret_node = NULL;
        return TW_OK;
    }
    if (node->kind != TW_YAML_SCALAR)
        return tw_yaml_error(name, node, err, "'%s' takes a single value, not a %s", key,
                             node->kind == TW_YAML_SEQUENCE ? "list" : "mapping");
    *ret_node = node;
    return TW_OK;
}

enum tw_code tw_yaml_get_str(const char *name, const struct tw_yaml *mapping, const char *key,
                             struct tw_str *ret, struct tw_err *err)
{
    const struct tw_yaml *node;
    enum tw_code code = get_scalar(name, mapping, key, &node, err);
    if (code == TW_OK && node)
        *ret = node->text;
    return code;
}

enum tw_code tw_yaml_get_bool(const char *name, const struct tw_yaml *mapping, const char *key,
                              bool *ret, struct tw_err *err)
{
    static const char *const words[2][3] = {{"false", "no", "off"}, {"true", "yes", "on"}};
    const struct tw_yaml *node;
    enum tw_code code = get_scalar(name, mapping, key, &node, err);
    if (code != TW_OK || !node)
        return code;
    for (int value = 0; value < 2; value++)
        for (int i = 0; i < 3; i++)
            if (node->text.size == strlen(words[value][i]) &&
                !strncasecmp(node->text.data, words[value][i], node->text.size)) {
                *ret = value;
                return TW_OK;
            }
    return tw_yaml_error(name, node, err, "'%s' takes true or false, not '%.*s'", key,
                         TW_STR_ARG(node->text));
}

enum tw_code tw_yaml_get_int(const char *name, const struct tw_yaml *mapping, const char *key,
                             int64_t min, int64_t max, int64_t *ret, struct tw_err *err)
{
    const struct tw_yaml *node;
    enum tw_code code = get_scalar(name, mapping, key, &node, err);
    if (code != TW_OK || !node)
        return code;
    int64_t value;
    if (!tw_int64_parse(node->text, &value))
        return tw_yaml_error(name, node, err, "'%s' takes a whole number, not '%.*s'", key,
                             TW_STR_ARG(node->text));
    if (value < min || value > max)
        return tw_yaml_error(name, node, err, "'%s' must lie between %lld and %lld, not %lld", key,
                             (long long)min, (long long)max, (long long)value);
    *ret = value;
    return TW_OK;
}

enum tw_code tw_yaml_get_double(const char *name, const struct tw_yaml *mapping, const char *key,
                                double *ret, struct tw_err *err)
{
    const struct tw_yaml *node;
    enum tw_code code = get_scalar(name, mapping, key, &node, err);
    if (code != TW_OK || !node)
        return code;
    if (!tw_double_parse(node->text, ret))
        return tw_yaml_error(name, node, err, "'%s' takes a number, not '%.*s'", key,
                             TW_STR_ARG(node->text));
    return TW_OK;
}

enum tw_code tw_yaml_get_duration(const char *name, const struct tw_yaml *mapping, const char *key,
                                  int64_t *ret_ms, struct tw_err *err)
{
    const struct tw_yaml *node;
    enum tw_code code = get_scalar(name, mapping, key, &node, err);
    if (code != TW_OK || !node)
        return code;
    struct tw_err reason;
    if (tw_duration_parse(node->text, ret_ms, &reason) != TW_OK)
        return tw_yaml_error(name, node, err, "'%s': %s", key, reason.message);
    return TW_OK;
}

/* Powers of two, as Prometheus reads sizes: KB and KiB are both 1024 bytes. */
static bool parse_bytes(struct tw_str text, uint64_t *ret_bytes)
{
    static const char letters[] = "KMGTPE";
    size_t digits = 0;
    while (digits < text.size &&
           ((text.data[digits] >= '0' && text.data[digits] <= '9') || text.data[digits] == '.'))
        digits++;
    struct tw_str unit = tw_str_trim(tw_str_slice(text, digits, text.size));
    double scale = 1;
    if (unit.size > 0 && unit.data[0] != 'B') {
        const char *letter = strchr(letters, unit.data[0] & ~0x20);
        if (!letter || !*letter)
            return false;
        for (const char *power = letters; power <= letter; power++)
            scale *= 1024;
        unit = tw_str_slice(unit, 1, unit.size);
        if (unit.size == 2 && unit.data[0] == 'i')
            unit = tw_str_slice(unit, 1, unit.size);
    }
    if (unit.size > 0 && !tw_str_is(unit, "B"))
        return false;
    struct tw_str number = tw_str_slice(text, 0, digits);
    uint64_t whole;
    double value;
    if (scale == 1 && tw_uint64_parse(number, &whole)) {
        *ret_bytes = whole;
        return true;
    }
    if (digits == 0 || !tw_double_parse(number, &value) || value * scale >= 0x1p63)
        return false;
    *ret_bytes = (uint64_t)(value * scale);
    return true;
}

enum tw_code tw_yaml_get_bytes(const char *name, const struct tw_yaml *mapping, const char *key,
                               uint64_t *ret_bytes, struct tw_err *err)
{
    const struct tw_yaml *node;
    enum tw_code code = get_scalar(name, mapping, key, &node, err);
    if (code != TW_OK || !node)
        return code;
    if (!parse_bytes(node->text, ret_bytes))
        return tw_yaml_error(name, node, err, "'%s' takes a size such as 512MB or 2GiB, not '%.*s'",
                             key, TW_STR_ARG(node->text));
    return TW_OK;
}

enum tw_code tw_yaml_get_node(const char *name, const struct tw_yaml *mapping, const char *key,
                              enum tw_yaml_kind kind, const struct tw_yaml **ret,
                              struct tw_err *err)
{
    static const char *const kinds[] = {"single value", "list", "mapping"};
    const struct tw_yaml *node = tw_yaml_member(mapping, key);
    if (tw_yaml_is_null(node)) {
        *ret = NULL;
        return TW_OK;
    }
    if (node->kind != kind)
        return tw_yaml_error(name, node, err, "'%s' takes a %s, not a %s", key, kinds[kind],
                             kinds[node->kind]);
    *ret = node;
    return TW_OK;
}
