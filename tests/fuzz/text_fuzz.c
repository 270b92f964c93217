/* SPDX-License-Identifier: Apache-2.0
 *
 * text_fuzz: what people and other programs write as text, given any bytes: configuration (YAML),
 * JSON, regular expressions with their texts and replacements, durations and times. The first byte
 * of an input chooses, the rest is the text. What is refused is refused with a reason; what is
 * accepted reads the same when it is read again.
 */
#include "config.h"

#include <string.h>

#include "base/assert.h"
#include "base/duration.h"
#include "base/json.h"
#include "base/regex.h"
#include "base/yaml.h"
#include "tests/fuzz/replay.h"

static size_t count_nodes(const struct tw_yaml *node, unsigned depth)
{
    size_t count = 1;
    TW_ASSERT(depth <= TW_YAML_DEPTH_MAX + 1 && node->line > 0 && node->column > 0);
    for (size_t i = 0; i < node->count; i++)
        if (node->kind == TW_YAML_SEQUENCE) {
            count += count_nodes(node->items[i], depth + 1);
        } else if (node->kind == TW_YAML_MAPPING) {
            TW_ASSERT(node->pairs[i].key->kind == TW_YAML_SCALAR);
            count += 1 + count_nodes(node->pairs[i].value, depth + 1);
        }
    return count;
}

static void fuzz_yaml(struct tw_str text)
{
    static const char *const known[] = {"global", "storage", "scalers", NULL};
    struct tw_err err = {.message = ""};
    struct tw_yaml *root = NULL;
    struct tw_arena *arena = tw_arena_new(4096);
    if (tw_yaml_parse(arena, "fuzz.yml", text, &root, &err) != TW_OK) {
        TW_ASSERT(err.message[0] != '\0');
    } else if (root) {
        TW_ASSERT(count_nodes(root, 0) <= 2 * (size_t)TW_YAML_NODES_MAX);
        if (root->kind == TW_YAML_MAPPING)
            (void)(tw_yaml_check_keys("fuzz.yml", root, known, &err) == TW_OK);
    }
    tw_arena_free(arena);
}

static void write_again(const struct tw_json *value, struct tw_json_writer *writer)
{
    struct tw_str key;
    const struct tw_json *member;
    switch (tw_json_type(value)) {
    case TW_JSON_ARRAY:
        tw_json_begin_array(writer);
        for (size_t i = 0; i < tw_json_count(value); i++)
            write_again(tw_json_item(value, i), writer);
        tw_json_end_array(writer);
        break;
    case TW_JSON_OBJECT:
        tw_json_begin_object(writer);
        for (size_t i = 0; tw_json_member_at(value, i, &key, &member); i++) {
            tw_json_key(writer, key);
            write_again(member, writer);
        }
        tw_json_end_object(writer);
        break;
    case TW_JSON_STRING:
        tw_json_write_str(writer, tw_json_string(value, (struct tw_str){0}));
        break;
    case TW_JSON_NULL:
    case TW_JSON_BOOL:
    case TW_JSON_NUMBER:
        tw_json_write_bool(writer, tw_json_bool(value, tw_json_number(value, 0) > 0));
        break;
    }
}

static void fuzz_json(struct tw_str text)
{
    struct tw_err err = {.message = ""};
    struct tw_json *root, *again;
    if (tw_json_parse(text, &root, &err) != TW_OK) {
        TW_ASSERT(err.message[0] != '\0');
        return;
    }
    struct tw_buf written;
    struct tw_json_writer writer;
    tw_buf_init(&written, (size_t)1 << 26);
    tw_json_writer_init(&writer, &written);
    write_again(root, &writer);
    TW_ASSERT(tw_json_parse(tw_buf_str(&written), &again, &err) == TW_OK);
    TW_ASSERT(tw_json_type(root) == tw_json_type(again) || tw_json_type(again) == TW_JSON_BOOL);
    TW_ASSERT(tw_json_count(root) == tw_json_count(again));
    tw_json_free(root);
    tw_json_free(again);
    tw_buf_fini(&written);
}

/* pattern \n text \n replacement */
static void fuzz_regex(struct tw_str text)
{
    struct tw_str pattern = {0}, subject = {0};
    (void)tw_str_split(&text, '\n', &pattern);
    (void)tw_str_split(&text, '\n', &subject);
    for (int anchored = 0; anchored < 2; anchored++) {
        struct tw_regex *regex;
        struct tw_err err = {.message = ""};
        struct tw_str groups[10];
        if (tw_regex_new(pattern, anchored, &regex, &err) != TW_OK) {
            TW_ASSERT(err.message[0] != '\0');
            continue;
        }
        bool matches = tw_regex_match(regex, subject);
        TW_ASSERT(tw_regex_groups(regex, subject, groups, 10) == matches);
        for (int i = 0; matches && i < 10; i++)
            TW_ASSERT(!groups[i].data || groups[i].size == 0 ||
                      (groups[i].data >= subject.data &&
                       groups[i].data + groups[i].size <= subject.data + subject.size));
        struct tw_buf replaced;
        tw_buf_init(&replaced, (size_t)1 << 20);
        tw_regex_replace_all(regex, subject, text, &replaced);
        tw_buf_fini(&replaced);
        tw_regex_free(regex);
    }
}

static void fuzz_time(struct tw_str text)
{
    struct tw_err err = {.message = ""};
    int64_t ms, again;
    if (tw_time_parse_parameter(text, &ms, &err) != TW_OK)
        TW_ASSERT(err.message[0] != '\0');
    if (tw_duration_parse(text, &ms, &err) != TW_OK) {
        TW_ASSERT(err.message[0] != '\0');
        return;
    }
    char written[TW_DURATION_BYTES];
    tw_duration_format(ms, written);
    TW_ASSERT(tw_duration_parse(tw_str(written), &again, &err) == TW_OK && again == ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(struct tw_str) = {fuzz_yaml, fuzz_json, fuzz_regex, fuzz_time};
    if (size > 0)
        targets[data[0] % (sizeof targets / sizeof *targets)](
            (struct tw_str){(const char *)data + 1, size - 1});
    return 0;
}

#ifndef TW_LIBFUZZER
int main(int argc, char **argv)
{
    return fuzz_replay(argc, argv);
}
#endif
