/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /api/v1/reliability: how dependable services were (docs/reliability.md).
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include "autoscaler/manager_int.h"
#include "autoscaler/reliability.h"
#include "base/duration.h"

#define PART_STEPS 2000 /* of one range query */
#define STEPS_MAX 200000
#define SPAN_MS_DEFAULT (INT64_C(7) * 86400000)
#define STEP_MS_DEFAULT 60000
#define STEP_MS_MIN 1000

struct question {
    struct tw_str query, by[SCALE_RELIABILITY_LABELS_MAX];
    size_t by_count;
    int64_t start_ms, end_ms, step_ms;
};

static enum tw_code take_by(struct tw_str text, struct question *ret, struct tw_err *err)
{
    struct tw_str name;
    while (tw_str_split(&text, ',', &name)) {
        name = tw_str_trim(name);
        bool known = !name.size;
        for (size_t i = 0; i < ret->by_count; i++)
            known = known || tw_str_equal(ret->by[i], name);
        if (known)
            continue;
        if (ret->by_count == SCALE_RELIABILITY_LABELS_MAX)
            return tw_err_set(err, TW_BAD_DATA, "by names more than %d labels",
                              SCALE_RELIABILITY_LABELS_MAX);
        ret->by[ret->by_count++] = name;
    }
    return TW_OK;
}

static enum tw_code take_question(const struct tw_http_request *request, int64_t now_ms,
                                  struct question *ret, struct tw_err *err)
{
    struct tw_str text, by = TW_STR_INIT("job");
    enum tw_code code = TW_OK;
    *ret = (struct question){.query = TW_STR_INIT("up"), .step_ms = STEP_MS_DEFAULT};
    (void)tw_http_parameter(request, "query", &ret->query);
    (void)tw_http_parameter(request, "by", &by);
    code = take_by(by, ret, err);
    if (code == TW_OK && tw_http_parameter(request, "step", &text))
        code = tw_duration_parse_parameter(text, &ret->step_ms, err);
    ret->end_ms = now_ms;
    if (code == TW_OK && tw_http_parameter(request, "end", &text))
        code = tw_time_parse_parameter(text, &ret->end_ms, err);
    ret->start_ms = ret->end_ms - SPAN_MS_DEFAULT;
    if (code == TW_OK && tw_http_parameter(request, "start", &text))
        code = tw_time_parse_parameter(text, &ret->start_ms, err);
    if (code != TW_OK)
        return code;
    if (ret->step_ms < STEP_MS_MIN)
        return tw_err_set(err, TW_BAD_DATA, "step has to be at least 1s");
    if (ret->end_ms < ret->start_ms)
        return tw_err_set(err, TW_BAD_DATA, "end is before start");
    if ((ret->end_ms - ret->start_ms) / ret->step_ms >= STEPS_MAX)
        return tw_err_set(err, TW_BAD_DATA,
                          "that are more than %d steps: give a longer step or less time",
                          STEPS_MAX);
    ret->start_ms = tw_floor_div(ret->start_ms, ret->step_ms) * ret->step_ms;
    ret->end_ms = tw_floor_div(ret->end_ms, ret->step_ms) * ret->step_ms;
    return query_check(ret->query, err);
}

/* In parts, so that no answer is large. */
static enum tw_code gather(struct scale_manager *manager, const struct tw_context *context,
                           const struct question *question, struct scale_reliability *reliability,
                           struct tw_err *err)
{
    int64_t part = (PART_STEPS - 1) * question->step_ms;
    enum tw_code code = TW_OK;
    for (int64_t at = question->start_ms; at <= question->end_ms && code == TW_OK;
         at += part + question->step_ms) {
        int64_t last = at + part < question->end_ms ? at + part : question->end_ms;
        struct query_result *result = NULL;
        code = query_range(manager->options.engine, context, question->query, at, last,
                           question->step_ms, &result, err);
        if (code == TW_OK) {
            code = scale_reliability_add(reliability, result, at, last, err);
            query_result_free(result);
        }
    }
    return code;
}

static void write_inverse(struct tw_json_writer *writer, const char *key, double seconds)
{
    tw_json_member_number(writer, key, seconds > 0 ? 3600 / seconds : NAN);
}

static void write_service(struct tw_json_writer *writer, const struct scale_service *service)
{
    double mtbf = scale_service_mtbf_s(service), mttr = scale_service_mttr_s(service);
    tw_json_begin_object(writer);
    tw_json_key(writer, TW_STR("service"));
    tw_json_begin_object(writer);
    for (size_t i = 0; i < service->labels.count; i++) {
        tw_json_key(writer, service->labels.items[i].name);
        tw_json_write_str(writer, service->labels.items[i].value);
    }
    tw_json_end_object(writer);
    tw_json_member_int(writer, "instances", (int64_t)service->instances);
    tw_json_member_number(writer, "availability", scale_service_availability(service));
    tw_json_member_number(writer, "served", scale_service_served(service));
    tw_json_member_int(writer, "failures", service->failures);
    tw_json_member_int(writer, "repairs", service->repairs);
    tw_json_member_number(writer, "mtbf_seconds", mtbf);
    tw_json_member_number(writer, "mttr_seconds", mttr);
    write_inverse(writer, "failure_rate_per_hour", mtbf);
    write_inverse(writer, "recovery_rate_per_hour", mttr);
    tw_json_member_number(writer, "up_seconds", (double)service->up_ms / 1000);
    tw_json_member_number(writer, "down_seconds", (double)service->down_ms / 1000);
    tw_json_member_number(writer, "unknown_seconds", (double)service->unknown_ms / 1000);
    tw_json_end_object(writer);
}

static void write_answer(struct tw_http_exchange *exchange, const struct question *question,
                         struct scale_reliability *reliability)
{
    struct tw_json_writer writer;
    size_t count;
    const struct scale_service *services = scale_reliability_services(reliability, &count);
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_object(&writer);
    tw_json_member_str(&writer, "query", question->query);
    tw_json_member_number(&writer, "start", (double)question->start_ms / 1000);
    tw_json_member_number(&writer, "end", (double)question->end_ms / 1000);
    tw_json_member_number(&writer, "step", (double)question->step_ms / 1000);
    tw_json_key(&writer, TW_STR("services"));
    tw_json_begin_array(&writer);
    for (size_t i = 0; i < count; i++)
        write_service(&writer, &services[i]);
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
}

static enum tw_http_verdict answer_reliability(void *user, struct tw_http_exchange *exchange)
{
    struct scale_manager *manager = user;
    struct question question;
    struct tw_err err;
    enum tw_code code = take_question(&exchange->request, tw_clock_wall_ms(manager->options.clock),
                                      &question, &err);
    if (code == TW_OK) {
        struct scale_reliability *reliability =
            scale_reliability_new(question.by, question.by_count, question.step_ms);
        code = gather(manager, &exchange->context, &question, reliability, &err);
        if (code == TW_OK)
            write_answer(exchange, &question, reliability);
        scale_reliability_free(reliability);
    }
    if (code != TW_OK)
        tw_http_error_api(exchange, &err);
    return TW_HTTP_DONE;
}

void scale_reliability_route(struct tw_http_router *router, struct scale_manager *manager)
{
    tw_http_route(router, TW_HTTP_GET, "/api/v1/reliability", TW_HTTP_WORKER, answer_reliability,
                  manager);
}
