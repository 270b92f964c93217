/* SPDX-License-Identifier: Apache-2.0
 *
 * machine: how much memory this process can have: that of the machine, or less where a control
 * group (a container, a systemd unit with MemoryMax=) allows less.
 *
 * Threads: any.
 */
#ifndef TW_DAEMON_MACHINE_H
#define TW_DAEMON_MACHINE_H

#include <stdint.h>

/* Groups above the process's own that are asked. */
#define DAEMON_MACHINE_DEPTH_MAX 32

struct daemon_machine {
    uint64_t memory_bytes;
    const char *source; /* "the machine", "its control group" */
};

/* root: "" for this machine; tests give a folder with proc/ and sys/fs/cgroup/ in it. What cannot
 * be read limits nothing; without any figure memory_bytes is UINT64_MAX. */
void daemon_machine_read(const char *root, struct daemon_machine *ret);

#endif
