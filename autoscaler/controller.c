/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/controller.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autoscaler/confidence.h"
#include "autoscaler/pressure.h"
#include "autoscaler/reset.h"
#include "base/assert.h"
#include "forecast/model.h"

#define CONTROLLER_MAGIC 0x73636c31u
#define REFIT_STEPS 15                /* the mixture is fitted anew after so many steps */
#define REFIT_SHARE 10                /* or when the past has grown by a tenth */
#define HORIZON_STEPS_MAX 240         /* leads of a decision */
#define COVERAGE_MIN 0.95             /* below: some sources are missing */
#define DROP_SUSPECT 0.15             /* a load that falls below this share at once is suspect */
#define JUMP_SUSPECT 4.0              /* or rises above this multiple */
#define DROP_BELIEVED_MS (20 * 60000) /* until it has lasted so long */
#define JUMP_BELIEVED_COUNT 3         /* or was seen so often */
#define STILL_LOOKS 240               /* looks before it is known how often a load changes */
#define STILL_CHANGES 20              /* a load that changed less often may be that steady */
#define STILL_RUN 20                  /* equal ones in a row that may mean that it stands still, */
#define STILL_TIMES 10                /* being so many times what is usual */
#define AGE_RATE 0.1
#define SURE_SHARE 0.12       /* of the doubt that is left when replicas are kept to be sure, */
#define SURE_FLEET_SHARE 0.03 /* at most this share of them */

const double scale_band_probabilities[SCALE_BAND_QUANTILES] = {0.05, 0.5, 0.9, 0.95, 0.99};

struct scale_still {
    double load, run, usual; /* usual: equal looks in a row */
    int64_t load_ms;
    unsigned looks, changes; /* up to STILL_LOOKS and STILL_CHANGES */
};

struct scale_controller {
    unsigned magic;
    const struct scale_settings *settings;
    size_t band_steps;
    struct scale_load load;
    struct scale_policy policy;
    struct scale_startup startup;
    /* model */
    struct forecast_model *model;
    size_t model_steps;  /* fitted with so many */
    size_t since_fit;    /* steps appended since */
    size_t fitted_steps; /* leads that it was fitted for */
    size_t peak_steps;   /* horizon it was fitted for */
    bool fit_due, learns_apart;
    /* input */
    struct scale_trend trend;
    int64_t good_ms; /* newest moment that was good; INT64_MIN = none */
    double level;    /* of the last good observations; NaN = none yet */
    int64_t suspect_since_ms;
    unsigned suspect_count;
    bool suspect_low;
    struct scale_pressure pressure;
    struct scale_confidence confidence;
    struct scale_still still;
    struct scale_reset reset;
    int64_t now_ms; /* of the last decision */
    double age_ms;  /* usual age of an observation */
    struct scale_capacity capacity;
    double last_value; /* newest usable load, for the band; NaN = none */
    int64_t decided;   /* replicas of the last decision; -1 = none */
};

struct scale_controller *scale_controller_new(const struct scale_settings *settings,
                                              size_t band_steps)
{
    struct scale_controller *controller = calloc(1, sizeof *controller);
    TW_ASSERT(controller != NULL);
    controller->magic = CONTROLLER_MAGIC;
    controller->settings = settings;
    controller->band_steps = band_steps;
    controller->decided = -1;
    controller->good_ms = controller->now_ms = controller->still.load_ms = INT64_MIN;
    controller->still.usual = STILL_RUN;
    scale_trend_init(&controller->trend);
    controller->level = NAN;
    scale_pressure_init(&controller->pressure);
    scale_reset_init(&controller->reset);
    scale_confidence_init(&controller->confidence);
    controller->last_value = NAN;
    scale_capacity_init(&controller->capacity, settings->capacity);
    scale_load_init(&controller->load, settings->step_ms,
                    (size_t)(settings->history_ms / settings->step_ms));
    scale_policy_init(&controller->policy);
    scale_startup_init(&controller->startup);
    return controller;
}

