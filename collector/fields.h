/* SPDX-License-Identifier: Apache-2.0
 *
 * fields: sources whose series are named after the fields of a kernel file: memory, virtual memory,
 * the network stack's counters.
 */
#ifndef TW_COLLECTOR_FIELDS_H
#define TW_COLLECTOR_FIELDS_H

#include "collector/source.h"

extern const struct agent_source agent_source_meminfo;  /* /proc/meminfo */
extern const struct agent_source agent_source_vmstat;   /* /proc/vmstat */
extern const struct agent_source agent_source_netstat;  /* /proc/net/{netstat,snmp,snmp6} */
extern const struct agent_source agent_source_sockstat; /* /proc/net/{sockstat,sockstat6} */

#endif
