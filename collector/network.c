/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "collector/scan.h"

/* ---- netdev ---- */

#define NETDEV(name, help)                                                                         \
    {                                                                                              \
        {"node_network_" name "_total", WIRE_TYPE_COUNTER, help}, NULL, NULL                       \
    }
/* In the order of /proc/net/dev; the last is not there, but a file of its own in /sys. */
enum { NETDEV_NOHANDLER = 16, NETDEV_COLUMNS };
static const struct agent_column netdev_columns[NETDEV_COLUMNS] = {
    NETDEV("receive_bytes", "Bytes received."),
    NETDEV("receive_packets", "Packets received."),
    NETDEV("receive_errs", "Packets received with an error."),
    NETDEV("receive_drop", "Packets dropped at receiving."),
    NETDEV("receive_fifo", "Packets lost at receiving because a queue overflowed."),
    NETDEV("receive_frame", "Packets received with a framing error."),
    NETDEV("receive_compressed", "Compressed packets received."),
    NETDEV("receive_multicast", "Multicast packets received."),
    NETDEV("transmit_bytes", "Bytes sent."),
    NETDEV("transmit_packets", "Packets sent."),
    NETDEV("transmit_errs", "Packets not sent because of an error."),
    NETDEV("transmit_drop", "Packets dropped at sending."),
    NETDEV("transmit_fifo", "Packets not sent because a queue overflowed."),
    NETDEV("transmit_colls", "Collisions at sending."),
    NETDEV("transmit_carrier", "Packets not sent because the carrier was lost."),
    NETDEV("transmit_compressed", "Compressed packets sent."),
    NETDEV("receive_nohandler", "Packets received that no protocol wanted.")};

enum { INTERFACES_MAX = 1024 };

struct netdev {
    struct agent_procfile file;
    struct agent_table table;
    struct agent_procfile nohandler[INTERFACES_MAX]; /* by a row's index */
};

static void netdev_init(void *state, struct agent_env *env)
{
    struct netdev *netdev = state;
    agent_procfile_init(&netdev->file);
    for (int i = 0; i < INTERFACES_MAX; i++)
        agent_procfile_init(&netdev->nohandler[i]);
    agent_table_init(&netdev->table, env->roster, NETDEV_COLUMNS);
}

static void put_nohandler(struct netdev *netdev, struct agent_env *env, struct agent_round *round,
                          const struct agent_row *row)
{
    char path[128];
    struct tw_str text;
    uint64_t value;
    if (row->index >= INTERFACES_MAX || row->key.size > 64)
        return;
    snprintf(path, sizeof path, "class/net/%.*s/statistics/rx_nohandler", TW_STR_ARG(row->key));
    if (agent_procfile_read(&netdev->nohandler[row->index], env->sys, path, &env->text, &text,
                            NULL) == TW_OK &&
        agent_parse_u64(tw_str_trim(text), &value))
        agent_round_put(round, row->series[NETDEV_NOHANDLER], (double)value);
}

static enum tw_code netdev_collect(void *state, struct agent_env *env, struct agent_round *round,
                                   struct tw_err *err)
{
    struct netdev *netdev = state;
    struct tw_str text;
    enum tw_code code =
        agent_procfile_read(&netdev->file, env->proc, "net/dev", &env->text, &text, err);
    if (code != TW_OK)
        return code;
    struct agent_scan scan = agent_scan_of(text), line;
    while (agent_scan_line(&scan, &line)) {
        if (memchr(line.at, ':', (size_t)(line.limit - line.at)) == NULL)
            continue; /* the two lines of headings */
        struct tw_str device = agent_scan_until(&line, ':');
        struct agent_row *row =
            agent_table_row(&netdev->table, device, round->tick, netdev_columns, "device");
        if (row == NULL)
            continue;
        uint64_t value;
        for (int i = 0; i < NETDEV_NOHANDLER && agent_scan_u64(&line, &value); i++)
            agent_round_put(round, row->series[i], (double)value);
    }
    /* Only now: the text above lies in the same buffer. */
    for (size_t i = 0; i < netdev->table.count; i++)
        if (netdev->table.rows[i].tick == round->tick)
            put_nohandler(netdev, env, round, &netdev->table.rows[i]);
    return TW_OK;
}

