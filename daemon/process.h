/* SPDX-License-Identifier: Apache-2.0
 *
 * process: what this process costs, as metrics under the names that every exporter uses
 * (process_cpu_seconds_total, process_resident_memory_bytes, ...).
 */
#ifndef TW_DAEMON_PROCESS_H
#define TW_DAEMON_PROCESS_H

#include "base/clock.h"
#include "base/metrics.h"

void daemon_process_register(struct tw_metrics *metrics, struct tw_clock *clock);

#endif
