/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/rightsizing_api.h"

#include "autoscaler/manager_int.h"
#include "autoscaler/rightsizing.h"
#include "base/duration.h"
#include "base/number.h"

#define TIMEOUT_NS (60 * INT64_C(1000000000))
#define HISTORY_MS_MAX (90 * INT64_C(86400000))
#define STEP_MS_MIN 15000
#define STEPS_MAX 200000 /* of one series, over the whole history */

static enum tw_code read_span(const struct tw_http_request *request, const char *name,
                              int64_t min_ms, int64_t max_ms, const char *range, int64_t *ret_ms,
                              struct tw_err *err)
{
    struct tw_str text;
    int64_t ms;
    if (!tw_http_parameter(request, name, &text))
        return TW_OK;
    if (tw_duration_parse_parameter(text, &ms, err) != TW_OK || ms < min_ms || ms > max_ms)
        return tw_err_set(err, TW_BAD_DATA, "%s is '%.*s': give a duration from %s", name,
                          TW_STR_ARG(text), range);
    *ret_ms = ms;
    return TW_OK;
}

static enum tw_code read_share(const struct tw_http_request *request, const char *name, double max,
                               double *ret, struct tw_err *err)
{
    struct tw_str text;
    double value;
    if (!tw_http_parameter(request, name, &text))
        return TW_OK;
    if (!tw_double_parse(text, &value) || !(value >= 0 && value <= max))
        return tw_err_set(err, TW_BAD_DATA, "%s is '%.*s': give a number from 0 to %g", name,
                          TW_STR_ARG(text), max);
    *ret = value;
    return TW_OK;
}

/* What holds for every question of the request. */
static enum tw_code read_common(const struct tw_http_request *request,
                                struct scale_sizing_question *question, struct tw_err *err)
{
    enum tw_code code = read_span(request, "history", 3600000, HISTORY_MS_MAX, "1h to 90d",
                                  &question->history_ms, err);
    if (code == TW_OK)
        code =
            read_span(request, "step", STEP_MS_MIN, 3600000, "15s to 1h", &question->step_ms, err);
    if (code == TW_OK && question->history_ms / question->step_ms > STEPS_MAX)
        code = tw_err_set(err, TW_BAD_DATA,
                          "history is more than %d steps long: take a longer step", STEPS_MAX);
    if (code == TW_OK)
        code = read_share(request, "margin", 10, &question->margin, err);
    if (code == TW_OK)
        code = read_share(request, "cpu_quantile", 1, &question->cpu_quantile, err);
    if (code == TW_OK)
        code = read_share(request, "memory_quantile", 1, &question->memory_quantile, err);
    return code;
}

struct questions {
    struct scale_sizing_question *items;
    size_t count;
};

/* The scalers that have `rightsizing`, or the one that is named. */
static enum tw_code take_scalers(struct scale_manager *manager, struct tw_arena *arena,
                                 struct tw_str name, struct questions *ret, struct tw_err *err)
{
    bool known = false;
    tw_lock_take(&manager->lock);
    ret->items = TW_ARENA_ARRAY(arena, struct scale_sizing_question, manager->scaler_count + 1);
    for (size_t i = 0; i < manager->scaler_count; i++) {
        const struct scale_settings *settings = &manager->scalers[i]->settings;
        bool wanted = !name.size || tw_str_equal(settings->name, name);
        known = known || wanted;
        if (wanted && settings->sizes)
            ret->items[ret->count++] = scale_sizing_copy(&settings->sizing, arena);
    }
    tw_lock_release(&manager->lock);
    if (name.size && !known)
        return tw_err_set(err, TW_NOT_FOUND, "there is no scaler '%.*s'", TW_STR_ARG(name));
    if (name.size && !ret->count)
        return tw_err_set(err, TW_NOT_FOUND,
                          "scaler '%.*s' has no rightsizing: give it queries of cpu and memory",
                          TW_STR_ARG(name));
    return TW_OK;
}

/* The question that stands in the request itself. */
static enum tw_code take_request(const struct tw_http_request *request, struct tw_arena *arena,
                                 struct questions *ret, struct tw_err *err)
{
    struct scale_sizing_question *question = TW_ARENA_NEW(arena, struct scale_sizing_question);
    scale_sizing_question_init(question);
    const struct {
        const char *name;
        struct tw_str *text;
    } texts[] = {{"cpu", &question->cpu},
                 {"memory", &question->memory},
                 {"cpu_request", &question->cpu_request},
                 {"memory_request", &question->memory_request},
                 {"by", &question->by},
                 {"name", &question->name}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        (void)tw_http_parameter(request, texts[i].name, texts[i].text);
    *ret = (struct questions){question, 1};
    if (!question->cpu.size && !question->memory.size)
        return tw_err_set(err, TW_BAD_DATA,
                          "give cpu or memory: queries of what each instance uses");
    return TW_OK;
}

static bool asks_itself(const struct tw_http_request *request)
{
    static const char *const names[] = {"cpu", "memory", "cpu_request", "memory_request",
                                        "by",  "name"};
    struct tw_str text;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (tw_http_parameter(request, names[i], &text))
            return true;
    return false;
}

enum tw_http_verdict scale_sizing_serve(void *user, struct tw_http_exchange *exchange)
{
    struct scale_manager *manager = user;
    const struct tw_http_request *request = &exchange->request;
    struct questions questions = {0};
    struct tw_str scaler = {0};
    struct tw_err err;
    enum tw_code code = TW_OK;
    int64_t deadline = tw_clock_mono_ns(exchange->context.clock) + TIMEOUT_NS;
    if (deadline < exchange->context.deadline_mono_ns)
        exchange->context.deadline_mono_ns = deadline;
    bool named = tw_http_parameter(request, "scaler", &scaler);
    if (asks_itself(request))
        code =
            named ? tw_err_set(&err, TW_BAD_DATA, "give a scaler, or queries of your own, not both")
                  : take_request(request, exchange->arena, &questions, &err);
    else
        code = take_scalers(manager, exchange->arena, scaler, &questions, &err);
    struct tw_json_writer writer;
    if (code == TW_OK) {
        tw_http_begin_success(exchange, &writer);
        tw_json_begin_object(&writer);
        tw_json_key(&writer, TW_STR("workloads"));
        tw_json_begin_array(&writer);
    }
    for (size_t i = 0; code == TW_OK && i < questions.count; i++) {
        code = read_common(request, &questions.items[i], &err);
        if (code == TW_OK)
            code = scale_sizing_answer(manager->options.engine, &exchange->context,
                                       &questions.items[i], &writer, &err);
    }
    if (code != TW_OK) {
        tw_buf_clear(&exchange->response.body);
        tw_http_error_api(exchange, &err);
        return TW_HTTP_DONE;
    }
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}
