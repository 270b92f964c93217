/* SPDX-License-Identifier: Apache-2.0
 *
 * world: an alert manager in simulated time: a real state store in a fresh folder, samples in
 * memory, a query engine that answers what the test says, and a receiver that can be away.
 */
#ifndef TW_TESTS_ALERT_WORLD_H
#define TW_TESTS_ALERT_WORLD_H

#include "alerts/manager.h"
#include "alerts/transport.h"
#include "base/arena.h"
#include "base/json.h"
#include "tests/lib/unit.h"

#define WORLD_START_MS INT64_C(1700000000000)
#define WORLD_POSTS_MAX 256

struct world_post {
    char *url, *body, *authorization;
    int64_t time_ms;
    struct tw_json *json;
    int status; /* answered */
};

struct world {
    struct alert_transport transport; /* first, so that one is the other */
    struct tw_clock *clock;
    struct tsdb_storage *storage;
    struct tsdb_state *state;
    char *state_folder;
    struct tw_metrics *metrics;
    struct alert_manager *manager;
    char *rules, *config;
    struct world_post posts[WORLD_POSTS_MAX]; /* those that were answered with 2xx */
    size_t post_count, try_count;
    int status; /* what the receiver answers; 0: cannot be reached */
};

/* rules: a rule file's text; config: the top level without rule_files. */
struct world *world_new(const char *rules, const char *config);
void world_free(struct world *world);
/* Seconds pass, one after the other. */
void world_advance(struct world *world, int64_t seconds);
/* The process ends and starts again, `seconds` later. */
void world_restart(struct world *world, int64_t seconds);
enum tw_code world_reload(struct world *world, const char *rules, const char *config,
                          struct tw_err *err);
/* What the engine answers to an expression: samples with one label `name`, values as text
 * "a=1 b=2"; NULL: it fails. */
void world_answer(const char *expr, const char *samples);
/* Value of the newest sample of the series {__name__=metric, label=value, ...} at or before now;
 * NaN if there is none or it has ended. Pairs, NULL at the end. */
double world_value(struct world *world, const char *metric, ...) __attribute__((sentinel));
/* The answer to GET target, to be freed. */
char *world_get(struct world *world, const char *target);
/* Sum of a metric by its exact name and labels. */
double world_metric(struct world *world, const char *name, const char *labels);

#endif
