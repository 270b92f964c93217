/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/manager.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autoscaler/manager_int.h"
#include "autoscaler/purse.h"
#include "autoscaler/rightsizing_api.h"
#include "autoscaler/trust.h"
#include "base/assert.h"
#include "base/duration.h"
#include "base/number.h"

#define LOAD_SHOWN_MS (6 * 3600000)
#define DECISIONS_DEFAULT 100
#define DECISIONS_MAX 1000

static void begin_answer(struct tw_json_writer *writer, struct tw_http_exchange *exchange)
{
    tw_json_writer_init(writer, &exchange->response.body);
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "status", "success");
    tw_json_key(writer, TW_STR("data"));
}

static enum tw_http_verdict fail(struct tw_http_exchange *exchange, const struct tw_err *err)
{
    tw_http_error_api(exchange, err);
    return TW_HTTP_DONE;
}

/* Of several; none when there is but the one query. */
static void write_loads(struct tw_json_writer *writer, const struct scale_demand *demand)
{
    tw_json_key(writer, TW_STR("loads"));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < demand->count; i++) {
        tw_json_begin_object(writer);
        tw_json_member_str(writer, "name", demand->parts[i].name);
        tw_json_member_str(writer, "query", demand->parts[i].query);
        tw_json_member_number(writer, "capacity", demand->parts[i].capacity);
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
}

/* The members that every view of a scaler has. */
static void write_scaler(struct tw_json_writer *writer, const struct scaler *scaler)
{
    const struct scale_settings *settings = &scaler->settings;
    const struct scale_controller *controller = scaler->controller;
    bool learned;
    int64_t startup = scale_controller_startup_ms(controller, &learned), seasons[8];
    const char *error, *health = scaler_health(scaler, &error);
    tw_json_member_str(writer, "name", settings->name);
    tw_json_member_str(writer, "query", settings->load);
    write_loads(writer, &settings->demand);
    tw_json_member_cstr(writer, "mode", settings->mode == SCALE_ACT ? "act" : "observe");
    scale_target_write_json(&settings->target, writer);
    if (scaler->fleet)
        scale_fleet_write_json(scaler->fleet, writer);
    tw_json_member_int(writer, "min", settings->min);
    tw_json_member_int(writer, "max", settings->max);
    tw_json_member_number(writer, "capacity_per_replica", scale_controller_capacity(controller));
    tw_json_member_cstr(writer, "capacity_source",
                        isnan(settings->capacity) ? "learned" : "configured");
    tw_json_member_number(writer, "quantile", settings->quantile);
    tw_json_member_number(writer, "tick_seconds", (double)settings->tick_ms / 1000);
    tw_json_member_number(writer, "step_seconds", (double)settings->step_ms / 1000);
    tw_json_member_number(writer, "startup_seconds", (double)startup / 1000);
    tw_json_member_cstr(writer, "startup_source", learned ? "learned" : "configured");
    tw_json_member_number(writer, "horizon_seconds",
                          (double)scale_controller_horizon_ms(controller) / 1000);
    tw_json_member_cstr(writer, "health", health);
    tw_json_member_cstr(writer, "error", error);
    tw_json_key(writer, TW_STR("seasons_seconds"));
    tw_json_begin_array(writer);
    size_t count = scale_controller_seasons_ms(controller, seasons);
    for (size_t i = 0; i < count; i++)
        tw_json_write_number(writer, (double)seasons[i] / 1000);
    tw_json_end_array(writer);
    const struct scale_load *load = scale_controller_load(controller);
    tw_json_member_number(writer, "history_seconds",
                          (double)scale_load_known(load) * (double)settings->step_ms / 1000);
    tw_json_key(writer, TW_STR("decision"));
    if (scaler->decision.count)
        scale_decision_write_json(&scaler->decision, NULL, writer);
    else
        tw_json_write_null(writer);
    scale_pauses_write_json(&scaler->pauses, writer);
    scale_verification_write_json(&scaler->verification, writer);
    scale_recovery_write_json(scaler->recovery, settings, writer);
}

