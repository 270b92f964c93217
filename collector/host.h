/* SPDX-License-Identifier: Apache-2.0
 *
 * host: sources of what the host is: its name, system, time and clock.
 */
#ifndef TW_COLLECTOR_HOST_H
#define TW_COLLECTOR_HOST_H

#include "collector/source.h"

extern const struct agent_source agent_source_uname;
extern const struct agent_source agent_source_os;      /* /etc/os-release */
extern const struct agent_source agent_source_selinux; /* /sys/fs/selinux */
extern const struct agent_source agent_source_time;    /* the clock, /sys/.../clocksource */
extern const struct agent_source agent_source_timex;   /* adjtimex() */

#endif
