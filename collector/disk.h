/* SPDX-License-Identifier: Apache-2.0
 *
 * disk: the source of block devices' counters. Partitions, RAM disks and loop devices are left out,
 * as node_exporter does by default.
 */
#ifndef TW_COLLECTOR_DISK_H
#define TW_COLLECTOR_DISK_H

#include <stdbool.h>

#include "collector/source.h"

extern const struct agent_source agent_source_diskstats; /* /proc/diskstats */

/* ^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$ */
bool agent_disk_ignored(struct tw_str device);

#endif