struct scale_controller *scale_controller_free(struct scale_controller *controller)
{
    if (!controller)
        return NULL;
    TW_CHECK_MAGIC(controller, CONTROLLER_MAGIC);
    controller->magic = 0;
    forecast_model_free(controller->model);
    scale_load_fini(&controller->load);
    free(controller);
    return NULL;
}

void scale_controller_set(struct scale_controller *controller,
                          const struct scale_settings *settings)
{
    TW_CHECK_MAGIC(controller, CONTROLLER_MAGIC);
    TW_ASSERT(settings->step_ms == controller->load.step_ms);
    bool same = settings->capacity == controller->settings->capacity ||
                (isnan(settings->capacity) && isnan(controller->settings->capacity));
    if (!same)
        scale_capacity_init(&controller->capacity, settings->capacity);
    controller->settings = settings;
}

void scale_controller_history(struct scale_controller *controller, int64_t first_ms,
                              int64_t step_ms, const double *values, size_t count)
{
    TW_CHECK_MAGIC(controller, CONTROLLER_MAGIC);
    for (size_t i = 0; i < count; i++)
        scale_load_observe(&controller->load, first_ms + (int64_t)i * step_ms, values[i]);
    controller->model = forecast_model_free(controller->model);
    controller->model_steps = 0;
    controller->fit_due = true;
    scale_controller_learn(controller);
}

void scale_controller_resume(struct scale_controller *controller, const struct scale_decision *last)
{
    TW_CHECK_MAGIC(controller, CONTROLLER_MAGIC);
    controller->decided = last->to;
}

void scale_controller_set_capacity(struct scale_controller *controller, double capacity)
{
    TW_CHECK_MAGIC(controller, CONTROLLER_MAGIC);
    const struct scale_settings *settings = controller->settings;
    if ((settings->utilisation.size || settings->latency.size) && !settings->demand.count &&
        capacity > 0 && isfinite(capacity))
        controller->capacity.value = capacity;
}

struct scale_policy *scale_controller_policy(struct scale_controller *controller)
{
    return &controller->policy;
}

struct scale_startup *scale_controller_startup(struct scale_controller *controller)
{
    return &controller->startup;
}

/* ---- what the numbers are worth ---- */

/* A load that changed at nearly every look and then stands still to the last bit is not measured
 * any more. */
static bool stands_still(struct scale_still *still, int64_t load_ms, double load)
{
    if (load_ms > still->load_ms) {
        still->load_ms = load_ms;
        still->looks += still->looks < STILL_LOOKS;
        if (load != still->load) {
            still->changes += still->changes < STILL_CHANGES;
            /* What was long ago counts less and less. */
            still->usual += load == 0 || still->load == 0 ? 0 : 0.02 * (still->run - still->usual);
            still->load = load;
            still->run = 0;
        } else {
            still->run++;
        }
    }
    return load > 0 && still->looks >= STILL_LOOKS && still->changes >= STILL_CHANGES &&
           still->run >= STILL_RUN && still->run > STILL_TIMES * (still->usual + 1);
}

/* The clock was set back: what is remembered of times to come is no guide. */
static void note_clock(struct scale_controller *controller, int64_t now_ms)
{
    if (now_ms < controller->now_ms) {
        scale_policy_rewind(&controller->policy, now_ms);
        scale_trend_init(&controller->trend);
        scale_startup_forget(&controller->startup);
        controller->good_ms = controller->still.load_ms = INT64_MIN;
        controller->suspect_count = 0;
        scale_pressure_init(&controller->pressure);
        scale_reset_init(&controller->reset);
        scale_confidence_forget(&controller->confidence);
    }
    controller->now_ms = now_ms;
}

