/* SPDX-License-Identifier: Apache-2.0
 *
 * sampler: runs the sources at each tick and makes the round: their samples, stale markers for what
 * vanished, node_scrape_collector_success and _duration_seconds for each of them, and the agent's
 * own metrics.
 *
 * A source that fails costs its own samples only: its series become stale, success is 0, and the
 * reason can be asked for.
 *
 * Threads: one.
 */
#ifndef TW_COLLECTOR_SAMPLER_H
#define TW_COLLECTOR_SAMPLER_H

#include <stdint.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "collector/roster.h"
#include "collector/round.h"
#include "collector/source.h"

struct agent_sampler;

struct agent_sampler_setup {
    struct tw_clock *clock;
    struct agent_roster *roster;
    struct tw_metrics *metrics;                /* the agent's own, sampled too; may be NULL */
    const struct agent_source *const *sources; /* ends with NULL */
    const char *proc, *sys, *etc;              /* NULL = the host's */
    /* Puts further samples into each round, after the sources; may be NULL. */
    void (*extra)(void *user, struct agent_round *round);
    void *extra_user;
    const char *const *disabled; /* names of sources that do not run; NULL or ends with NULL */
};

struct agent_sampler *agent_sampler_new(const struct agent_sampler_setup *setup);
struct agent_sampler *agent_sampler_free(struct agent_sampler *sampler); /* returns NULL */

/* Samples everything that is due. The round belongs to the sampler and lives until the next call.
 */
const struct agent_round *agent_sampler_run(struct agent_sampler *sampler, int64_t time_ms);
/* The last round: stale markers for all that is there. */
const struct agent_round *agent_sampler_end(struct agent_sampler *sampler, int64_t time_ms);

/* The next source that began to fail, or recovered (message empty), since it was last told; false
 * if there is none. For the log: each change is told once. */
bool agent_sampler_change(struct agent_sampler *sampler, const char **ret_source,
                          const char **ret_message);

#endif