static void write_times(struct tw_json_writer *writer, int64_t first_ms, int64_t step_ms,
                        size_t count)
{
    tw_json_key(writer, TW_STR("times"));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < count; i++)
        tw_json_write_number(writer, (double)(first_ms + (int64_t)i * step_ms) / 1000);
    tw_json_end_array(writer);
}

static void write_numbers(struct tw_json_writer *writer, const char *key, const double *values,
                          size_t stride, size_t count)
{
    tw_json_key(writer, tw_str(key));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < count; i++)
        tw_json_write_number(writer, values[i * stride]);
    tw_json_end_array(writer);
}

static void write_load(struct tw_json_writer *writer, const struct scale_load *load)
{
    size_t count = (size_t)(LOAD_SHOWN_MS / load->step_ms);
    if (count > load->count)
        count = load->count;
    tw_json_key(writer, TW_STR("load"));
    tw_json_begin_object(writer);
    int64_t first =
        load->count ? scale_load_end_ms(load) - (int64_t)(count - 1) * load->step_ms : 0;
    write_times(writer, first, load->step_ms, count);
    write_numbers(writer, "values", load->values + load->count - count, 1, count);
    tw_json_end_object(writer);
}

static void write_band(struct tw_json_writer *writer, struct scaler *scaler)
{
    size_t steps = scale_controller_band_steps(scaler->controller);
    tw_json_key(writer, TW_STR("forecast"));
    if (!steps) {
        tw_json_write_null(writer);
        return;
    }
    double *mean = calloc(steps * (1 + SCALE_BAND_QUANTILES), sizeof *mean),
           *quantiles = mean + steps;
    double peak[SCALE_BAND_QUANTILES];
    TW_ASSERT(mean != NULL);
    int64_t first_ms;
    scale_controller_band(scaler->controller, mean, quantiles, peak, &first_ms);
    tw_json_begin_object(writer);
    tw_json_member_number(writer, "made_at", (double)scaler->decision.time_ms / 1000);
    write_times(writer, first_ms, scaler->settings.step_ms, steps);
    write_numbers(writer, "mean", mean, 1, steps);
    tw_json_key(writer, TW_STR("quantiles"));
    tw_json_begin_object(writer);
    char name[TW_DOUBLE_BYTES];
    for (size_t q = 0; q < SCALE_BAND_QUANTILES; q++) {
        tw_double_format_general(scale_band_probabilities[q], name);
        write_numbers(writer, name, quantiles + q, SCALE_BAND_QUANTILES, steps);
    }
    tw_json_end_object(writer);
    tw_json_key(writer, TW_STR("peak"));
    tw_json_begin_object(writer);
    tw_json_member_number(writer, "horizon_seconds",
                          (double)scale_controller_horizon_ms(scaler->controller) / 1000);
    for (size_t q = 0; q < SCALE_BAND_QUANTILES; q++) {
        tw_double_format_general(scale_band_probabilities[q], name);
        tw_json_member_number(writer, name, peak[q]);
    }
    tw_json_end_object(writer);
    tw_json_end_object(writer);
    free(mean);
}

static enum tw_http_verdict answer_list(void *user, struct tw_http_exchange *exchange)
{
    struct scale_manager *manager = user;
    struct tw_json_writer writer;
    begin_answer(&writer, exchange);
    tw_json_begin_object(&writer);
    tw_json_key(&writer, TW_STR("scalers"));
    tw_json_begin_array(&writer);
    tw_lock_take(&manager->lock);
    for (size_t i = 0; i < manager->scaler_count; i++) {
        tw_json_begin_object(&writer);
        write_scaler(&writer, manager->scalers[i]);
        tw_json_end_object(&writer);
    }
    tw_lock_release(&manager->lock);
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}

static struct scaler *find_locked(struct scale_manager *manager, struct tw_str name)
{
    tw_lock_assert_held(&manager->lock);
    for (size_t i = 0; i < manager->scaler_count; i++)
        if (tw_str_equal(manager->scalers[i]->settings.name, name))
            return manager->scalers[i];
    return NULL;
}

