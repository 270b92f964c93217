/* SPDX-License-Identifier: Apache-2.0
 *
 * What others may scale by: a plain number for KEDA's metrics-api scaler, and the external metrics
 * API of Kubernetes (external.metrics.k8s.io/v1beta1) for its HPA.
 *
 * I1  Nobody is told a number that nothing stands behind: no decision yet, one that is stale, or
 * one made without load and replicas. Others hold then, as we do.
 */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autoscaler/manager_int.h"
#include "autoscaler/selector.h"

#define GROUP "external.metrics.k8s.io"
#define GROUP_VERSION GROUP "/v1beta1"
#define STALE_TICKS 4 /* without a decision */
#define LABELS_MAX 5
#define QUANTITY_MILLI_MAX 9e15

enum readout { DESIRED, LOAD, PREDICTED, CAPACITY, READOUTS };
static const char *const readout_names[READOUTS] = {
    "tidewatch_scaler_desired_replicas", "tidewatch_scaler_load", "tidewatch_scaler_predicted_load",
    "tidewatch_scaler_capacity"};

static double value_of(const struct scale_decision *decision, enum readout readout)
{
    switch (readout) {
    case DESIRED:
        return (double)decision->to;
    case LOAD:
        return decision->load;
    case PREDICTED:
        return decision->used;
    case CAPACITY:
        return (double)decision->to * decision->capacity;
    case READOUTS:
        break;
    }
    return NAN;
}

/* I1 */
static bool is_sound(const struct scaler *scaler, int64_t now_ms)
{
    const struct scale_decision *decision = &scaler->decision;
    return decision->count > 0 && !scale_decision_is_blind(decision) &&
           now_ms - decision->time_ms <=
               STALE_TICKS * scaler->settings.tick_ms + scaler->settings.late_ms;
}

/* ---- KEDA ---- */

static enum tw_http_verdict answer_desired(void *user, struct tw_http_exchange *exchange)
{
    struct scale_manager *manager = user;
    struct tw_str name = tw_http_capture(&exchange->request, "name");
    int64_t now = tw_clock_wall_ms(manager->options.clock);
    const struct scaler *found = NULL;
    bool sound = false;
    struct tw_json_writer writer;
    tw_lock_take(&manager->lock);
    for (size_t i = 0; i < manager->scaler_count && !found; i++)
        if (tw_str_equal(manager->scalers[i]->settings.name, name))
            found = manager->scalers[i];
    if (found && (sound = is_sound(found, now))) {
        const struct scale_decision *decision = &found->decision;
        tw_http_begin_success(exchange, &writer);
        tw_json_begin_object(&writer);
        tw_json_member_str(&writer, "name", name);
        tw_json_member_number(&writer, "time", (double)decision->time_ms / 1000);
        tw_json_member_int(&writer, "desired_replicas", decision->to);
        tw_json_member_number(&writer, "load", decision->load);
        tw_json_member_number(&writer, "predicted_load", decision->used);
        tw_json_member_number(&writer, "capacity", value_of(decision, CAPACITY));
        tw_json_end_object(&writer);
        tw_json_end_object(&writer);
    }
    tw_lock_release(&manager->lock);
    if (sound)
        return TW_HTTP_DONE;
    struct tw_err err;
    if (!found)
        tw_err_set(&err, TW_NOT_FOUND, "there is no scaler '%.*s'", TW_STR_ARG(name));
    else
        tw_err_set(&err, TW_UNAVAILABLE, "scaler '%.*s' knows too little to say a number now",
                   TW_STR_ARG(name));
    tw_http_error_api(exchange, &err);
    return TW_HTTP_DONE;
}

/* ---- the external metrics API ---- */

static void begin_kind(struct tw_json_writer *writer, struct tw_http_exchange *exchange,
                       const char *kind, const char *version)
{
    tw_json_writer_init(writer, &exchange->response.body);
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "kind", kind);
    tw_json_member_cstr(writer, "apiVersion", version);
}