/* A row that goes gives its index to another interface: close what was open for it. */
static void netdev_sweep(void *state, uint32_t tick)
{
    struct netdev *netdev = state;
    for (size_t i = 0; i < netdev->table.count; i++) {
        const struct agent_row *row = &netdev->table.rows[i];
        if (row->tick != tick && row->index < INTERFACES_MAX)
            agent_procfile_fini(&netdev->nohandler[row->index]);
    }
    agent_table_sweep(&netdev->table, tick);
}

static void netdev_fini(void *state)
{
    struct netdev *netdev = state;
    agent_procfile_fini(&netdev->file);
    for (int i = 0; i < INTERFACES_MAX; i++)
        agent_procfile_fini(&netdev->nohandler[i]);
    agent_table_fini(&netdev->table);
}

const struct agent_source agent_source_netdev = {
    "netdev", sizeof(struct netdev), 0, netdev_init, netdev_collect, netdev_sweep, netdev_fini};

/* ---- netclass ---- */

enum { NETCLASS_FILES = 18 };

#define NETCLASS(file, name, type, help)                                                           \
    {                                                                                              \
        file,                                                                                      \
        {                                                                                          \
            "node_network_" name, type, help                                                       \
        }                                                                                          \
    }
static const struct {
    const char *file;
    struct agent_family family;
} netclass_files[NETCLASS_FILES] = {
    NETCLASS("addr_assign_type", "address_assign_type", WIRE_TYPE_GAUGE,
             "How the address was set."),
    NETCLASS("carrier", "carrier", WIRE_TYPE_GAUGE, "1 if there is a link."),
    NETCLASS("carrier_changes", "carrier_changes_total", WIRE_TYPE_COUNTER, "Links gone or come."),
    NETCLASS("carrier_up_count", "carrier_up_changes_total", WIRE_TYPE_COUNTER, "Links come."),
    NETCLASS("carrier_down_count", "carrier_down_changes_total", WIRE_TYPE_COUNTER, "Links gone."),
    NETCLASS("dev_id", "device_id", WIRE_TYPE_GAUGE, "Number among devices with one address."),
    NETCLASS("dormant", "dormant", WIRE_TYPE_GAUGE, "1 if it waits for something outside."),
    NETCLASS("flags", "flags", WIRE_TYPE_GAUGE, "The kernel's flags."),
    NETCLASS("ifindex", "iface_id", WIRE_TYPE_GAUGE, "Number of the interface."),
    NETCLASS("iflink", "iface_link", WIRE_TYPE_GAUGE, "Number of the interface that it is on."),
    NETCLASS("link_mode", "iface_link_mode", WIRE_TYPE_GAUGE, "0 default, 1 dormant."),
    NETCLASS("mtu", "mtu_bytes", WIRE_TYPE_GAUGE, "Largest packet."),
    NETCLASS("name_assign_type", "name_assign_type", WIRE_TYPE_GAUGE, "How the name was set."),
    NETCLASS("netdev_group", "net_dev_group", WIRE_TYPE_GAUGE, "Group of the interface."),
    NETCLASS("speed", "speed_bytes", WIRE_TYPE_GAUGE, "Speed of the link, bytes a second."),
    NETCLASS("tx_queue_len", "transmit_queue_length", WIRE_TYPE_GAUGE, "Length of the queue."),
    NETCLASS("type", "protocol_type", WIRE_TYPE_GAUGE, "Kind of link, ARPHRD_..."),
    NETCLASS("operstate", "up", WIRE_TYPE_GAUGE, "1 if the operational state is up.")};
