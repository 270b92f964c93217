/* SPDX-License-Identifier: Apache-2.0
 *
 * filesystem: the source of mounted file systems' room. A file system that is reached over a
 * network may hang for good, so those are asked by a thread of their own; one that has not answered
 * within AGENT_MOUNT_PATIENCE_MS is reported with device_error "mountpoint timeout" and left alone
 * until it answers, while the others go on.
 */
#ifndef TW_COLLECTOR_FILESYSTEM_H
#define TW_COLLECTOR_FILESYSTEM_H

#include "collector/source.h"

#define AGENT_MOUNT_PATIENCE_MS 5000
#define AGENT_MOUNTS_MAX 512

extern const struct agent_source agent_source_filesystem; /* /proc/self/mountinfo, statvfs() */

/* Left out, as node_exporter does by default. */
bool agent_mount_ignored(struct tw_str mount_point, struct tw_str type);
/* Whether statvfs() may hang: asked by a thread. */
bool agent_mount_is_remote(struct tw_str type);

#endif
