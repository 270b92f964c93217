/* SPDX-License-Identifier: Apache-2.0
 *
 * keeper: looks after the models that are kept (query/kept.h), at low priority and a tenth of one
 * core at most:
 *
 *   - evaluates the pins (expressions with forecast(), from configuration and API), so that their
 *     models are up to date when somebody asks;
 *   - learns models anew that are due: a new epoch has begun, or what they forecast has become
 *     clearly worse than it was;
 *   - stores models, and finds them again after a restart;
 *   - writes the error of each model, judged by what came, as series tidewatch_forecast_error;
 *   - lets models go that nobody uses.
 *
 * Threads: all calls but start and stop may come from any.
 */
#ifndef TW_QUERY_KEEPER_H
#define TW_QUERY_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/http.h"
#include "query/engine.h"
#include "query/kept.h"
#include "tsdb/state.h"

#define QUERY_PINS_MAX 1000
#define QUERY_PIN_BYTES_MAX 16384
#define QUERY_KEEPER_INTERVAL_MS (INT64_C(60) * 1000)
#define QUERY_FORECAST_ERROR_METRIC "tidewatch_forecast_error"

struct query_keeper;

struct query_keeper_options {
    struct query_kept *kept;
    struct tsdb_storage *storage;
    struct tsdb_state *state; /* NULL: nothing is stored */
    struct tw_clock *clock;
    struct tw_metrics *metrics; /* may be NULL */
    struct query_options query; /* of its queries; kept is set by the keeper */
};

/* What a configuration file says. */
struct query_keeper_settings {
    const struct tw_str *pins;
    size_t pin_count;
    int64_t interval_ms; /* between evaluations of a pin; 0 = QUERY_KEEPER_INTERVAL_MS */
    size_t models_max;   /* 0 = QUERY_KEPT_MODELS_MAX */
    int64_t unused_ms;   /* 0 = QUERY_KEPT_UNUSED_MS */
    bool hides_errors;   /* no series of errors */
    struct forecast_holidays *holidays; /* NULL: none; one more holds it */
};

/* Loads models and the API's pins. */
TW_MUST_CHECK enum tw_code query_keeper_new(const struct query_keeper_options *options,
                                            struct query_keeper **ret_keeper, struct tw_err *err);
struct query_keeper *query_keeper_free(struct query_keeper *keeper); /* stops; returns NULL */
TW_MUST_CHECK enum tw_code query_keeper_start(struct query_keeper *keeper, struct tw_err *err);
void query_keeper_configure(struct query_keeper *keeper,
                            const struct query_keeper_settings *settings);
/* One round of all that is due, here and now; returns the CPU time used. For the thread and for
 * tests. */
int64_t query_keeper_round(struct query_keeper *keeper);

/* Is text an expression that has something to keep? TW_BAD_DATA, with the place, when not. */
TW_MUST_CHECK enum tw_code query_pin_check(struct tw_str text, unsigned features,
                                           struct tw_err *err);
/* Pins of the API; durable when it returns. Adding one that is there is fine. */
TW_MUST_CHECK enum tw_code query_keeper_pin(struct query_keeper *keeper, struct tw_str text,
                                            struct tw_err *err);
TW_MUST_CHECK enum tw_code query_keeper_unpin(struct query_keeper *keeper, struct tw_str text,
                                              struct tw_err *err);
struct query_pin_view {
    struct tw_str text;
    bool is_configured;
    int64_t evaluated_ms; /* 0: not yet */
    double seconds;       /* of CPU, the last time */
    size_t series;
    const char *error; /* "": none */
};
void query_keeper_each_pin(struct query_keeper *keeper,
                           void (*visit)(void *user, const struct query_pin_view *pin), void *user);
struct query_kept *query_keeper_kept(struct query_keeper *keeper);

/* /api/v1/forecast/pins, /api/v1/forecast/models */
void query_api_forecast_route(struct tw_http_router *router, struct query_keeper *keeper);

#endif
