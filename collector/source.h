/* SPDX-License-Identifier: Apache-2.0
 *
 * source: one thing that is sampled (CPU, disks, ...), under the name that node_exporter gives its
 * collector. A source reads kernel text into the shared buffer and parses it with pure functions;
 * after its first run it allocates only when something new appears.
 *
 * Names, labels, types and units are node_exporter's, so that dashboards and rules made for it
 * work.
 *
 * Threads: one (the sampler's).
 */
#ifndef TW_COLLECTOR_SOURCE_H
#define TW_COLLECTOR_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "collector/procfile.h"
#include "collector/roster.h"
#include "collector/round.h"
#include "collector/table.h"

/* Largest kernel text read at once. */
#define AGENT_TEXT_BYTES_MAX ((size_t)4 << 20)

struct agent_env {
    struct agent_roster *roster;
    struct tw_clock *clock;
    struct tw_buf text;           /* scratch of whoever runs */
    const char *proc, *sys, *etc; /* "/proc", "/sys", "/etc", or a test's folders */
};

struct agent_source {
    const char *name;
    size_t state_bytes;
    uint32_t period_s; /* runs at the first tick and then this often; 0 = every tick */
    void (*init)(void *state, struct agent_env *env);
    /* Puts what is there now. After an error what was put before it stays. */
    enum tw_code (*collect)(void *state, struct agent_env *env, struct agent_round *round,
                            struct tw_err *err);
    void (*sweep)(void *state, uint32_t tick); /* may be NULL; now and then */
    void (*fini)(void *state);
};

/* All of them, in the order of running; ends with NULL. */
extern const struct agent_source *const agent_sources[];

#endif