/* The last one is a word; its column holds node_network_up. */
enum { NETCLASS_OPERSTATE = NETCLASS_FILES - 1, NETCLASS_SPEED = 14 };

struct netclass {
    struct agent_table table; /* by device */
    struct agent_table infos; /* by device and the info's labels: when one changes, a series ends */
};

static void netclass_init(void *state, struct agent_env *env)
{
    struct netclass *netclass = state;
    agent_table_init(&netclass->table, env->roster, NETCLASS_FILES);
    agent_table_init(&netclass->infos, env->roster, 1);
}

/* One short file below /sys/class/net/<device>; *ret lives in text. */
static bool read_attribute(struct agent_env *env, struct tw_str device, const char *name,
                           struct tw_buf *text, struct tw_str *ret)
{
    char path[160];
    struct agent_procfile file;
    agent_procfile_init(&file);
    snprintf(path, sizeof path, "class/net/%.*s/%s", TW_STR_ARG(tw_str_slice(device, 0, 64)), name);
    bool ok = agent_procfile_read(&file, env->sys, path, text, ret, NULL) == TW_OK;
    agent_procfile_fini(&file);
    if (ok)
        *ret = tw_str_trim(*ret);
    return ok;
}

/* "1500" or "0x1003". */
static bool parse_attribute(struct tw_str word, double *ret)
{
    uint64_t value;
    struct agent_scan hex = agent_scan_of(tw_str_slice(word, 2, word.size));
    if (tw_str_starts(word, TW_STR("0x")) && agent_scan_hex(&hex, &value)) {
        *ret = (double)value;
        return true;
    }
    return tw_double_parse(word, ret);
}

struct info {
    char values[6][64];
};

/* The labels of node_network_info; NULL-terminated. */
static const char *const info_labels[] = {"address", "adminstate", "broadcast",
                                          "duplex",  "ifalias",    "operstate"};

static uint32_t add_info(struct agent_env *env, struct tw_str device, const struct info *info)
{
    static const struct agent_family family = {"node_network_info", WIRE_TYPE_GAUGE,
                                               "State and addresses of an interface, always 1."};
    struct wire_label labels[7] = {{TW_STR("device"), device}};
    for (int i = 0; i < 6; i++)
        labels[i + 1] = (struct wire_label){tw_str(info_labels[i]), tw_str(info->values[i])};
    return agent_roster_add(env->roster, &family, labels, 7);
}

static void read_info(struct agent_env *env, struct tw_str device, struct info *ret_info)
{
    static const char *const files[] = {"address", "flags",   "broadcast",
                                        "duplex",  "ifalias", "operstate"};
    memset(ret_info, 0, sizeof *ret_info);
    for (int i = 0; i < 6; i++) {
        struct tw_str word;
        double flags;
        if (!read_attribute(env, device, files[i], &env->text, &word))
            continue;
        if (i == 1 && parse_attribute(word, &flags))
            word = (uint64_t)flags & 1 ? TW_STR("up") : TW_STR("down");
        snprintf(ret_info->values[i], sizeof ret_info->values[i], "%.*s", TW_STR_ARG(word));
    }
}

static void put_info(struct netclass *netclass, struct agent_env *env, struct agent_round *round,
                     struct tw_str device)
{
    struct info info;
    char key[600];
    read_info(env, device, &info);
    int size = snprintf(key, sizeof key, "%.*s", TW_STR_ARG(tw_str_slice(device, 0, 64)));
    for (int i = 0; i < 6; i++)
        size += snprintf(key + size, sizeof key - (size_t)size, "\n%s", info.values[i]);
    struct tw_str row_key = {key, (size_t)size};
    struct agent_row *row = agent_table_find(&netclass->infos, row_key, round->tick);
    if (row == NULL && (row = agent_table_add(&netclass->infos, row_key, round->tick)) != NULL)
        row->series[0] = add_info(env, device, &info);
    if (row != NULL)
        agent_round_put(round, row->series[0], 1);
}