/* Judges the observation; *ret_load is what may be used of it (NaN: nothing). */
static enum scale_data judge(struct scale_controller *controller,
                             const struct scale_observation *observation, double *ret_load)
{
    *ret_load = NAN;
    if (observation->data != SCALE_DATA_OK)
        return observation->data;
    double load = observation->load;
    if (!isfinite(load) || load < 0)
        return SCALE_DATA_MISSING;
    enum scale_data data = SCALE_DATA_OK;
    if (observation->coverage < COVERAGE_MIN) { /* false for NaN */
        if (!observation->whole)
            load /= fmax(observation->coverage, 0.05);
        data = SCALE_DATA_PARTIAL;
    }
    if (stands_still(&controller->still, observation->load_ms, observation->load))
        return SCALE_DATA_FROZEN;
    if (scale_reset_observe(&controller->reset, observation->load_ms, observation->load)) {
        controller->suspect_count = 0; /* a fall from now on is another one */
        return SCALE_DATA_RESET;
    }
    double level = controller->level;
    bool low = load<DROP_SUSPECT * level, high = load> JUMP_SUSPECT * level && level > 0;
    if ((low || high) && scale_trend_count(&controller->trend) >= 4) {
        if (!controller->suspect_count || controller->suspect_low != low) {
            controller->suspect_since_ms = observation->now_ms;
            controller->suspect_count = 0;
            controller->suspect_low = low;
        }
        controller->suspect_count++;
        bool believed = low ? observation->now_ms - controller->suspect_since_ms >= DROP_BELIEVED_MS
                            : controller->suspect_count >= JUMP_BELIEVED_COUNT;
        if (!believed)
            return SCALE_DATA_SUSPECT;
        scale_trend_forget(
            &controller->trend); /* a new regime: the old trend says nothing about it */
        controller->level = load;
        scale_reset_init(&controller->reset);
    }
    controller->suspect_count = 0;
    *ret_load = load;
    return data;
}

/* ---- learning ---- */

static void learn_capacity(struct scale_controller *controller,
                           const struct scale_observation *observation, double load)
{
    const struct scale_settings *settings = controller->settings;
    if (settings->demand.count)
        return; /* which of several loads a replica is busy with is not known */
    struct scale_capacity_reading reading = {
        .load = load,
        .utilisation = observation->utilisation,
        .utilisation_max = settings->utilisation_max,
        .latency = observation->latency,
        .objective = settings->latency_objective,
        .ready = observation->ready,
        .tick_ms = settings->tick_ms,
    };
    scale_capacity_observe(&controller->capacity, &reading);
}

int64_t scale_controller_startup_ms(const struct scale_controller *controller, bool *ret_learned)
{
    int64_t ms = controller->settings->startup_ms;
    *ret_learned = scale_startup_learned(&controller->startup, &ms);
    return ms;
}

int64_t scale_controller_horizon_ms(const struct scale_controller *controller)
{
    bool learned;
    return scale_controller_startup_ms(controller, &learned) + controller->settings->tick_ms +
           (int64_t)controller->age_ms;
}

static size_t horizon_steps(const struct scale_controller *controller)
{
    int64_t step = controller->load.step_ms;
    int64_t steps = (scale_controller_horizon_ms(controller) + step - 1) / step;
    return (size_t)(steps < 1 ? 1 : steps > HORIZON_STEPS_MAX ? HORIZON_STEPS_MAX : steps);
}

/* Steps that a scale-in has to be right for. */
static size_t hold_steps(const struct scale_controller *controller)
{
    int64_t step = controller->load.step_ms;
    int64_t span = controller->settings->settle_ms + controller->settings->tick_ms +
                   (int64_t)controller->age_ms;
    size_t steps = (size_t)((span + step - 1) / step), near = horizon_steps(controller);
    steps = steps > near ? steps : near;
    return steps < HORIZON_STEPS_MAX ? steps : HORIZON_STEPS_MAX;
}

