/* SPDX-License-Identifier: Apache-2.0
 *
 * manager: all scalers of a server, on one scheduler thread.
 *
 *   query engine -> observation -> controller (forecast, policy, guards) -> decision
 *        decision -> state (record), storage (series), actuator (webhook, when mode is act)
 *
 * I1  A decision is in the state store, durable, before its webhook is sent; so a restart sends the
 *     same decision again only with the same idempotency key, and a delivered one never again.
 * I2  Missing, late or failing data never lowers a scaler's replicas.
 * I3  A configuration is taken whole or not at all; scalers keep model and windows over a reload
 *     when what those depend on is unchanged.
 *
 * Threads: new, load, start, stop and free are called by the owner (one thread at a time); the
 * routes may be called from any thread at any time in between.
 *
 * Ownership: the options' engine, storage, state, clock and metrics are borrowed and outlive the
 * manager. A configuration tree is read during the call only.
 */
#ifndef TW_AUTOSCALER_MANAGER_H
#define TW_AUTOSCALER_MANAGER_H

#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/http.h"
#include "base/metrics.h"
#include "base/yaml.h"
#include "query/engine.h"
#include "tsdb/state.h"
#include "tsdb/storage.h"

/* Scalers of one server. */
#define SCALE_SCALERS_MAX 1000

struct scale_manager;

struct scale_options {
    struct query_engine *engine;
    struct tsdb_storage *storage; /* receives the scalers' series */
    struct tsdb_state *state;     /* decisions, learned start-up times */
    struct tw_clock *clock;
    struct tw_metrics *metrics; /* may be NULL */
};

struct scale_manager *scale_manager_new(const struct scale_options *options);
/* Stops first if need be. NULL is fine; returns NULL. */
struct scale_manager *scale_manager_free(struct scale_manager *manager);

/* Takes the `scalers:` member of the configuration (NULL: none are wanted), at start or as a reload
 * while running. file is the configuration's name for messages. On an error nothing changes. */
TW_MUST_CHECK enum tw_code scale_manager_load(struct scale_manager *manager, const char *file,
                                              const struct tw_yaml *scalers, struct tw_err *err);
/* The same checks without a manager, for `tidewatch check config`. */
TW_MUST_CHECK enum tw_code scale_manager_check(const char *file, const struct tw_yaml *scalers,
                                               struct tw_err *err);

/* The budgets that scalers share (budget.h), in place of those there were; copied. */
struct scale_shared_budget;
void scale_manager_set_budgets(struct scale_manager *manager,
                               const struct scale_shared_budget *items, size_t count);

TW_MUST_CHECK enum tw_code scale_manager_start(struct scale_manager *manager, struct tw_err *err);
void scale_manager_stop(struct scale_manager *manager); /* fine if not started */

/* Does what is due at the clock's present time and returns the wall time of the next due work, or
 * INT64_MAX when there is none. What the thread does in a loop; simulations call it themselves. */
int64_t scale_manager_round(struct scale_manager *manager);

/* GET /api/v1/scalers, /api/v1/scalers/:name, /api/v1/scalers/:name/decisions
 * (docs/api-scalers.md). */
void scale_api_route(struct tw_http_router *router, struct scale_manager *manager);

#endif
