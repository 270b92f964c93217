/* SPDX-License-Identifier: Apache-2.0
 *
 * fields: a table's row is one field of a file; its series is made when the field first appears, or
 * never, when nobody wants it: the row then stays without one, so that the next tick knows.
 */
#include "config.h"

#include "collector/fields.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "collector/scan.h"

#define NAME_BYTES_MAX 160

struct fields {
    struct agent_procfile files[3];
    struct agent_table table;
};

static void fields_init(void *state, struct agent_env *env)
{
    struct fields *fields = state;
    for (int i = 0; i < 3; i++)
        agent_procfile_init(&fields->files[i]);
    agent_table_init(&fields->table, env->roster, 1);
}

static void fields_sweep(void *state, uint32_t tick)
{
    struct fields *fields = state;
    agent_table_sweep(&fields->table, tick);
}

static void fields_fini(void *state)
{
    struct fields *fields = state;
    for (int i = 0; i < 3; i++)
        agent_procfile_fini(&fields->files[i]);
    agent_table_fini(&fields->table);
}

/* A series "node_<prefix>_<field>": bytes that no name may have become '_', those at the end go. */
static uint32_t add_series(struct fields *fields, const char *prefix, struct tw_str field,
                           const char *suffix, enum wire_metric_type type, const char *help_file)
{
    char name[NAME_BYTES_MAX], help[NAME_BYTES_MAX];
    int size = snprintf(name, sizeof name, "node_%s_", prefix);
    for (size_t i = 0; i < field.size && size < NAME_BYTES_MAX - 16; i++) {
        char c = field.data[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        name[size++] = fine ? c : '_';
    }
    while (size > 0 && name[size - 1] == '_')
        size--;
    snprintf(name + size, sizeof name - (size_t)size, "%s", suffix);
    snprintf(help, sizeof help, "Field %.*s of %s.", TW_STR_ARG(tw_str_slice(field, 0, 64)),
             help_file);
    const struct agent_family family = {name, type, help};
    return agent_roster_add(fields->table.roster, &family, NULL, 0);
}

/* ---- meminfo ---- */

static enum tw_code meminfo_collect(void *state, struct agent_env *env, struct agent_round *round,
                                    struct tw_err *err)
{
    struct fields *fields = state;
    struct tw_str text;
    enum tw_code code =
        agent_procfile_read(&fields->files[0], env->proc, "meminfo", &env->text, &text, err);
    if (code != TW_OK)
        return code;
    struct agent_scan scan = agent_scan_of(text), line;
    while (agent_scan_line(&scan, &line)) {
        struct tw_str field = agent_scan_until(&line, ':');
        uint64_t value;
        if (!agent_scan_u64(&line, &value))
            continue;
        bool kilobytes = tw_str_is(agent_scan_word(&line), "kB");
        struct agent_row *row = agent_table_find(&fields->table, field, round->tick);
        if (row == NULL && (row = agent_table_add(&fields->table, field, round->tick)) != NULL)
            row->series[0] = add_series(fields, "memory", field, kilobytes ? "_bytes" : "",
                                        WIRE_TYPE_GAUGE, "/proc/meminfo");
        if (row != NULL)
            agent_round_put(round, row->series[0], (double)value * (kilobytes ? 1024.0 : 1.0));
    }
    return TW_OK;
}

const struct agent_source agent_source_meminfo = {
    "meminfo", sizeof(struct fields), 0, fields_init, meminfo_collect, fields_sweep, fields_fini};

/* ---- vmstat ---- */

/* oom_kill*, pgpg*, pswp* and pg...fault*, as node_exporter has them. */
static bool vmstat_wanted(struct tw_str field)
{
    return tw_str_starts(field, TW_STR("oom_kill")) || tw_str_starts(field, TW_STR("pgpg")) ||
           tw_str_starts(field, TW_STR("pswp")) ||
           (tw_str_starts(field, TW_STR("pg")) && tw_str_find(field, TW_STR("fault")) != SIZE_MAX);
}

static enum tw_code vmstat_collect(void *state, struct agent_env *env, struct agent_round *round,
                                   struct tw_err *err)
{
    struct fields *fields = state;
    struct tw_str text;
    enum tw_code code =
        agent_procfile_read(&fields->files[0], env->proc, "vmstat", &env->text, &text, err);
    if (code != TW_OK)
        return code;
    struct agent_scan scan = agent_scan_of(text), line;
    while (agent_scan_line(&scan, &line)) {
        /* 190 lines, 7 wanted: most are told by their first letter. */
        if (line.at == line.limit || (*line.at != 'o' && *line.at != 'p'))
            continue;
        struct tw_str field = agent_scan_word(&line);
        uint64_t value;
        if (!vmstat_wanted(field) || !agent_scan_u64(&line, &value))
            continue;
        struct agent_row *row = agent_table_find(&fields->table, field, round->tick);
        if (row == NULL && (row = agent_table_add(&fields->table, field, round->tick)) != NULL)
            row->series[0] =
                add_series(fields, "vmstat", field, "", WIRE_TYPE_UNKNOWN, "/proc/vmstat");
        if (row != NULL)
            agent_round_put(round, row->series[0], (double)value);
    }
    return TW_OK;
}

const struct agent_source agent_source_vmstat = {
    "vmstat", sizeof(struct fields), 0, fields_init, vmstat_collect, fields_sweep, fields_fini};

/* ---- netstat ---- */

/* node_exporter's default choice, by protocol and field. A '*' at the end matches any rest. */
static bool netstat_wanted(struct tw_str name)
{
    static const char *const wanted[] = {
        "Ip_Forwarding",      "IpExt_InOctets",     "IpExt_OutOctets",    "Ip6_InOctets",
        "Ip6_OutOctets",      "Icmp_InMsgs",        "Icmp_OutMsgs",       "Icmp6_InMsgs",
        "Icmp6_OutMsgs",      "TcpExt_Listen*",     "TcpExt_Syncookies*", "TcpExt_TCPSynRetrans",
        "TcpExt_TCPTimeouts", "TcpExt_TCPOFOQueue", "TcpExt_TCPRcvQDrop", "Tcp_ActiveOpens",
        "Tcp_InSegs",         "Tcp_OutSegs",        "Tcp_OutRsts",        "Tcp_PassiveOpens",
        "Tcp_RetransSegs",    "Tcp_CurrEstab",      "Tcp_MaxConn",        "Udp_InDatagrams",
        "Udp_OutDatagrams",   "Udp_NoPorts",        "Udp_RcvbufErrors",   "Udp_SndbufErrors",
        "Udp6_InDatagrams",   "Udp6_OutDatagrams",  "Udp6_NoPorts",       "Udp6_RcvbufErrors",
        "Udp6_SndbufErrors"};
    if (tw_str_ends(name, TW_STR("_InErrors")) || tw_str_ends(name, TW_STR("_InErrs")))
        return true;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct tw_str pattern = tw_str(wanted[i]);
        if (pattern.data[pattern.size - 1] == '*'
                ? tw_str_starts(name, tw_str_slice(pattern, 0, pattern.size - 1))
                : tw_str_equal(name, pattern))
            return true;
    }
    return false;
}