/* Hands the newly closed steps to the model; notes when it is time for a new one. */
static void update_model(struct scale_controller *controller, size_t closed)
{
    struct scale_load *load = &controller->load;
    if (!load->count)
        return;
    if (closed > load->count) { /* all that it knew is long ago */
        controller->model = forecast_model_free(controller->model);
        controller->fit_due = true;
        return;
    }
    for (size_t i = load->count - closed; controller->model && i < load->count; i++)
        forecast_model_append(controller->model, load->values[i]);
    controller->since_fit += closed;
    bool grown = controller->since_fit * REFIT_SHARE >= controller->model_steps + REFIT_SHARE - 1 &&
                 controller->since_fit > 0;
    if (!controller->model)
        controller->fit_due |= closed > 0 || controller->model_steps == 0;
    else if (controller->since_fit >= REFIT_STEPS || grown ||
             hold_steps(controller) != controller->peak_steps)
        controller->fit_due = true;
}

bool scale_controller_fit_due(const struct scale_controller *controller)
{
    return controller->fit_due;
}

struct scale_fit scale_controller_fit(const struct scale_controller *controller)
{
    TW_CHECK_MAGIC(controller, CONTROLLER_MAGIC);
    const struct scale_load *load = &controller->load;
    struct scale_fit fit = {.peak_steps = hold_steps(controller)};
    fit.count = load->count < load->count_max ? load->count : load->count_max;
    if (fit.count > FORECAST_VALUES_MAX)
        fit.count = FORECAST_VALUES_MAX;
    fit.steps = fit.peak_steps > controller->band_steps ? fit.peak_steps : controller->band_steps;
    if (!fit.count)
        return fit;
    struct forecast_options options = {
        .step_ms = load->step_ms,
        .horizon = fit.steps,
        .peak_horizon = fit.peak_steps,
        .lower_bound = 0,
    };
    struct tw_err err;
    enum tw_code code = forecast_model_new(load->values + load->count - fit.count, fit.count,
                                           &options, &fit.model, &err);
    TW_ASSERT(code == TW_OK || code == TW_BAD_DATA); /* the latter: not one known value */
    return fit;
}

void scale_controller_take(struct scale_controller *controller, const struct scale_fit *fit)
{
    TW_CHECK_MAGIC(controller, CONTROLLER_MAGIC);
    forecast_model_free(controller->model);
    controller->model = fit->model;
    controller->model_steps = fit->count;
    controller->since_fit = 0;
    controller->peak_steps = fit->peak_steps;
    controller->fitted_steps = fit->steps;
    controller->fit_due = false;
}

void scale_controller_learn(struct scale_controller *controller)
{
    if (!controller->fit_due)
        return;
    struct scale_fit fit = scale_controller_fit(controller);
    scale_controller_take(controller, &fit);
}

void scale_controller_learn_apart(struct scale_controller *controller)
{
    controller->learns_apart = true;
}

static void note_good(struct scale_controller *controller,
                      const struct scale_observation *observation, double load, double *ret_pressed)
{
    *ret_pressed = load;
    if (observation->load_ms <= controller->good_ms)
        return;
    bool first = controller->good_ms == INT64_MIN;
    controller->good_ms = observation->load_ms;
    double carried = observation->ready > 0 && controller->capacity.value > 0
                         ? (double)observation->ready * controller->capacity.value
                         : 0;
    struct scale_pressure_reading reading = {
        .now_ms = observation->now_ms,
        .tick_ms = controller->settings->tick_ms,
        .load = load,
        .queue = observation->queue,
        .latency = observation->latency,
        .carried = carried,
        .done = carried / controller->settings->utilisation_max,
    };
    double pressed = scale_pressure_observe(&controller->pressure, &reading);
    *ret_pressed = pressed;
    scale_trend_observe(&controller->trend, observation->load_ms, load);
    if (pressed > load)
        scale_trend_press(&controller->trend, observation->now_ms, pressed);
    controller->level = isnan(controller->level) ? load : 0.5 * (controller->level + load);
    double age = (double)(observation->now_ms - observation->load_ms);
    if (age >= 0)
        controller->age_ms += (first ? 1 : AGE_RATE) * (age - controller->age_ms);
}

/* ---- decide ---- */