static void put_interface(struct netclass *netclass, struct agent_env *env,
                          struct agent_round *round, struct tw_str device)
{
    struct agent_row *row = agent_table_find(&netclass->table, device, round->tick);
    if (row == NULL && (row = agent_table_add(&netclass->table, device, round->tick)) == NULL)
        return;
    for (int i = 0; i < NETCLASS_FILES; i++) {
        struct tw_str word;
        double value = 0;
        if (!read_attribute(env, device, netclass_files[i].file, &env->text, &word))
            continue;
        if (i == NETCLASS_OPERSTATE)
            value = tw_str_is(word, "up");
        else if (!parse_attribute(word, &value))
            continue;
        if (i == NETCLASS_SPEED)
            value = value * 1e6 / 8; /* given in megabits a second */
        const struct wire_label label = {TW_STR("device"), device};
        if (row->series[i] == AGENT_SERIES_NONE)
            row->series[i] = agent_roster_add(env->roster, &netclass_files[i].family, &label, 1);
        agent_round_put(round, row->series[i], value);
    }
}

static enum tw_code netclass_collect(void *state, struct agent_env *env, struct agent_round *round,
                                     struct tw_err *err)
{
    struct netclass *netclass = state;
    char path[512];
    char **names;
    size_t count;
    snprintf(path, sizeof path, "%s/class/net", env->sys);
    enum tw_code code = tw_file_list(path, &names, &count, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < count && i < INTERFACES_MAX; i++) {
        struct tw_str operstate;
        /* bonding_masters and its like are files, no interfaces. */
        if (read_attribute(env, tw_str(names[i]), "operstate", &env->text, &operstate)) {
            put_info(netclass, env, round, tw_str(names[i]));
            put_interface(netclass, env, round, tw_str(names[i]));
        }
    }
    tw_file_list_free(names, count);
    return TW_OK;
}

static void netclass_sweep(void *state, uint32_t tick)
{
    struct netclass *netclass = state;
    agent_table_sweep(&netclass->table, tick);
    agent_table_sweep(&netclass->infos, tick);
}

static void netclass_fini(void *state)
{
    struct netclass *netclass = state;
    agent_table_fini(&netclass->table);
    agent_table_fini(&netclass->infos);
}

/* Twenty small files an interface, which hardly ever change. */
const struct agent_source agent_source_netclass = {
    "netclass",       sizeof(struct netclass), 15,           netclass_init,
    netclass_collect, netclass_sweep,          netclass_fini};

/* ---- sources of one file and one table ---- */

struct listing {
    struct agent_procfile files[4];
    struct agent_table table;
    uint32_t series[10];
};

static void listing_init(struct listing *listing, struct agent_env *env, size_t width)
{
    for (int i = 0; i < 4; i++)
        agent_procfile_init(&listing->files[i]);
    agent_table_init(&listing->table, env->roster, width);
    memset(listing->series, 0xff, sizeof listing->series);
}

static void listing_sweep(void *state, uint32_t tick)
{
    struct listing *listing = state;
    agent_table_sweep(&listing->table, tick);
}

static void listing_fini(void *state)
{
    struct listing *listing = state;
    for (int i = 0; i < 4; i++)
        agent_procfile_fini(&listing->files[i]);
    agent_table_fini(&listing->table);
}

/* ---- softnet ---- */

#define SOFTNET(name, type, help)                                                                  \
    {                                                                                              \
        {"node_softnet_" name, type, help}, NULL, NULL                                             \
    }
enum { SOFTNET_COLUMNS = 7 };
static const struct agent_column softnet_columns[SOFTNET_COLUMNS] = {
    SOFTNET("processed_total", WIRE_TYPE_COUNTER, "Packets handled by the CPU."),
    SOFTNET("dropped_total", WIRE_TYPE_COUNTER, "Packets dropped because the queue was full."),
    SOFTNET("times_squeezed_total", WIRE_TYPE_COUNTER, "Times that the CPU ran out of its budget."),
    SOFTNET("cpu_collision_total", WIRE_TYPE_COUNTER, "Collisions at a device's lock."),
    SOFTNET("received_rps_total", WIRE_TYPE_COUNTER,
            "Times that the CPU was woken by another one."),
    SOFTNET("flow_limit_count_total", WIRE_TYPE_COUNTER, "Times that the flow limit was reached."),
    SOFTNET("backlog_len", WIRE_TYPE_GAUGE, "Packets in the queue.")};