static enum tw_http_verdict answer_one(void *user, struct tw_http_exchange *exchange)
{
    struct scale_manager *manager = user;
    struct tw_str name = tw_http_capture(&exchange->request, "name");
    struct tw_err err;
    tw_lock_take(&manager->lock);
    struct scaler *scaler = find_locked(manager, name);
    if (scaler) {
        struct tw_json_writer writer;
        begin_answer(&writer, exchange);
        tw_json_begin_object(&writer);
        write_scaler(&writer, scaler);
        write_load(&writer, scale_controller_load(scaler->controller));
        write_band(&writer, scaler);
        tw_json_end_object(&writer);
        tw_json_end_object(&writer);
    }
    tw_lock_release(&manager->lock);
    if (scaler)
        return TW_HTTP_DONE;
    tw_err_set(&err, TW_NOT_FOUND, "there is no scaler '%.*s'", TW_STR_ARG(name));
    return fail(exchange, &err);
}

struct listing {
    struct tw_json_writer writer;
    size_t left;
    int64_t until_ms; /* decisions that began later are left out */
};

static bool list_decision(void *user, const struct scale_decision *decision,
                          const struct scale_effect *outcome)
{
    struct listing *listing = user;
    if (decision->since_ms > listing->until_ms)
        return true;
    scale_decision_write_json(decision, outcome, &listing->writer);
    return --listing->left > 0;
}

static enum tw_http_verdict answer_decisions(void *user, struct tw_http_exchange *exchange)
{
    struct scale_manager *manager = user;
    struct tw_str name = tw_http_capture(&exchange->request, "name"), text;
    struct tw_err err;
    int64_t limit = DECISIONS_DEFAULT;
    if (tw_http_parameter(&exchange->request, "limit", &text) &&
        (!tw_int64_parse(text, &limit) || limit < 1 || limit > DECISIONS_MAX)) {
        tw_err_set(&err, TW_BAD_DATA, "limit is '%.*s': give a whole number from 1 to %d",
                   TW_STR_ARG(text), DECISIONS_MAX);
        return fail(exchange, &err);
    }
    int64_t until_ms = INT64_MAX;
    if (tw_http_parameter(&exchange->request, "time", &text) &&
        tw_time_parse_parameter(text, &until_ms, &err) != TW_OK)
        return fail(exchange, &err);
    tw_lock_take(&manager->lock);
    bool known = find_locked(manager, name) != NULL;
    tw_lock_release(&manager->lock);
    if (!known) {
        tw_err_set(&err, TW_NOT_FOUND, "there is no scaler '%.*s'", TW_STR_ARG(name));
        return fail(exchange, &err);
    }
    struct listing listing = {.left = (size_t)limit, .until_ms = until_ms};
    begin_answer(&listing.writer, exchange);
    tw_json_begin_object(&listing.writer);
    tw_json_key(&listing.writer, TW_STR("decisions"));
    tw_json_begin_array(&listing.writer);
    enum tw_code code =
        scale_journal_each(manager->options.state, name, list_decision, &listing, &err);
    if (code != TW_OK) {
        tw_buf_clear(&exchange->response.body);
        return fail(exchange, &err);
    }
    tw_json_end_array(&listing.writer);
    tw_json_end_object(&listing.writer);
    tw_json_end_object(&listing.writer);
    return TW_HTTP_DONE;
}

void scale_api_route(struct tw_http_router *router, struct scale_manager *manager)
{
    tw_http_route(router, TW_HTTP_GET, "/api/v1/scalers", TW_HTTP_WORKER, answer_list, manager);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/rightsizing", TW_HTTP_WORKER, scale_sizing_serve,
                  manager);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/budgets", TW_HTTP_WORKER, scale_purse_answer,
                  manager);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/scalers/:name", TW_HTTP_WORKER, answer_one,
                  manager);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/scalers/:name/decisions", TW_HTTP_WORKER,
                  answer_decisions, manager);
    scale_trust_route(router, manager);
    scale_readout_route(router, manager);
    scale_reliability_route(router, manager);
}