/* A metav1.Status. */
static enum tw_http_verdict answer_status(struct tw_http_exchange *exchange, int code,
                                          const char *reason, const char *message)
{
    struct tw_json_writer writer;
    tw_buf_clear(&exchange->response.body);
    begin_kind(&writer, exchange, "Status", "v1");
    tw_json_key(&writer, TW_STR("metadata"));
    tw_json_begin_object(&writer);
    tw_json_end_object(&writer);
    tw_json_member_cstr(&writer, "status", "Failure");
    tw_json_member_cstr(&writer, "message", message);
    tw_json_member_cstr(&writer, "reason", reason);
    tw_json_member_int(&writer, "code", code);
    tw_json_end_object(&writer);
    exchange->response.status = code;
    return TW_HTTP_DONE;
}

static void write_version(struct tw_json_writer *writer)
{
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "groupVersion", GROUP_VERSION);
    tw_json_member_cstr(writer, "version", "v1beta1");
    tw_json_end_object(writer);
}

static void write_group(struct tw_json_writer *writer)
{
    tw_json_member_cstr(writer, "name", GROUP);
    tw_json_key(writer, TW_STR("versions"));
    tw_json_begin_array(writer);
    write_version(writer);
    tw_json_end_array(writer);
    tw_json_key(writer, TW_STR("preferredVersion"));
    write_version(writer);
}