/* None for a load up to activation: the limits decide whether there may be none. */
static int64_t replicas_for(const struct scale_controller *controller, double load)
{
    double capacity = controller->capacity.value;
    if (load <= controller->settings->activation && controller->settings->min == 0)
        return 0;
    double n = ceil(load / capacity - 1e-9);
    return !(n > 0) ? 0 : n > SCALE_REPLICAS_MAX ? SCALE_REPLICAS_MAX : (int64_t)n;
}

/* What the decision asks the forecast for: probabilities in ascending order, and what each is. */
enum { ASKED_Q50, ASKED_Q95, ASKED_OUT, ASKED_SURE, ASKED };

static void ask(double quantile, double *ret_probabilities, unsigned *ret_asked)
{
    /* Replicas that are there are kept as surely as new ones are asked for, but by the
     * highest load of a longer time; the few that make it sure are kept as well, since a change
     * costs more than they do. */
    const double sure = 1 - (1 - quantile) * SURE_SHARE;
    const double asked[ASKED] = {0.5, 0.95, quantile, sure};
    for (unsigned k = 0; k < ASKED; k++) {
        unsigned at = k;
        for (; at > 0 && ret_probabilities[at - 1] > asked[k]; at--) {
            ret_probabilities[at] = ret_probabilities[at - 1];
            ret_asked[at] = ret_asked[at - 1];
        }
        ret_probabilities[at] = asked[k];
        ret_asked[at] = k;
    }
}

/* Sets the forecast's numbers of the decision; false when there is no model. *ret_later: the load
 * that a scale-in has to be able to carry. */
static bool look_ahead(struct scale_controller *controller, double load,
                       struct scale_decision *decision, double *ret_later)
{
    if (!controller->model)
        return false;
    double probabilities[ASKED], quantiles[ASKED * HORIZON_STEPS_MAX], peak[ASKED];
    unsigned asked[ASKED];
    ask(decision->quantile, probabilities, asked);
    struct forecast_band band = {NULL, quantiles, 0, peak};
    struct tw_err err;
    size_t steps = hold_steps(controller), near = horizon_steps(controller);
    if (steps > controller->fitted_steps) /* a reload may have lengthened the time to settle */
        steps = controller->fitted_steps;
    enum tw_code code = isnan(load) ? forecast_model_predict(controller->model, steps,
                                                             probabilities, ASKED, &band, &err)
                                    : forecast_model_peek(controller->model, load, steps,
                                                          probabilities, ASKED, &band, &err);
    TW_ASSERT(code == TW_OK);
    double highest[ASKED] = {0};
    for (size_t h = 0; h < steps && h < near; h++)
        for (unsigned q = 0; q < ASKED; q++)
            highest[asked[q]] = fmax(highest[asked[q]], quantiles[ASKED * h + q]);
    decision->q50 = highest[ASKED_Q50];
    decision->q95 = highest[ASKED_Q95];
    decision->used = highest[ASKED_OUT];
    double keep = highest[ASKED_OUT], sure = highest[ASKED_SURE];
    for (unsigned q = 0; q < ASKED; q++) {
        if (asked[q] == ASKED_OUT)
            keep = fmax(keep, peak[q]);
        if (asked[q] == ASKED_SURE)
            sure = fmax(sure, peak[q]);
    }
    double there = (double)decision->from * controller->capacity.value;
    *ret_later = there > 0 ? fmax(keep, fmin(sure, keep + SURE_FLEET_SHARE * there)) : keep;
    return true;
}

