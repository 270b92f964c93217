/* SPDX-License-Identifier: Apache-2.0
 *
 * capture: packets of TCP handshakes from the host's interfaces, read into flow.c. The one file
 * that knows libpcap. The kernel fills a ring; a filter in the kernel lets through SYN, RST, and
 * the ACKs without data among which the handshakes' third packets are. Where there are many of
 * those, only the connections of every 2nd, 4th ... pair of ports are let through, so that a host
 * with much traffic pays no more than one with little.
 *
 * Needs CAP_NET_RAW to open, nothing afterwards. Payload is neither captured nor kept.
 *
 * Threads: one.
 */
#ifndef TW_COLLECTOR_CAPTURE_H
#define TW_COLLECTOR_CAPTURE_H

#include <stdint.h>

#include "base/err.h"
#include "collector/flow.h"
#include "collector/round.h"

struct agent_capture;

/* interface: "any" or a name. flows is borrowed. TW_FORBIDDEN without the privilege. */
TW_MUST_CHECK enum tw_code agent_capture_open(const char *interface, uint64_t ring_bytes,
                                              struct agent_roster *roster,
                                              struct agent_flows *flows,
                                              struct agent_capture **ret_capture,
                                              struct tw_err *err);
struct agent_capture *agent_capture_close(struct agent_capture *capture); /* returns NULL */
/* Readable when there are packets. */
int agent_capture_fd(const struct agent_capture *capture);
/* Takes what is there. TW_IO when the interface is gone. */
TW_MUST_CHECK enum tw_code agent_capture_read(struct agent_capture *capture, struct tw_err *err);
/* Puts flows and the capture's own counters, and adjusts the filter; once a tick. now_ns is wall
 * time. */
void agent_capture_put(struct agent_capture *capture, struct agent_round *round, int64_t now_ns);

#endif