/* The words of a line that these are, and the one with the CPU's number (since Linux 5.10). */
static const int softnet_words[SOFTNET_COLUMNS] = {0, 1, 2, 8, 9, 10, 11};
enum { SOFTNET_CPU_WORD = 12, SOFTNET_WORDS = 13 };

static void softnet_init(void *state, struct agent_env *env)
{
    listing_init(state, env, SOFTNET_COLUMNS);
}

static enum tw_code softnet_collect(void *state, struct agent_env *env, struct agent_round *round,
                                    struct tw_err *err)
{
    struct listing *softnet = state;
    struct tw_str text;
    enum tw_code code = agent_procfile_read(&softnet->files[0], env->proc, "net/softnet_stat",
                                            &env->text, &text, err);
    if (code != TW_OK)
        return code;
    struct agent_scan scan = agent_scan_of(text), line;
    for (unsigned number = 0; agent_scan_line(&scan, &line); number++) {
        uint64_t words[SOFTNET_WORDS];
        char cpu[24];
        int count = 0;
        while (count < SOFTNET_WORDS && agent_scan_hex(&line, &words[count]))
            count++;
        snprintf(cpu, sizeof cpu, "%u",
                 count > SOFTNET_CPU_WORD ? (unsigned)words[SOFTNET_CPU_WORD] : number);
        struct agent_row *row =
            agent_table_row(&softnet->table, tw_str(cpu), round->tick, softnet_columns, "cpu");
        for (int i = 0; row != NULL && i < SOFTNET_COLUMNS; i++)
            if (softnet_words[i] < count)
                agent_round_put(round, row->series[i], (double)words[softnet_words[i]]);
    }
    return TW_OK;
}

const struct agent_source agent_source_softnet = {
    "softnet",       sizeof(struct listing), 0,           softnet_init,
    softnet_collect, listing_sweep,          listing_fini};

/* ---- conntrack ---- */

static const struct {
    const char *file;
    struct agent_family family;
} conntrack_sizes[] = {
    {"sys/net/netfilter/nf_conntrack_count",
     {"node_nf_conntrack_entries", WIRE_TYPE_GAUGE, "Connections being tracked."}},
    {"sys/net/netfilter/nf_conntrack_max",
     {"node_nf_conntrack_entries_limit", WIRE_TYPE_GAUGE,
      "Most connections that can be tracked."}}};

static const struct {
    struct tw_str word;
    struct agent_family family;
} conntrack_stats[] = {
    {TW_STR_INIT("found"),
     {"node_nf_conntrack_stat_found", WIRE_TYPE_GAUGE, "Searches that found an entry."}},
    {TW_STR_INIT("invalid"),
     {"node_nf_conntrack_stat_invalid", WIRE_TYPE_GAUGE, "Packets that cannot be tracked."}},
    {TW_STR_INIT("ignore"),
     {"node_nf_conntrack_stat_ignore", WIRE_TYPE_GAUGE, "Packets of entries known already."}},
    {TW_STR_INIT("insert"), {"node_nf_conntrack_stat_insert", WIRE_TYPE_GAUGE, "Entries made."}},
    {TW_STR_INIT("insert_failed"),
     {"node_nf_conntrack_stat_insert_failed", WIRE_TYPE_GAUGE, "Entries that could not be made."}},
    {TW_STR_INIT("drop"),
     {"node_nf_conntrack_stat_drop", WIRE_TYPE_GAUGE, "Packets dropped for want of an entry."}},
    {TW_STR_INIT("early_drop"),
     {"node_nf_conntrack_stat_early_drop", WIRE_TYPE_GAUGE, "Entries dropped to make room."}},
    {TW_STR_INIT("search_restart"),
     {"node_nf_conntrack_stat_search_restart", WIRE_TYPE_GAUGE, "Searches begun anew."}}};
