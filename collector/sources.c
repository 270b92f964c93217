/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/source.h"

#include "collector/disk.h"
#include "collector/fields.h"
#include "collector/filesystem.h"
#include "collector/host.h"
#include "collector/kernel.h"
#include "collector/network.h"
#include "collector/own.h"

const struct agent_source *const agent_sources[] = {
    &agent_source_cpu,         &agent_source_stat,
    &agent_source_loadavg,     &agent_source_meminfo,
    &agent_source_vmstat,      &agent_source_pressure,
    &agent_source_diskstats,   &agent_source_filesystem,
    &agent_source_filefd,      &agent_source_netdev,
    &agent_source_netclass,    &agent_source_netstat,
    &agent_source_sockstat,    &agent_source_softnet,
    &agent_source_conntrack,   &agent_source_arp,
    &agent_source_udp_queues,  &agent_source_entropy,
    &agent_source_kernel_hung, &agent_source_time,
    &agent_source_timex,       &agent_source_uname,
    &agent_source_os,          &agent_source_selinux,
    &agent_source_process,     NULL};
