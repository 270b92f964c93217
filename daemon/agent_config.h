/* SPDX-License-Identifier: Apache-2.0
 *
 * agent_config: the agent's settings: defaults, then agent.yml, then the command line. A bad file
 * is refused with file, line, column and cure.
 *
 *   server: http://monitor:9090        # or the whole URL of a remote_write endpoint
 *   data: /var/lib/tidewatch-agent
 *   interval: 1s
 *   job: node
 *   instance: web-1                    # default: the host's name
 *   labels: {datacenter: ams}          # on every series
 *   headers: {X-Scope-OrgID: team-a}   # of every request
 *   bearer_token_file: /etc/tidewatch/token
 *   spool: {max_bytes: 256MiB}
 *   sources: {disable: [udp_queues]}
 *   capture: {enabled: true, interface: any, ring: 2MiB, ports: [443, 5432]}
 *
 * Threads: plain data.
 */
#ifndef TW_DAEMON_AGENT_CONFIG_H
#define TW_DAEMON_AGENT_CONFIG_H

#include "base/arena.h"
#include "base/err.h"
#include "collector/agent.h"

struct agent_config {
    struct agent_setup setup; /* points into the arena */
    const char *origin;       /* scheme, host and port of the server: for the log */
};

struct agent_config_flags {
    const char *server, *data, *interval; /* NULL = not given */
    bool no_capture;
};

void agent_config_init(struct agent_config *config);
/* file may be NULL: none. Everything that config points to lives in the arena. */
TW_MUST_CHECK enum tw_code agent_config_load(struct agent_config *config, const char *file,
                                             const struct agent_config_flags *flags,
                                             struct tw_arena *arena, struct tw_err *err);

#endif