static void explain(struct scale_decision *decision, bool forecast,
                    const struct scale_observation *observation)
{
    const char *error = decision->data == SCALE_DATA_RESET
                            ? "it rises like a counter that was reset: put rate(...) around it"
                            : observation->error;
    struct tw_str leader = observation->leader;
    char *out = decision->reason;
    size_t room = sizeof decision->reason, used;
    if (isnan(decision->load))
        used = (size_t)snprintf(out, room, "The load is not known (%s%s%.100s).",
                                scale_data_name(decision->data), error ? ": " : "",
                                error ? error : "");
    else
        used = (size_t)snprintf(out, room, "Load is %.6g%s%.*s%s%.100s.", decision->load,
                                leader.size ? ", led by " : "", TW_STR_ARG(leader),
                                error && error[0] ? ", " : "", error ? error : "");
    if (forecast && used < room)
        used += (size_t)snprintf(
            out + used, room - used,
            " Its highest within %lld s is forecast as %.6g (median %.6g, %g %% sure %.6g)",
            (long long)(decision->horizon_ms / 1000), decision->used, decision->q50,
            100 * decision->quantile, decision->used);
    if (forecast && used < room && !isnan(decision->capacity))
        used += (size_t)snprintf(out + used, room - used,
                                 ", for which %lld replicas of %.6g are enough.",
                                 (long long)decision->wanted, decision->capacity);
    if (scale_decision_is_blind(decision) && used < room)
        used += (size_t)snprintf(out + used, room - used,
                                 " Nor are the replicas: nothing is scaled until one is.");
    for (size_t k = 0; k < decision->guard_count && used < room; k++)
        used +=
            (size_t)snprintf(out + used, room - used, " %s: %s.",
                             scale_guard_name(decision->guards[k].guard), decision->guards[k].text);
}

/* Of several loads one is missing: the others need what they need, as far as they can be
 * believed. */
static int64_t needed_at_least(const struct scale_controller *controller,
                               const struct scale_observation *observation)
{
    double least = observation->load, level = controller->level;
    bool known = observation->data != SCALE_DATA_OK && least > 0 && isfinite(least);
    if (!known || (level > 0 && least > JUMP_SUSPECT * level))
        return 0;
    return replicas_for(controller, least);
}

/* What the present load needs; returns what it may rise to by its own trend. */
static int64_t react(struct scale_controller *controller,
                     const struct scale_observation *observation, double pressed,
                     struct scale_decision *decision)
{
    double load = decision->load;
    if (!(controller->capacity.value > 0)) /* false for NaN */
        return 0;
    if (isnan(load)) {
        decision->reactive = needed_at_least(controller, observation);
        return 0;
    }
    decision->reactive = replicas_for(
        controller, pressed > load ? pressed : scale_trend_settled(&controller->trend, load));
    if (decision->data != SCALE_DATA_OK)
        return 0;
    int64_t until_ms = decision->time_ms + decision->startup_ms + controller->settings->tick_ms;
    return replicas_for(controller, scale_trend_project(&controller->trend, until_ms));
}

/* What the forecast asks for, as far as it can be trusted. */
static void want(struct scale_controller *controller, bool forecast, double later,
                 struct scale_decision *decision)
{
    double times, load = decision->load;
    decision->wanted = decision->from >= 0 ? decision->from : controller->settings->min;
    decision->later = -1;
    if (!(controller->capacity.value > 0))
        return;
    if (!isnan(load))
        decision->wanted = decision->reactive;
    if (!forecast)
        return;
    double recall = forecast_model_recall(controller->model, horizon_steps(controller));
    if (!isnan(load))
        scale_trend_foresee(&controller->trend, decision->load_ms,
                            fmax(recall, decision->used)); /* NaN counts as less */
    if (scale_confidence_is_poor(&controller->confidence, &times)) {
        int64_t forecast_wants = replicas_for(controller, decision->used);
        if (!isnan(load))
            decision->wanted = replicas_for(controller, SCALE_CONFIDENCE_HEADROOM * load);
        scale_decision_note(decision, SCALE_GUARD_CONFIDENCE, forecast_wants, decision->wanted,
                            "forecasts were %.1f times as wrong as the present load carried on",
                            times);
        return;
    }
    decision->wanted = replicas_for(controller, decision->used);
    decision->recalled = isnan(recall) ? 0 : replicas_for(controller, recall);
    if (decision->data == SCALE_DATA_OK)
        decision->later = replicas_for(controller, later);
}

