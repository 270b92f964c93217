/* SPDX-License-Identifier: Apache-2.0
 *
 * shipper: brings rounds to the server, in the order in which they were sampled. While all goes
 * well a round goes straight from memory; once one could not be delivered, it and all that follow
 * go to the spool, and the spool is sent in batches, until it is empty.
 *
 * What the server's answer means: 2xx delivered; 429, 5xx, and no answer: tried again later, with a
 * growing, jittered delay, not before the server's Retry-After; 413 for a batch: again with half of
 * it; any other: refused for good, dropped and counted (the server has kept the good samples).
 *
 * Threads: agent_shipper_give and the rest by one thread (the sampler's); sending has a thread of
 * its own, so that a slow server does not hold the sampler.
 */
#ifndef TW_COLLECTOR_SHIPPER_H
#define TW_COLLECTOR_SHIPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/http.h"
#include "base/metrics.h"
#include "collector/round.h"
#include "collector/spool.h"

#define AGENT_RETRY_FIRST_MS 250
#define AGENT_RETRY_MAX_MS 5000
#define AGENT_RETRY_AFTER_MAX_MS (10 * 60 * 1000)
#define AGENT_SEND_TIMEOUT_MS 10000
#define AGENT_BATCH_ROUNDS_MAX 60
/* Between two syncs of the spool: what a power cut may cost. */
#define AGENT_SPOOL_SYNC_MS 5000
/* The types and texts of the metrics go to the server this often. */
#define AGENT_METADATA_MS (10 * 60 * 1000)

struct agent_shipper;

struct agent_shipper_setup {
    struct tw_clock *clock;
    const char *url; /* of the remote_write endpoint */
    const char *user_agent;
    const struct tw_http_pair *headers; /* further ones; copied */
    size_t header_count;
    struct agent_spool *spool; /* NULL: what cannot be delivered at once is dropped and counted */
    struct agent_roster *roster;
    struct tw_metrics *metrics;
};

TW_MUST_CHECK enum tw_code agent_shipper_start(const struct agent_shipper_setup *setup,
                                               struct agent_shipper **ret_shipper,
                                               struct tw_err *err);
/* Takes a copy of the round, to the server or to the spool. */
void agent_shipper_give(struct agent_shipper *shipper, const struct agent_round *round);
/* Waits until what is on its way was answered, at most the send timeout; what was not delivered is
 * in the spool then, and synced. Ends the thread. Returns NULL. */
struct agent_shipper *agent_shipper_stop(struct agent_shipper *shipper);

#endif
