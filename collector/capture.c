/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>

#include "base/assert.h"

#define CAPTURE_MAGIC 0x41434150u
/* How long the kernel may keep a block of packets that is not full. Their times are taken before.
 */
#define HOLD_MS 500
/* ACKs in vain in a tick, above which the filter lets half of the connections through, and below
 * which (for CALM_TICKS) twice as many. */
#define IDLE_ACKS_HIGH 2000
#define IDLE_ACKS_LOW 400
#define CALM_TICKS 60
#define SAMPLING_SHIFT_MAX 10
#define PACKETS_AT_ONCE 20000

enum { COUNT_PACKETS, COUNT_DROPPED, COUNT_MALFORMED, COUNT_SAMPLING, COUNTS };

struct agent_capture {
    unsigned magic;
    pcap_t *pcap;
    struct agent_roster *roster;
    struct agent_flows *flows;
    int link;
    unsigned sampling_shift, calm_ticks;
    uint64_t packets, malformed, idle_acks_before;
    /* libpcap counts in 32 bits. */
    uint64_t dropped;
    unsigned dropped_before;
    uint32_t series[COUNTS];
};

/* SYN or RST; or an ACK alone without payload whose ports' sum has the sampling's low bits zero. */
static enum tw_code set_filter(struct agent_capture *capture, struct tw_err *err)
{
    char text[1024];
    unsigned mask = (1u << capture->sampling_shift) - 1;
    snprintf(text, sizeof text,
             "(ip and tcp and (tcp[13] & 6 != 0 or (tcp[13] & 0x17 = 0x10 and "
             "ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2) = 0 and "
             "(tcp[0:2] + tcp[2:2]) & %u = 0))) or "
             "(ip6 and ip6[6] = 6 and (ip6[53] & 6 != 0 or (ip6[53] & 0x17 = 0x10 and "
             "ip6[4:2] - ((ip6[52] & 0xf0) >> 2) = 0 and "
             "(ip6[40:2] + ip6[42:2]) & %u = 0)))",
             mask, mask);
    struct bpf_program program;
    if (pcap_compile(capture->pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN) != 0)
        return tw_err_set(err, TW_INTERNAL, "capture filter: %s", pcap_geterr(capture->pcap));
    int status = pcap_setfilter(capture->pcap, &program);
    pcap_freecode(&program);
    if (status != 0)
        return tw_err_set(err, TW_IO, "capture filter: %s", pcap_geterr(capture->pcap));
    return TW_OK;
}

static enum tw_code activate(struct agent_capture *capture, const char *interface,
                             uint64_t ring_bytes, struct tw_err *err)
{
    pcap_t *pcap = capture->pcap;
    char reason[PCAP_ERRBUF_SIZE];
    pcap_set_snaplen(pcap, AGENT_FLOW_SNAP_BYTES);
    pcap_set_promisc(pcap, 0);
    pcap_set_timeout(pcap, HOLD_MS);
    pcap_set_buffer_size(pcap, (int)ring_bytes);
    pcap_set_tstamp_precision(pcap, PCAP_TSTAMP_PRECISION_NANO);
    int status = pcap_activate(pcap);
    if (status == PCAP_ERROR_PERM_DENIED)
        return tw_err_set(err, TW_FORBIDDEN,
                          "capturing needs the capability CAP_NET_RAW: run as root, or setcap "
                          "cap_net_raw+ep on the program, or AmbientCapabilities=CAP_NET_RAW");
    if (status < 0)
        return tw_err_set(err, TW_IO, "cannot capture on '%s': %s", interface,
                          *pcap_geterr(pcap) != '\0' ? pcap_geterr(pcap)
                                                     : pcap_statustostr(status));
    if (pcap_datalink(pcap) == AGENT_LINK_COOKED)
        (void)pcap_set_datalink(pcap, AGENT_LINK_COOKED2); /* tells the interface as well */
    capture->link = pcap_datalink(pcap);
    if (capture->link != AGENT_LINK_COOKED && capture->link != AGENT_LINK_COOKED2 &&
        capture->link != AGENT_LINK_ETHERNET && capture->link != AGENT_LINK_RAW)
        return tw_err_set(err, TW_UNSUPPORTED, "cannot capture on '%s': its link type is %s",
                          interface, pcap_datalink_val_to_name(capture->link));
    if (pcap_setnonblock(pcap, 1, reason) != 0 || pcap_get_selectable_fd(pcap) < 0)
        return tw_err_set(err, TW_IO, "cannot capture on '%s': no way to wait for packets",
                          interface);
    return set_filter(capture, err);
}

