/* SPDX-License-Identifier: Apache-2.0
 *
 * flow: from captured packets to the round trips of TCP handshakes, seen from this host's
 * interfaces:
 *
 *   client ---- SYN ------> server    half="server": from SYN to SYN/ACK: the way to the server and
 *   client <-- SYN/ACK ---- server        back, plus the server's kernel
 *   client ---- ACK ------> server    half="client": from SYN/ACK to ACK: the way to the client and
 * back
 *
 * Whichever end is this host, its half is near zero and the other one is the network's round trip.
 *
 * What is not measured: a half in which a packet was sent again (which of the two was answered
 * cannot be told); connections of the agent itself. A connection seen on several interfaces (a
 * container's bridge, loopback twice) counts where it was first seen. The table is bounded: the
 * oldest open handshake makes room, and is counted.
 *
 * Labels are few: direction (in, out, local), half, and the server's port when it is a known
 * service, else "other".
 *
 * Threads: one.
 */
#ifndef TW_COLLECTOR_FLOW_H
#define TW_COLLECTOR_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/round.h"

/* Open handshakes at most; at 96 bytes each. */
#define AGENT_FLOWS_MAX 4096
/* Pairs of direction and port with series of their own; further ones are "other". */
#define AGENT_FLOW_SERVICES_MAX 64
#define AGENT_FLOW_PORTS_MAX 64
#define AGENT_FLOW_TIMEOUT_NS (INT64_C(30) * 1000000000)
/* Bytes of a packet that are enough: link, IPv6 and TCP headers. */
#define AGENT_FLOW_SNAP_BYTES 128

/* Link types, as libpcap numbers them. */
enum agent_link {
    AGENT_LINK_ETHERNET = 1,
    AGENT_LINK_RAW = 12,
    AGENT_LINK_COOKED = 113,
    AGENT_LINK_COOKED2 = 276
};

enum agent_direction { AGENT_IN, AGENT_OUT, AGENT_LOCAL, AGENT_DIRECTIONS };

struct agent_packet {
    int64_t time_ns;
    uint8_t source[16], target[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint16_t source_port, target_port;
    uint32_t sequence, acknowledged;
    uint32_t interface; /* 0 = not known */
    uint8_t flags;
    enum agent_direction direction;
};

#define AGENT_TCP_FIN 0x01
#define AGENT_TCP_SYN 0x02
#define AGENT_TCP_RST 0x04
#define AGENT_TCP_ACK 0x10

/* Takes a captured frame apart; all but time_ns is set. False when it is not a whole TCP header. */
bool agent_packet_parse(int link, const uint8_t *bytes, size_t size, struct agent_packet *ret);

struct agent_flows;

struct agent_flows_setup {
    struct agent_roster *roster;
    const uint16_t *ports; /* further known services */
    size_t port_count;
    /* Whether a connection from this local port to own_port is the agent's. */
    uint16_t own_port;
    bool (*is_own)(uint16_t local_port);
};

struct agent_flows *agent_flows_new(const struct agent_flows_setup *setup);
struct agent_flows *agent_flows_free(struct agent_flows *flows); /* returns NULL */
void agent_flows_packet(struct agent_flows *flows, const struct agent_packet *packet);
/* Gives up on handshakes older than the timeout. */
void agent_flows_expire(struct agent_flows *flows, int64_t now_ns);
/* Puts histograms and counters. */
void agent_flows_put(struct agent_flows *flows, struct agent_round *round);
/* ACKs that ended no handshake: what the capture's filter let through in vain. */
uint64_t agent_flows_idle_acks(const struct agent_flows *flows);

#endif
