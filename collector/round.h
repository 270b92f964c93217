/* SPDX-License-Identifier: Apache-2.0
 *
 * round: what one tick sampled: numbers of series with their values, all at one time.
 *
 * Threads: one (the sampler's).
 */
#ifndef TW_COLLECTOR_ROUND_H
#define TW_COLLECTOR_ROUND_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "collector/roster.h"

struct agent_item {
    uint32_t series;
    double value;
};

struct agent_round {
    struct agent_roster *roster;
    int64_t time_ms;
    uint32_t tick; /* grows with each round, never 0 */
    struct agent_item *items;
    uint32_t count, capacity;
    uint64_t repeated; /* puts of a series that the round had already: the first value stays */
};

void agent_round_init(struct agent_round *round, struct agent_roster *roster);
void agent_round_fini(struct agent_round *round);
/* Starts the next tick, empty. */
void agent_round_begin(struct agent_round *round, int64_t time_ms);
/* A sample; of AGENT_SERIES_NONE nothing. */
void agent_round_put(struct agent_round *round, uint32_t series, double value);
/* Copies time and items, reusing copy's memory; copy belongs to the same roster. */
void agent_round_copy(const struct agent_round *round, struct agent_round *copy);
/* Appends the round as series of a remote_write body. */
void agent_round_encode(const struct agent_round *round, struct tw_buf *ret_body);

/* The series that a source put at its last run, so that those that vanished get a stale marker. */
struct agent_presence {
    uint32_t *series;
    uint32_t count, capacity;
};

void agent_presence_fini(struct agent_presence *presence);
/* The source put the items from `first` on: marks as stale what it put last time and not now. */
void agent_presence_update(struct agent_presence *presence, struct agent_round *round,
                           uint32_t first);
/* Marks everything as stale: the agent stops. */
void agent_presence_end(struct agent_presence *presence, struct agent_round *round);

#endif