enum tw_code agent_capture_open(const char *interface, uint64_t ring_bytes,
                                struct agent_roster *roster, struct agent_flows *flows,
                                struct agent_capture **ret_capture, struct tw_err *err)
{
    char reason[PCAP_ERRBUF_SIZE] = "";
    struct agent_capture *capture = calloc(1, sizeof *capture);
    TW_ASSERT(capture != NULL && ring_bytes <= INT32_MAX);
    capture->magic = CAPTURE_MAGIC;
    capture->roster = roster;
    capture->flows = flows;
    memset(capture->series, 0xff, sizeof capture->series);
    capture->pcap = pcap_create(interface, reason);
    enum tw_code code = TW_OK;
    if (capture->pcap == NULL)
        code = tw_err_set(err, TW_IO, "cannot capture on '%s': %s", interface, reason);
    else
        code = activate(capture, interface, ring_bytes, err);
    if (code != TW_OK) {
        agent_capture_close(capture);
        return code;
    }
    *ret_capture = capture;
    return TW_OK;
}

struct agent_capture *agent_capture_close(struct agent_capture *capture)
{
    if (capture == NULL)
        return NULL;
    TW_CHECK_MAGIC(capture, CAPTURE_MAGIC);
    capture->magic = 0;
    if (capture->pcap != NULL)
        pcap_close(capture->pcap);
    free(capture);
    return NULL;
}

int agent_capture_fd(const struct agent_capture *capture)
{
    return pcap_get_selectable_fd(capture->pcap);
}

static void take_packet(u_char *user, const struct pcap_pkthdr *head, const u_char *bytes)
{
    struct agent_capture *capture = (struct agent_capture *)(void *)user;
    struct agent_packet packet;
    capture->packets++;
    if (!agent_packet_parse(capture->link, bytes, head->caplen, &packet)) {
        capture->malformed++;
        return;
    }
    /* With nanosecond precision tv_usec holds nanoseconds. */
    packet.time_ns = (int64_t)head->ts.tv_sec * 1000000000 + head->ts.tv_usec;
    agent_flows_packet(capture->flows, &packet);
}

enum tw_code agent_capture_read(struct agent_capture *capture, struct tw_err *err)
{
    TW_CHECK_MAGIC(capture, CAPTURE_MAGIC);
    if (pcap_dispatch(capture->pcap, PACKETS_AT_ONCE, take_packet, (u_char *)capture) < 0)
        return tw_err_set(err, TW_IO, "capturing: %s", pcap_geterr(capture->pcap));
    return TW_OK;
}

static void adjust_sampling(struct agent_capture *capture)
{
    uint64_t idle = agent_flows_idle_acks(capture->flows) - capture->idle_acks_before;
    capture->idle_acks_before += idle;
    unsigned before = capture->sampling_shift;
    capture->calm_ticks = idle < IDLE_ACKS_LOW ? capture->calm_ticks + 1 : 0;
    if (idle > IDLE_ACKS_HIGH && capture->sampling_shift < SAMPLING_SHIFT_MAX)
        capture->sampling_shift++;
    else if (capture->calm_ticks >= CALM_TICKS && capture->sampling_shift > 0)
        capture->sampling_shift--;
    if (capture->sampling_shift == before)
        return;
    capture->calm_ticks = 0;
    if (set_filter(capture, NULL) != TW_OK)
        capture->sampling_shift = before; /* the old filter is still there */
}

static void put_count(struct agent_capture *capture, struct agent_round *round, int which,
                      double value)
{
    static const struct agent_family families[COUNTS] = {
        [COUNT_PACKETS] = {"tidewatch_capture_packets_total", WIRE_TYPE_COUNTER,
                           "Packets captured."},
        [COUNT_DROPPED] = {"tidewatch_capture_dropped_total", WIRE_TYPE_COUNTER,
                           "Packets that the kernel dropped because the ring was full."},
        [COUNT_MALFORMED] = {"tidewatch_capture_malformed_total", WIRE_TYPE_COUNTER,
                             "Packets that could not be taken apart."},
        [COUNT_SAMPLING] = {"tidewatch_capture_sampling_ratio", WIRE_TYPE_GAUGE,
                            "Part of the connections whose client half is measured."}};
    if (capture->series[which] == AGENT_SERIES_NONE)
        capture->series[which] = agent_roster_add(capture->roster, &families[which], NULL, 0);
    agent_round_put(round, capture->series[which], value);
}

void agent_capture_put(struct agent_capture *capture, struct agent_round *round, int64_t now_ns)
{
    TW_CHECK_MAGIC(capture, CAPTURE_MAGIC);
    struct pcap_stat stats;
    if (pcap_stats(capture->pcap, &stats) == 0) {
        capture->dropped += (unsigned)(stats.ps_drop - capture->dropped_before);
        capture->dropped_before = stats.ps_drop;
    }
    agent_flows_expire(capture->flows, now_ns);
    agent_flows_put(capture->flows, round);
    put_count(capture, round, COUNT_PACKETS, (double)capture->packets);
    put_count(capture, round, COUNT_DROPPED, (double)capture->dropped);
    put_count(capture, round, COUNT_MALFORMED, (double)capture->malformed);
    put_count(capture, round, COUNT_SAMPLING, 1.0 / (double)(1u << capture->sampling_shift));
    adjust_sampling(capture);
}
