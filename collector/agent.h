/* SPDX-License-Identifier: Apache-2.0
 *
 * agent: the whole of it put together: at each tick sample, hand the round to the shipper, and
 * between ticks read captured packets.
 *
 * Threads: one runs it; the shipper has its own inside.
 */
#ifndef TW_COLLECTOR_AGENT_H
#define TW_COLLECTOR_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/http.h"
#include "wire/labels.h"

#define AGENT_INTERVAL_MS_DEFAULT 1000
#define AGENT_INTERVAL_MS_MIN 100
#define AGENT_INTERVAL_MS_MAX (5 * 60 * 1000)
#define AGENT_SPOOL_BYTES_DEFAULT ((uint64_t)256 << 20)
#define AGENT_CAPTURE_BYTES_DEFAULT ((uint64_t)2 << 20)

struct agent;

struct agent_setup {
    const char *version;  /* "0.1.0" */
    const char *url;      /* of the remote_write endpoint */
    uint16_t server_port; /* of the URL: own connections are not measured */
    const struct tw_http_pair *headers;
    size_t header_count;
    const char *data_folder; /* its spool/ holds what is not delivered */
    uint64_t spool_bytes_max;
    int64_t interval_ms;
    const struct wire_label *labels; /* of every series: job, instance, configured ones */
    size_t label_count;
    const char *const *disabled;   /* sources; ends with NULL, may be NULL */
    const char *proc, *sys, *etc;  /* NULL = the host's */
    bool capture;                  /* latency from captured packets */
    const char *capture_interface; /* "any" */
    uint64_t capture_bytes;        /* of the ring that the kernel fills */
    const uint16_t *capture_ports; /* further ports with a label of their own */
    size_t capture_port_count;
};

/* Opens everything; nothing is sent yet. */
TW_MUST_CHECK enum tw_code agent_start(const struct agent_setup *setup, struct agent **ret_agent,
                                       struct tw_err *err);
/* Ticks until stop_fd becomes readable. */
void agent_run(struct agent *agent, int stop_fd);
/* Sends stale markers for everything, waits for what is on its way, and ends. What is not delivered
 * is in the spool. Returns NULL. */
struct agent *agent_stop(struct agent *agent);

/* Names of the sources that can be disabled; returns how many. */
size_t agent_source_names(const char **ret_names, size_t count_max);

#endif