void scale_controller_decide(struct scale_controller *controller,
                             const struct scale_observation *observation,
                             struct scale_decision *ret_decision)
{
    TW_CHECK_MAGIC(controller, CONTROLLER_MAGIC);
    const struct scale_settings *settings = controller->settings;
    struct scale_decision *decision = ret_decision;
    memset(decision, 0, sizeof *decision);
    double load;
    bool learned;
    note_clock(controller, observation->now_ms);
    decision->time_ms = decision->since_ms = observation->now_ms;
    decision->count = 1;
    decision->data = judge(controller, observation, &load);
    decision->load = load;
    decision->load_ms = observation->load_ms;
    decision->replicas = observation->replicas;
    decision->ready = observation->ready;
    decision->quantile = settings->quantile;
    decision->q50 = decision->q95 = decision->used = NAN;
    struct scale_bounds bounds = {.min = settings->min, .max = settings->max};
    scale_schedule_bound(settings->schedules, settings->schedule_count, observation->now_ms,
                         scale_controller_startup_ms(controller, &learned) + settings->tick_ms,
                         &bounds);
    decision->min = bounds.min;
    decision->max = bounds.max;
    decision->from = observation->replicas >= 0 ? observation->replicas : controller->decided;

    double pressed = NAN;
    scale_startup_observe(&controller->startup, observation->now_ms, observation->replicas,
                          observation->ready);
    if (!isnan(load)) {
        if (decision->data == SCALE_DATA_OK) {
            note_good(controller, observation, load, &pressed);
            learn_capacity(controller, observation, load);
        }
        controller->last_value = load;
    }
    int64_t at =
        isnan(load) ? observation->now_ms - (int64_t)controller->age_ms : observation->load_ms;
    update_model(controller, scale_load_observe(&controller->load, at, load));

    decision->capacity = controller->capacity.value;
    decision->startup_ms = scale_controller_startup_ms(controller, &learned);
    decision->horizon_ms = scale_controller_horizon_ms(controller);
    double later = NAN;
    bool forecast = look_ahead(controller, load, decision, &later);
    if (decision->data == SCALE_DATA_OK)
        scale_confidence_observe(&controller->confidence, decision->load_ms, load,
                                 settings->quantile, forecast ? decision->used : NAN,
                                 decision->load_ms + decision->horizon_ms);
    int64_t trend = react(controller, observation, pressed, decision);
    want(controller, forecast, later, decision);
    scale_policy_decide(&controller->policy, settings, trend, decision);
    explain(decision, forecast, observation);
    if (!scale_decision_is_blind(decision))
        controller->decided = decision->to;
    if (!controller->learns_apart)
        scale_controller_learn(controller);
}

/* ---- for drawing ---- */

size_t scale_controller_band_steps(const struct scale_controller *controller)
{
    if (!controller->model)
        return 0;
    return controller->fitted_steps;
}

size_t scale_controller_band(struct scale_controller *controller, double *ret_mean,
                             double *ret_quantiles, double *ret_peak, int64_t *ret_first_ms)
{
    TW_CHECK_MAGIC(controller, CONTROLLER_MAGIC);
    size_t steps = scale_controller_band_steps(controller);
    if (!steps)
        return 0;
    struct forecast_band band = {ret_mean, ret_quantiles, 0, ret_peak};
    struct tw_err err;
    enum tw_code code = forecast_model_predict(controller->model, steps, scale_band_probabilities,
                                               SCALE_BAND_QUANTILES, &band, &err);
    TW_ASSERT(code == TW_OK);
    *ret_first_ms = scale_load_end_ms(&controller->load) + controller->load.step_ms;
    return steps;
}

const struct scale_load *scale_controller_load(const struct scale_controller *controller)
{
    return &controller->load;
}

size_t scale_controller_seasons_ms(const struct scale_controller *controller, int64_t *ret_ms)
{
    if (!controller->model)
        return 0;
    size_t periods[FORECAST_SEASONS_MAX],
        count = forecast_model_seasons(controller->model, periods);
    for (size_t k = 0; k < count; k++)
        ret_ms[k] = (int64_t)periods[k] * controller->load.step_ms;
    return count;
}

double scale_controller_capacity(const struct scale_controller *controller)
{
    return controller->capacity.value;
}
