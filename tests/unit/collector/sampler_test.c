/* SPDX-License-Identifier: Apache-2.0
 *
 * The sources over folders of made-up kernel files: tests write /proc and /sys below a temporary
 * folder, run the sampler, and look at the round as exposition lines.
 */
#include "config.h"

#include "collector/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "collector/disk.h"
#include "collector/fields.h"
#include "collector/filesystem.h"
#include "collector/host.h"
#include "collector/kernel.h"
#include "collector/network.h"
#include "tests/lib/unit.h"
#include "wire/remote_write.h"

static struct tw_clock *test_clock;
static struct agent_roster *roster;
static struct agent_sampler *sampler;
static struct tw_buf text;
static char proc[512], sys[512];

static void write_file(const char *root, const char *name, const char *content)
{
    struct tw_err err;
    char *path = tw_file_join(root, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    unit_assert_ok(tw_file_make_folder(path, 0700, &err), &err);
    *slash = '/';
    /* In place, as the kernel changes its files: descriptors stay good. */
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(content, file);
    fclose(file);
    free(path);
}

static void start(const struct agent_source *source)
{
    static const struct wire_label common[] = {{TW_STR_INIT("job"), TW_STR_INIT("node")}};
    const struct agent_source *const sources[] = {source, NULL};
    snprintf(proc, sizeof proc, "%s/proc", unit_folder());
    snprintf(sys, sizeof sys, "%s/sys", unit_folder());
    test_clock = tw_clock_manual_new(1000000);
    roster = agent_roster_new(common, 1);
    tw_buf_init(&text, 1 << 22);
    const struct agent_sampler_setup setup = {.clock = test_clock,
                                              .roster = roster,
                                              .sources = sources,
                                              .proc = proc,
                                              .sys = sys,
                                              .etc = unit_folder()};
    sampler = agent_sampler_new(&setup);
}

static void stop(void)
{
    agent_sampler_free(sampler);
    agent_roster_free(roster);
    tw_clock_manual_free(test_clock);
    tw_buf_fini(&text);
}

/* The round as "\nname{labels} value" lines, job left out. */
static const char *show(const struct agent_round *round)
{
    struct tw_buf body;
    tw_buf_init(&body, 1 << 22);
    agent_round_encode(round, &body);
    tw_buf_clear(&text);
    tw_buf_append_char(&text, '\n');
    struct wire_write_reader reader;
    struct wire_write_entry entry;
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    wire_write_reader_init(&reader, tw_buf_str(&body));
    while (wire_write_reader_next(&reader, &entry, NULL) == TW_OK && entry.kind != WIRE_WRITE_END) {
        size_t count, kept = 0;
        char number[TW_DOUBLE_BYTES] = "stale";
        struct wire_sample sample;
        ck_assert(wire_write_series_labels(&entry.series, items, &count, NULL) == TW_OK);
        for (size_t i = 0; i < count; i++)
            if (!tw_str_is(items[i].name, "job"))
                items[kept++] = items[i];
        wire_labels_format((struct wire_labels){items, kept}, &text);
        ck_assert(wire_write_series_sample(&entry.series, &sample));
        if (!tw_double_is_stale(sample.value))
            tw_double_format_general(sample.value, number);
        tw_buf_appendf(&text, " %s\n", number);
    }
    tw_buf_fini(&body);
    return tw_buf_cstr(&text);
}

static const char *run(int64_t time_ms)
{
    return show(agent_sampler_run(sampler, time_ms));
}

#define HAS(shown, line) unit_assert_contains(shown, "\n" line "\n")
#define LACKS(shown, part) ck_assert_ptr_null(strstr((shown), (part)))

START_TEST(cpu_by_mode)
{
    write_file(unit_folder(), "proc/stat",
               "cpu  3 3 3 3 3 3 3 3 3 3\n"
               "cpu0 100 200 300 400 500 600 700 800 50 25\n"
               "cpu3 1 0 0 0 0 0 0 0 0 0\n"
               "intr 12345 0 0 1\nctxt 678\nbtime 1700000000\nprocesses 90\n"
               "procs_running 2\nprocs_blocked 1\nsoftirq 1 2 3\n");
    start(&agent_source_cpu);
    const char *shown = run(1000);
    HAS(shown, "node_cpu_seconds_total{cpu=\"0\", mode=\"user\"} 1");
    HAS(shown, "node_cpu_seconds_total{cpu=\"0\", mode=\"nice\"} 2");
    HAS(shown, "node_cpu_seconds_total{cpu=\"0\", mode=\"steal\"} 8");
    HAS(shown, "node_cpu_guest_seconds_total{cpu=\"0\", mode=\"user\"} 0.5");
    HAS(shown, "node_cpu_guest_seconds_total{cpu=\"0\", mode=\"nice\"} 0.25");
    HAS(shown, "node_cpu_seconds_total{cpu=\"3\", mode=\"user\"} 0.01");
    HAS(shown, "node_scrape_collector_success{collector=\"cpu\"} 1");
    HAS(shown, "up 1");
    LACKS(shown, "cpu=\"\"");

    /* A small step back is held, a large one is a CPU that came back; one that is gone goes stale.
     */
    write_file(unit_folder(), "proc/stat", "cpu0 99 200 300 10 500 600 700 800 50 25\n");
    shown = run(2000);
    HAS(shown, "node_cpu_seconds_total{cpu=\"0\", mode=\"user\"} 1");
    HAS(shown, "node_cpu_seconds_total{cpu=\"0\", mode=\"idle\"} 0.1");
    HAS(shown, "node_cpu_seconds_total{cpu=\"3\", mode=\"user\"} stale");
    LACKS(run(3000), "cpu=\"3\"");
    stop();
}
END_TEST

START_TEST(a_missing_file_fails_only_its_source)
{
    const char *source, *message;
    start(&agent_source_loadavg);
    const char *shown = run(1000);
    HAS(shown, "node_scrape_collector_success{collector=\"loadavg\"} 0");
    LACKS(shown, "node_load1");
    ck_assert(agent_sampler_change(sampler, &source, &message));
    ck_assert_str_eq(source, "loadavg");
    unit_assert_contains(message, "proc/loadavg");
    ck_assert(!agent_sampler_change(sampler, &source, &message));

    write_file(unit_folder(), "proc/loadavg", "0.52 1.25 2 3/456 789\n");
    shown = run(2000);
    HAS(shown, "node_load1 0.52");
    HAS(shown, "node_load15 2");
    HAS(shown, "node_scrape_collector_success{collector=\"loadavg\"} 1");
    ck_assert(agent_sampler_change(sampler, &source, &message));
    ck_assert_str_eq(message, "");

    write_file(unit_folder(), "proc/loadavg", "rubbish\n");
    shown = run(3000);
    HAS(shown, "node_load1 stale");
    HAS(shown, "node_scrape_collector_success{collector=\"loadavg\"} 0");
    stop();
}
END_TEST

START_TEST(the_end_is_stale)
{
    write_file(unit_folder(), "proc/loadavg", "0.52 1.25 2 3/456 789\n");
    start(&agent_source_loadavg);
    run(1000);
    const char *shown = show(agent_sampler_end(sampler, 2000));
    HAS(shown, "node_load1 stale");
    HAS(shown, "up stale");
    HAS(shown, "node_scrape_collector_success{collector=\"loadavg\"} stale");
    stop();
}
END_TEST

START_TEST(memory)
{
    write_file(unit_folder(), "proc/meminfo",
               "MemTotal:       1000 kB\nActive(anon):     7 kB\nHugePages_Total:       3\n"
               "Broken:\nAlso broken\n");
    start(&agent_source_meminfo);
    const char *shown = run(1000);
    HAS(shown, "node_memory_MemTotal_bytes 1024000");
    HAS(shown, "node_memory_Active_anon_bytes 7168");
    HAS(shown, "node_memory_HugePages_Total 3");
    LACKS(shown, "roken");
    stop();
}
END_TEST

START_TEST(vmstat_and_stat)
{
    write_file(unit_folder(), "proc/vmstat",
               "nr_free_pages 5\npgpgin 6\npgfault 7\npgmajfault 8\noom_kill 9\npgscan_x 10\n"
               "pswpin 11\n");
    start(&agent_source_vmstat);
    const char *shown = run(1000);
    HAS(shown, "node_vmstat_pgpgin 6");
    HAS(shown, "node_vmstat_pgmajfault 8");
    HAS(shown, "node_vmstat_oom_kill 9");
    HAS(shown, "node_vmstat_pswpin 11");
    LACKS(shown, "nr_free");
    LACKS(shown, "pgscan");
    stop();
}
END_TEST

START_TEST(disks)
{
    write_file(unit_folder(), "proc/diskstats",
               " 8 0 sda 1 2 3 4000 5 6 7 8000 9 10000 11000 12 13 14 15000 16 17000\n"
               " 8 1 sda1 1 1 1 1 1 1 1 1 1 1 1\n"
               " 259 0 nvme0n1 1 0 8 0 0 0 0 0 0 0 0\n");
    write_file(unit_folder(), "sys/block/sda/queue/rotational", "1\n");
    start(&agent_source_diskstats);
    const char *shown = run(1000);
    HAS(shown, "node_disk_reads_completed_total{device=\"sda\"} 1");
    HAS(shown, "node_disk_read_bytes_total{device=\"sda\"} 1536");
    HAS(shown, "node_disk_read_time_seconds_total{device=\"sda\"} 4");
    HAS(shown, "node_disk_io_now{device=\"sda\"} 9");
    HAS(shown, "node_disk_io_time_weighted_seconds_total{device=\"sda\"} 11");
    HAS(shown, "node_disk_discarded_sectors_total{device=\"sda\"} 14");
    HAS(shown, "node_disk_flush_requests_time_seconds_total{device=\"sda\"} 17");
    HAS(shown, "node_disk_info{device=\"sda\", major=\"8\", minor=\"0\", rotational=\"1\"} 1");
    HAS(shown, "node_disk_read_bytes_total{device=\"nvme0n1\"} 4096");
    LACKS(shown, "node_disk_flush_requests_total{device=\"nvme0n1\"}");
    LACKS(shown, "sda1");
    write_file(unit_folder(), "proc/diskstats",
               " 8 0 sda 2 2 3 4000 5 6 7 8000 9 10000 11000 12 13 14 15000 16 17000\n");
    shown = run(2000);
    HAS(shown, "node_disk_reads_completed_total{device=\"sda\"} 2");
    HAS(shown, "node_disk_read_bytes_total{device=\"nvme0n1\"} stale");
    stop();
}
END_TEST

START_TEST(disks_left_out)
{
    static const char *const ignored[] = {"sda1",  "hdb12", "vdz3", "xvda1",     "ram0",
                                          "zram0", "loop7", "fd0",  "nvme0n1p1", "nvme10n2p15"};
    static const char *const kept[] = {"sda", "vda",      "xvda",     "nvme0n1", "md0", "dm-0",
                                       "sr0", "nvmen1p1", "nvme0n1p", "mmcblk0", "1",   ""};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        ck_assert_msg(agent_disk_ignored(tw_str(ignored[i])), "%s", ignored[i]);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        ck_assert_msg(!agent_disk_ignored(tw_str(kept[i])), "%s", kept[i]);
}
END_TEST

START_TEST(interfaces)
{
    write_file(unit_folder(), "proc/net/dev",
               "Inter-|   Receive                            |  Transmit\n"
               " face |bytes    packets errs drop fifo frame compressed multicast|bytes\n"
               "    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
               "  eth0:18446744073709551615 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
    write_file(unit_folder(), "sys/class/net/lo/statistics/rx_nohandler", "77\n");
    start(&agent_source_netdev);
    const char *shown = run(1000);
    HAS(shown, "node_network_receive_bytes_total{device=\"lo\"} 1");
    HAS(shown, "node_network_receive_multicast_total{device=\"lo\"} 8");
    HAS(shown, "node_network_transmit_colls_total{device=\"lo\"} 14");
    HAS(shown, "node_network_transmit_carrier_total{device=\"lo\"} 15");
    HAS(shown, "node_network_receive_nohandler_total{device=\"lo\"} 77");
    HAS(shown, "node_network_receive_bytes_total{device=\"eth0\"} 18446744073709552000");
    stop();
}
END_TEST

START_TEST(interface_settings)
{
    write_file(unit_folder(), "sys/class/net/eth0/operstate", "up\n");
    write_file(unit_folder(), "sys/class/net/eth0/flags", "0x1003\n");
    write_file(unit_folder(), "sys/class/net/eth0/speed", "1000\n");
    write_file(unit_folder(), "sys/class/net/eth0/address", "02:00:00:00:00:01\n");
    write_file(unit_folder(), "sys/class/net/bonding_masters", "\n");
    start(&agent_source_netclass);
    const char *shown = run(1000);
    HAS(shown, "node_network_up{device=\"eth0\"} 1");
    HAS(shown, "node_network_flags{device=\"eth0\"} 4099");
    HAS(shown, "node_network_speed_bytes{device=\"eth0\"} 125000000");
    HAS(shown, "node_network_info{address=\"02:00:00:00:00:01\", adminstate=\"up\", "
               "device=\"eth0\", operstate=\"up\"} 1");
    LACKS(shown, "bonding_masters");
    write_file(unit_folder(), "sys/class/net/eth0/operstate", "down\n");
    LACKS(run(2000), "node_network_up"); /* not due yet, and not stale either */
    shown = run(16000);
    HAS(shown, "node_network_up{device=\"eth0\"} 0");
    HAS(shown, "node_network_info{address=\"02:00:00:00:00:01\", adminstate=\"up\", "
               "device=\"eth0\", operstate=\"up\"} stale");
    HAS(shown, "node_network_info{address=\"02:00:00:00:00:01\", adminstate=\"up\", "
               "device=\"eth0\", operstate=\"down\"} 1");
    stop();
}
END_TEST

START_TEST(protocols)
{
    write_file(unit_folder(), "proc/net/netstat",
               "TcpExt: SyncookiesSent ListenDrops TCPPureAcks\nTcpExt: 1 2 3\n"
               "IpExt: InOctets\nIpExt: 4\n");
    write_file(unit_folder(), "proc/net/snmp",
               "Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: MaxConn InSegs InErrs\nTcp: -1 5 6\n"
               "Udp: InErrors\nUdp: 7\nOdd: One\nOther: 9\n");
    write_file(unit_folder(), "proc/net/snmp6",
               "Ip6InOctets 8\nIp6InReceives 9\nUdp6InErrors 10\n");
    start(&agent_source_netstat);
    const char *shown = run(1000);
    HAS(shown, "node_netstat_TcpExt_SyncookiesSent 1");
    HAS(shown, "node_netstat_TcpExt_ListenDrops 2");
    HAS(shown, "node_netstat_IpExt_InOctets 4");
    HAS(shown, "node_netstat_Ip_Forwarding 1");
    HAS(shown, "node_netstat_Tcp_MaxConn -1");
    HAS(shown, "node_netstat_Tcp_InErrs 6");
    HAS(shown, "node_netstat_Udp_InErrors 7");
    HAS(shown, "node_netstat_Ip6_InOctets 8");
    HAS(shown, "node_netstat_Udp6_InErrors 10");
    LACKS(shown, "TCPPureAcks");
    LACKS(shown, "DefaultTTL");
    LACKS(shown, "Odd");
    stop();
}
END_TEST

START_TEST(sockets)
{
    write_file(unit_folder(), "proc/net/sockstat",
               "sockets: used 290\nTCP: inuse 35 mem 2\nUDP: inuse 1 mem x\n");
    start(&agent_source_sockstat);
    char line[64];
    const char *shown = run(1000);
    snprintf(line, sizeof line, "\nnode_sockstat_TCP_mem_bytes %ld\n", 2 * sysconf(_SC_PAGESIZE));
    HAS(shown, "node_sockstat_sockets_used 290");
    HAS(shown, "node_sockstat_TCP_inuse 35");
    HAS(shown, "node_sockstat_TCP_mem 2");
    unit_assert_contains(shown, line);
    HAS(shown, "node_sockstat_UDP_inuse 1");
    LACKS(shown, "UDP_mem");
    stop();
}
END_TEST

START_TEST(queues_of_the_cpus)
{
    write_file(
        unit_folder(), "proc/net/softnet_stat",
        "0000000a 00000001 00000002 0 0 0 0 0 00000003 00000004 00000005 00000006 00000007 0\n"
        "ffffffff 00000000 00000000 0 0 0 0 0 00000000 00000000\n");
    start(&agent_source_softnet);
    const char *shown = run(1000);
    HAS(shown, "node_softnet_processed_total{cpu=\"7\"} 10");
    HAS(shown, "node_softnet_flow_limit_count_total{cpu=\"7\"} 5");
    HAS(shown, "node_softnet_backlog_len{cpu=\"7\"} 6");
    HAS(shown, "node_softnet_processed_total{cpu=\"1\"} 4294967295");
    LACKS(shown, "backlog_len{cpu=\"1\"}");
    stop();
}
END_TEST

START_TEST(pressure)
{
    write_file(unit_folder(), "proc/pressure/cpu",
               "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull total=9\n");
    write_file(unit_folder(), "proc/pressure/io", "some total=2\nfull avg10=0.00 total=2500000\n");
    write_file(unit_folder(), "proc/pressure/memory", "some total=3\nfull total=4\n");
    start(&agent_source_pressure);
    const char *shown = run(1000);
    HAS(shown, "node_pressure_cpu_waiting_seconds_total 1.5");
    HAS(shown, "node_pressure_io_stalled_seconds_total 2.5");
    HAS(shown, "node_pressure_memory_waiting_seconds_total 3e-06");
    LACKS(shown, "irq");
    HAS(shown, "node_scrape_collector_success{collector=\"pressure\"} 1");
    stop();
}
END_TEST

START_TEST(file_systems)
{
    char line[1200];
    snprintf(line, sizeof line,
             "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
             "2 0 0:5 / /proc rw - proc proc rw\n"
             "3 0 8:2 / /nowhere\\040here ro - xfs /dev/sdb rw\n"
             "broken line\n");
    write_file(unit_folder(), "proc/self/mountinfo", line);
    start(&agent_source_filesystem);
    const char *shown = run(1000);
    HAS(shown,
        "node_filesystem_readonly{device=\"/dev/sda1\", fstype=\"ext4\", mountpoint=\"/\"} 0");
    HAS(shown, "node_filesystem_mount_info{device=\"/dev/sda1\", major=\"8\", minor=\"1\", "
               "mountpoint=\"/\"} 1");
    HAS(shown, "node_filesystem_device_error{device=\"/dev/sdb\", device_error=\"No such file or "
               "directory\", fstype=\"xfs\", mountpoint=\"/nowhere here\"} 1");
    LACKS(shown, "proc");
    stop();
    ck_assert(agent_mount_ignored(TW_STR("/run/user/1"), TW_STR("tmpfs")));
    ck_assert(agent_mount_ignored(TW_STR("/var/lib/docker/x"), TW_STR("ext4")));
    ck_assert(!agent_mount_ignored(TW_STR("/var/lib/docker/"), TW_STR("ext4")));
    ck_assert(!agent_mount_ignored(TW_STR("/runner"), TW_STR("tmpfs")));
    ck_assert(agent_mount_ignored(TW_STR("/"), TW_STR("overlay")));
    ck_assert(agent_mount_is_remote(TW_STR("fuse.sshfs")));
    ck_assert(!agent_mount_is_remote(TW_STR("ext4")));
}
END_TEST

START_TEST(operating_system)
{
    write_file(unit_folder(), "os-release",
               "NAME=\"Debian GNU/Linux\"\nVERSION_ID='12.5.1'\nID=debian\n");
    start(&agent_source_os);
    const char *shown = run(1000);
    HAS(shown, "node_os_info{id=\"debian\", name=\"Debian GNU/Linux\", version_id=\"12.5.1\"} 1");
    HAS(shown, "node_os_version{id=\"debian\", name=\"Debian GNU/Linux\"} 12.5");
    stop();
}
END_TEST

START_TEST(rows_come_and_go_without_end)
{
    char content[512];
    start(&agent_source_netdev);
    /* Interfaces of containers: a new name every few rounds, for long. */
    for (int tick = 0; tick < 6000; tick++) {
        snprintf(content, sizeof content,
                 "  lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
                 "  veth%d: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
                 tick / 5);
        write_file(unit_folder(), "proc/net/dev", content);
        agent_sampler_run(sampler, 1000 + tick * 1000);
    }
    ck_assert_uint_eq(agent_roster_refused(roster), 0);
    ck_assert_uint_lt(agent_roster_limit(roster), 17 * 200);
    stop();
}
END_TEST

/* Cut off or changed anywhere, no source reads past its text or fails to end. */
START_TEST(hostile_texts)
{
    static const struct {
        const struct agent_source *source;
        const char *file, *content;
    } cases[] = {
        {&agent_source_cpu, "proc/stat", "cpu0 100 200 300 400 500 600 700 800 50 25\nintr 5\n"},
        {&agent_source_meminfo, "proc/meminfo", "MemTotal: 1000 kB\nActive(anon): 7 kB\n"},
        {&agent_source_diskstats, "proc/diskstats", " 8 0 sda 1 2 3 4 5 6 7 8 9 10 11 12 13\n"},
        {&agent_source_netdev, "proc/net/dev", "lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"},
        {&agent_source_netstat, "proc/net/netstat", "TcpExt: A ListenDrops\nTcpExt: 1 2\n"},
        {&agent_source_sockstat, "proc/net/sockstat", "TCP: inuse 35 orphan 0 mem 1\n"},
        {&agent_source_softnet, "proc/net/softnet_stat", "0000000a 1 2 0 0 0 0 0 3 4 5 6 7\n"},
        {&agent_source_arp, "proc/net/arp", "IP HW\n192.0.2.1 0x1 0x2 02:fc * eth0\n"},
        {&agent_source_udp_queues, "proc/net/udp", "sl\n 1: 0:0 0:0 07 00:0A 0\n"},
        {&agent_source_filesystem, "proc/self/mountinfo", "1 0 8:1 / / rw - ext4 /dev\\040x rw\n"}};
    uint64_t random = 9;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        size_t size = strlen(cases[c].content);
        start(cases[c].source);
        for (int i = 0; i < 400; i++) {
            char content[256];
            strcpy(content, cases[c].content);
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            if (i < (int)size)
                content[i] = '\0';
            else
                for (int change = 0; change < 3; change++) {
                    random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
                    char byte = (char)(random >> 56);
                    content[(random >> 33) % size] = byte != 0 ? byte : ' ';
                }
            write_file(unit_folder(), cases[c].file, content);
            agent_sampler_run(sampler, 1000 + i * 60000);
        }
        stop();
    }
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(cpu_by_mode),
                                      UNIT_CASE(a_missing_file_fails_only_its_source),
                                      UNIT_CASE(the_end_is_stale),
                                      UNIT_CASE(memory),
                                      UNIT_CASE(vmstat_and_stat),
                                      UNIT_CASE(disks),
                                      UNIT_CASE(disks_left_out),
                                      UNIT_CASE(interfaces),
                                      UNIT_CASE(interface_settings),
                                      UNIT_CASE(protocols),
                                      UNIT_CASE(sockets),
                                      UNIT_CASE(queues_of_the_cpus),
                                      UNIT_CASE(pressure),
                                      UNIT_CASE(file_systems),
                                      UNIT_CASE(operating_system),
                                      UNIT_CASE(rows_come_and_go_without_end),
                                      UNIT_CASE(hostile_texts),
                                      {0}};
    return unit_run("collector/sampler", cases);
}