enum { CONNTRACK_STATS = sizeof conntrack_stats / sizeof conntrack_stats[0] };

static void conntrack_init(void *state, struct agent_env *env)
{
    listing_init(state, env, 1);
}

static void put_named(struct listing *listing, struct agent_env *env, struct agent_round *round,
                      int which, const struct agent_family *family, double value)
{
    if (listing->series[which] == AGENT_SERIES_NONE)
        listing->series[which] = agent_roster_add(env->roster, family, NULL, 0);
    agent_round_put(round, listing->series[which], value);
}

/* A line of headings, then one of hexadecimal numbers for each CPU: summed. */
static void put_conntrack_stats(struct listing *listing, struct agent_env *env,
                                struct agent_round *round, struct tw_str text)
{
    enum { WORDS_MAX = 32 };
    int owner[WORDS_MAX]; /* which statistic a column is, -1 = none of ours */
    uint64_t sums[CONNTRACK_STATS] = {0};
    bool seen[CONNTRACK_STATS] = {false};
    int count = 0;
    struct agent_scan scan = agent_scan_of(text), line;
    if (!agent_scan_line(&scan, &line))
        return;
    for (struct tw_str word = agent_scan_word(&line); word.size > 0 && count < WORDS_MAX;
         word = agent_scan_word(&line)) {
        owner[count] = -1;
        for (int i = 0; i < CONNTRACK_STATS; i++)
            if (tw_str_equal(word, conntrack_stats[i].word))
                owner[count] = i;
        count++;
    }
    while (agent_scan_line(&scan, &line)) {
        uint64_t value;
        for (int i = 0; i < count && agent_scan_hex(&line, &value); i++)
            if (owner[i] >= 0) {
                sums[owner[i]] += value;
                seen[owner[i]] = true;
            }
    }
    for (int i = 0; i < CONNTRACK_STATS; i++)
        if (seen[i])
            put_named(listing, env, round, 2 + i, &conntrack_stats[i].family, (double)sums[i]);
}

static enum tw_code conntrack_collect(void *state, struct agent_env *env, struct agent_round *round,
                                      struct tw_err *err)
{
    struct listing *conntrack = state;
    struct tw_str text;
    for (int i = 0; i < 2; i++) {
        uint64_t value;
        enum tw_code code = agent_procfile_read(&conntrack->files[i], env->proc,
                                                conntrack_sizes[i].file, &env->text, &text, err);
        if (code != TW_OK)
            return code;
        if (agent_parse_u64(tw_str_trim(text), &value))
            put_named(conntrack, env, round, i, &conntrack_sizes[i].family, (double)value);
    }
    if (agent_procfile_read(&conntrack->files[2], env->proc, "net/stat/nf_conntrack", &env->text,
                            &text, NULL) == TW_OK)
        put_conntrack_stats(conntrack, env, round, text);
    return TW_OK;
}

const struct agent_source agent_source_conntrack = {
    "conntrack",       sizeof(struct listing), 0,           conntrack_init,
    conntrack_collect, listing_sweep,          listing_fini};

/* ---- arp ---- */

static const struct agent_column arp_column = {
    {"node_arp_entries", WIRE_TYPE_GAUGE, "Neighbours known by address."}, NULL, NULL};
enum { ARP_DEVICES_MAX = 64 };

static void arp_init(void *state, struct agent_env *env)
{
    listing_init(state, env, 1);
}