static void put_netstat(struct fields *fields, struct agent_round *round, struct tw_str key,
                        struct tw_str protocol, struct tw_str field, struct tw_str number)
{
    struct agent_row *row = agent_table_find(&fields->table, key, round->tick);
    if (row == NULL && (row = agent_table_add(&fields->table, key, round->tick)) != NULL) {
        char name[NAME_BYTES_MAX];
        int size =
            snprintf(name, sizeof name, "%.*s_%.*s", TW_STR_ARG(protocol), TW_STR_ARG(field));
        if (size > 0 && (size_t)size < sizeof name && netstat_wanted(tw_str(name)))
            row->series[0] = add_series(fields, "netstat", tw_str(name), "", WIRE_TYPE_UNKNOWN,
                                        "/proc/net/{netstat,snmp,snmp6}");
    }
    if (row == NULL || row->series[0] == AGENT_SERIES_NONE)
        return;
    struct agent_scan word = agent_scan_of(number);
    double value;
    if (agent_scan_double(&word, &value))
        agent_round_put(round, row->series[0], value);
}

/* Two lines a protocol: "Tcp: InSegs OutSegs" and "Tcp: 12 34". */
static void parse_pairs(struct fields *fields, struct agent_round *round, struct tw_str text)
{
    struct agent_scan scan = agent_scan_of(text), names, values;
    while (agent_scan_line(&scan, &names) && agent_scan_line(&scan, &values)) {
        struct tw_str protocol = agent_scan_until(&names, ':');
        if (!tw_str_equal(agent_scan_until(&values, ':'), protocol) || protocol.size > 32)
            continue;
        for (struct tw_str field = agent_scan_word(&names); field.size > 0;
             field = agent_scan_word(&names)) {
            char key[NAME_BYTES_MAX];
            struct tw_str number = agent_scan_word(&values);
            if (field.size > NAME_BYTES_MAX - 34)
                continue;
            memcpy(key, protocol.data, protocol.size);
            key[protocol.size] = '_';
            memcpy(key + protocol.size + 1, field.data, field.size);
            put_netstat(fields, round, (struct tw_str){key, protocol.size + 1 + field.size},
                        protocol, field, number);
        }
    }
}

