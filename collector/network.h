/* SPDX-License-Identifier: Apache-2.0
 *
 * network: sources of interfaces, their settings, the receive queues of the CPUs, connection
 * tracking, neighbours and UDP queues.
 */
#ifndef TW_COLLECTOR_NETWORK_H
#define TW_COLLECTOR_NETWORK_H

#include "collector/source.h"

extern const struct agent_source agent_source_netdev;     /* /proc/net/dev */
extern const struct agent_source agent_source_netclass;   /* /sys/class/net */
extern const struct agent_source agent_source_softnet;    /* /proc/net/softnet_stat */
extern const struct agent_source agent_source_conntrack;  /* /proc/sys/net/netfilter */
extern const struct agent_source agent_source_arp;        /* /proc/net/arp */
extern const struct agent_source agent_source_udp_queues; /* /proc/net/{udp,udp6} */

#endif
