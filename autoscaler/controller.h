/* SPDX-License-Identifier: Apache-2.0
 *
 * controller: one scaler's mind. Observations in, decisions out; no clock, no network, no store, so
 * that the daemon, `tidewatch autoscale --stdio` and the simulations run the very same code.
 *
 *   observation -> data check -> load (regular steps) -> model -> highest load within the horizon
 *      -> replicas wanted -> policy (guards) -> decision
 *
 * The horizon reaches from the moment that the newest observation speaks of to when replicas that
 * are asked for at the next tick would serve: age of the data + tick + start-up time.
 *
 * I1  Time comes from the observations; the same observations give the same decisions.
 * I2  Without a usable observation nothing is scaled in; the forecast may still scale out.
 *
 * Threads: a controller belongs to one thread at a time.
 */
#ifndef TW_AUTOSCALER_CONTROLLER_H
#define TW_AUTOSCALER_CONTROLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "autoscaler/capacity.h"
#include "autoscaler/decision.h"
#include "autoscaler/load.h"
#include "autoscaler/policy.h"
#include "autoscaler/settings.h"
#include "autoscaler/startup.h"
#include "autoscaler/trend.h"

struct scale_observation {
    int64_t now_ms;
    enum scale_data data; /* OK, MISSING, LATE, ERROR, PARTIAL (one of several loads is missing);
                           * the controller finds PARTIAL otherwise, and SUSPECT */
    double load;          /* NaN when there is none; data not OK: what it is at least */
    double parts[SCALE_PARTS_MAX]; /* of several loads, each in the unit of the first */
    struct tw_str leader;          /* the name of the highest of them, in the settings' memory */
    int64_t load_ms;               /* the moment that it speaks of */
    int64_t replicas;              /* asked for; -1 not known */
    int64_t ready;                 /* serving; -1 not known */
    double utilisation;            /* busy share of the serving replicas; NaN not known */
    double latency;                /* in the unit of the settings' objective; NaN not known */
    double queue;                  /* requests that wait now; NaN not known */
    double coverage;               /* share of the sources that were heard; NaN not known */
    bool whole;        /* the load does not shrink when sources are missing (an average) */
    const char *error; /* why data is not OK; may be NULL */
};

struct scale_controller;

/* settings are borrowed; band_steps: how far beyond the decisions' horizon the band for drawing
 * reaches (0: none is asked for). */
struct scale_controller *scale_controller_new(const struct scale_settings *settings,
                                              size_t band_steps);
struct scale_controller *
scale_controller_free(struct scale_controller *controller); /* returns NULL */
/* Same load, step and history: the new settings take over what was learned. */
void scale_controller_set(struct scale_controller *controller,
                          const struct scale_settings *settings);

/* Past values in ascending time, before the first decision. NaN = missing. */
void scale_controller_history(struct scale_controller *controller, int64_t first_ms,
                              int64_t step_ms, const double *values, size_t count);
/* What was decided before a restart: the last decision and the windows. */
void scale_controller_resume(struct scale_controller *controller,
                             const struct scale_decision *last);
/* A capacity learned before; taken when it is learned now as well. */
void scale_controller_set_capacity(struct scale_controller *controller, double capacity);
struct scale_policy *scale_controller_policy(struct scale_controller *controller);
struct scale_startup *scale_controller_startup(struct scale_controller *controller);

void scale_controller_decide(struct scale_controller *controller,
                             const struct scale_observation *observation,
                             struct scale_decision *ret_decision);

/* ---- learning ----
 *
 * A decision takes microseconds, a new fit of the model milliseconds. scale_controller_decide fits
 * at its end when that is due, unless the caller has taken it over: then the decision can be sent
 * first. Both ways give the same decisions, as long as nothing is decided in between. */
void scale_controller_learn_apart(struct scale_controller *controller);
bool scale_controller_fit_due(const struct scale_controller *controller);
/* When a fit is due, makes it. */
void scale_controller_learn(struct scale_controller *controller);
/* The same in two steps: the first changes nothing, so that readers of the controller need not
 * wait for it; no decision may come in between. */
struct scale_fit {
    struct forecast_model *model; /* NULL: there is nothing to learn from yet */
    size_t count, steps, peak_steps;
};
struct scale_fit scale_controller_fit(const struct scale_controller *controller);
/* Takes the model over. */
void scale_controller_take(struct scale_controller *controller, const struct scale_fit *fit);

/* ---- for drawing ---- */
#define SCALE_BAND_QUANTILES 5
extern const double scale_band_probabilities[SCALE_BAND_QUANTILES]; /* 0.05 0.5 0.9 0.95 0.99 */
/* Steps of the band, 0 when there is no model; arrays as in forecast/model.h, of
 * scale_controller_band_steps entries. first_ms: time of the first. */
size_t scale_controller_band_steps(const struct scale_controller *controller);
size_t scale_controller_band(struct scale_controller *controller, double *ret_mean,
                             double *ret_quantiles, double *ret_peak, int64_t *ret_first_ms);
const struct scale_load *scale_controller_load(const struct scale_controller *controller);
size_t scale_controller_seasons_ms(const struct scale_controller *controller, int64_t *ret_ms);
int64_t scale_controller_startup_ms(const struct scale_controller *controller, bool *ret_learned);
int64_t scale_controller_horizon_ms(const struct scale_controller *controller);
double scale_controller_capacity(const struct scale_controller *controller);

#endif
