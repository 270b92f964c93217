/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel: sources of CPU time, processes, load, pressure stall and single numbers of the kernel.
 */
#ifndef TW_COLLECTOR_KERNEL_H
#define TW_COLLECTOR_KERNEL_H

#include "collector/source.h"

extern const struct agent_source agent_source_cpu;         /* /proc/stat */
extern const struct agent_source agent_source_stat;        /* /proc/stat */
extern const struct agent_source agent_source_loadavg;     /* /proc/loadavg */
extern const struct agent_source agent_source_pressure;    /* /proc/pressure */
extern const struct agent_source agent_source_filefd;      /* /proc/sys/fs/file-nr */
extern const struct agent_source agent_source_entropy;     /* /proc/sys/kernel/random */
extern const struct agent_source agent_source_kernel_hung; /* /proc/sys/kernel */

#endif