static enum tw_http_verdict answer_groups(void *user, struct tw_http_exchange *exchange)
{
    struct tw_json_writer writer;
    (void)user;
    begin_kind(&writer, exchange, "APIGroupList", "v1");
    tw_json_key(&writer, TW_STR("groups"));
    tw_json_begin_array(&writer);
    tw_json_begin_object(&writer);
    write_group(&writer);
    tw_json_end_object(&writer);
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict answer_group(void *user, struct tw_http_exchange *exchange)
{
    struct tw_json_writer writer;
    (void)user;
    begin_kind(&writer, exchange, "APIGroup", "v1");
    write_group(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict answer_resources(void *user, struct tw_http_exchange *exchange)
{
    struct tw_json_writer writer;
    (void)user;
    begin_kind(&writer, exchange, "APIResourceList", "v1");
    tw_json_member_cstr(&writer, "groupVersion", GROUP_VERSION);
    tw_json_key(&writer, TW_STR("resources"));
    tw_json_begin_array(&writer);
    for (int i = 0; i < READOUTS; i++) {
        tw_json_begin_object(&writer);
        tw_json_member_cstr(&writer, "name", readout_names[i]);
        tw_json_member_cstr(&writer, "singularName", "");
        tw_json_member_bool(&writer, "namespaced", true);
        tw_json_member_cstr(&writer, "kind", "ExternalMetricValueList");
        tw_json_key(&writer, TW_STR("verbs"));
        tw_json_begin_array(&writer);
        tw_json_write_str(&writer, TW_STR("get"));
        tw_json_end_array(&writer);
        tw_json_end_object(&writer);
    }
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}

/* A resource.Quantity: whole, or in thousandths. */
static void write_quantity(struct tw_json_writer *writer, double value)
{
    char text[48];
    if (value == floor(value) && fabs(value) < QUANTITY_MILLI_MAX)
        snprintf(text, sizeof text, "%" PRId64, (int64_t)value);
    else if (fabs(value) * 1000 < QUANTITY_MILLI_MAX)
        snprintf(text, sizeof text, "%" PRId64 "m", (int64_t)llround(value * 1000));
    else
        snprintf(text, sizeof text, "%.0f", value);
    tw_json_member_cstr(writer, "value", text);
}

static size_t labels_of(const struct scaler *scaler, struct tw_http_pair *ret)
{
    const struct scale_target *target = &scaler->settings.target;
    size_t count = 0;
    ret[count++] = (struct tw_http_pair){TW_STR("scaler"), scaler->settings.name};
    if (target->kind == SCALE_TARGET_NONE)
        return count;
    ret[count++] = (struct tw_http_pair){TW_STR("target"), tw_str(scale_target_name(target->kind))};
    if (target->kind != SCALE_TARGET_KUBERNETES)
        return count;
    ret[count++] = (struct tw_http_pair){TW_STR("kind"), tw_str(target->kubernetes.kind)};
    ret[count++] = (struct tw_http_pair){TW_STR("name"), tw_str(target->kubernetes.name)};
    return count;
}

static void write_item(struct tw_json_writer *writer, const struct scaler *scaler,
                       enum readout readout, const struct tw_http_pair *labels, size_t count)
{
    char time[TW_CLOCK_RFC3339_BYTES];
    tw_clock_format_rfc3339(scaler->decision.time_ms, time);
    char *fraction = strchr(time, '.'); /* a metav1.Time has none */
    if (fraction)
        memcpy(fraction, "Z", 2);
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "metricName", readout_names[readout]);
    tw_json_key(writer, TW_STR("metricLabels"));
    tw_json_begin_object(writer);
    for (size_t i = 0; i < count; i++) {
        tw_json_key(writer, labels[i].name);
        tw_json_write_str(writer, labels[i].value);
    }
    tw_json_end_object(writer);
    tw_json_member_cstr(writer, "timestamp", time);
    write_quantity(writer, value_of(&scaler->decision, readout));
    tw_json_end_object(writer);
}

/* A scaler of a Kubernetes object is seen from the object's namespace, all others from each. */
static bool is_of(const struct scaler *scaler, struct tw_str space)
{
    const struct scale_target *target = &scaler->settings.target;
    return target->kind != SCALE_TARGET_KUBERNETES || !target->kubernetes.space ||
           tw_str_is(space, target->kubernetes.space);
}

static void write_items(struct scale_manager *manager, struct tw_json_writer *writer,
                        enum readout readout, struct tw_str space,
                        const struct scale_selector *selector)
{
    int64_t now = tw_clock_wall_ms(manager->options.clock);
    tw_lock_take(&manager->lock);
    for (size_t i = 0; i < manager->scaler_count; i++) {
        const struct scaler *scaler = manager->scalers[i];
        struct tw_http_pair labels[LABELS_MAX];
        size_t count = labels_of(scaler, labels);
        if (is_of(scaler, space) && is_sound(scaler, now) &&
            isfinite(value_of(&scaler->decision, readout)) &&
            scale_selector_holds(selector, labels, count))
            write_item(writer, scaler, readout, labels, count);
    }
    tw_lock_release(&manager->lock);
}

static enum tw_http_verdict answer_values(void *user, struct tw_http_exchange *exchange)
{
    struct tw_str metric = tw_http_capture(&exchange->request, "metric");
    struct tw_str selector_text = {0};
    struct scale_selector selector;
    struct tw_json_writer writer;
    struct tw_err err;
    int readout = 0;
    while (readout < READOUTS && !tw_str_is(metric, readout_names[readout]))
        readout++;
    if (readout == READOUTS)
        return answer_status(exchange, 404, "NotFound",
                             "there is no such metric; GET /apis/" GROUP_VERSION " lists them");
    (void)tw_http_parameter(&exchange->request, "labelSelector", &selector_text);
    if (scale_selector_parse(selector_text, &selector, &err) != TW_OK)
        return answer_status(exchange, 400, "BadRequest", err.message);
    begin_kind(&writer, exchange, "ExternalMetricValueList", GROUP_VERSION);
    tw_json_key(&writer, TW_STR("metadata"));
    tw_json_begin_object(&writer);
    tw_json_end_object(&writer);
    tw_json_key(&writer, TW_STR("items"));
    tw_json_begin_array(&writer);
    write_items(user, &writer, (enum readout)readout,
                tw_http_capture(&exchange->request, "namespace"), &selector);
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}

void scale_readout_route(struct tw_http_router *router, struct scale_manager *manager)
{
    tw_http_route(router, TW_HTTP_GET, "/api/v1/scalers/:name/desired", TW_HTTP_WORKER,
                  answer_desired, manager);
    tw_http_route(router, TW_HTTP_GET, "/apis", TW_HTTP_WORKER, answer_groups, manager);
    tw_http_route(router, TW_HTTP_GET, "/apis/" GROUP, TW_HTTP_WORKER, answer_group, manager);
    tw_http_route(router, TW_HTTP_GET, "/apis/" GROUP_VERSION, TW_HTTP_WORKER, answer_resources,
                  manager);
    tw_http_route(router, TW_HTTP_GET, "/apis/" GROUP_VERSION "/namespaces/:namespace/:metric",
                  TW_HTTP_WORKER, answer_values, manager);
}
