/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/unit/autoscaler/fake_engine.h"

#include <stdlib.h>

#include "base/assert.h"
#include "query/parser.h"

struct query_engine {
    struct tsdb_storage *storage;
    int64_t lookback_ms;
};

static fake_answer *answer_with;
static void *answer_user;

void fake_engine_set(fake_answer *answer, void *user)
{
    answer_with = answer;
    answer_user = user;
}

struct query_engine *query_engine_new(struct tsdb_storage *storage,
                                      const struct query_options *options)
{
    struct query_engine *engine = calloc(1, sizeof *engine);
    TW_ASSERT(engine != NULL);
    engine->storage = storage;
    engine->lookback_ms = options && options->lookback_ms ? options->lookback_ms : 300000;
    return engine;
}

struct query_engine *query_engine_free(struct query_engine *engine)
{
    free(engine);
    return NULL;
}

struct tsdb_storage *query_engine_storage(struct query_engine *engine)
{
    return engine->storage;
}

struct answer {
    struct query_result result;
    struct query_series series;
    struct query_point points[];
};

static enum tw_code range(struct query_engine *engine, struct tw_str text, int64_t start,
                          int64_t end, int64_t step, enum query_result_type type,
                          struct query_result **ret, struct tw_err *err)
{
    size_t count = (size_t)((end - start) / step) + 1, known = 0;
    struct answer *answer = calloc(1, sizeof *answer + count * sizeof *answer->points);
    TW_ASSERT(answer != NULL);
    for (size_t i = 0; i < count; i++) {
        int64_t at = start + (int64_t)i * step;
        double value;
        enum tw_code code = answer_with(answer_user, text, at, engine->lookback_ms, &value);
        if (code == TW_OK) {
            answer->points[known++] = (struct query_point){at, value};
        } else if (code != TW_NOT_FOUND) {
            free(answer);
            return tw_err_set(err, code, "the fake engine was told to fail");
        }
    }
    answer->series.points = answer->points;
    answer->series.count = known;
    answer->result.type = type;
    answer->result.series = &answer->series;
    answer->result.count = known > 0;
    *ret = &answer->result;
    return TW_OK;
}

enum tw_code query_instant(struct query_engine *engine, const struct tw_context *context,
                           struct tw_str text, int64_t time_ms, struct query_result **ret_result,
                           struct tw_err *err)
{
    (void)context;
    return range(engine, text, time_ms, time_ms, 1, QUERY_VECTOR, ret_result, err);
}

enum tw_code query_range(struct query_engine *engine, const struct tw_context *context,
                         struct tw_str text, int64_t start_ms, int64_t end_ms, int64_t step_ms,
                         struct query_result **ret_result, struct tw_err *err)
{
    (void)context;
    return range(engine, text, start_ms, end_ms, step_ms, QUERY_MATRIX, ret_result, err);
}

struct query_result *query_result_free(struct query_result *result)
{
    free(result); /* the first member of its answer */
    return NULL;
}

enum tw_code query_check(struct tw_str text, struct tw_err *err)
{
    if (tw_str_starts(text, TW_STR(FAKE_ENGINE_BAD)))
        return tw_err_set(err, TW_SYNTAX, "unexpected character '!'");
    return TW_OK;
}

/* Names are no queries: nothing is known of where their loads come from. */
enum tw_code query_parse(struct tw_str text, unsigned features, struct query_ast **ret_ast,
                         struct tw_err *err)
{
    (void)text, (void)features, (void)ret_ast;
    return tw_err_set(err, TW_SYNTAX, "the fake engine parses nothing");
}

struct query_ast *query_ast_free(struct query_ast *ast)
{
    (void)ast;
    return NULL;
}

const struct query_node *query_node_unwrap(const struct query_node *node)
{
    return node;
}