static enum tw_code arp_collect(void *state, struct agent_env *env, struct agent_round *round,
                                struct tw_err *err)
{
    struct listing *arp = state;
    struct tw_str text;
    enum tw_code code =
        agent_procfile_read(&arp->files[0], env->proc, "net/arp", &env->text, &text, err);
    if (code != TW_OK)
        return code;
    struct tw_str devices[ARP_DEVICES_MAX];
    unsigned counts[ARP_DEVICES_MAX];
    size_t device_count = 0;
    struct agent_scan scan = agent_scan_of(text), line;
    (void)agent_scan_line(&scan, &line); /* headings */
    while (agent_scan_line(&scan, &line)) {
        struct tw_str device = {NULL, 0};
        for (int word = 0; word < 6; word++)
            device = agent_scan_word(&line);
        size_t i = 0;
        while (i < device_count && !tw_str_equal(devices[i], device))
            i++;
        if (i == ARP_DEVICES_MAX || device.size == 0)
            continue;
        if (i == device_count) {
            devices[device_count] = device;
            counts[device_count++] = 0;
        }
        counts[i]++;
    }
    for (size_t i = 0; i < device_count; i++) {
        struct agent_row *row =
            agent_table_row(&arp->table, devices[i], round->tick, &arp_column, "device");
        if (row != NULL)
            agent_round_put(round, row->series[0], counts[i]);
    }
    return TW_OK;
}

const struct agent_source agent_source_arp = {
    "arp", sizeof(struct listing), 5, arp_init, arp_collect, listing_sweep, listing_fini};

/* ---- udp_queues ---- */

static void udp_init(void *state, struct agent_env *env)
{
    listing_init(state, env, 1);
}

/* "sl local remote st tx_queue:rx_queue ...": summed over the sockets. */
static void put_udp(struct listing *udp, struct agent_env *env, struct agent_round *round,
                    int family_index, struct tw_str text)
{
    static const struct agent_family family = {"node_udp_queues", WIRE_TYPE_GAUGE,
                                               "Bytes that wait in the queues of UDP sockets."};
    uint64_t sent = 0, received = 0;
    struct agent_scan scan = agent_scan_of(text), line;
    (void)agent_scan_line(&scan, &line); /* headings */
    while (agent_scan_line(&scan, &line)) {
        for (int word = 0; word < 4; word++)
            (void)agent_scan_word(&line);
        struct tw_str tx = agent_scan_until(&line, ':'), rx = agent_scan_word(&line);
        struct agent_scan tx_scan = agent_scan_of(tx), rx_scan = agent_scan_of(rx);
        uint64_t value;
        if (agent_scan_hex(&tx_scan, &value))
            sent += value;
        if (agent_scan_hex(&rx_scan, &value))
            received += value;
    }
    for (int i = 0; i < 2; i++) {
        uint32_t *series = &udp->series[family_index * 2 + i];
        const struct wire_label labels[] = {{TW_STR("ip"), tw_str(family_index == 0 ? "v4" : "v6")},
                                            {TW_STR("queue"), tw_str(i == 0 ? "tx" : "rx")}};
        if (*series == AGENT_SERIES_NONE)
            *series = agent_roster_add(env->roster, &family, labels, 2);
        agent_round_put(round, *series, (double)(i == 0 ? sent : received));
    }
}

static enum tw_code udp_collect(void *state, struct agent_env *env, struct agent_round *round,
                                struct tw_err *err)
{
    struct listing *udp = state;
    struct tw_str text;
    enum tw_code code =
        agent_procfile_read(&udp->files[0], env->proc, "net/udp", &env->text, &text, err);
    if (code != TW_OK)
        return code;
    put_udp(udp, env, round, 0, text);
    if (agent_procfile_read(&udp->files[1], env->proc, "net/udp6", &env->text, &text, NULL) ==
        TW_OK)
        put_udp(udp, env, round, 1, text);
    return TW_OK;
}

/* The kernel walks its whole hash table for each reading. */
const struct agent_source agent_source_udp_queues = {
    "udp_queues", sizeof(struct listing), 5, udp_init, udp_collect, listing_sweep, listing_fini};
