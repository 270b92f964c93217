/* SPDX-License-Identifier: Apache-2.0
 *
 * own: the source of the agent's own process: CPU time, memory, descriptors, under the names that
 * Prometheus's client libraries use.
 */
#ifndef TW_COLLECTOR_OWN_H
#define TW_COLLECTOR_OWN_H

#include "collector/source.h"

extern const struct agent_source agent_source_process; /* /proc/self */

#endif