/* "Ip6InReceives  1": the protocol ends with the 6. */
static void parse_snmp6(struct fields *fields, struct agent_round *round, struct tw_str text)
{
    struct agent_scan scan = agent_scan_of(text), line;
    while (agent_scan_line(&scan, &line)) {
        struct tw_str name = agent_scan_word(&line);
        size_t six = tw_str_find(name, TW_STR("6"));
        if (six == SIZE_MAX || six + 1 == name.size || name.size > 64)
            continue;
        put_netstat(fields, round, name, tw_str_slice(name, 0, six + 1),
                    tw_str_slice(name, six + 1, name.size), agent_scan_word(&line));
    }
}

static enum tw_code netstat_collect(void *state, struct agent_env *env, struct agent_round *round,
                                    struct tw_err *err)
{
    struct fields *fields = state;
    static const char *const names[] = {"net/netstat", "net/snmp", "net/snmp6"};
    for (int i = 0; i < 3; i++) {
        struct tw_str text;
        enum tw_code code =
            agent_procfile_read(&fields->files[i], env->proc, names[i], &env->text, &text, err);
        if (code != TW_OK && i == 2)
            break; /* a kernel without IPv6 */
        if (code != TW_OK)
            return code;
        if (i < 2)
            parse_pairs(fields, round, text);
        else
            parse_snmp6(fields, round, text);
    }
    return TW_OK;
}

const struct agent_source agent_source_netstat = {
    "netstat", sizeof(struct fields), 0, fields_init, netstat_collect, fields_sweep, fields_fini};

/* ---- sockstat ---- */

static void put_sockstat(struct fields *fields, struct agent_round *round, struct tw_str protocol,
                         struct tw_str field, const char *suffix, double value)
{
    char key[NAME_BYTES_MAX];
    int size = snprintf(key, sizeof key, "%.*s_%.*s%s", TW_STR_ARG(tw_str_slice(protocol, 0, 32)),
                        TW_STR_ARG(tw_str_slice(field, 0, 64)), suffix);
    struct tw_str name = {key, (size_t)size};
    struct agent_row *row = agent_table_find(&fields->table, name, round->tick);
    if (row == NULL && (row = agent_table_add(&fields->table, name, round->tick)) != NULL)
        row->series[0] = add_series(fields, "sockstat", name, "", WIRE_TYPE_GAUGE,
                                    "/proc/net/{sockstat,sockstat6}");
    if (row != NULL)
        agent_round_put(round, row->series[0], value);
}

/* "TCP: inuse 35 orphan 0 mem 1": mem is in pages, given in bytes as well. */
static void parse_sockstat(struct fields *fields, struct agent_round *round, struct tw_str text)
{
    double page_bytes = (double)sysconf(_SC_PAGESIZE);
    struct agent_scan scan = agent_scan_of(text), line;
    while (agent_scan_line(&scan, &line)) {
        struct tw_str protocol = agent_scan_until(&line, ':');
        for (struct tw_str field = agent_scan_word(&line); field.size > 0;
             field = agent_scan_word(&line)) {
            uint64_t value;
            if (!agent_scan_u64(&line, &value))
                break;
            put_sockstat(fields, round, protocol, field, "", (double)value);
            if (tw_str_is(field, "mem"))
                put_sockstat(fields, round, protocol, field, "_bytes", (double)value * page_bytes);
        }
    }
}

static enum tw_code sockstat_collect(void *state, struct agent_env *env, struct agent_round *round,
                                     struct tw_err *err)
{
    struct fields *fields = state;
    struct tw_str text;
    enum tw_code code =
        agent_procfile_read(&fields->files[0], env->proc, "net/sockstat", &env->text, &text, err);
    if (code != TW_OK)
        return code;
    parse_sockstat(fields, round, text);
    if (agent_procfile_read(&fields->files[1], env->proc, "net/sockstat6", &env->text, &text,
                            NULL) == TW_OK)
        parse_sockstat(fields, round, text);
    return TW_OK;
}

const struct agent_source agent_source_sockstat = {
    "sockstat", sizeof(struct fields), 0, fields_init, sockstat_collect, fields_sweep, fields_fini};
