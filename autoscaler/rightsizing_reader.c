/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <math.h>

#include "autoscaler/rightsizing.h"

#define HISTORY_MS_MAX (90 * INT64_C(86400000))

static enum tw_code read_query(struct tw_arena *arena, const char *file, const struct tw_yaml *map,
                               const char *key, struct tw_str *ret, struct tw_err *err)
{
    struct tw_str text = {0};
    struct tw_err query_err = {0};
    enum tw_code code = tw_yaml_get_str(file, map, key, &text, err);
    if (code != TW_OK || !text.size)
        return code;
    if (query_check(text, &query_err) != TW_OK)
        return tw_yaml_error(file, tw_yaml_member(map, key), err, "%s: %s", key, query_err.message);
    *ret = tw_arena_str(arena, text);
    return TW_OK;
}

enum tw_code scale_sizing_parse(struct tw_arena *arena, const char *file, const struct tw_yaml *map,
                                struct tw_str name, struct scale_sizing_question *ret,
                                bool *ret_given, struct tw_err *err)
{
    static const char *const known[] = {"cpu", "memory", "cpu_request", "memory_request",
                                        "by",  "margin", "history",     NULL};
    const struct tw_yaml *node = NULL;
    struct scale_sizing_question question;
    scale_sizing_question_init(&question);
    question.name = name;
    *ret_given = false;
    *ret = question;
    enum tw_code code = tw_yaml_get_node(file, map, "rightsizing", TW_YAML_MAPPING, &node, err);
    if (code != TW_OK || !node)
        return code;
    code = tw_yaml_check_keys(file, node, known, err);
    const struct {
        const char *key;
        struct tw_str *text;
    } queries[] = {{"cpu", &question.cpu},
                   {"memory", &question.memory},
                   {"cpu_request", &question.cpu_request},
                   {"memory_request", &question.memory_request}};
    for (size_t i = 0; code == TW_OK && i < sizeof queries / sizeof *queries; i++)
        code = read_query(arena, file, node, queries[i].key, queries[i].text, err);
    if (code == TW_OK && !question.cpu.size && !question.memory.size)
        code = tw_yaml_error(file, node, err,
                             "rightsizing needs cpu or memory: queries of what each instance uses, "
                             "in cores and in bytes");
    if (code == TW_OK)
        code = tw_yaml_get_str(file, node, "by", &question.by, err);
    if (code == TW_OK)
        code = tw_yaml_get_double(file, node, "margin", &question.margin, err);
    if (code == TW_OK && !(question.margin >= 0 && question.margin <= 10))
        code = tw_yaml_error(file, tw_yaml_member(node, "margin"), err,
                             "margin is a share of what is used: from 0 to 10");
    if (code == TW_OK)
        code = tw_yaml_get_duration(file, node, "history", &question.history_ms, err);
    if (code == TW_OK && (question.history_ms < 3600000 || question.history_ms > HISTORY_MS_MAX))
        code = tw_yaml_error(file, tw_yaml_member(node, "history"), err,
                             "history has to be from 1h to 90d");
    if (code != TW_OK)
        return code;
    question.by = question.by.size ? tw_arena_str(arena, question.by) : (struct tw_str){0};
    *ret = question;
    *ret_given = true;
    return TW_OK;
}

static struct tw_str copied(struct tw_arena *arena, struct tw_str text)
{
    return text.size ? tw_arena_str(arena, text) : (struct tw_str){0};
}

struct scale_sizing_question scale_sizing_copy(const struct scale_sizing_question *question,
                                               struct tw_arena *arena)
{
    struct scale_sizing_question copy = *question;
    copy.name = copied(arena, question->name);
    copy.cpu = copied(arena, question->cpu);
    copy.memory = copied(arena, question->memory);
    copy.cpu_request = copied(arena, question->cpu_request);
    copy.memory_request = copied(arena, question->memory_request);
    copy.by = copied(arena, question->by);
    return copy;
}
